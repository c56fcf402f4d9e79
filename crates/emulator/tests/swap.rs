//! Power cuts in the swap of two images, and in its undoing: with the bootloaders as they are flashed, on the modelled chips.
//!
//! The uncut run is done once, and its operations on the flash are listed. For each of them, and each way to cut it, the chip
//! starts anew on what the cut left. Once its flash is, after a note of the bootloader's, what it was after some note of the
//! uncut run, the rest is as it was there: the bootloader goes by the flash alone. So it always ends in a whole image.
//!
//! A start that comes, behind an erase, to the very state of an earlier one (flash, RAM and registers) ends as that one did. And
//! until its first erase it does as that one did, if the notes are the same and the bootloader had read nothing else until then but
//! itself: that is looked at for all notes that there are. So most starts need not be gone through. One in 64 is, all the same.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod image;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use image::{Board, MemoryMap};
use sockeye_emulator::chip::Chip;
use sockeye_emulator::elf::Image;
use sockeye_emulator::machine::{Machine, Reads};
use sockeye_emulator::outside::Outside;
use sockeye_virtual_hardware::air::Medium;
use sockeye_virtual_hardware::flash::{Change, Cut, Flash, Operation};
use sockeye_virtual_hardware::sim::Sim;

type Nor<B> = Flash<<B as Chip>::Nor>;

/// A swap takes some 7 s on the STM32WL and 20 s on the RP2040, most of it programs and erases.
const LONGEST_US: u64 = 60_000_000;

/// The memory map, as offsets in the flash.
#[derive(Clone)]
struct Map {
    bootloader: Range<usize>,
    notes: Range<usize>,
    active: Range<usize>,
    dfu: Range<usize>,
    records: Range<usize>,
    page: usize,
    /// Where the flash is.
    origin: u32,
    /// Where the application's vectors are.
    vectors: u32,
    ram: Range<u32>,
}

impl Map {
    fn of<B: Board>() -> Self {
        let map = MemoryMap::of::<B>();
        let part = |name| {
            let Range { start, end } = map.part(name);
            start as usize..end as usize
        };
        let ram = map.number("ram_origin");
        let origin = map.number("bootloader_origin") & 0xFF00_0000;
        Self {
            origin,
            // From the first byte on, where the RP2040's loader lies.
            bootloader: 0..part("bootloader").end,
            notes: part("state"),
            active: part("active"),
            dfu: part("dfu"),
            records: part("storage"),
            page: map.number("erase_size") as usize,
            vectors: map.number("active_origin"),
            ram: ram..ram + map.number("ram_length"),
        }
    }

    /// Tells whether of the flash the bootloader and the notes were read, and nothing else.
    fn are_notes(&self, reads: &Reads) -> bool {
        let at = |part: &Range<usize>| self.origin + part.start as u32..self.origin + part.end as u32;
        reads.are_within(&at(&(0..self.records.end)), &[at(&self.bootloader), at(&self.notes)])
    }

    fn is_note(&self, change: &Change) -> bool {
        match change {
            Change::Program { offset, .. } => self.notes.contains(offset),
            Change::Erase { page } => self.notes.contains(&(page * self.page)),
        }
    }
}

/// A chip that has just been given supply, on this flash.
fn machine<B: Board>(image: &Rc<Image>, flash: &Nor<B>) -> Machine<B> {
    let sim = Sim::new();
    let outside = Outside::new(&sim, &Medium::new(&sim, 1), flash.clone());
    Machine::new(image, &outside, [1; 8], 1).unwrap()
}

/// Runs the bootloader for so long; tells whether it has gone to the application.
fn boots<B: Board>(machine: &mut Machine<B>, vectors: u32, us: u64) -> bool {
    let end_us = machine.now_us() + us;
    while machine.now_us() < end_us {
        machine.run_until_us(end_us).unwrap();
        machine.chip().core_mut().take_changes();
        if machine.chip().core().vtor() == vectors {
            return true;
        }
    }
    false
}

