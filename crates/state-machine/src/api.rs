//! The events that go in and the effects that come out.

use core::fmt;

use sockeye_metering::Reading;
use sockeye_protocol::Payload;
use sockeye_settings::{Action, Identity, Refusal, Settings};

use crate::{DelayTask, Ignored};

/// Why the device started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// Supply power came back.
    PowerOn,
    /// The device restarted because it was told to.
    Reboot,
    /// The watchdog ended a hang.
    Watchdog,
    /// A fault handler or panic ended the last run.
    Fault,
}

/// What the socket knows when it starts: the stored state and why it starts.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The stored settings, or the defaults.
    pub settings: Settings,
    /// Who the device is.
    pub identity: Identity,
    /// Software version as `ff0a` sends it: `[0x01, 0x14]` reads 1.14.
    pub software_version: [u8; 2],
    /// The stored relay state: power was supplied when it was last written.
    pub relay_was_on: bool,
    /// How the relay stood before a restart, where the device still knows: newer than what is stored.
    pub relay_kept: Option<bool>,
    /// The stored energy sum, in µWh.
    pub energy_uwh: u64,
    /// The stored delay task. A power cut drops it.
    pub delay_task: Option<DelayTask>,
    /// Why the device started.
    pub cause: ResetCause,
    /// The MAC has a session that resumes without a join.
    pub session_stored: bool,
    /// Seed of the random delays; different in each device and each start.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The level of the button changed; it may bounce.
    Button {
        /// The button is down.
        pressed: bool,
    },
    /// The meter was read. It comes ten times a second.
    Reading(Reading),
    /// The meter did not answer, or with a bad checksum.
    MeterFailed,
    /// The MAC accepted a downlink for the application.
    Downlink {
        /// Its application port.
        port: u8,
        /// Its deciphered payload.
        payload: &'a [u8],
        /// It came to a multicast group.
        multicast: bool,
    },
    /// A D2D controller gave a command that was not given before.
    D2d(Action),
    /// A join-request went out.
    JoinRequested,
    /// A join-accept was taken, or an ABP session began.
    Joined,
    /// A stored session resumed.
    SessionResumed,
    /// The supply monitor saw the mains go.
    SupplyLost,
    /// A record is in flash with the value that [`Effect::Store`] asked for, or a newer one.
    Stored {
        /// Which record.
        item: StoreItem,
        /// What [`store_number`](crate::Socket::store_number) was with that effect. A store that was given up for being
        /// late may end after all, and must not pass for a newer one.
        number: u8,
    },
    /// The flash has lost the records.
    RecordsLost,
    /// Somebody who knows the password changes settings by tag or serial line. [`Effect::Maintained`] answers it.
    Change {
        /// The fields.
        form: Form<'a>,
    },
    /// The same, for what is done at once.
    Order(Order),
    /// The firmware asks for a restart; what has to be stored is stored first.
    RestartRequested {
        /// Why.
        cause: RebootCause,
    },
    /// A tester asked for a restart (DutResetReq), which has no answer.
    #[cfg(feature = "certification")]
    ResetRequested,
    /// The instant of [`next_due_ms`](crate::Socket::next_due_ms) has come.
    Timer,
}

/// Fields of settings in their stored form, as [`Settings::changed_by`] takes them. Debug prints none: they may be keys and the
/// new password.
#[derive(Clone, Copy)]
pub struct Form<'a>(pub &'a [u8]);

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} bytes)", self.0.len())
    }
}

/// What is done at once for somebody at the tag or the serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Switch.
    Switch(Action),
    /// Send a report.
    Report,
    /// Restart.
    Reboot,
    /// Reset to factory defaults.
    FactoryReset,
    /// Set the energy sum to 0.
    ResetEnergy,
}

/// What became of a change or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and the settings or the energy sum are in flash.
    Done,
    /// The change is refused, whole.
    Refused(Refusal),
    /// It is done, but was not stored in time; it is tried again.
    NotStored,
}

/// A record which the firmware reads off the socket and stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreItem {
    /// [`settings`](crate::Socket::settings).
    Settings,
    /// [`relay_on`](crate::Socket::relay_on).
    RelayState,
    /// [`energy_uwh`](crate::Socket::energy_uwh).
    Energy,
    /// [`delay_task`](crate::Socket::delay_task).
    DelayTask,
}

/// Who or what switched the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The state after a start.
    PowerUp,
    /// The button.
    Button,
    /// A unicast downlink.
    Downlink,
    /// A multicast downlink.
    Multicast,
    /// A D2D controller.
    D2d,
    /// The delay task ran out.
    DelayTask,
    /// The overcurrent protection.
    Protection,
    /// The hard limit of 130 % of the rated current.
    HardLimit,
    /// The meter failed while the current was above the rated one.
    MeterFault,
    /// The NFC tag.
    Nfc,
}

