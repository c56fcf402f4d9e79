//! The small records that the firmware keeps besides settings and MAC state, and where each lies.

use sockeye_lorawan_mac::Record;
use sockeye_state_machine::DelayTask;
use sockeye_storage::RecordId;

/// Length of a stored delay task, in bytes.
pub(crate) const DELAY_TASK_LENGTH: usize = 10;

/// Tells which record holds a part of the MAC's state.
pub(crate) fn mac_record(record: Record) -> RecordId {
    match record {
        Record::Session => RecordId::MacSession,
        Record::Counters => RecordId::MacCounters,
        Record::Multicast => RecordId::MacMulticast,
    }
}

/// Writes a delay task as presence, state and remaining time.
pub(crate) fn encode_delay_task(task: Option<DelayTask>) -> [u8; DELAY_TASK_LENGTH] {
    let mut bytes = [0; DELAY_TASK_LENGTH];
    if let Some(DelayTask { on, remaining_ms }) = task {
        let [present, state, rest @ ..] = &mut bytes;
        *present = 1;
        *state = u8::from(on);
        *rest = remaining_ms.to_le_bytes();
    }
    bytes
}

/// Reads a delay task; bytes of another form are no task.
pub(crate) fn decode_delay_task(bytes: &[u8]) -> Option<DelayTask> {
    match bytes {
        [1, state @ (0 | 1), rest @ ..] => {
            Some(DelayTask { on: *state == 1, remaining_ms: u64::from_le_bytes(rest.try_into().ok()?) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_task_survives_its_record() {
        for task in [
            None,
            Some(DelayTask { on: true, remaining_ms: 0 }),
            Some(DelayTask { on: false, remaining_ms: 65_535_000 }),
        ] {
            assert_eq!(decode_delay_task(&encode_delay_task(task)), task);
        }
    }

    #[test]
    fn bytes_of_another_form_are_no_delay_task() {
        for bytes in
            [&[][..], &[1], &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0], &[2; 10], &[1, 1, 0], &[0xFF; 10], &[1; 11]]
        {
            assert_eq!(decode_delay_task(bytes), None, "{bytes:?}");
        }
    }
}
