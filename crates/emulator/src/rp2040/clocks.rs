//! Oscillators, PLLs and the clocks that are made of them (RP2040 data sheet 2.15 to 2.18).

use crate::kept::Kept;
use crate::time::{TICKS_PER_US, ticks_of_us};

const XOSC_HZ: u64 = 12_000_000;
/// The ring oscillator has no exact frequency; 6.5 MHz is its nominal one, which is no whole number of ticks.
const ROSC_HZ: u64 = 6_000_000;

const REF_CTRL: u32 = 0x30;
const REF_DIV: u32 = 0x34;
const REF_SELECTED: u32 = 0x38;
const SYS_CTRL: u32 = 0x3C;
const SYS_DIV: u32 = 0x40;
const SYS_SELECTED: u32 = 0x44;
const PERI_CTRL: u32 = 0x48;

/// One PLL.
#[derive(Clone, Debug)]
pub struct Pll(Kept<4>);

impl Pll {
    /// Makes a PLL as it is after a reset.
    pub fn new() -> Self {
        let mut kept = Kept::new(&[0x0, 0x4, 0x8, 0xC]);
        kept.set(0x0, 1);
        kept.set(0x4, 0x2D);
        kept.set(0xC, 0x7_7000);
        Self(kept)
    }

    /// PD and VCOPD are clear.
    fn is_running(&self) -> bool {
        self.0.get(0x4) & (1 | 1 << 5) == 0
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        let value = self.0.read(offset)?;
        Some(if offset == 0 { value & !(1 << 31) | u32::from(self.is_running()) << 31 } else { value })
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        self.0.write(offset, value)
    }

    fn hz(&self) -> u64 {
        // POSTDIVPD.
        if !self.is_running() || self.0.get(0x4) & 1 << 3 != 0 {
            return 0;
        }
        let field = |offset: u32, shift: u32, mask: u32| u64::from(self.0.get(offset) >> shift & mask);
        let vco = XOSC_HZ / field(0x0, 0, 0x3F).max(1) * field(0x8, 0, 0xFFF);
        vco / field(0xC, 16, 7).max(1) / field(0xC, 12, 7).max(1)
    }
}

/// The clocks and what they come from.
#[derive(Clone, Debug)]
pub struct Clocks {
    kept: Kept<0x32>,
    /// The crystal oscillator.
    xosc: Kept<8>,
    xosc_stable_at: Option<u64>,
    rosc: Kept<9>,
    /// PLL_SYS.
    pub pll_sys: Pll,
    /// PLL_USB.
    pub pll_usb: Pll,
    random: u64,
}

