//! The sans-IO core.

mod adr;
#[cfg(feature = "certification")]
mod certifying;
mod downlink;
mod give_way;
mod join;
mod multicast;
mod requests;
mod uplink;
mod watch;
mod windows;

use core::cmp::Ordering;

use heapless::Deque;
use lora_modulation::BaseBandModulationParams;

use crate::command::Answers;
use crate::config::{Activation, Config};
use crate::duty::{AirTime, Duty};
use crate::event::{Error, Event, ProprietaryFrame, Record, RecordBytes};
use crate::fifo::Fifo;
use crate::frame::Frame;
use crate::mask::Mask;
use crate::random::Random;
use crate::region::{DataRate, ListenBeforeTalk, Plan};
use crate::session::{self, Counters, GroupCounters, Parameters, Session};

use join::Joining;
use uplink::{Acknowledgement, Transaction};

/// The records read from flash at start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restored<'a> {
    /// Bytes of [`Record::Session`].
    pub session: Option<&'a [u8]>,
    /// Bytes of [`Record::Counters`].
    pub counters: Option<&'a [u8]>,
    /// Bytes of [`Record::Multicast`].
    pub multicast: Option<&'a [u8]>,
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
#[allow(clippy::large_enum_variant, reason = "handed over at once, never kept; there is no allocator")]
pub enum Action {
    /// Store [`Mac::record`]`(record)`, then call [`Mac::stored`]. Given again until then.
    Store(Record),
    /// Send [`Mac::frame`], then call [`Mac::tx_done`] or [`Mac::tx_failed`], or [`Mac::channel_busy`] if the
    /// channel was not clear. Given once.
    Transmit {
        /// Where.
        rf: Rf,
        /// Radiated power in dBm EIRP.
        power_dbm: i8,
        /// Time on air in ms, rounded up.
        airtime_ms: u64,
        /// The channel must be clear before, by law (MAC-TX-03).
        listen_before_talk: Option<ListenBeforeTalk>,
    },
    /// Listen. A frame goes to [`Mac::received`]; the end of RX1 or RX2 without one, to
    /// [`Mac::window_closed`].
    Listen {
        /// Which window.
        window: Window,
        /// Where.
        rf: Rf,
        /// The instant for which RX1 or RX2 is to be open: the clock's ms at which the uplink ended, and the delay. RXC is
        /// to be open from now on.
        at_ms: Option<u64>,
        /// When to poll again at the latest.
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
///
/// Times are ms of one clock that never goes back, and starts at power-up. The order of calls is: [`poll`](Self::poll),
/// do what it says, tell what came of it, poll again; the application's calls may come between.
#[derive(Debug)]
pub struct Mac {
    config: Config,
    plan: &'static Plan,
    random: Random,
    credentials: [u8; 4],
    session: Option<Session>,
    counters: Counters,
    groups: GroupCounters,
    /// An ABP device whose counters are gone must stay silent.
    counters_lost: bool,
    session_dirty: bool,
    counters_dirty: bool,
    groups_dirty: bool,
    storing: Option<Record>,
    notices: Deque<Notice, 8>,
    downlinks: Fifo,
    lost_downlinks: u32,
    /// Apart from the downlinks, so that no flood of these costs one of those.
    proprietary: Option<ProprietaryFrame>,
    joining: Option<Joining>,
    transaction: Option<Transaction>,
    /// Payload of an uplink until it is built, then the frame.
    frame: Frame,
    duty: Duty,
    answers: Answers,
    /// So many bytes at the front of `answers` have been on air already; all of them are sticky.
    answers_sent: usize,
    wants_link_check: bool,
    wants_device_time: bool,
    acknowledgement: Option<Acknowledgement>,
    /// MIC of the last downlink, if it was confirmed, and how often it may still come again.
    repeatable: Option<([u8; 4], u8)>,
    /// When the MAC sends a frame of its own if the application has sent none by then.
    own_uplink_at_ms: Option<u64>,
    adr_ack_count: u16,
    /// Channels that had their turn: each is used once before one is used again (MAC-TX-01).
    used: Mask,
    watch: watch::Watch,
    #[cfg(feature = "certification")]
    certifying: certifying::Certifying,
}

/// An event without the large ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    JoinRequestSent {
        dev_nonce: u16,
        rf: Rf,
    },
    Joined {
        dev_addr: u32,
    },
    SessionResumed {
        dev_addr: u32,
    },
    UplinkSent {
        port: Option<u8>,
        fcnt: u32,
        rf: Rf,
        confirmed: bool,
    },
    UplinkDone {
        port: Option<u8>,
        acked: Option<bool>,
    },
    UplinkFailed {
        port: Option<u8>,
    },
    LinkCheckAnswer {
        margin_db: u8,
        gateways: u8,
    },
    DeviceTime {
        gps_s: u32,
        fraction_256: u8,
        at_ms: u64,
    },
    Error(Error),
    #[cfg(feature = "certification")]
    Certification(crate::certification::CertificationRequest),
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::JoinRequestSent { dev_nonce, rf } => {
                Self::JoinRequestSent { dev_nonce, dr: rf.data_rate, freq_hz: rf.frequency_hz }
            }
            Notice::Joined { dev_addr } => Self::Joined { dev_addr },
            Notice::SessionResumed { dev_addr } => Self::SessionResumed { dev_addr },
            Notice::UplinkSent { port, fcnt, rf, confirmed } => {
                Self::UplinkSent { port, fcnt, dr: rf.data_rate, freq_hz: rf.frequency_hz, confirmed }
            }
            Notice::UplinkDone { port, acked } => Self::UplinkDone { port, acked },
            Notice::UplinkFailed { port } => Self::UplinkFailed { port },
            Notice::LinkCheckAnswer { margin_db, gateways } => Self::LinkCheckAnswer { margin_db, gateways },
            Notice::DeviceTime { gps_s, fraction_256, at_ms } => {
                Self::DeviceTime { gps_s, fraction_256, at_ms }
            }
            Notice::Error(error) => Self::Error(error),
            #[cfg(feature = "certification")]
            Notice::Certification(request) => Self::Certification(request),
        }
    }
}

