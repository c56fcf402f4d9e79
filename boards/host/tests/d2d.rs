//! Commands from device to device on the whole socket, from the air to the relay.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use embassy_futures::block_on;
use sockeye_d2d_agent::{Agent, Keys, Message, PERIOD_MS};
use sockeye_host::report::Event;
use sockeye_host::script::parse_command;
use sockeye_settings::template::{Secrets, to_json};
use sockeye_settings::{Action, ChannelSet, D2d, D2dCommand, Identity, Key, Model, Region, Settings};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::air::{Gateway, Modulation};
use sockeye_virtual_hardware::flash::{Cut, Flash, Stm32wl};

const ON: u16 = 0x1510;
const OFF: u16 = 0x1511;
const TOGGLE: u16 = 0x1512;
const UNKNOWN: u16 = 0x9999;
const KEY: [u8; 16] = [0x77; 16];

/// The command line for sockets with D2D enabled, three commands and a key of their own; RX2 is on SF9.
fn enabled(name: &str) -> String {
    enabled_and(name, |_| {})
}

/// The same, with further settings changed.
fn enabled_and(name: &str, change: impl FnOnce(&mut Settings)) -> String {
    let identity = Identity {
        sn: [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, 0x05],
        dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
        model: Model::Eu,
        app_key: Key::DEFAULT,
        hardware_version: [1, 0x40],
    };
    let mut settings = Settings::default_for(Region::Eu868, &identity);
    settings.lorawan.rx2_data_rate = 3;
    settings.d2d = D2d { enabled: true, key: Key::new(KEY), ..D2d::default() };
    for (code, action) in [(ON, Action::On), (OFF, Action::Off), (TOGGLE, Action::Toggle)] {
        settings.d2d.commands.push(D2dCommand { code, action }).unwrap();
    }
    change(&mut settings);
    let path = std::env::temp_dir().join(format!("sockeye-d2d-{}-{name}.json", std::process::id()));
    std::fs::write(&path, to_json(&settings, identity.model, Secrets::Include)).unwrap();
    format!("--settings {}", path.display())
}

/// A transmitter beside the socket, with or without the key.
struct Sender(Gateway);

impl Sender {
    fn beside(bench: &Bench) -> Self {
        Self(bench.world.medium().gateway())
    }

    /// Puts bytes on the air as D2D frames are, on RX2.
    fn send(&self, bytes: &[u8]) {
        self.0.send(Modulation::downlink(869_525_000, 9, 125_000), 14, bytes);
    }
}

fn frame(key: [u8; 16], sender: u32, counter: u32, command: u16) -> Vec<u8> {
    Message { sender, counter, command }.seal(&Keys::new(&key), &[]).unwrap().to_vec()
}

/// State and cause of each change of the relay.
fn relay(bench: &Bench) -> Vec<(bool, &'static str)> {
    bench.relay().iter().map(|(_, on, cause)| (*on, *cause)).collect()
}

fn d2d_errors(bench: &Bench) -> Vec<&str> {
    bench.errors().into_iter().filter(|what| what.starts_with("d2d")).collect()
}

#[test]
fn a_command_of_a_script_switches_the_relay_and_is_reported_within_2_s() {
    let mut bench = Bench::joined(&enabled("script"));
    bench.forget().act("d2d 1511").run(10_000);
    // 20 bytes at SF9 are 185 ms on the air; what follows is the flash.
    let [(off_ms, false, "d2d")] = bench.relay()[..] else { panic!("{:?}", bench.relay()) };
    assert!((60_185..60_250).contains(&off_ms), "{off_ms}");
    let reported = bench.when(|event| matches!(event, Event::Uplink { port: 85, .. })).unwrap();
    // The event stands at the frame's end, and a report at DR0 is 2.3 s on the air.
    assert!(reported - off_ms <= 2_000 + 2_400, "{}", reported - off_ms);
    assert_eq!(bench.uplinks().len(), 1);
    bench.forget().act("d2d 1512").run(10_000).act("d2d 1512").run(10_000).act("d2d 1510").run(10_000);
    assert_eq!(relay(&bench), [(true, "d2d"), (false, "d2d"), (true, "d2d")]);
    bench.forget().act("d2d 1510").run(10_000).act("d2d 9999").run(10_000);
    assert_eq!(relay(&bench), []);
    assert_eq!(d2d_errors(&bench), ["d2d: unknown command"]);
}

