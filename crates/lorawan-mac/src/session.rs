//! A session, and the stored form of both records.
//!
//! Layout, little endian. Every record ends with a CRC-32 of what is before it; what does not fit in any
//! way is treated as absent.
//! - Session: version, credentials tag (4), settings tag (4), DevNonce of the join (2), DevAddr (4), NwkSKey,
//!   AppSKey, RX1 delay, RX1DROffset, RX2 frequency / 100 Hz (3), RX2 data rate, data rate, TXPower, NbTrans,
//!   MaxDCycle, dwell times (bit 1 uplink, bit 0 downlink), highest EIRP, channel mask (12), then for each channel
//!   of a dynamic plan its index, frequency / 100 Hz (3), data rates (max, min), RX1 frequency / 100 Hz (3).
//! - Counters: version, credentials tag (4), DevNonce of the session (2), next DevNonce (4), reserved FCntUp
//!   (4), FCntDown there (1), FCntDown (4), JoinNonce there (1), JoinNonce (4).

use heapless::Vec;

use crate::channels::Channels;
use crate::config::{Activation, Config, Key, MULTICAST_GROUPS, MulticastGroup, Rx2};
use crate::crypto::cmac;
use crate::event::RecordBytes;
use crate::mask::Mask;
use crate::region::{ChannelPlan, Plan};

const VERSION: u8 = 2;

/// What the network may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub rx1_delay_s: u8,
    pub rx1_offset: u8,
    pub rx2: Rx2,
    pub data_rate: u8,
    pub power_index: u8,
    pub nb_trans: u8,
    pub max_duty_cycle: u8,
    /// Uplinks take 400 ms at most.
    pub uplink_dwell: bool,
    /// Downlinks take 400 ms at most.
    pub downlink_dwell: bool,
    /// The network's limit of the radiated power.
    pub max_eirp_dbm: i8,
    pub channels: Channels,
}

impl Parameters {
    /// Gives the region's parameters, or those of the settings where there are any.
    pub fn defaults(plan: &Plan, config: &Config, data_rate: u8) -> Self {
        let rx2 = config.rx2.filter(|rx2| {
            plan.is_downlink_data_rate(rx2.data_rate) && plan.is_downlink_frequency(rx2.frequency_hz)
        });
        let uplink_dwell = plan.dwell_time;
        let data_rate = if config.adr { data_rate } else { config.data_rate };
        let data_rate = if plan.is_uplink_data_rate(data_rate, uplink_dwell) {
            data_rate
        } else {
            plan.slowest_data_rate(uplink_dwell)
        };
        let channels = Channels::defaults(plan, config);
        Self {
            rx1_delay_s: 1,
            rx1_offset: 0,
            rx2: rx2.unwrap_or(plan.rx2),
            data_rate: channels.nearest_data_rate(plan, data_rate, uplink_dwell),
            power_index: 0,
            nb_trans: 1,
            max_duty_cycle: 0,
            uplink_dwell,
            downlink_dwell: false,
            max_eirp_dbm: plan.max_eirp_dbm,
            channels,
        }
    }
}

/// What a device and a network share.
#[derive(Clone)]
pub struct Session {
    /// DevNonce of the join that made it; 0 for ABP.
    pub dev_nonce: u16,
    pub dev_addr: u32,
    pub nwk_skey: Key,
    pub app_skey: Key,
    /// The next one to use.
    pub fcnt_up: u32,
    /// The last one accepted.
    pub fcnt_down: Option<u32>,
    pub parameters: Parameters,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Session(…)")
    }
}

/// The counters' record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// DevNonce of the session that the frame counters belong to.
    pub session_dev_nonce: u16,
    /// The next DevNonce; 65536 when all are used.
    pub next_dev_nonce: u32,
    /// FCntUp values below this one may be used.
    pub fcnt_up_limit: u32,
    pub fcnt_down: Option<u32>,
    /// That of the last join-accept taken (MAC-JOIN-05).
    pub join_nonce: Option<u32>,
}

/// Names the credentials and the region: records made with others are void.
pub fn credentials_tag(config: &Config, plan: &Plan) -> [u8; 4] {
    match &config.activation {
        Activation::Otaa { dev_eui, join_eui, app_key } => {
            cmac(app_key, &[b"O", &[plan.id], dev_eui, join_eui])
        }
        Activation::Abp { dev_addr, nwk_skey, app_skey } => {
            cmac(nwk_skey, &[b"A", &[plan.id], &dev_addr.to_le_bytes(), &app_skey.0])
        }
    }
}

