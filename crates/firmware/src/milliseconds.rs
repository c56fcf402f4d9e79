//! Milliseconds of a clock that counts microseconds.

/// Turns microseconds into milliseconds, rounded down, by multiplications: the control task asks for the time with each reading,
/// and a Cortex-M0+ divides 64 bits in a loop over the bits. Exact for 2^61 µs, 73,000 years.
pub fn of_us(us: u64) -> u64 {
    /// 2^32 by 125, and what is left.
    const HIGH: u64 = (1 << 32) / 125;
    const HIGH_REST: u32 = ((1_u64 << 32) % 125) as u32;
    // Any 32 bits by 125.
    let of_125 = |eighths: u32| ((u64::from(eighths) * 0x1062_4DD3) >> 35) as u32;
    let eighths = us >> 3;
    let (high, low) = ((eighths >> 32) as u32, eighths as u32);
    let whole = of_125(low);
    let rest = low.wrapping_sub(whole.wrapping_mul(125)).wrapping_add(high.wrapping_mul(HIGH_REST));
    u64::from(high) * HIGH + u64::from(whole) + u64::from(of_125(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_those_of_a_division() {
        let edges =
            (0..61).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([(1 << 61) - 1]);
        let thousands = (0..2000).flat_map(|n| [n * 1000, n * 1000 + 999]);
        let wraps = (0..2000).map(|n| n * 34_359_738_368 + n);
        let walk = (0..100_000_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 3); // below 2^61
        for us in edges.chain(thousands).chain(wraps).chain(walk) {
            assert_eq!(of_us(us), us / 1000, "{us}");
        }
    }
}
