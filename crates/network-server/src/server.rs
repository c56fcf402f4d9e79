//! The server: sessions, counters, windows, queues.

use std::collections::{HashSet, VecDeque};

use lrwn::{FType, Payload};

use crate::airtime::airtime_us;
use crate::config::{Config, Downlink, Kind, Transmission, UplinkMeta, Window, eu868};
use crate::device::{Activation, Answer, Device, InFlight, PendingWindow, Session};
use crate::frames::{self, DataDown, Keys};
use crate::heard::{Heard, MacRequest, MacUp, RejectReason, Uplink};

/// JOIN_ACCEPT_DELAY1 and 2 (LoRaWAN Regional Parameters, all regions).
const JOIN_ACCEPT_DELAY1_US: u64 = 5_000_000;
const JOIN_ACCEPT_DELAY2_US: u64 = 6_000_000;
/// RX2 opens one second after RX1 (LoRaWAN 1.0.3 §3.3.2).
const RX1_TO_RX2_US: u64 = 1_000_000;
/// Pause after a frame before the next to the same device, so that it is back in RXC.
const PAUSE_US: u64 = 100_000;
/// The most that FOpts holds (LoRaWAN 1.0.3 §4.3.1.6).
const MAX_F_OPTS: usize = 15;

/// Wrong use of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A setting is out of its range; names it.
    Config(&'static str),
    /// No device has this DevEUI.
    UnknownDevice,
    /// A device with this DevEUI is there already.
    DeviceExists,
    /// An application port must be 1..223 (224 is for certification, and allowed).
    Port(u8),
    /// The payload is longer than any data rate carries; the most it may have.
    PayloadTooLong {
        /// The most that fits.
        max: usize,
    },
    /// A MAC command has a field out of its range, or does not fit FOpts.
    Request(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(field) => write!(f, "the network's {field} is out of its range"),
            Self::UnknownDevice => f.write_str("the network knows no device with this DevEUI"),
            Self::DeviceExists => f.write_str("the network has a device with this DevEUI already"),
            Self::Port(port) => write!(f, "port {port} is not an application port (1 to 224)"),
            Self::PayloadTooLong { max } => write!(f, "the payload is longer than {max} bytes"),
            Self::Request(why) => write!(f, "the MAC command cannot be sent: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// A multicast group: its address, keys and next FCntDown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The group's address.
    pub dev_addr: u32,
    /// The group's keys.
    pub keys: Keys,
    /// The next FCntDown, 32 bits.
    pub fcnt_down: u32,
}

/// A LoRaWAN network server with one gateway.
pub struct NetworkServer {
    config: Config,
    devices: Vec<Device>,
    gateway_on: bool,
    /// The gateway transmits until then.
    gateway_free_us: u64,
    /// Frames that are due apart from any device's windows: multicast and injected ones, in order.
    broadcast: VecDeque<Transmission>,
    next_address: u32,
    first_join_nonce: u32,
    pub(crate) sent: VecDeque<Transmission>,
    pub(crate) received: VecDeque<Vec<u8>>,
}

impl std::fmt::Debug for NetworkServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkServer")
            .field("devices", &self.devices.len())
            .field("gateway_on", &self.gateway_on)
            .finish_non_exhaustive()
    }
}

/// What an uplink is, before it has any effect.
enum Examined {
    Join { device: usize, join_eui: [u8; 8], dev_nonce: u16 },
    Data { device: usize, of_new_session: bool, repeat: bool, uplink: Uplink },
}

