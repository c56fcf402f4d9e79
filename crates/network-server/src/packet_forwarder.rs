//! A gateway's side of the UDP protocol that network servers speak with it (PUSH_DATA, PULL_DATA, PULL_RESP,
//! TX_ACK), sans-IO: datagrams and time in, datagrams and frames for the air out.
//!
//! Source: the protocol description, version 2, in Semtech's packet forwarder (PROTOCOL.TXT), whose section
//! numbers stand below; limits and habits are those of that program (its JIT queue). The published crate
//! `semtech-udp` is the other end in the tests; it is not used here because as a gateway it refuses downlinks
//! without `imme` and with a negative `powe`, and panics on a data rate which is not ASCII.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::UplinkMeta;
use crate::forwarder_json::{self, Fault, When};

/// The protocol's version (§3.2).
const VERSION: u8 = 2;
/// Packet identifiers (§3.2, §3.3, §5.2 to §5.5).
const PUSH_DATA: u8 = 0;
const PUSH_ACK: u8 = 1;
const PULL_DATA: u8 = 2;
const PULL_RESP: u8 = 3;
const PULL_ACK: u8 = 4;
const TX_ACK: u8 = 5;

/// How much before its start a frame must be there: 1.5 ms to start, 1 ms of margin and 30 ms for the host, as in
/// Semtech's JIT queue.
pub const MIN_LEAD_US: u64 = 32_500;
/// How much in advance a frame may come at most: four beacon periods of 128 s, as in Semtech's JIT queue.
pub const MAX_LEAD_US: u64 = 512_000_000;
/// The pause between two frames, as in Semtech's JIT queue.
const GAP_US: u64 = 2_500;
/// The most frames that wait, as in Semtech's JIT queue.
const MAX_WAITING: usize = 32;
/// Of an FSK frame: sync word of three bytes, and the length (LoRaWAN Regional Parameters 1.0.3rA §2.2.3).
const FSK_SYNC_AND_LENGTH_BYTES: u64 = 4;
/// PUSH_DATA that still may be acknowledged.
const MAX_UNACKNOWLEDGED: usize = 64;
/// Power where the server names none, in dBm EIRP.
const DEFAULT_POWER_DBM: i8 = 14;

/// What a gateway is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwarderConfig {
    /// The gateway's EUI, most significant byte first.
    pub gateway_eui: [u8; 8],
    /// The time between PULL_DATA, in seconds, 1 or more; it keeps the way back open through firewalls.
    pub keepalive_s: u32,
    /// The time between status reports, in seconds, 1 or more.
    pub stat_interval_s: u32,
    /// Seconds since 1 January 1970, UTC, at instant 0.
    pub unix_time_at_start_s: u64,
    /// What the gateway's own counter (`tmst`) shows at instant 0; it wraps after 71 minutes.
    pub tmst_at_start: u32,
    /// The frequencies that the gateway can send on, in Hz, both included.
    pub tx_band_hz: (u32, u32),
    /// The highest power of the gateway in dBm; what asks for more is sent with this, with a warning.
    pub max_power_dbm: i8,
}

impl ForwarderConfig {
    /// Makes the settings of a gateway that sends on any frequency, with up to 27 dBm.
    #[must_use]
    pub fn new(gateway_eui: [u8; 8]) -> Self {
        Self {
            gateway_eui,
            // Semtech's sample settings say 10 s and 30 s.
            keepalive_s: 10,
            stat_interval_s: 30,
            unix_time_at_start_s: 0,
            tmst_at_start: 0,
            tx_band_hz: (0, u32::MAX),
            max_power_dbm: 27,
        }
    }
}

