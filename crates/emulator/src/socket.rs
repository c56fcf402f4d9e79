//! A socket whose firmware runs on a modelled chip, for the runs of the host board.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use embassy_futures::block_on;
use serialport::SerialPort;
use sockeye_firmware::Fault;
use sockeye_host::device::{Device, Place};
use sockeye_host::network::Network;
use sockeye_host::observer::{HostObserver, Log};
use sockeye_host::report::Event;
use sockeye_metering::{Calibration, FrontEnd};
use sockeye_settings::{Identity, MAX_STORED, Settings};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::bl0942::SharedCircuit;
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::flash::{self, Flash};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::SharedTag;

use crate::chip::{Chip, ResetKind};
use crate::elf::Image;
use crate::gdb::Server;
use crate::machine::Machine;
use crate::outside::{Change, HOLD_UP_US, MAINS_MV, Outside};
use crate::rtt::{self, Reader};
use crate::trace::Trace;
use crate::witness::Witness;

/// The word at the start of the bootloader's notes where two images are to be swapped (embassy-boot 0.7, `SWAP_MAGIC`).
const SWAP: [u8; 8] = [0xF0; 8];

/// How far one of several machines runs ahead of the others, in µs.
const STEP_US: u64 = 500;

/// A machine with mains, load, button and air around it.
pub struct EmulatedSocket<C: Chip> {
    image: Rc<Image>,
    outside: Outside<C::Nor>,
    identity: Identity,
    index: usize,
    seed: u64,
    /// The groups that it listens to.
    groups: Vec<u32>,
    log: Log,
    network: Network,
    observer: HostObserver,
    /// None while the chip has no supply.
    machine: RefCell<Option<Machine<C>>>,
    starts: Cell<u64>,
    trace: RefCell<Option<Rc<Trace>>>,
    debugger: RefCell<Option<Rc<Server<C>>>>,
    voltage_mv: Cell<u32>,
    mains_went_us: Cell<Option<u64>>,
    witness: RefCell<Witness>,
    told_faults: Cell<usize>,
    watchdog_resets: Cell<u64>,
    /// When the relay's pin was set last.
    relay_set_us: Cell<Option<u64>>,
    /// The pulse count of the meter as it was looked at last.
    pulses: Cell<u32>,
    /// Reads what this start of the image logs.
    log_reader: RefCell<Option<Reader>>,
    /// The computer's end of the chip's serial line.
    line_end: RefCell<Option<Box<dyn SerialPort>>>,
}

