//! What happens when: transmissions, receive windows, RXC.

use super::uplink::{Kind, Stage, Transaction};
use super::{Action, Mac, Quality, Rf, Window};
use crate::event::ProprietaryFrame;
use crate::frame::{MHDR_AND_MIC, is_proprietary};
use crate::instant::after;
use crate::region::ChannelPlan;

/// JOIN_ACCEPT_DELAY1 (RP002, section 2.3).
const JOIN_RX1_DELAY_MS: u64 = 5000;
/// RX2 follows RX1 by one second (LoRaWAN 1.0.3, section 3.3.2).
const RX2_AFTER_RX1_MS: u64 = 1000;
/// RX1 and RX2 are prepared so much before the nominal instant (MAC-RX-01): setting the radio up takes 1 ms, and 11 ms
/// where its TCXO does not run; waking up takes its time. The window itself opens at its instant.
const RX_LEAD_MS: u64 = 15;
/// A late opening within this still catches a slow preamble; later, RX2 is over.
const RX2_LATE_MS: u64 = 100;
/// The time from the end of a frame to its report, at most.
const REPORT_MS: u64 = 50;
/// A frame heard in RXC belongs to RX2 if it began at most so much before, or after, the nominal instant.
/// After: its report may be late.
const RX2_IN_RXC_BEFORE_MS: u64 = 50;
const RX2_IN_RXC_AFTER_MS: u64 = 200;
/// Nothing that may take time (a store, an event) is begun so shortly before a window.
const GUARD_MS: u64 = 100;

