//! A part of a flash.

use std::ops::Range;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{Chip, Flash, FlashError};

/// A part of a flash as a flash of its own, whose words have 8 bytes at least.
#[derive(Clone, Debug)]
pub struct Part<C> {
    pub(super) flash: Flash<C>,
    pub(super) range: Range<u32>,
}

impl<C> Part<C> {
    fn place(&self, offset: u32, len: usize) -> Result<u32, FlashError> {
        let is_inside = len <= self.range.len() && offset as usize <= self.range.len() - len;
        if is_inside { Ok(self.range.start + offset) } else { Err(FlashError::OutOfBounds) }
    }
}

impl<C: Chip> ErrorType for Part<C> {
    type Error = FlashError;
}

impl<C: Chip> ReadNorFlash for Part<C> {
    const READ_SIZE: usize = C::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read_now(self.place(offset, bytes.len())?, bytes)
    }

    fn capacity(&self) -> usize {
        self.range.len()
    }
}

impl<C: Chip> NorFlash for Part<C> {
    const WRITE_SIZE: usize = if C::WRITE_SIZE < 8 { 8 } else { C::WRITE_SIZE };
    const ERASE_SIZE: usize = C::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let start = self.place(from, to.saturating_sub(from) as usize)?;
        self.flash.erase_now(start, start + (to - from))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.write_now(self.place(offset, bytes.len())?, bytes)
    }
}
