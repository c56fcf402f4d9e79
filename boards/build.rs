//! Turns `[memory]` of board.toml into memory.x for the linker and constants for the code, so that the numbers stand once.
//! Shared by the boards with an MCU, `build = "../build.rs"`, and by their bootloaders, `build = "../../build.rs"`.
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names the file of the public key that the bootloader obeys.
const KEY_VARIABLE: &str = "SOCKEYE_PUBLIC_KEY";

/// The variable that names another version for an image to tell than the firmware's own, for trying an upgrade (`cargo xtask
/// build --version-as`).
const VERSION_VARIABLE: &str = "SOCKEYE_VERSION_AS";

/// The key of those who develop: everybody has its secret half.
const DEVELOPMENT_KEY: &str = "../../development.pub";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let is_bootloader = !Path::new("board.toml").is_file();
    let file = if is_bootloader { "../board.toml" } else { "board.toml" };
    let text = fs::read_to_string(file).expect("board.toml stands beside or above Cargo.toml");
    let board: toml::Table = text.parse().expect("board.toml is TOML");
    let memory = Memory(board["memory"].as_table().expect("[memory] of board.toml"));

    let mut code = constants(&memory);
    if is_bootloader {
        code.push_str(&public_key());
    } else {
        code.push_str(&version());
    }
    fs::write(out.join("memory.x"), linker_map(&memory, is_bootloader)).expect("OUT_DIR can be written");
    fs::write(out.join("memory.rs"), code).expect("OUT_DIR can be written");

    println!("cargo::rerun-if-changed={file}");
    println!("cargo::rerun-if-changed={}", if is_bootloader { "../../build.rs" } else { "../build.rs" });
    println!("cargo::rustc-link-search={}", out.display());
    // Without it the linker may start a segment below the first section, on flash that is not ours.
    println!("cargo::rustc-link-arg-bins=--nmagic");
    for script in board["link"]["scripts"].as_array().expect("scripts of [link]") {
        let script = script.as_str().expect("a script's name");
        // The second-stage loader belongs to what the chip starts with, and the log to lora-phy, which is not there.
        let other = if is_bootloader { "defmt.x" } else { "link-rp.x" };
        if script != other {
            println!("cargo::rustc-link-arg-bins=-T{script}");
        }
    }
}

/// `[memory]` of board.toml.
struct Memory<'a>(&'a toml::Table);

impl Memory<'_> {
    /// Reads a number that may be left out.
    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key).map(|value| {
            value.as_integer().and_then(|n| u64::try_from(n).ok()).expect("a number in [memory]")
        })
    }

    /// Reads origin and length of a region that may be left out.
    fn region(&self, name: &str) -> Option<(u64, u64)> {
        Some((self.number(&format!("{name}_origin"))?, self.number(&format!("{name}_length"))?))
    }

    /// Reads origin and length of a region.
    fn must(&self, name: &str) -> (u64, u64) {
        self.region(name).unwrap_or_else(|| panic!("{name}_origin and {name}_length in [memory]"))
    }
}

/// Writes the regions as cortex-m-rt (and on the RP2040 embassy-rp's link-rp.x) wants them named.
fn linker_map(memory: &Memory<'_>, is_bootloader: bool) -> String {
    let mut map = String::from("MEMORY {\n");
    let mut sections = String::new();
    let mut line = |name: &str, origin: u64, length: u64| {
        writeln!(map, "  {name} : ORIGIN = {origin:#010x}, LENGTH = {length}").expect("a String takes all");
    };
    if is_bootloader {
        if let Some((origin, length)) = memory.region("boot2") {
            line("BOOT2", origin, length);
        }
        let (origin, length) = memory.must("bootloader");
        let services = memory.number("services_length").unwrap_or(0);
        line("FLASH", origin, length - services);
        if services > 0 {
            line("SERVICES", origin + length - services, services);
            sections.push_str("  .services : { KEEP(*(.services)) } > SERVICES\n");
        }
    } else {
        let (origin, length) = memory.must("active");
        line("FLASH", origin, length);
    }
    let (origin, length) = memory.must("ram");
    let shared = memory.number("ram_shared_length").unwrap_or(0);
    let retained = memory.number("retained_length").unwrap_or(0);
    if shared > 0 {
        line("RAM_SHARED", origin, shared);
        sections.push_str("  .shared_data (NOLOAD) : { *(.shared_data) } > RAM_SHARED\n");
    }
    if retained > 0 {
        line("RETAINED", origin + shared, retained);
    }
    line("RAM", origin + shared + retained, length - shared - retained);
    // What begins with the relay's level first: the bootloader looks for it there, whatever the application keeps behind it.
    let region = if retained > 0 { "RETAINED" } else { "RAM" };
    writeln!(
        sections,
        "  .retained (NOLOAD) : {{ KEEP(*(.retained.relay)) *(.retained .retained.*) }} > {region}"
    )
    .expect("a String takes all");
    // Not behind .bss: the symbol that ends it would lie in the region of what is inserted there.
    format!("{map}}}\nSECTIONS {{\n{sections}}}\nINSERT AFTER .uninit;\n")
}

