//! What a tool needs to know to offer a field: its label, what it does, and what it may be.
//!
//! The ranges are not written down here a second time: they are what [`Settings::validate`] answers to a number that
//! cannot be.

use core::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Value, json};

use crate::field::{Field, Group, Reason};
use crate::template::{self, ACTIONS, ACTIVATIONS, RESTORES, VERSIONS};
use crate::value::Slot;
use crate::{D2d, General, Identity, Model, PlanKind, Region, Settings};

/// A field as a tool offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The field.
    pub field: Field,
    /// Its name for people, as the guide has it.
    pub label: &'static str,
    /// One or two sentences on what it does.
    pub help: &'static str,
    /// What it may be.
    pub kind: Kind,
}

/// What a field may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Flag,
    /// A whole number.
    Number {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
        /// The unit, or nothing.
        unit: &'static str,
    },
    /// One of a few names.
    Choice(Vec<&'static str>),
    /// So many hexadecimal digits.
    Hex {
        /// How many.
        digits: u8,
    },
    /// A frequency of the plan, in hertz.
    Frequency {
        /// The lowest.
        min_hz: u32,
        /// The highest.
        max_hz: u32,
        /// What lies between two that may be chosen.
        step_hz: u32,
    },
    /// A channel list, such as `0-7,64`.
    Channels {
        /// The number of the first channel.
        first: u8,
        /// The number of the last one.
        last: u8,
    },
    /// The frequencies of the channels, in hertz, at most 16; nothing to set in a plan that fixes them.
    Frequencies {
        /// The lowest and the highest frequency; none in a plan that fixes them.
        range_hz: Option<(u32, u32)>,
    },
    /// On or off, and a number of minutes, 0 being without end.
    Lock {
        /// The most minutes.
        max_minutes: u16,
    },
    /// On or off, and a current.
    Threshold {
        /// The least, in ampere.
        min_a: u8,
        /// The most, in ampere.
        max_a: u8,
    },
    /// Six decimal digits.
    Password,
    /// Device-to-device commands.
    Commands {
        /// How many there may be.
        max: u8,
    },
}

impl fmt::Display for Kind {
    /// Writes what may be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("on or off"),
            Self::Number { min, max, unit: "" } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max, unit } => write!(f, "a whole number from {min} to {max} {unit}"),
            Self::Choice(choices) => match choices.as_slice() {
                [all @ .., last] if !all.is_empty() => write!(f, "{} or {last}", all.join(", ")),
                all => f.write_str(&all.join(", ")),
            },
            Self::Hex { digits } => write!(f, "{digits} hexadecimal digits"),
            Self::Frequency { min_hz, max_hz, step_hz: 1 } => {
                write!(f, "a frequency of {min_hz} to {max_hz} Hz")
            }
            Self::Frequency { min_hz, max_hz, step_hz } => {
                write!(f, "a frequency of {min_hz} to {max_hz} Hz in steps of {step_hz}")
            }
            Self::Channels { first, last } => {
                write!(f, "a list of {first} to {last} such as {first}-{last}, All or Null")
            }
            Self::Frequencies { range_hz: Some((min, max)) } => {
                write!(f, "a list of up to 16 frequencies of {min} to {max} Hz, 0 for none")
            }
            Self::Frequencies { range_hz: None } => f.write_str("fixed by the plan"),
            Self::Lock { max_minutes } => {
                write!(f, "off, on, or a whole number of minutes: 1min to {max_minutes}min")
            }
            Self::Threshold { min_a, max_a } => {
                write!(f, "off, on, or a whole number of amperes: {min_a}A to {max_a}A")
            }
            Self::Password => f.write_str("six digits"),
            Self::Commands { max } => {
                write!(f, "a list of up to {max} commands such as 1510=on,1511=off,1512=toggle")
            }
        }
    }
}

impl Field {
    /// Describes the field for a socket of this model on this channel plan.
    pub fn describe(self, region: Region, model: Model) -> Description {
        let (label, help) = words(self);
        Description { field: self, label, help, kind: kind(self, region, model) }
    }
}