/// How a frame is to be modulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmissionModulation {
    /// LoRa, as nearly all of LoRaWAN.
    LoRa {
        /// Spreading factor, 5..12.
        sf: u8,
        /// Bandwidth in Hz.
        bw_hz: u32,
        /// Whether IQ is inverted, as for all downlinks of LoRaWAN.
        iq_inverted: bool,
    },
    /// FSK, as DR7 of EU868.
    Fsk {
        /// Bits a second, 500..250000.
        bit_rate: u32,
        /// Preamble in bytes, 3 or more.
        preamble: u16,
    },
}

/// A frame that the server wants on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    /// The instant at which the preamble begins, in microseconds.
    pub at_us: u64,
    /// Frequency in Hz.
    pub freq_hz: u32,
    /// LoRa or FSK.
    pub modulation: EmissionModulation,
    /// Power in dBm.
    pub power_dbm: i8,
    /// Whether the frame has a payload CRC.
    pub has_crc: bool,
    /// The PHYPayload, 1..255 bytes.
    pub phy: Vec<u8>,
}

impl Emission {
    /// Tells when the frame is off the air, in microseconds.
    #[must_use]
    pub fn end_us(&self) -> u64 {
        // A payload CRC lasts as long as two bytes more.
        let bytes = self.phy.len() + 2 * usize::from(self.has_crc);
        let air_us = match self.modulation {
            EmissionModulation::LoRa { sf, bw_hz, .. } => crate::airtime_us(sf, bw_hz, bytes),
            EmissionModulation::Fsk { bit_rate, preamble } => {
                let bits = 8 * (u64::from(preamble) + FSK_SYNC_AND_LENGTH_BYTES + bytes as u64);
                (bits * 1_000_000).div_ceil(u64::from(bit_rate.max(1)))
            }
        };
        self.at_us.saturating_add(air_us)
    }
}

/// What the gateway wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwarderOutput {
    /// Send this datagram to the server.
    Datagram(Vec<u8>),
    /// Put this on the air, now.
    Emission(Emission),
}

/// What a gateway counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwarderCounts {
    /// Frames heard and passed on (`rxnb`, `rxok` and `rxfw` of a status report).
    pub heard: u64,
    /// PUSH_DATA sent.
    pub pushed: u64,
    /// PUSH_ACK for one of them.
    pub push_acknowledged: u64,
    /// PULL_DATA sent.
    pub pulled: u64,
    /// PULL_ACK for the last of them.
    pub pull_acknowledged: u64,
    /// PULL_RESP received.
    pub asked: u64,
    /// PULL_RESP that were not taken.
    pub refused: u64,
    /// Frames put on the air.
    pub sent: u64,
    /// Datagrams that are none of the protocol's, or answer nothing.
    pub not_understood: u64,
}

/// A gateway as its server sees it.
#[derive(Debug)]
pub struct PacketForwarder {
    config: ForwarderConfig,
    /// Datagrams to go, first in first out.
    datagrams: VecDeque<Vec<u8>>,
    /// Frames for the air, the next first.
    waiting: Vec<Emission>,
    /// Until when the last frame is on the air.
    busy_until_us: u64,
    next_pull_us: u64,
    next_stat_us: u64,
    next_token: u16,
    pull_token: Option<u16>,
    /// PULL_DATA sent since the last that was acknowledged.
    unanswered_pulls: u32,
    unacknowledged: VecDeque<u16>,
    counts: ForwarderCounts,
    /// The counts at the last status report.
    reported: ForwarderCounts,
}

impl PacketForwarder {
    /// Starts a gateway at `now_us`: it asks for downlinks at once, and reports after the first interval.
    #[must_use]
    pub fn new(config: ForwarderConfig, now_us: u64) -> Self {
        let next_stat_us = now_us.saturating_add(seconds(config.stat_interval_s));
        Self {
            config,
            datagrams: VecDeque::new(),
            waiting: Vec::new(),
            busy_until_us: 0,
            next_pull_us: now_us,
            next_stat_us,
            next_token: 0,
            pull_token: None,
            unanswered_pulls: 0,
            unacknowledged: VecDeque::new(),
            counts: ForwarderCounts::default(),
            reported: ForwarderCounts::default(),
        }
    }

