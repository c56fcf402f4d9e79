//! Golden vectors: the bytes of the guide, and of the vendor's published codec where the guide is silent.

use sockeye_protocol::downlink::{Command, Commands};
use sockeye_protocol::uplink::{Class, Record, Records};
use sockeye_protocol::wire::{Reason, Stop};
use sockeye_protocol::{BasicInformation, Error, MAX_PAYLOAD, Payload, Report, split};

/// Reads hexadecimal digits; spaces are for people.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut payload = Payload::new();
    for record in records {
        record.append(&mut payload).unwrap();
    }
    payload.to_vec()
}

/// Checks that the bytes mean the records, and that the records make the bytes.
fn check_uplink(bytes: &str, records: &[Record]) {
    let bytes = hex(bytes);
    let mut decoded = Records::new(&bytes);
    let found: Vec<Record> = decoded.by_ref().map(Result::unwrap).collect();
    assert_eq!(found, records);
    assert_eq!(decoded.stop(), None);
    assert_eq!(encode(records), bytes);
}

fn check_command(bytes: &str, command: Command, answer: &str) {
    let bytes = hex(bytes);
    let mut commands = Commands::new(&bytes);
    assert_eq!(commands.next(), Some(Ok(command)));
    assert_eq!(commands.next(), None);
    assert_eq!(commands.stop(), None);
    let mut payload = Payload::new();
    command.append(&mut payload).unwrap();
    assert_eq!(payload.to_vec(), bytes, "{command:?}");
    payload.clear();
    command.append_answer(&mut payload).unwrap();
    assert_eq!(payload.to_vec(), hex(answer), "{command:?}");
}

#[test]
fn the_basic_information_of_the_guide_reads_and_writes() {
    check_uplink(
        "ff0101 ff166148b13783621055 ff090100 ff0a0103 ff24010a ff30010a ff250080 ff2601",
        &[
            Record::ProtocolVersion(1),
            Record::SerialNumber([0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55]),
            Record::HardwareVersion([1, 0]),
            Record::SoftwareVersion([1, 3]),
            Record::OvercurrentAlarm { enabled: true, current_a: 10 },
            Record::OvercurrentProtection { enabled: true, current_a: 10 },
            Record::ButtonLock { enabled: true, minutes: 0 },
            Record::PowerConsumption { enabled: true },
        ],
    );
}

#[test]
fn the_report_of_the_guide_reads_and_writes() {
    let bytes = "087001 058129 07c91200 0374f508 068305000000 048001000000";
    check_uplink(
        bytes,
        &[
            Record::SocketStatus { on: true },
            Record::PowerFactor { percent: 41 },
            Record::Current { current_ma: 18 },
            Record::Voltage { voltage_dv: 2293 },
            Record::Energy { energy_wh: 5 },
            Record::ActivePower { power_w: 1 },
        ],
    );
    let report = Report {
        on: true,
        power_factor_percent: 41,
        current_ma: 18,
        voltage_dv: 2293,
        energy_wh: 5,
        active_power_w: 1,
    };
    let mut out = [0; Report::LEN];
    assert_eq!(report.encode(&mut out), Ok(Report::LEN));
    assert_eq!(out.to_vec(), hex(bytes));
    assert_eq!(Report::decode(&out), Some(report));
}

#[test]
fn the_further_attributes_of_the_vendors_codec_read_and_write() {
    check_uplink(
        "ff0bff ff0101 ff090140 ff0a0114 ff0f02 fffe01 ffff0100",
        &[
            Record::PowerOn,
            Record::ProtocolVersion(1),
            Record::HardwareVersion([1, 0x40]),
            Record::SoftwareVersion([1, 0x14]),
            Record::Class(Class::C),
            Record::Reset(1),
            Record::TslVersion([1, 0]),
        ],
    );
    for (code, class) in [(0, Class::A), (1, Class::B), (2, Class::C), (3, Class::CToB)] {
        check_uplink(&format!("ff0f{code:02x}"), &[Record::Class(class)]);
    }
}

#[test]
fn the_outage_alert_of_the_guide_reads_and_writes() {
    check_uplink("ff3fff", &[Record::PowerOutage]);
}

#[test]
fn answers_of_the_vendors_codec_read_and_write() {
    check_uplink(
        "fe03b004 fe22003c0011 fe2300ff fe250a80",
        &[
            Record::Answer(Command::ReportingInterval { interval_s: 1200 }),
            Record::Answer(Command::AddDelayTask { id: 0, delay_s: 60, on: true }),
            Record::Answer(Command::DeleteDelayTask { id: 0 }),
            Record::Answer(Command::ButtonLock { enabled: true, minutes: 10 }),
        ],
    );
}