impl NetworkServer {
    /// Makes a network without devices. The seed chooses addresses and join nonces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the setting that is out of its range.
    pub fn new(config: Config, seed: u64) -> Result<Self, Error> {
        let mhz = 863_000_000..=870_000_000;
        let checks = [
            ("rx1_delay_s", (1..=15).contains(&config.rx1_delay_s)),
            ("rx1_dr_offset", config.rx1_dr_offset <= 5),
            ("rx2_dr", usize::from(config.rx2_dr) < eu868::DATA_RATES.len()),
            ("rx2_freq_hz", mhz.contains(&config.rx2_freq_hz)),
            ("extra_channels_hz", config.extra_channels_hz.len() <= 5),
            (
                "extra_channels_hz",
                config.extra_channels_hz.iter().all(|hz| mhz.contains(hz) && hz % 100 == 0),
            ),
            ("answer_in", config.answer_in != Window::Rxc),
            ("confirmed_tries", config.confirmed_tries >= 1),
        ];
        if let Some((field, _)) = checks.iter().find(|(_, fine)| !fine) {
            return Err(Error::Config(field));
        }
        // The constant of splitmix64, to spread small seeds.
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Ok(Self {
            config,
            devices: Vec::new(),
            gateway_on: true,
            gateway_free_us: 0,
            broadcast: VecDeque::new(),
            next_address: (mixed >> 40) as u32,
            // Below 2^20, so that the 24 bits of a JoinNonce last for 15 million joins.
            first_join_nonce: (mixed >> 20) as u32 & 0xF_FFFF,
            sent: VecDeque::new(),
            received: VecDeque::new(),
        })
    }

    /// Adds a device which joins over the air. EUIs are most significant byte first, as printed.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceExists`].
    pub fn add_otaa(&mut self, dev_eui: [u8; 8], join_eui: [u8; 8], app_key: [u8; 16]) -> Result<(), Error> {
        let activation = Activation::Otaa {
            join_eui,
            app_key,
            used_nonces: HashSet::new(),
            next_join_nonce: self.first_join_nonce,
        };
        self.add(Device::new(dev_eui, activation, None))
    }

    /// Adds a device with a fixed session.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceExists`].
    pub fn add_abp(&mut self, dev_eui: [u8; 8], dev_addr: u32, keys: Keys) -> Result<(), Error> {
        let session = Session {
            // An ABP device has the region's defaults (MAC-ABP-01), apart from the RX2 of its settings.
            rx1_delay_s: 1,
            rx1_dr_offset: 0,
            ..self.new_session(dev_addr, keys)
        };
        self.add(Device::new(dev_eui, Activation::Abp, Some(session)))
    }

    fn add(&mut self, device: Device) -> Result<(), Error> {
        if self.devices.iter().any(|known| known.dev_eui == device.dev_eui) {
            return Err(Error::DeviceExists);
        }
        self.devices.push(device);
        Ok(())
    }

    fn new_session(&self, dev_addr: u32, keys: Keys) -> Session {
        Session {
            dev_addr,
            keys,
            fcnt_up: None,
            fcnt_down: 0,
            rx1_delay_s: self.config.rx1_delay_s,
            rx1_dr_offset: self.config.rx1_dr_offset,
            rx2_dr: self.config.rx2_dr,
            rx2_freq_hz: self.config.rx2_freq_hz,
        }
    }

    /// Switches the gateway. While it is off nothing is heard, and nothing is sent: answers are lost, the
    /// data of the application waits.
    pub fn set_gateway(&mut self, now_us: u64, on: bool) {
        self.gateway_on = on;
        if !on {
            self.broadcast.clear();
            for device in &mut self.devices {
                device.pending = None;
            }
        }
        self.gateway_free_us = self.gateway_free_us.max(now_us);
    }

    /// Tells whether the gateway is on.
    #[must_use]
    pub fn gateway_is_on(&self) -> bool {
        self.gateway_on
    }

    /// Tells the session of a device, if it is activated.
    #[must_use]
    pub fn session(&self, dev_eui: [u8; 8]) -> Option<&Session> {
        self.device(dev_eui)?.session.as_ref()
    }

    /// Tells the MAC answers that a device gave, oldest first.
    #[must_use]
    pub fn mac_answers(&self, dev_eui: [u8; 8]) -> &[MacUp] {
        self.device(dev_eui).map_or(&[], |device| &device.answers)
    }

    /// Tells how many confirmed downlinks of a device were given up without an ACK.
    #[must_use]
    pub fn unacknowledged(&self, dev_eui: [u8; 8]) -> u32 {
        self.device(dev_eui).map_or(0, |device| device.unacknowledged)
    }

    /// Tells how many downlinks of the application wait, the one without its ACK included.
    #[must_use]
    pub fn queued(&self, dev_eui: [u8; 8]) -> usize {
        self.device(dev_eui).map_or(0, |device| device.queue.len() + usize::from(device.in_flight.is_some()))
    }

    fn device(&self, dev_eui: [u8; 8]) -> Option<&Device> {
        self.devices.iter().find(|device| device.dev_eui == dev_eui)
    }

