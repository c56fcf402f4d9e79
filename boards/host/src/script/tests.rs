use proptest::prelude::*;

use super::*;

fn check(line: &str, when: When, stimulus: Stimulus) {
    let schedule = Schedule::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(schedule.entries, [Entry { when, stimulus }], "{line}");
}

fn check_wrong(text: &str, message: &str) {
    let error = Schedule::parse(text).expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn every_line_of_the_command_line_page_is_understood() {
    use Stimulus::*;
    let at = When::At;
    check("at 10s  press                        # press and release", at(10_000), Press);
    check("at 20s  hold 11s", at(20_000), Hold { ms: 11_000 });
    check("at 30s  load 2300W pf 0.95", at(30_000), Load { power_mw: 2_300_000, power_factor_permille: 950 });
    check("at 30s  load 0W", at(30_000), Load { power_mw: 0, power_factor_permille: 1_000 });
    check("at 40s  inrush 10x 100ms", at(40_000), Inrush { factor_permille: 10_000, ms: 100 });
    check("at 50s  voltage 207V", at(50_000), Voltage { mv: 207_000 });
    let payload = vec![0x08, 0x01, 0x00, 0xff];
    check(
        "at 60s  downlink 85 080100ff",
        at(60_000),
        Downlink { port: 85, payload: payload.clone(), confirmed: false },
    );
    check(
        "at 60s  downlink 85 080100FF confirmed",
        at(60_000),
        Downlink { port: 85, payload, confirmed: true },
    );
    let payload = vec![0x08, 0x00, 0x00, 0xff];
    check("at 70s  multicast 1 85 080000ff", at(70_000), Multicast { group: 1, port: 85, payload });
    check("at 80s  d2d 1510", at(80_000), D2d { command: [0x15, 0x10] });
    check("at 90s  gateway off", at(90_000), Gateway(false));
    check("at 90s  gateway on", at(90_000), Gateway(true));
    check("at 2m   power off", at(120_000), Power(false));
    check("at 2m   power on", at(120_000), Power(true));
    check("at 3m   nfc write settings.json", at(180_000), NfcWrite { path: "settings.json".into() });
    check(
        "at 3m   nfc write my settings.json  # with a blank",
        at(180_000),
        NfcWrite { path: "my settings.json".into() },
    );
    check("at 3m   nfc read", at(180_000), NfcRead);
    check("every 60s press                      # repeats", When::Every(60_000), Press);
}

#[test]
fn durations_have_units_and_whole_milliseconds() {
    let good = [
        ("250ms", 250),
        ("10s", 10_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
    ];
    for (text, ms) in good {
        assert_eq!(parse_duration(text), Ok(ms), "{text}");
    }
    for text in [
        "",
        "10",
        "s",
        "-1s",
        "1e3s",
        "10 s",
        "0.5ms",
        "1.2345s",
        "1.s",
        ".5s",
        "99999999999999999999d",
        "18446744073709551615d",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn an_error_names_line_column_what_was_expected_and_what_stood_there() {
    check_wrong(
        "at 10 press",
        "line 1, column 4: expected a duration such as 250ms, 10s, 5m, 2h or 1d, found `10`",
    );
    check_wrong("\n# fine\n  press", "line 3, column 3: expected `at` or `every`, found `press`");
    check_wrong(
        "at 10s jump",
        "line 1, column 8: expected press, hold, load, inrush, voltage, downlink, multicast, d2d, gateway, power or nfc, found `jump`",
    );
    check_wrong(
        "at 10s",
        "line 1, column 8: expected press, hold, load, inrush, voltage, downlink, multicast, d2d, gateway, power or nfc, found the end of the line",
    );
    check_wrong("at 1s press twice", "line 1, column 13: expected the end of the line, found `twice`");
    check_wrong(
        "at 1s load 2300",
        "line 1, column 12: expected a power such as 2300W, up to 100000W, found `2300`",
    );
    check_wrong(
        "at 1s load 100001W",
        "line 1, column 12: expected a power such as 2300W, up to 100000W, found `100001W`",
    );
    check_wrong(
        "at 1s load 1W pf 1.1",
        "line 1, column 18: expected a power factor from 0.001 to 1, found `1.1`",
    );
    check_wrong(
        "at 1s load 1W pf 0",
        "line 1, column 18: expected a power factor from 0.001 to 1, found `0`",
    );
    check_wrong(
        "at 1s inrush 0x 1s",
        "line 1, column 14: expected a factor such as 10x, from 1x to 1000x, found `0x`",
    );
    check_wrong(
        "at 1s voltage 230",
        "line 1, column 15: expected a voltage such as 207V, up to 1000V, found `230`",
    );
    check_wrong("at 1s downlink 256 00", "line 1, column 16: expected a port, 0 to 255, found `256`");
    check_wrong(
        "at 1s downlink 85 080",
        "line 1, column 19: expected a payload of 1 to 242 bytes in hex such as 080100ff, found `080`",
    );
    check_wrong("at 1s downlink 85 00 sure", "line 1, column 22: expected the end of the line, found `sure`");
    check_wrong(
        "at 1s multicast 5 85 00",
        "line 1, column 17: expected a multicast group, 1 to 4, found `5`",
    );
    check_wrong(
        "at 1s d2d 15",
        "line 1, column 11: expected a command of four hex digits such as 1510, found `15`",
    );
    check_wrong("at 1s gateway up", "line 1, column 15: expected `on` or `off`, found `up`");
    check_wrong("at 1s nfc", "line 1, column 11: expected `read` or `write FILE`, found the end of the line");
    check_wrong(
        "at 1s nfc write # nothing",
        "line 1, column 17: expected the settings file to write, found the end of the line",
    );
    check_wrong("every 0s press", "line 1, column 7: expected a period above 0, found `0s`");
    check_wrong("ät 1s press", "line 1, column 1: expected `at` or `every`, found `ät`");
    check_wrong(
        "at 1s downlink 85 ää",
        "line 1, column 19: expected a payload of 1 to 242 bytes in hex such as 080100ff, found `ää`",
    );
}

#[test]
fn a_payload_is_as_long_as_a_frame_can_carry() {
    let line = |bytes: usize| format!("at 1s downlink 85 {}", "00".repeat(bytes));
    assert!(Schedule::parse(&line(242)).is_ok());
    assert!(Schedule::parse(&line(243)).is_err());
}

#[test]
fn blank_lines_comments_and_foreign_line_ends_say_nothing() {
    let schedule = Schedule::parse("\r\n  # only a comment\r\n\t\r\nat 1s press\r\n").unwrap();
    assert_eq!(schedule.entries, [Entry { when: When::At(1_000), stimulus: Stimulus::Press }]);
}

#[test]
fn a_command_is_typed_without_a_time() {
    assert_eq!(parse_command("gateway off"), Ok(Stimulus::Gateway(false)));
    assert_eq!(parse_command("at 1s press").map_err(|error| error.column), Err(1));
    assert!(parse_command("").is_err());
}

#[test]
fn stimuli_come_in_order_of_time_and_then_of_lines() {
    let text = "at 20s gateway off\nevery 10s press\nat 5s power off\nat 20s gateway on\n";
    let schedule = Schedule::parse(text).unwrap();
    let mut queue = schedule.queue();
    assert_eq!(queue.next_ms(), Some(5_000));
    let seen: Vec<_> = queue.by_ref().take(6).map(|(ms, stimulus)| format!("{ms} {stimulus}")).collect();
    let expected = [
        "5000 power off",
        "10000 press",
        "20000 gateway off",
        "20000 press",
        "20000 gateway on",
        "30000 press",
    ];
    assert_eq!(seen, expected);
    assert_eq!(queue.next_ms(), Some(40_000));
}

#[test]
fn a_period_past_the_end_of_time_ends() {
    let schedule =
        Schedule { entries: vec![Entry { when: When::Every(u64::MAX), stimulus: Stimulus::Press }] };
    assert_eq!(schedule.queue().count(), 1);
}

fn any_stimulus() -> impl Strategy<Value = Stimulus> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..=MAX_PAYLOAD);
    let duration = || 0..=1_000_000_000_000_u64;
    prop_oneof![
        Just(Stimulus::Press),
        duration().prop_map(|ms| Stimulus::Hold { ms }),
        (0..=100_000_000_u32, 1..=1_000_u32)
            .prop_map(|(power_mw, power_factor_permille)| Stimulus::Load { power_mw, power_factor_permille }),
        (1_000..=1_000_000_u32, duration())
            .prop_map(|(factor_permille, ms)| Stimulus::Inrush { factor_permille, ms }),
        (0..=1_000_000_u32).prop_map(|mv| Stimulus::Voltage { mv }),
        (any::<u8>(), bytes(), any::<bool>()).prop_map(|(port, payload, confirmed)| Stimulus::Downlink {
            port,
            payload,
            confirmed
        }),
        (1..=4_u8, any::<u8>(), bytes()).prop_map(|(group, port, payload)| Stimulus::Multicast {
            group,
            port,
            payload
        }),
        any::<[u8; 2]>().prop_map(|command| Stimulus::D2d { command }),
        any::<bool>().prop_map(Stimulus::Gateway),
        any::<bool>().prop_map(Stimulus::Power),
        "[a-z/.]([a-z ]{0,9}[a-z])?".prop_map(|path| Stimulus::NfcWrite { path }),
        Just(Stimulus::NfcRead),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let when = prop_oneof![
        (0..=1_000_000_000_000_u64).prop_map(When::At),
        (1..=1_000_000_000_000_u64).prop_map(When::Every),
    ];
    (when, any_stimulus()).prop_map(|(when, stimulus)| Entry { when, stimulus })
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_as_the_same(entries in prop::collection::vec(any_entry(), 0..8)) {
        let schedule = Schedule { entries };
        prop_assert_eq!(Schedule::parse(&schedule.to_string()), Ok(schedule));
    }

    #[test]
    fn no_text_panics_and_an_error_points_into_it(text in any::<String>()) {
        if let Err(error) = Schedule::parse(&text) {
            let line = text.lines().nth(error.line - 1).expect("a line of the text");
            prop_assert!((1..=line.chars().count() + 2).contains(&error.column));
        }
    }

    #[test]
    fn no_nearly_right_text_panics(text in "((at|every|[äx]) [0-9.]{0,25}(ms|s|m|h|d)? (press|hold|load|inrush|voltage|downlink|multicast|d2d|gateway|power|nfc|pf)? ?[0-9a-fäWVx. ]{0,40}\n?){0,4}") {
        let _ = Schedule::parse(&text);
    }

    #[test]
    fn a_queue_never_goes_back_in_time(entries in prop::collection::vec(any_entry(), 0..8)) {
        let schedule = Schedule { entries };
        let times: Vec<u64> = schedule.queue().take(50).map(|(ms, _)| ms).collect();
        prop_assert!(times.is_sorted());
    }
}

#[test]
fn a_script_is_utf8_with_or_without_a_mark_and_with_any_line_ends() {
    let plain = Schedule::parse("at 10s press\nat 20s hold 1s\n").unwrap();
    assert_eq!(Schedule::from_bytes(b"\xEF\xBB\xBFat 10s press\r\nat 20s hold 1s"), Ok(plain));
    for (bytes, line, column, found) in [
        (&b"\xFF"[..], 1, 1, "`\\xff`"),
        (b"at 10s press # \xC3\xA4\n  at \xFF", 2, 6, "`\\xff`"),
        (b"at 10s press\n\xE2\x82", 2, 1, "`\\xe2`"),
    ] {
        let error = Schedule::from_bytes(bytes).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{error}");
        assert!(error.to_string().ends_with(&format!("expected UTF-8 text, found {found}")), "{error}");
    }
}

#[test]
fn an_error_does_not_move_the_cursor_of_the_terminal_that_shows_it() {
    let error = Schedule::parse("at 10s \u{1b}[2Jdance\u{7}").unwrap_err().to_string();
    assert!(error.ends_with(r"found `\u{1b}[2Jdance\u{7}`"), "{error}");
}
