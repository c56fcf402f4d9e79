//! From what is pending to effects.

use sockeye_scheduler::{Job, after};

use super::{STORE_TIMEOUT_MS, Socket};
use crate::{Effect, Effects, Ignored, StoreItem};

/// Kinds of effects, as bits; the lowest is made first.
pub(super) mod pending {
    use crate::Ignored;

    pub(in crate::socket) const RELAY: u32 = 1;
    pub(in crate::socket) const LED: u32 = 1 << 1;
    pub(in crate::socket) const TRIP: u32 = 1 << 2;
    pub(in crate::socket) const ALARM: u32 = 1 << 3;
    pub(in crate::socket) const WELDED: u32 = 1 << 4;
    pub(in crate::socket) const METER_FAULT: u32 = 1 << 5;
    /// Before the outage alert: the energy of a supply that is lost must be in flash first.
    pub(in crate::socket) const STORE: u32 = 1 << 6;
    pub(in crate::socket) const OUTAGE: u32 = 1 << 7;
    pub(in crate::socket) const ALARM_REPORT: u32 = 1 << 8;
    pub(in crate::socket) const ANSWER: u32 = 1 << 9;
    pub(in crate::socket) const BASIC_INFORMATION: u32 = 1 << 10;
    pub(in crate::socket) const REPORT: u32 = 1 << 11;
    pub(in crate::socket) const START_NETWORK: u32 = 1 << 12;
    pub(in crate::socket) const IGNORED_FIRST: u32 = 13;
    pub(in crate::socket) const MAINTAINED: u32 = 1 << 29;
    pub(in crate::socket) const FACTORY_RESET: u32 = 1 << 30;
    pub(in crate::socket) const REBOOT: u32 = 1 << 31;

    // The kinds of ignored things lie between.
    const _: () = assert!(IGNORED_FIRST as usize + Ignored::ALL.len() <= 29);

    pub(in crate::socket) const fn ignored(what: Ignored) -> u32 {
        1 << (IGNORED_FIRST + what as u32)
    }
}

impl Socket {
    /// Makes the effects that are pending, as many as there is room for.
    pub(super) fn flush(&mut self, now_ms: u64, effects: &mut Effects) {
        while self.pending != 0 && !effects.is_full() {
            let kind = self.pending & self.pending.wrapping_neg();
            self.pending &= !kind;
            if let Some(effect) = self.effect(now_ms, kind) {
                // There is room: it was looked for above.
                let _ = effects.push(effect);
            }
        }
    }

    fn effect(&mut self, now_ms: u64, kind: u32) -> Option<Effect> {
        Some(match kind {
            pending::RELAY => return self.relay_effect(now_ms),
            pending::LED => return self.led_effect(),
            pending::TRIP => {
                Effect::Trip { cause: self.trip, current_ma: self.alarm_reading.fast_current_ma }
            }
            pending::ALARM => Effect::Alarm { current_ma: self.alarm_reading.fast_current_ma },
            pending::WELDED => Effect::WeldedContact {
                current_ma: self.reading.map_or(0, |(_, reading)| reading.current_ma),
            },
            pending::METER_FAULT => Effect::MeterFault { failed: self.meter_watch.has_failed() },
            pending::STORE => return self.store_effect(now_ms),
            pending::OUTAGE => Effect::Uplink(self.outage()),
            pending::ALARM_REPORT => Effect::Uplink(self.alarm_report()),
            pending::ANSWER => Effect::Uplink(self.take_answer()?),
            pending::BASIC_INFORMATION => Effect::Uplink(self.basic_information()),
            pending::REPORT if self.reading.is_none() && now_ms < self.meter_quiet_until_ms => {
                // The meter has just started: the first report waits for what it shows.
                self.scheduler.set_earlier(Job::RelayReport, self.meter_quiet_until_ms);
                return None;
            }
            pending::REPORT => Effect::Uplink(self.report(now_ms)),
            pending::START_NETWORK => Effect::StartNetwork,
            pending::MAINTAINED => Effect::Maintained(self.outcome.take()?),
            pending::FACTORY_RESET => Effect::FactoryReset,
            pending::REBOOT => {
                self.scheduler.cancel(Job::RebootDeadline);
                self.reboot_ready = false;
                Effect::Reboot { cause: self.reboot.take()? }
            }
            _ => {
                let index = kind.trailing_zeros().checked_sub(pending::IGNORED_FIRST)?;
                Effect::Ignored { what: *Ignored::ALL.get(usize::try_from(index).ok()?)? }
            }
        })
    }

    fn relay_effect(&mut self, now_ms: u64) -> Option<Effect> {
        let on = self.relay_on;
        let told = self.relay_told.replace(on);
        if told == Some(on) {
            return None;
        }
        if told.is_some() {
            self.counters.count_relay_change();
            self.want_store(StoreItem::RelayState);
            // Multicast switches a whole building: its reports are spread (behaviour.md, What is obeyed).
            if self.relay_spread {
                self.report_spread(now_ms);
            } else {
                self.scheduler.report_change(now_ms);
            }
        }
        if on {
            self.meter_watch.not_before(now_ms);
        } else {
            self.trip_curve.relay_opened();
        }
        Some(Effect::Relay { on, cause: self.relay_cause })
    }

    /// Asks for a report after a random time, as many sockets have cause for one at once.
    pub(super) fn report_spread(&mut self, now_ms: u64) {
        let delay_ms = self.scheduler.spread_ms();
        self.scheduler.set_earlier(Job::RelayReport, after(now_ms, delay_ms));
    }

    fn led_effect(&mut self) -> Option<Effect> {
        let static_on = self.relay_on && self.settings.general.led;
        if !static_on {
            // Blinks of the network show only with relay and LED on (guide, section 2.4, note 1).
            self.led.hush();
        }
        if !self.led.is_blinking() {
            self.scheduler.cancel(Job::Led);
        }
        let on = self.led.is_lit(static_on);
        (self.led_told.replace(on) != Some(on)).then_some(Effect::Led { on })
    }

    fn store_effect(&mut self, now_ms: u64) -> Option<Effect> {
        let item = self.stores.ready()?;
        self.stores.begin(item);
        self.scheduler.set(Job::StoreTimeout, after(now_ms, STORE_TIMEOUT_MS));
        if self.stores.ready().is_some() {
            self.pending |= pending::STORE;
        }
        Some(Effect::Store(item))
    }
}
