//! The maintenance task: whoever stands at the tag or the serial line reads the socket and asks of it.
//!
//! It owns the port and nothing else. What it wants of the relay and the settings goes through control, what it wants stored
//! through service: a tag that is stuck keeps nobody else waiting.

use embassy_futures::select::{Either, select};
use heapless::Vec;
use sockeye_nfc::{
    Answer, Arrival, Challenge, Code, Command, Envelope, Guard, MAX_ANSWER, Opened, Port, Request, STATUS,
    Session, Shown, Status, Upgrade, UpgradeState,
};
use sockeye_settings::{Action, Identity};
use sockeye_state_machine::{Ignored, Order, Outcome, ResetCause};
use sockeye_upgrade::{self as upgrade, Progress, Refusal};

use crate::board::{Board, Clock};
use crate::notice::{Notice, Observer};
use crate::retained::Retained;
use crate::shared::{Asked, ControlEvent, Seen, Shared};

/// Bytes of the buffer that a request lies in with what the tag has around it. A tag of 64 kbit would carry four times as
/// much; RAM is shared with the stack.
pub(crate) const BUFFER: usize = 2048;

/// How long control may take for an answer: a store takes its time, and is given up after 10 s (state machine).
const CONTROL_LIMIT_MS: u64 = 15_000;

/// What the maintenance task owns.
pub struct Maintenance<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) port: B::Port,
    pub(crate) observer: B::Observer,
    pub(crate) identity: Identity,
    pub(crate) retained: &'static Retained,
    pub(crate) reset_cause: ResetCause,
    pub(crate) software_version: [u8; 2],
    pub(crate) session: Session,
    /// The answer to the last request.
    pub(crate) answer: Vec<u8, MAX_ANSWER>,
}

impl<B: Board> core::fmt::Debug for Maintenance<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Maintenance").finish_non_exhaustive()
    }
}

/// Runs the maintenance task. It never returns. A board without a port need not run it.
///
/// # Cancel safety
/// None: it is meant to be spawned once and kept.
pub async fn maintenance<B: Board>(task: &mut Maintenance<B>, shared: &Shared) -> ! {
    let mut buffer = [0; BUFFER];
    loop {
        match task.port.next(&mut buffer).await {
            Arrival::Request(range) => {
                task.handle(Ok(buffer.get_mut(range).unwrap_or_default()), shared).await;
            }
            Arrival::TooLong => task.handle(Err(Code::TooLong), shared).await,
            // A challenge that is shown is in flash: else the next start would show another one.
            Arrival::Refresh => drop(task.store_record(shared).await),
        }
        let Some(seen) = task.look(shared).await else { continue };
        let status = task.status(&seen, shared).bytes();
        let shown = Shown { status: &status, settings: &seen.settings, answer: &task.answer };
        task.port.show(shown, &mut buffer).await;
    }
}

/// What an answer says.
type Said = (Code, Vec<u8, { MAX_ANSWER - 20 }>);

fn say(code: Code, body: &[u8]) -> Said {
    (code, Vec::from_slice(body).unwrap_or_default())
}

impl<B: Board> Maintenance<B> {
    /// Checks a request, does it, and puts the answer down.
    async fn handle(&mut self, request: Result<&mut [u8], Code>, shared: &Shared) {
        let said = match request {
            Ok(bytes) => self.obey(bytes, shared).await,
            Err(code) => Err((code, None)),
        };
        let ((code, body), envelope, is_genuine) = match said {
            Ok((said, envelope)) => {
                (said, Some(envelope), envelope.kind.is_some_and(|kind| kind.is_guarded()))
            }
            Err((code, envelope)) => {
                let wait = self.session.wait_s(self.clock.now_ms()).to_le_bytes();
                let body: &[u8] = if matches!(code, Code::Wait | Code::WrongPassword) { &wait } else { &[] };
                (say(code, body), envelope, false)
            }
        };
        let (kind, challenge) =
            envelope.map_or((0, Challenge::default()), |envelope| (envelope.kind_code, envelope.challenge));
        self.observer.observe(Notice::Maintenance { kind, code });
        // Who does not know the password gets nothing that the keys were used on.
        let keys = self.session.keys().filter(|_| is_genuine);
        let _ = self.answer.resize(MAX_ANSWER, 0);
        let len = Answer::write(code, kind, challenge, &body, keys, &mut self.answer).await;
        self.answer.truncate(len);
    }

