//! A debugger at a modelled chip, by GDB's remote protocol over TCP.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use gdbstub::arch;
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{GdbStub, GdbStubError, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, SwBreakpoint, SwBreakpointOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};

use crate::chip::Chip;
use crate::machine::{Error, Halt, Machine, Registers};

/// A Cortex-M, as GDB knows it.
#[derive(Debug)]
pub enum CortexM {}

impl arch::Arch for CortexM {
    type Usize = u32;
    type Registers = Registers;
    type BreakpointKind = usize;
    type RegId = ();

    fn target_description_xml() -> Option<&'static str> {
        // "Debugging with GDB", appendix G.5.3: the feature of M profile cores. Both chips go without floating point.
        Some(
            r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0"><architecture>arm</architecture><feature name="org.gnu.gdb.arm.m-profile"><reg name="r0" bitsize="32"/><reg name="r1" bitsize="32"/><reg name="r2" bitsize="32"/><reg name="r3" bitsize="32"/><reg name="r4" bitsize="32"/><reg name="r5" bitsize="32"/><reg name="r6" bitsize="32"/><reg name="r7" bitsize="32"/><reg name="r8" bitsize="32"/><reg name="r9" bitsize="32"/><reg name="r10" bitsize="32"/><reg name="r11" bitsize="32"/><reg name="r12" bitsize="32"/><reg name="sp" bitsize="32" type="data_ptr"/><reg name="lr" bitsize="32"/><reg name="pc" bitsize="32" type="code_ptr"/><reg name="xpsr" bitsize="32" regnum="25"/></feature></target>"#,
        )
    }
}

impl arch::Registers for Registers {
    type ProgramCounter = u32;

    fn pc(&self) -> u32 {
        self.r[15]
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for word in self.r.iter().chain([&self.xpsr]) {
            word.to_le_bytes().into_iter().for_each(|byte| write_byte(Some(byte)));
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (words, rest) = bytes.as_chunks();
        if words.len() != self.r.len() + 1 || !rest.is_empty() {
            return Err(());
        }
        for (place, word) in self.r.iter_mut().chain([&mut self.xpsr]).zip(words) {
            *place = u32::from_le_bytes(*word);
        }
        Ok(())
    }
}

impl<C: Chip> Target for Machine<C> {
    type Arch = CortexM;
    type Error = Error;

    fn base_ops(&mut self) -> BaseOps<'_, CortexM, Error> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl<C: Chip> SingleThreadBase for Machine<C> {
    fn read_registers(&mut self, registers: &mut Registers) -> TargetResult<(), Self> {
        *registers = self.registers().map_err(TargetError::Fatal)?;
        Ok(())
    }

    fn write_registers(&mut self, registers: &Registers) -> TargetResult<(), Self> {
        self.set_registers(registers).map_err(TargetError::Fatal)
    }

    fn read_addrs(&mut self, start: u32, bytes: &mut [u8]) -> TargetResult<usize, Self> {
        match self.read_memory(start, bytes) {
            0 => Err(TargetError::NonFatal),
            read => Ok(read),
        }
    }

