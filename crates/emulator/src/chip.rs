//! What a chip is to the machine that runs it, and what every chip has.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use sockeye_virtual_hardware::flash::{self, Flash};

use crate::elf::Image;
use crate::memory::Memory;
use crate::nvic::Nvic;
use crate::outside::{Change, Outside};
use crate::time::{TICKS_PER_US, Time, ticks_of_us};

/// Why a chip was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Supply came.
    Power,
    /// A watchdog.
    Watchdog,
    /// The image asked for it.
    Software,
}

/// Memory that the CPU engine holds by itself.
#[derive(Clone, Debug)]
pub struct Area {
    /// Its first address.
    pub start: u32,
    /// What is in it when the supply comes.
    pub contents: Vec<u8>,
}

impl Area {
    /// Makes RAM as power-up leaves it: it holds noise.
    #[must_use]
    pub fn ram(start: u32, bytes: u32, seed: u64) -> Self {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        Self { start, contents: (0..bytes).map(|_| next()).collect() }
    }
}

/// The registers that a CPU begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The stack pointer.
    pub sp: u32,
    /// The first instruction.
    pub pc: u32,
    /// Where the first function returns to.
    pub lr: u32,
}

/// A call of a function that the chip has in ROM, and its model in place of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where the function is.
    pub address: u32,
    /// R0 to R3.
    pub arguments: [u32; 4],
    /// Where it returns to.
    pub caller: u32,
    /// PRIMASK: no interrupt comes.
    pub is_masked: bool,
}

/// Where the programs lie in the modelled flash, by offset (board.toml; a test compares).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The bootloader, which nobody changes.
    pub bootloader: Range<u32>,
    /// The application, which the bootloader alone changes.
    pub active: Range<u32>,
}

/// A chip around its CPU.
pub trait Chip: fmt::Debug + Sized + 'static {
    /// The rules of its flash.
    type Nor: flash::Chip + Clone + fmt::Debug;

    /// The addresses behind which there are registers, by start and length.
    const REGISTERS: &'static [(u32, u32)];
    /// Where in the modelled flash the records lie (board.toml; a test compares).
    const RECORDS: Range<u32>;
    /// Where the programs lie.
    const PROGRAMS: Programs;
    /// From supply to the first instruction, in µs.
    const POWER_UP_US: u64;
    /// How long after the mains has gone the supply monitor sees it, in µs.
    const SUPPLY_MONITOR_US: u64;

    /// Says whether the image has a tag at its chip.
    const HAS_TAG: bool = false;

    /// Makes a flash as the factory leaves it, with the image, where that lies in the modelled part.
    fn flash(image: &Image) -> Flash<Self::Nor>;

    /// Makes the chip as it is when its supply has come.
    fn new(time: &Rc<Time>, outside: &Outside<Self::Nor>, eui64: [u8; 8], seed: u64) -> Self;

    /// Lists the memories that are not modelled here, which the CPU engine holds.
    fn areas(&self, image: &Image, seed: u64) -> Vec<Area>;

    /// Does what the chip itself does before its CPU runs the first instruction of an image.
    fn start(&mut self, memory: &mut dyn Memory) -> Start;

    /// Becomes as it is after a reset that left it its supply.
    fn reset(&mut self, kind: ResetKind);

    /// Shows what every chip has.
    fn core(&self) -> &Core<Self::Nor>;

    /// Shows what every chip has, to change it.
    fn core_mut(&mut self) -> &mut Core<Self::Nor>;

    /// Brings everything to the present instant: timers, bytes on lines, what is outside.
    fn advance(&mut self, memory: &mut dyn Memory);

    /// Tells when something happens next, in ticks.
    fn next_event(&self) -> Option<u64>;

    /// Reads a register, `bytes` wide.
    fn read(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32) -> u32;

    /// Writes a register, `bytes` wide.
    fn write(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32, value: u32);

    /// Tells where a load or a store goes instead of the memory at its address: to registers, such as the model of the flash
    /// that the store programs.
    fn alias(&self, address: u32, is_store: bool) -> Option<u32> {
        let (_, _) = (address, is_store);
        None
    }

    /// Gives a number that is another one when the aliases may be others, or the program is: its vectors are elsewhere.
    fn view(&self) -> u64 {
        u64::from(self.core().vtor())
    }

    /// Does what a function in ROM does; gives its R0, or nothing where there is no such function.
    fn call(&mut self, memory: &mut dyn Memory, call: Call) -> Option<u32> {
        let (_, _) = (memory, call);
        None
    }

    /// Ends the CPU's slice with the present block of code if something has come that was not there when it began. To stop the
    /// engine from inside an access would have it carry the access out twice.
    fn stop_for_interrupts(&self) {
        let core = self.core();
        if core.reset.is_some() || core.nvic.would_wake() {
            core.time.stop_by(core.time.now());
        }
    }

    /// Ends the CPU's slice where something is due that a write has planned. A read plans nothing.
    fn stop_for_events(&self) {
        if let Some(at) = self.next_event() {
            self.core().time.stop_by(at);
        }
    }
}

