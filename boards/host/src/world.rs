//! The sockets, their air and their network: all of a run.

use std::cell::Cell;
use std::iter::Peekable;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use sockeye_metering::Reading;
use sockeye_network_server::{Adr, Config, Downlink, NetworkServer, Plan, Region as NetworkRegion};
use sockeye_settings::template::from_json;
use sockeye_settings::{Identity, Key, LoRaWan, Password, Region, Settings};
use sockeye_state_machine::UplinkKind;
use sockeye_virtual_hardware::air::Medium;
use sockeye_virtual_hardware::flash::{Flash, Stm32wl};
use sockeye_virtual_hardware::mains::{Inrush, Load};
use sockeye_virtual_hardware::sim::Sim;

use crate::bridge::Bridge;
use crate::cli::Options;
use crate::controller::{self, Controller};
use crate::device::{Device, Place};
use crate::network::Network;
use crate::nfc::Person;
use crate::observer::{Line, Log};
use crate::report::{Event, Summary};
use crate::script::{Queue, Schedule, Stimulus};
use crate::socket::Socket;
use crate::trace::{Second, Trace};
use crate::traffic::Traffic;

/// How long `press` holds the button, in ms.
const PRESS_MS: u64 = 100;

/// Who sends the D2D commands of a script: the end of an EUI that none of the sockets has by default.
const SCRIPT_SENDER: u32 = 0xFE00_D2D0;

/// How far a run goes before what happened is handed over, in ms.
const STEP_MS: u64 = 10_000;

/// The hardware version of a simulated socket: 1.4, which reports an outage (guide section 4.3).
const HARDWARE_VERSION: [u8; 2] = [0x01, 0x40];

/// What the live view shows of a socket.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Time since power-up.
    pub t_ms: u64,
    /// The relay supplies power.
    pub relay_on: bool,
    /// The LED is lit.
    pub led_on: bool,
    /// The last good reading.
    pub reading: Option<Reading>,
    /// The energy sum.
    pub energy_uwh: u64,
    /// The address of the session.
    pub dev_addr: Option<u32>,
    /// Data frames sent.
    pub uplinks: u64,
    /// Data frames taken.
    pub downlinks: u64,
    /// The mains is there.
    pub mains_on: bool,
    /// The network hears and sends.
    pub gateway_on: bool,
    /// The uplinks that wait in the socket, with the bytes still to be sent.
    pub waiting: Vec<(UplinkKind, usize)>,
    /// The power of the last minutes, a value a second, the last one now.
    pub recent: Vec<Second>,
}

/// Names a channel plan as the network server does.
fn plan(region: Region) -> NetworkRegion {
    match region {
        Region::Eu868 => NetworkRegion::Eu868,
        Region::Us915 => NetworkRegion::Us915,
        Region::Au915 => NetworkRegion::Au915,
        Region::As923_1 => NetworkRegion::As923_1,
        Region::As923_2 => NetworkRegion::As923_2,
        Region::As923_3 => NetworkRegion::As923_3,
        Region::As923_4 => NetworkRegion::As923_4,
        Region::Kr920 => NetworkRegion::Kr920,
        Region::In865 => NetworkRegion::In865,
        Region::Ru864 => NetworkRegion::Ru864,
        Region::Eu433 => NetworkRegion::Eu433,
        Region::Cn470 => NetworkRegion::Cn470,
    }
}

/// How much nearer or farther than a single socket each of several may be, in dB: some in sight of the gateway, some
/// behind walls.
const PATH_LOSS_SPREAD_DB: u16 = 15;

/// The channels that networks add in EU868, in Hz: those of ChirpStack's settings and of The Things Stack's plan
/// EU_863_870.
const EU868_EXTRA_HZ: [u32; 5] = [867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000];

