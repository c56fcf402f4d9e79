//! When the current is too much: alarm, overcurrent protection, hard limit.
//!
//! All limits are those of behaviour.md, "Metering and protection". What it leaves open is settled here:
//!
//! - Time counts, not the number of samples. A limit has been exceeded since the first sample over it, and
//!   trips with the first sample that is still over it once the time has passed. Samples come every 100 ms;
//!   they may come late or be missing.
//! - What happened between two samples is taken to be like the two when both are over the limit and at most
//!   [`TripCurve::MAX_GAP_MS`] apart. After a longer gap nothing is known: every count begins anew.
//! - One sample under the limit ends the count.
//! - The samples must come from the meter's fast window ([`Reading::fast_current_ma`](crate::Reading)): a
//!   switch-on current of 100 ms then shows for 140 ms at the most, and trips nothing.

/// Why the relay has to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The overcurrent protection: at or above its threshold for 1 s.
    Protection,
    /// The hard limit: above 130 % of the rated current for 200 ms.
    HardLimit,
}

/// A demand to open the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Why.
    pub cause: Cause,
    /// The current of the sample that decided, in mA.
    pub current_ma: u32,
}

/// What a sample led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// An overcurrent alarm begins with this sample.
    pub alarm: bool,
    /// The relay has to open.
    pub trip: Option<Trip>,
}

/// Judges the current against the alarm threshold, the protection threshold and the hard limit.
#[derive(Clone, Debug)]
pub struct TripCurve {
    hard_limit_ma: u32,
    protection_ma: Option<u32>,
    alarm_ma: Option<u32>,
    last_sample_ms: Option<u64>,
    over_hard_limit: Run,
    over_protection: Run,
    over_alarm: bool,
    alarm_armed: bool,
    below_alarm: Run,
}

/// How long a condition has held without a break.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    since_ms: Option<u64>,
}

impl Run {
    /// Takes the next sample; tells for how long the condition has held, if it does.
    fn step(&mut self, now_ms: u64, holds: bool) -> Option<u64> {
        if !holds {
            self.since_ms = None;
            return None;
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        Some(now_ms.saturating_sub(since_ms))
    }

    fn has_lasted(&mut self, now_ms: u64, holds: bool, duration_ms: u64) -> bool {
        self.step(now_ms, holds).is_some_and(|lasted_ms| lasted_ms >= duration_ms)
    }
}

impl TripCurve {
    /// The longest gap between two samples that counts as covered by them, in ms. After this time without one the meter
    /// itself is a fault (issue "Everything the guide promises", Protection): no rhythm of failing readings falls between
    /// the two rules.
    pub const MAX_GAP_MS: u64 = 2000;
    /// How long the protection threshold may be reached, in ms (behaviour.md).
    pub const PROTECTION_MS: u64 = 1000;
    /// How long the hard limit may be exceeded, in ms (behaviour.md).
    pub const HARD_LIMIT_MS: u64 = 200;
    /// How long the current must stay below the alarm threshold until the alarm may come again, in ms
    /// (behaviour.md).
    pub const ALARM_REARM_MS: u64 = 5000;

    /// Makes the curve of a socket with this rated current (10..=16 A by model), without alarm and
    /// protection; the hard limit always holds.
    #[must_use]
    pub fn new(rated_current_a: u8) -> Self {
        Self {
            // 130 % of the rated current (behaviour.md); 255 A · 1300 fits.
            hard_limit_ma: u32::from(rated_current_a).saturating_mul(1300),
            protection_ma: None,
            alarm_ma: None,
            last_sample_ms: None,
            over_hard_limit: Run::default(),
            over_protection: Run::default(),
            over_alarm: false,
            alarm_armed: true,
            below_alarm: Run::default(),
        }
    }

    /// Sets the protection's threshold in A; `None` switches it off. A new threshold counts from the next
    /// sample on; the same one again changes nothing.
    pub fn set_protection(&mut self, threshold_a: Option<u8>) {
        let protection_ma = threshold_a.map(milliamperes);
        if protection_ma != self.protection_ma {
            self.protection_ma = protection_ma;
            self.over_protection = Run::default();
        }
    }

    /// Sets the alarm's threshold in A; `None` switches it off. A new threshold may alarm with its second
    /// reading; the same one again changes nothing.
    pub fn set_alarm(&mut self, threshold_a: Option<u8>) {
        let alarm_ma = threshold_a.map(milliamperes);
        if alarm_ma != self.alarm_ma {
            self.alarm_ma = alarm_ma;
            self.over_alarm = false;
            self.alarm_armed = true;
            self.below_alarm = Run::default();
        }
    }

    /// Judges a sample of the meter's fast window. While a limit stays exceeded, every sample demands the
    /// trip again, so that a relay that did not open is told again; ignore it while the relay is off.
    pub fn sample(&mut self, now_ms: u64, current_ma: u32) -> Verdict {
        self.forget_after_a_gap(now_ms);
        self.last_sample_ms = Some(now_ms);
        let hard =
            self.over_hard_limit.has_lasted(now_ms, current_ma > self.hard_limit_ma, Self::HARD_LIMIT_MS);
        let over_protection = self.protection_ma.is_some_and(|threshold_ma| current_ma >= threshold_ma);
        let protection = self.over_protection.has_lasted(now_ms, over_protection, Self::PROTECTION_MS);
        let cause = match (hard, protection) {
            (true, _) => Some(Cause::HardLimit),
            (false, true) => Some(Cause::Protection),
            (false, false) => None,
        };
        Verdict {
            alarm: self.judge_alarm(now_ms, current_ma),
            trip: cause.map(|cause| Trip { cause, current_ma }),
        }
    }

    /// Begins anew with the limits, as the relay has opened: what the next closing brings is not added to
    /// what was before. The alarm keeps its rule of 5 s.
    pub fn relay_opened(&mut self) {
        self.over_hard_limit = Run::default();
        self.over_protection = Run::default();
        self.over_alarm = false;
    }

    fn forget_after_a_gap(&mut self, now_ms: u64) {
        let gap = self.last_sample_ms.is_some_and(|last| now_ms.saturating_sub(last) > Self::MAX_GAP_MS);
        if gap {
            self.relay_opened();
            self.below_alarm = Run::default();
        }
    }

    fn judge_alarm(&mut self, now_ms: u64, current_ma: u32) -> bool {
        let Some(threshold_ma) = self.alarm_ma else { return false };
        // 5 % below or less (behaviour.md).
        let below = u64::from(current_ma).saturating_mul(100) <= u64::from(threshold_ma).saturating_mul(95);
        if self.below_alarm.has_lasted(now_ms, below, Self::ALARM_REARM_MS) {
            self.alarm_armed = true;
        }
        let over = current_ma >= threshold_ma;
        let second_in_a_row = over && self.over_alarm;
        self.over_alarm = over;
        let alarm = second_in_a_row && self.alarm_armed;
        if alarm {
            self.alarm_armed = false;
        }
        alarm
    }
}

fn milliamperes(current_a: u8) -> u32 {
    u32::from(current_a).saturating_mul(1000)
}

#[cfg(test)]
mod tests;
