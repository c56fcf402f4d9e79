//! A socket on a bench, in the words of the guide.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::parse_command;
use sockeye_settings::Model;

use crate::{Bench, SensorData};

/// How long after power-up a socket has joined and sent what it sends at the start.
const SETTLED_MS: u64 = 90_000;

/// How long a downlink, what it does and what the socket answers take together: a command may be repeated by the network when
/// the frames of both run into each other.
const OBEYED_MS: u64 = 20_000;

/// A socket that is plugged in somewhere, and what was seen of it since [`Self::watch`].
#[derive(Debug)]
pub struct Socket<B> {
    bench: B,
    seen: Vec<(u64, usize, Event)>,
    open: Vec<(usize, bool)>,
    lit: bool,
}

impl<B: Bench> Socket<B> {
    /// Plugs a socket in; options as on the command line of `cargo xtask run`, as `--model AU`.
    pub fn plugged_in(options: &str) -> Self {
        Self::with_options(&parse(options))
    }

    fn with_options(options: &Options) -> Self {
        let bench = B::plug_in(options).expect("a bench takes the options of a scenario");
        Self { bench, seen: Vec::new(), open: Vec::new(), lit: false }
    }

    /// Plugs a socket in and lets it join; what it did until then is not looked at.
    pub fn joined(options: &str) -> Self {
        Self::plugged_in(options).settled()
    }

    /// The same with settings: the groups `lorawan`, `multicast`, `general` and `d2d` of a template.
    pub fn joined_with(options: &str, settings: &str) -> Self {
        Self::plugged_in_with(options, settings).settled()
    }

    /// Plugs a socket in that has these settings.
    pub fn plugged_in_with(options: &str, settings: &str) -> Self {
        let mut options = parse(options);
        let path = template(Model::from(options.model).name(), options.region.name(), settings);
        options.settings = Some(path.clone());
        let socket = Self::with_options(&options);
        std::fs::remove_file(path).expect("the file that was just written");
        socket
    }

    fn settled(mut self) -> Self {
        self.run_until_ms(SETTLED_MS);
        // With ABP there is nothing to join: its first data tell that it works.
        let heard = self.seen.iter().any(|(_, _, event)| matches!(event, Event::Uplink { .. }));
        assert!(heard, "nothing was heard within {SETTLED_MS} ms: {:?}", self.seen);
        self.watch();
        self
    }

    fn run_until_ms(&mut self, t_ms: u64) {
        self.bench.run_until_ms(t_ms);
        for (t_ms, socket, event) in self.bench.take_events() {
            match &event {
                Event::Relay { on, .. } => {
                    self.open.retain(|(other, _)| *other != socket);
                    self.open.push((socket, *on));
                }
                Event::Led { on } => self.lit = *on,
                _ => {}
            }
            self.seen.push((t_ms, socket, event));
        }
    }

    // What is done.

    /// Does what a script line without its time says, as `load 2300W pf 0.95`.
    pub fn does(&mut self, stimulus: &str) -> &mut Self {
        let stimulus = parse_command(stimulus).expect("a stimulus of a scenario");
        self.bench.act(&stimulus).expect("a bench does what a scenario asks");
        self
    }

    /// Does the same where a bench may say that no socket is set up to hear it.
    pub fn does_unheard(&mut self, stimulus: &str) -> &mut Self {
        let stimulus = parse_command(stimulus).expect("a stimulus of a scenario");
        let _ = self.bench.act(&stimulus);
        self
    }

    /// Lets seconds pass.
    pub fn wait_s(&mut self, seconds: u64) -> &mut Self {
        self.wait_ms(seconds * 1000)
    }

    /// Lets minutes pass.
    pub fn wait_min(&mut self, minutes: u64) -> &mut Self {
        self.wait_s(minutes * 60)
    }