/// What every chip has: interrupts, the system's registers, what is soldered to it, and what was seen of it.
#[derive(Debug)]
pub struct Core<N> {
    /// The instant.
    pub time: Rc<Time>,
    /// What is soldered to the chip.
    pub outside: Outside<N>,
    /// Interrupts.
    pub nvic: Nvic,
    priority_bits: u32,
    /// The number of the CPU's design (SCB CPUID).
    cpuid: u32,
    vtor: u32,
    system: BTreeMap<u32, u32>,
    /// When the meter's next byte has arrived.
    meter_due_us: Option<u64>,
    reset: Option<ResetKind>,
    changes: Vec<Change>,
    packets: u16,
    relay: Option<bool>,
    /// The level of it that was told last, since the reset.
    relay_told: Option<bool>,
    /// Since when the relay's pin drives nothing, in ticks.
    relay_free: Option<u64>,
    /// The longest time that it drove nothing, in ticks.
    relay_gap: u64,
    led: bool,
    /// What the image did that a chip would not have let pass, or that no model answers for, with how often.
    faults: BTreeMap<String, u64>,
}

impl<N: flash::Chip + Clone> Core<N> {
    /// Makes it, with `priority_bits` bits of priority and the vectors at `vtor`.
    pub fn new(time: &Rc<Time>, outside: &Outside<N>, priority_bits: u32, cpuid: u32, vtor: u32) -> Self {
        Self {
            time: time.clone(),
            outside: outside.clone(),
            nvic: Nvic::new(priority_bits),
            priority_bits,
            cpuid,
            vtor,
            system: BTreeMap::new(),
            meter_due_us: None,
            reset: None,
            changes: Vec::new(),
            packets: outside.radio.packets(),
            relay: None,
            relay_told: None,
            relay_free: None,
            relay_gap: 0,
            led: false,
            faults: BTreeMap::new(),
        }
    }

    /// Takes over, for the time after a reset, what was seen until then.
    ///
    /// A hold circuit keeps the relay where it was while the chip restarts, and the first level that the image then
    /// gives the pin is told, whether it is another one or not.
    pub fn after_reset(&mut self, vtor: u32) -> Self {
        let mut fresh = Self::new(&self.time, &self.outside, self.priority_bits, self.cpuid, vtor);
        self.light(false);
        fresh.changes = std::mem::take(&mut self.changes);
        fresh.faults = std::mem::take(&mut self.faults);
        fresh.packets = self.packets;
        self.release_relay();
        fresh.relay_free = self.relay_free;
        fresh.relay_gap = self.relay_gap;
        fresh
    }

    /// Gives the address of the vector table.
    #[must_use]
    pub fn vtor(&self) -> u32 {
        self.vtor
    }

    /// Asks for a reset. The first that does so gives the cause.
    pub fn ask_for_reset(&mut self, kind: ResetKind) {
        self.reset.get_or_insert(kind);
    }

    /// Takes the reset that was asked for.
    pub fn take_reset(&mut self) -> Option<ResetKind> {
        self.reset.take()
    }

