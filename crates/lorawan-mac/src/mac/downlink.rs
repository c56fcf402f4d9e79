//! Downlinks: who may speak, and what for.

use super::uplink::{Acknowledgement, Kind, OWN_UPLINK_DELAY_MS, Transaction};
use super::{Mac, Notice, Quality, Rf};
use crate::event::{DownlinkWindow, Error, Payload};
use crate::fifo::Header;
use crate::frame::{DataDown, MHDR_AND_MIC, rebuild_fcnt_down};
use crate::instant::after;

/// CLASS_C_RESP_TIMEOUT (TS001-1.0.4; MAC-CONF-03).
const CLASS_C_RESP_TIMEOUT_MS: u64 = 8000;

/// So often a confirmed downlink that comes again is acknowledged again: somebody who plays one back does not get more
/// time on air out of the device.
const MAX_REPEATS: u8 = 7;

/// A downlink that was right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    pub ack: bool,
}

impl Mac {
    /// Takes a data downlink; `answer_to` is the uplink in whose window it came with that window's
    /// parameters, `None` for RXC. `None` comes back for a frame that must have no effect.
    pub(super) fn accept_data(
        &mut self,
        now_ms: u64,
        answer_to: Option<(&Transaction, Rf)>,
        frame: &[u8],
        quality: Quality,
    ) -> Option<Accepted> {
        let session = self.session.as_mut()?;
        let data_rate = answer_to.map_or(session.parameters.rx2.data_rate, |(_, rf)| rf.data_rate);
        if frame.len() > self.plan.max_downlink(data_rate).saturating_add(MHDR_AND_MIC) {
            return None;
        }
        let data = DataDown::parse(frame)?;
        if data.dev_addr != session.dev_addr {
            return None;
        }
        let Some(fcnt) = rebuild_fcnt_down(session.fcnt_down, data.fcnt_low) else {
            self.acknowledge_again(now_ms, answer_to.is_some(), frame, &data);
            return None;
        };
        if !data.mic_is_right(&session.nwk_skey, fcnt) {
            return None;
        }
        let to_application = data.port.is_some_and(|port| (1..=223).contains(&port));
        if to_application && !self.downlinks.has_room(data.payload.len()) {
            // Not acknowledged and not counted: a confirmed one comes again.
            self.lost_downlinks = self.lost_downlinks.saturating_add(1);
            let count = self.lost_downlinks;
            self.notify(Notice::Error(Error::DownlinkOverflow { count }));
            return None;
        }
        session.fcnt_down = Some(fcnt);
        self.counters.fcnt_down = Some(fcnt);
        self.counters_dirty = true;
        let key = if data.port == Some(0) { session.nwk_skey } else { session.app_skey };
        let payload: Payload = data.decipher(&key, fcnt);
        if let Some((transaction, _)) = answer_to {
            self.class_a_effects(now_ms, transaction, &data, &payload, quality);
        }
        self.repeatable = None;
        // FPort 0 in RXC is dropped (MAC-CMD-01), and so is not acknowledged.
        if data.confirmed && (answer_to.is_some() || data.port != Some(0)) {
            self.repeatable = frame.last_chunk().map(|mic| (*mic, MAX_REPEATS));
            self.acknowledge(now_ms, answer_to.is_some());
        }
        #[cfg(feature = "certification")]
        if let Some(port) = data.port.filter(|&port| port != 0) {
            self.certify(now_ms, port, &payload);
        }
        if let Some(port) = data.port.filter(|_| to_application) {
            let window = if answer_to.is_some() { DownlinkWindow::ClassA } else { DownlinkWindow::ClassC };
            self.downlinks.push(Header { port, fcnt, window, multicast: None, quality }, &payload);
        }
        Some(Accepted { ack: data.ack })
    }

    fn acknowledge(&mut self, now_ms: u64, in_window: bool) {
        let expires_ms = (!in_window).then(|| after(now_ms, CLASS_C_RESP_TIMEOUT_MS));
        self.acknowledgement = Some(Acknowledgement { expires_ms });
        self.want_own_uplink(now_ms);
    }

    /// A confirmed downlink whose ACK the network did not hear comes again with the same counter (LoRaWAN 1.0.3 section
    /// 4.3.1.5), and has no effect but another ACK (MAC-CONF-03).
    fn acknowledge_again(&mut self, now_ms: u64, in_window: bool, frame: &[u8], data: &DataDown<'_>) {
        let (Some(session), Some((mic, left))) = (&self.session, &mut self.repeatable) else { return };
        let same = frame.ends_with(mic)
            && session.fcnt_down.is_some_and(|fcnt| data.mic_is_right(&session.nwk_skey, fcnt));
        if same && *left > 0 {
            *left = left.saturating_sub(1);
            self.acknowledge(now_ms, in_window);
        }
    }

    /// What only a frame in RX1 or RX2 does (MAC-CC-04, MAC-CMD-01).
    fn class_a_effects(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        data: &DataDown<'_>,
        payload: &Payload,
        quality: Quality,
    ) {
        self.adr_ack_count = 0;
        let confirmed = matches!(transaction.kind, Kind::Data { confirmed: true, .. });
        if !confirmed || data.ack {
            // The network has the sticky answers that were on air (MAC-CMD-05).
            let unsent = self.answers.get(self.answers_sent..).map(crate::command::Answers::from_slice);
            if let Some(Ok(unsent)) = unsent {
                self.answers = unsent;
                self.answers_sent = 0;
            }
        }
        let commands = if data.port == Some(0) { payload.as_slice() } else { data.fopts };
        self.obey(now_ms, transaction, commands, quality);
    }

    pub(super) fn want_own_uplink(&mut self, now_ms: u64) {
        let at_ms = after(now_ms, OWN_UPLINK_DELAY_MS);
        self.own_uplink_at_ms = Some(self.own_uplink_at_ms.map_or(at_ms, |earlier_ms| earlier_ms.min(at_ms)));
    }
}
