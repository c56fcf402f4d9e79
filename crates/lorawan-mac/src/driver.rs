//! The async driver: a [`Mac`] on a radio and a timer.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use embassy_futures::select::{Either3, select3};
use lorawan_device::async_device::radio::{
    PhyRxTx, RfConfig, RxConfig, RxMode, RxQuality, RxStatus, TxConfig,
};

use crate::duty::AirTime;
use crate::event::{Error, Event};
use crate::frame::MAX_FRAME;
use crate::instant::after;
use crate::mac::{Action, Mac, Quality, Rf, Window};
use crate::region::ListenBeforeTalk;

/// Tells the time, and waits.
pub trait Clock {
    /// Gives the time since boot in ms; it never goes back.
    fn now_ms(&self) -> u64;

    /// Remembers this instant, as exactly as it can: RX1 and RX2 are counted from it.
    fn mark(&mut self);

    /// Waits until so many ms after the mark.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    fn after_mark_ms(&self, ms: u64) -> impl Future<Output = ()>;

    /// Waits for so many ms.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    fn delay_ms(&self, ms: u64) -> impl Future<Output = ()>;

    /// Keeps the air time over a reset, for [`Mac::resume_air_time`]. Called before each transmission.
    ///
    /// A clock that starts anew with every reset has no use for it.
    fn keep(&self, air_time: &AirTime) {
        let _ = air_time;
    }
}

/// A radio that can tell whether a channel is in use.
pub trait CarrierSense: PhyRxTx {
    /// Listens around a frequency for as long as `listen` says, and tells whether the channel was clear: `false` as
    /// soon as anything is above the threshold.
    ///
    /// # Errors
    /// The radio's own; nothing is known of the channel then.
    ///
    /// # Cancel safety
    /// As for `tx`: the next operation finds the radio as it was left, and puts it right.
    async fn is_clear(&mut self, frequency_hz: u32, listen: ListenBeforeTalk)
    -> Result<bool, Self::PhyError>;
}

/// A radio that can send a carrier, for TxCwReq.
#[cfg(feature = "certification")]
pub trait ContinuousWave: CarrierSense {
    /// Sends a carrier of so many dBm at the radio's output, for so many ms.
    ///
    /// # Errors
    /// The radio's own; the carrier may be on or off then, and the next operation ends it.
    ///
    /// # Cancel safety
    /// As for `tx`: the next operation ends the carrier.
    async fn send_carrier(
        &mut self,
        frequency_hz: u32,
        power_dbm: i8,
        for_ms: u32,
    ) -> Result<(), Self::PhyError>;
}

/// Beyond its time on air, a transmission may take so long, with a look at the channel before it.
const TX_MARGIN_MS: u64 = 2000;
/// Setting the radio up may take so long.
const SETUP_MS: u64 = 500;
/// The radio is told to open a window so much before its instant, in ms. Of it, 0.2 ms are between the end of a frame and
/// its report, by which the instant is found, and 0.4 ms are what opening takes. The rest is for what delays the task, and
/// for a clock that is late: a preamble that has begun before the window is opened may be missed.
const OPENING_MS: u64 = 1;
/// A window waits for a preamble that begins so much after its instant, in ms. The network is exact to 20 us (MAC-RX-01);
/// a clock of 50 ppm is 0.75 ms early after the longest delay of 15 s.
const LATE_MS: u32 = 10;
/// RXC without a frame is set up anew after this (MAC-CC-07); no wait is longer.
const REARM_MS: u64 = 600_000;
/// After a second radio error in a row the driver waits: 100 ms, 200 ms, … up to this.
const FIRST_RETRY_MS: u64 = 100;
const LAST_RETRY_MS: u64 = 5_000;

