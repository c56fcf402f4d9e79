//! A meter that is silent, or talks nonsense, is itself a fault.

use sockeye_scheduler::after;

/// How long the meter may give no good reading, in ms (issue "Everything the guide promises": 2 s).
pub(crate) const FAULT_MS: u64 = 2_000;

/// How long the meter must have given nothing but good readings until a fault is over, in ms. A choice of ours: one
/// good reading now and then must not make a row of faults of which each is reported.
const WELL_MS: u64 = 5_000;

/// Watches for good readings.
#[derive(Clone, Debug)]
pub(crate) struct MeterWatch {
    /// When the meter last showed that it works, or from when on it is expected to.
    good_ms: u64,
    /// Since when every reading has been good.
    well_since_ms: Option<u64>,
    failed: bool,
}

impl MeterWatch {
    /// Begins to watch at `from_ms`.
    pub(crate) const fn new(from_ms: u64) -> Self {
        Self { good_ms: from_ms, well_since_ms: None, failed: false }
    }

    /// Tells whether the meter has failed, and is not well again.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Begins to watch anew at an instant, if it is later than what is known.
    pub(crate) fn not_before(&mut self, at_ms: u64) {
        self.good_ms = self.good_ms.max(at_ms);
    }

    /// Takes a good reading; true when it ends a fault.
    pub(crate) fn good(&mut self, now_ms: u64) -> bool {
        self.not_before(now_ms);
        let since_ms = *self.well_since_ms.get_or_insert(now_ms);
        let is_over = self.failed && now_ms.saturating_sub(since_ms) >= WELL_MS;
        self.failed &= !is_over;
        is_over
    }

    /// Takes a reading that failed or cannot be.
    pub(crate) fn bad(&mut self) {
        self.well_since_ms = None;
    }

    /// Tells when the meter will have failed if it shows nothing good until then.
    pub(crate) const fn due_ms(&self) -> u64 {
        after(self.good_ms, FAULT_MS)
    }

    /// Notes that the meter has failed; true if that is news.
    pub(crate) fn fail(&mut self) -> bool {
        self.well_since_ms = None;
        !core::mem::replace(&mut self.failed, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_reading_among_good_ones_begins_their_5_s_anew() {
        let mut watch = MeterWatch::new(0);
        assert!(watch.fail() && !watch.fail());
        assert!(!watch.good(10_000) && !watch.good(14_900));
        watch.bad();
        assert!(!watch.good(15_000) && !watch.good(19_900) && watch.has_failed());
        assert!(watch.good(20_000) && !watch.has_failed());
    }
}
