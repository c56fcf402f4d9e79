//! Random events against a small reference model of the socket: where the relay is, and what must follow.

use proptest::prelude::*;
use sockeye_metering::Reading;
use sockeye_protocol::wire::{Direction, Records};
use sockeye_settings::{Action, PowerRestore};
use sockeye_state_machine::{
    Boot, Cause, Effect, Effects, Event, MAX_EFFECTS, ResetCause, Socket, StoreItem, UplinkKind,
};

use crate::bench::{PORT, amperes, boot};

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, with readings of this current every 100 ms while the relay is on.
    Wait {
        ms: u64,
        current_ma: u32,
    },
    Switch {
        on: bool,
        multicast: bool,
    },
    /// A command of a D2D controller.
    D2d(Action),
    /// A clean press of 100 ms.
    Press,
    DelayTask {
        on: bool,
        delay_s: u16,
    },
    DeleteDelayTask,
    Lock(bool),
    /// Any bytes that hold none of the commands above or that set thresholds.
    Enquire(Vec<u8>),
    Join,
    JoinRequest,
    SupplyLost,
    MeterFailed,
    Impossible,
    /// Time passes with a meter that does not answer, or shows what cannot be, every 100 ms.
    Bad {
        ms: u64,
        kind: Bad,
    },
    /// All stores that are under way end.
    Stored,
}

#[derive(Clone, Copy, Debug)]
enum Bad {
    Silent,
    Failing,
    NoVoltage,
    TooMuchPower,
}

fn step() -> impl Strategy<Value = Step> {
    let enquiry = prop_oneof![
        Just(vec![0xff, 0x28, 0xff]),
        Just(vec![0xff, 0x2c, 0xff]),
        Just(vec![0xff, 0x27, 0xff]),
        Just(vec![0xff, 0x03, 0x3c, 0x00]),
        Just(vec![0xff, 0x2f, 0x00]),
        Just(vec![0xff, 0x2f, 0x01, 0xff, 0x28, 0xff, 0xff, 0x2c, 0xff, 0xff, 0x27, 0xff]),
        Just(vec![0x08, 0x02, 0x00, 0x00]),
        Just(vec![0xff, 0x99]),
        Just(vec![0x08]),
    ];
    prop_oneof![
        6 => (0u64..8_000, prop_oneof![Just(0u32), Just(5_000), Just(9_400), Just(11_000), Just(14_000)])
            .prop_map(|(ms, current_ma)| Step::Wait { ms, current_ma }),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(on, multicast)| Step::Switch { on, multicast }),
        2 => prop_oneof![Just(Action::Off), Just(Action::On), Just(Action::Toggle)].prop_map(Step::D2d),
        3 => Just(Step::Press),
        2 => (any::<bool>(), 0u16..20).prop_map(|(on, delay_s)| Step::DelayTask { on, delay_s }),
        1 => Just(Step::DeleteDelayTask),
        1 => any::<bool>().prop_map(Step::Lock),
        2 => enquiry.prop_map(Step::Enquire),
        1 => Just(Step::Join),
        1 => Just(Step::JoinRequest),
        1 => Just(Step::SupplyLost),
        1 => Just(Step::MeterFailed),
        1 => Just(Step::Impossible),
        3 => (
            0u64..5_000,
            prop_oneof![Just(Bad::Silent), Just(Bad::Failing), Just(Bad::NoVoltage), Just(Bad::TooMuchPower)],
        )
            .prop_map(|(ms, kind)| Step::Bad { ms, kind }),
        2 => Just(Step::Stored),
    ]
}

/// What must be so, kept apart from how the socket does it.
struct Model {
    on: bool,
    locked: bool,
    task: Option<(u64, bool)>,
    /// Since when the current has been at or above 10 A, and above 13 A, with the relay on.
    over_ms: Option<u64>,
    far_over_ms: Option<u64>,
    tripped: bool,
    /// The last good reading.
    good: Option<(u64, u32)>,
    /// When the meter last showed that it works, or was given time to.
    meter_ms: u64,
    mains_lost: bool,
    mains_lost_ms: u64,
    meter_failed: bool,
    online: bool,
    /// A report is owed by then.
    report_by_ms: Option<u64>,
}

struct Run {
    socket: Socket,
    model: Model,
    now_ms: u64,
    next_reading_ms: u64,
    /// What the effects say.
    relay_told: bool,
    led_told: Option<bool>,
    stores: Vec<StoreItem>,
    changes: u32,
}

