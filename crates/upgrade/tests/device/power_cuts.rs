//! The power goes at each operation of the flash: while an image is written, while it is swapped in, and while it goes back.
//!
//! A life is lived once, and every program and erase of its flash is listed. For each of them the flash is made as a cut in
//! it would have left it, torn in several ways, and the life goes on from there: through the real bootloader to one of the
//! two images, whole, with the records as they were; and the upgrade comes to its end.

use embassy_futures::block_on;
use sockeye_storage::{RecordId, Storage};
use sockeye_upgrade::{Refusal, State};
use sockeye_virtual_hardware::flash::{Change, Chip, Cut, Flash, Rp2040, Stm32wl, Stm32wlNmi};
use std::cell::Cell;
use std::rc::Rc;

use crate::rig::{Layout, NEW, OLD, bytes, header, send};

/// How often each operation is torn, an erase four times as often; more under `--release`.
const TEARS: u64 = if cfg!(debug_assertions) { 1 } else { 4 };

/// What those outside the device know, and a power cut does not take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// The new image has run.
    tried: bool,
    /// The record that is in flash, and the one that was being stored: each start stores one more.
    stored: u16,
    storing: u16,
}

impl Known {
    fn to_word(self) -> u64 {
        u64::from(self.tried) << 32 | u64::from(self.stored) << 16 | u64::from(self.storing)
    }

    fn from_word(word: u64) -> Self {
        Self { tried: word >> 32 != 0, stored: (word >> 16) as u16, storing: word as u16 }
    }
}

struct Life<C: Chip, B: Chip> {
    layout: Layout,
    flash: Flash<C>,
    bootloader: Flash<B>,
    known: Rc<Cell<Known>>,
    /// The new image shows that it is well.
    is_good: bool,
    old: Vec<u8>,
    new: Vec<u8>,
    header: Vec<u8>,
}

/// The power went.
#[derive(Debug)]
struct Gone;

impl<C: Chip, B: Chip> Life<C, B> {
    fn new(pages: usize, is_good: bool) -> Self {
        let layout = Layout::of::<C>(pages);
        let flash: Flash<C> = layout.flash();
        let (old, new) = (bytes(layout.capacity(), 1), bytes(layout.capacity() - 99, 2));
        flash.spoil(layout.active().start as usize, &old);
        flash.spoil(layout.dfu().start as usize, &bytes(layout.capacity() + layout.page, 3));
        let header = header(&new, NEW);
        Self { bootloader: flash.seen_as(), layout, flash, known: Rc::default(), is_good, old, new, header }
    }

    fn with(&self, flash: &Flash<C>, known: Known) -> Self {
        let (old, new, header) = (self.old.clone(), self.new.clone(), self.header.clone());
        Self {
            layout: self.layout,
            flash: flash.clone(),
            bootloader: flash.seen_as(),
            known: Rc::new(Cell::new(known)),
            is_good: self.is_good,
            old,
            new,
            header,
        }
    }

    /// An error that is the flash's means that the power is gone, and any other is none that there may be.
    fn unless_gone<T, E: std::fmt::Debug>(&self, result: Result<T, E>) -> Result<T, Gone> {
        result.map_err(|error| {
            assert!(!self.flash.is_powered(), "{error:?} with the power on");
            Gone
        })
    }

    fn know(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.get();
        change(&mut known);
        self.known.set(known);
    }

    /// Reads the record, and stores the next one.
    fn use_records(&self) -> Result<(), Gone> {
        let mut storage = Storage::new(self.flash.clone(), self.layout.storage());
        let mut found = [0; 2];
        let loaded = self.unless_gone(block_on(storage.load(RecordId::Energy, &mut found)))?;
        let Known { stored, storing, .. } = self.known.get();
        let found = u16::from_le_bytes(found);
        assert!(
            if loaded.is_some() { found == stored || found == storing } else { stored == 0 },
            "{found} is neither {stored} nor {storing}"
        );
        self.know(|known| (known.stored, known.storing) = (found, found + 1));
        self.unless_gone(block_on(storage.store(RecordId::Energy, &(found + 1).to_le_bytes())))?;
        self.know(|known| known.stored = found + 1);
        assert_eq!(storage.erasures(), 0);
        Ok(())
    }

