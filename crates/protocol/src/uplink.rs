//! Uplink records: what the socket tells the network (guide, sections 4.1 to 4.3).

use crate::downlink::{self, Command};
use crate::wire::{CHANNEL_ANSWER, CHANNEL_ATTRIBUTE, Direction, RecordView, Records as Views, Stop};
use crate::{Error, Payload, flag, put};

/// The LoRaWAN device class, as `ff0f` reports it (the vendor's codec).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Listens after its own uplinks only.
    A = 0,
    /// Listens at beacon times as well.
    B = 1,
    /// Listens whenever it does not send. The socket is fixed to it.
    C = 2,
    /// Changes between B and C.
    CToB = 3,
}

/// A record from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// `ff01`: the version of this protocol; 1 in the guide.
    ProtocolVersion(u8),
    /// `ff09`: the hardware version, printed in hexadecimal: `01 40` is V1.4, the minor number in the high nibble.
    HardwareVersion([u8; 2]),
    /// `ff0a`: the software version, printed in hexadecimal: `01 14` is V1.14.
    SoftwareVersion([u8; 2]),
    /// `ff0b`: the device was powered up.
    PowerOn,
    /// `ff0f`: the LoRaWAN class.
    Class(Class),
    /// `ff16`: the serial number, 16 hexadecimal digits.
    SerialNumber([u8; 8]),
    /// `ff24`: the overcurrent alarm as set.
    OvercurrentAlarm {
        /// Whether the alarm is given.
        enabled: bool,
        /// The threshold in ampere.
        current_a: u8,
    },
    /// `ff25`: the button lock as set.
    ButtonLock {
        /// Whether the button is locked.
        enabled: bool,
        /// In minutes, 0 to 32767; 0 means without end. Higher bits are dropped on the wire.
        minutes: u16,
    },
    /// `ff26`: whether energy is counted.
    PowerConsumption {
        /// Whether energy is counted.
        enabled: bool,
    },
    /// `ff30`: the overcurrent protection as set.
    OvercurrentProtection {
        /// Whether the socket switches off by itself at the threshold.
        enabled: bool,
        /// The threshold in ampere.
        current_a: u8,
    },
    /// `ff3f`: the supply was lost. Sent alone: the vendor's own decoder throws on it.
    PowerOutage,
    /// `fffe`: the device was reset; the value has no known meaning.
    Reset(u8),
    /// `ffff`: the version of the vendor's thing description, major and minor.
    TslVersion([u8; 2]),
    /// `0374`: the voltage.
    Voltage {
        /// In tenths of a volt.
        voltage_dv: u16,
    },
    /// `0480`: the active power.
    ActivePower {
        /// In watt.
        power_w: u32,
    },
    /// `0581`: the power factor.
    PowerFactor {
        /// In percent.
        percent: u8,
    },
    /// `0683`: the energy counted.
    Energy {
        /// In watt-hours.
        energy_wh: u32,
    },
    /// `07c9`: the current.
    Current {
        /// In milliampere.
        current_ma: u16,
    },
    /// `0870`: the state of the socket.
    SocketStatus {
        /// On supplies power.
        on: bool,
    },
    /// `fe`: the answer to a command, with the data as applied. Of no length for [`Command::Switch`].
    Answer(Command),
}

impl Record {
    /// Gives a checked uplink record its meaning.
    ///
    /// # Errors
    /// [`Error::BadValue`] if a byte has no meaning.
    #[inline]
    pub fn from_view(view: &RecordView<'_>) -> Result<Self, Error> {
        let channel = view.channel();
        let kind = view.kind().unwrap_or_default();
        let bad = |value| Error::BadValue { channel, kind: Some(kind), value };
        let record = match (channel, kind, view.data()) {
            (0x03, 0x74, &[a, b]) => Self::Voltage { voltage_dv: u16::from_le_bytes([a, b]) },
            (0x04, 0x80, &[a, b, c, d]) => Self::ActivePower { power_w: u32::from_le_bytes([a, b, c, d]) },
            (0x05, 0x81, &[percent]) => Self::PowerFactor { percent },
            (0x06, 0x83, &[a, b, c, d]) => Self::Energy { energy_wh: u32::from_le_bytes([a, b, c, d]) },
            (0x07, 0xc9, &[a, b]) => Self::Current { current_ma: u16::from_le_bytes([a, b]) },
            (0x08, 0x70, &[state]) => Self::SocketStatus { on: flag(channel, kind, state)? },
            (CHANNEL_ANSWER, _, data) => Self::Answer(Command::from_data(channel, kind, data)?),
            (_, 0x01, &[version]) => Self::ProtocolVersion(version),
            (_, 0x09, &[major, minor]) => Self::HardwareVersion([major, minor]),
            (_, 0x0a, &[major, minor]) => Self::SoftwareVersion([major, minor]),
            (_, 0x0b, _) => Self::PowerOn,
            (_, 0x0f, &[class]) => Self::Class(match class {
                0 => Class::A,
                1 => Class::B,
                2 => Class::C,
                3 => Class::CToB,
                _ => return Err(bad(class)),
            }),
            (_, 0x16, &[a, b, c, d, e, f, g, h]) => Self::SerialNumber([a, b, c, d, e, f, g, h]),
            (_, 0x24, &[enabled, current_a]) => {
                Self::OvercurrentAlarm { enabled: flag(channel, kind, enabled)?, current_a }
            }
            (_, 0x25, &[a, b]) => {
                let (enabled, minutes) = downlink::lock_from([a, b]);
                Self::ButtonLock { enabled, minutes }
            }
            (_, 0x26, &[enabled]) => Self::PowerConsumption { enabled: flag(channel, kind, enabled)? },
            (_, 0x30, &[enabled, current_a]) => {
                Self::OvercurrentProtection { enabled: flag(channel, kind, enabled)?, current_a }
            }
            (_, 0x3f, _) => Self::PowerOutage,
            (_, 0xfe, &[value]) => Self::Reset(value),
            (_, 0xff, &[major, minor]) => Self::TslVersion([major, minor]),
            // An answer on channel ff, where no attribute has its type.
            (CHANNEL_ATTRIBUTE, _, data) => Self::Answer(Command::from_data(channel, kind, data)?),
            // Not reached by a record that wire has checked.
            _ => return Err(bad(0)),
        };
        Ok(record)
    }

