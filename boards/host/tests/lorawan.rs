//! Multicast, the channel plans and rejoin mode on the whole socket.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::{DownlinkKind, Event};
use sockeye_settings::template::{Secrets, to_json};
use sockeye_settings::{Identity, Key, Model, Region, Settings};
use sockeye_virtual_hardware::air::Modulation;

/// A settings file, and the command line that takes it.
fn file(name: &str, region: Region, change: impl FnOnce(&mut Settings)) -> String {
    let identity = Identity {
        sn: [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, 0x05],
        dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
        model: Model::Eu,
        app_key: Key::DEFAULT,
        hardware_version: [1, 0x40],
    };
    let mut settings = Settings::default_for(region, &identity);
    change(&mut settings);
    let path = std::env::temp_dir().join(format!("sockeye-lorawan-{}-{name}.json", std::process::id()));
    std::fs::write(&path, to_json(&settings, identity.model, Secrets::Include)).unwrap();
    format!("--settings {}", path.display())
}

fn groups_heard(bench: &Bench) -> Vec<(u32, String)> {
    let heard = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Downlink { kind: DownlinkKind::Multicast, fcnt, payload, .. } => {
            Some((*fcnt, bench::hex(payload)))
        }
        _ => None,
    });
    heard.collect()
}

#[test]
fn a_group_switches_the_relay_and_is_not_obeyed_again_after_a_power_cut() {
    let options = file("group", Region::Eu868, |settings| settings.multicast[1].enabled = true);
    let mut bench = Bench::joined(&options);
    bench.forget().act("multicast 2 85 080000ff").run(10_000);
    assert_eq!(groups_heard(&bench), [(0, "080000ff".to_string())]);
    assert_eq!(bench.relay().iter().map(|(_, on, _)| *on).collect::<Vec<_>>(), [false]);
    // Group 1 is off.
    bench.forget().act("multicast 1 85 080100ff").run(10_000);
    assert_eq!(groups_heard(&bench), []);
    bench.act("power off").run(5_000).act("power on").run(20_000);
    bench.forget().act("multicast 2 85 080100ff").run(10_000);
    assert_eq!(groups_heard(&bench), [(1, "080100ff".to_string())]);
    // What was recorded of the group is played back to a socket that has just lost its power again.
    bench.act("power off").run(5_000).act("power on").run(20_000).forget();
    let recorded = bench.world.with_server(|_, server| {
        let frames = server.sent_frames().map(|frame| frame.phy.clone());
        frames.filter(|phy| phy.get(1..5) == Some(&[0x22; 4])).collect::<Vec<_>>()
    });
    assert!(recorded.len() >= 2);
    for phy in recorded {
        bench.world.with_server(|now_us, server| server.inject(now_us, phy));
        bench.run(10_000);
    }
    assert_eq!(groups_heard(&bench), []);
    assert_eq!(bench.relay(), []);
}

#[test]
fn every_channel_plan_joins_reports_and_obeys() {
    for region in Region::ALL {
        let name = region.name();
        let mut bench = Bench::new(&format!("--region {name}"));
        // US915 and AU915 try nine places in turn; here the network hears all of them.
        bench.run_to(120_000);
        assert!(
            bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })),
            "{name} did not join"
        );
        bench.forget().act("downlink 85 080000ff").run(60_000);
        assert_eq!(bench.relay().iter().map(|(_, on, _)| *on).collect::<Vec<_>>(), [false], "{name}");
        assert!(!bench.uplinks().is_empty(), "{name} reports nothing");
    }
}

#[test]
fn a_socket_that_nobody_hears_joins_anew_and_works_on_meanwhile() {
    let options = file("rejoin", Region::Eu868, |settings| settings.lorawan.rejoin_packets = 2);
    let mut bench = Bench::joined(&options);
    bench.act("gateway off").run(40 * 60_000);
    let requests =
        bench.events.iter().filter(|(_, event)| matches!(event, Event::JoinRequest { .. })).count();
    assert!(requests > 1, "{requests} join requests, the first one of the start");
    bench.forget().act("press").run(5_000);
    assert_eq!(bench.relay().len(), 1, "the button works");
    bench.forget().act("gateway on").run(30 * 60_000);
    assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })));
    bench.forget().act("downlink 85 080100ff").run(60_000);
    assert_eq!(bench.relay().iter().map(|(_, on, _)| *on).collect::<Vec<_>>(), [true]);
    // With the network there, checks are answered and nothing is joined.
    bench.forget().run(2 * 3_600_000);
    assert!(!bench.events.iter().any(|(_, event)| matches!(event, Event::JoinRequest { .. })));
}

