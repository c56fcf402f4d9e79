//! The notes that application and bootloader keep for each other: what is to be swapped, and how far it is.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// The shortest word of the notes, in bytes. embassy-boot repeats its mark over a word, and on a flash that writes single
/// bytes a mark half written can be another mark: 0xD0 (booted) without one of its bits is 0xF0 (swap).
const WORD: usize = 8;

/// The longest word of a flash, in bytes.
const MAX_WORD: usize = 32;

/// The pages of flash that hold the notes, for the bootloader; the application's side keeps to the same word and order.
///
/// Before an erase the first word, which says whether to swap, becomes zeros: an erase that is cut short must not leave
/// *swap* there above notes that are gone, or a swap that is done would be done once more, onto itself. The flash must allow
/// zeros to be written over a word that is written already.
#[derive(Clone, Copy, Debug)]
pub struct Notes<F>(pub F);

impl<F: ErrorType> ErrorType for Notes<F> {
    type Error = F::Error;
}

const fn longer(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

impl<F: NorFlash> ReadNorFlash for Notes<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> NorFlash for Notes<F> {
    const WRITE_SIZE: usize = longer(WORD, F::WRITE_SIZE);
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        let zeros = [0; MAX_WORD];
        self.0.write(from, zeros.get(..Self::WRITE_SIZE).unwrap_or(&zeros))?;
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A flash that writes single bytes, and stops after so many operations.
    struct Bytes {
        bytes: Vec<u8>,
        left: u32,
    }

    impl ErrorType for Bytes {
        type Error = embedded_storage::nor_flash::NorFlashErrorKind;
    }

    impl ReadNorFlash for Bytes {
        const READ_SIZE: usize = 1;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.bytes.len()
        }
    }

    impl Bytes {
        fn passes(&mut self) -> Result<(), embedded_storage::nor_flash::NorFlashErrorKind> {
            self.left =
                self.left.checked_sub(1).ok_or(embedded_storage::nor_flash::NorFlashErrorKind::Other)?;
            Ok(())
        }
    }

    impl NorFlash for Bytes {
        const WRITE_SIZE: usize = 1;
        const ERASE_SIZE: usize = 64;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
            self.passes()?;
            self.bytes[from as usize..to as usize].fill(0xFF);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
            self.passes()?;
            for (to, from) in self.bytes[offset as usize..].iter_mut().zip(bytes) {
                *to &= from;
            }
            Ok(())
        }
    }

    #[test]
    fn a_word_has_eight_bytes_at_least() {
        assert_eq!(<Notes<Bytes> as NorFlash>::WRITE_SIZE, 8);
        assert_eq!((longer(8, 16), longer(8, 8), longer(8, 4)), (16, 8, 8));
    }

    #[test]
    fn before_an_erase_the_first_word_is_no_mark_any_more() {
        for (left, first) in [(0, 0xF0), (1, 0x00), (2, 0xFF)] {
            let mut notes = Notes(Bytes { bytes: vec![0xF0; 64], left });
            assert_eq!(notes.erase(0, 64).is_ok(), left == 2);
            assert_eq!(notes.0.bytes[..8], [first; 8], "{left} operations");
        }
    }
}
