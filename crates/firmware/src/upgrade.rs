//! An upgrade as the running device does it: it takes the image, restarts into it, and stays with it if it is well.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use heapless::Vec;
use sockeye_state_machine::RebootCause;
use sockeye_upgrade::{
    BoardName, Device, HEADER_LEN, Progress, Refusal, Request, SIGNED_LEN, Slots, State, Upgrade, Verify,
};

use crate::board::{Board, Clock, System};
use crate::notice::{Notice, Observer};
use crate::service::Service;
use crate::shared::{ControlEvent, Did, Heartbeat, Shared};
use crate::start::SOFTWARE_VERSION;

/// How long a new image has to be well before it stays (behaviour.md, Settings by NFC, and maintenance).
const TRIAL_MS: u64 = 60_000;

/// How long it may take to become well. A join may have to wait for its channel, and a meter for its mains.
const TRIAL_LIMIT_MS: u64 = 300_000;

/// How old the last good reading of the meter may be, in s: it is read ten times a second.
const METER_LIMIT_S: u32 = 2;

/// From the last chunk to the restart: time for the answer to be fetched.
const RESTART_MS: u64 = 3_000;

/// How long the flash waits for the windows of a transmission. One that is missed costs less than a tool that gives up.
const QUIET_LIMIT_MS: u64 = 3_000;

/// How long a restart waits for the end of a transmission: RX2 at the longest delay, and a frame in it.
const RESTART_LIMIT_MS: u64 = 20_000;

/// The device takes whole words of so many bytes.
const WORD: usize = 8;

/// How often to look whether the radio is quiet.
const LOOK_MS: u64 = 20;

/// What the board says of its upgrades.
#[derive(Debug)]
pub struct UpgradeParts<V> {
    /// The name of the board and its variant, as in board.toml.
    pub board: BoardName,
    /// Where an image comes in.
    pub slots: Slots,
    /// The longest image, in bytes: the length of the active slot.
    pub capacity: u32,
    /// The version of the image that runs, for `ff0a`: [`SOFTWARE_VERSION`](crate::SOFTWARE_VERSION) on a chip.
    pub version: [u8; 2],
    /// SHA-512, and the maker's key.
    pub verify: V,
}

impl<V: Verify> UpgradeParts<V> {
    pub(crate) fn begin(self, hardware: [u8; 2]) -> Upgrade<V> {
        let Self { board, slots, capacity, version, verify } = self;
        Upgrade::new(Device { board, hardware, version, capacity }, slots, verify)
    }
}

/// Stands for the bootloader on a board that has none: no signature is right, and every upgrade is refused.
#[derive(Clone, Copy, Debug)]
pub struct NoUpgrades;

impl Verify for NoUpgrades {
    type Hash = ();

    fn begin(&mut self) {}

    fn update(&mut self, (): &mut (), _: &[u8]) {}

    fn finish(&mut self, (): ()) -> [u8; 64] {
        [0; 64]
    }

    fn is_signed(&mut self, _: &[u8; SIGNED_LEN], _: &[u8; 64]) -> bool {
        false
    }
}

impl From<NoUpgrades> for UpgradeParts<NoUpgrades> {
    fn from(verify: NoUpgrades) -> Self {
        const NONE: BoardName = BoardName::new("none").expect("a name");
        let slots = Slots { state: 0..0, dfu: 0..0 };
        Self { board: NONE, slots, capacity: 0, version: SOFTWARE_VERSION, verify }
    }
}

/// What a new image is judged by.
#[derive(Debug)]
pub(crate) struct Health {
    /// Beats with each good reading.
    pub(crate) meter: Heartbeat,
    /// The relay's pin refused its last level.
    pub(crate) relay_failed: AtomicBool,
    /// What the radio did last: [`UNTRIED`], [`FAILED`] or [`WELL`].
    radio: AtomicU8,
}

const UNTRIED: u8 = 0;
const FAILED: u8 = 1;
const WELL: u8 = 2;

impl Health {
    pub(crate) const fn new() -> Self {
        Self { meter: Heartbeat::new(), relay_failed: AtomicBool::new(false), radio: AtomicU8::new(UNTRIED) }
    }