impl Cause {
    /// Returns the name that logs and JSON lines use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerUp => "power_up",
            Self::Button => "button",
            Self::Downlink => "downlink",
            Self::Multicast => "multicast",
            Self::D2d => "d2d",
            Self::DelayTask => "delay_task",
            Self::Protection => "protection",
            Self::HardLimit => "hard_limit",
            Self::MeterFault => "meter_fault",
            Self::Nfc => "nfc",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TripCause {
    /// The overcurrent protection of the settings.
    Protection,
    /// The hard limit of 130 % of the rated current.
    HardLimit,
    /// The meter failed, and its last current was above the rated one.
    MeterFault,
}

impl TripCause {
    /// Returns the name that logs and JSON lines use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protection => "protection",
            Self::HardLimit => "hard_limit",
            Self::MeterFault => "meter_fault",
        }
    }
}

impl fmt::Display for TripCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the device restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootCause {
    /// `ff10` by unicast.
    Downlink,
    /// `ff10` by multicast.
    Multicast,
    /// The end of a factory reset: the firmware's own, after [`Effect::FactoryReset`].
    FactoryReset,
    /// Somebody at the tag or the serial line.
    Nfc,
    /// LoRaWAN, multicast or D2D settings have changed: the session that there is belongs to the old ones.
    Settings,
    /// A new image is to run, or the one before it again.
    Upgrade,
}

impl RebootCause {
    /// Returns the name that logs and JSON lines use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Downlink => "downlink",
            Self::Multicast => "multicast",
            Self::FactoryReset => "factory_reset",
            Self::Nfc => "nfc",
            Self::Settings => "settings",
            Self::Upgrade => "upgrade",
        }
    }
}

impl fmt::Display for RebootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an uplink is, for the rules of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkKind {
    /// A report; a newer one takes the place of one that waits.
    Report,
    /// A report with the current that caused an alarm or a trip.
    Alarm,
    /// The `fe` answer to a unicast downlink.
    Answer,
    /// The basic information.
    BasicInformation,
    /// `ff3fff`: the supply is lost. It goes alone, before all others, and only once.
    Outage,
}

/// An application payload on its way to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// What it is.
    pub kind: UplinkKind,
    /// Its records. It may be longer than the present data rate allows: [`Outbox`](crate::Outbox) splits it.
    pub payload: Payload,
    /// The network is to acknowledge it.
    pub confirmed: bool,
    /// Application port.
    pub port: u8,
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "no allocation here; MAX_EFFECTS keeps the whole to some 2 KB")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Switch the relay. Comes once at the start, then for every change and only for changes.
    Relay {
        /// Supply power.
        on: bool,
        /// Who or what switched it.
        cause: Cause,
    },
    /// Set the LED. Comes once at the start, then for every change and only for changes.
    Led {
        /// Light it.
        on: bool,
    },
    /// Log a trip; the relay effect came before it.
    Trip {
        /// Which limit.
        cause: TripCause,
        /// The current that caused it, in mA.
        current_ma: u32,
    },
    /// Log an overcurrent alarm.
    Alarm {
        /// The current that caused it, in mA.
        current_ma: u32,
    },
    /// Log a welded contact: current flows though the relay is off.
    WeldedContact {
        /// The current that flows, in mA.
        current_ma: u32,
    },
    /// Log that the meter has failed, or that it is well again.
    MeterFault {
        /// It has failed.
        failed: bool,
    },
    /// Send an uplink.
    Uplink(Uplink),
    /// Join, or resume the stored session.
    StartNetwork,
    /// Store the newest value of a record, then hand in [`Event::Stored`] with the
    /// [`store_number`](crate::Socket::store_number) of now. A newer one may overtake it, whose event then answers both.
    Store(StoreItem),
    /// Restart. What had to be stored is stored.
    Reboot {
        /// Why.
        cause: RebootCause,
    },
    /// Forget all settings and state that a factory reset clears, and restart.
    FactoryReset,
    /// Something was not obeyed, and counted.
    Ignored {
        /// What it was.
        what: Ignored,
    },
    /// Answer the last [`Event::Change`] or [`Event::Order`].
    Maintained(Outcome),
}

/// Places in [`Effects`]. What finds no place is not lost: [`next_due_ms`](crate::Socket::next_due_ms) is due
/// at once, and the next event brings it.
pub const MAX_EFFECTS: usize = 8;

/// What one event brings. The caller takes all of them out before the next event.
pub type Effects = heapless::Vec<Effect, MAX_EFFECTS>;