#[test]
fn by_default_the_agent_is_disabled() {
    let mut bench = Bench::joined("");
    let told = bench.world.apply(&parse_command("d2d 1511").unwrap()).unwrap_err();
    assert!(told.contains("enabled in its settings"), "{told}");
    bench.forget().run(10_000);
    // The frame was on the air: a neighbour's, of which nothing is told.
    assert_eq!((relay(&bench), bench.errors()), (vec![], vec![]));
}

#[test]
fn no_network_is_needed() {
    let mut bench = Bench::new(&enabled("alone"));
    bench.act("gateway off").run(5_000).forget().act("d2d 1511").run(1_000);
    assert_eq!(relay(&bench), [(false, "d2d")]);
    // Between the attempts to join, too: of one a minute or less, some come in the windows of a join-request.
    bench.run(600_000).forget();
    for _ in 0..20 {
        bench.act("d2d 1512").run(60_000);
    }
    assert!(relay(&bench).len() >= 15, "{}", relay(&bench).len());
    assert!(!bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })));
}

#[test]
fn commands_one_right_after_the_other_are_all_obeyed() {
    // Before the join, so that nothing is sent meanwhile: what is left is the flash, with its pages' turns.
    let mut bench = Bench::new(&enabled("row"));
    let air = Sender::beside(&bench);
    bench.run(100).forget();
    for counter in 0..40 {
        air.send(&frame(KEY, 7, counter, TOGGLE));
        // 185.4 ms on the air.
        bench.run(186);
    }
    bench.run(100);
    let relay = relay(&bench);
    assert_eq!(relay.len(), 40, "{:?}", bench.errors());
    assert!(relay.iter().zip([(false, "d2d"), (true, "d2d")].iter().cycle()).all(|(is, due)| is == due));
}

#[test]
fn a_socket_that_is_set_to_send_nothing_obeys() {
    let silent = enabled_and("silent", |settings| settings.lorawan.channels.enabled = ChannelSet::EMPTY);
    let mut bench = Bench::new(&silent);
    bench.run(120_000).act("d2d 1511").run(5_000).act("d2d 1510").run(5_000);
    let [.., (false, "d2d"), (true, "d2d")] = relay(&bench)[..] else { panic!("{:?}", bench.relay()) };
    assert!(!bench.events.iter().any(|(_, event)| matches!(event, Event::JoinRequest { .. })));
}

