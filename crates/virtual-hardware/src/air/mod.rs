//! The radio medium: who sends what, and who hears it.
//!
//! [`Air`] is a plain value that takes the time as an argument. [`Medium`] shares one among the chips and
//! gateways of a simulation. Left out: fading, antenna patterns, frequency offset, partial overlap of
//! neighbouring channels, and interference between spreading factors.

mod airtime;
mod medium;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

pub use airtime::{Modulation, PUBLIC_SYNC_WORD};
pub use medium::{Gateway, Medium};

/// Names a station of an [`Air`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StationId(pub(crate) usize);

/// Names a transmission of an [`Air`]; later ones have greater numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransmissionId(pub(crate) u64);

/// A frame on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// Its name.
    pub id: TransmissionId,
    /// Who sends.
    pub from: StationId,
    /// The settings it is sent with.
    pub modulation: Modulation,
    /// Output power in dBm.
    pub power_dbm: i32,
    /// The instant of the first preamble symbol, in microseconds.
    pub start_us: u64,
    /// The instant of the last payload symbol's end, in microseconds.
    pub end_us: u64,
    /// What is sent.
    pub payload: Rc<[u8]>,
    /// When the sender stopped before the end, in microseconds.
    pub cut_us: Option<u64>,
    /// Transmissions that overlap with this one on its channel.
    rivals: Vec<TransmissionId>,
}

impl Transmission {
    /// The instant when preamble and sync word are over, in microseconds.
    #[must_use]
    pub fn preamble_end_us(&self) -> u64 {
        self.start_us + self.modulation.preamble_us()
    }

    /// The instant when the header is over, in microseconds.
    #[must_use]
    pub fn header_end_us(&self) -> u64 {
        self.start_us + self.modulation.header_us()
    }
}

/// How strongly a frame arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Received power in dBm.
    pub rssi_dbm: i32,
    /// Signal to noise in dB, as a LoRa receiver reports it.
    pub snr_db: i32,
}

/// A frame as a gateway heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The frame.
    pub transmission: Transmission,
    /// How strongly it came.
    pub link: Link,
}

/// A channel: frames on different ones do not disturb each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    /// In steps of 100 Hz, LoRaWAN's grid, so that the PLL's rounding does not matter.
    freq_100hz: u32,
    bw_hz: u32,
    sf: u8,
    iq_inverted: bool,
}

impl Channel {
    pub(crate) fn of(modulation: &Modulation) -> Self {
        let Modulation { freq_hz, bw_hz, sf, iq_inverted, .. } = *modulation;
        Self { freq_100hz: (freq_hz + 50) / 100, bw_hz, sf, iq_inverted }
    }
}

/// Path loss between stations that were given none, in dB: a socket a few hundred metres from its gateway.
const DEFAULT_PATH_LOSS_DB: i32 = 110;
/// A frame this much stronger than another survives the overlap, in dB (as LoRa demodulators capture).
const CAPTURE_DB: i32 = 6;
/// Receiver noise figure, in dB (typical of the SX126x).
const NOISE_FIGURE_DB: i32 = 6;
/// A LoRa receiver reports no more than about this, in dB, however near the sender.
const MAX_SNR_DB: i32 = 12;
/// For how long an ended transmission is remembered, in microseconds.
const MEMORY_US: u64 = 1_000_000;

#[derive(Clone, Debug, Default)]
struct Station {
    /// Half-open intervals in which this station hears nothing that starts in them.
    deaf: Vec<(u64, u64)>,
    /// Of a thousand frames, how many this station misses.
    erasure_permille: u16,
    listening: Option<Channel>,
    /// What a gateway has heard and not yet taken; `None` for other stations.
    inbox: Option<VecDeque<Heard>>,
}

/// The radio medium. Stations are added and never leave; the order of the calls is the order of time.
#[derive(Clone, Debug)]
pub struct Air {
    seed: u64,
    stations: Vec<Station>,
    gateways: Vec<StationId>,
    path_loss_db: HashMap<(StationId, StationId), i32>,
    path_loss_spread_db: u16,
    transmissions: VecDeque<Transmission>,
    first_id: u64,
    on_channel: HashMap<Channel, Vec<TransmissionId>>,
    listeners: HashMap<Channel, HashSet<StationId>>,
    /// Frames that gateways have yet to hear the end of.
    for_gateways: Vec<(u64, TransmissionId)>,
    woken: Vec<StationId>,
    /// What was sent and not taken yet, where somebody wants to know.
    sent: Option<Vec<Transmission>>,
}