/// Runs a [`Mac`] on a radio.
///
/// The application calls [`next`](Self::next) again and again, does what the event says, and talks to
/// [`mac`](Self::mac) in between. Between two calls the radio is left as it is: a radio in RXC keeps the one
/// frame that it can hold, so what is done there should take milliseconds.
pub struct Driver<R, T> {
    mac: Mac,
    radio: R,
    timer: T,
    buffer: [u8; MAX_FRAME],
    /// Where the radio listens continuously, and since when.
    armed: Option<(Rf, u64)>,
    /// Set while a transmission runs, to find out that one was dropped half-way.
    transmitting: bool,
    /// The end of the last transmission in the MAC's time. The clock's mark is exact.
    sent_ms: u64,
    radio_errors: u32,
    retry_at_ms: u64,
    last_progress_ms: u64,
}

impl<R, T> core::fmt::Debug for Driver<R, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").field("mac", &self.mac).field("armed", &self.armed).finish_non_exhaustive()
    }
}

/// What an action of the MAC is for the radio; times in ms of the clock.
enum Purpose {
    /// Sends the MAC's frame, for so long.
    Send(TxConfig, Option<ListenBeforeTalk>, u64),
    /// RX1 or RX2: its instant, and until when.
    Window(Window, u64, u64),
    /// RXC, until then: left only for what is due, for `wake`, and with a frame.
    Rxc(Rf, u64),
    /// Until then.
    Idle(u64),
}

/// What the radio is to do.
enum Task {
    SetUp(RxConfig),
    /// Sends the MAC's frame, if nobody is heard before where that is asked for.
    Send(TxConfig, Option<ListenBeforeTalk>),
    /// Opens the window that was set up, so many ms after the mark.
    Window(u64),
    Rxc,
    Nothing,
}

/// What the radio has done.
enum Done {
    /// It is set up, has sent, or has heard nothing.
    Nothing,
    /// Somebody else sends.
    Busy,
    Frame(usize, RxQuality),
}

/// How what the radio does ended.
enum Ended {
    Done(Done),
    Failed,
    Woken,
    TimeOut,
}

/// How a wait ended.
enum Waited {
    /// Poll the MAC again.
    Poll,
    Woken,
    Failed(Error),
}

impl<R: CarrierSense, T: Clock> Driver<R, T> {
    /// The longest time between two marks of progress while all is well, in ms.
    pub const PROGRESS_LIMIT_MS: u64 = REARM_MS + 30_000;

    /// Makes a driver.
    pub fn new(mac: Mac, radio: R, timer: T) -> Self {
        let last_progress_ms = timer.now_ms();
        Self {
            mac,
            radio,
            timer,
            buffer: [0; MAX_FRAME],
            armed: None,
            transmitting: false,
            sent_ms: 0,
            radio_errors: 0,
            retry_at_ms: 0,
            last_progress_ms,
        }
    }

    /// Gives the core: to send, to join, to ask.
    pub fn mac(&mut self) -> &mut Mac {
        &mut self.mac
    }

    /// Gives the radio, for its diagnostics. Receiving or sending with it loses frames.
    pub fn radio(&mut self) -> &mut R {
        &mut self.radio
    }

    /// Gives the present time of the MAC's clock in ms.
    pub fn now_ms(&self) -> u64 {
        self.timer.now_ms()
    }

    /// Says that the record of the last [`Event::Store`] is in flash. Until then nothing is sent, nothing is
    /// delivered, and the event comes again.
    pub fn stored(&mut self) {
        self.mac.stored();
    }

    /// Tells when the radio or the MAC last made progress, in ms of the clock. A watchdog that finds it more
    /// than [`PROGRESS_LIMIT_MS`](Self::PROGRESS_LIMIT_MS) ago has a task or a radio that hangs.
    pub fn last_progress_ms(&self) -> u64 {
        self.last_progress_ms
    }

