//! The bus to the tag, I2C2 as master (RM0453 chapter 34). A byte takes its time at once, when it begins.

use sockeye_virtual_hardware::st25dv::{BusFault, SharedTag};

use crate::kept::Kept;

const CR1: u32 = 0x00;
const CR2: u32 = 0x04;
const TIMINGR: u32 = 0x10;
const ISR: u32 = 0x18;
const ICR: u32 = 0x1C;
const RXDR: u32 = 0x24;
const TXDR: u32 = 0x28;

const PE: u32 = 1;

/// CR2.
const READS: u32 = 1 << 10;
const START: u32 = 1 << 13;
const AUTOEND: u32 = 1 << 25;

/// ISR.
const TXE: u32 = 1;
const TXIS: u32 = 1 << 1;
const RXNE: u32 = 1 << 2;
const NACKF: u32 = 1 << 4;
const STOPF: u32 = 1 << 5;
const TC: u32 = 1 << 6;
const BUSY: u32 = 1 << 15;

/// Bits of a byte, with its acknowledgement.
const BITS: u64 = 9;

/// The unit.
#[derive(Clone, Debug)]
pub struct I2c {
    kept: Kept<11>,
    flags: u32,
    /// Bytes of the transfer that are still to come.
    left: u32,
}

impl I2c {
    /// Makes it as it is after a reset.
    pub fn new() -> Self {
        let kept = Kept::new(&[CR1, CR2, 0x08, 0x0C, TIMINGR, 0x14, ISR, ICR, 0x20, RXDR, TXDR]);
        Self { kept, flags: 0, left: 0 }
    }

    /// Tells how many clocks a byte takes.
    fn byte_clocks(&self) -> u64 {
        let timing = self.kept.get(TIMINGR);
        let (low, high) = (timing & 0xFF, timing >> 8 & 0xFF);
        BITS * u64::from((timing >> 28) + 1) * u64::from(low + high + 2)
    }

    /// Reads a register; tells how many clocks pass too.
    pub fn read(&mut self, tag: &SharedTag, offset: u32) -> Option<(u32, u64)> {
        Some(match offset {
            ISR => (self.flags | if self.flags & TXIS != 0 { TXE } else { 0 }, 0),
            RXDR if self.flags & RXNE != 0 => {
                let byte = self.kept.get(RXDR);
                self.flags &= !RXNE;
                self.left = self.left.saturating_sub(1);
                (byte, self.go_on(tag))
            }
            _ => (self.kept.read(offset)?, 0),
        })
    }

    /// Writes a register; tells how many clocks pass.
    pub fn write(&mut self, tag: &SharedTag, offset: u32, value: u32) -> Option<u64> {
        match offset {
            ISR | RXDR => return Some(0),
            ICR => self.flags &= !(value & (NACKF | STOPF)),
            _ => self.kept.write(offset, value)?,
        }
        Some(match offset {
            CR1 if value & PE == 0 => {
                if self.flags & BUSY != 0 {
                    tag.with(|now_us, chip| chip.stop(now_us));
                }
                self.flags = 0;
                0
            }
            CR2 if value & START != 0 && self.kept.get(CR1) & PE != 0 => self.start(tag, value),
            TXDR if self.flags & TXIS != 0 => {
                self.flags &= !TXIS;
                self.left = self.left.saturating_sub(1);
                if tag.with(|_, chip| chip.write(value as u8)) {
                    self.go_on(tag)
                } else {
                    self.stop(tag, NACKF)
                }
            }
            _ => 0,
        })
    }

    fn start(&mut self, tag: &SharedTag, control: u32) -> u64 {
        self.flags = self.flags & !TC | BUSY;
        self.left = control >> 16 & 0xFF;
        let address = control & 0xFE | u32::from(control & READS != 0);
        match tag.fault() {
            // The lines never become free.
            BusFault::Stuck | BusFault::Hangs => 0,
            BusFault::None if tag.with(|now_us, chip| chip.start(now_us, address as u8)) => self.go_on(tag),
            BusFault::None | BusFault::Absent => self.stop(tag, NACKF),
        }
    }

    /// The next byte, or the end.
    fn go_on(&mut self, tag: &SharedTag) -> u64 {
        let control = self.kept.get(CR2);
        match (self.left, control & READS != 0) {
            (0, _) if control & AUTOEND != 0 => return self.stop(tag, 0),
            (0, _) => self.flags |= TC,
            (_, true) => {
                self.kept.set(RXDR, tag.with(|_, chip| chip.read()).into());
                self.flags |= RXNE;
            }
            (_, false) => self.flags |= TXIS,
        }
        self.byte_clocks()
    }

    fn stop(&mut self, tag: &SharedTag, more: u32) -> u64 {
        tag.with(|now_us, chip| chip.stop(now_us));
        self.flags = self.flags & !(BUSY | TXIS | TC) | STOPF | more;
        self.byte_clocks()
    }
}
