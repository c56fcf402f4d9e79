//! The timer: microseconds in 64 bits, and four alarms on the lower half (RP2040 data sheet 4.6).

const ALARM0: u32 = 0x10;
const ARMED: u32 = 0x20;
const INTR: u32 = 0x34;
const INTE: u32 = 0x38;
const INTF: u32 = 0x3C;
const INTS: u32 = 0x40;

/// The timer.
#[derive(Clone, Debug)]
pub struct Timer {
    /// Counts at `epoch`.
    start: u64,
    epoch: u64,
    /// The count up to which alarms were looked for.
    seen: u64,
    /// How many ticks a count takes; the watchdog's tick generator is off without.
    ticks_per_count: Option<u64>,
    alarms: [u32; 4],
    armed: u32,
    raised: u32,
    enabled: u32,
    forced: u32,
    /// The upper half, as it was when the lower one was read.
    latched: u32,
    /// What is written to the lower half waits for the upper one.
    low: u32,
}

impl Timer {
    /// Makes the timer as it is after a reset.
    pub fn new(now: u64, ticks_per_count: Option<u64>) -> Self {
        Self {
            start: 0,
            epoch: now,
            seen: 0,
            ticks_per_count,
            alarms: [0; 4],
            armed: 0,
            raised: 0,
            enabled: 0,
            forced: 0,
            latched: 0,
            low: 0,
        }
    }

    /// Changes the tick, from now on.
    pub fn set_tick(&mut self, now: u64, ticks_per_count: Option<u64>) {
        if ticks_per_count != self.ticks_per_count {
            self.advance(now);
            self.start = self.count(now);
            self.epoch = now;
            self.ticks_per_count = ticks_per_count;
        }
    }

    fn count(&self, now: u64) -> u64 {
        self.start + self.ticks_per_count.map_or(0, |ticks| now.saturating_sub(self.epoch) / ticks)
    }

    /// The count at which an alarm goes off, if it is armed.
    fn due_count(&self, alarm: usize) -> Option<u64> {
        let armed = self.armed >> alarm & 1 != 0;
        let target = self.alarms.get(alarm).filter(|_| armed)?;
        Some(self.seen + u64::from(target.wrapping_sub(self.seen as u32)))
    }

    /// Tells when the next alarm goes off.
    pub fn next_event(&self) -> Option<u64> {
        let ticks = self.ticks_per_count?;
        let due = (0..4).filter_map(|alarm| self.due_count(alarm)).min()?;
        Some(self.epoch + (due - self.start) * ticks)
    }

    /// Sets off the alarms whose count has come.
    pub fn advance(&mut self, now: u64) {
        let count = self.count(now);
        for alarm in 0..4 {
            if self.due_count(alarm).is_some_and(|due| due <= count) {
                self.armed &= !(1 << alarm);
                self.raised |= 1 << alarm;
            }
        }
        self.seen = count;
    }

    /// Tells the level of the interrupt lines of the four alarms.
    pub fn interrupting(&self) -> u32 {
        (self.raised | self.forced) & self.enabled
    }

    /// Reads a register.
    pub fn read(&mut self, now: u64, offset: u32) -> Option<u32> {
        let count = self.count(now);
        Some(match offset {
            // TIMELR latches for TIMEHR.
            0x0C => {
                self.latched = (count >> 32) as u32;
                count as u32
            }
            0x08 => self.latched,
            0x24 => (count >> 32) as u32,
            0x28 => count as u32,
            ALARM0..ARMED => *self.alarms.get((offset - ALARM0) as usize / 4)?,
            ARMED => self.armed,
            0x00 | 0x04 | 0x2C | 0x30 => 0,
            INTR => self.raised,
            INTE => self.enabled,
            INTF => self.forced,
            INTS => self.interrupting(),
            _ => return None,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        self.advance(now);
        match offset {
            0x04 => self.low = value,
            0x00 => {
                self.start = u64::from(value) << 32 | u64::from(self.low);
                self.epoch = now;
                self.seen = self.start;
            }
            ALARM0..ARMED => {
                let alarm = (offset - ALARM0) as usize / 4;
                *self.alarms.get_mut(alarm)? = value;
                self.armed |= 1 << alarm;
            }
            // Writing ones disarms.
            ARMED => self.armed &= !value,
            INTR => self.raised &= !value,
            INTE => self.enabled = value & 0xF,
            INTF => self.forced = value & 0xF,
            0x2C | 0x30 | INTS => {}
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_goes_off_once_when_the_lower_half_is_its_own() {
        let mut timer = Timer::new(0, Some(10));
        timer.write(0, INTE, 1).unwrap();
        timer.write(55, ALARM0, 9).unwrap();
        assert_eq!(timer.next_event(), Some(90));
        timer.advance(89);
        assert_eq!((timer.interrupting(), timer.read(89, ARMED)), (0, Some(1)));
        timer.advance(90);
        assert_eq!((timer.interrupting(), timer.read(90, ARMED)), (1, Some(0)));
        timer.write(91, INTR, 1).unwrap();
        assert_eq!(timer.interrupting(), 0);
        assert_eq!(timer.next_event(), None);
        // A count that is past comes again after 2^32.
        timer.write(95, ALARM0, 8).unwrap();
        assert_eq!(timer.next_event(), Some(10 * (8 + (1 << 32))));
        timer.write(95, ARMED, 1).unwrap();
        assert_eq!(timer.next_event(), None);
    }

    #[test]
    fn it_counts_only_with_a_tick_and_goes_on_where_it_was() {
        let mut timer = Timer::new(100, None);
        assert_eq!(timer.read(1000, 0x28), Some(0));
        timer.set_tick(1000, Some(10));
        assert_eq!(timer.read(1099, 0x28), Some(9));
        timer.set_tick(1100, Some(20));
        assert_eq!(timer.read(1140, 0x28), Some(12));
    }
}