/// What a run without a cut did.
struct Uncut<B: Board> {
    image: Rc<Image>,
    map: Map,
    start: Nor<B>,
    end: Nor<B>,
    operations: Vec<Operation>,
    /// The contents after each note, with the number of operations done by then.
    after_notes: Vec<(usize, Vec<u8>)>,
}

impl<B: Board> Uncut<B> {
    fn run(image: &Rc<Image>, start: &Nor<B>) -> Self {
        let map = Map::of::<B>();
        let flash = start.duplicate();
        flash.record(|| 0);
        let mut machine = machine::<B>(image, &flash);
        let mut operations = Vec::new();
        let mut has_started = false;
        while !has_started {
            assert!(machine.now_us() < LONGEST_US, "it does not come to the application");
            // Those of the bootloader: in the last millisecond the other image may run, which has changed bits in it.
            assert!(machine.chip().core().faults().is_empty(), "{:?}", machine.chip().core().faults());
            has_started = boots(&mut machine, map.vectors, 1_000);
            operations.extend(flash.take_operations());
        }
        println!(
            "{}: without a cut: {} operations, {} ms",
            B::NAME,
            operations.len(),
            machine.now_us() / 1000
        );
        let replay = start.duplicate();
        let mut after_notes = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            replay.redo(&operation.change).unwrap();
            if map.is_note(&operation.change) {
                after_notes.push((number + 1, replay.contents()));
            }
        }
        assert!(replay.contents() == flash.contents(), "the list is not the run");
        Self {
            image: image.clone(),
            map,
            start: start.duplicate(),
            end: flash.duplicate(),
            operations,
            after_notes,
        }
    }

    /// Tells whether the uncut run had the flash like this, after a note at this operation or soon later.
    fn was_there(&self, number: usize, flash: &Nor<B>) -> bool {
        let next = self.after_notes.partition_point(|(at, _)| at + 2 < number);
        let is_like = |then: &[u8]| flash.show(|contents| contents == then);
        self.after_notes.iter().skip(next).take(4).any(|(_, then)| is_like(then)) && !is_torn(flash)
    }

    /// Cuts the operations that are wanted.
    fn sweep(&self, is_wanted: impl Fn(usize, &Change) -> bool) -> Counts {
        let mut recovery = Recovery::new(self);
        let flash = self.start.duplicate();
        for (number, Operation { change, .. }) in self.operations.iter().enumerate() {
            if is_wanted(number, change) {
                let tears = if matches!(change, Change::Erase { .. }) { 4 } else { B::TEARS };
                for tear in 0..=tears {
                    let debris = &recovery.flash;
                    debris.become_like(&flash);
                    let seed = number as u64 * 8 + tear;
                    debris.cut_after(0, if tear == 0 { Cut::Before } else { Cut::Inside { seed } });
                    debris.redo(change).unwrap_err();
                    debris.power_on();
                    recovery.counts.cuts += 1;
                    recovery.counts.torn += u64::from(tear > 0);
                    recovery.run(number);
                }
            }
            flash.redo(change).unwrap();
        }
        recovery.counts
    }
}

fn is_torn<N: sockeye_virtual_hardware::flash::Chip>(flash: &Flash<N>) -> bool {
    flash.is_torn_in(0..u32::try_from(flash.capacity()).unwrap())
}

/// How many cuts were made.
#[derive(Clone, Copy, Default)]
struct Counts {
    cuts: u64,
    /// Those inside an operation.
    torn: u64,
    /// Those whose start went back to the image before.
    old: u64,
    /// Those that were gone through at least to their first erase.
    started: u64,
    /// Those whose start was followed until its flash was like the uncut run's, or to the application; the others came to the
    /// state of one of these.
    followed: u64,
}

/// What starts do first.
#[derive(Clone, Copy)]
enum First {
    /// Something that may hang on more than the notes.
    Else,
    /// They erase this page, having read nothing but bootloader and notes. RAM and registers are then as this number says, once
    /// one of them has gone so far.
    Erase { page: usize, ram: Option<u64> },
}

