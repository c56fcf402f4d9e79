//! Random delays that spread the uplinks of many sockets.

/// A small generator of random delays (xorshift64*, Vigna 2016). It is not for keys.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed, which should differ from device to device and from start to start.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // SplitMix64's finalizer (Steele, Lea, Flood 2014): neighbouring seeds begin far apart. Xorshift must
        // not start from 0.
        let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
        Self(if state == 0 { 1 } else { state })
    }

    /// Returns the next number, all 32 bits random.
    pub const fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// Returns a number from 0 to `limit`, both included, each as likely.
    pub const fn up_to(&mut self, limit: u32) -> u32 {
        // Multiply and shift: the bias is below limit / 2^32, which no delay shows.
        ((self.next_u32() as u64 * (limit as u64 + 1)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_stays_within_its_limit(seed: u64, limit: u32) {
            let mut random = Random::new(seed);
            for _ in 0..16 {
                prop_assert!(random.up_to(limit) <= limit);
            }
        }
    }

    #[test]
    fn the_numbers_are_those_of_xorshift64_star_after_splitmix64() {
        // Computed from the two papers' formulas by a few lines of Python, with its big integers.
        for (seed, expected) in [
            (0, [0x7BBC_B40D, 0xDE7F_E413, 0xB3C6_3835, 0xE073_AFC0]),
            (1, [0x4B46_A55D, 0xD7E1_F141, 0x5F14_EC66, 0x3B2C_74FA]),
            (u64::MAX, [0x079C_E65D, 0x1587_F139, 0x3190_CF0B, 0xDEFA_E28A]),
        ] {
            let mut random = Random::new(seed);
            assert_eq!(core::array::from_fn(|_| random.next_u32()), expected, "{seed}");
        }
    }

    #[test]
    fn neighbouring_seeds_spread_over_the_whole_range() {
        let mut tenths = [0u32; 10];
        for seed in 0..1000 {
            tenths[Random::new(seed).up_to(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..140).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn both_ends_of_the_range_come_up() {
        let mut random = Random::new(7);
        let seen: [bool; 4] = core::array::from_fn(|want| (0..200).any(|_| random.up_to(3) as usize == want));
        assert_eq!(seen, [true; 4]);
    }
}
