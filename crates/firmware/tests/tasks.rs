//! The three tasks on a board whose parts can be made to hang.
#![allow(missing_docs, reason = "tests")]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, OutputPin, PinState};
use embedded_storage_async::nor_flash::{self as nor, NorFlash, ReadNorFlash};
use lorawan_device::async_device::radio::{PhyRxTx, RxConfig, RxQuality, RxStatus, TxConfig};
use sockeye_firmware::{Board, Clock, Notice, Observer, Parts, Shared, SupplyMonitor, System, run};
use sockeye_lorawan_mac::{CarrierSense, ListenBeforeTalk};
use sockeye_metering::{EnergyMeter, Reading};
use sockeye_settings::{Identity, Key, Model, PowerRestore, Region, Settings};
use sockeye_state_machine::{Cause, ResetCause, TripCause};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::{Flash, Rp2040};
use sockeye_virtual_hardware::sim::{Sim, TaskId};

const STORAGE_BYTES: u32 = 16 * 4096;

/// What a test sees and does.
#[derive(Clone)]
struct Bench {
    sim: Sim,
    flash: Flash<Rp2040>,
    flash_hangs: Rc<Cell<bool>>,
    radio_hangs: Rc<Cell<bool>>,
    meter_hangs: Rc<Cell<bool>>,
    /// Calls of the radio.
    radio_calls: Rc<Cell<u32>>,
    reading: Rc<Cell<Reading>>,
    relay: Rc<Cell<Option<bool>>>,
    button: VirtualButton,
    feeds: Rc<Cell<u32>>,
    resets: Rc<Cell<u32>>,
    seen: Rc<RefCell<Vec<(u64, String)>>>,
}

impl Bench {
    fn new() -> Self {
        let sim = Sim::new();
        Self {
            button: VirtualButton::new(&sim),
            sim,
            flash: Flash::erased(16),
            flash_hangs: Rc::default(),
            radio_hangs: Rc::default(),
            meter_hangs: Rc::default(),
            radio_calls: Rc::default(),
            reading: Rc::new(Cell::new(current(0))),
            relay: Rc::default(),
            feeds: Rc::default(),
            resets: Rc::default(),
            seen: Rc::default(),
        }
    }

    /// Puts records into the flash before the device starts.
    fn stored(self, records: &[(RecordId, &[u8])]) -> Self {
        let mut storage = Storage::new(self.flash.clone(), 0..STORAGE_BYTES);
        for (id, bytes) in records {
            futures::executor::block_on(storage.store(*id, bytes)).unwrap();
        }
        self
    }

    fn start(&self, reset_cause: ResetCause) -> TaskId {
        let bench = self.clone();
        self.sim.spawn(async move {
            let shared = Shared::new();
            let parts: Parts<TestBoard> = Parts {
                clock: bench.clone(),
                relay: Relay(bench.clone()),
                led: Led,
                button: bench.button.clone(),
                meter: bench.clone(),
                supply: NoMonitor,
                phy: bench.clone(),
                flash: HangingFlash(bench.clone()),
                storage_range: 0..STORAGE_BYTES,
                system: bench.clone(),
                observer: bench.clone(),
                identity: identity(),
                region: Region::Eu868,
                reset_cause,
                seed: 1,
            };
            run(parts, &shared).await;
        })
    }

    fn run_ms(&self, ms: u64) {
        self.sim.run_until_us(self.sim.now_us() + ms * 1000);
    }

    fn load(&self, id: RecordId) -> Option<Vec<u8>> {
        let mut storage = Storage::new(self.flash.clone(), 0..STORAGE_BYTES);
        let mut out = [0; 1024];
        let length = futures::executor::block_on(storage.load(id, &mut out)).unwrap();
        length.map(|length| out[..length].to_vec())
    }

    /// The instant of the first notice that begins so.
    fn when(&self, notice: &str) -> Option<u64> {
        self.seen.borrow().iter().find(|(_, seen)| seen.starts_with(notice)).map(|(at_ms, _)| *at_ms)
    }
}

