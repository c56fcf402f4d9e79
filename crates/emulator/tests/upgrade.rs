//! An upgrade from end to end on the images as they are flashed: `cargo xtask sign` makes the next version, a phone with the
//! ToolBox's own code carries it through the tag, the bootloader swaps, and the new image shows that it is well, or goes back.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod image;

use std::cell::RefCell;
use std::rc::Rc;

use bench::Bench;
use embedded_storage::nor_flash::ReadNorFlash;
use image::{Board, MemoryMap};
use sockeye_host::program::{describe, signed};
use sockeye_host::report::Event;
use sockeye_nfc::UpgradeState;
use sockeye_nfc::ndef::{self, Record};
use sockeye_settings::Password;
use sockeye_toolbox::{Client, Error, Update, Upload};
use sockeye_upgrade::{HEADER_LEN, Header, Image, Refusal, sign};
use sockeye_virtual_hardware::bl0942::Fault;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Phone, SharedTag};

/// How often the phone looks for an answer, in µs.
const LOOK_US: u64 = 500_000;

/// How long it waits for one, in µs.
const PATIENCE_US: u64 = 20_000_000;

/// Refused: the piece does not begin where it should (docs/UPGRADE.md).
const OFFSET: u8 = 9;

/// What came of an upload so far.
#[derive(Debug, Default)]
struct Told {
    /// Messages that the phone has written.
    writes: usize,
    /// Their bytes.
    bytes: usize,
    /// When the phone was there first, and when the last answer came, in ms.
    from_ms: u64,
    until_ms: u64,
    /// How it ended: what the socket says at last, or why it refuses.
    end: Option<Result<UpgradeState, Error>>,
}

/// A phone that is held to the tag until the socket has all of an update, or refuses it.
async fn carry(sim: Sim, tag: SharedTag, update: Update, told: Rc<RefCell<Told>>) {
    let mut phone = Phone::at(&tag);
    let mut client = Client::default();
    client.set_password(Some(Password::DEFAULT));
    let mut upload = Upload::default();
    let mut upgrade = None;
    told.borrow_mut().from_ms = sim.now_us() / 1000;
    loop {
        let status = loop {
            let message = phone.read_message().await.unwrap_or_default();
            match ndef::find(&message, Record::Status) {
                Some(found) => break client.see_status(found.payload).unwrap(),
                None => sim.sleep_us(LOOK_US).await,
            }
        };
        let now = upgrade.unwrap_or(status.upgrade);
        let Some(request) = upload.next(&update, &status, &now) else {
            told.borrow_mut().end = Some(Ok(now.state));
            return;
        };
        let request = client.request(&request).unwrap();
        let mut message = vec![0; request.len() + ndef::RECORD_HEADER];
        let len = ndef::message(&[(Record::Request, &request)], &mut message).unwrap();
        message.truncate(len);
        while phone.write_message(&message).await.is_err() {
            sim.sleep_us(LOOK_US).await;
        }
        told.borrow_mut().writes += 1;
        told.borrow_mut().bytes += message.len();
        let asked_us = sim.now_us();
        let answer = loop {
            sim.sleep_us(LOOK_US).await;
            let message = phone.read_message().await.unwrap_or_default();
            if let Some(found) = ndef::find(&message, Record::Answer)
                && client.is_for_us(found.payload)
            {
                break Some(client.take(found.payload));
            }
            if sim.now_us() > asked_us + PATIENCE_US {
                break None;
            }
        };
        let Some(answer) = answer else {
            // The socket was away. It says itself from where on.
            (upload, upgrade) = (Upload::default(), None);
            continue;
        };
        told.borrow_mut().until_ms = sim.now_us() / 1000;
        match answer {
            Ok(said) => upgrade = said.or(upgrade),
            // After a power cut it goes on a page before the last one, and says so.
            Err(Error::Upgrade(said)) if said.refused == OFFSET => upgrade = Some(said),
            Err(error) => {
                told.borrow_mut().end = Some(Err(error));
                return;
            }
        }
    }
}

/// A socket that has joined, with a load of 1 kW.
fn joined<B: Board>(seed: u64) -> Bench<B> {
    let mut bench = Bench::joined(seed, "");
    bench.act("load 1000W").run(5_000);
    bench.events.clear();
    bench
}