    /// Lives until the upgrade has come to its end.
    fn run(&self) -> Result<(), Gone> {
        for _ in 0..8 {
            self.unless_gone(self.layout.boot(&self.bootloader))?;
            let active = self.layout.active_bytes(&self.flash);
            let is_new = active.starts_with(&self.new);
            assert!(is_new || active == self.old, "neither image");
            let mut upgrade = self.layout.upgrade(if is_new { NEW } else { OLD });
            let state = self.unless_gone(upgrade.look(&mut self.flash.clone()))?;
            self.use_records()?;
            match (is_new, state) {
                (true, State::Trying) => {
                    self.know(|known| known.tried = true);
                    if self.is_good {
                        self.unless_gone(upgrade.confirm(&mut self.flash.clone()))?;
                        return Ok(());
                    }
                }
                (true, state) => {
                    // It was confirmed when the power went.
                    assert!(self.is_good && state == State::None, "a bad image stays: {state:?}");
                    return Ok(());
                }
                (false, State::Trying) => panic!("the old image on trial"),
                (false, _) if self.known.get().tried && !self.is_good => return Ok(()),
                (false, _) => {
                    match send(&mut upgrade, &self.flash, &self.header, &self.new, 1000) {
                        // A tear that went unseen until the hash: the tool begins anew.
                        Err(Refusal::Hash) => continue,
                        sent => self.unless_gone(sent)?,
                    };
                }
            }
        }
        panic!("it comes to no end");
    }
}

#[derive(Debug, Default)]
struct Count {
    operations: u64,
    erases: u64,
    cuts: u64,
    second_cuts: u64,
}

fn sweep<C: Chip, B: Chip>(name: &str, pages: usize, is_good: bool) {
    let life = Life::<C, B>::new(pages, is_good);
    let before = life.flash.duplicate();
    let known = life.known.clone();
    life.flash.record(move || known.get().to_word());
    life.run().unwrap();
    let operations = life.flash.take_operations();
    let last = if is_good { &life.new } else { &life.old };
    assert!(life.layout.active_bytes(&life.flash).starts_with(last));

    let mut count = Count { operations: operations.len() as u64, ..Count::default() };
    let mut seed = 0;
    for operation in &operations {
        let is_erase = matches!(operation.change, Change::Erase { .. });
        count.erases += u64::from(is_erase);
        let tears = 1 + if is_erase { 4 * TEARS } else { TEARS };
        for tear in 0..tears {
            seed += 1;
            let flash = before.duplicate();
            flash.cut_after(0, if tear == 0 { Cut::Before } else { Cut::Inside { seed } });
            flash.redo(&operation.change).unwrap_err();
            flash.power_on();
            count.cuts += 1;
            let on = life.with(&flash, Known::from_word(operation.stamp));
            if seed % 4 == 0 {
                // The start after the cut is cut as well.
                flash.cut_after(seed * 7919 % (1 + operations.len() as u64 / 8), Cut::Inside { seed });
                if on.run().is_ok() {
                    continue;
                }
                count.second_cuts += 1;
                flash.power_on();
            }
            on.run().unwrap_or_else(|Gone| panic!("the power stays"));
        }
        before.redo(&operation.change).unwrap();
    }
    println!(
        "{name}, {}: {} operations, {} of them erases; {} cuts, {} more in the start after one",
        if is_good { "confirmed" } else { "gone back" },
        count.operations,
        count.erases,
        count.cuts,
        count.second_cuts
    );
    assert!(count.second_cuts > 0);
}

#[test]
fn a_cut_at_any_flash_operation_of_an_upgrade_on_the_stm32wl() {
    sweep::<Stm32wlNmi, Stm32wlNmi>("STM32WL", 2, true);
}

#[test]
fn a_cut_at_any_flash_operation_of_an_upgrade_that_goes_back_on_the_stm32wl() {
    sweep::<Stm32wlNmi, Stm32wlNmi>("STM32WL", 2, false);
}

#[test]
fn a_cut_at_any_flash_operation_under_a_driver_that_reports_torn_words() {
    sweep::<Stm32wl, Stm32wlNmi>("STM32WL whose driver reports torn words", 2, true);
}

#[test]
fn a_cut_at_any_flash_operation_of_an_upgrade_on_the_rp2040() {
    for is_good in [true, false] {
        sweep::<Rp2040, Rp2040>("RP2040", 4, is_good);
    }
}

/// The sweeps are worth something only if they would see it.
#[test]
#[should_panic(expected = "neither image")]
fn an_image_that_is_not_whole_is_noticed() {
    let life = Life::<Stm32wl, Stm32wlNmi>::new(2, true);
    life.flash.spoil(life.layout.active().start as usize + 3000, &[0]);
    let _ = life.run();
}
