//! A device, a clock, a flash, and the network's side of the air.

use lrwn::keys::{get_app_s_key, get_f_nwk_s_int_key};
use lrwn::{
    AES128Key, CFList, CFListChannels, DLSettings, DevAddr, EUI64, FCtrl, FHDR, FRMPayload, FType,
    JoinAcceptPayload, JoinType, MACCommand, MACCommandSet, MACPayload, MACVersion, MHDR, Major, NetID,
    Payload, PhyPayload,
};
use sockeye_lorawan_mac::{
    Action, Activation, Config, Event, Key, Mac, Quality, Record, Region, Restored, Rf, Window,
};

pub const DEV_EUI: [u8; 8] = [0x24, 0xe1, 0x24, 1, 2, 3, 4, 5];
pub const JOIN_EUI: [u8; 8] = [0x24, 0xe1, 0x24, 0xc0, 0, 0x2a, 0, 1];
pub const APP_KEY: [u8; 16] = [0x55; 16];
pub const NWK_SKEY: [u8; 16] = [0x11; 16];
pub const APP_SKEY: [u8; 16] = [0x22; 16];
pub const DEV_ADDR: u32 = 0x2601_1bda;
pub const QUALITY: Quality = Quality { rssi_dbm: -80, snr_db: 7 };

pub fn otaa() -> Config {
    Config::new(
        Region::Eu868,
        Activation::Otaa { dev_eui: DEV_EUI, join_eui: JOIN_EUI, app_key: Key(APP_KEY) },
    )
}

pub fn abp() -> Config {
    Config::new(
        Region::Eu868,
        Activation::Abp { dev_addr: DEV_ADDR, nwk_skey: Key(NWK_SKEY), app_skey: Key(APP_SKEY) },
    )
}

/// What survives a power cut.
#[derive(Clone, Debug, Default)]
pub struct Flash {
    pub session: Option<Vec<u8>>,
    pub counters: Option<Vec<u8>>,
    pub multicast: Option<Vec<u8>>,
}

impl Flash {
    pub fn restored(&self) -> Restored<'_> {
        Restored {
            session: self.session.as_deref(),
            counters: self.counters.as_deref(),
            multicast: self.multicast.as_deref(),
        }
    }

    pub fn save(&mut self, record: Record, bytes: &[u8]) {
        match record {
            Record::Session => self.session = Some(bytes.to_vec()),
            Record::Counters => self.counters = Some(bytes.to_vec()),
            Record::Multicast => self.multicast = Some(bytes.to_vec()),
        }
    }
}

/// One frame that went out.
#[derive(Clone, Debug)]
pub struct Sent {
    pub phy: Vec<u8>,
    pub rf: Rf,
    pub power_dbm: i8,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// An uplink as the network reads it.
#[derive(Debug)]
pub struct Heard {
    pub fcnt: u32,
    pub confirmed: bool,
    pub ctrl: FCtrl,
    pub fopts: Vec<u8>,
    pub port: Option<u8>,
    pub payload: Vec<u8>,
}

/// A downlink to be built by lrwn.
#[derive(Clone, Debug)]
pub struct Down {
    pub confirmed: bool,
    pub ack: bool,
    pub fcnt: u32,
    pub fopts: Vec<MACCommand>,
    pub port: Option<u8>,
    pub payload: Vec<u8>,
    pub dev_addr: u32,
    pub nwk_skey: [u8; 16],
}

/// The keys that both sides share.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub dev_addr: u32,
    pub nwk: [u8; 16],
    pub app: [u8; 16],
}

impl Keys {
    pub fn down(&self, fcnt: u32) -> Down {
        Down {
            confirmed: false,
            ack: false,
            fcnt,
            fopts: Vec::new(),
            port: None,
            payload: Vec::new(),
            dev_addr: self.dev_addr,
            nwk_skey: self.nwk,
        }
    }

    pub fn data(&self, fcnt: u32, port: u8, payload: &[u8]) -> Down {
        Down { port: Some(port), payload: payload.to_vec(), ..self.down(fcnt) }
    }