    /// Takes what was seen since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Adds something that was seen.
    pub fn tell(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Tells whether something was seen that nobody has taken.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Tells what the image did that a chip would not have let pass, or that no model answers for, with how often.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<String, u64> {
        &self.faults
    }

    /// Notes a change at an offset of the flash, which begins at `flash`, if no firmware may make it.
    pub fn flash_changed(&mut self, programs: &Programs, flash: u32, offset: u32) {
        let Programs { bootloader, active } = programs;
        let whose = if bootloader.contains(&offset) {
            "the bootloader"
        } else if active.contains(&offset) && self.vtor == flash + active.start {
            "the running application"
        } else {
            return;
        };
        self.fault(format!("{whose} was changed, at offset {offset:#x} of the flash"));
    }

    /// Notes something that a chip would not have let pass.
    pub fn fault(&mut self, what: String) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// Brings the outside to the present instant, before the chip acts on it.
    pub fn sync(&self) {
        self.outside.sim.run_until_us(self.time.now_us());
    }

    /// Lets time pass while the CPU stands still.
    pub fn stall_us(&self, us: u64) {
        self.time.pass_until(self.time.now() + ticks_of_us(us));
    }

    /// Looks whether the radio has received a packet.
    pub fn look_at_radio(&mut self) {
        let packets = self.outside.radio.packets();
        if packets != self.packets {
            self.packets = packets;
            // A radio that was reset counts from 0.
            if packets != 0 {
                self.changes.push(Change::Received);
            }
        }
    }

    /// Notes that the relay's pin drives nothing: what holds the relay then is outside of the chip.
    pub fn release_relay(&mut self) {
        if self.relay.take().is_some() {
            self.relay_free = Some(self.time.now());
        }
    }

    /// Takes the longest time that the relay's pin drove nothing between two levels, in µs.
    pub fn take_relay_gap_us(&mut self) -> u64 {
        std::mem::take(&mut self.relay_gap).div_ceil(TICKS_PER_US)
    }

    /// Takes the level that the relay's pin is driven to. The same one again, after the image has let go of the pin and set it up
    /// anew, is no news.
    pub fn drive_relay(&mut self, on: bool) {
        if let Some(since) = self.relay_free.take() {
            self.relay_gap = self.relay_gap.max(self.time.now() - since);
        }
        if self.relay != Some(on) {
            self.relay = Some(on);
            self.sync();
            self.outside.circuit.change(|now_us, circuit| circuit.drive_relay(now_us, on));
            if self.relay_told.replace(on) != Some(on) {
                self.changes.push(Change::Relay(on));
            }
        }
    }

    /// Lights the LED, or darkens it.
    pub fn light(&mut self, lit: bool) {
        if lit != self.led {
            self.led = lit;
            self.changes.push(Change::Led(lit));
        }
    }

    /// Gives the next byte of the meter that has arrived by now, and when the one after it comes, in ticks.
    pub fn meter_byte(&mut self) -> Option<(u8, Option<u64>)> {
        while self.meter_due_us.is_some_and(|at| at <= self.time.now_us()) {
            let (byte, next) = self
                .outside
                .circuit
                .with_meter(|now_us, meter| (meter.transmit(now_us), meter.next_event_us()));
            self.meter_due_us = next;
            if let Some(byte) = byte {
                return Some((byte, next.map(ticks_of_us)));
            }
        }
        None
    }

    /// Gives the next byte of the computer that has arrived by now, and when the one after it comes, in ticks.
    pub fn computer_byte(&self) -> Option<(u8, Option<u64>)> {
        let line = &self.outside.line;
        let byte = line.arrived(self.time.now_us())?;
        Some((byte, line.next_event_us().map(ticks_of_us)))
    }

    /// The last stop bit of a byte has reached the computer at the serial line, with how long a bit of it was.
    pub fn computer_hears(&mut self, byte: u8, bit_ticks: u64) {
        if !self.outside.line.hear(byte, bit_ticks * 1000 / TICKS_PER_US) {
            self.fault("the serial line runs at another speed or format than the computer".to_owned());
        }
    }

    /// Tells the meter of a byte whose last stop bit has left at `at`, with bits of so many ticks.
    pub fn meter_hears(&mut self, byte: u8, at: u64, bit_ticks: u64) {
        let bit_ns = bit_ticks * 1000 / TICKS_PER_US;
        let (fits, next) = self.outside.circuit.with_meter(|_, meter| {
            // A byte of the meter is 11 bits; a receiver stands an error of 3 %.
            let meter_bit_ns = meter.byte_us() * 1000 / 11;
            let fits = bit_ns.abs_diff(meter_bit_ns) * 100 <= meter_bit_ns * 3;
            if fits {
                meter.receive(at / TICKS_PER_US, byte);
            }
            (fits, meter.next_event_us())
        });
        self.meter_due_us = next;
        if !fits {
            self.fault("the serial line runs at another speed or format than the meter".to_owned());
        }
    }

    /// Tells when something outside happens next, in ticks.
    pub fn next_outside(&self) -> Option<u64> {
        let outside = [
            self.outside.sim.next_timer_us(),
            self.outside.button.next_event_us(),
            self.outside.line.next_event_us(),
            self.meter_due_us,
        ];
        outside.into_iter().flatten().min().map(ticks_of_us)
    }

    /// Reads a register of the system control space.
    #[must_use]
    pub fn read_system(&self, address: u32) -> Option<u32> {
        match address {
            0xE000_E100..0xE000_E500 => self.nvic.read(address - 0xE000_E100),
            0xE000_ED00 => Some(self.cpuid),
            0xE000_ED04 => Some(u32::from(self.nvic.running())),
            0xE000_ED08 => Some(self.vtor),
            0xE000_ED0C => Some(0xFA05_0000),
            0xE000_ED10..0xE000_ED40 | 0xE000_ED88 | 0xE000_EDFC => {
                Some(self.system.get(&address).copied().unwrap_or(0))
            }
            _ => None,
        }
    }

    /// Writes a register of the system control space.
    pub fn write_system(&mut self, address: u32, value: u32) -> Option<()> {
        match address {
            0xE000_E100..0xE000_E500 => self.nvic.write(address - 0xE000_E100, value)?,
            0xE000_ED08 => self.vtor = value,
            // STIR: software triggers an interrupt.
            0xE000_EF00 => self.nvic.write(0x100 + 4 * (value >> 5 & 1), 1 << (value & 31))?,
            // AIRCR takes its key in the upper half; SYSRESETREQ is bit 2.
            0xE000_ED0C => {
                if value >> 16 == 0x05FA && value & 4 != 0 {
                    self.ask_for_reset(ResetKind::Software);
                }
            }
            0xE000_ED10..0xE000_ED40 | 0xE000_ED88 | 0xE000_EDFC => {
                self.system.insert(address, value);
            }
            _ => return None,
        }
        Some(())
    }
}
