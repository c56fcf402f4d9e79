//! A phone at the tag: it reads and writes whole NDEF messages, as a browser has it do.

use super::{BLOCK, RfError, SharedTag};

/// Pause before a phone tries again what got no answer, in µs.
const RETRY_US: u64 = 10_000;

/// How often a phone tries again before it says that the tag is lost.
const RETRIES: u32 = 100;

/// When a phone leaves in the middle of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// It does not.
    #[default]
    Never,
    /// After so many bytes have reached the memory; the block of the last of them has only that part of its new bytes.
    After(usize),
}

/// A phone that is held to the tag until it is dropped.
#[derive(Debug)]
pub struct Phone {
    tag: SharedTag,
    written: usize,
    cut: Cut,
}

impl Phone {
    /// Holds a phone to the tag.
    #[must_use]
    pub fn at(tag: &SharedTag) -> Self {
        tag.with(|_, chip| chip.set_field(true));
        Self { tag: tag.clone(), written: 0, cut: Cut::Never }
    }

    /// Lets the phone leave in the middle of its next write.
    #[must_use]
    pub fn leaving(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    async fn read_block(&self, block: usize) -> Result<[u8; BLOCK], RfError> {
        for _ in 0..RETRIES {
            match self.tag.with(|now_us, chip| chip.rf_read(now_us, block)) {
                Ok((done_us, bytes)) => {
                    self.tag.sim.sleep_until_us(done_us).await;
                    return Ok(bytes);
                }
                Err(RfError::NoAnswer) => self.tag.sim.sleep_us(RETRY_US).await,
                Err(other) => return Err(other),
            }
        }
        Err(RfError::NoAnswer)
    }

    async fn write_block(&mut self, block: usize, bytes: [u8; BLOCK]) -> Result<(), RfError> {
        let mut bytes = bytes;
        let left = match self.cut {
            Cut::After(limit) => limit.saturating_sub(self.written),
            Cut::Never => BLOCK,
        };
        if left == 0 {
            return Err(RfError::NoAnswer);
        }
        if left < BLOCK {
            let old = self.read_block(block).await?;
            bytes[left..].copy_from_slice(&old[left..]);
        }
        for _ in 0..RETRIES {
            match self.tag.with(|now_us, chip| chip.rf_write(now_us, block, bytes)) {
                Ok(done_us) => {
                    self.written += left.min(BLOCK);
                    self.tag.sim.sleep_until_us(done_us).await;
                    return if left < BLOCK { Err(RfError::NoAnswer) } else { Ok(()) };
                }
                Err(RfError::NoAnswer) => self.tag.sim.sleep_us(RETRY_US).await,
                Err(other) => return Err(other),
            }
        }
        Err(RfError::NoAnswer)
    }

    /// Reads bytes from the memory's start on, as many as are asked for.
    async fn read(&self, from: usize, count: usize) -> Result<Vec<u8>, RfError> {
        let mut bytes = Vec::new();
        for block in from / BLOCK..(from + count).div_ceil(BLOCK) {
            bytes.extend(self.read_block(block).await?);
        }
        Ok(bytes[from % BLOCK..][..count].to_vec())
    }

    /// Finds where the TLVs begin: behind a capability container of 4 or 8 bytes (Type 5 Tag specification).
    async fn tlv_start(&self) -> Result<usize, RfError> {
        match self.read(0, 4).await?[..] {
            [0xe1 | 0xe2, 0x40, 0, _] => Ok(8),
            [0xe1 | 0xe2, 0x40, ..] => Ok(4),
            // Not formatted for NDEF.
            _ => Err(RfError::Refused),
        }
    }

    /// Reads the message. One without a length is just being written: the phone, which is held there, reads again, for some 1 s.
    ///
    /// # Errors
    /// [`RfError::Refused`] if the tag holds no NDEF, [`RfError::NoAnswer`] if it got lost.
    pub async fn read_message(&self) -> Result<Vec<u8>, RfError> {
        for _ in 0..RETRIES {
            let message = self.read_message_once().await?;
            if !message.is_empty() {
                return Ok(message);
            }
            self.tag.sim.sleep_us(RETRY_US).await;
        }
        Ok(Vec::new())
    }

    async fn read_message_once(&self) -> Result<Vec<u8>, RfError> {
        let at = self.tlv_start().await?;
        match self.read(at, 4).await?[..] {
            [3, 0xff, high, low] => self.read(at + 4, usize::from(u16::from_be_bytes([high, low]))).await,
            [3, len, ..] => self.read(at + 2, usize::from(len)).await,
            _ => Err(RfError::Refused),
        }
    }

    /// Writes a message over what is there: first no length, then the message, then its length.
    ///
    /// # Errors
    /// [`RfError::Refused`] if the tag holds no NDEF or has no room, [`RfError::NoAnswer`] if it got lost, which is also how a
    /// [`Cut`] ends.
    pub async fn write_message(&mut self, message: &[u8]) -> Result<(), RfError> {
        let at = self.tlv_start().await?;
        let head = match u8::try_from(message.len()) {
            Ok(len) if len != 0xff => vec![3, len],
            _ => {
                let [high, low] = u16::try_from(message.len()).map_err(|_| RfError::Refused)?.to_be_bytes();
                vec![3, 0xff, high, low]
            }
        };
        let mut whole = head;
        let first_message_byte = whole.len();
        whole.extend(message);
        whole.push(0xfe);
        whole.resize(whole.len().next_multiple_of(BLOCK), 0);
        let first = at / BLOCK;
        let mut blocks: Vec<[u8; BLOCK]> =
            whole.chunks_exact(BLOCK).filter_map(|it| it.try_into().ok()).collect();
        let last_head = blocks[0];
        blocks[0][1..first_message_byte].fill(0);
        for (index, block) in blocks.iter().enumerate() {
            self.write_block(first + index, *block).await?;
        }
        self.write_block(first, last_head).await
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.tag.with(|_, chip| chip.set_field(false));
    }
}
