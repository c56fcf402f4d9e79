//! What the two variants have in common: the parts by name instead of by pin.

use embassy_stm32::Peri;
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{FLASH, IWDG, RNG};

use crate::bus::Bus;
use crate::line::Line;
use crate::radio::Antenna;
use crate::relay::Relay;
use crate::variant::{Led, Port};

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
    /// Where requests for maintenance come from.
    pub port: Port,
    /// Program and records.
    pub flash: Peri<'static, FLASH>,
    /// For the seed.
    pub rng: Peri<'static, RNG>,
    /// Independent of all clocks but its own.
    pub watchdog: Peri<'static, IWDG>,
}
