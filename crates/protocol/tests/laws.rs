//! Laws that hold for all values and all bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_protocol::downlink::{Command, Commands};
use sockeye_protocol::uplink::{Class, Record, Records};
use sockeye_protocol::wire::{Direction, Records as Views};
use sockeye_protocol::{Error, MAX_PAYLOAD, MAX_RECORD, Payload, Report, split};

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        any::<bool>().prop_map(|on| Command::Switch { on }),
        setting(),
        any::<u16>().prop_map(|interval_s| Command::ReportingInterval { interval_s }),
        Just(Command::Reboot),
        (any::<u8>(), any::<u16>(), any::<bool>()).prop_map(|(id, delay_s, on)| Command::AddDelayTask {
            id,
            delay_s,
            on
        }),
        any::<u8>().prop_map(|id| Command::DeleteDelayTask { id }),
        Just(Command::ResetPowerConsumption),
        Just(Command::EnquireElectricalStatus),
        Just(Command::ReportAttributes),
    ]
}

fn setting() -> impl Strategy<Value = Command> {
    prop_oneof![
        (any::<bool>(), any::<u8>())
            .prop_map(|(enabled, current_a)| Command::OvercurrentAlarm { enabled, current_a }),
        (any::<bool>(), any::<u8>())
            .prop_map(|(enabled, current_a)| Command::OvercurrentProtection { enabled, current_a }),
        (any::<bool>(), 0u16..0x8000).prop_map(|(enabled, minutes)| Command::ButtonLock { enabled, minutes }),
        any::<bool>().prop_map(|enabled| Command::PowerConsumption { enabled }),
        any::<bool>().prop_map(|enabled| Command::Led { enabled }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let class = prop_oneof![Just(Class::A), Just(Class::B), Just(Class::C), Just(Class::CToB)];
    let answer = command().prop_filter("has an answer", |it| !matches!(it, Command::Switch { .. }));
    let attribute = prop_oneof![
        any::<u8>().prop_map(Record::ProtocolVersion),
        any::<[u8; 2]>().prop_map(Record::HardwareVersion),
        any::<[u8; 2]>().prop_map(Record::SoftwareVersion),
        Just(Record::PowerOn),
        class.prop_map(Record::Class),
        any::<[u8; 8]>().prop_map(Record::SerialNumber),
        (any::<bool>(), any::<u8>())
            .prop_map(|(enabled, current_a)| Record::OvercurrentAlarm { enabled, current_a }),
        (any::<bool>(), any::<u8>())
            .prop_map(|(enabled, current_a)| Record::OvercurrentProtection { enabled, current_a }),
        (any::<bool>(), 0u16..0x8000).prop_map(|(enabled, minutes)| Record::ButtonLock { enabled, minutes }),
    ];
    prop_oneof![
        attribute,
        any::<bool>().prop_map(|enabled| Record::PowerConsumption { enabled }),
        Just(Record::PowerOutage),
        any::<u8>().prop_map(Record::Reset),
        any::<[u8; 2]>().prop_map(Record::TslVersion),
        any::<u16>().prop_map(|voltage_dv| Record::Voltage { voltage_dv }),
        any::<u32>().prop_map(|power_w| Record::ActivePower { power_w }),
        any::<u8>().prop_map(|percent| Record::PowerFactor { percent }),
        any::<u32>().prop_map(|energy_wh| Record::Energy { energy_wh }),
        any::<u16>().prop_map(|current_ma| Record::Current { current_ma }),
        any::<bool>().prop_map(|on| Record::SocketStatus { on }),
        answer.prop_map(Record::Answer),
    ]
}

/// Bytes as an attacker would send them: mostly true records, now and then broken.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => record().prop_map(|it| encoded(|out| it.encode(out))),
        4 => command().prop_map(|it| encoded(|out| it.encode(out))),
        1 => vec(any::<u8>(), 0..6),
    ];
    (vec(piece, 0..20), 0usize..4).prop_map(|(pieces, cut)| {
        let mut bytes = pieces.concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    })
}

fn encoded(encode: impl Fn(&mut [u8]) -> Result<usize, Error>) -> Vec<u8> {
    let mut out = [0; MAX_RECORD];
    let len = encode(&mut out).unwrap();
    out[..len].to_vec()
}

