//! Class C downlinks at awkward moments (MAC-CC).

use std::collections::HashMap;

use sockeye_network_server::{Config, DataDown, forge};
use sockeye_virtual_hardware::air::Modulation;

use crate::rig::{DEV_EUI, Rig};
use crate::world::RX2_HZ;

/// RX2 and RXC at SF7, where frames are short and follow each other fast.
fn fast() -> Config {
    Config { rx2_dr: 5, ..Config::default() }
}

/// A genuine frame with this counter and payload.
fn frame(rig: &Rig, fcnt: u32, payload: &[u8]) -> Vec<u8> {
    let session = rig.with_server(|_, server| server.session(DEV_EUI).unwrap().clone());
    let data = Some((85, payload.to_vec()));
    let down = DataDown { dev_addr: session.dev_addr, fcnt, data, ..DataDown::default() };
    forge::data_down(&down, &session.keys).unwrap()
}

fn sf7() -> Modulation {
    Modulation::downlink(RX2_HZ, 7, 125_000)
}

#[test]
fn commands_two_milliseconds_apart_arrive_in_order_though_each_is_stored() {
    // The longest that a chip takes to erase a page: 22 ms on the STM32WL, 45 ms on the RP2040.
    for store_us in [1_000, 22_000, 45_000] {
        let rig = Rig::joined(fast(), store_us);
        let commands: Vec<Vec<u8>> = (0..6).map(|n| vec![8, n, 0, 0xff]).collect();
        for (fcnt, command) in (10..).zip(&commands) {
            let sent = rig.world.gateway.send(sf7(), 27, &frame(&rig, fcnt, command));
            rig.run_until_us(sent.end_us + 2_000);
        }
        rig.run_ms(5_000);
        assert_eq!(rig.delivered(), commands, "a store takes {store_us} µs");
    }
}

#[test]
fn a_command_at_any_moment_of_an_uplink_arrives_once_unless_rx1_takes_its_place() {
    let rig = Rig::joined(fast(), 22_000);
    let mut expected: HashMap<Vec<u8>, bool> = HashMap::new();
    let mut fcnt = 100;
    // From the end of the uplink; RX1 at 1000 ms, RX2 at 2000 ms. Steps of 7 ms fall on every phase.
    let starts_ms = (3..200).step_by(21).chain((850..1120).step_by(7)).chain((1900..2150).step_by(7));
    for start_ms in starts_ms {
        rig.uplink(b"report", false);
        let end_us = rig.uplink_end_us();
        rig.run_until_us(end_us + start_ms * 1000);
        let command = fcnt.to_string().into_bytes();
        let sent = rig.world.gateway.send(sf7(), 27, &frame(&rig, fcnt, &command));
        let ends_ms = (sent.end_us - end_us) / 1000;
        // RXC is left 15 to 16 ms before RX1, which searches for 42 ms at SF7, and opened again 12 ms after.
        let must = start_ms > 10 && (ends_ms < 983 || start_ms > 1050);
        expected.insert(command, must);
        fcnt += 1;
        rig.run_ms(6_000);
    }
    let delivered = rig.delivered();
    for (command, must) in expected {
        let times = delivered.iter().filter(|payload| **payload == command).count();
        let name = String::from_utf8(command).unwrap();
        assert!(times <= 1, "{name} came {times} times");
        assert!(times == 1 || !must, "{name} was lost");
    }
    let numbers: Vec<u32> =
        delivered.iter().map(|payload| std::str::from_utf8(payload).unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    // Some are cut by RX1; at 46 ms a frame no more than those that begin within 120 ms.
    assert!(numbers.len() >= 68, "{} of {}", numbers.len(), fcnt - 100);
}