    fn write_addrs(&mut self, start: u32, bytes: &[u8]) -> TargetResult<(), Self> {
        if self.write_memory(start, bytes) { Ok(()) } else { Err(TargetError::NonFatal) }
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl<C: Chip> SingleThreadResume for Machine<C> {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Error> {
        self.go_on(false);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl<C: Chip> SingleThreadSingleStep for Machine<C> {
    fn step(&mut self, _: Option<Signal>) -> Result<(), Error> {
        self.go_on(true);
        Ok(())
    }
}

impl<C: Chip> Breakpoints for Machine<C> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl<C: Chip> SwBreakpoint for Machine<C> {
    fn add_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        self.add_breakpoint(address).map_err(TargetError::Fatal)?;
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        self.remove_breakpoint(address).map_err(TargetError::Fatal)
    }
}

impl<C: Chip> HwBreakpoint for Machine<C> {
    fn add_hw_breakpoint(&mut self, address: u32, kind: usize) -> TargetResult<bool, Self> {
        self.add_sw_breakpoint(address, kind)
    }

    fn remove_hw_breakpoint(&mut self, address: u32, kind: usize) -> TargetResult<bool, Self> {
        self.remove_sw_breakpoint(address, kind)
    }
}

/// Where the conversation with a debugger stands.
type Talk<C> = GdbStubStateMachine<'static, Machine<C>, TcpStream>;

type Failure = GdbStubError<Error, io::Error>;

/// Waits for a debugger on a port of this computer, and obeys it.
pub struct Server<C: Chip> {
    listener: TcpListener,
    talk: RefCell<Option<Talk<C>>>,
    /// Those of a machine that has no supply, for when it comes back.
    breakpoints: RefCell<Vec<u32>>,
    halted: Cell<Duration>,
}

impl<C: Chip> fmt::Debug for Server<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<C: Chip> Server<C> {
    /// Opens a port on 127.0.0.1; 0 takes any that is free.
    ///
    /// # Errors
    /// The port is taken, most of all.
    pub fn listen(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(Self {
            listener,
            talk: RefCell::default(),
            breakpoints: RefCell::default(),
            halted: Cell::default(),
        })
    }

    /// Tells where it waits.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for a debugger, which finds the machine halted.
    ///
    /// # Errors
    /// Those of the system.
    pub fn wait(&self, machine: &mut Machine<C>) -> io::Result<()> {
        self.listener.set_nonblocking(false)?;
        let (stream, _) = self.listener.accept()?;
        self.listener.set_nonblocking(true)?;
        self.begin(machine, stream);
        Ok(())
    }

    /// Tells for how long the machine has been halted in all.
    #[must_use]
    pub fn halted(&self) -> Duration {
        self.halted.get()
    }

    fn begin(&self, machine: &mut Machine<C>, stream: TcpStream) {
        machine.halt();
        let stub = GdbStub::new(stream);
        match stub.run_state_machine(machine) {
            Ok(talk) => *self.talk.borrow_mut() = Some(talk),
            Err(error) => self.end(machine, Err(error)),
        }
    }

    fn end(&self, machine: &mut Machine<C>, result: Result<(), Failure>) {
        if let Err(error) = result {
            eprintln!("the debugger is gone: {error}");
        }
        if let Err(error) = machine.let_go() {
            eprintln!("the CPU engine: {error:?}");
        }
    }

    /// Takes a machine whose supply has come in place of the one before.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn replace(&self, machine: &mut Machine<C>) -> Result<(), Error> {
        if self.talk.borrow().is_none() {
            return Ok(());
        }
        machine.halt();
        for address in self.breakpoints.borrow_mut().drain(..) {
            machine.add_breakpoint(address)?;
        }
        machine.go_on(false);
        Ok(())
    }

    /// Notes what of a machine whose supply is going is to be in the next.
    pub fn lose(&self, machine: &Machine<C>) {
        *self.breakpoints.borrow_mut() = machine.breakpoints();
    }

    /// Does what the debugger asks: all of it while the machine is halted, which takes none of its time, and what has come
    /// in while it runs.
    pub fn attend(&self, machine: &mut Machine<C>) {
        if self.talk.borrow().is_none()
            && let Ok((stream, _)) = self.listener.accept()
        {
            self.begin(machine, stream);
        }
        let begun = machine.halted().is_some().then(Instant::now);
        self.obey(machine);
        if let Some(begun) = begun {
            self.halted.set(self.halted.get() + begun.elapsed());
        }
    }

    fn obey(&self, machine: &mut Machine<C>) {
        loop {
            let Some(talk) = self.talk.borrow_mut().take() else { return };
            match self.talk_on(machine, talk) {
                Ok((Some(talk), waits)) => {
                    *self.talk.borrow_mut() = Some(talk);
                    if waits {
                        return;
                    }
                }
                Ok((None, _)) => return self.end(machine, Ok(())),
                Err(error) => return self.end(machine, Err(error)),
            }
        }
    }

    /// Takes the conversation a step on; tells whether the machine is to run before the next.
    fn talk_on(&self, machine: &mut Machine<C>, talk: Talk<C>) -> Result<(Option<Talk<C>>, bool), Failure> {
        let next = match talk {
            GdbStubStateMachine::Idle(mut talk) => match talk.borrow_conn().read() {
                Ok(byte) => talk.incoming_data(machine, byte)?,
                Err(_) => return Ok((None, false)),
            },
            GdbStubStateMachine::Running(mut talk) => {
                if let Some(halt) = machine.halted() {
                    talk.report_stop(machine, reason(halt))?
                } else {
                    match talk.borrow_conn().peek() {
                        Ok(None) => return Ok((Some(talk.into()), true)),
                        Ok(Some(_)) => {}
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(_) => return Ok((None, false)),
                    }
                    match talk.borrow_conn().read() {
                        Ok(byte) => talk.incoming_data(machine, byte)?,
                        Err(_) => return Ok((None, false)),
                    }
                }
            }
            GdbStubStateMachine::CtrlCInterrupt(talk) => {
                machine.halt();
                talk.interrupt_handled(machine, Some(SingleThreadStopReason::Signal(Signal::SIGINT)))?
            }
            GdbStubStateMachine::Disconnected(_) => return Ok((None, false)),
        };
        Ok((Some(next), false))
    }
}

fn reason(halt: Halt) -> SingleThreadStopReason<u32> {
    match halt {
        Halt::Asked => SingleThreadStopReason::Signal(Signal::SIGINT),
        Halt::Stepped => SingleThreadStopReason::DoneStep,
        Halt::Breakpoint => SingleThreadStopReason::SwBreak(()),
    }
}
