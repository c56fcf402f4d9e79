//! Divides a linked image among the crates that its bytes come from.
//!
//! - **Code**: each instruction belongs to the innermost function of its inline stack (from the debug information) whose source
//!   is a crate of this repository; where there is none, to the innermost one outside Rust's own libraries. So what is inlined
//!   from a library counts for our function around it, and a library's function of its own for the library.
//! - **Constants** between the code belong to the instruction that loads them, and one in `.rodata` to the symbol
//!   that it is in, or else to the first crate that has its address.
//! - **RAM**: statics by their symbols. What a task holds lies in the board's statics; the sizes of types tell that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use addr2line::Context;
use gimli::{EndianSlice, LittleEndian};
use object::elf::{SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS};
use object::read::elf::{ElfFile32, SectionHeader};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::board::Memory;
use crate::thumb::{self, Does};

/// The bytes that one crate has in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Code, with the constants between it.
    pub code: u64,
    pub constants: u64,
    /// Statics that start with contents from flash.
    pub data: u64,
    pub bss: u64,
}

impl Part {
    pub fn flash(self) -> u64 {
        self.code + self.constants + self.data
    }

    pub fn ram(self) -> u64 {
        self.data + self.bss
    }
}

/// Has a part for each folder of crates/ or boards/, and each library.
pub type Parts = BTreeMap<String, Part>;

/// What nobody could be found for.
const NOBODY: &str = "(unknown)";
/// Vector tables and what else has a symbol that is not Rust's.
const START: &str = "(start-up)";

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Divides an image.
///
/// # Errors
/// When it is no ELF file of 32 bits with debug information.
pub fn parts(elf: &[u8], root: &Path, memory: &Memory) -> Result<Parts, String> {
    let file: ElfFile32 = ElfFile32::parse(elf).map_err(|error| error.to_string())?;
    let context = Context::from_dwarf(debug_information(&file)?).map_err(|error| error.to_string())?;
    let symbols = symbols(&file);
    let mut parts = Parts::new();
    let mut references = Vec::new();
    let mut constants = Vec::new();
    for section in file.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(file.endian());
        let (start, end) = (section.address(), section.address() + section.size());
        if !flags.contains(SHF_ALLOC) || start == end {
            continue;
        }
        let bytes = section.data().map_err(|error| error.to_string())?;
        let in_ram = (memory.ram_origin..memory.ram_origin + memory.ram_length).contains(&start);
        if header.sh_type(file.endian()) == SHT_NOBITS {
            for (owner, length) in statics(start, end, &symbols) {
                part(&mut parts, &owner).bss += length;
            }
        } else if in_ram {
            for (owner, length) in statics(start, end, &symbols) {
                part(&mut parts, &owner).data += length;
            }
        } else if flags.contains(SHF_EXECINSTR) {
            let mut find = |address| owner(&context, root, address);
            let regions = regions(&file, start, end);
            let found = code(start, bytes, &regions, &mut find);
            for (owner, length) in found.bytes {
                part(&mut parts, &owner).code += length;
            }
            references.extend(found.references);
        } else {
            constants.push((start, bytes));
        }
    }
    for (start, bytes) in constants {
        for (owner, length) in divide_constants(start, bytes, &symbols, &references) {
            part(&mut parts, &owner).constants += length;
        }
    }
    Ok(parts)
}

fn part<'a>(parts: &'a mut Parts, owner: &str) -> &'a mut Part {
    parts.entry(owner.to_owned()).or_default()
}

/// Reads the sections of debug information.
///
/// # Errors
/// When one cannot be read.
pub fn debug_information<'a>(file: &ElfFile32<'a>) -> Result<gimli::Dwarf<Slice<'a>>, String> {
    gimli::Dwarf::load(|id| {
        let data = file.section_by_name(id.name()).map(|section| section.data()).transpose();
        let data = data.map_err(|error: object::Error| error.to_string())?.unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    })
}

/// Is a stretch of memory with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Symbol {
    start: u64,
    end: u64,
    owner: String,
}

/// Gives the symbols that have a length, in order and apart from each other.
fn symbols(file: &ElfFile32<'_>) -> Vec<Symbol> {
    let sized = file.symbols().filter(|symbol| symbol.size() > 0);
    let mut symbols: Vec<Symbol> = sized
        .map(|symbol| Symbol {
            start: symbol.address(),
            end: symbol.address() + symbol.size(),
            owner: symbol.name().ok().and_then(crate_of_symbol).unwrap_or_else(|| START.to_owned()),
        })
        .collect();
    symbols.sort_by_key(|symbol| (symbol.start, std::cmp::Reverse(symbol.end)));
    let mut end = 0;
    symbols.retain(|symbol| {
        let apart = symbol.start >= end;
        end = end.max(symbol.end);
        apart
    });
    symbols
}

