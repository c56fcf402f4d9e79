//! The module's SX1262, on SPI2.

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_nrf::Peri;
use embassy_nrf::gpio::{Input, Level, Output, OutputDrive, Pull};
use embassy_nrf::peripherals::{P1_05, P1_06, P1_10, P1_14, P1_15};
use embassy_nrf::spim::{Config as BusConfig, Frequency, Spim};
use embassy_time::Delay;
use embedded_hal_bus::spi::{ExclusiveDevice, NoDelay};
use lora_phy::iv::GenericSx126xInterfaceVariant;
use lora_phy::sx126x::{Config, Sx1262, TcxoCtrlVoltage};
use sockeye_radio::Sx126xRadio;

/// Blocking transfers behind the async trait: a future that is dropped cannot leave half a transaction on the bus.
type Bus = ExclusiveDevice<BlockingAsync<Spim<'static>>, Output<'static>, NoDelay>;

/// Reset, DIO1, BUSY, and the pin that feeds the antenna switch while it receives or sends; DIO2 turns it.
type Lines = GenericSx126xInterfaceVariant<Output<'static>, Input<'static>>;

/// The radio as the firmware takes it.
pub type Phy = Sx126xRadio<Bus, Lines, Sx1262, Delay>;

/// What the radio hangs on.
#[allow(missing_docs, reason = "the names are those of the chip's data sheet")]
pub struct Pins {
    pub bus: Spim<'static>,
    pub nss: Peri<'static, P1_10>,
    pub reset: Peri<'static, P1_06>,
    pub busy: Peri<'static, P1_14>,
    pub dio1: Peri<'static, P1_15>,
    pub antenna: Peri<'static, P1_05>,
}

/// Half of the 16 MHz that the chip takes (SX1261/2 data sheet, SPI timing).
pub fn bus() -> BusConfig {
    let mut config = BusConfig::default();
    config.frequency = Frequency::M8;
    config
}

/// Makes the radio.
pub fn new(pins: Pins) -> Phy {
    let nss = Output::new(pins.nss, Level::High, OutputDrive::Standard);
    let Ok(device) = ExclusiveDevice::new_no_delay(BlockingAsync::new(pins.bus), nss);
    let lines = GenericSx126xInterfaceVariant::new(
        Output::new(pins.reset, Level::High, OutputDrive::Standard),
        Input::new(pins.dio1, Pull::None),
        Input::new(pins.busy, Pull::Up),
        Some(Output::new(pins.antenna, Level::High, OutputDrive::Standard)),
        None,
    );
    let Ok(lines) = lines else { unreachable!("lora-phy 3.0.1 has no error here") };
    let config =
        Config { chip: Sx1262, tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V8), use_dcdc: true, rx_boost: true };
    sockeye_radio::sx126x(device, lines, config, Delay)
}
