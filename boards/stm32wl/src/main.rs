//! The socket on an STM32WL: pins, clocks, interrupt handlers; nothing else. See README.md for the wiring.
#![no_std]
#![allow(clippy::manual_async_fn, reason = "an async fn would hold the parts of its task twice")]
#![no_main]
#![deny(missing_docs)]

#[cfg(not(any(feature = "lora-e5", feature = "nucleo-wl55jc")))]
compile_error!("choose a variant: --features lora-e5, or --no-default-features --features nucleo-wl55jc");
#[cfg(all(feature = "lora-e5", feature = "nucleo-wl55jc"))]
compile_error!("two variants at once: build the second with --no-default-features");

mod clocks;
mod identity;
mod line;
#[path = "../../mcu.rs"]
mod mcu;
mod radio;
mod runtime;
mod supply;
mod system;
#[cfg_attr(feature = "lora-e5", path = "lora_e5.rs")]
#[cfg_attr(feature = "nucleo-wl55jc", path = "nucleo_wl55jc.rs")]
mod variant;
mod wiring;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::{Executor, InterruptExecutor, Spawner};
use embassy_futures::block_on;
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::flash::{self, Flash};
use embassy_stm32::interrupt;
use embassy_stm32::interrupt::{InterruptExt, Priority};
use embassy_stm32::mode::Async;
use embassy_stm32::{bind_interrupts, dma, peripherals, rng};
use embassy_time::Delay;
use sockeye_firmware::{Board, Control, EmbassyClock, Parts, RadioTask, Service, Shared};
use sockeye_metering::bl0942::LineFrequency;
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_settings::Region;
use static_cell::StaticCell;

use crate::line::Line;
use crate::supply::Supply;
use crate::system::System;

bind_interrupts!(
    /// Who handles which interrupt.
    pub struct Irqs {
        DMA1_CHANNEL3 => dma::InterruptHandler<peripherals::DMA1_CH3>;
        DMA1_CHANNEL4 => dma::InterruptHandler<peripherals::DMA1_CH4>;
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
        STORAGE_ORIGIN - FLASH_BASE..STORAGE_ORIGIN - FLASH_BASE + STORAGE_LENGTH;
    const FLASH_BASE: u32 = 0x0800_0000;
}

/// This board.
struct Stm32wl;

impl Board for Stm32wl {
    type Clock = EmbassyClock;
    type Relay = wiring::Relay;
    type Led = variant::Led;
    type Button = ExtiInput<'static, Async>;
    type Meter = Bl0942<Line, Delay>;
    type Supply = Supply;
    type Phy = radio::Phy;
    type Flash = BlockingAsync<Flash<'static, flash::Blocking>>;
    type System = System;
    type Observer = mcu::Quiet;
}

/// Runs control above the other tasks.
static ABOVE: InterruptExecutor = InterruptExecutor::new();

/// Polls control. The AES unit is not used; its interrupt is.
#[interrupt]
unsafe fn AES() {
    // SAFETY: this is the interrupt that the executor was started with, and its only caller.
    unsafe { ABOVE.on_interrupt() }
}

/// As plain functions around a block the tasks hold their parts once; an `async fn` would hold them twice.
#[embassy_executor::task]
fn control(mut control: Control<Stm32wl>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
    async move { sockeye_firmware::control(&mut control, shared).await }
}

#[embassy_executor::task]
fn radio(mut radio: RadioTask<Stm32wl>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
    async move { sockeye_firmware::radio(&mut radio, shared).await }
}

#[embassy_executor::task]
fn service(mut service: Service<Stm32wl>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
    async move { sockeye_firmware::service(&mut service, shared).await }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static SHARED: StaticCell<Shared> = StaticCell::new();
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();

    let shared = SHARED.init(Shared::new());
    EXECUTOR.init(Executor::new()).run(|spawner| start(spawner, shared))
}

/// Takes the chip from reset to three running tasks. Done on the stack, which is given back, and not in a task's memory,
/// which would be kept for it for ever.
#[inline(never)]
fn start(spawner: Spawner, shared: &'static Shared) {
    let reset_cause = system::reset_cause();
    let wiring = variant::wire(clocks::init());
    let system = System::new(wiring.watchdog);
    let seed = rng::Rng::new(wiring.rng, Irqs).next_u64();
    let calibration = Calibration::bl0942(FrontEnd::TYPICAL);

    let parts = Parts::<Stm32wl> {
        clock: EmbassyClock,
        relay: wiring.relay,
        led: wiring.led,
        button: wiring.button,
        meter: Bl0942::new(wiring.meter, Delay, calibration, LineFrequency::Hz50),
        supply: Supply::new(Irqs),
        phy: radio::new(wiring.radio, wiring.antenna),
        flash: BlockingAsync::new(Flash::new_blocking(wiring.flash)),
        storage_range: memory::STORAGE,
        system,
        observer: mcu::Quiet,
        identity: identity::of_this_chip(),
        region: Region::Eu868,
        retained: &system::RETAINED,
        reset_cause,
        seed,
    };
    // It waits for nothing but this flash, which blocks.
    let tasks = block_on(sockeye_firmware::start(parts, shared));

    // Below the interrupt of every driver, above all that runs without one.
    interrupt::AES.set_priority(Priority::P15);
    ABOVE.start(interrupt::AES).spawn(control(tasks.control, shared).expect("spawned once"));
    spawner.spawn(service(tasks.service, shared).expect("spawned once"));
    spawner.spawn(radio(tasks.radio, shared).expect("spawned once"));
}