impl<C: Chip> std::fmt::Debug for EmulatedSocket<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatedSocket").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<C: Chip> EmulatedSocket<C> {
    /// Puts identity and settings into the flash, as in the factory, and plugs the socket in.
    ///
    /// # Errors
    /// The CPU engine could not be set up.
    pub fn new(image: &Rc<Image>, place: &Place<'_>) -> Result<Self, String> {
        let Place { sim, medium, network, index, identity, settings, seed, log } = *place;
        let flash = C::flash(image);
        provision(&flash, C::RECORDS, &identity, settings);
        let mut outside = Outside::new(sim, medium, flash);
        outside.is_devkit = image.is_for_nucleo();
        network.tell_for(index);
        let socket = Self {
            image: image.clone(),
            outside,
            identity,
            index,
            seed,
            groups: settings.map(groups).unwrap_or_default(),
            log: log.clone(),
            network: network.clone(),
            observer: HostObserver::new(index, log),
            machine: RefCell::new(None),
            starts: Cell::new(0),
            trace: RefCell::new(None),
            debugger: RefCell::new(None),
            voltage_mv: Cell::new(MAINS_MV),
            mains_went_us: Cell::new(None),
            witness: RefCell::new(Witness::new(identity.model)),
            told_faults: Cell::new(0),
            watchdog_resets: Cell::new(0),
            relay_set_us: Cell::new(None),
            pulses: Cell::new(0),
            log_reader: RefCell::new(None),
            line_end: RefCell::new(None),
        };
        socket.power_up()?;
        Ok(socket)
    }

    /// Writes down what the CPU does from now on.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn trace(&self, trace: &Rc<Trace>) -> Result<(), String> {
        *self.trace.borrow_mut() = Some(trace.clone());
        self.with_machine(|machine| machine.trace(trace))
            .unwrap_or(Ok(()))
            .map_err(|error| format!("the CPU engine: {error:?}"))
    }

    /// Waits for a debugger, and lets it halt the machine from now on.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn debug(&self, debugger: &Rc<Server<C>>) -> Result<(), String> {
        *self.debugger.borrow_mut() = Some(debugger.clone());
        self.with_machine(|machine| debugger.wait(machine))
            .unwrap_or(Ok(()))
            .map_err(|error| format!("the debugger: {error}"))
    }

    /// Joins a port of this computer to the chip's serial line. What it does there hangs on this computer's clock.
    pub fn connect(&self, port: Box<dyn SerialPort>) {
        *self.line_end.borrow_mut() = Some(port);
    }

    fn pump_line(&self) {
        let mut end = self.line_end.borrow_mut();
        let result = end.as_mut().map(|port| self.outside.line.pump(self.outside.sim.now_us(), port));
        if let Some(Err(error)) = result {
            self.tell(Event::Error { what: format!("the serial line's end: {error}") });
            *end = None;
        }
    }

    fn with_debugger(&self, with: impl FnOnce(&Server<C>, &mut Machine<C>)) {
        if let Some(debugger) = &*self.debugger.borrow() {
            self.with_machine(|machine| with(debugger, machine));
        }
    }

    /// Looks at the machine, if it has supply.
    pub fn with_machine<R>(&self, with: impl FnOnce(&mut Machine<C>) -> R) -> Option<R> {
        self.machine.borrow_mut().as_mut().map(with)
    }

    /// Tells when the relay's pin was set last, in µs.
    #[must_use]
    pub fn relay_set_us(&self) -> Option<u64> {
        self.relay_set_us.get()
    }

    /// Takes the longest time since the last call that the relay's pin drove nothing between two levels, in µs.
    pub fn take_relay_gap_us(&self) -> u64 {
        self.with_machine(|machine| machine.chip().core_mut().take_relay_gap_us()).unwrap_or(0)
    }

    /// Shows the parts around the chip.
    #[must_use]
    pub fn outside(&self) -> &Outside<C::Nor> {
        &self.outside
    }

    fn tell(&self, event: Event) {
        self.log.push(self.index, event);
    }

    fn power_up(&self) -> Result<(), String> {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let seed = self.seed ^ start.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let engine = |error| format!("the CPU engine: {error:?}");
        let mut machine =
            Machine::new(&self.image, &self.outside, self.identity.dev_eui, seed).map_err(engine)?;
        if let Some(trace) = &*self.trace.borrow() {
            machine.trace(trace).map_err(engine)?;
        }
        if let Some(debugger) = &*self.debugger.borrow() {
            debugger.replace(&mut machine).map_err(engine)?;
        }
        *self.machine.borrow_mut() = Some(machine);
        self.begin_log();
        self.witness.borrow_mut().restarted();
        self.told_faults.set(0);
        Ok(())
    }

    fn begin_log(&self) {
        *self.log_reader.borrow_mut() = self.image.log.as_ref().map(rtt::Log::reader);
    }

    /// The capacitor is empty: every chip forgets what is not in flash.
    fn lose_supply(&self) {
        self.tell_faults();
        self.with_debugger(|debugger, machine| debugger.lose(machine));
        *self.machine.borrow_mut() = None;
        self.count_energy();
        self.observer.goes_dark();
        self.outside.supply_low.set(false);
        self.outside.radio.power_cycle();
        self.outside.tag.with(|now_us, chip| chip.power_cut(now_us));
        self.outside.circuit.with_meter(|now_us, meter| meter.reset(now_us));
        self.outside.circuit.change(|now_us, circuit| circuit.drive_relay(now_us, false));
        self.pulses.set(0);
    }

    /// When the supply next falls below a threshold.
    fn next_supply_event_us(&self) -> Option<u64> {
        let went_us = self.mains_went_us.get()?;
        let has_supply = self.machine.borrow().is_some();
        match (has_supply, self.outside.supply_low.get()) {
            (false, _) => None,
            (true, false) => Some(went_us + C::SUPPLY_MONITOR_US),
            (true, true) => Some(went_us + HOLD_UP_US),
        }
    }

    fn fall(&self) {
        if self.outside.supply_low.get() {
            self.lose_supply();
        } else {
            self.outside.supply_low.set(true);
        }
    }

    /// Runs until the clock shows `end_us`.
    fn run_until_us(&self, end_us: u64) {
        self.pump_line();
        loop {
            let supply_us = self.next_supply_event_us();
            let until_us = supply_us.map_or(end_us, |at_us| at_us.min(end_us));
            self.with_debugger(Server::attend);
            let ran = self.with_machine(|machine| {
                (machine.run_until_us(until_us), machine.now_us(), machine.chip().core_mut().take_changes())
            });
            let Some((result, now_us, changes)) = ran else {
                self.outside.sim.run_until_us(until_us);
                break;
            };
            self.outside.sim.run_until_us(now_us);
            if let Err(error) = result {
                self.tell(Event::Error { what: format!("the CPU engine: {error:?}") });
                *self.machine.borrow_mut() = None;
                break;
            }
            for change in changes {
                self.see(change);
            }
            self.tell_faults();
            if !self.outside.flash.is_powered() {
                // A test has cut the supply in the middle of an operation: what the flash loses at once, all lose.
                self.lose_supply();
                continue;
            }
            if now_us >= until_us {
                match supply_us.filter(|at_us| *at_us <= until_us) {
                    Some(_) => self.fall(),
                    None => break,
                }
            }
        }
        self.pump_line();
        self.count_energy();
    }

    fn see(&self, change: Change) {
        let now_us = self.outside.sim.now_us();
        let mut witness = self.witness.borrow_mut();
        match change {
            Change::Relay(on) => {
                self.relay_set_us.set(Some(now_us));
                let current_ma = (self.outside.circuit.flow().current_a * 1000.0) as u32;
                let cause = witness.relay(now_us, on, current_ma, self.outside.button.last_moved_us());
                self.observer.with_seen(|seen| seen.relay_on = on);
                if let Some(trip) = cause.trip() {
                    self.tell(Event::Trip { cause: trip, current_ma });
                }
                self.tell(Event::Relay { on, cause: cause.name() });
            }
            Change::Led(on) => {
                self.observer.with_seen(|seen| seen.led_on = on);
                self.tell(Event::Led { on });
            }
            Change::Log(bytes) => {
                let lines = self.log_reader.borrow_mut().as_mut().map(|reader| reader.lines(&bytes));
                for (level, text) in lines.unwrap_or_default() {
                    self.tell(Event::Log { level, text });
                }
            }
            Change::Received => {
                let phy = self.outside.radio.last_packet();
                self.network.accepted(self.index, self.identity.dev_eui, &phy);
                // MType 111, proprietary (docs/D2D.md).
                if phy.first().is_some_and(|mhdr| mhdr >> 5 == 7) {
                    witness.controller(now_us);
                }
                if let Some(delivery) = self.network.received(self.index, &self.groups, &phy) {
                    witness.delivery(now_us, delivery.multicast, &delivery.payload);
                }
            }
            Change::Reset(kind, function, noted) => {
                self.begin_log();
                let is_hang = kind == ResetKind::Watchdog || noted.is_some_and(|fault| fault.kind.is_hang());
                if is_hang {
                    self.watchdog_resets.set(self.watchdog_resets.get() + 1);
                    self.tell(Event::Error { what: "the watchdog ended a hang".to_owned() });
                }
                if let Some(fault) = noted {
                    self.tell(Event::Error { what: self.describe(fault) });
                }
                let kind = if is_hang { ResetKind::Watchdog } else { kind };
                let has_failed = noted.is_some();
                let button_us = self.outside.button.last_moved_us();
                // The bootloader's notes lie before the application.
                let notes = C::PROGRAMS.bootloader.end;
                let swaps = self.outside.flash.peek(notes..notes + 8) == SWAP;
                let cause = witness.reboot(now_us, kind, has_failed, &function, button_us, swaps);
                self.tell(Event::Reboot { cause });
            }
        }
    }

    /// Says what the image has noted of its end, and where that was.
    fn describe(&self, Fault { kind, pc, lr }: Fault) -> String {
        if kind.is_hang() {
            return kind.name().to_owned();
        }
        let (at, from) = (self.image.function(pc), self.image.function(lr));
        format!("{} at {pc:#010x} ({at}), from {lr:#010x} ({from})", kind.name())
    }

    /// Tells each fault of the image when it is seen first.
    fn tell_faults(&self) {
        let faults =
            self.with_machine(|machine| machine.chip().core().faults().keys().cloned().collect::<Vec<_>>());
        let Some(faults) = faults.filter(|faults| faults.len() > self.told_faults.get()) else { return };
        self.told_faults.set(faults.len());
        for what in self.witness.borrow_mut().new_faults(faults) {
            self.tell(Event::Error { what });
        }
    }

    /// Adds what the meter has counted to what went through the socket.
    fn count_energy(&self) {
        let now = self.outside.circuit.with_meter(|_, meter| meter.counts().cf_cnt);
        let before = self.pulses.replace(now);
        // The counter has 24 bits, and begins anew with a reset of the meter.
        let has_wrapped = before > 0x00F0_0000 && now < 0x0010_0000;
        let more = match now.checked_sub(before) {
            Some(more) => more,
            None if has_wrapped => now + 0x0100_0000 - before,
            None => now,
        };
        let pulse_nwh = Calibration::bl0942(FrontEnd::TYPICAL).pulse_nwh;
        let nwh = self.witness.borrow_mut().count(u64::from(more) * u64::from(pulse_nwh));
        self.observer.with_seen(|seen| seen.energy_uwh = nwh / 1000);
    }
}

