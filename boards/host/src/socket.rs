//! One socket: its hardware, which outlives the firmware, and the firmware that starts and ends on it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lora_phy::sx126x::{self, Sx1262, TcxoCtrlVoltage};
use sockeye_firmware::{Parts, Retained, Shared, Tasks, control, maintenance, radio, service, start, watch};
use sockeye_metering::{Bl0942, Calibration, FrontEnd};
use sockeye_nfc::{Tag, i2c_password};
use sockeye_settings::{Identity, MAX_STORED, Region, Settings};
use sockeye_state_machine::{ResetCause, UplinkKind};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::bl0942::{self as meter, BaudPin, SharedCircuit};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::delay::VirtualDelay;
use sockeye_virtual_hardware::flash::{Flash, Stm32wl};
use sockeye_virtual_hardware::mains::{Circuit, MeteredCircuit};
use sockeye_virtual_hardware::sim::{Notify, Sim, TaskId};
use sockeye_virtual_hardware::st25dv::{SharedTag, St25dv};
use sockeye_virtual_hardware::sx126x::VirtualChip;

use crate::board::{HostBoard, HostClock, HostSupply, HostSystem, LedPin, RelayPin};
use crate::device::{Device, Place};
use crate::observer::{HostObserver, Log};
use crate::program::{Conduct, HostFlash, Program, upgrade_parts};
use crate::report::Event;

/// The mains voltage of a region's sockets, in mV.
const MAINS_MV: u32 = 230_000;

/// From reset to the first instruction of the firmware, in µs: clocks, and a bootloader's look at its state.
const BOOT_US: u64 = 20_000;

/// How long the capacitor feeds the device without mains, in µs. Two seconds let one frame of 17 bytes go out at
/// SF12 (1.5 s on air).
const HOLD_UP_US: u64 = 2_000_000;

/// The watchdog's time-out, in µs.
const WATCHDOG_US: u64 = 8_000_000;

/// The storage region, as on the STM32WL: seven pages, 14 KB.
const STORAGE_PAGES: usize = 7;
const STORAGE_BYTES: u32 = 14 * 1024;

/// The memory of the tag: an ST25DV64K.
const TAG_BYTES: usize = 8192;

/// The mains of one socket. Clones are the same.
#[derive(Clone, Debug)]
pub struct Power {
    on: Rc<Cell<bool>>,
    losses: Rc<Cell<u64>>,
    lost: Notify,
    /// The board has a supply monitor.
    monitored: Rc<Cell<bool>>,
}

impl Power {
    fn new() -> Self {
        Self {
            on: Rc::new(Cell::new(true)),
            losses: Rc::default(),
            lost: Notify::new(),
            monitored: Rc::new(Cell::new(true)),
        }
    }

    /// Tells how often the mains has gone.
    pub fn losses(&self) -> u64 {
        self.losses.get()
    }

    /// Waits until the mains has gone more often than `seen` times, and tells how often it has. Without a supply monitor
    /// that is never.
    pub async fn loss_after(&self, seen: u64) -> u64 {
        self.lost.until(|| self.losses.get() > seen && self.monitored.get()).await;
        self.losses.get()
    }
}

/// Ends and restarts the firmware of one socket. Clones are the same.
#[derive(Clone, Debug)]
pub struct Restart {
    sim: Sim,
    fed_us: Rc<Cell<u64>>,
    requested: Rc<Cell<bool>>,
    request: Notify,
}

impl Restart {
    fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), fed_us: Rc::default(), requested: Rc::default(), request: Notify::new() }
    }

    /// Feeds the watchdog.
    pub fn feed(&self) {
        self.fed_us.set(self.sim.now_us());
    }

    /// Resets the chip.
    pub fn request(&self) {
        self.requested.set(true);
        self.request.notify();
    }
}

/// One socket. Clones are the same one.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("index", &self.0.index).finish_non_exhaustive()
    }
}

struct Inner {
    sim: Sim,
    index: usize,
    identity: Identity,
    region: Region,
    seed: u64,
    starts: Cell<u64>,
    circuit: SharedCircuit,
    button: VirtualButton,
    chip: VirtualChip,
    retained: &'static Retained,
    tag: SharedTag,
    flash: HostFlash,
    /// What the bootloader started last.
    program: Cell<Program>,
    power: Power,
    restart: Restart,
    voltage_mv: Cell<u32>,
    tasks: RefCell<Vec<TaskId>>,
    running: Cell<bool>,
    watchdog_resets: Cell<u64>,
    observer: HostObserver,
    log: Log,
    /// Of the firmware that runs.
    shared: RefCell<Rc<Shared>>,
}

