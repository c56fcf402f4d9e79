//! A bench for one socket: it plays events at their times and writes down the effects as lines.

use std::fmt::Write as _;

use sockeye_metering::Reading;
use sockeye_settings::{Identity, Key, Model, Region, Settings};
use sockeye_state_machine::{
    Boot, DelayTask, Effect, Effects, Event, MAX_EFFECTS, ResetCause, Socket, StoreItem, Uplink,
};

pub const PORT: u8 = 85;

/// The socket of the guide's example of basic information: 6148b13783621055, hardware 1.0, software 1.3, 10 A.
pub fn identity() -> Identity {
    Identity {
        sn: [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55],
        dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
        model: Model::Au,
        app_key: Key::new([7; 16]),
        hardware_version: [0x01, 0x00],
    }
}

pub fn boot() -> Boot {
    Boot {
        settings: Settings::default_for(Region::Eu868, &identity()),
        identity: identity(),
        software_version: [0x01, 0x03],
        relay_was_on: false,
        relay_kept: None,
        energy_uwh: 0,
        delay_task: None,
        cause: ResetCause::PowerOn,
        session_stored: false,
        seed: 1,
    }
}

/// A reading at 230 V and a power factor of 1, with no energy.
pub fn amperes(current_a: f64) -> Reading {
    let current_ma = (current_a * 1000.0).round() as u32;
    Reading {
        voltage_mv: 230_000,
        current_ma,
        power_mw: 230 * current_ma,
        energy_uwh: 0,
        fast_current_ma: current_ma,
    }
}

pub struct Bench {
    pub socket: Socket,
    pub now_ms: u64,
    /// Every effect, with its time.
    pub effects: Vec<(u64, Effect)>,
    /// What the meter gives every 100 ms while the relay is on; while it is off, its voltage alone.
    pub meter: Option<Reading>,
    /// How long a store takes; `None`: the flash is stuck.
    pub store_ms: Option<u64>,
    stores: Vec<(u64, StoreItem)>,
    next_reading_ms: u64,
}

impl Bench {
    pub fn new(boot: Boot) -> Self {
        let mut effects = Effects::new();
        let socket = Socket::new(0, boot, &mut effects);
        let mut bench = Self {
            socket,
            now_ms: 0,
            effects: Vec::new(),
            meter: Some(amperes(0.0)),
            store_ms: Some(20),
            stores: Vec::new(),
            next_reading_ms: 50,
        };
        bench.take(&mut effects);
        bench
    }

    /// A socket that is on and has joined, with all that this brings done and forgotten. The time is 100 s, a
    /// report of the interval was sent at 60 s.
    pub fn joined() -> Self {
        Self::joined_with(|_| {})
    }

    pub fn joined_with(change: impl FnOnce(&mut Boot)) -> Self {
        let mut boot = Boot { relay_was_on: true, ..boot() };
        change(&mut boot);
        let mut bench = Self::new(boot);
        bench.at(60_000);
        bench.event(Event::Joined);
        bench.at(100_000);
        bench.effects.clear();
        bench
    }

    /// Lets time pass up to an instant: timers, readings and stores happen when they are due.
    pub fn at(&mut self, until_ms: u64) -> &mut Self {
        assert!(until_ms >= self.now_ms, "time does not go back");
        loop {
            let timer_ms = self.socket.next_due_ms().map(|due_ms| due_ms.max(self.now_ms));
            let stored_ms = self.stores.first().map(|store| store.0);
            let reading_ms = self.meter.map(|_| self.next_reading_ms.max(self.now_ms));
            let Some(next_ms) = [timer_ms, stored_ms, reading_ms].into_iter().flatten().min() else { break };
            if next_ms > until_ms {
                break;
            }
            self.now_ms = next_ms;
            if stored_ms == Some(next_ms) {
                let (_, item) = self.stores.remove(0);
                self.stored(item);
            } else if timer_ms == Some(next_ms) {
                self.event(Event::Timer);
                assert!(
                    self.socket.next_due_ms().is_none_or(|due_ms| due_ms != self.now_ms),
                    "stuck at {next_ms}"
                );
            } else if let Some(reading) = self.meter {
                self.next_reading_ms = next_ms + 100;
                let idle = Reading { voltage_mv: reading.voltage_mv, ..Reading::default() };
                self.event(Event::Reading(if self.socket.relay_on() { reading } else { idle }));
            }
        }
        self.now_ms = until_ms;
        self
    }

