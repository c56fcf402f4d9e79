//! What the two variants have in common: the parts by name instead of by pin.

use core::convert::Infallible;

use embassy_stm32::Peri;
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::gpio::{Flex, Pin, Speed};
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{FLASH, IWDG, RNG};
use embedded_hal::digital::{ErrorType, OutputPin};

use crate::bus::Bus;
use crate::handover;
use crate::line::Line;
use crate::radio::Antenna;
use crate::variant::Led;

/// Every part that the firmware uses.
pub struct Wiring {
    /// High closes it.
    pub relay: Relay,
    /// High lights it.
    pub led: Led,
    /// Low is pressed.
    pub button: ExtiInput<'static, Async>,
    /// To the meter.
    pub meter: Line,
    /// The antenna's switch.
    pub antenna: Antenna,
    /// To the radio.
    pub radio: Bus,
    /// Program and records.
    pub flash: Peri<'static, FLASH>,
    /// For the seed.
    pub rng: Peri<'static, RNG>,
    /// Independent of all clocks but its own.
    pub watchdog: Peri<'static, IWDG>,
}

/// The pin of the relay. It drives nothing until it is told what: a start would else switch off a load that the
/// bootloader, or the circuit, holds on through the restart. What it is told is noted for the bootloader.
pub struct Relay(Flex<'static>);

impl Relay {
    /// Takes the pin, and leaves it as the reset has.
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
        self.0.set_as_output(Speed::Low);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        handover::note_relay(true);
        self.0.set_high();
        self.0.set_as_output(Speed::Low);
        Ok(())
    }
}
