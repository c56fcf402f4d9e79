//! From reset to running tasks.

use embassy_futures::join::join5;
use sockeye_d2d_agent::{self as d2d, Agent};
use sockeye_lorawan_mac as mac;
use sockeye_metering::{Correction, EnergyMeter, LineFrequency};
use sockeye_nfc::{MAX_ANSWER, Session};
use sockeye_settings::{Identity, Region, Settings};
use sockeye_state_machine::{Boot, DelayTask, Effects, ResetCause, Socket};
use sockeye_storage::{MAX_RECORD, RecordId, Storage};
use sockeye_upgrade::State;

use crate::board::{Board, Clock, Parts};
use crate::control::{Control, Outputs, Watch, control, watch};
use crate::mac_config::{is_silent, mac_config};
use crate::maintenance::{Maintenance, maintenance};
use crate::notice::{Notice, Observer};
use crate::radio::{Epoch, MacTimer, NEVER_MS, RadioTask, radio};
use crate::records::{self, Copies};
use crate::retained::Retained;
use crate::service::{Service, WELL_MS, service};
use crate::shared::Shared;
use crate::upgrade::Course;

/// The version that basic information tells: 0.1, one nibble group a byte (guide section 4.1, `ff0a`).
pub const SOFTWARE_VERSION: [u8; 2] = [0x00, 0x01];

/// The tasks of a socket, ready to run.
#[derive(Debug)]
pub struct Tasks<B: Board> {
    /// For [`control`], above the others where the chip allows.
    pub control: Control<B>,
    /// For [`watch`], beside it.
    pub watch: Watch<B>,
    /// For [`radio`].
    pub radio: RadioTask<B>,
    /// For [`service`].
    pub service: Service<B>,
    /// For [`maintenance`], if the board has a port.
    pub maintenance: Maintenance<B>,
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
        clock,
        relay,
        led,
        button,
        mut meter,
        supply,
        phy,
        flash,
        storage_range,
        port,
        system,
        observer,
        ..
    } = parts;
    let retained = parts.retained;
    let (reset_cause, ended) = retained.begin(parts.reset_cause);
    if let Some(kind) = ended {
        observer.observe(Notice::Error { what: kind.name() });
    }
    let mut storage = Storage::new(flash, storage_range);
    let mut stored = Stored::new();
    let mut copies = Copies::default();
    let mut buffer = [0; MAX_RECORD];
    // One await for all records: each one more would be another copy of the storage's state machine, 1 KB of code.
    for id in RecordId::ALL {
        match storage.load(id, &mut buffer).await {
            Ok(length) => {
                let bytes = length.and_then(|length| buffer.get(..length));
                copies.note(id, bytes.unwrap_or_default());
                stored.take(id, bytes, &parts.identity, parts.region, &observer);
            }
            Err(error) => {
                stored.is_whole = false;
                stored.is_readable &= matches!(error, sockeye_storage::Error::Erased);
                observer.observe(Notice::Error { what: "flash: a record could not be read" });
            }
        }
    }
    let relay_was_on = stored.relay_was_on();
    let identity = stored.identity.unwrap_or(parts.identity);
    meter.set_line_frequency(match identity.model.is_60_hz() {
        true => LineFrequency::Hz60,
        false => LineFrequency::Hz50,
    });
    meter.correct(&stored.correction);
    let settings = stored.settings.unwrap_or_else(|| Settings::default_for(parts.region, &identity));
    let restored = mac::Restored {
        session: stored.session.as_deref(),
        counters: stored.counters.as_deref(),
        multicast: stored.multicast.as_deref(),
    };
    let config = mac_config(&settings, &identity);
    #[cfg(feature = "certification")]
    let config = mac::Config {
        certification: !stored.certification_off,
        firmware_version: crate::certification::FIRMWARE_VERSION,
        ..config
    };
    let mut mac = mac::Mac::new(config, restored, parts.seed);
    let epoch = resume_air_time(&mut mac, retained, reset_cause);
    let silent = is_silent(&settings);
    let d2d = Agent::new(settings.d2d.clone(), stored.d2d.as_deref());

    let now_ms = clock.now_ms();
    let held_until_ms = now_ms.saturating_add(retained.faults().hold_ms());
    let off_until_ms = if stored.is_readable { held_until_ms } else { NEVER_MS };
    let mut upgrade = parts.upgrade.begin(identity.hardware_version);
    let mut effects = Effects::new();
    let boot = Boot {
        settings,
        identity,
        software_version: upgrade.device().version,
        relay_was_on,
        relay_kept: retained.relay(),
        energy_uwh: stored.energy_uwh,
        delay_task: stored.delay_task,
        cause: reset_cause,
        session_stored: mac.is_joined(),
        seed: parts.seed,
    };
    let socket = Socket::new(now_ms, boot, &mut effects);
    let mut outputs = Outputs::<B> { relay, led, observer: observer.clone(), retained };
    outputs.apply(now_ms, &socket, &mut effects, shared);

    // After the relay: it reads a few hundred bytes.
    if let Some(flash) = storage.flash() {
        match upgrade.look(flash) {
            Ok(state @ (State::Trying | State::GoneBack)) => observer.observe(Notice::Upgrade { state }),
            Ok(_) => {}
            Err(_) => {
                observer.observe(Notice::Error { what: "upgrade: the bootloader's notes cannot be read" })
            }
        }
    }
    shared.note_progress(upgrade.progress());
    shared.control_alive.beat(now_ms);
    shared.radio_alive.beat(now_ms);
    shared.service_alive.beat(now_ms);
    let driver = mac::Driver::new(mac, phy, MacTimer::new(clock.clone(), epoch));
    Tasks {
        control: Control { clock: clock.clone(), outputs, meter, socket },
        watch: Watch { clock: clock.clone(), button, supply },
        radio: RadioTask {
            clock: clock.clone(),
            driver,
            epoch,
            d2d,
            senders_lost: false,
            observer: observer.clone(),
            silent,
            off_until_ms,
        },
        maintenance: Maintenance {
            clock: clock.clone(),
            port,
            observer: observer.clone(),
            identity,
            retained,
            reset_cause,
            software_version: upgrade.device().version,
            session: Session::new(identity.sn, stored.maintenance.as_deref(), parts.seed, now_ms),
            answer: [0; MAX_ANSWER],
            answer_len: 0,
        },
        service: Service {
            clock,
            storage,
            upgrade,
            course: Course { since_ms: now_ms, ..Course::default() },
            system,
            observer,
            erasures: 0,
            copies,
            lost: 0,
            counters_lost: false,
            calm_from_ms: 0,
            retained,
            well_ms: held_until_ms.saturating_add(WELL_MS),
            restart_latest_ms: None,
        },
    }
}