    pub fn after(&mut self, ms: u64) -> &mut Self {
        self.at(self.now_ms + ms)
    }

    /// Hands in an event now.
    pub fn event(&mut self, event: Event<'_>) -> &mut Self {
        let mut effects = Effects::new();
        self.socket.handle(self.now_ms, event, &mut effects);
        self.take(&mut effects);
        while self.socket.next_due_ms() == Some(0) {
            self.socket.handle(self.now_ms, Event::Timer, &mut effects);
            assert!(!effects.is_empty(), "effects wait and do not come");
            self.take(&mut effects);
        }
        self
    }

    /// Ends the newest store of a record now.
    pub fn stored(&mut self, item: StoreItem) -> &mut Self {
        let number = self.socket.store_number(item);
        self.event(Event::Stored { item, number })
    }

    fn take(&mut self, effects: &mut Effects) {
        assert!(effects.len() <= MAX_EFFECTS);
        for effect in std::mem::take(effects) {
            if let (Effect::Store(item), Some(store_ms)) = (&effect, self.store_ms) {
                assert!(
                    self.stores.iter().all(|(_, other)| other != item),
                    "{item:?} is stored twice at once"
                );
                self.stores.push((self.now_ms + store_ms, *item));
            }
            self.effects.push((self.now_ms, effect));
        }
    }

    pub fn downlink(&mut self, payload: &str) -> &mut Self {
        self.event(Event::Downlink { port: PORT, payload: &bytes(payload), multicast: false })
    }

    pub fn multicast(&mut self, payload: &str) -> &mut Self {
        self.event(Event::Downlink { port: PORT, payload: &bytes(payload), multicast: true })
    }

    /// Presses the button for a time, then waits for the debounce.
    pub fn press_for(&mut self, held_ms: u64) -> &mut Self {
        self.event(Event::Button { pressed: true });
        self.after(held_ms).event(Event::Button { pressed: false });
        self.after(30)
    }

    pub fn press(&mut self) -> &mut Self {
        self.press_for(100)
    }

    /// The effects so far as lines of time and effect, with those that do not start with one of `kinds` left
    /// out.
    pub fn lines(&self, kinds: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        for (at_ms, effect) in &self.effects {
            let line = describe(effect);
            if kinds.iter().any(|kind| line.starts_with(kind)) {
                lines.push(format!("{at_ms} {line}"));
            }
        }
        lines
    }

    /// Compares all effects of some kinds.
    #[track_caller]
    pub fn check(&self, kinds: &[&str], want: &[&str]) {
        assert_eq!(self.lines(kinds), want, "all effects: {:#?}", self.lines(&[""]));
    }

    pub fn uplinks(&self) -> impl Iterator<Item = (u64, &Uplink)> {
        self.effects.iter().filter_map(|(at_ms, effect)| match effect {
            Effect::Uplink(uplink) => Some((*at_ms, uplink)),
            _ => None,
        })
    }
}

pub fn task(on: bool, remaining_ms: u64) -> Option<DelayTask> {
    Some(DelayTask { on, spread: false, remaining_ms })
}

/// One effect as a line: kind, then details.
pub fn describe(effect: &Effect) -> String {
    let level = |on: bool| if on { "on" } else { "off" };
    match effect {
        Effect::Relay { on, cause } => format!("relay {} {cause}", level(*on)),
        Effect::Led { on } => format!("led {}", level(*on)),
        Effect::Trip { cause, current_ma } => format!("trip {cause} {current_ma}"),
        Effect::Alarm { current_ma } => format!("alarm {current_ma}"),
        Effect::WeldedContact { current_ma } => format!("welded {current_ma}"),
        Effect::MeterFault { failed } => format!("meter {}", if *failed { "failed" } else { "well" }),
        Effect::Uplink(uplink) => {
            let confirmed = if uplink.confirmed { " confirmed" } else { "" };
            format!("uplink {:?} {}{confirmed}", uplink.kind, hex(&uplink.payload))
        }
        Effect::StartNetwork => "start network".into(),
        Effect::Store(item) => format!("store {item:?}"),
        Effect::Reboot { cause } => format!("reboot {cause}"),
        Effect::FactoryReset => "factory reset".into(),
        Effect::Ignored { what } => format!("ignored {what}"),
        Effect::Maintained(outcome) => format!("maintained {outcome:?}"),
    }
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
