//! The sum of the energy that went through the socket.

/// Adds up energy in µWh, and tells when the sum is to be stored.
///
/// It never decreases but by [`reset`](Self::reset), and stands still while switched off.
#[derive(Clone, Debug)]
pub struct EnergySum {
    sum_uwh: u64,
    stored_uwh: u64,
    stored_at_ms: u64,
    reset_pending: bool,
    enabled: bool,
}

impl EnergySum {
    /// The growth after which the sum is to be stored: 10 Wh (behaviour.md), in µWh.
    pub const STORE_STEP_UWH: u64 = 10_000_000;
    /// The time after which a sum that has grown is to be stored: 15 minutes (behaviour.md), in ms.
    pub const STORE_INTERVAL_MS: u64 = 15 * 60 * 1000;

    /// Makes a sum that goes on from the stored one.
    #[must_use]
    pub fn new(now_ms: u64, stored_uwh: u64) -> Self {
        Self { sum_uwh: stored_uwh, stored_uwh, stored_at_ms: now_ms, reset_pending: false, enabled: true }
    }

    /// Switches the summing on or off (the setting *Power Consumption*); off, the sum stands still.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Adds a reading's energy.
    pub fn add(&mut self, energy_uwh: u32) {
        if self.enabled {
            self.sum_uwh = self.sum_uwh.saturating_add(u64::from(energy_uwh));
        }
    }

    /// Sets the sum to 0 (command `ff27`); it is to be stored at once.
    pub fn reset(&mut self) {
        self.sum_uwh = 0;
        self.reset_pending = true;
    }

    /// Tells the sum in µWh.
    #[must_use]
    pub fn uwh(&self) -> u64 {
        self.sum_uwh
    }

    /// Tells the sum in whole Wh, as the record `0683` carries it.
    #[must_use]
    pub fn wh(&self) -> u32 {
        const UWH_PER_WH: u64 = 1_000_000;
        u32::try_from(self.sum_uwh / UWH_PER_WH).unwrap_or(u32::MAX)
    }

    /// Tells whether the sum is to be stored now.
    #[must_use]
    pub fn store_due(&self, now_ms: u64) -> bool {
        self.next_store_ms().is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// Tells when the sum is to be stored if no more energy comes, in ms; 0 for at once, `None` when
    /// nothing has changed since it was stored.
    #[must_use]
    pub fn next_store_ms(&self) -> Option<u64> {
        match self.unstored_uwh() {
            0 => None,
            Self::STORE_STEP_UWH.. => Some(0),
            _ => Some(self.stored_at_ms.saturating_add(Self::STORE_INTERVAL_MS)),
        }
    }

    /// Tells how much of the sum is not in storage, in µWh; all there is when a reset is not.
    #[must_use]
    pub fn unstored_uwh(&self) -> u64 {
        if self.reset_pending { u64::MAX } else { self.sum_uwh.saturating_sub(self.stored_uwh) }
    }

    /// Notes that the sum as it is now goes into storage.
    pub fn stored(&mut self, now_ms: u64) {
        self.stored_uwh = self.sum_uwh;
        self.stored_at_ms = now_ms;
        self.reset_pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_goes_on_from_the_stored_one_and_is_reported_in_whole_wh() {
        let mut sum = EnergySum::new(0, 5_999_999);
        assert_eq!(sum.wh(), 5);
        sum.add(1);
        assert_eq!((sum.uwh(), sum.wh()), (6_000_000, 6));
    }

    #[test]
    fn the_sum_stands_still_while_switched_off() {
        let mut sum = EnergySum::new(0, 7);
        sum.set_enabled(false);
        sum.add(1000);
        assert_eq!(sum.uwh(), 7);
        sum.set_enabled(true);
        sum.add(1000);
        assert_eq!(sum.uwh(), 1007);
    }

    #[test]
    fn ten_wh_are_stored_at_once_and_less_after_a_quarter_of_an_hour() {
        let mut sum = EnergySum::new(1000, 0);
        assert_eq!(sum.next_store_ms(), None);
        sum.add(9_999_999);
        assert_eq!(sum.next_store_ms(), Some(901_000));
        assert!(!sum.store_due(900_999));
        assert!(sum.store_due(901_000));
        sum.add(1);
        assert!(sum.store_due(1000));
        sum.stored(2000);
        assert_eq!(sum.next_store_ms(), None);
        assert!(!sum.store_due(u64::MAX));
        sum.add(1);
        assert_eq!(sum.next_store_ms(), Some(902_000), "the quarter counts from the last store");
    }

    #[test]
    fn a_reset_is_stored_at_once_even_when_nothing_was_stored_before() {
        let mut sum = EnergySum::new(0, 0);
        sum.add(5);
        sum.reset();
        assert_eq!(sum.uwh(), 0);
        assert!(sum.store_due(0));
        sum.stored(0);
        assert!(!sum.store_due(u64::MAX));
    }

    #[test]
    fn a_reset_below_the_stored_sum_does_not_hide_later_energy() {
        let mut sum = EnergySum::new(0, 50_000_000);
        sum.reset();
        sum.stored(0);
        sum.add(10_000_000);
        assert!(sum.store_due(0));
    }

    #[test]
    fn more_wh_than_32_bits_hold_show_as_the_greatest() {
        assert_eq!(EnergySum::new(0, u64::MAX).wh(), u32::MAX);
    }

    proptest! {
        #[test]
        fn law_the_sum_never_decreases_and_loses_nothing(parts in proptest::collection::vec(any::<u32>(), 0..100)) {
            let mut sum = EnergySum::new(0, 0);
            for &part in &parts {
                let before_uwh = sum.uwh();
                sum.add(part);
                prop_assert!(sum.uwh() >= before_uwh);
            }
            prop_assert_eq!(sum.uwh(), parts.iter().map(|&part| u64::from(part)).sum::<u64>());
        }
    }
}