impl Run {
    fn new(boot: Boot) -> Self {
        let on = match (boot.cause, boot.settings.general.power_restore) {
            (ResetCause::PowerOn, PowerRestore::Off) => false,
            (ResetCause::PowerOn, PowerRestore::On) => true,
            _ => boot.relay_was_on,
        };
        let mut effects = Effects::new();
        let socket = Socket::new(0, boot, &mut effects);
        assert_eq!(effects[0], Effect::Relay { on, cause: Cause::PowerUp });
        let model = Model {
            on,
            locked: false,
            task: None,
            over_ms: None,
            far_over_ms: None,
            tripped: false,
            good: None,
            meter_ms: 1_000,
            mains_lost: false,
            mains_lost_ms: 0,
            meter_failed: false,
            online: false,
            report_by_ms: None,
        };
        let mut run = Self {
            socket,
            model,
            now_ms: 0,
            next_reading_ms: 0,
            relay_told: on,
            led_told: None,
            stores: Vec::new(),
            changes: 0,
        };
        effects.remove(0);
        run.take(&effects);
        run
    }

    /// The model's relay changes: a report is owed, 2 s from now or within 30 s after multicast.
    fn switch(&mut self, on: bool, within_ms: u64) {
        if self.model.on == on {
            return;
        }
        self.model.on = on;
        self.model.over_ms = None;
        self.model.far_over_ms = None;
        self.changes += 1;
        if on {
            self.model.tripped = false;
            self.model.meter_ms = self.model.meter_ms.max(self.now_ms);
        }
        if self.model.online {
            let by_ms = self.now_ms + within_ms;
            self.model.report_by_ms =
                Some(self.model.report_by_ms.map_or(by_ms, |owed_ms| owed_ms.min(by_ms)));
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let mut effects = Effects::new();
        self.socket.handle(self.now_ms, event, &mut effects);
        self.take(&effects);
        while self.socket.next_due_ms() == Some(0) && self.now_ms > 0 {
            effects.clear();
            self.socket.handle(self.now_ms, Event::Timer, &mut effects);
            assert!(!effects.is_empty());
            self.take(&effects);
        }
        assert_eq!(self.socket.relay_on(), self.model.on, "at {}", self.now_ms);
        assert_eq!(self.relay_told, self.model.on, "the relay was not told at {}", self.now_ms);
        assert_eq!(self.socket.counters().relay_changes(), self.changes);
        assert_eq!(
            self.socket.delay_task(self.now_ms).map(|task| (self.now_ms + task.remaining_ms, task.on)),
            self.model.task
        );
    }

    fn take(&mut self, effects: &Effects) {
        assert!(effects.len() <= MAX_EFFECTS);
        for effect in effects {
            match effect {
                Effect::Relay { on, .. } => {
                    assert_ne!(*on, self.relay_told, "told without a change");
                    self.relay_told = *on;
                }
                Effect::Led { on } => {
                    assert_ne!(self.led_told.replace(*on), Some(*on), "told without a change")
                }
                Effect::Store(item) => self.stores.push(*item),
                Effect::Uplink(uplink) => {
                    let mut records = Records::new(Direction::Uplink, &uplink.payload);
                    assert!(records.by_ref().count() > 0 && records.stop().is_none(), "{uplink:?}");
                    assert_eq!(uplink.payload == [0xff, 0x3f, 0xff], uplink.kind == UplinkKind::Outage);
                    // A report of before the change pays nothing.
                    // A meter that has been silent for 2 s tells nothing of now.
                    let has_values = uplink.payload.get(3..5) == Some(&[0x05, 0x81]);
                    let is_fresh = self.model.good.is_some_and(|(at_ms, _)| self.now_ms - at_ms < 2_000);
                    assert!(uplink.kind != UplinkKind::Report || has_values == is_fresh, "{uplink:?}");
                    let is_report = matches!(uplink.kind, UplinkKind::Report | UplinkKind::Alarm);
                    if is_report && uplink.payload.get(2) == Some(&u8::from(self.model.on)) {
                        self.model.report_by_ms = None;
                    }
                }
                Effect::MeterFault { failed } => {
                    assert_ne!(*failed, self.model.meter_failed, "told twice");
                    self.model.meter_failed = *failed;
                    let good_ms = self.model.good.map_or(0, |(at_ms, _)| at_ms);
                    assert!(!failed || self.now_ms - good_ms >= 2_000, "no fault at {}", self.now_ms);
                }
                _ => {}
            }
        }
    }

    /// Lets the model's own timers act that are due by now.
    fn model_due(&mut self) {
        self.fault_due();
        self.task_due();
    }

    fn fault_due(&mut self) {
        if self.model.on && self.now_ms >= self.model.meter_ms + 2_000 {
            assert!(
                self.model.meter_failed || self.socket.next_due_ms() <= Some(self.now_ms),
                "fault not told"
            );
            if self.model.good.is_some_and(|(_, current_ma)| current_ma > 10_000) {
                self.trip();
            }
        }
    }

    fn task_due(&mut self) {
        if let Some((due_ms, on)) = self.model.task
            && due_ms <= self.now_ms
        {
            self.model.task = None;
            // It may have been set by multicast.
            self.switch(on, 30_000);
        }
    }

    fn trip(&mut self) {
        self.switch(false, 2_000);
        self.model.tripped = true;
        if matches!(self.model.task, Some((_, true))) {
            self.model.task = None;
        }
    }

    fn wait(&mut self, ms: u64, current_ma: u32) {
        self.pass(ms, current_ma, None);
    }

    /// Lets time pass with good readings of this current, or with a bad meter.
    fn pass(&mut self, ms: u64, current_ma: u32, bad: Option<Bad>) {
        let until_ms = self.now_ms + ms;
        loop {
            let timer_ms = self.socket.next_due_ms().unwrap_or(u64::MAX).max(self.now_ms);
            let next_ms = timer_ms.min(self.next_reading_ms.max(self.now_ms));
            if next_ms > until_ms {
                break;
            }
            self.now_ms = next_ms;
            if let Some(by_ms) = self.model.report_by_ms {
                assert!(self.now_ms <= by_ms, "no report by {by_ms}");
            }
            self.model_due();
            if timer_ms == next_ms {
                self.event(Event::Timer);
            } else {
                self.next_reading_ms = next_ms + 100;
                if let Some(bad) = bad {
                    self.bad_reading(bad);
                    continue;
                }
                let reading =
                    if self.model.on { amperes(f64::from(current_ma) / 1000.0) } else { amperes(0.0) };
                self.model_reading(reading.fast_current_ma);
                self.event(Event::Reading(reading));
            }
        }
        self.now_ms = until_ms;
        self.model_due();
    }

    fn model_reading(&mut self, current_ma: u32) {
        let now_ms = self.now_ms;
        // After a gap of more than 2 s the count begins anew.
        if self.model.good.is_some_and(|(at_ms, _)| now_ms - at_ms > 2_000) {
            self.model.over_ms = None;
            self.model.far_over_ms = None;
        }
        self.model.good = Some((now_ms, current_ma));
        self.model.meter_ms = self.model.meter_ms.max(now_ms);
        self.model.mains_lost &= now_ms < self.model.mains_lost_ms + 5_000;
        let lasted = |since_ms: &mut Option<u64>, over: bool, limit_ms| {
            *since_ms = over.then(|| since_ms.unwrap_or(now_ms));
            since_ms.is_some_and(|since_ms| now_ms - since_ms >= limit_ms)
        };
        let far_over = lasted(&mut self.model.far_over_ms, current_ma > 13_000, 200);
        let over = lasted(&mut self.model.over_ms, current_ma >= 10_000, 1_000);
        if self.model.on && (far_over || over) {
            self.trip();
        }
    }

    fn bad_reading(&mut self, bad: Bad) {
        match bad {
            Bad::Silent => {}
            Bad::Failing => self.event(Event::MeterFailed),
            Bad::NoVoltage => {
                if self.model.mains_lost && self.now_ms < self.model.mains_lost_ms + 120_000 {
                    self.model.meter_ms = self.model.meter_ms.max(self.now_ms);
                }
                self.event(Event::Reading(Reading { voltage_mv: 0, ..amperes(90.0) }));
            }
            Bad::TooMuchPower => {
                self.event(Event::Reading(Reading { power_mw: 99_000_000, ..amperes(20.0) }));
            }
        }
    }

    fn downlink(&mut self, payload: &[u8], multicast: bool) {
        self.event(Event::Downlink { port: PORT, payload, multicast });
    }

    fn step(&mut self, step: Step) {
        let was_tripped = self.model.tripped;
        match step {
            Step::Wait { ms, current_ma } => self.wait(ms, current_ma),
            Step::Switch { on, multicast } => {
                self.switch(on, if multicast { 30_000 } else { 2_000 });
                self.downlink(&[0x08, u8::from(on), 0x00, 0xff], multicast);
            }
            Step::D2d(action) => {
                let on = match action {
                    Action::Off => false,
                    Action::On => true,
                    Action::Toggle => !self.model.on,
                };
                self.switch(on, 2_000);
                self.event(Event::D2d(action));
            }
            Step::Press => {
                self.event(Event::Button { pressed: true });
                self.wait(100, 0);
                self.event(Event::Button { pressed: false });
                // Readings keep their rhythm; the press counts 30 ms later.
                let until_ms = self.now_ms + 30;
                self.wait(29, 0);
                self.now_ms = until_ms;
                // Due at the same instant: the meter, then the button, then the task.
                self.fault_due();
                if !self.model.locked {
                    self.switch(!self.model.on, 2_000);
                }
                self.model_due();
                self.event(Event::Timer);
            }
            Step::DelayTask { on, delay_s } => {
                self.model.task = Some((self.now_ms + u64::from(delay_s) * 1000, on));
                self.model_due();
                let [low, high] = delay_s.to_le_bytes();
                self.downlink(&[0xff, 0x22, 0, low, high, 0x10 | u8::from(on)], false);
            }
            Step::DeleteDelayTask => {
                self.model.task = None;
                self.downlink(&[0xff, 0x23, 0, 0xff], false);
            }
            Step::Lock(locked) => {
                self.model.locked = locked;
                self.downlink(&[0xff, 0x25, 0, if locked { 0x80 } else { 0 }], false);
            }
            Step::Enquire(payload) => self.downlink(&payload, false),
            Step::Join => {
                self.model.online = true;
                self.event(Event::Joined);
            }
            Step::JoinRequest => self.event(Event::JoinRequested),
            Step::SupplyLost => {
                let seen = self.model.good.is_some_and(|(at_ms, _)| at_ms > self.model.mains_lost_ms);
                if !self.model.mains_lost || seen {
                    self.model.mains_lost = true;
                    self.model.mains_lost_ms = self.now_ms;
                    self.model.meter_ms = self.model.meter_ms.max(self.now_ms + 5_000);
                }
                self.event(Event::SupplyLost);
            }
            Step::MeterFailed => self.bad_reading(Bad::Failing),
            Step::Impossible => self.bad_reading(Bad::NoVoltage),
            Step::Bad { ms, kind } => self.pass(ms, 0, Some(kind)),
            Step::Stored => {
                for item in std::mem::take(&mut self.stores) {
                    let number = self.socket.store_number(item);
                    self.event(Event::Stored { item, number });
                }
            }
        }
        if was_tripped && self.model.tripped {
            assert!(!self.socket.relay_on(), "a trip lasts");
        }
    }
}

/// Commands and parts of commands.
const PIECES: &[&[u8]] = &[
    &[0xff, 0x03],
    &[0xff, 0x10, 0xff],
    &[0xff, 0x22, 0, 1, 0, 0x11],
    &[0xff, 0x25, 1, 0x80],
    &[0xff, 0x24, 1, 5],
    &[0x08, 1, 0, 0xff],
    &[0x3c, 0x00],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_relay_is_where_the_model_says_and_every_change_is_reported(
        relay_was_on: bool,
        seed: u64,
        restore in prop_oneof![Just(PowerRestore::Off), Just(PowerRestore::On), Just(PowerRestore::Previous)],
        cause in prop_oneof![Just(ResetCause::PowerOn), Just(ResetCause::Reboot), Just(ResetCause::Watchdog)],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut boot = Boot { relay_was_on, seed, cause, ..boot() };
        boot.settings.general.power_restore = restore;
        let mut run = Run::new(boot);
        // A press of the first moments is one from before the start; it has its own tests.
        run.wait(100, 0);
        for step in steps {
            run.step(step);
        }
        // What is owed comes.
        run.wait(31_000, 0);
        prop_assert_eq!(run.model.report_by_ms, None);
    }

    #[test]
    fn no_bytes_of_a_downlink_make_it_panic_or_get_stuck(
        payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..=242), any::<u8>(), any::<bool>()), 1..8),
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
    ) {
        let joined: Vec<u8> = pieces.concat().into_iter().take(242).collect();
        let mut effects = Effects::new();
        let mut socket = Socket::new(0, boot(), &mut effects);
        let mut now_ms = 0;
        let all = payloads.into_iter().chain([(joined.clone(), PORT, false), (joined, PORT, true)]);
        for (payload, port, multicast) in all {
            for port in [port, PORT] {
                now_ms += 1_000;
                effects.clear();
                socket.handle(now_ms, Event::Downlink { port, payload: &payload, multicast }, &mut effects);
                let mut calls = 0;
                while socket.next_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                    effects.clear();
                    socket.handle(now_ms, Event::Timer, &mut effects);
                    calls += 1;
                    prop_assert!(calls < 10, "never done");
                }
                prop_assert!(socket.settings().validate(boot().identity.model).is_ok());
            }
        }
    }
}
