//! A serial bus's master, PL022 (RP2040 data sheet 4.4).

use std::collections::VecDeque;

use crate::kept::Kept;

const CR0: u32 = 0x00;
const CR1: u32 = 0x04;
/// The data register.
pub const DR: u32 = 0x08;
const SR: u32 = 0x0C;
const CPSR: u32 = 0x10;
const IMSC: u32 = 0x14;
const RIS: u32 = 0x18;
const MIS: u32 = 0x1C;
const ICR: u32 = 0x20;
const DMACR: u32 = 0x24;

/// Words that each FIFO holds.
const FIFO: usize = 8;

/// The master.
#[derive(Clone, Debug)]
pub struct Spi {
    kept: Kept<10>,
    received: VecDeque<u8>,
    is_overrun: bool,
}

impl Spi {
    /// Makes it as it is after a reset.
    pub fn new() -> Self {
        Self {
            kept: Kept::new(&[CR0, CR1, DR, SR, CPSR, IMSC, RIS, MIS, ICR, DMACR]),
            received: VecDeque::new(),
            is_overrun: false,
        }
    }

    /// Tells whether it clocks bytes out: on, master, and set to words of 8 bits in Motorola's format, mode 0.
    pub fn is_on(&self) -> bool {
        self.kept.get(CR1) & 6 == 2 && self.kept.get(CR0) & 0xFF == 7 && self.kept.get(CPSR) >= 2
    }

    /// Tells how many clocks of the peripherals a byte takes.
    pub fn byte_cycles(&self) -> u64 {
        8 * u64::from(self.kept.get(CPSR)) * u64::from((self.kept.get(CR0) >> 8) + 1)
    }

    /// Takes the byte that came back.
    pub fn received(&mut self, byte: u8) {
        if self.received.len() < FIFO {
            self.received.push_back(byte);
        } else {
            self.is_overrun = true;
        }
    }

    fn raw(&self) -> u32 {
        // The FIFO to send is always empty, as bytes take their time at once.
        u32::from(self.is_overrun) | u32::from(self.received.len() >= FIFO / 2) << 2 | 1 << 3
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        self.raw() & self.kept.get(IMSC) != 0
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            DR => self.received.pop_front().map_or(0, u32::from),
            // TFE, TNF, RNE, RFF; BSY is never seen.
            SR => 3 | u32::from(!self.received.is_empty()) << 2 | u32::from(self.received.len() == FIFO) << 3,
            RIS => self.raw(),
            MIS => self.raw() & self.kept.get(IMSC),
            _ => self.kept.read(offset)?,
        })
    }

    /// Writes a register other than the data register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            ICR => self.is_overrun &= value & 1 == 0,
            SR | RIS | MIS => {}
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_takes_eight_bits_of_the_divided_clock_and_the_ninth_unread_one_is_lost() {
        let mut spi = Spi::new();
        assert!(!spi.is_on());
        for (offset, value) in [(CPSR, 2), (CR0, 7 << 8 | 7), (CR1, 2)] {
            spi.write(offset, value).unwrap();
        }
        assert!(spi.is_on());
        assert_eq!(spi.byte_cycles(), 128);
        (0..9).for_each(|byte| spi.received(byte));
        assert_eq!(spi.read(RIS).unwrap() & 1, 1);
        assert_eq!((0..9).map(|_| spi.read(DR).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(spi.read(SR), Some(3));
    }
}
