//! Output pins: relay and LED.

use std::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

/// An output pin, low to begin with, that tells its changes to whoever made it.
pub struct VirtualOutput {
    high: bool,
    on_change: Box<dyn FnMut(bool)>,
}

impl VirtualOutput {
    /// Makes a pin that calls `on_change` with the new level at each change.
    pub fn new(on_change: impl FnMut(bool) + 'static) -> Self {
        Self { high: false, on_change: Box::new(on_change) }
    }
}

impl std::fmt::Debug for VirtualOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualOutput").field("high", &self.high).finish_non_exhaustive()
    }
}

impl ErrorType for VirtualOutput {
    type Error = Infallible;
}

impl OutputPin for VirtualOutput {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set_state(false.into())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set_state(true.into())
    }

    fn set_state(&mut self, state: embedded_hal::digital::PinState) -> Result<(), Infallible> {
        let high = state == embedded_hal::digital::PinState::High;
        if high != self.high {
            self.high = high;
            (self.on_change)(high);
        }
        Ok(())
    }
}
