//! What a board gives to the firmware.

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal_async::digital::Wait;
use embedded_storage_async::nor_flash::NorFlash;
#[cfg(not(feature = "certification"))]
use sockeye_lorawan_mac::CarrierSense;
use sockeye_metering::EnergyMeter;
use sockeye_nfc::Port;
use sockeye_settings::{Identity, Region};
use sockeye_state_machine::ResetCause;
use sockeye_upgrade::Verify;

use crate::notice::Observer;
use crate::retained::Retained;
use crate::upgrade::UpgradeParts;

/// A clock that starts near 0 at reset, never goes back, and can be waited on.
pub trait Clock: Clone {
    /// Tells the time since reset, in milliseconds.
    fn now_ms(&self) -> u64;

    /// Waits until the clock shows `at_ms` or later.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn until_ms(&self, at_ms: u64);

    /// Tells the time since reset in steps of the clock's own, not coarser than 100 us.
    fn ticks(&self) -> u64;

    /// Waits until so many milliseconds after a time in steps.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn after_ms(&self, ticks: u64, ms: u64);
}

/// Says when the mains is gone while the capacitor still feeds the chip (guide section 4.3).
pub trait SupplyMonitor {
    /// Waits until the supply falls below the board's threshold.
    ///
    /// A board without a monitor waits for ever.
    ///
    /// # Cancel safety
    /// A loss that happened while nobody waited is told by the next call.
    async fn lost(&mut self);
}

/// The chip itself: its watchdog and its reset.
pub trait System {
    /// Feeds the watchdog. Its time-out is to lie between 3 s and 10 s: the service task feeds it once a second,
    /// and only while control and radio make progress.
    fn feed_watchdog(&mut self);

    /// Resets the chip. On a board where this returns, the caller waits to be ended.
    fn reset(&mut self);
}

/// The types of a board's parts.
///
/// A board implements it on an empty type, fills a [`Parts`] and hands that to [`crate::start`] or [`crate::run`].
pub trait Board {
    /// Time since reset.
    type Clock: Clock;
    /// The relay's pin: high supplies power to the load.
    type Relay: OutputPin;
    /// The LED's pin: high is lit.
    type Led: OutputPin;
    /// The button's pin: low is pressed.
    type Button: InputPin + Wait;
    /// The energy meter.
    type Meter: EnergyMeter;
    /// The supply monitor.
    type Supply: SupplyMonitor;
    /// The radio.
    #[cfg(not(feature = "certification"))]
    type Phy: CarrierSense;
    /// The radio.
    #[cfg(feature = "certification")]
    type Phy: sockeye_lorawan_mac::ContinuousWave;
    /// The flash, with an erase size that divides the storage range.
    type Flash: NorFlash;
    /// The tag or the serial line for maintenance; [`NoPort`](sockeye_nfc::NoPort) for a board without.
    type Port: Port;
    /// What checks a new image: in software, or the bootloader's services.
    type Verify: Verify;
    /// Watchdog and reset.
    type System: System;
    /// Where notices go: a log, or the host's lines.
    type Observer: Observer;
}

/// The parts of a board, handed over once at start.
pub struct Parts<B: Board> {
    /// Time since reset.
    pub clock: B::Clock,
    /// The relay, switched by the control task and nobody else (design rule 1).
    pub relay: B::Relay,
    /// The LED.
    pub led: B::Led,
    /// The button.
    pub button: B::Button,
    /// The energy meter.
    pub meter: B::Meter,
    /// The supply monitor.
    pub supply: B::Supply,
    /// The radio.
    pub phy: B::Phy,
    /// The flash that holds the records.
    pub flash: B::Flash,
    /// The part of the flash that belongs to the records, in bytes from the flash driver's origin.
    pub storage_range: core::ops::Range<u32>,
    /// The tag or the serial line for maintenance.
    pub port: B::Port,
    /// How the board takes upgrades.
    pub upgrade: UpgradeParts<B::Verify>,
    /// Watchdog and reset.
    pub system: B::System,
    /// Where notices go.
    pub observer: B::Observer,
    /// Who this device is, unless the storage holds an identity.
    pub identity: Identity,
    /// The channel plan that a device without stored settings starts with.
    pub region: Region,
    /// What a reset leaves as it is.
    pub retained: &'static Retained,
    /// Why the chip started.
    pub reset_cause: ResetCause,
    /// A number that differs from start to start, and from device to device. It spreads transmissions; it
    /// protects nothing.
    pub seed: u64,
}

impl<B: Board> core::fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").field("storage_range", &self.storage_range).finish_non_exhaustive()
    }
}