impl Clocks {
    /// Makes the clocks as they are after a reset.
    pub fn new(seed: u64) -> Self {
        let mut kept = Kept::new(&ALL);
        kept.set(REF_DIV, 1 << 8);
        kept.set(SYS_DIV, 1 << 8);
        let mut rosc = Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20]);
        rosc.set(0x00, 0xFA_BAA0);
        Self {
            kept,
            xosc: Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x1C]),
            xosc_stable_at: None,
            rosc,
            pll_sys: Pll::new(),
            pll_usb: Pll::new(),
            random: seed | 1,
        }
    }

    /// Gives what the next start is to be seeded with.
    pub fn next_seed(&self) -> u64 {
        self.random.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Reads a register of CLOCKS.
    pub fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            REF_SELECTED => 1 << (self.kept.get(REF_CTRL) & 3),
            SYS_SELECTED => 1 << (self.kept.get(SYS_CTRL) & 1),
            // The others have no glitchless part.
            0x08 | 0x14 | 0x20 | 0x2C | 0x50 | 0x5C | 0x68 | 0x74 => 1,
            _ => self.kept.read(offset)?,
        })
    }

    /// Writes a register of CLOCKS.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        self.kept.write(offset, value)
    }

    /// Reads a register of XOSC.
    pub fn read_xosc(&self, now: u64, offset: u32) -> Option<u32> {
        let value = self.xosc.read(offset)?;
        let stable = self.xosc_stable_at.is_some_and(|at| at <= now);
        Some(match offset {
            0x04 => u32::from(stable) << 31 | u32::from(self.xosc_stable_at.is_some()) << 12,
            _ => value,
        })
    }

    /// Writes a register of XOSC.
    pub fn write_xosc(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        self.xosc.write(offset, value)?;
        if offset == 0 {
            let delay = u64::from(self.xosc.get(0x0C) & 0x3FFF) * 256;
            self.xosc_stable_at = match value >> 12 & 0xFFF {
                0xFAB => self.xosc_stable_at.or(Some(now + ticks_of_us(delay * 1_000_000 / XOSC_HZ))),
                _ => None,
            };
        }
        Some(())
    }

    /// Reads a register of ROSC.
    pub fn read_rosc(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            // Stable and enabled.
            0x18 => 1 << 31 | 1 << 12,
            0x1C => {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                (self.random >> 40) as u32 & 1
            }
            _ => self.rosc.read(offset)?,
        })
    }

    /// Writes a register of ROSC.
    pub fn write_rosc(&mut self, offset: u32, value: u32) -> Option<()> {
        self.rosc.write(offset, value)
    }

    fn xosc_hz(&self) -> u64 {
        if self.xosc_stable_at.is_some() { XOSC_HZ } else { 0 }
    }

    fn ref_hz(&self) -> u64 {
        let source = match self.kept.get(REF_CTRL) & 3 {
            0 => ROSC_HZ,
            2 => self.xosc_hz(),
            _ => self.pll_usb.hz(),
        };
        source / u64::from(self.kept.get(REF_DIV) >> 8 & 3).max(1)
    }

    fn sys_hz(&self) -> u64 {
        let control = self.kept.get(SYS_CTRL);
        let source = match (control & 1, control >> 5 & 7) {
            (0, _) => self.ref_hz(),
            (_, 0) => self.pll_sys.hz(),
            (_, 1) => self.pll_usb.hz(),
            (_, 2) => ROSC_HZ,
            (_, 3) => self.xosc_hz(),
            _ => 0,
        };
        source * 256 / u64::from(self.kept.get(SYS_DIV)).max(256)
    }

    fn peri_hz(&self) -> u64 {
        let control = self.kept.get(PERI_CTRL);
        match (control >> 11 & 1, control >> 5 & 7) {
            (0, _) => 0,
            (_, 0) => self.sys_hz(),
            (_, 1) => self.pll_sys.hz(),
            (_, 2) => self.pll_usb.hz(),
            (_, 3) => ROSC_HZ,
            (_, 4) => self.xosc_hz(),
            _ => 0,
        }
    }

    /// Tells how many ticks a cycle of the CPU takes, or names the frequency that is no part of the ticks'.
    pub fn sys_ticks(&self) -> Result<u64, u64> {
        ticks(self.sys_hz())
    }

    /// Tells how many ticks a cycle of the serial peripherals takes; none without a clock.
    pub fn peri_ticks(&self) -> Option<u64> {
        ticks(self.peri_hz()).ok()
    }

    /// Tells how many ticks a cycle of the reference takes.
    pub fn ref_ticks(&self) -> Option<u64> {
        ticks(self.ref_hz()).ok()
    }
}

fn ticks(hz: u64) -> Result<u64, u64> {
    let all = TICKS_PER_US * 1_000_000;
    if hz > 0 && all.is_multiple_of(hz) { Ok(all / hz) } else { Err(hz) }
}

/// Every register of CLOCKS.
const ALL: [u32; 50] = super::counted();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_runs_at_what_crystal_pll_and_divider_make() {
        let mut clocks = Clocks::new(1);
        assert_eq!(clocks.sys_ticks(), Ok(TICKS_PER_US / 6));
        clocks.write_xosc(0, 0x0C, 47).unwrap();
        clocks.write_xosc(0, 0x00, 0xFAB_AA0).unwrap();
        assert_eq!(clocks.read_xosc(0, 0x04).unwrap() >> 31, 0);
        assert_eq!(clocks.read_xosc(ticks_of_us(1_003), 0x04).unwrap() >> 31, 1);
        // 12 MHz * 125 / 6 / 2.
        for (offset, value) in [(0x8, 125), (0x4, 1 << 3 | 1 << 2), (0xC, 6 << 16 | 2 << 12), (0x4, 1 << 2)] {
            clocks.pll_sys.write(offset, value).unwrap();
        }
        assert_eq!(clocks.pll_sys.read(0).unwrap() >> 31, 1);
        clocks.write(REF_CTRL, 2).unwrap();
        clocks.write(SYS_CTRL, 1).unwrap();
        assert_eq!(clocks.read(SYS_SELECTED), Some(2));
        assert_eq!((clocks.sys_ticks(), clocks.ref_ticks()), (Ok(96), Some(1000)));
        assert_eq!(clocks.peri_ticks(), None);
        clocks.write(PERI_CTRL, 1 << 11).unwrap();
        assert_eq!(clocks.peri_ticks(), Some(96));
        // A PLL that is off stops the CPU.
        clocks.pll_sys.write(0x4, 0x2D).unwrap();
        assert_eq!(clocks.sys_ticks(), Err(0));
    }

    #[test]
    fn the_random_bit_varies() {
        let mut clocks = Clocks::new(7);
        let ones: u32 = (0..1000).map(|_| clocks.read_rosc(0x1C).unwrap()).sum();
        assert!((400..600).contains(&ones), "{ones}");
    }
}
