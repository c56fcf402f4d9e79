//! The receive windows open in time (MAC-RX-01).

use sockeye_lorawan_mac::{DownlinkWindow, Event};
use sockeye_network_server::{Config, Window};
use sockeye_radio::WINDOW_LEAD_MS;
use sockeye_virtual_hardware::sx126x::Mode;

use crate::rig::Rig;

/// Whether the chip receives at this instant, its TCXO started.
fn is_open(rig: &Rig) -> bool {
    let now_us = rig.sim().now_us();
    rig.chip.with(|chip| chip.mode() == Mode::Rx && chip.busy_until_us().is_some_and(|until| until <= now_us))
}

/// Sends 20 uplinks and looks at RX1 of each.
fn rx1_opens_at_its_instant(rx1_delay_s: u8) {
    let rig = Rig::joined(Config { rx1_delay_s, ..Config::default() }, 1000);
    for n in 0..20 {
        rig.uplink(&[n; 5], true);
        let nominal_us = rig.uplink_end_us() + u64::from(rx1_delay_s) * 1_000_000;
        rig.run_until_us(nominal_us - u64::from(WINDOW_LEAD_MS + 2) * 1000);
        assert!(is_open(&rig), "RXC is still open");
        rig.run_until(20, "RXC is left", |rig| !is_open(rig));
        rig.run_until_us(nominal_us - 1_000);
        assert!(!is_open(&rig), "uplink {n}: RX1 is early");
        rig.run_until_us(nominal_us);
        assert!(is_open(&rig), "uplink {n}: RX1 is late");
        rig.run_ms(10_000);
    }
    let log = rig.log.borrow();
    let acked = log.events.iter().filter(|(_, e)| matches!(e, Event::UplinkDone { acked: Some(true), .. }));
    assert_eq!(acked.count(), 20);
    // None of them needed its second transmission.
    assert_eq!(log.uplinks.len(), 1 + 1 + 20);
}

#[test]
fn rx1_opens_within_1_ms_before_its_instant_with_a_tcxo() {
    rx1_opens_at_its_instant(1);
}

#[test]
fn rx1_opens_within_1_ms_before_its_instant_after_the_longest_delay() {
    rx1_opens_at_its_instant(15);
}

#[test]
fn a_join_is_answered_in_either_window() {
    for answer_in in [Window::Rx1, Window::Rx2] {
        let rig = Rig::new(Config { answer_in, ..Config::default() }, 1000);
        rig.run_ms(20_000);
        assert!(rig.dev_addr().is_some(), "{answer_in:?}");
        assert_eq!(rig.log.borrow().uplinks.len(), 1);
    }
}

#[test]
fn data_in_either_window_is_class_a_data() {
    for answer_in in [Window::Rx1, Window::Rx2] {
        let rig = Rig::joined(Config { answer_in, ..Config::default() }, 1000);
        rig.uplink(&[1], false);
        rig.uplink_end_us();
        rig.downlink(b"answer");
        rig.run_ms(10_000);
        let heard = rig.log.borrow().events.iter().any(|(_, event)| {
            matches!(event, Event::Downlink { window: DownlinkWindow::ClassA, payload, .. } if payload == b"answer")
        });
        assert!(heard, "{answer_in:?}");
    }
}
