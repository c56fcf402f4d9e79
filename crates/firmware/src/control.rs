//! The control task: meter and state machine in, relay and LED out; and the watch task, which tells it of button and mains.
//!
//! It never waits for the radio, the tag or the flash: what it asks of them lies in mailboxes until they come
//! to it. The relay is written here and nowhere else (design rule 1).

use core::future::poll_fn;
use core::sync::atomic::Ordering;
use core::task::Poll;

use embassy_futures::join::join;
use embassy_futures::select::{Either3, select3};
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal_async::digital::Wait;
use sockeye_metering::EnergyMeter;
use sockeye_state_machine::{Effect, Effects, Event, Form, Outcome, Socket, StoreItem, UplinkKind};

use crate::board::{Board, Clock, SupplyMonitor};
use crate::notice::{Notice, Observer};
use crate::retained::Retained;
use crate::shared::{Asked, ControlEvent, Did, MeterFailure, MeterResult, Seen, Shared};

/// Time between two readings of the meter (behaviour.md: ten times a second).
const METER_PERIOD_MS: u64 = 100;

/// How soon to look at the button again when its pin cannot be read.
const BUTTON_RETRY_MS: u64 = 100;

/// How soon to tell of the button again when what else there is to hear leaves no room.
const FULL_RETRY_MS: u64 = 10;

/// The longest silence of the service task, which the watchdog is to end: an erase of the flash takes less.
const SERVICE_LIMIT_S: u32 = 5;

/// What the control task owns.
pub struct Control<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) outputs: Outputs<B>,
    pub(crate) meter: B::Meter,
    pub(crate) socket: Socket,
}

impl<B: Board> core::fmt::Debug for Control<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// What the watch task owns: the pins that somebody else moves.
pub struct Watch<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) button: B::Button,
    pub(crate) supply: B::Supply,
}

impl<B: Board> core::fmt::Debug for Watch<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// The pins that control writes, and where its notices go.
pub(crate) struct Outputs<B: Board> {
    pub(crate) relay: B::Relay,
    pub(crate) led: B::Led,
    pub(crate) observer: B::Observer,
    pub(crate) retained: &'static Retained,
}

impl<B: Board> Outputs<B> {
    fn error(&self, what: &'static str) {
        self.observer.observe(Notice::Error { what });
    }

    /// Does what the state machine decided.
    pub(crate) fn apply(&mut self, now_ms: u64, socket: &Socket, effects: &mut Effects, shared: &Shared) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Relay { on, cause } => {
                    // A reset that comes before it is in flash leaves it as it is too: a trip above all.
                    self.retained.set_relay(on);
                    let failed = self.relay.set_state(on.into()).is_err();
                    shared.health.relay_failed.store(failed, Ordering::Relaxed);
                    if failed {
                        self.error("relay pin");
                    }
                    self.observer.observe(Notice::Relay { on, cause });
                }
                Effect::Led { on } => {
                    if self.led.set_state(on.into()).is_err() {
                        self.error("LED pin");
                    }
                    self.observer.observe(Notice::Led { on });
                }
                Effect::Trip { cause, current_ma } => {
                    self.observer.observe(Notice::Trip { cause, current_ma });
                }
                Effect::Alarm { current_ma } => self.observer.observe(Notice::Alarm { current_ma }),
                Effect::WeldedContact { .. } => {
                    self.error("relay: current flows though it is off (welded contact)")
                }
                Effect::MeterFault { failed } => self.error(match failed {
                    true => "meter: no good reading for 2 s",
                    false => "meter: well again",
                }),
                Effect::Ignored { what } => self.error(what.name()),
                Effect::Uplink(uplink) => {
                    let is_outage = uplink.kind == UplinkKind::Outage;
                    shared.radio.put(|work| work.outbox.push(uplink));
                    if is_outage {
                        shared.outage.signal(());
                    }
                }
                Effect::StartNetwork => shared.radio.put(|work| work.start = true),
                Effect::Store(item) => store(now_ms, item, socket, shared),
                Effect::Reboot { cause } => shared.service.put(|work| work.reboot = Some(cause)),
                Effect::Maintained(outcome) => shared.did.signal(Did::Control(outcome)),
                Effect::FactoryReset => shared.service.put(|work| work.factory_reset = true),
            }
        }
    }
}

