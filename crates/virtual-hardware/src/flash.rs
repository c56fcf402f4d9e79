//! NOR flash of the two chips, with wear, power cuts and what a cut leaves behind.
//!
//! A [`Flash`] is a handle: clones share one memory, so that a device can be dropped, as by a power cut, and
//! started again on the same contents. It works at once; how long the chip would take is counted in
//! [`Counts::busy_us`].
//!
//! # What a cut leaves
//! A cut inside a program operation leaves each bit that was to be cleared either cleared or not. On the
//! STM32WL such a word has a wrong error correction code and cannot be read. A cut inside an erase leaves
//! either a part of the page erased, from its start, or each bit of it set or not; on the STM32WL every word
//! with some of its bits changed cannot be read.

mod faults;
mod journal;
mod part;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use journal::Journal;
pub use journal::{Change, Operation};
pub use part::Part;

/// The rules of a chip's flash.
pub trait Chip: 'static {
    /// Bytes of the smallest read.
    const READ_SIZE: usize;
    /// Bytes of the smallest write.
    const WRITE_SIZE: usize;
    /// Bytes that one program operation covers at most, aligned to as many.
    const PROGRAM_SIZE: usize;
    /// Bytes of the smallest erase.
    const ERASE_SIZE: usize;
    /// Whether words carry an error correction code: then a word is written once, and after that with zeros only.
    const HAS_ECC: bool;
    /// Whether the driver reports a word with a wrong code as an error, or hands out its bits as they are.
    const TORN_READ_FAILS: bool;
    /// Microseconds of one program operation.
    const PROGRAM_US: u64;
    /// Microseconds of one erase.
    const ERASE_US: u64;
}

/// The STM32WL: 2 KB pages; words of 8 bytes, each written once, except with zeros, and checked when read.
///
/// Source: RM0453 §4.3 (flash memory programming), constants of embassy-stm32 0.6.0; times of the data sheet.
#[derive(Clone, Copy, Debug)]
pub enum Stm32wl {}

impl Chip for Stm32wl {
    const READ_SIZE: usize = 1;
    const WRITE_SIZE: usize = 8;
    const PROGRAM_SIZE: usize = 8;
    const ERASE_SIZE: usize = 2048;
    const HAS_ECC: bool = true;
    const TORN_READ_FAILS: bool = true;
    const PROGRAM_US: u64 = 82;
    const ERASE_US: u64 = 22_000;
}

/// The STM32WL under a driver that knows nothing of the fault, as that of embassy-stm32 0.6.0: the chip's NMI
/// clears it, and the read goes on with the bits of the torn word.
#[derive(Clone, Copy, Debug)]
pub enum Stm32wlNmi {}

impl Chip for Stm32wlNmi {
    const READ_SIZE: usize = Stm32wl::READ_SIZE;
    const WRITE_SIZE: usize = Stm32wl::WRITE_SIZE;
    const PROGRAM_SIZE: usize = Stm32wl::PROGRAM_SIZE;
    const ERASE_SIZE: usize = Stm32wl::ERASE_SIZE;
    const HAS_ECC: bool = true;
    const TORN_READ_FAILS: bool = false;
    const PROGRAM_US: u64 = Stm32wl::PROGRAM_US;
    const ERASE_US: u64 = Stm32wl::ERASE_US;
}

/// The flash beside an RP2040: 4 KB sectors; pages of 256 bytes, in which every bit can still be cleared.
///
/// Source: W25Q16JV data sheet (Pico), constants of embassy-rp 0.10.0 in its blocking mode.
#[derive(Clone, Copy, Debug)]
pub enum Rp2040 {}

impl Chip for Rp2040 {
    const READ_SIZE: usize = 1;
    const WRITE_SIZE: usize = 1;
    const PROGRAM_SIZE: usize = 256;
    const ERASE_SIZE: usize = 4096;
    const HAS_ECC: bool = false;
    const TORN_READ_FAILS: bool = false;
    const PROGRAM_US: u64 = 400;
    const ERASE_US: u64 = 45_000;
}

/// Where a power cut comes, seen from the operation (one program or one erase) that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of the operation is done.
    Before,
    /// The operation is torn. The seed chooses how.
    Inside {
        /// Equal seeds tear equally.
        seed: u64,
    },
}

/// What a flash operation says that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The address or the length is no multiple of the chip's size.
    NotAligned,
    /// The address or the length is beyond the end.
    OutOfBounds,
    /// A word to be written is not erased, and the chip refuses that.
    NotErased {
        /// Offset of the word.
        address: u32,
    },
    /// A word cannot be read: its error correction code does not fit.
    Ecc {
        /// Offset of the word.
        address: u32,
    },
    /// The page is worn out: it can be read, and neither programmed nor erased.
    Worn {
        /// Offset of the page.
        address: u32,
    },
    /// The power is off.
    PowerLost,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotErased { .. } | Self::Ecc { .. } | Self::Worn { .. } | Self::PowerLost => {
                NorFlashErrorKind::Other
            }
        }
    }
}