    /// Checks a request and does it.
    async fn obey(
        &mut self,
        bytes: &mut [u8],
        shared: &Shared,
    ) -> Result<(Said, Envelope), (Code, Option<Envelope>)> {
        let Some(seen) = self.look(shared).await else { return Err((Code::Busy, None)) };
        let opened = self.session.open(self.clock.now_ms(), &seen.password, bytes).await;
        // Before anything is done, and before anybody learns whether the password was right.
        if !self.store_record(shared).await {
            return Err((
                Code::NotStored,
                opened.map_or_else(|(_, envelope)| envelope, |it| Some(it.envelope)),
            ));
        }
        let Opened { request, envelope } = opened?;
        let asked = match request {
            Request::Status => return Ok((say(Code::Done, &self.status(&seen, shared).bytes()), envelope)),
            Request::Settings => return Ok((say(Code::Done, &seen.settings), envelope)),
            Request::Write { guard, form } => match self.refuses(guard, &seen) {
                Some(code) => return Ok((say(code, &[]), envelope)),
                None => Vec::from_slice(form).ok().map(Asked::Change),
            },
            Request::Command(command) => Some(Asked::Order(order(command))),
            Request::UpgradeBegin { .. }
            | Request::UpgradeChunk { .. }
            | Request::UpgradeFinish
            | Request::UpgradeAbort => return Ok((self.upgrade(&request, shared).await, envelope)),
        };
        let said = match asked {
            Some(asked) => self.ask(asked, shared).await,
            None => say(Code::TooLong, &[]),
        };
        Ok((said, envelope))
    }

    /// Tells why a change is not for this device.
    fn refuses(&self, guard: Guard, seen: &Seen) -> Option<Code> {
        if guard.model.is_some_and(|model| model != self.identity.model) {
            return Some(Code::OtherModel);
        }
        guard.region.is_some_and(|region| region != seen.region).then_some(Code::OtherRegion)
    }

    /// Has the service task do something of an upgrade, and says how it stands then.
    async fn upgrade(&self, request: &Request<'_>, shared: &Shared) -> Said {
        let request = match *request {
            Request::UpgradeBegin { header } => upgrade::Request::Begin { header },
            Request::UpgradeChunk { offset, data } => upgrade::Request::Chunk { offset, data },
            Request::UpgradeFinish => upgrade::Request::Finish,
            _ => upgrade::Request::Abort,
        };
        let code = match self.within(shared.upgrade(request)).await {
            Some(Ok(_)) => Code::Done,
            Some(Err(_)) => Code::Upgrade,
            None => Code::Busy,
        };
        say(code, &progress(shared).bytes())
    }

    /// Has control do something, and says what came of it.
    async fn ask(&mut self, asked: Asked, shared: &Shared) -> Said {
        shared.outcome.reset();
        shared.asked.signal(asked);
        shared.events.send(ControlEvent::Maintain).await;
        match self.within(shared.outcome.wait()).await {
            Some(Outcome::Done) => say(Code::Done, &[]),
            Some(Outcome::Refused(refusal)) => say(Code::Settings, &[refusal.tag, refusal.why as u8]),
            Some(Outcome::NotStored) => say(Code::NotStored, &[]),
            None => say(Code::Busy, &[]),
        }
    }

