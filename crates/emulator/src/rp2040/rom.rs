//! The boot ROM: its header and tables, and a breakpoint in place of each function (RP2040 data sheet 2.8).

/// Bytes of the ROM.
pub const BYTES: u32 = 16 * 1024;

/// Where the tables and the function that looks into them stand. The header has their addresses as half-words.
const FUNCTION_TABLE: u16 = 0x40;
const DATA_TABLE: u16 = 0x42;
const LOOKUP: u32 = 0x100;
/// The functions follow, four bytes each.
const FUNCTIONS: u32 = LOOKUP + 4;

/// A function of the ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Finds a function or datum by its two letters.
    Lookup,
    /// Sets memory.
    Memset,
    /// Copies memory.
    Memcpy,
    /// Connects the pins of the flash.
    ConnectInternalFlash,
    /// Ends execution from flash.
    FlashExitXip,
    /// Erases.
    FlashRangeErase,
    /// Programs.
    FlashRangeProgram,
    /// Empties the cache.
    FlashFlushCache,
    /// Begins slow execution from flash.
    FlashEnterCmdXip,
    /// Counts the bits that are set.
    Popcount,
    /// Counts the zeros before the first bit that is set.
    Clz,
    /// Counts the zeros after the last bit that is set.
    Ctz,
    /// Turns the order of the bits round.
    Reverse,
}

/// The codes of data sheet 2.8.3. Lookup has none.
const CODES: [([u8; 2], Function); 14] = [
    (*b"MS", Function::Memset),
    (*b"S4", Function::Memset),
    (*b"MC", Function::Memcpy),
    (*b"C4", Function::Memcpy),
    (*b"IF", Function::ConnectInternalFlash),
    (*b"EX", Function::FlashExitXip),
    (*b"RE", Function::FlashRangeErase),
    (*b"RP", Function::FlashRangeProgram),
    (*b"FC", Function::FlashFlushCache),
    (*b"CX", Function::FlashEnterCmdXip),
    (*b"P3", Function::Popcount),
    (*b"L3", Function::Clz),
    (*b"T3", Function::Ctz),
    (*b"R3", Function::Reverse),
];

/// Makes the ROM.
pub fn contents() -> Vec<u8> {
    let mut rom = vec![0; BYTES as usize];
    let mut put = |at: u32, bytes: &[u8]| {
        if let Some(place) = rom.get_mut(at as usize..at as usize + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    // Stack and entry, which nobody uses here; then magic and version.
    put(0x00, &0x2004_1F00_u32.to_le_bytes());
    put(0x10, b"Mu\x01\x03");
    put(0x14, &FUNCTION_TABLE.to_le_bytes());
    put(0x16, &DATA_TABLE.to_le_bytes());
    put(0x18, &((LOOKUP | 1) as u16).to_le_bytes());
    for index in 0..=CODES.len() as u32 {
        // BKPT, BX LR.
        let [low, high] = (0xBE00 | index as u16).to_le_bytes();
        put(LOOKUP + 4 * index, &[low, high, 0x70, 0x47]);
    }
    rom
}

/// Names the function at an address.
pub fn at(address: u32) -> Option<Function> {
    if address == LOOKUP {
        return Some(Function::Lookup);
    }
    let offset = address.checked_sub(FUNCTIONS).filter(|offset| offset % 4 == 0)?;
    CODES.get(offset as usize / 4).map(|(_, function)| *function)
}

/// Gives the address of the function with this code, with the bit that says Thumb.
pub fn find(table: u32, code: u32) -> Option<u32> {
    let code = u16::try_from(code).ok()?.to_le_bytes();
    let index = CODES.iter().position(|(other, _)| *other == code)?;
    (table == u32::from(FUNCTION_TABLE)).then_some((FUNCTIONS + 4 * index as u32) | 1)
}

/// The check of the second-stage loader: CRC-32 as in MPEG-2, over its first 252 bytes (data sheet 2.8.1.3.1).
pub fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 != 0 { 0x04C1_1DB7 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_gives_is_a_breakpoint_that_names_the_function() {
        let rom = contents();
        let half = |at: u32| u16::from_le_bytes([rom[at as usize], rom[at as usize + 1]]);
        assert_eq!(at(u32::from(half(0x18) & !1)), Some(Function::Lookup));
        for (code, function) in CODES {
            let address = find(u32::from(half(0x14)), u32::from(u16::from_le_bytes(code))).unwrap();
            assert_eq!(address & 1, 1);
            assert_eq!(at(address & !1), Some(function));
            assert_eq!(half(address & !1) & 0xFF00, 0xBE00);
        }
        assert_eq!(find(u32::from(half(0x14)), 0x5858), None);
        assert_eq!(find(u32::from(half(0x16)), u32::from(u16::from_le_bytes(*b"MC"))), None);
    }

    #[test]
    fn the_check_of_the_loader_is_that_of_mpeg_2() {
        // The check value of the catalogue of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
    }
}
