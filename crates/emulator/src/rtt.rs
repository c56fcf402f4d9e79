//! What an image writes for a debug probe: a log by RTT, as defmt has it.

use defmt_decoder::{DecodeError, StreamDecoder, Table};

use crate::memory::Memory;

/// The mark that begins the control block in RAM (SEGGER UM08001, "RTT control block").
const MARK: &[u8] = b"SEGGER RTT";
/// Bytes of the block up to the end of its first channel up.
const BLOCK: usize = 48;
/// Where its words lie: the buffer and its size, the offsets of who writes and who reads.
const BUFFER: usize = 28;
const SIZE: usize = 32;
const WRITE: usize = 36;
const READ: usize = 40;
/// The largest buffer that is believed in.
const MOST: u32 = 0x1_0000;

/// An image's log: where it lies, and what its numbers mean.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    block: u32,
    table: &'static Table,
}

impl Log {
    /// Finds an image's log; most images have none.
    ///
    /// # Errors
    /// A table that this decoder does not understand.
    pub fn find(elf: &[u8], block: Option<u32>) -> Result<Option<Self>, String> {
        let Some(block) = block else { return Ok(None) };
        let table = Table::parse(elf).map_err(|error| format!("the log's table: {error}"))?;
        // A run has one image, and its decoders borrow this.
        Ok(table.map(|table| Self { block, table: Box::leak(Box::new(table)) }))
    }

    /// Takes what has been written since the last call, as a probe does. Before the image has set the block up it takes nothing.
    pub fn take(&self, memory: &mut dyn Memory) -> Vec<u8> {
        take(self.block, memory).unwrap_or_default()
    }

    /// Begins to read what a start of the image writes.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader(self.table.new_stream_decoder())
    }
}

fn take(at: u32, memory: &mut dyn Memory) -> Option<Vec<u8>> {
    let mut block = [0; BLOCK];
    if !memory.read(at, &mut block) || !block.starts_with(MARK) {
        return None;
    }
    let word = |at: usize| block.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (buffer, size, write, read) = (word(BUFFER)?, word(SIZE)?, word(WRITE)?, word(READ)?);
    if write == read || size > MOST || write >= size || read >= size {
        return None;
    }
    let mut ring = vec![0; size as usize];
    if !memory.read(buffer, &mut ring) || !memory.write(at + READ as u32, &write.to_le_bytes()) {
        return None;
    }
    let (write, read) = (write as usize, read as usize);
    Some(match write > read {
        true => ring.get(read..write)?.to_vec(),
        false => [ring.get(read..)?, ring.get(..write)?].concat(),
    })
}

/// Makes lines of bytes.
pub struct Reader(Box<dyn StreamDecoder + Send + Sync>);

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Reads the lines that are whole now: their levels, where they have one, and their text.
    pub fn lines(&mut self, bytes: &[u8]) -> Vec<(Option<&'static str>, String)> {
        self.0.received(bytes);
        let mut lines = Vec::new();
        loop {
            match self.0.decode() {
                Ok(frame) => {
                    let level = frame.level().map(|level| level.as_str());
                    lines.push((level, frame.display_message().to_string()));
                }
                Err(DecodeError::UnexpectedEof) => return lines,
                Err(DecodeError::Malformed) => {
                    lines.push((None, "a line of the log cannot be read".to_owned()))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RAM from 0x2000_0000 on.
    struct Ram(Vec<u8>);

    impl Memory for Ram {
        fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
            let at = (address - 0x2000_0000) as usize;
            let Some(from) = self.0.get(at..at + bytes.len()) else { return false };
            bytes.copy_from_slice(from);
            true
        }

        fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
            let at = (address - 0x2000_0000) as usize;
            let Some(to) = self.0.get_mut(at..at + bytes.len()) else { return false };
            to.copy_from_slice(bytes);
            true
        }
    }

    fn ram(mark: &[u8], size: u32, write: u32, read: u32) -> Ram {
        let mut bytes = vec![0; 64];
        bytes[..mark.len()].copy_from_slice(mark);
        for (at, word) in [(BUFFER, 0x2000_0038), (SIZE, size), (WRITE, write), (READ, read)] {
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes[56..].copy_from_slice(b"abcdefgh");
        Ram(bytes)
    }

    #[test]
    fn what_was_written_is_taken_once_over_the_end_of_the_ring_too() {
        let none: &[u8] = b"";
        for (mark, size, write, read, taken) in [
            (&b"SEGGER RTT"[..], 8, 5, 2, &b"cde"[..]),
            (b"SEGGER RTT", 8, 2, 6, b"ghab"),
            (b"SEGGER RTT", 8, 3, 3, none),
            // Noise after power-up: no mark, offsets that cannot be, a buffer that is not there.
            (b"SEGGER RTx", 8, 5, 2, none),
            (b"SEGGER RTT", 8, 8, 2, none),
            (b"SEGGER RTT", 8, 5, 9, none),
            (b"SEGGER RTT", 0x100, 5, 2, none),
            (b"SEGGER RTT", u32::MAX, 5, 2, none),
        ] {
            let mut ram = ram(mark, size, write, read);
            let mut take = || take(0x2000_0000, &mut ram).unwrap_or_default();
            assert_eq!(take(), taken, "{size} {write} {read}");
            assert_eq!(take(), none, "again");
        }
    }
}