    /// Has control tell how the socket stands.
    async fn look(&self, shared: &Shared) -> Option<Seen> {
        shared.seen.reset();
        shared.asked.signal(Asked::Look);
        shared.events.send(ControlEvent::Maintain).await;
        self.within(shared.seen.wait()).await
    }

    async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let end_ms = self.clock.now_ms().saturating_add(CONTROL_LIMIT_MS);
        match select(future, self.clock.until_ms(end_ms)).await {
            Either::First(value) => Some(value),
            Either::Second(()) => None,
        }
    }

    /// Has the session's record stored, if it has changed; tells whether the flash holds it.
    async fn store_record(&mut self, shared: &Shared) -> bool {
        let Some(record) = self.session.record() else { return true };
        shared.maintenance_stored.reset();
        shared.service.put(|work| work.maintenance = Some(record));
        let stored = self.within(shared.maintenance_stored.wait()).await.unwrap_or(false);
        if !stored {
            self.session.unstored();
        }
        stored
    }

    fn status(&self, seen: &Seen, shared: &Shared) -> Status {
        let now_ms = self.clock.now_ms();
        let reading = seen.reading.unwrap_or_default();
        let count = |ignored: &[Ignored]| {
            let sum =
                ignored.iter().fold(0_u32, |sum, what| sum.saturating_add(seen.counters.ignored(*what)));
            u16::try_from(sum).unwrap_or(u16::MAX)
        };
        let faults = self.retained.faults();
        let restarts = faults.counts.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
        Status {
            model: self.identity.model,
            region: seen.region,
            sn: self.identity.sn,
            dev_eui: self.identity.dev_eui,
            hardware_version: self.identity.hardware_version,
            software_version: self.software_version,
            relay_on: seen.relay_on,
            joined: seen.online,
            measured: seen.reading.is_some(),
            voltage_mv: reading.voltage_mv,
            current_ma: reading.current_ma,
            power_mw: reading.power_mw,
            power_factor_permille: reading.power_factor_permille(),
            energy_wh: u32::try_from(seen.energy_uwh / 1_000_000).unwrap_or(u32::MAX),
            uptime_s: u32::try_from(now_ms / 1000).unwrap_or(u32::MAX),
            reset_cause: self.reset_cause as u8,
            faults: sockeye_nfc::Faults {
                commands: count(&[
                    Ignored::Port,
                    Ignored::UnknownCommand,
                    Ignored::TruncatedCommand,
                    Ignored::OutOfRange,
                ]),
                meter: count(&[Ignored::MeterFailure]),
                readings: count(&[Ignored::ImplausibleReading]),
                stores: count(&[Ignored::NotStored]),
                restarts: u16::try_from(restarts).unwrap_or(u16::MAX),
                last_restart: faults.last.map_or(0, |fault| (fault.kind as u8).saturating_add(1)),
            },
            upgrade: progress(shared),
            wait_s: self.session.wait_s(now_ms),
            max_request: u16::try_from(self.port.room(BUFFER)).unwrap_or(u16::MAX),
            challenge: self.session.challenge(),
        }
    }
}

const _: () = assert!(STATUS + 20 <= MAX_ANSWER, "a status fits an answer");

/// Tells how the upgrade stands, as the port shows it.
fn progress(shared: &Shared) -> Upgrade {
    let Progress { state, refused, received, total } = shared.upgrade_progress();
    let state = UpgradeState::ALL.get(state as usize).copied().unwrap_or_default();
    Upgrade { state, refused: refused.map_or(0, Refusal::code), received, total }
}

/// Names what control does for a command.
fn order(command: Command) -> Order {
    match command {
        Command::Off => Order::Switch(Action::Off),
        Command::On => Order::Switch(Action::On),
        Command::Toggle => Order::Switch(Action::Toggle),
        Command::Report => Order::Report,
        Command::Reboot => Order::Reboot,
        Command::FactoryReset => Order::FactoryReset,
        Command::ResetEnergy => Order::ResetEnergy,
    }
}
