//! Seeed LoRa-E5: the module, its mini board and its development kit.

use core::convert::Infallible;

use embassy_stm32::Peripherals;
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embedded_hal::digital::{ErrorType, OutputPin};
use sockeye_upgrade::BoardName;

use crate::Irqs;
use crate::bus::Bus;
use crate::i2c;
use crate::line::Line;
use crate::pin::Flex;
use crate::radio::Antenna;
use crate::relay::Relay;
use crate::tag;
use crate::wiring::Wiring;

/// Where requests for maintenance come from.
pub type Port = tag::Tag;

/// The name in the headers of updates.
pub const NAME: BoardName = BoardName::new("lora-e5").expect("a name");

/// Names the pins.
pub fn wire(p: Peripherals) -> Wiring {
    Wiring {
        relay: Relay(Flex::new(p.PB10)),
        led: Led(Output::new(p.PB5, Level::High, Speed::Low)),
        button: ExtiInput::new(p.PA0, p.EXTI0, Pull::Up, Irqs),
        meter: Line::new(p.USART1, p.PA10, p.PA9, p.DMA1_CH2, Irqs),
        antenna: Antenna {
            rx: Output::new(p.PA4, Level::Low, Speed::Low),
            tx: Output::new(p.PA5, Level::Low, Speed::Low),
            supply: None,
        },
        radio: Bus::new(p.SUBGHZSPI),
        port: tag::new(i2c::Bus::new(p.I2C2, p.PB15, p.PA15), ExtiInput::new(p.PB3, p.EXTI3, Pull::Up, Irqs)),
        flash: p.FLASH,
        rng: p.RNG,
        watchdog: p.IWDG,
    }
}

/// The LED on PB5, which Seeed's boards light with a low level.
pub struct Led(Output<'static>);

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set_high();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set_low();
        Ok(())
    }
}
