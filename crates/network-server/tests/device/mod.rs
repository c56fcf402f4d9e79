//! A device for the tests, built on the `lorawan` crate, which shares no code with `lrwn`.

// Each test program takes what it needs of this.
#![allow(dead_code)]

use lorawan::creator::{DataPayloadCreator, JoinRequestCreator};
use lorawan::keys::{AES128, AppKey, AppSKey, NewSKey};
use lorawan::maccommands::SerializableMacCommand;
use lorawan::parser::{
    AsPhyPayloadBytes, DataHeader, DecryptedDataPayload, DecryptedJoinAcceptPayload, DevNonce, FCtrl,
    FRMPayload,
};
use sockeye_network_server::{Config, Heard, Keys, NetworkServer, Transmission, Uplink, UplinkMeta};

pub const DEV_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0x13, 0x6A, 0x12, 0x34, 0x56];
pub const JOIN_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0xC0, 0x00, 0x2A, 0x00, 0x01];
pub const APP_KEY: [u8; 16] = *b"\x55\x72\x40\x4C\x69\x6E\x6B\x4C\x6F\x52\x61\x32\x30\x31\x38\x23";
pub const KEYS: Keys = Keys { nwk_s_key: [2; 16], app_s_key: [1; 16] };
pub const DEV_ADDR: u32 = 0x2601_1234;

pub const META: UplinkMeta =
    UplinkMeta { freq_hz: 868_100_000, sf: 7, bw_hz: 125_000, rssi_dbm: -60, snr_db: 8 };
pub const SECOND: u64 = 1_000_000;

/// MAC commands as bytes: CID and payload each.
struct Raw<'a>(&'a [u8]);

impl SerializableMacCommand for Raw<'_> {
    fn payload_bytes(&self) -> &[u8] {
        &self.0[1..]
    }

    fn cid(&self) -> u8 {
        self.0[0]
    }

    fn payload_len(&self) -> usize {
        self.0.len() - 1
    }
}

/// What the device sends next to port and payload.
#[derive(Clone, Copy, Default)]
pub struct With<'a> {
    pub confirmed: bool,
    /// FCtrl without the length: 0x80 ADR, 0x40 ADRACKReq, 0x20 ACK.
    pub fctrl: u8,
    pub f_opts: &'a [&'a [u8]],
}

/// FCtrl, FOpts, port and payload of a downlink.
pub type Read = (u8, Vec<u8>, Option<u8>, Vec<u8>);

#[derive(Clone)]
pub struct Device {
    pub addr: u32,
    pub keys: Keys,
    pub fcnt: u32,
    pub nonce: u16,
}

impl Device {
    pub fn abp() -> Self {
        Self { addr: DEV_ADDR, keys: KEYS, fcnt: 0, nonce: 0 }
    }

    pub fn join_request(&mut self, join_eui: [u8; 8], dev_eui: [u8; 8], app_key: [u8; 16]) -> Vec<u8> {
        let reversed = |mut eui: [u8; 8]| {
            eui.reverse();
            eui
        };
        let mut creator = JoinRequestCreator::new();
        creator
            .set_app_eui(&reversed(join_eui))
            .set_dev_eui(&reversed(dev_eui))
            .set_dev_nonce(&self.nonce.to_le_bytes());
        creator.build(&AppKey::from(app_key)).to_vec()
    }

    /// Takes a join-accept; false if its MIC is wrong.
    pub fn take_join_accept(&mut self, phy: &[u8]) -> bool {
        let (app_key, nonce) = (AppKey::from(APP_KEY), self.nonce.to_le_bytes());
        let Ok(accept) = DecryptedJoinAcceptPayload::new(phy.to_vec(), &app_key) else { return false };
        if !accept.validate_mic(&app_key) {
            return false;
        }
        let nonce = DevNonce::new(&nonce[..]).expect("two bytes");
        let key = |key: &AES128| key.0;
        self.keys = Keys {
            nwk_s_key: key(accept.derive_newskey(&nonce, &app_key).inner()),
            app_s_key: key(accept.derive_appskey(&nonce, &app_key).inner()),
        };
        let addr: [u8; 4] = accept.dev_addr().as_ref().try_into().expect("four bytes");
        self.addr = u32::from_le_bytes(addr);
        self.fcnt = 0;
        true
    }

