//! Tasks that hang, runs that end by a fault, and what the next start knows of it.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, current};
use sockeye_firmware::{Fault, FaultKind};
use sockeye_state_machine::{ResetCause, TripCause};
use sockeye_storage::RecordId;
use sockeye_virtual_hardware::sim::TaskId;

/// The time-out of both chips' watchdogs, and the slowest clock that theirs may have: 29.5 kHz for 32 kHz (STM32WLE5 data
/// sheet, LSI over temperature and supply; from memory).
const WATCHDOG_US: u64 = 8_000_000 * 320 / 295;

const LIMIT_US: u64 = 10_000_000;

const PANIC: Fault = Fault { kind: FaultKind::Panic, pc: 0x0800_1234, lr: 0x0800_4321 };

#[test]
fn a_task_that_hangs_resets_the_chip_within_10_s_and_the_next_start_tells_which_it_was() {
    let kinds = [FaultKind::ControlHung, FaultKind::RadioHung, FaultKind::ServiceHung];
    for (task, kind) in kinds.into_iter().enumerate() {
        // At any instant of a second, and late enough for the radio to be at any of its works.
        for offset_ms in (0..1_000).step_by(37).map(|ms| ms * 51) {
            let bench = Bench::new();
            let tasks = bench.start_apart(ResetCause::PowerOn);
            bench.run_ms(5_000 + offset_ms);
            assert_eq!((bench.resets.get(), bench.retained.pending()), (0, None));
            bench.sim.kill(tasks[task]);
            let hung_us = bench.sim.now_us();
            bench.run_ms(60_000);
            let reset_us = bench.reset_us.get().unwrap_or(bench.fed_us.get() + WATCHDOG_US);
            assert!(reset_us - hung_us <= LIMIT_US, "{kind:?}: after {} us", reset_us - hung_us);
            // The hardware ends the hang of the service, which feeds it, and the others see it before.
            let by_hardware = bench.reset_us.get().is_none();
            assert_eq!(by_hardware, kind == FaultKind::ServiceHung, "{kind:?}");
            assert_eq!(bench.retained.pending(), Some(kind));
            tasks.into_iter().for_each(|task| bench.sim.kill(task));
            let cause = if by_hardware { ResetCause::Watchdog } else { ResetCause::Reboot };
            bench.start(cause);
            bench.run_ms(100);
            assert!(bench.when(&format!("Error {{ what: {:?} }}", kind.name())).is_some(), "{kind:?}");
            assert_eq!(bench.retained.faults().counts[kind as usize], 1);
        }
    }
}

#[test]
fn a_radio_that_hangs_with_its_task_waiting_for_a_full_channel_is_the_hang_of_control() {
    // What is full is emptied by control alone, so control is told, and not the one that waits for it.
    let bench = Bench::new();
    let [control, ..] = bench.start_apart(ResetCause::PowerOn);
    bench.run_ms(5_000);
    bench.sim.kill(control);
    bench.run_ms(10_000);
    assert_eq!(bench.retained.pending(), Some(FaultKind::ControlHung));
}

#[test]
fn a_slow_flash_is_no_hang() {
    let bench = Bench::new();
    bench.start_apart(ResetCause::PowerOn);
    bench.run_ms(60_000);
    for on in [false, true, false, true, false] {
        bench.flash_hangs.set(true);
        bench.button.hold(100_000);
        bench.run_ms(7_000);
        // The press was heard, and what it changed is not in flash.
        assert_eq!(bench.relay.get(), Some(on));
        assert_ne!(bench.load(RecordId::RelayState), Some(vec![u8::from(on)]));
        // It answers at last: noticed by control, and taken back.
        bench.flash_hangs.set(false);
        bench.flash_goes_on.notify();
        bench.run_ms(20_000);
        assert_eq!((bench.resets.get(), bench.retained.pending()), (0, None));
    }
}

#[test]
fn a_trip_that_is_not_in_flash_yet_outlasts_a_fault() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(5_000);
    bench.flash_hangs.set(true);
    // 13.5 A on a 10 A model: above 130 %.
    bench.reading.set(current(13_500));
    bench.run_ms(1_000);
    assert!(bench.when(&format!("trip {}", TripCause::HardLimit.name())).is_some());
    assert_eq!(bench.load(RecordId::RelayState), None);
    bench.sim.kill(task);
    bench.flash_hangs.set(false);
    bench.reading.set(current(0));
    bench.retained.note(PANIC);
    bench.start(ResetCause::Reboot);
    bench.run_ms(2_000);
    assert_eq!(bench.relay.get(), Some(false), "switched on again by a fault");
    // Now it is stored: a power cut does not bring it back either.
    assert_eq!(bench.load(RecordId::RelayState), Some(vec![0]));
}

