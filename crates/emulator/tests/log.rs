//! What an image with the feature `log` writes for a debug probe, read out of its RAM.
#![allow(missing_docs, reason = "tests")]

mod image;

use std::rc::Rc;

use clap::Parser;
use sockeye_emulator::elf::Image;
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Schedule;
use sockeye_host::world::World;

/// The image with the log, between the bootloader and the noise of the RAM.
fn with_log() -> Rc<Image> {
    image::aside::<Rp2040>("serial-log")
}

fn run(image: &Rc<Image>, script: &str, end_ms: u64) -> Vec<(u64, Event)> {
    let options = Options::parse_from(["test"]);
    let mut world = World::with(&options, |place| EmulatedSocket::<Rp2040>::new(image, &place)).unwrap();
    let schedule = Schedule::from_bytes(script.as_bytes()).unwrap();
    let mut events = Vec::new();
    world
        .run_script(&schedule, end_ms, |(t_ms, _, event)| {
            events.push((t_ms, event));
            Ok::<_, ()>(())
        })
        .unwrap();
    events
}

fn lines(events: &[(u64, Event)]) -> Vec<(u64, &str)> {
    let line = |(t_ms, event): &'_ (u64, Event)| match event {
        Event::Log { .. } => Some(*t_ms),
        _ => None,
    };
    let times = events.iter().filter_map(line);
    let texts = events.iter().filter_map(|(_, event)| match event {
        Event::Log { text, .. } => Some(text.as_str()),
        _ => None,
    });
    times.zip(texts).collect()
}

#[test]
fn the_lines_of_an_image_with_a_log_come_as_they_are_written() {
    let script = "at 20s press\nat 31s downlink 85 080100ff\nat 40s power off\nat 45s power on\n";
    let events = run(&with_log(), script, 60_000);
    let lines = lines(&events);
    let at = |text: &str| {
        let found = lines.iter().find(|(_, line)| line.starts_with(text));
        found.unwrap_or_else(|| panic!("`{text}` is not in {lines:#?}")).0
    };
    let (started_ms, joined_ms) = (at("start: power came"), at("joined as "));
    assert!(started_ms < 200 && started_ms < joined_ms, "{lines:#?}");
    // What is told from outside is the same, at the same time.
    for (text, is) in [
        (
            "relay off by button",
            (|event| matches!(event, Event::Relay { on: false, cause: "button" })) as fn(&Event) -> bool,
        ),
        ("relay on by downlink", |event| matches!(event, Event::Relay { on: true, cause: "downlink" })),
    ] {
        let seen = events.iter().find(|(_, event)| is(event)).unwrap().0;
        assert!(at(text).abs_diff(seen) <= 1, "{text}: {} and {seen}", at(text));
    }
    let joined = events.iter().find_map(|(_, event)| match event {
        Event::Joined { dev_addr } => Some(*dev_addr),
        _ => None,
    });
    at(&format!("joined as {:08x}", joined.unwrap()));
    // The start after the power cut, with the session of the one before.
    let starts = lines.iter().filter(|(_, line)| line.starts_with("start: power came")).count();
    assert_eq!(starts, 2, "{lines:#?}");
    at(&format!("goes on as {:08x}", joined.unwrap()));
    assert!(lines.iter().all(|(_, line)| !line.contains("cannot be read")), "{lines:#?}");
}

#[test]
fn an_image_without_a_log_prints_none() {
    let events = run(&image::of::<Rp2040>(), "", 30_000);
    assert!(lines(&events).is_empty());
}
