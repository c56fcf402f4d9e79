//! A run at the pace of the computer's clock.

use std::iter::Peekable;
use std::time::{Duration, Instant};

use crate::device::Device;
use crate::interrupt::Interrupt;
use crate::script::{Queue, Schedule};
use crate::world::World;

/// How often the simulation catches up with the clock. A network server elsewhere sends a frame some 100 ms before
/// it is due.
pub const FRAME: Duration = Duration::from_millis(20);

/// Keeps a world at the computer's time, with what a script says on the way.
#[derive(Debug)]
pub struct Pace<'a> {
    started: Instant,
    queue: Peekable<Queue<'a>>,
    end_ms: u64,
    interrupt: &'a Interrupt,
}

impl<'a> Pace<'a> {
    /// Starts now, and ends after `duration_ms` if that is given, or with Ctrl-C.
    #[must_use]
    pub fn new(schedule: &'a Schedule, duration_ms: Option<u64>, interrupt: &'a Interrupt) -> Self {
        let queue = schedule.queue().peekable();
        Self { started: Instant::now(), queue, end_ms: duration_ms.unwrap_or(u64::MAX), interrupt }
    }

    /// Brings the world up to the clock; tells whether the run goes on.
    pub fn catch_up<D: Device>(&mut self, world: &mut World<D>) -> bool {
        // A socket that a debugger has halted does not run after the clock.
        let elapsed = self.started.elapsed().saturating_sub(world.halted());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        world.play(&mut self.queue, elapsed_ms.min(self.end_ms));
        elapsed_ms < self.end_ms && !self.interrupt.is_pressed()
    }
}
