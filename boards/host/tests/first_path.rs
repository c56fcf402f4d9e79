//! The first whole path: a socket joins, reports and obeys.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;

const BASIC_INFORMATION: &str =
    "ff0bffff0101ff1661483c3719439105ff090140ff0a0001ff0f02ff24010aff30010aff250000ff2601";

/// The run that the first issue asks for.
const SCRIPT: &str = "
at 40s   load 1500W
at 60s   downlink 85 080100ff
at 90s   press
at 120s  downlink 85 ff22003c0011
at 5m    downlink 85 ff03100e
at 30m   load 2600W
at 1803s load 0W
";

#[test]
fn the_run_of_the_first_issue_shows_the_guides_bytes_the_relay_and_the_trip() {
    let bench = Bench::script("--seed 1 --model AU", SCRIPT, 7_200_000);
    assert_eq!(bench.errors(), [""; 0]);
    let uplinks = bench.uplinks();
    assert_eq!(uplinks[0], BASIC_INFORMATION);
    assert!(uplinks[1].starts_with("087001"), "{}", uplinks[1]);
    for answer in ["fe22003c0011", "fe03100e"] {
        assert!(uplinks.iter().any(|uplink| uplink == answer), "no {answer} among {uplinks:?}");
    }
    assert_eq!(bench.downlinks(), ["080100ff", "ff22003c0011", "ff03100e"]);

    let causes: Vec<_> = bench.relay().iter().map(|(_, on, cause)| (*on, *cause)).collect();
    assert_eq!(
        causes,
        [(true, "power_up"), (false, "button"), (true, "delay_task"), (false, "protection")],
        "the downlink found the relay on already"
    );
    let delayed = bench.relay()[2].0;
    let set =
        bench.when(|event| matches!(event, Event::Downlink { payload, .. } if payload[1] == 0x22)).unwrap();
    assert_eq!(delayed - set, 60_000);

    // 2600 W at 230 V are 11.3 A: above the threshold of 10 A, below the hard limit of 13 A.
    let (tripped, current_ma) = bench
        .events
        .iter()
        .find_map(|(t_ms, event)| match event {
            Event::Trip { cause: "protection", current_ma } => Some((*t_ms, *current_ma)),
            _ => None,
        })
        .expect("no trip");
    assert!((1_801_000..=1_801_250).contains(&tripped), "tripped at {tripped}");
    assert!((11_200..=11_410).contains(&current_ma), "at {current_ma} mA");
    let causing = format!("07c9{}", bench::hex(&u16::try_from(current_ma).unwrap().to_le_bytes()));
    assert!(
        uplinks.iter().any(|uplink| uplink.starts_with("087000") && uplink.contains(&causing)),
        "no report with the relay off and the current that caused it: {uplinks:?}"
    );

    // The interval is one hour now: between half past and two hours there is one regular report.
    let regular = bench
        .events
        .iter()
        .filter(|(t_ms, event)| *t_ms > 1_900_000 && matches!(event, Event::Uplink { port: 85, .. }));
    assert_eq!(regular.count(), 1);
}

#[test]
fn a_setting_is_in_flash_before_its_answer_goes_out() {
    let mut bench = Bench::joined("");
    bench.forget().act("downlink 85 ff03100e").run(20_000);
    let stored =
        bench.when(|event| matches!(event, Event::Stored { record: "settings" })).expect("not stored");
    let answered = bench
        .when(
            |event| matches!(event, Event::Uplink { payload, .. } if payload[..] == [0xFE, 0x03, 0x10, 0x0E]),
        )
        .expect("no answer");
    assert!(stored <= answered, "stored at {stored}, answered at {answered}");
    let order: Vec<_> = bench.events.iter().map(|(_, event)| event).collect();
    let place = |is: &dyn Fn(&Event) -> bool| order.iter().position(|event| is(event));
    assert!(
        place(&|event| matches!(event, Event::Stored { record: "settings" }))
            < place(&|event| matches!(event, Event::Uplink { .. }))
    );
}