impl Socket {
    /// Makes a socket, puts its radio into the medium, and plugs it in. It is made for the channel plan of its
    /// settings, or for EU868.
    pub fn new(place: &Place<'_>) -> Self {
        let Place { sim, medium, index, identity, settings, seed, log, .. } = *place;
        let flash = Flash::erased(STORAGE_PAGES);
        if let Some(settings) = settings {
            store_settings(&flash, settings);
        }
        let meter = meter::Bl0942::new(FrontEnd::TYPICAL, BaudPin::High);
        let circuit = MeteredCircuit::new(Circuit::new(f64::from(MAINS_MV) / 1000.0), meter);
        let socket = Self(Rc::new(Inner {
            sim: sim.clone(),
            index,
            identity,
            region: settings.map_or(Region::Eu868, |settings| settings.lorawan.region),
            seed,
            starts: Cell::new(0),
            circuit: SharedCircuit::new(sim, circuit),
            button: VirtualButton::new(sim),
            chip: VirtualChip::new(medium, true),
            // One for each socket, as a board keeps it in a static.
            retained: Box::leak(Box::default()),
            tag: SharedTag::new(sim, St25dv::new(TAG_BYTES)),
            flash: HostFlash::new(flash),
            program: Cell::new(Program::FIRST),
            power: Power::new(),
            restart: Restart::new(sim),
            voltage_mv: Cell::new(MAINS_MV),
            tasks: RefCell::default(),
            running: Cell::new(false),
            watchdog_resets: Cell::new(0),
            observer: HostObserver::new(index, log),
            log: log.clone(),
            shared: RefCell::new(Rc::new(Shared::new())),
        }));
        sim.spawn(socket.clone().obey_resets());
        sim.spawn(socket.clone().watch());
        socket.boot(ResetCause::PowerOn, 0);
        socket
    }

    /// The radio.
    pub fn chip(&self) -> &VirtualChip {
        &self.0.chip
    }

    /// The flash with its records.
    pub fn flash(&self) -> &Flash<Stm32wl> {
        self.0.flash.records()
    }

    /// What runs, by the bootloader's account.
    pub fn program(&self) -> Program {
        self.0.program.get()
    }

    /// The flash with the slots of images.
    pub fn slots(&self) -> &Flash<Stm32wl> {
        self.0.flash.slots()
    }

    /// Copies out all that is kept without power: the records, and the slots if they were ever written to.
    pub(crate) fn all_flash(&self) -> Vec<u8> {
        self.0.flash.contents()
    }

    /// Puts back what [`Self::all_flash`] gave, while there is no power. Tells whether it was of this size.
    pub(crate) fn put_flash(&self, bytes: &[u8]) -> bool {
        self.0.flash.put(bytes)
    }

    /// What the tasks of the firmware that runs share.
    pub fn shared(&self) -> Rc<Shared> {
        self.0.shared.borrow().clone()
    }

    /// Takes the supply monitor off the board, or puts it on again.
    pub fn set_supply_monitor(&self, present: bool) {
        self.0.power.monitored.set(present);
    }

    fn apply_voltage(&self, voltage_mv: u32) {
        self.0.circuit.change(|now_us, circuit| circuit.set_voltage(now_us, f64::from(voltage_mv) / 1000.0));
    }

    /// The capacitor is empty: every chip forgets what is not in flash.
    fn lose_supply(&self) {
        self.end_firmware();
        self.0.observer.goes_dark();
        self.0.chip.power_cycle();
        self.0.tag.with(|now_us, chip| chip.power_cut(now_us));
        self.0.retained.clear();
        self.0.circuit.with_meter(|now_us, meter| meter.reset(now_us));
        self.0.circuit.change(|now_us, circuit| circuit.drive_relay(now_us, false));
    }

    fn end_firmware(&self) {
        self.0.running.set(false);
        for task in self.0.tasks.take() {
            self.0.sim.kill(task);
        }
    }

    /// Starts the firmware after `delay_us`.
    fn boot(&self, cause: ResetCause, delay_us: u64) {
        let (program, swap_us) = self.0.flash.boot();
        self.0.program.set(program);
        let delay_us = delay_us + swap_us;
        self.0.running.set(true);
        self.0.restart.fed_us.set(self.0.sim.now_us() + delay_us);
        let (socket, sim) = (self.clone(), self.0.sim.clone());
        self.add_task(async move {
            sim.sleep_us(delay_us).await;
            socket.run_firmware(cause).await;
        });
    }

    fn add_task(&self, future: impl Future<Output = ()> + 'static) {
        let task = self.0.sim.spawn(future);
        self.0.tasks.borrow_mut().push(task);
    }