    /// Writes the record as it goes up, and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if `out` is too short; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        match *self {
            Self::ProtocolVersion(version) => put(out, &[0xff, 0x01, version]),
            Self::HardwareVersion([major, minor]) => put(out, &[0xff, 0x09, major, minor]),
            Self::SoftwareVersion([major, minor]) => put(out, &[0xff, 0x0a, major, minor]),
            Self::PowerOn => put(out, &[0xff, 0x0b, 0xff]),
            Self::Class(class) => put(out, &[0xff, 0x0f, class as u8]),
            Self::SerialNumber([a, b, c, d, e, f, g, h]) => put(out, &[0xff, 0x16, a, b, c, d, e, f, g, h]),
            Self::OvercurrentAlarm { enabled, current_a } => {
                put(out, &[0xff, 0x24, u8::from(enabled), current_a])
            }
            Self::ButtonLock { enabled, minutes } => {
                let [a, b] = downlink::lock_bytes(enabled, minutes);
                put(out, &[0xff, 0x25, a, b])
            }
            Self::PowerConsumption { enabled } => put(out, &[0xff, 0x26, u8::from(enabled)]),
            Self::OvercurrentProtection { enabled, current_a } => {
                put(out, &[0xff, 0x30, u8::from(enabled), current_a])
            }
            Self::PowerOutage => put(out, &[0xff, 0x3f, 0xff]),
            Self::Reset(value) => put(out, &[0xff, 0xfe, value]),
            Self::TslVersion([major, minor]) => put(out, &[0xff, 0xff, major, minor]),
            Self::Voltage { voltage_dv } => {
                let [a, b] = voltage_dv.to_le_bytes();
                put(out, &[0x03, 0x74, a, b])
            }
            Self::ActivePower { power_w } => {
                let [a, b, c, d] = power_w.to_le_bytes();
                put(out, &[0x04, 0x80, a, b, c, d])
            }
            Self::PowerFactor { percent } => put(out, &[0x05, 0x81, percent]),
            Self::Energy { energy_wh } => {
                let [a, b, c, d] = energy_wh.to_le_bytes();
                put(out, &[0x06, 0x83, a, b, c, d])
            }
            Self::Current { current_ma } => {
                let [a, b] = current_ma.to_le_bytes();
                put(out, &[0x07, 0xc9, a, b])
            }
            Self::SocketStatus { on } => put(out, &[0x08, 0x70, u8::from(on)]),
            Self::Answer(command) => command.encode_answer(out),
        }
    }

    /// Appends the record to a payload.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit; the payload stays as it was.
    pub fn append(&self, payload: &mut Payload) -> Result<(), Error> {
        downlink::append(payload, |out| self.encode(out))
    }
}

/// Iterates over the records of an uplink, up to its end or to the first one that is unknown or truncated.
///
/// An item is an error if a whole, known record holds a value without a meaning; the records after it still come.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    views: Views<'a>,
}

impl<'a> Records<'a> {
    /// Starts at the front of an uplink payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { views: Views::new(Direction::Uplink, payload) }
    }

    /// Says where and why reading stopped short; none while records are left and after a payload read to its end.
    pub fn stop(&self) -> Option<Stop> {
        self.views.stop()
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.views.next().map(|view| Record::from_view(&view))
    }
}

impl core::iter::FusedIterator for Records<'_> {}
