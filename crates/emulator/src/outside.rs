//! What is soldered to the chip: the virtual hardware around it.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_virtual_hardware::bl0942::SharedCircuit;
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::{Flash, Stm32wlNmi};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::sx126x::{Mode, VirtualChip};

use crate::stm32wl::{Pin, ResetKind};

/// Which pin goes where.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// High closes the relay.
    pub relay: Pin,
    /// The LED.
    pub led: Pin,
    /// Whether a high level lights the LED.
    pub led_lights_high: bool,
    /// Low is pressed.
    pub button: Pin,
    /// The antenna switch, high to receive.
    pub antenna_rx: Pin,
    /// The antenna switch, high to send.
    pub antenna_tx: Pin,
}

impl Pins {
    /// Seeed LoRa-E5 (boards/stm32wl/README.md).
    pub const LORA_E5: Self = Self {
        relay: Pin { port: 1, number: 10 },
        led: Pin { port: 1, number: 5 },
        led_lights_high: false,
        button: Pin { port: 0, number: 0 },
        antenna_rx: Pin { port: 0, number: 4 },
        antenna_tx: Pin { port: 0, number: 5 },
    };
}

/// What the chip's pins show that somebody may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The pin of the relay is driven to this level.
    Relay(bool),
    /// The LED is lit or dark.
    Led(bool),
    /// The radio has received a packet.
    Received,
    /// The chip was reset, while the CPU was in the function of this name.
    Reset(ResetKind, String),
}

/// The parts. Clones are the same parts.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The clock that all of them live on.
    pub sim: Sim,
    /// The radio inside the chip.
    pub radio: VirtualChip,
    /// Mains, relay, load and meter.
    pub circuit: SharedCircuit,
    /// The button.
    pub button: VirtualButton,
    /// The part of the flash that holds records.
    pub flash: Flash<Stm32wlNmi>,
    /// The supply is below the supply monitor's threshold.
    pub supply_low: Rc<Cell<bool>>,
    /// Which pin goes where.
    pub pins: Pins,
}

impl Outside {
    /// Tells what the antenna switch has wrong for what the radio does now, if anything.
    #[must_use]
    pub fn antenna_fault(&self, rx_pin: bool, tx_pin: bool) -> Option<&'static str> {
        match (self.radio.mode(), rx_pin, tx_pin) {
            (Mode::Tx | Mode::Carrier, false, true) | (Mode::Rx | Mode::Cad, true, false) => None,
            (Mode::Tx | Mode::Carrier, ..) => {
                Some("the radio sends while the antenna switch is not set to send")
            }
            (Mode::Rx | Mode::Cad, ..) => {
                Some("the radio receives while the antenna switch is not set to receive")
            }
            _ => None,
        }
    }
}
