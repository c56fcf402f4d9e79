//! Pins: IO_BANK0, PADS_BANK0 and the outputs of SIO (RP2040 data sheet 2.19 and 2.3.1.2).

/// Pins that there are.
const PINS: usize = 30;
/// The function that gives a pin to SIO.
const SIO_FUNCTION: u32 = 5;
/// Reset value of a pad: input enabled, pulled down, 4 mA, with hysteresis.
const PAD: u32 = 0x56;

const EDGE_LOW: u32 = 1 << 2;
const EDGE_HIGH: u32 = 1 << 3;

/// All pins.
#[derive(Clone, Debug)]
pub struct Gpio {
    control: [u32; PINS],
    pads: [u32; PINS + 3],
    /// Edges that were seen, four bits a pin of which two are used.
    edges: [u32; 4],
    enabled: [u32; 4],
    forced: [u32; 4],
    enabled_1: [u32; 4],
    /// What SIO puts out.
    pub out: u32,
    /// Which pins SIO drives.
    pub out_enable: u32,
    /// Pins that something outside drives, and how.
    driven: u32,
    levels: u32,
    /// What the inputs were, for edges.
    seen: u32,
}

impl Gpio {
    /// Makes the pins as they are after a reset, what is outside unchanged.
    pub fn new(before: Option<&Self>) -> Self {
        let mut fresh = Self {
            control: [0x1F; PINS],
            pads: [PAD; PINS + 3],
            edges: [0; 4],
            enabled: [0; 4],
            forced: [0; 4],
            enabled_1: [0; 4],
            out: 0,
            out_enable: 0,
            driven: before.map_or(0, |before| before.driven),
            levels: before.map_or(0, |before| before.levels),
            seen: 0,
        };
        fresh.pads[0] = 0;
        fresh.seen = fresh.inputs();
        fresh
    }

    /// Drives a pin from outside.
    pub fn drive(&mut self, pin: u32, high: bool) {
        self.driven |= 1 << pin;
        self.levels = self.levels & !(1 << pin) | u32::from(high) << pin;
    }

    /// Tells the level that a pin drives, or `None` while it is no output of SIO.
    pub fn output(&self, pin: u32) -> Option<bool> {
        let control = self.control.get(pin as usize)?;
        let level = |from: bool, over: u32| match over & 3 {
            0 => from,
            1 => !from,
            2 => false,
            _ => true,
        };
        let is_sio = control & 0x1F == SIO_FUNCTION;
        let enabled = level(is_sio && self.out_enable >> pin & 1 != 0, control >> 12);
        // The pad's output can be disabled too.
        let pad = self.pads.get(pin as usize + 1).copied().unwrap_or(0);
        (enabled && pad >> 7 & 1 == 0).then(|| level(is_sio && self.out >> pin & 1 != 0, control >> 8))
    }

    /// The levels that the chip sees. A pin that nobody drives follows its pull; without one it is low.
    pub fn inputs(&self) -> u32 {
        (0..PINS as u32).fold(0, |word, pin| {
            let pad = self.pads.get(pin as usize + 1).copied().unwrap_or(0);
            let level = if let Some(high) = self.output(pin) {
                high
            } else if self.driven >> pin & 1 != 0 {
                self.levels >> pin & 1 != 0
            } else {
                pad >> 3 & 1 != 0
            };
            // Without its input buffer a pin reads low.
            word | u32::from(level && pad >> 6 & 1 != 0) << pin
        })
    }

    /// Notes the edges since the last look.
    pub fn look(&mut self) {
        let now = self.inputs();
        let changed = std::mem::replace(&mut self.seen, now) ^ now;
        for pin in (0..PINS as u32).filter(|pin| changed >> pin & 1 != 0) {
            let edge = if now >> pin & 1 != 0 { EDGE_HIGH } else { EDGE_LOW };
            if let Some(word) = self.edges.get_mut(pin as usize / 8) {
                *word |= edge << (4 * (pin % 8));
            }
        }
    }

