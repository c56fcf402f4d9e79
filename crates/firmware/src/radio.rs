//! The radio task: the MAC and the radio, which it never gives away.

use core::convert::Infallible;
use core::sync::atomic::Ordering;

use embassy_futures::select::{Either3, select, select3};
use heapless::Vec;
use sockeye_d2d_agent::{Agent, Refusal};
use sockeye_lorawan_mac as mac;
use sockeye_state_machine::UplinkKind;
use sockeye_storage::RecordId;

use crate::board::{Board, Clock};
use crate::mac_config::check_interval_s;
use crate::notice::{Notice, Observer};
use crate::records::mac_record;
use crate::retained::Retained;
use crate::shared::{ControlEvent, Shared};

/// How often the task shows that it is alive.
const HEARTBEAT_MS: u64 = 1000;

/// How long to wait before a record that could not be stored is tried again.
pub(crate) const STORE_RETRY_MS: u64 = 1000;

/// Further off than any device runs, and near enough for every clock to count: 34 years.
pub(crate) const NEVER_MS: u64 = 1 << 40;

/// What the radio task owns.
pub struct RadioTask<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) driver: mac::Driver<B::Phy, MacTimer<B::Clock>>,
    pub(crate) epoch: Epoch,
    pub(crate) d2d: Agent,
    /// The flash has lost the table of D2D senders.
    pub(crate) senders_lost: bool,
    pub(crate) observer: B::Observer,
    /// The settings leave no channel to send on.
    pub(crate) silent: bool,
    /// When the radio may be used: late after faults in a row, and never ([`NEVER_MS`]) when the flash could not be read,
    /// so that counters could come twice (design rule 4).
    pub(crate) off_until_ms: u64,
}

impl<B: Board> core::fmt::Debug for RadioTask<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RadioTask").finish_non_exhaustive()
    }
}

/// Runs the radio task. It never returns.
///
/// # Cancel safety
/// None: it is meant to be spawned once and kept.
pub async fn radio<B: Board>(task: &mut RadioTask<B>, shared: &Shared) -> ! {
    if task.off_until_ms > task.clock.now_ms() {
        let what = match task.off_until_ms {
            NEVER_MS => "radio: off, as the flash could not be read",
            _ => "radio: off for a while, after faults in a row",
        };
        task.observer.observe(Notice::Error { what });
        select(beat(&task.clock, task.epoch, shared), task.clock.until_ms(task.off_until_ms)).await;
    }
    // True while a frame of the outbox is with the MAC.
    let mut in_flight = false;
    // True when that frame is to give way to an outage alert: then it is no error that it does not go out.
    let mut gives_way = false;
    loop {
        let send_at_ms = task.feed_mac(&mut in_flight, shared);
        if task.senders_lost && !task.driver.mac().is_in_transaction() {
            // Without it, what was obeyed could be played back after a power cut. A flash that refuses is asked again.
            task.senders_lost = !task.store(RecordId::D2dSenders, &task.d2d.record(), shared).await;
        }
        let RadioTask { clock, driver, epoch, .. } = &mut *task;
        let is_busy = in_flight || driver.mac().is_in_transaction();
        shared.radio_busy.store(is_busy, Ordering::Relaxed);
        let heart = beat(clock, *epoch, shared);
        let next = driver.next(wake(clock, send_at_ms, shared));
        let event = match select3(next, heart, shared.outage.wait()).await {
            Either3::First(event) => event,
            Either3::Second(never) => match never {},
            Either3::Third(()) => {
                // Nobody will be there for the windows that this cuts short, nor for the end of what it cuts off.
                let now_ms = driver.now_ms();
                driver.mac().give_way(now_ms);
                gives_way = in_flight;
                mac::Event::Woken
            }
        };
        match event {
            mac::Event::Woken => {}
            mac::Event::Store { record, bytes } => {
                // However long it takes: nothing may go on air before. A flash that answers, even with errors, is no
                // hang: resetting the chip would not mend it, and would end the protection.
                while !task.store(mac_record(record), &bytes, shared).await {
                    shared.radio_alive.beat(task.clock.now_ms());
                    task.clock.until_ms(task.clock.now_ms().saturating_add(STORE_RETRY_MS)).await;
                }
                task.driver.stored();
            }
            mac::Event::Proprietary { frame } => task.judge(&frame, shared).await,
            #[cfg(feature = "certification")]
            mac::Event::Certification(request) => task.obey_tester(request, shared).await,
            mac::Event::UplinkDone { port, .. } if in_flight && is_application(port) => {
                in_flight = false;
                gives_way = false;
                shared.radio.look(|work| work.outbox.sent());
            }
            mac::Event::UplinkFailed { port } if in_flight && is_application(port) => {
                in_flight = false;
                if !core::mem::take(&mut gives_way) {
                    task.observer.observe(Notice::Error { what: "radio: an uplink could not be sent" });
                }
                shared.radio.look(|work| work.outbox.failed());
            }
            event => task.tell(event, shared).await,
        }
    }
}

