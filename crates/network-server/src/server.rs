//! The server: sessions, counters, windows, queues.

use std::collections::{HashSet, VecDeque};

use crate::config::{Config, Downlink, Kind, Transmission, Window, eu868};
use crate::device::{Activation, Device, Session};
use crate::downlink::transmission;
use crate::frames::{self, DataDown, Keys};
use crate::heard::{MacRequest, MacUp};

/// The most that FOpts holds (LoRaWAN 1.0.3 §4.3.1.6).
pub(crate) const MAX_F_OPTS: usize = 15;

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
    pub(crate) config: Config,
    pub(crate) devices: Vec<Device>,
    pub(crate) gateway_on: bool,
    /// The gateway transmits until then.
    pub(crate) gateway_free_us: u64,
    /// Frames that are due apart from any device's windows: multicast and injected ones, in order.
    pub(crate) broadcast: VecDeque<Transmission>,
    pub(crate) next_address: u32,
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

    pub(crate) fn new_session(&self, dev_addr: u32, keys: Keys) -> Session {
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
}

fn check_data(port: u8, payload: &[u8]) -> Result<(), Error> {
    let max = eu868::MAX_PAYLOAD.iter().copied().max().unwrap_or_default();
    match (port, payload.len()) {
        (0 | 225.., _) => Err(Error::Port(port)),
        (_, len) if len > max => Err(Error::PayloadTooLong { max }),
        _ => Ok(()),
    }
}

pub(crate) fn keep<T>(kept: &mut VecDeque<T>, item: T, most: usize) {
    kept.push_back(item);
    while kept.len() > most {
        kept.pop_front();
    }
}