/// What is done to a socket to upgrade it, and what it shows of that.
trait Upgrades {
    fn hold_phone(&self, update: &Update) -> Rc<RefCell<Told>>;
    fn carry(&mut self, update: &Update) -> Rc<RefCell<Told>>;
    fn causes(&self) -> Vec<&'static str>;
    fn levels(&self) -> Vec<bool>;
    fn versions(&self) -> Vec<[u8; 2]>;
    fn active(&self, len: usize) -> Vec<u8>;
    fn shown(&mut self) -> (UpgradeState, [u8; 2]);
    fn tap(&mut self) -> (UpgradeState, [u8; 2]);
}

impl<B: Board> Upgrades for Bench<B> {
    /// Somebody holds a phone to the tag.
    fn hold_phone(&self, update: &Update) -> Rc<RefCell<Told>> {
        let told = Rc::new(RefCell::new(Told::default()));
        let tag = self.outside().tag.clone();
        self.world.sim().spawn(carry(self.world.sim().clone(), tag, update.clone(), told.clone()));
        told
    }

    /// Carries an update to its end; tells that.
    fn carry(&mut self, update: &Update) -> Rc<RefCell<Told>> {
        let told = self.hold_phone(update);
        for _ in 0..2000 {
            if told.borrow().end.is_some() {
                return told;
            }
            self.run(1_000);
        }
        panic!("no end: {:?}", told.borrow());
    }

    fn causes(&self) -> Vec<&'static str> {
        let cause = |(_, event): &(u64, Event)| match event {
            Event::Reboot { cause } => Some(*cause),
            _ => None,
        };
        self.events.iter().filter_map(cause).collect()
    }

    fn levels(&self) -> Vec<bool> {
        self.relays().map(|(_, on, _)| on).collect()
    }

    /// The versions that basic information has told.
    fn versions(&self) -> Vec<[u8; 2]> {
        let payloads = self.events.iter().filter_map(|(_, event)| match event {
            Event::Uplink { payload, .. } => Some(payload),
            _ => None,
        });
        let version = |payload: &Vec<u8>| {
            // Guide section 4.1: what begins with the protocol's version is basic information.
            let told = payload.starts_with(&[0xFF, 0x0B]) || payload.starts_with(&[0xFF, 0x01]);
            let at = payload.windows(2).position(|record| record == [0xFF, 0x0A]).filter(|_| told)?;
            payload.get(at + 2..at + 4)?.try_into().ok()
        };
        payloads.filter_map(version).collect()
    }

    /// What lies in the active slot.
    fn active(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let at = MemoryMap::of::<B>().part("active").start;
        self.outside().flash.clone().read(at, &mut bytes).unwrap();
        bytes
    }

    fn shown(&mut self) -> (UpgradeState, [u8; 2]) {
        // The tag is written anew when a phone leaves.
        self.tap();
        self.run(15_000);
        self.tap()
    }

    fn tap(&mut self) -> (UpgradeState, [u8; 2]) {
        let shown = Rc::new(RefCell::new(None));
        let (sim, tag, to) = (self.world.sim().clone(), self.outside().tag.clone(), shown.clone());
        self.world.sim().spawn(async move {
            let phone = Phone::at(&tag);
            while to.borrow().is_none() {
                let message = phone.read_message().await.unwrap_or_default();
                if let Some(found) = ndef::find(&message, Record::Status) {
                    let status = Client::default().see_status(found.payload).unwrap();
                    *to.borrow_mut() = Some((status.upgrade.state, status.software_version));
                }
                sim.sleep_us(LOOK_US).await;
            }
        });
        self.run(5_000);
        shown.take().expect("the tag shows a status")
    }
}

/// The update as `cargo xtask sign` has made it.
fn next<B: Board>() -> (Vec<u8>, Update) {
    let bytes = image::update::<B>();
    let update = Update::parse(bytes.clone()).unwrap();
    (bytes[HEADER_LEN..].to_vec(), update)
}

