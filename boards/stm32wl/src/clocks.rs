//! Clocks: 48 MHz from the TCXO, so that radio, serial line and time all hang on one good source.

use embassy_stm32::rcc::{
    Hse, HseMode, HsePrescaler, Pll, PllMul, PllPreDiv, PllQDiv, PllRDiv, PllSource, Sysclk, mux,
};
use embassy_stm32::time::Hertz;
use embassy_stm32::{Config, Peripherals};

/// Clocks of processor, buses and peripherals in a second.
pub const HZ: u32 = 48_000_000;

/// Starts clocks and peripherals.
///
/// # Panics
/// On its second call.
pub fn init() -> Peripherals {
    let mut config = Config::default();
    config.rcc.hse = Some(Hse {
        freq: Hertz(32_000_000),
        // Both variants have a TCXO, fed by the pin PB0-VDDTCXO.
        mode: HseMode::Bypass,
        prescaler: HsePrescaler::DIV1,
    });
    config.rcc.pll = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV2,
        mul: PllMul::MUL6,
        divp: None,
        // The random number generator has no other clock than this one of 48 MHz.
        divq: Some(PllQDiv::DIV2),
        divr: Some(PllRDiv::DIV2),
    });
    config.rcc.sys = Sysclk::PLL1_R;
    config.rcc.mux.rngsel = mux::Rngsel::PLL1_Q;
    start(config)
}

#[cfg(feature = "lora-e5")]
fn start(config: Config) -> Peripherals {
    embassy_stm32::init(config)
}

/// The chip has a second core, which we leave asleep; embassy-stm32 wants the memory that both would share.
#[cfg(feature = "nucleo-wl55jc")]
fn start(config: Config) -> Peripherals {
    use core::mem::MaybeUninit;
    use embassy_stm32::SharedData;

    // SAFETY: memory.x puts the section, and nothing else, into the first 128 bytes of RAM.
    #[unsafe(link_section = ".shared_data")]
    static SHARED_DATA: MaybeUninit<SharedData> = MaybeUninit::uninit();

    embassy_stm32::init_primary(config, &SHARED_DATA)
}
