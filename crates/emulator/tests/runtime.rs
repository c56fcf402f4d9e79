//! The image's own functions for memory and division (boards/stm32wl/src/runtime.rs), called one by one.
#![allow(missing_docs, reason = "tests")]

use std::collections::HashMap;
use std::path::PathBuf;

use object::Endianness;
use object::elf::{FileHeader32, SHT_SYMTAB};
use object::read::elf::{FileHeader, Sym};
use sockeye_emulator::elf::Image;
use unicorn_engine::{Arch, Mode, Prot, RegisterARM as R, Unicorn};

const RAM: u32 = 0x2000_0000;
const STACK_END: u32 = RAM + 0x1_0000;
/// Where a function returns to, and the engine stops.
const RETURN: u32 = 0x0803_F000;
/// Bytes that a case may change.
const SCENE: usize = 128;
const SAVED: [R; 8] = [R::R4, R::R5, R::R6, R::R7, R::R8, R::R9, R::R10, R::R11];

/// The functions of an image, and memory to call them in.
struct Functions {
    engine: Unicorn<'static, ()>,
    addresses: HashMap<String, u32>,
    random: u64,
}

impl Functions {
    fn new() -> Self {
        let path = std::env::var_os("SOCKEYE_STM32WL_ELF").map_or_else(
            || {
                PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                    .join("../thumbv7em-none-eabi/firmware/sockeye-stm32wl-lora-e5")
            },
            PathBuf::from,
        );
        let elf = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; build the image first: cargo xtask build --board stm32wl", path.display())
        });
        let mut engine = Unicorn::new(Arch::ARM, Mode::THUMB | Mode::MCLASS).unwrap();
        engine.mem_map(0x0800_0000, 0x4_0000, Prot::ALL).unwrap();
        engine.mem_map(RAM.into(), 0x1_0000, Prot::ALL).unwrap();
        for (address, bytes) in Image::parse(&elf).unwrap().segments {
            engine.mem_write(address.into(), &bytes).unwrap();
        }
        let elf = &*elf;
        let header = FileHeader32::<Endianness>::parse(elf).unwrap();
        let endian = header.endian().unwrap();
        let table = header.sections(endian, elf).unwrap().symbols(endian, elf, SHT_SYMTAB).unwrap();
        let addresses = table
            .iter()
            .filter_map(|symbol| {
                let name = String::from_utf8(symbol.name(endian, table.strings()).ok()?.to_vec()).ok()?;
                Some((name, symbol.st_value(endian)))
            })
            .collect();
        Self { engine, addresses, random: 1 }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Fills the scene at random, and gives it.
    fn scene(&mut self) -> [u8; SCENE] {
        let scene = std::array::from_fn(|_| self.random().to_le_bytes()[0]);
        self.engine.mem_write(RAM.into(), &scene).unwrap();
        scene
    }

    fn seen(&self) -> [u8; SCENE] {
        let mut scene = [0; SCENE];
        self.engine.mem_read(RAM.into(), &mut scene).unwrap();
        scene
    }

    /// Calls a function by the procedure call standard, and holds it to what it must keep.
    fn call(&mut self, name: &str, arguments: [u32; 4]) -> [u32; 4] {
        let start = *self.addresses.get(name).unwrap_or_else(|| panic!("no {name} in the image"));
        let engine = &mut self.engine;
        let registers = [R::R0, R::R1, R::R2, R::R3];
        for (register, value) in registers.into_iter().zip(arguments) {
            engine.reg_write(register, value.into()).unwrap();
        }
        for (register, value) in SAVED.into_iter().zip(0xA0..) {
            engine.reg_write(register, value).unwrap();
        }
        engine.reg_write(R::SP, STACK_END.into()).unwrap();
        engine.reg_write(R::LR, u64::from(RETURN | 1)).unwrap();
        engine.emu_start(u64::from(start | 1), RETURN.into(), 0, 100_000).unwrap();
        for (register, value) in SAVED.into_iter().zip(0xA0..) {
            assert_eq!(engine.reg_read(register).unwrap(), value, "{name} keeps {register:?}");
        }
        assert_eq!(engine.reg_read(R::SP).unwrap(), u64::from(STACK_END), "{name}");
        assert_eq!(engine.reg_read(R::PC).unwrap() & !1, u64::from(RETURN), "{name} returns");
        registers.map(|register| u32::try_from(engine.reg_read(register).unwrap()).unwrap())
    }
}

