//! What belongs to a core: spinlocks, divider, the FIFO to the other core (RP2040 data sheet 2.3.1).

const CPUID: u32 = 0x000;
const FIFO_ST: u32 = 0x050;
const FIFO_RD: u32 = 0x058;
const SPINLOCK_ST: u32 = 0x05C;
const DIVIDEND: u32 = 0x060;
const CSR: u32 = 0x078;
const SPINLOCK0: u32 = 0x100;

/// The first core's side of SIO, without its pins.
#[derive(Clone, Debug, Default)]
pub struct Sio {
    locks: u32,
    /// An empty FIFO was read.
    has_underflowed: bool,
    dividend: u32,
    divisor: u32,
    quotient: u32,
    remainder: u32,
    is_dirty: bool,
}

impl Sio {
    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            CPUID => 0,
            // There is room for a word to the other core, and none has come from it.
            FIFO_ST => 1 << 1 | u32::from(self.has_underflowed) << 3,
            FIFO_RD => {
                self.has_underflowed = true;
                0
            }
            SPINLOCK_ST => self.locks,
            0x060 | 0x068 => self.dividend,
            0x064 | 0x06C => self.divisor,
            0x070 => {
                self.is_dirty = false;
                self.quotient
            }
            0x074 => self.remainder,
            // Ready: eight cycles have always passed.
            CSR => 1 | u32::from(self.is_dirty) << 1,
            // A lock that is free is claimed by its reading, which gives its bit.
            SPINLOCK0..0x180 => {
                let bit = 1 << ((offset - SPINLOCK0) / 4);
                let free = self.locks & bit == 0;
                self.locks |= bit;
                if free { bit } else { 0 }
            }
            _ => return None,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            FIFO_ST => self.has_underflowed = false,
            DIVIDEND..0x070 => {
                if offset & 4 == 0 {
                    self.dividend = value;
                } else {
                    self.divisor = value;
                }
                self.divide(offset >= 0x068);
                self.is_dirty = true;
            }
            0x070 => self.quotient = value,
            0x074 => self.remainder = value,
            SPINLOCK0..0x180 => self.locks &= !(1 << ((offset - SPINLOCK0) / 4)),
            _ => return None,
        }
        Some(())
    }

    /// Data sheet 2.3.1.5: by zero the quotient is all ones (signed: minus or plus one, by the dividend's sign), and the
    /// remainder the dividend.
    fn divide(&mut self, signed: bool) {
        let (dividend, divisor) = (self.dividend, self.divisor);
        (self.quotient, self.remainder) = if signed {
            let (dividend, divisor) = (dividend.cast_signed(), divisor.cast_signed());
            let quotient = match divisor {
                0 if dividend < 0 => 1,
                0 => -1,
                _ => dividend.wrapping_div(divisor),
            };
            let remainder = if divisor == 0 { dividend } else { dividend.wrapping_rem(divisor) };
            (quotient.cast_unsigned(), remainder.cast_unsigned())
        } else {
            (
                dividend.checked_div(divisor).unwrap_or(u32::MAX),
                dividend.checked_rem(divisor).unwrap_or(dividend),
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spinlock_is_claimed_once_until_it_is_released() {
        let mut sio = Sio::default();
        assert_eq!(sio.read(SPINLOCK0 + 4 * 31), Some(1 << 31));
        assert_eq!(sio.read(SPINLOCK0 + 4 * 31), Some(0));
        sio.write(SPINLOCK0 + 4 * 31, 1).unwrap();
        assert_eq!(sio.read(SPINLOCK0 + 4 * 31), Some(1 << 31));
    }

    #[test]
    fn the_divider_gives_quotient_and_remainder() {
        let check = |at: u32, dividend: u32, divisor: u32, quotient: u32, remainder: u32| {
            let mut sio = Sio::default();
            sio.write(at, dividend).unwrap();
            sio.write(at + 4, divisor).unwrap();
            let told = (sio.read(CSR), sio.read(0x074), sio.read(0x070), sio.read(CSR));
            assert_eq!(told, (Some(3), Some(remainder), Some(quotient), Some(1)));
        };
        check(0x060, 1000, 7, 142, 6);
        check(0x060, 1000, 0, u32::MAX, 1000);
        check(0x068, (-1000_i32).cast_unsigned(), 7, (-142_i32).cast_unsigned(), (-6_i32).cast_unsigned());
        check(0x068, 0x8000_0000, u32::MAX, 0x8000_0000, 0);
    }
}
