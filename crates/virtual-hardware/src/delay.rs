//! embedded-hal's delay on virtual time.

use embedded_hal_async::delay::DelayNs;

use crate::sim::Sim;

/// Waits in virtual time, for drivers that ask for [`DelayNs`].
///
/// The clock counts microseconds: a shorter wait is rounded up, since a driver may rely on the least time.
#[derive(Clone, Debug)]
pub struct VirtualDelay(Sim);

impl VirtualDelay {
    /// Makes a delay on the clock of `sim`.
    #[must_use]
    pub fn new(sim: &Sim) -> Self {
        Self(sim.clone())
    }
}

impl DelayNs for VirtualDelay {
    async fn delay_ns(&mut self, ns: u32) {
        self.0.sleep_us(u64::from(ns.div_ceil(1000))).await;
    }

    async fn delay_us(&mut self, us: u32) {
        self.0.sleep_us(u64::from(us)).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        self.0.sleep_us(u64::from(ms) * 1000).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_delay_lasts_at_least_as_long_as_asked() {
        let sim = Sim::new();
        let ends_us = Rc::new(Cell::new([0; 3]));
        let (mut delay, sim2, ends2) = (VirtualDelay::new(&sim), sim.clone(), ends_us.clone());
        sim.spawn(async move {
            delay.delay_ns(1).await;
            let first = sim2.now_us();
            delay.delay_us(7).await;
            let second = sim2.now_us();
            delay.delay_ms(2).await;
            ends2.set([first, second, sim2.now_us()]);
        });
        sim.run_until_us(10_000);
        assert_eq!(ends_us.get(), [1, 8, 2008]);
    }
}
