//! Whether the network still hears the device (MAC-REJOIN-01).

use super::Mac;
use crate::config::{Activation, Rejoin};
use crate::instant::after;

/// An unanswered LinkCheckReq is followed by the next after so long, and up to so much longer.
const AGAIN_MIN_MS: u64 = 10_000;
const AGAIN_SPAN_MS: u32 = 20_000;

/// Where the device is between two checks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next_at_ms: Option<u64>,
    unanswered: u8,
    /// A check is to go out, or is on its way.
    pub is_due: bool,
    pub is_answered: bool,
}

impl Mac {
    /// Checks are made with OTAA, in a session, and not while the device joins anew already.
    fn rejoin(&self) -> Option<Rejoin> {
        let otaa = matches!(self.config.activation, Activation::Otaa { .. });
        self.config.rejoin.filter(|_| otaa && self.session.is_some() && self.joining.is_none())
    }

    /// Changes how often checks are made, in s; no effect where they are not. A row of unanswered ones goes on.
    pub fn set_check_interval(&mut self, interval_s: u32) {
        let Some(rejoin) = &mut self.config.rejoin else { return };
        if rejoin.interval_s != interval_s {
            rejoin.interval_s = interval_s;
            if self.watch.unanswered == 0 {
                self.watch.next_at_ms = None;
            }
        }
    }

    /// Tells when the next check is due.
    pub(super) fn check_due_ms(&mut self, now_ms: u64) -> Option<u64> {
        let interval_ms = u64::from(self.rejoin()?.interval_s).saturating_mul(1000);
        Some(*self.watch.next_at_ms.get_or_insert(after(now_ms, interval_ms)))
    }

    /// Begins a check.
    pub(super) fn check_link(&mut self, now_ms: u64) {
        self.watch.is_due = true;
        self.request_link_check();
        self.start_own_uplink(now_ms);
    }

    /// Draws the conclusion when an uplink is over that asked, or should have.
    pub(super) fn check_over(&mut self, now_ms: u64, asked: bool) {
        let answered = core::mem::take(&mut self.watch.is_answered);
        if !(asked || self.watch.is_due) {
            return;
        }
        let Some(Rejoin { packets, .. }) = self.rejoin() else { return };
        self.watch.is_due = false;
        if asked && !answered {
            self.watch.unanswered = self.watch.unanswered.saturating_add(1);
        }
        if answered {
            (self.watch.unanswered, self.watch.next_at_ms) = (0, None);
        } else if self.watch.unanswered >= packets.max(1) {
            (self.watch.unanswered, self.watch.next_at_ms) = (0, None);
            self.join(now_ms);
        } else {
            let random_ms = u64::from(self.random.up_to(AGAIN_SPAN_MS));
            self.watch.next_at_ms = Some(after(now_ms, AGAIN_MIN_MS).saturating_add(random_ms));
        }
    }
}