    pub fn commands(&self, fcnt: u32, fopts: Vec<MACCommand>) -> Down {
        Down { fopts, ..self.down(fcnt) }
    }

    pub fn phy(&self, down: &Down) -> Vec<u8> {
        let f_type = if down.confirmed { FType::ConfirmedDataDown } else { FType::UnconfirmedDataDown };
        let mut phy = PhyPayload {
            mhdr: MHDR { f_type, major: Major::LoRaWANR1 },
            payload: Payload::MACPayload(MACPayload {
                fhdr: FHDR {
                    devaddr: DevAddr::from_be_bytes(down.dev_addr.to_be_bytes()),
                    f_ctrl: FCtrl { ack: down.ack, ..Default::default() },
                    f_cnt: down.fcnt,
                    f_opts: MACCommandSet::new(down.fopts.clone()),
                },
                f_port: down.port,
                frm_payload: down.port.map(|_| FRMPayload::Raw(down.payload.clone())),
            }),
            mic: None,
        };
        let key = if down.port == Some(0) { self.nwk } else { self.app };
        phy.encrypt_frm_payload(&AES128Key::from_bytes(key)).unwrap();
        phy.set_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &AES128Key::from_bytes(down.nwk_skey)).unwrap();
        phy.to_vec().unwrap()
    }

    /// Reads an uplink; `high` is the upper half of its counter.
    pub fn hear(&self, phy: &[u8], high: u16) -> Heard {
        let mut phy = PhyPayload::from_slice(phy).unwrap();
        let confirmed = phy.mhdr.f_type == FType::ConfirmedDataUp;
        assert!(confirmed || phy.mhdr.f_type == FType::UnconfirmedDataUp);
        if let Payload::MACPayload(pl) = &mut phy.payload {
            pl.fhdr.f_cnt |= u32::from(high) << 16;
        }
        let nwk = AES128Key::from_bytes(self.nwk);
        assert!(phy.validate_uplink_data_mic(MACVersion::LoRaWAN1_0, 0, 0, 0, &nwk, &nwk).unwrap(), "MIC");
        let Payload::MACPayload(pl) = &phy.payload else { panic!("no data frame") };
        assert_eq!(pl.fhdr.devaddr, DevAddr::from_be_bytes(self.dev_addr.to_be_bytes()));
        let key = if pl.f_port == Some(0) { self.nwk } else { self.app };
        let cipher = pl.frm_payload.as_ref().map(|payload| payload.to_vec().unwrap()).unwrap_or_default();
        let payload = lrwn::encrypt_frm_payload(
            &AES128Key::from_bytes(key),
            true,
            &pl.fhdr.devaddr,
            pl.fhdr.f_cnt,
            &cipher,
        );
        Heard {
            fcnt: pl.fhdr.f_cnt,
            confirmed,
            ctrl: pl.fhdr.f_ctrl.clone(),
            fopts: pl.fhdr.f_opts.to_vec().unwrap(),
            port: pl.f_port,
            payload: payload.unwrap(),
        }
    }
}

/// A join-accept to be built by lrwn.
#[derive(Clone, Debug)]
pub struct Accept {
    pub join_nonce: u32,
    pub dev_addr: u32,
    pub rx1_offset: u8,
    pub rx2_dr: u8,
    pub rx_delay: u8,
    pub channels: Option<[u32; 5]>,
    /// Any CFList, in place of `channels`.
    pub list: Option<CFList>,
    pub app_key: [u8; 16],
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            join_nonce: 77,
            dev_addr: DEV_ADDR,
            rx1_offset: 0,
            rx2_dr: 3,
            rx_delay: 1,
            channels: None,
            list: None,
            app_key: APP_KEY,
        }
    }
}

impl Accept {
    fn net_id() -> NetID {
        NetID::from_be_bytes([0, 0, 0x13])
    }

