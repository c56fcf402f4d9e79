//! The host board: the firmware's types on virtual hardware.

use std::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin, PinState};
use lora_phy::sx126x::Sx1262;
use sockeye_firmware::{Board, Clock, SupplyMonitor, System};
use sockeye_metering::Bl0942;
use sockeye_nfc::Tag;
use sockeye_radio::Sx126xRadio;
use sockeye_upgrade::Software;
use sockeye_virtual_hardware::bl0942::{SharedCircuit, VirtualSerial};
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::delay::VirtualDelay;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{VirtualGpo, VirtualI2c};
use sockeye_virtual_hardware::sx126x::{VirtualInterface, VirtualSpi};

use crate::observer::HostObserver;
use crate::program::HostFlash;
use crate::socket::{Power, Restart};

/// Names the host board's types.
pub enum HostBoard {}

impl Board for HostBoard {
    type Clock = HostClock;
    type Relay = RelayPin;
    type Led = LedPin;
    type Button = VirtualButton;
    type Meter = Bl0942<VirtualSerial, VirtualDelay>;
    type Supply = HostSupply;
    type Phy = Sx126xRadio<VirtualSpi, VirtualInterface, Sx1262, VirtualDelay>;
    type Port = Tag<VirtualI2c, VirtualGpo, VirtualDelay>;
    type Flash = HostFlash;
    type Verify = Software;
    type System = HostSystem;
    type Observer = HostObserver;
}

/// Virtual time since the last reset of one socket.
#[derive(Clone, Debug)]
pub struct HostClock {
    sim: Sim,
    reset_us: u64,
}

impl HostClock {
    /// Makes a clock that starts now.
    pub fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), reset_us: sim.now_us() }
    }
}

impl Clock for HostClock {
    fn now_ms(&self) -> u64 {
        self.ticks() / 1000
    }

    async fn until_ms(&self, at_ms: u64) {
        self.after_ms(0, at_ms).await;
    }

    fn ticks(&self) -> u64 {
        self.sim.now_us() - self.reset_us
    }

    async fn after_ms(&self, ticks: u64, ms: u64) {
        let us = ticks.saturating_add(ms.saturating_mul(1000));
        self.sim.sleep_until_us(self.reset_us.saturating_add(us)).await;
    }
}

/// The pin that drives the relay. The relay keeps its position while the chip restarts, as with a hold circuit on
/// the pin; without mains it opens.
#[derive(Debug)]
pub struct RelayPin(pub SharedCircuit);

impl ErrorType for RelayPin {
    type Error = Infallible;
}

impl OutputPin for RelayPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::Low)
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::High)
    }

    fn set_state(&mut self, state: PinState) -> Result<(), Infallible> {
        self.0.change(|now_us, circuit| circuit.drive_relay(now_us, state == PinState::High));
        Ok(())
    }
}

/// The LED's pin. What it shows is told by the firmware's notices.
#[derive(Debug)]
pub struct LedPin;

impl ErrorType for LedPin {
    type Error = Infallible;
}

impl OutputPin for LedPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Watches the mains of one socket.
#[derive(Debug)]
pub struct HostSupply {
    power: Power,
    seen_losses: u64,
}

impl HostSupply {
    /// Watches from now on.
    pub fn new(power: &Power) -> Self {
        Self { power: power.clone(), seen_losses: power.losses() }
    }
}

impl SupplyMonitor for HostSupply {
    async fn lost(&mut self) {
        self.seen_losses = self.power.loss_after(self.seen_losses).await;
    }
}

/// Watchdog and reset of one socket.
#[derive(Debug)]
pub struct HostSystem(pub Restart);

impl System for HostSystem {
    fn feed_watchdog(&mut self) {
        self.0.feed();
    }

    fn reset(&mut self) {
        self.0.request();
    }
}