/// A chip that is started on what cuts have left.
struct Recovery<'a, B: Board> {
    uncut: &'a Uncut<B>,
    machine: Machine<B>,
    /// The machine's.
    flash: Nor<B>,
    replay: Nor<B>,
    /// Another one, which lists what is read.
    watched: (Machine<B>, Nor<B>, Reads),
    /// What starts do first, by the notes that they find.
    first: HashMap<u64, First>,
    /// States from which everything went well.
    good: HashSet<u64>,
    counts: Counts,
}

impl<'a, B: Board> Recovery<'a, B> {
    fn new(uncut: &'a Uncut<B>) -> Self {
        let flash = uncut.start.duplicate();
        flash.record(|| 0);
        let chip = machine::<B>(&uncut.image, &flash);
        let watched_flash = uncut.start.duplicate();
        watched_flash.record(|| 0);
        let mut watched = machine::<B>(&uncut.image, &watched_flash);
        let reads = watched.watch_reads().unwrap();
        Self {
            uncut,
            machine: chip,
            flash,
            replay: uncut.start.duplicate(),
            watched: (watched, watched_flash, reads),
            first: HashMap::new(),
            good: HashSet::new(),
            counts: Counts::default(),
        }
    }

    /// Starts on what a cut left of the operation of this number, and watches until all is as it was without the cut.
    fn run(&mut self, number: usize) {
        let uncut = self.uncut;
        self.replay.become_like(&self.flash);
        // The one that was cut.
        let _ = self.flash.take_operations();
        let notes = self.notes();
        let expected = self.expected(notes);
        if expected.is_some_and(|state| self.good.contains(&state)) && !self.counts.cuts.is_multiple_of(64) {
            return;
        }
        // The same noise in RAM each time, as two starts are compared.
        self.machine.power_cycle(1).unwrap();
        self.counts.started += 1;
        let (start_us, mut passed) = (self.machine.now_us(), Vec::new());
        let mut done = 0;
        while self.machine.now_us() < start_us + LONGEST_US {
            let has_started = boots(&mut self.machine, uncut.map.vectors, 2_000);
            let operations = self.flash.take_operations();
            done += operations.len();
            for operation in &operations {
                self.replay.redo(&operation.change).unwrap();
                if uncut.map.is_note(&operation.change) && uncut.was_there(number, &self.replay) {
                    return self.is_well(passed);
                }
            }
            if has_started {
                // A torn note that says as much as a whole one stays as it is; the slots are what counts.
                let [found, start, end] = [&self.replay, &uncut.start, &uncut.end].map(Flash::contents);
                let active = uncut.map.active.clone();
                // With its last note the swap is done, and a start that finds it so goes back: nobody has confirmed it.
                let may_go_back =
                    number + 1 == uncut.operations.len() && found[active.clone()] == start[active.clone()];
                assert!(
                    may_go_back || found[active.clone()] == end[active],
                    "operation {number}: not the image"
                );
                self.counts.old += u64::from(may_go_back);
                return self.is_well(passed);
            }
            // An erase takes so long that the machine stands right behind it.
            if let Some(Operation { change: Change::Erase { page }, .. }) = operations.last() {
                let ram = self.ram();
                let state = self.state(ram);
                if done == 1 {
                    assert!(
                        expected.is_none_or(|expected| expected == state),
                        "operation {number}: another way"
                    );
                    let first = First::Erase { page: *page, ram: Some(ram) };
                    self.first
                        .entry(notes)
                        .and_modify(|it| *it = if matches!(it, First::Else) { *it } else { first });
                }
                if self.good.contains(&state) {
                    self.good.extend(passed);
                    return;
                }
                passed.push(state);
            }
        }
        panic!("a cut in operation {number}, {:?}: no start", uncut.operations[number].change);
    }

    /// A number for the notes as they are.
    fn notes(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let notes = self.uncut.map.notes.clone();
        self.flash.is_torn_in(notes.start as u32..notes.end as u32).hash(&mut hasher);
        self.flash.show(|contents| hasher.write(&contents[notes]));
        hasher.finish()
    }

