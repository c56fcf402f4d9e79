//! What is soldered to the chip: the virtual hardware around it.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_firmware::Fault;
use sockeye_virtual_hardware::bl0942::SharedCircuit;
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::Flash;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::SharedTag;
use sockeye_virtual_hardware::sx126x::VirtualChip;

use crate::chip::ResetKind;

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
    /// The supply monitor sees a loss.
    pub supply_low: Rc<Cell<bool>>,
}
