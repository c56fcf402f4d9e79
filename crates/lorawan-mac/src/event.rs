//! What the application learns.

/// Application bytes of one downlink, 0..=242.
pub type Payload = heapless::Vec<u8, 242>;

/// A frame of the type Proprietary, MHDR included. Longer ones are dropped.
pub type ProprietaryFrame = heapless::Vec<u8, 64>;

/// Bytes of a stored record at most.
pub const MAX_RECORD: usize = 208;

/// The stored form of a [`Record`].
pub type RecordBytes = heapless::Vec<u8, MAX_RECORD>;

/// The things that must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Keys, address, channels and parameters; changes with a join and with MAC commands.
    Session,
    /// DevNonce, the reservation of FCntUp, FCntDown.
    Counters,
    /// FCntDown of the multicast groups.
    Multicast,
}

/// The receive window that brought a downlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownlinkWindow {
    /// RX1 or RX2 of an uplink.
    ClassA,
    /// RXC.
    ClassC,
}

/// Why an uplink was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no session yet.
    NotJoined,
    /// Another uplink, or a MAC answer that goes first, is under way: again after [`Event::UplinkDone`].
    Busy,
    /// The payload does not fit the present data rate.
    TooLong {
        /// Bytes that would fit now.
        limit: usize,
    },
    /// The port is not one of 1..=223.
    Port(u8),
    /// The session's last FCntUp is used; a join is needed (ABP: new keys).
    CounterExhausted,
    /// The stored counters of an ABP session are lost: sending could repeat a counter. New keys are needed.
    CountersLost,
}

/// What went wrong by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The radio refused an operation; it is tried again.
    Radio,
    /// The radio did not end an operation in its time; it is tried again.
    RadioTimeout,
    /// All 65536 values of DevNonce are used; the device stops joining.
    DevNonceExhausted,
    /// The session's last FCntUp is used.
    FCntUpExhausted,
    /// The stored counters of an ABP session are lost; the device does not send with these keys.
    CountersLost,
    /// Downlinks were lost because the application did not take them in time.
    DownlinkOverflow {
        /// Lost downlinks since the start.
        count: u32,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `bytes` must be stored as `record`; [`Driver::stored`](crate::Driver::stored) says that it is done.
    Store {
        /// Which record.
        record: Record,
        /// Its bytes.
        bytes: RecordBytes,
    },
    /// A join request went out.
    JoinRequestSent {
        /// Its DevNonce.
        dev_nonce: u16,
        /// Its data rate.
        dr: u8,
        /// Its frequency in Hz.
        freq_hz: u32,
    },
    /// The network took the device in; the session is stored.
    Joined {
        /// The new address.
        dev_addr: u32,
    },
    /// A stored session, or the session of an ABP device, is in use.
    SessionResumed {
        /// Its address.
        dev_addr: u32,
    },
    /// A frame went out (once for each transmission of it).
    UplinkSent {
        /// Its port; `None` or `Some(0)` for a frame that the MAC sent for itself.
        port: Option<u8>,
        /// Its FCntUp.
        fcnt: u32,
        /// Its data rate.
        dr: u8,
        /// Its frequency in Hz.
        freq_hz: u32,
        /// Whether it asks for an ACK.
        confirmed: bool,
    },
    /// The last transmission of a frame and its receive windows are over.
    UplinkDone {
        /// Its port; `None` or `Some(0)` for a frame that the MAC sent for itself.
        port: Option<u8>,
        /// Whether the ACK came; `None` for an unconfirmed frame.
        acked: Option<bool>,
    },
    /// The radio could not send the frame; it is given up.
    UplinkFailed {
        /// Its port; `None` or `Some(0)` for a frame that the MAC sent for itself.
        port: Option<u8>,
    },
    /// An application downlink, its FCntDown already stored.
    Downlink {
        /// Its port, 1..=223.
        port: u8,
        /// Its payload.
        payload: Payload,
        /// Its FCntDown.
        fcnt: u32,
        /// Where it was heard.
        window: DownlinkWindow,
        /// The multicast group that it was sent to, 1..=4; `None` for a frame to this device alone.
        multicast: Option<u8>,
        /// Received signal strength in dBm.
        rssi_dbm: i16,
        /// Signal to noise ratio in dB.
        snr_db: i8,
    },
    /// A frame of the type Proprietary was heard in RXC. The MAC knows nothing of it but its first byte.
    Proprietary {
        /// The whole frame.
        frame: ProprietaryFrame,
    },
    /// The network answered a link check.
    LinkCheckAnswer {
        /// Margin above the demodulation floor in dB.
        margin_db: u8,
        /// Gateways that heard the request.
        gateways: u8,
    },
    /// The network told the time.
    DeviceTime {
        /// Seconds since the GPS epoch, of the instant `at_ms`.
        gps_s: u32,
        /// Fraction of that second in 1/256 s.
        fraction_256: u8,
        /// The instant, in ms of the MAC's clock, at which the request had gone out.
        at_ms: u64,
    },
    /// Something went wrong; the device goes on.
    Error(Error),
    /// The tester asks for something that is not the MAC's.
    #[cfg(feature = "certification")]
    Certification(crate::certification::CertificationRequest),
    /// The future `wake` that was given to [`Driver::next`](crate::Driver::next) completed.
    Woken,
}
