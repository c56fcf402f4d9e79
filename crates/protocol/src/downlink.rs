//! Commands: what the network may tell the socket, and how the socket answers (guide, section 4.4).

use crate::wire::{CHANNEL_ANSWER, CHANNEL_ATTRIBUTE, CHANNEL_SWITCH, Direction, RecordView, Records, Stop};
use crate::{Error, MAX_RECORD, Payload, flag, put};

/// Bit 15 of the button lock says that it is enabled; bits 0 to 14 are minutes (the vendor's codec).
const LOCK_ENABLED: u16 = 0x8000;

/// Fills a reserved byte.
const RESERVED: u8 = 0xff;

/// A command to the socket.
///
/// Values are as on the wire: the ranges of the guide are checked where the command is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `08`: switches the socket now. It has no answer; the report that follows is one.
    Switch {
        /// On supplies power.
        on: bool,
    },
    /// `ff03`: sets the reporting interval.
    ReportingInterval {
        /// In seconds.
        interval_s: u16,
    },
    /// `ff10`: restarts the device.
    Reboot,
    /// `ff22`: switches the socket after a delay; it replaces an earlier delay task.
    AddDelayTask {
        /// The first byte, 00 in the guide; of no meaning to this device, given back in the answer.
        id: u8,
        /// In seconds.
        delay_s: u16,
        /// The state to switch to.
        on: bool,
    },
    /// `ff23`: removes the delay task.
    DeleteDelayTask {
        /// The first byte, 00 in the guide; of no meaning to this device, given back in the answer.
        id: u8,
    },
    /// `ff24`: sets the overcurrent alarm.
    OvercurrentAlarm {
        /// Whether the alarm is given.
        enabled: bool,
        /// The threshold in ampere.
        current_a: u8,
    },
    /// `ff25`: locks the button, for a time or until further notice.
    ButtonLock {
        /// Whether the button is locked.
        enabled: bool,
        /// In minutes, 0 to 32767; 0 means without end. Higher bits are dropped on the wire.
        minutes: u16,
    },
    /// `ff26`: counts energy, or lets the count stand still.
    PowerConsumption {
        /// Whether energy is counted.
        enabled: bool,
    },
    /// `ff27`: sets the energy count to 0.
    ResetPowerConsumption,
    /// `ff28`: asks for a report.
    EnquireElectricalStatus,
    /// `ff2c`: asks for the basic information.
    ReportAttributes,
    /// `ff2f`: lets the LED show the state, or keeps it dark.
    Led {
        /// Whether the LED is used.
        enabled: bool,
    },
    /// `ff30`: sets the overcurrent protection.
    OvercurrentProtection {
        /// Whether the socket switches off by itself at the threshold.
        enabled: bool,
        /// The threshold in ampere.
        current_a: u8,
    },
}

impl Command {
    /// Gives a checked downlink record its meaning.
    ///
    /// # Errors
    /// [`Error::BadValue`] if a byte has no meaning, as a switch state other than 00 and 01: such a command is to be
    /// passed over, and those after it are to be obeyed.
    #[inline]
    pub fn from_view(view: &RecordView<'_>) -> Result<Self, Error> {
        match (view.channel(), view.kind()) {
            (CHANNEL_SWITCH, None) => match view.data() {
                [0, ..] => Ok(Self::Switch { on: false }),
                [1, ..] => Ok(Self::Switch { on: true }),
                data => Err(Error::BadValue {
                    channel: CHANNEL_SWITCH,
                    kind: None,
                    value: data.first().copied().unwrap_or_default(),
                }),
            },
            (channel, Some(kind)) => Self::from_data(channel, kind, view.data()),
            (channel, None) => Err(Error::BadValue { channel, kind: None, value: 0 }),
        }
    }

    /// Reads the data of a command or of an answer; `channel` is for the error only.
    #[inline]
    pub(crate) fn from_data(channel: u8, kind: u8, data: &[u8]) -> Result<Self, Error> {
        let flag = |value| flag(channel, kind, value);
        match (kind, data) {
            (0x03, &[a, b]) => Ok(Self::ReportingInterval { interval_s: u16::from_le_bytes([a, b]) }),
            (0x10, _) => Ok(Self::Reboot),
            (0x22, &[id, a, b, state]) => {
                // The high nibble is a mask; the low one is the state (the vendor's codec).
                let on = match state & 0x0f {
                    0 => false,
                    1 => true,
                    _ => return Err(Error::BadValue { channel, kind: Some(kind), value: state }),
                };
                Ok(Self::AddDelayTask { id, delay_s: u16::from_le_bytes([a, b]), on })
            }
            (0x23, &[id, _]) => Ok(Self::DeleteDelayTask { id }),
            (0x24, &[enabled, current_a]) => {
                Ok(Self::OvercurrentAlarm { enabled: flag(enabled)?, current_a })
            }
            (0x25, &[a, b]) => {
                let (enabled, minutes) = lock_from([a, b]);
                Ok(Self::ButtonLock { enabled, minutes })
            }
            (0x26, &[enabled]) => Ok(Self::PowerConsumption { enabled: flag(enabled)? }),
            (0x27, _) => Ok(Self::ResetPowerConsumption),
            (0x28, _) => Ok(Self::EnquireElectricalStatus),
            (0x2c, _) => Ok(Self::ReportAttributes),
            (0x2f, &[enabled]) => Ok(Self::Led { enabled: flag(enabled)? }),
            (0x30, &[enabled, current_a]) => {
                Ok(Self::OvercurrentProtection { enabled: flag(enabled)?, current_a })
            }
            // Not reached by a record that wire has checked.
            _ => Err(Error::BadValue { channel, kind: Some(kind), value: 0 }),
        }
    }