/// The network of a run, as a real one is set: eight channels in EU868, ADR, and RX2 as the sockets have it.
fn network_config(lorawan: &LoRaWan) -> Config {
    let extra_channels_hz = match lorawan.region {
        Region::Eu868 => EU868_EXTRA_HZ.to_vec(),
        _ => Vec::new(),
    };
    // ChirpStack (adr/default.rs) raises the data rate from the first uplink on, and so does The Things Stack
    // (networkserver/mac/adr.go, with 2.5 dB more in hand until the twentieth).
    let adr = Some(Adr { history: 1, ..Adr::default() });
    let (rx2_dr, rx2_freq_hz) = (lorawan.rx2_data_rate, lorawan.rx2_frequency_hz);
    Config { extra_channels_hz, adr, rx2_dr, rx2_freq_hz, ..Config::for_region(plan(lorawan.region)) }
}

/// A run: sockets on virtual hardware in one air, with a network.
pub struct World<D = Socket> {
    sim: Sim,
    medium: Medium,
    network: Network,
    /// The way to a network server elsewhere; the own one is deaf and dumb then.
    bridge: Option<Bridge>,
    sockets: Vec<D>,
    /// What the owner of each believes its password to be.
    passwords: Vec<Rc<Cell<Password>>>,
    /// The addresses of the multicast groups, whether the sockets listen to them or not.
    groups: Vec<u32>,
    log: Log,
    traffic: Traffic,
    /// Sends the D2D commands of a script.
    controller: Controller,
    /// Some socket started with D2D enabled.
    d2d_enabled: bool,
    /// The button of the first socket is that of a controller: nobody presses the others.
    one_button: bool,
}

impl<D> std::fmt::Debug for World<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

impl World {
    /// Makes the sockets and the network of a run, and plugs the sockets in.
    ///
    /// # Errors
    /// A sentence that says which option is in the way.
    pub fn new(options: &Options) -> Result<Self, String> {
        Self::with(options, |place| Ok(Socket::new(&place)))
    }

    /// Shows a socket's hardware: tests weld its contact and spoil its meter.
    #[must_use]
    pub fn socket(&self, socket: usize) -> Option<&Socket> {
        self.sockets.get(socket)
    }

    /// Shows the flash of a socket: tests cut, spoil and wear it.
    #[must_use]
    pub fn flash(&self, socket: usize) -> Option<&Flash<Stm32wl>> {
        Some(self.sockets.get(socket)?.flash())
    }
}

impl<D: Device> World<D> {
    /// Makes the network of a run, and its sockets by `plug_in`.
    ///
    /// # Errors
    /// A sentence that says which option is in the way, or that of `plug_in`.
    pub fn with(
        options: &Options,
        mut plug_in: impl FnMut(Place<'_>) -> Result<D, String>,
    ) -> Result<Self, String> {
        let sim = Sim::new();
        let medium = Medium::new(&sim, options.seed);
        let log = match options.gateway {
            Some(_) => Log::with_frames_of_devices(&sim),
            None => Log::new(&sim),
        };
        if options.plot.is_some() {
            log.keep_trace();
        }
        let template = options.settings.as_deref().map(read_settings_file).transpose()?;
        // All sockets start with the same settings of the network.
        let first = first_settings(options, &identity(options, 0), template.as_ref())?
            .unwrap_or_else(|| Settings::default_for(options.region, &identity(options, 0)));
        if options.sockets > 1 {
            medium.air().set_path_loss_spread_db(PATH_LOSS_SPREAD_DB);
        }
        if options.d2d_controller && options.sockets < 2 {
            return Err("--d2d-controller needs sockets to be switched: add --sockets 2, or more".into());
        }
        let traffic = Traffic::new(&medium, options.region);
        let config = network_config(&first.lorawan);
        let network = Network::new(&sim, &medium, config, options.seed, &log, &traffic)
            .map_err(|error| format!("the network server: {error:?}"))?;
        let bridge = match &options.gateway {
            Some(address) => {
                network.with_server(|now_us, server| server.set_gateway(now_us, false));
                let bridge = Bridge::connect(&sim, &medium, address, options.gateway_eui.0, &log, &traffic);
                Some(bridge.map_err(|error| format!("--gateway {address}: {error}; expected HOST:PORT"))?)
            }
            None => None,
        };
        let groups =
            network.add_groups(&first.multicast).map_err(|error| format!("the network server: {error}"))?;
        let (mut sockets, mut passwords) = (Vec::new(), Vec::new());
        for index in 0..options.sockets {
            let identity = identity(options, index);
            let present = Settings::default_for(options.region, &identity);
            let mut settings = first_settings(options, &identity, template.as_ref())?;
            if options.d2d_controller && index > 0 {
                controller::obey(&mut settings.get_or_insert_with(|| present.clone()).d2d);
            }
            let in_force = settings.as_ref().unwrap_or(&present);
            let lorawan = &in_force.lorawan;
            passwords.push(Rc::new(Cell::new(in_force.general.password)));
            // The first devices would all pick the same random numbers if their seeds were neighbours.
            let seed = scatter(options.seed.wrapping_add(u64::from(index) << 32));
            let index = usize::from(index);
            network
                .add_socket(index, identity.dev_eui, lorawan)
                .map_err(|error| format!("the network server: {error}"))?;
            sockets.push(plug_in(Place {
                sim: &sim,
                medium: &medium,
                network: &network,
                index,
                identity,
                settings: settings.as_ref(),
                seed,
                log: &log,
            })?);
        }
        let network_plan = Plan::new(plan(first.lorawan.region), &[], &[]);
        let controller = Controller::new(&medium, &network_plan, &first, SCRIPT_SENDER)?;
        if options.d2d_controller {
            let [.., a, b, c, d] = identity(options, 0).dev_eui;
            let sender = u32::from_be_bytes([a, b, c, d]);
            let driver = Controller::new(&medium, &network_plan, &first, sender)?;
            sim.spawn(driver.follow_button(log.clone()));
        }
        let one_button = options.d2d_controller;
        let d2d_enabled = one_button || first.d2d.enabled;
        Ok(Self {
            sim,
            medium,
            network,
            bridge,
            sockets,
            passwords,
            groups,
            log,
            traffic,
            controller,
            d2d_enabled,
            one_button,
        })
    }

    /// Tells the time since power-up.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.sim.now_us() / 1000
    }

