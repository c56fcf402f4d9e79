//! A socket on a flash that is worn, spoilt or another program's: it starts, says so, and works as well as it can.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;
use sockeye_virtual_hardware::flash::{Flash, Stm32wl};

const PAGE: usize = 2048;
const PAGES: usize = 7;

fn flash(bench: &Bench) -> Flash<Stm32wl> {
    bench.world.flash(0).unwrap().clone()
}

/// Marks all pages as begun and closed, which a log never leaves: its records are not to be trusted.
fn make_nonsense(flash: &Flash<Stm32wl>) {
    for page in 0..PAGES - 1 {
        flash.spoil(page * PAGE, &[0; 8]);
        flash.spoil((page + 1) * PAGE - 8, &[0; 8]);
    }
}

fn stored(bench: &Bench) -> Vec<&'static str> {
    let stored = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Stored { record } => Some(*record),
        _ => None,
    });
    stored.collect()
}

/// Tells whether the socket said that something is wrong with its flash.
fn is_told(bench: &Bench) -> bool {
    bench.errors().iter().any(|what| what.starts_with("flash: "))
}

/// Takes the mains away for so long that the device starts anew.
fn restart(bench: &mut Bench) {
    bench.act("power off").run(5_000).act("power on").run(60_000);
}

#[test]
fn a_flash_of_another_program_is_told_and_put_to_use_and_the_socket_stays_off() {
    let fills: [(&str, Vec<u8>); 4] = [
        ("text", b"another program's data. ".repeat(PAGES * PAGE / 24)),
        ("zeros", vec![0; PAGES * PAGE]),
        (
            "noise",
            (0..PAGES * PAGE).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect(),
        ),
        ("ones but for the marks", {
            let mut bytes = vec![0xFF; PAGES * PAGE];
            (0..PAGES).for_each(|page| (bytes[page * PAGE], bytes[(page + 1) * PAGE - 1]) = (0, 0));
            bytes
        }),
    ];
    for (name, fill) in fills {
        let mut bench = Bench::new("");
        flash(&bench).spoil(0, &fill);
        bench.run_to(60_000);
        assert!(is_told(&bench), "{name}: nobody was told");
        assert!(
            bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })),
            "{name}: not joined"
        );
        // What was switched off may have been so for a reason.
        assert!(!bench.world.status().relay_on, "{name}: on");
        bench.forget();
        restart(&mut bench);
        assert!(!bench.world.status().relay_on, "{name}: on after a restart");
        assert!(!is_told(&bench), "{name}: told again");
        assert!(bench.counters().iter().all(|counter| *counter > 0), "{name}: a counter came again");
        bench.act("press").run(5_000);
        assert!(bench.world.status().relay_on, "{name}: the button is dead");
    }
}

#[test]
fn records_that_the_flash_loses_while_the_socket_runs_are_stored_again() {
    let mut bench = Bench::joined("");
    bench.act("load 2000W").act("downlink 85 ff037800").run(60_000);
    make_nonsense(&flash(&bench));
    bench.forget().act("press").run(10_000);
    assert!(
        bench.errors().contains(&"flash: it held nothing of sense and was erased"),
        "{:?}",
        bench.errors()
    );
    for record in ["settings", "relay_state", "energy", "mac_session", "mac_counters", "mac_multicast"] {
        assert!(stored(&bench).contains(&record), "{record} was not stored again");
    }
    let status = bench.world.status();
    bench.forget();
    restart(&mut bench);
    let after = bench.world.status();
    assert_eq!((after.relay_on, after.dev_addr), (false, status.dev_addr));
    assert!(
        after.energy_uwh.abs_diff(status.energy_uwh) < 1_000_000,
        "{} {}",
        after.energy_uwh,
        status.energy_uwh
    );
    assert!(!is_told(&bench), "{:?}", bench.errors());
    // By the setting of 120 s; by the default there would be none.
    bench.forget().run(600_000);
    assert!((4..=6).contains(&bench.uplinks().len()), "{:?}", bench.uplinks());
}

#[test]
fn a_worn_out_flash_is_told_and_the_socket_works_with_what_it_holds() {
    let mut bench = Bench::joined("");
    bench.act("press").run(10_000);
    let flash = flash(&bench);
    (0..PAGES).for_each(|page| flash.wear_out(page));
    bench.forget();
    restart(&mut bench);
    assert!(!bench.world.status().relay_on, "the stored state");
    assert!(bench.world.status().dev_addr.is_some(), "the stored session");
    bench.act("press").run(5_000);
    assert!(bench.world.status().relay_on, "the button is dead");
    assert!(bench.errors().contains(&"flash: a record could not be stored"), "{:?}", bench.errors());
    assert_eq!(bench.world.watchdog_resets(), 0);
}