    /// Writes the command as it goes down, and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if `out` is too short; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        match *self {
            // The trailer is the one of the guide's example.
            Self::Switch { on } => put(out, &[CHANNEL_SWITCH, u8::from(on), 0x00, 0xff]),
            _ => self.encode_on(CHANNEL_ATTRIBUTE, out),
        }
    }

    /// Writes the answer to the command, `fe` and its type and data, and returns its length.
    ///
    /// The switch command has no answer: 0 bytes. Give the command as it was applied.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if `out` is too short; nothing is written then.
    pub fn encode_answer(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.encode_on(CHANNEL_ANSWER, out)
    }

    /// Appends the answer to a payload.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit; the payload stays as it was.
    pub fn append_answer(&self, payload: &mut Payload) -> Result<(), Error> {
        append(payload, |out| self.encode_answer(out))
    }

    /// Appends the command to a payload.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit; the payload stays as it was.
    pub fn append(&self, payload: &mut Payload) -> Result<(), Error> {
        append(payload, |out| self.encode(out))
    }

    fn encode_on(&self, channel: u8, out: &mut [u8]) -> Result<usize, Error> {
        match *self {
            Self::Switch { .. } => Ok(0),
            Self::ReportingInterval { interval_s } => {
                let [a, b] = interval_s.to_le_bytes();
                put(out, &[channel, 0x03, a, b])
            }
            Self::Reboot => put(out, &[channel, 0x10, RESERVED]),
            Self::AddDelayTask { id, delay_s, on } => {
                let [a, b] = delay_s.to_le_bytes();
                put(out, &[channel, 0x22, id, a, b, 0x10 | u8::from(on)])
            }
            Self::DeleteDelayTask { id } => put(out, &[channel, 0x23, id, RESERVED]),
            Self::OvercurrentAlarm { enabled, current_a } => {
                put(out, &[channel, 0x24, u8::from(enabled), current_a])
            }
            Self::ButtonLock { enabled, minutes } => {
                let [a, b] = lock_bytes(enabled, minutes);
                put(out, &[channel, 0x25, a, b])
            }
            Self::PowerConsumption { enabled } => put(out, &[channel, 0x26, u8::from(enabled)]),
            Self::ResetPowerConsumption => put(out, &[channel, 0x27, RESERVED]),
            Self::EnquireElectricalStatus => put(out, &[channel, 0x28, RESERVED]),
            Self::ReportAttributes => put(out, &[channel, 0x2c, RESERVED]),
            Self::Led { enabled } => put(out, &[channel, 0x2f, u8::from(enabled)]),
            Self::OvercurrentProtection { enabled, current_a } => {
                put(out, &[channel, 0x30, u8::from(enabled), current_a])
            }
        }
    }
}

/// Writes the two bytes of a button lock.
pub(crate) fn lock_bytes(enabled: bool, minutes: u16) -> [u8; 2] {
    let flag = if enabled { LOCK_ENABLED } else { 0 };
    ((minutes & !LOCK_ENABLED) | flag).to_le_bytes()
}

/// Reads the two bytes of a button lock.
pub(crate) fn lock_from(bytes: [u8; 2]) -> (bool, u16) {
    let value = u16::from_le_bytes(bytes);
    (value & LOCK_ENABLED != 0, value & !LOCK_ENABLED)
}

/// Encodes one record and appends it whole or not at all.
pub(crate) fn append(
    payload: &mut Payload,
    encode: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
) -> Result<(), Error> {
    let mut record = [0; MAX_RECORD];
    let len = encode(&mut record)?;
    let free = payload.capacity().saturating_sub(payload.len());
    let record = record.get(..len).unwrap_or_default();
    payload.extend_from_slice(record).map_err(|_| Error::NoRoom { needed: len, free })
}

/// Iterates over the commands of a downlink, up to its end or to the first record that is unknown or truncated.
///
/// An item is an error if a whole, known record holds a value without a meaning; the commands after it still come.
#[derive(Debug, Clone)]
pub struct Commands<'a> {
    records: Records<'a>,
}

impl<'a> Commands<'a> {
    /// Starts at the front of a downlink payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { records: Records::new(Direction::Downlink, payload) }
    }

    /// Says where and why reading stopped short, and how many bytes were dropped.
    ///
    /// None while commands are left, and after a payload that was read to its end.
    pub fn stop(&self) -> Option<Stop> {
        self.records.stop()
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.records.next().map(|view| Command::from_view(&view))
    }
}

impl core::iter::FusedIterator for Commands<'_> {}
