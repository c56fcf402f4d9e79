//! Loading, storing and clearing records.

use core::ops::Range;

use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use sequential_storage::cache::key_pointers::ArrayKeyPointers;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::guard::Guard;
use crate::record::RecordId;

/// The longest record, in bytes.
pub const MAX_RECORD: usize = 1024;

/// Room for the longest record with its key, rounded up to the largest word of any flash (32 bytes).
const BUFFER: usize = (MAX_RECORD + 1).next_multiple_of(32);

/// What the log spends on a record beside its bytes, rounded up: header, key and the padding of two words.
const ITEM: usize = 32;

/// Bytes of the flash that [`prepare`](Storage::prepare) keeps free for what must be stored without an erase. Relay state
/// and energy take 16 each, and may be stored twice, the counters of the MAC 40 (an item has 8 bytes before its key and
/// value, and is filled up to words of 8).
pub const RESERVE: u32 = 104;

/// How many bytes are looked at once; every page has a multiple of it.
const LOOK: usize = 256;

/// How often a store is tried.
const ATTEMPTS: u8 = 3;

/// The key under which a clearing in progress lies; no [`RecordId`] has it. Its value: the keys to keep.
const CLEARING: u8 = 0;

/// Where each record lies, so that most loads read only one item.
type KeyCache = Cache<Uncached, Uncached, ArrayKeyPointers<u8, { RecordId::ALL.len() + 1 }>, u8>;
type Map<F> = MapStorage<u8, Guard<F>, KeyCache>;

/// What went wrong in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The flash refused.
    Flash(E),
    /// The contents made no sense and were erased: every record is absent now.
    Erased,
    /// The records together are too long for the flash.
    Full,
    /// The record is longer than [`MAX_RECORD`].
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The record does not fit the buffer that it was to be loaded into.
    BufferTooSmall {
        /// Its length in bytes.
        length: usize,
    },
    /// The flash takes the record, and does not keep it.
    Worn,
    /// The range is no whole number of pages, or fewer than three.
    Layout,
}

/// The records in a range of a flash.
///
/// # Cancel safety
///
/// A dropped call counts as a power cut: the record has its old or its new value, and the next call puts in
/// order what was left behind.
pub struct Storage<F: NorFlash> {
    /// `None` when the range is of no use.
    map: Option<Map<F>>,
    range: Range<u32>,
    buffer: [u8; BUFFER],
    /// Whether the last call came to its end: if not, there may be something to recover.
    is_ready: bool,
    /// Whether the contents are known to be a log.
    is_log: bool,
    erasures: u32,
}

impl<F: NorFlash> core::fmt::Debug for Storage<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Storage").field("range", &self.range).finish_non_exhaustive()
    }
}

impl<F: NorFlash> Storage<F> {
    /// Takes a flash and the range of it, in bytes from its start, that is for records: three whole pages or
    /// more, of which the last serves for notes.
    ///
    /// The flash must allow zeros to be written over a word that is written already. Nothing is read or
    /// written before the first call.
    pub fn new(flash: F, range: Range<u32>) -> Self {
        let notes = range.end.saturating_sub(F::ERASE_SIZE as u32);
        let range = range.start..notes.max(range.start);
        let map = MapConfig::try_new(range.clone())
            .ok()
            .map(|config| MapStorage::new(Guard::new(flash, notes), config, key_cache()));
        Self { map, range, buffer: [0; BUFFER], is_ready: false, is_log: false, erasures: 0 }
    }

