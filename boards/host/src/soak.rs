//! A socket's life at random: loads, presses, downlinks, lost frames, power cuts and reboots, and what must hold all the
//! while. `cargo xtask soak` runs many, each from a seed of its own.
//!
//! What is checked:
//! - no frame counter goes out twice in a session with other content, and no DevNonce twice at all, by somebody who
//!   listens beside the gateway;
//! - the relay is where presses, accepted commands and trips leave it, through power cuts and reboots, in the firmware's
//!   eyes and on the circuit;
//! - the energy sum stays within its promise against what went through the circuit: behaviour.md allows 1 Wh
//!   for each power cut;
//! - the watchdog never has to help, and the socket is joined and reports at the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use clap::Parser;
use sockeye_virtual_hardware::air::Gateway;
use sockeye_virtual_hardware::mains::Circuit;

use crate::cli::Options;
use crate::device::Device;
use crate::human;
use crate::report::Event;
use crate::script::parse_command;
use crate::world::World;

/// The time of a day, in ms.
const DAY_MS: u64 = 86_400_000;

/// The capacitor of the host board lasts for 2 s; longer outages end the firmware.
const HOLD_UP_MS: u64 = 2_000;

/// How much of the energy a power cut or a reboot may cost, in Wh (behaviour.md).
const LOSS_WH: f64 = 1.0;

/// By how much the sum may be off besides: a pulse of the meter (0.2 Wh), and the noise of its model.
const PULSE_WH: f64 = 0.3;
const ERROR: f64 = 0.001;

/// So many lines tell what was before a failure.
const LAST: usize = 24;

/// What a life amounted to, so that one in which nothing happens does not count as passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Sessions begun.
    pub joins: u64,
    /// Frames heard on the air from the socket, repeats and all.
    pub frames: u64,
    /// Downlinks that it took.
    pub downlinks: u64,
    /// Times the button was pressed.
    pub presses: u64,
    /// Times it switched off to protect.
    pub trips: u64,
    /// Outages that ended the firmware.
    pub cuts: u64,
    /// Outages that the capacitor bridged.
    pub dips: u64,
    /// Reboots by downlink.
    pub reboots: u64,
    /// What went through the circuit, in Wh.
    pub energy_wh: u64,
    /// What of it is missing in the socket's sum at the end, in Wh.
    pub missing_wh: u64,
}

/// A generator of stimuli (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Somebody who listens to the socket, and writes its counters down.
struct Listener {
    gateway: Gateway,
    /// When each session began; the first is none.
    sessions_ms: Vec<u64>,
    uplinks: BTreeMap<(usize, u16), Vec<u8>>,
    dev_nonces: BTreeSet<[u8; 2]>,
    frames: u64,
}

