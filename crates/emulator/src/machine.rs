//! A CPU with its chip: runs an image, and enters and leaves exceptions.
//!
//! The CPU engine knows neither interrupts nor sleep. It runs until the next instant at which something is due, or
//! until an access to a register makes something due at once; between two such slices this module does what a
//! Cortex-M does by itself: it stacks registers and enters a handler, and lets time jump while the CPU sleeps.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use unicorn_engine::{Arch, MemType, Mode, Prot, RegisterARM, TlbEntry, TlbType, Unicorn};

use crate::elf::Image;
use crate::outside::{Change, Outside};
use crate::stm32wl::{
    CODE_BYTES, Chip, DATA, DATA_BYTES, EUI64, FLASH, RAM, RAM_BYTES, Reset, ResetKind, SYSTEM,
};
use crate::time::{Time, ticks_of_us};

/// A handler returns here, to a breakpoint. A Cortex-M has a number there that is no address.
const RETURN: u64 = 0x1FFE_0000;

/// From supply to the first instruction, in µs (STM32WLE5 data sheet, reset temporisation; about).
const POWER_UP_US: u64 = 500;

/// While an interrupt waits for PRIMASK the CPU runs in slices of so many cycles.
const MASKED_SLICE: u64 = 32;

/// BKPT #0.
const BREAKPOINT: [u8; 2] = [0x00, 0xBE];

/// IT[7:2] and IT[1:0] of the program status (ARMv7-M ARM, B1.4.2).
const IT_STATE: u64 = 0x0600_FC00;

/// The flags of the program status: N, Z, C, V and Q, and GE.
const FLAGS: u32 = 0xF80F_0000;

/// An error of the machine itself, not of the image.
pub type Error = unicorn_engine::uc_error;

/// Instructions that the CPU engine does not carry out as a chip does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    Wfe,
    Wfi,
    Sev,
}

/// Why the CPU does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    UntilEvent,
    UntilInterrupt,
}

/// A machine with supply.
pub struct Machine {
    cpu: Unicorn<'static, ()>,
    chip: Rc<RefCell<Chip>>,
    time: Rc<Time>,
    /// The CPU has met a breakpoint, or an instruction that there is not.
    trapped: Rc<Cell<bool>>,
    hints: HashMap<u32, Hint>,
    image: Rc<Image>,
    outside: Outside,
    sleep: Option<Sleep>,
    pc: u32,
    /// The CPU stands still until the next reset.
    is_locked_up: bool,
    slices: u64,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("pc", &self.pc)
            .field("now_us", &self.time.now_us())
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Makes a machine whose supply has just come. `eui64` is the number that the maker gave the chip.
    ///
    /// # Errors
    /// The CPU engine could not be set up.
    pub fn new(image: &Rc<Image>, outside: &Outside, eui64: [u8; 8], seed: u64) -> Result<Self, Error> {
        let time = Rc::new(Time::new(ticks_of_us(outside.sim.now_us() + POWER_UP_US), 24));
        let chip = Rc::new(RefCell::new(Chip::new(&time, outside, ResetKind::Power, None, seed)));
        let trapped = Rc::new(Cell::new(false));
        // With MCLASS the engine takes a Cortex-M33, whatever model is asked for.
        let mut cpu = Unicorn::new(Arch::ARM, Mode::THUMB | Mode::MCLASS)?;
        map_memory(&mut cpu, image, eui64, seed)?;
        map_registers(&mut cpu, &chip)?;
        add_hooks(&mut cpu, &time, &trapped)?;
        translate_addresses(&mut cpu)?;
        // No addresses to stop at: the engine would translate their blocks anew after each slice.
        cpu.ctl_exits_enable()?;
        let hints = hints(image);
        // Breakpoints in their place: with a hook on an instruction the engine does not know where it was stopped, and
        // addresses to exit at it translates anew after each stop.
        for address in hints.keys() {
            cpu.mem_write(u64::from(*address), &BREAKPOINT)?;
        }
        let mut machine = Self {
            cpu,
            chip,
            time,
            trapped,
            hints,
            image: image.clone(),
            outside: outside.clone(),
            sleep: None,
            pc: 0,
            is_locked_up: false,
            slices: 0,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Takes stack pointer and first instruction from the vector table.
    fn start(&mut self) -> Result<(), Error> {
        let vtor = u64::from(self.chip.borrow().vtor());
        let sp = self.word(vtor)?;
        self.pc = self.word(vtor + 4)?;
        self.cpu.reg_write(RegisterARM::SP, u64::from(sp))?;
        self.cpu.reg_write(RegisterARM::LR, 0xFFFF_FFFF)?;
        self.cpu.reg_write(RegisterARM::PRIMASK, 0)?;
        self.sleep = None;
        self.is_locked_up = false;
        Ok(())
    }

    fn word(&self, address: u64) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.cpu.mem_read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Tells how far the machine is, in µs.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.time.now_us()
    }

    /// Shows the chip.
    #[must_use]
    pub fn chip(&self) -> std::cell::RefMut<'_, Chip> {
        self.chip.borrow_mut()
    }

