//! A device as the network knows it.

use std::collections::{HashSet, VecDeque};

use crate::config::{Downlink, Window};
use crate::frames::Keys;
use crate::heard::{MacRequest, MacUp};
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
    JoinAccept { phy: Vec<u8>, dev_addr: u32 },
    Data { ack: bool, must_answer: bool, mac: Vec<Vec<u8>> },
}

pub(crate) struct Device {
    pub(crate) dev_eui: [u8; 8],
    pub(crate) activation: Activation,
    pub(crate) session: Option<Session>,
    /// The session of a join-accept that was not followed by an uplink yet.
    pub(crate) joining: Option<Session>,
    pub(crate) queue: VecDeque<Downlink>,
    pub(crate) in_flight: Option<InFlight>,
    /// Requests to send, coded.
    pub(crate) requests: VecDeque<(MacRequest, Vec<u8>)>,
    /// Requests sent and not answered yet.
    pub(crate) outstanding: Vec<MacRequest>,
    pub(crate) answers: Vec<MacUp>,
    pub(crate) pending: Option<PendingWindow>,
    /// Class C frames wait until then.
    pub(crate) class_c_from_us: u64,
    /// Confirmed downlinks given up.
    pub(crate) unacknowledged: u32,
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
        }
    }

    /// Takes note of what a device answers, and of the parameters that it thereby uses.
    pub(crate) fn note_mac_answers(&mut self, commands: &[MacUp]) {
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
                )
            };
            if matches!(command, MacUp::LinkCheckReq | MacUp::DeviceTimeReq | MacUp::Other { .. }) {
                continue;
            }
            self.answers.push(command.clone());
            // A repeated (sticky) answer finds no request any more, and changes nothing.
            let Some(index) = self.outstanding.iter().position(is_asked) else { continue };
            let request = self.outstanding.remove(index);
            self.adopt(&request, command);
        }
    }

    fn adopt(&mut self, request: &MacRequest, answer: &MacUp) {
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
            (MacRequest::RxTimingSetup { delay_s }, _) => session.rx1_delay_s = (*delay_s).max(1),
            _ => {}
        }
    }

    /// Takes the answers and as many of the waiting requests as fit FOpts, in their order.
    pub(crate) fn take_f_opts(&mut self, answers: Vec<Vec<u8>>) -> Vec<u8> {
        let mut f_opts: Vec<u8> = Vec::new();
        for answer in answers {
            if f_opts.len() + answer.len() <= MAX_F_OPTS {
                f_opts.extend(answer);
            }
        }
        while let Some((request, bytes)) = self.requests.pop_front() {
            if f_opts.len() + bytes.len() > MAX_F_OPTS {
                self.requests.push_front((request, bytes));
                break;
            }
            f_opts.extend(bytes);
            if !matches!(request, MacRequest::Raw(_)) {
                self.outstanding.push(request);
            }
        }
        f_opts
    }

    /// Tells whether the device may be listening with parameters that the network does not know for sure.
    pub(crate) fn rxc_is_uncertain(&self) -> bool {
        self.outstanding.iter().any(|request| matches!(request, MacRequest::RxParamSetup { .. }))
    }
}

impl Session {
    /// Rebuilds the 32-bit counter of an uplink from its low half (LoRaWAN 1.0.3 §4.3.1.5).
    pub(crate) fn full_fcnt(&self, low: u16) -> u32 {
        let Some(last) = self.fcnt_up else { return u32::from(low) };
        let candidate = last & 0xFFFF_0000 | u32::from(low);
        if candidate < last { candidate.wrapping_add(0x1_0000) } else { candidate }
    }
}
