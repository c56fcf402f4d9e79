//! The socket: what it knows, and how events become effects.
//!
//! An event only changes what the socket knows, and marks in `pending` which kinds of effects are due. Then
//! `flush` makes them, the relay first. So the relay and the LED are told of a change once, however often an
//! event turned them over, and what finds no place in [`Effects`] stays pending and comes with the next call.

use sockeye_metering::{EnergySum, Plausibility, Reading, TripCurve, WeldedContact};
use sockeye_protocol::Payload;
use sockeye_scheduler::{Job, Scheduler, after};
use sockeye_settings::{Action, Identity, PowerRestore, Settings};

mod commands;
mod effects;
mod maintenance;
mod meter;
mod uplinks;

use effects::pending;

use crate::button::{Button, Press};
use crate::led::{Led, STEP_MS};
use crate::meter_watch::{FAULT_MS, MeterWatch};
use crate::stores::Stores;
use crate::{
    Boot, Cause, Counters, DelayTask, Effects, Event, Ignored, Outcome, RebootCause, ResetCause, StoreItem,
    TripCause,
};

/// How long a store may take, in ms: page erases wait for the end of a transaction on the air.
const STORE_TIMEOUT_MS: u64 = 10_000;

/// How long a restart waits for its stores, in ms.
const REBOOT_STORE_MS: u64 = 2_000;

/// How often the time that is left to a delay task is stored, in ms: an unexpected reset makes it at most as
/// much later.
const DELAY_TASK_STORE_MS: u64 = 5 * 60 * 1000;

/// Join-requests in a row that blink (guide, section 2.4, note 2).
const BLINKING_JOIN_REQUESTS: u32 = 32;

/// How long the outage alert waits for energy and relay state to be in flash, in ms. A store takes a few.
const OUTAGE_STORE_MS: u64 = 100;

/// What may be lost of the energy when the supply is lost again within [`OUTAGE_HOLD_MS`], in µWh: half of the 1 Wh of
/// behaviour.md. A flickering supply must not wear the flash out.
const FLICKER_UWH: u64 = 500_000;

/// An outage alert is not repeated within this time, in ms, so that a flickering supply does not fill the air.
const OUTAGE_HOLD_MS: u64 = 60_000;

/// What is stored before the outage alert goes.
const SAVED: [StoreItem; 2] = [StoreItem::RelayState, StoreItem::Energy];

/// The socket. Its rules are those of the module documentation and of docs/BEHAVIOUR.md.
#[derive(Clone, Debug)]
pub struct Socket {
    settings: Settings,
    identity: Identity,
    software_version: [u8; 2],
    scheduler: Scheduler,
    pending: u32,
    counters: Counters,

    relay_on: bool,
    relay_cause: Cause,
    /// Many sockets changed with this one.
    relay_spread: bool,
    /// What the relay and the LED were told last.
    relay_told: Option<bool>,
    led_told: Option<bool>,
    led: Led,
    button: Button,

    trip_curve: TripCurve,
    plausibility: Plausibility,
    welded: WeldedContact,
    energy: EnergySum,
    /// The last reading that could be, and when it came.
    reading: Option<(u64, Reading)>,
    reading_dropped: bool,
    /// Until then a meter that shows what cannot be is no news: it has just started, or the mains has gone.
    meter_quiet_until_ms: u64,
    meter_failing: bool,
    meter_watch: MeterWatch,
    /// When the supply monitor saw the mains go, if no good reading has shown it back since.
    mains_lost_ms: Option<u64>,
    /// The reading of the last alarm or trip; its fast current is what caused it.
    alarm_reading: Reading,
    trip: TripCause,

    /// The network can be reached: a session exists.
    online: bool,
    /// The first uplink waits until then.
    quiet_until_ms: u64,
    /// The basic information that is due is that of a join or a start: a report follows it.
    announcing: bool,
    /// No basic information has been sent since the start.
    power_on_untold: bool,
    join_requests: u32,
    outage_ms: Option<u64>,
    /// An outage alert waits for the stores that go before it.
    outage_waits: bool,
    /// When the energy was stored last because the supply was lost.
    energy_saved_ms: Option<u64>,

