//! A chip on a simulation, and the handles that drivers take.

use std::cell::{RefCell, RefMut};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{ErrorKind, ErrorType, Operation, SpiDevice};
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;

use super::Sx126x;
use crate::air::{Medium, StationId};
use crate::drive::{Poke, drive};
use crate::sim::Notify;

/// A chip with what waits on it.
#[derive(Debug)]
pub(crate) struct ChipCell {
    model: RefCell<Sx126x>,
    changed: Poke,
    /// The level of DIO1, or the fate of BUSY, may have changed.
    lines: Notify,
}

impl ChipCell {
    pub(crate) fn frame_begun(&self, medium: &Medium) {
        self.model.borrow_mut().frame_begun(medium.sim().now_us(), &medium.air());
        self.changed.poke();
    }
}

/// An SX1262 with its antenna on a [`Medium`]. Clones are the same chip.
///
/// It goes on by itself while the firmware is dead, as long as its simulation is there.
#[derive(Clone, Debug)]
pub struct VirtualChip {
    medium: Medium,
    chip: Rc<ChipCell>,
}

impl VirtualChip {
    /// Puts a chip on a medium. `tcxo_fitted` as for [`Sx126x::new`].
    #[must_use]
    pub fn new(medium: &Medium, tcxo_fitted: bool) -> Self {
        let sim = medium.sim();
        let station = medium.air().add_station();
        let model = RefCell::new(Sx126x::new(sim.now_us(), station, tcxo_fitted));
        let chip = Rc::new(ChipCell { model, changed: Poke::default(), lines: Notify::new() });
        medium.add_chip(station, Rc::downgrade(&chip));
        sim.spawn(run(chip.clone(), medium.clone()));
        Self { medium: medium.clone(), chip }
    }

    /// Names the chip's station, to set path losses and faults of the medium with.
    #[must_use]
    pub fn station(&self) -> StationId {
        self.chip.model.borrow().station()
    }

    /// Gives the SPI device of this chip.
    #[must_use]
    pub fn spi(&self) -> VirtualSpi {
        VirtualSpi { chip: self.clone(), yields: false }
    }

    /// Gives an SPI device like one that waits for a DMA: within a transaction other tasks have their turn,
    /// and a future dropped there leaves chip select low.
    #[must_use]
    pub fn spi_with_dma(&self) -> VirtualSpi {
        VirtualSpi { chip: self.clone(), yields: true }
    }

    /// Gives the lines BUSY, DIO1 and NRST of this chip, as lora-phy takes them.
    #[must_use]
    pub fn interface(&self) -> VirtualInterface {
        VirtualInterface(self.clone())
    }

    /// Looks at the model, or changes it, and lets everybody know.
    pub fn with<T>(&self, act: impl FnOnce(&mut Sx126x) -> T) -> T {
        let result = act(&mut self.model());
        self.settle();
        result
    }

    /// Takes the chip's supply away and gives it back: what it was doing is lost.
    pub fn power_cycle(&self) {
        let now_us = self.medium.sim().now_us();
        self.model().reset(now_us, &mut self.medium.air());
        self.settle();
    }

    /// Pulls chip select low or lets it go high, for a bus that is itself a model.
    pub fn set_nss(&self, high: bool) {
        let now_us = self.medium.sim().now_us();
        if high {
            self.model().deselect(now_us, &mut self.medium.air());
            self.settle();
        } else {
            self.model().select(now_us);
        }
    }

    /// Exchanges one byte with a chip that is selected.
    pub fn exchange(&self, mosi: u8) -> u8 {
        let now_us = self.medium.sim().now_us();
        self.model().exchange(now_us, mosi, &self.medium.air())
    }

    /// Tells whether BUSY is high.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let now_us = self.medium.sim().now_us();
        self.model().busy_until_us().is_none_or(|until_us| until_us > now_us)
    }

    /// Tells when BUSY falls by itself, if it is high and does.
    #[must_use]
    pub fn busy_until_us(&self) -> Option<u64> {
        let now_us = self.medium.sim().now_us();
        self.model().busy_until_us().filter(|until_us| *until_us > now_us)
    }

    /// Tells the level of DIO1.
    #[must_use]
    pub fn dio1(&self) -> bool {
        self.model().dio1()
    }

    /// Tells how many packets the chip has received so far, modulo 65536.
    #[must_use]
    pub fn packets(&self) -> u16 {
        self.model().packets()
    }

    /// Gives the last packet that the chip has received.
    #[must_use]
    pub fn last_packet(&self) -> Vec<u8> {
        self.model().last_packet()
    }

    /// Tells the mode of operation.
    #[must_use]
    pub fn mode(&self) -> super::Mode {
        self.model().mode()
    }

    fn model(&self) -> RefMut<'_, Sx126x> {
        self.chip.model.borrow_mut()
    }

    fn settle(&self) {
        self.chip.changed.poke();
        self.chip.lines.notify();
        self.medium.settle();
    }
}