fn identity() -> Identity {
    Identity {
        sn: [0x61, 0x48, 0x3C, 0x37, 0x19, 0x43, 0x91, 0x05],
        dev_eui: [0x24, 0xE1, 0x24, 0x14, 0x8C, 0x37, 0x19, 0x43],
        model: Model::Au,
        app_key: Key::DEFAULT,
        hardware_version: [1, 0x40],
    }
}

fn current(current_ma: u32) -> Reading {
    Reading {
        voltage_mv: 230_000,
        current_ma,
        power_mw: 230 * current_ma,
        energy_uwh: 0,
        fast_current_ma: current_ma,
    }
}

enum TestBoard {}

impl Board for TestBoard {
    type Clock = Bench;
    type Relay = Relay;
    type Led = Led;
    type Button = VirtualButton;
    type Meter = Bench;
    type Supply = NoMonitor;
    type Phy = Bench;
    type Flash = HangingFlash;
    type System = Bench;
    type Observer = Bench;
}

impl Clock for Bench {
    fn now_ms(&self) -> u64 {
        self.sim.now_us() / 1000
    }

    async fn until_ms(&self, at_ms: u64) {
        self.sim.sleep_until_us(at_ms * 1000).await;
    }
}

impl EnergyMeter for Bench {
    type Error = Infallible;

    async fn read(&mut self) -> Result<Reading, Infallible> {
        if self.meter_hangs.get() {
            std::future::pending::<()>().await;
        }
        self.sim.sleep_us(26_000).await;
        Ok(self.reading.get())
    }
}

struct NoMonitor;

impl SupplyMonitor for NoMonitor {
    async fn lost(&mut self) {
        std::future::pending().await
    }
}

impl System for Bench {
    fn feed_watchdog(&mut self) {
        self.feeds.set(self.feeds.get() + 1);
    }

    fn reset(&mut self) {
        self.resets.set(self.resets.get() + 1);
    }
}

impl Observer for Bench {
    fn observe(&self, notice: Notice<'_>) {
        let text = match notice {
            Notice::Reading { .. } => return,
            Notice::Relay { on, cause } => format!("relay {on} {}", cause.name()),
            Notice::Trip { cause, current_ma } => format!("trip {} {current_ma}", cause.name()),
            Notice::Stored { record } => format!("stored {record}"),
            other => format!("{other:?}"),
        };
        self.seen.borrow_mut().push((Clock::now_ms(self), text));
    }
}

struct Relay(Bench);

impl ErrorType for Relay {
    type Error = Infallible;
}

impl OutputPin for Relay {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::Low)
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::High)
    }

    fn set_state(&mut self, state: PinState) -> Result<(), Infallible> {
        self.0.relay.set(Some(state == PinState::High));
        Ok(())
    }
}

struct Led;

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A radio that sends in 100 ms and hears nothing, or hangs in whatever it is asked.
impl PhyRxTx for Bench {
    type PhyError = Infallible;
    const MAX_RADIO_POWER: u8 = 22;

    async fn tx(&mut self, _: TxConfig, _: &[u8]) -> Result<u32, Infallible> {
        self.radio_call().await;
        self.sim.sleep_us(100_000).await;
        Ok(0)
    }

    async fn setup_rx(&mut self, _: RxConfig) -> Result<(), Infallible> {
        self.radio_call().await;
        Ok(())
    }

    async fn rx_continuous(&mut self, _: &mut [u8]) -> Result<(usize, RxQuality), Infallible> {
        self.radio_call().await;
        std::future::pending().await
    }

    async fn rx_single(&mut self, _: &mut [u8]) -> Result<RxStatus, Infallible> {
        self.radio_call().await;
        self.sim.sleep_us(50_000).await;
        Ok(RxStatus::RxTimeout)
    }
}

impl CarrierSense for Bench {
    async fn is_clear(&mut self, _: u32, _: ListenBeforeTalk) -> Result<bool, Infallible> {
        self.radio_call().await;
        Ok(true)
    }
}

impl Bench {
    async fn radio_call(&self) {
        self.radio_calls.set(self.radio_calls.get() + 1);
        if self.radio_hangs.get() {
            std::future::pending::<()>().await;
        }
    }
}

