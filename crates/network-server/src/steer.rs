//! LinkADRReq of the network's own: the channels in use, data rate, power.

use crate::adr::Choice;
use crate::config::UplinkMeta;
use crate::device::{Batch, Device};
use crate::frames;
use crate::heard::MacRequest;
use crate::plan::Plan;
use crate::server::NetworkServer;

/// Refusals after which a session's data rate, power and channels are left alone.
const REFUSALS: u8 = 3;

impl NetworkServer {
    /// Asks a device for another data rate, power or channels after a new uplink, if it has not the right ones.
    pub(crate) fn steer(&mut self, index: usize, meta: UplinkMeta, wants_adr: bool) {
        let UplinkMeta { freq_hz, sf, bw_hz, .. } = meta;
        let (plan, adr) = (&self.plan, self.config.adr);
        let Some(dr) = plan.uplink_data_rate(sf, bw_hz) else { return };
        let Some(device) = self.devices.get_mut(index) else { return };
        let is_asked = device.link_adr_is_asked();
        let Device { session: Some(session), requests, history, highest, refusals, .. } = device else {
            return;
        };
        // A device on a channel that is off here did not take the mask: then it has all that it knows.
        if plan.channel_of(freq_hz, dr).is_some_and(|channel| session.channels >> channel & 1 == 0) {
            session.channels = session.defined_channels;
        }
        if is_asked || *refusals >= REFUSALS {
            return;
        }
        let now = Choice { data_rate: dr, tx_power: session.tx_power };
        let adr = adr.filter(|_| wants_adr);
        let choice = adr.map_or(now, |adr| adr.choose(history, now, sf, *highest));
        let nb_trans = adr.map_or(session.nb_trans, |adr| adr.nb_trans);
        let mut masks: Vec<(u8, u16)> = plan
            .channel_requests(session.channels)
            .iter()
            .map(|request| (request.redundancy.ch_mask_cntl, u16::from_le_bytes(request.ch_mask.to_bytes())))
            .collect();
        if masks.is_empty() {
            if choice == now && nb_trans == session.nb_trans {
                return;
            }
            masks.push(same_mask(plan, session.channels));
        }
        let link_adr = |(ch_mask_cntl, channel_mask): (u8, u16)| MacRequest::LinkAdr {
            data_rate: choice.data_rate,
            tx_power: choice.tx_power,
            channel_mask,
            ch_mask_cntl,
            nb_trans,
        };
        if let Ok(batch) = Batch::new(masks.into_iter().map(link_adr).collect(), true) {
            requests.push_back(batch);
            history.clear();
        }
    }

    /// Asks again for what a device had to answer in its last uplink, and did not.
    pub(crate) fn ask_again(&mut self, index: usize) {
        let Some(device) = self.devices.get_mut(index) else { return };
        if device.outstanding.is_empty() {
            device.asked_again = 0;
            return;
        }
        let lost = std::mem::take(&mut device.outstanding);
        device.asked_again += 1;
        // A device may leave a command without any answer, as one with a fixed plan does with NewChannelReq.
        if device.asked_again > ASK_AGAIN {
            device.asked_again = 0;
            return;
        }
        let is_link_adr = |request: &MacRequest| matches!(request, MacRequest::LinkAdr { .. });
        // LinkADRReq that stood together stay together: they are one block.
        let blocks = lost.chunk_by(|one, next| is_link_adr(one) && is_link_adr(next));
        for block in blocks.rev() {
            if let Ok(batch) = Batch::new(block.to_vec(), block.iter().all(is_link_adr)) {
                device.requests.push_front(batch);
            }
        }
    }
}

/// How often a command is repeated to a device that does not answer.
const ASK_AGAIN: u8 = 8;

/// Tells ChMaskCntl and mask of a LinkADRReq that leaves the channels as they are.
fn same_mask(plan: &Plan, channels: u128) -> (u8, u16) {
    let block = if plan.is_fixed() { (channels.trailing_zeros() / 16) as u8 } else { 0 };
    (block, (channels >> (16 * block)) as u16)
}

impl Batch {
    /// Makes a batch of commands that go out together, in one frame.
    pub(crate) fn new(requests: Vec<MacRequest>, is_own: bool) -> Result<Self, lrwn::Error> {
        let mut bytes = Vec::new();
        for request in &requests {
            bytes.extend(frames::mac_request(request)?);
        }
        Ok(Self { requests, bytes, is_own })
    }
}