/// An update of an image, described as the next version of this board but for a change, and signed as the maker does.
fn made<B: Board>(image: &[u8], change: impl Fn(&mut Image)) -> Update {
    let mut about = describe(image, next::<B>().1.version());
    about.board = next::<B>().1.header().image().board;
    change(&mut about);
    whole(&signed(&about), image)
}

fn whole(header: &Header, image: &[u8]) -> Update {
    Update::parse([&header.to_bytes()[..], image].concat()).unwrap()
}

fn an_update_through_the_tag_runs_is_confirmed_and_tells_its_version<B: Board>() {
    let (image, update) = next::<B>();
    let mut bench = joined::<B>(1);
    let before = bench.active(image.len());
    assert!(before != image, "the next version is another image");
    let stack = bench.stack();
    let told = bench.carry(&update);
    let told = told.borrow();
    assert_eq!(told.end, Some(Ok(UpgradeState::Ready)));
    println!("{}: stack {} of {} bytes, with all checks", B::NAME, bench.stack_used(&stack), stack.len());
    println!(
        "{}: an image of {} bytes through the tag: {} writes of {} bytes in all, {} s of virtual time",
        B::NAME,
        image.len(),
        told.writes,
        told.bytes,
        (told.until_ms - told.from_ms) / 1000
    );
    assert!(bench.causes().is_empty() && bench.levels().is_empty(), "{:#?}", bench.events);
    // The restart, the swap, and a trial of 60 s. The load has to be supplied in all of that.
    bench.socket().take_relay_gap_us();
    let mut step = 0;
    while bench.levels().is_empty() || step < 60_000 {
        bench.run(10);
        step += 10;
        assert!(step < 200_000, "it does not come back: {:#?}", bench.events);
        assert!(bench.outside().circuit.flow().current_a > 4.0, "after {step} ms");
    }
    assert_eq!(bench.causes(), ["upgrade"], "{:#?}", bench.events);
    assert!(bench.levels().iter().all(|on| *on), "{:?}", bench.levels());
    // A relay lets go some milliseconds after its coil has no current (data sheets say 5 ms and more).
    let gap_us = bench.socket().take_relay_gap_us();
    println!("{}: over restart and swap the relay's pin drove nothing for {gap_us} us at most", B::NAME);
    assert!(gap_us <= 4_000, "{gap_us} us");
    assert!(bench.active(image.len()) == image, "the active slot has the update");
    assert_eq!(bench.shown(), (UpgradeState::Trying, update.version()));
    bench.run(70_000);
    assert_eq!(bench.shown(), (UpgradeState::Confirmed, update.version()));
    assert_eq!(bench.versions().last(), Some(&update.version()), "{:#?}", bench.events);
    assert_eq!(bench.causes().len(), 1);
    bench.is_clean("");
    // It stays, whatever happens to the power.
    bench.act("power off");
    bench.run(10_000);
    bench.act("power on");
    bench.run(30_000);
    assert!(bench.active(image.len()) == image);
    assert_eq!(bench.shown(), (UpgradeState::None, update.version()));
    bench.is_clean("");
}

fn what_is_no_newer_image_of_the_maker_for_this_board_is_refused_with_its_reason<B: Board>() {
    let (image, update) = next::<B>();
    let good = update.header();
    let small = &image[..4096];
    let described = |change: &dyn Fn(&mut Image)| made::<B>(small, change);
    let mut foreign = good.image();
    foreign.version = [9, 9];
    let foreign = whole(&Header::new(&foreign, sign(&[7; 32], &foreign.signed_part())), &image);
    // A byte of the signed part, behind the version: the length of the hash's first byte.
    let mut tampered = good.to_bytes();
    tampered[40] ^= 1;
    let tampered = whole(&Header::parse(&tampered).unwrap(), &image);
    let mut spoilt = small.to_vec();
    spoilt[1000] ^= 1;
    let spoilt = whole(made::<B>(small, |_| {}).header(), &spoilt);
    let other = sockeye_upgrade::BoardName::new("host").unwrap();
    let mut bench = joined::<B>(2);
    let before = bench.active(image.len());
    for (update, why) in [
        (described(&|image| image.board = other), Refusal::Board),
        (described(&|image| image.hardware_min = [9, 0]), Refusal::HardwareRevision),
        (described(&|image| image.version = [0, 1]), Refusal::SameVersion),
        (described(&|image| image.version = [0, 0]), Refusal::Older),
        (foreign, Refusal::Signature),
        (tampered, Refusal::Signature),
        (spoilt, Refusal::Hash),
    ] {
        let told = bench.carry(&update);
        let told = told.borrow();
        let Some(Err(Error::Upgrade(said))) = &told.end else { panic!("{why:?}: {told:?}") };
        assert_eq!(said.refused, why.code(), "{why:?}");
        bench.run(15_000);
    }
    assert!(bench.causes().is_empty() && bench.levels().is_empty(), "{:#?}", bench.events);
    assert!(bench.active(image.len()) == before);
    assert_eq!(bench.shown().1, [0, 1]);
    bench.is_clean("");
}