/// Names the settings that a session starts from: with others, its parameters are void.
pub fn settings_tag(config: &Config) -> [u8; 4] {
    let mut crc = Crc::new();
    if let Some(rx2) = config.rx2 {
        crc.update(&rx2.frequency_hz.to_le_bytes());
        crc.update(&[rx2.data_rate]);
    }
    for frequency_hz in config.channels_hz.iter().flatten() {
        crc.update(&frequency_hz.to_le_bytes());
    }
    if let Some(mask) = config.channel_mask {
        mask.iter().for_each(|word| crc.update(&word.to_le_bytes()));
    }
    // Channels that the network has given are gone with it.
    if config.fixed_channels {
        crc.update(&[1]);
    }
    crc.finish()
}

/// Writes the session's record.
pub fn encode_session(
    session: &Session,
    plan: &Plan,
    credentials: [u8; 4],
    settings: [u8; 4],
) -> RecordBytes {
    let mut out = Writer(RecordBytes::new());
    let p = &session.parameters;
    out.bytes(&[VERSION]);
    out.bytes(&credentials);
    out.bytes(&settings);
    out.bytes(&session.dev_nonce.to_le_bytes());
    out.bytes(&session.dev_addr.to_le_bytes());
    out.bytes(&session.nwk_skey.0);
    out.bytes(&session.app_skey.0);
    out.bytes(&[p.rx1_delay_s, p.rx1_offset]);
    out.frequency(p.rx2.frequency_hz);
    out.bytes(&[p.rx2.data_rate, p.data_rate, p.power_index, p.nb_trans, p.max_duty_cycle]);
    out.bytes(&[u8::from(p.uplink_dwell) << 1 | u8::from(p.downlink_dwell)]);
    out.bytes(&p.max_eirp_dbm.to_le_bytes());
    p.channels.mask().0.iter().for_each(|word| out.bytes(&word.to_le_bytes()));
    let defined = p.channels.iter(plan).filter(|_| matches!(plan.channels, ChannelPlan::Dynamic(_)));
    for (index, channel) in defined {
        out.bytes(&[index]);
        out.frequency(channel.frequency_hz);
        out.bytes(&[(channel.max_data_rate << 4) | (channel.min_data_rate & 0x0f)]);
        out.frequency(channel.downlink_hz);
    }
    out.sealed()
}

/// A stored session, with the tags it was made under.
#[derive(Clone, Debug)]
pub struct StoredSession {
    pub credentials: [u8; 4],
    pub settings: [u8; 4],
    /// Its frame counters are not known here.
    pub session: Session,
}

/// Reads the session's record.
pub fn decode_session(bytes: &[u8], plan: &Plan) -> Option<StoredSession> {
    let mut r = Reader(unsealed(bytes)?);
    let credentials = r.take()?;
    let settings = r.take()?;
    let dev_nonce = u16::from_le_bytes(r.take()?);
    let dev_addr = u32::from_le_bytes(r.take()?);
    let (nwk_skey, app_skey) = (Key(r.take()?), Key(r.take()?));
    let [rx1_delay_s, rx1_offset] = r.take()?;
    let rx2_hz = r.frequency()?;
    let [rx2_rate, data_rate, power_index, nb_trans, max_duty_cycle] = r.take()?;
    let [dwell, eirp] = r.take()?;
    let max_eirp_dbm = i8::from_le_bytes([eirp]);
    let mut mask = Mask::NONE;
    for word in &mut mask.0 {
        *word = u32::from_le_bytes(r.take()?);
    }
    let mut channels = Channels::none();
    while !r.0.is_empty() {
        let [index] = r.take()?;
        let frequency_hz = r.frequency()?;
        let [range] = r.take()?;
        let downlink_hz = r.frequency()?;
        let (min, max) = (range & 0x0f, range >> 4);
        let fits = plan.is_uplink_frequency(frequency_hz)
            && (downlink_hz == 0 || plan.is_downlink_frequency(downlink_hz))
            && min <= max
            && plan.is_uplink_data_rate(min, false)
            && plan.is_uplink_data_rate(max, false)
            && channels.get(plan, index).is_none();
        if !fits {
            return None;
        }
        channels.define(index, frequency_hz, min, max);
        channels.set_downlink(index, downlink_hz);
    }
    channels.set_mask(plan, mask);
    let fits = (1..=15).contains(&rx1_delay_s)
        && rx1_offset <= plan.rx1.max_offset
        && plan.is_downlink_frequency(rx2_hz)
        && plan.is_downlink_data_rate(rx2_rate)
        && plan.is_uplink_data_rate(data_rate, dwell & 2 != 0)
        && dwell <= if plan.dwell_time { 3 } else { 0 }
        && max_eirp_dbm <= plan.max_eirp_dbm
        && power_index <= plan.max_power_index
        && (1..=15).contains(&nb_trans)
        && max_duty_cycle <= 15;
    fits.then_some(StoredSession {
        credentials,
        settings,
        session: Session {
            dev_nonce,
            dev_addr,
            nwk_skey,
            app_skey,
            fcnt_up: 0,
            fcnt_down: None,
            parameters: Parameters {
                rx1_delay_s,
                rx1_offset,
                rx2: Rx2 { frequency_hz: rx2_hz, data_rate: rx2_rate },
                data_rate,
                power_index,
                nb_trans,
                max_duty_cycle,
                uplink_dwell: dwell & 2 != 0,
                downlink_dwell: dwell & 1 != 0,
                max_eirp_dbm,
                channels,
            },
        },
    })
}

