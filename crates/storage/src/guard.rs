//! A flash that `sequential-storage` can rely on.
//!
//! Two things that the log takes for granted are not so on the chips:
//!
//! - **Every word can be read.** A word that a power cut tore raises an error on the STM32WL. The guard gives
//!   zeros for it, which are neither a header nor an erased word to the log, so that it passes over them.
//! - **A page half erased looks half erased.** In truth each bit may be set or not, and the page may look like
//!   one with records; the log's repair would then throw away the page into which it had moved them. The guard
//!   therefore writes down which page it is about to erase, and finishes an erase that it finds unfinished
//!   when it is opened.
//!
//! With the note the page counts as erased, and so the erase itself can wait for a better time ([`Guard::settle`]):
//! until the log writes into that page, a whole page later.
//!
//! The notes have the last page of the range. A note is two words: one names the page, and after the erase it
//! is overwritten with zeros, which NOR flash allows on both chips (RM0453 §4.3.7: a word may be programmed
//! once, and after that with zeros only). When the page is full, it is erased. A word of it that is half
//! erased or torn is no note, since a note holds its page and the complement of it twice.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a note: a whole number of the words of both chips.
const NOTE: usize = 8;

/// The flash behind its guard; its capacity is that of the flash.
pub(crate) struct Guard<F> {
    flash: F,
    /// The page of the notes, by its offset.
    notes: u32,
    /// Where the next note goes.
    next_note: u32,
    /// The page whose erase did not come to its end. Until it does, the page reads as erased: half erased it would mislead the
    /// log.
    unfinished: Option<u32>,
    /// The place of the note of that page, if its erase has not begun: it comes with [`settle`](Self::settle), or before the
    /// page is written. 0, where no note lies, if the erase has begun: until it is done, nothing is written.
    owed: u32,
    /// The end of what the log has written into the page that it writes; 0 before its first write.
    written: u32,
}

/// A note that the page at this offset is being erased.
fn note_of(page: u32) -> [u8; NOTE] {
    let [a, b, c, d] = page.to_le_bytes();
    [a, !a, b, !b, c, !c, d, !d]
}

/// Reads a note back. Zeros, erased words and torn ones are none.
fn noted_page(bytes: [u8; NOTE]) -> Option<u32> {
    let [a, _, b, _, c, _, d, _] = bytes;
    let page = u32::from_le_bytes([a, b, c, d]);
    (note_of(page) == bytes).then_some(page)
}

impl<F: NorFlash> Guard<F> {
    /// Wraps a flash whose notes are in the page at offset `notes`. [`recover`](Self::recover) comes first.
    pub(crate) const fn new(flash: F, notes: u32) -> Self {
        Self { flash, notes, next_note: notes, unfinished: None, owed: 0, written: 0 }
    }