/// Puts code in place of what a function of the next version begins with.
fn broken<B: Board>(function: &str, code: &[u8]) -> Vec<u8> {
    let (mut image, _) = next::<B>();
    // The next version differs by its number alone, so its functions lie where those of this one do.
    let old = image::of::<B>();
    let active = MemoryMap::of::<B>().number("active_origin");
    let address = old.addresses(function).find(|address| *address >= active);
    let address = address.unwrap_or_else(|| panic!("no {function}"));
    let at = (address - active) as usize;
    let (from, bytes) = old
        .segments
        .iter()
        .find(|(from, bytes)| (*from..*from + bytes.len() as u32).contains(&address))
        .unwrap();
    let place = (address - from) as usize;
    assert_eq!(image[at..at + 16], bytes[place..place + 16], "{function} lies elsewhere");
    image[at..at + code.len()].copy_from_slice(code);
    image
}

/// `b .` (Armv6-M ARM, B T2).
const HANG: [u8; 2] = 0xE7FE_u16.to_le_bytes();

fn an_image_that_hangs_goes_back_and_the_relay_stays<B: Board>() {
    let image = broken::<B>("main", &HANG);
    let mut bench = joined::<B>(4);
    let before = bench.active(image.len());
    // Somebody has switched it off, and nothing switches it on.
    bench.act("press").run(5_000);
    assert_eq!(bench.levels().last().copied(), Some(false));
    bench.events.clear();
    let told = bench.carry(&made::<B>(&image, |_| {}));
    assert_eq!(told.borrow().end, Some(Ok(UpgradeState::Ready)));
    // In one go: a CPU that hangs touches nothing that would tell the emulator of the watchdog.
    bench.run(60_000);
    assert!(bench.active(image.len()) == before, "the old image is back: {:#?}", bench.events);
    assert_eq!(bench.shown(), (UpgradeState::GoneBack, [0, 1]), "{:#?}", bench.events);
    assert!(bench.levels().iter().all(|on| !on), "{:?}", bench.levels());
    assert_eq!(bench.causes(), ["upgrade", "watchdog"], "{:#?}", bench.events);
}

fn an_image_that_cannot_measure_goes_back_after_five_minutes<B: Board>() {
    let (image, update) = next::<B>();
    let mut bench = joined::<B>(5);
    let before = bench.active(image.len());
    let told = bench.carry(&update);
    assert_eq!(told.borrow().end, Some(Ok(UpgradeState::Ready)));
    // The meter says nothing any more.
    bench.outside().circuit.with_meter(|_, meter| meter.inject(Fault::Silence, u32::MAX));
    bench.run(60_000);
    assert!(bench.active(image.len()) == image, "it runs on trial: {:#?}", bench.events);
    bench.run(300_000);
    assert!(bench.active(image.len()) == before, "the old image is back: {:#?}", bench.events);
    assert!(bench.levels().iter().all(|on| *on), "{:?}", bench.levels());
    assert_eq!(bench.shown(), (UpgradeState::GoneBack, [0, 1]));
}

on_both! {
    an_update_through_the_tag_runs_is_confirmed_and_tells_its_version
    what_is_no_newer_image_of_the_maker_for_this_board_is_refused_with_its_reason
    an_image_that_hangs_goes_back_and_the_relay_stays
    an_image_that_cannot_measure_goes_back_after_five_minutes
}
