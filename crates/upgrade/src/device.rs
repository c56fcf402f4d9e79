//! The device's side: an image comes into the slot beside the running one, and embassy-boot's bootloader swaps the two.
//!
//! # What lies where
//! The slot has the pages of an image and one more, which the bootloader needs for the swap. Until then that last page
//! holds the header, so that an upgrade can go on after a power cut.
//!
//! # Where it goes on
//! A page is erased before the last word of the page before it is written. So of the pages from the first on, the first
//! one whose last word is erased is the one that was being written, whatever lay in the slot before. A cut may have torn a
//! last word that then looks written, so it goes on one page before that. What was believed wrongly shows in the hash.
//!
//! # No waiting
//! The flashes of all chips that this runs on do what they are asked before they answer. So nothing here is async: that would
//! cost the STM32WL as much again. A flash that makes its caller wait counts as one that refuses.

use core::ops::Range;

use embassy_boot::BlockingFirmwareState;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use embedded_storage_async::nor_flash::NorFlash;

use crate::header::{Device, HEADER_LEN, Header};
use crate::progress::{Progress, Request, State};
use crate::refusal::Refusal;
use crate::slot::{Slot, WORD};
use crate::verify::Verify;

/// Bytes that are read and hashed together.
const PIECE: usize = 64;

/// Where an upgrade lies, in bytes from the flash driver's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// embassy-boot's state.
    pub state: Range<u32>,
    /// The slot that an image comes into, a page longer than [`Device::capacity`] or more.
    pub dfu: Range<u32>,
}

/// An upgrade, from its header to the image that has shown that it is well.
#[derive(Debug)]
pub struct Upgrade<V> {
    device: Device,
    slots: Slots,
    verify: V,
    state: State,
    /// What is coming in, while [`State::Receiving`] or [`State::Ready`].
    header: Option<Header>,
    /// Where the next chunk begins.
    next: u32,
    /// How far the slot is erased, or written.
    erased: u32,
    refused: Option<Refusal>,
}

impl<V: Verify> Upgrade<V> {
    /// Knows nothing yet: [`look`](Self::look) comes first.
    pub const fn new(device: Device, slots: Slots, verify: V) -> Self {
        let (state, header, refused) = (State::None, None, None);
        Self { device, slots, verify, state, header, next: 0, erased: 0, refused }
    }

    /// Tells what an image has to fit.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Tells how it stands.
    pub fn progress(&self) -> Progress {
        let total = self.header.as_ref().map_or(0, |header| header.image_len());
        Progress { state: self.state, refused: self.refused, received: self.next, total }
    }

    /// Finds out what the flash holds: an image that runs on trial, one that went back, or one that was coming in.
    ///
    /// # Errors
    /// [`Refusal::Flash`]: the bootloader's state cannot be read.
    #[inline(never)]
    pub fn look<F: NorFlash>(&mut self, flash: &mut F) -> Result<State, Refusal> {
        if self.slots.state.is_empty() {
            return Ok(State::None);
        }
        self.forget(match self.boot(flash, Boot::Look)? {
            embassy_boot::State::Swap => State::Trying,
            embassy_boot::State::Revert => State::GoneBack,
            embassy_boot::State::Boot | embassy_boot::State::DfuDetach => State::None,
        });
        if self.state == State::Trying {
            return Ok(self.state);
        }
        let mut slot = self.slot(flash);
        let mut bytes = [0; HEADER_LEN];
        slot.read(self.device.capacity, &mut bytes).map_err(|_| Refusal::Flash)?;
        let Ok(header) = Header::parse(&bytes) else { return Ok(self.state) };
        let page = F::ERASE_SIZE as u32;
        let mut written = 0;
        while written < header.image_len() {
            let mut last = [0; WORD];
            let at = written.saturating_add(page).saturating_sub(WORD as u32);
            slot.read(at, &mut last).map_err(|_| Refusal::Flash)?;
            if last == [0xFF; WORD] {
                break;
            }
            written = written.saturating_add(page);
        }
        self.state = State::Receiving;
        self.header = Some(header);
        self.next = written.saturating_sub(page);
        self.erased = self.next;
        Ok(self.state)
    }

