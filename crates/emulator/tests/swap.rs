//! Power cuts in the swap of two images, and in its undoing: with the bootloader as it is flashed, on the modelled STM32WL.
//!
//! The uncut run is done once, and its operations on the flash are listed. For each of them, and each way to cut it, the chip
//! starts anew on what the cut left. Once its flash is, after a note of the bootloader's, what it was after some note of the
//! uncut run, the rest is as it was there: the bootloader goes by the flash alone. So it always ends in a whole image.
#![allow(missing_docs, reason = "tests")]

mod image;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use sockeye_emulator::chip::Chip as _;
use sockeye_emulator::elf::Image;
use sockeye_emulator::machine::Machine;
use sockeye_emulator::outside::Outside;
use sockeye_emulator::stm32wl::{ACTIVE, DATA, DFU, FLASH, FLASH_BYTES, NOTES, Stm32wl};
use sockeye_metering::FrontEnd;
use sockeye_virtual_hardware::air::Medium;
use sockeye_virtual_hardware::bl0942::{BaudPin, Bl0942, SharedCircuit};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::{Change, Cut, Flash, Operation, Stm32wlNmi};
use sockeye_virtual_hardware::mains::{Circuit, MeteredCircuit};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{SharedTag, St25dv};
use sockeye_virtual_hardware::sx126x::VirtualChip;

type Nor = Flash<Stm32wlNmi>;

/// A swap takes some 7 s, most of it programs and erases.
const LONGEST_US: u64 = 60_000_000;

const PAGE: usize = 2048;

fn offsets(from: u32, to: u32) -> Range<usize> {
    (from - FLASH) as usize..(to - FLASH) as usize
}

/// The slots of the memory map.
fn active() -> Range<usize> {
    offsets(ACTIVE, DFU)
}

fn notes() -> Range<usize> {
    offsets(NOTES, ACTIVE)
}

/// A chip that has just been given supply, on this flash.
fn machine(image: &Rc<Image>, flash: &Nor) -> Machine<Stm32wl> {
    let sim = Sim::new();
    let meter = Bl0942::new(FrontEnd::TYPICAL, BaudPin::High);
    let outside = Outside {
        radio: VirtualChip::new(&Medium::new(&sim, 1), true),
        circuit: SharedCircuit::new(&sim, MeteredCircuit::new(Circuit::new(230.0), meter)),
        button: VirtualButton::new(&sim),
        flash: flash.clone(),
        tag: SharedTag::new(&sim, St25dv::new(512)),
        supply_low: Rc::new(Cell::new(false)),
        sim,
    };
    Machine::new(image, &outside, [1; 8], 1).unwrap()
}

/// Runs the bootloader for so long; tells whether it has gone to the application.
fn boots(machine: &mut Machine<Stm32wl>, us: u64) -> bool {
    let end_us = machine.now_us() + us;
    while machine.now_us() < end_us {
        machine.run_until_us(end_us).unwrap();
        machine.chip().core_mut().take_changes();
        if machine.chip().core().vtor() == ACTIVE {
            return true;
        }
    }
    false
}

/// What a run without a cut did.
struct Uncut {
    image: Rc<Image>,
    start: Nor,
    end: Nor,
    operations: Vec<Operation>,
    /// The contents after each note, with the number of operations done by then.
    after_notes: Vec<(usize, Vec<u8>)>,
}

fn is_note(change: &Change) -> bool {
    match change {
        Change::Program { offset, .. } => notes().contains(offset),
        Change::Erase { page } => notes().contains(&(page * PAGE)),
    }
}

impl Uncut {
    fn run(image: &Rc<Image>, start: &Nor) -> Self {
        let flash = start.duplicate();
        flash.record(|| 0);
        let mut machine = machine(image, &flash);
        let mut operations = Vec::new();
        let mut has_started = false;
        while !has_started {
            assert!(machine.now_us() < LONGEST_US, "it does not come to the application");
            // Those of the bootloader: in the last millisecond the other image may run, which has changed bits in it.
            assert!(machine.chip().core().faults().is_empty(), "{:?}", machine.chip().core().faults());
            has_started = boots(&mut machine, 1_000);
            operations.extend(flash.take_operations());
        }
        println!("without a cut: {} operations, {} ms", operations.len(), machine.now_us() / 1000);
        let replay = start.duplicate();
        let mut after_notes = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            replay.redo(&operation.change).unwrap();
            if is_note(&operation.change) {
                after_notes.push((number + 1, replay.contents()));
            }
        }
        assert!(replay.contents() == flash.contents(), "the list is not the run");
        Self {
            image: image.clone(),
            start: start.duplicate(),
            end: flash.duplicate(),
            operations,
            after_notes,
        }
    }

    /// Starts on what a cut left of the operation of this number, and watches until all is as it was without the cut.
    fn recovers(&self, number: usize, debris: &Nor) {
        let replay = debris.duplicate();
        debris.record(|| 0);
        let mut machine = machine(&self.image, debris);
        while machine.now_us() < LONGEST_US {
            let has_started = boots(&mut machine, 2_000);
            for operation in debris.take_operations() {
                replay.redo(&operation.change).unwrap();
                if is_note(&operation.change) && self.was_there(number, &replay) {
                    return;
                }
            }
            if has_started {
                // A torn note that says as much as a whole one stays as it is; the slots are what counts.
                let [found, start, end] = [&replay, &self.start, &self.end].map(Flash::contents);
                // With its last note the swap is done, and a start that finds it so goes back: nobody has confirmed it.
                let may_go_back = number + 1 == self.operations.len() && found[active()] == start[active()];
                assert!(may_go_back || found[active()] == end[active()], "operation {number}: not the image");
                return;
            }
        }
        panic!("a cut in operation {number}, {:?}: no start", self.operations[number].change);
    }

    /// Tells whether the uncut run had the flash like this, after a note at this operation or soon later.
    fn was_there(&self, number: usize, flash: &Nor) -> bool {
        let next = self.after_notes.partition_point(|(at, _)| at + 2 < number);
        let contents = flash.contents();
        self.after_notes.iter().skip(next).take(4).any(|(_, then)| *then == contents) && is_readable(flash)
    }

    /// Cuts the operations that are wanted; gives the number of cuts.
    fn sweep(&self, is_wanted: impl Fn(usize, &Change) -> bool) -> u64 {
        let (mut cuts, mut seed) = (0, 0);
        let flash = self.start.duplicate();
        for (number, Operation { change, .. }) in self.operations.iter().enumerate() {
            if is_wanted(number, change) {
                let tears = if matches!(change, Change::Erase { .. }) { 4 } else { 1 };
                for tear in 0..=tears {
                    let debris = flash.duplicate();
                    seed += 1;
                    debris.cut_after(0, if tear == 0 { Cut::Before } else { Cut::Inside { seed } });
                    debris.redo(change).unwrap_err();
                    debris.power_on();
                    self.recovers(number, &debris);
                    cuts += 1;
                }
            }
            flash.redo(change).unwrap();
        }
        cuts
    }
}

