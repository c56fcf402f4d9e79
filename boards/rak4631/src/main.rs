//! The socket on a RAK4631: pins, clocks, interrupt handlers; nothing else. See README.md for the wiring.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[macro_use]
#[path = "../../mcu.rs"]
mod mcu;
mod radio;
mod system;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_nrf::buffered_uarte::{self, BufferedUarte};
use embassy_nrf::gpio::{Input, Level, Output, OutputDrive, Pull};
use embassy_nrf::interrupt;
use embassy_nrf::interrupt::{InterruptExt, Priority};
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::rng::Rng;
use embassy_nrf::uarte::{self, Baudrate};
use embassy_nrf::{bind_interrupts, config, pac, peripherals, spim};
use embassy_time::Delay;
use sockeye_firmware::{Board, EmbassyClock, NoPort, NoUpgrades, Parts, PinSupply};
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_settings::{Identity, Key, Model, Region};
use static_cell::StaticCell;

use crate::system::System;

bind_interrupts!(
    /// Who handles which interrupt.
    pub struct Irqs {
        SPI2 => spim::InterruptHandler<peripherals::SPI2>;
        UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
    }
);

/// Where the records lie, from board.toml. The flash begins at 0.
mod memory {
    include!(concat!(env!("OUT_DIR"), "/memory.rs"));
}

/// This board.
struct Rak4631;

impl Board for Rak4631 {
    type Clock = EmbassyClock;
    type Relay = Output<'static>;
    type Led = Output<'static>;
    type Button = Input<'static>;
    type Meter = Bl0942<BufferedUarte<'static>, Delay>;
    type Supply = PinSupply<Input<'static>>;
    type Phy = radio::Phy;
    type Flash = BlockingAsync<Nvmc<'static>>;
    type Port = NoPort;
    type Verify = NoUpgrades;
    type System = System;
    type Observer = mcu::Log;
}

socket!(Rak4631, parts, EGU0_SWI0, Priority::P7);

/// Takes the chip from reset to its parts.
fn parts() -> Parts<Rak4631> {
    static RECEIVED: StaticCell<[u8; 64]> = StaticCell::new();
    static SENT: StaticCell<[u8; 16]> = StaticCell::new();

    let reset_cause = system::reset_cause();
    let mut clocks = config::Config::default();
    // The radio inside the chip is not used, but its crystals keep the time: 20 ppm instead of the RC oscillator's 250.
    clocks.hfclk_source = config::HfclkSource::ExternalXtal;
    clocks.lfclk_source = config::LfclkSource::ExternalXtal;
    let p = embassy_nrf::init(clocks);
    let system = System::new(p.WDT);
    let mut line = uarte::Config::default();
    line.baudrate = Baudrate::Baud9600; // The BL0942's with its pin SCLK_BPS high.
    let meter = BufferedUarte::new(
        p.UARTE0,
        p.TIMER1,
        p.PPI_CH0,
        p.PPI_CH1,
        p.PPI_GROUP0,
        p.P0_15,
        p.P0_16,
        Irqs,
        line,
        RECEIVED.init([0; 64]),
        SENT.init([0; 16]),
    );
    Parts {
        clock: EmbassyClock,
        relay: Output::new(p.P0_17, system::RETAINED.relay_after(reset_cause).into(), OutputDrive::Standard),
        led: Output::new(p.P1_03, Level::Low, OutputDrive::Standard),
        button: Input::new(p.P1_01, Pull::Up),
        meter: Bl0942::new(meter, Delay, Calibration::bl0942(FrontEnd::TYPICAL)),
        supply: PinSupply::new(Input::new(p.P1_02, Pull::Up)),
        phy: radio::new(radio::Pins {
            bus: spim::Spim::new(p.SPI2, Irqs, p.P1_11, p.P1_13, p.P1_12, radio::bus()),
            nss: p.P1_10,
            reset: p.P1_06,
            busy: p.P1_14,
            dio1: p.P1_15,
            antenna: p.P1_05,
        }),
        flash: BlockingAsync::new(Nvmc::new(p.NVMC)),
        storage_range: memory::STORAGE_ORIGIN..memory::STORAGE_ORIGIN + memory::STORAGE_LENGTH,
        port: NoPort,
        upgrade: NoUpgrades.into(),
        system,
        observer: mcu::Log::begin(reset_cause),
        identity: identity(),
        region: Region::Eu868,
        retained: &system::RETAINED,
        reset_cause,
        seed: Rng::new_blocking(p.RNG).blocking_next_u64(),
    }
}

/// Makes an identity of the chip's 64-bit number: DevEUI in the range that anybody may use, a serial number with half of it
/// in the digits that ABP takes for the DevAddr, and the default application key (guide section 3.2.1).
fn identity() -> Identity {
    let [l0, l1, l2, l3] = pac::FICR.deviceid(0).read().to_be_bytes();
    let [h0, h1, h2, h3] = pac::FICR.deviceid(1).read().to_be_bytes();
    Identity {
        sn: [b'S', b'K', l0, l1, l2, l3, 0, 0],
        // An EUI-64 that is locally administered (bit 1) and of one device (bit 0), IEEE 802 clause 8.
        dev_eui: [h0 & !1 | 2, h1, h2, h3, l0, l1, l2, l3],
        model: Model::Eu,
        app_key: Key::DEFAULT,
        hardware_version: [0x01, 0x40],
    }
}
