//! What a tester asks of the application on FPort 224 (TS009; MAC-CERT-01, MAC-CERT-02). Never in a product.

use embassy_futures::select::{Either3, select3};
use sockeye_lorawan_mac::CertificationRequest;
use sockeye_storage::RecordId;

use crate::board::{Board, Clock};
use crate::notice::{Notice, Observer};
use crate::radio::{RadioTask, STORE_RETRY_MS, beat};
use crate::shared::{ControlEvent, Shared};
use crate::start::SOFTWARE_VERSION;

/// What DutVersionsAns tells of the firmware: its version, and two bytes more.
pub(crate) const FIRMWARE_VERSION: [u8; 4] = {
    let [major, minor] = SOFTWARE_VERSION;
    [major, minor, 0, 0]
};

impl<B: Board> RadioTask<B> {
    /// Obeys the tester: a reset, the end of the test mode, a carrier.
    pub(crate) async fn obey_tester(&mut self, request: CertificationRequest, shared: &Shared) {
        match request {
            CertificationRequest::Reset => shared.events.send(ControlEvent::ResetRequested).await,
            CertificationRequest::Disable => {
                while !self.store(RecordId::CertificationOff, &[1], shared).await {
                    shared.radio_alive.beat(self.clock.now_ms());
                    self.clock.until_ms(self.clock.now_ms().saturating_add(STORE_RETRY_MS)).await;
                }
                shared.events.send(ControlEvent::ResetRequested).await;
            }
            CertificationRequest::ContinuousWave { timeout_s, frequency_hz, power_dbm } => {
                let heart = beat(&self.clock, self.epoch, shared);
                let carrier = self.driver.send_carrier(frequency_hz, power_dbm, timeout_s);
                match select3(carrier, heart, shared.outage.wait()).await {
                    Either3::First(true) => {}
                    Either3::First(false) => {
                        self.observer
                            .observe(Notice::Error { what: "radio: the carrier was refused or failed" });
                    }
                    Either3::Second(never) => match never {},
                    // The outage alert goes out in place of the carrier.
                    Either3::Third(()) => {
                        let now_ms = self.driver.now_ms();
                        self.driver.mac().give_way(now_ms);
                    }
                }
            }
        }
    }
}
