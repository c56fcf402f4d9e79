//! ST Nucleo-WL55JC.

use embassy_stm32::Peripherals;
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::gpio::{Level, Output, Pull, Speed};
use embassy_stm32::usart::BufferedInterruptHandler;
use embassy_stm32::{bind_interrupts, peripherals};
use sockeye_upgrade::BoardName;

use crate::Irqs;
use crate::bus::Bus;
use crate::line::Line;
use crate::pin::Flex;
use crate::radio::Antenna;
use crate::relay::Relay;
use crate::serial;
use crate::wiring::Wiring;

bind_interrupts!(
    /// Who handles the interrupt of the serial line.
    struct LineIrqs {
        LPUART1 => BufferedInterruptHandler<peripherals::LPUART1>;
    }
);

/// The blue LED LD1, lit by a high level.
pub type Led = Output<'static>;

/// Where requests for maintenance come from: the ST-LINK's serial port, as there is no tag.
pub type Port = serial::Line;

/// The name in the headers of updates.
pub const NAME: BoardName = BoardName::new("nucleo-wl55jc").expect("a name");

/// Names the pins.
pub fn wire(p: Peripherals) -> Wiring {
    Wiring {
        relay: Relay(Flex::new(p.PB10)),
        led: Output::new(p.PB15, Level::Low, Speed::Low),
        // B1.
        button: ExtiInput::new(p.PC0, p.EXTI0, Pull::Up, Irqs),
        meter: Line::new(p.USART1, p.PA10, p.PA9, p.DMA1_CH2, Irqs),
        antenna: Antenna {
            // FE_CTRL1, FE_CTRL2 (which sends by the high-power amplifier, with FE_CTRL1 low) and FE_CTRL3.
            rx: Output::new(p.PC4, Level::Low, Speed::Low),
            tx: Output::new(p.PC5, Level::Low, Speed::Low),
            supply: Some(Output::new(p.PC3, Level::Low, Speed::Low)),
        },
        radio: Bus::new(p.SUBGHZSPI),
        port: serial::open(p.LPUART1, p.PA2, p.PA3, LineIrqs),
        flash: p.FLASH,
        rng: p.RNG,
        watchdog: p.IWDG,
    }
}
