//! A device as the network knows it.

use std::collections::{HashSet, VecDeque};

use crate::adr::{Choice, History};
use crate::config::{Downlink, UplinkMeta, Window};
use crate::frames::Keys;
use crate::gateways::Reception;
use crate::heard::{MacRequest, MacUp};
use crate::plan::Plan;
use crate::server::MAX_F_OPTS;

/// An activated device's address, keys, counters and receive parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// DevAddr.
    pub dev_addr: u32,
    /// The session keys.
    pub keys: Keys,
    /// The last genuine FCntUp, 32 bits; `None` before the first uplink.
    pub fcnt_up: Option<u32>,
    /// The next FCntDown, 32 bits.
    pub fcnt_down: u32,
    /// RX1 delay in seconds, 1..15.
    pub rx1_delay_s: u8,
    /// RX1 data rate offset.
    pub rx1_dr_offset: u8,
    /// RX2 and RXC data rate.
    pub rx2_dr: u8,
    /// RX2 and RXC frequency in Hz.
    pub rx2_freq_hz: u32,
    /// The channels in use, as far as the network knows, a bit each; bit 0 is channel 0.
    pub channels: u128,
    /// The channels that the device has at all, in use or not.
    pub defined_channels: u128,
    /// The data rate of the last uplink.
    pub data_rate: u8,
    /// The power index that the device agreed to; 0 is the most.
    pub tx_power: u8,
    /// NbTrans that the device agreed to.
    pub nb_trans: u8,
    /// Whether the device's DownlinkDwellTime is on.
    pub downlink_dwell: bool,
    /// The frequencies of RX1, in Hz, that differ from the uplink's, with the uplink's.
    pub rx1_freq_hz: Vec<(u32, u32)>,
}

/// MAC commands that go out together, coded.
pub(crate) struct Batch {
    pub(crate) requests: Vec<MacRequest>,
    pub(crate) bytes: Vec<u8>,
    /// Whether the network made it of itself, for the present session.
    pub(crate) is_own: bool,
}

/// What a frame carries of MAC commands: in FOpts, or on port 0 where they are too long.
pub(crate) enum Commands {
    FOpts(Vec<u8>),
    Port0(Vec<u8>),
}

/// How a device is activated.
pub(crate) enum Activation {
    Otaa { join_eui: [u8; 8], app_key: [u8; 16], used_nonces: HashSet<u16>, next_join_nonce: u32 },
    Abp,
}

/// A confirmed downlink that is not acknowledged yet.
pub(crate) struct InFlight {
    pub(crate) downlink: Downlink,
    pub(crate) fcnt: u32,
    pub(crate) phy: Vec<u8>,
    pub(crate) tries: u8,
    pub(crate) retry_at_us: u64,
}

/// The next receive window that the network may answer in.
pub(crate) struct PendingWindow {
    pub(crate) at_us: u64,
    pub(crate) window: Window,
    pub(crate) freq_hz: u32,
    pub(crate) dr: u8,
    /// RX2's instant, frequency and data rate, while `window` is RX1.
    pub(crate) rx2: Option<(u64, u32, u8)>,
    pub(crate) content: Answer,
}

/// What a window is for.
pub(crate) enum Answer {
    JoinAccept {
        phy: Vec<u8>,
        dev_addr: u32,
    },
    Data {
        ack: bool,
        must_answer: bool,
        mac: Vec<MacAnswer>,
        /// How a new uplink came in, and whether it had the ADR bit: what data rate, power and channels are chosen by.
        steer_by: Option<(UplinkMeta, bool)>,
    },
}

/// What the network owes a device for a command of its.
pub(crate) enum MacAnswer {
    LinkCheck,
    /// The end of the uplink, in microseconds.
    DeviceTime(u64),
}