fn at(offset: usize) -> u32 {
    RAM + u32::try_from(offset).unwrap()
}

#[test]
fn memory_is_copied_up_and_down_at_every_offset() {
    let mut functions = Functions::new();
    for name in
        ["memcpy", "__aeabi_memcpy", "__aeabi_memcpy4", "memmove", "__aeabi_memmove", "__aeabi_memmove8"]
    {
        for length in [0, 1, 2, 3, 4, 5, 7, 8, 11, 16, 31] {
            for to in 0..24 {
                for from in [0, 1, 3, 7, 8, 9, 12, 40] {
                    if name.contains("cpy") && to < from + length && from < to + length {
                        continue;
                    }
                    let mut expected = functions.scene();
                    let length_32 = u32::try_from(length).unwrap();
                    let result = functions.call(name, [at(to), at(from), length_32, 9]);
                    if !name.starts_with("__") {
                        assert_eq!(result[0], at(to), "{name} gives where to");
                    }
                    expected.copy_within(from..from + length, to);
                    assert_eq!(functions.seen(), expected, "{name}: {length} bytes from {from} to {to}");
                }
            }
        }
    }
}

#[test]
fn memory_is_filled_and_nothing_beside_it() {
    let mut functions = Functions::new();
    for name in ["memset", "__aeabi_memset", "__aeabi_memset4", "__aeabi_memclr", "__aeabi_memclr8"] {
        for length in 0..24 {
            for to in 0..5 {
                let mut expected = functions.scene();
                let (length_32, byte) = (u32::try_from(length).unwrap(), 0x5A);
                // The order of the C library, and that of the run-time ABI.
                let arguments = match name {
                    "memset" => [at(to), byte, length_32, 0],
                    _ => [at(to), length_32, byte, 0],
                };
                functions.call(name, arguments);
                expected[to..to + length].fill(if name.contains("clr") { 0 } else { 0x5A });
                assert_eq!(functions.seen(), expected, "{name}: {length} bytes at {to}");
            }
        }
    }
}

#[test]
fn memory_is_compared_by_the_first_byte_that_differs() {
    let mut functions = Functions::new();
    for length in 0..12 {
        for differs in 0..14 {
            for by in [1, 0x7F, 0x80, 0xFF] {
                let mut scene = functions.scene();
                scene.copy_within(0..16, 33);
                scene[33 + differs] = scene[33 + differs].wrapping_add(by);
                functions.engine.mem_write(RAM.into(), &scene).unwrap();
                let arguments = [at(0), at(33), u32::try_from(length).unwrap(), 0];
                let told = functions.call("memcmp", arguments)[0].cast_signed();
                let expected = scene[..length].cmp(&scene[33..33 + length]) as i32;
                assert_eq!(told.signum(), expected, "{length} bytes, number {differs} by {by}");
            }
        }
    }
}

#[test]
fn division_by_64_bits_gives_quotient_and_remainder() {
    let mut functions = Functions::new();
    let mut check = |a: u64, b: u64| {
        let words = |value: u64| [value as u32, (value >> 32) as u32];
        let ([a0, a1], [b0, b1]) = (words(a), words(b));
        let [q0, q1, r0, r1] = functions.call("__aeabi_uldivmod", [a0, a1, b0, b1]);
        let value = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        assert_eq!((value(q0, q1), value(r0, r1)), (a / b, a % b), "{a} by {b}");
    };
    let edges = [
        0,
        1,
        2,
        3,
        1000,
        0x7FFF_FFFF,
        0x8000_0000,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) + 1,
        u64::MAX >> 1,
        1 << 63,
        (1 << 63) + 1,
        u64::MAX - 1,
        u64::MAX,
    ];
    for a in edges {
        for b in edges.into_iter().filter(|b| *b != 0) {
            check(a, b);
        }
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..2000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let other = random.rotate_left(29) >> (random % 64);
        check(random >> (random >> 8 & 63), other.max(1));
    }
}
