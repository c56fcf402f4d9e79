//! A contact that does not open.

/// Notices current while the relay is off: five readings in a row and 2 s (behaviour.md, "Metering and
/// protection").
#[derive(Clone, Debug, Default)]
pub struct WeldedContact {
    readings: u8,
    since_ms: u64,
    reported: bool,
}

impl WeldedContact {
    /// How many readings in a row must show a current (behaviour.md).
    pub const READINGS: u8 = 5;
    /// For how long, in ms (behaviour.md).
    pub const DURATION_MS: u64 = 2000;

    /// Makes a detector that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading's `current_ma`, which is 0 below the creep threshold. True once for each time that
    /// the relay is off: the contact is welded.
    pub fn sample(&mut self, now_ms: u64, relay_on: bool, current_ma: u32) -> bool {
        if relay_on {
            *self = Self::new();
            return false;
        }
        if current_ma == 0 {
            self.readings = 0;
            return false;
        }
        if self.readings == 0 {
            self.since_ms = now_ms;
        }
        self.readings = self.readings.saturating_add(1);
        let welded = self.readings >= Self::READINGS
            && now_ms.saturating_sub(self.since_ms) >= Self::DURATION_MS
            && !self.reported;
        self.reported |= welded;
        welded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Readings (ms, relay on, mA) and the times of the reports.
    fn check(readings: &[(u64, bool, u32)], reports_ms: &[u64]) {
        let mut detector = WeldedContact::new();
        let said: Vec<u64> = readings
            .iter()
            .filter(|&&(now_ms, relay_on, current_ma)| detector.sample(now_ms, relay_on, current_ma))
            .map(|&(now_ms, ..)| now_ms)
            .collect();
        assert_eq!(said, reports_ms, "{readings:?}");
    }

    fn off(times_ms: impl Iterator<Item = u64>, current_ma: u32) -> Vec<(u64, bool, u32)> {
        times_ms.map(|now_ms| (now_ms, false, current_ma)).collect()
    }

    #[test]
    fn current_for_2_s_with_the_relay_off_is_reported_once() {
        check(&off((0..10_000).step_by(100), 30), &[2000]);
        check(&off((0..2_000).step_by(100), 30), &[]);
        check(&off((0..10_000).step_by(100), 0), &[]);
    }

    #[test]
    fn five_readings_are_needed_however_long_they_take() {
        check(&off([0, 1000, 2000, 3000].into_iter(), 30), &[]);
        check(&off([0, 1000, 2000, 3000, 4000].into_iter(), 30), &[4000]);
    }

    #[test]
    fn a_reading_without_current_begins_anew() {
        let readings = [
            off((0..2_000).step_by(100), 30),
            off([2000].into_iter(), 0),
            off((2100..4200).step_by(100), 30),
        ];
        check(&readings.concat(), &[4100]);
    }

    #[test]
    fn each_time_off_is_reported() {
        let readings = [
            off((0..3_000).step_by(100), 30),
            [(3000, true, 30)].to_vec(),
            off((3100..6_100).step_by(100), 30),
        ];
        check(&readings.concat(), &[2000, 5100]);
    }
}
