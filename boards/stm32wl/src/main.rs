//! The socket on an STM32WL: pins, clocks, interrupt handlers; nothing else. See README.md for the wiring.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[cfg(not(any(feature = "lora-e5", feature = "nucleo-wl55jc")))]
compile_error!("choose a variant: --features lora-e5, or --no-default-features --features nucleo-wl55jc");
#[cfg(all(feature = "lora-e5", feature = "nucleo-wl55jc"))]
compile_error!("two variants at once: build the second with --no-default-features");

mod bus;
mod clocks;
#[path = "../../handover.rs"]
mod handover;
#[cfg(feature = "lora-e5")]
mod i2c;
mod identity;
mod line;
#[macro_use]
#[path = "../../mcu.rs"]
mod mcu;
mod radio;
#[path = "../../relay.rs"]
mod relay;
mod runtime;
#[cfg(feature = "nucleo-wl55jc")]
mod serial;
mod supply;
mod system;
#[cfg(feature = "lora-e5")]
mod tag;
#[cfg(feature = "lora-e5")]
#[path = "../../tag_bus.rs"]
mod tag_bus;
#[path = "../../upgrade.rs"]
mod upgrade;
#[cfg_attr(feature = "lora-e5", path = "lora_e5.rs")]
#[cfg_attr(feature = "nucleo-wl55jc", path = "nucleo_wl55jc.rs")]
mod variant;
mod wiring;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::flash::{self, Flash};
use embassy_stm32::interrupt;
use embassy_stm32::interrupt::{InterruptExt, Priority};
use embassy_stm32::mode::Async;
use embassy_stm32::{bind_interrupts, peripherals, rng};
use embassy_time::Delay;
use sockeye_firmware::{Board, EmbassyClock, Parts};
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_settings::Region;

use crate::line::Line;
use crate::supply::Supply;
use crate::system::System;

bind_interrupts!(
    /// Who handles which interrupt.
    pub struct Irqs {
        EXTI3 => exti::InterruptHandler<interrupt::typelevel::EXTI3>;
        EXTI0 => exti::InterruptHandler<interrupt::typelevel::EXTI0>;
        PVD_PVM => supply::InterruptHandler;
        RNG => rng::InterruptHandler<peripherals::RNG>;
        SUBGHZ_RADIO => radio::InterruptHandler;
        USART1 => line::InterruptHandler;
    }
);

/// Where the records lie, from board.toml.
mod memory {
    include!(concat!(env!("OUT_DIR"), "/memory.rs"));

    /// The same, counted from the start of the flash.
    pub const STORAGE: core::ops::Range<u32> =
        STORAGE_ORIGIN - FLASH_ORIGIN..STORAGE_ORIGIN - FLASH_ORIGIN + STORAGE_LENGTH;
}

/// What of a pin is the chip's.
mod pin {
    pub use embassy_stm32::gpio::Flex;
    use embassy_stm32::gpio::Speed;

    /// Drives the pin from now on.
    pub fn make_output(pin: &mut Flex<'_>) {
        pin.set_as_output(Speed::Low);
    }
}

/// This board.
struct Stm32wl;

impl Board for Stm32wl {
    type Clock = EmbassyClock;
    type Relay = relay::Relay;
    type Led = variant::Led;
    type Button = ExtiInput<'static, Async>;
    type Meter = Bl0942<Line, Delay>;
    type Supply = Supply;
    type Phy = radio::Phy;
    type Flash = BlockingAsync<Flash<'static, flash::Blocking>>;
    type Port = variant::Port;
    type Verify = upgrade::Bootloader;
    type System = System;
    type Observer = mcu::Log;
}

// The AES unit is not used; its interrupt is.
socket!(Stm32wl, parts, AES, Priority::P15, maintenance);

/// Takes the chip from reset to its parts.
#[inline(never)]
fn parts() -> Parts<Stm32wl> {
    let reset_cause = system::reset_cause();
    let wiring = variant::wire(clocks::init());
    let system = System::new(wiring.watchdog);
    let seed = rng::Rng::new(wiring.rng, Irqs).next_u64();
    let calibration = Calibration::bl0942(FrontEnd::TYPICAL);

    Parts {
        clock: EmbassyClock,
        relay: wiring.relay,
        led: wiring.led,
        button: wiring.button,
        meter: Bl0942::new(wiring.meter, Delay, calibration),
        supply: Supply::new(Irqs),
        phy: radio::new(wiring.radio, wiring.antenna),
        flash: BlockingAsync::new(Flash::new_blocking(wiring.flash)),
        storage_range: memory::STORAGE,
        port: wiring.port,
        upgrade: upgrade::parts(variant::NAME),
        system,
        observer: mcu::Log::begin(reset_cause),
        identity: identity::of_this_chip(),
        region: Region::Eu868,
        retained: &system::RETAINED,
        reset_cause,
        seed,
    }
}
