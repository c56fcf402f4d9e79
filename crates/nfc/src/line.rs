//! Requests and answers on a serial line: each in a frame, so that other text may share the line.
//!
//! A frame is its bytes and their CRC between two END bytes, escaped as in SLIP (RFC 1055). END never occurs in UTF-8
//! text, so a log beside it harms nothing, and a terminal shows what it is not meant to understand as a few odd letters.

/// Begins and ends a frame (RFC 1055).
const END: u8 = 0xc0;
/// Stands before a byte that is replaced.
const ESC: u8 = 0xdb;
/// After ESC: END.
const ESC_END: u8 = 0xdc;
/// After ESC: ESC.
const ESC_ESC: u8 = 0xdd;

/// Bytes of the CRC, low byte first.
const CRC: usize = 2;

/// CRC-16/X-25, as HDLC has it (RFC 1662, appendix C): polynomial 0x1021 reflected, from 0xffff, inverted.
fn crc(mut crc: u16, byte: u8) -> u16 {
    crc ^= u16::from(byte);
    for _ in 0..8 {
        crc = if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 };
    }
    crc
}

fn crc_of(bytes: &[u8]) -> [u8; CRC] {
    (!bytes.iter().fold(0xffff, |sum, &byte| crc(sum, byte))).to_le_bytes()
}

/// Gives the bytes of a frame one after the other.
pub fn framed(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let escaped = bytes.iter().copied().chain(crc_of(bytes)).flat_map(|byte| match byte {
        END => [Some(ESC), Some(ESC_END)],
        ESC => [Some(ESC), Some(ESC_ESC)],
        other => [Some(other), None],
    });
    core::iter::once(END).chain(escaped.flatten()).chain(core::iter::once(END))
}

/// Finds frames among the bytes of a line.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    len: usize,
    escaped: bool,
    /// The frame is longer than its buffer, or has an escape that is none: it is passed over.
    spoilt: bool,
}

impl Deframer {
    /// Takes the next byte of the line; the frame gathers in `buffer`, which must be the same from call to call. Returns
    /// the length of a frame that is whole.
    ///
    /// The buffer has to be two bytes longer than the longest frame, for the CRC.
    pub fn push(&mut self, byte: u8, buffer: &mut [u8]) -> Option<usize> {
        let byte = match (byte, core::mem::take(&mut self.escaped)) {
            (END, _) => return self.end(buffer),
            (ESC, false) => {
                self.escaped = true;
                return None;
            }
            (ESC_END, true) => END,
            (ESC_ESC, true) => ESC,
            (_, true) => {
                self.spoilt = true;
                return None;
            }
            (other, false) => other,
        };
        match buffer.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len = self.len.saturating_add(1);
            }
            None => self.spoilt = true,
        }
        None
    }

    fn end(&mut self, buffer: &[u8]) -> Option<usize> {
        let Self { len, spoilt, .. } = core::mem::take(self);
        let (bytes, sum) = buffer.get(..len)?.split_last_chunk::<CRC>()?;
        (!spoilt && !bytes.is_empty() && crc_of(bytes) == *sum).then_some(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn read(line: &[u8]) -> Vec<Vec<u8>> {
        let (mut deframer, mut buffer) = (Deframer::default(), [0; 64]);
        let found = |&byte: &u8| deframer.push(byte, &mut buffer).map(|len| buffer[..len].to_vec());
        line.iter().filter_map(found).collect()
    }

    #[test]
    fn the_crc_is_that_of_hdlc() {
        // The check value that the catalogues of CRCs give for "123456789".
        assert_eq!(crc_of(b"123456789"), 0x906e_u16.to_le_bytes());
    }

    #[test]
    fn a_frame_has_the_bytes_of_the_page() {
        let frame: Vec<u8> = framed(&[0x51, 0xc0, 0xdb]).collect();
        assert_eq!(frame[..6], [0xc0, 0x51, 0xdb, 0xdc, 0xdb, 0xdd]);
        assert_eq!(frame.last(), Some(&0xc0));
    }

    proptest! {
        #[test]
        fn frames_are_found_among_text(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..62), 0..4),
            text in "[ -~à-ÿ\n]{0,30}",
        ) {
            // One text in 65,536 looks like a frame; it is no request then.
            let looks_like_one = text.as_bytes().split_last_chunk().is_some_and(|(bytes, sum)| crc_of(bytes) == *sum);
            prop_assume!(!looks_like_one);
            let mut line = Vec::new();
            for frame in &frames {
                line.extend(text.as_bytes());
                line.extend(framed(frame));
            }
            line.extend(text.as_bytes());
            prop_assert_eq!(read(&line), frames);
        }

        #[test]
        fn a_spoilt_byte_costs_its_frame_and_no_other(
            frame in proptest::collection::vec(any::<u8>(), 1..60),
            at in any::<proptest::sample::Index>(),
            flip in 1u8..,
        ) {
            let whole: Vec<u8> = framed(&frame).collect();
            let mut spoilt = whole.clone();
            spoilt[at.index(whole.len())] ^= flip;
            let found = read(&[&spoilt[..], &whole].concat());
            prop_assert_eq!(found.last(), Some(&frame));
            prop_assert!(found.len() <= 2);
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(prop_oneof![any::<u8>(), Just(END), Just(ESC)], 0..300)) {
            read(&line);
        }
    }

    #[test]
    fn one_flipped_bit_is_never_read() {
        let frame: Vec<u8> = (0..40).collect();
        let whole: Vec<u8> = framed(&frame).collect();
        // The two END bytes apart: without them there is no frame at all.
        for bit in 8..(whole.len() - 1) * 8 {
            let mut spoilt = whole.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&spoilt).is_empty(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_passed_over() {
        let long: Vec<u8> = framed(&[7; 63]).collect();
        let fits: Vec<u8> = framed(&[7; 62]).collect();
        assert_eq!(read(&[long, fits].concat()), [[7; 62]]);
    }
}