proptest! {
    #[test]
    fn a_row_of_records_comes_back_as_it_was(records in vec(record(), 0..24)) {
        let mut payload = Payload::new();
        let kept: Vec<Record> =
            records.into_iter().take_while(|record| record.append(&mut payload).is_ok()).collect();
        let mut decoded = Records::new(&payload);
        let found: Result<Vec<Record>, Error> = decoded.by_ref().collect();
        prop_assert_eq!(found, Ok(kept));
        prop_assert_eq!(decoded.stop(), None);
    }

    #[test]
    fn a_row_of_commands_comes_back_as_it_was(commands in vec(command(), 0..40)) {
        let mut payload = Payload::new();
        for command in &commands {
            command.append(&mut payload).unwrap();
        }
        let found: Result<Vec<Command>, Error> = Commands::new(&payload).collect();
        prop_assert_eq!(found, Ok(commands));
    }

    #[test]
    fn an_answer_is_read_as_the_command_that_it_answers(command in command()) {
        let answer = encoded(|out| command.encode_answer(out));
        let found: Vec<_> = Records::new(&answer).collect();
        match command {
            Command::Switch { .. } => prop_assert!(found.is_empty()),
            _ => prop_assert_eq!(found, vec![Ok(Record::Answer(command))]),
        }
    }

    #[test]
    fn nothing_is_written_beyond_the_room_given(record in record(), room in 0usize..12) {
        let full = encoded(|out| record.encode(out));
        let mut out = [0xa5; 12];
        match record.encode(&mut out[..room]) {
            Ok(len) => {
                prop_assert!(len <= room);
                prop_assert_eq!(&out[..len], &full[..]);
                prop_assert!(out[len..].iter().all(|&byte| byte == 0xa5));
            }
            Err(error) => {
                prop_assert_eq!(error, Error::NoRoom { needed: full.len(), free: room });
                prop_assert!(room < full.len());
                prop_assert_eq!(out, [0xa5; 12]);
            }
        }
    }

    #[test]
    fn every_byte_is_read_or_told_as_dropped(bytes in bytes(), up in any::<bool>()) {
        let direction = if up { Direction::Uplink } else { Direction::Downlink };
        let mut views = Views::new(direction, &bytes);
        let mut joined = Vec::new();
        for view in views.by_ref() {
            prop_assert!((3..=MAX_RECORD).contains(&view.bytes().len()));
            prop_assert!(view.bytes().ends_with(view.data()));
            joined.extend_from_slice(view.bytes());
        }
        prop_assert_eq!(views.stop().map_or(0, |stop| stop.dropped), views.rest().len());
        prop_assert_eq!(views.stop().is_some(), !views.rest().is_empty());
        joined.extend_from_slice(views.rest());
        prop_assert_eq!(joined, bytes);
    }

    #[test]
    fn what_is_read_from_any_bytes_can_be_written_again(bytes in bytes()) {
        for record in Records::new(&bytes).flatten() {
            let again = encoded(|out| record.encode(out));
            prop_assert_eq!(Records::new(&again).next(), Some(Ok(record)));
        }
        for command in Commands::new(&bytes).flatten() {
            let again = encoded(|out| command.encode(out));
            prop_assert_eq!(Commands::new(&again).next(), Some(Ok(command)));
        }
    }

    #[test]
    fn no_bytes_stop_the_readers(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Records::new(&bytes).count() + Commands::new(&bytes).count();
        let _ = Report::decode(&bytes);
        let _ = split(&bytes, 11).map(Iterator::count);
    }

    #[test]
    fn pieces_make_the_whole_and_none_is_too_long(
        records in vec(record(), 0..24),
        max in 1usize..=MAX_PAYLOAD,
    ) {
        let mut payload = Payload::new();
        let lens: Vec<usize> = records
            .iter()
            .map_while(|record| record.append(&mut payload).ok().map(|()| encoded(|out| record.encode(out)).len()))
            .collect();
        match split(&payload, max) {
            Ok(pieces) => {
                let pieces: Vec<&[u8]> = pieces.collect();
                prop_assert_eq!(pieces.concat(), payload.to_vec());
                prop_assert!(pieces.iter().all(|piece| (1..=max).contains(&piece.len())));
                // Each piece is whole records, and the first record of the next would not have fitted.
                for piece in &pieces {
                    let mut views = Views::new(Direction::Uplink, piece);
                    prop_assert!(views.by_ref().count() > 0);
                    prop_assert_eq!(views.stop(), None);
                }
                for pair in pieces.windows(2) {
                    let next = Views::new(Direction::Uplink, pair[1]).next().unwrap();
                    prop_assert!(pair[0].len() + next.bytes().len() > max);
                }
            }
            Err(Error::RecordTooLong { at, len, max: told }) => {
                let first = lens.iter().position(|&len| len > max).unwrap();
                prop_assert_eq!((len, told), (lens[first], max));
                prop_assert_eq!(at, lens[..first].iter().sum::<usize>());
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn a_report_that_the_wire_can_hold_comes_back_as_it_was(
        on in any::<bool>(), factor in 0u8..=100, current in any::<u16>(), voltage in any::<u16>(),
        energy in any::<u32>(), power in any::<u32>(),
    ) {
        let report = Report {
            on,
            power_factor_percent: factor,
            current_ma: current.into(),
            voltage_dv: voltage.into(),
            energy_wh: energy.into(),
            active_power_w: power,
        };
        let mut out = [0; Report::LEN];
        prop_assert_eq!(report.encode(&mut out), Ok(Report::LEN));
        prop_assert_eq!(Report::decode(&out), Some(report));
    }
}
