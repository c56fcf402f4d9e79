//! From reset to three running tasks.

use embassy_futures::join::join3;
use sockeye_lorawan_mac as mac;
use sockeye_settings::{Identity, Region, Settings};
use sockeye_state_machine::{Boot, Effects, Socket};
use sockeye_storage::{MAX_RECORD, RecordId, Storage};

use crate::board::{Board, Clock, Parts};
use crate::control::{Control, Outputs, control};
use crate::mac_config::{is_silent, mac_config};
use crate::notice::{Notice, Observer};
use crate::radio::{MacTimer, RadioTask, radio};
use crate::records;
use crate::service::{Service, service};
use crate::shared::Shared;

/// The version that basic information tells: 0.1, one nibble group a byte (guide section 4.1, `ff0a`).
pub const SOFTWARE_VERSION: [u8; 2] = [0x00, 0x01];

/// The three tasks of a socket, ready to run.
#[derive(Debug)]
pub struct Tasks<B: Board> {
    /// For [`control`], above the other two where the chip allows.
    pub control: Control<B>,
    /// For [`radio`].
    pub radio: RadioTask<B>,
    /// For [`service`].
    pub service: Service<B>,
}

/// What the flash held.
struct Stored {
    identity: Option<Identity>,
    settings: Option<Settings>,
    relay_was_on: bool,
    energy_uwh: u64,
    delay_task: Option<sockeye_state_machine::DelayTask>,
}

/// Reads the stored state, sets relay and LED by it, and makes the tasks.
///
/// The relay stands as it should before anything is done with the radio (behaviour.md, Start). A record that
/// cannot be read is told as an error, and its default is taken; but if the flash itself cannot be read, the
/// radio stays off until the next start, as the counters that must not come twice are not known.
///
/// # Cancel safety
/// None: the parts are lost when the future is dropped.
pub async fn start<B: Board>(parts: Parts<B>, shared: &Shared) -> Tasks<B> {
    let Parts {
        clock, relay, led, button, meter, supply, phy, flash, storage_range, system, observer, ..
    } = parts;
    let mut storage = Storage::new(flash, storage_range);
    let mut buffer = [0; MAX_RECORD];
    let mut loader: Loader<'_, B> = Loader {
        storage: &mut storage,
        observer: &observer,
        buffer: &mut buffer,
        is_readable: true,
        is_whole: true,
    };
    let stored = loader.state(&parts.identity, parts.region).await;
    let identity = stored.identity.unwrap_or(parts.identity);
    let settings = stored.settings.unwrap_or_else(|| Settings::default_for(parts.region, &identity));

    let counters = loader.mac_record(mac::Record::Counters).await;
    let session = loader.mac_record(mac::Record::Session).await;
    let multicast = loader.mac_record(mac::Record::Multicast).await;
    let can_read_counters = loader.is_readable;
    let restored = mac::Restored {
        session: session.as_deref(),
        counters: counters.as_deref(),
        multicast: multicast.as_deref(),
    };
    let mac = mac::Mac::new(mac_config(&settings, &identity), restored, parts.seed);
    let silent = is_silent(&settings);

    let now_ms = clock.now_ms();
    let mut effects = Effects::new();
    let boot = Boot {
        settings,
        identity,
        software_version: SOFTWARE_VERSION,
        relay_was_on: stored.relay_was_on,
        energy_uwh: stored.energy_uwh,
        delay_task: stored.delay_task,
        cause: parts.reset_cause,
        session_stored: mac.is_joined(),
        seed: parts.seed,
    };
    let socket = Socket::new(now_ms, boot, &mut effects);
    let mut outputs = Outputs::<B> { relay, led, observer: observer.clone() };
    outputs.apply(now_ms, &socket, &mut effects, shared);

    shared.control_alive.beat(now_ms);
    shared.radio_alive.beat(now_ms);
    let driver = mac::Driver::new(mac, phy, MacTimer::new(clock.clone()));
    Tasks {
        control: Control { clock: clock.clone(), outputs, button, meter, supply, socket },
        radio: RadioTask {
            clock: clock.clone(),
            driver,
            observer: observer.clone(),
            silent,
            can_read_counters,
        },
        service: Service { clock, storage, system, observer },
    }
}

/// Runs a socket on one executor. It never returns.
///
/// # Cancel safety
/// None. Dropping it is what a power cut is: the flash holds each record's old or new value.
pub async fn run<B: Board>(parts: Parts<B>, shared: &Shared) -> ! {
    let mut tasks = start(parts, shared).await;
    let Tasks { control: one, radio: two, service: three } = &mut tasks;
    join3(control(one, shared), radio(two, shared), service(three, shared)).await.0
}

/// Reads records into one buffer, and tells what could not be read.
struct Loader<'a, B: Board> {
    storage: &'a mut Storage<B::Flash>,
    observer: &'a B::Observer,
    buffer: &'a mut [u8; MAX_RECORD],
    /// What is in the flash could be read. Contents without sense could: they are gone for good, and no later
    /// start would find them.
    is_readable: bool,
    /// Nothing was lost: a record that is absent was never stored.
    is_whole: bool,
}

impl<B: Board> Loader<'_, B> {
    async fn read(&mut self, id: RecordId) -> Option<&[u8]> {
        match self.storage.load(id, self.buffer).await {
            Ok(Some(length)) => self.buffer.get(..length),
            Ok(None) => None,
            Err(error) => {
                self.is_whole = false;
                self.is_readable &= matches!(error, sockeye_storage::Error::Erased);
                self.observer.observe(Notice::Error { what: "flash: a record could not be read" });
                None
            }
        }
    }

    async fn mac_record(&mut self, record: mac::Record) -> Option<mac::RecordBytes> {
        let bytes = self.read(records::mac_record(record)).await?;
        mac::RecordBytes::from_slice(bytes).ok()
    }

    async fn state(&mut self, fallback: &Identity, region: Region) -> Stored {
        let observer = self.observer.clone();
        let identity = match self.read(RecordId::Identity).await.map(Identity::decode) {
            Some(Ok(identity)) => Some(identity),
            Some(Err(_)) => {
                observer.observe(Notice::Error { what: "the stored identity is of no use" });
                None
            }
            None => None,
        };
        let known = identity.as_ref().unwrap_or(fallback);
        let settings = match self.read(RecordId::Settings).await {
            Some(bytes) => match Settings::decode(bytes, region, known) {
                Ok(decoded) => {
                    if decoded.truncated || !decoded.fallen_back.is_empty() {
                        observer.observe(Notice::Error { what: "a stored setting fell back to its default" });
                    }
                    Some(decoded.settings)
                }
                Err(_) => {
                    observer.observe(Notice::Error { what: "the stored settings are of no use" });
                    None
                }
            },
            None => None,
        };
        let relay_was_on = self.read(RecordId::RelayState).await.map(|bytes| bytes == [1]);
        Stored {
            identity,
            settings,
            // A socket that was never switched supplies power once plugged in (guide section 3.1, step 1); one
            // whose state is lost does not, because what is plugged in may have been switched off for a reason.
            relay_was_on: relay_was_on.unwrap_or(self.is_whole),
            energy_uwh: match self.read(RecordId::Energy).await {
                Some(bytes) => bytes.try_into().map(u64::from_le_bytes).unwrap_or(0),
                None => 0,
            },
            delay_task: self.read(RecordId::DelayTask).await.and_then(records::decode_delay_task),
        }
    }
}
