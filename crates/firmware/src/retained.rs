//! Memory that a reset leaves as it is.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use sockeye_lorawan_mac::AirTime;
use sockeye_state_machine::ResetCause;

use crate::faults::{Fault, FaultKind, FaultLedger, Faults};

/// What a device knows on after a reset without loss of power: how the relay stands, what ended its last runs, the time
/// since power-up, and what was sent.
///
/// A board keeps it in a `static` in a part of its RAM that its start does not set. What is in there after power-up does
/// not matter.
#[derive(Debug)]
#[repr(C)]
pub struct Retained {
    /// [`Self::RELAY_ON`], [`Self::RELAY_OFF`], or anything while that is not known. Before all else, where the bootloader
    /// and any later image look for it.
    relay: AtomicU32,
    /// [`Self::NO_METER`], if the image that took the last upgrade had heard no meter. In this place for ever, too.
    meter: AtomicU32,
    /// The bootloader counts its starts here, until one comes as far as [`Self::begin`]. In this place for ever, too.
    starts: AtomicU32,
    faults: FaultLedger,
    /// Over the words of `air_time`; 0 while they are being written.
    check: AtomicU32,
    /// The time since power-up in ms: low half, high half.
    time: [AtomicU32; 2],
    air_time: [AtomicU32; AirTime::WORDS],
}

/// Grows when one of the words gets another meaning. That they lie elsewhere or are more shows by itself.
const VERSION: u32 = 1;

/// Tells one layout from another: after an upgrade, or a way back, the words of the other image count as noise. But for the
/// first three, whose place and meaning are the same for ever.
pub(crate) const LAYOUT: u32 = {
    let shape = [
        size_of::<Retained>(),
        offset_of!(Retained, faults),
        offset_of!(Retained, check),
        offset_of!(Retained, time),
        offset_of!(Retained, air_time),
        FaultKind::ALL.len(),
    ];
    let mut hash = step(step(HASH_BASIS, VERSION), AirTime::LAYOUT);
    let mut rest = shape.as_slice();
    while let [number, more @ ..] = rest {
        hash = step(hash, *number as u32);
        rest = more;
    }
    hash
};

const _: () = assert!(
    offset_of!(Retained, relay) == 0 && offset_of!(Retained, meter) == 4 && offset_of!(Retained, starts) == 8,
    "where the bootloader, and other images, look for them"
);

impl Retained {
    /// The relay's word while it is on. Every bootloader and every image that was ever given away goes by it.
    pub const RELAY_ON: u32 = 0x5AE1_C09A;
    /// The relay's word while it is off.
    pub const RELAY_OFF: u32 = 0xA51E_3F65;

    const NO_METER: u32 = 0x5EA1_3E7E;