/// Leaves the newest value of a record with the service task, and what the radio task has to know of it with that one.
fn store(now_ms: u64, item: StoreItem, socket: &Socket, shared: &Shared) {
    if matches!(item, StoreItem::Settings) {
        let interval_s = socket.settings().general.reporting_interval_s;
        shared.radio.put(|work| work.reporting_interval_s = Some(interval_s));
    }
    let number = socket.store_number(item);
    shared.service.put(|work| {
        match item {
            StoreItem::Settings => work.settings = Some(socket.settings().clone()),
            StoreItem::RelayState => work.relay_on = Some(socket.relay_on()),
            StoreItem::Energy => work.energy_uwh = Some(socket.energy_uwh()),
            StoreItem::DelayTask => work.delay_task = Some(socket.delay_task(now_ms)),
        }
        if let Some(place) = work.numbers.get_mut(item as usize) {
            *place = number;
        }
    });
}

/// Runs the control task. It never returns.
///
/// # Cancel safety
/// None: it is meant to be spawned once and kept. Dropped, it leaves relay and LED as they are.
pub async fn control<B: Board>(control: &mut Control<B>, shared: &Shared) -> ! {
    let Control { clock, outputs, meter, socket } = control;
    // In this order: a poll that brings a reading goes on to what is decided of it.
    join(read_meter(meter, clock, shared), decide::<B>(clock, outputs, socket, shared)).await.1
}

/// Runs the watch task, which tells control of the button and of the mains. It never returns. A task of its own, as control is
/// polled with each reading, twice: each poll of a wait for a pin takes a dozen accesses to registers.
///
/// # Cancel safety
/// None: it is meant to be spawned once and kept. Dropped, it tells nothing any more.
pub async fn watch<B: Board>(watch: &mut Watch<B>, shared: &Shared) -> ! {
    let Watch { clock, button, supply } = watch;
    join(watch_supply(supply, shared), watch_button(button, clock, shared)).await.1
}

/// Reads the meter ten times a second, and hands over the newest result.
async fn read_meter<M: EnergyMeter, C: Clock>(meter: &mut M, clock: &C, shared: &Shared) -> ! {
    let mut due_ms = clock.now_ms();
    loop {
        clock.until_ms(due_ms).await;
        let result = meter.read().await.map_err(|_| MeterFailure);
        shared.reading.signal(result);
        // A meter that took longer than a period is read again at once, not several times in a row.
        due_ms = due_ms.saturating_add(METER_PERIOD_MS).max(clock.now_ms());
    }
}

async fn watch_supply<S: SupplyMonitor>(supply: &mut S, shared: &Shared) -> ! {
    loop {
        supply.lost().await;
        shared.events.send(ControlEvent::SupplyLost).await;
    }
}

/// Tells of each change of the button's pin (low is pressed).
async fn watch_button<P: InputPin + Wait, C: Clock>(button: &mut P, clock: &C, shared: &Shared) -> ! {
    let mut pressed = false;
    loop {
        let changed = if pressed { button.wait_for_high().await } else { button.wait_for_low().await };
        if changed.is_ok() {
            pressed = !pressed;
            // Not `send`, whose future would hold an event: 240 bytes.
            while shared.events.try_send(ControlEvent::Button { pressed }).is_err() {
                clock.until_ms(clock.now_ms().saturating_add(FULL_RETRY_MS)).await;
            }
        } else {
            clock.until_ms(clock.now_ms().saturating_add(BUTTON_RETRY_MS)).await;
        }
    }
}