#[test]
fn a_fault_is_told_by_the_next_start_with_its_place_and_forgotten_with_the_supply() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.sim.kill(task);
    bench.retained.note(PANIC);
    let task = bench.start(ResetCause::Reboot);
    bench.run_ms(1_000);
    assert!(bench.when("Error { what: \"restarted: a panic\" }").is_some());
    let faults = bench.retained.faults();
    assert_eq!((faults.last, faults.in_a_row), (Some(PANIC), 1));
    // A restart that was asked for is none.
    bench.sim.kill(task);
    bench.seen.borrow_mut().clear();
    let task = bench.start(ResetCause::Reboot);
    bench.run_ms(1_000);
    assert!(bench.when("Error { what: \"restarted").is_none());
    assert_eq!(bench.retained.faults(), faults);
    bench.sim.kill(task);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    assert_eq!(bench.retained.faults().last, None);
}

#[test]
fn faults_in_a_row_keep_the_radio_off_for_longer_each_time_and_ten_good_minutes_end_the_row() {
    let bench = Bench::new();
    let mut task = bench.start(ResetCause::PowerOn);
    // It joins.
    bench.run_ms(40_000);
    for held_s in [0, 0, 30, 60, 120, 240, 480, 960, 960] {
        bench.run_ms(50);
        bench.sim.kill(task);
        bench.retained.note(PANIC);
        bench.seen.borrow_mut().clear();
        let calls = bench.radio_calls.get();
        task = bench.start(ResetCause::Reboot);
        bench.run_ms((held_s * 1000_u64).saturating_sub(50));
        if held_s > 0 {
            assert_eq!(bench.radio_calls.get(), calls, "after {held_s} s");
            assert_eq!(bench.when("stored"), None, "a fault wears the flash, after {held_s} s");
        }
        // The socket itself works meanwhile.
        assert_eq!(bench.relay.get(), Some(true));
    }
    bench.run_ms(50 + 599_000);
    assert!(bench.radio_calls.get() > 0);
    assert_eq!(bench.retained.faults().in_a_row, 9);
    bench.run_ms(2_000);
    assert_eq!(bench.retained.faults().in_a_row, 0);
}

/// Has runs of so long end by a fault, one after the other; tells how the relay stands after each start.
fn faulty_runs(bench: &Bench, mut task: TaskId, lengths_ms: &[u64]) -> (TaskId, Vec<bool>) {
    let relays = lengths_ms.iter().map(|ms| {
        bench.run_ms(*ms);
        bench.sim.kill(task);
        bench.retained.note(PANIC);
        task = bench.start(ResetCause::Reboot);
        bench.run_ms(1);
        bench.relay.get().unwrap()
    });
    let relays = relays.collect();
    (task, relays)
}

#[test]
fn ten_faults_in_a_row_within_5_s_of_their_start_switch_the_relay_off() {
    for (what, lengths_ms, off_after) in [
        ("at once", vec![120; 12], Some(10)),
        ("just before", vec![4_900; 12], Some(10)),
        ("later", vec![6_100; 30], None),
        ("with a better run between", [vec![120; 9], vec![6_100], vec![120; 8]].concat(), None),
    ] {
        let bench = Bench::new();
        let task = bench.start(ResetCause::PowerOn);
        bench.run_ms(60_000);
        // The first of these ends a long run.
        let (_, relays) = faulty_runs(&bench, task, &lengths_ms);
        let found = relays.iter().position(|on| !on).map(|at| at + 1);
        assert_eq!(found, off_after, "{what}: {relays:?}");
    }
}

#[test]
fn what_faults_have_switched_off_stays_off_and_can_be_switched_on_when_they_are_over() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    let (task, relays) = faulty_runs(&bench, task, &[100; 10]);
    assert_eq!(relays.last(), Some(&false));
    bench.run_ms(60_000);
    assert_eq!((bench.relay.get(), bench.load(RecordId::RelayState)), (Some(false), Some(vec![0])));
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(true));
    // One fault more is one, not the eleventh.
    let (_, relays) = faulty_runs(&bench, task, &[100; 3]);
    assert_eq!(relays, [true; 3]);
}

#[test]
fn a_device_that_faults_at_each_start_wears_no_flash_and_keeps_off_the_air() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    let (task, _) = faulty_runs(&bench, task, &[150; 12]);
    let at = |bench: &Bench| {
        let counts = bench.flash.counts();
        (counts.programs, counts.erases, bench.radio_calls.get())
    };
    let before = at(&bench);
    faulty_runs(&bench, task, &[150; 100]);
    assert_eq!(at(&bench), before);
    assert_eq!(bench.retained.faults().in_a_row, 112);
}
