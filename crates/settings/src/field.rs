//! The names of the fields, and the error that tells which one is wrong.

use core::fmt;

use crate::region::Region;

/// One of the four multicast groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Group {
    One,
    Two,
    Three,
    Four,
}

impl Group {
    /// All groups in order.
    pub const ALL: [Self; 4] = [Self::One, Self::Two, Self::Three, Self::Four];
}

/// A setting; its name is its path in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is described where it is declared")]
pub enum Field {
    Region,
    JoinEui,
    ApplicationPort,
    Activation,
    AppKey,
    DevAddr,
    NwkSKey,
    AppSKey,
    Version,
    Rx2DataRate,
    Rx2FrequencyHz,
    Channels,
    ChannelFrequencies,
    SingleChannel,
    Confirmed,
    Rejoin,
    RejoinPackets,
    Adr,
    DataRate,
    TxPowerDbm,
    MulticastEnabled(Group),
    MulticastDevAddr(Group),
    MulticastNwkSKey(Group),
    MulticastAppSKey(Group),
    ReportingIntervalS,
    Led,
    PowerConsumption,
    PowerRestore,
    ButtonLock,
    OvercurrentAlarm,
    OvercurrentProtection,
    Password,
    D2dEnabled,
    D2dKey,
    D2dCommands,
}

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = 47;

    /// Each field with the tag that it is stored under, which must never change, and its name.
    pub(crate) const TABLE: [(Self, u8, &'static str); Self::COUNT] = [
        (Self::Region, 0x01, "region"),
        (Self::JoinEui, 0x02, "lorawan.join_eui"),
        (Self::ApplicationPort, 0x03, "lorawan.application_port"),
        (Self::Activation, 0x04, "lorawan.activation"),
        (Self::AppKey, 0x05, "lorawan.app_key"),
        (Self::DevAddr, 0x06, "lorawan.dev_addr"),
        (Self::NwkSKey, 0x07, "lorawan.nwk_s_key"),
        (Self::AppSKey, 0x08, "lorawan.app_s_key"),
        (Self::Version, 0x09, "lorawan.version"),
        (Self::Rx2DataRate, 0x0a, "lorawan.rx2_data_rate"),
        (Self::Rx2FrequencyHz, 0x0b, "lorawan.rx2_frequency_hz"),
        (Self::Channels, 0x0c, "lorawan.channels"),
        (Self::ChannelFrequencies, 0x0d, "lorawan.channel_frequencies_hz"),
        (Self::SingleChannel, 0x0e, "lorawan.single_channel"),
        (Self::Confirmed, 0x0f, "lorawan.confirmed"),
        (Self::Rejoin, 0x10, "lorawan.rejoin"),
        (Self::RejoinPackets, 0x11, "lorawan.rejoin_packets"),
        (Self::Adr, 0x12, "lorawan.adr"),
        (Self::DataRate, 0x13, "lorawan.data_rate"),
        (Self::TxPowerDbm, 0x14, "lorawan.tx_power_dbm"),
        (Self::MulticastEnabled(Group::One), 0x20, "multicast.group_1.enabled"),
        (Self::MulticastDevAddr(Group::One), 0x21, "multicast.group_1.dev_addr"),
        (Self::MulticastNwkSKey(Group::One), 0x22, "multicast.group_1.nwk_s_key"),
        (Self::MulticastAppSKey(Group::One), 0x23, "multicast.group_1.app_s_key"),
        (Self::MulticastEnabled(Group::Two), 0x24, "multicast.group_2.enabled"),
        (Self::MulticastDevAddr(Group::Two), 0x25, "multicast.group_2.dev_addr"),
        (Self::MulticastNwkSKey(Group::Two), 0x26, "multicast.group_2.nwk_s_key"),
        (Self::MulticastAppSKey(Group::Two), 0x27, "multicast.group_2.app_s_key"),
        (Self::MulticastEnabled(Group::Three), 0x28, "multicast.group_3.enabled"),
        (Self::MulticastDevAddr(Group::Three), 0x29, "multicast.group_3.dev_addr"),
        (Self::MulticastNwkSKey(Group::Three), 0x2a, "multicast.group_3.nwk_s_key"),
        (Self::MulticastAppSKey(Group::Three), 0x2b, "multicast.group_3.app_s_key"),
        (Self::MulticastEnabled(Group::Four), 0x2c, "multicast.group_4.enabled"),
        (Self::MulticastDevAddr(Group::Four), 0x2d, "multicast.group_4.dev_addr"),
        (Self::MulticastNwkSKey(Group::Four), 0x2e, "multicast.group_4.nwk_s_key"),
        (Self::MulticastAppSKey(Group::Four), 0x2f, "multicast.group_4.app_s_key"),
        (Self::ReportingIntervalS, 0x40, "general.reporting_interval_s"),
        (Self::Led, 0x41, "general.led"),
        (Self::PowerConsumption, 0x42, "general.power_consumption"),
        (Self::PowerRestore, 0x43, "general.power_restore"),
        (Self::ButtonLock, 0x44, "general.button_lock"),
        (Self::OvercurrentAlarm, 0x45, "general.overcurrent_alarm"),
        (Self::OvercurrentProtection, 0x46, "general.overcurrent_protection"),
        (Self::Password, 0x47, "general.password"),
        (Self::D2dEnabled, 0x50, "d2d.enabled"),
        (Self::D2dKey, 0x51, "d2d.key"),
        (Self::D2dCommands, 0x52, "d2d.commands"),
    ];

    /// Iterates over all fields in the order in which they are stored.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.iter().map(|&(field, _, _)| field)
    }

    /// Returns the path of the field in a template.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// Makes an error of this field.
    pub(crate) const fn breaks(self, reason: Reason) -> Error {
        Error { field: self, reason }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says which field breaks a rule, and which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The field.
    pub field: Field,
    /// The rule.
    pub reason: Reason,
}

