//! A board whose parts can be made to hang.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, OutputPin, PinState};
use embedded_storage_async::nor_flash::{self as nor, NorFlash, ReadNorFlash};
use lorawan_device::async_device::radio::{PhyRxTx, RxConfig, RxQuality, RxStatus, TxConfig};
use sockeye_firmware::{
    Board, Clock, Notice, Observer, Parts, Retained, Shared, SupplyMonitor, System, Tasks, UpgradeParts,
    control, radio, run, service, watch,
};
use sockeye_lorawan_mac::{CarrierSense, ListenBeforeTalk};
use sockeye_metering::{Correction, EnergyMeter, LineFrequency, Reading};
use sockeye_nfc::{Arrival, Port, Shown};
use sockeye_settings::{Identity, Key, Model, Region};
use sockeye_state_machine::ResetCause;
use sockeye_storage::{RecordId, Storage};
use sockeye_upgrade::{BoardName, Slots, Software, public_key};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::{Flash, Rp2040};
use sockeye_virtual_hardware::sim::{Notify, Sim, TaskId};

const PAGE: u32 = 4096;
const STORAGE_BYTES: u32 = 16 * PAGE;
pub const STATE: Range<u32> = STORAGE_BYTES..STORAGE_BYTES + PAGE;
const ACTIVE: Range<u32> = STATE.end..STATE.end + 3 * PAGE;
const DFU: Range<u32> = ACTIVE.end..ACTIVE.end + 4 * PAGE;

pub const MAKER: [u8; 32] = [7; 32];

/// Status and answer, as the port showed them.
#[derive(Clone, Debug)]
pub struct AtPort {
    pub status: Vec<u8>,
    pub answer: Vec<u8>,
}

/// What a test sees and does.
#[derive(Clone)]
pub struct Bench {
    pub sim: Sim,
    pub flash: Flash<Rp2040>,
    pub flash_hangs: Rc<Cell<bool>>,
    /// Wakes what hangs in the flash.
    pub flash_goes_on: Notify,
    pub radio_hangs: Rc<Cell<bool>>,
    pub meter_hangs: Rc<Cell<bool>>,
    /// Calls of the radio.
    pub radio_calls: Rc<Cell<u32>>,
    /// A frame that comes on the air.
    pub frame: Rc<RefCell<Option<Vec<u8>>>>,
    pub frame_came: Notify,
    pub reading: Rc<Cell<Reading>>,
    pub line_frequency: Rc<Cell<Option<LineFrequency>>>,
    pub correction: Rc<Cell<Option<Correction>>>,
    pub relay: Rc<Cell<Option<bool>>>,
    pub button: VirtualButton,
    pub feeds: Rc<Cell<u32>>,
    pub resets: Rc<Cell<u32>>,
    /// When the watchdog was fed last, and when the device was reset by itself.
    pub fed_us: Rc<Cell<u64>>,
    pub reset_us: Rc<Cell<Option<u64>>>,
    pub retained: &'static Retained,
    pub seen: Rc<RefCell<Vec<(u64, String)>>>,
    /// Somebody is at the port: it shows how the device stands.
    pub has_port: Rc<Cell<bool>>,
    /// What somebody at the port asks.
    pub requests: Rc<RefCell<VecDeque<Vec<u8>>>>,
    pub request_came: Notify,
    /// What the port showed.
    pub shown: Rc<RefCell<Vec<AtPort>>>,
}

impl Bench {
    pub fn new() -> Self {
        let sim = Sim::new();
        Self {
            button: VirtualButton::new(&sim),
            sim,
            flash: Flash::erased((DFU.end / PAGE) as usize),
            flash_hangs: Rc::default(),
            flash_goes_on: Notify::new(),
            radio_hangs: Rc::default(),
            meter_hangs: Rc::default(),
            radio_calls: Rc::default(),
            frame: Rc::default(),
            frame_came: Notify::new(),
            line_frequency: Rc::default(),
            correction: Rc::default(),
            reading: Rc::new(Cell::new(current(0))),
            relay: Rc::default(),
            feeds: Rc::default(),
            resets: Rc::default(),
            fed_us: Rc::default(),
            reset_us: Rc::default(),
            retained: Box::leak(Box::default()),
            seen: Rc::default(),
            has_port: Rc::default(),
            requests: Rc::default(),
            request_came: Notify::new(),
            shown: Rc::default(),
        }
    }