    /// Runs until something happened. `wake` ends it with [`Event::Woken`]; it is polled only while no frame
    /// is on air and no window of one is awaited, so that it never costs an answer of the network.
    ///
    /// # Cancel safety
    /// Dropping the future loses no counter and no event. A transmission that it cuts counts as failed and is
    /// repeated with the same bytes; a window that it cuts opens again if there is time; in RXC the frame that
    /// is just being received may be lost, if the radio loses it.
    pub async fn next(&mut self, wake: impl Future<Output = ()>) -> Event {
        let mut wake = pin!(wake);
        if core::mem::take(&mut self.transmitting) {
            self.mac.tx_failed(self.timer.now_ms());
        }
        loop {
            let now_ms = self.timer.now_ms();
            self.last_progress_ms = now_ms;
            let action = match self.mac.poll(now_ms) {
                Action::Event(event) => return event,
                Action::Store(record) => return Event::Store { record, bytes: self.mac.record(record) },
                action => action,
            };
            // What waits is here and nothing else: an `async fn` for each action would be a state machine each.
            let waited = match self.prepare(now_ms, action) {
                Err(waited) => waited,
                Ok((purpose, set_up)) => {
                    let ready = match set_up {
                        None => Ended::Done(Done::Nothing),
                        Some(config) => self.run(Task::SetUp(config), SETUP_MS, false, wake.as_mut()).await,
                    };
                    match self.begin(now_ms, &purpose, ready) {
                        Err(waited) => waited,
                        Ok((task, limit_ms, may_wake)) => {
                            let ended = self.run(task, limit_ms, may_wake, wake.as_mut()).await;
                            self.finish(&purpose, ended)
                        }
                    }
                }
            };
            match waited {
                Waited::Poll => {}
                Waited::Woken => return Event::Woken,
                Waited::Failed(error) => return Event::Error(error),
            }
        }
    }

    /// Finds out what an action of the MAC is for the radio, and whether the radio is to be set up for it first.
    #[inline(never)]
    fn prepare(&mut self, now_ms: u64, action: Action) -> Result<(Purpose, Option<RxConfig>), Waited> {
        match action {
            Action::Event(_) | Action::Store(_) => Err(Waited::Poll),
            Action::Transmit { rf, power_dbm, airtime_ms, listen_before_talk } => {
                let Some(rf) = self.rf_config(rf) else {
                    return Err(self.transmission_failed(Error::Radio));
                };
                let strongest = i8::try_from(R::MAX_RADIO_POWER).unwrap_or(i8::MAX);
                let pw = power_dbm.saturating_sub(R::ANTENNA_GAIN).min(strongest);
                let limit_ms = after(airtime_ms, TX_MARGIN_MS);
                Ok((Purpose::Send(TxConfig { pw, rf }, listen_before_talk, limit_ms), None))
            }
            Action::Listen { window: Window::Rxc, rf, until_ms, .. } => {
                let until_ms = until_ms.unwrap_or(u64::MAX);
                if now_ms < self.retry_at_ms {
                    return Ok((Purpose::Idle(until_ms.min(self.retry_at_ms)), None));
                }
                let set_up = match self.armed {
                    Some((armed, since_ms)) if armed == rf && now_ms.saturating_sub(since_ms) < REARM_MS => {
                        None
                    }
                    _ => {
                        self.armed = None;
                        let Some(rf) = self.rf_config(rf) else {
                            return Err(self.receiving_failed(Error::Radio));
                        };
                        Some(RxConfig { rf, mode: RxMode::Continuous })
                    }
                };
                Ok((Purpose::Rxc(rf, until_ms), set_up))
            }
            Action::Listen { window, rf, at_ms, until_ms } => {
                self.armed = None;
                let Some(rf) = self.rf_config(rf) else {
                    self.mac.window_closed(now_ms, window);
                    return Err(Waited::Failed(Error::Radio));
                };
                let set_up = RxConfig { rf, mode: RxMode::Single { ms: LATE_MS } };
                let (at_ms, until_ms) = (at_ms.unwrap_or(now_ms), until_ms.unwrap_or(now_ms));
                Ok((Purpose::Window(window, at_ms, until_ms), Some(set_up)))
            }
            Action::Idle { until_ms } => Ok((Purpose::Idle(until_ms.unwrap_or(u64::MAX)), None)),
        }
    }

