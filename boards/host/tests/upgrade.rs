//! Upgrades of a simulated socket, by its tag: taken, swapped in by embassy-boot's code, and shown to be well or undone.
#![allow(missing_docs, reason = "tests")]

mod bench;

use std::cell::RefCell;
use std::rc::Rc;

use bench::Bench;
use sockeye_host::device::Device;
use sockeye_host::nfc;
use sockeye_host::program::{Conduct, Program, describe, signed};
use sockeye_host::report::Event;
use sockeye_nfc::{Answer, Code, Request, Upgrade, UpgradeState};
use sockeye_settings::Password;
use sockeye_upgrade::{BoardName, Header, Image, Refusal, sign};
use sockeye_virtual_hardware::st25dv::Phone;

const NEW: Program = Program { version: [0, 0x20], conduct: Conduct::Well };

/// Bytes of an image, where it does not matter.
const LEN: usize = 9_000;

fn header(program: Program, image: &[u8], change: impl Fn(&mut Image)) -> Vec<u8> {
    let mut image = describe(image, program.version);
    change(&mut image);
    signed(&image).to_bytes().to_vec()
}

/// What came of an upload.
#[derive(Debug, Default)]
struct Upload {
    requests: usize,
    outcome: Option<(Code, Upgrade)>,
}

/// Somebody holds a phone to the tag and sends an update: from where the socket goes on, until it is whole, or refused.
fn hold_phone(bench: &Bench, header: Vec<u8>, image: Vec<u8>, finish: bool) -> Rc<RefCell<Upload>> {
    let upload = Rc::new(RefCell::new(Upload::default()));
    let (told, sim) = (upload.clone(), bench.world.sim().clone());
    let tag = bench.world.socket(0).unwrap().tag().unwrap().clone();
    bench.world.sim().spawn(async move {
        let mut phone = Phone::at(&tag);
        let mut wanted = None;
        loop {
            let read = nfc::look(&phone).await.unwrap();
            let request = match wanted {
                None => Request::UpgradeBegin { header: &header },
                Some(at) if at == image.len() => Request::UpgradeFinish,
                Some(at) => {
                    let most = usize::from(read.status.max_request) - 64;
                    let data = &image[at..image.len().min(at + most)];
                    Request::UpgradeChunk { offset: u32::try_from(at).unwrap(), data }
                }
            };
            let is_last = request == Request::UpgradeFinish;
            if is_last && !finish {
                return;
            }
            told.borrow_mut().requests += 1;
            let answer = nfc::ask(&sim, &mut phone, &read, Password::DEFAULT, &request).await;
            // The mains may have gone. A person would hold the phone there again; this one does not.
            let Ok(answer) = answer else { return };
            let answer = Answer::parse(&answer).unwrap();
            let upgrade = answer.upgrade().unwrap_or_default();
            if answer.code != Code::Done || is_last {
                told.borrow_mut().outcome = Some((answer.code, upgrade));
                return;
            }
            wanted = Some(usize::try_from(upgrade.received).unwrap());
        }
    });
    upload
}

/// Sends an update and runs until it is taken or refused.
fn send(bench: &mut Bench, header: Vec<u8>, image: Vec<u8>) -> (Code, Upgrade) {
    let upload = hold_phone(bench, header, image, true);
    for _ in 0..600 {
        if let Some(outcome) = upload.borrow().outcome {
            return outcome;
        }
        bench.run(1_000);
    }
    panic!("no outcome: {:?}", upload.borrow());
}

fn upgrades(bench: &Bench) -> Vec<&'static str> {
    let states = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Upgrade { state } => Some(*state),
        _ => None,
    });
    states.collect()
}

fn reboots(bench: &Bench) -> Vec<&'static str> {
    let causes = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Reboot { cause } => Some(*cause),
        _ => None,
    });
    causes.collect()
}

fn version(bench: &Bench) -> [u8; 2] {
    bench.world.socket(0).unwrap().program().version
}

#[test]
fn an_image_by_the_tag_runs_is_confirmed_and_shows_its_version() {
    let mut bench = Bench::joined("");
    bench.act("load 1000W").run(5_000).forget();
    let image = NEW.image(100 * 1024);
    let begun_ms = bench.world.now_ms();
    let upload = hold_phone(&bench, header(NEW, &image, |_| {}), image, true);
    while upload.borrow().outcome.is_none() {
        bench.run(100);
    }
    let took_ms = bench.world.now_ms() - begun_ms;
    let writes = upload.borrow().requests;
    println!(
        "simulated socket: an image of 102400 bytes through the tag: {writes} writes, {} s of virtual time",
        took_ms / 1000
    );
    let (code, upgrade) = upload.borrow().outcome.unwrap();
    assert_eq!((code, upgrade.state), (Code::Done, UpgradeState::Ready));
    bench.run(58_000);
    assert_eq!((upgrades(&bench), reboots(&bench)), (vec!["trying"], vec!["upgrade"]));
    bench.run(30_000);
    assert_eq!(upgrades(&bench), ["trying", "confirmed"]);
    assert_eq!(version(&bench), NEW.version);
    let told = bench.uplinks().iter().any(|payload| payload.contains("ff0a0020"));
    assert!(told, "{:?}", bench.uplinks());
    // The load was supplied all the time: the start found the relay as it was.
    let relay: Vec<_> = bench.relay().into_iter().map(|(_, on, cause)| (on, cause)).collect();
    assert_eq!(relay, [(true, "power_up")]);
    assert!(bench.errors().is_empty(), "{:?}", bench.errors());
    // A power cut does not bring the old one back.
    bench.forget().act("power off").run(10_000).act("power on").run(20_000);
    assert_eq!((version(&bench), upgrades(&bench)), (NEW.version, vec![]));
}