/// Completes when there is something to do for the MAC: new work, or the time to send what waits.
async fn wake<C: Clock>(clock: &C, send_at_ms: Option<u64>, shared: &Shared) {
    let send = async {
        match send_at_ms {
            Some(at_ms) => clock.until_ms(at_ms).await,
            None => core::future::pending().await,
        }
    };
    select(shared.radio.changed(), send).await;
}

/// Shows that the task is alive while the MAC's driver runs, whose every wait for the radio is bounded. A radio
/// that fails is the driver's to restart: resetting the chip would not mend it, and would end the protection.
pub(crate) async fn beat<C: Clock>(clock: &C, epoch: Epoch, shared: &Shared) -> Infallible {
    loop {
        let now_ms = clock.now_ms();
        shared.radio_alive.beat(now_ms);
        epoch.retained.pass(epoch.of(now_ms));
        clock.until_ms(now_ms.saturating_add(HEARTBEAT_MS)).await;
    }
}

impl<B: Board> RadioTask<B> {
    /// Gives the MAC what it can take now, and tells when to try again if the duty cycle forbids it yet, by the board's
    /// clock.
    fn feed_mac(&mut self, in_flight: &mut bool, shared: &Shared) -> Option<u64> {
        let since_reset_ms = self.clock.now_ms();
        let now_ms = self.epoch.of(since_reset_ms);
        let mac = self.driver.mac();
        shared.radio.look(|work| {
            if let Some(interval_s) = work.reporting_interval_s.take() {
                mac.set_check_interval(check_interval_s(interval_s));
            }
            if core::mem::take(&mut work.records_lost) {
                mac.store_again();
                self.senders_lost = true;
            }
            if core::mem::take(&mut work.start) {
                if self.silent {
                    self.observer.observe(Notice::Error { what: "LoRaWAN: every channel is disabled" });
                } else if !mac.is_joined() {
                    mac.join(now_ms);
                }
            }
            if self.silent || *in_flight || !mac.can_send() {
                return None;
            }
            loop {
                let limit = mac.max_payload();
                let frame = work.outbox.next(limit)?;
                let free_at_ms = mac.free_at_ms(now_ms, frame.bytes.len());
                if free_at_ms > now_ms {
                    return Some(since_reset_ms.saturating_add(free_at_ms.saturating_sub(now_ms)));
                }
                match mac.send(now_ms, frame.port, &frame.bytes, frame.confirmed) {
                    Ok(()) => {
                        *in_flight = true;
                        if frame.kind == UplinkKind::Outage {
                            // Nothing was in its way, and it is not to give way to itself.
                            shared.outage.reset();
                        }
                        return None;
                    }
                    // It comes back to this with the next event of the MAC.
                    Err(
                        mac::SendError::Busy | mac::SendError::NotJoined | mac::SendError::TooLong { .. },
                    ) => {
                        return None;
                    }
                    Err(
                        mac::SendError::Port(_)
                        | mac::SendError::CounterExhausted
                        | mac::SendError::CountersLost,
                    ) => {
                        self.observer.observe(Notice::Error { what: "radio: an uplink was refused" });
                        work.outbox.sent();
                    }
                }
            }
        })
    }

    /// Has a record stored, and tells whether it is.
    pub(crate) async fn store(&self, id: RecordId, bytes: &[u8], shared: &Shared) -> bool {
        let Ok(bytes) = mac::RecordBytes::from_slice(bytes) else { return false };
        // Else an uplink asks for it.
        let heard = !shared.radio_busy.load(Ordering::Relaxed);
        // What the service task waits for is not to wait for that task.
        shared.radio_busy.store(false, Ordering::Relaxed);
        shared.awaited_stored.reset();
        shared.service.put(|work| {
            work.awaited = Some((id, bytes));
            work.heard |= heard;
        });
        shared.awaited_stored.wait().await
    }

    /// Obeys a D2D command, once it cannot be given again. One that the flash does not take is dropped, and not
    /// obeyed later.
    async fn judge(&mut self, frame: &[u8], shared: &Shared) {
        match self.d2d.hear(self.clock.now_ms(), frame) {
            Ok(order) => {
                if self.store(RecordId::D2dSenders, order.record(), shared).await {
                    shared.events.send(ControlEvent::D2d(order.once_stored())).await;
                }
            }
            // Counted only: to this device it is a neighbour's traffic.
            Err(Refusal::Disabled) => {}
            Err(refusal) => self.observer.observe(Notice::Error { what: refusal.name() }),
        }
    }

