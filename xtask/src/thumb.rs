//! Reads Thumb code as far as telling who loads which constant needs: where instructions begin, and which of them
//! load it. MOVW with MOVT is not looked at: code for size has literal pools instead.
//!
//! Encodings: ARMv7-M Architecture Reference Manual, A5 and A7.7; ARMv6-M has a part of the same.

/// Is one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it begins.
    pub address: u64,
    /// 2 or 4 bytes.
    pub length: u64,
    pub does: Does,
}

/// Says what matters of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Loads so many bytes of the constants that lie between the code.
    Load {
        from: u64,
        bytes: u64,
    },
    Other,
}

/// Splits code that begins at an address. A half instruction at the end is left out.
pub fn instructions(start: u64, code: &[u8]) -> impl Iterator<Item = Instruction> {
    let mut at = 0;
    let half = |at: usize| Some(u16::from_le_bytes([*code.get(at)?, *code.get(at + 1)?]));
    std::iter::from_fn(move || {
        let address = start + at as u64;
        let first = half(at)?;
        // A5.1: the upper five bits tell a 32-bit instruction.
        if first >> 11 < 0b11101 {
            at += 2;
            return Some(Instruction { address, length: 2, does: short(address, first) });
        }
        let second = half(at + 2)?;
        at += 4;
        Some(Instruction { address, length: 4, does: long(address, first, second) })
    })
}

fn short(address: u64, code: u16) -> Does {
    // LDR (literal), T1.
    if code >> 11 == 0b01001 {
        return Does::Load { from: base(address) + u64::from(code & 0xff) * 4, bytes: 4 };
    }
    Does::Other
}

fn long(address: u64, first: u16, second: u16) -> Does {
    let down = first & 0x80 == 0;
    let from = |offset: u64| if down { base(address) - offset } else { base(address) + offset };
    match first {
        // LDR (literal), T2.
        0xf85f | 0xf8df => Does::Load { from: from(u64::from(second & 0xfff)), bytes: 4 },
        // LDRD (literal), T1.
        0xe95f | 0xe9df => Does::Load { from: from(u64::from(second & 0xff) * 4), bytes: 8 },
        _ => Does::Other,
    }
}

/// A2.3.1: the program counter reads as four bytes on, and is aligned to four.
fn base(address: u64) -> u64 {
    (address + 4) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_split_and_those_that_load_constants_are_told() {
        let check = |start: u64, code: &[u16], expected: &[(u64, u64, Does)]| {
            let bytes: Vec<u8> = code.iter().flat_map(|half| half.to_le_bytes()).collect();
            let found: Vec<_> =
                instructions(start, &bytes).map(|one| (one.address, one.length, one.does)).collect();
            assert_eq!(found, expected, "{code:04x?}");
        };
        let load = |from, bytes| Does::Load { from, bytes };
        // nop; bx lr
        check(0x100, &[0xbf00, 0x4770], &[(0x100, 2, Does::Other), (0x102, 2, Does::Other)]);
        // ldr r1, [pc, #8], at an address that is not a multiple of four
        check(0x102, &[0x4902], &[(0x102, 2, load(0x10c, 4))]);
        // ldr.w r8, [pc, #-4]; ldr.w r8, [pc, #20]
        check(0x100, &[0xf85f, 0x8004], &[(0x100, 4, load(0x100, 4))]);
        check(0x100, &[0xf8df, 0x8014], &[(0x100, 4, load(0x118, 4))]);
        // ldrd r2, r3, [pc, #16]
        check(0x100, &[0xe9df, 0x2304], &[(0x100, 4, load(0x114, 8))]);
        // bl, and half of an instruction
        check(0x100, &[0xf000, 0xf800, 0xf000], &[(0x100, 4, Does::Other)]);
    }
}
