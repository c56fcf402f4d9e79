//! The extended interrupt controller and the choice of its ports (RM0453 chapters 15 and 10).

use crate::kept::Kept;

const RTSR1: u32 = 0x00;
const FTSR1: u32 = 0x04;
const SWIER1: u32 = 0x08;
const PR1: u32 = 0x0C;
const IMR1: u32 = 0x80;

/// The line of the supply monitor.
pub const PVD_LINE: u32 = 16;

/// Lines 0 to 31, of which those of the pins and of the supply monitor are wired.
#[derive(Clone, Debug)]
pub struct Exti {
    kept: Kept<0x26>,
    levels: u32,
}

impl Exti {
    /// Makes the controller as it is after a reset. The levels are those that the lines have.
    pub fn new(levels: u32) -> Self {
        Self {
            kept: Kept::new(&[RTSR1, FTSR1, SWIER1, PR1, 0x20, 0x24, 0x28, 0x2C, IMR1, 0x84, 0x90, 0x94]),
            levels,
        }
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        self.kept.read(offset)
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            PR1 => self.kept.set(PR1, self.kept.get(PR1) & !value),
            SWIER1 => self.kept.set(PR1, self.kept.get(PR1) | value),
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }

    /// Sets the levels of all lines; an edge that is asked for becomes pending.
    pub fn set_levels(&mut self, levels: u32) {
        let changed = self.levels ^ levels;
        let rising = changed & levels & self.kept.get(RTSR1);
        let falling = changed & !levels & self.kept.get(FTSR1);
        self.kept.set(PR1, self.kept.get(PR1) | rising | falling);
        self.levels = levels;
    }

    /// Tells which lines interrupt.
    pub fn interrupting(&self) -> u32 {
        self.kept.get(PR1) & self.kept.get(IMR1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edges_that_are_asked_for_become_pending_and_only_unmasked_ones_interrupt() {
        let mut exti = Exti::new(1);
        exti.write(RTSR1, 1 << PVD_LINE).unwrap();
        exti.write(FTSR1, 1).unwrap();
        exti.write(IMR1, 1 << PVD_LINE).unwrap();
        exti.set_levels(1 << PVD_LINE);
        assert_eq!(exti.read(PR1), Some(1 << PVD_LINE | 1));
        assert_eq!(exti.interrupting(), 1 << PVD_LINE);
        exti.write(PR1, 1 << PVD_LINE).unwrap();
        exti.set_levels(1);
        assert_eq!(exti.read(PR1), Some(1), "neither the rising nor the falling edge was asked for");
    }
}