impl Mac {
    /// Does what is due, apart from stores and events.
    pub(super) fn drive(&mut self, now_ms: u64) -> Action {
        if self.transaction.is_none() {
            #[cfg(feature = "certification")]
            self.plan_test(now_ms);
            if self.own_uplink_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                self.start_own_uplink(now_ms);
            } else if self.join_due_ms().is_some_and(|at_ms| at_ms <= now_ms) {
                self.start_join_request(now_ms);
            } else if self.check_due_ms(now_ms).is_some_and(|at_ms| at_ms <= now_ms) {
                self.check_link(now_ms);
            }
        }
        let Some(transaction) = self.transaction else {
            if !self.notices.is_empty() {
                return self.poll(now_ms);
            }
            let due_ms = earlier(self.join_due_ms(), self.check_due_ms(now_ms));
            return self.rest(earlier(self.own_uplink_at_ms, due_ms));
        };
        match transaction.stage {
            Stage::Waiting { at_ms } if at_ms > now_ms => self.rest(Some(at_ms)),
            Stage::Waiting { .. } => self.try_transmit(now_ms),
            Stage::OnAir => Action::Idle { until_ms: None },
            Stage::BeforeRx1 { end_ms } => self.before_rx1(now_ms, end_ms),
            Stage::Rx1 { end_ms } => {
                let (rf, at_ms) = (self.rx1(&transaction), self.rx1_ms(end_ms));
                let until_ms = self.window_end_ms(at_ms, rf);
                if now_ms >= until_ms {
                    self.window_closed(now_ms, Window::Rx1);
                    return self.poll(now_ms);
                }
                Action::Listen { window: Window::Rx1, rf, at_ms: Some(at_ms), until_ms: Some(until_ms) }
            }
            Stage::BeforeRx2 { end_ms } => self.before_rx2(now_ms, end_ms),
            Stage::Rx2 { end_ms } => {
                let (rf, at_ms) = (self.rx2(&transaction), self.rx2_ms(end_ms));
                let until_ms = self.window_end_ms(at_ms, rf);
                if now_ms >= until_ms {
                    self.window_closed(now_ms, Window::Rx2);
                    return self.poll(now_ms);
                }
                Action::Listen { window: Window::Rx2, rf, at_ms: Some(at_ms), until_ms: Some(until_ms) }
            }
        }
    }

    fn before_rx1(&mut self, now_ms: u64, end_ms: u64) -> Action {
        let open_ms = self.rx1_ms(end_ms).saturating_sub(RX_LEAD_MS);
        if now_ms < open_ms {
            return self.rest(Some(open_ms));
        }
        let rx2_open_ms = self.rx2_ms(end_ms).saturating_sub(RX_LEAD_MS);
        let missed = now_ms >= rx2_open_ms;
        self.update(|transaction| {
            transaction.stage = if missed { Stage::BeforeRx2 { end_ms } } else { Stage::Rx1 { end_ms } };
        });
        self.poll(now_ms)
    }

    fn before_rx2(&mut self, now_ms: u64, end_ms: u64) -> Action {
        let rx2_ms = self.rx2_ms(end_ms);
        if self.rx2_is_part_of_rxc() {
            // RXC goes on; the transmission is over when the longest frame that began in RX2 would be.
            let Some(transaction) = self.transaction else { return self.rest(None) };
            let over_ms =
                self.window_end_ms(rx2_ms, self.rx2(&transaction)).saturating_add(RX2_IN_RXC_BEFORE_MS);
            if now_ms < over_ms {
                return self.rest(Some(over_ms));
            }
            self.transmission_over(now_ms, false, false);
            return self.poll(now_ms);
        }
        let open_ms = rx2_ms.saturating_sub(RX_LEAD_MS);
        if now_ms < open_ms {
            return self.rest(Some(open_ms));
        }
        if now_ms > rx2_ms.saturating_add(RX2_LATE_MS) {
            // A reception in RX1 went on beyond the opening of RX2.
            self.transmission_over(now_ms, false, false);
        } else {
            self.update(|transaction| transaction.stage = Stage::Rx2 { end_ms });
        }
        self.poll(now_ms)
    }

    /// In Class C the second window is RXC itself (MAC-CC-01), but not for a join (MAC-CC-02).
    fn rx2_is_part_of_rxc(&self) -> bool {
        self.config.class_c && !self.is_join()
    }

    fn is_join(&self) -> bool {
        matches!(self.transaction, Some(Transaction { kind: Kind::Join { .. }, .. }))
    }

    fn rx1_ms(&self, end_ms: u64) -> u64 {
        let delay_ms = match (&self.session, self.is_join()) {
            (Some(session), false) => u64::from(session.parameters.rx1_delay_s).saturating_mul(1000),
            _ => JOIN_RX1_DELAY_MS,
        };
        after(end_ms, delay_ms)
    }

    fn rx2_ms(&self, end_ms: u64) -> u64 {
        self.rx1_ms(end_ms).saturating_add(RX2_AFTER_RX1_MS)
    }

    /// The latest end of a window: the longest frame that began as late as it may.
    fn window_end_ms(&self, nominal_ms: u64, rf: Rf) -> u64 {
        let longest = self.plan.max_downlink(rf.data_rate).saturating_add(MHDR_AND_MIC);
        nominal_ms
            .saturating_add(RX_LEAD_MS)
            .saturating_add(self.plan.airtime_ms(rf.data_rate, longest, true))
            .saturating_add(REPORT_MS)
    }

    /// RX1: the uplink's channel, its DlChannelReq frequency, or the one that a fixed plan gives it; the rate follows
    /// the one it was sent with (MAC-RX-02). A join has offset 0 (MAC-JOIN-03).
    fn rx1(&self, transaction: &Transaction) -> Rf {
        let parameters = self.session.as_ref().filter(|_| !self.is_join()).map(|session| &session.parameters);
        let offset = parameters.map_or(0, |parameters| parameters.rx1_offset);
        let downlink_dwell = parameters.is_some_and(|parameters| parameters.downlink_dwell);
        let channel = transaction.channel.and_then(|index| match (&self.plan.channels, parameters) {
            (ChannelPlan::Fixed(fixed), _) => fixed.channel(index),
            (ChannelPlan::Dynamic(_), Some(parameters)) => parameters.channels.get(self.plan, index),
            (ChannelPlan::Dynamic(_), None) => None,
        });
        let frequency_hz = channel.map_or(transaction.rf.frequency_hz, |channel| channel.rx1_hz());
        let data_rate = self.plan.rx1_data_rate(transaction.rf.data_rate, offset, downlink_dwell);
        Rf { frequency_hz, data_rate }
    }

    /// RX2: the session's; for a join, the region's (MAC-JOIN-03).
    fn rx2(&self, transaction: &Transaction) -> Rf {
        match (&self.session, transaction.kind) {
            (Some(session), Kind::Data { .. }) => session.parameters.rx2.into(),
            _ => self.plan.rx2.into(),
        }
    }

    /// Tells whether a window is open, or opens so soon that nothing else may be begun.
    pub(super) fn window_is_near(&self, now_ms: u64) -> bool {
        let soon = |nominal_ms: u64| after(now_ms, GUARD_MS + RX_LEAD_MS) >= nominal_ms;
        match self.transaction.map(|transaction| transaction.stage) {
            Some(Stage::OnAir | Stage::Rx1 { .. } | Stage::Rx2 { .. }) => true,
            Some(Stage::BeforeRx1 { end_ms }) => soon(self.rx1_ms(end_ms)),
            Some(Stage::BeforeRx2 { end_ms }) => !self.rx2_is_part_of_rxc() && soon(self.rx2_ms(end_ms)),
            Some(Stage::Waiting { .. }) | None => false,
        }
    }

    /// Takes what was heard in a window; `now_ms` is the end of the frame. A frame that is not for this
    /// device, or not right in any way, has no effect but the end of RX1 or RX2 (MAC-FCNT-06).
    pub fn received(&mut self, now_ms: u64, window: Window, frame: &[u8], quality: Quality) {
        if window == Window::Rxc && is_proprietary(frame) {
            // Of two between which nobody asks, the older one stays.
            self.proprietary = self.proprietary.take().or_else(|| ProprietaryFrame::from_slice(frame).ok());
            return;
        }
        let open = self.transaction.filter(|transaction| match window {
            Window::Rx1 => matches!(transaction.stage, Stage::Rx1 { .. }),
            Window::Rx2 => matches!(transaction.stage, Stage::Rx2 { .. }),
            Window::Rxc => self.is_rx2_frame(transaction, now_ms, frame.len()),
        });
        let Some(transaction) = open else {
            if window == Window::Rxc && self.accept_data(now_ms, None, frame, quality).is_none() {
                self.accept_multicast(frame, quality);
            }
            return;
        };
        if let Kind::Join { .. } = transaction.kind {
            if !self.accept_join(frame) {
                self.window_closed(now_ms, window);
            }
            return;
        }
        let rf = if window == Window::Rx1 { self.rx1(&transaction) } else { self.rx2(&transaction) };
        match self.accept_data(now_ms, Some((&transaction, rf)), frame, quality) {
            Some(accepted) => self.transmission_over(now_ms, true, accepted.ack),
            None if window == Window::Rxc => self.accept_multicast(frame, quality),
            None => self.window_closed(now_ms, window),
        }
    }

    /// Says that RX1 or RX2 ended without a frame.
    pub fn window_closed(&mut self, now_ms: u64, window: Window) {
        match (window, self.transaction.map(|transaction| transaction.stage)) {
            (Window::Rx1, Some(Stage::Rx1 { end_ms })) => {
                self.update(|transaction| transaction.stage = Stage::BeforeRx2 { end_ms });
            }
            (Window::Rx2, Some(Stage::Rx2 { .. })) => self.transmission_over(now_ms, false, false),
            _ => {}
        }
    }

    /// Tells by its beginning whether a frame heard in RXC is the answer in RX2.
    fn is_rx2_frame(&self, transaction: &Transaction, now_ms: u64, len: usize) -> bool {
        let Stage::BeforeRx2 { end_ms } = transaction.stage else { return false };
        if !self.rx2_is_part_of_rxc() {
            return false;
        }
        let airtime_ms = self.plan.airtime_ms(self.rx2(transaction).data_rate, len, false);
        let (began_ms, nominal_ms) = (now_ms.saturating_sub(airtime_ms), self.rx2_ms(end_ms));
        after(began_ms, RX2_IN_RXC_BEFORE_MS) >= nominal_ms
            && began_ms <= after(nominal_ms, RX2_IN_RXC_AFTER_MS)
    }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
