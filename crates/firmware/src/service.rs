//! The service task: everything that may take long. It owns the flash, feeds the watchdog and restarts the chip.

use embassy_futures::select::{Either, select};
use sockeye_lorawan_mac as mac;
use sockeye_settings::MAX_STORED;
use sockeye_state_machine::{RebootCause, StoreItem};
use sockeye_storage::{RecordId, Storage};
use sockeye_upgrade::Upgrade;

use crate::board::{Board, Clock, System};
use crate::faults::{Fault, FaultKind};
use crate::notice::{Notice, Observer};
use crate::radio::NEVER_MS;
use crate::records::{self, Copies};
use crate::retained::Retained;
use crate::shared::{ControlEvent, Did, ServiceWork, Shared};
use crate::upgrade::Course;

/// How often the watchdog is fed.
const WATCHDOG_PERIOD_MS: u64 = 1000;

/// The longest silence of the control task: it reads the meter ten times a second.
const CONTROL_LIMIT_S: u32 = 3;

/// The longest silence of the radio task: it is silent while it waits for a record to be stored. With the second in which
/// it falls silent, the one in which that is seen and those of the clock's grain, the chip is reset 8 s after the last sign of
/// life.
const RADIO_LIMIT_S: u32 = 6;

/// A run so long ends a row of faults.
pub(crate) const WELL_MS: u64 = 600_000;

/// A run so long shows that control lives, as its silence would have ended it.
const SHORT_MS: u64 = 5_000;

const _: () = assert!(SHORT_MS > 1000 * CONTROL_LIMIT_S as u64 + WATCHDOG_PERIOD_MS);

/// How long after the last store room is made in the flash: others first do what waited for the store, such as obeying a
/// command.
///
/// An erase stops the chip, for 22 ms (STM32WL) or 45 ms (RP2040), and a command that ends meanwhile is obeyed late. So the
/// page that is left behind is not erased then, but so long after a frame was heard: at SF7 the smallest command is 51 ms in
/// the air, more at any slower rate, so the next one does not end before the erase. Only if no frame is heard before the log
/// has filled another page, the page is erased when that is full.
const ROOM_AFTER_MS: u64 = 2;

/// How long a lost supply keeps the flash from erasing for later.
const SUPPLY_LOST_MS: u64 = 10_000;

/// What the service task owns.
pub struct Service<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) storage: Storage<B::Flash>,
    pub(crate) upgrade: Upgrade<B::Verify>,
    pub(crate) course: Course,
    pub(crate) system: B::System,
    pub(crate) observer: B::Observer,
    /// Erasures of the whole storage that control and radio know of.
    pub(crate) erasures: u32,
    pub(crate) copies: Copies,
    /// The records that were lost, and whose copies are still to be stored again.
    pub(crate) lost: u8,
    /// The counters of the MAC were lost too, and the radio task has not stored them again.
    pub(crate) counters_lost: bool,
    /// Until then the supply may be lost.
    pub(crate) calm_from_ms: u64,
    pub(crate) retained: &'static Retained,
    /// From then on no fault is in a row with those before.
    pub(crate) well_ms: u64,
    /// A restart that was asked for waits for the radio until then.
    pub(crate) restart_latest_ms: Option<u64>,
}

impl<B: Board> core::fmt::Debug for Service<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Runs the service task. It never returns.
///
/// # Cancel safety
/// None: it is meant to be spawned once and kept.
pub async fn service<B: Board>(service: &mut Service<B>, shared: &Shared) -> ! {
    service.make_room(true, shared).await;
    let mut feed_ms = service.clock.now_ms();
    let mut room_ms = NEVER_MS;
    let mut heard = false;
    loop {
        match select(shared.service.changed(), service.clock.until_ms(feed_ms.min(room_ms))).await {
            Either::First(()) => {
                let work = shared.service.take();
                heard |= work.heard;
                service.work(work, shared).await;
                room_ms = service.clock.now_ms().saturating_add(ROOM_AFTER_MS);
            }
            Either::Second(()) if room_ms <= feed_ms => {
                room_ms = NEVER_MS;
                service.make_room(core::mem::take(&mut heard), shared).await;
            }
            Either::Second(()) => {
                let now_ms = service.clock.now_ms();
                // Held up itself, it lets the others show first that they go on.
                let on_time = shared.service_alive.is_recent(now_ms, CONTROL_LIMIT_S);
                let hung = if !on_time {
                    None
                } else if !shared.control_alive.is_recent(now_ms, CONTROL_LIMIT_S) {
                    Some(FaultKind::ControlHung)
                } else if !shared.radio_alive.is_recent(now_ms, RADIO_LIMIT_S) {
                    Some(FaultKind::RadioHung)
                } else {
                    None
                };
                if let Some(kind) = hung {
                    service.retained.note(Fault { kind, pc: 0, lr: 0 });
                    service.system.reset();
                    core::future::pending().await
                }
                shared.service_alive.beat(now_ms);
                service.system.feed_watchdog();
                if now_ms >= service.course.since_ms.saturating_add(SHORT_MS) {
                    service.retained.ledger().is_not_short();
                }
                if now_ms >= service.well_ms {
                    service.retained.ledger().is_well();
                }
                service.tend_upgrade(now_ms, shared);
                feed_ms = now_ms.saturating_add(WATCHDOG_PERIOD_MS);
            }
        }
    }
}