#[test]
fn a_report_comes_every_interval() {
    let mut bench = Bench::joined("");
    bench.run_to(100_000).forget().run(6 * 1_200_000);
    let times: Vec<_> = bench
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Uplink { port: 85, payload, .. } if payload[0] == 0x08))
        .map(|(t_ms, _)| *t_ms)
        .collect();
    assert_eq!(times.len(), 6);
    for pair in times.windows(2) {
        // An uplink is told at its end, and may go at another data rate than the last one.
        assert!((1_190_000..=1_210_000).contains(&(pair[1] - pair[0])), "{times:?}");
    }
}

#[test]
fn the_hard_limit_trips_though_alarm_and_protection_are_off() {
    let mut bench = Bench::joined("--model AU");
    bench.act("downlink 85 ff24000aff30000a").run(20_000);
    assert!(bench.uplinks().iter().any(|uplink| uplink == "fe24000afe30000a"), "{:?}", bench.uplinks());
    // 12.6 A: above the threshold, below 130 %.
    bench.forget().act("load 2900W").run(60_000);
    assert_eq!(bench.relay(), []);
    // 13.5 A.
    let over = bench.world.now_ms();
    bench.act("load 3105W").run(60_000);
    let [(tripped, false, "hard_limit")] = bench.relay()[..] else { panic!("{:?}", bench.relay()) };
    assert!((200..=450).contains(&(tripped - over)), "after {} ms", tripped - over);
    // It holds until somebody switches on.
    bench.forget().run(600_000);
    assert_eq!(bench.relay(), []);
    bench.act("load 100W").act("press").run(10_000);
    assert!(matches!(bench.relay()[..], [(_, true, "button")]), "{:?}", bench.relay());
}

#[test]
fn a_switch_on_current_of_ten_times_for_100_ms_does_not_trip() {
    let mut bench = Bench::joined("--model EU");
    bench.act("press").run(5_000);
    bench.forget().act("load 3600W").act("inrush 10x 100ms").act("press").run(60_000);
    assert!(matches!(bench.relay()[..], [(_, true, "button")]), "{:?}", bench.relay());
}

#[test]
fn after_a_power_cut_the_session_goes_on_without_a_join_and_no_counter_comes_twice() {
    let mut bench = Bench::joined("");
    bench.act("load 500W").run(4_000_000);
    for _ in 0..5 {
        bench.act("power off").run(10_000).act("power on").run(1_300_000);
    }
    let joins = bench.events.iter().filter(|(_, event)| matches!(event, Event::Joined { .. })).count();
    assert_eq!(joins, 1);
    let counters = bench.counters();
    let mut once = counters.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), counters.len(), "{counters:?}");
    assert!(counters.is_sorted(), "{counters:?}");
}

#[test]
fn after_a_power_cut_the_relay_stands_as_it_was_and_listens_at_once() {
    let mut bench = Bench::joined("");
    bench.act("press").run(5_000).act("power off").run(60_000).forget();
    let on_ms = bench.world.now_ms();
    bench.act("power on").run(200);
    assert!(matches!(bench.relay()[..], [(_, false, "power_up")]), "{:?}", bench.relay());
    // RXC is open before any uplink (MAC-CC-03); the frame takes 1.2 s at SF12.
    bench.act("downlink 85 080100ff").run(1_500);
    let [_, (obeyed, true, "downlink")] = bench.relay()[..] else { panic!("{:?}", bench.relay()) };
    assert!(obeyed - on_ms < 1_700);
    assert_eq!(bench.counters(), [0; 0], "it has sent before it obeyed");
}

#[test]
fn the_outage_is_told_alone_and_first_when_the_mains_goes() {
    let mut bench = Bench::joined("");
    bench.run(600_000).forget().act("power off").run(10_000);
    assert_eq!(bench.uplinks(), ["ff3fff"]);
    bench.act("power on").run(60_000);
    assert!(bench.uplinks()[1].starts_with("ff0bff"), "{:?}", bench.uplinks());
}

