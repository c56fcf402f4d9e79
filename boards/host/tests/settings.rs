//! Settings that only a settings file brings, on the whole socket: what they do to relay, LED and uplinks.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;

/// A joined socket that started with these fields of a settings file.
fn joined_with(name: &str, fields: &str) -> Bench {
    let file = std::env::temp_dir().join(format!("sockeye-{}-{name}.json", std::process::id()));
    std::fs::write(&file, format!(r#"{{ "model": "AU", "region": "EU868", {fields} }}"#)).unwrap();
    let bench = Bench::joined(&format!("--model AU --settings {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    bench
}

#[test]
fn when_power_is_restored_the_relay_stands_as_the_setting_says_and_after_a_reboot_as_it_was() {
    for (restore, was_on, after_cut) in [
        ("off", true, false),
        ("off", false, false),
        ("on", true, true),
        ("on", false, true),
        ("previous", true, true),
        ("previous", false, false),
    ] {
        let name = format!("{restore}-{was_on}");
        let mut bench = joined_with(&name, &format!(r#""general": {{ "power_restore": "{restore}" }}"#));
        let switch = if was_on { "downlink 85 080100ff" } else { "downlink 85 080000ff" };
        bench.act(switch).run(10_000).forget().act("downlink 85 ff10ff").run(20_000);
        let [(_, on, "power_up")] = bench.relay()[..] else { panic!("{name}: {:?}", bench.relay()) };
        assert_eq!(on, was_on, "{name}: after a reboot");
        // Switched once more, as the start with `off` or `on` may have changed it.
        bench.act(switch).run(10_000).act("power off").run(10_000).forget().act("power on").run(200);
        let [(_, on, "power_up")] = bench.relay()[..] else { panic!("{name}: {:?}", bench.relay()) };
        assert_eq!(on, after_cut, "{name}: after a power cut");
    }
}

#[test]
fn a_trip_lasts_through_a_reboot_a_power_cut_and_a_factory_reset() {
    let mut bench = Bench::joined("--model AU");
    // Until its uplinks are out: a gateway that sends hears nothing, and the other way round.
    bench.forget().act("load 2600W").run(30_000);
    assert!(matches!(bench.relay()[..], [(_, false, "protection")]), "{:?}", bench.relay());
    for act in ["downlink 85 ff10ff", "power off", "hold 11s"] {
        bench.forget().act(act).run(20_000).act("power on").run(60_000);
        assert!(matches!(bench.relay()[..], [(_, false, "power_up")]), "{act}: {:?}", bench.relay());
    }
}

#[test]
fn a_confirmed_uplink_without_an_answer_goes_once_more_as_the_same_frame() {
    let mut bench = joined_with("confirmed", r#""lorawan": { "confirmed": true }"#);
    bench.run(60_000).forget().act("downlink 85 ff28ff").run(30_000);
    assert!(!bench.counters().is_empty());
    let mut once = bench.counters();
    once.dedup();
    assert_eq!(once, bench.counters(), "answered, so sent once");
    bench.act("gateway off").run(1_000).forget().act("press").run(60_000);
    let [first, second] = bench.counters()[..] else { panic!("{:?}", bench.counters()) };
    assert_eq!(first, second);
    let confirmed = |event: &Event| matches!(event, Event::Uplink { confirmed: true, .. });
    let uplink = |event: &Event| matches!(event, Event::Uplink { .. });
    assert!(bench.events.iter().all(|(_, event)| confirmed(event) == uplink(event)));
    // The outage alert never is.
    bench.forget().act("power off").run(10_000);
    assert_eq!(bench.uplinks(), ["ff3fff"]);
    assert_eq!(bench.when(confirmed), None);
}

#[test]
fn a_dark_led_shows_nothing_but_the_factory_reset() {
    let mut bench = joined_with("dark", r#""general": { "led": false, "button_lock": { "enabled": true } }"#);
    bench.act("downlink 85 080000ff").run(10_000).act("downlink 85 080100ff").run(10_000);
    let lit = |bench: &Bench| {
        bench.events.iter().filter(|(_, event)| matches!(event, Event::Led { on: true })).count()
    };
    assert_eq!(lit(&bench), 0);
    // Behind the reset at 12 s the settings are the defaults, and the LED lights.
    bench.forget().act("hold 11s").run(12_010);
    assert_eq!(lit(&bench), 10);
    assert!(bench.when(|event| matches!(event, Event::Reboot { cause: "factory_reset" })).is_some());
}
