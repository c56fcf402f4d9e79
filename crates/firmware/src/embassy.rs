//! The firmware's clock on embassy's time driver, for every board that has one.

use embassy_time::{Duration, Instant, TICK_HZ, Timer};

use crate::board::Clock;
use crate::milliseconds;

/// A [`Clock`] on embassy's time driver, which counts from 0 at reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now_ms(&self) -> u64 {
        let now = Instant::now();
        if TICK_HZ == 1_000_000 { milliseconds::of_us(now.as_ticks()) } else { now.as_millis() }
    }

    async fn until_ms(&self, at_ms: u64) {
        Timer::at(Instant::from_millis(at_ms)).await;
    }

    fn ticks(&self) -> u64 {
        Instant::now().as_ticks()
    }

    async fn after_ms(&self, ticks: u64, ms: u64) {
        Timer::at(Instant::from_ticks(ticks).saturating_add(Duration::from_millis(ms))).await;
    }
}
