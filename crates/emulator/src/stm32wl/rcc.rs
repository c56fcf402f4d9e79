//! Reset and clock control (RM0453 chapter 7).

use crate::chip::ResetKind;
use crate::kept::Kept;
use crate::time::TICKS_PER_US;

const CR: u32 = 0x00;
const CFGR: u32 = 0x08;
const PLLCFGR: u32 = 0x0C;
const AHB1ENR: u32 = 0x48;
const AHB2ENR: u32 = 0x4C;
const AHB3ENR: u32 = 0x50;
const APB1ENR1: u32 = 0x58;
const APB1ENR2: u32 = 0x5C;
const APB2ENR: u32 = 0x60;
const APB3ENR: u32 = 0x64;
const BDCR: u32 = 0x90;
const CSR: u32 = 0x94;
const EXTCFGR: u32 = 0x108;

/// Every register that there is.
/// Clocks for the second core of an STM32WL5x, which does not run.
const C2AHB1ENR: u32 = 0x148;
const C2AHB2ENR: u32 = 0x14C;

const KNOWN: [u32; 36] = [
    CR, 0x04, CFGR, PLLCFGR, 0x18, 0x1C, 0x20, 0x28, 0x2C, 0x30, 0x38, 0x3C, 0x40, 0x44, AHB1ENR, AHB2ENR,
    AHB3ENR, APB1ENR1, APB1ENR2, APB2ENR, APB3ENR, 0x68, 0x6C, 0x70, 0x78, 0x7C, 0x80, 0x84, 0x88, BDCR, CSR,
    EXTCFGR, 0x10C, 0x110, C2AHB1ENR, C2AHB2ENR,
];

const RFRST: u32 = 1 << 15;
const RMVF: u32 = 1 << 23;
/// All flags that tell of a reset.
const RESET_FLAGS: u32 = 0xFF << 24;

/// The peripherals whose clock can be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocked {
    /// A GPIO port by its number.
    Gpio(u32),
    /// DMA controller 1.
    Dma1,
    /// The DMA request multiplexer.
    Dmamux,
    /// Timer 2.
    Tim2,
    /// USART 1.
    Usart1,
    /// The low-power serial port.
    Lpuart1,
    /// The bus to the tag.
    I2c2,
    /// The bus to the radio.
    SubghzSpi,
    /// The random number generator.
    Rng,
}

/// The registers.
#[derive(Clone, Debug)]
pub struct Rcc(Kept<0x54>);

