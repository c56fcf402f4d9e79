//! The tag's bus and pin on virtual time.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::digital;
use embedded_hal_async::digital::Wait;
use embedded_hal_async::i2c::{self, ErrorKind, I2c, NoAcknowledgeSource, Operation};

use super::St25dv;
use crate::sim::{Notify, Sim};

/// Time of a byte with its acknowledgement at 400 kHz, in µs.
const BYTE_US: u64 = 23;

/// The longest transaction that a board allows, in µs; a stuck bus is an error after it.
const TIMEOUT_US: u64 = 20_000;

/// What is wrong with the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BusFault {
    /// Nothing.
    #[default]
    None,
    /// A line is held low: each transaction runs out of its time.
    Stuck,
    /// The chip is not there.
    Absent,
    /// A transaction never ends. A board has to keep that from happening; nothing else may suffer if it does.
    Hangs,
}

/// An [`St25dv`] that a phone and the socket share. Clones are the same.
#[derive(Clone, Debug)]
pub struct SharedTag {
    pub(super) sim: Sim,
    pub(super) model: Rc<RefCell<St25dv>>,
    changed: Notify,
    fault: Rc<Cell<BusFault>>,
}

impl SharedTag {
    /// Puts a chip on the clock of `sim`.
    #[must_use]
    pub fn new(sim: &Sim, chip: St25dv) -> Self {
        Self {
            sim: sim.clone(),
            model: Rc::new(RefCell::new(chip)),
            changed: Notify::new(),
            fault: Rc::default(),
        }
    }

    /// Does something with the chip, now.
    pub fn with<T>(&self, what: impl FnOnce(u64, &mut St25dv) -> T) -> T {
        let result = what(self.sim.now_us(), &mut self.model.borrow_mut());
        self.changed.notify();
        result
    }

    /// Breaks the bus, or mends it.
    pub fn set_fault(&self, fault: BusFault) {
        self.fault.set(fault);
    }

    /// Tells what is wrong with the bus.
    #[must_use]
    pub fn fault(&self) -> BusFault {
        self.fault.get()
    }

    /// Tells how often GPO has pulsed.
    #[must_use]
    pub fn pulses(&self) -> u64 {
        self.model.borrow().pulses()
    }

    /// Makes the bus to the chip.
    #[must_use]
    pub fn i2c(&self) -> VirtualI2c {
        VirtualI2c(self.clone())
    }

    /// Makes the pin that GPO pulls low.
    #[must_use]
    pub fn gpo(&self) -> VirtualGpo {
        VirtualGpo(self.clone())
    }
}

/// The bus to the tag.
#[derive(Debug)]
pub struct VirtualI2c(SharedTag);

impl i2c::ErrorType for VirtualI2c {
    type Error = ErrorKind;
}

/// Ends a transfer that is dropped, as a reset of the bus does.
struct Transfer<'a>(&'a SharedTag);

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.0.with(|now_us, chip| chip.stop(now_us));
    }
}

impl I2c for VirtualI2c {
    async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let tag = &self.0;
        match tag.fault.get() {
            BusFault::None => {}
            BusFault::Absent => return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)),
            BusFault::Stuck => {
                tag.sim.sleep_us(TIMEOUT_US).await;
                return Err(ErrorKind::Bus);
            }
            BusFault::Hangs => std::future::pending().await,
        }
        let nack = |source| Err(ErrorKind::NoAcknowledge(source));
        let mut starts = 0;
        let mut bytes = 0;
        let mut last = None;
        for operation in &*operations {
            let (reads, len) = match operation {
                Operation::Read(out) => (true, out.len()),
                Operation::Write(bytes) => (false, bytes.len()),
            };
            starts += u64::from(last.replace(reads) != Some(reads));
            bytes += len as u64;
        }
        let start = |reads| tag.with(|now_us, chip| chip.start(now_us, address << 1 | u8::from(reads)));
        let first = matches!(operations.first(), Some(Operation::Read(_)));
        if !start(first) {
            tag.sim.sleep_us(BYTE_US).await;
            return nack(NoAcknowledgeSource::Address);
        }
        let transfer = Transfer(tag);
        // The bus is the chip's for all of it: what is read is as it is at its end.
        tag.sim.sleep_us(BYTE_US * (starts + bytes)).await;
        let mut direction = first;
        for operation in operations {
            let reads = matches!(operation, Operation::Read(_));
            if std::mem::replace(&mut direction, reads) != reads && !start(reads) {
                return nack(NoAcknowledgeSource::Address);
            }
            match operation {
                Operation::Read(out) => out.fill_with(|| tag.model.borrow_mut().read()),
                Operation::Write(bytes) => {
                    if !bytes.iter().all(|byte| tag.model.borrow_mut().write(*byte)) {
                        return nack(NoAcknowledgeSource::Data);
                    }
                }
            }
        }
        drop(transfer);
        Ok(())
    }
}

/// The pin behind GPO: it falls with each pulse.
#[derive(Debug)]
pub struct VirtualGpo(SharedTag);

impl digital::ErrorType for VirtualGpo {
    type Error = Infallible;
}

impl VirtualGpo {
    async fn pulse(&self) {
        let seen = self.0.model.borrow().pulses();
        self.0.changed.until(|| self.0.model.borrow().pulses() != seen).await;
    }
}

impl Wait for VirtualGpo {
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        self.pulse().await;
        Ok(())
    }

    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        self.pulse().await;
        Ok(())
    }

    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        self.pulse().await;
        Ok(())
    }

    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        self.pulse().await;
        Ok(())
    }
}
