//! MAC commands of the network, carried out (MAC-CMD-02 to MAC-CMD-04).

use super::uplink::{Kind, Stage, Transaction};
use super::{Mac, Notice, Quality};
use crate::channels::MAX_CHANNELS;
use crate::command::{LinkAdr, Request, Requests, cid};
use crate::region::ChannelPlan;
use crate::session::Parameters;

/// LinkADRAns (LoRaWAN 1.0.3, section 5.2).
const CHANNEL_MASK_ACK: u8 = 0x01;
const DATA_RATE_ACK: u8 = 0x02;
const POWER_ACK: u8 = 0x04;
/// DataRate and TXPower of a LinkADRReq that leave the present value (TS001-1.0.4).
const KEEP: u8 = 0x0f;
/// DevStatusAns: external power.
const BATTERY_EXTERNAL: u8 = 0;

impl Mac {
    /// Carries commands out in their order, up to the first that is unknown, cut short, or whose answer would
    /// find no room.
    pub(super) fn obey(&mut self, now_ms: u64, transaction: &Transaction, commands: &[u8], quality: Quality) {
        let before = self.session.as_ref().map(|session| session.parameters.clone());
        let mut requests = Requests::new(commands);
        loop {
            let at = requests;
            let Some(request) = requests.next() else { break };
            let answered = if let Request::LinkAdr(_) = request {
                let block = at.map_while(|request| match request {
                    Request::LinkAdr(adr) => Some(adr),
                    _ => None,
                });
                let count = block.clone().count();
                for _ in 1..count {
                    requests.next();
                }
                self.link_adr(block, count)
            } else {
                self.obey_one(now_ms, transaction, request, quality)
            };
            if answered.is_none() {
                break;
            }
        }
        if self.answers.len() > self.fopts_room() {
            self.want_own_uplink(now_ms);
        }
        self.session_dirty |= self.session.as_ref().map(|session| &session.parameters) != before.as_ref();
    }

    fn obey_one(
        &mut self,
        now_ms: u64,
        transaction: &Transaction,
        request: Request,
        quality: Quality,
    ) -> Option<()> {
        let plan = self.plan;
        match request {
            Request::LinkCheckAns { margin_db, gateways } => {
                if let Kind::Data { asks_link_check: true, .. } = transaction.kind {
                    self.watch.is_answered = true;
                    self.notify(Notice::LinkCheckAnswer { margin_db, gateways });
                }
                Some(())
            }
            Request::DeviceTimeAns { gps_s, fraction_256 } => {
                // It tells the instant at which this uplink ended.
                let end_ms = match transaction.stage {
                    Stage::Rx1 { end_ms } | Stage::BeforeRx2 { end_ms } | Stage::Rx2 { end_ms } => {
                        Some(end_ms)
                    }
                    Stage::Waiting { .. } | Stage::OnAir | Stage::BeforeRx1 { .. } => None,
                };
                if let (Kind::Data { asks_time: true, .. }, Some(at_ms)) = (transaction.kind, end_ms) {
                    self.notify(Notice::DeviceTime { gps_s, fraction_256, at_ms });
                }
                Some(())
            }
            Request::DutyCycle { max_duty_cycle } => {
                self.answer(&[cid::DUTY_CYCLE])?;
                self.parameters()?.max_duty_cycle = max_duty_cycle;
                Some(())
            }
            Request::RxParamSetup { rx1_offset, rx2_data_rate, frequency_hz } => {
                let channel = plan.is_downlink_frequency(frequency_hz);
                let rate = plan.is_downlink_data_rate(rx2_data_rate);
                let offset = rx1_offset <= plan.rx1.max_offset;
                let status = u8::from(channel) | (u8::from(rate) << 1) | (u8::from(offset) << 2);
                self.answer(&[cid::RX_PARAM_SETUP, status])?;
                if status == 0x07 {
                    let parameters = self.parameters()?;
                    parameters.rx1_offset = rx1_offset;
                    parameters.rx2.frequency_hz = frequency_hz;
                    parameters.rx2.data_rate = rx2_data_rate;
                    if self.config.class_c {
                        // RXC has moved: the network learns it by the answer (MAC-RXP-01).
                        self.want_own_uplink(now_ms);
                    }
                }
                Some(())
            }
            Request::DevStatus => {
                // Six bits of two's complement (LoRaWAN 1.0.3, section 5.5).
                let margin = quality.snr_db.clamp(-32, 31) as u8 & 0x3f;
                self.answer(&[cid::DEV_STATUS, BATTERY_EXTERNAL, margin])
            }
            Request::NewChannel { index, frequency_hz, min_data_rate, max_data_rate } => {
                // Fixed plans have no such command: no answer.
                let ChannelPlan::Dynamic(dynamic) = &plan.channels else { return Some(()) };
                let ours = self.config.fixed_channels
                    || index < dynamic.default_count()
                    || usize::from(index) >= MAX_CHANNELS;
                let frequency = !ours && (frequency_hz == 0 || plan.is_uplink_frequency(frequency_hz));
                let rates = plan.is_uplink_data_rate(min_data_rate, false)
                    && plan.is_uplink_data_rate(max_data_rate, false)
                    && min_data_rate <= max_data_rate;
                let rates = !ours && (frequency_hz == 0 || rates);
                self.answer(&[cid::NEW_CHANNEL, u8::from(frequency) | (u8::from(rates) << 1)])?;
                if frequency && rates {
                    let parameters = self.parameters()?;
                    if frequency_hz == 0 {
                        parameters.channels.remove(index);
                    } else {
                        parameters.channels.define(index, frequency_hz, min_data_rate, max_data_rate);
                    }
                    self.keep_a_channel();
                }
                Some(())
            }
            Request::RxTimingSetup { delay } => {
                self.answer(&[cid::RX_TIMING_SETUP])?;
                self.parameters()?.rx1_delay_s = delay.max(1);
                Some(())
            }
            Request::DlChannel { index, frequency_hz } => {
                let ChannelPlan::Dynamic(_) = plan.channels else { return Some(()) };
                let frequency = plan.is_downlink_frequency(frequency_hz);
                let exists = self.parameters()?.channels.get(plan, index).is_some();
                self.answer(&[cid::DL_CHANNEL, u8::from(frequency) | (u8::from(exists) << 1)])?;
                if frequency && exists {
                    self.parameters()?.channels.set_downlink(index, frequency_hz);
                }
                Some(())
            }
            Request::TxParamSetup { downlink_dwell, uplink_dwell, max_eirp_dbm } => {
                if plan.dwell_time {
                    self.answer(&[cid::TX_PARAM_SETUP])?;
                    let parameters = self.parameters()?;
                    parameters.downlink_dwell = downlink_dwell;
                    parameters.uplink_dwell = uplink_dwell;
                    parameters.max_eirp_dbm = max_eirp_dbm.min(plan.max_eirp_dbm);
                    // Up to the lowest rate that is short enough.
                    parameters.data_rate = parameters.data_rate.max(plan.slowest_data_rate(uplink_dwell));
                    self.keep_a_channel();
                }
                Some(())
            }
            Request::LinkAdr(_) | Request::Ignored => Some(()),
        }
    }

