//! What a debugger does with a machine: halts it, looks into it, and lets it go on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use unicorn_engine::{RegisterARM, UcHookId};

use super::{Error, FLAGS, Machine, RAM};
use crate::chip::Chip;

/// Why the CPU stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The debugger asked for it.
    Asked,
    /// It has done one instruction.
    Stepped,
    /// There is a breakpoint.
    Breakpoint,
}

/// What the debugger has the CPU do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Halted(Halt),
    Running,
    /// One instruction, and no interrupt before it.
    Stepping,
}

/// The registers of a Cortex-M, as they are stacked and as a debugger numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registers {
    /// R0 to R12, SP, LR and PC.
    pub r: [u32; 16],
    /// Flags, and the exception that runs.
    pub xpsr: u32,
}

const CORE: [RegisterARM; 15] = [
    RegisterARM::R0,
    RegisterARM::R1,
    RegisterARM::R2,
    RegisterARM::R3,
    RegisterARM::R4,
    RegisterARM::R5,
    RegisterARM::R6,
    RegisterARM::R7,
    RegisterARM::R8,
    RegisterARM::R9,
    RegisterARM::R10,
    RegisterARM::R11,
    RegisterARM::R12,
    RegisterARM::SP,
    RegisterARM::LR,
];

/// The side of a debugger in a machine.
#[derive(Debug)]
pub(super) struct Debug {
    state: State,
    breakpoints: BTreeMap<u32, UcHookId>,
    /// The CPU stands before a breakpoint.
    hit: Rc<Cell<bool>>,
    /// The breakpoint to go on from.
    passed: Rc<Cell<Option<u32>>>,
}

/// Bytes that lie in one memory, whatever the chip.
const PAGE: u32 = 256;

impl<C: Chip> Machine<C> {
    /// Halts it for a debugger, before its next instruction.
    pub fn halt(&mut self) {
        match &mut self.debug {
            Some(debug) => debug.state = State::Halted(Halt::Asked),
            None => {
                self.debug = Some(Debug {
                    state: State::Halted(Halt::Asked),
                    breakpoints: BTreeMap::new(),
                    hit: Rc::new(Cell::new(false)),
                    passed: Rc::new(Cell::new(None)),
                });
            }
        }
    }

    /// Tells why it stands still for a debugger, if it does.
    #[must_use]
    pub fn halted(&self) -> Option<Halt> {
        match self.debug.as_ref()?.state {
            State::Halted(why) => Some(why),
            State::Running | State::Stepping => None,
        }
    }

    /// Lets it go on when it runs next: for one instruction or until something halts it.
    ///
    /// A step takes no interrupt, and time goes by for its instruction only. It ends the CPU's sleep, as a debugger of a
    /// chip does (ARMv7-M ARM, WFE and WFI).
    pub fn go_on(&mut self, one_step: bool) {
        let Some(debug) = &mut self.debug else { return };
        let is_at_breakpoint = debug.state == State::Halted(Halt::Breakpoint);
        debug.passed.set(is_at_breakpoint.then_some(self.pc & !1));
        debug.state = if one_step { State::Stepping } else { State::Running };
        if one_step {
            self.sleep = None;
        }
    }

    /// Lets the debugger go: no breakpoint is left.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn let_go(&mut self) -> Result<(), Error> {
        for address in self.breakpoints() {
            self.remove_breakpoint(address)?;
        }
        self.debug = None;
        Ok(())
    }

    /// Lists where it is to halt.
    #[must_use]
    pub fn breakpoints(&self) -> Vec<u32> {
        self.debug.as_ref().map(|debug| debug.breakpoints.keys().copied().collect()).unwrap_or_default()
    }

    /// Has it halt before the instruction at an address. In an IT block it halts behind that: the engine takes one for a
    /// single instruction.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn add_breakpoint(&mut self, address: u32) -> Result<(), Error> {
        let Some(debug) = &self.debug else { return Ok(()) };
        let address = address & !1;
        if debug.breakpoints.contains_key(&address) {
            return Ok(());
        }
        let (hit, passed) = (debug.hit.clone(), debug.passed.clone());
        let at = u64::from(address);
        let hook = self.cpu.add_code_hook(at, at, move |cpu, _, _| {
            if passed.take() == Some(address) {
                return;
            }
            hit.set(true);
            let _ = cpu.emu_stop();
        })?;
        if let Some(debug) = &mut self.debug {
            debug.breakpoints.insert(address, hook);
        }
        // Code that is translated already knows nothing of it.
        self.cpu.ctl_flush_tb()
    }

    /// Takes a breakpoint away; tells whether there was one.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn remove_breakpoint(&mut self, address: u32) -> Result<bool, Error> {
        let hook = self.debug.as_mut().and_then(|debug| debug.breakpoints.remove(&(address & !1)));
        let Some(hook) = hook else { return Ok(false) };
        self.cpu.remove_hook(hook)?;
        self.cpu.ctl_flush_tb()?;
        Ok(true)
    }

    /// Reads the registers.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn registers(&self) -> Result<Registers, Error> {
        let mut r = [0; 16];
        for (place, register) in r.iter_mut().zip(CORE) {
            *place = self.register(register)?;
        }
        r[15] = self.pc & !1;
        let running = self.chip.borrow().core().nvic.running();
        let xpsr = self.register(RegisterARM::CPSR)? & FLAGS | 1 << 24 | u32::from(running);
        Ok(Registers { r, xpsr })
    }

    /// Writes the registers; of the status its flags.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn set_registers(&mut self, registers: &Registers) -> Result<(), Error> {
        for (value, register) in registers.r.iter().zip(CORE) {
            self.cpu.reg_write(register, u64::from(*value))?;
        }
        let pc = registers.r[15] & !1;
        if pc != self.pc & !1 {
            self.pc = pc;
            self.sleep = None;
        }
        let status = self.register(RegisterARM::CPSR)? & !FLAGS | registers.xpsr & FLAGS;
        self.cpu.reg_write(RegisterARM::CPSR, u64::from(status))
    }

    /// Reads memory as the CPU does, registers of the chip included, with what a read does to those; tells how many bytes
    /// there are from `address` on.
    pub fn read_memory(&mut self, address: u32, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(done as u32) else { break };
            let length = ((PAGE - at % PAGE) as usize).min(rest.len());
            let from = self.chip.borrow().alias(at, false).unwrap_or(at);
            if self.cpu.mem_read(u64::from(from), &mut rest[..length]).is_err() {
                break;
            }
            done += length;
        }
        done
    }

    /// Writes to RAM or to registers of the chip; tells whether that can be. Flash is programmed by the image only.
    pub fn write_memory(&mut self, address: u32, bytes: &[u8]) -> bool {
        u64::from(address) >= RAM
            && self.cpu.mem_write(u64::from(address), bytes).is_ok()
            && self.ram_code.written(&mut self.cpu, address, bytes.len()).is_ok()
    }

    /// The CPU is to do one instruction.
    pub(super) fn steps(&self) -> bool {
        self.debug.as_ref().is_some_and(|debug| debug.state == State::Stepping)
    }

    /// The step is done.
    pub(super) fn stepped(&mut self) {
        if let Some(debug) = &mut self.debug {
            debug.hit.set(false);
            debug.state = State::Halted(Halt::Stepped);
        }
    }

    /// The CPU engine has stopped: tells whether that was for a breakpoint.
    pub(super) fn take_hit(&mut self) -> bool {
        let Some(debug) = self.debug.as_mut().filter(|debug| debug.hit.take()) else { return false };
        if debug.state == State::Running {
            debug.state = State::Halted(Halt::Breakpoint);
        }
        true
    }
}