    /// Gives the flash itself.
    pub(crate) const fn inner(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Finishes what a power cut, a failure or a dropped future interrupted in the pages of `range`, and finds
    /// the place of the next note. Where a worn page does not let itself be erased, the records can be read all
    /// the same, and writes are refused.
    pub(crate) async fn recover(&mut self, range: Range<u32>) -> Result<(), F::Error> {
        self.next_note = self.notes;
        self.unfinished = None;
        self.owed = 0;
        let mut is_spoilt = false;
        let mut at = self.notes;
        while at < self.notes_end() {
            let mut bytes = [0; NOTE];
            self.read(at, &mut bytes).await?;
            let after = at.saturating_add(NOTE as u32);
            if bytes != [0xFF; NOTE] {
                self.next_note = after;
            }
            match noted_page(bytes) {
                Some(page) if range.contains(&page) && is_page::<F>(page) => {
                    if self.finish(page, at).await.is_err() {
                        self.unfinished = Some(page);
                    }
                }
                _ => is_spoilt |= bytes != [0xFF; NOTE] && bytes != [0; NOTE],
            }
            at = after;
        }
        // Only now, when no note is pending. What stands beside torn words is not to be trusted.
        if is_spoilt && self.unfinished.is_none() && self.erase_notes().await.is_err() {
            self.unfinished = Some(self.notes);
        }
        Ok(())
    }

    /// Tells how many bytes are free in the page that the log writes; nobody knows before its first write.
    pub(crate) fn room(&self) -> Option<u32> {
        // The last word of a page is the log's mark that it is closed.
        let word = F::WRITE_SIZE.max(F::READ_SIZE) as u32;
        let last = self.written.checked_sub(1)?;
        let end = page_of::<F>(last).saturating_add(F::ERASE_SIZE as u32).saturating_sub(word);
        Some(end.saturating_sub(self.written))
    }

    fn notes_end(&self) -> u32 {
        self.notes.saturating_add(F::ERASE_SIZE as u32)
    }

    async fn erase_notes(&mut self) -> Result<(), F::Error> {
        self.flash.erase(self.notes, self.notes_end()).await?;
        self.next_note = self.notes;
        Ok(())
    }

    /// Erases the page that is owed, if there is one, and then owes another: notes that it is to be erased. The erase itself
    /// stops a chip for long, and has time until the page is written.
    // One function for all who settle: each copy of the two operations would take 100 bytes.
    pub(crate) async fn settle(&mut self, next: Option<u32>) -> Result<(), F::Error> {
        let note = core::mem::take(&mut self.owed);
        if let Some(page) = self.unfinished.filter(|_| note != 0) {
            self.finish(page, note).await?;
            self.unfinished = None;
        }
        let Some(page) = next else { return Ok(()) };
        if self.next_note >= self.notes_end() {
            self.erase_notes().await?;
        }
        let at = self.next_note;
        // Taken even if the write fails or is dropped: what is in the word then is not known.
        self.next_note = at.saturating_add(NOTE as u32);
        self.flash.write(at, &note_of(page)).await?;
        (self.unfinished, self.owed) = (Some(page), at);
        Ok(())
    }

    /// Erases a page, and takes back the note that says so.
    async fn finish(&mut self, page: u32, note: u32) -> Result<(), F::Error> {
        self.flash.erase(page, page.saturating_add(F::ERASE_SIZE as u32)).await?;
        self.flash.write(note, &[0; NOTE]).await
    }

    /// Tells whether nothing may be written.
    const fn is_locked(&self) -> bool {
        self.unfinished.is_some() && self.owed == 0
    }

    /// Gives an offset as it is, or one that every flash refuses.
    fn unless_locked(&self, offset: u32) -> u32 {
        if self.is_locked() { self.flash.capacity() as u32 } else { offset }
    }

    /// Reads what can be read, word by word, with zeros for the rest.
    async fn read_around_torn_words(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        // The units in which reads succeed or fail: words as they were written.
        let word = F::WRITE_SIZE.max(F::READ_SIZE) as u32;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_word = word.saturating_sub(at.checked_rem(word).unwrap_or(0)).max(1) as usize;
            let (now, later) = rest.split_at_mut(in_word.min(rest.len()));
            match self.flash.read(at, now).await {
                Ok(()) => {}
                Err(error) if is_unreadable(&error) => now.fill(0),
                Err(error) => return Err(error),
            }
            at = at.saturating_add(now.len() as u32);
            rest = later;
        }
        Ok(())
    }
}

fn page_of<F: NorFlash>(offset: u32) -> u32 {
    offset.saturating_sub(offset.checked_rem(F::ERASE_SIZE as u32).unwrap_or(0))
}

fn is_page<F: NorFlash>(offset: u32) -> bool {
    (offset as usize).is_multiple_of(F::ERASE_SIZE)
}

/// Tells an error of the memory from one of the request.
fn is_unreadable(error: &impl NorFlashError) -> bool {
    !matches!(error.kind(), NorFlashErrorKind::NotAligned | NorFlashErrorKind::OutOfBounds)
}

impl<F: ErrorType> ErrorType for Guard<F> {
    type Error = F::Error;
}

impl<F: NorFlash> ReadNorFlash for Guard<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        if self.unfinished == Some(page_of::<F>(offset)) {
            bytes.fill(0xFF);
            return Ok(());
        }
        match self.flash.read(offset, bytes).await {
            Err(error) if is_unreadable(&error) => self.read_around_torn_words(offset, bytes).await,
            other => other,
        }
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for Guard<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        let mut page = from;
        while page < to {
            if self.is_locked() {
                let end = self.flash.capacity() as u32;
                return self.flash.erase(end, end.saturating_add(F::ERASE_SIZE as u32)).await;
            }
            self.settle(Some(page)).await?;
            page = page.saturating_add(F::ERASE_SIZE as u32);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        let end = offset.saturating_add(bytes.len() as u32);
        let is_same_page = page_of::<F>(offset) == page_of::<F>(self.written.saturating_sub(1));
        self.written = if is_same_page { end.max(self.written) } else { end };
        if self.unfinished == Some(page_of::<F>(offset)) {
            self.settle(None).await?;
        }
        self.flash.write(self.unless_locked(offset), bytes).await
    }
}
