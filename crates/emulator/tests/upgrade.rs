//! An upgrade from end to end on the images as they are flashed: `cargo xtask sign` makes the next version, a phone with the
//! ToolBox's own code carries it through the tag, the bootloader swaps, and the new image shows that it is well, or goes back.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod image;
#[path = "figures/span.rs"]
mod span;

use std::cell::RefCell;
use std::rc::Rc;

use bench::Bench;
use embedded_storage::nor_flash::ReadNorFlash;
use image::{Board, MemoryMap};
use sockeye_host::program::{describe, signed};
use sockeye_host::report::Event;
use sockeye_nfc::ndef::{self, Record};
use sockeye_nfc::{Code, Request, Status, Upgrade, UpgradeState};
use sockeye_settings::Password;
use sockeye_toolbox::{Client, Error, Update, Upload};
use sockeye_upgrade::{HEADER_LEN, Header, Image, Refusal, sign};
use sockeye_virtual_hardware::bl0942::Fault;
use sockeye_virtual_hardware::flash::Cut;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Phone, SharedTag};
use span::{Random, runs};

/// How often the phone looks for an answer, in µs.
const LOOK_US: u64 = 500_000;

/// How long it waits for one, in µs.
const PATIENCE_US: u64 = 20_000_000;

/// What came of a request.
type Came = Result<Option<Upgrade>, Error>;

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

/// A phone that somebody holds to the tag, with the ToolBox on it.
struct Hand {
    sim: Sim,
    phone: Phone,
    client: Client,
    told: Rc<RefCell<Told>>,
}

impl Hand {
    fn new(sim: &Sim, tag: &SharedTag) -> Self {
        let mut client = Client::default();
        client.set_password(Some(Password::DEFAULT));
        Self { sim: sim.clone(), phone: Phone::at(tag), client, told: Rc::default() }
    }

    /// Reads the status, as soon as there is one.
    async fn status(&mut self) -> Status {
        loop {
            let message = self.phone.read_message().await.unwrap_or_default();
            match ndef::find(&message, Record::Status) {
                Some(found) => return self.client.see_status(found.payload).unwrap(),
                None => self.sim.sleep_us(LOOK_US).await,
            }
        }
    }

    /// Has something done, and gives what came of it; nothing if no answer came.
    async fn ask(&mut self, request: &Request<'_>) -> Option<Came> {
        let request = self.client.request(request).unwrap();
        let mut message = vec![0; request.len() + ndef::RECORD_HEADER];
        let len = ndef::message(&[(Record::Request, &request)], &mut message).unwrap();
        message.truncate(len);
        while self.phone.write_message(&message).await.is_err() {
            self.sim.sleep_us(LOOK_US).await;
        }
        self.told.borrow_mut().writes += 1;
        self.told.borrow_mut().bytes += message.len();
        let asked_us = self.sim.now_us();
        while self.sim.now_us() <= asked_us + PATIENCE_US {
            self.sim.sleep_us(LOOK_US).await;
            let message = self.phone.read_message().await.unwrap_or_default();
            if let Some(found) = ndef::find(&message, Record::Answer)
                && self.client.is_for_us(found.payload)
            {
                return Some(self.client.take(found.payload));
            }
        }
        None
    }

    /// Is there until the socket has all of an update, or refuses it.
    async fn carry(mut self, update: Update) {
        let mut upload = Upload::default();
        let mut upgrade = None;
        self.told.borrow_mut().from_ms = self.sim.now_us() / 1000;
        loop {
            let status = self.status().await;
            let now = upgrade.unwrap_or(status.upgrade);
            let Some(request) = upload.next(&update, &status, &now) else {
                self.told.borrow_mut().end = Some(Ok(now.state));
                return;
            };
            let came = self.ask(&request).await;
            self.told.borrow_mut().until_ms = self.sim.now_us() / 1000;
            match came.map(|came| upload.take(came)) {
                Some(Ok(said)) => upgrade = said.or(upgrade),
                Some(Err(error)) if !is_of_supply(&error) => {
                    self.told.borrow_mut().end = Some(Err(error));
                    return;
                }
                // The socket was away, or goes. Whoever holds the phone begins again, and the socket says where.
                None | Some(Err(_)) => (upload, upgrade) = (Upload::default(), None),
            }
        }
    }
}

