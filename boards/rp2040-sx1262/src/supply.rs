//! The supply monitor: a pin that a divider or an optocoupler holds high while the mains is there.

use embassy_rp::gpio::Input;
use sockeye_firmware::SupplyMonitor;

/// Tells when the pin goes low.
pub struct Supply {
    mains: Input<'static>,
    told: bool,
}

impl Supply {
    /// Takes the pin. With a pull-up and nothing connected, the mains is always there.
    pub fn new(mains: Input<'static>) -> Self {
        Self { mains, told: false }
    }
}

impl SupplyMonitor for Supply {
    async fn lost(&mut self) {
        // The level and not the edge: a loss that came before the call still stands.
        if self.told {
            self.mains.wait_for_high().await;
            self.told = false;
        }
        self.mains.wait_for_low().await;
        self.told = true;
    }
}
