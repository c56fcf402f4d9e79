//! What the tasks share: a bounded channel, mailboxes, and nothing that one of them could hold on to.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use heapless::Vec;
use sockeye_lorawan_mac as mac;
use sockeye_metering::Reading;
use sockeye_settings::{Action, MAX_STORED, Password, Region, Settings};
use sockeye_state_machine::{
    Counters, DelayTask, Order, Outbox, Outcome, RebootCause, Socket, StoreItem, UplinkKind,
};
use sockeye_storage::RecordId;
use sockeye_upgrade::{Progress, Refusal};

use crate::upgrade::{Health, Piece};

/// Longest application payload of any data rate, in bytes (LoRaWAN regional parameters, N at M = 250).
pub const MAX_PAYLOAD: usize = 242;

/// What control hears from the other tasks.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to box a payload in")]
pub(crate) enum ControlEvent {
    Downlink {
        port: u8,
        payload: Vec<u8, MAX_PAYLOAD>,
        multicast: bool,
    },
    Button {
        pressed: bool,
    },
    D2d(Action),
    JoinRequested,
    Joined,
    SessionResumed,
    SupplyLost,
    Stored {
        item: StoreItem,
        number: u8,
    },
    RecordsLost,
    /// Something lies in [`Shared::asked`].
    Maintain,
    Restart(RebootCause),
    #[cfg(feature = "certification")]
    ResetRequested,
}

/// Settings in their stored form.
pub(crate) type Form = Vec<u8, MAX_STORED>;

/// What the maintenance task asks of control.
#[expect(clippy::large_enum_variant, reason = "there is no heap to box a form in")]
pub(crate) enum Asked {
    /// Tell how the socket stands.
    Look,
    /// Change settings.
    Change(Form),
    /// Do something at once.
    Order(Order),
}

/// How the socket stands.
pub(crate) struct Seen {
    /// The settings without what is secret.
    pub(crate) settings: Form,
    pub(crate) password: Password,
    pub(crate) region: Region,
    pub(crate) relay_on: bool,
    pub(crate) online: bool,
    pub(crate) reading: Option<Reading>,
    pub(crate) energy_uwh: u64,
    pub(crate) counters: Counters,
}

impl Seen {
    /// Looks at the socket.
    pub(crate) fn of(socket: &Socket, now_ms: u64) -> Self {
        let mut settings = Form::new();
        let _ = settings.resize(MAX_STORED, 0);
        let len = socket.settings().encode_public(&mut settings).unwrap_or(0);
        settings.truncate(len);
        Self {
            settings,
            password: socket.settings().general.password,
            region: socket.settings().lorawan.region,
            relay_on: socket.relay_on(),
            online: socket.is_online(),
            reading: socket.fresh_reading(now_ms),
            energy_uwh: socket.energy_uwh(),
            counters: *socket.counters(),
        }
    }
}

/// What came of the work that the maintenance task asked for. It asks for one piece at a time and waits for it to the end: control
/// and service are ended by the watchdog if they hang, so what is answered is what happened.
pub(crate) enum Did {
    /// Control has looked, or has done what was asked.
    Control(Outcome),
    /// Service has stored the session's record, or has failed to.
    Stored(bool),
    /// Service has done a piece of an upgrade.
    Upgraded(Result<Progress, Refusal>),
}

/// What control asks of the radio task.
#[derive(Default)]
pub(crate) struct RadioWork {
    /// Join, or resume the stored session.
    pub(crate) start: bool,
    /// The reporting interval, when it has changed: checks of the link follow it.
    pub(crate) reporting_interval_s: Option<u32>,
    /// The flash has lost the records.
    pub(crate) records_lost: bool,
    /// What waits to be sent. It drops by its own rules, never for lack of a place in a channel.
    pub(crate) outbox: Outbox,
}

/// What is asked of the service task. Of each record only the newest value counts.
#[derive(Default)]
pub(crate) struct ServiceWork {
    pub(crate) settings: Option<Settings>,
    pub(crate) relay_on: Option<bool>,
    pub(crate) energy_uwh: Option<u64>,
    pub(crate) delay_task: Option<Option<DelayTask>>,
    /// The number of the store that asked for each of these, by [`StoreItem`].
    pub(crate) numbers: [u8; StoreItem::ALL.len()],
    /// A record that the radio task waits for.
    pub(crate) awaited: Option<(RecordId, mac::RecordBytes)>,
    /// The session's record, which the maintenance task waits for.
    pub(crate) maintenance: Option<[u8; sockeye_nfc::RECORD]>,
    /// A piece of an upgrade.
    pub(crate) upgrade: Option<Piece>,
    pub(crate) supply_lost: bool,
    /// A frame for this socket was heard just now, of which a record is stored: the next one is still to come.
    pub(crate) heard: bool,
    pub(crate) factory_reset: bool,
    pub(crate) reboot: Option<RebootCause>,
}

/// A place where one task leaves work for another, who is woken by it.
pub(crate) struct Mailbox<T> {
    work: Mutex<CriticalSectionRawMutex, RefCell<T>>,
    changed: Signal<CriticalSectionRawMutex, ()>,
}

impl<T: Default> Mailbox<T> {
    fn new() -> Self {
        Self { work: Mutex::new(RefCell::new(T::default())), changed: Signal::new() }
    }

    /// Changes the work, and wakes the task that does it.
    pub(crate) fn put(&self, change: impl FnOnce(&mut T)) {
        self.look(change);
        self.changed.signal(());
    }

