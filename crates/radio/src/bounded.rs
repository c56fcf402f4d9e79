//! A board's BUSY line, with an end to its patience.

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;

/// How long one command may hold BUSY, in milliseconds.
///
/// The longest that a healthy chip needs is the start of the TCXO (10 ms in lora-phy) with a full
/// calibration (3.5 ms, SX1261/2 data sheet table 8-1).
pub const BUSY_LIMIT_MS: u32 = 100;

/// An [`InterfaceVariant`] whose wait for BUSY ends with [`RadioError::Busy`] after [`BUSY_LIMIT_MS`].
///
/// It can only bound a wait that yields: a variant which spins on the pin has to count by itself.
#[derive(Debug)]
pub struct Bounded<IV, D> {
    variant: IV,
    delay: D,
}

impl<IV, D> Bounded<IV, D> {
    /// Makes it out of a board's variant and a delay of its own.
    pub fn new(variant: IV, delay: D) -> Self {
        Self { variant, delay }
    }
}

impl<IV: InterfaceVariant, D: DelayNs> InterfaceVariant for Bounded<IV, D> {
    async fn reset(&mut self, delay: &mut impl DelayNs) -> Result<(), RadioError> {
        self.variant.reset(delay).await
    }

    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        match select(self.variant.wait_on_busy(), self.delay.delay_ms(BUSY_LIMIT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(RadioError::Busy),
        }
    }

    async fn await_irq(&mut self) -> Result<(), RadioError> {
        self.variant.await_irq().await
    }

    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        self.variant.enable_rf_switch_rx().await
    }

    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        self.variant.enable_rf_switch_tx().await
    }

    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        self.variant.disable_rf_switch().await
    }
}
