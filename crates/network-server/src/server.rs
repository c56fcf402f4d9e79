//! The server: sessions, counters, windows, queues.

use std::collections::{HashSet, VecDeque};

use crate::config::{Config, Downlink, Dropped, Kind, Transmission, UplinkMeta, Window};
use crate::device::{Activation, Batch, Device, Session, highest};
use crate::faults::Mishaps;
use crate::frames::Keys;
use crate::gateways::{Gateway, Recent};
use crate::heard::{MacRequest, MacUp};
use crate::multicast::MulticastGroup;
use crate::plan::{Plan, bits};

/// The most that FOpts holds (LoRaWAN 1.0.3 §4.3.1.6).
pub(crate) const MAX_F_OPTS: usize = 15;

/// What the slowest data rate of any plan carries beside our own answers (51 bytes less FOpts).
const MAX_PORT_0: usize = 51 - MAX_F_OPTS;

/// Wrong use of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A setting is out of its range; names it.
    Config(&'static str),
    /// No device has this DevEUI.
    UnknownDevice,
    /// A device with this DevEUI is there already.
    DeviceExists,
    /// No group has this address.
    UnknownGroup(u32),
    /// A group or a device with this address is there already.
    GroupExists(u32),
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
            Self::UnknownGroup(dev_addr) => {
                write!(f, "the network knows no multicast group with the address {dev_addr:08X}")
            }
            Self::GroupExists(dev_addr) => write!(f, "the address {dev_addr:08X} is taken already"),
            Self::Port(port) => write!(f, "port {port} is not an application port (1 to 224)"),
            Self::PayloadTooLong { max } => write!(f, "the payload is longer than {max} bytes"),
            Self::Request(why) => write!(f, "the MAC command cannot be sent: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// A LoRaWAN network server with its gateways.
pub struct NetworkServer {
    pub(crate) config: Config,
    pub(crate) devices: Vec<Device>,
    pub(crate) plan: Plan,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) recent: VecDeque<Recent>,
    pub(crate) faults: Mishaps,
    /// Frames that are made to be late, the next first.
    pub(crate) late: VecDeque<Transmission>,
    pub(crate) groups: Vec<MulticastGroup>,
    /// The last instant that was acted on.
    pub(crate) passed_us: u64,
    /// Frames that are due apart from any device's windows: multicast and injected ones, in order.
    pub(crate) broadcast: VecDeque<Transmission>,
    pub(crate) next_address: u32,
    first_join_nonce: u32,
    pub(crate) sent: VecDeque<Transmission>,
    pub(crate) received: VecDeque<Vec<u8>>,
    pub(crate) dropped: Vec<Dropped>,
}

impl std::fmt::Debug for NetworkServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkServer")
            .field("devices", &self.devices.len())
            .field("region", &self.config.region)
            .field("gateways", &self.gateways.len())
            .finish_non_exhaustive()
    }
}

impl NetworkServer {
    /// Makes a network without devices. The seed chooses addresses and join nonces.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the setting that is out of its range.
    pub fn new(config: Config, seed: u64) -> Result<Self, Error> {
        let band = config.region.band_hz();
        let plan = Plan::new(config.region, &config.extra_channels_hz, &config.enabled_channels);
        let is_good_extra = |hz: &u32| band.contains(hz) && hz.is_multiple_of(100) && !plan.is_fixed();
        let is_channel = |index: &u8| usize::from(*index) < plan.channels().len();
        let checks = [
            ("rx1_delay_s", (1..=15).contains(&config.rx1_delay_s)),
            ("rx1_dr_offset", config.rx1_dr_offset <= plan.max_rx1_dr_offset()),
            ("rx2_dr", plan.downlink_rate(config.rx2_dr).is_some()),
            ("rx2_freq_hz", band.contains(&config.rx2_freq_hz) && config.rx2_freq_hz.is_multiple_of(100)),
            ("extra_channels_hz", config.extra_channels_hz.len() <= 5),
            ("extra_channels_hz", config.extra_channels_hz.iter().all(is_good_extra)),
            ("enabled_channels", config.enabled_channels.iter().all(is_channel)),
            ("adr", config.adr.is_none_or(|adr| matches!((adr.history, adr.nb_trans), (1..=20, 1..=15)))),
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
            plan,
            devices: Vec::new(),
            gateways: vec![Gateway::new()],
            recent: VecDeque::new(),
            faults: Mishaps::new(mixed),
            late: VecDeque::new(),
            groups: Vec::new(),
            passed_us: 0,
            broadcast: VecDeque::new(),
            next_address: (mixed >> 40) as u32,
            // Below 2^20, so that the 24 bits of a JoinNonce last for 15 million joins.
            first_join_nonce: (mixed >> 20) as u32 & 0xF_FFFF,
            sent: VecDeque::new(),
            received: VecDeque::new(),
            dropped: Vec::new(),
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
            channels: self.plan.default_channels(),
            defined_channels: self.plan.default_channels(),
            ..self.new_session(dev_addr, keys)
        };
        self.add(Device::new(dev_eui, Activation::Abp, Some(session)))
    }

