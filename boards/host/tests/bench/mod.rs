//! A world with one socket, and what tests ask of its events.
#![allow(dead_code, reason = "each test file uses its part")]

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::{Schedule, parse_command};
use sockeye_host::world::World;

/// A run of one socket. Times are ms since power-up.
pub struct Bench {
    pub world: World,
    pub events: Vec<(u64, Event)>,
}

impl Bench {
    /// Plugs a socket in; `options` as on the command line.
    pub fn new(options: &str) -> Self {
        let options = Options::try_parse_from(["run"].into_iter().chain(options.split_whitespace())).unwrap();
        Self { world: World::new(&options).unwrap(), events: Vec::new() }
    }

    /// Plugs a socket in and lets it join and settle: the time is one minute.
    pub fn joined(options: &str) -> Self {
        let mut bench = Self::new(options);
        bench.run_to(60_000);
        assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })), "did not join");
        bench
    }

    /// Runs a whole script from power-up.
    pub fn script(options: &str, script: &str, end_ms: u64) -> Self {
        let mut bench = Self::new(options);
        bench.play(script, end_ms);
        bench
    }

    /// Runs a script until the clock shows `end_ms`.
    pub fn play(&mut self, script: &str, end_ms: u64) -> &mut Self {
        let Self { world, events } = self;
        let schedule = Schedule::parse(script).unwrap();
        let sink = |(t_ms, _, event)| {
            events.push((t_ms, event));
            Ok::<(), ()>(())
        };
        world.run_script(&schedule, end_ms, sink).unwrap();
        self
    }

    pub fn run_to(&mut self, t_ms: u64) -> &mut Self {
        self.world.run_until_ms(t_ms);
        self.events.extend(self.world.take_events().into_iter().map(|(t_ms, _, event)| (t_ms, event)));
        self
    }

    pub fn run(&mut self, ms: u64) -> &mut Self {
        self.run_to(self.world.now_ms() + ms)
    }

    /// Does what a script line without its time says.
    pub fn act(&mut self, command: &str) -> &mut Self {
        self.world.apply(&parse_command(command).unwrap()).unwrap();
        self
    }

    /// Forgets the events so far.
    pub fn forget(&mut self) -> &mut Self {
        self.events.clear();
        self
    }

    /// The relay's changes: time, state, cause.
    pub fn relay(&self) -> Vec<(u64, bool, &'static str)> {
        let relay = self.events.iter().filter_map(|(t_ms, event)| match event {
            Event::Relay { on, cause } => Some((*t_ms, *on, *cause)),
            _ => None,
        });
        relay.collect()
    }

    /// The payloads of data frames on the application port, in hex.
    pub fn uplinks(&self) -> Vec<String> {
        let uplinks = self.events.iter().filter_map(|(_, event)| match event {
            Event::Uplink { port: 85, payload, .. } => Some(hex(payload)),
            _ => None,
        });
        uplinks.collect()
    }

    /// The frame counters of all data frames.
    pub fn counters(&self) -> Vec<u32> {
        let counters = self.events.iter().filter_map(|(_, event)| match event {
            Event::Uplink { fcnt, .. } => Some(*fcnt),
            _ => None,
        });
        counters.collect()
    }

    /// The payloads of downlinks that the device took, in hex.
    pub fn downlinks(&self) -> Vec<String> {
        let downlinks = self.events.iter().filter_map(|(_, event)| match event {
            Event::Downlink { payload, .. } => Some(hex(payload)),
            _ => None,
        });
        downlinks.collect()
    }

    pub fn errors(&self) -> Vec<&str> {
        let errors = self.events.iter().filter_map(|(_, event)| match event {
            Event::Error { what } => Some(what.as_str()),
            _ => None,
        });
        errors.collect()
    }

    /// The instant of the first event for which `is` holds.
    pub fn when(&self, is: impl Fn(&Event) -> bool) -> Option<u64> {
        self.events.iter().find(|(_, event)| is(event)).map(|(t_ms, _)| *t_ms)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
