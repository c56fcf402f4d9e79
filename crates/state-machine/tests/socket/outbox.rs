//! The queue of uplinks: what goes first, what replaces what, what is dropped, how it is cut.

use proptest::prelude::*;
use sockeye_protocol::{MAX_PAYLOAD, Payload};
use sockeye_state_machine::{Frame, Outbox, Uplink, UplinkKind};

use crate::bench::{bytes, hex};

const REPORT: &str = "08700105812907c912000374f508068305000000048001000000";
const BASIC: &str = "ff0101ff166148b13783621055ff090100ff0a0103ff0f02ff24010aff30010aff250080ff2601";
const ROOM: usize = 512;

fn uplink(kind: UplinkKind, payload: &str) -> Uplink {
    Uplink { kind, payload: Payload::from_slice(&bytes(payload)).unwrap(), confirmed: true, port: 85 }
}

/// A report with this current.
fn report(current_ma: u8) -> Uplink {
    uplink(UplinkKind::Report, &format!("07c9{current_ma:02x}00"))
}

fn outbox(uplinks: impl IntoIterator<Item = Uplink>) -> Outbox {
    let mut outbox = Outbox::new();
    for uplink in uplinks {
        outbox.push(uplink);
    }
    outbox
}

/// Sends everything in frames of this size, and returns the payloads.
fn drain(outbox: &mut Outbox, max: usize) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(frame) = outbox.next(max) {
        frames.push(hex(&frame.bytes));
        outbox.sent();
    }
    frames
}

#[test]
fn what_is_urgent_goes_first() {
    use UplinkKind::{Alarm, Answer, BasicInformation, Outage, Report};
    let mut outbox = outbox([
        uplink(Report, REPORT),
        uplink(Answer, "fe2300ff"),
        uplink(BasicInformation, BASIC),
        uplink(Alarm, "07c90100"),
        uplink(Answer, "fe2600"),
        uplink(Outage, "ff3fff"),
        uplink(Alarm, "07c90200"),
    ]);
    let want = ["ff3fff", "07c90100", "07c90200", "fe2300ff", BASIC, "fe2600", REPORT];
    assert_eq!(drain(&mut outbox, 242), want);
    assert!(outbox.is_empty());
    assert_eq!(outbox.dropped(), 0);
}

#[test]
fn only_the_newest_report_waits_and_alarms_and_answers_all_do() {
    let mut outbox = outbox([
        report(1),
        uplink(UplinkKind::Alarm, "07c90a00"),
        report(2),
        uplink(UplinkKind::Alarm, "07c90b00"),
        uplink(UplinkKind::Answer, "fe2600"),
        uplink(UplinkKind::Answer, "fe2600"),
        report(3),
    ]);
    assert_eq!(drain(&mut outbox, 242), ["07c90a00", "07c90b00", "fe2600", "fe2600", "07c90300"]);
    assert_eq!(outbox.dropped(), 0, "a report that was replaced is not lost");
}

#[test]
fn a_newer_basic_information_replaces_one_that_waits_but_not_that_of_the_power_up() {
    let first = format!("ff0bff{BASIC}");
    let newer = BASIC.replace("ff2601", "ff2600");
    let mut outbox = outbox([
        uplink(UplinkKind::BasicInformation, &first),
        uplink(UplinkKind::BasicInformation, BASIC),
        uplink(UplinkKind::BasicInformation, &newer),
    ]);
    assert_eq!(drain(&mut outbox, 242), [first, newer]);
}

#[test]
fn the_outage_alert_is_unconfirmed_and_has_one_try() {
    let mut outbox = outbox([uplink(UplinkKind::Outage, "ff3fff"), report(1)]);
    let frame = outbox.next(242).unwrap();
    assert_eq!(
        frame,
        Frame {
            kind: UplinkKind::Outage,
            port: 85,
            confirmed: false,
            bytes: Payload::from_slice(&[0xff, 0x3f, 0xff]).unwrap()
        }
    );
    outbox.failed();
    assert_eq!(drain(&mut outbox, 242), ["07c90100"]);
    assert_eq!(outbox.dropped(), 1);
}

