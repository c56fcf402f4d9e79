//! What somebody at the tag or the serial line changes and orders.

use sockeye_scheduler::{Job, after};

use super::commands::REBOOT_ANSWER_MS;
use super::{Socket, pending};
use crate::{Cause, Order, Outcome, RebootCause, StoreItem};

impl Socket {
    /// Changes settings: all of a change, or nothing.
    pub(super) fn change(&mut self, now_ms: u64, form: &[u8]) {
        let settings = match self.settings.changed_by(form, &self.identity) {
            Ok(settings) => settings,
            Err(error) => return self.maintained(Outcome::Refused(error.refusal())),
        };
        let old = core::mem::replace(&mut self.settings, settings);
        let new = &self.settings;
        let (general, before) = (&new.general, &old.general);
        let interval_s = general.reporting_interval_s;
        let other_interval = interval_s != before.reporting_interval_s;
        let other_lock = general.button_lock != before.button_lock;
        // The MAC and the D2D agent take theirs at a start.
        let other_radio = new.lorawan != old.lorawan || new.multicast != old.multicast || new.d2d != old.d2d;
        let differs = *new != old;
        if other_interval {
            self.scheduler.set_interval(now_ms, interval_s);
        }
        if other_lock {
            self.apply_button_lock(now_ms);
        }
        self.energy.set_enabled(self.settings.general.power_consumption);
        self.led_changed();
        self.apply_limits();
        if differs {
            self.want_store(StoreItem::Settings);
        }
        if other_radio {
            self.plan_restart(now_ms, RebootCause::Settings);
        }
        self.maintained(Outcome::Done);
    }

    /// Does what is ordered.
    pub(super) fn order(&mut self, now_ms: u64, order: Order) {
        match order {
            Order::Switch(action) => self.set_relay(self.on_after(action), Cause::Nfc, false),
            Order::Report => self.want_report(),
            Order::Reboot => self.plan_restart(now_ms, RebootCause::Nfc),
            Order::FactoryReset => self.begin_factory_reset(now_ms),
            Order::ResetEnergy => {
                self.energy.reset();
                self.store_energy(now_ms);
            }
        }
        self.maintained(Outcome::Done);
    }

    /// Plans a restart, with time for the answer to be read. One for the settings takes the place of any other.
    fn plan_restart(&mut self, now_ms: u64, cause: RebootCause) {
        if self.reboot.is_none() {
            self.scheduler.set(Job::Reboot, after(now_ms, REBOOT_ANSWER_MS));
        } else if cause != RebootCause::Settings {
            return;
        }
        self.reboot = Some(cause);
    }

    fn maintained(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.release_outcome();
    }

    /// Lets the answer go as soon as what it tells of is in flash.
    pub(super) fn release_outcome(&mut self) {
        let is_stored =
            self.stores.is_stored(StoreItem::Settings) && self.stores.is_stored(StoreItem::Energy);
        let may_go = match self.outcome {
            None => false,
            Some(Outcome::Done) => is_stored,
            Some(Outcome::Refused(_) | Outcome::NotStored) => true,
        };
        if may_go {
            self.pending |= pending::MAINTAINED;
        }
    }

    /// Tells that what the answer waits for was not stored in time.
    pub(super) fn outcome_not_stored(&mut self) {
        if self.outcome.is_some() {
            self.outcome = Some(Outcome::NotStored);
            self.pending |= pending::MAINTAINED;
        }
    }
}
