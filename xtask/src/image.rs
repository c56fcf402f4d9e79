//! Reads ELF images of the boards.

use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD, SHF_ALLOC, SHT_NOBITS};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use crate::board::Memory;

/// Is what an image takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// What stays in flash: code and constants.
    pub text: u64,
    /// What starts in flash and is copied to RAM.
    pub data: u64,
    /// What is in RAM only, zeroed or left as it is. The stack is not in it.
    pub bss: u64,
}

impl Size {
    /// Sums up what lies in flash.
    pub fn flash(self) -> u64 {
        self.text + self.data
    }

    /// Sums up what lies in RAM.
    pub fn ram(self) -> u64 {
        self.data + self.bss
    }
}

/// Sums up an image's sections.
///
/// # Errors
/// When it is no ELF file of 32 bits.
pub fn size(elf: &[u8], memory: &Memory) -> object::Result<Size> {
    let header = FileHeader32::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let ram = memory.ram_origin..memory.ram_origin + memory.ram_length;
    let mut size = Size::default();
    for section in header.section_headers(endian, elf)? {
        if !section.sh_flags(endian).contains(SHF_ALLOC) {
            continue;
        }
        let bytes = u64::from(section.sh_size(endian));
        // By address and not by flags: code that is copied to RAM is not writable, and yet data.
        if section.sh_type(endian) == SHT_NOBITS {
            size.bss += bytes;
        } else if ram.contains(&u64::from(section.sh_addr(endian))) {
            size.data += bytes;
        } else {
            size.text += bytes;
        }
    }
    Ok(size)
}

/// Gives what is to be written to flash: addresses there and bytes.
///
/// # Errors
/// When it is no ELF file of 32 bits.
pub fn segments(elf: &[u8]) -> object::Result<Vec<(u32, &[u8])>> {
    let header = FileHeader32::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, elf)? {
        // A part that points outside the file gives no bytes, and fails when it is programmed or compared.
        let bytes = segment.data(endian, elf).unwrap_or_default();
        if segment.p_type(endian) == PT_LOAD && !bytes.is_empty() {
            // The physical address: where data lies before the start-up code copies it to RAM.
            segments.push((segment.p_paddr(endian), bytes));
        }
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory { ram_origin: 0x2000_0000, ram_length: 0x1000, ..Memory::default() }
    }

    const ALLOC: u32 = 2;
    const PROGBITS: u32 = 1;
    const NOBITS: u32 = 8;

    /// Makes a little-endian ARM ELF of sections `(type, flags, address, bytes)` and segments
    /// `(virtual address, physical address, bytes)`.
    fn elf(sections: &[(u32, u32, u32, u32)], segments: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let (header, segment_size, section_size) = (52, 32, 40);
        let data_at = header + segment_size * segments.len();
        let sections_at = data_at + segments.iter().map(|(_, _, bytes)| bytes.len()).sum::<usize>();
        // ELF specification, "ELF header": 32 bits, little-endian, executable, ARM.
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0".to_vec();
        let words =
            |file: &mut Vec<u8>, words: &[u32]| file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        words(&mut file, &[1, 0, header as u32, sections_at as u32, 0]);
        for half in [header, segment_size, segments.len(), section_size, sections.len() + 1, 0] {
            file.extend((half as u16).to_le_bytes());
        }
        let mut at = data_at as u32;
        for (virtual_address, physical_address, bytes) in segments {
            let length = bytes.len() as u32;
            words(&mut file, &[PT_LOAD.0, at, *virtual_address, *physical_address, length, length, 4, 4]);
            at += length;
        }
        segments.iter().for_each(|(_, _, bytes)| file.extend(*bytes));
        words(&mut file, &[0; 10]);
        for (kind, flags, address, bytes) in sections {
            // Their contents are not read.
            words(&mut file, &[0, *kind, *flags, *address, 0, *bytes, 0, 0, 4, 0]);
        }
        file
    }

    #[test]
    fn sections_are_summed_by_where_they_start_and_where_they_run() {
        let sections = [
            (PROGBITS, ALLOC, 0x0800_0000, 100),
            (PROGBITS, ALLOC, 0x0800_0100, 20),
            (PROGBITS, ALLOC, 0x2000_0000, 8),
            (NOBITS, ALLOC, 0x2000_0008, 50),
            (PROGBITS, 0, 0, 9_999),
        ];
        let size = size(&elf(&sections, &[]), &memory()).unwrap();
        assert_eq!(size, Size { text: 120, data: 8, bss: 50 });
        assert_eq!((size.flash(), size.ram()), (128, 58));
    }

    #[test]
    fn segments_lie_where_they_are_flashed_and_not_where_they_run() {
        let file = elf(
            &[],
            &[(0x0800_0000, 0x0800_0000, &[1, 2, 3]), (0x2000_0000, 0x0800_0004, &[4]), (0, 0, &[])],
        );
        let expected: [(u32, &[u8]); 2] = [(0x0800_0000, &[1, 2, 3]), (0x0800_0004, &[4])];
        assert_eq!(segments(&file).unwrap(), expected);
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        let whole = elf(&[(PROGBITS, ALLOC, 0, 1)], &[(0, 0, &[1])]);
        for file in [&[][..], b"MZ", &whole[..40], &whole[..60]] {
            assert!(size(file, &memory()).and(segments(file).map(|_| Size::default())).is_err());
        }
    }
}
