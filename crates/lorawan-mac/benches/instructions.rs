//! The work of one uplink and of one downlink, for a tool that counts instructions: `cargo xtask bench` runs it under
//! callgrind, once with N and once with 2 N repeats, and divides the difference by N.
//!
//! Called as `instructions uplink N` or `instructions downlink N`. The core alone is measured, without driver and radio:
//! - uplink: 24 bytes unconfirmed on EU868 at DR5, from `send` to the end of RX2, with the counter record for every 32nd;
//! - downlink: 3 bytes unconfirmed in RXC, from `received` to the event, with its counter record.

use std::hint::black_box;
use std::process::ExitCode;

use lrwn::{
    AES128Key, DevAddr, FCtrl, FHDR, FRMPayload, FType, MACCommandSet, MACPayload, MACVersion, MHDR, Major,
    Payload, PhyPayload,
};
use sockeye_lorawan_mac::{Action, Activation, Config, Event, Key, Mac, Quality, Region, Restored, Window};

const DEV_ADDR: u32 = 0x2601_1bda;
const NWK_SKEY: [u8; 16] = [0x11; 16];
const APP_SKEY: [u8; 16] = [0x22; 16];
const QUALITY: Quality = Quality { rssi_dbm: -80, snr_db: 7 };
/// A report of the socket: six records, 24 bytes.
const REPORT: [u8; 24] = [
    0x08, 0x70, 0x05, 0x81, 0x29, 0x07, 0xc9, 0x12, 0x00, 0x03, 0x74, 0xf5, 0x08, 0x06, 0x83, 0x05, 0, 0, 0,
    0x04, 0x80, 0x01, 0, 0,
];
/// Frames are made for so many repeats, however few of them are used.
const MOST: u32 = 4_096;

fn downlink(f_cnt: u32) -> Vec<u8> {
    let mut phy = PhyPayload {
        mhdr: MHDR { f_type: FType::UnconfirmedDataDown, major: Major::LoRaWANR1 },
        payload: Payload::MACPayload(MACPayload {
            fhdr: FHDR {
                devaddr: DevAddr::from_be_bytes(DEV_ADDR.to_be_bytes()),
                f_ctrl: FCtrl::default(),
                f_cnt,
                f_opts: MACCommandSet::new(vec![]),
            },
            f_port: Some(85),
            frm_payload: Some(FRMPayload::Raw(vec![0x08, 0x01, 0x00])),
        }),
        mic: None,
    };
    phy.encrypt_frm_payload(&AES128Key::from_bytes(APP_SKEY)).unwrap();
    phy.set_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &AES128Key::from_bytes(NWK_SKEY)).unwrap();
    phy.to_vec().unwrap()
}

/// Stores and takes events until there is something for the radio; counts the downlinks.
fn settle(mac: &mut Mac, now_ms: u64, delivered: &mut u32) -> Action {
    loop {
        match mac.poll(now_ms) {
            Action::Store(record) => {
                black_box(mac.record(record));
                mac.stored();
            }
            Action::Event(event) => *delivered += u32::from(matches!(event, Event::Downlink { .. })),
            action => return action,
        }
    }
}

/// Sends once and lets the windows pass; gives when they are over.
fn uplink(mac: &mut Mac, mut now_ms: u64, delivered: &mut u32) -> u64 {
    mac.send(now_ms, 85, black_box(&REPORT), false).unwrap();
    loop {
        match settle(mac, now_ms, delivered) {
            Action::Transmit { airtime_ms, .. } => {
                black_box(mac.frame());
                now_ms += airtime_ms;
                mac.tx_done(now_ms);
            }
            Action::Listen { window: window @ (Window::Rx1 | Window::Rx2), .. } => {
                now_ms += 30;
                mac.window_closed(now_ms, window);
            }
            _ if mac.can_send() => return now_ms,
            Action::Listen { until_ms: Some(at_ms), .. } | Action::Idle { until_ms: Some(at_ms) } => {
                now_ms = now_ms.max(at_ms);
            }
            action => panic!("the uplink does not end: {action:?}"),
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let (Some(what), Some(Ok(repeats))) = (args.get(1), args.get(2).map(|count| count.parse::<u32>())) else {
        // `cargo bench` and `cargo test` call every bench without arguments.
        println!("instructions: `cargo xtask bench` counts them");
        return ExitCode::SUCCESS;
    };
    assert!(repeats <= MOST, "at most {MOST} repeats");
    let frames: Vec<Vec<u8>> = (0..MOST).map(downlink).collect();
    let activation = Activation::Abp { dev_addr: DEV_ADDR, nwk_skey: Key(NWK_SKEY), app_skey: Key(APP_SKEY) };
    let config = Config { adr: false, data_rate: 5, ..Config::new(Region::Eu868, activation) };
    let mut mac = Mac::new(config, Restored::default(), 1);
    let (mut now_ms, mut delivered) = (0, 0);
    // The session is stored before it begins to count.
    settle(&mut mac, now_ms, &mut delivered);
    for frame in frames.iter().take(repeats as usize) {
        match what.as_str() {
            "uplink" => now_ms = uplink(&mut mac, now_ms + 600_000, &mut delivered),
            _ => {
                now_ms += 1_000;
                mac.received(now_ms, Window::Rxc, black_box(frame), QUALITY);
                settle(&mut mac, now_ms, &mut delivered);
            }
        }
    }
    assert_eq!(delivered, if what == "uplink" { 0 } else { repeats });
    ExitCode::SUCCESS
}