/// Runs a socket on one executor. It never returns.
///
/// # Cancel safety
/// None. Dropping it is what a power cut is: the flash holds each record's old or new value.
pub async fn run<B: Board>(parts: Parts<B>, shared: &Shared) -> ! {
    let mut tasks = start(parts, shared).await;
    let Tasks { control: one, watch: two, radio: three, service: four, maintenance: five } = &mut tasks;
    let radio = radio(three, shared);
    join5(control(one, shared), watch(two, shared), radio, service(four, shared), maintenance(five, shared))
        .await
        .0
}

/// Goes on with what was sent before a reset: neither a hang that comes again and again nor a restart by downlink may
/// lift the duty cycle (MAC-TX-02, MAC-JOIN-08). Power-up begins anew.
fn resume_air_time(mac: &mut mac::Mac, retained: &'static Retained, cause: ResetCause) -> Epoch {
    let air_time = retained.air_time().filter(|_| cause != ResetCause::PowerOn);
    let Some(air_time) = air_time else {
        retained.forget_air_time();
        return Epoch { retained, reset_ms: 0 };
    };
    let reset_ms = retained.time_ms();
    mac.resume_air_time(reset_ms, &air_time);
    Epoch { retained, reset_ms }
}

/// What the flash held.
struct Stored {
    identity: Option<Identity>,
    correction: Correction,
    settings: Option<Settings>,
    session: Option<mac::RecordBytes>,
    counters: Option<mac::RecordBytes>,
    multicast: Option<mac::RecordBytes>,
    d2d: Option<d2d::RecordBytes>,
    maintenance: Option<heapless::Vec<u8, { sockeye_nfc::RECORD }>>,
    relay_was_on: Option<bool>,
    energy_uwh: u64,
    delay_task: Option<DelayTask>,
    #[cfg(feature = "certification")]
    certification_off: bool,
    /// What is in the flash could be read. Contents without sense could: they are gone for good, and no later
    /// start would find them.
    is_readable: bool,
    /// Nothing was lost: a record that is absent was never stored.
    is_whole: bool,
}

