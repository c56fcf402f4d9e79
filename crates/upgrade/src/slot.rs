//! A part of a flash as a flash of its own.
//!
//! A word that cannot be read, as a power cut tore it, reads as zeros: the image's hash finds it out, and it is no mark of the
//! bootloader.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// The shortest word that is written, in bytes. A mark of the bootloader has as many: a single byte of the RP2040's that a cut
/// erase leaves could be another mark.
pub(crate) const WORD: usize = 8;

/// A range of a flash. What is beyond its end is refused, as beyond the flash's own.
pub(crate) struct Slot<'a, F> {
    pub(crate) flash: &'a mut F,
    pub(crate) range: Range<u32>,
}

impl<F: ReadNorFlash> Slot<'_, F> {
    /// Gives the offset in the flash; one that every flash refuses, if the bytes do not lie in the range.
    fn place(&self, offset: u32, len: usize) -> u32 {
        let start = self.range.start.saturating_add(offset);
        let end = u32::try_from(len).ok().and_then(|len| start.checked_add(len));
        if end.is_some_and(|end| end <= self.range.end) { start } else { self.flash.capacity() as u32 }
    }
}

impl<F: ErrorType> ErrorType for Slot<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Slot<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        match self.flash.read(self.place(offset, bytes.len()), bytes).await {
            Err(error)
                if !matches!(
                    error.kind(),
                    NorFlashErrorKind::NotAligned | NorFlashErrorKind::OutOfBounds
                ) =>
            {
                bytes.fill(0);
                Ok(())
            }
            other => other,
        }
    }

    fn capacity(&self) -> usize {
        self.range.len()
    }
}

impl<F: NorFlash> NorFlash for Slot<'_, F> {
    const WRITE_SIZE: usize = if F::WRITE_SIZE < WORD { WORD } else { F::WRITE_SIZE };
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        let len = to.saturating_sub(from);
        let start = self.place(from, len as usize);
        self.flash.erase(start, start.saturating_add(len)).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.flash.write(self.place(offset, bytes.len()), bytes).await
    }
}
