//! Ctrl-C: the run ends as if its time were over, with its summary.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// The exit status of a program that SIGINT ended, as shells have it: 128 and the signal's number.
const KILLED: i32 = 130;

/// Tells whether Ctrl-C was pressed.
#[derive(Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes Ctrl-C (SIGINT) from now on: the first is told by [`is_pressed`](Self::is_pressed), the second ends the
    /// program at once, in case that the run hangs.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn catch() -> io::Result<Self> {
        let pressed = Arc::new(AtomicBool::new(false));
        // In this order: the first Ctrl-C finds the flag not set yet, and sets it.
        flag::register_conditional_shutdown(SIGINT, KILLED, Arc::clone(&pressed))?;
        flag::register(SIGINT, Arc::clone(&pressed))?;
        Ok(Self(pressed))
    }

    /// Tells whether Ctrl-C was pressed.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