pub(crate) struct Device {
    pub(crate) dev_eui: [u8; 8],
    pub(crate) activation: Activation,
    pub(crate) session: Option<Session>,
    /// The session of a join-accept that was not followed by an uplink yet.
    pub(crate) joining: Option<Session>,
    pub(crate) queue: VecDeque<Downlink>,
    pub(crate) in_flight: Option<InFlight>,
    /// Requests to send.
    pub(crate) requests: VecDeque<Batch>,
    /// Requests sent and not answered yet.
    pub(crate) outstanding: Vec<MacRequest>,
    pub(crate) answers: Vec<MacUp>,
    pub(crate) pending: Option<PendingWindow>,
    /// Class C frames wait until then.
    pub(crate) class_c_from_us: u64,
    /// Confirmed downlinks given up.
    pub(crate) unacknowledged: u32,
    /// Who heard the last uplink.
    pub(crate) receptions: Vec<Reception>,
    pub(crate) history: History,
    /// The highest data rate and power index that the device has shown itself able to take.
    pub(crate) highest: Choice,
    /// LinkADRAns with a refusal in this session.
    pub(crate) refusals: u8,
    /// How often the outstanding requests were repeated.
    pub(crate) asked_again: u8,
}

impl Device {
    pub(crate) fn new(dev_eui: [u8; 8], activation: Activation, session: Option<Session>) -> Self {
        Self {
            dev_eui,
            activation,
            session,
            joining: None,
            queue: VecDeque::new(),
            in_flight: None,
            requests: VecDeque::new(),
            outstanding: Vec::new(),
            answers: Vec::new(),
            pending: None,
            class_c_from_us: 0,
            unacknowledged: 0,
            receptions: Vec::new(),
            history: History::default(),
            highest: Choice { data_rate: 0, tx_power: 0 },
            refusals: 0,
            asked_again: 0,
        }
    }

    /// Begins a session whose join-accept was followed by an uplink.
    pub(crate) fn begin_session(&mut self, plan: &Plan) {
        self.session = self.joining.take();
        self.outstanding.clear();
        self.requests.retain(|batch| !batch.is_own);
        self.history.clear();
        self.refusals = 0;
        self.highest = highest(plan);
        // What the old session did not acknowledge goes out anew in the new one.
        if let Some(lost) = self.in_flight.take() {
            self.queue.push_front(lost.downlink);
        }
    }

    /// Tells whether a LinkADRReq is on its way to the device or waiting.
    pub(crate) fn link_adr_is_asked(&self) -> bool {
        let waiting = self.requests.iter().flat_map(|batch| &batch.requests);
        waiting.chain(&self.outstanding).any(|request| matches!(request, MacRequest::LinkAdr { .. }))
    }

    /// Takes note of what a device answers, and of the parameters that it thereby uses.
    pub(crate) fn note_mac_answers(&mut self, plan: &Plan, commands: &[MacUp]) {
        for command in commands {
            let is_asked = |request: &MacRequest| {
                matches!(
                    (command, request),
                    (MacUp::LinkAdrAns { .. }, MacRequest::LinkAdr { .. })
                        | (MacUp::DutyCycleAns, MacRequest::DutyCycle { .. })
                        | (MacUp::RxParamSetupAns { .. }, MacRequest::RxParamSetup { .. })
                        | (MacUp::DevStatusAns { .. }, MacRequest::DevStatus)
                        | (MacUp::NewChannelAns { .. }, MacRequest::NewChannel { .. })
                        | (MacUp::RxTimingSetupAns, MacRequest::RxTimingSetup { .. })
                        | (MacUp::TxParamSetupAns, MacRequest::TxParamSetup { .. })
                        | (MacUp::DlChannelAns { .. }, MacRequest::DlChannel { .. })
                )
            };
            if matches!(command, MacUp::LinkCheckReq | MacUp::DeviceTimeReq | MacUp::Other { .. }) {
                continue;
            }
            self.answers.push(command.clone());
            // A repeated (sticky) answer finds no request any more, and changes nothing.
            let Some(index) = self.outstanding.iter().position(is_asked) else { continue };
            let request = self.outstanding.remove(index);
            self.adopt(plan, &request, command);
        }
    }