impl Listener {
    fn listen(&mut self) -> Result<(), String> {
        while let Some(heard) = self.gateway.try_receive() {
            let frame = &heard.transmission;
            let at_ms = frame.start_us / 1000;
            match *frame.payload {
                [0x00, .., a, b, _, _, _, _] => {
                    self.frames += 1;
                    if !self.dev_nonces.insert([a, b]) {
                        return Err(format!("DevNonce {} goes out twice", u16::from_le_bytes([a, b])));
                    }
                }
                [0x40 | 0x80, _, _, _, _, _, low, high, ..] => {
                    self.frames += 1;
                    let session = self.sessions_ms.iter().filter(|began_ms| **began_ms <= at_ms).count();
                    let fcnt = u16::from_le_bytes([low, high]);
                    let first = self.uplinks.entry((session, fcnt)).or_insert_with(|| frame.payload.to_vec());
                    if first[..] != frame.payload[..] {
                        return Err(format!("FCntUp {fcnt} goes out twice, with other content"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One life.
struct Soak {
    world: World,
    dice: Dice,
    listener: Listener,
    life: Life,
    /// Where presses, commands and trips leave the relay.
    relay_on: bool,
    /// The button was pressed, and the relay has not answered yet.
    pressed: bool,
    /// The relay opened to protect, and the trip has not been told yet.
    tripped: bool,
    /// The most that the socket's sum was.
    most_wh: f64,
    /// What was done and what happened, the last few.
    last: VecDeque<String>,
    /// No press before this, because the firmware may be starting.
    awake_ms: u64,
}

/// Lives so many days from a seed.
///
/// # Errors
/// What did not hold, and when.
pub fn live(seed: u64, days: u64) -> Result<Life, String> {
    let options = Options::parse_from(["soak", "--seed", &seed.to_string()]);
    let world = World::new(&options)?;
    let listener = Listener {
        gateway: world.medium().gateway(),
        sessions_ms: Vec::new(),
        uplinks: BTreeMap::new(),
        dev_nonces: BTreeSet::new(),
        frames: 0,
    };
    let mut soak = Soak {
        world,
        dice: Dice(seed),
        listener,
        life: Life::default(),
        relay_on: true,
        pressed: false,
        tripped: false,
        most_wh: 0.0,
        last: VecDeque::new(),
        awake_ms: 0,
    };
    soak.run(days).map_err(|what| {
        let before: String = soak.last.iter().map(|line| format!("\n  {line}")).collect();
        format!("{} after power-up: {what}; before that:{before}", human::time(soak.world.now_ms()))
    })?;
    soak.life.frames = soak.listener.frames;
    Ok(soak.life)
}

impl Soak {
    fn run(&mut self, days: u64) -> Result<(), String> {
        // The relay as it comes from the factory.
        self.world.run_until_ms(1_000);
        self.relay_on = self.world.status().relay_on;
        self.go_on(60_000)?;
        for day in 1..=days {
            let lost_permille = [0, 0, 50, 300][self.dice.roll(4) as usize];
            self.world.medium().air().set_all_erasures_permille(lost_permille);
            self.world.medium().air().set_erasure_permille(self.listener.gateway.station(), 0);
            while self.world.now_ms() < day * DAY_MS {
                self.act()?;
                let pause_ms = 10_000 + self.dice.roll(3_600_000);
                self.go_on(pause_ms)?;
                self.look()?;
            }
        }
        // In peace it is joined again at last, and reports.
        self.world.medium().air().set_all_erasures_permille(0);
        self.act_by("gateway on")?;
        self.go_on(DAY_MS / 2)?;
        self.look()?;
        let (before, joined) = (self.world.status().uplinks, self.world.status().dev_addr.is_some());
        self.go_on(3_600_000)?;
        if !joined || self.world.status().uplinks < before + 3 {
            return Err("the socket does not report in peace".into());
        }
        match self.world.watchdog_resets() {
            0 => Ok(()),
            resets => Err(format!("the watchdog had to end a hang {resets} times")),
        }
    }

    /// Does one thing at random.
    fn act(&mut self) -> Result<(), String> {
        match self.dice.roll(20) {
            0..=4 => {
                let power_w = 20 + self.dice.roll(3_000);
                let factor = 50 + self.dice.roll(51);
                self.act_by(&format!("load {power_w}W pf {}.{:02}", factor / 100, factor % 100))
            }
            5 => self.act_by("load 0W"),
            6 => {
                let power_w = 3_800 + self.dice.roll(3_000);
                self.act_by(&format!("load {power_w}W"))?;
                self.go_on(5_000)?;
                self.act_by("load 800W")
            }
            7..=9 => self.press(),
            10..=14 => {
                let kind = self.dice.roll(8) as usize;
                let payload = [
                    "080100ff", "080000ff", "080100ff", "080000ff", "ff28ff", "ff2cff", "ff03b004", "080100",
                ][kind];
                self.act_by(&format!("downlink 85 {payload}"))
            }
            15 => self.act_by("downlink 85 ff10ff"),
            16 => {
                self.act_by("gateway off")?;
                let pause_ms = self.dice.roll(7_200_000);
                self.go_on(pause_ms)?;
                self.act_by("gateway on")
            }
            17 => {
                let (from_ms, most_ms) =
                    [(50, 1_900), (2_100, 5_000), (2_100, 5_000_000)][self.dice.roll(3) as usize];
                let outage_ms = from_ms + self.dice.roll(most_ms - from_ms);
                self.outage(outage_ms)
            }
            18 => {
                // What was just switched is not forgotten.
                self.press()?;
                let pause_ms = self.dice.roll(2_000);
                self.go_on(pause_ms)?;
                self.outage(30_000)
            }
            _ => {
                let volts = 200 + self.dice.roll(50);
                self.act_by(&format!("voltage {volts}V"))
            }
        }
    }

    fn act_by(&mut self, command: &str) -> Result<(), String> {
        self.note(format!("{}  {command}", human::time(self.world.now_ms())));
        let stimulus = parse_command(command).map_err(|error| format!("{command}: {error:?}"))?;
        self.world.apply(&stimulus)
    }

    fn note(&mut self, line: String) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Presses the button, if the firmware is awake to see it.
    fn press(&mut self) -> Result<(), String> {
        if self.world.now_ms() < self.awake_ms {
            return Ok(());
        }
        self.life.presses += 1;
        self.pressed = true;
        self.act_by("press")?;
        self.go_on(500)?;
        if self.pressed { Err("a press did nothing".into()) } else { Ok(()) }
    }

    fn outage(&mut self, outage_ms: u64) -> Result<(), String> {
        self.act_by("power off")?;
        self.go_on(outage_ms)?;
        self.act_by("power on")?;
        let ended = outage_ms > HOLD_UP_MS;
        self.life.cuts += u64::from(ended);
        self.life.dips += u64::from(!ended);
        self.awake_ms = self.world.now_ms() + 2_000;
        self.go_on(1_000)
    }

    /// Lets time pass, and holds what happens against what is expected.
    fn go_on(&mut self, ms: u64) -> Result<(), String> {
        let end_ms = self.world.now_ms() + ms;
        while self.world.now_ms() < end_ms {
            self.world.run_until_ms(end_ms.min(self.world.now_ms() + 60_000));
            for (t_ms, _, event) in self.world.take_events() {
                self.note(human::dated(t_ms, None, &event));
                self.event(t_ms, &event).map_err(|what| format!("{} ({what})", human::line(&event)))?;
            }
            self.listener.listen()?;
        }
        Ok(())
    }

    fn event(&mut self, t_ms: u64, event: &Event) -> Result<(), &'static str> {
        match event {
            Event::Joined { .. } => {
                self.life.joins += 1;
                self.listener.sessions_ms.push(t_ms);
            }
            Event::Downlink { payload, .. } => {
                self.life.downlinks += 1;
                match payload[..] {
                    // A cut one (`080100`) has no effect.
                    [0x08, on @ (0 | 1), _, _, ..] => self.relay_on = on == 1,
                    // The reboot comes 12 s after the command at the latest (BEHAVIOUR.md).
                    [0xff, 0x10, ..] => self.awake_ms = t_ms + 15_000,
                    _ => {}
                }
            }
            Event::Relay { on: false, cause: "protection" | "hard_limit" } => {
                self.relay_on = false;
                self.tripped = true;
            }
            Event::Trip { current_ma, .. } => {
                self.life.trips += 1;
                // The rated current of the EU model, which is where the protection stands by default.
                if !std::mem::take(&mut self.tripped) || *current_ma < 16_000 {
                    return Err("nothing to trip for");
                }
            }
            Event::Reboot { cause: "downlink" } => self.life.reboots += 1,
            Event::Reboot { .. } => return Err("nobody asked for that"),
            Event::Relay { on, cause: "button" } => {
                if !std::mem::take(&mut self.pressed) || *on == self.relay_on {
                    return Err("nobody pressed for that");
                }
                self.relay_on = *on;
            }
            Event::Relay { on, .. } if *on != self.relay_on => return Err("nobody switched it there"),
            _ => {}
        }
        Ok(())
    }

    /// Compares relay and energy with what they should be.
    fn look(&mut self) -> Result<(), String> {
        let status = self.world.status();
        let circuit = self.world.socket(0).ok_or("no socket")?.circuit();
        let mut closed = false;
        circuit.change(|_, circuit: &mut Circuit| closed = circuit.is_closed());
        if status.mains_on && (status.relay_on, closed) != (self.relay_on, self.relay_on) {
            let (firmware, wanted) = (status.relay_on, self.relay_on);
            return Err(format!("the relay is {closed}, the firmware says {firmware}, wanted {wanted}"));
        }
        let (flowed_wh, sum_wh) = (circuit.energy_wh(), status.energy_uwh as f64 / 1e6);
        let lost_wh = (self.life.cuts + self.life.reboots) as f64 * LOSS_WH;
        if sum_wh > flowed_wh * (1.0 + ERROR) + PULSE_WH {
            return Err(format!("the sum is {sum_wh} Wh, more than the {flowed_wh} Wh that flowed"));
        }
        if sum_wh < flowed_wh * (1.0 - ERROR) - PULSE_WH - lost_wh {
            return Err(format!("the sum is {sum_wh} Wh of {flowed_wh} Wh, and {lost_wh} Wh may be lost"));
        }
        if sum_wh < self.most_wh - LOSS_WH {
            return Err(format!("the sum fell from {} Wh to {sum_wh} Wh", self.most_wh));
        }
        self.most_wh = self.most_wh.max(sum_wh);
        self.life.energy_wh = flowed_wh as u64;
        self.life.missing_wh = (flowed_wh - sum_wh).max(0.0).round() as u64;
        Ok(())
    }
}