    /// Tells the CFList of a join-accept: 15 bytes and their type.
    pub fn cf_list(phy: &[u8]) -> Option<Vec<u8>> {
        let accept = DecryptedJoinAcceptPayload::new(phy.to_vec(), &AppKey::from(APP_KEY)).ok()?;
        accept.as_bytes().get(13..29).map(<[u8]>::to_vec)
    }

    /// Builds an uplink with the present counter, and counts.
    pub fn uplink(&mut self, port: Option<u8>, payload: &[u8], with: With) -> Vec<u8> {
        let commands: Vec<Raw> = with.f_opts.iter().map(|bytes| Raw(bytes)).collect();
        let commands: Vec<&dyn SerializableMacCommand> =
            commands.iter().map(|raw| raw as &dyn SerializableMacCommand).collect();
        let mut creator = DataPayloadCreator::new();
        creator
            .set_uplink(true)
            .set_confirmed(with.confirmed)
            .set_dev_addr(&self.addr.to_le_bytes())
            .set_fctrl(&FCtrl::new(with.fctrl, true))
            .set_fcnt(self.fcnt);
        if let Some(port) = port {
            creator.set_f_port(port);
        }
        let (nwk, app) = (NewSKey::from(self.keys.nwk_s_key), AppSKey::from(self.keys.app_s_key));
        let phy = creator.build(payload, &commands, &nwk, &app).expect("builds").to_vec();
        self.fcnt += 1;
        phy
    }

    /// Deciphers a downlink: FCtrl, FOpts, port and payload. `None` if it is not for this device.
    pub fn read(&self, phy: &[u8], fcnt: u32) -> Option<Read> {
        let (nwk, app) = (AES128(self.keys.nwk_s_key), AES128(self.keys.app_s_key));
        let data = DecryptedDataPayload::new(phy.to_vec(), &nwk, Some(&app), fcnt).ok()?;
        let addr = u32::from_le_bytes(data.fhdr().dev_addr().as_ref().try_into().ok()?);
        let payload = match data.frm_payload() {
            FRMPayload::Data(bytes) => bytes.to_vec(),
            FRMPayload::MACCommands(commands) => commands.data().to_vec(),
            FRMPayload::None => Vec::new(),
        };
        (addr == self.addr && !data.is_uplink())
            .then(|| (data.fhdr().fctrl().raw_value(), data.fhdr().data().to_vec(), data.f_port(), payload))
    }
}

pub fn server(config: Config) -> NetworkServer {
    let mut server = NetworkServer::new(config, 1).expect("a good config");
    server.add_otaa(DEV_EUI, JOIN_EUI, APP_KEY).expect("new");
    server
}

pub fn abp_server(config: Config) -> NetworkServer {
    let mut server = NetworkServer::new(config, 1).expect("a good config");
    server.add_abp(DEV_EUI, DEV_ADDR, KEYS).expect("new");
    server
}

/// Joins at instant 0 and sends a first uplink at 10 s; everything sent on the way is thrown away.
pub fn joined(config: Config) -> (NetworkServer, Device) {
    let (mut server, mut device) = (server(config), Device::abp());
    server.on_uplink(0, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
    let accept = server.take_due(6 * SECOND);
    assert!(device.take_join_accept(&accept[0].phy));
    data(&mut server, 10 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    server.take_due(15 * SECOND);
    (server, device)
}

/// Joins at instant 0 as [`joined`] does, with everything sent on one channel.
pub fn joined_on(config: Config, meta: UplinkMeta) -> (NetworkServer, Device, Transmission) {
    let (mut server, mut device) = (server(config), Device::abp());
    server.on_uplink(0, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), meta);
    let accept = one(&mut server, 6 * SECOND);
    assert!(device.take_join_accept(&accept.phy));
    (server, device, accept)
}

pub fn data(server: &mut NetworkServer, now_us: u64, phy: &[u8]) -> Uplink {
    match server.on_uplink(now_us, phy, META).as_slice() {
        [Heard::Data(uplink)] => uplink.clone(),
        other => panic!("{other:?}"),
    }
}

/// Takes what is due, which must be one transmission.
pub fn one(server: &mut NetworkServer, now_us: u64) -> Transmission {
    let mut due = server.take_due(now_us);
    assert_eq!(due.len(), 1, "{due:?}");
    due.remove(0)
}
