//! Where the images are.

use std::path::PathBuf;
use std::rc::Rc;

use sockeye_emulator::elf::Image;

/// Reads bootloader and application.
pub fn image() -> Rc<Image> {
    let application = read("SOCKEYE_STM32WL_ELF", "sockeye-stm32wl");
    Rc::new(application.join(read("SOCKEYE_STM32WL_BOOTLOADER", "sockeye-stm32wl-bootloader")))
}

/// Reads an image from where a variable says, or where `cargo xtask build --board stm32wl` leaves it.
fn read(variable: &str, package: &str) -> Image {
    let path = std::env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../thumbv7em-none-eabi/firmware").join(package),
        PathBuf::from,
    );
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the images first: cargo xtask build --board stm32wl", path.display())
    });
    Image::parse(&bytes).unwrap()
}