/// Tells whether each word can be read.
fn is_readable(flash: &Nor) -> bool {
    let mut copy = flash.duplicate();
    let before = copy.counts().ecc_faults;
    let mut bytes = vec![0; copy.capacity()];
    copy.read(0, &mut bytes).unwrap();
    copy.counts().ecc_faults == before
}

/// A flash with bootloader and application, another image in the other slot, and the mark to swap them.
fn before_a_swap(image: &Image) -> Nor {
    let mut flash = Stm32wl::flash(image);
    let mut other = flash.contents()[active()].to_vec();
    // The other image differs on each page, and can be told from the first one by every word behind its code.
    let used = other.iter().rposition(|byte| *byte != 0xFF).unwrap() + 1;
    for (place, byte) in other.iter_mut().enumerate().skip(used.next_multiple_of(8)) {
        *byte = place as u8;
    }
    for page in other.chunks_mut(PAGE).take(used / PAGE) {
        // A bit in the last word of a page, in code that no start comes by.
        page[PAGE - 1] ^= 0x80;
    }
    flash.write(DFU - FLASH, &other).unwrap();
    flash.write(NOTES - FLASH, &[0xF0; 8]).unwrap();
    flash
}

/// The swap.
fn swap() -> Uncut {
    let image = image::image();
    let start = before_a_swap(&image);
    let swap = Uncut::run(&image, &start);
    let (first, other) = (start.contents(), swap.end.contents());
    let dfu = offsets(DFU, DFU + (DFU - ACTIVE));
    assert!(other[active()] == first[dfu], "not swapped");
    swap
}

/// What a reset without confirmation does: the way back.
fn way_back() -> Uncut {
    let swap = swap();
    let back = Uncut::run(&swap.image, &swap.end);
    let (first, last) = (swap.start.contents(), back.end.contents());
    assert!(last[active()] == first[active()], "not gone back");
    let records = offsets(DATA, FLASH + FLASH_BYTES);
    assert!(last[records.clone()] == first[records], "records were changed");
    back
}

fn sweep(uncut: &Uncut, is_wanted: impl Fn(usize, &Change) -> bool) {
    let start = Instant::now();
    let cuts = uncut.sweep(is_wanted);
    let (operations, s) = (uncut.operations.len(), start.elapsed().as_secs());
    println!("{operations} operations, {cuts} cuts, each ended in a whole image ({s} s)");
    assert!(cuts > 100);
}

/// A sample for each day: the last operations, a seventh of the notes and erases, and one of 397 programs.
fn sample(uncut: &Uncut) {
    sweep(uncut, |number, change| {
        let is_rare = is_note(change) || matches!(change, Change::Erase { .. });
        number + 8 > uncut.operations.len() || is_rare && number % 7 == 0 || number % 397 == 0
    });
}

#[test]
fn a_cut_in_a_sample_of_the_operations_of_a_swap_ends_in_a_whole_image() {
    sample(&swap());
}

#[test]
fn a_cut_in_a_sample_of_the_operations_of_the_way_back_ends_in_a_whole_image() {
    sample(&way_back());
}

/// Every operation; `SWEEP=3/8` takes the fourth of eight equal shares.
fn whole(uncut: &Uncut) {
    let share = std::env::var("SWEEP").unwrap_or_else(|_| "0/1".to_owned());
    let (mine, shares) = share.split_once('/').expect("SWEEP=mine/shares");
    let (mine, shares): (usize, usize) = (mine.parse().unwrap(), shares.parse().unwrap());
    sweep(uncut, |number, _| number % shares == mine);
}

#[test]
#[ignore = "57 000 cuts"]
fn a_cut_in_any_operation_of_a_swap_ends_in_a_whole_image() {
    whole(&swap());
}

#[test]
#[ignore = "57 000 cuts"]
fn a_cut_in_any_operation_of_the_way_back_ends_in_a_whole_image() {
    whole(&way_back());
}
