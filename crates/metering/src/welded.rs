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
