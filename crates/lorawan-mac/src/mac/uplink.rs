//! Uplinks: taking, building, sending, repeating.

use heapless::Vec;

use super::adr::ADR_ACK_LIMIT;
use super::join::join_pause_ms;
use super::{Action, Mac, Notice, Rf};
use crate::channels::Channels;
use crate::command::{cid, keep_sticky, whole_answers};
use crate::event::SendError;
use crate::frame::{DataUp, FHDR, Frame, MAX_FOPTS, MHDR_AND_MIC};
use crate::instant::after;
use crate::mask::Mask;
use crate::region::ChannelPlan;
use crate::session::Parameters;

/// What is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Join { dev_nonce: u16 },
    Data { port: Option<u8>, confirmed: bool, fcnt: u32, asks_link_check: bool, asks_time: bool },
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Goes out at `at_ms` or later.
    Waiting {
        at_ms: u64,
    },
    OnAir,
    /// After the end of the transmission at `end_ms`.
    BeforeRx1 {
        end_ms: u64,
    },
    Rx1 {
        end_ms: u64,
    },
    /// RX1 is over; in Class C the time of RX2 runs within RXC.
    BeforeRx2 {
        end_ms: u64,
    },
    Rx2 {
        end_ms: u64,
    },
}

/// One frame from its first transmission to the end of its last window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub kind: Kind,
    pub stage: Stage,
    /// Whether `Mac::frame` holds the frame; before, it holds the payload.
    pub built: bool,
    /// Where it was sent last; before that, at which data rate it will be.
    pub rf: Rf,
    pub channel: Option<u8>,
    pub tries_left: u8,
    pub radio_failures: u8,
    /// How often its channel was busy.
    pub busy: u8,
}

impl Transaction {
    pub fn is_on_air_or_listening(&self) -> bool {
        !matches!(self.stage, Stage::Waiting { .. })
    }

    pub fn port(&self) -> Option<u8> {
        match self.kind {
            Kind::Join { .. } => None,
            Kind::Data { port, .. } => port,
        }
    }
}

/// An ACK that the network waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledgement {
    /// In Class C it is dropped after this (MAC-CONF-03).
    pub expires_ms: Option<u64>,
}

/// The FOpts of one uplink, and which of our requests are in it.
#[derive(Default)]
struct FOpts {
    bytes: Vec<u8, MAX_FOPTS>,
    asks_link_check: bool,
    asks_time: bool,
}

/// ACK_TIMEOUT (RP002, "ACK_TIMEOUT"/RETRANSMIT_TIMEOUT): 1 s to 3 s, at random.
const ACK_TIMEOUT_MIN_MS: u64 = 1000;
const ACK_TIMEOUT_SPAN_MS: u32 = 2000;
/// A frame that the radio could not send is tried so often, at this distance.
const RADIO_TRIES: u8 = 5;
const RADIO_RETRY_MS: u64 = 1000;
/// A channel that was busy is left for so long, and up to so much longer; twice that after every fourth time, up to
/// 64 times, since each look takes the radio away from RXC.
const BUSY_MIN_MS: u64 = 20;
const BUSY_SPAN_MS: u32 = 500;
const BUSY_STEP: u8 = 4;
const BUSY_DOUBLINGS: u8 = 6;
/// How long the MAC waits for the application's next uplink before it sends an answer by itself.
pub(super) const OWN_UPLINK_DELAY_MS: u64 = 1000;

impl Mac {
    /// FCntUp is reserved in flash in steps of so many (MAC-FCNT-02).
    pub(super) const FCNT_UP_STEP: u32 = 32;

