//! The join procedure.

use super::uplink::{Kind, Stage, Transaction};
use super::watch::Watch;
use super::{Mac, Notice, Rf};
use crate::channels::Channels;
use crate::config::Activation;
use crate::crypto::session_key;
use crate::event::Error;
use crate::frame::{JoinAccept, join_request};
use crate::instant::after;
use crate::region::{ChannelPlan, Plan};
use crate::session::{Counters, Parameters, Session};

/// A procedure that goes on until a join-accept comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// When the next request may go out.
    pub next_at_ms: u64,
    /// Requests sent so far.
    pub attempts: u32,
}

/// Length of a join-request (LoRaWAN 1.0.3 section 6.2.4).
const JOIN_REQUEST_LEN: usize = 23;

/// How long join requests pause for one of them: their time on air is 1 part in so many, by the time since boot
/// (LoRaWAN 1.0.3 chapter 7, MAC-JOIN-08).
pub(super) fn join_pause_ms(now_ms: u64, airtime_ms: u64) -> u64 {
    const HOUR_MS: u64 = 3_600_000;
    airtime_ms.saturating_mul(match now_ms / HOUR_MS {
        0 => 100,
        1..=10 => 1_000,
        _ => 10_000,
    })
}

impl Mac {
    /// Starts the join procedure (OTAA); it goes on with back-off until a join-accept comes. A session that
    /// exists stays usable until then. No effect for ABP, and while one is already going on.
    pub fn join(&mut self, now_ms: u64) {
        if matches!(self.config.activation, Activation::Otaa { .. }) && self.joining.is_none() {
            // A request of before a reset counts.
            let next_at_ms = self.duty.join_free_at_ms.max(now_ms);
            self.joining = Some(Joining { next_at_ms, attempts: 0 });
        }
    }

    /// Ends the join procedure; a request that is on air still gets its windows.
    pub fn stop_joining(&mut self) {
        self.joining = None;
    }

    /// Tells when a join request is due.
    pub(super) fn join_due_ms(&self) -> Option<u64> {
        self.joining.map(|joining| joining.next_at_ms)
    }

    /// Begins a request if the duty cycle lets it out; else the procedure waits.
    pub(super) fn start_join_request(&mut self, now_ms: u64) {
        let Some(joining) = self.joining else { return };
        let Activation::Otaa { dev_eui, join_eui, app_key } = self.config.activation else { return };
        let (channels, data_rate) = self.join_place(joining.attempts);
        let airtime_ms = self.plan.airtime_ms(data_rate, JOIN_REQUEST_LEN, true);
        let (channel, free_at_ms) = self.pick_channel(&channels, data_rate, None, now_ms, airtime_ms);
        let Some((channel, frequency_hz)) = channel else {
            if free_at_ms == u64::MAX {
                // A channel list without a channel to join on (`Null` of the settings): nothing is sent.
                self.joining = None;
            } else {
                self.joining = Some(Joining { next_at_ms: free_at_ms, ..joining });
            }
            return;
        };
        let Ok(dev_nonce) = u16::try_from(self.counters.next_dev_nonce) else {
            self.joining = None;
            self.notify(Notice::Error(Error::DevNonceExhausted));
            return;
        };
        // Counted before it is used, and in flash before it is sent (MAC-JOIN-02).
        self.counters.next_dev_nonce = self.counters.next_dev_nonce.saturating_add(1);
        self.counters_dirty = true;
        join_request(&app_key, join_eui, dev_eui, dev_nonce, &mut self.frame);
        self.transaction = Some(Transaction {
            kind: Kind::Join { dev_nonce },
            stage: Stage::Waiting { at_ms: now_ms },
            built: true,
            rf: Rf { frequency_hz, data_rate },
            channel: Some(channel),
            tries_left: 1,
            radio_failures: 0,
            busy: 0,
        });
    }

