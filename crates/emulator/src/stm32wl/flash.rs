//! The flash controller (RM0453 chapter 4), in front of the virtual hardware's flash for what is not code.

use std::ops::Range;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use sockeye_virtual_hardware::flash::{self, Flash, Stm32wlNmi};

use crate::kept::Kept;

const ACR: u32 = 0x00;
const KEYR: u32 = 0x08;
const SR: u32 = 0x10;
const CR: u32 = 0x14;
const ECCR: u32 = 0x18;
const OPTR: u32 = 0x20;

const END: u32 = 1;
const PROGRAM_ERROR: u32 = 1 << 3;
const SIZE_ERROR: u32 = 1 << 6;
const SEQUENCE_ERROR: u32 = 1 << 7;
const ERRORS: u32 = 0xC3FA;

const PROGRAM: u32 = 1;
const ERASE: u32 = 1 << 1;
const START: u32 = 1 << 16;
const LOCK: u32 = 1 << 31;
const ECC_DOUBLE: u32 = 1 << 31;

/// The keys that unlock CR, one after the other.
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

const PAGE: u32 = 2048;

/// What an access to the flash brings with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The bits that were read.
    pub value: u32,
    /// How long the processor stands still, in us: it fetches from the same bank.
    pub stall_us: u64,
    /// A word could not be read: the NMI.
    pub torn: bool,
}

/// Controller and the data part of the memory.
#[derive(Debug)]
pub struct FlashController {
    kept: Kept<0x20>,
    memory: Flash<Stm32wlNmi>,
    /// Offset of the data part from the start of the flash.
    data_offset: u32,
    keys_given: usize,
    /// The first half of a word that is being programmed.
    half: Option<(u32, u32)>,
    /// What the last operation has changed.
    changed: Option<Range<u32>>,
}

impl FlashController {
    /// Makes the controller as it is after a reset; `memory` begins at `data_offset` of the flash.
    pub fn new(memory: &Flash<Stm32wlNmi>, data_offset: u32) -> Self {
        let mut kept =
            Kept::new(&[ACR, 0x04, KEYR, 0x0C, SR, CR, ECCR, OPTR, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38]);
        kept.set(ACR, 0x600);
        kept.set(CR, LOCK | 1 << 30);
        kept.set(OPTR, 0x3FFF_F0AA);
        Self { kept, memory: memory.clone(), data_offset, keys_given: 0, half: None, changed: None }
    }

    /// Tells how many wait states reads have.
    pub fn wait_states(&self) -> u32 {
        self.kept.get(ACR) & 7
    }

    /// Takes what the last operation has changed, as offsets of the memory.
    pub fn take_changed(&mut self) -> Option<Range<u32>> {
        self.changed.take()
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        self.kept.read(offset)
    }

    /// Writes a register; tells how long the processor stands still.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<Outcome> {
        let mut outcome = Outcome::default();
        match offset {
            KEYR => {
                self.keys_given =
                    if KEYS.get(self.keys_given) == Some(&value) { self.keys_given + 1 } else { 0 };
                if self.keys_given == KEYS.len() {
                    self.keys_given = 0;
                    self.kept.set(CR, self.kept.get(CR) & !LOCK);
                }
            }
            SR => self.kept.set(SR, self.kept.get(SR) & !value),
            ECCR => {
                let kept = self.kept.get(ECCR) & !(value & (ECC_DOUBLE | 1 << 30));
                self.kept.set(ECCR, kept);
            }
            // A locked CR keeps what it has; LOCK can be set, and cleared by the keys alone.
            CR if self.kept.get(CR) & LOCK != 0 => {}
            CR => {
                self.kept.set(CR, value & !START);
                if value & START != 0 && value & ERASE != 0 {
                    outcome.stall_us = self.erase(value >> 3 & 0x7F);
                }
            }
            _ => self.kept.write(offset, value)?,
        }
        Some(outcome)
    }

    fn error(&mut self, flag: u32) {
        self.kept.set(SR, self.kept.get(SR) | flag);
    }

    fn finish(&mut self) {
        // EOP shows only with its interrupt enabled.
        if self.kept.get(CR) >> 24 & 1 != 0 {
            self.error(END);
        }
    }

    fn erase(&mut self, page: u32) -> u64 {
        if self.kept.get(SR) & ERRORS != 0 {
            self.error(SEQUENCE_ERROR);
            return 0;
        }
        let Some(from) = (page * PAGE).checked_sub(self.data_offset) else {
            self.error(PROGRAM_ERROR);
            return 0;
        };
        let before = self.memory.counts().busy_us;
        if self.memory.erase(from, from + PAGE).is_err() {
            self.error(PROGRAM_ERROR);
        }
        self.changed = Some(from..from + PAGE);
        self.finish();
        self.memory.counts().busy_us - before
    }

    /// Reads `bytes` bytes of the data part.
    pub fn read_memory(&mut self, offset: u32, bytes: u32) -> Outcome {
        let mut buffer = [0; 4];
        let before = self.memory.counts().ecc_faults;
        let part = buffer.get_mut(..bytes as usize).unwrap_or_default();
        // Without power nothing reads; the machine stands still then.
        let _ = self.memory.read(offset, part);
        let torn = self.memory.counts().ecc_faults != before;
        if torn {
            let address = (self.data_offset + offset) / 8;
            self.kept.set(ECCR, ECC_DOUBLE | address & 0x1_FFFF);
        }
        Outcome { value: u32::from_le_bytes(buffer), stall_us: 0, torn }
    }

    /// Writes to the data part: two words of four bytes make one of eight, which is programmed.
    pub fn write_memory(&mut self, offset: u32, bytes: u32, value: u32) -> Outcome {
        let mut outcome = Outcome::default();
        let control = self.kept.get(CR);
        if control & LOCK != 0 || control & PROGRAM == 0 || self.kept.get(SR) & ERRORS != 0 {
            self.error(SEQUENCE_ERROR);
            return outcome;
        }
        if bytes != 4 {
            self.error(SIZE_ERROR);
            return outcome;
        }
        match self.half.take() {
            None if offset.is_multiple_of(8) => self.half = Some((offset, value)),
            Some((first, low)) if offset == first + 4 => {
                let word = (u64::from(value) << 32 | u64::from(low)).to_le_bytes();
                let before = self.memory.counts().busy_us;
                if self.memory.write(first, &word).is_err() {
                    self.error(PROGRAM_ERROR);
                }
                self.changed = Some(first..first + 8);
                outcome.stall_us = self.memory.counts().busy_us - before;
                self.finish();
            }
            _ => self.error(SEQUENCE_ERROR),
        }
        outcome
    }
}