    async fn run_firmware(&self, cause: ResetCause) {
        if self.0.program.get().conduct == Conduct::Hangs {
            return std::future::pending().await;
        }
        let shared = Rc::new(Shared::new());
        self.0.shared.replace(shared.clone());
        let Tasks {
            control: mut one,
            watch: mut two,
            radio: mut three,
            service: mut four,
            maintenance: mut five,
        } = start(self.parts(cause), &shared).await;
        let for_radio = shared.clone();
        self.add_task(async move {
            radio(&mut three, &for_radio).await;
        });
        let for_service = shared.clone();
        self.add_task(async move {
            service(&mut four, &for_service).await;
        });
        let for_maintenance = shared.clone();
        self.add_task(async move {
            maintenance(&mut five, &for_maintenance).await;
        });
        let for_watch = shared.clone();
        self.add_task(async move {
            watch(&mut two, &for_watch).await;
        });
        control(&mut one, &shared).await;
    }

    fn parts(&self, reset_cause: ResetCause) -> Parts<HostBoard> {
        let Inner { sim, circuit, chip, .. } = &*self.0;
        let starts = self.0.starts.get() + 1;
        self.0.starts.set(starts);
        let delay = VirtualDelay::new(sim);
        let config = sx126x::Config {
            chip: Sx1262,
            tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V7),
            use_dcdc: true,
            rx_boost: true,
        };
        let line = match self.0.program.get().conduct {
            // As from a driver that reads another port.
            Conduct::CannotMeasure => dead_meter(sim).serial(),
            _ => circuit.serial(),
        };
        let meter = Bl0942::new(line, delay.clone(), Calibration::bl0942(FrontEnd::TYPICAL));
        Parts {
            clock: HostClock::new(sim),
            relay: RelayPin(circuit.clone()),
            led: LedPin,
            button: self.0.button.clone(),
            meter,
            supply: HostSupply::new(&self.0.power),
            phy: sockeye_radio::sx126x(chip.spi(), chip.interface(), config, delay),
            flash: self.0.flash.clone(),
            storage_range: 0..STORAGE_BYTES,
            port: Tag::new(
                self.0.tag.i2c(),
                self.0.tag.gpo(),
                VirtualDelay::new(sim),
                i2c_password(self.0.identity.app_key.as_bytes()),
            ),
            upgrade: upgrade_parts(self.0.program.get().version),
            system: HostSystem(self.0.restart.clone()),
            observer: self.0.observer.clone(),
            identity: self.0.identity,
            region: self.0.region,
            retained: self.0.retained,
            reset_cause,
            seed: self.0.seed ^ starts.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        }
    }

    /// Ends and restarts the firmware whenever it asks for that.
    async fn obey_resets(self) {
        let Restart { requested, request, .. } = self.0.restart.clone();
        loop {
            request.until(|| requested.replace(false)).await;
            if self.0.retained.pending().is_some() {
                self.tell_hang();
            }
            self.end_firmware();
            self.boot(ResetCause::Reboot, BOOT_US);
        }
    }

    /// Counts and tells the end of a hang, which the watchdog, or the task that feeds it, has brought about.
    fn tell_hang(&self) {
        self.0.watchdog_resets.set(self.0.watchdog_resets.get() + 1);
        let what = "the watchdog ended a hang".to_owned();
        self.0.log.push(self.0.index, Event::Error { what });
        self.0.log.push(self.0.index, Event::Reboot { cause: "watchdog" });
    }

    /// Is the watchdog.
    async fn watch(self) {
        let Inner { sim, restart, running, .. } = &*self.0;
        loop {
            let fed_us = restart.fed_us.get();
            sim.sleep_until_us(fed_us.max(sim.now_us()).saturating_add(WATCHDOG_US)).await;
            if running.get() && restart.fed_us.get() == fed_us {
                self.tell_hang();
                self.end_firmware();
                self.boot(ResetCause::Watchdog, BOOT_US);
            }
        }
    }
}

impl Device for Socket {
    fn circuit(&self) -> &SharedCircuit {
        &self.0.circuit
    }

    fn button(&self) -> &VirtualButton {
        &self.0.button
    }

    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    fn tag(&self) -> Option<&SharedTag> {
        Some(&self.0.tag)
    }

    fn observer(&self) -> &HostObserver {
        &self.0.observer
    }

    fn mains_on(&self) -> bool {
        self.0.power.on.get()
    }

    fn waiting(&self) -> Vec<(UplinkKind, usize)> {
        let mut waiting = Vec::new();
        if self.0.running.get() {
            self.0.shared.borrow().each_waiting(|kind, bytes| waiting.push((kind, bytes)));
        }
        waiting
    }

    fn watchdog_resets(&self) -> u64 {
        self.0.watchdog_resets.get()
    }

    fn set_voltage_mv(&self, voltage_mv: u32) {
        self.0.voltage_mv.set(voltage_mv);
        if self.mains_on() {
            self.apply_voltage(voltage_mv);
        }
    }