    fn device_mut(&mut self, dev_eui: [u8; 8]) -> Result<&mut Device, Error> {
        self.devices.iter_mut().find(|device| device.dev_eui == dev_eui).ok_or(Error::UnknownDevice)
    }

    /// Queues application data. It goes into the device's next Class A window if one is coming, else at once
    /// to its RXC.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDevice`], [`Error::Port`], [`Error::PayloadTooLong`].
    pub fn enqueue(&mut self, now_us: u64, dev_eui: [u8; 8], downlink: Downlink) -> Result<(), Error> {
        check_data(downlink.port, &downlink.payload)?;
        let device = self.device_mut(dev_eui)?;
        device.class_c_from_us = device.class_c_from_us.max(now_us);
        device.queue.push_back(downlink);
        Ok(())
    }

    /// Queues a MAC command for the device's next Class A window.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDevice`]; [`Error::Request`] when a field is out of its range.
    pub fn request(&mut self, dev_eui: [u8; 8], request: MacRequest) -> Result<(), Error> {
        let bytes = frames::mac_request(&request).map_err(|error| Error::Request(error.to_string()))?;
        if bytes.len() > MAX_F_OPTS {
            return Err(Error::Request("longer than FOpts".into()));
        }
        self.device_mut(dev_eui)?.requests.push_back((request, bytes));
        Ok(())
    }

    /// Sends application data to a group at once, with the network's RX2 parameters, and counts its FCntDown.
    ///
    /// # Errors
    ///
    /// [`Error::Port`], [`Error::PayloadTooLong`].
    pub fn multicast(
        &mut self,
        now_us: u64,
        group: &mut MulticastGroup,
        port: u8,
        payload: &[u8],
    ) -> Result<(), Error> {
        check_data(port, payload)?;
        let frame = DataDown {
            dev_addr: group.dev_addr,
            fcnt: group.fcnt_down,
            data: Some((port, payload.to_vec())),
            ..DataDown::default()
        };
        let phy = frame.encode(&group.keys).map_err(Error::Request)?;
        let kind = Kind::Multicast {
            dev_addr: group.dev_addr,
            port,
            payload: payload.to_vec(),
            fcnt: group.fcnt_down,
        };
        group.fcnt_down = group.fcnt_down.wrapping_add(1);
        self.broadcast(now_us, phy, kind);
        Ok(())
    }

    /// Sends bytes as they are, at once, with the network's RX2 parameters: a tool for tests (see
    /// [`crate::forge`]).
    pub fn inject(&mut self, now_us: u64, phy: Vec<u8>) {
        self.broadcast(now_us, phy, Kind::Injected);
    }

    fn broadcast(&mut self, now_us: u64, phy: Vec<u8>, kind: Kind) {
        if self.gateway_on {
            let (freq_hz, dr) = (self.config.rx2_freq_hz, self.config.rx2_dr);
            self.broadcast.push_back(transmission(now_us, freq_hz, dr, eu868::RX2_POWER_DBM, phy, kind));
        }
    }

    /// Takes an uplink whose last symbol ended at `now_us`. Empty while the gateway is off.
    pub fn on_uplink(&mut self, now_us: u64, phy: &[u8], meta: UplinkMeta) -> Vec<Heard> {
        if !self.gateway_on {
            return Vec::new();
        }
        keep(&mut self.received, phy.to_vec(), self.config.record_frames);
        vec![match self.examine(phy) {
            Err(reason) => Heard::Rejected { reason },
            Ok(Examined::Join { device, join_eui, dev_nonce }) => {
                self.admit(now_us, meta, device, join_eui, dev_nonce)
            }
            Ok(Examined::Data { device, of_new_session, repeat, uplink }) => {
                self.accept(now_us, meta, device, of_new_session, repeat, &uplink);
                if repeat { Heard::Repeat(uplink) } else { Heard::Data(uplink) }
            }
        }]
    }

    /// Deciphers an uplink without any effect, whether the gateway is on or not. `None` for a frame that
    /// [`on_uplink`](Self::on_uplink) would reject.
    #[must_use]
    pub fn sniff(&self, phy: &[u8]) -> Option<Heard> {
        Some(match self.examine(phy).ok()? {
            Examined::Join { device, join_eui, dev_nonce } => {
                let dev_eui = self.devices.get(device)?.dev_eui;
                Heard::JoinRequest { dev_eui, join_eui, dev_nonce, dev_addr: None }
            }
            Examined::Data { repeat: true, uplink, .. } => Heard::Repeat(uplink),
            Examined::Data { uplink, .. } => Heard::Data(uplink),
        })
    }

