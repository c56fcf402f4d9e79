//! The async driver: a [`Mac`] on a radio and a timer.

use core::future::{Future, pending};
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, Either3, select, select3};
use lorawan_device::async_device::radio::{PhyRxTx, RfConfig, RxConfig, RxMode, RxStatus, Timer, TxConfig};

use crate::duty::AirTime;
use crate::event::{Error, Event};
use crate::frame::MAX_FRAME;
use crate::mac::{Action, Mac, Quality, RX_LEAD_MS, Rf, Window};
use crate::region::ListenBeforeTalk;

/// Tells the time.
pub trait Clock {
    /// Gives the time since boot in ms; it never goes back.
    fn now_ms(&self) -> u64;

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

/// Beyond its time on air, a transmission may take so long, with a look at the channel before it.
const TX_MARGIN_MS: u64 = 2000;
/// Setting the radio up may take so long.
const SETUP_MS: u64 = 500;
/// RXC without a frame is set up anew after this (MAC-CC-07); no wait is longer.
const REARM_MS: u64 = 600_000;
/// After a second radio error in a row the driver waits: 100 ms, 200 ms, … up to this.
const FIRST_RETRY_MS: u64 = 100;
const LAST_RETRY_MS: u64 = 10_000;

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
    radio_errors: u32,
    retry_at_ms: u64,
    last_progress_ms: u64,
}

impl<R, T> core::fmt::Debug for Driver<R, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").field("mac", &self.mac).field("armed", &self.armed).finish_non_exhaustive()
    }
}

/// How a wait ended.
enum Waited {
    /// Poll the MAC again.
    Poll,
    Woken,
    Failed(Error),
}