    pub fn phy(&self, dev_nonce: u16) -> Vec<u8> {
        let key = AES128Key::from_bytes(self.app_key);
        let mut phy = PhyPayload {
            mhdr: MHDR { f_type: FType::JoinAccept, major: Major::LoRaWANR1 },
            payload: Payload::JoinAccept(JoinAcceptPayload {
                join_nonce: self.join_nonce,
                home_netid: Self::net_id(),
                devaddr: DevAddr::from_be_bytes(self.dev_addr.to_be_bytes()),
                dl_settings: DLSettings {
                    opt_neg: false,
                    rx2_dr: self.rx2_dr,
                    rx1_dr_offset: self.rx1_offset,
                },
                rx_delay: self.rx_delay,
                cflist: self
                    .list
                    .clone()
                    .or_else(|| Some(CFList::Channels(CFListChannels::new(self.channels?)))),
            }),
            mic: None,
        };
        phy.set_join_accept_mic(JoinType::Join, &EUI64::from_be_bytes(JOIN_EUI), dev_nonce, &key).unwrap();
        phy.encrypt_join_accept_payload(&key).unwrap();
        phy.to_vec().unwrap()
    }

    pub fn keys(&self, dev_nonce: u16) -> Keys {
        let key = AES128Key::from_bytes(self.app_key);
        let (net_id, eui) = (Self::net_id(), EUI64::from_be_bytes(JOIN_EUI));
        let nwk = get_f_nwk_s_int_key(false, &key, &net_id, &eui, self.join_nonce, dev_nonce).unwrap();
        let app = get_app_s_key(false, &key, &net_id, &eui, self.join_nonce, dev_nonce).unwrap();
        Keys { dev_addr: self.dev_addr, nwk: nwk.to_bytes(), app: app.to_bytes() }
    }
}

