//! The socket on a Raspberry Pi Pico with an SX1262 board: pins, clocks, interrupt handlers; nothing else. See
//! README.md for the wiring.
#![no_std]
#![allow(clippy::manual_async_fn, reason = "an async fn would hold the parts of its task twice")]
#![no_main]
#![deny(missing_docs)]

mod identity;
mod line;
#[path = "../../mcu.rs"]
mod mcu;
mod radio;
mod supply;
mod system;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::{Executor, InterruptExecutor, Spawner};
use embassy_futures::block_on;
use embassy_rp::clocks::RoscRng;
use embassy_rp::flash::{self, Flash};
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_rp::peripherals::{FLASH, UART0};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart};
use embassy_rp::{bind_interrupts, config};
use embassy_time::Delay;
use sockeye_firmware::{Board, Control, EmbassyClock, Parts, RadioTask, Service, Shared};
use sockeye_metering::bl0942::LineFrequency;
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_settings::Region;
use static_cell::StaticCell;

use crate::supply::Supply;
use crate::system::System;

bind_interrupts!(struct Irqs {
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

/// Where the records lie, from board.toml.
mod memory {
    include!(concat!(env!("OUT_DIR"), "/memory.rs"));

    /// The same, counted from the start of the flash.
    pub const STORAGE: core::ops::Range<u32> =
        STORAGE_ORIGIN - FLASH_BASE..STORAGE_ORIGIN - FLASH_BASE + STORAGE_LENGTH;
    const FLASH_BASE: u32 = 0x1000_0000;

    /// All of the flash: the records end it.
    pub const FLASH_SIZE: usize = STORAGE.end as usize;
}

/// The flash beside the chip. An operation stops both cores' use of it: 45 ms for a sector.
type PicoFlash = Flash<'static, FLASH, flash::Blocking, { memory::FLASH_SIZE }>;

/// This board.
struct Rp2040Sx1262;

impl Board for Rp2040Sx1262 {
    type Clock = EmbassyClock;
    type Relay = Output<'static>;
    type Led = Output<'static>;
    type Button = Input<'static>;
    type Meter = Bl0942<BufferedUart, Delay>;
    type Supply = Supply;
    type Phy = radio::Phy;
    type Flash = BlockingAsync<PicoFlash>;
    type System = System;
    type Observer = mcu::Quiet;
}

/// Runs control above the other tasks.
static ABOVE: InterruptExecutor = InterruptExecutor::new();

/// Polls control, on an interrupt that the chip keeps for software.
#[interrupt]
unsafe fn SWI_IRQ_0() {
    // SAFETY: this is the interrupt that the executor was started with, and its only caller.
    unsafe { ABOVE.on_interrupt() }
}

/// As plain functions around a block the tasks hold their parts once; an `async fn` would hold them twice.
#[embassy_executor::task]
fn control(mut control: Control<Rp2040Sx1262>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
    async move { sockeye_firmware::control(&mut control, shared).await }
}

#[embassy_executor::task]
fn radio(mut radio: RadioTask<Rp2040Sx1262>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
    async move { sockeye_firmware::radio(&mut radio, shared).await }
}

#[embassy_executor::task]
fn service(mut service: Service<Rp2040Sx1262>, shared: &'static Shared) -> impl Future<Output = mcu::Never> {
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
    let p = embassy_rp::init(config::Config::default());
    let system = System::new(p.WATCHDOG);
    let mut flash = PicoFlash::new_blocking(p.FLASH);
    let identity = identity::of(&mut flash);

    let parts = Parts::<Rp2040Sx1262> {
        clock: EmbassyClock,
        relay: Output::new(p.PIN_6, Level::Low),
        led: Output::new(p.PIN_25, Level::Low),
        button: Input::new(p.PIN_7, Pull::Up),
        meter: Bl0942::new(
            line::open(p.UART0, p.PIN_0, p.PIN_1, Irqs),
            Delay,
            Calibration::bl0942(FrontEnd::TYPICAL),
            LineFrequency::Hz50,
        ),
        supply: Supply::new(Input::new(p.PIN_22, Pull::Up)),
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
        system,
        observer: mcu::Quiet,
        identity,
        region: Region::Eu868,
        retained: &system::RETAINED,
        reset_cause,
        seed: RoscRng.next_u64(),
    };
    // It waits for nothing but this flash, which blocks.
    let tasks = block_on(sockeye_firmware::start(parts, shared));

    // Below the interrupt of every driver, above all that runs without one.
    interrupt::SWI_IRQ_0.set_priority(Priority::P3);
    ABOVE.start(interrupt::SWI_IRQ_0).spawn(control(tasks.control, shared).expect("spawned once"));
    spawner.spawn(service(tasks.service, shared).expect("spawned once"));
    spawner.spawn(radio(tasks.radio, shared).expect("spawned once"));
}
