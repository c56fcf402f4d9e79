//! Reads a board's ELF image.

use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD, STT_FUNC, STT_OBJECT};
use object::read::elf::{FileHeader, ProgramHeader, Sym};

use crate::rtt::Log;

/// What lies in flash, and the names of the functions.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Addresses in flash, and bytes.
    pub segments: Vec<(u32, Vec<u8>)>,
    /// Start addresses and names of functions, by address.
    symbols: Vec<(u32, String)>,
    /// Addresses of everything else that has a name, such as the linker's marks.
    marks: Vec<(String, u32)>,
    /// Where code (`true`) and data begin among it, by address.
    kinds: Vec<(u32, bool)>,
    /// Where the firmware keeps its [`sockeye_firmware::Retained`].
    pub retained: Option<u32>,
    /// What it writes for a debug probe.
    pub log: Option<Log>,
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
        let mut kinds = Vec::new();
        let mut retained = None;
        let mut rtt = None;
        let mut marks = Vec::new();
        for symbol in table.iter() {
            let (Ok(name), value) = (symbol.name(endian, table.strings()), symbol.st_value(endian)) else {
                continue;
            };
            // ELF for the Arm architecture, 5.5.5: mapping symbols.
            match name {
                [b'$', b't', ..] => kinds.push((value & !1, true)),
                [b'$', b'd', ..] => kinds.push((value, false)),
                _ if symbol.st_type() == STT_FUNC => {
                    symbols.push((value & !1, String::from_utf8_lossy(name).into_owned()));
                }
                _ if symbol.st_type() == STT_OBJECT
                    && String::from_utf8_lossy(name).contains("system8RETAINED") =>
                {
                    retained = Some(value);
                }
                b"_SEGGER_RTT" => rtt = Some(value),
                _ => marks.push((String::from_utf8_lossy(name).into_owned(), value)),
            }
        }
        symbols.sort();
        kinds.sort_unstable();
        // A log that cannot be read keeps nobody from running the image.
        let log = Log::find(elf, rtt).unwrap_or_else(|what| {
            eprintln!("{what}");
            None
        });
        Ok(Self { segments, symbols, marks, kinds, retained, log })
    }

    /// Adds what lies elsewhere in the same flash: the bootloader's and the application's images make one.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.segments.extend(other.segments);
        self.symbols.extend(other.symbols);
        self.symbols.sort();
        self.marks.extend(other.marks);
        self.kinds.extend(other.kinds);
        self.kinds.sort_unstable();
        self
    }

    /// Gives every Thumb instruction of 16 bits: its address and its half-word.
    pub fn short_instructions(&self) -> impl Iterator<Item = (u32, u16)> + '_ {
        self.segments.iter().flat_map(|(start, bytes)| {
            let mut found = Vec::new();
            let mut skip = false;
            for (address, half) in (*start..).step_by(2).zip(bytes.chunks_exact(2)) {
                let half = half.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
                if std::mem::take(&mut skip) || !self.is_code(address) {
                    continue;
                }
                // ARMv7-M ARM, A5.1: such a half-word begins an instruction of 32 bits.
                skip = half >> 11 > 0b11100;
                if !skip {
                    found.push((address, half));
                }
            }
            found
        })
    }

    fn is_code(&self, address: u32) -> bool {
        let after = self.kinds.partition_point(|(start, _)| *start <= address);
        after.checked_sub(1).and_then(|at| self.kinds.get(at)).is_some_and(|(_, is_code)| *is_code)
    }

    /// Finds what is no function by its name: a static, or a mark of the linker's.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u32> {
        self.marks.iter().find(|(other, _)| other == name).map(|(_, address)| *address)
    }

    /// Finds the functions of a name: bootloader and application may have the same.
    pub fn addresses(&self, function: &str) -> impl Iterator<Item = u32> {
        self.symbols.iter().filter(move |(_, name)| name == function).map(|(address, _)| *address)
    }

    /// Tells whether it is one for the RP2040, whose flash begins at 0x1000_0000.
    #[must_use]
    pub fn is_for_rp2040(&self) -> bool {
        self.segments.iter().any(|(address, _)| address >> 28 == 1)
    }

    /// Tells whether it is one for the Nucleo-WL55JC: it handles the interrupt of the ST-LINK's serial port, and the
    /// LoRa-E5's leaves that to the handler of all others.
    #[must_use]
    pub fn is_for_nucleo(&self) -> bool {
        let at = |name| self.addresses(name).last();
        at("LPUART1").is_some_and(|own| Some(own) != at("DefaultHandler_"))
    }

    /// Names the function that begins at an address.
    #[must_use]
    pub fn entered(&self, address: u32) -> Option<&str> {
        let at = self.symbols.binary_search_by_key(&(address & !1), |(start, _)| *start).ok()?;
        self.symbols.get(at).map(|(_, name)| name.as_str())
    }

    /// Finds where a function of this name begins: the application's, which lies behind the bootloader, if both have one.
    #[must_use]
    pub fn start_of(&self, name: &str) -> Option<u32> {
        self.symbols.iter().rfind(|(_, other)| other == name).map(|(address, _)| *address)
    }

    /// Names the function at an address.
    #[must_use]
    pub fn function(&self, address: u32) -> &str {
        let after = self.symbols.partition_point(|(start, _)| *start <= address & !1);
        after.checked_sub(1).and_then(|at| self.symbols.get(at)).map_or("?", |(_, name)| name)
    }
}