    /// Says what the radio is to do once it is set up, for how long, and whether it may be woken from it.
    #[inline(never)]
    fn begin(&mut self, now_ms: u64, purpose: &Purpose, ready: Ended) -> Result<(Task, u64, bool), Waited> {
        let failed = match ready {
            Ended::Done(_) => None,
            Ended::Failed => Some(Error::Radio),
            Ended::Woken | Ended::TimeOut => Some(Error::RadioTimeout),
        };
        // Setting up took the time that a TCXO needs, and RX1 may be what is due.
        let later_ms = self.timer.now_ms();
        match *purpose {
            Purpose::Send(config, listen, limit_ms) => {
                self.armed = None;
                self.transmitting = true;
                self.timer.keep(&self.mac.air_time());
                Ok((Task::Send(config, listen), limit_ms, false))
            }
            Purpose::Window(window, at_ms, until_ms) => {
                if let Some(error) = failed {
                    self.mac.window_closed(later_ms, window);
                    return Err(Waited::Failed(error));
                }
                let after_ms = at_ms.saturating_sub(self.sent_ms).saturating_sub(OPENING_MS);
                Ok((Task::Window(after_ms), until_ms.saturating_sub(later_ms), false))
            }
            Purpose::Rxc(rf, until_ms) => {
                if let Some(error) = failed {
                    return Err(self.receiving_failed(error));
                }
                let (_, since_ms) = *self.armed.get_or_insert((rf, now_ms));
                let until_ms = until_ms.min(after(since_ms, REARM_MS));
                Ok((Task::Rxc, until_ms.saturating_sub(later_ms), !self.mac.is_in_transaction()))
            }
            Purpose::Idle(until_ms) => {
                let wait_ms = until_ms.saturating_sub(now_ms).min(REARM_MS);
                Ok((Task::Nothing, wait_ms, !self.mac.is_in_transaction()))
            }
        }
    }

    /// Tells the MAC how it went.
    #[inline(never)]
    fn finish(&mut self, purpose: &Purpose, ended: Ended) -> Waited {
        let now_ms = self.timer.now_ms();
        if let Purpose::Send(..) = purpose {
            self.transmitting = false;
            self.timer.mark();
            self.sent_ms = now_ms;
        }
        match (purpose, ended) {
            (_, Ended::Woken) => return Waited::Woken,
            (Purpose::Send(..), Ended::Done(Done::Busy)) => self.mac.channel_busy(now_ms),
            (Purpose::Send(..), Ended::Done(_)) => self.mac.tx_done(now_ms),
            (Purpose::Send(..), Ended::Failed) => return self.transmission_failed(Error::Radio),
            (Purpose::Send(..), Ended::TimeOut) => return self.transmission_failed(Error::RadioTimeout),
            (Purpose::Window(window, ..), Ended::Done(Done::Frame(len, quality))) => {
                self.received(now_ms, *window, len, quality);
            }
            (Purpose::Window(window, ..), ended) => {
                self.mac.window_closed(now_ms, *window);
                match ended {
                    Ended::Failed => return Waited::Failed(Error::Radio),
                    Ended::TimeOut => return Waited::Failed(Error::RadioTimeout),
                    Ended::Done(_) | Ended::Woken => {}
                }
            }
            (Purpose::Rxc(rf, _), Ended::Done(Done::Frame(len, quality))) => {
                self.received(now_ms, Window::Rxc, len, quality);
                self.armed = Some((*rf, now_ms));
            }
            (Purpose::Rxc(..), Ended::Failed) => return self.receiving_failed(Error::Radio),
            (Purpose::Rxc(..) | Purpose::Idle(_), _) => return Waited::Poll,
        }
        self.radio_is_well();
        Waited::Poll
    }

    fn received(&mut self, end_ms: u64, window: Window, len: usize, quality: RxQuality) {
        let frame = self.buffer.get(..len).unwrap_or_default();
        let quality = Quality { rssi_dbm: quality.rssi(), snr_db: quality.snr() };
        self.mac.received(end_ms, window, frame, quality);
    }

    fn transmission_failed(&mut self, error: Error) -> Waited {
        self.mac.tx_failed(self.timer.now_ms());
        Waited::Failed(error)
    }