    stores: Stores,
    /// Answers that wait until the settings, and an energy sum that was reset, are in flash.
    answer: Payload,
    /// What is to be said to somebody at the tag or the serial line, once it is so.
    outcome: Option<Outcome>,
    reboot: Option<RebootCause>,
    /// The answer to the reboot command waits for the flash.
    reboot_unanswered: bool,
    /// The stores before the restart are under way.
    reboot_ready: bool,
}

impl Socket {
    /// Starts the socket. The first effect is the relay: after a power cut by the setting for it, after any
    /// other start as it was.
    #[inline(never)]
    pub fn new(now_ms: u64, boot: Boot, effects: &mut Effects) -> Self {
        let Boot { settings, identity, .. } = boot;
        let rated_current_a = identity.model.rated_current_a();
        let relay_on = match (boot.cause, settings.general.power_restore) {
            (ResetCause::PowerOn, PowerRestore::Off) => false,
            (ResetCause::PowerOn, PowerRestore::On) => true,
            _ => boot.relay_kept.unwrap_or(boot.relay_was_on),
        };
        let mut socket = Self {
            scheduler: Scheduler::new(boot.seed, settings.general.reporting_interval_s),
            pending: pending::RELAY | pending::LED,
            counters: Counters::default(),
            relay_on,
            relay_cause: Cause::PowerUp,
            relay_spread: false,
            relay_told: None,
            led_told: None,
            led: Led::default(),
            button: Button::new(now_ms, boot.cause == ResetCause::PowerOn),
            trip_curve: TripCurve::new(rated_current_a),
            plausibility: Plausibility::new(rated_current_a),
            welded: WeldedContact::new(),
            energy: EnergySum::new(now_ms, boot.energy_uwh),
            reading: None,
            reading_dropped: false,
            meter_quiet_until_ms: after(now_ms, meter::START_MS),
            meter_failing: false,
            meter_watch: MeterWatch::new(after(now_ms, meter::START_MS)),
            mains_lost_ms: None,
            alarm_reading: Reading::default(),
            trip: TripCause::Protection,
            online: false,
            quiet_until_ms: now_ms,
            announcing: false,
            power_on_untold: true,
            join_requests: 0,
            outage_ms: None,
            outage_waits: false,
            energy_saved_ms: None,
            stores: Stores::default(),
            answer: Payload::new(),
            outcome: None,
            reboot: None,
            reboot_unanswered: false,
            reboot_ready: false,
            software_version: boot.software_version,
            settings,
            identity,
        };
        socket.restore_delay_task(now_ms, boot.delay_task, boot.cause);
        socket.apply_limits();
        socket.energy.set_enabled(socket.settings.general.power_consumption);
        socket.apply_button_lock(now_ms);
        if boot.cause != ResetCause::Reboot {
            // A building whose power comes back must not transmit all at once (behaviour.md, Start). A restart
            // that was asked for concerns one socket, or has been spread before.
            socket.quiet_until_ms = after(now_ms, socket.scheduler.spread_ms());
        }
        let start_ms = if boot.session_stored { now_ms } else { socket.quiet_until_ms };
        socket.scheduler.set(Job::StartNetwork, start_ms);
        socket.scheduler.set(Job::Meter, socket.meter_watch.due_ms());
        socket.run_due(now_ms);
        // By the setting, or by a delay task that is due already.
        if socket.relay_on != boot.relay_was_on {
            socket.want_store(StoreItem::RelayState);
        }
        socket.flush(now_ms, effects);
        socket
    }