    /// Copies a record into `out` and tells its length; `None` if it was never stored, or cleared.
    ///
    /// # Errors
    ///
    /// [`Error::Flash`], [`Error::Erased`], [`Error::BufferTooSmall`], [`Error::Layout`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn load(&mut self, id: RecordId, out: &mut [u8]) -> Result<Option<usize>, Error<F::Error>> {
        let before = self.erasures;
        self.begin().await?;
        if self.erasures != before {
            self.is_ready = true;
            return Err(Error::Erased);
        }
        let loaded = match self.fetch(id.key()).await {
            Ok(value) => value,
            Err(Error::Erased) => return Err(self.erase_all().await.err().unwrap_or(Error::Erased)),
            Err(other) => return Err(other),
        };
        let length = loaded.len();
        let copied = match out.get_mut(..length) {
            Some(target) => {
                target.copy_from_slice(loaded);
                Ok((length != 0).then_some(length))
            }
            None => Err(Error::BufferTooSmall { length }),
        };
        self.is_ready = true;
        copied
    }

    /// Stores a record. Bytes that are stored already are not written again; no bytes at all clear the record.
    ///
    /// Contents of the flash that make no sense are erased first: then this record alone is there, and
    /// [`erasures`](Self::erasures) has grown.
    ///
    /// # Errors
    ///
    /// [`Error::Flash`], [`Error::Full`], [`Error::TooLong`], [`Error::Worn`], [`Error::Layout`].
    ///
    /// # Cancel safety
    ///
    /// When dropped, the record has its old or its new value.
    pub async fn store(&mut self, id: RecordId, bytes: &[u8]) -> Result<(), Error<F::Error>> {
        if bytes.len() > MAX_RECORD {
            return Err(Error::TooLong { length: bytes.len() });
        }
        self.begin().await?;
        let mut outcome = self.put(id.key(), bytes).await;
        let is_nonsense = match outcome {
            Err(Error::Erased) => true,
            Err(Error::Full) => self.is_full_of_nonsense(bytes.len()).await?,
            _ => false,
        };
        if is_nonsense {
            self.erase_all().await?;
            outcome = self.put(id.key(), bytes).await;
        }
        outcome?;
        self.is_ready = true;
        Ok(())
    }

    /// Tells whether the records, and one more of `length` bytes, take no more than half of the room that there
    /// is: then a log that calls itself full holds what nobody stored, and would be full for ever.
    async fn is_full_of_nonsense(&mut self, length: usize) -> Result<bool, Error<F::Error>> {
        let mut taken = length.saturating_add(ITEM);
        for id in RecordId::ALL {
            match self.fetch(id.key()).await {
                Ok(value) => taken = taken.saturating_add(value.len()).saturating_add(ITEM),
                Err(Error::Erased) => return Ok(true),
                Err(other) => return Err(other),
            }
        }
        // One page is always kept free by the log, to move records into.
        let room = self.range.len().saturating_sub(F::ERASE_SIZE);
        Ok(taken <= room / 2)
    }

    /// Clears a record: it loads as absent from now on.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the record is as it was, or absent.
    pub async fn clear(&mut self, id: RecordId) -> Result<(), Error<F::Error>> {
        self.store(id, &[]).await
    }

    /// Clears all records but those of `keep`, all or none: once begun, it is finished even after a power cut,
    /// before anything is loaded.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store). The next call then tries to finish it.
    ///
    /// # Cancel safety
    ///
    /// When dropped, nothing was done yet, or the next call finishes it.
    pub async fn clear_all_but(&mut self, keep: &[RecordId]) -> Result<(), Error<F::Error>> {
        self.begin().await?;
        let mut kept = [CLEARING; RecordId::ALL.len() + 1];
        // The first byte is not a key: a list that keeps nothing is a record with bytes nevertheless.
        for (slot, id) in kept.iter_mut().skip(1).zip(RecordId::ALL.iter().filter(|id| keep.contains(id))) {
            *slot = id.key();
        }
        match self.put(CLEARING, &kept).await {
            Err(Error::Erased) => self.erase_all().await?,
            Err(other) => return Err(other),
            Ok(()) => self.finish_clearing().await?,
        }
        self.is_ready = true;
        Ok(())
    }

    /// Sees to it that [`RESERVE`] bytes can be stored without an erase: moves on to the next page now, if there is less room in
    /// this one. For a time at which nothing is urgent.
    ///
    /// The page that the log has left behind is erased at the first call that may erase, or when the log has filled the one
    /// in use. For a time at which a chip that stops for an erase keeps nobody waiting.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn prepare(&mut self, may_erase: bool) -> Result<(), Error<F::Error>> {
        self.begin().await?;
        if may_erase {
            self.map.as_mut().ok_or(Error::Layout)?.flash().settle(None).await.map_err(Error::Flash)?;
        }
        let mut before = None;
        loop {
            let map = self.map.as_mut().ok_or(Error::Layout)?;
            let room = map.flash().room();
            // One page further is all that can be done: in a full flash the next has no more room.
            if room.is_some_and(|room| room >= RESERVE || before.is_some_and(|before| room >= before)) {
                break;
            }
            before = room;
            // No clearing is in progress, and this says so again; it takes room, and shows where the log writes.
            map.store_item(&mut self.buffer, &CLEARING, &[].as_slice()).await.map_err(sort)?;
        }
        self.is_ready = true;
        Ok(())
    }

    /// Gives the flash, for what lies beside the records; `None` if the records' range is of no use. What lies in that range is
    /// to be left alone.
    pub fn flash(&mut self) -> Option<&mut F> {
        self.map.as_mut().map(|map| map.flash().inner())
    }

    /// Tells how often, since it was made, contents without sense were erased. Who keeps copies of records in
    /// RAM stores them again when this grows.
    #[must_use]
    pub const fn erasures(&self) -> u32 {
        self.erasures
    }

    /// Puts in order what the last start or the last call left behind.
    async fn begin(&mut self) -> Result<(), Error<F::Error>> {
        let map = self.map.as_mut().ok_or(Error::Layout)?;
        if core::mem::replace(&mut self.is_ready, false) {
            return Ok(());
        }
        map.flash().recover(self.range.clone()).await.map_err(Error::Flash)?;
        let found = match self.finish_clearing().await {
            Ok(()) if !self.is_log => self.find_log().await,
            other => other,
        };
        match found {
            Err(Error::Erased) => self.erase_all().await,
            other => {
                self.is_log |= other.is_ok();
                other
            }
        }
    }

    /// Looks whether the flash holds a log: more than one page that is not erased, without a single record, is another
    /// program's data. The first store of all may have been cut, and leaves one page.
    async fn find_log(&mut self) -> Result<(), Error<F::Error>> {
        let map = self.map.as_mut().ok_or(Error::Layout)?;
        for key in 0..=RecordId::LAST_KEY {
            if map.fetch_item::<&[u8]>(&mut self.buffer, &key).await.map_err(sort)?.is_some() {
                return Ok(());
            }
        }
        let mut used = None;
        let mut at = self.range.start;
        while at < self.range.end {
            let bytes = self.buffer.get_mut(..LOOK).unwrap_or_default();
            map.flash().read(at, bytes).await.map_err(Error::Flash)?;
            if bytes.iter().any(|byte| *byte != 0xFF) {
                let page = at.checked_div(F::ERASE_SIZE as u32);
                if used.is_some() && used != page {
                    return Err(Error::Erased);
                }
                used = page;
            }
            at = at.saturating_add(LOOK as u32);
        }
        Ok(())
    }

    async fn finish_clearing(&mut self) -> Result<(), Error<F::Error>> {
        let mut kept = [CLEARING; RecordId::ALL.len() + 1];
        let list = self.fetch(CLEARING).await?;
        if list.is_empty() {
            return Ok(());
        }
        for (slot, key) in kept.iter_mut().zip(list) {
            *slot = *key;
        }
        for id in RecordId::ALL.iter().filter(|id| !kept.contains(&id.key())) {
            self.put(id.key(), &[]).await?;
        }
        self.put(CLEARING, &[]).await
    }

    /// Fetches a value; empty if there is none.
    async fn fetch(&mut self, key: u8) -> Result<&[u8], Error<F::Error>> {
        let map = self.map.as_mut().ok_or(Error::Layout)?;
        let value = map.fetch_item::<&[u8]>(&mut self.buffer, &key).await.map_err(sort)?;
        Ok(value.unwrap_or_default())
    }

    /// Stores a value, unless it is there, and looks whether it is. A worn cell refuses a value, or takes it and does
    /// not keep it: then the next free place is tried.
    async fn put(&mut self, key: u8, bytes: &[u8]) -> Result<(), Error<F::Error>> {
        let mut outcome = Ok(());
        for attempt in 0..=ATTEMPTS {
            if self.fetch(key).await? == bytes {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                break;
            }
            let map = self.map.as_mut().ok_or(Error::Layout)?;
            outcome = map.store_item(&mut self.buffer, &key, &bytes).await.map_err(sort);
            match outcome {
                Ok(()) => {}
                // No bytes would be found in a flash that cannot be read, too.
                Err(Error::Flash(_)) if !bytes.is_empty() => {}
                Err(_) => break,
            }
        }
        outcome.and(Err(Error::Worn))
    }

    async fn erase_all(&mut self) -> Result<(), Error<F::Error>> {
        let (guard, _) = self.map.take().ok_or(Error::Layout)?.destroy();
        let config = MapConfig::try_new(self.range.clone()).map_err(|_| Error::Layout)?;
        // Made anew: where the records lay is to be forgotten.
        let map = self.map.insert(MapStorage::new(guard, config, key_cache()));
        self.erasures = self.erasures.saturating_add(1);
        map.erase_all().await.map_err(sort)
    }
}

fn key_cache() -> KeyCache {
    Cache::new(Uncached, Uncached, ArrayKeyPointers::new())
}

/// Sorts the log's errors: all that is not the flash's or the caller's doing means contents without sense.
fn sort<E>(error: sequential_storage::Error<E>) -> Error<E> {
    match error {
        sequential_storage::Error::Storage { value, .. } => Error::Flash(value),
        sequential_storage::Error::FullStorage => Error::Full,
        _ => Error::Erased,
    }
}