    /// Tells for how long, by the computer's clock, a debugger has kept the sockets from running.
    #[must_use]
    pub fn halted(&self) -> Duration {
        self.sockets.iter().map(D::halted).sum()
    }

    /// Tells how many sockets there are.
    #[must_use]
    pub fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// Runs until the clock shows `end_ms`.
    pub fn run_until_ms(&mut self, end_ms: u64) {
        let end_us = end_ms.saturating_mul(1000);
        if let Some(bridge) = &self.bridge {
            bridge.exchange();
            // Each frame goes on the air at its own instant.
            while bridge.next_due_us() <= end_us {
                D::run_until_us(&mut self.sockets, &self.sim, bridge.next_due_us());
                bridge.pump();
            }
        }
        D::run_until_us(&mut self.sockets, &self.sim, end_us);
        self.traffic.catch_up();
    }

    /// Runs until the clock shows `end_ms`, and does what `queue` says on the way.
    pub fn play(&mut self, queue: &mut Peekable<Queue<'_>>, end_ms: u64) {
        while let Some((at_ms, stimulus)) = queue.next_if(|(at_ms, _)| *at_ms <= end_ms) {
            self.run_until_ms(at_ms);
            if let Err(what) = self.apply(stimulus) {
                self.tell(what);
            }
        }
        self.run_until_ms(end_ms);
    }