    fn adopt(&mut self, plan: &Plan, request: &MacRequest, answer: &MacUp) {
        let Some(session) = &mut self.session else { return };
        match (request, answer) {
            (
                MacRequest::RxParamSetup { rx1_dr_offset, rx2_dr, freq_hz },
                MacUp::RxParamSetupAns {
                    channel_ack: true,
                    rx2_data_rate_ack: true,
                    rx1_dr_offset_ack: true,
                },
            ) => {
                session.rx1_dr_offset = *rx1_dr_offset;
                session.rx2_dr = *rx2_dr;
                session.rx2_freq_hz = *freq_hz;
            }
            (
                MacRequest::LinkAdr { data_rate, tx_power, nb_trans, .. },
                MacUp::LinkAdrAns { channel_mask_ack, data_rate_ack, power_ack },
            ) => {
                if *channel_mask_ack && *data_rate_ack && *power_ack {
                    let (has, defined) = (session.channels, session.defined_channels);
                    session.channels = plan.mask_after(has, defined, request).unwrap_or(has);
                    session.tx_power = *tx_power;
                    session.nb_trans = (*nb_trans).max(1);
                    return;
                }
                self.refusals = self.refusals.saturating_add(1);
                if !data_rate_ack {
                    self.highest.data_rate = self.highest.data_rate.min(data_rate.saturating_sub(1));
                }
                if !power_ack {
                    self.highest.tx_power = self.highest.tx_power.min(tx_power.saturating_sub(1));
                }
            }
            (
                MacRequest::NewChannel { index: index @ 0..=15, freq_hz, .. },
                MacUp::NewChannelAns { frequency_ok: true, data_rate_range_ok: true },
            ) => {
                let bit = 1u128 << index;
                let change = |channels| if *freq_hz == 0 { channels & !bit } else { channels | bit };
                session.channels = change(session.channels);
                session.defined_channels = change(session.defined_channels);
            }
            (
                MacRequest::DlChannel { index, freq_hz },
                MacUp::DlChannelAns { uplink_frequency_exists: true, frequency_ok: true },
            ) => {
                if let Some(channel) = plan.channels().get(usize::from(*index)) {
                    session.rx1_freq_hz.retain(|(uplink_hz, _)| *uplink_hz != channel.freq_hz);
                    session.rx1_freq_hz.push((channel.freq_hz, *freq_hz));
                }
            }
            (MacRequest::TxParamSetup { downlink_dwell, .. }, _) => session.downlink_dwell = *downlink_dwell,
            (MacRequest::RxTimingSetup { delay_s }, _) => session.rx1_delay_s = (*delay_s).max(1),
            _ => {}
        }
    }

    /// Takes the answers and as many of the waiting requests as fit FOpts, in their order; or the first batch
    /// alone with the answers, if it is longer than FOpts.
    pub(crate) fn take_commands(&mut self, answers: Vec<Vec<u8>>) -> Commands {
        let mut f_opts: Vec<u8> = Vec::new();
        for answer in answers {
            if f_opts.len() + answer.len() <= MAX_F_OPTS {
                f_opts.extend(answer);
            }
        }
        if let Some(batch) = self.requests.pop_front_if(|batch| batch.bytes.len() > MAX_F_OPTS) {
            f_opts.extend(&batch.bytes);
            self.outstanding.extend(batch.requests);
            return Commands::Port0(f_opts);
        }
        while let Some(batch) =
            self.requests.pop_front_if(|batch| f_opts.len() + batch.bytes.len() <= MAX_F_OPTS)
        {
            f_opts.extend(&batch.bytes);
            let asks = batch.requests.into_iter().filter(|request| !matches!(request, MacRequest::Raw(_)));
            self.outstanding.extend(asks);
        }
        Commands::FOpts(f_opts)
    }

    /// Tells whether the device may be listening with parameters that the network does not know for sure.
    pub(crate) fn rxc_is_uncertain(&self) -> bool {
        self.outstanding.iter().any(|request| matches!(request, MacRequest::RxParamSetup { .. }))
    }
}

/// Tells how far ADR may go in a plan: the highest 125 kHz data rate, the lowest power.
pub(crate) fn highest(plan: &Plan) -> Choice {
    let data_rate = plan.channels().first().map_or(0, |channel| channel.max_dr);
    Choice { data_rate, tx_power: plan.max_tx_power() }
}

impl Session {
    /// Rebuilds the 32-bit counter of an uplink from its low half (LoRaWAN 1.0.3 §4.3.1.5).
    pub(crate) fn full_fcnt(&self, low: u16) -> u32 {
        let Some(last) = self.fcnt_up else { return u32::from(low) };
        let candidate = last & 0xFFFF_0000 | u32::from(low);
        if candidate < last { candidate.wrapping_add(0x1_0000) } else { candidate }
    }
}