#[test]
fn what_is_no_newer_image_of_the_maker_for_this_board_is_refused_with_the_reason() {
    let image = NEW.image(LEN);
    let other = BoardName::new("lora-e5").unwrap();
    let described = describe(&image, NEW.version);
    let foreign = Header::new(&described, sign(&[7; 32], &described.signed_part())).to_bytes().to_vec();
    let mut tampered = header(NEW, &image, |_| {});
    tampered[30] ^= 1;
    let mut spoilt = image.clone();
    spoilt[4000] ^= 1;
    let good = header(NEW, &image, |_| {});
    let mut bench = Bench::joined("");
    bench.forget();
    for (header, image, why) in [
        (header(NEW, &image, |image| image.board = other), &image, Refusal::Board),
        (header(NEW, &image, |image| image.hardware_min = [9, 0]), &image, Refusal::HardwareRevision),
        (header(NEW, &image, |image| image.version = [0, 1]), &image, Refusal::SameVersion),
        (header(NEW, &image, |image| image.version = [0, 0]), &image, Refusal::Older),
        (header(NEW, &image, |image| image.len = 1 << 20), &image, Refusal::Length),
        (foreign, &image, Refusal::Signature),
        (tampered, &image, Refusal::Signature),
        (good[..100].to_vec(), &image, Refusal::Format),
        (good, &spoilt, Refusal::Hash),
    ] {
        let (code, upgrade) = send(&mut bench, header, image.clone());
        assert_eq!((code, upgrade.refused), (Code::Upgrade, why.code()), "{why:?}");
        bench.run(20_000);
    }
    assert_eq!((reboots(&bench), upgrades(&bench), version(&bench)), (vec![], vec![], [0, 1]));
}

#[test]
fn an_image_that_is_not_well_goes_back_and_the_relay_stays() {
    for (conduct, after_ms) in [(Conduct::Hangs, 30_000), (Conduct::CannotMeasure, 330_000)] {
        let mut bench = Bench::joined("");
        // Somebody has switched it off, and nothing switches it on.
        bench.act("press").run(5_000).forget();
        let bad = Program { conduct, ..NEW };
        let image = bad.image(LEN);
        assert_eq!(send(&mut bench, header(bad, &image, |_| {}), image).0, Code::Done);
        bench.run(after_ms);
        assert_eq!(version(&bench), [0, 1], "{conduct:?}");
        assert_eq!(upgrades(&bench).last(), Some(&"gone_back"), "{conduct:?}");
        assert!(bench.relay().iter().all(|(_, on, _)| !on), "{conduct:?}: {:?}", bench.relay());
        // The tag tells it too, and the socket works: the next image is taken.
        let image = NEW.image(LEN);
        assert_eq!(send(&mut bench, header(NEW, &image, |_| {}), image).0, Code::Done);
        bench.run(90_000);
        assert_eq!((version(&bench), upgrades(&bench).last()), (NEW.version, Some(&"confirmed")));
    }
}

#[test]
fn a_power_cut_in_the_first_minute_goes_back() {
    let mut bench = Bench::joined("");
    let image = NEW.image(LEN);
    send(&mut bench, header(NEW, &image, |_| {}), image);
    bench.run(30_000);
    assert_eq!(version(&bench), NEW.version);
    bench.act("power off").run(10_000).act("power on").run(10_000);
    assert_eq!((version(&bench), upgrades(&bench)), ([0, 1], vec!["trying", "gone_back"]));
}

#[test]
fn an_upgrade_goes_on_after_power_cuts() {
    let mut bench = Bench::joined("");
    let image = NEW.image(40_000);
    let header = header(NEW, &image, |_| {});
    let mut requests = 0;
    for held_ms in [20_000, 15_000, 25_000] {
        let upload = hold_phone(&bench, header.clone(), image.clone(), true);
        bench.run(held_ms);
        assert!(upload.borrow().outcome.is_none(), "it was too quick to be cut");
        requests = upload.borrow().requests;
        bench.act("power off").run(10_000).act("power on").run(60_000);
        assert_eq!(version(&bench), [0, 1]);
    }
    assert!(requests > 0);
    assert_eq!(send(&mut bench, header, image).0, Code::Done);
    bench.run(100_000);
    assert_eq!((version(&bench), upgrades(&bench)), (NEW.version, vec!["trying", "confirmed"]));
}

#[test]
fn another_image_has_to_wait_until_the_new_one_is_confirmed() {
    let mut bench = Bench::joined("");
    let image = NEW.image(LEN);
    let header_of_new = header(NEW, &image, |_| {});
    send(&mut bench, header_of_new, image);
    bench.run(20_000);
    let newer = Program { version: [0, 0x30], ..NEW };
    let image = newer.image(LEN);
    let (code, upgrade) = send(&mut bench, header(newer, &image, |_| {}), image.clone());
    assert_eq!((code, upgrade.state, upgrade.refused), (Code::Upgrade, UpgradeState::Trying, 13));
    bench.run(60_000);
    assert_eq!(send(&mut bench, header(newer, &image, |_| {}), image).0, Code::Done);
    bench.run(90_000);
    assert_eq!(version(&bench), newer.version);
}
