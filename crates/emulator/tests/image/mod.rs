//! Where the images are.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::PathBuf;
use std::rc::Rc;

use sockeye_emulator::chip::Chip;
use sockeye_emulator::elf::Image;
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::stm32wl::Stm32wl;

/// A chip for which there is an image.
pub trait Board: Chip {
    /// The board's name.
    const NAME: &'static str;
    /// The variant that is tested: the board's first.
    const VARIANT: &'static str;
    /// What its images are built for.
    const TARGET: &'static str;
    /// In how many ways a program of its flash is torn in a test: the more bytes it has, the more.
    const TEARS: u64;
}

impl Board for Stm32wl {
    const NAME: &'static str = "stm32wl";
    const VARIANT: &'static str = "lora-e5";
    const TARGET: &'static str = "thumbv7em-none-eabi";
    const TEARS: u64 = 1;
}

impl Board for Rp2040 {
    const NAME: &'static str = "rp2040-sx1262";
    const VARIANT: &'static str = "pico";
    const TARGET: &'static str = "thumbv6m-none-eabi";
    const TEARS: u64 = 4;
}

/// Makes of tests that are generic over the board one for each of the two.
#[macro_export]
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        mod stm32wl {
            $(#[test] $(#[$attribute])* fn $name() { super::$name::<sockeye_emulator::stm32wl::Stm32wl>(); })*
        }
        mod rp2040 {
            $(#[test] $(#[$attribute])* fn $name() { super::$name::<sockeye_emulator::rp2040::Rp2040>(); })*
        }
    };
}

/// Reads bootloader and application of the STM32WL.
pub fn image() -> Rc<Image> {
    of::<Stm32wl>()
}

/// Reads bootloader and application of a board.
pub fn of<B: Board>() -> Rc<Image> {
    let variable = format!("SOCKEYE_{}", B::NAME.to_uppercase().replace('-', "_"));
    let package = format!("sockeye-{}", B::NAME);
    let application = read::<B>(&format!("{variable}_ELF"), &format!("{package}-{}", B::VARIANT));
    let bootloader = read::<B>(&format!("{variable}_BOOTLOADER"), &format!("{package}-bootloader"));
    Rc::new(application.join(bootloader))
}

/// Reads bootloader and application of another variant, as `cargo xtask build --variant V` or `--log` has made it.
pub fn aside<B: Board>(variant: &str) -> Rc<Image> {
    let package = format!("sockeye-{}", B::NAME);
    let application = read::<B>("SOCKEYE_NONE", &format!("{package}-{variant}"));
    Rc::new(application.join(read::<B>("SOCKEYE_NONE", &format!("{package}-bootloader"))))
}

/// Reads the signed update to the next version of a board's image.
pub fn update<B: Board>() -> Vec<u8> {
    let path = built::<B>(&format!("sockeye-{}.update", B::NAME));
    std::fs::read(&path).unwrap_or_else(|error| {
        let (path, name) = (path.display(), B::NAME);
        panic!("{path}: {error}; make it first: cargo xtask sign --board {name} --key boards/development.key --version-as 0.2")
    })
}

fn built<B: Board>(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("..").join(B::TARGET).join("firmware").join(file)
}

/// Reads an image from where a variable says, or where `cargo xtask build` leaves it.
fn read<B: Board>(variable: &str, package: &str) -> Image {
    let path = std::env::var_os(variable).map_or_else(|| built::<B>(package), PathBuf::from);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build the images first: cargo xtask build --board {}", path.display(), B::NAME)
    });
    Image::parse(&bytes).unwrap()
}

/// What board.toml says of the memory.
pub struct MemoryMap(toml::Table);

impl MemoryMap {
    pub fn of<B: Board>() -> Self {
        let path = format!("{}/../../boards/{}/board.toml", env!("CARGO_MANIFEST_DIR"), B::NAME);
        let board: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        Self(board["memory"].as_table().unwrap().clone())
    }

    /// A number of it.
    pub fn number(&self, key: &str) -> u32 {
        u32::try_from(self.0[key].as_integer().unwrap()).unwrap()
    }

    /// A part of the flash by its name, as offsets from its start.
    pub fn part(&self, name: &str) -> std::ops::Range<u32> {
        let flash = self.number("bootloader_origin") & 0xFF00_0000;
        let start = self.number(&format!("{name}_origin")) - flash;
        start..start + self.number(&format!("{name}_length"))
    }
}