/// Writes the counters' record.
pub fn encode_counters(counters: &Counters, credentials: [u8; 4]) -> RecordBytes {
    let mut out = Writer(RecordBytes::new());
    out.bytes(&[VERSION]);
    out.bytes(&credentials);
    out.bytes(&counters.session_dev_nonce.to_le_bytes());
    out.bytes(&counters.next_dev_nonce.to_le_bytes());
    out.bytes(&counters.fcnt_up_limit.to_le_bytes());
    out.optional(counters.fcnt_down);
    out.optional(counters.join_nonce);
    out.sealed()
}

/// Reads the counters' record, with the tag it was made under.
pub fn decode_counters(bytes: &[u8]) -> Option<([u8; 4], Counters)> {
    let mut r = Reader(unsealed(bytes)?);
    let credentials = r.take()?;
    let counters = Counters {
        session_dev_nonce: u16::from_le_bytes(r.take()?),
        next_dev_nonce: u32::from_le_bytes(r.take()?).min(0x1_0000),
        fcnt_up_limit: u32::from_le_bytes(r.take()?),
        fcnt_down: r.optional()?,
        join_nonce: r.optional()?,
    };
    r.0.is_empty().then_some((credentials, counters))
}

/// The last FCntDown of a multicast group, with the tag of its address and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounter {
    pub tag: [u8; 4],
    pub fcnt_down: Option<u32>,
}

/// The counters of all groups.
pub type GroupCounters = [GroupCounter; MULTICAST_GROUPS];

/// Names a group by its address and keys: with others, its counter starts anew.
pub fn group_tag(group: &MulticastGroup) -> [u8; 4] {
    cmac(&group.nwk_skey, &[b"M", &group.dev_addr.to_le_bytes(), &group.app_skey.0])
}

/// Writes the record of the multicast groups: for each its tag (4), FCntDown there (1), FCntDown (4).
pub fn encode_groups(groups: &GroupCounters) -> RecordBytes {
    let mut out = Writer(RecordBytes::new());
    out.bytes(&[VERSION]);
    for group in groups {
        out.bytes(&group.tag);
        out.optional(group.fcnt_down);
    }
    out.sealed()
}

/// Reads the record of the multicast groups.
pub fn decode_groups(bytes: &[u8]) -> Option<GroupCounters> {
    let mut r = Reader(unsealed(bytes)?);
    let mut groups = GroupCounters::default();
    for group in &mut groups {
        *group = GroupCounter { tag: r.take()?, fcnt_down: r.optional()? };
    }
    r.0.is_empty().then_some(groups)
}

/// Checks CRC and version; gives what is between them.
fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (body, check) = bytes.split_last_chunk::<4>()?;
    let mut crc = Crc::new();
    crc.update(body);
    let (&version, rest) = body.split_first()?;
    (crc.finish() == *check && version == VERSION).then_some(rest)
}

struct Writer(RecordBytes);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        // A record that did not fit would fail its CRC; `the_longest_session_fits` shows that none does.
        let _ = self.0.extend_from_slice(bytes);
    }

    fn frequency(&mut self, hz: u32) {
        let [a, b, c, _] = (hz / 100).to_le_bytes();
        self.bytes(&[a, b, c]);
    }

    fn optional(&mut self, value: Option<u32>) {
        self.bytes(&[u8::from(value.is_some())]);
        self.bytes(&value.unwrap_or(0).to_le_bytes());
    }

    fn sealed(mut self) -> Vec<u8, { crate::event::MAX_RECORD }> {
        let mut crc = Crc::new();
        crc.update(&self.0);
        self.bytes(&crc.finish());
        self.0
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn optional(&mut self) -> Option<Option<u32>> {
        let [there] = self.take()?;
        let value = u32::from_le_bytes(self.take()?);
        Some((there != 0).then_some(value))
    }

    fn frequency(&mut self) -> Option<u32> {
        self.take().map(crate::command::frequency_hz)
    }
}

/// CRC-32 (IEEE 802.3), bit by bit: records are short.
struct Crc(u32);

impl Crc {
    fn new() -> Self {
        Self(u32::MAX)
    }

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 ^= u32::from(byte);
            for _ in 0..8 {
                self.0 = if self.0 & 1 == 1 { (self.0 >> 1) ^ 0xedb8_8320 } else { self.0 >> 1 };
            }
        }
    }

    fn finish(&self) -> [u8; 4] {
        (!self.0).to_le_bytes()
    }
}