    fn add(&mut self, mut device: Device) -> Result<(), Error> {
        if self.devices.iter().any(|known| known.dev_eui == device.dev_eui) {
            return Err(Error::DeviceExists);
        }
        device.highest = highest(&self.plan);
        self.devices.push(device);
        Ok(())
    }

    pub(crate) fn new_session(&self, dev_addr: u32, keys: Keys) -> Session {
        let (own, all) = (self.plan.default_channels(), bits(0..self.plan.channels().len()));
        // A device is taken to obey the CFList; an uplink elsewhere shows that it did not.
        let (channels, defined_channels) = match self.config.send_cf_list {
            true if self.plan.cf_list().is_none() => (own, own),
            true if self.plan.is_fixed() => (self.plan.enabled_channels(), own),
            true => (all, all),
            false => (own, own),
        };
        Session {
            dev_addr,
            keys,
            fcnt_up: None,
            fcnt_down: 0,
            rx1_delay_s: self.config.rx1_delay_s,
            rx1_dr_offset: self.config.rx1_dr_offset,
            rx2_dr: self.config.rx2_dr,
            rx2_freq_hz: self.config.rx2_freq_hz,
            channels,
            defined_channels,
            data_rate: 0,
            tx_power: 0,
            nb_trans: 1,
            downlink_dwell: false,
            rx1_freq_hz: Vec::new(),
        }
    }

    /// Tells the channel plan with the network's channels.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tells the data rate of an uplink, if the plan has one with its spreading factor and bandwidth.
    #[must_use]
    pub fn data_rate(&self, meta: &UplinkMeta) -> Option<u8> {
        self.plan.uplink_data_rate(meta.sf, meta.bw_hz)
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

    /// Takes the downlinks that were given up since the last call, because they were too long when their turn came.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    fn device(&self, dev_eui: [u8; 8]) -> Option<&Device> {
        self.devices.iter().find(|device| device.dev_eui == dev_eui)
    }

    fn device_mut(&mut self, dev_eui: [u8; 8]) -> Result<&mut Device, Error> {
        self.devices.iter_mut().find(|device| device.dev_eui == dev_eui).ok_or(Error::UnknownDevice)
    }

    /// Queues application data. It goes into the device's next Class A window if one is coming, else at once
    /// to its RXC. If it is too long there it is given up (see [`take_dropped`](Self::take_dropped)).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDevice`], [`Error::Port`], [`Error::PayloadTooLong`].
    pub fn enqueue(&mut self, now_us: u64, dev_eui: [u8; 8], downlink: Downlink) -> Result<(), Error> {
        self.check_data(downlink.port, &downlink.payload)?;
        let device = self.device_mut(dev_eui)?;
        device.class_c_from_us = device.class_c_from_us.max(now_us);
        device.queue.push_back(downlink);
        Ok(())
    }

    /// Queues a MAC command for the device's next Class A window.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDevice`]; [`Error::Request`] when a field is out of its range, or a raw command longer
    /// than FOpts.
    pub fn request(&mut self, dev_eui: [u8; 8], request: MacRequest) -> Result<(), Error> {
        if matches!(&request, MacRequest::Raw(bytes) if bytes.len() > MAX_F_OPTS) {
            return Err(Error::Request("longer than FOpts".into()));
        }
        self.request_block(dev_eui, vec![request])
    }

    /// Queues MAC commands that go out together in one of the device's next Class A windows: in FOpts, or on
    /// port 0 if they are longer than 15 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDevice`]; [`Error::Request`] when a field is out of its range, or all are too long for
    /// one frame.
    pub fn request_block(&mut self, dev_eui: [u8; 8], requests: Vec<MacRequest>) -> Result<(), Error> {
        let batch = Batch::new(requests, false).map_err(|error| Error::Request(error.to_string()))?;
        if batch.bytes.len() > MAX_PORT_0 {
            return Err(Error::Request(format!("longer than {MAX_PORT_0} bytes")));
        }
        self.device_mut(dev_eui)?.requests.push_back(batch);
        Ok(())
    }

    /// Sends bytes as they are, at once, with the network's RX2 parameters: a tool for tests (see
    /// [`crate::forge`]).
    pub fn inject(&mut self, now_us: u64, phy: Vec<u8>) {
        if let Some(gateway) = self.first_gateway() {
            let (freq_hz, dr) = (self.config.rx2_freq_hz, self.config.rx2_dr);
            let frame = self.transmission(gateway, now_us, freq_hz, dr, phy, Kind::Injected);
            self.broadcast.push_back(frame);
        }
    }

    pub(crate) fn check_data(&self, port: u8, payload: &[u8]) -> Result<(), Error> {
        let max = self.plan.longest_payload();
        match (port, payload.len()) {
            (0 | 225.., _) => Err(Error::Port(port)),
            (_, len) if len > max => Err(Error::PayloadTooLong { max }),
            _ => Ok(()),
        }
    }
}

pub(crate) fn keep<T>(kept: &mut VecDeque<T>, item: T, most: usize) {
    kept.push_back(item);
    while kept.len() > most {
        kept.pop_front();
    }
}