    /// Tells how often the CPU engine was started.
    #[must_use]
    pub fn slices(&self) -> u64 {
        self.slices
    }

    /// Names the function that the CPU is in.
    #[must_use]
    pub fn function(&self) -> &str {
        self.image.function(self.pc)
    }

    /// Copies RAM out.
    ///
    /// # Errors
    /// The range is not RAM.
    pub fn ram(&self, address: u32, bytes: usize) -> Result<Vec<u8>, Error> {
        self.cpu.mem_read_as_vec(u64::from(address), bytes)
    }

    /// Runs until the clock shows `end_us`, or until there is a change to be taken from the chip.
    ///
    /// # Errors
    /// Those of the CPU engine itself; what the image does wrong is a fault of the chip's.
    pub fn run_until_us(&mut self, end_us: u64) -> Result<(), Error> {
        let end = ticks_of_us(end_us);
        while self.time.now() < end && !self.chip.borrow().has_changes() {
            self.chip.borrow_mut().advance(&mut self.cpu);
            let reset = self.chip.borrow_mut().take_reset();
            if let Some(Reset(kind)) = reset {
                self.reset(kind)?;
                continue;
            }
            if !self.is_locked_up {
                self.take_exceptions()?;
            }
            if self.is_locked_up || self.sleeps() {
                let next = self.chip.borrow().next_event().unwrap_or(end);
                // An event that is due already shows with the next look.
                self.time.pass_until(next.min(end).max(self.time.now() + 1));
                continue;
            }
            self.run_slice(end)?;
        }
        Ok(())
    }

    fn reset(&mut self, kind: ResetKind) -> Result<(), Error> {
        let function = self.function().to_owned();
        self.chip.borrow_mut().tell(Change::Reset(kind, function));
        let fresh = {
            let before = self.chip.borrow();
            Chip::new(&self.time, &self.outside, kind, Some(&before), 0)
        };
        *self.chip.borrow_mut() = fresh;
        // Code in RAM is copied there anew.
        self.cpu.ctl_flush_tb()?;
        self.start()
    }

    /// Tells whether the CPU sleeps on. What it waits for may have come.
    fn sleeps(&mut self) -> bool {
        let nvic = &mut self.chip.borrow_mut().nvic;
        let wakes = match self.sleep {
            None => true,
            Some(Sleep::UntilEvent) => nvic.take_event(),
            Some(Sleep::UntilInterrupt) => nvic.would_wake(),
        };
        if wakes {
            self.sleep = None;
        }
        !wakes
    }

    fn is_masked(&self) -> Result<bool, Error> {
        Ok(self.cpu.reg_read(RegisterARM::PRIMASK)? & 1 != 0)
    }

    /// Enters the handlers of all exceptions that come now: each may be interrupted at once by a better one.
    fn take_exceptions(&mut self) -> Result<(), Error> {
        loop {
            let masked = self.is_masked()?;
            let next = self.chip.borrow().nvic.next(masked);
            let Some(number) = next else { return Ok(()) };
            if self.is_in_it_block()? {
                return Ok(());
            }
            self.enter(number)?;
            if self.is_locked_up {
                return Ok(());
            }
        }
    }

    /// Enters an exception (ARMv7-M ARM, B1.5.6): stacks eight words, and goes on at the handler.
    fn enter(&mut self, number: u8) -> Result<(), Error> {
        let sp = self.register(RegisterARM::SP)?;
        let padded = sp & 4;
        let frame = (sp & !7).wrapping_sub(32);
        let flags = self.register(RegisterARM::CPSR)? & FLAGS;
        let xpsr = flags | 1 << 24 | padded << 7 | u32::from(self.chip.borrow().nvic.running());
        let mut words = Vec::with_capacity(32);
        for register in STACKED {
            words.extend(self.register(register)?.to_le_bytes());
        }
        words.extend((self.pc & !1).to_le_bytes());
        words.extend(xpsr.to_le_bytes());
        if self.cpu.mem_write(u64::from(frame), &words).is_err() {
            self.lock_up(format!("the stack has run out of RAM at {frame:#010x}"));
            return Ok(());
        }
        self.cpu.reg_write(RegisterARM::SP, u64::from(frame))?;
        self.cpu.reg_write(RegisterARM::LR, RETURN | 1)?;
        self.chip.borrow_mut().nvic.enter(number);
        let vtor = self.chip.borrow().vtor();
        self.pc = self.word(u64::from(vtor + 4 * u32::from(number)))?;
        // What the CPU waited for has come: after the handler it goes on behind the WFE or WFI.
        self.sleep = None;
        // About 12 cycles.
        self.time.pass_cycles(12);
        Ok(())
    }