#[test]
fn the_settings_file_of_the_page_obeys_the_guides_command() {
    const PAGE: &str = include_str!("../../../docs/RUN.md");
    let file = PAGE.lines().find(|line| line.contains(r#""d2d": {"#)).unwrap();
    let path = std::env::temp_dir().join(format!("sockeye-d2d-{}-page.json", std::process::id()));
    std::fs::write(&path, file).unwrap();
    let mut bench = Bench::joined(&format!("--settings {}", path.display()));
    bench.act("press").run(10_000).forget().act("d2d 1510").run(5_000);
    assert_eq!(relay(&bench), [(true, "d2d")]);
}

#[test]
fn what_was_recorded_has_no_effect_even_after_a_power_cut() {
    let mut bench = Bench::joined(&enabled("replay"));
    let air = Sender::beside(&bench);
    let recorded =
        [frame(KEY, 7, 1, OFF), frame(KEY, 7, 2, ON), frame(KEY, 8, 1, TOGGLE), frame(KEY, 8, 9, TOGGLE)];
    bench.forget();
    for frame in &recorded {
        air.send(frame);
        bench.run(5_000);
    }
    assert_eq!(relay(&bench), [(false, "d2d"), (true, "d2d"), (false, "d2d"), (true, "d2d")]);
    for cut in [false, true, true] {
        if cut {
            bench.act("power off").run(10_000).act("power on").run(60_000);
        }
        bench.forget();
        for frame in &recorded {
            air.send(frame);
            bench.run(5_000);
        }
        assert_eq!(relay(&bench), []);
        assert_eq!(d2d_errors(&bench), ["d2d: old counter"; 4]);
    }
    air.send(&frame(KEY, 7, 3, OFF));
    bench.run(5_000);
    assert_eq!(relay(&bench), [(false, "d2d")]);
}

#[test]
fn a_power_cut_at_any_operation_of_the_flash_lets_no_replay_through() {
    let (mut lost, mut obeyed) = (0, 0);
    for operations in 0..8 {
        for cut in [Cut::Before, Cut::Inside { seed: 1 }, Cut::Inside { seed: 2 }] {
            let mut bench = Bench::joined(&enabled("cut"));
            let air = Sender::beside(&bench);
            let flash = bench.world.flash(0).unwrap().clone();
            let toggle = frame(KEY, 7, 1, TOGGLE);
            bench.forget();
            flash.cut_after(operations, cut);
            air.send(&toggle);
            bench.run(1_000).act("power off").run(5_000);
            flash.power_on();
            bench.act("power on").run(30_000);
            let d2d = |bench: &Bench| relay(bench).iter().filter(|(_, cause)| *cause == "d2d").count();
            let before = d2d(&bench);
            (lost, obeyed) = (lost + 1 - before, obeyed + before);
            air.send(&toggle);
            bench.run(5_000);
            let replayed = d2d(&bench);
            assert!(replayed <= 1, "after {operations} operations, {cut:?}: obeyed twice");
            air.send(&frame(KEY, 7, 2, TOGGLE));
            bench.run(5_000);
            assert_eq!(d2d(&bench), 1 + replayed, "after {operations} operations, {cut:?}: deaf");
        }
    }
    assert!(lost > 0 && obeyed > 0, "{lost} lost, {obeyed} obeyed: the cuts do not lie around the store");
}

#[test]
fn without_the_key_nothing_is_obeyed() {
    let mut bench = Bench::joined(&enabled("key"));
    let air = Sender::beside(&bench);
    bench.forget();
    let good = frame(KEY, 7, 1, OFF);
    let mut changed = good.clone();
    changed[10] ^= 1;
    for bytes in [
        frame(*b"Ur@LinkLoRa2018#", 7, 1, OFF),
        changed,
        good[..19].to_vec(),
        [&[0xE0, 2][..], &good[2..]].concat(),
        vec![0xE0; 200],
        frame(KEY, 7, 1, UNKNOWN),
    ] {
        air.send(&bytes);
        bench.run(5_000);
    }
    assert_eq!(relay(&bench), []);
    // 200 bytes are no frame of anybody's: the MAC drops them.
    let told = [
        "d2d: wrong MIC",
        "d2d: wrong MIC",
        "d2d: not a D2D frame",
        "d2d: unknown version",
        "d2d: unknown command",
    ];
    assert_eq!(d2d_errors(&bench), told);
    air.send(&good);
    bench.run(5_000);
    assert_eq!(relay(&bench), [(false, "d2d")]);
}

#[test]
fn mac_d2d_01_gateways_hear_nothing_and_the_counters_of_lorawan_stay() {
    let mut bench = Bench::joined(&enabled("network"));
    bench.forget();
    for _ in 0..10 {
        bench.act("d2d 1512").run(20_000);
    }
    bench.act("downlink 85 080000ff").run(20_000).act("downlink 85 080100ff").run(20_000);
    assert_eq!(relay(&bench).len(), 12);
    assert_eq!(bench.downlinks(), ["080000ff", "080100ff"]);
    let fcnt = |event: &Event| match event {
        Event::Downlink { fcnt, .. } => Some(*fcnt),
        _ => None,
    };
    let down: Vec<u32> = bench.events.iter().filter_map(|(_, event)| fcnt(event)).collect();
    assert_eq!(down[1], down[0] + 1);
    let up = bench.counters();
    assert!(up.len() >= 12 && up.windows(2).all(|two| two[1] == two[0] + 1), "{up:?}");
    let heard: Vec<u8> = bench
        .world
        .with_server(|_, server| server.received_frames().filter_map(|phy| phy.first().copied()).collect());
    assert!(heard.len() >= 12 && !heard.contains(&0xE0), "{heard:02x?}");
}

#[test]
fn commands_in_the_midst_of_an_uplink_are_lost_or_obeyed_and_the_uplink_is_answered() {
    for offset_ms in (0..8_000).step_by(400) {
        let mut bench = Bench::joined(&enabled("uplink"));
        bench.run(60_000).forget();
        // A confirmed downlink: its answer is an uplink, which the network acknowledges nothing of but takes.
        bench.act("downlink 85 ff28ff confirmed").run(offset_ms);
        bench.act("d2d 1511").run(20_000);
        assert!(relay(&bench).len() <= 1);
        assert!(!bench.uplinks().is_empty(), "no report, at {offset_ms} ms");
        // A controller that is not sure sends again.
        bench.act("d2d 1511").run(20_000);
        assert_eq!(relay(&bench), [(false, "d2d")], "at {offset_ms} ms");
        bench.forget().act("downlink 85 080100ff").run(60_000);
        assert_eq!(relay(&bench), [(true, "downlink")], "at {offset_ms} ms");
    }
}

#[test]
fn one_button_drives_the_other_sockets() {
    let mut bench = Bench::new("--sockets 4 --d2d-controller");
    bench.run_to(60_000);
    let changes = |bench: &mut Bench, command: &str, ms: u64| {
        bench.act(command);
        bench.world.run_until_ms(bench.world.now_ms() + ms);
        let lines = bench.world.take_events().into_iter();
        let mut relays: Vec<_> = lines
            .filter_map(|(_, socket, event)| match event {
                Event::Relay { on, cause } => Some((socket, on, cause)),
                _ => None,
            })
            .collect();
        relays.sort_unstable();
        relays
    };
    for on in [false, true, false] {
        let all = [(0, on, "button"), (1, on, "d2d"), (2, on, "d2d"), (3, on, "d2d")];
        // 1.3 s at SF12; sockets that are sending their own report of the change before miss it.
        assert_eq!(changes(&mut bench, "press", 30_000), all);
    }
    // What a script sends is heard by all agents; the first socket is the controller's.
    assert_eq!(
        changes(&mut bench, "d2d 1512", 30_000),
        [(1, true, "d2d"), (2, true, "d2d"), (3, true, "d2d")]
    );
    // Its button says what is, and does not turn over.
    assert_eq!(changes(&mut bench, "press", 30_000), [(0, true, "button")]);
}

#[test]
fn a_controller_without_sockets_to_switch_is_refused() {
    let options = ["run", "--d2d-controller"];
    let options = <sockeye_host::cli::Options as clap::Parser>::try_parse_from(options).unwrap();
    let refused = sockeye_host::world::World::new(&options).unwrap_err();
    assert!(refused.contains("--sockets"), "{refused}");
}

/// Commands that the STM32WL's flash takes in its life, each with a change of the relay, from so many senders: each
/// record that there can be is there, and a page turn carries it along.
fn commands_of_a_life(senders: u32) -> u64 {
    let flash = Flash::<Stm32wl>::erased(7);
    let mut storage = Storage::new(flash.clone(), 0..14 * 1024);
    for id in RecordId::ALL {
        block_on(storage.store(id, &[0xA5; 200])).unwrap();
    }
    let mut settings = D2d { enabled: true, key: Key::new(KEY), ..D2d::default() };
    settings.commands.push(D2dCommand { code: TOGGLE, action: Action::Toggle }).unwrap();
    let mut agent = Agent::new(settings, None);
    let mut commands = 0;
    loop {
        commands += 1;
        let (sender, counter) = (commands % senders, commands / senders);
        let now_ms = u64::from(commands) * PERIOD_MS;
        let order = agent.hear(now_ms, &frame(KEY, sender, counter, TOGGLE)).unwrap();
        block_on(storage.store(RecordId::D2dSenders, order.record())).unwrap();
        block_on(storage.store(RecordId::RelayState, &[(commands % 2) as u8])).unwrap();
        let most = flash.wear().into_iter().max().map_or(0, u64::from);
        if most >= 10 {
            // STM32WLE5 data sheet, endurance of a page; one erase more than was seen: it may be due at once.
            return u64::from(commands) * 10_000 / (most + 1);
        }
    }
}

#[test]
fn the_flash_outlasts_the_relay_as_the_page_says() {
    const PAGE: &str = include_str!("../../../docs/D2D.md");
    for senders in [1, 4, 16] {
        let thousands = commands_of_a_life(senders) / 1000;
        // A mains relay is good for some 100 000 switchings under load.
        println!("{senders} senders: {thousands} 000 commands");
        assert!(thousands > 200, "{senders} senders: {thousands} 000 commands");
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix(&format!("| {senders} | ")));
        let told = rows.filter_map(|row| row.split(' ').next()?.parse::<u64>().ok()).next().unwrap();
        assert!((told * 9 / 10..=told * 11 / 10).contains(&thousands), "{senders}: {thousands}, told {told}");
    }
}
