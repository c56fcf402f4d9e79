//! The payload as chapter 4 of the guide lays it out, read here without the device's own code, so that a misunderstanding shows.

/// One record: channel, type and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first byte: `ff`, or the number of a measurement.
    pub channel: u8,
    /// The second byte.
    pub kind: u8,
    /// What follows, little endian.
    pub data: Vec<u8>,
}

/// How many bytes of data a record of the device has (guide, sections 4.1 to 4.3); `fe` is an answer to a command (section 4.4).
fn data_length(channel: u8, kind: u8) -> Option<usize> {
    Some(match (channel, kind) {
        (0xff, 0x01 | 0x0b | 0x0f | 0x26 | 0x3f) | (0x05, 0x81) | (0x08, 0x70) => 1,
        (0xff, 0x09 | 0x0a | 0x24 | 0x25 | 0x30) | (0x03, 0x74) | (0x07, 0xc9) => 2,
        (0xff, 0x16) => 8,
        (0x04, 0x80) | (0x06, 0x83) => 4,
        (0xfe, 0x10 | 0x26 | 0x27 | 0x28 | 0x2c | 0x2f) => 1,
        (0xfe, 0x03 | 0x23 | 0x24 | 0x25 | 0x30) => 2,
        (0xfe, 0x22) => 4,
        _ => return None,
    })
}

/// Cuts a payload into its records.
///
/// # Panics
/// When the payload is not made of records that the guide knows.
#[must_use]
pub fn records(payload: &[u8]) -> Vec<Record> {
    let mut rest = payload;
    let mut records = Vec::new();
    while let [channel, kind, after @ ..] = rest {
        let length = data_length(*channel, *kind);
        let cut = length.and_then(|length| after.split_at_checked(length));
        let Some((data, after)) = cut else { panic!("not a record of the guide: {rest:02x?}") };
        records.push(Record { channel: *channel, kind: *kind, data: data.to_vec() });
        rest = after;
    }
    assert!(rest.is_empty(), "a byte is left over: {payload:02x?}");
    records
}

/// The sensor data of the guide's section 4.2, in its units.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorData {
    /// The socket is open: it supplies power.
    pub open: bool,
    /// In %.
    pub power_factor: u64,
    /// In mA.
    pub current_ma: u64,
    /// In V; the record counts in 0.1 V.
    pub voltage_v: f64,
    /// In Wh.
    pub consumption_wh: u64,
    /// In W.
    pub power_w: u64,
}

impl SensorData {
    /// Reads a payload that has all six records, in whatever order.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        if payload.first() != Some(&0x08) {
            return None;
        }
        let records = records(payload);
        let number = |channel, kind| {
            let record = records.iter().find(|record| (record.channel, record.kind) == (channel, kind))?;
            Some(record.data.iter().rev().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)))
        };
        Some(Self {
            open: number(0x08, 0x70)? == 1,
            power_factor: number(0x05, 0x81)?,
            current_ma: number(0x07, 0xc9)?,
            voltage_v: number(0x03, 0x74)? as f64 / 10.0,
            consumption_wh: number(0x06, 0x83)?,
            power_w: number(0x04, 0x80)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_section_4_2_reads_as_the_guide_says() {
        let payload = [
            0x08, 0x70, 0x01, 0x05, 0x81, 0x29, 0x07, 0xc9, 0x12, 0x00, 0x03, 0x74, 0xf5, 0x08, //
            0x06, 0x83, 0x05, 0x00, 0x00, 0x00, 0x04, 0x80, 0x01, 0x00, 0x00, 0x00,
        ];
        let expected = SensorData {
            open: true,
            power_factor: 41,
            current_ma: 18,
            voltage_v: 229.3,
            consumption_wh: 5,
            power_w: 1,
        };
        assert_eq!(SensorData::read(&payload), Some(expected));
    }

    #[test]
    #[should_panic(expected = "not a record of the guide")]
    fn a_record_cut_short_is_told() {
        let _ = records(&[0xff, 0x24, 0x01]);
    }
}
