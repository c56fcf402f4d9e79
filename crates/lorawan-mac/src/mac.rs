//! The sans-IO core.

use crate::config::Config;
use crate::event::{Event, Record, RecordBytes, SendError};

/// The records read from flash at start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restored<'a> {
    /// Bytes of [`Record::Session`].
    pub session: Option<&'a [u8]>,
    /// Bytes of [`Record::Counters`].
    pub counters: Option<&'a [u8]>,
}

/// A receive window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The first one after an uplink.
    Rx1,
    /// The second one after an uplink, where it is not part of RXC.
    Rx2,
    /// The continuous one of Class C.
    Rxc,
}

/// Where to send or to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rf {
    /// Frequency in Hz.
    pub frequency_hz: u32,
    /// Data rate index of the region.
    pub data_rate: u8,
}

/// How well a frame was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Received signal strength in dBm.
    pub rssi_dbm: i16,
    /// Signal to noise ratio in dB.
    pub snr_db: i8,
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store [`Mac::record`]`(record)`, then call [`Mac::stored`].
    Store(Record),
    /// Send [`Mac::frame`], then call [`Mac::tx_done`] or [`Mac::tx_failed`].
    Transmit {
        /// Where.
        rf: Rf,
        /// Radiated power in dBm EIRP.
        power_dbm: i8,
        /// Time on air in ms, rounded up.
        airtime_ms: u32,
    },
    /// Listen; report a frame by [`Mac::received`], the end of RX1 or RX2 by [`Mac::window_closed`].
    Listen {
        /// Which window.
        window: Window,
        /// Where.
        rf: Rf,
        /// When to stop at the latest.
        until_ms: Option<u64>,
    },
    /// Nothing until then, or until the application wants something.
    Idle {
        /// When to poll again; `None` = only after a call from outside.
        until_ms: Option<u64>,
    },
    /// Tell the application.
    Event(Event),
}

/// A LoRaWAN end device without clock and I/O.
#[derive(Debug)]
pub struct Mac {
    config: Config,
}

#[allow(unused_variables, clippy::todo, reason = "API first; bodies follow")]
impl Mac {
    /// Makes a device; a stored session that fits `config` is taken up, an ABP session begins.
    #[must_use]
    pub fn new(config: Config, restored: Restored<'_>, seed: u64) -> Self {
        Self { config }
    }
    /// Starts the join procedure (OTAA); it goes on with back-off until a join-accept comes. A session that
    /// exists stays usable until then. No effect for ABP and while one is already going on.
    pub fn join(&mut self, now_ms: u64) {}
    /// Ends the join procedure; a request that is on air still gets its windows.
    pub fn stop_joining(&mut self) {}
    /// Tells whether there is a session.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        false
    }
    /// Tells the DevAddr of the session.
    #[must_use]
    pub fn dev_addr(&self) -> Option<u32> {
        None
    }
    /// Tells whether [`send`](Self::send) would take a short payload now.
    #[must_use]
    pub fn can_send(&self) -> bool {
        false
    }
    /// Tells from when on the duty cycle lets an uplink of `payload_len` bytes out; a [`send`](Self::send) before that is
    /// taken but waits.
    #[must_use]
    pub fn free_at_ms(&self, now_ms: u64, payload_len: usize) -> u64 {
        now_ms
    }
    /// Tells how many application bytes the next uplink can carry (MAC-FRM-06).
    #[must_use]
    pub fn max_payload(&self) -> usize {
        0
    }
    /// Takes an uplink.
    ///
    /// # Errors
    /// See [`SendError`]; nothing has changed then.
    pub fn send(&mut self, now_ms: u64, port: u8, payload: &[u8], confirmed: bool) -> Result<(), SendError> {
        Err(SendError::NotJoined)
    }
    /// Puts a LinkCheckReq into the next uplink.
    pub fn request_link_check(&mut self) {}
    /// Puts a DeviceTimeReq into the next uplink.
    pub fn request_device_time(&mut self) {}
    /// Tells what to do next.
    pub fn poll(&mut self, now_ms: u64) -> Action {
        Action::Idle { until_ms: None }
    }
    /// Gives the frame of [`Action::Transmit`].
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &[]
    }
    /// Gives the bytes of a record as they are now.
    #[must_use]
    pub fn record(&self, record: Record) -> RecordBytes {
        RecordBytes::new()
    }
    /// Says that the record of the last [`Action::Store`] is in flash.
    pub fn stored(&mut self) {}
    /// Says that the frame has left the antenna, at `now_ms`.
    pub fn tx_done(&mut self, now_ms: u64) {}
    /// Says that the radio failed to send.
    pub fn tx_failed(&mut self, now_ms: u64) {}
    /// Takes what was heard; `now_ms` is the end of the frame.
    pub fn received(&mut self, now_ms: u64, window: Window, frame: &[u8], quality: Quality) {}
    /// Says that RX1 or RX2 ended without a frame.
    pub fn window_closed(&mut self, now_ms: u64, window: Window) {}
}