struct HangingFlash(Bench);

impl HangingFlash {
    async fn may_hang(&self) {
        if self.0.flash_hangs.get() {
            std::future::pending::<()>().await;
        }
    }
}

impl nor::ErrorType for HangingFlash {
    type Error = <Flash<Rp2040> as nor::ErrorType>::Error;
}

impl ReadNorFlash for HangingFlash {
    const READ_SIZE: usize = <Flash<Rp2040> as ReadNorFlash>::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.may_hang().await;
        ReadNorFlash::read(&mut self.0.flash, offset, bytes).await
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(&self.0.flash)
    }
}

impl NorFlash for HangingFlash {
    const WRITE_SIZE: usize = <Flash<Rp2040> as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <Flash<Rp2040> as NorFlash>::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.may_hang().await;
        NorFlash::erase(&mut self.0.flash, from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.may_hang().await;
        NorFlash::write(&mut self.0.flash, offset, bytes).await
    }
}

#[test]
fn the_relay_stands_by_its_setting_before_the_radio_is_touched() {
    for (restore, was_on, stands) in [
        (PowerRestore::Off, true, false),
        (PowerRestore::On, false, true),
        (PowerRestore::Previous, true, true),
        (PowerRestore::Previous, false, false),
    ] {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.general.power_restore = restore;
        let mut bytes = [0; 1024];
        let length = settings.encode(&mut bytes).unwrap();
        let bench = Bench::new()
            .stored(&[(RecordId::Settings, &bytes[..length]), (RecordId::RelayState, &[u8::from(was_on)])]);
        bench.radio_hangs.set(true);
        bench.start(ResetCause::PowerOn);
        bench.run_ms(200);
        assert_eq!(bench.relay.get(), Some(stands), "{restore:?}, was {was_on}");
        assert_eq!(bench.when(&format!("relay {stands} {}", Cause::PowerUp.name())), Some(0));
    }
}

#[test]
fn a_socket_that_was_never_switched_supplies_power() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert_eq!(bench.relay.get(), Some(true));
}

#[test]
fn the_hard_limit_trips_with_radio_and_flash_stuck() {
    for offset_ms in 0..100 {
        let bench = Bench::new();
        bench.start(ResetCause::PowerOn);
        bench.run_ms(5_000 + offset_ms);
        bench.radio_hangs.set(true);
        bench.flash_hangs.set(true);
        // Something that wants the flash, so that it does hang: two switchings, each to be stored.
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        assert_eq!(bench.relay.get(), Some(true));
        let over_ms = bench.sim.now_us() / 1000;
        // 13.5 A on a 10 A model: above 130 %.
        bench.reading.set(current(13_500));
        bench.run_ms(1_000);
        let tripped_ms = bench.when(&format!("trip {}", TripCause::HardLimit.name())).expect("no trip");
        assert_eq!(bench.relay.get(), Some(false));
        // Behaviour: 200 ms over the limit; on top of it the period and the time of one reading.
        assert!((200..=200 + 150).contains(&(tripped_ms - over_ms)), "after {} ms", tripped_ms - over_ms);
    }
}

#[test]
fn the_button_works_with_radio_flash_and_meter_stuck() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    for hangs in [&bench.radio_hangs, &bench.flash_hangs, &bench.meter_hangs] {
        hangs.set(true);
    }
    for on in [false, true, false] {
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        assert_eq!(bench.relay.get(), Some(on));
    }
}

#[test]
fn the_watchdog_is_fed_while_all_tasks_live_and_starves_when_the_flash_hangs() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    let fed = bench.feeds.get();
    assert!((55..=61).contains(&fed), "fed {fed} times in a minute");
    bench.flash_hangs.set(true);
    bench.button.hold(100_000);
    bench.run_ms(5_000);
    let fed = bench.feeds.get();
    bench.run_ms(60_000);
    assert_eq!(bench.feeds.get(), fed);
}