async fn run(chip: Rc<ChipCell>, medium: Medium) {
    let sim = medium.sim().clone();
    drive(sim, &chip.changed, |now_us| {
        let mut model = chip.model.borrow_mut();
        let due = model.next_event_us().is_some_and(|at_us| at_us <= now_us);
        if due {
            model.advance(now_us, &mut medium.air());
        }
        let next_us = model.next_event_us();
        drop(model);
        if due {
            chip.lines.notify();
            medium.settle();
        }
        Some(next_us)
    })
    .await;
}

/// Lets the other tasks of this instant run once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The SPI device of a [`VirtualChip`]; its clock is infinitely fast.
#[derive(Debug)]
pub struct VirtualSpi {
    chip: VirtualChip,
    yields: bool,
}

/// The SPI device never fails: a broken bus gives wrong bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoError {}

impl embedded_hal_async::spi::Error for NoError {
    fn kind(&self) -> ErrorKind {
        match *self {}
    }
}

impl ErrorType for VirtualSpi {
    type Error = NoError;
}

impl SpiDevice<u8> for VirtualSpi {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), NoError> {
        let Self { chip: VirtualChip { medium, chip }, yields } = self;
        let sim = medium.sim().clone();
        let before = {
            let mut model = chip.model.borrow_mut();
            model.select(sim.now_us());
            (model.next_event_us(), model.dio1())
        };
        for operation in operations {
            if *yields {
                yield_now().await;
            }
            if let Operation::DelayNs(ns) = operation {
                sim.sleep_us(u64::from(ns.div_ceil(1000))).await;
                continue;
            }
            let (now_us, air, mut model) = (sim.now_us(), medium.air(), chip.model.borrow_mut());
            let mut exchange = |byte: u8| model.exchange(now_us, byte, &air);
            match operation {
                Operation::Read(into) => into.iter_mut().for_each(|byte| *byte = exchange(0)),
                Operation::Write(from) => from.iter().for_each(|byte| {
                    exchange(*byte);
                }),
                Operation::Transfer(into, from) => {
                    for at in 0..into.len().max(from.len()) {
                        let answer = exchange(from.get(at).copied().unwrap_or(0));
                        if let Some(byte) = into.get_mut(at) {
                            *byte = answer;
                        }
                    }
                }
                Operation::TransferInPlace(bytes) => {
                    bytes.iter_mut().for_each(|byte| *byte = exchange(*byte))
                }
                Operation::DelayNs(_) => {}
            }
        }
        if *yields {
            yield_now().await;
        }
        let after = {
            let mut model = chip.model.borrow_mut();
            model.deselect(sim.now_us(), &mut medium.air());
            (model.next_event_us(), model.dio1())
        };
        // Most commands only set something: nobody needs to be woken for them.
        if before != after {
            self.chip.settle();
        }
        if self.yields {
            yield_now().await;
        }
        Ok(())
    }
}

/// The lines of a [`VirtualChip`]. DIO2 switches its antenna, as lora-phy's SX1262 has it.
#[derive(Debug)]
pub struct VirtualInterface(VirtualChip);

impl InterfaceVariant for VirtualInterface {
    async fn reset(&mut self, delay: &mut impl DelayNs) -> Result<(), RadioError> {
        self.0.power_cycle();
        // NRST low for 100 µs at least (data sheet section 8.1), then the cold start, which BUSY shows too.
        delay.delay_ms(1).await;
        Ok(())
    }

    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        loop {
            let until_us = self.0.chip.model.borrow().busy_until_us();
            let sim = self.0.medium.sim();
            match until_us {
                Some(until_us) if until_us <= sim.now_us() => return Ok(()),
                Some(until_us) => sim.sleep_until_us(until_us).await,
                // Healing the chip does not end the wait: the driver's own time-out does.
                None => pending().await,
            }
        }
    }

    async fn await_irq(&mut self) -> Result<(), RadioError> {
        let VirtualChip { chip, .. } = &self.0;
        chip.lines.until(|| chip.model.borrow().dio1()).await;
        Ok(())
    }

    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }

    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }

    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
}