    /// Reads or changes the work without waking anybody.
    pub(crate) fn look<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        self.work.lock(|work| with(&mut work.borrow_mut()))
    }

    /// Takes all of the work.
    pub(crate) fn take(&self) -> T {
        self.look(core::mem::take)
    }

    /// Waits for work that was put since the last wait.
    ///
    /// # Cancel safety
    /// Nothing is lost: the work stays where it is.
    pub(crate) async fn changed(&self) {
        self.changed.wait().await;
    }
}

/// The last reading, or that there was none.
pub(crate) type MeterResult = Result<Reading, MeterFailure>;

/// The meter did not answer, or what it answered was dropped by its driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeterFailure;

/// Channels and signals between the tasks.
///
/// One for each socket; on a chip it lies in a `StaticCell`.
pub struct Shared {
    pub(crate) events: Channel<CriticalSectionRawMutex, ControlEvent, 6>,
    pub(crate) radio: Mailbox<RadioWork>,
    pub(crate) service: Mailbox<ServiceWork>,
    pub(crate) reading: Signal<CriticalSectionRawMutex, MeterResult>,
    /// An outage alert lies in the outbox: the last uplink before the supply is gone.
    pub(crate) outage: Signal<CriticalSectionRawMutex, ()>,
    /// Whether the record that the radio task waits for is in flash.
    pub(crate) awaited_stored: Signal<CriticalSectionRawMutex, bool>,
    /// What the maintenance task asks of control.
    pub(crate) asked: Signal<CriticalSectionRawMutex, Asked>,
    /// What control saw.
    pub(crate) seen: Mutex<CriticalSectionRawMutex, Cell<Option<Seen>>>,
    /// What came of the work of the maintenance task.
    pub(crate) did: Signal<CriticalSectionRawMutex, Did>,
    /// How the upgrade stands.
    pub(crate) progress: Mutex<CriticalSectionRawMutex, Cell<Progress>>,
    /// The radio sends, or awaits an answer.
    pub(crate) radio_busy: AtomicBool,
    pub(crate) health: Health,
    pub(crate) control_alive: Heartbeat,
    pub(crate) radio_alive: Heartbeat,
    pub(crate) service_alive: Heartbeat,
}

impl Shared {
    /// Shows each uplink that waits, with the bytes still to be sent: for whoever watches a socket.
    pub fn each_waiting(&self, mut each: impl FnMut(UplinkKind, usize)) {
        self.radio.look(|work| work.outbox.waiting().for_each(|(kind, bytes)| each(kind, bytes)));
    }

    /// Leaves something with control, for the maintenance task.
    pub(crate) fn ask(&self, asked: Asked) {
        self.asked.signal(asked);
        // With a full channel it is awake anyway: it looks for this with each event.
        let _ = self.events.try_send(ControlEvent::Maintain);
    }

    /// Makes empty channels.
    #[must_use]
    pub fn new() -> Self {
        Self {
            events: Channel::new(),
            radio: Mailbox::new(),
            service: Mailbox::new(),
            reading: Signal::new(),
            outage: Signal::new(),
            awaited_stored: Signal::new(),
            asked: Signal::new(),
            seen: Mutex::new(Cell::new(None)),
            did: Signal::new(),
            progress: Mutex::new(Cell::new(Progress::default())),
            radio_busy: AtomicBool::new(false),
            health: Health::new(),
            control_alive: Heartbeat::new(),
            radio_alive: Heartbeat::new(),
            service_alive: Heartbeat::new(),
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// When a task last showed that it makes progress: the lower half of the clock in milliseconds, and 0 before the first time.
/// What lies more than 24 days back looks like the present; the watchdog ends a silence long before.
#[derive(Debug)]
pub(crate) struct Heartbeat(AtomicU32);

impl Heartbeat {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[expect(clippy::cast_possible_truncation, reason = "differences are told from the lower half")]
    pub(crate) fn beat(&self, now_ms: u64) {
        self.0.store((now_ms as u32).max(1), Ordering::Relaxed);
    }

    /// Tells whether there was a beat.
    pub(crate) fn has_beaten(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Tells whether the last beat, or the start, lies less than `limit_s` and a second back.
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    pub(crate) fn is_recent(&self, now_ms: u64, limit_s: u32) -> bool {
        // A beat in the one millisecond that shows 0 was noted as of the next.
        let silent_ms = (now_ms as u32).wrapping_sub(self.0.load(Ordering::Relaxed)).cast_signed();
        silent_ms < limit_s.saturating_add(1).saturating_mul(1000).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_recent_up_to_its_limit_and_not_beyond() {
        let heart = Heartbeat::new();
        heart.beat(10_000);
        for (now_ms, recent) in [(10_000, true), (15_999, true), (16_000, false)] {
            assert_eq!(heart.is_recent(now_ms, 5), recent, "{now_ms}");
        }
    }

    #[test]
    fn a_heartbeat_goes_on_where_the_lower_half_of_the_clock_begins_anew() {
        let heart = Heartbeat::new();
        assert!(!heart.has_beaten());
        let wrap_ms = 1 << 32;
        for beat_ms in [wrap_ms - 4000, wrap_ms, wrap_ms + 1] {
            heart.beat(beat_ms);
            assert!(heart.has_beaten(), "{beat_ms}");
            for (after_ms, recent) in [(0, true), (5999, true), (6001, false)] {
                assert_eq!(heart.is_recent(beat_ms + after_ms, 5), recent, "{beat_ms}, {after_ms} ms later");
            }
        }
    }
}