#[test]
fn a_reboot_by_downlink_is_answered_first_and_keeps_relay_and_delay_task() {
    let mut bench = Bench::joined("");
    bench.act("downlink 85 ff22003c0010").run(10_000).forget().act("downlink 85 ff10ff").run(30_000);
    assert!(bench.uplinks().iter().any(|uplink| uplink == "fe10ff"), "{:?}", bench.uplinks());
    assert!(bench.when(|event| matches!(event, Event::Reboot { cause: "downlink" })).is_some());
    assert!(matches!(bench.relay()[..], [(_, true, "power_up")]), "{:?}", bench.relay());
    bench.forget().run(60_000);
    assert!(matches!(bench.relay()[..], [(_, false, "delay_task")]), "{:?}", bench.relay());
}

#[test]
fn eleven_seconds_on_the_button_reset_to_factory_and_join_with_a_new_nonce() {
    let mut bench = Bench::joined("");
    bench.act("downlink 85 ff03100e").run(20_000);
    bench.forget().act("hold 11s").run(90_000);
    assert!(bench.when(|event| matches!(event, Event::Reboot { cause: "factory_reset" })).is_some());
    let nonce = bench.events.iter().find_map(|(_, event)| match event {
        Event::JoinRequest { dev_nonce, .. } => Some(*dev_nonce),
        _ => None,
    });
    assert!(nonce.is_some_and(|nonce| nonce > 0), "{nonce:?}");
    bench.forget().run(2 * 1_200_000);
    assert!(bench.uplinks().len() >= 2, "the interval is 20 minutes again: {:?}", bench.uplinks());
}

#[test]
fn a_confirmed_downlink_is_acknowledged_and_delivered_once() {
    let mut bench = Bench::joined("");
    bench.run(60_000).forget().act("downlink 85 080000ff confirmed").run(60_000);
    assert_eq!(bench.downlinks(), ["080000ff"]);
    let unacknowledged = {
        let dev_eui = bench.world.dev_eui(0).unwrap();
        bench.world.with_server(|_, server| server.unacknowledged(dev_eui))
    };
    assert_eq!(unacknowledged, 0);
}

#[test]
fn a_network_that_is_away_costs_nothing_but_its_frames() {
    let mut bench = Bench::joined("");
    bench.act("gateway off").run(1_500_000).act("gateway on").run(1_500_000);
    bench.forget().act("downlink 85 080000ff").run(10_000);
    assert!(matches!(bench.relay()[..], [(_, false, "downlink")]), "{:?}", bench.relay());
}

#[test]
fn a_run_is_the_same_each_time_and_another_with_another_seed() {
    let run = |seed: u64| Bench::script(&format!("--seed {seed} --model AU"), SCRIPT, 3_600_000).events;
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

/// Writes a settings file that ends with the test.
struct SettingsFile(std::path::PathBuf);

impl SettingsFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-{name}-{}.json", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn option(&self) -> String {
        format!("--settings {}", self.0.display())
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn confirmed_mode_sends_confirmed_frames_and_the_same_once_more_without_an_ack() {
    let file = SettingsFile::new(
        "confirmed",
        r#"{ "model": "EU", "region": "EU868", "lorawan": { "confirmed": true } }"#,
    );
    let mut bench = Bench::joined(&file.option());
    bench.run(60_000).forget().act("gateway off").act("press").run(120_000);
    let sent: Vec<_> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Uplink { confirmed: true, fcnt, payload, .. } => Some((*fcnt, payload.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn an_abp_device_sends_without_a_join_and_its_counters_outlive_power_cuts() {
    let file = SettingsFile::new(
        "abp",
        r#"{ "model": "EU", "region": "EU868", "lorawan": { "activation": "ABP" } }"#,
    );
    let mut bench = Bench::new(&file.option());
    bench.run(60_000);
    assert!(bench.uplinks()[0].starts_with("ff0bff"), "{:?}", bench.uplinks());
    bench.act("downlink 85 080000ff").run(20_000);
    for _ in 0..3 {
        bench.act("power off").run(10_000).act("power on").run(60_000);
    }
    assert!(bench.when(|event| matches!(event, Event::JoinRequest { .. })).is_none());
    assert_eq!(bench.downlinks(), ["080000ff"]);
    let counters = bench.counters();
    assert!(counters.windows(2).all(|pair| pair[0] < pair[1]), "{counters:?}");
}
