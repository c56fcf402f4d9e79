//! Why the last runs ended that nobody asked to end, in memory that a reset leaves as it is. No flash wears by it.

use core::sync::atomic::{AtomicU32, Ordering};

use sockeye_state_machine::ResetCause;

use crate::retained::LAYOUT;

/// Faults in a row after which the radio waits, longer each time: a device that restarts again and again must neither wear
/// its flash by counters nor fill the air with its first frames.
const PATIENCE: u32 = 3;

/// The first of these waits. Each is twice as long as the one before.
const FIRST_HOLD_MS: u64 = 30_000;

/// The longest of these waits is the first one doubled so often: 16 min.
const HOLD_DOUBLINGS: u32 = 5;

/// So many runs in a row that ended too soon for control to have watched over the load, and it is supplied no more.
const SHORT_RUNS: u32 = 10;

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FaultKind {
    /// The control task made no progress.
    ControlHung,
    /// The radio task made no progress.
    RadioHung,
    /// The service task made no progress: it, or whatever kept the processor from it.
    ServiceHung,
    /// The watchdog ended a hang that no task was left to see: control, or an interrupt, kept the processor.
    Stuck,
    /// A panic.
    Panic,
    /// A fault of the processor.
    HardFault,
    /// A non-maskable interrupt that nobody knows.
    Nmi,
}

impl FaultKind {
    /// All kinds, in the order of [`Faults::counts`].
    pub const ALL: [Self; 7] = [
        Self::ControlHung,
        Self::RadioHung,
        Self::ServiceHung,
        Self::Stuck,
        Self::Panic,
        Self::HardFault,
        Self::Nmi,
    ];

    /// Says it in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlHung => "restarted: the control task hung",
            Self::RadioHung => "restarted: the radio task hung",
            Self::ServiceHung => "restarted: the service task hung",
            Self::Stuck => "restarted: the processor hung",
            Self::Panic => "restarted: a panic",
            Self::HardFault => "restarted: a fault of the processor",
            Self::Nmi => "restarted: an unknown NMI",
        }
    }

    /// Tells whether it is the watchdog's to end: else it ends itself.
    #[must_use]
    pub const fn is_hang(self) -> bool {
        matches!(self, Self::ControlHung | Self::RadioHung | Self::ServiceHung | Self::Stuck)
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it was.
    pub kind: FaultKind,
    /// The program counter of a panic, a fault or an NMI; 0 for a hang.
    pub pc: u32,
    /// The link register with it: near it the caller went on, or would have.
    pub lr: u32,
}

/// What went wrong since power-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The newest one.
    pub last: Option<Fault>,
    /// How often each kind came, in the order of [`FaultKind::ALL`].
    pub counts: [u32; FaultKind::ALL.len()],
    /// How many came without ten good minutes between them.
    pub in_a_row: u32,
}

impl Faults {
    /// Tells how long the radio stays off after a start.
    pub(crate) fn hold_ms(&self) -> u64 {
        match self.in_a_row.checked_sub(PATIENCE) {
            Some(more) => FIRST_HOLD_MS << more.min(HOLD_DOUBLINGS),
            None => 0,
        }
    }
}

/// The words that a reset leaves as they are.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct FaultLedger {
    /// [`VALID`], or nothing here is to be believed.
    valid: AtomicU32,
    /// The kind that ends, or may end, this run, plus 1. After the next start it is 0 again.
    pending: AtomicU32,
    /// The kind of the newest, plus 1.
    last: AtomicU32,
    pc: AtomicU32,
    lr: AtomicU32,
    in_a_row: AtomicU32,
    /// Those of them that came soon after a start.
    short: AtomicU32,
    counts: [AtomicU32; FaultKind::ALL.len()],
}

/// Hardly what RAM holds after power-up, and not what an image with another layout has left.
const VALID: u32 = 0x5EA1_FA17 ^ LAYOUT;

fn get(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

fn set(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Relaxed);
}

/// Reads a kind that was kept plus 1.
fn kind(plus_1: u32) -> Option<FaultKind> {
    FaultKind::ALL.get(usize::try_from(plus_1.checked_sub(1)?).ok()?).copied()
}

impl FaultLedger {
    pub(crate) const fn new() -> Self {
        Self {
            valid: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            last: AtomicU32::new(0),
            pc: AtomicU32::new(0),
            lr: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            short: AtomicU32::new(0),
            counts: [const { AtomicU32::new(0) }; FaultKind::ALL.len()],
        }
    }

    pub(crate) fn clear(&self) {
        let Self { valid, pending, last, pc, lr, in_a_row, short, counts } = self;
        for word in [pending, last, pc, lr, in_a_row, short].into_iter().chain(counts) {
            set(word, 0);
        }
        set(valid, VALID);
    }

    /// Notes what ends this run.
    pub(crate) fn note(&self, fault: Fault) {
        set(&self.pc, fault.pc);
        set(&self.lr, fault.lr);
        set(&self.pending, fault.kind as u32 + 1);
    }

    /// Notes that the service task hangs, or that it does not after all.
    pub(crate) fn suspect_service(&self, hangs: bool) {
        let mark = FaultKind::ServiceHung as u32 + 1;
        match (get(&self.pending), hangs) {
            (0, true) => self.note(Fault { kind: FaultKind::ServiceHung, pc: 0, lr: 0 }),
            (pending, false) if pending == mark => set(&self.pending, 0),
            _ => {}
        }
    }