/// Who is told that a record is stored.
enum Whose {
    Control(StoreItem),
    /// The radio task, which waits for it, whether or not it went well.
    Awaited,
    /// The maintenance task, which does the same.
    Maintenance,
    Nobody,
}

impl<B: Board> Service<B> {
    /// Does all that was asked, a restart last.
    async fn work(&mut self, mut work: ServiceWork, shared: &Shared) {
        if work.supply_lost {
            self.calm_from_ms = self.clock.now_ms().saturating_add(SUPPLY_LOST_MS);
        }
        let (mut previous, mut bytes) = ([0; MAX_STORED], [0; MAX_STORED]);
        let mut previous_length = None;
        // One place that stores for all records: each one more would be another copy of the storage's state machine.
        loop {
            if previous_length.is_none() && settings_are_next(&work) {
                let length = self.storage.load(RecordId::Settings, &mut previous).await;
                previous_length = Some(length.ok().flatten().unwrap_or(0));
            }
            let previous = previous.get(..previous_length.unwrap_or(0)).unwrap_or_default();
            let Some((id, length, whose)) = self.next_record(&mut work, previous, &mut bytes) else { break };
            let stored = self.store(id, bytes.get(..length).unwrap_or_default()).await;
            match whose {
                Whose::Awaited => shared.awaited_stored.signal(stored),
                Whose::Maintenance => shared.did.signal(Did::Stored(stored)),
                Whose::Control(item) if stored => {
                    let number = work.numbers.get(item as usize).copied().unwrap_or(0);
                    shared.events.send(ControlEvent::Stored { item, number }).await;
                }
                Whose::Control(_) | Whose::Nobody => {}
            }
        }
        if let Some(piece) = work.upgrade.take() {
            shared.did.signal(Did::Upgraded(self.upgrade(&piece, shared).await));
        }
        if work.factory_reset {
            work.reboot = Some(RebootCause::FactoryReset);
        }
        let Some(cause) = work.reboot else { return };
        let mut is_prepared = false;
        loop {
            // What a store before the restart has lost with the flash comes back first, or a counter would be used twice.
            self.restore_lost(shared).await;
            if self.restart_has_to_wait(cause, shared).await {
                shared.service.put(|work| work.reboot = Some(cause));
                return;
            }
            if is_prepared {
                self.restart(cause).await;
            }
            match cause {
                RebootCause::FactoryReset => self.factory_reset().await,
                // The session is that of other settings: the next start begins one anew. The counters stay.
                RebootCause::Settings => drop(self.store(RecordId::MacSession, &[]).await),
                _ => {}
            }
            is_prepared = true;
        }
    }