    /// Says where the next request goes (MAC-JOIN-09). In a dynamic plan the data rate goes down from one request to
    /// the next and begins again: most networks hear the first, and the last hears furthest. In a fixed plan the
    /// requests walk over the banks, and the data rate goes down once a round.
    fn join_place(&self, attempts: u32) -> (Channels, u8) {
        let mut channels = Channels::for_join(self.plan, &self.config);
        let (min, max) = self.plan.join_data_rates;
        let mut round = attempts;
        if let ChannelPlan::Fixed(fixed) = &self.plan.channels {
            let mask;
            (mask, round) = fixed.join_channels(channels.mask(), attempts);
            channels.set_mask(self.plan, mask);
            if (mask & fixed.narrow_mask()).is_empty() {
                return (channels, fixed.wide_data_rate);
            }
        }
        let rates = u32::from(max.saturating_sub(min)).saturating_add(1);
        let step = round.checked_rem(rates).and_then(|step| u8::try_from(step).ok());
        (channels, max.saturating_sub(step.unwrap_or(0)))
    }

    /// Plans the next request after one has been sent: within the join duty cycle, with a random part.
    pub(super) fn join_request_sent(&mut self, now_ms: u64, data_rate: u8) {
        let airtime_ms = self.plan.airtime_ms(data_rate, JOIN_REQUEST_LEN, true);
        let pause_ms = join_pause_ms(now_ms, airtime_ms);
        let random_ms = self.random.up_to(u32::try_from(pause_ms / 2).unwrap_or(u32::MAX));
        if let Some(joining) = &mut self.joining {
            joining.attempts = joining.attempts.saturating_add(1);
            joining.next_at_ms = after(now_ms, pause_ms).saturating_add(u64::from(random_ms));
        }
    }

    /// Takes a join-accept; `false` for any other frame, and then nothing has changed (MAC-JOIN-04).
    pub(super) fn accept_join(&mut self, frame: &[u8]) -> bool {
        let Some(Transaction { kind: Kind::Join { dev_nonce }, rf, .. }) = self.transaction else {
            return false;
        };
        let Activation::Otaa { app_key, .. } = self.config.activation else { return false };
        let Some(accept) = JoinAccept::open(frame, &app_key) else { return false };
        let [j0, j1, j2] = accept.join_nonce;
        let join_nonce = u32::from_le_bytes([j0, j1, j2, 0]);
        let stale = |last: u32| join_nonce == last || (self.config.join_nonce_counts && join_nonce < last);
        if self.counters.join_nonce.is_some_and(stale) {
            return false;
        }
        let mut parameters = Parameters::defaults(self.plan, &self.config, rf.data_rate);
        apply_accept(self.plan, self.config.fixed_channels, &accept, &mut parameters);
        self.session = Some(Session {
            dev_nonce,
            dev_addr: accept.dev_addr,
            nwk_skey: session_key(&app_key, 1, accept.join_nonce, accept.net_id, dev_nonce),
            app_skey: session_key(&app_key, 2, accept.join_nonce, accept.net_id, dev_nonce),
            fcnt_up: 0,
            fcnt_down: None,
            parameters,
        });
        self.counters = Counters {
            session_dev_nonce: dev_nonce,
            fcnt_up_limit: Self::FCNT_UP_STEP,
            fcnt_down: None,
            join_nonce: Some(join_nonce),
            ..self.counters
        };
        self.session_dirty = true;
        self.counters_dirty = true;
        self.duty.end_network_limit();
        self.adr_ack_count = 0;
        self.answers.clear();
        self.answers_sent = 0;
        self.acknowledgement = None;
        self.repeatable = None;
        self.own_uplink_at_ms = None;
        self.watch = Watch::default();
        self.joining = None;
        self.transaction = None;
        self.notify(Notice::Joined { dev_addr: accept.dev_addr });
        true
    }
}

/// Applies what a join-accept sets (MAC-JOIN-06); a value that the region does not have is left aside.
fn apply_accept(plan: &Plan, fixed_channels: bool, accept: &JoinAccept, parameters: &mut Parameters) {
    parameters.rx1_delay_s = (accept.rx_delay & 0x0f).max(1);
    let offset = (accept.dl_settings >> 4) & 0x07;
    if offset <= plan.rx1.max_offset {
        parameters.rx1_offset = offset;
    }
    let rx2_data_rate = accept.dl_settings & 0x0f;
    if plan.is_downlink_data_rate(rx2_data_rate) {
        parameters.rx2.data_rate = rx2_data_rate;
    }
    if let Some(list) = accept.cflist.as_ref().filter(|_| !fixed_channels) {
        parameters.channels.apply_cflist(plan, list);
        let Parameters { channels, data_rate, uplink_dwell, .. } = parameters;
        *data_rate = channels.nearest_data_rate(plan, *data_rate, *uplink_dwell);
    }
}