    /// Does what is asked. Before each page and each chunk it asks `must_stop`, which says that the supply is lost.
    ///
    /// # Errors
    /// Why it is refused; [`Progress::refused`] tells it on.
    #[inline(never)]
    pub fn handle<F: NorFlash>(
        &mut self,
        flash: &mut F,
        request: Request<'_>,
        must_stop: impl Fn() -> bool,
    ) -> Result<Progress, Refusal> {
        let outcome = match (request, self.state) {
            _ if must_stop() => Err(Refusal::SupplyLost),
            (_, State::Trying) => Err(Refusal::Unconfirmed),
            (Request::Finish, State::Ready) => Ok(()),
            (_, State::Ready) => Err(Refusal::RestartPending),
            (Request::Begin { header }, _) => self.begin(flash, header),
            (Request::Chunk { offset, data }, State::Receiving) => self.chunk(flash, offset, data, must_stop),
            (Request::Finish, State::Receiving) => self.finish(flash, must_stop),
            (Request::Abort, State::Receiving) => self.abort(flash),
            _ => Err(Refusal::NothingBegun),
        };
        self.refused = outcome.err();
        outcome.map(|()| self.progress())
    }

    /// Says that the image on trial is well: no start goes back from here on.
    ///
    /// # Errors
    /// [`Refusal::Flash`], and [`Refusal::NothingBegun`] if none is on trial.
    pub fn confirm<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Refusal> {
        if self.state != State::Trying {
            return Err(Refusal::NothingBegun);
        }
        self.boot(flash, Boot::Confirm)?;
        self.state = State::Confirmed;
        Ok(())
    }

    fn begin<F: NorFlash>(&mut self, flash: &mut F, bytes: &[u8]) -> Result<(), Refusal> {
        let header = Header::parse(bytes)?;
        if self.header == Some(header) {
            return Ok(());
        }
        header.check(&self.device, &mut self.verify)?;
        // The old header goes first: it may not stand beside what is not of its image.
        self.abort(flash)?;
        let mut slot = self.slot(flash);
        let bytes = header.to_bytes();
        erase(&mut slot, 0)?;
        slot.write(self.device.capacity, &bytes).map_err(|_| Refusal::Flash)?;
        self.erased = F::ERASE_SIZE as u32;
        self.state = State::Receiving;
        self.header = Some(header);
        Ok(())
    }

    fn chunk<F: NorFlash>(
        &mut self,
        flash: &mut F,
        offset: u32,
        data: &[u8],
        must_stop: impl Fn() -> bool,
    ) -> Result<(), Refusal> {
        const { assert!(WORD.is_multiple_of(F::WRITE_SIZE), "a word of the flash is longer than it may be") };
        if offset != self.next {
            return Err(Refusal::Offset { wanted: self.next });
        }
        let total = self.progress().total;
        let left = total.saturating_sub(offset) as usize;
        let whole = data.len().saturating_sub(data.len() % WORD);
        let usable = if data.len() == left { left } else { whole };
        if usable == 0 || usable > left {
            return Err(Refusal::Length);
        }
        let mut rest = data.get(..usable).unwrap_or_default();
        let mut slot = Slot { flash, range: self.slots.dfu.clone() };
        let page = F::ERASE_SIZE as u32;
        while !rest.is_empty() {
            let in_page = page.saturating_sub(self.next.checked_rem(page).unwrap_or(0));
            let (now, later) = rest.split_at((in_page as usize).min(rest.len()));
            let end = self.next.saturating_add(now.len() as u32);
            // This page, if it is begun; the next one, before this one is full.
            let is_full = now.len() as u32 == in_page && end < total;
            let wanted = if is_full { end.saturating_add(page) } else { end };
            while self.erased < wanted {
                if must_stop() {
                    return Err(Refusal::SupplyLost);
                }
                erase(&mut slot, self.erased)?;
                self.erased = self.erased.saturating_add(page);
            }
            if must_stop() {
                return Err(Refusal::SupplyLost);
            }
            let (words, tail) = now.split_at(now.len().saturating_sub(now.len() % WORD));
            let mut last = [0xFF; WORD];
            for (to, from) in last.iter_mut().zip(tail) {
                *to = *from;
            }
            let last = if tail.is_empty() { &[][..] } else { &last[..] };
            let at_last = self.next.saturating_add(words.len() as u32);
            for (at, bytes) in [(self.next, words), (at_last, last)] {
                if !bytes.is_empty() && slot.write(at, bytes).is_err() {
                    // Nobody knows what is in there now. The page is erased once more.
                    self.next = self.next.saturating_sub(self.next.checked_rem(page).unwrap_or(0));
                    self.erased = self.next;
                    return Err(Refusal::Flash);
                }
            }
            self.next = end;
            rest = later;
        }
        Ok(())
    }

