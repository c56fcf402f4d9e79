//! The service task: everything that may take long. It owns the flash, feeds the watchdog and restarts the chip.

use embassy_futures::select::{Either, select};
use sockeye_settings::{MAX_STORED, Settings};
use sockeye_state_machine::{RebootCause, StoreItem};
use sockeye_storage::{RecordId, Storage};

use crate::board::{Board, Clock, System};
use crate::notice::{Notice, Observer};
use crate::records;
use crate::shared::{ControlEvent, ServiceWork, Shared};

/// How often the watchdog is fed.
const WATCHDOG_PERIOD_MS: u64 = 1000;

/// The longest silence of the control task: it reads the meter ten times a second.
const CONTROL_LIMIT_S: u32 = 3;

/// The longest silence of the radio task: it is silent while it waits for a record to be stored.
const RADIO_LIMIT_S: u32 = 10;

/// How long a lost supply keeps the flash from erasing for later.
const SUPPLY_LOST_MS: u64 = 10_000;

/// What the service task owns.
pub struct Service<B: Board> {
    pub(crate) clock: B::Clock,
    pub(crate) storage: Storage<B::Flash>,
    pub(crate) system: B::System,
    pub(crate) observer: B::Observer,
    /// Until then the supply may be lost.
    pub(crate) calm_from_ms: u64,
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
    service.prepare().await;
    let mut feed_ms = service.clock.now_ms();
    loop {
        match select(shared.service.changed(), service.clock.until_ms(feed_ms)).await {
            Either::First(()) => {
                let work = shared.service.take();
                service.work(work, shared).await;
            }
            Either::Second(()) => {
                let now_ms = service.clock.now_ms();
                if shared.control_alive.is_recent(now_ms, CONTROL_LIMIT_S)
                    && shared.radio_alive.is_recent(now_ms, RADIO_LIMIT_S)
                {
                    service.system.feed_watchdog();
                }
                feed_ms = now_ms.saturating_add(WATCHDOG_PERIOD_MS);
            }
        }
    }
}

impl<B: Board> Service<B> {
    /// Does all that was asked: what must not be lost with the supply first, then what the radio task waits for, a
    /// restart last.
    async fn work(&mut self, work: ServiceWork, shared: &Shared) {
        if work.supply_lost {
            self.calm_from_ms = self.clock.now_ms().saturating_add(SUPPLY_LOST_MS);
        }
        if let Some(on) = work.relay_on {
            self.store_for_control(RecordId::RelayState, &[u8::from(on)], StoreItem::RelayState, shared)
                .await;
        }
        if let Some(energy_uwh) = work.energy_uwh {
            let bytes = records::encode_energy(energy_uwh);
            self.store_for_control(RecordId::Energy, &bytes, StoreItem::Energy, shared).await;
        }
        if let Some((id, bytes)) = work.awaited {
            let stored = self.store(id, &bytes).await;
            shared.awaited_stored.signal(stored);
        }
        if let Some(settings) = work.settings {
            self.store_settings(&settings, shared).await;
        }
        if let Some(task) = work.delay_task {
            let bytes = records::encode_delay_task(task);
            self.store_for_control(RecordId::DelayTask, &bytes, StoreItem::DelayTask, shared).await;
        }
        if work.factory_reset {
            self.factory_reset().await;
            self.restart(RebootCause::FactoryReset).await;
        }
        if let Some(cause) = work.reboot {
            self.restart(cause).await;
        }
        self.prepare().await;
    }

    /// Keeps room in the flash for what is stored when the supply is lost, so that no erase lies in that path. While it
    /// is lost there is better to do.
    async fn prepare(&mut self) {
        if self.clock.now_ms() >= self.calm_from_ms && self.storage.prepare().await.is_err() {
            self.observer.observe(Notice::Error { what: "flash: no room could be kept" });
        }
    }

    /// Stores the settings; fields that a newer firmware has stored and this one does not know are kept.
    async fn store_settings(&mut self, settings: &Settings, shared: &Shared) {
        let mut previous = [0; MAX_STORED];
        let previous = match self.storage.load(RecordId::Settings, &mut previous).await {
            Ok(Some(length)) => previous.get(..length).unwrap_or_default(),
            _ => &[],
        };
        let mut bytes = [0; MAX_STORED];
        match settings.encode_keeping(previous, &mut bytes) {
            Ok(length) => {
                let encoded = bytes.get(..length).unwrap_or_default();
                self.store_for_control(RecordId::Settings, encoded, StoreItem::Settings, shared).await;
            }
            Err(_) => self.observer.observe(Notice::Error { what: "settings do not fit their record" }),
        }
    }

    async fn store_for_control(&mut self, id: RecordId, bytes: &[u8], item: StoreItem, shared: &Shared) {
        if self.store(id, bytes).await {
            shared.events.send(ControlEvent::Stored(item)).await;
        }
    }

    async fn store(&mut self, id: RecordId, bytes: &[u8]) -> bool {
        let stored = self.storage.store(id, bytes).await.is_ok();
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
        let kept = [RecordId::Identity, RecordId::MacCounters, RecordId::MacMulticast, RecordId::RelayState];
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
