//! MAC commands (LoRaWAN 1.0.3, chapter 5).

use heapless::Vec;

use crate::frame::MAX_FOPTS;

/// Answers that wait for an uplink. What would not fit is not executed either.
///
/// 48 bytes fit the smallest FPort 0 frame of the dynamic plans (51 bytes).
pub type Answers = Vec<u8, 48>;

/// Command identifiers, alike in both directions.
pub mod cid {
    pub const LINK_CHECK: u8 = 0x02;
    pub const LINK_ADR: u8 = 0x03;
    pub const DUTY_CYCLE: u8 = 0x04;
    pub const RX_PARAM_SETUP: u8 = 0x05;
    pub const DEV_STATUS: u8 = 0x06;
    pub const NEW_CHANNEL: u8 = 0x07;
    pub const RX_TIMING_SETUP: u8 = 0x08;
    pub const TX_PARAM_SETUP: u8 = 0x09;
    pub const DL_CHANNEL: u8 = 0x0a;
    pub const DEVICE_TIME: u8 = 0x0d;
    pub const PING_SLOT_INFO: u8 = 0x10;
    pub const PING_SLOT_CHANNEL: u8 = 0x11;
    pub const BEACON_TIMING: u8 = 0x12;
    pub const BEACON_FREQ: u8 = 0x13;
}

/// One LinkADRReq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAdr {
    pub data_rate: u8,
    pub power: u8,
    pub mask: u16,
    pub mask_control: u8,
    pub nb_trans: u8,
}

/// What the network asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    LinkCheckAns {
        margin_db: u8,
        gateways: u8,
    },
    LinkAdr(LinkAdr),
    DutyCycle {
        max_duty_cycle: u8,
    },
    RxParamSetup {
        rx1_offset: u8,
        rx2_data_rate: u8,
        frequency_hz: u32,
    },
    DevStatus,
    NewChannel {
        index: u8,
        frequency_hz: u32,
        min_data_rate: u8,
        max_data_rate: u8,
    },
    RxTimingSetup {
        delay: u8,
    },
    DlChannel {
        index: u8,
        frequency_hz: u32,
    },
    DeviceTimeAns {
        gps_s: u32,
        fraction_256: u8,
    },
    TxParamSetup {
        downlink_dwell: bool,
        uplink_dwell: bool,
        max_eirp_dbm: i8,
    },
    /// Known by its length, and of no concern to this device: Class B.
    Ignored,
}