    /// Makes one that holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            relay: AtomicU32::new(0),
            meter: AtomicU32::new(0),
            starts: AtomicU32::new(0),
            faults: FaultLedger::new(),
            check: AtomicU32::new(0),
            time: [const { AtomicU32::new(0) }; 2],
            air_time: [const { AtomicU32::new(0) }; AirTime::WORDS],
        }
    }

    /// Forgets, as a loss of power does.
    pub fn clear(&self) {
        self.relay.store(0, Ordering::Relaxed);
        self.set_no_meter(false);
        self.faults.clear();
        self.forget_air_time();
    }

    /// Forgets what was sent, and when.
    pub(crate) fn forget_air_time(&self) {
        self.check.store(0, Ordering::Relaxed);
        self.pass(0);
    }

    /// Notes what is about to end this run: for the handlers of panics, faults and NMIs. The next start tells it.
    pub fn note(&self, fault: Fault) {
        self.faults.note(fault);
    }

    /// Tells how a board is to drive the relay until control does: as it stood before a restart, and else off.
    #[must_use]
    pub fn relay_after(&self, cause: ResetCause) -> bool {
        cause != ResetCause::PowerOn && self.relay() == Some(true)
    }

    /// Tells what was noted since the last start.
    #[must_use]
    pub fn pending(&self) -> Option<FaultKind> {
        self.faults.pending()
    }

    /// Reads what was noted since the last start from a copy of this memory: for a debugger or an emulator. `word` gives
    /// the word at an offset in bytes.
    #[must_use]
    pub fn pending_in(word: impl Fn(usize) -> u32) -> Option<Fault> {
        FaultLedger::pending_in(|offset| word(offset_of!(Self, faults) + offset))
    }

    /// Tells what went wrong since power-up.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.faults()
    }

    /// Begins a run: tells what the chip can not tell of why it started, and what ended the last run, if nobody had
    /// asked for that.
    pub(crate) fn begin(&self, cause: ResetCause) -> (ResetCause, Option<FaultKind>) {
        if cause == ResetCause::PowerOn {
            self.clear();
        }
        self.starts.store(0, Ordering::Relaxed);
        let ended = self.faults.begin(cause);
        if self.faults.is_unwatched() {
            self.set_relay(false);
        }
        let cause = match ended {
            Some(kind) if kind.is_hang() => ResetCause::Watchdog,
            Some(_) => ResetCause::Fault,
            None => cause,
        };
        (cause, ended)
    }

    /// The faults, for the tasks that watch each other.
    pub(crate) fn ledger(&self) -> &FaultLedger {
        &self.faults
    }

    /// Notes how the relay stands.
    pub(crate) fn set_relay(&self, on: bool) {
        self.relay.store(if on { Self::RELAY_ON } else { Self::RELAY_OFF }, Ordering::Relaxed);
    }

    /// Tells how the relay stood before a reset; `None` after power-up.
    pub(crate) fn relay(&self) -> Option<bool> {
        match self.relay.load(Ordering::Relaxed) {
            Self::RELAY_ON => Some(true),
            Self::RELAY_OFF => Some(false),
            _ => None,
        }
    }

    /// Notes whether the image that takes an upgrade has heard no meter.
    pub(crate) fn set_no_meter(&self, none: bool) {
        self.meter.store(if none { Self::NO_METER } else { 0 }, Ordering::Relaxed);
    }

    /// Tells what was noted so, by this image or the one before.
    pub(crate) fn no_meter(&self) -> bool {
        self.meter.load(Ordering::Relaxed) == Self::NO_METER
    }

    /// Notes the time since power-up.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub(crate) fn pass(&self, now_ms: u64) {
        let [low, high] = &self.time;
        low.store(now_ms as u32, Ordering::Relaxed);
        high.store((now_ms >> 32) as u32, Ordering::Relaxed);
    }

    /// Tells the time since power-up that was noted last.
    pub(crate) fn time_ms(&self) -> u64 {
        let [low, high] = &self.time;
        u64::from(high.load(Ordering::Relaxed)) << 32 | u64::from(low.load(Ordering::Relaxed))
    }

    /// Notes what was sent.
    pub(crate) fn keep(&self, now_ms: u64, air_time: &AirTime) {
        self.check.store(0, Ordering::Relaxed);
        self.pass(now_ms);
        for (kept, word) in self.air_time.iter().zip(air_time.0) {
            kept.store(word, Ordering::Relaxed);
        }
        self.check.store(check(air_time), Ordering::Relaxed);
    }

    /// Gives what was noted last; `None` after power-up.
    pub(crate) fn air_time(&self) -> Option<AirTime> {
        let mut air_time = AirTime([0; AirTime::WORDS]);
        for (word, kept) in air_time.0.iter_mut().zip(&self.air_time) {
            *word = kept.load(Ordering::Relaxed);
        }
        (self.check.load(Ordering::Relaxed) == check(&air_time)).then_some(air_time)
    }
}

impl Default for Retained {
    fn default() -> Self {
        Self::new()
    }
}

/// FNV-1a, word by word (Fowler, Noll, Vo: offset basis and prime of 32 bits).
const HASH_BASIS: u32 = 0x811C_9DC5;