#[test]
fn asking_again_before_it_was_sent_gives_the_outage_alert_again() {
    let mut outbox = outbox([uplink(UplinkKind::Outage, "ff3fff")]);
    assert_eq!(outbox.next(242), outbox.next(242));
    assert_eq!(drain(&mut outbox, 242), ["ff3fff"]);
}

#[test]
fn a_long_uplink_is_cut_between_records_for_the_data_rate_of_the_moment() {
    let mut outbox = outbox([uplink(UplinkKind::Report, REPORT)]);
    let mut pieces = Vec::new();
    for max in [11, 11, 242] {
        pieces.push(hex(&outbox.next(max).unwrap().bytes));
        outbox.sent();
    }
    assert_eq!(pieces, ["08700105812907c91200", "0374f508068305000000", "048001000000"]);
    assert!(outbox.is_empty());
}

#[test]
fn a_piece_that_failed_is_cut_anew() {
    let mut outbox = outbox([uplink(UplinkKind::Report, REPORT)]);
    assert_eq!(hex(&outbox.next(6).unwrap().bytes), "087001058129");
    outbox.failed();
    assert_eq!(hex(&outbox.next(3).unwrap().bytes), "087001");
    outbox.sent();
    assert_eq!(drain(&mut outbox, 242), [&REPORT[6..]]);
}

#[test]
fn an_uplink_that_was_begun_goes_on_before_an_alarm_but_not_before_an_outage() {
    let mut outbox = outbox([uplink(UplinkKind::Report, REPORT)]);
    outbox.next(6);
    outbox.sent();
    outbox.push(uplink(UplinkKind::Alarm, "07c90a00"));
    outbox.push(uplink(UplinkKind::Outage, "ff3fff"));
    outbox.push(report(9));
    assert_eq!(drain(&mut outbox, 242), ["ff3fff", &REPORT[12..], "07c90a00", "07c90900"]);
}

#[test]
fn a_report_with_the_radio_stays_and_the_newest_of_those_behind_it_waits() {
    let mut outbox = outbox([report(1)]);
    outbox.next(242);
    outbox.push(report(2));
    outbox.push(report(3));
    outbox.sent();
    assert_eq!(drain(&mut outbox, 242), ["07c90300"]);
}

#[test]
fn a_report_that_came_back_gives_way_to_a_newer_one() {
    for failed in [false, true] {
        let mut outbox = outbox([report(1)]);
        outbox.next(242);
        outbox.push(report(2));
        if failed {
            outbox.failed();
        }
        assert_eq!(drain(&mut outbox, 242), ["07c90200"], "failed: {failed}");
    }
}

#[test]
fn what_has_no_record_that_fits_waits_and_lets_others_go() {
    let mut outbox = outbox([uplink(UplinkKind::Alarm, "ff166148b13783621055"), report(1)]);
    assert_eq!(outbox.next(0), None);
    assert_eq!(drain(&mut outbox, 9), ["07c90100"]);
    assert_eq!(drain(&mut outbox, 10), ["ff166148b13783621055"]);
}

#[test]
fn what_lies_before_a_record_that_does_not_fit_may_go() {
    let mut outbox = outbox([uplink(UplinkKind::BasicInformation, BASIC)]);
    assert_eq!(drain(&mut outbox, 8), ["ff0101"]);
    assert_eq!(drain(&mut outbox, 242), [&BASIC[6..]]);
}

#[test]
fn a_payload_that_is_no_row_of_records_goes_whole_or_waits() {
    let mut outbox = outbox([uplink(UplinkKind::Answer, "5501020304")]);
    assert_eq!(drain(&mut outbox, 4), [""; 0]);
    assert_eq!(drain(&mut outbox, 5), ["5501020304"]);
}

#[test]
fn the_oldest_goes_when_there_is_no_room_and_is_counted() {
    let answers: Vec<Uplink> =
        (0..15).map(|n| uplink(UplinkKind::Answer, &format!("fe03{n:02x}00"))).collect();
    let mut outbox = outbox(answers);
    let frames = drain(&mut outbox, 242);
    assert_eq!(frames.len(), 12);
    assert_eq!((frames[0].as_str(), frames[11].as_str()), ("fe030300", "fe030e00"));
    assert_eq!(outbox.dropped(), 3);
}