#[test]
fn mac_rejoin_01_a_reporting_interval_set_by_downlink_moves_the_checks_of_the_link() {
    let options = file("interval", Region::Eu868, |settings| {
        settings.general.reporting_interval_s = 64_800;
        settings.lorawan.rejoin_packets = 1;
    });
    // From 18 h to 1 min: checks come every half hour. Nobody hears them, so the socket joins anew.
    let joins = |bench: &mut Bench| {
        bench.act("gateway off").forget().run(40 * 60_000);
        bench.events.iter().filter(|(_, event)| matches!(event, Event::JoinRequest { .. })).count()
    };
    let mut bench = Bench::joined(&options);
    assert_eq!(joins(&mut bench), 0);
    let mut bench = Bench::joined(&options);
    bench.act("downlink 85 ff033c00").run(20_000);
    assert!(joins(&mut bench) > 0);
}

#[test]
fn mac_tx_02_reboots_by_downlink_do_not_lift_the_duty_cycle_nor_silence_the_socket() {
    let options = file("reboots", Region::Eu868, |settings| {
        settings.lorawan.adr = false;
        settings.lorawan.data_rate = 0;
        settings.general.reporting_interval_s = 60;
    });
    let mut bench = Bench::joined(&options);
    // What goes out in two hours, and the number of reboots.
    for _ in 0..60 {
        bench.act("downlink 85 ff10ff").run(120_000);
    }
    let reboots = bench.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. })).count();
    assert!(reboots >= 50, "{reboots} reboots");
    let sent: Vec<(u64, bool, u64)> = bench
        .events
        .iter()
        .filter_map(|(t_ms, event)| match event {
            Event::Uplink { payload, port, dr: 0, freq_hz, .. } => {
                let modulation = Modulation::downlink(*freq_hz, 12, 125_000);
                // MHDR, FHDR, MIC, and FPort where there is one; FOpts are not told.
                let len = 12 + payload.len() + usize::from(*port != 0);
                Some((*t_ms, *freq_hz < 868_000_000, modulation.airtime_us(len) / 1000))
            }
            _ => None,
        })
        .collect();
    // The plan's own channels share a band of 1 %, those of the network's list another one.
    for low in [false, true] {
        let used = |from_ms: u64| -> u64 {
            let hour = from_ms..from_ms + 3_600_000;
            sent.iter().filter(|(t, band, _)| *band == low && hour.contains(t)).map(|(.., ms)| ms).sum()
        };
        let most = sent.iter().map(|(from_ms, ..)| used(*from_ms)).max().unwrap();
        assert!((20_000..=36_000).contains(&most), "{most} ms in an hour");
    }
    // An hour later all is well: the next reboot does not cost the socket its voice.
    bench.run(3_600_000).forget().act("downlink 85 ff10ff").run(60_000);
    assert!(!bench.uplinks().is_empty(), "silent after a reboot");
}

#[test]
fn a_downlink_too_long_for_rxc_is_told_and_the_next_one_goes() {
    let mut bench = Bench::joined("");
    let long = bench::hex(&[0xFF; 52]);
    bench.forget().act(&format!("downlink 85 {long}")).act("downlink 85 080000ff").run(10_000);
    assert_eq!(bench.errors(), ["downlink: 52 bytes do not fit DR0, which carries 51; dropped"]);
    assert_eq!(bench.downlinks(), ["080000ff"]);
}

#[test]
fn commands_sent_in_one_go_are_all_heard_and_answered() {
    let mut bench = Bench::joined("");
    bench.forget();
    for command in ["080000ff", "080100ff", "080000ff", "080100ff", "080000ff"] {
        bench.act(&format!("downlink 85 {command}"));
    }
    bench.run(60_000);
    assert_eq!(bench.downlinks(), ["080000ff", "080100ff", "080000ff", "080100ff", "080000ff"]);
    let states: Vec<_> = bench.relay().iter().map(|(_, on, _)| *on).collect();
    assert_eq!(states, [false, true, false, true, false]);
}