/// Writes where everything lies; a board without a bootloader has fewer regions.
fn constants(memory: &Memory<'_>) -> String {
    let mut code = String::new();
    let mut line = |doc: &str, name: &str, value: u64| {
        writeln!(code, "/// {doc}\n#[allow(dead_code, reason = \"not every image needs all\")]\npub const {name}: u32 = {value:#x};")
            .expect("a String takes all");
    };
    for (name, what) in [
        ("state", "the bootloader's notes"),
        ("active", "the application"),
        ("dfu", "the next application"),
        ("storage", "the records"),
        ("ram", "the RAM"),
    ] {
        let Some((origin, length)) = memory.region(name) else { continue };
        let upper = name.to_uppercase();
        line(&format!("Start of {what}."), &format!("{upper}_ORIGIN"), origin);
        line(&format!("Bytes of {what}."), &format!("{upper}_LENGTH"), length);
    }
    let first = ["boot2", "bootloader", "active"].into_iter().find_map(|name| memory.region(name));
    let (start, _) = first.expect("active_origin and active_length in [memory]");
    let (storage, storage_length) = memory.must("storage");
    line("Start of the flash.", "FLASH_ORIGIN", start);
    line("Bytes of the flash: the records end it.", "FLASH_LENGTH", storage + storage_length - start);
    if let (Some((origin, length)), Some(services)) =
        (memory.region("bootloader"), memory.number("services_length"))
    {
        line("Start of the bootloader's table of services.", "SERVICES_ORIGIN", origin + length - services);
    }
    code
}

/// Writes the version that the image is to tell, if not the firmware's own.
fn version() -> String {
    println!("cargo::rerun-if-env-changed={VERSION_VARIABLE}");
    let version = env::var(VERSION_VARIABLE).ok().map(|text| {
        let byte = |text: &str| u8::from_str_radix(text, 16).ok();
        text.split_once('.')
            .and_then(|(major, minor)| Some([byte(major)?, byte(minor)?]))
            .unwrap_or_else(|| panic!("{VERSION_VARIABLE}: `{text}` is no version such as 0.2"))
    });
    format!(
        "/// The version to tell, if not the firmware's own.\n#[allow(dead_code, reason = \"not every board takes upgrades\")]\n\
         pub const VERSION_AS: Option<[u8; 2]> = {version:?};\n"
    )
}

/// Writes the public key that the bootloader obeys.
fn public_key() -> String {
    println!("cargo::rerun-if-env-changed={KEY_VARIABLE}");
    let file = env::var(KEY_VARIABLE).unwrap_or_else(|_| DEVELOPMENT_KEY.to_owned());
    println!("cargo::rerun-if-changed={file}");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("the public key {file}: {error}"));
    // It would lie in every socket, to be read out.
    assert!(
        !text.lines().any(|line| line.starts_with('#') && line.contains("secret half")),
        "{file} is the secret half of a key; the bootloader wants the public one, NAME.pub"
    );
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::bytes)
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let key: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
        })
        .collect();
    let key =
        key.filter(|key| key.len() == 32).unwrap_or_else(|| panic!("{file} holds no 64 hexadecimal digits"));
    format!("/// Whose signature is obeyed.\npub const PUBLIC_KEY: [u8; 32] = {key:?};\n")
}