    /// Takes an event, and says what is to be done. Whatever is due by `now_ms` is done before it, so that
    /// events and timers act in the order of their times. `now_ms` must not go back.
    pub fn handle(&mut self, now_ms: u64, event: Event<'_>, effects: &mut Effects) {
        self.run_due(now_ms);
        match event {
            Event::Reading(reading) => self.reading(now_ms, reading),
            Event::MeterFailed => self.meter_failed(now_ms),
            Event::Button { pressed } => {
                self.button.set_level(now_ms, pressed);
                self.watch_button();
            }
            Event::Downlink { port, payload, multicast } => self.downlink(now_ms, port, payload, multicast),
            Event::D2d(action) => {
                let on = self.on_after(action);
                self.set_relay(on, Cause::D2d, false);
            }
            Event::JoinRequested => self.join_requested(now_ms),
            Event::Joined => self.joined(now_ms),
            Event::SessionResumed => self.announce(now_ms, self.quiet_until_ms),
            Event::SupplyLost => self.supply_lost(now_ms),
            Event::Stored { item, number } => self.stored(now_ms, item, number),
            Event::Change { form } => self.change(now_ms, form.0),
            Event::Order(order) => self.order(now_ms, order),
            Event::RecordsLost => StoreItem::ALL.into_iter().for_each(|item| self.want_store(item)),
            Event::RestartRequested { cause } => {
                self.reboot.get_or_insert(cause);
                self.prepare_reboot(now_ms);
            }
            #[cfg(feature = "certification")]
            Event::ResetRequested => {
                self.reboot.get_or_insert(RebootCause::Downlink);
                self.prepare_reboot(now_ms);
            }
            Event::Timer => {}
        }
        // What an event made due at once, such as a delay task of 0 s, is done with it.
        self.run_due(now_ms);
        if self.pending != 0 {
            self.flush(now_ms, effects);
        }
    }