/// The word size of the memory behind this controller, which the two halves above make.
const _: () = assert!(<Stm32wlNmi as flash::Chip>::WRITE_SIZE == 8);

#[cfg(test)]
mod tests {
    use sockeye_virtual_hardware::flash::Cut;

    use super::*;

    fn unlocked() -> (Flash<Stm32wlNmi>, FlashController) {
        let memory = Flash::erased(2);
        let mut controller = FlashController::new(&memory, 122 * PAGE);
        for key in KEYS {
            controller.write(KEYR, key).unwrap();
        }
        (memory, controller)
    }

    #[test]
    fn a_word_is_programmed_by_its_two_halves_and_once() {
        let (memory, mut controller) = unlocked();
        controller.write(CR, PROGRAM).unwrap();
        assert_eq!(controller.write_memory(8, 4, 0x0403_0201).stall_us, 0);
        assert_eq!(controller.write_memory(12, 4, 0x0807_0605).stall_us, 82);
        assert_eq!(memory.contents()[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(controller.read(SR), Some(0));
        controller.write_memory(8, 4, 0);
        controller.write_memory(12, 4, 1);
        assert_eq!(controller.read(SR), Some(PROGRAM_ERROR));
        // An error that is left standing stops the next one.
        controller.write_memory(16, 4, 0);
        assert_eq!(controller.read(SR), Some(PROGRAM_ERROR | SEQUENCE_ERROR));
    }

    #[test]
    fn what_is_not_unlocked_not_set_up_or_not_whole_is_refused() {
        let check = |setup: &[(u32, u32)], writes: &[(u32, u32)], expected| {
            let memory = Flash::erased(1);
            let mut controller = FlashController::new(&memory, 122 * PAGE);
            for (offset, value) in setup {
                controller.write(*offset, *value).unwrap();
            }
            for (offset, bytes) in writes {
                controller.write_memory(*offset, *bytes, 0);
            }
            assert_eq!(controller.read(SR), Some(expected));
            assert!(memory.contents().iter().all(|byte| *byte == 0xFF));
        };
        let open = [(KEYR, KEYS[0]), (KEYR, KEYS[1]), (CR, PROGRAM)];
        check(&[(CR, PROGRAM)], &[(0, 4)], SEQUENCE_ERROR);
        check(&[(KEYR, KEYS[1]), (KEYR, KEYS[0]), (CR, PROGRAM)], &[(0, 4)], SEQUENCE_ERROR);
        check(&open[..2], &[(0, 4)], SEQUENCE_ERROR);
        check(&open, &[(0, 1)], SIZE_ERROR);
        check(&open, &[(4, 4)], SEQUENCE_ERROR);
        check(&open, &[(0, 4), (8, 4)], SEQUENCE_ERROR);
        check(&open, &[(0, 4)], 0);
    }

    #[test]
    fn an_erase_takes_22_ms_and_tells_what_it_has_changed() {
        let (memory, mut controller) = unlocked();
        controller.write(CR, PROGRAM).unwrap();
        controller.write_memory(PAGE, 4, 0);
        controller.write_memory(PAGE + 4, 4, 0);
        let outcome = controller.write(CR, ERASE | 123 << 3 | START).unwrap();
        assert_eq!(outcome.stall_us, 22_000);
        assert!(memory.contents().iter().all(|byte| *byte == 0xFF));
        assert_eq!(controller.take_changed(), Some(PAGE..2 * PAGE));
        assert_eq!(controller.take_changed(), None);
    }

    #[test]
    fn a_torn_word_raises_the_nmi_at_each_read_and_names_its_address() {
        let (memory, mut controller) = unlocked();
        controller.write(CR, PROGRAM).unwrap();
        memory.cut_after(0, Cut::Inside { seed: 1 });
        controller.write_memory(16, 4, 0);
        controller.write_memory(20, 4, 0x1234);
        memory.power_on();
        assert!(controller.read_memory(16, 4).torn);
        assert_eq!(controller.read(ECCR), Some(ECC_DOUBLE | ((122 * PAGE + 16) / 8)));
        controller.write(ECCR, ECC_DOUBLE).unwrap();
        assert_eq!(controller.read(ECCR).unwrap() & ECC_DOUBLE, 0);
        assert!(!controller.read_memory(0, 4).torn);
        assert!(controller.read_memory(20, 1).torn);
    }
}
