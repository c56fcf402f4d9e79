//! What is soldered to the chip: the virtual hardware around it.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_firmware::Fault;
use sockeye_metering::FrontEnd;
use sockeye_virtual_hardware::air::Medium;
use sockeye_virtual_hardware::bl0942::{BaudPin, Bl0942, SharedCircuit};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::Flash;
use sockeye_virtual_hardware::mains::{Circuit, MeteredCircuit};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{SharedTag, St25dv};
use sockeye_virtual_hardware::sx126x::VirtualChip;

use crate::chip::ResetKind;
use crate::line::SerialLine;

/// The mains voltage to begin with, in mV.
pub const MAINS_MV: u32 = 230_000;

/// Bytes of the tag, an ST25DV64K as on the host board.
pub const TAG_BYTES: usize = 8192;

/// How long the capacitor feeds the device without mains, in µs, as on the host board.
pub const HOLD_UP_US: u64 = 2_000_000;

/// What the chip's pins show that somebody may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The pin of the relay is driven to this level.
    Relay(bool),
    /// The LED is lit or dark.
    Led(bool),
    /// The radio has received a packet.
    Received,
    /// The image has written to its log; its bytes as they are in RAM.
    Log(Vec<u8>),
    /// The chip was reset, while the CPU was in the function of this name, and what the image had noted of that.
    Reset(ResetKind, String, Option<Fault>),
}

/// The parts. Clones are the same parts.
#[derive(Clone, Debug)]
pub struct Outside<N> {
    /// The clock that all of them live on.
    pub sim: Sim,
    /// The radio, inside the chip or beside it.
    pub radio: VirtualChip,
    /// Mains, relay, load and meter.
    pub circuit: SharedCircuit,
    /// The button.
    pub button: VirtualButton,
    /// The flash, or the part of it that is no code.
    pub flash: Flash<N>,
    /// The NFC tag, where the chip is connected to one.
    pub tag: SharedTag,
    /// The line to a computer, where the chip is connected to one.
    pub line: SerialLine,
    /// The board is a devkit with that line and without a tag.
    pub is_devkit: bool,
    /// The supply monitor sees a loss.
    pub supply_low: Rc<Cell<bool>>,
}

impl<N> Outside<N> {
    /// Makes what is around a chip with this flash, with mains.
    #[must_use]
    pub fn new(sim: &Sim, medium: &Medium, flash: Flash<N>) -> Self {
        let meter = Bl0942::new(FrontEnd::TYPICAL, BaudPin::High);
        let circuit = MeteredCircuit::new(Circuit::new(f64::from(MAINS_MV) / 1000.0), meter);
        Self {
            sim: sim.clone(),
            radio: VirtualChip::new(medium, true),
            circuit: SharedCircuit::new(sim, circuit),
            button: VirtualButton::new(sim),
            flash,
            tag: SharedTag::new(sim, St25dv::new(TAG_BYTES)),
            line: SerialLine::default(),
            is_devkit: false,
            supply_low: Rc::new(Cell::new(false)),
        }
    }
}