    fn examine(&self, phy: &[u8]) -> Result<Examined, RejectReason> {
        let parsed = frames::parse(phy).ok_or(RejectReason::Malformed)?;
        match &parsed.payload {
            Payload::JoinRequest(request) if parsed.mhdr.f_type == FType::JoinRequest => {
                let (dev_eui, join_eui) = (request.dev_eui.to_be_bytes(), request.join_eui.to_be_bytes());
                let device = self.devices.iter().position(|device| device.dev_eui == dev_eui);
                let device = device.ok_or(RejectReason::UnknownDevice)?;
                let Some(Activation::Otaa { join_eui: expected, app_key, used_nonces, .. }) =
                    self.devices.get(device).map(|device| &device.activation)
                else {
                    return Err(RejectReason::NotOtaa);
                };
                if *expected != join_eui {
                    return Err(RejectReason::WrongJoinEui);
                }
                if !frames::join_mic_is_right(&parsed, app_key) {
                    return Err(RejectReason::WrongMic);
                }
                if used_nonces.contains(&request.dev_nonce) {
                    return Err(RejectReason::DevNonceUsed);
                }
                Ok(Examined::Join { device, join_eui, dev_nonce: request.dev_nonce })
            }
            Payload::MACPayload(payload)
                if matches!(parsed.mhdr.f_type, FType::UnconfirmedDataUp | FType::ConfirmedDataUp) =>
            {
                self.examine_data(&parsed, payload)
            }
            _ => Err(RejectReason::NotAnUplink),
        }
    }

    fn examine_data(
        &self,
        parsed: &lrwn::PhyPayload,
        payload: &lrwn::MACPayload,
    ) -> Result<Examined, RejectReason> {
        let dev_addr = u32::from_be_bytes(payload.fhdr.devaddr.to_be_bytes());
        let low = payload.fhdr.f_cnt as u16;
        let mut outcome = RejectReason::UnknownAddress;
        for (index, device) in self.devices.iter().enumerate() {
            let sessions = [(&device.session, false), (&device.joining, true)];
            for (session, of_new_session) in sessions.iter().filter_map(|(s, new)| Some((s.as_ref()?, *new)))
            {
                if session.dev_addr != dev_addr {
                    continue;
                }
                let fcnt = session.full_fcnt(low);
                if frames::uplink_mic_is_right(parsed, &session.keys.nwk_s_key, fcnt) {
                    let uplink = read_uplink(device.dev_eui, session, parsed, payload, fcnt)?;
                    let repeat = session.fcnt_up == Some(fcnt);
                    return Ok(Examined::Data { device: index, of_new_session, repeat, uplink });
                }
                let is_old = fcnt
                    .checked_sub(0x1_0000)
                    .is_some_and(|old| frames::uplink_mic_is_right(parsed, &session.keys.nwk_s_key, old));
                outcome = if is_old { RejectReason::Replayed } else { RejectReason::WrongMic };
            }
        }
        Err(outcome)
    }

