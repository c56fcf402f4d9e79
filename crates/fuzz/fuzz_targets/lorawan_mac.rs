//! A device among frames of any kind, those with a right MIC among them, stored bytes of any kind, radio errors and
//! power cuts: no panic, no endless loop, no frame too long, and no frame counter with two contents.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use lorawan::default_crypto::DefaultFactory;
use lorawan::keys::{AES128, CryptoFactory, Encrypter, Mac as _};
use sockeye_lorawan_mac::{
    Action, Activation, Config, Key, Mac, MulticastGroup, Quality, Record, Region, Rejoin, Restored, Window,
};

const DEV_ADDR: u32 = 0x2601_1bda;
const GROUP_ADDR: u32 = 0x1111_1111;
const NWK_SKEY: [u8; 16] = [0x11; 16];
const APP_SKEY: [u8; 16] = [0x22; 16];

fn block(dev_addr: u32, first: u8, fcnt: u32, last: u8) -> [u8; 16] {
    let mut block = [first, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    block[6..10].copy_from_slice(&dev_addr.to_le_bytes());
    block[10..14].copy_from_slice(&fcnt.to_le_bytes());
    block
}

/// A downlink with a right MIC.
fn downlink(dev_addr: u32, fcnt: u32, flags: u8, fopts: &[u8], port: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut phy = vec![if flags & 1 == 0 { 0x60 } else { 0xa0 }];
    phy.extend_from_slice(&dev_addr.to_le_bytes());
    phy.push((flags & 0xf0) | fopts.len() as u8);
    phy.extend_from_slice(&(fcnt as u16).to_le_bytes());
    phy.extend_from_slice(fopts);
    if let Some(port) = port {
        phy.push(port);
        let key = AES128(if port == 0 { NWK_SKEY } else { APP_SKEY });
        for (chunk, index) in payload.chunks(16).zip(1u8..) {
            let mut stream = block(dev_addr, 1, fcnt, index).into();
            DefaultFactory.new_enc(&key).encrypt_block(&mut stream);
            phy.extend(chunk.iter().zip(stream).map(|(byte, key_byte)| byte ^ key_byte));
        }
    }
    let mut mac = DefaultFactory.new_mac(&AES128(NWK_SKEY));
    mac.input(&block(dev_addr, 0x49, fcnt, phy.len() as u8));
    mac.input(&phy);
    let whole: [u8; 16] = mac.result().into();
    phy.extend_from_slice(&whole[..4]);
    phy
}

fn config(choice: u8, plan: u8) -> Config {
    let region = Region::ALL[usize::from(plan) % Region::ALL.len()];
    // A group with the keys of the device, so that the frames below are right for it too.
    let group = MulticastGroup {
        dev_addr: GROUP_ADDR,
        nwk_skey: Key(NWK_SKEY),
        app_skey: Key(APP_SKEY),
        min_fcnt: 0,
        max_fcnt: u32::from(plan) << 8 | 0xff,
    };
    let activation = if choice & 1 == 0 {
        Activation::Abp { dev_addr: DEV_ADDR, nwk_skey: Key(NWK_SKEY), app_skey: Key(APP_SKEY) }
    } else {
        Activation::Otaa { dev_eui: [1; 8], join_eui: [2; 8], app_key: Key([3; 16]) }
    };
    Config {
        class_c: choice & 2 == 0,
        adr: choice & 4 == 0,
        data_rate: choice >> 4,
        confirmed_tries: choice >> 5,
        rejoin: (choice & 8 != 0).then_some(Rejoin { interval_s: 60, packets: 2 }),
        multicast: [None, Some(group), None, None],
        channel_mask: (plan & 0x80 != 0).then(|| [0xff << (plan >> 4); 3]),
        ..Config::new(region, activation)
    }
}

struct Device {
    mac: Mac,
    now_ms: u64,
    session: Option<Vec<u8>>,
    counters: Option<Vec<u8>>,
    multicast: Option<Vec<u8>>,
    window: Window,
    on_air: bool,
    /// What was sent under each counter.
    sent: BTreeMap<[u8; 2], Vec<u8>>,
}

impl Device {
    /// Does what the MAC asks for, until it waits.
    fn run(&mut self) {
        for _ in 0..300 {
            if self.on_air {
                return;
            }
            match self.mac.poll(self.now_ms) {
                Action::Store(record) => {
                    let bytes = Some(self.mac.record(record).to_vec());
                    match record {
                        Record::Session => self.session = bytes,
                        Record::Counters => self.counters = bytes,
                        Record::Multicast => self.multicast = bytes,
                    }
                    self.mac.stored();
                }
                Action::Event(_) => {}
                Action::Transmit { airtime_ms, .. } => {
                    let frame = self.mac.frame();
                    assert!((12..=255).contains(&frame.len()) && airtime_ms > 0);
                    let counter = if frame[0] == 0 { [frame[17], frame[18]] } else { [frame[6], frame[7]] };
                    let before = self.sent.insert(counter, frame.to_vec());
                    assert!(before.is_none_or(|before| before == frame), "a counter with two contents");
                    self.on_air = true;
                }
                Action::Listen { window, .. } => {
                    self.window = window;
                    return;
                }
                Action::Idle { .. } => return,
            }
        }
        panic!("the MAC never waits");
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.on_air {
            self.on_air = false;
            self.mac.tx_done(self.now_ms);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[choice, plan], mut rest)) = bytes.split_first_chunk() else { return };
    let mut device = Device {
        mac: Mac::new(config(choice, plan), Restored::default(), 1),
        now_ms: 0,
        session: None,
        counters: None,
        multicast: None,
        window: Window::Rxc,
        on_air: false,
        sent: BTreeMap::new(),
    };
    device.mac.join(0);
    while let Some((&[op, a, b], after)) = rest.split_first_chunk::<3>() {
        let (data, after) = after.split_at(after.len().min(usize::from(b)));
        rest = after;
        let quality = Quality { rssi_dbm: -100, snr_db: a as i8 };
        match op % 11 {
            0 => {
                let _ = device.mac.send(device.now_ms, a, data, b & 1 == 1);
            }
            1 => device.wait(u64::from(a) * 50),
            2 => device.wait(u64::from(a) * u64::from(b)),
            3 => device.mac.window_closed(device.now_ms, device.window),
            4 => device.mac.received(device.now_ms, device.window, data, quality),
            5 => {
                let fopts = &data[..data.len().min(15)];
                let phy = downlink(DEV_ADDR, u32::from(a), op & 0xf0, fopts, None, &[]);
                device.mac.received(device.now_ms, device.window, &phy, quality);
            }
            6 => {
                let port = op & 0x70;
                let data = &data[..data.len().min(230)];
                let to = if b & 1 == 0 { DEV_ADDR } else { GROUP_ADDR };
                let phy = downlink(to, u32::from(a), op >> 3, &[], Some(port), data);
                device.mac.received(device.now_ms, device.window, &phy, quality);
            }
            7 => {
                device.on_air = false;
                device.mac.tx_failed(device.now_ms);
            }
            8 => {
                device.mac.request_link_check();
                device.mac.request_device_time();
                device.mac.join(device.now_ms);
            }
            9 => {
                device.on_air = false;
                device.mac.channel_busy(device.now_ms);
            }
            _ if a & 1 == 0 => {
                // The power goes and comes.
                let restored = Restored {
                    session: device.session.as_deref(),
                    counters: device.counters.as_deref(),
                    multicast: device.multicast.as_deref(),
                };
                device.mac = Mac::new(config(choice, plan), restored, u64::from(a));
                (device.on_air, device.now_ms) = (false, 0);
            }
            _ => {
                // A flash that holds anything: only for itself, since it may hold old counters.
                let half = Some(&data[data.len() / 2..]);
                let restored = Restored { session: Some(data), counters: half, multicast: half };
                let _ = Mac::new(config(choice, plan), restored, 0).poll(0);
            }
        }
        device.run();
        assert!(device.mac.max_payload() <= 242);
    }
});
