//! General settings (guide, section 3.3).

use crate::field::{Error, Field, in_range};
use crate::identity::Model;
use crate::secret::Password;

/// What the socket does when the supply comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PowerRestore {
    /// Stays off.
    Off = 0,
    /// Switches on.
    On = 1,
    /// Goes back to the state before the cut.
    Previous = 2,
}

/// The button lock, which freezes everything but the factory reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ButtonLock {
    /// Whether the button is locked.
    pub enabled: bool,
    /// For how many minutes, 1 to 32767; 0 is without end.
    pub minutes: u16,
}

/// A current at which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Whether it happens.
    pub enabled: bool,
    /// In ampere, 1 to the rated current of the model.
    pub current_a: u8,
}

/// The general settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct General {
    /// The interval between reports in seconds, 60 to 64800 (1 to 1080 minutes).
    pub reporting_interval_s: u32,
    /// Whether the LED shows the state.
    pub led: bool,
    /// Whether energy is counted.
    pub power_consumption: bool,
    /// What the socket does when the supply comes back.
    pub power_restore: PowerRestore,
    /// The button lock.
    pub button_lock: ButtonLock,
    /// The current at which a report is sent at once.
    pub overcurrent_alarm: Threshold,
    /// The current at which the socket switches off.
    pub overcurrent_protection: Threshold,
    /// The password for writing settings.
    pub password: Password,
}

impl General {
    /// The shortest and the longest reporting interval in seconds: 1 and 1080 minutes (guide, section 3.3).
    pub const REPORTING_INTERVAL_S: (u32, u32) = (60, 64_800);

    /// The longest button lock with an end, in minutes: 15 bits on the wire.
    pub const MAX_LOCK_MINUTES: u16 = 0x7fff;

    pub(crate) fn common() -> Self {
        let threshold = Threshold { enabled: true, current_a: 1 };
        Self {
            reporting_interval_s: 1200,
            led: true,
            power_consumption: true,
            power_restore: PowerRestore::Previous,
            button_lock: ButtonLock { enabled: false, minutes: 0 },
            overcurrent_alarm: threshold,
            overcurrent_protection: threshold,
            password: Password::DEFAULT,
        }
    }

    /// Sets the reporting interval, in seconds.
    ///
    /// # Errors
    /// Outside 60 to 64800 s; the old interval stays.
    pub fn set_reporting_interval_s(&mut self, interval_s: u32) -> Result<(), Error> {
        check_interval(interval_s)?;
        self.reporting_interval_s = interval_s;
        Ok(())
    }

    /// Sets the overcurrent alarm.
    ///
    /// # Errors
    /// Outside 1 A to the rated current of the model, enabled or not; the old alarm stays.
    pub fn set_overcurrent_alarm(&mut self, alarm: Threshold, model: Model) -> Result<(), Error> {
        check_threshold(Field::OvercurrentAlarm, alarm, model)?;
        self.overcurrent_alarm = alarm;
        Ok(())
    }

    /// Sets the overcurrent protection.
    ///
    /// # Errors
    /// Outside 1 A to the rated current of the model, enabled or not; the old protection stays.
    pub fn set_overcurrent_protection(&mut self, protection: Threshold, model: Model) -> Result<(), Error> {
        check_threshold(Field::OvercurrentProtection, protection, model)?;
        self.overcurrent_protection = protection;
        Ok(())
    }

    /// Sets the button lock.
    ///
    /// # Errors
    /// More than 32767 minutes; the old lock stays.
    pub fn set_button_lock(&mut self, lock: ButtonLock) -> Result<(), Error> {
        check_lock(lock)?;
        self.button_lock = lock;
        Ok(())
    }

    pub(crate) fn validate(&self, model: Model) -> Result<(), Error> {
        check_interval(self.reporting_interval_s)?;
        check_lock(self.button_lock)?;
        check_threshold(Field::OvercurrentAlarm, self.overcurrent_alarm, model)?;
        check_threshold(Field::OvercurrentProtection, self.overcurrent_protection, model)
    }
}

fn check_interval(interval_s: u32) -> Result<(), Error> {
    let (min, max) = General::REPORTING_INTERVAL_S;
    in_range(Field::ReportingIntervalS, interval_s, min, max)
}

fn check_lock(lock: ButtonLock) -> Result<(), Error> {
    in_range(Field::ButtonLock, lock.minutes, 0, General::MAX_LOCK_MINUTES)
}

fn check_threshold(field: Field, threshold: Threshold, model: Model) -> Result<(), Error> {
    in_range(field, threshold.current_a, 1, model.rated_current_a())
}
