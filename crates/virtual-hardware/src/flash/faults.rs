//! Wear and spoilt cells.

use super::{Chip, Flash, FlashError, Memory};

impl<C: Chip> Flash<C> {
    /// Wears a page out: it can still be read, and every program and erase of it fails. A page beyond the end is
    /// none.
    pub fn wear_out(&self, page: usize) {
        self.memory.borrow_mut().worn.insert(page);
    }

    /// Makes bits of a byte read as 0 for ever, erased or not. A byte beyond the end is none.
    pub fn stick(&self, offset: usize, bits: u8) {
        let memory = &mut *self.memory.borrow_mut();
        *memory.stuck.entry(offset).or_default() |= bits;
        memory.apply_stuck_bits();
    }

    /// Makes the word at this offset unreadable, as one whose error correction code does not fit. Where there is no
    /// such code the word stays as it is.
    pub fn tear(&self, offset: usize) {
        if C::HAS_ECC {
            self.memory.borrow_mut().torn.insert(offset / C::WRITE_SIZE);
        }
    }
}

impl Memory {
    pub(super) fn check_page<C: Chip>(&self, page: usize) -> Result<(), FlashError> {
        match self.worn.contains(&page) {
            true => Err(FlashError::Worn { address: (page * C::ERASE_SIZE) as u32 }),
            false => Ok(()),
        }
    }

    pub(super) fn apply_stuck_bits(&mut self) {
        for (offset, bits) in &self.stuck {
            if let Some(byte) = self.bytes.get_mut(*offset) {
                *byte &= !bits;
            }
        }
    }
}