    /// Runs a script until the clock shows `end_ms`, and hands over the events as they come.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn run_script<E>(
        &mut self,
        schedule: &Schedule,
        end_ms: u64,
        mut sink: impl FnMut(Line) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut queue = schedule.queue().peekable();
        while self.step(&mut queue, end_ms) {
            self.take_events().into_iter().try_for_each(&mut sink)?;
        }
        Ok(())
    }

    /// Plays a part of what is left until the clock shows `end_ms`, so that a long run shows what happens while it
    /// happens; tells whether there was any.
    pub fn step(&mut self, queue: &mut Peekable<Queue<'_>>, end_ms: u64) -> bool {
        let now_ms = self.now_ms();
        if now_ms >= end_ms {
            return false;
        }
        self.play(queue, now_ms.saturating_add(STEP_MS).min(end_ms));
        true
    }

    /// Adds an error to the events: something that was asked of this world, and not done.
    pub fn tell(&self, what: String) {
        self.log.push(0, Event::Error { what });
    }

    /// Does something to all sockets, now.
    ///
    /// # Errors
    /// A sentence that says why it cannot be done.
    pub fn apply(&mut self, stimulus: &Stimulus) -> Result<(), String> {
        match stimulus {
            Stimulus::Press => self.hold_button(PRESS_MS),
            Stimulus::Hold { ms } => self.hold_button(*ms),
            Stimulus::Load { power_mw, power_factor_permille } => {
                let load = Load {
                    power_w: f64::from(*power_mw) / 1000.0,
                    power_factor: f64::from(*power_factor_permille) / 1000.0,
                };
                self.each(|socket| socket.circuit().change(|now_us, circuit| circuit.set_load(now_us, load)));
            }
            Stimulus::Inrush { factor_permille, ms } => {
                let inrush = Inrush {
                    factor: f64::from(*factor_permille) / 1000.0,
                    duration_us: ms.saturating_mul(1000),
                };
                self.each(|socket| socket.circuit().change(|_, circuit| circuit.set_next_inrush(inrush)));
            }
            Stimulus::Voltage { mv } => self.each(|socket| socket.set_voltage_mv(*mv)),
            Stimulus::Downlink { .. } | Stimulus::Gateway(_) if self.bridge.is_some() => {
                return Err("the network server is the one behind --gateway: do it there".into());
            }
            Stimulus::Downlink { port, payload, confirmed } => {
                for socket in &self.sockets {
                    let downlink = Downlink { port: *port, payload: payload.clone(), confirmed: *confirmed };
                    self.network
                        .enqueue(socket.identity().dev_eui, downlink)
                        .map_err(|error| format!("downlink: {error}"))?;
                }
            }
            Stimulus::Gateway(on) => {
                self.network.with_server(|now_us, server| server.set_gateway(now_us, *on));
            }
            Stimulus::Power(on) => self.each(|socket| socket.set_mains(*on)),
            Stimulus::Multicast { group, port, payload } => {
                let place = usize::from(group.saturating_sub(1));
                let dev_addr = self.groups.get(place).copied().ok_or("multicast: no such group")?;
                self.network
                    .with_server(|now_us, server| server.send_to_group(now_us, dev_addr, *port, payload))
                    .map_err(|error| format!("multicast: {error}"))?;
            }
            Stimulus::D2d { command } => {
                self.controller.send(u16::from_be_bytes(*command))?;
                if !self.d2d_enabled {
                    return Err("d2d: no socket has it enabled in its settings; see docs/RUN.md".into());
                }
            }
            Stimulus::NfcRead => {
                for person in self.persons()? {
                    self.sim.spawn(person.read());
                }
            }
            Stimulus::NfcWrite { path } => {
                let (_, template) = read_settings_file(Path::new(path))?;
                for person in self.persons()? {
                    self.sim.spawn(person.write(template.clone()));
                }
            }
        }
        Ok(())
    }

    /// Somebody with a phone at each socket.
    fn persons(&self) -> Result<impl Iterator<Item = Person> + '_, String> {
        let all = self.sockets.iter().zip(&self.passwords).enumerate();
        if self.sockets.iter().any(|socket| socket.tag().is_none()) {
            return Err("nfc: this board has no tag".into());
        }
        Ok(all.filter_map(|(index, (socket, password))| {
            Some(Person::new(&self.sim, &self.log, index, socket.tag()?, password))
        }))
    }

    fn hold_button(&self, ms: u64) {
        let pressed = if self.one_button { 1 } else { self.sockets.len() };
        self.sockets.iter().take(pressed).for_each(|socket| socket.button().hold(ms.saturating_mul(1000)));
    }

    fn each(&self, act: impl FnMut(&D)) {
        self.sockets.iter().for_each(act);
    }

    /// Takes the events since the last call.
    #[must_use]
    pub fn take_events(&mut self) -> Vec<Line> {
        self.log.take()
    }

    /// Gives what a picture shows of the first socket; nothing without `--plot`.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.log.trace()
    }

    /// Does something with the network server, now: tests forge and replay frames by it.
    pub fn with_server<R>(&mut self, with: impl FnOnce(u64, &mut NetworkServer) -> R) -> R {
        self.network.with_server(with)
    }

    /// Shows the air: tests make it lossy, and record what is sent.
    #[must_use]
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// Shows the clock that everything here runs on.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Shows a socket.
    #[must_use]
    pub fn device(&self, socket: usize) -> Option<&D> {
        self.sockets.get(socket)
    }

    /// Gives a socket's DevEUI.
    #[must_use]
    pub fn dev_eui(&self, socket: usize) -> Option<[u8; 8]> {
        Some(self.sockets.get(socket)?.identity().dev_eui)
    }

    /// Shows the first socket.
    #[must_use]
    pub fn status(&self) -> Status {
        let Some(socket) = self.sockets.first() else { return Status::default() };
        let summary = self.log.summary(0);
        let gateway_on = match &self.bridge {
            Some(bridge) => bridge.is_connected(),
            None => self.network.with_server(|_, server| server.gateway_is_on()),
        };
        socket.observer().with_seen(|seen| Status {
            t_ms: self.now_ms(),
            relay_on: seen.relay_on,
            led_on: seen.led_on,
            reading: seen.reading,
            energy_uwh: seen.energy_uwh,
            dev_addr: seen.dev_addr,
            uplinks: summary.uplinks,
            downlinks: summary.downlinks,
            mains_on: socket.mains_on(),
            gateway_on,
            waiting: socket.waiting(),
            // The first reading of a second may still be on its way.
            recent: seen.recent.last(self.now_ms().saturating_sub(200), usize::MAX),
        })
    }

    /// Counts what all sockets did; the wall time is the caller's to set.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut total = Summary { traffic: self.traffic.counts(), ..Summary::default() };
        for (index, socket) in self.sockets.iter().enumerate() {
            let mut one = self.log.summary(index);
            one.energy_uwh = socket.observer().with_seen(|seen| seen.energy_uwh);
            total.add(&one);
        }
        total
    }

    /// Tells how often a watchdog had to end a hang: a run in which one did has failed.
    #[must_use]
    pub fn watchdog_resets(&self) -> u64 {
        self.sockets.iter().map(Device::watchdog_resets).sum()
    }
}