impl Rcc {
    /// Makes them as they are after a reset of this kind, which finds the flags of `before`.
    pub fn new(kind: ResetKind, before: Option<&Self>) -> Self {
        let mut kept = Kept::new(&KNOWN);
        // Reset values of RM0453: MSI at 4 MHz runs; flash and semaphores are clocked; the radio is held in reset.
        kept.set(CR, 0x61);
        kept.set(AHB3ENR, 1 << 25 | 1 << 19);
        kept.set(PLLCFGR, 0x2204_0100);
        let flags = match kind {
            // Brown-out and reset pin.
            ResetKind::Power => 1 << 27 | 1 << 26,
            // Every reset of the chip's own also moves its reset pin.
            ResetKind::Watchdog => 1 << 29 | 1 << 26,
            ResetKind::Software => 1 << 28 | 1 << 26,
        };
        let older = before.map_or(0, |before| before.0.get(CSR) & RESET_FLAGS);
        kept.set(CSR, flags | older | RFRST | 0x600);
        Self(kept)
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        let value = self.0.read(offset)?;
        Some(match offset {
            // Each oscillator is ready as soon as it is on.
            CR => {
                let ready = [(0, 1), (8, 10), (16, 17), (24, 25)];
                ready.iter().fold(value, |word, (on, is_ready)| {
                    word & !(1 << is_ready) | (value >> on & 1) << is_ready
                })
            }
            CFGR => value & !0xC | (value & 3) << 2 | 0x7_0000,
            BDCR => value & !2 | (value & 1) << 1,
            // LSI is ready, and the radio's reset is seen in the flag RFRSTF.
            CSR => value & !(2 | 1 << 14) | (value & 1) << 1 | (value & RFRST) >> 1,
            EXTCFGR => value | 0x3_0000,
            _ => value,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        let value = match offset {
            CSR => {
                let flags = if value & RMVF == 0 { self.0.get(CSR) & RESET_FLAGS } else { 0 };
                value & !(RESET_FLAGS | RMVF) | flags
            }
            _ => value,
        };
        self.0.write(offset, value)
    }

    /// Tells whether the radio is held in reset.
    pub fn radio_in_reset(&self) -> bool {
        self.0.get(CSR) & RFRST != 0
    }

    /// Tells how many ticks a cycle of the CPU takes, or names the frequency that is no part of the ticks'.
    pub fn ticks_per_cycle(&self) -> Result<u64, u64> {
        // CFGR.HPRE: 0xxx is 1; then 2, 4, 8, 16, 64, 128, 256, 512, with 3, 5, 6, 10, 32 in the gaps.
        let divider = match self.0.get(CFGR) >> 4 & 0xF {
            1 => 3,
            2 => 5,
            5 => 6,
            6 => 10,
            7 => 32,
            value @ 8..=11 => 2 << (value - 8),
            value @ 12..=15 => 64 << (value - 12),
            _ => 1,
        };
        let hz = self.system_hz() / divider;
        let all = TICKS_PER_US * 1_000_000;
        if hz > 0 && all.is_multiple_of(hz) { Ok(all / hz) } else { Err(hz) }
    }

    fn system_hz(&self) -> u64 {
        match self.0.get(CFGR) & 3 {
            0 => self.msi_hz(),
            1 => 16_000_000,
            2 => self.hse_hz(),
            _ => {
                let pll = self.0.get(PLLCFGR);
                let source = match pll & 3 {
                    1 => self.msi_hz(),
                    2 => 16_000_000,
                    3 => self.hse_hz(),
                    _ => 0,
                };
                let (m, n, r) = ((pll >> 4 & 7) + 1, pll >> 8 & 0x7F, (pll >> 29) + 1);
                let running = self.0.get(CR) >> 24 & 1 != 0 && pll >> 28 & 1 != 0;
                if running { source / u64::from(m) * u64::from(n) / u64::from(r) } else { 0 }
            }
        }
    }

    /// The TCXO or crystal, where it is switched on.
    fn hse_hz(&self) -> u64 {
        if self.0.get(CR) >> 16 & 1 == 0 {
            return 0;
        }
        if self.0.get(CR) >> 20 & 1 == 0 { 32_000_000 } else { 16_000_000 }
    }

    fn msi_hz(&self) -> u64 {
        const RANGES_KHZ: [u64; 16] =
            [100, 200, 400, 800, 1_000, 2_000, 4_000, 8_000, 16_000, 24_000, 32_000, 48_000, 0, 0, 0, 0];
        // CR.MSIRGSEL chooses between the range here and the one after standby, which is 4 MHz.
        let cr = self.0.get(CR);
        if cr >> 3 & 1 == 0 { 4_000_000 } else { RANGES_KHZ[(cr >> 4 & 0xF) as usize] * 1000 }
    }

    /// Tells whether a peripheral has its clock.
    pub fn is_clocked(&self, peripheral: Clocked) -> bool {
        let (register, bit) = match peripheral {
            Clocked::Gpio(port) => (AHB2ENR, port),
            Clocked::Dma1 => (AHB1ENR, 0),
            Clocked::Dmamux => (AHB1ENR, 2),
            Clocked::Tim2 => (APB1ENR1, 0),
            Clocked::Lpuart1 => (APB1ENR2, 0),
            Clocked::I2c2 => (APB1ENR1, 22),
            Clocked::Usart1 => (APB2ENR, 14),
            Clocked::SubghzSpi => (APB3ENR, 0),
            Clocked::Rng => (AHB3ENR, 18),
        };
        self.0.get(register) >> bit & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_runs_at_what_oscillator_pll_and_divider_make() {
        let check = |writes: &[(u32, u32)], expected: Result<u64, u64>| {
            let mut rcc = Rcc::new(ResetKind::Power, None);
            for (offset, value) in writes {
                rcc.write(*offset, *value).unwrap();
            }
            assert_eq!(rcc.ticks_per_cycle(), expected.map(|mhz| TICKS_PER_US / mhz), "{writes:x?}");
        };
        // After a reset MSI at 4 MHz.
        check(&[], Ok(4));
        check(&[(CFGR, 1), (CR, 1 << 8)], Ok(16));
        check(&[(CR, 1 << 16), (CFGR, 2)], Ok(32));
        check(&[(CR, 1 << 16 | 1 << 20), (CFGR, 2)], Ok(16));
        // 32 MHz / 2 * 6 / 2 = 48 MHz.
        let pll = 3 | 1 << 4 | 6 << 8 | 1 << 28 | 1 << 29;
        check(&[(CR, 1 << 16 | 1 << 24), (PLLCFGR, pll), (CFGR, 3)], Ok(48));
        check(&[(CR, 1 << 16 | 1 << 24), (PLLCFGR, pll), (CFGR, 3 | 8 << 4)], Ok(24));
        // A PLL that is off, or fed by an oscillator that is.
        check(&[(CR, 1 << 16), (PLLCFGR, pll), (CFGR, 3)], Err(0));
        check(&[(CR, 1 << 24), (PLLCFGR, pll), (CFGR, 3)], Err(0));
    }

    #[test]
    fn reset_flags_add_up_until_they_are_removed() {
        let first = Rcc::new(ResetKind::Power, None);
        let second = Rcc::new(ResetKind::Software, Some(&first));
        assert_eq!(second.read(CSR).unwrap() & RESET_FLAGS, 1 << 28 | 1 << 27 | 1 << 26);
        let mut third = Rcc::new(ResetKind::Watchdog, None);
        third.write(CSR, RMVF).unwrap();
        assert_eq!(third.read(CSR).unwrap() & RESET_FLAGS, 0);
        assert!(!third.radio_in_reset());
    }
}