/// A rule that a field breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The number is outside its range.
    OutOfRange {
        /// The number.
        value: i64,
        /// The least that is allowed.
        min: i64,
        /// The most that is allowed.
        max: i64,
    },
    /// The plan does not have this frequency.
    OffPlan {
        /// The frequency in hertz.
        frequency_hz: u32,
        /// The plan.
        region: Region,
    },
    /// The plan fixes the frequencies of its channels.
    FixedPlan {
        /// The plan.
        region: Region,
    },
    /// The enabled channels are all without a frequency.
    NothingToSendOn,
    /// Single-channel mode needs exactly one channel.
    NotOneChannel {
        /// How many there are.
        count: u32,
    },
    /// No enabled channel carries the data rate that is set for ADR off.
    NoChannelForDataRate {
        /// The data rate.
        data_rate: u8,
    },
    /// Two addresses must differ and do not.
    SameAs {
        /// The field with the same value.
        other: Field,
    },
    /// A device-to-device command is there twice.
    CommandTwice {
        /// The command.
        code: u16,
    },
}

impl Error {
    /// Returns the field to change if the one named cannot be: the other one of a rule between two.
    pub(crate) fn other_field(&self) -> Field {
        match self.reason {
            Reason::SameAs { other } => other,
            Reason::NothingToSendOn => Field::ChannelFrequencies,
            Reason::NoChannelForDataRate { .. } => Field::Adr,
            _ => self.field,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        match self.reason {
            Reason::OutOfRange { value, min, max } => write!(f, "{value} is not within {min} to {max}"),
            Reason::OffPlan { frequency_hz, region } => {
                write!(f, "{frequency_hz} Hz is not a frequency of {region}")
            }
            Reason::FixedPlan { region } => write!(f, "{region} fixes the frequencies of its channels"),
            Reason::NothingToSendOn => {
                f.write_str("no channel of this list has a frequency; to stop sending, write Null")
            }
            Reason::NotOneChannel { count } => {
                write!(f, "single-channel mode needs exactly one channel, {count} can be used")
            }
            Reason::NoChannelForDataRate { data_rate } => {
                write!(f, "no enabled channel carries data rate {data_rate}; enable one or turn ADR on")
            }
            Reason::SameAs { other } => write!(f, "must differ from {other}"),
            Reason::CommandTwice { code } => write!(f, "the command {code:04x} is there twice"),
        }
    }
}

impl core::error::Error for Error {}

/// Checks a number against its range.
pub(crate) fn in_range<T: Copy + Into<i64> + PartialOrd>(
    field: Field,
    value: T,
    min: T,
    max: T,
) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(field.breaks(Reason::OutOfRange { value: value.into(), min: min.into(), max: max.into() }))
}
