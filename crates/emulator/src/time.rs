//! Virtual time as the CPU sees it.

use std::cell::Cell;

/// Every clock that the chips' oscillators and dividers commonly give is a whole number of ticks: 96 MHz and its parts on
/// the STM32WL, 125 MHz on the RP2040.
pub const TICKS_PER_US: u64 = 12_000;

/// The instant that a CPU has reached, and where it is to stop. Shared with the hook that counts blocks of code.
#[derive(Debug)]
pub struct Time {
    now: Cell<u64>,
    stop_at: Cell<u64>,
    ticks_per_cycle: Cell<u64>,
    /// Cycles in which the CPU ran code.
    ran: Cell<u64>,
}

impl Time {
    /// Makes a clock that shows `now` ticks.
    #[must_use]
    pub fn new(now: u64, ticks_per_cycle: u64) -> Self {
        Self {
            now: Cell::new(now),
            stop_at: Cell::new(now),
            ticks_per_cycle: Cell::new(ticks_per_cycle),
            ran: Cell::new(0),
        }
    }

    /// Tells the instant, in ticks.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Tells the instant in microseconds, rounded down.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now.get() / TICKS_PER_US
    }

    /// Begins anew, at `now` ticks: the supply was away.
    pub fn begin(&self, now: u64) {
        self.now.set(now);
        self.stop_at.set(now);
        self.ticks_per_cycle.set(1);
    }

    /// Goes on by so many cycles of the CPU.
    pub fn pass_cycles(&self, cycles: u64) {
        self.now.set(self.now.get() + cycles * self.ticks_per_cycle.get());
    }

    /// Goes on by so many cycles of the CPU, unless it is time to stop; then it tells so, and stands still.
    pub fn pass_cycles_or_stop(&self, cycles: u64) -> bool {
        let stops = self.now.get() >= self.stop_at.get();
        if !stops {
            self.pass_cycles(cycles);
            self.ran.set(self.ran.get() + cycles);
        }
        stops
    }

    /// Tells in how many cycles the CPU ran code.
    #[must_use]
    pub fn ran(&self) -> u64 {
        self.ran.get()
    }

    /// Goes on to `at`, unless that is past.
    pub fn pass_until(&self, at: u64) {
        self.now.set(self.now.get().max(at));
    }

    /// Sets where [`pass_cycles_or_stop`](Self::pass_cycles_or_stop) says to stop.
    pub fn set_stop(&self, at: u64) {
        self.stop_at.set(at);
    }

    /// Has [`pass_cycles_or_stop`](Self::pass_cycles_or_stop) say to stop at `at` at the latest.
    pub fn stop_by(&self, at: u64) {
        self.stop_at.set(self.stop_at.get().min(at));
    }

    /// Tells how many ticks a cycle of the CPU takes.
    #[must_use]
    pub fn ticks_per_cycle(&self) -> u64 {
        self.ticks_per_cycle.get()
    }

    /// Changes the CPU's clock.
    pub fn set_ticks_per_cycle(&self, ticks: u64) {
        self.ticks_per_cycle.set(ticks);
    }
}

/// Tells the first tick at which the clock in microseconds shows `us`.
#[must_use]
pub fn ticks_of_us(us: u64) -> u64 {
    us.saturating_mul(TICKS_PER_US)
}