fn kind(field: Field, region: Region, model: Model) -> Kind {
    let mut settings = sample(region, model);
    match settings.slot(field) {
        Slot::Flag(_) => Kind::Flag,
        Slot::Number(_) if template::is_address(field) => Kind::Hex { digits: 8 },
        Slot::Number(_) if field == Field::Rx2FrequencyHz => {
            let (min_hz, max_hz, step_hz) = region.rx2_range_hz();
            Kind::Frequency { min_hz, max_hz, step_hz }
        }
        Slot::Byte(_) | Slot::Signed(_) | Slot::Number(_) => {
            let (min, max) = range(field, &settings, model);
            Kind::Number { min, max, unit: field.unit() }
        }
        Slot::Eui(_) => Kind::Hex { digits: 16 },
        Slot::Key(_) => Kind::Hex { digits: 32 },
        Slot::Region(_) => Kind::Choice(Region::ALL.into_iter().map(Region::name).collect()),
        Slot::Activation(_) => Kind::Choice(ACTIVATIONS.iter().map(|it| it.0).collect()),
        Slot::Version(_) => Kind::Choice(VERSIONS.iter().map(|it| it.0).collect()),
        Slot::PowerRestore(_) => Kind::Choice(RESTORES.iter().map(|it| it.0).collect()),
        Slot::ButtonLock(_) => Kind::Lock { max_minutes: General::MAX_LOCK_MINUTES },
        Slot::Threshold(_) => Kind::Threshold { min_a: 1, max_a: model.rated_current_a() },
        Slot::Password(_) => Kind::Password,
        Slot::Channels(_) => {
            let first = region.first_channel_number();
            Kind::Channels { first, last: first.saturating_add(region.channel_count()).saturating_sub(1) }
        }
        Slot::Frequencies(_) => Kind::Frequencies {
            range_hz: (region.kind() == PlanKind::Dynamic).then(|| {
                let (min_hz, max_hz, _) = region.rx2_range_hz();
                (min_hz, max_hz)
            }),
        },
        Slot::Commands(_) => Kind::Commands { max: D2d::MAX_COMMANDS as u8 },
    }
}

/// Asks the rules for the range of a number: with one that cannot be they name it.
fn range(field: Field, settings: &Settings, model: Model) -> (i64, i64) {
    let ends: [&[u8]; 5] = [&[0], &[0x7f], &[0xff], &[0; 4], &[0xff; 4]];
    for end in ends {
        let mut tried = settings.clone();
        if tried.set_value(field, end).is_some()
            && let Err(error) = tried.validate(model)
            && let Reason::OutOfRange { min, max, .. } = error.reason
            && error.field == field
        {
            return (min, max);
        }
    }
    (0, i64::from(u32::MAX))
}

/// Returns settings to try values on.
fn sample(region: Region, model: Model) -> Settings {
    let identity = Identity {
        sn: [0; 8],
        dev_eui: [0; 8],
        model,
        app_key: crate::Key::DEFAULT,
        hardware_version: [1, 0],
    };
    Settings::default_for(region, &identity)
}

