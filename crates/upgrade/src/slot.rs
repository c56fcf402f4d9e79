//! A part of a flash as a flash of its own.
//!
//! A word that cannot be read, as a power cut tore it, reads as zeros: the image's hash finds it out, and it is no mark of the
//! bootloader.

use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use embedded_storage_async::nor_flash as waiting;

/// The shortest word that is written, in bytes. A mark of the bootloader has as many: a single byte of the RP2040's that a cut
/// erase leaves could be another mark.
pub(crate) const WORD: usize = 8;

/// A range of a flash. What is beyond its end is refused, as beyond the flash's own.
pub(crate) struct Slot<'a, F> {
    pub(crate) flash: &'a mut F,
    pub(crate) range: Range<u32>,
}

impl<F: waiting::ReadNorFlash> Slot<'_, F> {
    /// Gives the offset in the flash, if the bytes lie in the range.
    fn place(&self, offset: u32, len: usize) -> Result<u32, NorFlashErrorKind> {
        let start = self.range.start.saturating_add(offset);
        let end = u32::try_from(len).ok().and_then(|len| start.checked_add(len));
        if end.is_some_and(|end| end <= self.range.end) {
            Ok(start)
        } else {
            Err(NorFlashErrorKind::OutOfBounds)
        }
    }
}

/// Has an operation done, which every flash does before it answers.
fn at_once<E: NorFlashError>(
    operation: impl Future<Output = Result<(), E>>,
) -> Result<(), NorFlashErrorKind> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done.map_err(|error| error.kind()),
        Poll::Pending => Err(NorFlashErrorKind::Other),
    }
}

impl<F> ErrorType for Slot<'_, F> {
    type Error = NorFlashErrorKind;
}

impl<F: waiting::ReadNorFlash> ReadNorFlash for Slot<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let start = self.place(offset, bytes.len())?;
        let done = at_once(self.flash.read(start, bytes));
        if done == Err(NorFlashErrorKind::Other) {
            bytes.fill(0);
            return Ok(());
        }
        done
    }

    fn capacity(&self) -> usize {
        self.range.len()
    }
}

impl<F: waiting::NorFlash> NorFlash for Slot<'_, F> {
    const WRITE_SIZE: usize = if F::WRITE_SIZE < WORD { WORD } else { F::WRITE_SIZE };
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        let len = to.saturating_sub(from);
        let start = self.place(from, len as usize)?;
        at_once(self.flash.erase(start, start.saturating_add(len)))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let start = self.place(offset, bytes.len())?;
        at_once(self.flash.write(start, bytes))
    }
}
