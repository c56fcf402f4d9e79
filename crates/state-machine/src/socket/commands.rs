//! Downlinks: which commands are obeyed, and how they are answered.

use sockeye_protocol::downlink::{Command, Commands};
use sockeye_protocol::wire;
use sockeye_scheduler::{Job, after};
use sockeye_settings::{ButtonLock, Threshold};

use super::{Socket, pending};
use crate::{Cause, DelayTask, Ignored, RebootCause, StoreItem};

/// How long the answer to a reboot command has to go out before the restart, in ms: the longest answer at SF12
/// is on the air for 3 s, and RX2 closes 2 s later.
pub(super) const REBOOT_ANSWER_MS: u64 = 5_000;

impl Socket {
    /// Obeys a downlink: its commands in order, up to the first that is unknown or truncated.
    pub(super) fn downlink(&mut self, now_ms: u64, port: u8, payload: &[u8], multicast: bool) {
        if port != self.settings.lorawan.application_port {
            self.ignore(Ignored::Port);
            return;
        }
        let mut commands = Commands::new(payload);
        for command in &mut commands {
            match command {
                Ok(command) => self.obey(now_ms, command, multicast),
                // Known, but with a byte that has no meaning, such as a socket state of 2.
                Err(_) => self.ignore(Ignored::OutOfRange),
            }
        }
        match commands.stop().map(|stop| stop.reason) {
            None => {}
            Some(wire::Reason::Truncated { .. }) => self.ignore(Ignored::TruncatedCommand),
            Some(_) => self.ignore(Ignored::UnknownCommand),
        }
        self.release_answer(now_ms);
    }

    fn obey(&mut self, now_ms: u64, command: Command, multicast: bool) {
        if !self.apply(now_ms, command, multicast) {
            self.ignore(Ignored::OutOfRange);
        } else if !multicast && command.append_answer(&mut self.answer).is_err() {
            self.ignore(Ignored::AnswerOverflow);
        }
    }

    /// Does a command; false if a value is out of its range.
    fn apply(&mut self, now_ms: u64, command: Command, multicast: bool) -> bool {
        match command {
            Command::Switch { on } => {
                self.set_relay(on, if multicast { Cause::Multicast } else { Cause::Downlink }, multicast);
                true
            }
            Command::Reboot => {
                self.plan_reboot(now_ms, multicast);
                true
            }
            Command::AddDelayTask { delay_s, on, .. } => {
                let remaining_ms = u64::from(delay_s).saturating_mul(1000);
                self.set_delay_task(now_ms, DelayTask { on, spread: multicast, remaining_ms });
                true
            }
            Command::DeleteDelayTask { .. } => {
                self.drop_delay_task();
                true
            }
            Command::ResetPowerConsumption => {
                self.energy.reset();
                self.store_energy(now_ms);
                true
            }
            Command::EnquireElectricalStatus => {
                if multicast {
                    self.report_spread(now_ms);
                } else {
                    self.want_report();
                }
                true
            }
            Command::ReportAttributes => {
                if multicast {
                    let delay_ms = self.scheduler.spread_ms();
                    self.scheduler.set_earlier(Job::BasicInformation, after(now_ms, delay_ms));
                } else {
                    self.pending |= pending::BASIC_INFORMATION;
                }
                true
            }
            _ => self.apply_setting(now_ms, command, multicast),
        }
    }

    /// Applies a command that changes a setting; false if its value is out of its range.
    fn apply_setting(&mut self, now_ms: u64, command: Command, multicast: bool) -> bool {
        let before = self.settings.general.clone();
        let model = self.identity.model;
        let general = &mut self.settings.general;
        let applied = match command {
            Command::ReportingInterval { interval_s } => general.set_reporting_interval_s(interval_s.into()),
            Command::OvercurrentAlarm { enabled, current_a } => {
                general.set_overcurrent_alarm(Threshold { enabled, current_a }, model)
            }
            Command::OvercurrentProtection { enabled, current_a } => {
                general.set_overcurrent_protection(Threshold { enabled, current_a }, model)
            }
            Command::ButtonLock { enabled, minutes } => {
                general.set_button_lock(ButtonLock { enabled, minutes })
            }
            Command::PowerConsumption { enabled } => {
                general.power_consumption = enabled;
                Ok(())
            }
            Command::Led { enabled } => {
                general.led = enabled;
                Ok(())
            }
            // The others are no settings.
            _ => Ok(()),
        };
        if applied.is_err() {
            return false;
        }
        match command {
            Command::ReportingInterval { interval_s } => {
                // A shorter interval may make a report due at once, and in a whole building.
                let spread_ms = if multicast { self.scheduler.spread_ms() } else { 0 };
                self.scheduler.set_interval(after(now_ms, spread_ms), interval_s.into());
            }
            // Also when it is the same lock again: its time begins anew.
            Command::ButtonLock { .. } => self.apply_button_lock(now_ms),
            Command::PowerConsumption { enabled } => self.energy.set_enabled(enabled),
            Command::Led { .. } => self.led_changed(),
            _ => self.apply_limits(),
        }
        if self.settings.general != before {
            self.want_store(StoreItem::Settings);
        }
        true
    }

    /// Plans the restart, once: more commands do not put it off.
    fn plan_reboot(&mut self, now_ms: u64, multicast: bool) {
        if self.reboot.is_some() {
            return;
        }
        let mut at_ms = after(now_ms, REBOOT_ANSWER_MS);
        if multicast {
            // A building that restarts must not join all at once.
            at_ms = after(at_ms, self.scheduler.spread_ms());
            self.reboot = Some(RebootCause::Multicast);
        } else {
            self.reboot = Some(RebootCause::Downlink);
            self.reboot_unanswered = true;
        }
        self.scheduler.set(Job::Reboot, at_ms);
    }

    /// Tells whether there is an answer, and what it tells of is in flash: the settings, and an energy sum that was
    /// reset, which must not come back by a power cut.
    pub(super) fn may_answer(&self) -> bool {
        !self.answer.is_empty()
            && self.stores.is_stored(StoreItem::Settings)
            && self.stores.is_stored(StoreItem::Energy)
    }

    /// Lets the answer go as soon as it may.
    pub(super) fn release_answer(&mut self, now_ms: u64) {
        if !self.may_answer() {
            return;
        }
        self.pending |= pending::ANSWER;
        // The answer to a reboot command has its whole time even if it waited for the flash.
        if core::mem::take(&mut self.reboot_unanswered) && self.scheduler.due_ms(Job::Reboot).is_some() {
            self.scheduler.set(Job::Reboot, after(now_ms, REBOOT_ANSWER_MS));
        }
    }
}