/// Returns label and help of a field; the labels are those of the guide's chapter 3.
fn words(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::Region => (
            "Frequency band",
            "The channel plan of the place where the socket is used. Choosing another one resets channels, RX2, data rate and power to its defaults.",
        ),
        Field::JoinEui => ("APP EUI", "The JoinEUI that join requests carry."),
        Field::ApplicationPort => ("Application port", "The port of everything that is sent and obeyed."),
        Field::Activation => {
            ("Join type", "OTAA joins over the air; ABP uses the address and session keys below.")
        }
        Field::AppKey => ("Application key", "AppKey for OTAA. Can be written, never read."),
        Field::DevAddr => {
            ("Device address", "DevAddr for ABP; by default digits 5 to 12 of the serial number.")
        }
        Field::NwkSKey => ("Network session key", "NwkSKey for ABP. Can be written, never read."),
        Field::AppSKey => ("Application session key", "AppSKey for ABP. Can be written, never read."),
        Field::Version => ("LoRaWAN version", "The version that the network server expects."),
        Field::Rx2DataRate => ("RX2 data rate", "For downlinks and for D2D commands."),
        Field::Rx2FrequencyHz => ("RX2 frequency", "For downlinks and for D2D commands."),
        Field::Channels => {
            ("Channels", "The channels that may be used: 1,40 or 1-40 or 1-40,60; All; Null stops sending.")
        }
        Field::ChannelFrequencies => {
            ("Channel frequencies", "The frequency of each channel; 0 for one that is not used.")
        }
        Field::SingleChannel => {
            ("Single-channel mode", "One channel for uplinks and join requests; select exactly one above.")
        }
        Field::Confirmed => {
            ("Confirmed mode", "Asks for an acknowledgement, and sends once more without one.")
        }
        Field::Rejoin => (
            "Rejoin mode",
            "Checks the link every 30 minutes or reporting interval and joins anew when nobody answers. OTAA only.",
        ),
        Field::RejoinPackets => {
            ("Number of packets sent", "LinkCheckReq packets without an answer before the socket joins anew.")
        }
        Field::Adr => ("ADR mode", "The network sets data rate and power."),
        Field::DataRate => ("Data rate", "For uplinks while ADR is off."),
        Field::TxPowerDbm => ("TX power", "Radiated power (EIRP), held to what the plan allows."),
        Field::MulticastEnabled(group) => (
            match group {
                Group::One => "Multicast group 1",
                Group::Two => "Multicast group 2",
                Group::Three => "Multicast group 3",
                Group::Four => "Multicast group 4",
            },
            "Whether commands to this group are obeyed.",
        ),
        Field::MulticastDevAddr(_) => {
            ("Multicast address", "Unlike that of every other group and of the socket itself.")
        }
        Field::MulticastNwkSKey(_) => ("McNetSKey", "The group's network key. Can be written, never read."),
        Field::MulticastAppSKey(_) => {
            ("McAppSKey", "The group's application key. Can be written, never read.")
        }
        Field::ReportingIntervalS => {
            ("Reporting interval", "How often state and electrical values are sent: 1 to 1080 minutes.")
        }
        Field::Led => ("LED indicator", "Whether the LED shows the state of the socket and of the network."),
        Field::PowerConsumption => {
            ("Power consumption", "Whether energy is counted; off, the sum stands still.")
        }
        Field::PowerRestore => ("When power is restored", "What the socket does when the supply comes back."),
        Field::ButtonLock => {
            ("Button lock", "Freezes the button except for the reset; with minutes it ends by itself.")
        }
        Field::OvercurrentAlarm => ("Overcurrent alarm", "The current at which a report is sent at once."),
        Field::OvercurrentProtection => (
            "Overcurrent protection",
            "The current at which the socket switches off. At 130 % of the rated current it always does.",
        ),
        Field::Password => ("Password", "Six digits, needed to write to the socket."),
        Field::D2dEnabled => ("D2D", "Whether commands from other devices, without a gateway, are obeyed."),
        Field::D2dKey => ("D2D key", "Shared with the controllers. Can be written, never read."),
        Field::D2dCommands => {
            ("Control commands", "Up to 16 two-byte commands, each with what it does to the socket.")
        }
    }
}

/// Returns the descriptions of all fields as JSON, for a tool in another language: a list of objects with `key`, `label`,
/// `help`, `kind`, what the kind allows, `secret` and, but for secrets, `default`.
pub fn to_json(region: Region, model: Model) -> String {
    let mut defaults = sample(region, model);
    let describe = |field: Field| {
        let Description { label, help, kind, .. } = field.describe(region, model);
        let mut value = match kind {
            Kind::Flag => json!({ "kind": "flag" }),
            Kind::Number { min, max, unit } => {
                json!({ "kind": "number", "min": min, "max": max, "unit": unit })
            }
            Kind::Choice(choices) => json!({ "kind": "choice", "choices": choices }),
            Kind::Hex { digits } => json!({ "kind": "hex", "digits": digits }),
            Kind::Frequency { min_hz, max_hz, step_hz } => {
                json!({ "kind": "number", "min": min_hz, "max": max_hz, "step": step_hz, "unit": "Hz" })
            }
            Kind::Channels { first, last } => json!({ "kind": "channels", "min": first, "max": last }),
            Kind::Frequencies { range_hz: Some((min, max)) } => {
                json!({ "kind": "frequencies", "min": min, "max": max, "unit": "Hz" })
            }
            Kind::Frequencies { range_hz: None } => json!({ "kind": "fixed" }),
            Kind::Lock { max_minutes } => {
                json!({ "kind": "lock", "min": 0, "max": max_minutes, "unit": "min" })
            }
            Kind::Threshold { min_a, max_a } => {
                json!({ "kind": "threshold", "min": min_a, "max": max_a, "unit": "A" })
            }
            Kind::Password => json!({ "kind": "password" }),
            Kind::Commands { max } => {
                let actions: Vec<_> = ACTIONS.iter().map(|it| it.0).collect();
                json!({ "kind": "commands", "max": max, "choices": actions })
            }
        };
        if let Value::Object(value) = &mut value {
            value.insert("key".into(), json!(field.name()));
            value.insert("label".into(), json!(label));
            value.insert("help".into(), json!(help));
            value.insert("secret".into(), json!(field.is_secret()));
            // The address of ABP is the serial number's, which is not known here.
            if !field.is_secret() && field != Field::DevAddr {
                value.insert("default".into(), template::value_of(&mut defaults, field).into());
            }
        }
        value
    };
    Value::Array(Field::all().map(describe).collect()).to_string()
}