    /// Carries out one block of LinkADRReq: masks one after the other, the rest from the last (MAC-LADR-01).
    fn link_adr(&mut self, block: impl Iterator<Item = LinkAdr>, count: usize) -> Option<()> {
        let room = self.answers.capacity().saturating_sub(self.answers.len());
        if count.saturating_mul(2) > room {
            return None;
        }
        let (adr, plan, fixed) = (self.config.adr, self.plan, self.config.fixed_channels);
        let parameters = self.parameters()?;
        let channels = &parameters.channels;
        let (mut working, mut last) = (Some(channels.mask()), None);
        for request in block {
            working = working.and_then(|now| channels.masked(plan, now, request.mask_control, request.mask));
            last = Some(request);
        }
        let last = last?;
        let wanted = |value: u8, present: u8| if !adr || value == KEEP { present } else { value };
        let data_rate = wanted(last.data_rate, parameters.data_rate);
        let power_index = wanted(last.power, parameters.power_index);
        let hops = |mask| match &plan.channels {
            ChannelPlan::Dynamic(_) => true,
            ChannelPlan::Fixed(fixed) => fixed.hops_enough(mask, data_rate),
        };
        let present = channels.mask();
        let mask =
            working.filter(|&mask| if fixed { mask == present } else { !mask.is_empty() && hops(mask) });
        let carried = !channels.carrying(plan, mask.unwrap_or(channels.mask()), data_rate).is_empty();
        let data_rate_ok = plan.is_uplink_data_rate(data_rate, parameters.uplink_dwell) && carried;
        let power_ok = power_index <= plan.max_power_index;
        let mut status = 0;
        if let (Some(mask), true, true) = (mask, data_rate_ok, power_ok) {
            parameters.channels.set_mask(plan, mask);
            parameters.data_rate = data_rate;
            parameters.power_index = power_index;
            parameters.nb_trans = last.nb_trans.max(1);
        }
        for (ok, bit) in
            [(mask.is_some(), CHANNEL_MASK_ACK), (data_rate_ok, DATA_RATE_ACK), (power_ok, POWER_ACK)]
        {
            status |= if ok { bit } else { 0 };
        }
        for _ in 0..count {
            self.answer(&[cid::LINK_ADR, status])?;
        }
        Some(())
    }

    /// After a channel was taken away: without any for the present data rate, the default ones are switched on.
    fn keep_a_channel(&mut self) {
        let defaults = Parameters::defaults(self.plan, &self.config, 0).channels;
        let plan = self.plan;
        let Some(Parameters { channels, data_rate, uplink_dwell, .. }) = self.parameters() else { return };
        if channels.carrying(plan, channels.mask(), *data_rate).is_empty() {
            channels.set_mask(plan, channels.mask() | defaults.mask());
            *data_rate = channels.nearest_data_rate(plan, *data_rate, *uplink_dwell);
        }
    }

    fn parameters(&mut self) -> Option<&mut Parameters> {
        self.session.as_mut().map(|session| &mut session.parameters)
    }

    fn answer(&mut self, bytes: &[u8]) -> Option<()> {
        self.answers.extend_from_slice(bytes).ok()
    }
}
