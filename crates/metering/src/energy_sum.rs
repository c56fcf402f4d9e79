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
        if self.reset_pending || self.sum_uwh.saturating_sub(self.stored_uwh) >= Self::STORE_STEP_UWH {
            return Some(0);
        }
        (self.sum_uwh != self.stored_uwh).then(|| self.stored_at_ms.saturating_add(Self::STORE_INTERVAL_MS))
    }

    /// Notes that the sum as it is now goes into storage.
    pub fn stored(&mut self, now_ms: u64) {
        self.stored_uwh = self.sum_uwh;
        self.stored_at_ms = now_ms;
        self.reset_pending = false;
    }
}