    /// The state behind the first erase of the start to come, if it is known from another one with the same notes.
    fn expected(&mut self, notes: u64) -> Option<u64> {
        if !self.first.contains_key(&notes) {
            // A load of a word near a torn one does not come by the list.
            if is_torn(&self.flash) {
                return None;
            }
            let first = self.look();
            self.first.insert(notes, first);
        }
        let First::Erase { page, ram: Some(ram) } = self.first[&notes] else { return None };
        self.watched.1.become_like(&self.flash);
        self.watched.1.redo(&Change::Erase { page }).unwrap();
        let _ = self.watched.1.take_operations();
        Some(self.state_of(&self.watched.1, ram))
    }

    /// Starts, and tells what comes first.
    fn look(&mut self) -> First {
        let (machine, flash, reads) = &mut self.watched;
        flash.become_like(&self.flash);
        machine.power_cycle(1).unwrap();
        reads.clear();
        let start_us = machine.now_us();
        while machine.now_us() < start_us + LONGEST_US {
            let has_started = boots(machine, self.uncut.map.vectors, 2_000);
            match flash.take_operations()[..] {
                [Operation { change: Change::Erase { page }, .. }] if self.uncut.map.are_notes(reads) => {
                    return First::Erase { page, ram: None };
                }
                [] if !has_started => {}
                _ => return First::Else,
            }
        }
        First::Else
    }

    fn is_well(&mut self, passed: Vec<u64>) {
        self.counts.followed += 1;
        self.good.extend(passed);
    }

    /// A number for RAM and registers.
    fn ram(&self) -> u64 {
        let map = &self.uncut.map;
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.machine.ram(map.ram.start, map.ram.len()).unwrap());
        self.machine.registers().unwrap().hash(&mut hasher);
        hasher.finish()
    }

    /// A number for all that decides how the bootloader goes on.
    fn state(&self, ram: u64) -> u64 {
        self.state_of(&self.flash, ram)
    }

    fn state_of(&self, flash: &Nor<B>, ram: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        // Notes and slots.
        let map = &self.uncut.map;
        let used = map.notes.start..map.dfu.end;
        assert!(used.contains(&map.active.start));
        flash.show(|contents| hasher.write(&contents[used]));
        // None of the two memories has torn words, or the state is one of its own.
        if is_torn(flash) {
            self.counts.cuts.hash(&mut hasher);
        }
        ram.hash(&mut hasher);
        hasher.finish()
    }
}

/// A flash with bootloader and application, another image in the other slot, and the mark to swap them.
fn before_a_swap<B: Board>(image: &Image) -> Nor<B> {
    let map = Map::of::<B>();
    let mut flash = B::flash(image);
    let mut other = flash.contents()[map.active].to_vec();
    // The other image differs on each page, and can be told from the first one by every word behind its code.
    let used = other.iter().rposition(|byte| *byte != 0xFF).unwrap() + 1;
    for (place, byte) in other.iter_mut().enumerate().skip(used.next_multiple_of(8)) {
        *byte = place as u8;
    }
    for page in other.chunks_mut(map.page).take(used / map.page) {
        // A bit in the last word of a page, in code that no start comes by.
        page[map.page - 1] ^= 0x80;
    }
    let offset = |place: usize| u32::try_from(place).unwrap();
    flash.write(offset(map.dfu.start), &other).unwrap();
    flash.write(offset(map.notes.start), &[0xF0; 8]).unwrap();
    flash
}

/// The swap.
fn swap<B: Board>() -> Uncut<B> {
    let image = image::of::<B>();
    let start = before_a_swap::<B>(&image);
    let swap = Uncut::<B>::run(&image, &start);
    let (first, other) = (start.contents(), swap.end.contents());
    let Map { active, dfu, .. } = swap.map.clone();
    assert!(other[active.clone()] == first[dfu.start..dfu.start + active.len()], "not swapped");
    swap
}