    /// Notes that the radio has sent or heard a frame, or has failed to.
    pub(crate) fn radio_is(&self, well: bool) {
        self.radio.store(if well { WELL } else { FAILED }, Ordering::Relaxed);
    }
}

/// What a trial has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    Stay,
    GoBack,
}

/// What the service task keeps of an upgrade beside the writer.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// When the new image began to run.
    pub(crate) since_ms: u64,
    /// When the restart is due; after it was asked for, never.
    pub(crate) restart_ms: Option<u64>,
    /// The restart was asked for.
    pub(crate) is_over: bool,
    /// The last store failed.
    pub(crate) flash_failed: bool,
}

/// As much of a request as the service task gets at once: a header, or as many bytes of the image, a whole number of words.
pub(crate) struct Piece {
    kind: Kind,
    offset: u32,
    bytes: Vec<u8, HEADER_LEN>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Begin,
    Chunk,
    Finish,
    Abort,
}

impl Piece {
    fn request(&self) -> Request<'_> {
        match self.kind {
            Kind::Begin => Request::Begin { header: &self.bytes },
            Kind::Chunk => Request::Chunk { offset: self.offset, data: &self.bytes },
            Kind::Finish => Request::Finish,
            Kind::Abort => Request::Abort,
        }
    }
}

impl Shared {
    /// Does what a tool asks of an upgrade. For one caller at a time. [`upgrade_progress`](Self::upgrade_progress) tells how it stands then.
    ///
    /// # Errors
    /// Why it is refused.
    ///
    /// # Cancel safety
    /// None: the maintenance task awaits it to its end.
    pub async fn upgrade(&self, request: Request<'_>) -> Result<(), Refusal> {
        let (kind, mut offset, mut rest) = match request {
            Request::Begin { header } => (Kind::Begin, 0, header),
            Request::Chunk { offset, data } => (Kind::Chunk, offset, data),
            Request::Finish => (Kind::Finish, 0, &[][..]),
            Request::Abort => (Kind::Abort, 0, &[][..]),
        };
        loop {
            let (now, later) = rest.split_at(rest.len().min(HEADER_LEN));
            let bytes = Vec::from_slice(now).unwrap_or_default();
            self.service.put(|work| work.upgrade = Some(Piece { kind, offset, bytes }));
            let Did::Upgraded(outcome) = self.did.wait().await else { return Err(Refusal::Flash) };
            let progress = outcome?;
            // What stands behind a header is passed over. Less than a word comes again, unless it is the end of the image.
            let is_tail =
                later.len() < WORD && progress.received.saturating_add(later.len() as u32) != progress.total;
            if kind != Kind::Chunk || later.is_empty() || is_tail {
                return Ok(());
            }
            offset = progress.received;
            rest = later;
        }
    }

    /// Tells how the upgrade stands.
    pub fn upgrade_progress(&self) -> Progress {
        self.progress.lock(Cell::get)
    }

    pub(crate) fn note_progress(&self, progress: Progress) {
        self.progress.lock(|place| place.set(progress));
    }
}

impl<B: Board> Service<B> {
    /// Does a piece of what a tool asks. It waits while the radio awaits an answer of the network, 3 s at most.
    pub(crate) async fn upgrade(&mut self, piece: &Piece, shared: &Shared) -> Result<Progress, Refusal> {
        self.until_quiet(QUIET_LIMIT_MS, shared).await;
        let outcome = self.handle(piece.request(), shared);
        shared.note_progress(self.upgrade.progress());
        outcome
    }

    fn handle(&mut self, request: Request<'_>, shared: &Shared) -> Result<Progress, Refusal> {
        let now_ms = self.clock.now_ms();
        let is_lost = now_ms < self.calm_from_ms;
        let Self { storage, upgrade, retained, .. } = self;
        let flash = storage.flash().ok_or(Refusal::Flash)?;
        if upgrade.progress().state != State::Trying {
            retained.set_no_meter(!shared.health.meter.has_beaten());
        }
        let must_stop = || is_lost || shared.service.look(|work| work.supply_lost);
        let progress = upgrade.handle(flash, request, must_stop)?;
        if progress.state == State::Ready && !self.course.is_over {
            self.course.restart_ms = Some(now_ms.saturating_add(RESTART_MS));
        }
        Ok(progress)
    }

