//! The independent watchdog (RM0453 chapter 30).

use crate::time::ticks_of_us;

const KR: u32 = 0x00;
const PR: u32 = 0x04;
const RLR: u32 = 0x08;
const SR: u32 = 0x0C;
const WINR: u32 = 0x10;

/// The watchdog; its own oscillator runs at 32 kHz.
#[derive(Clone, Debug)]
pub struct Iwdg {
    unlocked: bool,
    prescaler: u32,
    reload: u32,
    window: u32,
    /// When it ends the run, once started.
    due: Option<u64>,
}

impl Iwdg {
    /// Makes a watchdog that is not started.
    pub fn new() -> Self {
        Self { unlocked: false, prescaler: 0, reload: 0xFFF, window: 0xFFF, due: None }
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            KR | SR => 0,
            PR => self.prescaler,
            RLR => self.reload,
            WINR => self.window,
            _ => return None,
        })
    }

    /// Writes a register; prescaler and reload value take the key 0x5555 first.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        match (offset, value) {
            (KR, 0x5555) => self.unlocked = true,
            (KR, key) => {
                self.unlocked = false;
                if key == 0xCCCC || (key == 0xAAAA && self.due.is_some()) {
                    self.due = Some(now + self.time_out());
                }
            }
            (PR, value) if self.unlocked => self.prescaler = value & 7,
            (RLR, value) if self.unlocked => self.reload = value & 0xFFF,
            (WINR, value) if self.unlocked => self.window = value & 0xFFF,
            (PR | RLR | WINR, _) => {}
            _ => return None,
        }
        Some(())
    }

    fn time_out(&self) -> u64 {
        let divider = 4_u64 << self.prescaler.min(6);
        // 1 / 32 kHz is 31.25 us.
        ticks_of_us((u64::from(self.reload) + 1) * divider * 125 / 4)
    }

    /// Tells when it resets the chip.
    pub fn due(&self) -> Option<u64> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_the_run_a_whole_period_after_it_was_started_or_fed() {
        let mut watchdog = Iwdg::new();
        let check = |watchdog: &mut Iwdg, now_us, writes: &[(u32, u32)], due_us: Option<u64>| {
            for (offset, value) in writes {
                watchdog.write(ticks_of_us(now_us), *offset, *value).unwrap();
            }
            assert_eq!(watchdog.due(), due_us.map(ticks_of_us));
        };
        // Divider 64, 4000 counts: 8 s. Locked registers keep what they have.
        check(&mut watchdog, 0, &[(KR, 0xAAAA), (PR, 1)], None);
        check(&mut watchdog, 0, &[(KR, 0x5555), (PR, 4), (RLR, 3999), (KR, 0xCCCC)], Some(8_000_000));
        check(&mut watchdog, 1_000_000, &[(KR, 0xAAAA)], Some(9_000_000));
        check(&mut watchdog, 2_000_000, &[(RLR, 1)], Some(9_000_000));
    }
}