impl Mac {
    /// Makes a device; a stored session that fits `config` is taken up, an ABP session begins. `seed` spreads
    /// devices over channels and time.
    ///
    /// Records that are damaged, or made under other credentials, count as absent; DevNonce goes on from
    /// whatever counters record can be read.
    #[must_use]
    #[inline(never)]
    pub fn new(config: Config, restored: Restored<'_>, seed: u64) -> Self {
        let plan = Plan::of(config.region);
        let credentials = session::credentials_tag(&config, plan);
        let mut mac = Self {
            plan,
            random: Random::new(seed),
            credentials,
            session: None,
            counters: Counters::default(),
            groups: GroupCounters::default(),
            counters_lost: false,
            session_dirty: false,
            counters_dirty: false,
            groups_dirty: false,
            storing: None,
            notices: Deque::new(),
            downlinks: Fifo::default(),
            lost_downlinks: 0,
            proprietary: None,
            joining: None,
            transaction: None,
            frame: Frame::new(),
            duty: Duty::new(),
            answers: Answers::new(),
            answers_sent: 0,
            wants_link_check: false,
            wants_device_time: false,
            acknowledgement: None,
            repeatable: None,
            own_uplink_at_ms: None,
            adr_ack_count: 0,
            used: Mask::NONE,
            watch: watch::Watch::default(),
            #[cfg(feature = "certification")]
            certifying: certifying::Certifying::default(),
            config,
        };
        mac.restore(restored);
        mac.restore_groups(restored.multicast);
        mac
    }

    /// Writes down the air time that a reset would forget: of the bands, of the network's limit, and of join requests.
    #[must_use]
    pub fn air_time(&self) -> AirTime {
        self.duty.air_time(self.plan)
    }

    /// Goes on with the air time of before a reset (MAC-TX-02, MAC-JOIN-08). `now_ms` is not before the time that it
    /// was written down at: the clock has gone on over the reset.
    pub fn resume_air_time(&mut self, now_ms: u64, air_time: &AirTime) {
        self.duty.resume(self.plan, now_ms, air_time);
    }

