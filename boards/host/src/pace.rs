//! A run at the pace of the computer's clock.

use std::iter::Peekable;
use std::time::{Duration, Instant};

use crate::device::Device;
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
}

impl<'a> Pace<'a> {
    /// Starts now, and ends after `duration_ms` if that is given.
    #[must_use]
    pub fn new(schedule: &'a Schedule, duration_ms: Option<u64>) -> Self {
        let queue = schedule.queue().peekable();
        Self { started: Instant::now(), queue, end_ms: duration_ms.unwrap_or(u64::MAX) }
    }

    /// Brings the world up to the clock; tells whether there is time left.
    pub fn catch_up<D: Device>(&mut self, world: &mut World<D>) -> bool {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        world.play(&mut self.queue, elapsed_ms.min(self.end_ms));
        elapsed_ms < self.end_ms
    }
}