/// Walks over the commands of one downlink; ends at the first unknown or truncated one (MAC-CMD-02).
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a>(&'a [u8]);

impl<'a> Requests<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// MaxEIRP by its code (LoRaWAN 1.0.3, section 5.8).
const MAX_EIRP_DBM: [i8; 16] = [8, 10, 12, 13, 14, 16, 18, 20, 21, 24, 26, 27, 29, 30, 33, 36];

/// A frequency on air: 24 bits in units of 100 Hz.
pub fn frequency_hz(bytes: [u8; 3]) -> u32 {
    let [a, b, c] = bytes;
    u32::from_le_bytes([a, b, c, 0]).saturating_mul(100)
}

impl Iterator for Requests<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let [id] = self.take()?;
        let request = match id {
            cid::LINK_CHECK => {
                self.take().map(|[margin_db, gateways]| Request::LinkCheckAns { margin_db, gateways })
            }
            cid::LINK_ADR => self.take().map(|[rate_power, m0, m1, redundancy]| {
                Request::LinkAdr(LinkAdr {
                    data_rate: rate_power >> 4,
                    power: rate_power & 0x0f,
                    mask: u16::from_le_bytes([m0, m1]),
                    mask_control: (redundancy >> 4) & 0x07,
                    nb_trans: redundancy & 0x0f,
                })
            }),
            cid::DUTY_CYCLE => self.take().map(|[v]| Request::DutyCycle { max_duty_cycle: v & 0x0f }),
            cid::RX_PARAM_SETUP => self.take().map(|[dl, f0, f1, f2]| Request::RxParamSetup {
                rx1_offset: (dl >> 4) & 0x07,
                rx2_data_rate: dl & 0x0f,
                frequency_hz: frequency_hz([f0, f1, f2]),
            }),
            cid::DEV_STATUS => Some(Request::DevStatus),
            cid::NEW_CHANNEL => self.take().map(|[index, f0, f1, f2, range]| Request::NewChannel {
                index,
                frequency_hz: frequency_hz([f0, f1, f2]),
                min_data_rate: range & 0x0f,
                max_data_rate: range >> 4,
            }),
            cid::RX_TIMING_SETUP => self.take().map(|[v]| Request::RxTimingSetup { delay: v & 0x0f }),
            cid::DL_CHANNEL => self.take().map(|[index, f0, f1, f2]| Request::DlChannel {
                index,
                frequency_hz: frequency_hz([f0, f1, f2]),
            }),
            cid::DEVICE_TIME => self.take().map(|[s0, s1, s2, s3, fraction_256]| Request::DeviceTimeAns {
                gps_s: u32::from_le_bytes([s0, s1, s2, s3]),
                fraction_256,
            }),
            cid::TX_PARAM_SETUP => self.take().map(|[v]| Request::TxParamSetup {
                downlink_dwell: v & 0x20 != 0,
                uplink_dwell: v & 0x10 != 0,
                max_eirp_dbm: MAX_EIRP_DBM.get(usize::from(v & 0x0f)).copied().unwrap_or(0),
            }),
            cid::PING_SLOT_INFO => Some(Request::Ignored),
            cid::PING_SLOT_CHANNEL => self.take::<4>().map(|_| Request::Ignored),
            cid::BEACON_TIMING | cid::BEACON_FREQ => self.take::<3>().map(|_| Request::Ignored),
            _ => None,
        };
        if request.is_none() {
            // Once ended, ended for good.
            self.0 = &[];
        }
        request
    }
}

/// Tells how many bytes an answer takes, CID included.
fn answer_len(id: u8) -> usize {
    match id {
        cid::LINK_ADR | cid::RX_PARAM_SETUP | cid::NEW_CHANNEL | cid::DL_CHANNEL => 2,
        cid::DEV_STATUS => 3,
        _ => 1,
    }
}

/// Tells whether an answer is repeated until the network was heard (MAC-CMD-05).
fn is_sticky(id: u8) -> bool {
    matches!(id, cid::RX_PARAM_SETUP | cid::RX_TIMING_SETUP | cid::TX_PARAM_SETUP | cid::DL_CHANNEL)
}

/// Splits the first answer off.
fn split_answer(answers: &[u8]) -> Option<(&[u8], &[u8])> {
    let id = *answers.first()?;
    answers.split_at_checked(answer_len(id))
}

/// Gives the longest row of whole answers that `limit` bytes hold.
pub fn whole_answers(answers: &[u8], limit: usize) -> &[u8] {
    let (mut len, mut rest) = (0usize, answers);
    while let Some((answer, after)) = split_answer(rest) {
        let longer = len.saturating_add(answer.len());
        if longer > limit {
            break;
        }
        (len, rest) = (longer, after);
    }
    answers.get(..len).unwrap_or_default()
}

/// Keeps only the sticky answers, and of those what FOpts holds: more would keep the application from sending
/// until the network is heard.
pub fn keep_sticky(answers: &mut Answers) {
    let mut kept = Answers::new();
    let mut rest: &[u8] = answers;
    while let Some((answer, after)) = split_answer(rest) {
        if answer.first().is_some_and(|&id| is_sticky(id)) {
            // A part of what fitted before.
            let _ = kept.extend_from_slice(answer);
        }
        rest = after;
    }
    *answers = Answers::from_slice(whole_answers(&kept, MAX_FOPTS)).unwrap_or_default();
}
