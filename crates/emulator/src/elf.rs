//! Reads a board's ELF image.

use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD, STT_FUNC};
use object::read::elf::{FileHeader, ProgramHeader, Sym};

/// What lies in flash, and the names of the functions.
#[derive(Clone, Debug)]
pub struct Image {
    /// Addresses in flash, and bytes.
    pub segments: Vec<(u32, Vec<u8>)>,
    /// Start addresses and names of functions, by address.
    symbols: Vec<(u32, String)>,
}

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// When it is no ELF file of 32 bits.
    pub fn parse(elf: &[u8]) -> object::Result<Self> {
        let header = FileHeader32::<Endianness>::parse(elf)?;
        let endian = header.endian()?;
        let mut segments = Vec::new();
        for segment in header.program_headers(endian, elf)? {
            let bytes = segment.data(endian, elf).unwrap_or_default();
            if segment.p_type(endian) == PT_LOAD && !bytes.is_empty() {
                // The physical address: where data lies before the start-up code copies it to RAM.
                segments.push((segment.p_paddr(endian), bytes.to_vec()));
            }
        }
        let sections = header.sections(endian, elf)?;
        let table = sections.symbols(endian, elf, object::elf::SHT_SYMTAB)?;
        let mut symbols = Vec::new();
        for symbol in table.iter() {
            if symbol.st_type() == STT_FUNC
                && let Ok(name) = symbol.name(endian, table.strings())
            {
                symbols.push((symbol.st_value(endian) & !1, String::from_utf8_lossy(name).into_owned()));
            }
        }
        symbols.sort();
        Ok(Self { segments, symbols })
    }

    /// Names the function at an address.
    #[must_use]
    pub fn function(&self, address: u32) -> &str {
        let after = self.symbols.partition_point(|(start, _)| *start <= address & !1);
        after.checked_sub(1).and_then(|at| self.symbols.get(at)).map_or("?", |(_, name)| name)
    }
}