/// What a reset without confirmation does: the way back.
fn way_back<B: Board>() -> Uncut<B> {
    let swap = swap::<B>();
    let back = Uncut::<B>::run(&swap.image, &swap.end);
    let (first, last) = (swap.start.contents(), back.end.contents());
    let Map { active, records, .. } = swap.map.clone();
    assert!(last[active.clone()] == first[active], "not gone back");
    assert!(last[records.clone()] == first[records], "records were changed");
    back
}

fn sweep<B: Board>(what: &str, uncut: &Uncut<B>, is_wanted: impl Fn(usize, &Change) -> bool) {
    let start = Instant::now();
    let Counts { cuts, torn, old, started, followed } = uncut.sweep(is_wanted);
    let (all, s) = (uncut.operations.len(), start.elapsed().as_secs());
    let notes = uncut.operations.iter().filter(|it| uncut.map.is_note(&it.change)).count();
    let is_erase = |it: &&Operation| matches!(it.change, Change::Erase { .. });
    let erases = uncut.operations.iter().filter(is_erase).count();
    println!(
        "{}, {what}: {all} operations on the flash ({erases} erases, {notes} on the notes); {cuts} cuts, {torn} of them inside an \
         operation; {} starts ended in the image that was to come, {old} in the one before, none in anything else.\n  \
         {started} starts were gone through, {followed} of them to a state of the uncut run; the others came to the state of one of \
         these, or had to, by what it reads; {s} s",
        B::NAME,
        cuts - old,
    );
    assert!(cuts > 100);
}

fn what_a_bootloader_reads_of_a_slot_is_listed<B: Board>() {
    let (image, map) = (image::of::<B>(), Map::of::<B>());
    let mut machine = machine::<B>(&image, &B::flash(&image));
    let reads = machine.watch_reads().unwrap();
    assert!(boots(&mut machine, map.vectors, 1_000_000));
    assert!(!map.are_notes(&reads), "{reads:?}");
    let vectors = map.vectors..map.vectors + 8;
    assert!(reads.are_within(&vectors, std::slice::from_ref(&vectors)), "{reads:?}");
}

/// A sample for each day: the last operations, a seventh of the notes and erases, and one of 397 programs.
fn sample<B: Board>(what: &str, uncut: &Uncut<B>) {
    sweep(what, uncut, |number, change| {
        let is_rare = uncut.map.is_note(change) || matches!(change, Change::Erase { .. });
        number + 8 > uncut.operations.len() || is_rare && number % 7 == 0 || number % 397 == 0
    });
}

fn a_cut_in_a_sample_of_the_operations_of_a_swap_ends_in_a_whole_image<B: Board>() {
    sample("swap", &swap::<B>());
}

fn a_cut_in_a_sample_of_the_operations_of_the_way_back_ends_in_a_whole_image<B: Board>() {
    sample("way back", &way_back::<B>());
}

/// Every operation; `SWEEP=3/8` takes the fourth of eight equal shares.
fn whole<B: Board>(what: &str, uncut: &Uncut<B>) {
    let share = std::env::var("SWEEP").unwrap_or_else(|_| "0/1".to_owned());
    let (mine, shares) = share.split_once('/').expect("SWEEP=mine/shares");
    let (mine, shares): (usize, usize) = (mine.parse().unwrap(), shares.parse().unwrap());
    sweep(what, uncut, |number, _| number % shares == mine);
}

fn a_cut_in_any_operation_of_a_swap_ends_in_a_whole_image<B: Board>() {
    whole("swap", &swap::<B>());
}

fn a_cut_in_any_operation_of_the_way_back_ends_in_a_whole_image<B: Board>() {
    whole("way back", &way_back::<B>());
}

on_both! {
    what_a_bootloader_reads_of_a_slot_is_listed
    a_cut_in_a_sample_of_the_operations_of_a_swap_ends_in_a_whole_image
    a_cut_in_a_sample_of_the_operations_of_the_way_back_ends_in_a_whole_image
    #[ignore = "every operation"]
    a_cut_in_any_operation_of_a_swap_ends_in_a_whole_image
    #[ignore = "every operation"]
    a_cut_in_any_operation_of_the_way_back_ends_in_a_whole_image
}