    /// Returns when to call [`handle`](Self::handle) with [`Event::Timer`], if nothing happens before; 0 for
    /// at once, as more effects wait.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        if self.pending != 0 { Some(0) } else { self.scheduler.next_due_ms() }
    }

    /// Returns the settings as they apply now.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells whether power is supplied.
    #[must_use]
    pub fn relay_on(&self) -> bool {
        self.relay_on
    }

    /// Returns the energy sum, in µWh.
    #[must_use]
    pub fn energy_uwh(&self) -> u64 {
        self.energy.uwh()
    }

    /// Returns the delay task with the time that is left.
    #[must_use]
    pub fn delay_task(&self, now_ms: u64) -> Option<DelayTask> {
        self.scheduler.delay_task(now_ms)
    }

    /// Tells whether the network can be reached: a session exists.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Returns the last reading, if it is fresh.
    #[must_use]
    pub fn fresh_reading(&self, now_ms: u64) -> Option<Reading> {
        self.reading.filter(|(read_ms, _)| now_ms.saturating_sub(*read_ms) < FAULT_MS).map(|(_, it)| it)
    }

    /// Returns the number of the newest store of a record: [`Event::Stored`] brings it back.
    #[must_use]
    pub fn store_number(&self, item: StoreItem) -> u8 {
        self.stores.number(item)
    }

    /// Returns what was counted since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Switches the relay. A trip is latched because nothing calls this with `on` but somebody's will.
    /// `spread`: other sockets change at the same time.
    fn set_relay(&mut self, on: bool, cause: Cause, spread: bool) {
        if on != self.relay_on {
            self.relay_on = on;
            self.relay_cause = cause;
            self.relay_spread = spread;
            self.pending |= pending::RELAY | pending::LED;
        }
    }

    /// Tells how the relay stands once an action is done.
    fn on_after(&self, action: Action) -> bool {
        match action {
            Action::Off => false,
            Action::On => true,
            Action::Toggle => !self.relay_on,
        }
    }

    /// Counts something that is not obeyed, and tells of it once per call of [`handle`](Self::handle).
    fn ignore(&mut self, what: Ignored) {
        self.counters.count_ignored(what);
        self.pending |= pending::ignored(what);
    }

    fn want_store(&mut self, item: StoreItem) {
        self.stores.want(item);
        self.pending |= pending::STORE;
    }

    fn led_changed(&mut self) {
        self.pending |= pending::LED;
    }

    /// Gives the thresholds of the settings to the trip curve.
    fn apply_limits(&mut self) {
        let general = &self.settings.general;
        let (alarm, protection) = (general.overcurrent_alarm, general.overcurrent_protection);
        self.trip_curve.set_alarm(alarm.enabled.then_some(alarm.current_a));
        self.trip_curve.set_protection(protection.enabled.then_some(protection.current_a));
    }

    /// Begins the time of the button lock, or takes it back.
    fn apply_button_lock(&mut self, now_ms: u64) {
        let lock = self.settings.general.button_lock;
        if lock.enabled && lock.minutes > 0 {
            let lock_ms = u64::from(lock.minutes).saturating_mul(60_000);
            self.scheduler.set(Job::LockEnd, after(now_ms, lock_ms));
        } else {
            self.scheduler.cancel(Job::LockEnd);
        }
    }

    /// Sets the delay task, in place of one that is set.
    fn set_delay_task(&mut self, now_ms: u64, task: DelayTask) {
        self.scheduler.set_delay_task(now_ms, task);
        self.scheduler.set(Job::StoreDelayTask, after(now_ms, DELAY_TASK_STORE_MS));
        self.want_store(StoreItem::DelayTask);
    }

    /// Takes the delay task back, if there is one.
    fn drop_delay_task(&mut self) {
        if self.scheduler.due_ms(Job::DelayTask).is_some() {
            self.scheduler.cancel(Job::DelayTask);
            self.delay_task_ended();
        }
    }

    fn delay_task_ended(&mut self) {
        self.scheduler.cancel(Job::StoreDelayTask);
        self.want_store(StoreItem::DelayTask);
    }

    fn restore_delay_task(&mut self, now_ms: u64, task: Option<DelayTask>, cause: ResetCause) {
        match (task, cause) {
            (None, _) => {}
            (Some(_), ResetCause::PowerOn) => self.want_store(StoreItem::DelayTask),
            (Some(task), _) => {
                self.scheduler.set_delay_task(now_ms, task);
                self.scheduler.set(Job::StoreDelayTask, after(now_ms, DELAY_TASK_STORE_MS));
            }
        }
    }

    fn run_due(&mut self, now_ms: u64) {
        while let Some(job) = self.scheduler.take_due(now_ms) {
            match job {
                Job::Button => self.button_due(now_ms),
                Job::DelayTask => {
                    let (on, spread) = (self.scheduler.delayed_on(), self.scheduler.delayed_spread());
                    self.set_relay(on, Cause::DelayTask, spread);
                    self.delay_task_ended();
                }
                Job::LockEnd => {
                    let lock = &mut self.settings.general.button_lock;
                    (lock.enabled, lock.minutes) = (false, 0);
                    self.want_store(StoreItem::Settings);
                }
                Job::Led => self.led_step(now_ms),
                Job::Meter => self.meter_due(now_ms),
                Job::Outage => self.outage_due(),
                Job::StartNetwork => self.pending |= pending::START_NETWORK,
                Job::BasicInformation => self.basic_information_due(now_ms),
                Job::Report | Job::RelayReport => self.want_report(),
                Job::StoreDelayTask => {
                    self.scheduler.set(Job::StoreDelayTask, after(now_ms, DELAY_TASK_STORE_MS));
                    self.want_store(StoreItem::DelayTask);
                }
                Job::StoreTimeout => self.store_timeout(),
                Job::Reboot => self.prepare_reboot(now_ms),
                Job::RebootDeadline => self.pending |= pending::REBOOT,
            }
        }
    }

    /// Marks a report as due now. Without a session none is: joining brings one.
    fn want_report(&mut self) {
        if self.online {
            self.pending |= pending::REPORT;
        }
    }

    fn basic_information_due(&mut self, now_ms: u64) {
        self.pending |= pending::BASIC_INFORMATION;
        if core::mem::take(&mut self.announcing) {
            self.want_report();
            self.scheduler.start_interval(now_ms);
        }
    }

    /// Tells the network who this is, at an instant; a report follows, and the reporting interval begins.
    fn announce(&mut self, now_ms: u64, at_ms: u64) {
        self.online = true;
        self.announcing = true;
        self.join_requests = 0;
        self.scheduler.set(Job::BasicInformation, at_ms.max(now_ms));
    }

    fn join_requested(&mut self, now_ms: u64) {
        self.join_requests = self.join_requests.saturating_add(1);
        if self.join_requests <= BLINKING_JOIN_REQUESTS {
            self.blink(now_ms, 1);
        }
    }

    fn joined(&mut self, now_ms: u64) {
        self.announce(now_ms, now_ms);
        self.blink(now_ms, 2);
    }

    fn blink(&mut self, now_ms: u64, times: u8) {
        if self.relay_on && self.settings.general.led && !self.led.is_resetting() {
            self.led.blink(times);
            self.led_changed();
            self.scheduler.set(Job::Led, after(now_ms, STEP_MS));
        }
    }

    fn led_step(&mut self, now_ms: u64) {
        let was_resetting = self.led.is_resetting();
        self.led.step();
        self.led_changed();
        if self.led.is_blinking() {
            self.scheduler.set(Job::Led, after(now_ms, STEP_MS));
        } else if was_resetting {
            self.pending |= pending::FACTORY_RESET;
        }
    }

    fn watch_button(&mut self) {
        match self.button.due_ms() {
            Some(due_ms) => self.scheduler.set(Job::Button, due_ms),
            None => self.scheduler.cancel(Job::Button),
        }
    }

    fn button_due(&mut self, now_ms: u64) {
        match self.button.poll(now_ms) {
            Some(Press::Short) if self.settings.general.button_lock.enabled => {
                self.ignore(Ignored::ButtonLocked)
            }
            Some(Press::Short) => self.set_relay(!self.relay_on, Cause::Button, false),
            Some(Press::Long) => self.begin_factory_reset(now_ms),
            None => {}
        }
        self.watch_button();
    }

    /// Blinks, and resets behind it.
    fn begin_factory_reset(&mut self, now_ms: u64) {
        self.led.blink_reset();
        self.led_changed();
        self.scheduler.set(Job::Led, after(now_ms, STEP_MS));
    }

    fn supply_lost(&mut self, now_ms: u64) {
        self.mains_went(now_ms);
        let is_recent =
            |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < OUTAGE_HOLD_MS);
        let least_uwh = if is_recent(self.energy_saved_ms) { FLICKER_UWH } else { 1 };
        if self.energy.unstored_uwh() >= least_uwh {
            self.energy_saved_ms = Some(now_ms);
            self.store_energy(now_ms);
        }
        for item in SAVED {
            self.stores.hurry(item);
        }
        self.pending |= pending::STORE;
        if self.identity.reports_outage() && self.online && !is_recent(self.outage_ms) {
            self.outage_ms = Some(now_ms);
            self.outage_waits = true;
            self.scheduler.set(Job::Outage, after(now_ms, OUTAGE_STORE_MS));
            self.release_outage();
        }
    }

    /// Lets the outage alert go if what must not be lost is in flash.
    fn release_outage(&mut self) {
        if self.outage_waits && SAVED.into_iter().all(|item| self.stores.is_stored(item)) {
            self.outage_due();
        }
    }

    fn outage_due(&mut self) {
        self.outage_waits = false;
        self.scheduler.cancel(Job::Outage);
        self.pending |= pending::OUTAGE;
    }

    fn stored(&mut self, now_ms: u64, item: StoreItem, number: u8) {
        self.stores.end(item, number);
        if self.stores.ready().is_some() {
            self.pending |= pending::STORE;
        }
        if !self.stores.is_under_way() {
            self.scheduler.cancel(Job::StoreTimeout);
        }
        self.release_answer(now_ms);
        self.release_outcome();
        self.release_outage();
        if self.reboot_ready && self.stores.all_stored() {
            self.pending |= pending::REBOOT;
        }
    }

    fn store_timeout(&mut self) {
        for item in self.stores.retry() {
            self.ignore(Ignored::NotStored);
            if matches!(item, StoreItem::Settings | StoreItem::Energy) {
                self.answer.clear();
                self.outcome_not_stored();
            }
        }
        self.pending |= pending::STORE;
    }

    fn prepare_reboot(&mut self, now_ms: u64) {
        self.store_energy(now_ms);
        if self.scheduler.due_ms(Job::DelayTask).is_some() {
            self.want_store(StoreItem::DelayTask);
        }
        self.reboot_ready = true;
        self.scheduler.set(Job::RebootDeadline, after(now_ms, REBOOT_STORE_MS));
    }
}