impl<R: CarrierSense, T: Timer + Clock> Driver<R, T> {
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
            let waited = match self.mac.poll(now_ms) {
                Action::Event(event) => return event,
                Action::Store(record) => return Event::Store { record, bytes: self.mac.record(record) },
                Action::Transmit { rf, power_dbm, airtime_ms, listen_before_talk } => {
                    self.transmit(rf, power_dbm, airtime_ms, listen_before_talk).await
                }
                Action::Listen { window: Window::Rxc, rf, until_ms } => {
                    self.listen_on(now_ms, rf, until_ms, wake.as_mut()).await
                }
                Action::Listen { window, rf, until_ms } => {
                    self.listen_once(window, rf, until_ms.unwrap_or(now_ms)).await
                }
                Action::Idle { until_ms } => self.idle(now_ms, until_ms, wake.as_mut()).await,
            };
            match waited {
                Waited::Poll => {}
                Waited::Woken => return Event::Woken,
                Waited::Failed(error) => return Event::Error(error),
            }
        }
    }

    async fn transmit(
        &mut self,
        rf: Rf,
        power_dbm: i8,
        airtime_ms: u64,
        listen: Option<ListenBeforeTalk>,
    ) -> Waited {
        let Some(rf) = self.rf_config(rf) else { return self.transmission_failed(Error::Radio) };
        let strongest = i8::try_from(R::MAX_RADIO_POWER).unwrap_or(i8::MAX);
        let pw = power_dbm.saturating_sub(R::ANTENNA_GAIN).min(strongest);
        self.armed = None;
        self.transmitting = true;
        self.timer.keep(&self.mac.air_time());
        let sending = async {
            // A channel of which nothing is known is not sent on.
            if let Some(listen) = listen
                && !self.radio.is_clear(rf.frequency, listen).await?
            {
                return Ok(false);
            }
            self.radio.tx(TxConfig { pw, rf }, self.mac.frame()).await.map(|_| true)
        };
        let limit_ms = airtime_ms.saturating_add(TX_MARGIN_MS);
        let sent = select(sending, self.timer.delay_ms(limit_ms)).await;
        self.transmitting = false;
        match sent {
            Either::First(Ok(sent)) => {
                let now_ms = self.timer.now_ms();
                if sent {
                    self.mac.tx_done(now_ms)
                } else {
                    self.mac.channel_busy(now_ms)
                }
                self.radio_is_well();
                Waited::Poll
            }
            Either::First(Err(_)) => self.transmission_failed(Error::Radio),
            Either::Second(()) => self.transmission_failed(Error::RadioTimeout),
        }
    }

    fn transmission_failed(&mut self, error: Error) -> Waited {
        self.mac.tx_failed(self.timer.now_ms());
        Waited::Failed(error)
    }

    /// RX1 or RX2.
    async fn listen_once(&mut self, window: Window, rf: Rf, until_ms: u64) -> Waited {
        // The window may open early by the lead and late by as much.
        let ms = u32::try_from(RX_LEAD_MS.saturating_mul(2)).unwrap_or(0);
        self.armed = None;
        if let Err(error) = self.set_up(rf, RxMode::Single { ms }).await {
            self.mac.window_closed(self.timer.now_ms(), window);
            return Waited::Failed(error);
        }
        let left_ms = until_ms.saturating_sub(self.timer.now_ms());
        let heard = select(self.radio.rx_single(&mut self.buffer), self.timer.delay_ms(left_ms)).await;
        let end_ms = self.timer.now_ms();
        match heard {
            Either::First(Ok(RxStatus::Rx(len, quality))) => {
                let frame = self.buffer.get(..len).unwrap_or_default();
                let quality = Quality { rssi_dbm: quality.rssi(), snr_db: quality.snr() };
                self.mac.received(end_ms, window, frame, quality);
                self.radio_is_well();
                Waited::Poll
            }
            Either::First(Ok(RxStatus::RxTimeout)) => {
                self.mac.window_closed(end_ms, window);
                self.radio_is_well();
                Waited::Poll
            }
            Either::First(Err(_)) => {
                self.mac.window_closed(end_ms, window);
                Waited::Failed(Error::Radio)
            }
            Either::Second(()) => {
                self.mac.window_closed(end_ms, window);
                Waited::Failed(Error::RadioTimeout)
            }
        }
    }

    /// RXC: left only for what is due, for `wake`, and with a frame.
    async fn listen_on(
        &mut self,
        now_ms: u64,
        rf: Rf,
        until_ms: Option<u64>,
        wake: Pin<&mut impl Future<Output = ()>>,
    ) -> Waited {
        if now_ms < self.retry_at_ms {
            let until_ms = until_ms.unwrap_or(u64::MAX).min(self.retry_at_ms);
            return self.idle(now_ms, Some(until_ms), wake).await;
        }
        let since_ms = match self.armed {
            Some((armed, since_ms)) if armed == rf && now_ms.saturating_sub(since_ms) < REARM_MS => since_ms,
            _ => {
                self.armed = None;
                if let Err(error) = self.set_up(rf, RxMode::Continuous).await {
                    return self.receiving_failed(error);
                }
                self.armed = Some((rf, now_ms));
                now_ms
            }
        };
        let until_ms = until_ms.unwrap_or(u64::MAX).min(since_ms.saturating_add(REARM_MS));
        // Counted from now: setting up took the time that a TCXO needs, and RX1 may be what is due.
        let left_ms = until_ms.saturating_sub(self.timer.now_ms());
        let may_wake = !self.mac.is_in_transaction();
        let heard = select3(
            self.radio.rx_continuous(&mut self.buffer),
            only_if(may_wake, wake),
            self.timer.delay_ms(left_ms),
        )
        .await;
        match heard {
            Either3::First(Ok((len, quality))) => {
                let end_ms = self.timer.now_ms();
                let frame = self.buffer.get(..len).unwrap_or_default();
                let quality = Quality { rssi_dbm: quality.rssi(), snr_db: quality.snr() };
                self.mac.received(end_ms, Window::Rxc, frame, quality);
                self.armed = Some((rf, end_ms));
                self.radio_is_well();
                Waited::Poll
            }
            Either3::First(Err(_)) => self.receiving_failed(Error::Radio),
            Either3::Second(()) => Waited::Woken,
            Either3::Third(()) => Waited::Poll,
        }
    }

    async fn idle(
        &mut self,
        now_ms: u64,
        until_ms: Option<u64>,
        wake: Pin<&mut impl Future<Output = ()>>,
    ) -> Waited {
        let wait_ms = until_ms.map_or(REARM_MS, |until_ms| until_ms.saturating_sub(now_ms).min(REARM_MS));
        let may_wake = !self.mac.is_in_transaction();
        match select(only_if(may_wake, wake), self.timer.delay_ms(wait_ms)).await {
            Either::First(()) => Waited::Woken,
            Either::Second(()) => Waited::Poll,
        }
    }

    async fn set_up(&mut self, rf: Rf, mode: RxMode) -> Result<(), Error> {
        let Some(rf) = self.rf_config(rf) else { return Err(Error::Radio) };
        match select(self.radio.setup_rx(RxConfig { rf, mode }), self.timer.delay_ms(SETUP_MS)).await {
            Either::First(Ok(())) => Ok(()),
            Either::First(Err(_)) => Err(Error::Radio),
            Either::Second(()) => Err(Error::RadioTimeout),
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

async fn only_if(allowed: bool, future: Pin<&mut impl Future<Output = ()>>) {
    if allowed { future.await } else { pending().await }
}
