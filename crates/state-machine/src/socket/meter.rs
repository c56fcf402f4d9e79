//! Readings: what is believed, summed and judged.

use sockeye_metering::{self as metering, Reading, Trip};
use sockeye_scheduler::Job;

use super::{Socket, pending};
use crate::{Cause, Ignored, StoreItem, TripCause};

/// How long a meter may show nothing after a start: the RMS registers of a BL0942 hold 0 until their first
/// refresh, after 400 or 800 ms (register MODE, bit 3).
pub(super) const START_MS: u64 = 1000;

/// How long a device may go on without mains, in ms: its capacitor lasts for one frame (guide, section 4.3).
pub(super) const LOST_MS: u64 = 5000;

impl Socket {
    pub(super) fn reading(&mut self, now_ms: u64, reading: Reading) {
        self.meter_failing = false;
        if self.plausibility.check(now_ms, &reading).is_err() {
            let is_expected = now_ms < self.meter_quiet_until_ms;
            self.ignore_first(Ignored::ImplausibleReading, self.reading_dropped || is_expected);
            self.reading_dropped = !is_expected;
            self.store_energy_if_due(now_ms);
            return;
        }
        self.reading_dropped = false;
        self.reading = Some((now_ms, reading));
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
            self.trip(trip);
            self.alarm_reading = reading;
        }
        if self.welded.sample(now_ms, self.relay_on, reading.current_ma) {
            self.pending |= pending::WELDED;
            self.want_report();
        }
    }

    fn trip(&mut self, trip: Trip) {
        let (trip_cause, cause) = match trip.cause {
            metering::Cause::Protection => (TripCause::Protection, Cause::Protection),
            metering::Cause::HardLimit => (TripCause::HardLimit, Cause::HardLimit),
        };
        self.trip = (trip_cause, trip.current_ma);
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
        self.store_energy_if_due(now_ms);
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