impl Air {
    /// Makes an empty medium. `seed` decides which frames are erased.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            stations: Vec::new(),
            gateways: Vec::new(),
            path_loss_db: HashMap::new(),
            path_loss_spread_db: 0,
            transmissions: VecDeque::new(),
            first_id: 0,
            on_channel: HashMap::new(),
            listeners: HashMap::new(),
            for_gateways: Vec::new(),
            woken: Vec::new(),
            sent: None,
        }
    }

    /// Adds a station that listens to one channel at a time.
    pub fn add_station(&mut self) -> StationId {
        self.stations.push(Station::default());
        StationId(self.stations.len() - 1)
    }

    /// Adds a station that hears every frame with IQ as it is (uplinks) on all channels and spreading
    /// factors at once, except while it sends.
    pub fn add_gateway(&mut self) -> StationId {
        let id = self.add_station();
        self.stations[id.0].inbox = Some(VecDeque::new());
        self.gateways.push(id);
        id
    }

    /// Sets the path loss between two stations, both ways, in dB.
    pub fn set_path_loss_db(&mut self, one: StationId, other: StationId, loss_db: i32) {
        self.path_loss_db.insert((one.min(other), one.max(other)), loss_db);
    }

    /// Spreads the path losses that are not set: each pair of stations gets its own, by chance up to so many dB more
    /// or less than the default.
    pub fn set_path_loss_spread_db(&mut self, spread_db: u16) {
        self.path_loss_spread_db = spread_db;
    }

    /// Makes a station miss `permille` of a thousand frames.
    pub fn set_erasure_permille(&mut self, station: StationId, permille: u16) {
        self.stations[station.0].erasure_permille = permille;
    }

    /// Makes every station that there is now miss `permille` of a thousand frames.
    pub fn set_all_erasures_permille(&mut self, permille: u16) {
        self.stations.iter_mut().for_each(|station| station.erasure_permille = permille);
    }

    /// Makes a station hear nothing that starts from `from_us` to before `to_us`.
    pub fn set_deaf(&mut self, station: StationId, from_us: u64, to_us: u64) {
        self.stations[station.0].deaf.push((from_us, to_us));
    }

    /// Sends a frame that begins at `start_us`, which may not lie before any instant given so far.
    pub fn transmit(
        &mut self,
        start_us: u64,
        from: StationId,
        modulation: Modulation,
        power_dbm: i32,
        payload: &[u8],
    ) -> Transmission {
        self.forget(start_us);
        let id = TransmissionId(self.first_id + self.transmissions.len() as u64);
        let channel = Channel::of(&modulation);
        let end_us = start_us + modulation.airtime_us(payload.len());
        let mut rivals = Vec::new();
        for rival in self.on_channel.entry(channel).or_default().iter().copied() {
            let index = (rival.0 - self.first_id) as usize;
            let other = &mut self.transmissions[index];
            if other.cut_us.unwrap_or(other.end_us) > start_us {
                other.rivals.push(id);
                rivals.push(rival);
            }
        }
        self.on_channel.entry(channel).or_default().push(id);
        let payload = Rc::from(payload);
        let transmission =
            Transmission { id, from, modulation, power_dbm, start_us, end_us, payload, cut_us: None, rivals };
        self.transmissions.push_back(transmission.clone());
        if let Some(sent) = &mut self.sent {
            sent.push(transmission.clone());
        }
        if let Some(listeners) = self.listeners.get(&channel) {
            self.woken.extend(listeners.iter().copied().filter(|station| *station != from));
            // A hash set has no order of its own, and a run must be a function of its inputs.
            self.woken.sort_unstable();
        }
        if !self.gateways.is_empty() {
            self.for_gateways.push((end_us, id));
        }
        transmission
    }

    /// Keeps everything that is sent from now on for [`take_sent`](Self::take_sent).
    pub fn keep_sent(&mut self) {
        self.sent.get_or_insert_default();
    }

    /// Takes what was sent since the last call, in the order of the starts; nothing without
    /// [`keep_sent`](Self::keep_sent).
    pub fn take_sent(&mut self) -> Vec<Transmission> {
        self.sent.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Tells whether a station is a gateway.
    #[must_use]
    pub fn is_gateway(&self, station: StationId) -> bool {
        self.gateways.contains(&station)
    }

    /// Stops a frame before its end: nobody hears it whole.
    pub fn cut(&mut self, now_us: u64, id: TransmissionId) {
        if let Some(transmission) = self.find_mut(id)
            && now_us < transmission.end_us
        {
            transmission.cut_us = Some(now_us);
        }
    }

    /// Finds a transmission that is on the air or has not long ended.
    #[must_use]
    pub fn transmission(&self, id: TransmissionId) -> Option<&Transmission> {
        self.transmissions.get(usize::try_from(id.0.checked_sub(self.first_id)?).ok()?)
    }

    /// Tells how strongly a station hears a frame; `None` when it does not.
    #[must_use]
    pub fn link(&self, transmission: &Transmission, to: StationId) -> Option<Link> {
        let station = &self.stations[to.0];
        let Transmission { id, from, start_us, .. } = *transmission;
        let deaf = station.deaf.iter().any(|(since_us, to_us)| (*since_us..*to_us).contains(&start_us));
        if from == to || deaf || self.is_erased(id, to, station.erasure_permille) {
            return None;
        }
        let rssi_dbm = self.rssi_dbm(transmission, to);
        let snr_db = rssi_dbm - noise_dbm(transmission.modulation.bw_hz);
        (snr_db >= demodulation_limit_db(transmission.modulation.sf))
            .then_some(Link { rssi_dbm, snr_db: snr_db.min(MAX_SNR_DB) })
    }

    /// Tells whether a frame is whole at a station up to `now_us`: not cut, and stronger by 6 dB than each
    /// frame that has overlapped with it by then.
    #[must_use]
    pub fn is_whole(&self, now_us: u64, transmission: &Transmission, to: StationId) -> bool {
        let own_dbm = self.rssi_dbm(transmission, to);
        transmission.cut_us.is_none_or(|cut_us| cut_us > now_us)
            && transmission
                .rivals
                .iter()
                .filter_map(|rival| self.transmission(*rival))
                .all(|rival| rival.start_us >= now_us || own_dbm >= self.rssi_dbm(rival, to) + CAPTURE_DB)
    }

    /// Tells the power that arrives on a frequency, in dBm: the strongest frame, or the noise.
    #[must_use]
    pub fn power_dbm(&self, now_us: u64, station: StationId, freq_hz: u32, bw_hz: u32) -> i32 {
        let on_air = self.transmissions.iter().filter(|transmission| {
            transmission.start_us <= now_us
                && now_us < transmission.cut_us.unwrap_or(transmission.end_us)
                && transmission.from != station
                && transmission.modulation.freq_hz.abs_diff(freq_hz) < bw_hz / 2
        });
        on_air.map(|transmission| self.rssi_dbm(transmission, station)).fold(noise_dbm(bw_hz), i32::max)
    }

    /// Notes which channel a station listens to: it is woken by frames there. `None` for none.
    pub(crate) fn listen(&mut self, station: StationId, channel: Option<Channel>) {
        let before = std::mem::replace(&mut self.stations[station.0].listening, channel);
        if before == channel {
            return;
        }
        if let Some(listeners) = before.and_then(|before| self.listeners.get_mut(&before)) {
            listeners.remove(&station);
        }
        if let Some(channel) = channel {
            self.listeners.entry(channel).or_default().insert(station);
        }
    }

    /// Gives the frames of a channel that are on the air, or will be.
    pub(crate) fn on_channel(&self, now_us: u64, channel: Channel) -> impl Iterator<Item = &Transmission> {
        let ids = self.on_channel.get(&channel).map_or(&[][..], Vec::as_slice);
        ids.iter()
            .filter_map(|id| self.transmission(*id))
            .filter(move |transmission| now_us < transmission.cut_us.unwrap_or(transmission.end_us))
    }

    /// Takes the stations on whose channel a frame has begun since the last call.
    pub(crate) fn take_woken(&mut self) -> Vec<StationId> {
        std::mem::take(&mut self.woken)
    }

    /// Tells when a frame ends that gateways wait for, in microseconds.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        self.for_gateways.iter().map(|(end_us, _)| *end_us).min()
    }

    /// Gives the gateways the frames that have ended by `now_us`, in the order of their ends.
    pub fn advance(&mut self, now_us: u64) {
        let mut ended: Vec<_> = self.for_gateways.extract_if(.., |(end_us, _)| *end_us <= now_us).collect();
        ended.sort_unstable();
        for (end_us, id) in ended {
            let Some(transmission) = self.transmission(id).cloned() else { continue };
            if transmission.modulation.iq_inverted {
                continue;
            }
            for gateway in self.gateways.clone() {
                let Some(link) = self.link(&transmission, gateway) else { continue };
                if self.is_whole(end_us, &transmission, gateway) && !self.was_sending(gateway, &transmission)
                {
                    let heard = Heard { transmission: transmission.clone(), link };
                    self.stations[gateway.0].inbox.get_or_insert_default().push_back(heard);
                }
            }
        }
    }

    /// Takes the earliest frame that a gateway has heard.
    pub fn take_heard(&mut self, gateway: StationId) -> Option<Heard> {
        self.stations[gateway.0].inbox.as_mut()?.pop_front()
    }

    fn was_sending(&self, station: StationId, during: &Transmission) -> bool {
        self.transmissions.iter().any(|own| {
            own.from == station
                && own.start_us < during.end_us
                && during.start_us < own.cut_us.unwrap_or(own.end_us)
        })
    }

    fn find_mut(&mut self, id: TransmissionId) -> Option<&mut Transmission> {
        self.transmissions.get_mut(usize::try_from(id.0.checked_sub(self.first_id)?).ok()?)
    }

    fn rssi_dbm(&self, transmission: &Transmission, to: StationId) -> i32 {
        let pair = (transmission.from.min(to), transmission.from.max(to));
        let loss_db = self.path_loss_db.get(&pair).copied();
        transmission.power_dbm - loss_db.unwrap_or_else(|| self.unset_path_loss_db(pair))
    }

    fn unset_path_loss_db(&self, (one, other): (StationId, StationId)) -> i32 {
        let spread_db = u64::from(self.path_loss_spread_db);
        let chance = mix(self.seed ^ ((one.0 as u64) << 32) ^ other.0 as u64) % (2 * spread_db + 1);
        DEFAULT_PATH_LOSS_DB + chance as i32 - i32::from(self.path_loss_spread_db)
    }

    fn is_erased(&self, id: TransmissionId, to: StationId, permille: u16) -> bool {
        // Mixed from the names alone, so that it does not matter who asks first.
        let names = self.seed ^ id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((to.0 as u64) << 32);
        mix(names) % 1000 < u64::from(permille)
    }

    fn forget(&mut self, now_us: u64) {
        while let Some(oldest) = self.transmissions.front() {
            if oldest.end_us + MEMORY_US > now_us || self.for_gateways.iter().any(|(_, id)| *id == oldest.id)
            {
                return;
            }
            let channel = Channel::of(&oldest.modulation);
            if let Some(ids) = self.on_channel.get_mut(&channel) {
                ids.retain(|id| *id != oldest.id);
            }
            self.first_id += 1;
            self.transmissions.pop_front();
        }
    }
}

/// Spreads neighbouring numbers over all 64 bits (the finaliser of splitmix64).
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Thermal noise at the receiver, in dBm: -174 dBm/Hz, the bandwidth and the noise figure.
fn noise_dbm(bw_hz: u32) -> i32 {
    let bandwidth_db = match bw_hz {
        0..=62_500 => 48,
        62_501..=125_000 => 51,
        125_001..=250_000 => 54,
        250_001.. => 57,
    };
    -174 + bandwidth_db + NOISE_FIGURE_DB
}

/// The least SNR that can be demodulated, in dB (SX1261/2 data sheet table 6-1), rounded up.
fn demodulation_limit_db(sf: u8) -> i32 {
    match sf {
        ..=5 => -2,
        6 => -5,
        7 => -7,
        8 => -10,
        9 => -12,
        10 => -15,
        11 => -17,
        12.. => -20,
    }
}