    /// Tells what was noted in this run.
    pub(crate) fn pending(&self) -> Option<FaultKind> {
        kind(get(&self.pending))
    }

    /// The same, with its place, from a copy.
    pub(crate) fn pending_in(word: impl Fn(usize) -> u32) -> Option<Fault> {
        use core::mem::offset_of;
        let kind = kind(word(offset_of!(Self, pending)))?;
        Some(Fault { kind, pc: word(offset_of!(Self, pc)), lr: word(offset_of!(Self, lr)) })
    }

    /// Makes it that of another layout.
    #[cfg(test)]
    pub(crate) fn tip_layout(&self) {
        set(&self.valid, VALID ^ 2);
    }

    /// Counts what ended the last run, and tells it. `cause` is what the chip knows of it.
    pub(crate) fn begin(&self, cause: ResetCause) -> Option<FaultKind> {
        if get(&self.valid) != VALID {
            self.clear();
        }
        if self.pending().is_none() {
            let unseen = match cause {
                ResetCause::Watchdog => FaultKind::Stuck,
                ResetCause::Fault => FaultKind::HardFault,
                ResetCause::PowerOn | ResetCause::Reboot => return None,
            };
            self.note(Fault { kind: unseen, pc: 0, lr: 0 });
        }
        let ended = self.pending()?;
        set(&self.pending, 0);
        set(&self.last, ended as u32 + 1);
        for row in [&self.in_a_row, &self.short] {
            set(row, get(row).saturating_add(1));
        }
        if let Some(count) = self.counts.get(ended as usize) {
            set(count, get(count).saturating_add(1));
        }
        Some(ended)
    }

    /// Tells whether runs have ended again and again before control could watch over the load.
    pub(crate) fn is_unwatched(&self) -> bool {
        get(&self.short) >= SHORT_RUNS
    }

    /// Ends a row of short runs.
    pub(crate) fn is_not_short(&self) {
        set(&self.short, 0);
    }

    /// Ends a row of faults.
    pub(crate) fn is_well(&self) {
        set(&self.in_a_row, 0);
    }

    pub(crate) fn faults(&self) -> Faults {
        let last = kind(get(&self.last)).map(|kind| Fault { kind, pc: get(&self.pc), lr: get(&self.lr) });
        let mut counts = [0; FaultKind::ALL.len()];
        for (count, kept) in counts.iter_mut().zip(&self.counts) {
            *count = get(kept);
        }
        Faults { last, counts, in_a_row: get(&self.in_a_row) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Fault = Fault { kind: FaultKind::HardFault, pc: 0x0800_1234, lr: 0x0800_0FF1 };

    #[test]
    fn what_ended_a_run_is_told_once_and_counted_until_the_supply_goes() {
        let ledger = FaultLedger::new();
        assert_eq!(ledger.begin(ResetCause::PowerOn), None);
        assert_eq!(ledger.faults(), Faults::default());
        ledger.note(AT);
        assert_eq!(ledger.begin(ResetCause::Reboot), Some(FaultKind::HardFault));
        assert_eq!(ledger.begin(ResetCause::Reboot), None);
        assert_eq!(ledger.begin(ResetCause::Watchdog), Some(FaultKind::Stuck));
        ledger.note(AT);
        assert_eq!(ledger.begin(ResetCause::Watchdog), Some(FaultKind::HardFault));
        let faults = ledger.faults();
        assert_eq!((faults.last, faults.counts, faults.in_a_row), (Some(AT), [0, 0, 0, 1, 0, 2, 0], 3));
        ledger.clear();
        assert_eq!(ledger.begin(ResetCause::PowerOn), None);
        assert_eq!(ledger.faults(), Faults::default());
    }

    #[test]
    fn a_hang_that_was_none_is_taken_back_and_hides_no_fault() {
        let ledger = FaultLedger::new();
        ledger.begin(ResetCause::PowerOn);
        ledger.suspect_service(true);
        assert_eq!(ledger.pending(), Some(FaultKind::ServiceHung));
        ledger.suspect_service(false);
        assert_eq!(ledger.begin(ResetCause::Reboot), None);
        ledger.suspect_service(true);
        ledger.note(AT);
        ledger.suspect_service(true);
        ledger.suspect_service(false);
        assert_eq!(ledger.begin(ResetCause::Reboot), Some(FaultKind::HardFault));
    }

    #[test]
    fn the_radio_waits_after_three_faults_in_a_row_and_longer_each_time() {
        let holds = [0, 0, 0, 30, 60, 120, 240, 480, 960, 960];
        for (in_a_row, hold_s) in (0..).zip(holds) {
            assert_eq!(Faults { in_a_row, ..Faults::default() }.hold_ms(), hold_s * 1000, "{in_a_row}");
        }
        assert_eq!(Faults { in_a_row: u32::MAX, ..Faults::default() }.hold_ms(), 960_000);
    }

    #[test]
    fn noise_is_no_fault() {
        for noise in [0, 1, 4, 8, u32::MAX] {
            let ledger = FaultLedger::new();
            for word in [&ledger.valid, &ledger.pending, &ledger.last, &ledger.in_a_row] {
                set(word, noise);
            }
            assert_eq!(ledger.begin(ResetCause::Reboot), None);
            assert_eq!(ledger.faults(), Faults::default());
            // Bits that tipped in a ledger that is believed.
            for word in [&ledger.pending, &ledger.last] {
                set(word, noise);
            }
            let _ = (ledger.begin(ResetCause::Reboot), ledger.faults());
        }
    }
}