impl Stored {
    const fn new() -> Self {
        Self {
            identity: None,
            correction: Correction::NONE,
            settings: None,
            session: None,
            counters: None,
            multicast: None,
            d2d: None,
            maintenance: None,
            relay_was_on: None,
            energy_uwh: 0,
            delay_task: None,
            #[cfg(feature = "certification")]
            certification_off: false,
            is_readable: true,
            is_whole: true,
        }
    }

    /// Takes a record that was stored; the identity comes before the settings, which hang on it.
    #[inline(never)]
    fn take(
        &mut self,
        id: RecordId,
        bytes: Option<&[u8]>,
        fallback: &Identity,
        region: Region,
        observer: &impl Observer,
    ) {
        let Some(bytes) = bytes else { return };
        let wrong = match id {
            RecordId::Identity => {
                self.identity = Identity::decode(bytes).ok();
                self.identity.is_none().then_some("the stored identity is of no use")
            }
            RecordId::Calibration => match Correction::decode(bytes) {
                Ok(correction) => {
                    self.correction = correction;
                    None
                }
                Err(_) => Some("the stored calibration is of no use"),
            },
            RecordId::Settings => {
                let known = self.identity.as_ref().unwrap_or(fallback);
                match Settings::decode(bytes, region, known) {
                    Ok(decoded) => {
                        let fell_back = decoded.truncated || !decoded.fallen_back.is_empty();
                        self.settings = Some(decoded.settings);
                        fell_back.then_some("a stored setting fell back to its default")
                    }
                    Err(_) => Some("the stored settings are of no use"),
                }
            }
            RecordId::MacSession => put(&mut self.session, bytes),
            RecordId::MacCounters => put(&mut self.counters, bytes),
            RecordId::MacMulticast => put(&mut self.multicast, bytes),
            RecordId::D2dSenders => {
                self.d2d = d2d::RecordBytes::from_slice(bytes).ok();
                self.d2d.is_none().then_some("the stored D2D senders are of no use")
            }
            RecordId::RelayState => {
                self.relay_was_on = Some(bytes == [1]);
                None
            }
            RecordId::Energy => {
                let energy_uwh = records::decode_energy(bytes);
                self.energy_uwh = energy_uwh.unwrap_or(0);
                energy_uwh.is_none().then_some("the stored energy sum is of no use")
            }
            RecordId::DelayTask => {
                self.delay_task = records::decode_delay_task(bytes);
                None
            }
            RecordId::Maintenance => {
                self.maintenance = heapless::Vec::from_slice(bytes).ok();
                self.maintenance.is_none().then_some("the stored challenge is of no use")
            }
            #[cfg(feature = "certification")]
            RecordId::CertificationOff => {
                self.certification_off = true;
                None
            }
        };
        if let Some(what) = wrong {
            observer.observe(Notice::Error { what });
        }
    }

    /// Tells whether the relay is to count as having been on.
    ///
    /// A socket that was never switched supplies power once plugged in (guide section 3.1, step 1); one whose state
    /// is lost does not, because what is plugged in may have been switched off for a reason.
    fn relay_was_on(&self) -> bool {
        self.relay_was_on.unwrap_or(self.is_whole)
    }
}

/// Keeps a part of the MAC's state as it is: the MAC judges it.
fn put(place: &mut Option<mac::RecordBytes>, bytes: &[u8]) -> Option<&'static str> {
    *place = mac::RecordBytes::from_slice(bytes).ok();
    place.is_none().then_some("a stored LoRaWAN record is of no use")
}
