//! Readings: what is believed, summed and judged.

use sockeye_metering::{self as metering, Implausible, Reading};
use sockeye_scheduler::{Job, after};

use super::{Socket, pending};
use crate::meter_watch::FAULT_MS;
use crate::{Cause, Ignored, StoreItem, TripCause};

/// How long a meter may show nothing after a start: the RMS registers of a BL0942 hold 0 until their first
/// refresh, after 400 or 800 ms (register MODE, bit 3).
pub(super) const START_MS: u64 = 1000;

/// How long a device may go on without mains, in ms: its capacitor lasts for one frame (guide, section 4.3).
const LOST_MS: u64 = 5000;

/// How long a meter may show no voltage after the mains was lost, in ms. No capacitor lasts longer (docs/SUPPLY-LOSS.md: 1 F
/// feeds a board that listens for little more than a minute); behind it the mains is there, and the meter does not see it.
const NO_VOLTAGE_MS: u64 = 120_000;

impl Socket {
    pub(super) fn reading(&mut self, now_ms: u64, reading: Reading) {
        self.meter_failing = false;
        let is_expected = now_ms < self.meter_quiet_until_ms;
        if let Err(why) = self.plausibility.check(now_ms, &reading) {
            self.meter_watch.bad();
            let is_dark = |lost_ms| now_ms.saturating_sub(lost_ms) < NO_VOLTAGE_MS;
            if why == Implausible::NoVoltage && self.mains_lost_ms.is_some_and(is_dark) {
                // What else should it show: it works.
                self.meter_watch.not_before(now_ms);
            }
            if !is_expected {
                self.ignore_first(Ignored::ImplausibleReading, self.reading_dropped);
            }
            self.reading_dropped = !is_expected;
            self.store_energy_if_due(now_ms);
            return;
        }
        self.reading_dropped = false;
        self.reading = Some((now_ms, reading));
        // While the mains goes, the slow window still shows its voltage.
        if !is_expected {
            self.mains_lost_ms = None;
        }
        if self.meter_watch.good(now_ms) {
            self.pending |= pending::METER_FAULT;
            self.want_report();
        }
        self.energy.add(reading.energy_uwh);
        self.store_energy_if_due(now_ms);

        let verdict = self.trip_curve.sample(now_ms, reading.fast_current_ma);
        if verdict.alarm {
            self.pending |= pending::ALARM | pending::ALARM_REPORT;
            self.alarm_reading = reading;
        }
        if let Some(trip) = verdict.trip
            && self.relay_on
        {
            let (trip_cause, cause) = match trip.cause {
                metering::Cause::Protection => (TripCause::Protection, Cause::Protection),
                metering::Cause::HardLimit => (TripCause::HardLimit, Cause::HardLimit),
            };
            self.trip(trip_cause, cause, reading);
        }
        if self.welded.sample(now_ms, self.relay_on, reading.current_ma) {
            self.pending |= pending::WELDED;
            self.want_report();
        }
    }

    /// Gives the meter more time, as the mains has gone. A monitor that chatters gives it once, unless a good reading came in
    /// between: it must not hide a meter that fails.
    pub(super) fn mains_went(&mut self, now_ms: u64) {
        let read_ms = self.reading.map(|(at_ms, _)| at_ms);
        if self.mains_lost_ms.is_none() || read_ms > self.mains_lost_ms {
            self.mains_lost_ms = Some(now_ms);
            self.meter_quiet_until_ms = after(now_ms, LOST_MS);
            self.meter_watch.not_before(self.meter_quiet_until_ms);
        }
    }

    fn trip(&mut self, trip_cause: TripCause, cause: Cause, reading: Reading) {
        self.trip = trip_cause;
        self.alarm_reading = reading;
        self.set_relay(false, cause, false);
        self.pending |= pending::TRIP | pending::ALARM_REPORT;
        // A trip lasts until somebody switches on. Who set the task did not know of the trip.
        if self.scheduler.due_ms(Job::DelayTask).is_some() && self.scheduler.delayed_on() {
            self.drop_delay_task();
            self.ignore(Ignored::TrippedDelayTask);
        }
    }

    pub(super) fn meter_failed(&mut self, now_ms: u64) {
        self.ignore_first(Ignored::MeterFailure, self.meter_failing);
        self.meter_failing = true;
        self.meter_watch.bad();
        self.store_energy_if_due(now_ms);
    }

    /// Looks whether the meter has given no good reading for too long. Nobody knows then what flows: the relay stays,
    /// unless the last that was known was above the rated current (issue "Everything the guide promises", Protection).
    pub(super) fn meter_due(&mut self, now_ms: u64) {
        let due_ms = self.meter_watch.due_ms();
        // With the relay off there is nothing to protect.
        if due_ms <= now_ms && self.relay_on {
            if self.meter_watch.fail() {
                self.pending |= pending::METER_FAULT;
                self.want_report();
            }
            let rated_ma = u32::from(self.identity.model.rated_current_a()).saturating_mul(1000);
            if let Some((_, reading)) = self.reading
                && reading.fast_current_ma > rated_ma
            {
                self.trip(TripCause::MeterFault, Cause::MeterFault, reading);
            }
        }
        let next_ms = if due_ms > now_ms { due_ms } else { after(now_ms, FAULT_MS) };
        self.scheduler.set(Job::Meter, next_ms);
    }

    /// Counts something that may go on ten times a second, and tells of the first in a row.
    fn ignore_first(&mut self, what: Ignored, told: bool) {
        self.counters.count_ignored(what);
        if !told {
            self.pending |= pending::ignored(what);
        }
    }

    fn store_energy_if_due(&mut self, now_ms: u64) {
        if self.energy.store_due(now_ms) {
            self.store_energy(now_ms);
        }
    }

    pub(super) fn store_energy(&mut self, now_ms: u64) {
        self.energy.stored(now_ms);
        self.want_store(StoreItem::Energy);
    }
}
