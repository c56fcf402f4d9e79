//! The bus between processor and radio (RM0453 chapters 37 and 4).

use std::collections::VecDeque;

use crate::kept::Kept;

const CR1: u32 = 0x00;
const CR2: u32 = 0x04;
const SR: u32 = 0x08;
/// The data register.
pub const DR: u32 = 0x0C;
/// Bytes that the receive FIFO holds.
const FIFO: usize = 4;

/// The bus's master.
#[derive(Clone, Debug)]
pub struct Spi {
    kept: Kept<9>,
    received: VecDeque<u8>,
    overrun: bool,
}

impl Spi {
    /// Makes it as it is after a reset.
    pub fn new() -> Self {
        let mut kept = Kept::new(&[CR1, CR2, SR, DR, 0x10, 0x14, 0x18, 0x1C]);
        kept.set(CR2, 0x700);
        Self { kept, received: VecDeque::new(), overrun: false }
    }

    /// Tells whether it clocks bytes out: on, and master.
    pub fn is_on(&self) -> bool {
        self.kept.get(CR1) & (1 << 6 | 1 << 2) == 1 << 6 | 1 << 2
    }

    /// Tells how many cycles of the bus clock a byte takes.
    pub fn byte_cycles(&self) -> u64 {
        8 * (2 << (self.kept.get(CR1) >> 3 & 7))
    }

    /// Takes the byte that came back.
    pub fn received(&mut self, byte: u8) {
        if self.received.len() < FIFO {
            self.received.push_back(byte);
        } else {
            self.overrun = true;
        }
    }

    /// Reads a register, `bytes` wide.
    pub fn read(&mut self, offset: u32, bytes: u32) -> Option<u32> {
        match offset {
            // RXNE, TXE, OVR and the receive FIFO's level; BSY is never seen, as bytes take their time at once.
            SR => {
                let level = (self.received.len() as u32).min(3) << 9;
                let overrun = u32::from(std::mem::take(&mut self.overrun)) << 6;
                Some(u32::from(!self.received.is_empty()) | 2 | overrun | level)
            }
            DR => Some(
                (0..bytes.min(2))
                    .fold(0, |word, at| word | u32::from(self.received.pop_front().unwrap_or(0)) << (8 * at)),
            ),
            _ => self.kept.read(offset),
        }
    }

    /// Writes a register other than the data register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        if offset == SR { Some(()) } else { self.kept.write(offset, value) }
    }
}