    /// Lets milliseconds pass.
    pub fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.run_until_ms(self.bench.now_ms() + ms);
        self
    }

    /// Presses the power button and waits for the report.
    pub fn press(&mut self) -> &mut Self {
        self.does("press").wait_s(10)
    }

    /// Writes settings by a phone at the NFC area: the groups of a template, for EU and EU868. Tells what came of it.
    pub fn write_by_nfc(&mut self, settings: &str) -> Vec<String> {
        self.write_template("EU868", settings)
    }

    /// The same with a template for any channel plan.
    pub fn write_template(&mut self, region: &str, settings: &str) -> Vec<String> {
        let path = template("EU", region, settings);
        let before = self.nfc().len();
        self.does(&format!("nfc write {}", path.display())).wait_s(30);
        std::fs::remove_file(path).expect("the file that was just written");
        self.nfc().split_off(before).into_iter().map(|(result, _)| result).collect()
    }

    /// Reads the settings by a phone, as the text of a template.
    ///
    /// # Panics
    /// When nothing could be read.
    pub fn read_by_nfc(&mut self) -> String {
        self.does("nfc read").wait_s(10);
        self.nfc().pop().and_then(|(_, settings)| settings).expect("the phone read nothing")
    }

    fn nfc(&self) -> Vec<(String, Option<String>)> {
        self.all(|_, event| match event {
            Event::Nfc { result, settings, .. } => {
                Some((result.clone(), settings.as_ref().map(ToString::to_string)))
            }
            _ => None,
        })
    }

    /// Sends a command on the application port, in hex, and waits until it is obeyed and answered.
    pub fn command(&mut self, payload: &str) -> &mut Self {
        self.command_on(85, payload)
    }

    /// Sends a command on another port, and waits.
    pub fn command_on(&mut self, port: u8, payload: &str) -> &mut Self {
        self.does(&format!("downlink {port} {payload}")).wait_ms(OBEYED_MS)
    }

    /// Forgets what was seen so far.
    pub fn watch(&mut self) -> &mut Self {
        self.seen.clear();
        self
    }

    // What is seen.

    /// Tells the time since power-up.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.bench.now_ms()
    }

    /// Tells whether the socket is open: whether it supplies power.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open_at(0)
    }

    /// The same for one of several sockets.
    #[must_use]
    pub fn is_open_at(&self, socket: usize) -> bool {
        self.open.iter().any(|(other, on)| *other == socket && *on)
    }

    /// Tells whether the LED is lit.
    #[must_use]
    pub fn is_lit(&self) -> bool {
        self.lit
    }

    /// Lists what happened, of one kind: `take` picks it.
    pub fn all<T>(&self, take: impl Fn(u64, &Event) -> Option<T>) -> Vec<T> {
        self.seen.iter().filter_map(|(t_ms, _, event)| take(*t_ms, event)).collect()
    }

    /// Lists when the socket opened and closed, and by whom.
    #[must_use]
    pub fn switchings(&self) -> Vec<(u64, bool, &'static str)> {
        self.all(|t_ms, event| match event {
            Event::Relay { on, cause } => Some((t_ms, *on, *cause)),
            _ => None,
        })
    }

    /// Lists when the LED went on and off.
    #[must_use]
    pub fn led(&self) -> Vec<(u64, bool)> {
        self.all(|t_ms, event| match event {
            Event::Led { on } => Some((t_ms, *on)),
            _ => None,
        })
    }

    /// Lists what the network heard on a port, with its time.
    #[must_use]
    pub fn heard_on(&self, on_port: u8) -> Vec<(u64, Vec<u8>)> {
        self.all(|t_ms, event| match event {
            Event::Uplink { port, payload, .. } if *port == on_port => Some((t_ms, payload.clone())),
            _ => None,
        })
    }

    /// Lists the payloads that the network heard on the application port, in hex.
    #[must_use]
    pub fn payloads(&self) -> Vec<String> {
        self.heard_on(85).iter().map(|(_, payload)| hex(payload)).collect()
    }

    /// Tells whether the network heard this payload, in hex, on the application port.
    #[must_use]
    pub fn has_sent(&self, payload: &str) -> bool {
        self.payloads().iter().any(|sent| sent == payload)
    }

    /// Lists the sensor data that the network heard (section 4.2), with their times.
    #[must_use]
    pub fn sensor_data(&self) -> Vec<(u64, SensorData)> {
        let heard = self.heard_on(85);
        heard.iter().filter_map(|(t_ms, payload)| Some((*t_ms, SensorData::read(payload)?))).collect()
    }

    /// Gives the newest sensor data.
    ///
    /// # Panics
    /// When none were heard.
    #[must_use]
    pub fn last_sensor_data(&self) -> SensorData {
        self.sensor_data().pop().expect("no sensor data were heard").1
    }

    /// Counts the join requests.
    #[must_use]
    pub fn join_requests(&self) -> usize {
        self.all(|_, event| matches!(event, Event::JoinRequest { .. }).then_some(())).len()
    }
}

/// Writes a template into a file of its own.
fn template(model: &str, region: &str, settings: &str) -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let text = format!(r#"{{"model": "{model}", "region": "{region}", {settings}}}"#);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("sockeye-{}-{number}.json", std::process::id()));
    std::fs::write(&path, text).expect("a file for the settings");
    path
}

fn parse(options: &str) -> Options {
    let words = ["run"].into_iter().chain(options.split_whitespace());
    Options::try_parse_from(words).expect("options of a scenario")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
