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

    /// Each field with the tag that it is stored under, which must never change.
    pub(crate) const TAGS: [(Self, u8); Self::COUNT] = [
        (Self::Region, 0x01),
        (Self::JoinEui, 0x02),
        (Self::ApplicationPort, 0x03),
        (Self::Activation, 0x04),
        (Self::AppKey, 0x05),
        (Self::DevAddr, 0x06),
        (Self::NwkSKey, 0x07),
        (Self::AppSKey, 0x08),
        (Self::Version, 0x09),
        (Self::Rx2DataRate, 0x0a),
        (Self::Rx2FrequencyHz, 0x0b),
        (Self::Channels, 0x0c),
        (Self::ChannelFrequencies, 0x0d),
        (Self::SingleChannel, 0x0e),
        (Self::Confirmed, 0x0f),
        (Self::Rejoin, 0x10),
        (Self::RejoinPackets, 0x11),
        (Self::Adr, 0x12),
        (Self::DataRate, 0x13),
        (Self::TxPowerDbm, 0x14),
        (Self::MulticastEnabled(Group::One), 0x20),
        (Self::MulticastDevAddr(Group::One), 0x21),
        (Self::MulticastNwkSKey(Group::One), 0x22),
        (Self::MulticastAppSKey(Group::One), 0x23),
        (Self::MulticastEnabled(Group::Two), 0x24),
        (Self::MulticastDevAddr(Group::Two), 0x25),
        (Self::MulticastNwkSKey(Group::Two), 0x26),
        (Self::MulticastAppSKey(Group::Two), 0x27),
        (Self::MulticastEnabled(Group::Three), 0x28),
        (Self::MulticastDevAddr(Group::Three), 0x29),
        (Self::MulticastNwkSKey(Group::Three), 0x2a),
        (Self::MulticastAppSKey(Group::Three), 0x2b),
        (Self::MulticastEnabled(Group::Four), 0x2c),
        (Self::MulticastDevAddr(Group::Four), 0x2d),
        (Self::MulticastNwkSKey(Group::Four), 0x2e),
        (Self::MulticastAppSKey(Group::Four), 0x2f),
        (Self::ReportingIntervalS, 0x40),
        (Self::Led, 0x41),
        (Self::PowerConsumption, 0x42),
        (Self::PowerRestore, 0x43),
        (Self::ButtonLock, 0x44),
        (Self::OvercurrentAlarm, 0x45),
        (Self::OvercurrentProtection, 0x46),
        (Self::Password, 0x47),
        (Self::D2dEnabled, 0x50),
        (Self::D2dKey, 0x51),
        (Self::D2dCommands, 0x52),
    ];

    /// Iterates over all fields in the order in which they are stored.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TAGS.iter().map(|&(field, _)| field)
    }

    /// Returns the tag that the field is stored and sent under.
    pub fn tag(self) -> u8 {
        Self::TAGS.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// Finds the field of a tag.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::TAGS.iter().find(|row| row.1 == tag).map(|row| row.0)
    }

    /// Says whether nobody may read the field: keys and the password.
    pub const fn is_secret(self) -> bool {
        matches!(
            self,
            Self::AppKey
                | Self::NwkSKey
                | Self::AppSKey
                | Self::MulticastNwkSKey(_)
                | Self::MulticastAppSKey(_)
                | Self::D2dKey
                | Self::Password
        )
    }

    /// Returns the path of the field in a template.
    ///
    /// The names stand apart from the tags: an image that tells none of them does not hold them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::JoinEui => "lorawan.join_eui",
            Self::ApplicationPort => "lorawan.application_port",
            Self::Activation => "lorawan.activation",
            Self::AppKey => "lorawan.app_key",
            Self::DevAddr => "lorawan.dev_addr",
            Self::NwkSKey => "lorawan.nwk_s_key",
            Self::AppSKey => "lorawan.app_s_key",
            Self::Version => "lorawan.version",
            Self::Rx2DataRate => "lorawan.rx2_data_rate",
            Self::Rx2FrequencyHz => "lorawan.rx2_frequency_hz",
            Self::Channels => "lorawan.channels",
            Self::ChannelFrequencies => "lorawan.channel_frequencies_hz",
            Self::SingleChannel => "lorawan.single_channel",
            Self::Confirmed => "lorawan.confirmed",
            Self::Rejoin => "lorawan.rejoin",
            Self::RejoinPackets => "lorawan.rejoin_packets",
            Self::Adr => "lorawan.adr",
            Self::DataRate => "lorawan.data_rate",
            Self::TxPowerDbm => "lorawan.tx_power_dbm",
            Self::MulticastEnabled(Group::One) => "multicast.group_1.enabled",
            Self::MulticastDevAddr(Group::One) => "multicast.group_1.dev_addr",
            Self::MulticastNwkSKey(Group::One) => "multicast.group_1.nwk_s_key",
            Self::MulticastAppSKey(Group::One) => "multicast.group_1.app_s_key",
            Self::MulticastEnabled(Group::Two) => "multicast.group_2.enabled",
            Self::MulticastDevAddr(Group::Two) => "multicast.group_2.dev_addr",
            Self::MulticastNwkSKey(Group::Two) => "multicast.group_2.nwk_s_key",
            Self::MulticastAppSKey(Group::Two) => "multicast.group_2.app_s_key",
            Self::MulticastEnabled(Group::Three) => "multicast.group_3.enabled",
            Self::MulticastDevAddr(Group::Three) => "multicast.group_3.dev_addr",
            Self::MulticastNwkSKey(Group::Three) => "multicast.group_3.nwk_s_key",
            Self::MulticastAppSKey(Group::Three) => "multicast.group_3.app_s_key",
            Self::MulticastEnabled(Group::Four) => "multicast.group_4.enabled",
            Self::MulticastDevAddr(Group::Four) => "multicast.group_4.dev_addr",
            Self::MulticastNwkSKey(Group::Four) => "multicast.group_4.nwk_s_key",
            Self::MulticastAppSKey(Group::Four) => "multicast.group_4.app_s_key",
            Self::ReportingIntervalS => "general.reporting_interval_s",
            Self::Led => "general.led",
            Self::PowerConsumption => "general.power_consumption",
            Self::PowerRestore => "general.power_restore",
            Self::ButtonLock => "general.button_lock",
            Self::OvercurrentAlarm => "general.overcurrent_alarm",
            Self::OvercurrentProtection => "general.overcurrent_protection",
            Self::Password => "general.password",
            Self::D2dEnabled => "d2d.enabled",
            Self::D2dKey => "d2d.key",
            Self::D2dCommands => "d2d.commands",
        }
    }

    /// Returns the unit of the field's number as it is typed, or nothing.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::ReportingIntervalS => "s",
            Self::TxPowerDbm => "dBm",
            Self::Rx2FrequencyHz | Self::ChannelFrequencies => "Hz",
            Self::OvercurrentAlarm | Self::OvercurrentProtection => "A",
            Self::ButtonLock => "min",
            _ => "",
        }
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
            Reason::OutOfRange { value, min, max } => {
                let unit = self.field.unit();
                let blank = if unit.is_empty() { "" } else { " " };
                write!(f, "{value} is not within {min} to {max}{blank}{unit}")
            }
            Reason::OffPlan { frequency_hz, region } => {
                write!(f, "{frequency_hz} Hz is not a frequency of {region}")?;
                // The channels of a plan may have gaps.
                #[cfg(feature = "std")]
                if self.field == Field::Rx2FrequencyHz {
                    let (min, max, step) = region.rx2_range_hz();
                    write!(f, ", which has {min} to {max} Hz")?;
                    if step > 1 {
                        write!(f, " in steps of {step}")?;
                    }
                }
                Ok(())
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