    /// Tells control and the observer what the MAC tells.
    async fn tell(&mut self, event: mac::Event, shared: &Shared) {
        match event {
            mac::Event::JoinRequestSent { .. }
            | mac::Event::UplinkSent { .. }
            | mac::Event::Downlink { .. } => {
                shared.health.radio_is(true);
            }
            mac::Event::Error(mac::Error::Radio | mac::Error::RadioTimeout) => shared.health.radio_is(false),
            _ => {}
        }
        match event {
            mac::Event::JoinRequestSent { dev_nonce, dr, freq_hz } => {
                self.observer.observe(Notice::JoinRequest { dev_nonce, dr, freq_hz });
                shared.events.send(ControlEvent::JoinRequested).await;
            }
            mac::Event::Joined { dev_addr } => {
                self.observer.observe(Notice::Joined { dev_addr });
                shared.events.send(ControlEvent::Joined).await;
            }
            mac::Event::SessionResumed { dev_addr } => {
                self.observer.observe(Notice::Resumed { dev_addr });
                shared.events.send(ControlEvent::SessionResumed).await;
            }
            mac::Event::UplinkSent { port, fcnt, dr, freq_hz, confirmed } => {
                shared.radio.look(|work| {
                    let payload = if is_application(port) { work.outbox.with_radio() } else { &[] };
                    self.observer.observe(Notice::Uplink { port, fcnt, dr, freq_hz, confirmed, payload });
                });
            }
            mac::Event::Downlink { port, payload, fcnt, multicast, .. } => {
                let multicast = multicast.is_some();
                self.observer.observe(Notice::Downlink { port, payload: &payload, fcnt, multicast });
                let payload = Vec::from_slice(&payload).unwrap_or_default();
                shared.events.send(ControlEvent::Downlink { port, payload, multicast }).await;
            }
            mac::Event::Error(error) => self.observer.observe(Notice::Error { what: error_name(error) }),
            // Asked for by nobody yet, or handled by the loop.
            #[cfg(feature = "certification")]
            mac::Event::Certification(_) => {}
            mac::Event::Proprietary { .. }
            | mac::Event::LinkCheckAnswer { .. }
            | mac::Event::DeviceTime { .. }
            | mac::Event::UplinkDone { .. }
            | mac::Event::UplinkFailed { .. }
            | mac::Event::Store { .. }
            | mac::Event::Woken => {}
        }
    }
}

/// Tells whether a frame carries the application's data: the MAC sends for itself on port 0, or without a port.
fn is_application(port: Option<u8>) -> bool {
    port.is_some_and(|port| port != 0)
}

fn error_name(error: mac::Error) -> &'static str {
    match error {
        mac::Error::Radio => "radio: an operation failed",
        mac::Error::RadioTimeout => "radio: an operation did not end in time",
        mac::Error::DevNonceExhausted => "LoRaWAN: every DevNonce is used; new keys are needed",
        mac::Error::FCntUpExhausted => "LoRaWAN: every frame counter is used; a join is needed",
        mac::Error::CountersLost => "LoRaWAN: the ABP counters are lost; new keys are needed",
        mac::Error::DownlinkOverflow { .. } => "LoRaWAN: downlinks came faster than they were taken",
    }
}

/// The MAC's time: it goes on over a reset, and starts with the supply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    pub(crate) retained: &'static Retained,
    /// The MAC's time at the last reset.
    pub(crate) reset_ms: u64,
}

impl Epoch {
    /// Gives the MAC's time of an instant since reset.
    fn of(self, now_ms: u64) -> u64 {
        self.reset_ms.saturating_add(now_ms)
    }
}

/// A board's [`Clock`] in the shape that the MAC's driver asks for.
#[derive(Debug)]
pub struct MacTimer<C> {
    clock: C,
    /// The mark, in the clock's steps.
    mark: u64,
    epoch: Epoch,
}

impl<C: Clock> MacTimer<C> {
    pub(crate) fn new(clock: C, epoch: Epoch) -> Self {
        Self { clock, mark: 0, epoch }
    }
}

impl<C: Clock> mac::Clock for MacTimer<C> {
    fn now_ms(&self) -> u64 {
        self.epoch.of(self.clock.now_ms())
    }

    fn mark(&mut self) {
        self.mark = self.clock.ticks();
    }

    fn after_mark_ms(&self, ms: u64) -> impl Future<Output = ()> {
        self.clock.after_ms(self.mark, ms)
    }

    fn delay_ms(&self, ms: u64) -> impl Future<Output = ()> {
        self.clock.after_ms(self.clock.ticks(), ms)
    }

    fn keep(&self, air_time: &mac::AirTime) {
        self.epoch.retained.keep(mac::Clock::now_ms(self), air_time);
    }
}