    /// Has the radio do something for a limited time, and listens to `wake` meanwhile if it may end that.
    ///
    /// One function for all that the radio does: each wait of its own would be another copy of this code in the image.
    async fn run(
        &mut self,
        task: Task,
        limit_ms: u64,
        may_wake: bool,
        mut wake: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        let Self { mac, radio, timer, buffer, .. } = self;
        let timer = &*timer;
        let doing = async {
            Ok::<_, R::PhyError>(match task {
                Task::SetUp(config) => {
                    radio.setup_rx(config).await?;
                    Done::Nothing
                }
                Task::Send(config, listen) => {
                    // A channel of which nothing is known is not sent on.
                    if let Some(listen) = listen
                        && !radio.is_clear(config.rf.frequency, listen).await?
                    {
                        Done::Busy
                    } else {
                        radio.tx(config, mac.frame()).await?;
                        Done::Nothing
                    }
                }
                Task::Window(after_ms) => {
                    timer.after_mark_ms(after_ms).await;
                    match radio.rx_single(buffer).await? {
                        RxStatus::Rx(len, quality) => Done::Frame(len, quality),
                        RxStatus::RxTimeout => Done::Nothing,
                    }
                }
                Task::Rxc => {
                    let (len, quality) = radio.rx_continuous(buffer).await?;
                    Done::Frame(len, quality)
                }
                Task::Nothing => pending().await,
            })
        };
        let woken = poll_fn(|context| if may_wake { wake.as_mut().poll(context) } else { Poll::Pending });
        match select3(doing, woken, timer.delay_ms(limit_ms)).await {
            Either3::First(Ok(done)) => Ended::Done(done),
            Either3::First(Err(_)) => Ended::Failed,
            Either3::Second(()) => Ended::Woken,
            Either3::Third(()) => Ended::TimeOut,
        }
    }

    /// The first error in a row is made good at once, further ones after a growing wait.
    fn receiving_failed(&mut self, error: Error) -> Waited {
        let wait_ms = match self.radio_errors {
            0 => 0,
            n => FIRST_RETRY_MS.checked_shl(n.saturating_sub(1)).unwrap_or(LAST_RETRY_MS).min(LAST_RETRY_MS),
        };
        self.radio_errors = self.radio_errors.saturating_add(1).min(32);
        self.retry_at_ms = self.timer.now_ms().saturating_add(wait_ms);
        self.armed = None;
        Waited::Failed(error)
    }

    fn radio_is_well(&mut self) {
        self.radio_errors = 0;
        self.retry_at_ms = 0;
    }

    fn rf_config(&self, rf: Rf) -> Option<RfConfig> {
        Some(RfConfig { frequency: rf.frequency_hz, bb: self.mac.modulation(rf)? })
    }
}

#[cfg(feature = "certification")]
impl<R: ContinuousWave, T: Clock> Driver<R, T> {
    /// Sends a carrier as TxCwReq asks, with no more power than the plan and the radio allow, and tells whether it did: a
    /// frequency outside of the plan is refused. The next call of [`next`](Self::next) goes on with what was under way.
    ///
    /// Duty cycle and dwell time do not hold for it: it is for a cable or a shielded room.
    ///
    /// # Cancel safety
    /// The next operation of the radio ends the carrier.
    pub async fn send_carrier(&mut self, frequency_hz: u32, power_dbm: i8, timeout_s: u16) -> bool {
        use embassy_futures::select::{Either, select};

        let Some(highest_dbm) = self.mac.carrier_limit_dbm(frequency_hz) else { return false };
        let strongest = i8::try_from(R::MAX_RADIO_POWER).unwrap_or(i8::MAX);
        let pw = power_dbm.min(highest_dbm).saturating_sub(R::ANTENNA_GAIN).min(strongest);
        let for_ms = u32::from(timeout_s).saturating_mul(1000);
        self.armed = None;
        let sending = self.radio.send_carrier(frequency_hz, pw, for_ms);
        let limit_ms = u64::from(for_ms).saturating_add(TX_MARGIN_MS);
        matches!(select(sending, self.timer.delay_ms(limit_ms)).await, Either::First(Ok(())))
    }
}