/// What was done to a flash since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of read.
    pub reads: u64,
    /// Program operations.
    pub programs: u64,
    /// Erases of one page each.
    pub erases: u64,
    /// Reads that met a torn word.
    pub ecc_faults: u64,
    /// The time that the chip would have been busy, in microseconds.
    pub busy_us: u64,
}

impl Counts {
    /// Tells the number of operations that a cut can hit.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.programs + self.erases
    }
}

/// A cut to come.
#[derive(Clone, Copy)]
struct PlannedCut {
    /// The operations that still succeed before it.
    left: u64,
    /// Whether erases alone are counted, and cut.
    only_erases: bool,
    cut: Cut,
}

struct Memory {
    bytes: Vec<u8>,
    /// Erases of each page.
    wear: Vec<u32>,
    /// Words that cannot be read, by their index.
    torn: BTreeSet<usize>,
    /// Pages that can be read only.
    worn: BTreeSet<usize>,
    /// Bits that are clear for ever, by the offset of their byte.
    stuck: BTreeMap<usize, u8>,
    counts: Counts,
    cut: Option<PlannedCut>,
    is_powered: bool,
    journal: Option<Journal>,
}

/// A flash memory of chip `C`. Clones share one memory.
pub struct Flash<C> {
    memory: Rc<RefCell<Memory>>,
    chip: PhantomData<C>,
}

impl<C> Clone for Flash<C> {
    fn clone(&self) -> Self {
        Self { memory: self.memory.clone(), chip: PhantomData }
    }
}

impl<C> std::fmt::Debug for Flash<C> {
    /// The contents are not shown: there are keys in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flash").field("counts", &self.memory.borrow().counts).finish_non_exhaustive()
    }
}

impl<C: Chip> Flash<C> {
    /// Makes an erased flash of so many pages.
    #[must_use]
    pub fn erased(pages: usize) -> Self {
        Self::with_contents(vec![0xFF; pages * C::ERASE_SIZE])
    }

    /// Makes a flash with the given contents, filled up with erased bytes to whole pages.
    #[must_use]
    pub fn with_contents(mut bytes: Vec<u8>) -> Self {
        let pages = bytes.len().div_ceil(C::ERASE_SIZE);
        bytes.resize(pages * C::ERASE_SIZE, 0xFF);
        let memory = Memory {
            bytes,
            wear: vec![0; pages],
            torn: BTreeSet::new(),
            worn: BTreeSet::new(),
            stuck: BTreeMap::new(),
            counts: Counts::default(),
            cut: None,
            is_powered: true,
            journal: None,
        };
        Self { memory: Rc::new(RefCell::new(memory)), chip: PhantomData }
    }