#[test]
fn a_flash_that_refuses_everything_does_not_reset_the_chip_again_and_again() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.flash.power_off();
    bench.run_ms(59_000);
    assert!(bench.when("Error { what: \"flash: a record could not be stored\" }").is_some());
    // A reset would mend nothing, and end the protection for its time.
    assert!(bench.feeds.get() >= 55, "fed {} times in a minute", bench.feeds.get());
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(false));
    assert!(bench.when("JoinRequest").is_none(), "on air with a DevNonce that is not in flash");
    bench.flash.power_on();
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some(), "the device is silent after its flash came back");
}

#[test]
fn rule_4_a_flash_that_cannot_be_read_at_the_start_keeps_the_radio_off_and_the_socket_working() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest { dev_nonce: 0").is_some());
    bench.sim.kill(task);
    bench.seen.borrow_mut().clear();
    bench.flash.power_off();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.flash.power_on();
    let (calls, fed) = (bench.radio_calls.get(), bench.feeds.get());
    bench.run_ms(300_000);
    // What it joined with before is not known, so nothing may be sent, and nothing heard can be told from a replay.
    assert_eq!(bench.radio_calls.get(), calls);
    assert!(bench.when("Error { what: \"radio: off, as the flash could not be read\" }").is_some());
    assert_eq!(bench.relay.get(), Some(false), "on without knowing that it was");
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(true));
    assert!(bench.feeds.get() - fed >= 295);
    // The next start, with a flash that can be read, goes on where the counters stood.
    bench.sim.kill(task);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some());
    assert!(bench.when("JoinRequest { dev_nonce: 0").is_none());
}

#[test]
fn a_radio_that_hangs_is_told_and_tried_again_without_a_reset() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    // Joining by now, so the next call of the radio hangs.
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some());
    bench.radio_hangs.set(true);
    bench.run_ms(300_000);
    assert!(bench.when("Error { what: \"radio: an operation did not end in time\" }").is_some());
    assert!(bench.feeds.get() >= 350, "fed {} times in six minutes", bench.feeds.get());
    bench.radio_hangs.set(false);
    bench.seen.borrow_mut().clear();
    bench.run_ms(600_000);
    assert!(bench.when("JoinRequest").is_some(), "the device is silent after its radio came back");
}

#[test]
fn a_change_of_the_relay_is_stored_and_survives_a_power_cut() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert!(bench.when("stored relay_state").is_some());
    bench.sim.kill(task);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert_eq!(bench.relay.get(), Some(false));
}

#[test]
fn a_long_press_forgets_the_settings_and_keeps_identity_counters_and_the_relay_as_it_stands() {
    let mut settings = Settings::default_for(Region::Eu868, &identity());
    settings.general.set_reporting_interval_s(600).unwrap();
    let mut bytes = [0; 1024];
    let length = settings.encode(&mut bytes).unwrap();
    let own = identity().encode();
    let bench = Bench::new().stored(&[
        (RecordId::Settings, &bytes[..length]),
        (RecordId::Identity, &own),
        (RecordId::Energy, &7_000_000_u64.to_le_bytes()),
    ]);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(40_000);
    let counters = bench.load(RecordId::MacCounters).expect("a join-request has stored its DevNonce");
    // Off, so that a socket that was switched off, by somebody or by a trip, would be seen to come back on.
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    bench.button.hold(11_000_000);
    bench.run_ms(20_000);
    assert_eq!(bench.resets.get(), 1);
    assert_eq!(bench.load(RecordId::Settings), None);
    assert_eq!(bench.load(RecordId::Energy), None);
    assert_eq!(bench.load(RecordId::Identity), Some(own.to_vec()));
    assert_eq!(bench.load(RecordId::RelayState), Some(vec![0]));
    assert_eq!(bench.load(RecordId::MacCounters), Some(counters));
}

#[test]
fn a_socket_whose_stored_state_is_lost_stays_off() {
    let mut bench = Bench::new();
    // Every page begun and none free, which no log ever is.
    let mut page = vec![0xFF; 4096];
    (page[0], page[4095]) = (0, 0);
    bench.flash = Flash::with_contents(page.repeat(16));
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert!(bench.when("Error { what: \"flash: a record could not be read\" }").is_some());
    assert_eq!(bench.relay.get(), Some(false));
}