    fn finish<F: NorFlash>(&mut self, flash: &mut F, must_stop: impl Fn() -> bool) -> Result<(), Refusal> {
        let Some(header) = self.header else { return Err(Refusal::NothingBegun) };
        let image_len = header.image_len();
        if self.next != image_len {
            return Err(Refusal::Offset { wanted: self.next });
        }
        let mut slot = Slot { flash, range: self.slots.dfu.clone() };
        let mut hash = self.verify.begin();
        let mut at = 0;
        while at < image_len {
            let mut piece = [0; PIECE];
            let len = image_len.saturating_sub(at).min(PIECE as u32);
            let bytes = piece.get_mut(..len as usize).unwrap_or_default();
            slot.read(at, bytes).map_err(|_| Refusal::Flash)?;
            self.verify.update(&mut hash, bytes);
            at = at.saturating_add(len);
            if at % 2048 == 0 && must_stop() {
                return Err(Refusal::SupplyLost);
            }
        }
        let is_right = self.verify.finish(hash) == header.sha512();
        let checked =
            if is_right { header.check(&self.device, &mut self.verify) } else { Err(Refusal::Hash) };
        if checked.is_err() {
            self.abort(flash)?;
            return checked;
        }
        self.boot(flash, Boot::Swap)?;
        self.state = State::Ready;
        Ok(())
    }

    /// Gives up what is coming in.
    fn abort<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), Refusal> {
        self.forget(State::None);
        let capacity = self.device.capacity;
        erase(&mut self.slot(flash), capacity)
    }

    fn forget(&mut self, state: State) {
        self.state = state;
        self.header = None;
        self.next = 0;
        self.erased = 0;
    }

    fn slot<'a, F>(&self, flash: &'a mut F) -> Slot<'a, F> {
        Slot { flash, range: self.slots.dfu.clone() }
    }

    /// Reads or writes embassy-boot's state, and tells what it was.
    fn boot<F: NorFlash>(&self, flash: &mut F, what: Boot) -> Result<embassy_boot::State, Refusal> {
        let mut slot = Slot { flash, range: self.slots.state.clone() };
        let mut aligned = [0; WORD];
        if !matches!(what, Boot::Look) {
            // The old mark goes in one stroke, before embassy-boot makes its progress invalid: a cut between the two would
            // have the bootloader believe that it had gone back.
            slot.write(0, &aligned).map_err(|_| Refusal::Flash)?;
        }
        let mut state = BlockingFirmwareState::new(slot, &mut aligned);
        let done = match what {
            Boot::Look => return state.get_state().map_err(|_| Refusal::Flash),
            Boot::Swap => state.mark_updated(),
            Boot::Confirm => state.mark_booted(),
        };
        done.map(|()| embassy_boot::State::Boot).map_err(|_| Refusal::Flash)
    }
}

/// What to do with embassy-boot's state.
enum Boot {
    Look,
    /// The next start swaps the two images.
    Swap,
    /// The running image stays.
    Confirm,
}

fn erase<F: NorFlash>(slot: &mut Slot<'_, F>, page: u32) -> Result<(), Refusal> {
    slot.erase(page, page.saturating_add(F::ERASE_SIZE as u32)).map_err(|_| Refusal::Flash)
}