#[test]
fn what_is_with_the_radio_is_not_dropped_for_lack_of_room() {
    let long = "fe2300ff".repeat(60);
    let mut outbox = outbox([uplink(UplinkKind::Answer, &long), uplink(UplinkKind::Answer, "fe2600")]);
    assert_eq!(outbox.next(242).unwrap().bytes.len(), 240);
    outbox.push(uplink(UplinkKind::Answer, &long));
    outbox.push(uplink(UplinkKind::Answer, &"fe2301ff".repeat(60)));
    outbox.sent();
    assert_eq!(drain(&mut outbox, 242), ["fe2301ff".repeat(60)]);
}

#[derive(Clone, Debug)]
enum Step {
    Push(UplinkKind, usize),
    Next(usize),
    Sent,
    Failed,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(UplinkKind::Report),
        Just(UplinkKind::Alarm),
        Just(UplinkKind::Answer),
        Just(UplinkKind::BasicInformation),
        Just(UplinkKind::Outage),
    ];
    prop_oneof![
        4 => (kind, 1usize..=60).prop_map(|(kind, records)| Step::Push(kind, records)),
        4 => (0usize..=MAX_PAYLOAD).prop_map(Step::Next),
        3 => Just(Step::Sent),
        1 => Just(Step::Failed),
    ]
}

proptest! {
    /// Each uplink is a row of records that carry its number: what goes out of one is its records in order,
    /// none twice, none cut; kept kinds that are not counted as dropped all go out.
    #[test]
    fn records_go_out_in_order_once_and_whole(steps in proptest::collection::vec(step(), 1..80)) {
        let mut outbox = Outbox::new();
        let mut pushed: Vec<(UplinkKind, usize)> = Vec::new();
        // Records of each uplink that went out.
        let mut out = [0usize; 256];
        let mut on_air: Option<(usize, usize)> = None;
        for step in steps.into_iter().chain((0..1_000).flat_map(|_| [Step::Next(MAX_PAYLOAD), Step::Sent])) {
            match step {
                Step::Push(kind, records) => {
                    let number = pushed.len() as u8;
                    let record = [0xfe, 0x22, number, 0, 0, 0x10];
                    let records = if kind == UplinkKind::Outage { 1 } else { records.min(40) };
                    let payload = Payload::from_slice(&record.repeat(records)).unwrap();
                    outbox.push(Uplink { kind, payload, confirmed: true, port: 85 });
                    pushed.push((kind, records));
                }
                Step::Next(max) => {
                    on_air = None;
                    if let Some(frame) = outbox.next(max) {
                        prop_assert!(!frame.bytes.is_empty() && frame.bytes.len() <= max);
                        prop_assert_eq!(frame.bytes.len() % 6, 0);
                        let number = frame.bytes[2] as usize;
                        for record in frame.bytes.chunks(6) {
                            prop_assert_eq!(record, &[0xfe, 0x22, number as u8, 0, 0, 0x10]);
                        }
                        prop_assert_eq!(frame.kind, pushed[number].0);
                        on_air = Some((number, frame.bytes.len() / 6));
                    }
                }
                Step::Sent => {
                    outbox.sent();
                    if let Some((number, records)) = on_air.take() {
                        out[number] += records;
                        prop_assert!(out[number] <= pushed[number].1);
                    }
                }
                Step::Failed => {
                    outbox.failed();
                    on_air = None;
                }
            }
        }
        prop_assert!(outbox.is_empty());
        let kept = pushed.iter().enumerate().filter(|(_, (kind, _))| matches!(kind, UplinkKind::Alarm | UplinkKind::Answer));
        let lost = kept.filter(|(number, (_, records))| out[*number] != *records).count();
        prop_assert!(lost as u32 <= outbox.dropped(), "{} lost, {} counted", lost, outbox.dropped());
        let total: usize = pushed.iter().map(|(_, records)| records * 6).sum();
        prop_assert!(total > ROOM - MAX_PAYLOAD || pushed.len() > 12 || lost == 0);
    }
}