#[test]
fn an_answer_on_channel_ff_reads_where_no_attribute_has_its_type() {
    let answers = "ff03b004 ff10ff ff22003c0011 ff2300ff ff27ff ff28ff ff2cff ff2f00";
    let bytes = hex(answers);
    let mut records = Records::new(&bytes);
    assert!(records.by_ref().all(|record| matches!(record, Ok(Record::Answer(_)))));
    assert_eq!(records.stop(), None);
    for attribute in ["ff24010a", "ff250080", "ff2601", "ff30010a"] {
        let bytes = hex(attribute);
        assert!(!matches!(Records::new(&bytes).next(), Some(Ok(Record::Answer(_)))), "{attribute}");
    }
}

#[test]
fn an_uplink_that_ends_in_an_unknown_or_cut_record_says_where() {
    for (bytes, at, dropped, reason) in [
        ("0870015500", 3, 2, Reason::Unknown { channel: 0x55, kind: 0x00 }),
        ("087001 0683 0500", 3, 4, Reason::Truncated { needed: 6 }),
    ] {
        let bytes = hex(bytes);
        let mut records = Records::new(&bytes);
        assert_eq!(records.by_ref().count(), 1);
        assert_eq!(records.stop(), Some(Stop { at, dropped, reason }));
    }
}

#[test]
fn every_command_reads_and_writes_and_has_its_answer() {
    let task = |on| Command::AddDelayTask { id: 0, delay_s: 60, on };
    let alarm = |enabled, current_a| Command::OvercurrentAlarm { enabled, current_a };
    let protection = |enabled, current_a| Command::OvercurrentProtection { enabled, current_a };
    for (bytes, command, answer) in [
        ("080100ff", Command::Switch { on: true }, ""),
        ("080000ff", Command::Switch { on: false }, ""),
        ("ff03b004", Command::ReportingInterval { interval_s: 1200 }, "fe03b004"),
        ("ff10ff", Command::Reboot, "fe10ff"),
        ("ff22003c0011", task(true), "fe22003c0011"),
        ("ff22003c0010", task(false), "fe22003c0010"),
        ("ff2300ff", Command::DeleteDelayTask { id: 0 }, "fe2300ff"),
        ("ff24010a", alarm(true, 10), "fe24010a"),
        ("ff240010", alarm(false, 16), "fe240010"),
        ("ff250080", Command::ButtonLock { enabled: true, minutes: 0 }, "fe250080"),
        ("ff250a80", Command::ButtonLock { enabled: true, minutes: 10 }, "fe250a80"),
        ("ff25ffff", Command::ButtonLock { enabled: true, minutes: 32_767 }, "fe25ffff"),
        ("ff250000", Command::ButtonLock { enabled: false, minutes: 0 }, "fe250000"),
        ("ff2601", Command::PowerConsumption { enabled: true }, "fe2601"),
        ("ff27ff", Command::ResetPowerConsumption, "fe27ff"),
        ("ff28ff", Command::EnquireElectricalStatus, "fe28ff"),
        ("ff2cff", Command::ReportAttributes, "fe2cff"),
        ("ff2f00", Command::Led { enabled: false }, "fe2f00"),
        ("ff30010a", protection(true, 10), "fe30010a"),
    ] {
        check_command(bytes, command, answer);
    }
}

#[test]
fn the_trailer_of_a_switch_command_does_not_matter() {
    for trailer in ["00ff", "ffff", "0000", "1234"] {
        for (state, on) in [("00", false), ("01", true)] {
            let bytes = hex(&format!("08{state}{trailer}"));
            assert_eq!(Commands::new(&bytes).next(), Some(Ok(Command::Switch { on })));
        }
    }
}

#[test]
fn a_reserved_byte_does_not_matter() {
    for (kind, command) in [
        (0x10, Command::Reboot),
        (0x27, Command::ResetPowerConsumption),
        (0x28, Command::EnquireElectricalStatus),
        (0x2c, Command::ReportAttributes),
    ] {
        for value in 0..=255 {
            assert_eq!(Commands::new(&[0xff, kind, value]).next(), Some(Ok(command)));
        }
    }
}