/// Tells whether this is what a socket says that loses its supply, or that has just come back.
fn is_of_supply(error: &Error) -> bool {
    match error {
        Error::Refused(code) => matches!(code, Code::Stale | Code::NotStored),
        Error::Upgrade(said) => said.refused == Refusal::SupplyLost.code(),
        _ => false,
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
    fn hand(&self) -> Hand;
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
    fn hand(&self) -> Hand {
        Hand::new(self.world.sim(), &self.outside().tag)
    }

    /// Somebody holds a phone to the tag.
    fn hold_phone(&self, update: &Update) -> Rc<RefCell<Told>> {
        let hand = self.hand();
        let told = hand.told.clone();
        self.world.sim().spawn(hand.carry(update.clone()));
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

/// What a socket says when a header comes by the tag, a piece, and the request to restart into that.
fn answers<B: Board>(bench: &mut Bench<B>, update: &Update, image: &[u8]) -> [Came; 3] {
    let came = Rc::new(RefCell::new(Vec::new()));
    let (mut hand, to) = (bench.hand(), came.clone());
    let (header, image) = (update.header().to_bytes(), image.to_vec());
    bench.world.sim().spawn(async move {
        for request in [
            Request::UpgradeBegin { header: &header },
            Request::UpgradeChunk { offset: 0, data: &image },
            Request::UpgradeFinish,
        ] {
            hand.status().await;
            let answer = hand.ask(&request).await.expect("the socket is there");
            to.borrow_mut().push(answer);
        }
    });
    while came.borrow().len() < 3 {
        bench.run(1_000);
        assert!(bench.now_us() < 400_000_000, "{came:?}");
    }
    came.take().try_into().unwrap()
}

fn an_update_cut_short_is_refused_with_its_reason<B: Board>() {
    let (image, update) = next::<B>();
    // The file: the tool sends none of it.
    for there in [0, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 1024, HEADER_LEN + image.len() - 1] {
        let file = image::update::<B>()[..there].to_vec();
        let error = Update::parse(file).unwrap_err();
        assert_eq!(error.kind(), "update_file", "{there} bytes: {error}");
    }
    let mut bench = joined::<B>(6);
    let before = bench.active(image.len());
    let refused = |came: &Came| match came {
        Err(Error::Upgrade(said)) => Refusal::from_code(said.refused, said.received),
        other => panic!("{other:?}"),
    };
    let short = &image[..1024];
    // A tool that says it were all: the socket wants the rest.
    let [begun, taken, end] = answers(&mut bench, &update, short);
    assert_eq!(begun.unwrap().unwrap().total as usize, image.len());
    assert_eq!(taken.unwrap().unwrap().received, 1024);
    assert_eq!(refused(&end), Some(Refusal::Offset { wanted: 1024 }));
    // A header that tells of less: that is not what the maker signed.
    let mut header = update.header().to_bytes();
    header[28..32].copy_from_slice(&1024_u32.to_le_bytes());
    let told_less = whole(&Header::parse(&header).unwrap(), short);
    // The refusals at the end are about the first upgrade, which goes on waiting for its rest.
    let [begun, ..] = answers(&mut bench, &told_less, short);
    assert_eq!(refused(&begun), Some(Refusal::Signature));
    // A maker's slip: a header of the length that is there, with the hash of the whole.
    let mut about = made::<B>(&image, |_| {}).header().image();
    about.len = 1024;
    let [begun, taken, end] = answers(&mut bench, &whole(&signed(&about), short), short);
    assert_eq!((begun.unwrap().unwrap().total, taken.unwrap().unwrap().received), (1024, 1024));
    assert_eq!(refused(&end), Some(Refusal::Hash));
    // And more than the header tells of: the socket has its pieces of 160 bytes as far as they fit.
    let [_, too_much, end] = answers(&mut bench, &made::<B>(short, |_| {}), &image[..1032]);
    assert_eq!(refused(&too_much), Some(Refusal::Length));
    assert_eq!(refused(&end), Some(Refusal::Offset { wanted: 960 }));
    bench.run(30_000);
    assert!(bench.causes().is_empty() && bench.levels().is_empty(), "{:#?}", bench.events);
    assert!(bench.active(image.len()) == before);
    bench.is_clean("");
}

/// The supply goes. Either it falls as it does, and the socket stops in time; or at once, inside an operation on the flash. Tells
/// whether that was torn.
fn cut_power<B: Board>(bench: &mut Bench<B>, random: &mut Random) -> bool {
    if random.below(2) == 0 {
        let (after, seed) = (random.below(40), random.below(u64::MAX >> 11));
        bench.outside().flash.cut_after(after, Cut::Inside { seed });
        let mut waited = 0;
        while bench.outside().flash.is_powered() && waited < 3_000 {
            bench.run(1);
            waited += 1;
        }
    }
    bench.act("power off").run(5_000 + random.below(5_000));
    assert!(bench.socket().with_machine(|_| ()).is_none(), "the supply is still there");
    let is_torn = !bench.outside().flash.is_powered();
    bench.outside().flash.power_on();
    bench.act("power on");
    is_torn
}

/// Uploads with so many cuts each, at random moments; and so many in the swap.
fn upload_with_cuts<B: Board>(seed: u64, cuts: u64, in_swap: u64) -> u64 {
    let (image, update) = next::<B>();
    let mut random = Random::new(seed);
    let mut bench = joined::<B>(10 + seed);
    let told = bench.hold_phone(&update);
    let mut torn = 0;
    for cut in 0..cuts {
        // Most of an upload without a cut takes some five minutes; a part of it is done between two cuts.
        bench.run(5_000 + random.below(240_000 / cuts));
        assert!(told.borrow().end.is_none(), "cut {cut}: {told:?}");
        torn += u64::from(cut_power(&mut bench, &mut random));
        let is_start = |(_, event): &(u64, Event)| matches!(event, Event::Relay { cause: "power_up", .. });
        bench.run(3_000);
        assert_eq!(
            bench.events.iter().filter(|it| is_start(it)).count() as u64,
            cut + 1,
            "{:#?}",
            bench.events
        );
    }
    let mut waited_ms = 0;
    while bench.causes().is_empty() {
        bench.run(100);
        waited_ms += 100;
        assert!(waited_ms < 900_000, "{told:?} {:#?}", bench.events);
    }
    assert_eq!(told.borrow().end, Some(Ok(UpgradeState::Ready)));
    assert_eq!(bench.causes(), ["upgrade"], "{:#?}", bench.events);
    bench.events.clear();
    for _ in 0..in_swap {
        // The whole swap takes 6 s and more; a supply that falls would hold for a part of that.
        bench.run(500 + random.below(1_000));
        bench.outside().flash.cut_after(0, Cut::Inside { seed: random.below(1 << 50) });
        bench.run(100).act("power off").run(10_000);
        assert!(!bench.outside().flash.is_powered() && bench.levels().is_empty(), "the swap is over");
        bench.outside().flash.power_on();
        bench.act("power on");
    }
    bench.run(120_000);
    assert!(bench.active(image.len()) == image, "the active slot has the update");
    assert_eq!(bench.shown(), (UpgradeState::Confirmed, update.version()), "{:#?}", bench.events);
    bench.is_clean("");
    torn
}

fn an_upgrade_goes_on_after_power_cuts_in_the_upload_and_in_the_swap<B: Board>() {
    upload_with_cuts::<B>(1, 3, 2);
}

/// `SOCKEYE_RUNS` cuts in all, ten in each upload.
fn a_hundred_cuts_in_uploads_end_in_the_update<B: Board>() {
    let uploads = runs(100).div_ceil(10);
    let torn: u64 = (1..=uploads).map(|seed| upload_with_cuts::<B>(seed, 10, 3)).sum();
    println!(
        "{}: {} power cuts at random moments of {uploads} uploads through the tag, {torn} of them inside a flash operation, and {} in \
         the swaps: each ended in the update, confirmed",
        B::NAME,
        uploads * 10,
        uploads * 3
    );
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
    an_update_cut_short_is_refused_with_its_reason
    an_upgrade_goes_on_after_power_cuts_in_the_upload_and_in_the_swap
    #[ignore = "minutes"]
    a_hundred_cuts_in_uploads_end_in_the_update
    an_image_that_hangs_goes_back_and_the_relay_stays
    an_image_that_cannot_measure_goes_back_after_five_minutes
}
