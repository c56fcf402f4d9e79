//! Spreads channels and waiting times. Not for keys.

/// A xorshift64* generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `seed`; any value will do.
    pub fn new(seed: u64) -> Self {
        // 0 is the one state that xorshift cannot leave.
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        Self(if mixed == 0 { 1 } else { mixed })
    }

    fn next(&mut self) -> u32 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Gives a number in `0..=max`.
    pub fn up_to(&mut self, max: u32) -> u32 {
        let span = u64::from(max).saturating_add(1);
        ((u64::from(self.next()).saturating_mul(span)) >> 32) as u32
    }
}
