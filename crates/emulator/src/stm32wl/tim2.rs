//! Timer 2: an up-counter with four compare channels, as a time driver uses it (RM0453 chapter 26).

use crate::kept::Kept;

const CR1: u32 = 0x00;
const DIER: u32 = 0x0C;
const SR: u32 = 0x10;
const EGR: u32 = 0x14;
const CNT: u32 = 0x24;
const PSC: u32 = 0x28;
const ARR: u32 = 0x2C;
const CCR1: u32 = 0x34;

/// The timer. Its clock is that of the CPU: the image divides neither bus.
#[derive(Clone, Debug)]
pub struct Tim2 {
    kept: Kept<24>,
    /// The prescaler takes effect with an update.
    prescaler: u64,
    /// The count at `epoch`.
    start: u64,
    epoch: u64,
    /// How many counts since `epoch` have been looked at for matches.
    seen: u64,
    ticks_per_clock: u64,
}

impl Tim2 {
    /// Makes the timer as it is after a reset.
    pub fn new(now: u64, ticks_per_clock: u64) -> Self {
        let mut kept = Kept::new(&[
            CR1, 0x04, 0x08, DIER, SR, EGR, 0x18, 0x1C, 0x20, CNT, PSC, ARR, CCR1, 0x38, 0x3C, 0x40, 0x48,
            0x4C, 0x50,
        ]);
        kept.set(ARR, u32::MAX);
        Self { kept, prescaler: 1, start: 0, epoch: now, seen: 0, ticks_per_clock }
    }

    /// Changes the clock, from now on.
    pub fn set_clock(&mut self, now: u64, ticks_per_clock: u64) {
        if ticks_per_clock != self.ticks_per_clock {
            self.rebase(now, self.count(now));
            self.ticks_per_clock = ticks_per_clock;
        }
    }

    fn rebase(&mut self, now: u64, count: u64) {
        self.start = count;
        self.epoch = now;
        self.seen = 0;
    }

    fn is_running(&self) -> bool {
        self.kept.get(CR1) & 1 != 0
    }

    fn period(&self) -> u64 {
        u64::from(self.kept.get(ARR)) + 1
    }

    fn ticks_per_count(&self) -> u64 {
        self.prescaler * self.ticks_per_clock
    }

    fn counted(&self, now: u64) -> u64 {
        if self.is_running() { now.saturating_sub(self.epoch) / self.ticks_per_count() } else { 0 }
    }

    fn count(&self, now: u64) -> u64 {
        (self.start + self.counted(now)) % self.period()
    }

    /// The values whose match sets a flag: the update at 0, and the compare channels.
    fn targets(&self) -> [(u32, u64); 5] {
        let compare = |channel: u32| (1 << (channel + 1), u64::from(self.kept.get(CCR1 + 4 * channel)));
        [(1, 0), compare(0), compare(1), compare(2), compare(3)]
    }

    /// Tells at which count after `from` (in counts since the epoch) the counter next shows `value`.
    fn next_match(&self, from: u64, value: u64) -> Option<u64> {
        let period = self.period();
        let next = from + 1;
        (value < period).then(|| next + (value + period - (self.start + next) % period) % period)
    }

    /// Sets the flags of all matches up to now.
    pub fn advance(&mut self, now: u64) {
        let counted = self.counted(now);
        if counted == self.seen {
            return;
        }
        let mut flags = self.kept.get(SR);
        for (flag, value) in self.targets() {
            if self.next_match(self.seen, value).is_some_and(|at| at <= counted) {
                flags |= flag;
            }
        }
        self.kept.set(SR, flags);
        self.seen = counted;
    }

    /// Tells when the timer interrupts next.
    pub fn next_event(&self) -> Option<u64> {
        if !self.is_running() {
            return None;
        }
        let enabled = self.kept.get(DIER) & !self.kept.get(SR);
        let due = self.targets().into_iter().filter(|(flag, _)| enabled & flag != 0);
        let count = due.filter_map(|(_, value)| self.next_match(self.seen, value)).min()?;
        Some(self.epoch + count * self.ticks_per_count())
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        self.kept.get(SR) & self.kept.get(DIER) & 0x1F != 0
    }

    /// Reads a register.
    pub fn read(&mut self, now: u64, offset: u32) -> Option<u32> {
        self.advance(now);
        match offset {
            CNT => Some(self.count(now) as u32),
            _ => self.kept.read(offset),
        }
    }

    /// Writes a register.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        self.advance(now);
        match offset {
            CR1 => {
                let count = self.count(now);
                self.rebase(now, count);
                self.kept.set(CR1, value);
            }
            SR => self.kept.set(SR, self.kept.get(SR) & value),
            CNT => self.rebase(now, u64::from(value)),
            EGR if value & 1 != 0 => {
                self.prescaler = u64::from(self.kept.get(PSC) & 0xFFFF) + 1;
                self.rebase(now, 0);
                // With CR1.URS set, only the counter's own overflow sets the flag.
                if self.kept.get(CR1) & 4 == 0 {
                    self.kept.set(SR, self.kept.get(SR) | 1);
                }
            }
            ARR => {
                let count = self.count(now);
                self.kept.set(ARR, value);
                self.rebase(now, count);
            }
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timer that counts every 10 ticks from 0 on, to 0xFFFF.
    fn running() -> Tim2 {
        let mut timer = Tim2::new(0, 2);
        for (offset, value) in [(PSC, 4), (ARR, 0xFFFF), (CR1, 4), (EGR, 1), (CR1, 1)] {
            timer.write(0, offset, value).unwrap();
        }
        timer
    }

    #[test]
    fn the_counter_counts_by_its_prescaler_and_starts_again_after_its_end() {
        let mut timer = running();
        for (now, count) in [(0, 0), (9, 0), (10, 1), (655_359, 0xFFFF), (655_360, 0)] {
            assert_eq!(timer.read(now, CNT), Some(count), "{now}");
        }
        assert_eq!(timer.read(655_360, SR).unwrap() & 1, 1);
    }

    #[test]
    fn a_match_is_told_once_when_it_comes_and_interrupts_if_enabled() {
        let mut timer = running();
        timer.write(0, CCR1 + 4, 100).unwrap();
        assert_eq!(timer.next_event(), None);
        timer.write(0, DIER, 4).unwrap();
        assert_eq!(timer.next_event(), Some(1000));
        timer.advance(999);
        assert!(!timer.interrupts());
        timer.advance(1000);
        assert!(timer.interrupts());
        timer.write(1001, SR, !4).unwrap();
        assert!(!timer.interrupts());
        assert_eq!(timer.next_event(), Some(1000 + 655_360));
    }

    #[test]
    fn a_match_in_the_past_comes_only_after_the_counter_has_gone_round() {
        let mut timer = running();
        timer.advance(1005);
        timer.write(1005, CCR1 + 4, 100).unwrap();
        timer.write(1005, DIER, 4).unwrap();
        assert_eq!(timer.next_event(), Some(1000 + 655_360));
    }
}
