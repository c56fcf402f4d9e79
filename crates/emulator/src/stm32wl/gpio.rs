//! Ports of pins (RM0453 chapter 10).

use crate::kept::Kept;

const MODER: u32 = 0x00;
const PUPDR: u32 = 0x0C;
const IDR: u32 = 0x10;
const ODR: u32 = 0x14;
const BSRR: u32 = 0x18;
const BRR: u32 = 0x28;

/// A pin: port A is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The port's number: A is 0, H is 7.
    pub port: u32,
    /// 0 to 15.
    pub number: u32,
}

/// One port.
#[derive(Clone, Debug)]
pub struct Port {
    kept: Kept<11>,
    /// Pins that something outside drives, and how.
    driven: u32,
    levels: u32,
}

impl Port {
    /// Makes port number `port` as it is after a reset, what is outside unchanged.
    pub fn new(port: u32, before: Option<&Self>) -> Self {
        let mut kept = Kept::new(&[MODER, 0x04, 0x08, PUPDR, IDR, ODR, BSRR, 0x1C, 0x20, 0x24, BRR]);
        // The pins of the debug port are on; all others are analog.
        kept.set(
            MODER,
            match port {
                0 => 0xABFF_FFFF,
                1 => 0xFFFF_FEBF,
                _ => 0xFFFF_FFFF,
            },
        );
        let (driven, levels) = before.map_or((0, 0), |before| (before.driven, before.levels));
        Self { kept, driven, levels }
    }

    /// Drives a pin from outside.
    pub fn drive(&mut self, number: u32, high: bool) {
        self.driven |= 1 << number;
        self.levels = self.levels & !(1 << number) | u32::from(high) << number;
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        match offset {
            IDR => Some(self.inputs()),
            BSRR | BRR => Some(0),
            _ => self.kept.read(offset),
        }
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        let out = self.kept.get(ODR);
        match offset {
            // Where a bit is to be set and reset, it is set.
            BSRR => self.kept.set(ODR, out & !(value >> 16) | value & 0xFFFF),
            BRR => self.kept.set(ODR, out & !value),
            IDR => {}
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }

    /// Tells the level that a pin drives, or `None` while it is no output.
    pub fn output(&self, number: u32) -> Option<bool> {
        (self.mode(number) == 1).then(|| self.kept.get(ODR) >> number & 1 != 0)
    }

    /// The levels that the chip sees. A pin that nobody drives follows its pull; without one it is low.
    pub fn inputs(&self) -> u32 {
        (0..16).fold(0, |word, number| {
            let level = match self.mode(number) {
                1 => self.kept.get(ODR) >> number & 1 != 0,
                // Analog pins are not looked at.
                3 => false,
                _ if self.driven >> number & 1 != 0 => self.levels >> number & 1 != 0,
                _ => self.kept.get(PUPDR) >> (2 * number) & 3 == 1,
            };
            word | u32::from(level) << number
        })
    }

    fn mode(&self, number: u32) -> u32 {
        self.kept.get(MODER) >> (2 * number) & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_drives_only_as_an_output_and_is_seen_as_mode_pull_and_outside_have_it() {
        let mut port = Port::new(1, None);
        port.write(BSRR, 1 << 10).unwrap();
        assert_eq!(port.output(10), None);
        port.write(MODER, 1 << 20).unwrap();
        assert_eq!((port.output(10), port.inputs()), (Some(true), 1 << 10));
        port.write(BSRR, 1 << 26).unwrap();
        assert_eq!((port.output(10), port.inputs()), (Some(false), 0));
        // Pin 0 is an input with a pull-up.
        port.write(PUPDR, 1).unwrap();
        assert_eq!(port.inputs(), 1);
        port.drive(0, false);
        assert_eq!(port.inputs(), 0);
    }
}