#[test]
fn the_high_nibble_of_a_delay_task_is_a_mask() {
    for high in 0..16 {
        let bytes = [0xff, 0x22, 7, 0x2c, 0x01, high << 4 | 1];
        let task = Command::AddDelayTask { id: 7, delay_s: 300, on: true };
        assert_eq!(Commands::new(&bytes).next(), Some(Ok(task)));
    }
}

#[test]
fn minutes_beyond_15_bits_never_touch_the_lock_itself() {
    let mut out = [0; 4];
    Command::ButtonLock { enabled: false, minutes: 0x800a }.encode(&mut out).unwrap();
    assert_eq!(out.to_vec(), hex("ff250a00"));
    Record::ButtonLock { enabled: false, minutes: 0xffff }.encode(&mut out).unwrap();
    assert_eq!(out.to_vec(), hex("ff25ff7f"));
}

#[test]
fn a_value_without_meaning_passes_over_its_command_only() {
    for (bytes, channel, kind, value) in [
        ("080200ff", 0x08, None, 0x02),
        ("08ff00ff", 0x08, None, 0xff),
        ("ff22003c0012", 0xff, Some(0x22), 0x12),
        ("ff24020a", 0xff, Some(0x24), 0x02),
        ("ff2602", 0xff, Some(0x26), 0x02),
        ("ff2fff", 0xff, Some(0x2f), 0xff),
        ("ff30800a", 0xff, Some(0x30), 0x80),
    ] {
        let bytes = hex(&format!("{bytes} 080100ff"));
        let mut commands = Commands::new(&bytes);
        assert_eq!(commands.next(), Some(Err(Error::BadValue { channel, kind, value })));
        assert_eq!(commands.next(), Some(Ok(Command::Switch { on: true })));
        assert_eq!(commands.next(), None);
        assert_eq!(commands.stop(), None);
    }
    for (bytes, kind, value) in [("ff0f04", 0x0f, 4), ("ff2402ff", 0x24, 2), ("ff26ff", 0x26, 0xff)] {
        let bytes = hex(bytes);
        let bad = Error::BadValue { channel: 0xff, kind: Some(kind), value };
        assert_eq!(Records::new(&bytes).next(), Some(Err(bad)));
    }
}

fn check_stop(bytes: &str, obeyed: usize, stop: Stop) {
    let bytes = hex(bytes);
    let mut commands = Commands::new(&bytes);
    assert_eq!(commands.by_ref().count(), obeyed);
    assert_eq!(commands.stop(), Some(stop));
    assert_eq!(commands.next(), None, "nothing comes after a stop");
}

#[test]
fn commands_run_up_to_the_first_unknown_or_truncated_one_and_the_rest_is_told() {
    let unknown = |channel, kind| Reason::Unknown { channel, kind };
    let truncated = |needed| Reason::Truncated { needed };
    for (bytes, obeyed, at, dropped, reason) in [
        ("ff", 0, 0, 1, truncated(2)),
        ("08", 0, 0, 1, truncated(4)),
        ("0801", 0, 0, 2, truncated(4)),
        ("080100", 0, 0, 3, truncated(4)),
        ("ff03", 0, 0, 2, truncated(4)),
        ("ff03b0", 0, 0, 3, truncated(4)),
        ("080100ff ff22003c00", 1, 4, 5, truncated(6)),
        ("080100ff ff9900 080000ff", 1, 4, 7, unknown(0xff, 0x99)),
        ("0870", 0, 0, 2, truncated(4)),
        ("ff0101", 0, 0, 3, unknown(0xff, 0x01)),
        ("fe03b004", 0, 0, 4, unknown(0xfe, 0x03)),
        ("0000", 0, 0, 2, unknown(0, 0)),
    ] {
        check_stop(bytes, obeyed, Stop { at, dropped, reason });
    }
}

#[test]
fn an_empty_payload_has_no_records_and_no_fault() {
    let mut commands = Commands::new(&[]);
    assert_eq!(commands.next(), None);
    assert_eq!(commands.stop(), None);
    assert_eq!(split(&[], 1).map(Iterator::count), Ok(0));
}

fn basic(power_on: bool) -> BasicInformation {
    BasicInformation {
        power_on,
        serial_number: [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55],
        hardware_version: [1, 0x20],
        software_version: [1, 3],
        overcurrent_alarm: (true, 10),
        overcurrent_protection: (false, 16),
        button_lock: (true, 0),
        power_consumption: true,
    }
}