    /// Makes a flash of its own with the same contents, torn words, wear and faults, powered and without a cut to
    /// come.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let memory = self.memory.borrow();
        let copy = Memory {
            bytes: memory.bytes.clone(),
            wear: memory.wear.clone(),
            torn: memory.torn.clone(),
            worn: memory.worn.clone(),
            stuck: memory.stuck.clone(),
            counts: memory.counts,
            cut: None,
            is_powered: true,
            journal: None,
        };
        Self { memory: Rc::new(RefCell::new(copy)), chip: PhantomData }
    }

    /// Gives the same memory under a driver of another kind: of the STM32WL's, one that reports a torn word and one that does
    /// not.
    #[must_use]
    pub fn seen_as<D: Chip>(&self) -> Flash<D> {
        assert!(
            (C::WRITE_SIZE, C::ERASE_SIZE, C::HAS_ECC) == (D::WRITE_SIZE, D::ERASE_SIZE, D::HAS_ECC),
            "this is another chip"
        );
        Flash { memory: self.memory.clone(), chip: PhantomData }
    }

    /// Gives a part of the memory as a flash of its own, for a bootloader.
    #[must_use]
    pub fn part(&self, range: Range<u32>) -> Part<C> {
        Part { flash: self.clone(), range }
    }

    /// Tells what was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.memory.borrow().counts
    }

    /// Tells how often each page was erased.
    #[must_use]
    pub fn wear(&self) -> Vec<u32> {
        self.memory.borrow().wear.clone()
    }

    /// Copies the contents out, torn words as their bits are.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        self.memory.borrow().bytes.clone()
    }

    /// Shows the contents, torn words as their bits are.
    pub fn show<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.memory.borrow().bytes)
    }

    /// Copies a part of the contents out, torn words as their bits are, with power or without. What is beyond the end is left out.
    #[must_use]
    pub fn peek(&self, range: Range<u32>) -> Vec<u8> {
        let memory = self.memory.borrow();
        let end = memory.bytes.len().min(range.end as usize);
        memory.bytes.get(range.start as usize..end).unwrap_or_default().to_vec()
    }

    /// Tells whether a word of this part cannot be read.
    #[must_use]
    pub fn is_torn_in(&self, range: Range<u32>) -> bool {
        let words = range.start as usize / C::WRITE_SIZE..(range.end as usize).div_ceil(C::WRITE_SIZE);
        self.memory.borrow().torn.range(words).next().is_some()
    }

    /// Lets `operations` more programs and erases succeed; the one after them meets the cut. From then on the
    /// power is off and everything fails, until [`power_on`](Self::power_on).
    pub fn cut_after(&self, operations: u64, cut: Cut) {
        self.memory.borrow_mut().cut = Some(PlannedCut { left: operations, only_erases: false, cut });
    }

    /// As [`cut_after`](Self::cut_after), but counts and cuts erases alone.
    pub fn cut_after_erases(&self, erases: u64, cut: Cut) {
        self.memory.borrow_mut().cut = Some(PlannedCut { left: erases, only_erases: true, cut });
    }

    /// Takes the power away at once, between two operations.
    pub fn power_off(&self) {
        self.memory.borrow_mut().is_powered = false;
    }

    /// Brings the power back and forgets a cut that has not come yet.
    pub fn power_on(&self) {
        let mut memory = self.memory.borrow_mut();
        memory.is_powered = true;
        memory.cut = None;
    }

    /// Tells whether the power is on.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.memory.borrow().is_powered
    }

    /// Overwrites bytes as no chip could, for tests of spoilt contents. What is beyond the end is left out.
    pub fn spoil(&self, offset: usize, bytes: &[u8]) {
        let mut memory = self.memory.borrow_mut();
        for (target, byte) in memory.bytes.iter_mut().skip(offset).zip(bytes) {
            *target = *byte;
        }
    }

    fn check(&self, offset: u32, len: usize, align: usize) -> Result<usize, FlashError> {
        let memory = self.memory.borrow();
        let start = offset as usize;
        if !memory.is_powered {
            return Err(FlashError::PowerLost);
        }
        if start.checked_add(len).is_none_or(|end| end > memory.bytes.len()) {
            return Err(FlashError::OutOfBounds);
        }
        if !start.is_multiple_of(align) || !len.is_multiple_of(align) {
            return Err(FlashError::NotAligned);
        }
        Ok(start)
    }

    fn read_now(&self, offset: u32, out: &mut [u8]) -> Result<(), FlashError> {
        let start = self.check(offset, out.len(), C::READ_SIZE)?;
        let memory = &mut *self.memory.borrow_mut();
        memory.counts.reads += 1;
        if out.is_empty() {
            return Ok(());
        }
        let words = start / C::WRITE_SIZE..=(start + out.len() - 1) / C::WRITE_SIZE;
        if let Some(word) = memory.torn.range(words).next() {
            memory.counts.ecc_faults += 1;
            if C::TORN_READ_FAILS {
                return Err(FlashError::Ecc { address: (word * C::WRITE_SIZE) as u32 });
            }
        }
        out.copy_from_slice(&memory.bytes[start..start + out.len()]);
        Ok(())
    }

    fn write_now(&self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let start = self.check(offset, bytes.len(), C::WRITE_SIZE)?;
        let (mut at, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let len = (C::PROGRAM_SIZE - at % C::PROGRAM_SIZE).min(rest.len());
            let (now, later) = rest.split_at(len);
            self.memory.borrow_mut().program::<C>(at, now)?;
            (at, rest) = (at + len, later);
        }
        Ok(())
    }

    fn erase_now(&self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)?;
        let start = self.check(from, len as usize, C::ERASE_SIZE)?;
        for page in start / C::ERASE_SIZE..to as usize / C::ERASE_SIZE {
            self.memory.borrow_mut().erase::<C>(page)?;
        }
        Ok(())
    }
}

impl Memory {
    /// Counts an operation, and tells with which seed it is torn, if it is.
    fn begin(&mut self, is_erase: bool) -> Result<Option<u64>, FlashError> {
        if !self.is_powered {
            return Err(FlashError::PowerLost);
        }
        let Some(planned) = self.cut.as_mut().filter(|planned| is_erase || !planned.only_erases) else {
            return Ok(None);
        };
        if let Some(left) = planned.left.checked_sub(1) {
            planned.left = left;
            return Ok(None);
        }
        let cut = planned.cut;
        self.is_powered = false;
        self.cut = None;
        match cut {
            Cut::Before => Err(FlashError::PowerLost),
            Cut::Inside { seed } => Ok(Some(seed)),
        }
    }