/// Reads a settings file; gives its name with its text, for errors to say which file.
fn read_settings_file(path: &Path) -> Result<(String, String), String> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(format!("cannot read the settings {name}: {error}")),
    }
}

/// What a socket finds in its flash when it is plugged in for the first time: none where the firmware's own defaults serve.
fn first_settings(
    options: &Options,
    identity: &Identity,
    template: Option<&(String, String)>,
) -> Result<Option<Settings>, String> {
    let present = Settings::default_for(options.region, identity);
    let Some((path, text)) = template else {
        return Ok((options.region != Region::Eu868).then_some(present));
    };
    from_json(text, identity.model, &present).map(Some).map_err(|error| format!("{path}: {error}"))
}

/// Checks a settings file against what the sockets of a run are.
///
/// # Errors
/// A sentence that names the file, and the field that is wrong.
pub fn check_settings_file(path: &Path, options: &Options) -> Result<(), String> {
    let (name, text) = read_settings_file(path)?;
    let identity = identity(options, 0);
    let present = Settings::default_for(options.region, &identity);
    from_json(&text, identity.model, &present).map(drop).map_err(|error| format!("{name}: {error}"))
}

/// Who socket number `index` is: the first as the options say, the others with the next numbers.
fn identity(options: &Options, index: u16) -> Identity {
    let next = |bytes: [u8; 8]| u64::from_be_bytes(bytes).wrapping_add(u64::from(index)).to_be_bytes();
    // Devices that share an AppKey take each other's join-accepts: nothing in one says whose it is.
    let app_key = options.app_key.map_or(*Key::DEFAULT.as_bytes(), |key| key.0);
    let app_key = u128::from_be_bytes(app_key).wrapping_add(u128::from(index)).to_be_bytes();
    Identity {
        sn: next(options.sn.0),
        dev_eui: next(options.dev_eui.0),
        model: options.model.into(),
        app_key: Key::new(app_key),
        hardware_version: HARDWARE_VERSION,
    }
}

/// Spreads neighbouring numbers over all 64 bits (the finaliser of splitmix64).
fn scatter(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
