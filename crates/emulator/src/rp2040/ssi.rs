//! The bus to the flash, as its driver and the second-stage loader use it without XIP (RP2040 data sheet 4.10).

use std::collections::VecDeque;

use crate::kept::Kept;

const CTRLR0: u32 = 0x00;
const CTRLR1: u32 = 0x04;
const SSIENR: u32 = 0x08;
const SR: u32 = 0x28;
const DR0: u32 = 0x60;

const KNOWN: [u32; 26] = [
    CTRLR0, CTRLR1, SSIENR, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, SR, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x48,
    0x4C, 0x50, 0x54, 0x58, 0x5C, DR0, 0xF0, 0xF4, 0xF8,
];

/// Manufacturer, type and size of a W25Q16JV (its data sheet, 8.1).
const JEDEC_ID: [u8; 3] = [0xEF, 0x40, 0x15];

/// Bus and answers of the flash.
#[derive(Clone, Debug)]
pub struct Ssi {
    kept: Kept<0x40>,
    unique_id: [u8; 8],
    /// The command that the flash is given, and how many bytes came since.
    command: Option<(u8, usize)>,
    received: VecDeque<u8>,
}

impl Ssi {
    /// Makes it as the boot ROM leaves it.
    pub fn new(unique_id: [u8; 8]) -> Self {
        Self { kept: Kept::new(&KNOWN), unique_id, command: None, received: VecDeque::new() }
    }

    /// The byte that the flash answers with, `at` bytes after its command.
    fn answer(&self, command: u8, at: usize) -> u8 {
        match command {
            // Status registers 1 and 2: not busy; QE is set.
            0x05 => 0,
            0x35 => 2,
            0x9F => JEDEC_ID.get(at).copied().unwrap_or(0),
            // Four bytes pass before the number.
            0x4B => at.checked_sub(4).and_then(|at| self.unique_id.get(at)).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Tells whether it is set to read the flash by itself: on, and with four lines.
    pub fn is_xip(&self) -> bool {
        self.kept.get(SSIENR) & 1 != 0 && self.kept.get(CTRLR0) >> 21 & 3 == 2
    }

    fn exchange(&mut self, byte: u8) {
        let answer = match self.command {
            None => {
                self.command = Some((byte, 0));
                0
            }
            Some((command, at)) => {
                self.command = Some((command, at + 1));
                self.answer(command, at)
            }
        };
        self.received.push_back(answer);
    }

    fn write_data(&mut self, byte: u8) {
        // TMOD 3: after the command the bus reads by itself.
        if self.kept.get(CTRLR0) >> 8 & 3 == 3 {
            self.command = Some((byte, 0));
            let bytes = self.kept.get(CTRLR1) as usize + 1;
            self.received.extend((0..bytes).map(|at| self.answer(byte, at)).collect::<Vec<_>>());
        } else {
            self.exchange(byte);
        }
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            // TFNF and TFE, RFNE; never busy.
            SR => 1 << 1 | 1 << 2 | u32::from(!self.received.is_empty()) << 3,
            DR0 => {
                let byte = self.received.pop_front().unwrap_or(0);
                if self.received.is_empty() {
                    self.command = None;
                }
                u32::from(byte)
            }
            _ => self.kept.read(offset)?,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            SR => {}
            DR0 => self.write_data(value as u8),
            _ => self.kept.write(offset, value)?,
        }
        if offset == SSIENR {
            self.received.clear();
            self.command = None;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flash_tells_its_status_and_its_number() {
        let mut ssi = Ssi::new([1, 2, 3, 4, 5, 6, 7, 8]);
        // As the loader reads status register 2.
        for byte in [0x35, 0] {
            ssi.write(DR0, byte).unwrap();
        }
        assert_eq!((ssi.read(DR0), ssi.read(DR0)), (Some(0), Some(2)));
        // As the driver reads the number.
        for (offset, value) in [(SSIENR, 0), (CTRLR0, 0x300), (CTRLR1, 11), (SSIENR, 1), (DR0, 0x4B)] {
            ssi.write(offset, value).unwrap();
        }
        let bytes: Vec<u32> = (0..12).map(|_| ssi.read(DR0).unwrap()).collect();
        assert_eq!(bytes, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(ssi.read(SR).unwrap() & 8, 0);
    }
}