    fn program<C: Chip>(&mut self, at: usize, new: &[u8]) -> Result<(), FlashError> {
        let word = at / C::WRITE_SIZE;
        if C::HAS_ECC && new.iter().any(|byte| *byte != 0) {
            let is_erased = self.bytes[at..at + new.len()].iter().all(|byte| *byte == 0xFF);
            if !is_erased || self.torn.contains(&word) {
                return Err(FlashError::NotErased { address: at as u32 });
            }
        }
        self.check_page::<C>(at / C::ERASE_SIZE)?;
        let torn = self.begin(false)?;
        self.counts.programs += 1;
        self.counts.busy_us += C::PROGRAM_US;
        self.note(|| Change::Program { offset: at, bytes: new.to_vec() });
        let Some(seed) = torn else {
            for (old, new) in self.bytes[at..at + new.len()].iter_mut().zip(new) {
                *old &= new;
            }
            self.torn.remove(&word);
            return Ok(());
        };
        let mut dice = Dice(seed);
        let share = dice.next();
        let mut is_partial = false;
        for (old, new) in self.bytes[at..at + new.len()].iter_mut().zip(new) {
            let to_clear = *old & !new;
            let cleared = to_clear & dice.bits(share);
            is_partial |= cleared != to_clear;
            *old &= !cleared;
        }
        if !is_partial {
            self.torn.remove(&word);
        } else if C::HAS_ECC && self.bytes[at..at + new.len()].iter().any(|byte| *byte != 0xFF) {
            self.torn.insert(word);
        }
        Err(FlashError::PowerLost)
    }

    fn erase<C: Chip>(&mut self, page: usize) -> Result<(), FlashError> {
        self.check_page::<C>(page)?;
        let torn = self.begin(true)?;
        self.counts.erases += 1;
        self.counts.busy_us += C::ERASE_US;
        self.wear[page] += 1;
        self.note(|| Change::Erase { page });
        let (start, end) = (page * C::ERASE_SIZE, (page + 1) * C::ERASE_SIZE);
        let words = start / C::WRITE_SIZE..end / C::WRITE_SIZE;
        let Some(seed) = torn else {
            self.bytes[start..end].fill(0xFF);
            for word in words {
                self.torn.remove(&word);
            }
            self.apply_stuck_bits();
            return Ok(());
        };
        let mut dice = Dice(seed);
        if dice.next() & 1 == 0 {
            // A part from the start.
            let erased = start + dice.below(C::ERASE_SIZE / C::WRITE_SIZE) * C::WRITE_SIZE;
            self.bytes[start..erased].fill(0xFF);
            for word in start / C::WRITE_SIZE..erased / C::WRITE_SIZE {
                self.torn.remove(&word);
            }
        } else {
            let share = dice.next();
            for word in words {
                let bytes = &mut self.bytes[word * C::WRITE_SIZE..(word + 1) * C::WRITE_SIZE];
                let mut changed = self.torn.remove(&word);
                for byte in bytes.iter_mut() {
                    let set = !*byte & dice.bits(share);
                    changed |= set != 0;
                    *byte |= set;
                }
                if C::HAS_ECC && changed && bytes.iter().any(|byte| *byte != 0xFF) {
                    self.torn.insert(word);
                }
            }
        }
        self.apply_stuck_bits();
        Err(FlashError::PowerLost)
    }
}

/// splitmix64: small, and equal for equal seeds.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Gives a byte of which about 1, 2, 4, 6 or 7 bits are set, as `share` chooses.
    fn bits(&mut self, share: u64) -> u8 {
        let [a, b, c, ..] = self.next().to_le_bytes();
        match share % 5 {
            0 => a & b & c,
            1 => a & b,
            2 => a,
            3 => a | b,
            _ => a | b | c,
        }
    }
}

impl<C: Chip> ErrorType for Flash<C> {
    type Error = FlashError;
}

impl<C: Chip> ReadNorFlash for Flash<C> {
    const READ_SIZE: usize = C::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.read_now(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.memory.borrow().bytes.len()
    }
}

impl<C: Chip> NorFlash for Flash<C> {
    const WRITE_SIZE: usize = C::WRITE_SIZE;
    const ERASE_SIZE: usize = C::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.erase_now(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.write_now(offset, bytes)
    }
}

impl MultiwriteNorFlash for Flash<Rp2040> {}

impl<C: Chip> embedded_storage_async::nor_flash::ReadNorFlash for Flash<C> {
    const READ_SIZE: usize = C::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.read_now(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.memory.borrow().bytes.len()
    }
}

impl<C: Chip> embedded_storage_async::nor_flash::NorFlash for Flash<C> {
    const WRITE_SIZE: usize = C::WRITE_SIZE;
    const ERASE_SIZE: usize = C::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.erase_now(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.write_now(offset, bytes)
    }
}

impl embedded_storage_async::nor_flash::MultiwriteNorFlash for Flash<Rp2040> {}

#[cfg(test)]
mod tests;
