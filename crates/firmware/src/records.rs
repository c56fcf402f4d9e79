//! The small records that the firmware keeps besides settings and MAC state, and where each lies.

use heapless::{Vec, VecView};
use sockeye_lorawan_mac::Record;
use sockeye_metering::Correction;
use sockeye_settings::Identity;
use sockeye_state_machine::DelayTask;
use sockeye_storage::RecordId;

/// Length of a stored delay task, in bytes.
pub(crate) const DELAY_TASK_LENGTH: usize = 10;

/// Length of a stored energy sum, in bytes: up to 72 GWh. With its key it fills one word of the STM32WL's flash; a byte
/// more would be another word, and half as much wear again.
const ENERGY_LENGTH: usize = 7;

/// Tells which record holds a part of the MAC's state.
pub(crate) fn mac_record(record: Record) -> RecordId {
    match record {
        Record::Session => RecordId::MacSession,
        Record::Counters => RecordId::MacCounters,
        Record::Multicast => RecordId::MacMulticast,
    }
}

/// The service task's copies of the records that no other task could have stored again, if the flash loses them. Empty where there is none.
#[derive(Default)]
pub(crate) struct Copies {
    identity: Vec<u8, { Identity::STORED_LEN }>,
    calibration: Vec<u8, { Correction::STORED_LEN }>,
    maintenance: Vec<u8, { sockeye_nfc::RECORD }>,
    #[cfg(feature = "certification")]
    certification_off: Vec<u8, 1>,
}

impl Copies {
    /// Takes a copy of what is stored, if it is one of these records.
    pub(crate) fn note(&mut self, id: RecordId, bytes: &[u8]) {
        let place: &mut VecView<u8> = match id {
            RecordId::Identity => &mut self.identity,
            RecordId::Calibration => &mut self.calibration,
            RecordId::Maintenance => &mut self.maintenance,
            #[cfg(feature = "certification")]
            RecordId::CertificationOff => &mut self.certification_off,
            _ => return,
        };
        place.clear();
        // What is longer is none of ours.
        let _ = place.extend_from_slice(bytes);
    }

    /// How many there may be.
    pub(crate) const COUNT: u8 = 4;

    /// Gives one of them by its number, from 0.
    pub(crate) fn get(&self, number: u8) -> Option<(RecordId, &[u8])> {
        let (id, bytes): (_, &[u8]) = match number {
            0 => (RecordId::Identity, &self.identity),
            1 => (RecordId::Maintenance, &self.maintenance),
            2 => (RecordId::Calibration, &self.calibration),
            #[cfg(feature = "certification")]
            3 => (RecordId::CertificationOff, &self.certification_off),
            _ => return None,
        };
        (!bytes.is_empty()).then_some((id, bytes))
    }
}

/// Writes a delay task as presence, state (bit 0: on, bit 1: it came by multicast) and remaining time.
pub(crate) fn encode_delay_task(task: Option<DelayTask>) -> [u8; DELAY_TASK_LENGTH] {
    let mut bytes = [0; DELAY_TASK_LENGTH];
    if let Some(DelayTask { on, spread, remaining_ms }) = task {
        let [present, state, rest @ ..] = &mut bytes;
        *present = 1;
        *state = u8::from(on) | u8::from(spread) << 1;
        *rest = remaining_ms.to_le_bytes();
    }
    bytes
}

/// Reads a delay task; bytes of another form are no task.
pub(crate) fn decode_delay_task(bytes: &[u8]) -> Option<DelayTask> {
    match bytes {
        [1, state @ 0..=3, rest @ ..] => Some(DelayTask {
            on: state & 1 != 0,
            spread: state & 2 != 0,
            remaining_ms: u64::from_le_bytes(rest.try_into().ok()?),
        }),
        _ => None,
    }
}

/// Writes the energy sum, little endian.
pub(crate) fn encode_energy(energy_uwh: u64) -> [u8; ENERGY_LENGTH] {
    let [bytes @ .., _] = energy_uwh.to_le_bytes();
    bytes
}

/// Reads the energy sum; older firmware wrote eight bytes. Other lengths are none.
pub(crate) fn decode_energy(bytes: &[u8]) -> Option<u64> {
    let mut all = [0; 8];
    all.get_mut(..bytes.len()).filter(|_| bytes.len() >= ENERGY_LENGTH)?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_task_survives_its_record() {
        for task in [
            None,
            Some(DelayTask { on: true, spread: false, remaining_ms: 0 }),
            Some(DelayTask { on: false, spread: true, remaining_ms: 65_535_000 }),
            Some(DelayTask { on: true, spread: true, remaining_ms: 1 }),
        ] {
            assert_eq!(decode_delay_task(&encode_delay_task(task)), task);
        }
    }

    #[test]
    fn an_energy_sum_survives_its_record() {
        // 32 bits of Wh are the most that a report can tell.
        for energy_uwh in [0, 1, u64::from(u32::MAX) * 1_000_000] {
            assert_eq!(decode_energy(&encode_energy(energy_uwh)), Some(energy_uwh));
            assert_eq!(decode_energy(&energy_uwh.to_le_bytes()), Some(energy_uwh), "of older firmware");
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_energy_sum() {
        for length in [0, 1, 6, 9, 100] {
            assert_eq!(decode_energy(&[1; 100][..length]), None, "{length}");
        }
    }

    #[test]
    fn bytes_of_another_form_are_no_delay_task() {
        for bytes in
            [&[][..], &[1], &[1, 4, 0, 0, 0, 0, 0, 0, 0, 0], &[2; 10], &[1, 1, 0], &[0xFF; 10], &[1; 11]]
        {
            assert_eq!(decode_delay_task(bytes), None, "{bytes:?}");
        }
    }
}