    /// Puts records into the flash before the device starts.
    pub fn stored(self, records: &[(RecordId, &[u8])]) -> Self {
        let mut storage = Storage::new(self.flash.clone(), 0..STORAGE_BYTES);
        for (id, bytes) in records {
            futures::executor::block_on(storage.store(*id, bytes)).unwrap();
        }
        self
    }

    fn parts(&self, reset_cause: ResetCause) -> Parts<TestBoard> {
        Parts {
            clock: self.clone(),
            relay: Relay(self.clone()),
            led: Led,
            button: self.button.clone(),
            meter: self.clone(),
            supply: NoMonitor,
            phy: self.clone(),
            flash: HangingFlash(self.clone()),
            storage_range: 0..STORAGE_BYTES,
            port: TestPort { bench: self.clone(), is_fresh: !self.has_port.get() },
            upgrade: self.upgrade_parts(),
            system: self.clone(),
            observer: self.clone(),
            identity: identity(),
            region: Region::Eu868,
            retained: self.retained,
            reset_cause,
            seed: 1,
        }
    }

    pub fn upgrade_parts(&self) -> UpgradeParts<Software> {
        UpgradeParts {
            board: BoardName::new("bench").unwrap(),
            slots: Slots { state: STATE, dfu: DFU },
            capacity: (ACTIVE.end - ACTIVE.start),
            version: [1, 0],
            verify: Software { public_key: public_key(&MAKER) },
        }
    }

    pub fn start(&self, reset_cause: ResetCause) -> TaskId {
        let bench = self.clone();
        self.sim.spawn(async move {
            let shared = Shared::new();
            run(bench.parts(reset_cause), &shared).await;
        })
    }

    /// Starts it with what the tasks share in sight.
    pub fn start_shared(&self, reset_cause: ResetCause) -> &'static Shared {
        let shared: &'static Shared = Box::leak(Box::default());
        let bench = self.clone();
        self.sim.spawn(async move { run(bench.parts(reset_cause), shared).await });
        shared
    }

    /// Starts control, radio and service as tasks that can be ended one by one, and beside them the watch on the button.
    pub fn start_apart(&self, reset_cause: ResetCause) -> [TaskId; 3] {
        let shared: &'static Shared = Box::leak(Box::default());
        let tasks = futures::executor::block_on(sockeye_firmware::start(self.parts(reset_cause), shared));
        // All by name: a new task is not to be forgotten.
        let Tasks { control: mut one, radio: mut two, service: mut three, watch: mut four, maintenance: _ } =
            tasks;
        self.sim.spawn(async move {
            watch(&mut four, shared).await;
        });
        [
            self.sim.spawn(async move {
                control(&mut one, shared).await;
            }),
            self.sim.spawn(async move {
                radio(&mut two, shared).await;
            }),
            self.sim.spawn(async move {
                service(&mut three, shared).await;
            }),
        ]
    }

    pub fn run_ms(&self, ms: u64) {
        self.sim.run_until_us(self.sim.now_us() + ms * 1000);
    }

    pub fn load(&self, id: RecordId) -> Option<Vec<u8>> {
        let mut storage = Storage::new(self.flash.clone(), 0..STORAGE_BYTES);
        let mut out = [0; 1024];
        let length = futures::executor::block_on(storage.load(id, &mut out)).unwrap();
        length.map(|length| out[..length].to_vec())
    }

    /// Marks all pages as begun and closed, which a log never leaves: its records are not to be trusted.
    pub fn make_nonsense(&self) {
        let page = PAGE as usize;
        for page_at in (0..15).map(|n| n * page) {
            self.flash.spoil(page_at, &[0; 8]);
            self.flash.spoil(page_at + page - 8, &[0; 8]);
        }
    }

    /// Puts a frame on the air, for RXC.
    pub fn send(&self, frame: &[u8]) {
        *self.frame.borrow_mut() = Some(frame.to_vec());
        self.frame_came.notify();
    }

    /// The instant of the first notice that begins so.
    pub fn when(&self, notice: &str) -> Option<u64> {
        self.seen.borrow().iter().find(|(_, seen)| seen.starts_with(notice)).map(|(at_ms, _)| *at_ms)
    }
}