/// Reads the crate in a symbol of the compiler: `_ZN`, and names that each have their length before them.
fn crate_of_symbol(symbol: &str) -> Option<String> {
    let rest = symbol.strip_prefix("_ZN")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let name = rest[digits..].get(..rest[..digits].parse().ok()?)?;
    // An implementation is named by its type: `_$LT$krate..module..Type$u20$as…`.
    let name = name.trim_start_matches('_').trim_start_matches("$LT$").trim_start_matches("$RF$");
    let end = name.find("..").into_iter().chain(name.find('$')).min().unwrap_or(name.len());
    let name = &name[..end];
    // Our packages carry a prefix, their folders do not.
    Some(hyphened(name.strip_prefix("sockeye_").unwrap_or(name))).filter(|name| !name.is_empty())
}

/// A `-` in a package's name is a `_` in its symbols; some packages have the `_` themselves.
fn hyphened(name: &str) -> String {
    name.replace('_', "-")
}

/// Says to which crate a source file belongs, and whether it is one of this repository.
fn crate_of_path<'a>(root: &Path, path: &'a str) -> Option<(&'a str, bool)> {
    let inside =
        root.to_str().and_then(|root| path.strip_prefix(root)).map(|rest| rest.trim_start_matches('/'));
    let ours = ["crates/", "boards/"].iter().find_map(|folder| inside.unwrap_or(path).strip_prefix(folder));
    if let Some(rest) = ours {
        return Some((rest.split('/').next()?, true));
    }
    if let Some((_, rest)) = path.split_once("/registry/src/") {
        let folder = rest.split('/').nth(1)?;
        // `lora-phy-3.0.1`: the version begins after the last `-` before a digit.
        let version = folder
            .rmatch_indices('-')
            .find(|(at, _)| folder[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
        return Some((version.map_or(folder, |(at, _)| &folder[..at]), false));
    }
    let (_, rest) = path.split_once("/library/")?;
    Some((rest.split('/').next()?, false))
}

/// Rust's own libraries, whose functions are everybody's.
const RUST: [&str; 4] = ["core", "alloc", "std", "compiler-builtins"];

/// Finds whose an instruction is.
fn owner(context: &Context<Slice<'_>>, root: &Path, address: u64) -> Option<String> {
    let mut frames = context.find_frames(address).skip_all_loads().ok()?;
    let mut library = None;
    let mut rust = None;
    while let Ok(Some(frame)) = frames.next() {
        let file = frame.location.and_then(|location| location.file);
        let Some((name, ours)) = file.and_then(|file| crate_of_path(root, file)) else { continue };
        if ours {
            return Some(hyphened(name));
        }
        let kind = if RUST.contains(&name) { &mut rust } else { &mut library };
        kind.get_or_insert_with(|| hyphened(name));
    }
    library.or(rust)
}

/// Tells code from what lies between it, by the `$t` and `$d` symbols of the ARM ELF specification.
fn regions(file: &ElfFile32<'_>, start: u64, end: u64) -> Vec<(u64, bool)> {
    let mut regions: Vec<(u64, bool)> = file
        .symbols()
        .filter(|symbol| (start..end).contains(&symbol.address()))
        .filter_map(|symbol| match symbol.name().ok()?.get(..2)? {
            "$t" => Some((symbol.address(), true)),
            "$d" => Some((symbol.address(), false)),
            _ => None,
        })
        .collect();
    regions.sort_unstable();
    regions
}

/// What a section of code has.
#[derive(Debug, Default)]
struct Code {
    bytes: Vec<(String, u64)>,
    /// Whose code has which number among its constants.
    references: Vec<(u64, String)>,
}

/// Divides a section of code; `regions` says where code (true) and data begin.
fn code(
    start: u64,
    bytes: &[u8],
    regions: &[(u64, bool)],
    find: &mut impl FnMut(u64) -> Option<String>,
) -> Code {
    let end = start + bytes.len() as u64;
    let slice =
        |from: u64, to: u64| bytes.get((from - start) as usize..(to - start) as usize).unwrap_or_default();
    let mut found = Code::default();
    let mut loads: BTreeMap<u64, String> = BTreeMap::new();
    let mut data = Vec::new();
    let mut owner = NOBODY.to_owned();
    let first = regions.first().map_or(end, |region| region.0);
    found.bytes.push((NOBODY.to_owned(), first - start));
    let ends = regions.iter().skip(1).map(|region| region.0).chain([end]);
    for (&(from, is_code), to) in regions.iter().zip(ends) {
        if !is_code {
            data.push((from, to, owner.clone()));
            continue;
        }
        let mut covered = 0;
        for instruction in thumb::instructions(from, slice(from, to)) {
            owner = find(instruction.address).unwrap_or_else(|| NOBODY.to_owned());
            found.bytes.push((owner.clone(), instruction.length));
            covered += instruction.length;
            if let Does::Load { from, bytes } = instruction.does {
                for word in (from..from + bytes).step_by(4) {
                    loads.entry(word).or_insert_with(|| owner.clone());
                }
            }
        }
        found.bytes.push((owner.clone(), to - from - covered));
    }
    for (from, to, before) in data {
        let mut at = from;
        while at < to {
            let next = (at / 4 * 4 + 4).min(to);
            let owner = loads.get(&at).unwrap_or(&before);
            found.bytes.push((owner.clone(), next - at));
            if let (Some(owner), Ok(word)) = (loads.get(&at), <[u8; 4]>::try_from(slice(at, next))) {
                found.references.push((u64::from(u32::from_le_bytes(word)), owner.clone()));
            }
            at = next;
        }
    }
    found
}

/// Divides a stretch of RAM by its symbols.
fn statics(start: u64, end: u64, symbols: &[Symbol]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut at = start;
    for symbol in symbols.iter().filter(|symbol| symbol.end > start && symbol.start < end) {
        found.push((START.to_owned(), symbol.start.saturating_sub(at)));
        let from = symbol.start.max(at);
        at = symbol.end.min(end);
        found.push((symbol.owner.clone(), at - from));
    }
    found.push((START.to_owned(), end - at));
    found
}

/// Divides constants: by symbols, and between them by who has their address.
fn divide_constants(
    start: u64,
    bytes: &[u8],
    symbols: &[Symbol],
    references: &[(u64, String)],
) -> Vec<(String, u64)> {
    let end = start + bytes.len() as u64;
    let inside = |address: u64| (start..end).contains(&address);
    // Words of the constants themselves that are addresses of others.
    let words = bytes.chunks_exact(4).zip((start..).step_by(4));
    let pointers: Vec<(u64, u64)> = words
        .map(|(word, at)| (at, u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))))
        .filter(|(_, to)| inside(*to))
        .collect();
    let symbols: Vec<&Symbol> = symbols.iter().filter(|symbol| inside(symbol.start)).collect();
    let symbol_at = |address: u64| {
        let after = symbols.partition_point(|symbol| symbol.start <= address);
        after.checked_sub(1).map(|index| symbols[index]).filter(|symbol| address < symbol.end)
    };
    let mut starts: BTreeSet<u64> = BTreeSet::from([start]);
    starts.extend(symbols.iter().flat_map(|symbol| [symbol.start, symbol.end]));
    let addresses = references.iter().map(|(to, _)| *to).chain(pointers.iter().map(|(_, to)| *to));
    starts.extend(addresses.filter(|to| inside(*to) && symbol_at(*to).is_none()));
    starts.retain(|at| inside(*at));
    let mut owners: BTreeMap<u64, Option<String>> =
        starts.iter().map(|at| (*at, symbol_at(*at).map(|symbol| symbol.owner.clone()))).collect();
    let own = |owners: &mut BTreeMap<u64, Option<String>>, to: u64, owner: &str| {
        let piece = owners.range_mut(..=to).next_back().map(|(_, piece)| piece);
        match piece {
            Some(piece @ None) => *piece = Some(owner.to_owned()),
            _ => return false,
        }
        true
    };
    for (to, owner) in references.iter().filter(|(to, _)| inside(*to)) {
        own(&mut owners, *to, owner);
    }
    // Who owns a table owns what it points to.
    while pointers.iter().any(|(at, to)| {
        let owner = owners.range(..=*at).next_back().and_then(|(_, owner)| owner.clone());
        owner.is_some_and(|owner| own(&mut owners, *to, &owner))
    }) {}
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts
        .iter()
        .zip(ends)
        .map(|(from, to)| (owners.remove(from).flatten().unwrap_or_else(|| NOBODY.to_owned()), to - from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(parts: Vec<(String, u64)>) -> Vec<(String, u64)> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (owner, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
            *sums.entry(owner).or_default() += bytes;
        }
        sums.into_iter().collect()
    }

    fn expected(parts: &[(&str, u64)]) -> Vec<(String, u64)> {
        parts.iter().map(|(owner, bytes)| ((*owner).to_owned(), *bytes)).collect()
    }

    #[test]
    fn the_crate_of_a_source_file_is_in_its_path() {
        let check = |path: &str, expected: Option<(&str, bool)>| {
            assert_eq!(crate_of_path(Path::new("/src/sockeye"), path), expected, "{path}");
        };
        check("/src/sockeye/crates/lorawan-mac/src/mac.rs", Some(("lorawan-mac", true)));
        check("/src/sockeye/boards/stm32wl/src/main.rs", Some(("stm32wl", true)));
        check("/home/a/.cargo/registry/src/index-1949/lora-phy-3.0.1/src/lib.rs", Some(("lora-phy", false)));
        check("/home/a/.cargo/registry/src/index-1949/aes-0.8.4/src/lib.rs", Some(("aes", false)));
        check(
            "/home/a/.cargo/registry/src/index-1949/x-2-y-1.0.0-rc.1/src/crates/z.rs",
            Some(("x-2-y", false)),
        );
        check("/rustc/59807616/library/core/src/option.rs", Some(("core", false)));
        check("/elsewhere/x.rs", None);
    }

    #[test]
    fn the_crate_of_a_symbol_is_its_first_name() {
        let check = |symbol: &str, expected: Option<&str>| {
            assert_eq!(crate_of_symbol(symbol).as_deref(), expected, "{symbol}");
        };
        check("_ZN15sockeye_stm32wl7service4POOL17hf5412657c6811989E", Some("stm32wl"));
        check("_ZN19sockeye_lorawan_mac6region6tables5EU86817hd543b02b6fe89afbE", Some("lorawan-mac"));
        check(
            "_ZN60_$LT$embassy_time..Instant$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
            Some("embassy-time"),
        );
        check("_ZN40_$LT$sockeye_radio..Phy$u20$as$u20$X$GT$2rx17h0123456789abcdefE", Some("radio"));
        check("__INTERRUPTS", None);
        check("_ZN99short", None);
    }

    #[test]
    fn code_counts_for_who_it_is_and_a_constant_for_who_loads_it() {
        // At 0x100: ldr r0, [pc, #4] of a; nop of b. Then words: one that a loads, one that nobody does.
        let halves = [0x4801_u16, 0xbf00, 0x1234, 0x0800, 0xffff, 0xffff];
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let mut find =
            |address| (address < 0x104).then(|| if address == 0x100 { "a" } else { "b" }.to_owned());
        let mut found =
            code(0xfe, &[&[0, 0][..], &bytes].concat(), &[(0x100, true), (0x104, false)], &mut find);
        // The load is of 0x108, which is the second word.
        assert_eq!(found.references, [(0xffff_ffff, "a".to_owned())]);
        assert_eq!(
            sums(std::mem::take(&mut found.bytes)),
            expected(&[(NOBODY, 2), ("a", 2 + 4), ("b", 2 + 4)])
        );
    }

    #[test]
    fn statics_count_by_their_symbols_and_gaps_for_nobody_of_us() {
        let symbol = |start, end, owner: &str| Symbol { start, end, owner: owner.to_owned() };
        let symbols =
            [symbol(0, 50, "x"), symbol(100, 110, "a"), symbol(112, 120, "b"), symbol(200, 300, "x")];
        let found = sums(statics(96, 124, &symbols));
        assert_eq!(found, expected(&[(START, 4 + 2 + 4), ("a", 10), ("b", 8)]));
    }

    #[test]
    fn constants_without_a_symbol_count_for_who_has_their_address() {
        let symbol = |start, end, owner: &str| Symbol { start, end, owner: owner.to_owned() };
        let mut bytes = vec![0; 32];
        // A table of a at 0x1000..0x1008 points to 0x1010.
        bytes[4..8].copy_from_slice(&0x1010_u32.to_le_bytes());
        let references = [(0x1008, "b".to_owned()), (0x1018, "c".to_owned()), (0x9999, "d".to_owned())];
        let found = divide_constants(0x1000, &bytes, &[symbol(0x1000, 0x1008, "a")], &references);
        assert_eq!(sums(found), expected(&[("a", 8 + 8), ("b", 8), ("c", 8)]));
        let found = divide_constants(0x1000, &[0; 8], &[], &[(0x1004, "b".to_owned())]);
        assert_eq!(sums(found), expected(&[(NOBODY, 4), ("b", 4)]));
    }
}