    /// Tells what was counted.
    #[must_use]
    pub fn counts(&self) -> ForwarderCounts {
        self.counts
    }

    /// Tells whether the server acknowledged one of the last three PULL_DATA.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.counts.pull_acknowledged > 0 && self.unanswered_pulls < 3
    }

    /// Tells what the gateway's own counter shows at an instant.
    #[must_use]
    pub fn tmst(&self, at_us: u64) -> u32 {
        // The counter has 32 bits of microseconds and wraps (§4, `tmst`).
        self.config.tmst_at_start.wrapping_add(at_us as u32)
    }

    /// Passes on a frame with a right CRC whose last symbol ended at `end_us`.
    pub fn uplink(&mut self, end_us: u64, phy: &[u8], meta: UplinkMeta) {
        self.counts.heard += 1;
        let time = Duration::from_secs(self.config.unix_time_at_start_s) + Duration::from_micros(end_us);
        let json = forwarder_json::rxpk(self.tmst(end_us), time, phy, meta);
        self.push(&json);
    }

    fn push(&mut self, json: &str) {
        let token = self.token();
        self.unacknowledged.push_back(token);
        while self.unacknowledged.len() > MAX_UNACKNOWLEDGED {
            self.unacknowledged.pop_front();
        }
        self.counts.pushed += 1;
        self.send(PUSH_DATA, token, json);
    }

    fn token(&mut self) -> u16 {
        // A step that visits all 65 536, so that no token comes again soon.
        self.next_token = self.next_token.wrapping_add(0x9E37);
        self.next_token
    }

    /// Queues a datagram of the gateway: header, EUI, JSON (§3.2, §5.2, §5.5).
    fn send(&mut self, identifier: u8, token: u16, json: &str) {
        let [high, low] = token.to_be_bytes();
        let header = [VERSION, high, low, identifier];
        self.datagrams.push_back([&header[..], &self.config.gateway_eui, json.as_bytes()].concat());
    }

    /// Takes a datagram of the server. What is not understood is counted, and has no effect.
    pub fn datagram(&mut self, now_us: u64, bytes: &[u8]) {
        let Some(([VERSION, high, low, identifier], rest)) = bytes.split_first_chunk() else {
            self.counts.not_understood += 1;
            return;
        };
        let token = u16::from_be_bytes([*high, *low]);
        match *identifier {
            PUSH_ACK => match self.unacknowledged.iter().position(|sent| *sent == token) {
                Some(index) => {
                    self.unacknowledged.remove(index);
                    self.counts.push_acknowledged += 1;
                }
                None => self.counts.not_understood += 1,
            },
            PULL_ACK if self.pull_token == Some(token) => {
                self.pull_token = None;
                self.unanswered_pulls = 0;
                self.counts.pull_acknowledged += 1;
            }
            PULL_RESP => self.pull_resp(now_us, token, rest),
            _ => self.counts.not_understood += 1,
        }
    }

    fn pull_resp(&mut self, now_us: u64, token: u16, json: &[u8]) {
        let Some(asked) = forwarder_json::txpk(json) else {
            self.counts.not_understood += 1;
            return;
        };
        self.counts.asked += 1;
        let max_power_dbm = self.config.max_power_dbm;
        let power_dbm = asked.power_dbm.unwrap_or(DEFAULT_POWER_DBM);
        let emission = Emission {
            at_us: 0,
            freq_hz: asked.freq_hz,
            modulation: asked.modulation,
            power_dbm: power_dbm.min(max_power_dbm),
            has_crc: asked.has_crc,
            phy: asked.phy,
        };
        let json = match self.plan(now_us, asked.when, emission) {
            Ok(()) if power_dbm > max_power_dbm => forwarder_json::power_warning(max_power_dbm),
            Ok(()) => forwarder_json::txpk_ack(None),
            Err(fault) => {
                self.counts.refused += 1;
                forwarder_json::txpk_ack(Some(fault))
            }
        };
        self.send(TX_ACK, token, &json);
    }

    /// Gives a frame its place, or tells why it has none (§6, `error` of `txpk_ack`).
    fn plan(&mut self, now_us: u64, when: When, mut emission: Emission) -> Result<(), Fault> {
        let (low, high) = self.config.tx_band_hz;
        if !(low..=high).contains(&emission.freq_hz) {
            return Err(Fault::TxFreq);
        }
        let lead_us = match when {
            When::GpsTime => return Err(Fault::GpsUnlocked),
            When::Immediately => None,
            // The counter wraps: half its range ahead is the future, half is the past.
            When::Tmst(tmst) => Some(tmst.wrapping_sub(self.tmst(now_us)) as i32),
        };
        match lead_us.map(u64::try_from) {
            None => {
                emission.at_us = now_us + MIN_LEAD_US;
                self.after_the_others(&mut emission);
            }
            Some(Ok(lead_us)) if lead_us > MAX_LEAD_US => return Err(Fault::TooEarly),
            Some(Ok(lead_us)) if lead_us >= MIN_LEAD_US => emission.at_us = now_us + lead_us,
            Some(_) => return Err(Fault::TooLate),
        }
        if self.waiting.len() >= MAX_WAITING || self.collides(&emission) {
            return Err(Fault::CollisionPacket);
        }
        let after = self.waiting.partition_point(|other| other.at_us < emission.at_us);
        self.waiting.insert(after, emission);
        Ok(())
    }

    fn collides(&self, emission: &Emission) -> bool {
        let overlaps = |other: &Emission| {
            emission.at_us < other.end_us() + GAP_US && other.at_us < emission.end_us() + GAP_US
        };
        emission.at_us < self.busy_until_us + GAP_US || self.waiting.iter().any(overlaps)
    }

    /// Moves a frame without a time behind those that are in its way.
    fn after_the_others(&self, emission: &mut Emission) {
        emission.at_us = emission.at_us.max(self.busy_until_us + GAP_US);
        for other in &self.waiting {
            if emission.end_us() + GAP_US <= other.at_us {
                break;
            }
            emission.at_us = emission.at_us.max(other.end_us() + GAP_US);
        }
    }

    /// Tells when the gateway has something to do next.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        if !self.datagrams.is_empty() {
            return 0;
        }
        let emission_us = self.waiting.first().map_or(u64::MAX, |emission| emission.at_us);
        emission_us.min(self.next_pull_us).min(self.next_stat_us)
    }

    /// Takes the next thing to do at `now_us`; to be called until it gives nothing.
    pub fn poll(&mut self, now_us: u64) -> Option<ForwarderOutput> {
        if self.waiting.first().is_some_and(|emission| emission.at_us <= now_us) {
            let emission = self.waiting.remove(0);
            self.busy_until_us = emission.end_us();
            self.counts.sent += 1;
            return Some(ForwarderOutput::Emission(emission));
        }
        if self.next_pull_us <= now_us {
            self.next_pull_us = now_us.saturating_add(seconds(self.config.keepalive_s));
            let token = self.token();
            self.pull_token = Some(token);
            self.unanswered_pulls = self.unanswered_pulls.saturating_add(1);
            self.counts.pulled += 1;
            self.send(PULL_DATA, token, "");
        }
        if self.next_stat_us <= now_us {
            self.next_stat_us = now_us.saturating_add(seconds(self.config.stat_interval_s));
            let time = Duration::from_secs(self.config.unix_time_at_start_s) + Duration::from_micros(now_us);
            let json = forwarder_json::stat(time, self.counts, self.reported);
            self.reported = self.counts;
            self.push(&json);
        }
        self.datagrams.pop_front().map(ForwarderOutput::Datagram)
    }
}

fn seconds(count: u32) -> u64 {
    u64::from(count.max(1)) * 1_000_000
}