    #[inline(never)]
    fn restore(&mut self, restored: Restored<'_>) {
        let stored = restored
            .session
            .and_then(|bytes| session::decode_session(bytes, self.plan))
            .filter(|stored| stored.credentials == self.credentials);
        let readable = restored.counters.and_then(session::decode_counters);
        let ours = readable.filter(|(credentials, _)| *credentials == self.credentials);
        match (&ours, &readable) {
            // Kept whole even if the session is not taken up: they say which session they belong to.
            (Some((_, counters)), _) => self.counters = *counters,
            // The operator gave other credentials: only DevNonce goes on (MAC-JOIN-02, MAC-ABP-02).
            (None, Some((_, others))) => self.counters.next_dev_nonce = others.next_dev_nonce,
            (None, None) => {}
        }
        let counters = ours.map(|(_, counters)| counters);
        let settings = session::settings_tag(&self.config);
        match self.config.activation {
            Activation::Otaa { .. } => {
                let Some(stored) = stored else { return };
                let Some(counters) = counters else {
                    // The frame counters are gone, so the session is; its DevNonce still bounds the next one.
                    self.counters.next_dev_nonce = self
                        .counters
                        .next_dev_nonce
                        .max(u32::from(stored.session.dev_nonce).saturating_add(Self::DEV_NONCE_MARGIN));
                    return;
                };
                if stored.settings != settings {
                    return;
                }
                let mut session = stored.session;
                match session.dev_nonce.cmp(&counters.session_dev_nonce) {
                    Ordering::Equal => {
                        session.fcnt_up = counters.fcnt_up_limit;
                        session.fcnt_down = counters.fcnt_down;
                    }
                    // The power went between the two records of a join: no frame of this session was sent.
                    Ordering::Greater => {}
                    // Counters of a younger session: those of this one are gone, and so is it.
                    Ordering::Less => return,
                }
                self.session = Some(session);
            }
            Activation::Abp { dev_addr, nwk_skey, app_skey } => {
                if stored.is_some() && readable.is_none() {
                    self.counters_lost = true;
                    self.notify(Notice::Error(Error::CountersLost));
                    return;
                }
                // A network that has not yet spoken may be far away: the lowest data rate (MAC-ABP-01).
                let lowest = self.plan.slowest_data_rate(self.plan.dwell_time);
                let parameters = stored
                    .filter(|stored| stored.settings == settings)
                    .map(|stored| stored.session.parameters)
                    .unwrap_or_else(|| Parameters::defaults(self.plan, &self.config, lowest));
                let counters = counters.unwrap_or_else(|| {
                    self.session_dirty = true;
                    self.counters_dirty = true;
                    self.counters
                });
                self.session = Some(Session {
                    dev_nonce: 0,
                    dev_addr,
                    nwk_skey,
                    app_skey,
                    fcnt_up: counters.fcnt_up_limit,
                    fcnt_down: counters.fcnt_down,
                    parameters,
                });
            }
        }
        if let Some(session) = &mut self.session {
            let Parameters { data_rate, uplink_dwell, channels, .. } = &mut session.parameters;
            if !self.config.adr && self.plan.is_uplink_data_rate(self.config.data_rate, *uplink_dwell) {
                // The channels may be the network's.
                *data_rate = channels.nearest_data_rate(self.plan, self.config.data_rate, *uplink_dwell);
            }
            self.counters.session_dev_nonce = session.dev_nonce;
            self.counters.fcnt_up_limit = session.fcnt_up;
            self.counters.fcnt_down = session.fcnt_down;
            let dev_addr = session.dev_addr;
            self.notify(Notice::SessionResumed { dev_addr });
        }
    }

    /// Join requests that may have been sent after the session record was written.
    const DEV_NONCE_MARGIN: u32 = 1024;

