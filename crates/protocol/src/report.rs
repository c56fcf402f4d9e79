//! The report: the six electrical values in the guide's order.

use crate::Error;
use crate::uplink::{Record, Records};

/// What the socket reports at every reporting interval and after every change (guide, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whether power is supplied.
    pub on: bool,
    /// The power factor in percent; sent as at most 100.
    pub power_factor_percent: u8,
    /// The current in milliampere; sent as at most 65535.
    pub current_ma: u32,
    /// The voltage in tenths of a volt; sent as at most 65535.
    pub voltage_dv: u32,
    /// The energy counted, in watt-hours; sent as at most 32 bits.
    pub energy_wh: u64,
    /// The active power in watt.
    pub active_power_w: u32,
}

impl Report {
    /// The length of a report in bytes.
    pub const LEN: usize = 26;

    /// Returns the records of the report in the order of the guide's example: `0870 0581 07c9 0374 0683 0480`.
    pub fn records(&self) -> [Record; 6] {
        [
            Record::SocketStatus { on: self.on },
            Record::PowerFactor { percent: self.power_factor_percent.min(100) },
            Record::Current { current_ma: u16::try_from(self.current_ma).unwrap_or(u16::MAX) },
            Record::Voltage { voltage_dv: u16::try_from(self.voltage_dv).unwrap_or(u16::MAX) },
            Record::Energy { energy_wh: u32::try_from(self.energy_wh).unwrap_or(u32::MAX) },
            Record::ActivePower { power_w: self.active_power_w },
        ]
    }

    /// Writes the report and returns its length, [`Report::LEN`].
    ///
    /// # Errors
    /// [`Error::NoRoom`] if `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        encode_all(&self.records(), out)
    }

    /// Reads a report out of an uplink, whatever the order of its records and whatever else is in it.
    ///
    /// None if one of the six records is missing; of a record that comes twice the last one counts.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (mut state, mut factor, mut current, mut voltage, mut energy, mut power) =
            (None, None, None, None, None, None);
        for record in Records::new(payload).flatten() {
            match record {
                Record::SocketStatus { on } => state = Some(on),
                Record::PowerFactor { percent } => factor = Some(percent),
                Record::Current { current_ma } => current = Some(current_ma),
                Record::Voltage { voltage_dv } => voltage = Some(voltage_dv),
                Record::Energy { energy_wh } => energy = Some(energy_wh),
                Record::ActivePower { power_w } => power = Some(power_w),
                _ => {}
            }
        }
        Some(Self {
            on: state?,
            power_factor_percent: factor?,
            current_ma: current?.into(),
            voltage_dv: voltage?.into(),
            energy_wh: energy?.into(),
            active_power_w: power?,
        })
    }
}

/// Writes records one after the other and returns their length together.
pub(crate) fn encode_all(records: &[Record], out: &mut [u8]) -> Result<usize, Error> {
    let mut len = 0;
    for record in records {
        len += record.encode(out.get_mut(len..).unwrap_or_default())?;
    }
    Ok(len)
}
