//! The basic information: who the device is and how it is set.

use crate::Error;
use crate::report::encode_all;
use crate::uplink::{Class, Record};

/// The protocol version that the guide describes (section 4.1).
const PROTOCOL_VERSION: u8 = 1;

/// What the socket tells after each join, and when it is asked (guide, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicInformation {
    /// Whether this is the first one after a power-up; it then begins with `ff0b`.
    pub power_on: bool,
    /// The serial number.
    pub serial_number: [u8; 8],
    /// The hardware version as the wire has it, `[0x01, 0x40]` being V1.4.
    pub hardware_version: [u8; 2],
    /// The software version as the wire has it, `[0x01, 0x14]` being V1.14.
    pub software_version: [u8; 2],
    /// Whether the overcurrent alarm is enabled, and its threshold in ampere.
    pub overcurrent_alarm: (bool, u8),
    /// Whether the overcurrent protection is enabled, and its threshold in ampere.
    pub overcurrent_protection: (bool, u8),
    /// Whether the button is locked, and for how many minutes; 0 is without end.
    pub button_lock: (bool, u16),
    /// Whether energy is counted.
    pub power_consumption: bool,
}

impl BasicInformation {
    /// The length with `ff0b`, the longest, in bytes.
    pub const MAX_LEN: usize = 42;

    /// Returns the records in the order in which they are sent; the first one, `ff0b`, is for a power-up only.
    fn records(&self) -> [Record; 10] {
        let (alarm_enabled, alarm_a) = self.overcurrent_alarm;
        let (protection_enabled, protection_a) = self.overcurrent_protection;
        let (lock_enabled, minutes) = self.button_lock;
        [
            Record::PowerOn,
            Record::ProtocolVersion(PROTOCOL_VERSION),
            Record::SerialNumber(self.serial_number),
            Record::HardwareVersion(self.hardware_version),
            Record::SoftwareVersion(self.software_version),
            Record::Class(Class::C),
            Record::OvercurrentAlarm { enabled: alarm_enabled, current_a: alarm_a },
            Record::OvercurrentProtection { enabled: protection_enabled, current_a: protection_a },
            Record::ButtonLock { enabled: lock_enabled, minutes },
            Record::PowerConsumption { enabled: self.power_consumption },
        ]
    }

    /// Writes the basic information and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        let records = self.records();
        let first = usize::from(!self.power_on);
        encode_all(records.get(first..).unwrap_or_default(), out)
    }
}
