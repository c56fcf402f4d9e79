//! Where the image is.

use std::path::PathBuf;
use std::rc::Rc;

use sockeye_emulator::elf::Image;

/// Reads the image from where `SOCKEYE_STM32WL_ELF` says, or where `cargo xtask build --board stm32wl` leaves it.
pub fn image() -> Rc<Image> {
    let path = std::env::var_os("SOCKEYE_STM32WL_ELF").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../thumbv7em-none-eabi/firmware/sockeye-stm32wl"),
        PathBuf::from,
    );
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the image first: cargo xtask build --board stm32wl", path.display())
    });
    Rc::new(Image::parse(&bytes).unwrap())
}
