//! The relay's pin.

use core::convert::Infallible;

use embassy_rp::Peri;
use embassy_rp::gpio::{Flex, Pin};
use embedded_hal::digital::{ErrorType, OutputPin};

use crate::handover;

/// The pin of the relay. It drives nothing until it is told what, unless the bootloader has it driven: a start would else switch
/// off a load that is held on through the restart. What it is told is noted for the bootloader.
pub struct Relay(Flex<'static>);

impl Relay {
    /// Takes the pin.
    pub fn new(pin: Peri<'static, impl Pin>) -> Self {
        Self(Flex::new(pin))
    }
}

impl ErrorType for Relay {
    type Error = Infallible;
}

impl OutputPin for Relay {
    fn set_low(&mut self) -> Result<(), Infallible> {
        handover::note_relay(false);
        self.0.set_low();
        self.0.set_as_output();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        handover::note_relay(true);
        self.0.set_high();
        self.0.set_as_output();
        Ok(())
    }
}