    /// Leaves an exception: what was interrupted goes on as it was, with the registers that are on the stack.
    fn leave(&mut self) -> Result<(), Error> {
        let frame = self.register(RegisterARM::SP)?;
        if self.chip.borrow().nvic.running() == 0 {
            self.lock_up("a return from no exception".to_owned());
            return Ok(());
        }
        let mut words = [0; 32];
        self.cpu.mem_read(u64::from(frame), &mut words)?;
        let word = |at: usize| {
            words
                .get(4 * at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        for (at, register) in STACKED.into_iter().enumerate() {
            self.cpu.reg_write(register, u64::from(word(at)))?;
        }
        let padding = word(7) >> 7 & 4;
        self.cpu.reg_write(RegisterARM::SP, u64::from(frame + 32 + padding))?;
        let status = self.register(RegisterARM::CPSR)? & !FLAGS | word(7) & FLAGS;
        self.cpu.reg_write(RegisterARM::CPSR, u64::from(status))?;
        self.pc = word(6);
        self.chip.borrow_mut().nvic.leave();
        self.time.pass_cycles(12);
        Ok(())
    }

    fn register(&self, register: RegisterARM) -> Result<u32, Error> {
        Ok(self.cpu.reg_read(register)? as u32)
    }

    /// Tells whether the CPU stands inside an IT block, whose state is not among what can be set. The next block of
    /// code is soon behind it.
    fn is_in_it_block(&self) -> Result<bool, Error> {
        Ok(self.cpu.reg_read(RegisterARM::CPSR)? & IT_STATE != 0)
    }

    /// Lets the CPU run until something is due.
    fn run_slice(&mut self, end: u64) -> Result<(), Error> {
        let mut stop = self.chip.borrow().next_event().map_or(end, |next| next.min(end));
        if self.chip.borrow().nvic.would_wake() {
            // Held back by PRIMASK: nothing tells when that is cleared.
            stop = stop.min(self.time.now() + MASKED_SLICE * self.time.ticks_per_cycle());
        }
        self.time.set_stop(stop.max(self.time.now() + 1));
        self.slices += 1;
        let result = self.cpu.emu_start(u64::from(self.pc | 1), RETURN, 0, 0);
        self.pc = self.register(RegisterARM::PC)?;
        if self.trapped.take() {
            if u64::from(self.pc & !1) == RETURN {
                return self.leave();
            }
            match self.hints.get(&(self.pc & !1)).copied() {
                Some(hint) => self.obey(hint),
                None => self.hard_fault("a trap".to_owned()),
            }
        } else if let Err(error) = result {
            // An access where nothing is, most of all.
            self.hard_fault(format!("{error:?}"));
        }
        Ok(())
    }

    fn obey(&mut self, hint: Hint) {
        self.pc += 2;
        match hint {
            Hint::Wfe => self.sleep = Some(Sleep::UntilEvent),
            Hint::Wfi => self.sleep = Some(Sleep::UntilInterrupt),
            Hint::Sev => self.chip.borrow_mut().nvic.set_event(),
        }
    }

    fn hard_fault(&mut self, what: String) {
        // A second fault while the first is handled.
        if self.chip.borrow().nvic.running() == crate::nvic::HARD_FAULT {
            return self.lock_up(what);
        }
        let mut chip = self.chip.borrow_mut();
        chip.fault(format!("hard fault: {what} in {}", self.image.function(self.pc)));
        chip.nvic.raise_hard_fault();
    }

    /// Stops the CPU: only a reset, such as the watchdog's, ends that.
    fn lock_up(&mut self, what: String) {
        self.chip.borrow_mut().fault(format!("lock-up: {what} in {}", self.image.function(self.pc)));
        self.is_locked_up = true;
    }
}

/// The registers of a stack frame, in their order.
const STACKED: [RegisterARM; 6] =
    [RegisterARM::R0, RegisterARM::R1, RegisterARM::R2, RegisterARM::R3, RegisterARM::R12, RegisterARM::LR];

fn map_memory(cpu: &mut Unicorn<'static, ()>, image: &Image, eui64: [u8; 8], seed: u64) -> Result<(), Error> {
    cpu.mem_map(u64::from(FLASH), u64::from(CODE_BYTES), Prot::READ | Prot::EXEC)?;
    cpu.mem_write(u64::from(FLASH), &vec![0xFF; CODE_BYTES as usize])?;
    // At reset the flash is seen at 0 as well, but the image uses its own address.
    cpu.mem_map(u64::from(RAM), u64::from(RAM_BYTES), Prot::READ | Prot::WRITE)?;
    cpu.mem_write(u64::from(RAM), &noise(seed, RAM_BYTES as usize))?;
    cpu.mem_map(u64::from(SYSTEM), 0x1_0000, Prot::READ)?;
    let [a, b, c, d, e, f, g, h] = eui64;
    // Device number, then company and kind, each as a little-endian word.
    cpu.mem_write(u64::from(EUI64), &[h, g, f, e, d, c, b, a])?;
    cpu.mem_map(RETURN, 0x1000, Prot::READ | Prot::EXEC)?;
    cpu.mem_write(RETURN, &BREAKPOINT)?;
    for (address, bytes) in &image.segments {
        cpu.mem_write(u64::from(*address), bytes)?;
    }
    Ok(())
}

/// RAM after power-up holds noise.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// The blocks of addresses behind which there are registers, or the flash that holds records.
const REGISTERS: [(u32, u32); 6] = [
    (0x4000_0000, 0x3_0000),
    (0x4800_0000, 0x2000),
    (0x5800_0000, 0x2_0000),
    (0xE000_0000, 0x1000),
    (0xE000_E000, 0x1000),
    (0xE004_2000, 0x1000),
];

fn map_registers(cpu: &mut Unicorn<'static, ()>, chip: &Rc<RefCell<Chip>>) -> Result<(), Error> {
    for (base, length) in REGISTERS.into_iter().chain([(DATA, DATA_BYTES)]) {
        let (for_reads, for_writes) = (chip.clone(), chip.clone());
        cpu.mmio_map(
            u64::from(base),
            u64::from(length),
            Some(move |cpu: &mut Unicorn<'_, ()>, offset: u64, size: usize| {
                let mut chip = for_reads.borrow_mut();
                let value = chip.read(cpu, base + offset as u32, size as u32);
                chip.stop_if_wanted();
                u64::from(value)
            }),
            Some(move |cpu: &mut Unicorn<'_, ()>, offset: u64, size: usize, value: u64| {
                let mut chip = for_writes.borrow_mut();
                chip.write(cpu, base + offset as u32, size as u32, value as u32);
                chip.stop_if_wanted();
            }),
        )?;
    }
    Ok(())
}

