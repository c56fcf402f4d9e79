//! A CPU with its chip: runs an image, and enters and leaves exceptions.
//!
//! The CPU engine knows neither interrupts nor sleep. It runs until the next instant at which something is due, or
//! until an access to a register makes something due at once; between two such slices this module does what a
//! Cortex-M does by itself: it stacks registers and enters a handler, and lets time jump while the CPU sleeps.

mod debug;
mod ram_code;
mod reads;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_firmware::Retained;
use unicorn_engine::{Arch, MemType, Mode, Prot, RegisterARM, TlbEntry, TlbType, Unicorn};

use crate::chip::{Area, Call, Chip, ResetKind, Start};
use crate::elf::Image;
use crate::outside::{Change, Outside};
use crate::time::{Time, ticks_of_us};
use crate::trace::Trace;

pub use self::debug::{Halt, Registers};
use self::ram_code::RamCode;
pub use self::reads::Reads;

/// A handler returns here, to a breakpoint. A Cortex-M has a number there that is no address.
const RETURN: u64 = 0x1FFE_0000;

/// While an interrupt waits for PRIMASK the CPU runs in slices of so many cycles.
const MASKED_SLICE: u64 = 32;

/// From here on there is RAM, on each of the chips.
const RAM: u64 = 0x2000_0000;

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
    Sev,
    Sleep(Sleep),
}

impl Hint {
    /// ARMv7-M ARM, A5.2.5: hints.
    fn of(half: u16) -> Option<Self> {
        match half {
            0xBF20 => Some(Self::Sleep(Sleep::UntilEvent)),
            0xBF30 => Some(Self::Sleep(Sleep::UntilInterrupt)),
            0xBF40 => Some(Self::Sev),
            _ => None,
        }
    }
}

/// Why the CPU does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    UntilEvent,
    UntilInterrupt,
}

/// A machine with supply.
pub struct Machine<C> {
    cpu: Unicorn<'static, ()>,
    chip: Rc<RefCell<C>>,
    time: Rc<Time>,
    /// The CPU has met a breakpoint, or an instruction that there is not.
    trapped: Rc<Cell<bool>>,
    /// The CPU has just gone to sleep.
    slept: Rc<Cell<Option<Sleep>>>,
    ram_code: RamCode,
    image: Rc<Image>,
    trace: Option<Rc<Trace>>,
    reads: Option<Reads>,
    debug: Option<debug::Debug>,
    sleep: Option<Sleep>,
    pc: u32,
    /// The CPU stands still until the next reset.
    is_locked_up: bool,
    slices: u64,
    /// The chip's view as it was looked at last.
    view: u64,
    eui64: [u8; 8],
}

impl<C> std::fmt::Debug for Machine<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("pc", &self.pc)
            .field("now_us", &self.time.now_us())
            .finish_non_exhaustive()
    }
}

