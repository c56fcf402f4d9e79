//! A chip that fails in the middle of what the MAC does: heard again in bounded time, and no counter twice.

use sockeye_network_server::Config;
use sockeye_virtual_hardware::sx126x::{Fault, Mode};

use crate::rig::Rig;

/// What the device is doing when the fault comes.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Transmitting,
    BeforeRx1,
    Rx1,
    /// The time of RX2 within RXC.
    Rx2,
    Resting,
    JoinTransmitting,
    JoinRx1,
    JoinRx2,
}

const PHASES: [Phase; 8] = [
    Phase::Transmitting,
    Phase::BeforeRx1,
    Phase::Rx1,
    Phase::Rx2,
    Phase::Resting,
    Phase::JoinTransmitting,
    Phase::JoinRx1,
    Phase::JoinRx2,
];

fn sends(rig: &Rig) -> bool {
    rig.chip.with(|chip| chip.mode() == Mode::Tx)
}

fn bring_to(phase: Phase) -> Rig {
    let joining = matches!(phase, Phase::JoinTransmitting | Phase::JoinRx1 | Phase::JoinRx2);
    if joining {
        let rig = Rig::new(Config::default(), 1000);
        rig.run_until(1000, "the join-request", sends);
        rig.run_ms(5);
        match phase {
            Phase::JoinRx1 => rig.run_until_us(rig.uplink_end_us() + 4_998_000),
            Phase::JoinRx2 => {
                rig.with_server(|now_us, server| server.set_gateway(now_us, false));
                rig.run_until_us(rig.uplink_end_us() + 5_998_000);
                rig.with_server(|now_us, server| server.set_gateway(now_us, true));
            }
            _ => {}
        }
        return rig;
    }
    let rig = Rig::joined(Config::default(), 1000);
    if let Phase::Resting = phase {
        return rig;
    }
    rig.uplink(b"hello", true);
    rig.run_until(1000, "an uplink", sends);
    rig.run_ms(5);
    let after_us = match phase {
        Phase::BeforeRx1 => 500_000,
        Phase::Rx1 => 998_000,
        Phase::Rx2 => 2_000_000,
        _ => return rig,
    };
    rig.run_until_us(rig.uplink_end_us() + after_us);
    rig
}

/// How soon the chip is to be heard again, in ms; a join has its pause.
fn bound_ms(phase: Phase) -> u64 {
    if matches!(phase, Phase::JoinTransmitting | Phase::JoinRx1 | Phase::JoinRx2) { 330_000 } else { 10_000 }
}

/// Breaks the chip in a phase, heals it after `heal_ms`, and wants it heard within `bound_ms` after that.
fn check(phase: Phase, fault: impl Fn(u64) -> Fault, heal_ms: u64, bound_ms: u64) {
    let rig = bring_to(phase);
    let now_us = rig.sim().now_us();
    let fault = fault(now_us);
    rig.chip.with(|chip| chip.inject(fault));
    // A command in the fault: it may be lost, and must not come late or twice.
    if rig.dev_addr().is_some() {
        rig.downlink(b"lost?");
    }
    rig.run_ms(heal_ms);
    rig.chip.with(|chip| chip.heal());
    rig.run_ms(bound_ms);
    let what = format!("{fault:?} while {phase:?}");
    assert!(rig.dev_addr().is_some(), "{what}: not joined");
    rig.uplink(b"alive", false);
    rig.run_ms(15_000);
    let uplinks = rig.log.borrow().uplinks.len();
    rig.uplink(b"alive", false);
    rig.run_ms(15_000);
    assert!(rig.log.borrow().uplinks.len() > uplinks, "{what}: sends no more");
    for command in [b"on".as_slice(), b"off", b"on"] {
        rig.downlink(command);
        rig.run_ms(5_000);
    }
    let delivered = rig.delivered();
    assert!(delivered.ends_with(&[b"on".into(), b"off".into(), b"on".into()]), "{what}: {delivered:?}");
    assert!(delivered.iter().filter(|payload| *payload == b"lost?").count() <= 1, "{what}: {delivered:?}");
    rig.check_counters();
}

#[test]
fn a_chip_that_hangs_is_reset() {
    for phase in PHASES {
        check(phase, |_| Fault::Hang, 0, bound_ms(phase));
    }
}

#[test]
fn a_busy_line_that_was_stuck_for_an_hour_is_no_harm() {
    for phase in PHASES {
        check(phase, |_| Fault::BusyStuck, 3_600_000, bound_ms(phase));
    }
}

#[test]
fn a_dead_bus_is_no_harm_once_it_lives_again() {
    for phase in PHASES {
        for byte in [0x00, 0xff] {
            check(phase, |_| Fault::ReadsAs(byte), 600_000, bound_ms(phase));
        }
    }
}

#[test]
fn a_dead_interrupt_line_is_no_harm_once_it_lives_again() {
    for phase in PHASES {
        check(phase, |_| Fault::Dio1Silent, 0, bound_ms(phase));
        check(phase, |_| Fault::Dio1Dead, 600_000, bound_ms(phase));
    }
}

#[test]
fn what_noise_does_is_over_at_once() {
    for phase in PHASES {
        check(phase, |_| Fault::HeaderError, 0, 30_000);
        check(phase, |_| Fault::CrcError, 0, 30_000);
        check(phase, |_| Fault::NoTxDone, 0, 30_000);
        check(phase, |_| Fault::PreambleWithTimeout, 0, 30_000);
        check(phase, |now_us| Fault::FalsePreamble { at_us: now_us + 3_000 }, 0, 30_000);
    }
}