/// Says to the CPU engine that addresses are those of the memory, and that RAM holds no code until some is fetched from
/// it: stores to a page that might hold code take the long way through the engine.
fn translate_addresses(cpu: &mut Unicorn<'static, ()>) -> Result<(), Error> {
    cpu.ctl_set_tlb_type(TlbType::VIRTUAL)?;
    cpu.add_tlb_hook(1, 0, |cpu, address, access| {
        let is_fetch = access == MemType::FETCH;
        // Before it asks here the engine works out the state that belongs to this instruction. Inside an IT block it
        // would keep that of the block, although its code goes on by itself, and obey it again in the next one.
        if !is_fetch
            && let Ok(status) = cpu.reg_read(RegisterARM::CPSR)
            && status & IT_STATE != 0
        {
            let _ = cpu.reg_write(RegisterARM::CPSR, status & !IT_STATE);
        }
        let may_hold_code = is_fetch || address < u64::from(RAM);
        let perms = if may_hold_code { Prot::ALL } else { Prot::READ | Prot::WRITE };
        Some(TlbEntry { paddr: address, perms })
    })?;
    Ok(())
}

fn add_hooks(cpu: &mut Unicorn<'static, ()>, time: &Rc<Time>, trapped: &Rc<Cell<bool>>) -> Result<(), Error> {
    let clock = time.clone();
    cpu.add_block_hook(1, 0, move |cpu, _, size| {
        // A cycle for each half-word: instructions of two and four bytes take one and two on the average, with the
        // wait states of the flash and its prefetch.
        if clock.pass_cycles_or_stop(u64::from(size) / 2) {
            let _ = cpu.emu_stop();
        }
    })?;
    let trapped = trapped.clone();
    cpu.add_intr_hook(move |cpu, _| {
        trapped.set(true);
        let _ = cpu.emu_stop();
    })?;
    Ok(())
}

/// Finds the hints that a chip obeys and the CPU engine passes over.
fn hints(image: &Image) -> HashMap<u32, Hint> {
    let hint = |(address, half)| {
        // ARMv7-M ARM, A5.2.5: hints.
        let hint = match half {
            0xBF20 => Hint::Wfe,
            0xBF30 => Hint::Wfi,
            0xBF40 => Hint::Sev,
            _ => return None,
        };
        Some((address, hint))
    };
    image.short_instructions().filter_map(hint).collect()
}
