//! A new image on trial: what it takes to stay, and what makes it go back.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, MAKER, STATE};
use sockeye_state_machine::ResetCause;
use sockeye_upgrade::{BoardName, Header, Image, Request, Software, Verify, sign};

/// Marks of embassy-boot: the images were swapped, the image was confirmed, the images were swapped back.
const SWAP: [u8; 8] = [0xF0; 8];
const BOOT: [u8; 8] = [0xD0; 8];
const REVERT: [u8; 8] = [0xC0; 8];

const CONFIRMED: &str = "Upgrade { state: Confirmed }";
const GIVEN_UP: &str = "Error { what: \"upgrade: the new image is not well\" }";
const RESTART: &str = "Reboot { cause: Upgrade }";

/// A device that starts with this mark left by the bootloader.
fn started(mark: [u8; 8], prepare: impl Fn(&Bench)) -> Bench {
    let bench = Bench::new();
    bench.flash.spoil(STATE.start as usize, &mark);
    prepare(&bench);
    bench.start(ResetCause::Reboot);
    bench
}

fn mark(bench: &Bench) -> [u8; 8] {
    bench.flash.contents()[STATE.start as usize..][..8].try_into().unwrap()
}

#[test]
fn a_new_image_that_is_well_for_a_minute_stays() {
    let bench = started(SWAP, |_| {});
    bench.run_ms(59_000);
    assert_eq!(bench.when("Upgrade { state: Trying }"), Some(0));
    assert_eq!((bench.when(CONFIRMED), mark(&bench)), (None, SWAP));
    bench.run_ms(4_000);
    assert!(bench.when(CONFIRMED).is_some_and(|at_ms| (60_000..62_000).contains(&at_ms)));
    assert_eq!(mark(&bench), BOOT);
    bench.run_ms(600_000);
    assert_eq!((bench.when(RESTART), bench.resets.get()), (None, 0));
}

#[test]
fn an_image_that_is_not_new_is_left_alone() {
    for before in [BOOT, [0xFF; 8], [0; 8]] {
        let bench = started(before, |bench| bench.meter_hangs.set(true));
        bench.run_ms(600_000);
        assert_eq!(mark(&bench), before);
        assert_eq!((bench.when("Upgrade"), bench.when(RESTART)), (None, None));
    }
}

#[test]
fn the_image_that_runs_again_tells_that_it_does() {
    let bench = started(REVERT, |_| {});
    bench.run_ms(100_000);
    assert_eq!(bench.when("Upgrade { state: GoneBack }"), Some(0));
    assert_eq!(mark(&bench), REVERT);
}

#[test]
fn a_new_image_without_meter_radio_or_flash_goes_back_after_five_minutes() {
    for name in ["meter", "radio", "flash"] {
        let bench = started(SWAP, |bench| match name {
            "meter" => bench.meter_hangs.set(true),
            "radio" => bench.radio_hangs.set(true),
            _ => bench.flash.wear_out(STATE.start as usize / 4096),
        });
        bench.run_ms(298_000);
        assert_eq!((bench.when(CONFIRMED), bench.when(RESTART)), (None, None), "{name}");
        bench.run_ms(30_000);
        assert!(bench.when(GIVEN_UP).is_some_and(|at_ms| (300_000..302_000).contains(&at_ms)), "{name}");
        assert!(bench.when(RESTART).is_some(), "{name}");
        assert_eq!((bench.resets.get(), mark(&bench)), (1, SWAP), "{name}");
    }
}

#[test]
fn a_new_image_is_not_judged_by_a_meter_that_the_old_one_has_not_heard() {
    for is_heard in [false, true] {
        let bench = Bench::new();
        bench.meter_hangs.set(!is_heard);
        let shared = bench.start_shared(ResetCause::PowerOn);
        bench.run_ms(5_000);
        let (header, image) = update();
        bench.sim.spawn(async move {
            shared.upgrade(Request::Begin { header: &header }).await.unwrap();
            shared.upgrade(Request::Chunk { offset: 0, data: &image }).await.unwrap();
            shared.upgrade(Request::Finish).await.unwrap();
        });
        // It is dumb from here on.
        bench.run_ms(2_000);
        bench.meter_hangs.set(true);
        bench.run_ms(60_000);
        assert_eq!((bench.resets.get(), mark(&bench)), (1, SWAP));
        // The bootloader would swap the images here; which of the two runs is the same to this test.
        let trial = Bench { retained: bench.retained, ..Bench::new() };
        trial.flash.spoil(0, &bench.flash.contents());
        trial.meter_hangs.set(true);
        trial.start(ResetCause::Reboot);
        trial.run_ms(330_000);
        assert_eq!(trial.when(CONFIRMED).is_some(), !is_heard, "{is_heard}");
        assert_eq!(trial.when(RESTART).is_some(), is_heard, "{is_heard}");
    }
}

/// A signed update.
fn update() -> (Vec<u8>, Vec<u8>) {
    let image = vec![0x5A; 5_000];
    let mut verify = Software { public_key: [0; 32] };
    let mut hash = verify.begin();
    verify.update(&mut hash, &image);
    let described = Image {
        board: BoardName::new("bench").unwrap(),
        hardware_min: [1, 0],
        hardware_max: [1, 0xFF],
        version: [2, 0],
        len: 5_000,
        sha512: verify.finish(hash),
    };
    let signature = sign(&MAKER, &described.signed_part());
    (Header::new(&described, signature).to_bytes().to_vec(), image)
}

#[test]
fn what_is_switched_while_the_restart_waits_for_the_radio_is_stored_before_it() {
    let bench = started(SWAP, |bench| bench.meter_hangs.set(true));
    bench.run_ms(250_000);
    // From here on a transmission never ends, so the restart waits for it as long as it may.
    bench.radio_hangs.set(true);
    bench.run_ms(53_000);
    assert!(bench.when(GIVEN_UP).is_some());
    assert_eq!((bench.when("stored relay_state"), bench.when(RESTART)), (None, None));
    bench.button.hold(100_000);
    bench.run_ms(2_000);
    assert!(bench.when("stored relay_state").is_some());
    assert_eq!(bench.when(RESTART), None);
    bench.run_ms(20_000);
    assert_eq!((bench.when(RESTART), bench.resets.get()), (Some(320_000), 1));
}

#[test]
fn a_new_image_whose_meter_comes_late_stays_all_the_same() {
    let bench = started(SWAP, |bench| bench.meter_hangs.set(true));
    bench.run_ms(150_000);
    assert_eq!(mark(&bench), SWAP);
    bench.meter_hangs.set(false);
    bench.run_ms(3_000);
    assert_eq!(mark(&bench), BOOT);
    bench.run_ms(600_000);
    assert_eq!(bench.when(RESTART), None);
}