/// A device on a clock that a test turns.
#[derive(Debug)]
pub struct Bench {
    pub mac: Mac,
    pub now_ms: u64,
    pub flash: Flash,
    pub events: Vec<Event>,
    pub stores: Vec<Record>,
    pub keys: Keys,
    config: Config,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        Self::restarted(config, Flash::default(), 0)
    }

    /// The device after a power cut.
    pub fn restarted(config: Config, flash: Flash, now_ms: u64) -> Self {
        let mac = Mac::new(config.clone(), flash.restored(), 1);
        let keys = Keys { dev_addr: DEV_ADDR, nwk: NWK_SKEY, app: APP_SKEY };
        Self { mac, now_ms, flash, events: Vec::new(), stores: Vec::new(), keys, config }
    }

    pub fn abp() -> Self {
        Self::new(abp())
    }

    /// Class A, so that RX2 is a window of its own.
    pub fn abp_class_a() -> Self {
        Self::new(Config { class_c: false, ..abp() })
    }

    /// A device that has joined.
    pub fn joined(config: Config, accept: &Accept) -> Self {
        let mut bench = Self::new(config);
        bench.mac.join(0);
        let sent = bench.transmit();
        let dev_nonce = nonce(&sent.phy);
        bench.until(Window::Rx1);
        bench.hear_phy(Window::Rx1, &accept.phy(dev_nonce));
        bench.settle();
        assert!(bench.mac.is_joined());
        bench.keys = accept.keys(dev_nonce);
        bench
    }

    /// Cuts the power and starts again.
    pub fn power_cycle(&mut self) {
        let keys = self.keys;
        *self = Self::restarted(self.config.clone(), self.flash.clone(), 0);
        self.keys = keys;
    }

    /// Stores and takes events until there is something for the radio.
    pub fn settle(&mut self) -> Action {
        for _ in 0..100 {
            match self.mac.poll(self.now_ms) {
                Action::Store(record) => {
                    let bytes = self.mac.record(record);
                    self.flash.save(record, &bytes);
                    self.stores.push(record);
                    self.mac.stored();
                }
                Action::Event(event) => self.events.push(event),
                action => return action,
            }
        }
        panic!("the MAC does not settle: {:?}", self.events);
    }

    /// Lets time pass without anything being heard, up to the next transmission, which is sent.
    pub fn transmit(&mut self) -> Sent {
        for _ in 0..200 {
            if let Some(sent) = self.pass() {
                return sent;
            }
        }
        panic!("nothing is sent");
    }

    /// One action of the radio, with silence on the air.
    pub fn pass(&mut self) -> Option<Sent> {
        let action = self.settle();
        self.carry_out(action)
    }

    /// Carries an action out, with silence on the air.
    pub fn carry_out(&mut self, action: Action) -> Option<Sent> {
        match action {
            Action::Transmit { rf, power_dbm, airtime_ms, .. } => {
                let phy = self.mac.frame().to_vec();
                self.now_ms += airtime_ms;
                self.mac.tx_done(self.now_ms);
                let start_ms = self.now_ms - airtime_ms;
                return Some(Sent { phy, rf, power_dbm, start_ms, end_ms: self.now_ms });
            }
            Action::Listen { window: Window::Rxc, until_ms: Some(at_ms), .. }
            | Action::Idle { until_ms: Some(at_ms) } => self.now_ms = self.now_ms.max(at_ms),
            Action::Listen { window: window @ (Window::Rx1 | Window::Rx2), .. } => {
                self.now_ms += 30;
                self.mac.window_closed(self.now_ms, window);
            }
            action => panic!("nothing more happens: {action:?}"),
        }
        None
    }

    /// Lets time pass until a window opens.
    pub fn until(&mut self, window: Window) -> Rf {
        for _ in 0..20 {
            match self.settle() {
                Action::Listen { window: open, rf, .. } if open == window => return rf,
                _ => assert!(self.pass().is_none(), "an uplink comes before {window:?}"),
            }
        }
        panic!("{window:?} does not open");
    }

    /// Sends a payload and gives the frame.
    pub fn uplink(&mut self, payload: &[u8], confirmed: bool) -> Sent {
        self.mac.send(self.now_ms, 85, payload, confirmed).unwrap();
        self.transmit()
    }

    /// Hears a frame that ends now.
    pub fn hear_phy(&mut self, window: Window, phy: &[u8]) {
        self.mac.received(self.now_ms, window, phy, QUALITY);
    }

    /// Sends an uplink and answers in RX1; gives the uplink.
    pub fn exchange(&mut self, down: &Down) -> Sent {
        let sent = self.uplink(&[1], false);
        self.until(Window::Rx1);
        self.hear_phy(Window::Rx1, &self.keys.phy(down));
        self.settle();
        sent
    }

    /// Hears a frame in RXC, outside every window.
    pub fn rxc(&mut self, down: &Down) {
        self.hear_phy(Window::Rxc, &self.keys.phy(down));
        self.settle();
    }

    /// Lets the windows of an uplink, and of its repeats, pass in silence.
    pub fn finish(&mut self) {
        for _ in 0..100 {
            let action = self.settle();
            if self.mac.can_send() {
                return;
            }
            self.carry_out(action);
        }
        panic!("the transaction does not end");
    }

    /// The payloads that were delivered, with their ports.
    pub fn delivered(&self) -> Vec<(u8, Vec<u8>)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Downlink { port, payload, .. } => Some((*port, payload.to_vec())),
                _ => None,
            })
            .collect()
    }

    /// Whether the last confirmed or unconfirmed uplink has ended, and how.
    pub fn done(&self) -> Option<Option<bool>> {
        self.events.iter().rev().find_map(|event| match event {
            Event::UplinkDone { acked, .. } => Some(*acked),
            _ => None,
        })
    }

    /// The next uplink, as the network reads it.
    pub fn heard(&mut self) -> Heard {
        let sent = self.transmit();
        self.keys.hear(&sent.phy, 0)
    }
}

/// DevNonce of a join-request.
pub fn nonce(phy: &[u8]) -> u16 {
    match PhyPayload::from_slice(phy).unwrap().payload {
        Payload::JoinRequest(request) => request.dev_nonce,
        other => panic!("no join-request: {other:?}"),
    }
}
