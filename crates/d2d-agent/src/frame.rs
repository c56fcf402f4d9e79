//! The frame: a checked view of its bytes, and the message in it.

use heapless::Vec;
use sockeye_lorawan_mac::aes;

use crate::{Keys, Refusal};

/// LoRaWAN 1.0.3, section 4.2: type Proprietary (111), RFU 0, major 0.
pub(crate) const MHDR: u8 = 0xE0;
/// The version of the frame. What an agent must understand to obey comes with another one.
pub const VERSION: u8 = 1;

/// MHDR, version, sender, counter: in the clear.
const HEADER: usize = 10;
/// Bytes of a command.
const COMMAND: usize = 2;
/// Bytes of the MIC.
const MIC: usize = 8;

/// The most bytes of fields behind the command: the enciphered part is one block of AES.
pub const MAX_FIELDS: usize = 16 - COMMAND;
/// The length of a plain command, in bytes.
pub const MIN_FRAME: usize = HEADER + COMMAND + MIC;
/// The length of the longest frame, in bytes.
pub const MAX_FRAME: usize = MIN_FRAME + MAX_FIELDS;

/// A frame as it is on the air.
pub type FrameBytes = Vec<u8, MAX_FRAME>;

/// What a controller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sends: the last four bytes of its EUI.
    pub sender: u32,
    /// A number that the sender has used in no frame before; each is above the one before it.
    pub counter: u32,
    /// The command, as a number: command 1510 is 0x1510.
    pub command: u16,
}

impl Message {
    /// Makes the frame, enciphered and with its MIC. `fields` follow the command; version 1 knows none.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if there are more than [`MAX_FIELDS`] bytes of them.
    pub fn seal(&self, keys: &Keys, fields: &[u8]) -> Result<FrameBytes, Refusal> {
        let mut frame = FrameBytes::new();
        let mut append = |bytes: &[u8]| frame.extend_from_slice(bytes).map_err(|_| Refusal::Malformed);
        let header = header(self.sender, self.counter);
        append(&header)?;
        let mut body = Vec::<u8, 16>::new();
        body.extend_from_slice(&self.command.to_be_bytes()).map_err(|_| Refusal::Malformed)?;
        body.extend_from_slice(fields).map_err(|_| Refusal::Malformed)?;
        let stream = key_stream(keys, &header);
        body.iter_mut().zip(stream).for_each(|(byte, key_byte)| *byte ^= key_byte);
        append(&body)?;
        let mic = mic(keys, &frame);
        frame.extend_from_slice(&mic).map_err(|_| Refusal::Malformed)?;
        Ok(frame)
    }
}

/// A checked view of a frame: it has the shape of one. Nothing of it is trusted before [`open`](Self::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    header: [u8; HEADER],
    command: [u8; COMMAND],
    /// All but the MIC.
    message: &'a [u8],
    mic: [u8; MIC],
}

impl<'a> Frame<'a> {
    /// Looks at bytes from the air.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for what is no D2D frame, [`Refusal::Version`] for one of another version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let [MHDR, version, ..] = *bytes else { return Err(Refusal::Malformed) };
        // Another version may be longer, or shorter.
        if version != VERSION {
            return Err(Refusal::Version);
        }
        if bytes.len() > MAX_FRAME {
            return Err(Refusal::Malformed);
        }
        let (message, mic) = bytes.split_last_chunk().ok_or(Refusal::Malformed)?;
        let (header, body) = message.split_first_chunk().ok_or(Refusal::Malformed)?;
        let command = body.first_chunk().ok_or(Refusal::Malformed)?;
        Ok(Self { header: *header, command: *command, message, mic: *mic })
    }

    /// Checks the MIC and deciphers. Fields behind the command are passed over: they may only say what an agent need
    /// not know.
    ///
    /// # Errors
    /// [`Refusal::Mic`].
    pub fn open(&self, keys: &Keys) -> Result<Message, Refusal> {
        // In a time that does not depend on where they differ.
        if u64::from_le_bytes(mic(keys, self.message)) ^ u64::from_le_bytes(self.mic) != 0 {
            return Err(Refusal::Mic);
        }
        let [_, _, s0, s1, s2, s3, c0, c1, c2, c3] = self.header;
        let ([x0, x1], [k0, k1, ..]) = (self.command, key_stream(keys, &self.header));
        Ok(Message {
            sender: u32::from_le_bytes([s0, s1, s2, s3]),
            counter: u32::from_le_bytes([c0, c1, c2, c3]),
            command: u16::from_be_bytes([x0 ^ k0, x1 ^ k1]),
        })
    }
}

fn header(sender: u32, counter: u32) -> [u8; HEADER] {
    let ([s0, s1, s2, s3], [c0, c1, c2, c3]) = (sender.to_le_bytes(), counter.to_le_bytes());
    [MHDR, VERSION, s0, s1, s2, s3, c0, c1, c2, c3]
}

/// The header, enciphered with the cipher key: no two frames of a key have the same.
fn key_stream(keys: &Keys, header: &[u8; HEADER]) -> [u8; 16] {
    let mut block = [0; 16];
    for (byte, header_byte) in block.iter_mut().zip(header) {
        *byte = *header_byte;
    }
    aes::encrypt_block(&keys.cipher, block)
}

fn mic(keys: &Keys, message: &[u8]) -> [u8; MIC] {
    let [a, b, c, d, e, f, g, h, ..] = aes::cmac(&keys.mic, &[message]);
    [a, b, c, d, e, f, g, h]
}
