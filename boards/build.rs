//! Turns `[memory]` of board.toml into memory.x for the linker and constants for the code, so that the numbers stand once.
//! Shared by the boards with an MCU: `build = "../build.rs"`.
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let text = fs::read_to_string("board.toml").expect("board.toml stands beside Cargo.toml");
    let board: toml::Table = text.parse().expect("board.toml is TOML");
    let memory = board["memory"].as_table().expect("[memory] of board.toml");

    fs::write(out.join("memory.x"), linker_map(memory)).expect("OUT_DIR can be written");
    fs::write(out.join("memory.rs"), constants(memory)).expect("OUT_DIR can be written");

    println!("cargo::rerun-if-changed=board.toml");
    println!("cargo::rerun-if-changed=../build.rs");
    println!("cargo::rustc-link-search={}", out.display());
    // Without it the linker may start a segment below the first section, on flash that is not ours.
    println!("cargo::rustc-link-arg-bins=--nmagic");
    for script in board["link"]["scripts"].as_array().expect("scripts of [link]") {
        println!("cargo::rustc-link-arg-bins=-T{}", script.as_str().expect("a script's name"));
    }
}

/// Reads a number that `[memory]` may leave out.
fn number(memory: &toml::Table, key: &str) -> Option<u64> {
    memory
        .get(key)
        .map(|value| value.as_integer().and_then(|n| u64::try_from(n).ok()).expect("a number in [memory]"))
}

/// Reads origin and length of a region.
fn region(memory: &toml::Table, name: &str) -> Option<(u64, u64)> {
    Some((number(memory, &format!("{name}_origin"))?, number(memory, &format!("{name}_length"))?))
}

/// Writes the regions as cortex-m-rt (and on the RP2040 embassy-rp's link-rp.x) wants them named.
fn linker_map(memory: &toml::Table) -> String {
    let mut map = String::from("MEMORY {\n");
    let mut line = |name: &str, origin: u64, length: u64| {
        writeln!(map, "  {name} : ORIGIN = {origin:#010x}, LENGTH = {length}").expect("a String takes all");
    };
    if let Some((origin, length)) = region(memory, "boot2") {
        line("BOOT2", origin, length);
    }
    let (origin, length) = region(memory, "flash").expect("flash in [memory]");
    line("FLASH", origin, length);
    let (origin, length) = region(memory, "ram").expect("ram in [memory]");
    let shared = number(memory, "ram_shared_length").unwrap_or(0);
    if shared > 0 {
        line("RAM_SHARED", origin, shared);
    }
    line("RAM", origin + shared, length - shared);
    map.push_str("}\n");
    if shared > 0 {
        map.push_str(
            "SECTIONS {\n  .shared_data (NOLOAD) : { *(.shared_data) } > RAM_SHARED\n}\nINSERT AFTER .bss;\n",
        );
    }
    map
}

/// Writes where the records are kept.
fn constants(memory: &toml::Table) -> String {
    let (origin, length) = region(memory, "storage").expect("storage in [memory]");
    format!("pub const STORAGE_ORIGIN: u32 = {origin:#x};\npub const STORAGE_LENGTH: u32 = {length:#x};\n")
}