    /// Tells whether there is a session.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.session.is_some()
    }

    /// Tells whether the join procedure is going on.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// Tells the DevAddr of the session.
    #[must_use]
    pub fn dev_addr(&self) -> Option<u32> {
        self.session.as_ref().map(|session| session.dev_addr)
    }

    /// Tells whether a frame is on air or its windows are not over: a time at which the radio is not to be
    /// taken away.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_on_air_or_listening)
    }

    /// Gives what a radio needs to know of a place.
    pub(crate) fn modulation(&self, rf: Rf) -> Option<BaseBandModulationParams> {
        self.plan.data_rate(rf.data_rate).map(DataRate::modulation)
    }

    /// Tells what to do next.
    pub fn poll(&mut self, now_ms: u64) -> Action {
        if !self.window_is_near(now_ms) {
            if let Some(record) = self.next_store() {
                return Action::Store(record);
            }
            if let Some(notice) = self.notices.pop_front() {
                return Action::Event(notice.into());
            }
            // Its FCntDown is in flash by now.
            if let Some((header, payload)) = self.downlinks.pop() {
                return Action::Event(Event::Downlink {
                    port: header.port,
                    payload,
                    fcnt: header.fcnt,
                    window: header.window,
                    multicast: header.multicast,
                    rssi_dbm: header.quality.rssi_dbm,
                    snr_db: header.quality.snr_db,
                });
            }
            if let Some(frame) = self.proprietary.take() {
                return Action::Event(Event::Proprietary { frame });
            }
        }
        self.drive(now_ms)
    }

    fn next_store(&mut self) -> Option<Record> {
        // After a join the session goes first: with the old counters it means "fresh", while new counters
        // with the old session would open the old one's counters again. An ABP device's session has nothing
        // but parameters, and its presence says that there were counters.
        let counters_first = matches!(self.config.activation, Activation::Abp { .. });
        let record = match (self.storing, self.session_dirty, self.counters_dirty) {
            (Some(record), ..) => record,
            (None, true, true) if counters_first => Record::Counters,
            (None, true, _) => Record::Session,
            (None, false, true) => Record::Counters,
            (None, false, false) if self.groups_dirty => Record::Multicast,
            (None, false, false) => return None,
        };
        // What changes from here on is stored once more.
        match record {
            Record::Session => self.session_dirty = false,
            Record::Counters => self.counters_dirty = false,
            Record::Multicast => self.groups_dirty = false,
        }
        self.storing = Some(record);
        Some(record)
    }

    /// Has every record stored again: the flash has lost them.
    pub fn store_again(&mut self) {
        self.session_dirty |= self.session.is_some();
        self.counters_dirty |= !self.counters_lost;
        self.groups_dirty = true;
    }

    /// Says that the record of the last [`Action::Store`] is in flash.
    pub fn stored(&mut self) {
        self.storing = None;
    }

    fn is_stored(&self) -> bool {
        !(self.session_dirty || self.counters_dirty || self.groups_dirty || self.storing.is_some())
    }

    /// Gives the bytes of a record as they are now; an empty session record if there is no session.
    #[must_use]
    pub fn record(&self, record: Record) -> RecordBytes {
        match (record, &self.session) {
            (Record::Session, None) => RecordBytes::new(),
            (Record::Session, Some(session)) => {
                let settings = session::settings_tag(&self.config);
                session::encode_session(session, self.plan, self.credentials, settings)
            }
            (Record::Multicast, _) => session::encode_groups(&self.groups),
            (Record::Counters, _) => session::encode_counters(&self.counters, self.credentials),
        }
    }

    /// Gives the frame of [`Action::Transmit`].
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn notify(&mut self, notice: Notice) {
        // What the network can repeat within one frame, or between two polls, waits once: there is always room for
        // what ends an uplink.
        let repeats = |other: &Notice| match notice {
            Notice::LinkCheckAnswer { .. } | Notice::DeviceTime { .. } => {
                core::mem::discriminant(other) == core::mem::discriminant(&notice)
            }
            Notice::Error(Error::DownlinkOverflow { .. }) => {
                matches!(other, Notice::Error(Error::DownlinkOverflow { .. }))
            }
            _ => false,
        };
        if !self.notices.iter().any(repeats) {
            let _ = self.notices.push_back(notice);
        }
    }

    /// What there is to do while nothing is: RXC for Class C (MAC-CC-01, MAC-CC-03).
    fn rest(&self, until_ms: Option<u64>) -> Action {
        let rx2 = match &self.session {
            Some(session) => session.parameters.rx2,
            // A join has its two windows and nothing between (MAC-CC-02).
            None if self.config.rxc_without_session && !self.is_in_transaction() => {
                self.config.rx2.unwrap_or(self.plan.rx2)
            }
            None => return Action::Idle { until_ms },
        };
        match self.config.class_c {
            true => Action::Listen { window: Window::Rxc, rf: rx2.into(), at_ms: None, until_ms },
            false => Action::Idle { until_ms },
        }
    }
}

impl From<crate::config::Rx2> for Rf {
    fn from(rx2: crate::config::Rx2) -> Self {
        Self { frequency_hz: rx2.frequency_hz, data_rate: rx2.data_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, Region};
    use std::format;

    #[test]
    fn the_core_keeps_within_its_ram() {
        // 24 KB in all on the STM32WL; the pointers are longer on the host.
        assert!(size_of::<Mac>() <= 2560, "{} bytes", size_of::<Mac>());
    }

    #[test]
    fn debug_prints_no_key() {
        let key = Key([0xa5; 16]);
        for activation in [
            Activation::Otaa { dev_eui: [1; 8], join_eui: [2; 8], app_key: key },
            Activation::Abp { dev_addr: 3, nwk_skey: key, app_skey: key },
        ] {
            let mac = Mac::new(Config::new(Region::Eu868, activation), Restored::default(), 0);
            let text =
                format!("{mac:?} {:?}", session::decode_session(&mac.record(Record::Session), mac.plan));
            assert!(text.contains('…'));
            assert!(!text.contains("165, 165") && !text.contains("a5"), "{text}");
        }
    }

    #[test]
    fn the_longest_session_fits_its_record() {
        let config = Config {
            channels_hz: Some([868_100_000; 16]),
            ..Config::new(
                Region::Eu868,
                Activation::Abp { dev_addr: 3, nwk_skey: Key([1; 16]), app_skey: Key([2; 16]) },
            )
        };
        let mut mac = Mac::new(config, Restored::default(), 0);
        for index in 0..16 {
            if let Some(session) = &mut mac.session {
                session.parameters.channels.set_downlink(index, 869_100_000);
            }
        }
        let bytes = mac.record(Record::Session);
        let stored = session::decode_session(&bytes, mac.plan).unwrap();
        assert_eq!(stored.session.parameters, mac.session.as_ref().unwrap().parameters);
    }
}
