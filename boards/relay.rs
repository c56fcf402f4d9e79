//! The relay's pin. Each board takes it in with `#[path = "../../relay.rs"] mod relay;`, beside a module `pin` that says what
//! is the chip's: the type `Flex` of a pin that may be anything, and how it becomes an output.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::pin::{Flex, make_output};

/// The pin of the relay. It drives nothing until it is told what, unless the bootloader has it driven: a start would else switch
/// off a load that is held on through the restart.
pub struct Relay(pub Flex<'static>);

impl ErrorType for Relay {
    type Error = Infallible;
}

impl OutputPin for Relay {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set_low();
        make_output(&mut self.0);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set_high();
        make_output(&mut self.0);
        Ok(())
    }
}
