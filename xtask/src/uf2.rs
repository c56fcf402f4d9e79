//! Makes UF2 files, which a chip's boot ROM takes as a copy to its drive.
//!
//! Format: Microsoft's UF2 specification. Blocks of 512 bytes that each stand for themselves, with 256 bytes of
//! payload for the RP2040 (RP2040 data sheet, 2.8.4.2).

use std::collections::BTreeMap;

const MAGIC_START: [u32; 2] = [0x0A32_4655, 0x9E5D_5157];
const MAGIC_END: u32 = 0x0AB1_6F30;
/// The field that could hold the file's size holds the family instead.
const FLAG_FAMILY: u32 = 0x0000_2000;
const PAGE: u32 = 256;
const BLOCK: usize = 512;

/// Makes the blocks that write `segments` (address and bytes); gaps inside a page are zero.
///
/// # Errors
/// When a segment passes the end of the address space or holds nothing.
pub fn blocks(segments: &[(u32, &[u8])], family: u32) -> Result<Vec<u8>, String> {
    let mut pages: BTreeMap<u32, [u8; PAGE as usize]> = BTreeMap::new();
    for (start, bytes) in segments {
        for (offset, byte) in (0_u32..).zip(*bytes) {
            let address = start.checked_add(offset).ok_or("a segment passes the end of the address space")?;
            let page = pages.entry(address - address % PAGE).or_insert([0; PAGE as usize]);
            page[(address % PAGE) as usize] = *byte;
        }
    }
    let count = u32::try_from(pages.len()).map_err(|error| error.to_string())?;
    if count == 0 {
        return Err("the image is empty".to_owned());
    }
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (address, page)) in (0_u32..).zip(&pages) {
        let header = [MAGIC_START[0], MAGIC_START[1], FLAG_FAMILY, *address, PAGE, number, count, family];
        file.extend(header.into_iter().flat_map(u32::to_le_bytes));
        file.extend(page);
        // The field for data has 476 bytes, of which the payload takes the first 256.
        file.resize(file.len() + 476 - page.len(), 0);
        file.extend(MAGIC_END.to_le_bytes());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RP2040: u32 = 0xE48B_FF56;

    fn word(block: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(block[offset..offset + 4].try_into().unwrap())
    }

    #[test]
    fn a_block_is_laid_out_as_the_specification_says() {
        let file = blocks(&[(0x1000_0000, &[1, 2, 3])], RP2040).unwrap();
        assert_eq!(file.len(), 512);
        assert_eq!(&file[..8], b"UF2\nWQ]\x9e");
        let words: Vec<_> = (8..32).step_by(4).map(|offset| word(&file, offset)).collect();
        assert_eq!(words, [0x2000, 0x1000_0000, 256, 0, 1, RP2040]);
        assert_eq!(&file[32..36], &[1, 2, 3, 0]);
        assert!(file[36..508].iter().all(|byte| *byte == 0));
        assert_eq!(&file[508..], [0x30, 0x6f, 0xb1, 0x0a]);
    }

    #[test]
    fn segments_share_pages_and_come_in_the_order_of_addresses() {
        let long = [7; 300];
        let file = blocks(&[(0x1000_0100, &long), (0x1000_0000, &[1]), (0x1000_022c, &[9])], RP2040).unwrap();
        let places: Vec<_> =
            file.chunks(BLOCK).map(|block| (word(block, 12), word(block, 20), word(block, 24))).collect();
        assert_eq!(places, [(0x1000_0000, 0, 3), (0x1000_0100, 1, 3), (0x1000_0200, 2, 3)]);
        assert_eq!(file[2 * BLOCK + 32..][..46].iter().filter(|byte| **byte == 7).count(), 44);
        assert_eq!(file[2 * BLOCK + 32 + 0x2c], 9);
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert!(blocks(&[], RP2040).is_err());
        assert!(blocks(&[(u32::MAX, &[1, 2])], RP2040).is_err());
    }
}
