//! How often a figure is taken, and what came out.
#![allow(dead_code, reason = "each test uses a part of it")]

/// How often a figure is taken where nobody says otherwise.
pub fn runs(default: u64) -> u64 {
    std::env::var("SOCKEYE_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Numbers that look random, the same every time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// The least and the greatest of what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub least: i64,
    pub most: i64,
    pub count: u64,
}

impl Span {
    pub const NONE: Self = Self { least: i64::MAX, most: i64::MIN, count: 0 };

    pub fn take(&mut self, value: i64) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        self.count += 1;
    }
}