    fn set_mains(&self, on: bool) {
        let Inner { power, sim, log, index, .. } = &*self.0;
        if power.on.replace(on) == on {
            return;
        }
        log.push(*index, Event::Power { on });
        if on {
            self.apply_voltage(self.0.voltage_mv.get());
            if !self.0.running.get() {
                self.boot(ResetCause::PowerOn, BOOT_US);
            }
        } else {
            self.apply_voltage(0);
            power.losses.set(power.losses.get() + 1);
            power.lost.notify();
            let (socket, losses) = (self.clone(), power.losses.get());
            let sim = sim.clone();
            self.0.sim.spawn(async move {
                sim.sleep_us(HOLD_UP_US).await;
                let Power { on, losses: now, .. } = &socket.0.power;
                if !on.get() && now.get() == losses {
                    socket.lose_supply();
                }
            });
        }
    }

    /// The firmware is tasks on that clock.
    fn run_until_us(_: &mut [Self], sim: &Sim, end_us: u64) {
        sim.run_until_us(end_us);
    }
}

/// A meter without mains.
fn dead_meter(sim: &Sim) -> SharedCircuit {
    let meter = meter::Bl0942::new(FrontEnd::TYPICAL, BaudPin::High);
    SharedCircuit::new(sim, MeteredCircuit::new(Circuit::new(0.0), meter))
}

/// Puts settings into a flash, as a tool would have before the socket was plugged in.
fn store_settings(flash: &Flash<Stm32wl>, settings: &Settings) {
    let mut bytes = [0; MAX_STORED];
    let length = settings.encode(&mut bytes).expect("MAX_STORED holds any settings");
    let stored = &bytes[..length];
    let mut storage = Storage::new(flash.clone(), 0..STORAGE_BYTES);
    embassy_futures::block_on(storage.store(RecordId::Settings, stored))
        .expect("an erased flash takes a record");
}

#[cfg(test)]
mod tests {
    use sockeye_network_server::Config;
    use sockeye_settings::{Key, Model};
    use sockeye_virtual_hardware::air::Medium;

    use super::*;
    use crate::network::Network;
    use crate::traffic::Traffic;

    fn socket() -> (Sim, Log, Socket) {
        let sim = Sim::new();
        let (medium, log) = (Medium::new(&sim, 1), Log::new(&sim));
        let identity = Identity {
            sn: [1; 8],
            dev_eui: [2; 8],
            model: Model::Eu,
            app_key: Key::DEFAULT,
            hardware_version: [1, 0x40],
        };
        let network =
            Network::new(&sim, &medium, Config::default(), 1, &log, &Traffic::new(&medium, Region::Eu868))
                .unwrap();
        let socket = Socket::new(&Place {
            sim: &sim,
            medium: &medium,
            network: &network,
            index: 0,
            identity,
            settings: None,
            seed: 1,
            log: &log,
        });
        (sim, log, socket)
    }

    #[test]
    fn each_task_that_hangs_is_ended_by_the_watchdog_and_the_relay_stays_as_it_was() {
        for task in 0..3 {
            let (sim, log, socket) = socket();
            sim.run_until_us(1_000_000);
            socket.button().hold(100_000);
            sim.run_until_us(5_000_000);
            assert!(!socket.observer().with_seen(|seen| seen.relay_on));
            assert_eq!(socket.watchdog_resets(), 0);
            let _ = log.take();
            // A task that is not polled any more: control, radio or service.
            let hung = socket.0.tasks.borrow()[task];
            sim.kill(hung);
            sim.run_until_us(30_000_000);
            assert_eq!(socket.watchdog_resets(), 1, "task {task}");
            let events: Vec<_> = log.take().into_iter().map(|(_, _, event)| event).collect();
            assert!(events.contains(&Event::Reboot { cause: "watchdog" }), "{events:?}");
            assert!(events.contains(&Event::Relay { on: false, cause: "power_up" }), "{events:?}");
            // And it is well again.
            sim.run_until_us(120_000_000);
            assert_eq!(socket.watchdog_resets(), 1, "task {task}");
        }
    }

    #[test]
    fn a_socket_without_mains_is_not_woken_by_its_watchdog() {
        let (sim, log, socket) = socket();
        sim.run_until_us(5_000_000);
        socket.set_mains(false);
        sim.run_until_us(7_000_001);
        let _ = log.take();
        sim.run_until_us(100_000_000);
        assert_eq!((log.take(), socket.watchdog_resets()), (vec![], 0));
        socket.set_mains(true);
        sim.run_until_us(200_000_000);
        assert_eq!(socket.watchdog_resets(), 0);
        assert!(socket.observer().with_seen(|seen| seen.relay_on));
    }
}
