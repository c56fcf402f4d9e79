//! The SX1262 of a Waveshare Pico-LoRa-SX1262, on SPI1.

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_rp::Peri;
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{PIN_2, PIN_3, PIN_10, PIN_11, PIN_12, PIN_15, PIN_20, SPI1};
use embassy_rp::spi::{Blocking, Config as SpiConfig, Spi};
use embassy_time::Delay;
use embedded_hal_bus::spi::{ExclusiveDevice, NoDelay};
use lora_phy::iv::GenericSx126xInterfaceVariant;
use lora_phy::sx126x::{Config, Sx1262, TcxoCtrlVoltage};
use sockeye_radio::Sx126xRadio;

/// The chip takes up to 16 MHz (SX1261/2 data sheet, SPI timing); half of it forgives some wire.
const SPI_HZ: u32 = 8_000_000;

/// Blocking transfers behind the async trait, though the bus could use DMA: a future that is dropped cannot leave half
/// a transaction on the bus.
type Bus = ExclusiveDevice<BlockingAsync<Spi<'static, SPI1, Blocking>>, Output<'static>, NoDelay>;

/// Reset, DIO1 and BUSY as pins; the antenna switch hangs on the chip's DIO2.
type Lines = GenericSx126xInterfaceVariant<Output<'static>, Input<'static>>;

/// The radio as the firmware takes it.
pub type Phy = Sx126xRadio<Bus, Lines, Sx1262, Delay>;

/// What the radio hangs on.
#[allow(missing_docs, reason = "the names are those of the chip's data sheet")]
pub struct Pins {
    pub spi: Peri<'static, SPI1>,
    pub clk: Peri<'static, PIN_10>,
    pub mosi: Peri<'static, PIN_11>,
    pub miso: Peri<'static, PIN_12>,
    pub nss: Peri<'static, PIN_3>,
    pub reset: Peri<'static, PIN_15>,
    pub busy: Peri<'static, PIN_2>,
    pub dio1: Peri<'static, PIN_20>,
}

/// Makes the radio.
pub fn new(pins: Pins) -> Phy {
    let mut config = SpiConfig::default();
    config.frequency = SPI_HZ;
    let bus = BlockingAsync::new(Spi::new_blocking(pins.spi, pins.clk, pins.mosi, pins.miso, config));
    let Ok(device) = ExclusiveDevice::new_no_delay(bus, Output::new(pins.nss, Level::High));
    let lines = GenericSx126xInterfaceVariant::new(
        Output::new(pins.reset, Level::High),
        Input::new(pins.dio1, Pull::None),
        // With no board plugged in BUSY reads high: an error after its time-out, not a chip that seems to answer.
        Input::new(pins.busy, Pull::Up),
        None,
        None,
    );
    let Ok(lines) = lines else { unreachable!("lora-phy 3.0.1 has no error here") };
    let config = Config {
        chip: Sx1262,
        tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V7),
        use_dcdc: true,
        // 2 mA more for 3 dB: the mains pays.
        rx_boost: true,
    };
    sockeye_radio::sx126x(device, lines, config, Delay)
}