    fn admit(
        &mut self,
        now_us: u64,
        meta: UplinkMeta,
        index: usize,
        join_eui: [u8; 8],
        dev_nonce: u16,
    ) -> Heard {
        let dev_addr = frames::dev_addr(self.config.net_id, self.next_address);
        let dr = meta.data_rate();
        let template = self.new_session(dev_addr, Keys { nwk_s_key: [0; 16], app_s_key: [0; 16] });
        let Some(device) = self.devices.get_mut(index) else {
            return Heard::Rejected { reason: RejectReason::UnknownDevice };
        };
        let Activation::Otaa { app_key, used_nonces, next_join_nonce, .. } = &mut device.activation else {
            return Heard::Rejected { reason: RejectReason::NotOtaa };
        };
        let join_nonce = *next_join_nonce;
        let built = frames::join_accept(&self.config, app_key, join_nonce, dev_addr, join_eui, dev_nonce)
            .and_then(|phy| {
                Ok((phy, frames::session_keys(&self.config, app_key, join_nonce, join_eui, dev_nonce)?))
            });
        let Ok((phy, keys)) = built else {
            return Heard::Rejected { reason: RejectReason::Malformed };
        };
        used_nonces.insert(dev_nonce);
        *next_join_nonce = next_join_nonce.wrapping_add(1) & 0xFF_FFFF;
        self.next_address = self.next_address.wrapping_add(1);
        device.joining = Some(Session { keys, ..template });
        // The windows of a join have the region's parameters, whatever the session will have (MAC-JOIN-03).
        let rx2 = (now_us + JOIN_ACCEPT_DELAY2_US, eu868::RX2.0, eu868::RX2.1);
        let rx1 = dr.map(|dr| (now_us + JOIN_ACCEPT_DELAY1_US, meta.freq_hz, dr));
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, Answer::JoinAccept { phy, dev_addr }));
        Heard::JoinRequest { dev_eui: device.dev_eui, join_eui, dev_nonce, dev_addr: Some(dev_addr) }
    }

    fn accept(
        &mut self,
        now_us: u64,
        meta: UplinkMeta,
        index: usize,
        of_new_session: bool,
        repeat: bool,
        uplink: &Uplink,
    ) {
        let Some(device) = self.devices.get_mut(index) else { return };
        if of_new_session {
            device.session = device.joining.take();
            device.outstanding.clear();
            // What the old session did not acknowledge goes out anew in the new one.
            if let Some(lost) = device.in_flight.take() {
                device.queue.push_front(lost.downlink);
            }
        }
        if uplink.ack && !repeat {
            device.in_flight = None;
        }
        if !repeat {
            device.note_mac_answers(&uplink.mac);
        }
        let Some(session) = &mut device.session else { return };
        session.fcnt_up = Some(uplink.fcnt);
        let mac = mac_answers(&uplink.mac, meta, now_us, self.config.gps_time_at_start_s);
        let rx1_at_us = now_us + u64::from(session.rx1_delay_s) * 1_000_000;
        let rx1 = meta
            .data_rate()
            .map(|dr| (rx1_at_us, meta.freq_hz, eu868::rx1_data_rate(dr, session.rx1_dr_offset)));
        let rx2 = (rx1_at_us + RX1_TO_RX2_US, session.rx2_freq_hz, session.rx2_dr);
        let content = Answer::Data { ack: uplink.confirmed, must_answer: uplink.adr_ack_req, mac };
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, content));
    }

    /// Tells when the next transmission may be due; `None` while there is nothing to send.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        if !self.gateway_on {
            return None;
        }
        let windows =
            self.devices.iter().filter_map(|device| device.pending.as_ref()).map(|pending| pending.at_us);
        let class_c = (0..self.devices.len()).filter_map(|index| self.class_c_due_us(index));
        let broadcast = self.broadcast.front().map(|front| front.at_us.max(self.gateway_free_us));
        windows.chain(class_c).chain(broadcast).min()
    }

    /// Tells when the next Class C frame for a device may begin.
    fn class_c_due_us(&self, index: usize) -> Option<u64> {
        let device = self.devices.get(index)?;
        let session = device.session.as_ref()?;
        // Before its first uplink a device of OTAA may not know that it is in (LoRaWAN 1.0.3 §17.3), and
        // while a window is coming the frame goes there.
        let is_reachable = session.fcnt_up.is_some() || matches!(device.activation, Activation::Abp);
        if !is_reachable || device.pending.is_some() || device.rxc_is_uncertain() {
            return None;
        }
        let (next, earliest_us) = match (&device.in_flight, device.queue.front()) {
            (Some(in_flight), _) => (&in_flight.downlink, in_flight.retry_at_us),
            (None, Some(front)) => (front, 0),
            (None, None) => return None,
        };
        if next.payload.len() > max_payload(session.rx2_dr) {
            // Too long for RXC: it waits for a window that carries it.
            return None;
        }
        let at_us = earliest_us.max(device.class_c_from_us).max(self.gateway_free_us);
        // A window of any device comes first: the longest frame must not run into it.
        let longest_us = airtime_us(12, 125_000, 64);
        let in_the_way =
            self.devices.iter().filter_map(|other| other.pending.as_ref()).map(|other| other.at_us);
        Some(
            in_the_way
                .filter(|window_us| *window_us < at_us + longest_us)
                .fold(at_us, |at_us, window_us| at_us.max(window_us + 1)),
        )
    }

    /// Takes the transmissions that are due at `now_us` or before, in the order of their instants.
    pub fn take_due(&mut self, now_us: u64) -> Vec<Transmission> {
        let mut due = Vec::new();
        while let Some(at_us) = self.next_due_us().filter(|at_us| *at_us <= now_us) {
            let Some(transmission) = self.take_one(at_us) else { continue };
            self.gateway_free_us =
                transmission.at_us + airtime_us(transmission.sf, transmission.bw_hz, transmission.phy.len());
            keep(&mut self.sent, transmission.clone(), self.config.record_frames);
            due.push(transmission);
        }
        due
    }

    /// Takes one step at the instant `at_us` of [`next_due_us`](Self::next_due_us): each call consumes a
    /// window, a queued frame or a try, so that the calls come to an end.
    fn take_one(&mut self, at_us: u64) -> Option<Transmission> {
        let is_due = |device: &Device| device.pending.as_ref().is_some_and(|pending| pending.at_us <= at_us);
        if let Some(index) = self.devices.iter().position(is_due) {
            return self.answer(index);
        }
        if self.broadcast.front().is_some_and(|front| front.at_us <= at_us) && self.gateway_free_us <= at_us {
            return self.broadcast.pop_front().map(|frame| Transmission { at_us, ..frame });
        }
        let index = (0..self.devices.len()).find(|index| self.class_c_due_us(*index) == Some(at_us))?;
        self.class_c(index, at_us)
    }

    /// Answers in a receive window, if there is something to say.
    fn answer(&mut self, index: usize) -> Option<Transmission> {
        let gateway_free_us = self.gateway_free_us;
        let device = self.devices.get_mut(index)?;
        let pending = device.pending.take()?;
        if gateway_free_us > pending.at_us {
            // The gateway is still sending: RX2 is the second chance, and there is no third.
            let (at_us, freq_hz, dr) = pending.rx2?;
            device.pending =
                Some(PendingWindow { at_us, window: Window::Rx2, freq_hz, dr, rx2: None, ..pending });
            return None;
        }
        let PendingWindow { at_us, window, freq_hz, dr, content, .. } = pending;
        let power_dbm = if window == Window::Rx1 { eu868::RX1_POWER_DBM } else { eu868::RX2_POWER_DBM };
        let (phy, kind) = match content {
            Answer::JoinAccept { phy, dev_addr } => {
                (phy, Kind::JoinAccept { dev_eui: device.dev_eui, dev_addr })
            }
            Answer::Data { ack, must_answer, mac } => {
                self.data_answer(index, at_us, window, dr, ack, must_answer, mac)?
            }
        };
        let sent = transmission(at_us, freq_hz, dr, power_dbm, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    #[allow(clippy::too_many_arguments)]
    fn data_answer(
        &mut self,
        index: usize,
        at_us: u64,
        window: Window,
        dr: u8,
        ack: bool,
        must_answer: bool,
        mac: Vec<Vec<u8>>,
    ) -> Option<(Vec<u8>, Kind)> {
        let device = self.devices.get_mut(index)?;
        let mut f_opts: Vec<u8> = Vec::new();
        for answer in mac {
            if f_opts.len() + answer.len() <= MAX_F_OPTS {
                f_opts.extend(answer);
            }
        }
        while let Some((request, bytes)) = device.requests.pop_front() {
            if f_opts.len() + bytes.len() > MAX_F_OPTS {
                device.requests.push_front((request, bytes));
                break;
            }
            f_opts.extend(bytes);
            if !matches!(request, MacRequest::Raw(_)) {
                device.outstanding.push(request);
            }
        }
        let needs_answer = ack || must_answer || !f_opts.is_empty();
        let max = max_payload(dr).saturating_sub(f_opts.len());
        self.data_frame(index, at_us, window, ack, f_opts, max, needs_answer)
    }

    /// Sends the next frame of the application to RXC.
    fn class_c(&mut self, index: usize, at_us: u64) -> Option<Transmission> {
        let session = self.devices.get(index)?.session.as_ref()?;
        let (freq_hz, dr) = (session.rx2_freq_hz, session.rx2_dr);
        let max = max_payload(dr);
        let (phy, kind) = self.data_frame(index, at_us, Window::Rxc, false, Vec::new(), max, false)?;
        let sent = transmission(at_us, freq_hz, dr, eu868::RX2_POWER_DBM, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    /// Builds the next data frame: the confirmed one that waits for its ACK, or the next of the queue, or,
    /// when an answer is needed, one without data.
    #[allow(clippy::too_many_arguments)]
    fn data_frame(
        &mut self,
        index: usize,
        at_us: u64,
        window: Window,
        ack: bool,
        f_opts: Vec<u8>,
        max: usize,
        needs_answer: bool,
    ) -> Option<(Vec<u8>, Kind)> {
        let (tries, ack_timeout_us) =
            (self.config.confirmed_tries, u64::from(self.config.ack_timeout_ms) * 1_000);
        let device = self.devices.get_mut(index)?;
        if device.in_flight.as_ref().is_some_and(|in_flight| in_flight.tries >= tries) {
            device.in_flight = None;
            device.unacknowledged += 1;
            if window == Window::Rxc {
                return None;
            }
        }
        let again = device.in_flight.take_if(|in_flight| in_flight.downlink.payload.len() <= max);
        let waits = device.in_flight.is_some();
        let session = device.session.as_mut()?;
        // The same bytes once more, unless the device has heard of a later counter, or must hear of an ACK.
        if let Some(again) = &again
            && !needs_answer
            && again.fcnt.wrapping_add(1) == session.fcnt_down
        {
            let kind = unicast(device.dev_eui, window, Some(&again.downlink), again.fcnt, false, true);
            let phy = again.phy.clone();
            device.in_flight = again_in_flight(again, phy.clone(), again.fcnt, at_us + ack_timeout_us);
            return Some((phy, kind));
        }
        let repeat = again.is_some();
        let before = again.as_ref().map_or(0, |again| again.tries);
        let fits = !waits && device.queue.front().is_some_and(|front| front.payload.len() <= max);
        let downlink = match again {
            Some(again) => Some(again.downlink),
            None if fits => device.queue.pop_front(),
            None => None,
        };
        if downlink.is_none() && !needs_answer {
            return None;
        }
        let frame = DataDown {
            dev_addr: session.dev_addr,
            fcnt: session.fcnt_down,
            confirmed: downlink.as_ref().is_some_and(|downlink| downlink.confirmed),
            ack,
            f_pending: !device.queue.is_empty() || !device.requests.is_empty(),
            f_opts,
            data: downlink.as_ref().map(|downlink| (downlink.port, downlink.payload.clone())),
        };
        let phy = frame.encode(&session.keys).ok()?;
        session.fcnt_down = session.fcnt_down.wrapping_add(1);
        let kind = unicast(device.dev_eui, window, downlink.as_ref(), frame.fcnt, ack, repeat);
        if let Some(downlink) = downlink.filter(|downlink| downlink.confirmed) {
            device.in_flight = Some(InFlight {
                downlink,
                fcnt: frame.fcnt,
                phy: phy.clone(),
                tries: before + 1,
                retry_at_us: at_us + ack_timeout_us,
            });
        }
        Some((phy, kind))
    }

    /// Keeps the next Class C frame away until the device has had this one.
    fn pause_after(&mut self, index: usize, sent: &Transmission) {
        let end_us = sent.at_us + airtime_us(sent.sf, sent.bw_hz, sent.phy.len());
        if let Some(device) = self.devices.get_mut(index) {
            device.class_c_from_us = device.class_c_from_us.max(end_us + PAUSE_US);
        }
    }
}

fn again_in_flight(again: &InFlight, phy: Vec<u8>, fcnt: u32, retry_at_us: u64) -> Option<InFlight> {
    Some(InFlight { downlink: again.downlink.clone(), fcnt, phy, tries: again.tries + 1, retry_at_us })
}

fn max_payload(dr: u8) -> usize {
    eu868::MAX_PAYLOAD.get(usize::from(dr)).copied().unwrap_or_default()
}

fn check_data(port: u8, payload: &[u8]) -> Result<(), Error> {
    let max = eu868::MAX_PAYLOAD.iter().copied().max().unwrap_or_default();
    match (port, payload.len()) {
        (0 | 225.., _) => Err(Error::Port(port)),
        (_, len) if len > max => Err(Error::PayloadTooLong { max }),
        _ => Ok(()),
    }
}

fn read_uplink(
    dev_eui: [u8; 8],
    session: &Session,
    parsed: &lrwn::PhyPayload,
    payload: &lrwn::MACPayload,
    fcnt: u32,
) -> Result<Uplink, RejectReason> {
    let f_opts = payload.fhdr.f_opts.to_vec().unwrap_or_default();
    if matches!(payload.f_port, Some(225..)) || (payload.f_port == Some(0) && !f_opts.is_empty()) {
        return Err(RejectReason::BadPort);
    }
    let bytes = frames::uplink_payload(payload, &session.keys, fcnt);
    let is_mac = payload.f_port == Some(0);
    Ok(Uplink {
        dev_eui,
        dev_addr: session.dev_addr,
        port: payload.f_port,
        mac: frames::mac_commands(if is_mac { &bytes } else { &f_opts }),
        payload: if is_mac { Vec::new() } else { bytes },
        fcnt,
        confirmed: parsed.mhdr.f_type == FType::ConfirmedDataUp,
        ack: payload.fhdr.f_ctrl.ack,
        adr: payload.fhdr.f_ctrl.adr,
        adr_ack_req: payload.fhdr.f_ctrl.adr_ack_req,
    })
}

/// Codes the answers to LinkCheckReq and DeviceTimeReq.
fn mac_answers(commands: &[MacUp], meta: UplinkMeta, end_us: u64, gps_time_at_start_s: u32) -> Vec<Vec<u8>> {
    let coded = commands.iter().filter_map(|command| match command {
        MacUp::LinkCheckReq => Some(frames::link_check_ans(link_margin_db(meta))),
        MacUp::DeviceTimeReq => {
            Some(frames::device_time_ans(u64::from(gps_time_at_start_s) * 1_000_000 + end_us))
        }
        _ => None,
    });
    coded.filter_map(Result::ok).collect()
}

/// Tells how far an uplink was above the demodulation floor, in dB.
///
/// Source: SX1261/2 data sheet, table of SNR limits: -7.5 dB at SF7, 2.5 dB less a step.
fn link_margin_db(meta: UplinkMeta) -> u8 {
    let floor_tenths = -75 - 25 * (i32::from(meta.sf) - 7);
    let margin = (i32::from(meta.snr_db) * 10 - floor_tenths) / 10;
    // 255 is reserved.
    u8::try_from(margin.clamp(0, 254)).unwrap_or_default()
}

fn window(
    answer_in: Window,
    rx1: Option<(u64, u32, u8)>,
    rx2: (u64, u32, u8),
    content: Answer,
) -> PendingWindow {
    match rx1 {
        Some((at_us, freq_hz, dr)) if answer_in == Window::Rx1 => {
            PendingWindow { at_us, window: Window::Rx1, freq_hz, dr, rx2: Some(rx2), content }
        }
        _ => {
            PendingWindow { at_us: rx2.0, window: Window::Rx2, freq_hz: rx2.1, dr: rx2.2, rx2: None, content }
        }
    }
}

fn transmission(at_us: u64, freq_hz: u32, dr: u8, power_dbm: i8, phy: Vec<u8>, kind: Kind) -> Transmission {
    let (sf, bw_hz) = eu868::DATA_RATES.get(usize::from(dr)).copied().unwrap_or((12, 125_000));
    Transmission { at_us, freq_hz, sf, bw_hz, power_dbm, phy, kind }
}

fn unicast(
    dev_eui: [u8; 8],
    window: Window,
    downlink: Option<&Downlink>,
    fcnt: u32,
    ack: bool,
    repeat: bool,
) -> Kind {
    Kind::Unicast {
        dev_eui,
        window,
        port: downlink.map(|downlink| downlink.port),
        payload: downlink.map(|downlink| downlink.payload.clone()).unwrap_or_default(),
        fcnt,
        confirmed: downlink.is_some_and(|downlink| downlink.confirmed),
        ack,
        repeat,
    }
}

fn keep<T>(kept: &mut VecDeque<T>, item: T, most: usize) {
    kept.push_back(item);
    while kept.len() > most {
        kept.pop_front();
    }
}
