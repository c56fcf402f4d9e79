//! The power goes at each operation of the flash: of a new socket's first hours, and of an old one's page turns.
//!
//! A life is lived once, and every program and erase of its flash is listed. For each of them the flash is then
//! made as a cut in it would have left it, torn in several ways, and a socket starts on that: each record has its
//! old or its new value (design rule 5), no counter that was on the air comes again (rule 4), and the relay stands
//! as stored.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;
use sockeye_storage::{MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::air::Gateway;
use sockeye_virtual_hardware::flash::{Change, Chip, Cut, Flash, Operation, Rp2040, Stm32wl, Stm32wlNmi};

const PAGES: usize = 7;

/// Bytes of a stored energy sum.
const ENERGY: usize = 7;

/// How often each operation is torn, an erase four times as often; more under `--release`.
const TEARS: u64 = if cfg!(debug_assertions) { 1 } else { 8 };

/// How long a socket that starts on debris is watched: its first frame comes after at most 30 s.
const WATCH_MS: u64 = 33_000;

/// The records by their place in `RecordId::ALL`.
type Records = [Vec<u8>; RecordId::ALL.len()];

fn place(id: RecordId) -> usize {
    RecordId::ALL.iter().position(|other| *other == id).unwrap()
}

fn storage<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

/// Reads all records; `None` when the power goes on the way.
fn read<C: Chip>(flash: &Flash<C>) -> Option<Records> {
    let mut storage = storage(flash);
    let mut records = Records::default();
    for (record, id) in records.iter_mut().zip(RecordId::ALL) {
        let mut out = [0; MAX_RECORD];
        match embassy_futures::block_on(storage.load(id, &mut out)) {
            Ok(length) => record.extend(&out[..length.unwrap_or(0)]),
            Err(error) => {
                assert!(!flash.is_powered(), "{id:?}: {error:?}");
                return None;
            }
        }
    }
    assert_eq!(storage.erasures(), 0, "everything was erased");
    Some(records)
}

/// What a life left: the flash before it, what was done to it, and what was on the air.
struct Life {
    start: Flash<Stm32wl>,
    end: Flash<Stm32wl>,
    operations: Vec<Operation>,
    /// Uplinks with the instant in µs at which they began, those before this life too.
    frames: Vec<(u64, Vec<u8>)>,
    events: Vec<(u64, Event)>,
}

/// A frame may have to give way to the outage alert; of the flash nothing may be told.
fn assert_flash_is_well(bench: &Bench) {
    assert!(bench.errors().iter().all(|what| !what.starts_with("flash")), "{:?}", bench.errors());
}

/// Lives as the script says until the clock shows `end_ms`.
fn live(bench: &mut Bench, sniffer: &Gateway, script: &str, end_ms: u64) -> Life {
    let flash = bench.world.flash(0).unwrap().clone();
    let start = flash.duplicate();
    let sim = bench.world.sim().clone();
    flash.record(move || sim.now_us());
    bench.forget().play(script, end_ms);
    assert_flash_is_well(bench);
    let operations = flash.take_operations();
    let frames = sniffed(sniffer);
    for (at_us, _) in &frames {
        assert!(operations.iter().all(|operation| operation.stamp != *at_us), "which came first?");
    }
    Life { start, end: flash.duplicate(), operations, frames, events: std::mem::take(&mut bench.events) }
}

/// The first minutes of a new socket: join, commands, switching, energy, a delay task, a restart, a power cut.
fn young() -> (Bench, Gateway, Life) {
    let mut bench = Bench::new("");
    let sniffer = bench.world.medium().gateway();
    let life = live(&mut bench, &sniffer, YOUNG, 150_000);
    for name in ["settings", "mac_session", "mac_counters", "relay_state", "energy", "delay_task"] {
        let is_it = |event: &Event| matches!(event, Event::Stored { record } if *record == name);
        assert!(life.events.iter().any(|(_, event)| is_it(event)), "{name} was not stored");
    }
    (bench, sniffer, life)
}

/// Minutes of a socket that stored so much before that the next store would turn a page for the `turns`th time.
fn old(turns: u64, script: &str) -> Life {
    let (mut bench, sniffer, young) = young();
    age(bench.world.flash(0).unwrap(), turns);
    let mut life = live(&mut bench, &sniffer, script, 300_000);
    life.frames.splice(0..0, young.frames);
    life
}

fn sniffed(sniffer: &Gateway) -> Vec<(u64, Vec<u8>)> {
    let heard = std::iter::from_fn(|| sniffer.try_receive());
    heard.map(|heard| (heard.transmission.start_us, heard.transmission.payload.to_vec())).collect()
}

/// What may be on the air once: a DevNonce, or a counter of a DevAddr.
fn once(frame: &[u8]) -> &[u8] {
    match frame[0] >> 5 {
        0 => &frame[17..19],
        2 | 4 => &frame[1..8],
        other => panic!("a socket sent a frame of type {other}"),
    }
}

fn is_join(frame: &[u8]) -> bool {
    frame[0] >> 5 == 0
}

/// A walk along the operations of a life, with its counts.
struct Sweep<C> {
    /// The flash before the operation at hand.
    flash: Flash<C>,
    records: Records,
    cuts: u64,
    second_cuts: u64,
    changes: u64,
    seed: u64,
}

impl<C: Chip> Sweep<C> {
    fn new(start: &Flash<C>) -> Self {
        let flash = start.duplicate();
        let records = read(&flash.duplicate()).unwrap();
        Self { flash, records, cuts: 0, second_cuts: 0, changes: 0, seed: 0 }
    }

    /// Cuts the power in an operation, in several ways; then does it. Gives what one of the cuts left.
    fn step(&mut self, change: &Change) -> Flash<C> {
        let before = self.records.clone();
        let done = self.flash.duplicate();
        done.redo(change).unwrap();
        let after = read(&done.duplicate()).unwrap();
        let is_erase = matches!(change, Change::Erase { .. });
        let tears = 1 + if is_erase { 4 * TEARS } else { TEARS };
        let mut debris = None;
        for tear in 0..tears {
            let torn = self.flash.duplicate();
            self.seed += 1;
            torn.cut_after(0, if tear == 0 { Cut::Before } else { Cut::Inside { seed: self.seed } });
            torn.redo(change).unwrap_err();
            torn.power_on();
            self.cuts += 1;
            self.check(&torn, &before, &after, change);
            if is_erase && tear > 0 || self.seed.is_multiple_of(16) {
                self.cut_again(&torn, &before, &after, change);
            }
            debris = Some(torn);
        }
        self.changes += before.iter().zip(&after).filter(|(old, new)| old != new).count() as u64;
        (self.flash, self.records) = (done, after);
        debris.unwrap()
    }

    fn check(&self, torn: &Flash<C>, before: &Records, after: &Records, change: &Change) {
        let found = read(&torn.duplicate()).expect("the power stays");
        for (place, id) in RecordId::ALL.into_iter().enumerate() {
            let old_or_new = found[place] == before[place] || found[place] == after[place];
            assert!(old_or_new, "{id:?} after a cut in {change:?}");
        }
    }

    /// Cuts the start that follows a cut, at each of its operations.
    fn cut_again(&mut self, torn: &Flash<C>, before: &Records, after: &Records, change: &Change) {
        for operation in 0.. {
            let again = torn.duplicate();
            self.seed += 1;
            again.cut_after(operation, Cut::Inside { seed: self.seed });
            if read(&again).is_some() {
                return;
            }
            again.power_on();
            self.second_cuts += 1;
            self.check(&again, before, after, change);
        }
    }
}

/// Starts a socket on what a cut left, and watches it.
fn start_on(debris: &Flash<Stm32wl>, used: &[&[u8]]) {
    let found = read(&debris.duplicate()).expect("the power stays");
    let mut bench = Bench::new("");
    bench.world.flash(0).unwrap().become_like(debris);
    let sniffer = bench.world.medium().gateway();
    bench.run_to(1_000);
    let status = bench.world.status();
    assert_eq!(status.relay_on, found[place(RecordId::RelayState)] != [0], "the relay");
    let mut energy = [0; 8];
    let stored = &found[place(RecordId::Energy)];
    energy[..stored.len()].copy_from_slice(stored);
    assert_eq!(status.energy_uwh, u64::from_le_bytes(energy), "the energy sum");
    bench.run_to(WATCH_MS);
    assert_flash_is_well(&bench);
    let frames = sniffed(&sniffer);
    assert!(!frames.is_empty(), "it is silent");
    for (_, frame) in &frames {
        assert!(!used.contains(&once(frame)), "{:02x?} was on the air before", once(frame));
        if is_join(frame) {
            // What follows is another session, or that DevNonce once more.
            break;
        }
    }
}

/// Cuts a life at each of its operations, and starts a socket on what is left.
fn sweep(name: &str, life: &Life) {
    let mut sweep = Sweep::new(&life.start);
    let mut starts = 0;
    let mut most_used = 0;
    for operation in &life.operations {
        let debris = sweep.step(&operation.change);
        let before = life.frames.iter().filter(|(at_us, _)| *at_us < operation.stamp);
        let used: Vec<_> = before.map(|(_, frame)| once(frame)).collect();
        start_on(&debris, &used);
        starts += 1;
        most_used = used.len().max(most_used);
    }
    let Sweep { cuts, second_cuts, changes, records, .. } = sweep;
    let erases = life.operations.iter().filter(|done| matches!(done.change, Change::Erase { .. })).count();
    println!(
        "{name}: {} operations, {erases} of them erases; {cuts} cuts, {second_cuts} more in the start after one, \
         {starts} sockets started",
        life.operations.len()
    );
    assert!(most_used > 4, "nothing was on the air that could come again");
    assert_eq!(Some(records), read(&life.end.duplicate()), "the list is not the life");
    // No record had a value on the way that nobody stored.
    let stored = life.events.iter().filter(|(_, event)| matches!(event, Event::Stored { .. })).count() as u64;
    assert!(changes <= stored + RecordId::ALL.len() as u64, "{changes} changes by {stored} stores");
}

const YOUNG: &str = "at 1s load 3000W
at 40s downlink 85 ff033c00
at 50s press
at 55s press
at 60s downlink 85 ff22003c0011
at 80s downlink 85 ff10ff
at 145s power off";

const OLD: &str = "at 160s power on
at 200s downlink 85 ff034800
at 205s press
at 210s press
at 220s downlink 85 ff2200080011
at 290s power off";

/// The button held until the factory reset; nobody hears the joins that follow.
const RESET: &str = "at 160s power on
at 200s gateway off
at 201s hold 11s";

/// Stores energy sums until one more would turn a page for the `turns`th time.
fn age<C: Chip>(flash: &Flash<C>, turns: u64) {
    let mut turned = 0;
    for sum in 1_u64.. {
        let before = flash.duplicate();
        let mut storage = storage(flash);
        embassy_futures::block_on(storage.store(RecordId::Energy, &sum.to_le_bytes()[..ENERGY])).unwrap();
        turned += u64::from(flash.counts().erases > before.counts().erases);
        if turned == turns {
            flash.become_like(&before);
            return;
        }
    }
}

fn has_an_erase(life: &Life) -> bool {
    life.operations.iter().any(|done| matches!(done.change, Change::Erase { .. }))
}

#[test]
fn rules_4_and_5_a_cut_at_any_flash_operation_of_a_new_sockets_life() {
    sweep("a new socket", &young().2);
}

#[test]
fn rules_4_and_5_a_cut_at_any_flash_operation_while_pages_turn() {
    // Each of the six pages of records is the one that is emptied in one of these lives.
    for turns in 1..=6 {
        let life = old(turns, OLD);
        assert!(has_an_erase(&life), "no page was turned");
        sweep(&format!("an old socket, turn {turns}"), &life);
    }
}

#[test]
fn rules_4_and_5_a_cut_at_any_flash_operation_of_a_factory_reset() {
    for turns in [1, 3] {
        let life = old(turns, RESET);
        assert!(has_an_erase(&life), "no page was turned");
        let is_reset = |event: &Event| matches!(event, Event::Reboot { cause: "factory_reset" });
        assert!(life.events.iter().any(|(_, event)| is_reset(event)), "no reset");
        sweep(&format!("a factory reset, turn {turns}"), &life);
    }
}

/// The same stores under the rules of another chip.
fn sweep_chip<C: Chip>(name: &str) {
    let life = young().2;
    let mut flash = life.start.duplicate();
    let mut records = read(&flash).unwrap();
    let mut stores = Vec::new();
    for operation in &life.operations {
        flash = flash.duplicate();
        flash.redo(&operation.change).unwrap();
        let now = read(&flash.duplicate()).unwrap();
        for (place, id) in
            RecordId::ALL.into_iter().enumerate().filter(|(place, _)| now[*place] != records[*place])
        {
            stores.push((id, now[place].clone()));
        }
        records = now;
    }
    let (mut cuts, mut second_cuts, mut operations) = (0, 0, 0);
    for turns in [1, 4] {
        let flash = Flash::<C>::erased(PAGES);
        for (id, bytes) in &stores {
            embassy_futures::block_on(storage(&flash).store(*id, bytes)).unwrap();
        }
        age(&flash, turns);
        let mut sweep = Sweep::new(&flash);
        flash.record(|| 0);
        for (id, bytes) in &stores {
            embassy_futures::block_on(storage(&flash).store(*id, bytes)).unwrap();
        }
        let keep = [RecordId::Identity, RecordId::MacCounters, RecordId::RelayState];
        embassy_futures::block_on(storage(&flash).clear_all_but(&keep)).unwrap();
        for operation in flash.take_operations() {
            sweep.step(&operation.change);
            operations += 1;
        }
        assert_eq!(Some(sweep.records), read(&flash));
        cuts += sweep.cuts;
        second_cuts += sweep.second_cuts;
    }
    println!("{name}: {operations} operations, {cuts} cuts, {second_cuts} more in the start after one");
    assert!(second_cuts > 0);
}

#[test]
fn rule_5_the_same_stores_behind_the_stm32wls_nmi() {
    sweep_chip::<Stm32wlNmi>("STM32WL behind its NMI");
}

#[test]
fn rule_5_the_same_stores_on_the_rp2040() {
    sweep_chip::<Rp2040>("RP2040");
}

/// The sweeps above are worth something only if they would see it.
#[test]
#[should_panic(expected = "was on the air before")]
fn a_flash_that_forgot_what_was_on_the_air_is_noticed() {
    let life = old(1, OLD);
    let used: Vec<_> = life.frames.iter().map(|(_, frame)| once(frame)).collect();
    start_on(&life.start, &used);
}
