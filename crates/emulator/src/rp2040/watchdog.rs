//! The watchdog, its scratch registers, and the tick that it makes for the timer (RP2040 data sheet 4.7).

const CTRL: u32 = 0x00;
const LOAD: u32 = 0x04;
const REASON: u32 = 0x08;
const SCRATCH0: u32 = 0x0C;
const TICK: u32 = 0x2C;

const ENABLE: u32 = 1 << 30;
const TRIGGER: u32 = 1 << 31;
const TICK_ENABLE: u32 = 1 << 9;

/// The watchdog.
#[derive(Clone, Debug)]
pub struct Watchdog {
    control: u32,
    /// What is left at `since`.
    count: u32,
    since: u64,
    reason: u32,
    scratch: [u32; 8],
    tick: u32,
    ref_ticks: u64,
    is_triggered: bool,
}

impl Watchdog {
    /// Makes it as it is after power-up.
    pub fn new(now: u64, ref_ticks: u64) -> Self {
        Self {
            control: 0,
            count: 0,
            since: now,
            reason: 0,
            scratch: [0; 8],
            tick: TICK_ENABLE,
            ref_ticks,
            is_triggered: false,
        }
    }

    /// Gives it as it is after it has reset the chip: the scratch registers survive.
    pub fn after_reset(&self, now: u64, ref_ticks: u64, timed_out: bool) -> Self {
        let reason = if timed_out { 1 } else { 2 };
        Self { reason, scratch: self.scratch, ..Self::new(now, ref_ticks) }
    }

    /// Changes the reference clock.
    pub fn set_clock(&mut self, now: u64, ref_ticks: u64) {
        self.rebase(now);
        self.ref_ticks = ref_ticks;
    }

    /// Tells how many ticks of time a tick of the generator takes.
    pub fn tick(&self) -> Option<u64> {
        let cycles = u64::from(self.tick & 0x1FF);
        (self.tick & TICK_ENABLE != 0 && cycles > 0).then_some(cycles * self.ref_ticks)
    }

    /// It counts down by two a tick (RP2040-E1).
    fn left(&self, now: u64) -> u32 {
        let passed = match self.tick().filter(|_| self.control & ENABLE != 0) {
            Some(tick) => now.saturating_sub(self.since) / tick * 2,
            None => 0,
        };
        self.count.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    fn rebase(&mut self, now: u64) {
        self.count = self.left(now);
        self.since = now;
    }

    /// Tells when it resets the chip.
    pub fn due(&self) -> Option<u64> {
        let tick = self.tick().filter(|_| self.control & ENABLE != 0)?;
        Some(self.since + u64::from(self.count).div_ceil(2) * tick)
    }

    /// Tells whether the image has asked for a reset.
    pub fn take_trigger(&mut self) -> bool {
        std::mem::take(&mut self.is_triggered)
    }

    /// Reads a register.
    pub fn read(&self, now: u64, offset: u32) -> Option<u32> {
        Some(match offset {
            CTRL => self.control | self.left(now) & 0xFF_FFFF,
            LOAD => 0,
            REASON => self.reason,
            SCRATCH0..TICK => *self.scratch.get((offset - SCRATCH0) as usize / 4)?,
            // RUNNING follows.
            TICK => self.tick | (self.tick & TICK_ENABLE) << 1,
            _ => return None,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        self.rebase(now);
        match offset {
            CTRL => {
                self.control = value & (ENABLE | 7 << 24);
                self.is_triggered |= value & TRIGGER != 0;
            }
            LOAD => self.count = value & 0xFF_FFFF,
            REASON => {}
            SCRATCH0..TICK => *self.scratch.get_mut((offset - SCRATCH0) as usize / 4)? = value,
            TICK => self.tick = value & (TICK_ENABLE | 0x1FF),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ticks_of_us;

    #[test]
    fn it_ends_the_run_in_half_of_what_is_loaded_and_remembers_why() {
        let mut watchdog = Watchdog::new(0, 1000);
        watchdog.write(0, TICK, TICK_ENABLE | 12).unwrap();
        watchdog.write(0, LOAD, 16_000_000).unwrap();
        assert_eq!(watchdog.due(), None);
        watchdog.write(0, CTRL, ENABLE).unwrap();
        assert_eq!(watchdog.due(), Some(ticks_of_us(8_000_000)));
        assert_eq!(watchdog.read(ticks_of_us(1_000_000), CTRL), Some(ENABLE | 14_000_000));
        watchdog.write(ticks_of_us(1_000_000), LOAD, 16_000_000).unwrap();
        assert_eq!(watchdog.due(), Some(ticks_of_us(9_000_000)));
        watchdog.write(ticks_of_us(1_000_000), SCRATCH0, 7).unwrap();
        let after = watchdog.after_reset(0, 1000, true);
        assert_eq!((after.read(0, REASON), after.read(0, SCRATCH0), after.due()), (Some(1), Some(7), None));
        watchdog.write(0, CTRL, TRIGGER).unwrap();
        assert!(watchdog.take_trigger());
    }
}