    /// Takes the record that is to be stored next and writes it down: what must not be lost with the supply first,
    /// then what the radio task waits for.
    fn next_record(
        &mut self,
        work: &mut ServiceWork,
        previous_settings: &[u8],
        out: &mut [u8; MAX_STORED],
    ) -> Option<(RecordId, usize, Whose)> {
        if let Some(on) = work.relay_on.take() {
            return put(out, RecordId::RelayState, &[u8::from(on)], Whose::Control(StoreItem::RelayState));
        }
        if let Some(energy_uwh) = work.energy_uwh.take() {
            let bytes = records::encode_energy(energy_uwh);
            return put(out, RecordId::Energy, &bytes, Whose::Control(StoreItem::Energy));
        }
        if let Some((id, bytes)) = work.awaited.take() {
            return put(out, id, &bytes, Whose::Awaited);
        }
        if let Some(settings) = work.settings.take() {
            // Fields that a newer firmware has stored and this one does not know are kept.
            match settings.encode_keeping(previous_settings, out) {
                Ok(length) => {
                    return Some((RecordId::Settings, length, Whose::Control(StoreItem::Settings)));
                }
                Err(_) => self.observer.observe(Notice::Error { what: "settings do not fit their record" }),
            }
        }
        if let Some(record) = work.maintenance.take() {
            return put(out, RecordId::Maintenance, &record, Whose::Maintenance);
        }
        if let Some(task) = work.delay_task.take() {
            let bytes = records::encode_delay_task(task);
            return put(out, RecordId::DelayTask, &bytes, Whose::Control(StoreItem::DelayTask));
        }
        while let Some(left) = self.lost.checked_sub(1) {
            self.lost = left;
            if let Some((id, bytes)) = self.copies.get(left) {
                return put(out, id, bytes, Whose::Nobody);
            }
        }
        None
    }

    /// Keeps room in the flash for what is stored when the supply is lost, so that no erase lies in that path. While it
    /// is lost there is better to do; and while the radio is held back after faults too, as each first time writes a record.
    /// With time for an erase the page that was left behind is erased as well.
    async fn make_room(&mut self, may_erase: bool, shared: &Shared) {
        let now_ms = self.clock.now_ms();
        let is_held = now_ms.saturating_add(WELL_MS) < self.well_ms;
        if now_ms >= self.calm_from_ms && !is_held && self.storage.prepare(may_erase).await.is_err() {
            self.observer.observe(Notice::Error { what: "flash: no room could be kept" });
        }
        self.restore_lost(shared).await;
    }

    /// Has everything stored again that is still known, if the flash held nothing of sense and was erased.
    async fn restore_lost(&mut self, shared: &Shared) {
        let erasures = self.storage.erasures();
        if core::mem::replace(&mut self.erasures, erasures) != erasures {
            self.observer.observe(Notice::Error { what: "flash: it held nothing of sense and was erased" });
            // Stored with what control asks for now, which it asks for again at its own pace if that fails too.
            self.lost = Copies::COUNT;
            self.counters_lost = true;
            shared.radio.put(|work| work.records_lost = true);
            shared.events.send(ControlEvent::RecordsLost).await;
        }
    }

    async fn store(&mut self, id: RecordId, bytes: &[u8]) -> bool {
        self.copies.note(id, bytes);
        let stored = self.storage.store(id, bytes).await.is_ok();
        self.course.flash_failed = !stored;
        self.counters_lost &= !(stored && id == RecordId::MacCounters);
        self.observer.observe(match stored {
            true => Notice::Stored { record: id.name() },
            false => Notice::Error { what: "flash: a record could not be stored" },
        });
        stored
    }

    /// Forgets all but who the device is, the counters that must never be used twice (behaviour.md, Settings
    /// by NFC: identity, calibration and the DevNonce counter stay), and how the relay stands: what was
    /// switched off, by somebody or by a trip, does not come back on because of a reset.
    async fn factory_reset(&mut self) {
        let kept = [
            RecordId::Identity,
            RecordId::Calibration,
            RecordId::MacCounters,
            RecordId::MacMulticast,
            RecordId::RelayState,
            // Whoever presses the button for ten seconds does not turn on what a tester has ended for good.
            #[cfg(feature = "certification")]
            RecordId::CertificationOff,
        ];
        if self.storage.clear_all_but(&kept).await.is_err() {
            self.observer.observe(Notice::Error { what: "flash: the records could not be cleared" });
        }
    }

    async fn restart(&mut self, cause: RebootCause) {
        self.observer.observe(Notice::Reboot { cause });
        self.system.reset();
        core::future::pending().await
    }
}

/// Tells whether [`Service::next_record`] comes to the settings now.
fn settings_are_next(work: &ServiceWork) -> bool {
    work.settings.is_some() && work.relay_on.is_none() && work.energy_uwh.is_none() && work.awaited.is_none()
}

const _: () =
    assert!(mac::MAX_RECORD <= MAX_STORED, "what the radio task stores fits the buffer of the settings");

/// Writes a record down as it is.
fn put(
    out: &mut [u8; MAX_STORED],
    id: RecordId,
    bytes: &[u8],
    whose: Whose,
) -> Option<(RecordId, usize, Whose)> {
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some((id, bytes.len(), whose))
}
