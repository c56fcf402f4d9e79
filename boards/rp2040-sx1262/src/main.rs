//! The socket on a Raspberry Pi Pico with an SX1262 board: pins, clocks, interrupt handlers; nothing else. See
//! README.md for the wiring.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../handover.rs"]
mod handover;
#[cfg(not(feature = "serial"))]
mod i2c;
mod identity;
mod line;
#[macro_use]
#[path = "../../mcu.rs"]
mod mcu;
mod radio;
#[path = "../../relay.rs"]
mod relay;
#[cfg(feature = "serial")]
mod serial;
mod system;
#[cfg(not(feature = "serial"))]
mod tag;
#[cfg(not(feature = "serial"))]
#[path = "../../tag_bus.rs"]
mod tag_bus;
#[path = "../../upgrade.rs"]
mod upgrade;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_rp::clocks::RoscRng;
use embassy_rp::flash::{self, Flash};
use embassy_rp::gpio::{Flex, Input, Level, Output, Pull};
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_rp::peripherals::FLASH;
#[cfg(feature = "serial")]
use embassy_rp::uart::BufferedInterruptHandler;
use embassy_rp::{bind_interrupts, config};
use embassy_time::Delay;
use sockeye_firmware::{Board, EmbassyClock, Parts, PinSupply};
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_settings::Region;
use sockeye_upgrade::BoardName;

use crate::system::System;

bind_interrupts!(struct Irqs {
    UART0_IRQ => line::InterruptHandler;
});

#[cfg(feature = "serial")]
bind_interrupts!(struct LineIrqs {
    UART1_IRQ => BufferedInterruptHandler<embassy_rp::peripherals::UART1>;
});

/// Where the records lie, from board.toml.
mod memory {
    include!(concat!(env!("OUT_DIR"), "/memory.rs"));

    /// The same, counted from the start of the flash.
    pub const STORAGE: core::ops::Range<u32> =
        STORAGE_ORIGIN - FLASH_ORIGIN..STORAGE_ORIGIN - FLASH_ORIGIN + STORAGE_LENGTH;

    /// All of the flash: the records end it.
    pub const FLASH_SIZE: usize = STORAGE.end as usize;
}

/// The flash beside the chip. An operation stops both cores' use of it: 45 ms for a sector.
type PicoFlash = Flash<'static, FLASH, flash::Blocking, { memory::FLASH_SIZE }>;

/// The name in the headers of updates.
const NAME: BoardName =
    BoardName::new(if cfg!(feature = "serial") { "rp2040-serial" } else { "rp2040-sx1262" }).expect("a name");

/// What of a pin is the chip's.
mod pin {
    pub use embassy_rp::gpio::Flex;

    /// Drives the pin from now on.
    pub fn make_output(pin: &mut Flex<'_>) {
        pin.set_as_output();
    }
}

/// How long the crystal may take to start, in ms.
const CRYSTAL_MS: u32 = 2;

/// This board.
struct Rp2040Sx1262;

impl Board for Rp2040Sx1262 {
    type Clock = EmbassyClock;
    type Relay = relay::Relay;
    type Led = Output<'static>;
    type Button = Input<'static>;
    type Meter = Bl0942<line::Line, Delay>;
    type Supply = PinSupply<Input<'static>>;
    type Phy = radio::Phy;
    type Flash = BlockingAsync<PicoFlash>;
    #[cfg(feature = "serial")]
    type Port = serial::Line;
    #[cfg(not(feature = "serial"))]
    type Port = tag::Tag;
    type Verify = upgrade::Bootloader;
    type System = System;
    type Observer = mcu::Log;
}

socket!(Rp2040Sx1262, parts, SWI_IRQ_0, Priority::P3, maintenance);

/// Takes the chip from reset to its parts.
fn parts() -> Parts<Rp2040Sx1262> {
    let reset_cause = system::reset_cause();
    let mut config = config::Config::default();
    // The start of embassy-rp takes all pins back to their reset state until the crystal runs: a relay that is held on through a
    // restart would drop in the 128 ms that it gives the crystal. A Pico's needs 1 ms (pico-sdk, hardware_xosc:
    // PICO_XOSC_STARTUP_DELAY_MULTIPLIER).
    if let Some(crystal) = &mut config.clocks.xosc {
        crystal.delay_multiplier = CRYSTAL_MS;
    }
    let p = embassy_rp::init(config);
    let system = System::new(p.WATCHDOG);
    let mut flash = PicoFlash::new_blocking(p.FLASH);
    let number = identity::number(&mut flash);
    let identity = identity::of(number);

    Parts {
        clock: EmbassyClock,
        relay: relay::Relay(Flex::new(p.PIN_6)),
        led: Output::new(p.PIN_25, Level::Low),
        button: Input::new(p.PIN_7, Pull::Up),
        meter: Bl0942::new(
            line::Line::new(p.UART0, p.PIN_0, p.PIN_1, Irqs),
            Delay,
            Calibration::bl0942(FrontEnd::TYPICAL),
        ),
        supply: PinSupply::new(Input::new(p.PIN_22, Pull::Up)),
        phy: radio::new(radio::Pins {
            spi: p.SPI1,
            clk: p.PIN_10,
            mosi: p.PIN_11,
            miso: p.PIN_12,
            nss: p.PIN_3,
            reset: p.PIN_15,
            busy: p.PIN_2,
            dio1: p.PIN_20,
        }),
        flash: BlockingAsync::new(flash),
        storage_range: memory::STORAGE,
        #[cfg(feature = "serial")]
        port: serial::open(p.UART1, p.PIN_8, p.PIN_9, LineIrqs),
        #[cfg(not(feature = "serial"))]
        port: tag::new(i2c::Bus::new(p.I2C0, p.PIN_5, p.PIN_4), Input::new(p.PIN_8, Pull::Up), number),
        upgrade: upgrade::parts(NAME),
        system,
        observer: mcu::Log::begin(reset_cause),
        identity,
        region: Region::Eu868,
        retained: &system::RETAINED,
        reset_cause,
        seed: RoscRng.next_u64(),
    }
}