/// Waits for a reading. Nobody is woken by one: it comes in a poll of this task, before `decide` is polled. A wake would have
/// everything polled again, ten times a second.
async fn next_reading(shared: &Shared) -> MeterResult {
    poll_fn(|_| shared.reading.try_take().map_or(Poll::Pending, Poll::Ready)).await
}

/// Feeds the state machine with whatever comes first, and does what it decides.
async fn decide<B: Board>(
    clock: &B::Clock,
    outputs: &mut Outputs<B>,
    socket: &mut Socket,
    shared: &Shared,
) -> ! {
    let mut effects = Effects::new();
    let mut now_ms = clock.now_ms();
    loop {
        shared.control_alive.beat(now_ms);
        outputs.retained.ledger().suspect_service(!shared.service_alive.is_recent(now_ms, SERVICE_LIMIT_S));
        if socket.next_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            socket.handle(now_ms, Event::Timer, &mut effects);
            outputs.apply(now_ms, socket, &mut effects, shared);
            continue;
        }
        let timer = async {
            match socket.next_due_ms() {
                Some(due_ms) => clock.until_ms(due_ms).await,
                None => core::future::pending().await,
            }
        };
        let heard = select3(next_reading(shared), shared.events.receive(), timer).await;
        now_ms = clock.now_ms();
        match heard {
            Either3::First(Ok(reading)) => {
                // The mains is there, or nothing would run: a meter that shows none is not well.
                if reading.voltage_mv != 0 {
                    shared.health.meter.beat(now_ms);
                }
                socket.handle(now_ms, Event::Reading(reading), &mut effects);
                let energy_uwh = socket.energy_uwh();
                outputs.observer.observe(Notice::Reading { reading: &reading, energy_uwh });
            }
            Either3::First(Err(MeterFailure)) => {
                socket.handle(now_ms, Event::MeterFailed, &mut effects);
            }
            Either3::Second(event) => match &event {
                ControlEvent::Downlink { port, payload, multicast } => {
                    let event = Event::Downlink { port: *port, payload, multicast: *multicast };
                    socket.handle(now_ms, event, &mut effects);
                }
                ControlEvent::Button { pressed } => {
                    socket.handle(now_ms, Event::Button { pressed: *pressed }, &mut effects);
                }
                ControlEvent::D2d(action) => socket.handle(now_ms, Event::D2d(*action), &mut effects),
                ControlEvent::JoinRequested => socket.handle(now_ms, Event::JoinRequested, &mut effects),
                ControlEvent::Joined => socket.handle(now_ms, Event::Joined, &mut effects),
                ControlEvent::SessionResumed => socket.handle(now_ms, Event::SessionResumed, &mut effects),
                ControlEvent::SupplyLost => {
                    shared.service.put(|work| work.supply_lost = true);
                    socket.handle(now_ms, Event::SupplyLost, &mut effects);
                }
                ControlEvent::Stored { item, number } => {
                    socket.handle(now_ms, Event::Stored { item: *item, number: *number }, &mut effects);
                }
                ControlEvent::Restart(cause) => {
                    socket.handle(now_ms, Event::RestartRequested { cause: *cause }, &mut effects);
                }
                ControlEvent::RecordsLost => socket.handle(now_ms, Event::RecordsLost, &mut effects),
                ControlEvent::Maintain => {}
                #[cfg(feature = "certification")]
                ControlEvent::ResetRequested => socket.handle(now_ms, Event::ResetRequested, &mut effects),
            },
            Either3::Third(()) => continue,
        }
        match shared.asked.try_take() {
            Some(Asked::Look) => {
                shared.seen.lock(|place| place.set(Some(Seen::of(socket, now_ms))));
                shared.did.signal(Did::Control(Outcome::Done));
            }
            Some(Asked::Change(form)) => {
                socket.handle(now_ms, Event::Change { form: Form(&form) }, &mut effects)
            }
            Some(Asked::Order(order)) => socket.handle(now_ms, Event::Order(order), &mut effects),
            None => {}
        }
        outputs.apply(now_ms, socket, &mut effects, shared);
    }
}