    /// Looks once a second: restarts into an image that is complete, and judges one that runs on trial.
    pub(crate) fn tend_upgrade(&mut self, now_ms: u64, shared: &Shared) {
        if self.course.restart_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.ask_for_restart(shared);
        }
        if self.upgrade.progress().state != State::Trying || self.course.is_over {
            return;
        }
        match self.verdict(now_ms, shared) {
            Verdict::Wait => {}
            Verdict::Stay => {
                let Self { storage, upgrade, .. } = self;
                let confirmed = match storage.flash() {
                    Some(flash) => upgrade.confirm(flash),
                    None => Err(Refusal::Flash),
                };
                // A flash that refuses is asked again, until it is too late.
                self.course.flash_failed = confirmed.is_err();
                shared.note_progress(self.upgrade.progress());
                if confirmed.is_ok() {
                    self.observer.observe(Notice::Upgrade { state: State::Confirmed });
                }
            }
            Verdict::GoBack => {
                self.observer.observe(Notice::Error { what: "upgrade: the new image is not well" });
                self.ask_for_restart(shared);
            }
        }
    }

    fn verdict(&self, now_ms: u64, shared: &Shared) -> Verdict {
        let Health { meter, relay_failed, radio } = &shared.health;
        let passed_ms = now_ms.saturating_sub(self.course.since_ms);
        let is_late = passed_ms >= TRIAL_LIMIT_MS;
        let radio = match radio.load(Ordering::Relaxed) {
            // No channel to send on, or no leave to: then there is no fault to be seen either.
            UNTRIED => is_late,
            outcome => outcome == WELL,
        };
        let is_well = radio
            && (meter.is_recent(now_ms, METER_LIMIT_S) || self.retained.no_meter())
            && !relay_failed.load(Ordering::Relaxed)
            && !self.course.flash_failed;
        match (is_well, is_late) {
            (true, _) if passed_ms >= TRIAL_MS => Verdict::Stay,
            (false, true) => Verdict::GoBack,
            _ => Verdict::Wait,
        }
    }

    /// Has control put its things in order and ask for the restart. If it is too busy to hear, it is asked again.
    fn ask_for_restart(&mut self, shared: &Shared) {
        let event = ControlEvent::Restart(RebootCause::Upgrade);
        self.course.is_over = shared.events.try_send(event).is_ok();
        if self.course.is_over {
            self.course.restart_ms = None;
        }
    }

    /// Tells whether the restart has to wait, one for an upgrade for the end of a transmission and its windows, and each for counters
    /// that the flash has lost; and waits a moment if so. The caller looks for work in between: what is to be stored meanwhile comes
    /// before the restart.
    pub(crate) async fn restart_has_to_wait(&mut self, cause: RebootCause, shared: &Shared) -> bool {
        let now_ms = self.clock.now_ms();
        let latest_ms = *self.restart_latest_ms.get_or_insert(now_ms.saturating_add(RESTART_LIMIT_MS));
        let waits = self.counters_lost || (cause == RebootCause::Upgrade && is_busy(shared));
        if !waits || now_ms >= latest_ms {
            return false;
        }
        // The others go on meanwhile, and so does the watchdog.
        shared.service_alive.beat(now_ms);
        self.system.feed_watchdog();
        self.clock.until_ms(now_ms.saturating_add(LOOK_MS)).await;
        true
    }

    async fn until_quiet(&self, limit_ms: u64, shared: &Shared) {
        let end_ms = self.clock.now_ms().saturating_add(limit_ms);
        while is_busy(shared) && self.clock.now_ms() < end_ms {
            self.clock.until_ms(self.clock.now_ms().saturating_add(LOOK_MS)).await;
        }
    }
}

fn is_busy(shared: &Shared) -> bool {
    shared.radio_busy.load(Ordering::Relaxed)
}