    /// Tells whether [`send`](Self::send) would take a payload that fits.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.fcnt_up != u32::MAX)
            && self.transaction.is_none()
            && self.answers_leave_room()
    }

    /// Answers that do not fit go first, in a frame of their own. Those that went already and are only repeated are
    /// left out where they fit no longer: the network may never speak again, and would stop the application for ever.
    fn answers_leave_room(&self) -> bool {
        self.answers.len() <= self.fopts_room().max(self.answers_sent)
    }

    /// Tells how many application bytes the next uplink can carry, beside the MAC answers that wait
    /// (MAC-FRM-06); 0 without a session.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.payload_limit().saturating_sub(self.fopts(0).bytes.len())
    }

    /// The payload beside an empty FOpts (MAC-FRM-04): M less FHDR and FPort.
    fn payload_limit(&self) -> usize {
        self.session.as_ref().map_or(0, |session| {
            let Parameters { data_rate, uplink_dwell, .. } = session.parameters;
            self.plan.max_uplink(data_rate, uplink_dwell).saturating_sub(FHDR).saturating_sub(1)
        })
    }

    /// Bytes of FOpts that fit a frame at the present data rate.
    pub(super) fn fopts_room(&self) -> usize {
        self.payload_limit().min(MAX_FOPTS)
    }

    /// Tells from when on the duty cycle lets an uplink of `payload_len` bytes out. One that is sent before
    /// waits in the MAC. `u64::MAX` = never, with these channels.
    #[must_use]
    pub fn free_at_ms(&self, now_ms: u64, payload_len: usize) -> u64 {
        let Some(session) = &self.session else { return u64::MAX };
        let data_rate = session.parameters.data_rate;
        let airtime_ms = self.plan.airtime_ms(data_rate, self.frame_len(payload_len), true);
        let channels = &session.parameters.channels;
        let usable = channels.carrying(self.plan, channels.mask(), data_rate);
        channels
            .iter(self.plan)
            .filter(|(index, _)| usable.contains(*index))
            .map(|(_, channel)| self.duty.free_at_ms(self.plan, now_ms, channel.frequency_hz, airtime_ms))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// The length of a frame that is still to be built, with the MAC commands that would go with it.
    fn frame_len(&self, payload_len: usize) -> usize {
        let room = self.payload_limit().saturating_sub(payload_len);
        let commands = self.answers.len().max(self.fopts(room).bytes.len());
        payload_len
            .saturating_add(MHDR_AND_MIC)
            .saturating_add(FHDR)
            .saturating_add(1)
            .saturating_add(commands)
    }

    /// Takes an uplink. It goes out at once if the duty cycle lets it, after a store of the counters if one is
    /// due; [`UplinkDone`](crate::Event::UplinkDone) or [`UplinkFailed`](crate::Event::UplinkFailed) ends it.
    ///
    /// # Errors
    /// See [`SendError`]; nothing has changed then. `Busy` also if the payload has no room beside new MAC answers:
    /// they go first, in a frame of their own. Beside those that are only repeated it is `TooLong`.
    pub fn send(&mut self, now_ms: u64, port: u8, payload: &[u8], confirmed: bool) -> Result<(), SendError> {
        if self.counters_lost {
            return Err(SendError::CountersLost);
        }
        let Some(session) = &self.session else { return Err(SendError::NotJoined) };
        if session.fcnt_up == u32::MAX {
            return Err(SendError::CounterExhausted);
        }
        if !(1..=223).contains(&port) {
            return Err(SendError::Port(port));
        }
        let limit = self.payload_limit();
        if payload.len() > limit {
            return Err(SendError::TooLong { limit });
        }
        if self.transaction.is_some() {
            return Err(SendError::Busy);
        }
        let limit = self.max_payload();
        if !self.answers_leave_room() || payload.len() > limit {
            if self.answers.len() <= self.answers_sent {
                // They stay until the network is heard, so waiting for them could last for ever.
                return Err(SendError::TooLong { limit });
            }
            self.own_uplink_at_ms = Some(now_ms);
            return Err(SendError::Busy);
        }
        self.start_data(now_ms, Some(port), payload, confirmed);
        Ok(())
    }

    /// Puts a LinkCheckReq into the next uplink.
    pub fn request_link_check(&mut self) {
        self.wants_link_check = true;
    }

    /// Puts a DeviceTimeReq into the next uplink.
    pub fn request_device_time(&mut self) {
        self.wants_device_time = true;
    }

    pub(super) fn start_data(&mut self, now_ms: u64, port: Option<u8>, payload: &[u8], confirmed: bool) {
        let Some(session) = &self.session else { return };
        let parameters = &session.parameters;
        let tries = if confirmed { self.config.confirmed_tries.clamp(1, 15) } else { parameters.nb_trans };
        let data_rate = parameters.data_rate;
        self.frame = Frame::from_slice(payload).unwrap_or_default();
        self.transaction = Some(Transaction {
            kind: Kind::Data { port, confirmed, fcnt: 0, asks_link_check: false, asks_time: false },
            stage: Stage::Waiting { at_ms: now_ms },
            built: false,
            rf: Rf { frequency_hz: 0, data_rate },
            channel: None,
            tries_left: tries.max(1),
            radio_failures: 0,
            busy: 0,
        });
    }

    /// What goes into FOpts: answers, then our own requests as far as FOpts and the frame have room: `room` is
    /// what the payload leaves. Answers that are too many for FOpts go into a frame on FPort 0 instead
    /// (MAC-FRM-05).
    fn fopts(&self, room: usize) -> FOpts {
        let limit = self.fopts_room();
        let mut bytes = Vec::new();
        if self.answers.len() <= limit {
            let _ = bytes.extend_from_slice(&self.answers);
        }
        let room = room.min(limit);
        // Without room a request waits for the next uplink.
        let mut ask = |wanted: bool, id: u8| wanted && bytes.len() < room && bytes.push(id).is_ok();
        let asks_link_check = ask(self.wants_link_check, cid::LINK_CHECK);
        let asks_time = ask(self.wants_device_time, cid::DEVICE_TIME);
        FOpts { bytes, asks_link_check, asks_time }
    }

    /// Begins a frame of the MAC's own if something still has to be said.
    pub(super) fn start_own_uplink(&mut self, now_ms: u64) {
        self.own_uplink_at_ms = None;
        let free_at_ms = self.free_at_ms(now_ms, 0);
        let expired =
            |ack: &Acknowledgement| ack.expires_ms.is_some_and(|expires_ms| free_at_ms > expires_ms);
        if self.acknowledgement.as_ref().is_some_and(expired) {
            self.acknowledgement = None;
        }
        #[cfg(feature = "certification")]
        if self.answers.len() <= self.fopts_room() && self.start_test_uplink(now_ms) {
            return;
        }
        if self.acknowledgement.is_none() && self.answers.is_empty() && !self.watch.is_due {
            return;
        }
        let port = (self.answers.len() > self.fopts_room()).then_some(0);
        self.start_data(now_ms, port, &[], false);
    }

    /// Sends the frame of the transaction, or says what is to be done before.
    pub(super) fn try_transmit(&mut self, now_ms: u64) -> Action {
        let Some(transaction) = self.transaction else { return self.rest(None) };
        let (picked, free_at_ms) = match transaction.kind {
            Kind::Join { .. } => (Some((transaction.channel, transaction.rf.frequency_hz)), now_ms),
            Kind::Data { .. } => {
                let Some(session) = &self.session else { return self.give_up(now_ms) };
                let len = if transaction.built { self.frame.len() } else { self.frame_len(self.frame.len()) };
                let airtime_ms = self.plan.airtime_ms(transaction.rf.data_rate, len, true);
                let channels = session.parameters.channels.clone();
                let (picked, free_at_ms) = self.pick_channel(
                    &channels,
                    transaction.rf.data_rate,
                    transaction.channel,
                    now_ms,
                    airtime_ms,
                );
                (picked.map(|(index, hz)| (Some(index), hz)), free_at_ms)
            }
        };
        let Some((channel, frequency_hz)) = picked else {
            if free_at_ms == u64::MAX {
                return self.give_up(now_ms);
            }
            self.update(|transaction| transaction.stage = Stage::Waiting { at_ms: free_at_ms });
            return self.rest(Some(free_at_ms));
        };
        if !transaction.built && !self.build(now_ms) {
            return self.give_up(now_ms);
        }
        if !self.is_stored() {
            // Write-ahead: `poll` asks for the store, and comes back here.
            return self.poll(now_ms);
        }
        let rf = Rf { frequency_hz, data_rate: transaction.rf.data_rate };
        let airtime_ms = self.plan.airtime_ms(rf.data_rate, self.frame.len(), true);
        self.update(|transaction| {
            transaction.stage = Stage::OnAir;
            transaction.rf = rf;
            transaction.channel = channel;
        });
        self.used = self.used | channel.map_or(Mask::NONE, Mask::of);
        let max_duty_cycle = self.session.as_ref().map_or(0, |session| session.parameters.max_duty_cycle);
        self.duty.spend(self.plan, now_ms, frequency_hz, airtime_ms, max_duty_cycle);
        if let Kind::Join { .. } = transaction.kind {
            self.duty.join_free_at_ms = after(now_ms, join_pause_ms(now_ms, airtime_ms));
        }
        Action::Transmit {
            rf,
            power_dbm: self.power_dbm(rf),
            airtime_ms,
            listen_before_talk: self.plan.listen_before_talk,
        }
    }

    /// MAC-TX-04: the least of the settings, and the limit of region, network and channels less 2 dB for each
    /// TXPower step.
    fn power_dbm(&self, rf: Rf) -> i8 {
        // A join has nothing of an older session (MAC-JOIN-03): full power.
        let is_join = matches!(self.transaction, Some(Transaction { kind: Kind::Join { .. }, .. }));
        let parameters = self.session.as_ref().filter(|_| !is_join).map(|session| &session.parameters);
        let index = parameters.map_or(0, |parameters| parameters.power_index);
        let step_db = i8::try_from(index).unwrap_or(0).saturating_mul(2);
        let network = parameters.map_or(i8::MAX, |parameters| parameters.max_eirp_dbm);
        let hopping = match (&self.plan.channels, parameters) {
            (ChannelPlan::Fixed(fixed), Some(parameters)) => {
                fixed.eirp_limit_dbm(parameters.channels.mask(), rf.data_rate)
            }
            (ChannelPlan::Fixed(fixed), None) => {
                fixed.eirp_limit_dbm(Channels::for_join(self.plan, &self.config).mask(), rf.data_rate)
            }
            (ChannelPlan::Dynamic(_), _) => i8::MAX,
        };
        let table = self.plan.max_eirp_dbm.min(network).saturating_sub(step_db);
        self.config.tx_power_dbm.min(table).min(hopping).min(self.plan.eirp_limit_dbm(rf.frequency_hz))
    }

    pub(super) fn update(&mut self, change: impl FnOnce(&mut Transaction)) {
        if let Some(transaction) = &mut self.transaction {
            change(transaction);
        }
    }

    /// Picks a channel at random among those that carry the rate and are free now: one that had no turn yet, and
    /// another than `last`, where there is one. Without any, tells when one will be.
    pub(super) fn pick_channel(
        &mut self,
        channels: &Channels,
        data_rate: u8,
        last: Option<u8>,
        now_ms: u64,
        airtime_ms: u64,
    ) -> (Option<(u8, u32)>, u64) {
        let plan = self.plan;
        let usable = channels.carrying(plan, channels.mask(), data_rate);
        if usable.without(self.used).is_empty() {
            self.used = self.used.without(usable);
        }
        let (mut free, mut first_free_ms) = (Mask::NONE, u64::MAX);
        for (index, channel) in channels.iter(plan).filter(|(index, _)| usable.contains(*index)) {
            let at_ms = self.duty.free_at_ms(plan, now_ms, channel.frequency_hz, airtime_ms);
            first_free_ms = first_free_ms.min(at_ms);
            if at_ms <= now_ms {
                free = free | Mask::of(index);
            }
        }
        let others = free.without(last.map_or(Mask::NONE, Mask::of));
        let fresh = others.without(self.used);
        let choice =
            [fresh, others, free].into_iter().find(|choice| !choice.is_empty()).unwrap_or(Mask::NONE);
        let Some(most) = choice.count().checked_sub(1) else { return (None, first_free_ms) };
        let nth = usize::try_from(self.random.up_to(most)).unwrap_or(0);
        let picked = channels
            .iter(plan)
            .filter(|(index, _)| choice.contains(*index))
            .nth(nth)
            .map(|(index, channel)| (index, channel.frequency_hz));
        (picked, first_free_ms)
    }

    /// Turns the payload into a frame: takes an FCntUp, the ACK and the MAC commands with it.
    fn build(&mut self, now_ms: u64) -> bool {
        let Some(Transaction { kind: Kind::Data { port, confirmed, .. }, rf, .. }) = self.transaction else {
            return false;
        };
        let dwell = self.session.as_ref().is_some_and(|session| session.parameters.uplink_dwell);
        let limit = self.plan.max_uplink(rf.data_rate, dwell).saturating_sub(FHDR).saturating_sub(1);
        let payload = match port {
            Some(0) => Frame::from_slice(whole_answers(&self.answers, limit)).unwrap_or_default(),
            _ => self.frame.clone(),
        };
        // FPort 0 and FOpts exclude each other (MAC-FRM-02).
        let room = limit.saturating_sub(payload.len());
        let fopts = if port == Some(0) { FOpts::default() } else { self.fopts(room) };
        let in_time = |ack: Acknowledgement| ack.expires_ms.is_none_or(|expires_ms| now_ms <= expires_ms);
        let ack = self.acknowledgement.take().is_some_and(in_time);
        let Some(session) = &mut self.session else { return false };
        let fcnt = session.fcnt_up;
        let data = DataUp {
            confirmed,
            dev_addr: session.dev_addr,
            adr: self.config.adr,
            adr_ack_req: self.config.adr && self.adr_ack_count >= ADR_ACK_LIMIT,
            ack,
            fcnt,
            fopts: &fopts.bytes,
            port,
            payload: &payload,
        };
        if data.encode(&session.nwk_skey, &session.app_skey, &mut self.frame).is_err() {
            return false;
        }
        session.fcnt_up = fcnt.saturating_add(1);
        if fcnt >= self.counters.fcnt_up_limit {
            self.counters.fcnt_up_limit = fcnt.saturating_add(Self::FCNT_UP_STEP);
            self.counters_dirty = true;
        }
        let FOpts { asks_link_check, asks_time, .. } = fopts;
        self.wants_link_check &= !asks_link_check;
        self.wants_device_time &= !asks_time;
        keep_sticky(&mut self.answers);
        self.answers_sent = self.answers.len();
        self.own_uplink_at_ms = None;
        self.adr_ack_count = self.adr_ack_count.saturating_add(1);
        self.update(|transaction| {
            transaction.built = true;
            transaction.kind = Kind::Data { port, confirmed, fcnt, asks_link_check, asks_time };
        });
        true
    }

    /// Says that the frame has left the antenna, at `now_ms`.
    pub fn tx_done(&mut self, now_ms: u64) {
        let Some(transaction) = self.transaction else { return };
        if !matches!(transaction.stage, Stage::OnAir) {
            return;
        }
        match transaction.kind {
            Kind::Join { dev_nonce } => {
                self.join_request_sent(now_ms, transaction.rf.data_rate);
                self.notify(Notice::JoinRequestSent { dev_nonce, rf: transaction.rf });
            }
            Kind::Data { port, confirmed, fcnt, .. } => {
                self.notify(Notice::UplinkSent { port, fcnt, rf: transaction.rf, confirmed });
            }
        }
        self.update(|transaction| {
            transaction.stage = Stage::BeforeRx1 { end_ms: now_ms };
            transaction.tries_left = transaction.tries_left.saturating_sub(1);
        });
    }

    /// Says that the radio failed to send. The same frame is tried again some times, then given up; its
    /// FCntUp or DevNonce is used either way (MAC-FCNT-02).
    pub fn tx_failed(&mut self, now_ms: u64) {
        let Some(transaction) = self.transaction else { return };
        if !matches!(transaction.stage, Stage::OnAir) {
            return;
        }
        if let Kind::Join { .. } = transaction.kind {
            self.transaction = None;
            self.join_request_sent(now_ms, transaction.rf.data_rate);
            return;
        }
        let failures = transaction.radio_failures.saturating_add(1);
        if failures >= RADIO_TRIES {
            self.give_up_quietly(now_ms);
            return;
        }
        self.update(|transaction| {
            transaction.radio_failures = failures;
            transaction.stage = Stage::Waiting { at_ms: after(now_ms, RADIO_RETRY_MS) };
        });
    }

    /// Says that the channel was not clear (MAC-TX-03): the frame goes out a little later, on another channel if there
    /// is one.
    pub fn channel_busy(&mut self, now_ms: u64) {
        let Some(Transaction { stage: Stage::OnAir, kind, rf, channel, busy, .. }) = self.transaction else {
            return;
        };
        let airtime_ms = self.plan.airtime_ms(rf.data_rate, self.frame.len(), true);
        self.duty.take_back(self.plan, rf.frequency_hz, airtime_ms);
        let random_ms = u64::from(self.random.up_to(BUSY_SPAN_MS));
        let wait_ms = BUSY_MIN_MS.saturating_add(random_ms) << (busy / BUSY_STEP).min(BUSY_DOUBLINGS);
        let at_ms = after(now_ms, wait_ms);
        let mut next = (channel, rf.frequency_hz);
        if let Kind::Join { .. } = kind {
            let channels = Channels::for_join(self.plan, &self.config);
            let picked = self.pick_channel(&channels, rf.data_rate, channel, now_ms, 0).0;
            next = picked.map_or(next, |(index, frequency_hz)| (Some(index), frequency_hz));
        }
        self.update(|transaction| {
            transaction.stage = Stage::Waiting { at_ms };
            transaction.busy = busy.saturating_add(1);
            (transaction.channel, transaction.rf.frequency_hz) = next;
        });
    }

    pub(super) fn give_up_quietly(&mut self, now_ms: u64) {
        if let Some(transaction) = self.transaction.take() {
            self.check_over(now_ms, false);
            self.notify(Notice::UplinkFailed { port: transaction.port() });
            self.after_uplink();
        }
    }

    fn give_up(&mut self, now_ms: u64) -> Action {
        self.give_up_quietly(now_ms);
        self.poll(now_ms)
    }

    /// The windows of one transmission are over, or need not be waited for: repeats the frame or ends it.
    pub(super) fn transmission_over(&mut self, now_ms: u64, heard: bool, acked: bool) {
        let Some(transaction) = self.transaction else { return };
        let Kind::Data { port, confirmed, asks_link_check, .. } = transaction.kind else {
            self.transaction = None;
            return;
        };
        let finished = if confirmed { acked } else { heard };
        if finished || transaction.tries_left == 0 {
            self.transaction = None;
            self.check_over(now_ms, asks_link_check);
            self.notify(Notice::UplinkDone { port, acked: confirmed.then_some(acked) });
            self.after_uplink();
            return;
        }
        let random_ms = u64::from(self.random.up_to(ACK_TIMEOUT_SPAN_MS));
        let at_ms = after(now_ms, ACK_TIMEOUT_MIN_MS).saturating_add(random_ms);
        self.update(|transaction| transaction.stage = Stage::Waiting { at_ms });
    }
}
