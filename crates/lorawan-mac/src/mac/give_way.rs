//! The last uplink before the supply is gone waits for nothing.

use super::Mac;
use super::uplink::{Kind, Stage};

impl Mac {
    /// Gives up whatever is under way, so that the next [`send`](Self::send) goes out at once as far as the duty cycle
    /// allows. What has been on the air ends with [`UplinkDone`](crate::Event::UplinkDone), unacknowledged; what has not,
    /// was cut off, or waits to be repeated, with [`UplinkFailed`](crate::Event::UplinkFailed).
    ///
    /// LoRaWAN 1.0.3 section 3.3.3 lets no device send before the windows of its last uplink are over. This breaks it, and
    /// is for a device that will not be there to hear them: the network loses what it would have sent in them, no more.
    pub fn give_way(&mut self, now_ms: u64) {
        let Some(transaction) = self.transaction else { return };
        let limit = self.session.as_ref().map_or(0, |session| session.parameters.max_duty_cycle);
        if matches!(transaction.stage, Stage::OnAir) && limit == 0 {
            // It is cut off, so the air is free before its end. Its whole time counts for the band.
            self.duty.end_network_limit();
        }
        match (transaction.kind, transaction.stage) {
            // It counts for the back-off.
            (Kind::Join { .. }, Stage::OnAir) => self.tx_failed(now_ms),
            (Kind::Join { .. }, _) => self.transaction = None,
            (Kind::Data { .. }, Stage::Waiting { .. } | Stage::OnAir) => self.give_up_quietly(now_ms),
            (Kind::Data { .. }, _) => {
                self.update(|transaction| transaction.tries_left = 0);
                self.transmission_over(now_ms, false, false);
            }
        }
    }
}