impl<C: Chip> Device for EmulatedSocket<C> {
    fn circuit(&self) -> &SharedCircuit {
        &self.outside.circuit
    }

    fn button(&self) -> &VirtualButton {
        &self.outside.button
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn tag(&self) -> Option<&SharedTag> {
        C::HAS_TAG.then_some(&self.outside.tag)
    }

    fn observer(&self) -> &HostObserver {
        &self.observer
    }

    fn mains_on(&self) -> bool {
        self.mains_went_us.get().is_none()
    }

    fn set_voltage_mv(&self, voltage_mv: u32) {
        self.voltage_mv.set(voltage_mv);
        if self.mains_on() {
            self.apply_voltage(voltage_mv);
        }
    }

    fn set_mains(&self, on: bool) {
        if self.mains_on() == on {
            return;
        }
        self.tell(Event::Power { on });
        if on {
            self.mains_went_us.set(None);
            self.outside.supply_low.set(false);
            self.apply_voltage(self.voltage_mv.get());
            if self.machine.borrow().is_none()
                && let Err(what) = self.power_up()
            {
                self.tell(Event::Error { what });
            }
        } else {
            self.mains_went_us.set(Some(self.outside.sim.now_us()));
            self.apply_voltage(0);
        }
    }

    fn watchdog_resets(&self) -> u64 {
        self.watchdog_resets.get()
    }

    fn halted(&self) -> Duration {
        self.debugger.borrow().as_ref().map(|debugger| debugger.halted()).unwrap_or_default()
    }

    fn run_until_us(devices: &mut [Self], sim: &Sim, end_us: u64) {
        if let [device] = devices {
            device.run_until_us(end_us);
        } else {
            while sim.now_us() < end_us {
                let until_us = (sim.now_us() + STEP_US).min(end_us);
                devices.iter().for_each(|device| device.run_until_us(until_us));
                sim.run_until_us(until_us);
            }
        }
        sim.run_until_us(end_us);
    }
}

impl<C: Chip> EmulatedSocket<C> {
    fn apply_voltage(&self, voltage_mv: u32) {
        let voltage_v = f64::from(voltage_mv) / 1000.0;
        self.outside.circuit.change(|now_us, circuit| circuit.set_voltage(now_us, voltage_v));
    }
}

/// The addresses of the groups that are enabled.
fn groups(settings: &Settings) -> Vec<u32> {
    settings.multicast.iter().filter(|group| group.enabled).map(|group| group.dev_addr).collect()
}

/// Writes what a factory or a tool would have written.
fn provision<N: flash::Chip>(
    flash: &Flash<N>,
    records: Range<u32>,
    identity: &Identity,
    settings: Option<&Settings>,
) {
    let mut storage = Storage::new(flash.clone(), records);
    let mut store = |id: RecordId, bytes: &[u8]| {
        block_on(storage.store(id, bytes)).expect("an erased flash takes a record");
    };
    store(RecordId::Identity, &identity.encode());
    if let Some(settings) = settings {
        let mut bytes = [0; MAX_STORED];
        let length = settings.encode(&mut bytes).expect("MAX_STORED holds any settings");
        store(RecordId::Settings, &bytes[..length]);
    }
}