pub fn identity() -> Identity {
    Identity {
        sn: [0x61, 0x48, 0x3C, 0x37, 0x19, 0x43, 0x91, 0x05],
        dev_eui: [0x24, 0xE1, 0x24, 0x14, 0x8C, 0x37, 0x19, 0x43],
        model: Model::Au,
        app_key: Key::DEFAULT,
        hardware_version: [1, 0x40],
    }
}

pub fn current(current_ma: u32) -> Reading {
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
    type Port = TestPort;
    type Verify = Software;
    type System = Bench;
    type Observer = Bench;
}

/// Shows at its start, if somebody is there, and after each request.
struct TestPort {
    bench: Bench,
    is_fresh: bool,
}

impl Port for TestPort {
    async fn next(&mut self, buffer: &mut [u8]) -> Arrival {
        if !std::mem::replace(&mut self.is_fresh, true) {
            return Arrival::Refresh;
        }
        self.bench.request_came.until(|| !self.bench.requests.borrow().is_empty()).await;
        let request = self.bench.requests.borrow_mut().pop_front().unwrap_or_default();
        buffer[..request.len()].copy_from_slice(&request);
        Arrival::Request(0..request.len())
    }

    fn room(&self, buffer: usize) -> usize {
        buffer
    }

    async fn show(&mut self, shown: Shown<'_>, _: &mut [u8]) {
        self.bench
            .shown
            .borrow_mut()
            .push(AtPort { status: shown.status.to_vec(), answer: shown.answer.to_vec() });
    }
}

impl Clock for Bench {
    fn now_ms(&self) -> u64 {
        self.ticks() / 1000
    }

    async fn until_ms(&self, at_ms: u64) {
        self.after_ms(0, at_ms).await;
    }

    fn ticks(&self) -> u64 {
        self.sim.now_us()
    }

    async fn after_ms(&self, ticks: u64, ms: u64) {
        self.sim.sleep_until_us(ticks + ms * 1000).await;
    }
}

impl EnergyMeter for Bench {
    type Error = Infallible;

    async fn read(&mut self) -> Result<Reading, Infallible> {
        while self.meter_hangs.get() {
            self.sim.sleep_us(10_000).await;
        }
        self.sim.sleep_us(26_000).await;
        Ok(self.reading.get())
    }

    fn set_line_frequency(&mut self, line: LineFrequency) {
        self.line_frequency.set(Some(line));
    }

    fn correct(&mut self, correction: &Correction) {
        self.correction.set(Some(*correction));
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
        self.fed_us.set(self.sim.now_us());
    }

    fn reset(&mut self) {
        self.resets.set(self.resets.get() + 1);
        self.reset_us.set(Some(self.sim.now_us()));
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

/// A radio that sends in 100 ms and hears what a test says, or hangs in whatever it is asked.
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

    async fn rx_continuous(&mut self, buffer: &mut [u8]) -> Result<(usize, RxQuality), Infallible> {
        self.radio_call().await;
        self.frame_came.until(|| self.frame.borrow().is_some()).await;
        let frame = self.frame.take().unwrap_or_default();
        buffer[..frame.len()].copy_from_slice(&frame);
        Ok((frame.len(), RxQuality::new(-80, 7)))
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

#[cfg(feature = "certification")]
impl sockeye_lorawan_mac::ContinuousWave for Bench {
    async fn send_carrier(&mut self, _: u32, _: i8, _: u32) -> Result<(), Infallible> {
        self.radio_call().await;
        Ok(())
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
        self.0.flash_goes_on.until(|| !self.0.flash_hangs.get()).await;
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
