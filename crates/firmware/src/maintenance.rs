//! The maintenance task: whoever stands at the tag or the serial line reads the socket and asks of it.
//!
//! It owns the port and nothing else. What it wants of the relay and the settings goes through control, what it wants stored
//! through service: a tag that is stuck keeps nobody else waiting.

use heapless::Vec;
use sockeye_nfc::{
    Arrival, Code, Command, Guard, MAX_ANSWER, Port, Request, STATUS, Session, Shown, Status, Upgrade,
};
use sockeye_settings::{Action, Identity};
use sockeye_state_machine::{Counters, Ignored, Order, Outcome, ResetCause};
use sockeye_upgrade::{self as upgrade, Progress, Refusal};

use crate::board::{Board, Clock};
use crate::notice::{Notice, Observer};
use crate::retained::Retained;
use crate::shared::{Asked, Did, Seen, Shared};

/// Bytes of the buffer that a request lies in with what the tag has around it. A tag of 64 kbit would carry four times as
/// much; RAM is shared with the stack.
pub(crate) const BUFFER: usize = 2048;

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
    /// The answer to the last request, and its length; 0 if there was none.
    pub(crate) answer: [u8; MAX_ANSWER],
    pub(crate) answer_len: usize,
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
        let mut arrival = Some(task.port.next(&mut buffer).await);
        loop {
            shared.ask(Asked::Look);
            shared.did.wait().await;
            let Some(seen) = shared.seen.lock(core::cell::Cell::take) else { continue };
            // How it stands before the request, and after it.
            let Some(arrival) = arrival.take() else {
                let status = task.status(&seen, shared).bytes();
                let answer = task.answer.get(..task.answer_len).unwrap_or_default();
                let shown = Shown { status: &status, settings: &seen.settings, answer };
                task.port.show(shown, &mut buffer).await;
                break;
            };
            task.handle(arrival, &mut buffer, &seen, shared).await;
        }
    }
}

impl<B: Board> Maintenance<B> {
    /// Checks a request, does it, and puts the answer down.
    async fn handle(&mut self, arrival: Arrival, buffer: &mut [u8], seen: &Seen, shared: &Shared) {
        let place = match &arrival {
            Arrival::Request(place) => place.clone(),
            Arrival::TooLong | Arrival::Refresh => 0..0,
        };
        let bytes = buffer.get_mut(place).unwrap_or_default();
        let opened = match arrival {
            // A challenge that is shown is in flash: else the next start would show another one.
            Arrival::Refresh => Err(Code::Done),
            _ => self.session.open(self.clock.now_ms(), &seen.password, bytes).await,
        };
        // Before anything is done, and before anybody learns whether the password was right.
        let is_stored = self.store_record(shared).await;
        let mut body = Vec::<u8, STATUS>::new();
        let mut settings: &[u8] = &[];
        let (mut asked, mut upgrade) = (None, None);
        let mut code = match opened {
            _ if arrival == Arrival::Refresh => return,
            _ if arrival == Arrival::TooLong => Code::TooLong,
            _ if !is_stored => Code::NotStored,
            Err(code) => {
                if matches!(code, Code::Wait | Code::WrongPassword) {
                    let _ = body.extend_from_slice(&self.session.wait_s(self.clock.now_ms()).to_le_bytes());
                }
                code
            }
            Ok(Request::Status) => {
                let _ = body.extend_from_slice(&self.status(seen, shared).bytes());
                Code::Done
            }
            Ok(Request::Settings) => {
                settings = &seen.settings;
                Code::Done
            }
            Ok(Request::Write { guard, form }) => match self.refuses(guard, seen) {
                Some(code) => code,
                None => {
                    asked = Vec::from_slice(form).ok().map(Asked::Change);
                    Code::TooLong
                }
            },
            Ok(Request::Command(command)) => {
                asked = Some(Asked::Order(order(command)));
                Code::Done
            }
            Ok(Request::UpgradeBegin { header }) => {
                upgrade = Some(upgrade::Request::Begin { header });
                Code::Upgrade
            }
            Ok(Request::UpgradeChunk { offset, data }) => {
                upgrade = Some(upgrade::Request::Chunk { offset, data });
                Code::Upgrade
            }
            Ok(Request::UpgradeFinish) => {
                upgrade = Some(upgrade::Request::Finish);
                Code::Upgrade
            }
            Ok(Request::UpgradeAbort) => {
                upgrade = Some(upgrade::Request::Abort);
                Code::Upgrade
            }
        };
        if let Some(asked) = asked {
            shared.ask(asked);
            code = match shared.did.wait().await {
                Did::Control(Outcome::Done) => Code::Done,
                Did::Control(Outcome::Refused(refusal)) => {
                    let _ = body.extend_from_slice(&[refusal.tag, refusal.why as u8]);
                    Code::Settings
                }
                _ => Code::NotStored,
            };
        }
        if let Some(request) = upgrade {
            if shared.upgrade(request).await.is_ok() {
                code = Code::Done;
            }
            let _ = body.extend_from_slice(&progress(shared).bytes());
        }
        self.observer.observe(Notice::Maintenance { kind: self.session.kind_code(), code });
        let body = if settings.is_empty() { &body } else { settings };
        self.answer_len = self.session.answer(code, body, &mut self.answer);
    }
    /// Tells why a change is not for this device.
    fn refuses(&self, guard: Guard, seen: &Seen) -> Option<Code> {
        if guard.model.is_some_and(|model| model != self.identity.model) {
            return Some(Code::OtherModel);
        }
        guard.region.is_some_and(|region| region != seen.region).then_some(Code::OtherRegion)
    }

    /// Has the session's record stored, if it has changed; tells whether the flash holds it.
    async fn store_record(&mut self, shared: &Shared) -> bool {
        let Some(record) = self.session.record() else { return true };
        shared.service.put(|work| work.maintenance = Some(record));
        let is_stored = matches!(shared.did.wait().await, Did::Stored(true));
        if !is_stored {
            self.session.unstored();
        }
        is_stored
    }

    fn status(&self, seen: &Seen, shared: &Shared) -> Status {
        let now_ms = self.clock.now_ms();
        let reading = seen.reading.unwrap_or_default();
        let count = |ignored: &[Ignored]| count(&seen.counters, ignored);
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

/// How often any of these happened.
fn count(counters: &Counters, ignored: &[Ignored]) -> u16 {
    let sum = ignored.iter().fold(0_u32, |sum, what| sum.saturating_add(counters.ignored(*what)));
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Tells how the upgrade stands, as the port shows it.
fn progress(shared: &Shared) -> Upgrade {
    let Progress { state, refused, received, total } = shared.upgrade_progress();
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
