//! Mean values over windows of equal length, without steps finer than the input's changes.

/// The mean of `N` values over the last complete window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<const N: usize> {
    period_us: u64,
    ends_us: u64,
    /// Values times µs in the present window.
    sum: [f64; N],
    mean: [f64; N],
}

impl<const N: usize> Window<N> {
    pub(super) fn new(now_us: u64, period_us: u64) -> Self {
        Self { period_us, ends_us: now_us + period_us, sum: [0.0; N], mean: [0.0; N] }
    }

    /// Changes the length; the present window begins anew.
    pub(super) fn set_period(&mut self, now_us: u64, period_us: u64) {
        if period_us != self.period_us {
            *self = Self { mean: self.mean, ..Self::new(now_us, period_us) };
        }
    }

    /// Takes values that held from `from_us` to `to_us`.
    pub(super) fn step(&mut self, from_us: u64, to_us: u64, values: [f64; N]) {
        let mut from_us = from_us;
        if to_us >= self.ends_us {
            self.add(self.ends_us - from_us, values);
            let period_us = self.period_us as f64;
            self.mean = self.sum.map(|sum| sum / period_us);
            let whole = (to_us - self.ends_us) / self.period_us;
            if whole > 0 {
                self.mean = values;
            }
            from_us = self.ends_us + whole * self.period_us;
            self.ends_us = from_us + self.period_us;
            self.sum = [0.0; N];
        }
        self.add(to_us - from_us, values);
    }

    pub(super) fn mean(&self) -> [f64; N] {
        self.mean
    }

    fn add(&mut self, duration_us: u64, values: [f64; N]) {
        for (sum, value) in self.sum.iter_mut().zip(values) {
            *sum += value * duration_us as f64;
        }
    }
}
