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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mean_is_that_of_the_last_complete_window() {
        let mut window = Window::new(0, 100);
        window.step(0, 50, [2.0]);
        assert_eq!(window.mean(), [0.0]);
        window.step(50, 99, [4.0]);
        assert_eq!(window.mean(), [0.0]);
        window.step(99, 100, [4.0]);
        assert_eq!(window.mean(), [3.0]);
        window.step(100, 450, [7.0]);
        assert_eq!(window.mean(), [7.0]);
        window.step(450, 500, [1.0]);
        assert_eq!(window.mean(), [4.0]);
    }

    proptest! {
        #[test]
        fn law_it_does_not_matter_in_how_many_steps_time_goes(
            inputs in proptest::collection::vec((0..100_u32, 1..500_u64), 1..20),
            cuts in proptest::collection::vec(1..300_u64, 1..20),
        ) {
            let (mut whole, mut cut) = (Window::new(0, 100), Window::new(0, 100));
            let mut now_us = 0;
            let mut cuts = cuts.iter().cycle();
            for (value, duration_us) in inputs {
                let end_us = now_us + duration_us;
                let values = [f64::from(value)];
                whole.step(now_us, end_us, values);
                while now_us < end_us {
                    let next_us = end_us.min(now_us + cuts.next().unwrap());
                    cut.step(now_us, next_us, values);
                    now_us = next_us;
                }
                prop_assert!((whole.mean()[0] - cut.mean()[0]).abs() < 1e-9, "at {} µs", now_us);
            }
        }
    }
}