const fn step(hash: u32, word: u32) -> u32 {
    (hash ^ word).wrapping_mul(0x0100_0193)
}

/// Is never 0.
fn check(air_time: &AirTime) -> u32 {
    air_time.0.iter().fold(LAYOUT, |hash, word| step(hash, *word)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn what_was_kept_comes_back_until_it_is_cleared_or_damaged() {
        let retained = Retained::new();
        assert_eq!(retained.air_time(), None);
        let mut words = [0; AirTime::WORDS];
        (0..).zip(&mut words).for_each(|(n, word)| *word = n);
        let now_ms = (7 << 32) + 5;
        retained.keep(now_ms, &AirTime(words));
        assert_eq!((retained.time_ms(), retained.air_time()), (now_ms, Some(AirTime(words))));
        retained.pass(now_ms + 1000);
        assert_eq!((retained.time_ms(), retained.air_time()), (now_ms + 1000, Some(AirTime(words))));
        for word in &retained.air_time {
            word.fetch_xor(0x10, Ordering::Relaxed);
            assert_eq!(retained.air_time(), None);
            word.fetch_xor(0x10, Ordering::Relaxed);
        }
        retained.clear();
        assert_eq!((retained.time_ms(), retained.air_time()), (0, None));
    }

    #[test]
    fn the_relay_is_known_after_a_restart_and_off_after_power_up() {
        let retained = Retained::new();
        for (relay, restarted) in [(None, false), (Some(true), true), (Some(false), false)] {
            relay.into_iter().for_each(|on| retained.set_relay(on));
            for cause in [ResetCause::Reboot, ResetCause::Watchdog, ResetCause::Fault] {
                assert_eq!(retained.relay_after(cause), restarted, "{relay:?} {cause:?}");
            }
            assert!(!retained.relay_after(ResetCause::PowerOn));
        }
    }

    #[test]
    fn an_image_believes_nothing_but_the_relay_of_one_with_another_layout() {
        let retained = Retained::new();
        retained.begin(ResetCause::PowerOn);
        retained.set_relay(true);
        retained.keep(7, &AirTime([1; AirTime::WORDS]));
        retained.note(Fault { kind: FaultKind::Panic, pc: 1, lr: 2 });
        retained.faults.tip_layout();
        let other_check = (0..AirTime::WORDS).fold(LAYOUT ^ 2, |hash, _| step(hash, 1)) | 1;
        retained.check.store(other_check, Ordering::Relaxed);
        assert!(retained.relay_after(ResetCause::Reboot));
        assert_eq!(retained.air_time(), None);
        assert_eq!(retained.begin(ResetCause::Reboot), (ResetCause::Reboot, None));
        assert_eq!((retained.faults(), retained.relay()), (Faults::default(), Some(true)));
    }

    #[test]
    fn who_changes_what_the_words_mean_gives_them_another_version() {
        // Has one of these changed? Then raise VERSION or, for the air time, its LAYOUT, and write the new values here.
        assert_eq!((VERSION, AirTime::LAYOUT, LAYOUT), (1, 1, 0xE8D8_49DE));
        assert_eq!(
            FaultKind::ALL.map(|kind| format!("{kind:?}")).join(" "),
            "ControlHung RadioHung ServiceHung Stuck Panic HardFault Nmi"
        );
        // These never: a bootloader and the image of an upgrade go by them.
        let fixed = [Retained::RELAY_ON, Retained::RELAY_OFF, Retained::NO_METER];
        assert_eq!(fixed, [0x5AE1_C09A, 0xA51E_3F65, 0x5EA1_3E7E]);
    }

    #[test]
    fn an_empty_ledger_is_kept_too() {
        let retained = Retained::new();
        retained.keep(1, &AirTime([0; AirTime::WORDS]));
        assert_eq!(retained.air_time(), Some(AirTime([0; AirTime::WORDS])));
    }
}