impl<C: Chip> Machine<C> {
    /// Makes a machine whose supply has just come. `eui64` is the number that the maker gave the chip.
    ///
    /// # Errors
    /// The CPU engine could not be set up.
    pub fn new(
        image: &Rc<Image>,
        outside: &Outside<C::Nor>,
        eui64: [u8; 8],
        seed: u64,
    ) -> Result<Self, Error> {
        let time = Rc::new(Time::new(ticks_of_us(outside.sim.now_us() + C::POWER_UP_US), 1));
        let chip = Rc::new(RefCell::new(C::new(&time, outside, eui64, seed)));
        let trapped = Rc::new(Cell::new(false));
        let slept = Rc::new(Cell::new(None));
        // With MCLASS the engine takes a Cortex-M33, whatever model is asked for.
        let mut cpu = Unicorn::new(Arch::ARM, Mode::THUMB | Mode::MCLASS)?;
        let areas = chip.borrow().areas(image, seed);
        map_memory(&mut cpu, &areas)?;
        map_registers(&mut cpu, &chip)?;
        add_hooks(&mut cpu, &time, &trapped)?;
        let ram_code = RamCode::default();
        translate_addresses(&mut cpu, &chip, &areas, &ram_code)?;
        // No addresses to stop at: the engine would translate their blocks anew after each slice.
        cpu.ctl_exits_enable()?;
        for (address, hint) in hints(image) {
            add_hint(&mut cpu, &chip, &slept, address, hint)?;
        }
        let mut machine = Self {
            cpu,
            chip,
            time,
            trapped,
            slept,
            ram_code,
            image: image.clone(),
            trace: None,
            reads: None,
            debug: None,
            sleep: None,
            pc: 0,
            is_locked_up: false,
            slices: 0,
            view: 0,
            eui64,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Takes the supply away, and gives it back: as a new machine with the same things around it, which takes longer to make.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn power_cycle(&mut self, seed: u64) -> Result<(), Error> {
        let outside = self.chip.borrow().core().outside.clone();
        self.time.begin(ticks_of_us(outside.sim.now_us() + C::POWER_UP_US));
        let chip = C::new(&self.time, &outside, self.eui64, seed);
        let areas = chip.areas(&self.image, seed);
        *self.chip.borrow_mut() = chip;
        for Area { start, contents, .. } in areas {
            self.fill(start, &contents)?;
        }
        self.ram_code.forget(&mut self.cpu)?;
        self.set_registers(&Registers::default())?;
        self.trapped.set(false);
        self.slept.set(None);
        self.start()
    }

    /// Gives a memory its contents. Code that is the same as before stays translated.
    fn fill(&mut self, start: u32, contents: &[u8]) -> Result<(), Error> {
        const PAGE: usize = 4096;
        let mut before = [0; PAGE];
        for (address, page) in (u64::from(start)..).step_by(PAGE).zip(contents.chunks(PAGE)) {
            let before = before.get_mut(..page.len()).unwrap_or_default();
            self.cpu.mem_read(address, before)?;
            if before != page {
                self.cpu.mem_write(address, page)?;
            }
        }
        Ok(())
    }

    /// Writes down every function that is entered and every exception, from now on.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn trace(&mut self, trace: &Rc<Trace>) -> Result<(), Error> {
        let (lines, time, image) = (trace.clone(), self.time.clone(), self.image.clone());
        self.cpu.add_block_hook(1, 0, move |_, address, _| {
            if let Some(name) = image.entered(address as u32) {
                lines.line(time.now_us(), format_args!("  {:#}", rustc_demangle::demangle(name)));
            }
        })?;
        // Code that is translated already knows nothing of it.
        self.cpu.ctl_flush_tb()?;
        self.trace = Some(trace.clone());
        Ok(())
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        if let Some(trace) = &self.trace {
            trace.line(self.time.now_us(), what);
        }
    }

    /// Lets the chip do what it does before the image's first instruction.
    fn start(&mut self) -> Result<(), Error> {
        let Start { sp, pc, lr } = self.chip.borrow_mut().start(&mut self.cpu);
        self.look_at_view()?;
        self.pc = pc;
        self.cpu.reg_write(RegisterARM::SP, u64::from(sp))?;
        self.cpu.reg_write(RegisterARM::LR, u64::from(lr))?;
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
    pub fn chip(&self) -> std::cell::RefMut<'_, C> {
        self.chip.borrow_mut()
    }

    /// Tells how often the CPU engine was started.
    #[must_use]
    pub fn slices(&self) -> u64 {
        self.slices
    }

    /// Tells how many half-words of code the CPU has run.
    #[must_use]
    pub fn half_words(&self) -> u64 {
        self.time.ran()
    }

    /// Names the function that the CPU is in.
    #[must_use]
    pub fn function(&self) -> &str {
        self.image.function(self.pc)
    }

    /// Lets the CPU go on elsewhere, as a program gone astray does.
    pub fn jump(&mut self, pc: u32) {
        self.pc = pc;
        self.sleep = None;
    }

    /// Copies RAM out.
    ///
    /// # Errors
    /// The range is not RAM.
    pub fn ram(&self, address: u32, bytes: usize) -> Result<Vec<u8>, Error> {
        self.cpu.mem_read_as_vec(u64::from(address), bytes)
    }

    /// Runs until the clock shows `end_us`, until there is a change to be taken from the chip, or until a debugger's halt.
    ///
    /// # Errors
    /// Those of the CPU engine itself; what the image does wrong is a fault of the chip's.
    pub fn run_until_us(&mut self, end_us: u64) -> Result<(), Error> {
        let end = ticks_of_us(end_us);
        while self.time.now() < end && !self.chip.borrow().core().has_changes() && self.halted().is_none() {
            self.chip.borrow_mut().advance(&mut self.cpu);
            let reset = self.chip.borrow_mut().core_mut().take_reset();
            if let Some(kind) = reset {
                self.reset(kind)?;
                continue;
            }
            if self.steps() {
                self.step()?;
                continue;
            }
            if !self.is_locked_up {
                self.take_exceptions(false)?;
            }
            if self.is_locked_up || self.sleeps() {
                let next = self.chip.borrow().next_event().unwrap_or(end);
                // An event that is due already shows with the next look.
                self.time.pass_until(next.min(end).max(self.time.now() + 1));
                continue;
            }
            self.run_slice(end)?;
            self.look_at_view()?;
            self.take_log();
        }
        Ok(())
    }

    fn take_log(&mut self) {
        let Some(log) = self.image.log else { return };
        let bytes = log.take(&mut self.cpu);
        if !bytes.is_empty() {
            self.chip.borrow_mut().core_mut().tell(Change::Log(bytes));
        }
    }

    /// Does one instruction, and no interrupt before it but a fault's.
    fn step(&mut self) -> Result<(), Error> {
        self.take_exceptions(true)?;
        if !self.is_locked_up {
            // Until the engine has counted one, however long that takes.
            self.time.set_stop(u64::MAX);
            self.run_engine(1)?;
            if u64::from(self.pc & !1) == RETURN {
                self.leave()?;
            }
            self.look_at_view()?;
        }
        self.stepped();
        Ok(())
    }

    /// Another program may be new code, and other aliases are to be asked for.
    fn look_at_view(&mut self) -> Result<(), Error> {
        let view = self.chip.borrow().view();
        if std::mem::replace(&mut self.view, view) != view {
            self.cpu.ctl_flush_tb()?;
            self.cpu.ctl_flush_tlb()?;
        }
        Ok(())
    }

    fn reset(&mut self, kind: ResetKind) -> Result<(), Error> {
        self.note(format_args!("reset: {kind:?}"));
        let function = self.function().to_owned();
        let noted = self.image.retained.and_then(|start| {
            Retained::pending_in(|offset| self.word(u64::from(start) + offset as u64).unwrap_or(0))
        });
        let mut chip = self.chip.borrow_mut();
        chip.core_mut().tell(Change::Reset(kind, function, noted));
        chip.reset(kind);
        drop(chip);
        // Code in RAM is copied there anew.
        self.cpu.ctl_flush_tb()?;
        self.start()
    }

    /// Tells whether the CPU sleeps on. What it waits for may have come.
    fn sleeps(&mut self) -> bool {
        let mut chip = self.chip.borrow_mut();
        let nvic = &mut chip.core_mut().nvic;
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

    /// Enters the handlers of all exceptions that come now, or only of those that nothing masks: each may be interrupted at
    /// once by a better one.
    fn take_exceptions(&mut self, faults_only: bool) -> Result<(), Error> {
        loop {
            let masked = faults_only || self.is_masked()?;
            let next = self.chip.borrow().core().nvic.next(masked);
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
        let xpsr = flags | 1 << 24 | padded << 7 | u32::from(self.chip.borrow().core().nvic.running());
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
        self.chip.borrow_mut().core_mut().nvic.enter(number);
        self.note(format_args!("> exception {number}"));
        let vtor = self.chip.borrow().core().vtor();
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
        if self.chip.borrow().core().nvic.running() == 0 {
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
        self.chip.borrow_mut().core_mut().nvic.leave();
        self.note(format_args!("< back from the exception"));
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
        if self.chip.borrow().core().nvic.would_wake() {
            // Held back by PRIMASK: nothing tells when that is cleared.
            stop = stop.min(self.time.now() + MASKED_SLICE * self.time.ticks_per_cycle());
        }
        self.time.set_stop(stop.max(self.time.now() + 1));
        self.run_engine(0)
    }

    /// Runs the CPU engine, for so many instructions or, with 0, until something stops it.
    fn run_engine(&mut self, instructions: usize) -> Result<(), Error> {
        self.slices += 1;
        let result = self.cpu.emu_start(u64::from(self.pc | 1), RETURN, 0, instructions);
        self.pc = self.register(RegisterARM::PC)?;
        if u64::from(self.pc) < RAM {
            self.ram_code.pass(&mut self.cpu)?;
        }
        let slept = self.slept.take();
        if self.take_hit() {
            return Ok(());
        }
        if self.trapped.take() {
            if u64::from(self.pc & !1) == RETURN {
                return self.leave();
            }
            self.trap()?;
        } else if slept.is_some() {
            // The engine has stopped behind the WFE, which it calls invalid, or WFI.
            self.sleep = slept;
        } else if let Err(error) = result {
            // An access where nothing is, most of all.
            self.hard_fault(format!("{error:?}"));
        }
        Ok(())
    }

    /// A breakpoint: a function in ROM that its chip does, or a fault.
    fn trap(&mut self) -> Result<(), Error> {
        let call = Call {
            address: self.pc & !1,
            arguments: [
                self.register(RegisterARM::R0)?,
                self.register(RegisterARM::R1)?,
                self.register(RegisterARM::R2)?,
                self.register(RegisterARM::R3)?,
            ],
            caller: self.register(RegisterARM::LR)?,
            is_masked: self.is_masked()?,
        };
        let mut memory =
            reads::Watched { cpu: &mut self.cpu, reads: self.reads.as_ref(), ram_code: &self.ram_code };
        let result = self.chip.borrow_mut().call(&mut memory, call);
        match result {
            Some(value) => {
                self.cpu.reg_write(RegisterARM::R0, u64::from(value))?;
                self.pc = call.caller;
            }
            None => self.hard_fault("a trap".to_owned()),
        }
        Ok(())
    }

    fn hard_fault(&mut self, what: String) {
        self.note(format_args!("hard fault at {:#010x}: {what}", self.pc));
        // A second fault while the first is handled.
        if self.chip.borrow().core().nvic.running() == crate::nvic::HARD_FAULT {
            return self.lock_up(what);
        }
        let mut chip = self.chip.borrow_mut();
        chip.core_mut().fault(format!("hard fault: {what} in {}", self.image.function(self.pc)));
        chip.core_mut().nvic.raise_hard_fault();
    }

    /// Stops the CPU: only a reset, such as the watchdog's, ends that.
    fn lock_up(&mut self, what: String) {
        let what = format!("lock-up: {what} in {}", self.image.function(self.pc));
        self.chip.borrow_mut().core_mut().fault(what);
        self.is_locked_up = true;
    }
}

/// The registers of a stack frame, in their order.
const STACKED: [RegisterARM; 6] =
    [RegisterARM::R0, RegisterARM::R1, RegisterARM::R2, RegisterARM::R3, RegisterARM::R12, RegisterARM::LR];

fn map_memory(cpu: &mut Unicorn<'static, ()>, areas: &[Area]) -> Result<(), Error> {
    for Area { start, contents } in areas {
        // What is not to be written `translate_addresses` sees to: here it would take a new map for each write of the model's.
        cpu.mem_map(u64::from(*start), contents.len() as u64, Prot::ALL)?;
        cpu.mem_write(u64::from(*start), contents)?;
    }
    cpu.mem_map(RETURN, 0x1000, Prot::READ | Prot::EXEC)?;
    cpu.mem_write(RETURN, &BREAKPOINT)
}

fn map_registers<C: Chip>(cpu: &mut Unicorn<'static, ()>, chip: &Rc<RefCell<C>>) -> Result<(), Error> {
    for (base, length) in C::REGISTERS.iter().copied() {
        let (for_reads, for_writes) = (chip.clone(), chip.clone());
        cpu.mmio_map(
            u64::from(base),
            u64::from(length),
            Some(move |cpu: &mut Unicorn<'_, ()>, offset: u64, size: usize| {
                let mut chip = for_reads.borrow_mut();
                let value = chip.read(cpu, base + offset as u32, size as u32);
                chip.stop_for_interrupts();
                u64::from(value)
            }),
            Some(move |cpu: &mut Unicorn<'_, ()>, offset: u64, size: usize, value: u64| {
                let mut chip = for_writes.borrow_mut();
                chip.write(cpu, base + offset as u32, size as u32, value as u32);
                chip.stop_for_interrupts();
                chip.stop_for_events();
            }),
        )?;
    }
    Ok(())
}

/// Says to the CPU engine that addresses are those of the memory, and that RAM holds no code until some is fetched from
/// it: stores to a page that might hold code take the long way through the engine.
fn translate_addresses<C: Chip>(
    cpu: &mut Unicorn<'static, ()>,
    chip: &Rc<RefCell<C>>,
    areas: &[Area],
    ram_code: &RamCode,
) -> Result<(), Error> {
    let (chip, ram_code) = (chip.clone(), ram_code.clone());
    // Flash and ROM.
    let read_only: Vec<_> = areas
        .iter()
        .map(|area| u64::from(area.start)..u64::from(area.start) + area.contents.len() as u64)
        .filter(|area| area.start < RAM)
        .collect();
    cpu.ctl_set_tlb_type(TlbType::VIRTUAL)?;
    cpu.add_tlb_hook(1, 0, move |cpu, address, access| {
        let is_fetch = access == MemType::FETCH;
        // Before it asks here the engine works out the state that belongs to this instruction. Inside an IT block it
        // would keep that of the block, although its code goes on by itself, and obey it again in the next one.
        if !is_fetch
            && let Ok(status) = cpu.reg_read(RegisterARM::CPSR)
            && status & IT_STATE != 0
        {
            let _ = cpu.reg_write(RegisterARM::CPSR, status & !IT_STATE);
        }
        let is_store = access == MemType::WRITE;
        if !is_fetch
            && let Ok(chip) = chip.try_borrow()
            && let Some(alias) = chip.alias(address as u32, is_store)
        {
            let perms = if is_store { Prot::WRITE } else { Prot::READ };
            return Some(TlbEntry { paddr: u64::from(alias), perms });
        }
        if is_fetch && address >= RAM {
            ram_code.enter(address);
        }
        let perms = match address {
            _ if read_only.iter().any(|area| area.contains(&address)) => Prot::READ | Prot::EXEC,
            _ if address < RAM || ram_code.has(address) => Prot::ALL,
            _ => Prot::READ | Prot::WRITE,
        };
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

/// Tells when the CPU meets a hint.
fn add_hint<C: Chip>(
    cpu: &mut Unicorn<'static, ()>,
    chip: &Rc<RefCell<C>>,
    slept: &Rc<Cell<Option<Sleep>>>,
    address: u32,
    hint: Hint,
) -> Result<(), Error> {
    let (chip, slept) = (chip.clone(), slept.clone());
    let at = u64::from(address);
    cpu.add_code_hook(at, at, move |cpu, _, _| {
        let mut half = [0; 2];
        // An upgrade may have brought other code.
        if cpu.mem_read(at, &mut half).is_err() || Hint::of(u16::from_le_bytes(half)) != Some(hint) {
            return;
        }
        match hint {
            Hint::Sev => chip.borrow_mut().core_mut().nvic.set_event(),
            Hint::Sleep(sleep) => slept.set(Some(sleep)),
        }
    })?;
    Ok(())
}

/// Finds the hints that a chip obeys and the CPU engine passes over.
fn hints(image: &Image) -> Vec<(u32, Hint)> {
    image.short_instructions().filter_map(|(address, half)| Some((address, Hint::of(half)?))).collect()
}
