//! The chip's serial line on virtual time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_io_async::{ErrorType, Read, Write};

use super::Bl0942;
use crate::mains::{Circuit, Flow, MeteredCircuit};
use crate::sim::{Notify, Sim};

/// A [`MeteredCircuit`] that the script, the relay's pin and the serial line share. Clones are the same
/// circuit.
#[derive(Clone, Debug)]
pub struct SharedCircuit {
    sim: Sim,
    inner: Rc<RefCell<MeteredCircuit>>,
    arrived: Notify,
}

impl SharedCircuit {
    /// Puts a circuit with its meter on the clock of `sim`.
    #[must_use]
    pub fn new(sim: &Sim, circuit: MeteredCircuit) -> Self {
        Self { sim: sim.clone(), inner: Rc::new(RefCell::new(circuit)), arrived: Notify::new() }
    }

    /// Changes something about the circuit, now.
    pub fn change(&self, change: impl FnOnce(u64, &mut Circuit)) {
        let now_us = self.sim.now_us();
        self.inner.borrow_mut().change(now_us, |circuit| change(now_us, circuit));
    }

    /// Does something with the meter's model, now: a fault, a reset.
    pub fn with_meter<T>(&self, what: impl FnOnce(u64, &mut Bl0942) -> T) -> T {
        let now_us = self.sim.now_us();
        let result = what(now_us, self.inner.borrow_mut().meter(now_us));
        self.arrived.notify();
        result
    }

    /// Tells what flows now.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let mut inner = self.inner.borrow_mut();
        inner.advance(self.sim.now_us());
        inner.circuit().flow()
    }

    /// Tells what went through the contact so far, in Wh: what a meter without any error would show.
    #[must_use]
    pub fn energy_wh(&self) -> f64 {
        self.inner.borrow_mut().energy_wh(self.sim.now_us())
    }

    /// Makes the serial line to the meter. There is one line: make one.
    #[must_use]
    pub fn serial(&self) -> VirtualSerial {
        VirtualSerial { circuit: self.clone(), line_free_us: 0 }
    }
}

/// The serial line to the meter, buffered both ways.
#[derive(Debug)]
pub struct VirtualSerial {
    circuit: SharedCircuit,
    line_free_us: u64,
}

impl ErrorType for VirtualSerial {
    type Error = Infallible;
}

impl Write for VirtualSerial {
    /// Puts all bytes on the line, one behind the other, and returns at once. The chip takes its values at
    /// the time of this call: some ms early, so that an answer costs one timer.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let now_us = self.circuit.sim.now_us();
        let mut inner = self.circuit.inner.borrow_mut();
        let meter = inner.meter(now_us);
        let mut at_us = now_us.max(self.line_free_us);
        for &byte in bytes {
            at_us += meter.byte_us();
            meter.receive(at_us, byte);
        }
        self.line_free_us = at_us;
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.circuit.sim.sleep_until_us(self.line_free_us).await;
        Ok(())
    }
}

impl Read for VirtualSerial {
    /// Waits for the last byte of the present answer, and gives what has arrived.
    ///
    /// Cancel safety: nothing is taken from the line before the future is ready.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let SharedCircuit { sim, inner, arrived } = &self.circuit;
        loop {
            let answered_us = inner.borrow().meter.answered_us();
            match answered_us {
                Some(at_us) => sim.sleep_until_us(at_us).await,
                None => arrived.until(|| inner.borrow().meter.answered_us().is_some()).await,
            }
            let mut inner = inner.borrow_mut();
            let mut count = 0;
            while let Some((space, byte)) =
                buffer.get_mut(count).and_then(|space| Some((space, inner.meter.transmit(sim.now_us())?)))
            {
                *space = byte;
                count += 1;
            }
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
        }
    }
}