#[test]
fn the_basic_information_keeps_its_order_and_tells_a_power_up_once() {
    let rest = "ff0101 ff166148b13783621055 ff090120 ff0a0103 ff0f02 ff24010a ff300010 ff250080 ff2601";
    let mut out = [0; BasicInformation::MAX_LEN];
    assert_eq!(basic(true).encode(&mut out), Ok(BasicInformation::MAX_LEN));
    assert_eq!(out.to_vec(), hex(&format!("ff0bff {rest}")));
    let len = basic(false).encode(&mut out).unwrap();
    assert_eq!(out[..len].to_vec(), hex(rest));
}

#[test]
fn a_report_saturates_to_the_width_of_the_wire() {
    let report = Report {
        on: false,
        power_factor_percent: 255,
        current_ma: 65_536,
        voltage_dv: u32::MAX,
        energy_wh: 1 << 32,
        active_power_w: u32::MAX,
    };
    let mut out = [0; Report::LEN];
    report.encode(&mut out).unwrap();
    assert_eq!(out.to_vec(), hex("087000 058164 07c9ffff 0374ffff 0683ffffffff 0480ffffffff"));
}

#[test]
fn a_report_is_found_among_other_records_and_in_any_order() {
    let bytes = hex("ff0101 048002000000 058164 07c91200 0374f508 068305000000 087000 fe10ff");
    let report = Report::decode(&bytes).unwrap();
    assert!(!report.on);
    assert_eq!(report.active_power_w, 2);
    assert_eq!(Report::decode(&bytes[..20]), None, "a record is missing");
}

#[test]
fn a_buffer_too_short_is_told_and_left_alone() {
    let mut out = [0xaa; 3];
    let error = Command::Switch { on: true }.encode(&mut out);
    assert_eq!(error, Err(Error::NoRoom { needed: 4, free: 3 }));
    assert_eq!(out, [0xaa; 3]);
    let mut payload = Payload::from_slice(&[0; MAX_PAYLOAD - 2]).unwrap();
    assert_eq!(Record::PowerOn.append(&mut payload), Err(Error::NoRoom { needed: 3, free: 2 }));
    assert_eq!(payload.len(), MAX_PAYLOAD - 2);
}

fn check_split(max: usize, pieces: &[&str]) {
    let payload = hex("087001 058129 07c91200 0374f508 068305000000 048001000000");
    let found: Vec<Vec<u8>> = split(&payload, max).unwrap().map(<[u8]>::to_vec).collect();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| hex(piece)).collect();
    assert_eq!(found, pieces, "max {max}");
}

#[test]
fn a_report_is_split_between_records_in_order() {
    check_split(26, &["087001 058129 07c91200 0374f508 068305000000 048001000000"]);
    check_split(242, &["087001 058129 07c91200 0374f508 068305000000 048001000000"]);
    check_split(25, &["087001 058129 07c91200 0374f508 068305000000", "048001000000"]);
    // 11 bytes is the least of any data rate: US915 DR0.
    check_split(11, &["087001 058129 07c91200", "0374f508 068305000000", "048001000000"]);
    check_split(6, &["087001 058129", "07c91200", "0374f508", "068305000000", "048001000000"]);
}

#[test]
fn a_record_that_fits_no_frame_is_refused_and_not_cut() {
    let payload = hex("087001 058129 07c91200 0374f508 068305000000 048001000000");
    let error = split(&payload, 5).map(Iterator::count);
    assert_eq!(error, Err(Error::RecordTooLong { at: 14, len: 6, max: 5 }));
    assert_eq!(split(&payload, 0).map(Iterator::count), Err(Error::RecordTooLong { at: 0, len: 3, max: 0 }));
}

#[test]
fn what_is_no_row_of_records_is_not_split() {
    let stop = Stop { at: 3, dropped: 2, reason: Reason::Truncated { needed: 3 } };
    assert_eq!(split(&hex("087001 0581"), 242).map(Iterator::count), Err(Error::NotRecords(stop)));
}

#[test]
fn errors_are_sentences() {
    for (error, text) in [
        (Error::NoRoom { needed: 4, free: 3 }, "the record takes 4 bytes, 3 are free"),
        (
            Error::BadValue { channel: 0xff, kind: Some(0x26), value: 2 },
            "record ff26: the value 02 has no meaning",
        ),
        (Error::BadValue { channel: 8, kind: None, value: 2 }, "record 08: the value 02 has no meaning"),
        (
            Error::NotRecords(Stop {
                at: 4,
                dropped: 7,
                reason: Reason::Unknown { channel: 0xff, kind: 0x99 },
            }),
            "unknown record ff99 at byte 4",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