    /// Level low, level high, edge low, edge high of each pin.
    fn raw(&self, word: usize) -> u32 {
        let levels = (0..8).fold(0, |bits, at| {
            let high = self.seen >> (8 * word + at) & 1 != 0;
            bits | if high { 2 } else { 1 } << (4 * at)
        });
        let there = if word == 3 { 0x00FF_FFFF } else { u32::MAX };
        (levels | self.edges.get(word).copied().unwrap_or(0)) & there
    }

    fn status(&self, word: usize) -> u32 {
        let get = |words: &[u32; 4]| words.get(word).copied().unwrap_or(0);
        // Most words have no pin that interrupts.
        if get(&self.enabled) == 0 {
            return get(&self.forced);
        }
        self.raw(word) & get(&self.enabled) | get(&self.forced)
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        (0..4).any(|word| self.status(word) != 0)
    }

    /// Reads a register of IO_BANK0.
    pub fn read(&self, offset: u32) -> Option<u32> {
        let word = (offset >> 2 & 3) as usize;
        Some(match offset {
            0x00..0xF0 if offset & 4 == 0 => {
                let pin = offset / 8;
                let output = self.output(pin);
                let input = self.inputs() >> pin & 1;
                u32::from(output == Some(true)) << 9 | u32::from(output.is_some()) << 13 | input << 17
            }
            0x00..0xF0 => *self.control.get(offset as usize / 8)?,
            0xF0..0x100 => self.raw(word),
            0x100..0x110 => *self.enabled.get(word)?,
            0x110..0x120 => *self.forced.get(word)?,
            0x120..0x130 => self.status(word),
            // The second core's.
            0x130..0x140 => *self.enabled_1.get(word)?,
            0x140..0x190 => 0,
            _ => return None,
        })
    }

    /// Writes a register of IO_BANK0.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        let word = (offset >> 2 & 3) as usize;
        match offset {
            0x00..0xF0 if offset & 4 == 0 => {}
            0x00..0xF0 => *self.control.get_mut(offset as usize / 8)? = value,
            0xF0..0x100 => *self.edges.get_mut(word)? &= !value,
            0x100..0x110 => *self.enabled.get_mut(word)? = value,
            0x110..0x120 => *self.forced.get_mut(word)? = value,
            0x130..0x140 => *self.enabled_1.get_mut(word)? = value,
            0x120..0x130 | 0x140..0x190 => {}
            _ => return None,
        }
        Some(())
    }

    /// Reads a register of PADS_BANK0.
    pub fn read_pad(&self, offset: u32) -> Option<u32> {
        self.pads.get(offset as usize / 4).copied()
    }

    /// Writes a register of PADS_BANK0.
    pub fn write_pad(&mut self, offset: u32, value: u32) -> Option<()> {
        *self.pads.get_mut(offset as usize / 4)? = value;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_drives_only_with_its_function_and_its_enable() {
        let mut gpio = Gpio::new(None);
        gpio.out = 1 << 6;
        gpio.out_enable = 1 << 6;
        assert_eq!(gpio.output(6), None);
        gpio.write(8 * 6 + 4, SIO_FUNCTION).unwrap();
        assert_eq!((gpio.output(6), gpio.inputs()), (Some(true), 1 << 6));
        gpio.out_enable = 0;
        assert_eq!((gpio.output(6), gpio.inputs()), (None, 0));
    }

    #[test]
    fn an_input_follows_what_drives_it_or_its_pull_and_interrupts_by_level_and_edge() {
        let mut gpio = Gpio::new(None);
        // Pin 7: input, pulled up; interrupt at its falling edge.
        gpio.write_pad(4 + 4 * 7, 1 << 6 | 1 << 3).unwrap();
        gpio.look();
        gpio.write(0xF0, u32::MAX).unwrap();
        gpio.write(0x100, EDGE_LOW << 28).unwrap();
        assert_eq!(gpio.inputs(), 1 << 7);
        assert!(!gpio.interrupts());
        gpio.drive(7, false);
        gpio.look();
        assert!(gpio.interrupts());
        gpio.write(0xF0, EDGE_LOW << 28).unwrap();
        assert!(!gpio.interrupts());
        // The level low is there all the time.
        gpio.write(0x100, 1 << 28).unwrap();
        assert!(gpio.interrupts());
        gpio.drive(7, true);
        gpio.look();
        assert!(!gpio.interrupts());
    }
}
