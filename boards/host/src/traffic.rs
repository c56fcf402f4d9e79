//! What the sockets put on the air, counted by one who only listens: time on air by duty-cycle band, and how many
//! of the data frames a gateway heard. It knows nothing of the devices' own ledgers.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde::{Serialize, Serializer};
use sockeye_settings::Region;
use sockeye_virtual_hardware::air::{Medium, StationId, Transmission};

/// The time in which a duty cycle is measured (ETSI EN 300 220-1, section 5.4), in µs.
const HOUR_US: u64 = 3_600_000_000;

/// Frequencies that share a duty cycle: from, below, and the limit in ‰.
type Band = (u32, u32, u16);

/// ERC Recommendation 70-03, annex 1, and ETSI EN 300 220-2, annex B.
const EU868: &[Band] = &[
    (863_000_000, 865_000_000, 1),
    (865_000_000, 868_000_000, 10),
    (868_000_000, 868_600_000, 10),
    (868_700_000, 869_200_000, 1),
    (869_400_000, 869_650_000, 100),
    (869_700_000, 870_000_000, 10),
];
/// LoRaWAN Regional Parameters 1.0.3rA print less than 1 % for the plan; SWL2001 has the lower limit below 865 MHz.
const RU864: &[Band] =
    &[(864_000_000, 865_000_000, 1), (866_000_000, 868_000_000, 10), (868_700_000, 869_200_000, 10)];
/// LoRaWAN Regional Parameters 1.0.3rA print less than 1 %.
const EU433: &[Band] = &[(433_050_000, 434_790_000, 10)];
/// LoRaWAN Regional Parameters 1.0.3rA print less than 1 %, for all groups of AS923.
const AS923: &[Band] = &[(915_000_000, 928_000_001, 10)];

fn bands(region: Region) -> &'static [Band] {
    match region {
        Region::Eu868 => EU868,
        Region::Ru864 => RU864,
        Region::Eu433 => EU433,
        Region::As923_1 | Region::As923_2 | Region::As923_3 | Region::As923_4 => AS923,
        Region::Us915 | Region::Au915 | Region::Kr920 | Region::In865 | Region::Cn470 => &[],
    }
}

/// Counts what all sockets of a run sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Join requests on the air.
    pub join_requests: u64,
    /// Data frames on the air, each counted once however often it was sent.
    pub frames: u64,
    /// Of those, how many a gateway heard.
    pub delivered: u64,
    /// Of a socket with data frames, none was heard.
    pub silent: u64,
    /// The largest share of any hour that a socket was on the air in a band.
    #[serde(rename = "duty_cycle_percent", serialize_with = "percent")]
    pub duty_cycle_ppm: u64,
    /// The mean of the sockets' largest shares.
    #[serde(rename = "duty_cycle_mean_percent", serialize_with = "percent")]
    pub duty_cycle_mean_ppm: u64,
    /// Sockets that were longer on the air than a band allows.
    pub over_duty_cycle: u64,
}

impl Counts {
    /// Tells how many of a thousand data frames were delivered; `None` before the first.
    #[must_use]
    pub fn delivered_permille(&self) -> Option<u64> {
        (self.delivered * 1_000).checked_div(self.frames)
    }
}

fn percent<S: Serializer>(ppm: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*ppm as f64 / 10_000.0)
}

/// The time on air of one station in one band.
#[derive(Debug, Default)]
struct OnAir {
    /// The frames of the last hour: when each began and ended, in µs.
    frames: VecDeque<(u64, u64)>,
    /// The longest time on air in any hour, in µs.
    longest_us: u64,
}

impl OnAir {
    fn add(&mut self, start_us: u64, end_us: u64) {
        self.frames.push_back((start_us, end_us));
        // The fullest hour ends with a frame.
        let since_us = end_us.saturating_sub(HOUR_US);
        while self.frames.front().is_some_and(|(_, end_us)| *end_us <= since_us) {
            self.frames.pop_front();
        }
        let within = self.frames.iter().map(|(start_us, end_us)| end_us - start_us.max(&since_us));
        self.longest_us = self.longest_us.max(within.sum());
    }
}

#[derive(Debug, Default)]
struct Station {
    /// By the band's place in the table; what is in none comes last.
    on_air: BTreeMap<usize, OnAir>,
    join_requests: u64,
    frames: u64,
    delivered: u64,
    /// DevAddr and FCnt of the last data frame.
    last: Option<(u32, u16)>,
    /// The last data frame was heard.
    last_heard: bool,
}

/// An observer of the sockets' air. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Traffic {
    medium: Medium,
    bands: &'static [Band],
    stations: Rc<RefCell<BTreeMap<StationId, Station>>>,
}

impl Traffic {
    /// Begins to listen.
    #[must_use]
    pub fn new(medium: &Medium, region: Region) -> Self {
        medium.air().keep_sent();
        Self { medium: medium.clone(), bands: bands(region), stations: Rc::default() }
    }

    /// Takes note of a frame that a gateway heard, at its end.
    pub fn heard(&self, frame: &Transmission) {
        self.catch_up();
        let mut stations = self.stations.borrow_mut();
        let Some(station) = stations.get_mut(&frame.from) else { return };
        if data_frame(&frame.payload).is_some_and(|name| station.last == Some(name)) && !station.last_heard {
            station.last_heard = true;
            station.delivered += 1;
        }
    }

    /// Counts what was sent since the last call. To be called now and then, so that it does not pile up.
    pub fn catch_up(&self) {
        let sent = self.medium.air().take_sent();
        for frame in sent {
            if !self.medium.air().is_gateway(frame.from) {
                self.add(&frame);
            }
        }
    }

    fn add(&self, frame: &Transmission) {
        let mut stations = self.stations.borrow_mut();
        let station = stations.entry(frame.from).or_default();
        let freq_hz = frame.modulation.freq_hz;
        let within = |(from_hz, below_hz, _): &Band| (*from_hz..*below_hz).contains(&freq_hz);
        let band = self.bands.iter().position(within).unwrap_or(self.bands.len());
        station.on_air.entry(band).or_default().add(frame.start_us, frame.end_us);
        // MType 000 (LoRaWAN 1.0.3 section 4.2.1).
        station.join_requests += u64::from(frame.payload.first().is_some_and(|mhdr| mhdr >> 5 == 0));
        let name = data_frame(&frame.payload);
        if name.is_some() && name != station.last {
            station.frames += 1;
            station.last_heard = false;
            station.last = name;
        }
    }

    /// Tells a band's limit in ‰; where the plan has bands, what is in none may not be used at all.
    fn limit_permille(&self, band: usize) -> u64 {
        let outside = if self.bands.is_empty() { 1_000 } else { 0 };
        self.bands.get(band).map_or(outside, |(_, _, permille)| u64::from(*permille))
    }

    /// Counts what was sent until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.catch_up();
        let stations = self.stations.borrow();
        let mut counts = Counts::default();
        for station in stations.values() {
            counts.join_requests += station.join_requests;
            counts.frames += station.frames;
            counts.delivered += station.delivered;
            counts.silent += u64::from(station.frames > 0 && station.delivered == 0);
            let longest_us = station.on_air.values().map(|on_air| on_air.longest_us).max();
            // Millionths of an hour.
            let ppm = longest_us.unwrap_or_default() / (HOUR_US / 1_000_000);
            counts.duty_cycle_ppm = counts.duty_cycle_ppm.max(ppm);
            counts.duty_cycle_mean_ppm += ppm;
            let is_over = |(band, on_air): (&usize, &OnAir)| {
                on_air.longest_us > self.limit_permille(*band) * (HOUR_US / 1_000)
            };
            counts.over_duty_cycle += u64::from(station.on_air.iter().any(is_over));
        }
        counts.duty_cycle_mean_ppm /= (stations.len() as u64).max(1);
        counts
    }
}

/// Tells DevAddr and the low half of FCnt of a data frame of a device.
///
/// Source: LoRaWAN 1.0.3 section 4.
fn data_frame(phy: &[u8]) -> Option<(u32, u16)> {
    match *phy {
        [mhdr, a0, a1, a2, a3, _, low, high, ..] if matches!(mhdr >> 5, 0b010 | 0b100) => {
            Some((u32::from_le_bytes([a0, a1, a2, a3]), u16::from_le_bytes([low, high])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sockeye_virtual_hardware::air::Modulation;
    use sockeye_virtual_hardware::sim::Sim;

    use super::*;

    const SECOND_US: u64 = 1_000_000;

    struct Bench {
        medium: Medium,
        traffic: Traffic,
        socket: StationId,
    }

    fn bench(region: Region) -> Bench {
        let medium = Medium::new(&Sim::new(), 1);
        let traffic = Traffic::new(&medium, region);
        let socket = medium.air().add_station();
        Bench { medium, traffic, socket }
    }

    impl Bench {
        fn send(&self, at_us: u64, freq_hz: u32, phy: &[u8]) -> Transmission {
            let modulation = Modulation::uplink(freq_hz, 12, 125_000);
            self.medium.air().transmit(at_us, self.socket, modulation, 14, phy)
        }
    }

    fn data(fcnt: u8) -> [u8; 13] {
        [0x40, 1, 2, 3, 4, 0, fcnt, 0, 85, 0, 0, 0, 0]
    }

    #[test]
    fn a_frame_that_is_repeated_counts_once_and_is_delivered_once() {
        let bench = bench(Region::Eu868);
        for (at_s, fcnt, heard) in
            [(0, 1, false), (10, 1, true), (20, 1, true), (30, 2, false), (40, 3, true)]
        {
            let frame = bench.send(at_s * SECOND_US, 868_100_000, &data(fcnt));
            if heard {
                bench.traffic.heard(&frame);
            }
        }
        bench.send(50 * SECOND_US, 868_100_000, &[0; 23]);
        let counts = bench.traffic.counts();
        assert_eq!((counts.join_requests, counts.frames, counts.delivered, counts.silent), (1, 3, 2, 0));
        assert_eq!(counts.delivered_permille(), Some(666));
    }

    #[test]
    fn a_socket_of_which_nothing_is_heard_is_silent() {
        let bench = bench(Region::Eu868);
        bench.send(0, 868_100_000, &[0; 23]);
        assert_eq!(bench.traffic.counts().silent, 0, "it has no session");
        bench.send(10 * SECOND_US, 868_100_000, &data(0));
        assert_eq!(bench.traffic.counts().silent, 1);
    }

    #[test]
    fn the_fullest_hour_counts_wherever_it_lies_and_bands_count_apart() {
        // 13 bytes at SF12 are 1.155 s on the air: 31 of them are less than the 36 s of 1 %, 32 are more.
        for (spacing_s, count, over) in [(10, 31, 0), (10, 32, 1), (115, 31, 0), (115, 32, 1), (117, 400, 0)]
        {
            let bench = bench(Region::Eu868);
            for n in 0..count {
                bench.send((7_000 + n * spacing_s) * SECOND_US, 868_100_000, &data(n as u8));
            }
            let counts = bench.traffic.counts();
            assert_eq!(counts.over_duty_cycle, over, "{count} frames, one in {spacing_s} s: {counts:?}");
        }
        let bench = bench(Region::Eu868);
        for n in 0..60 {
            let freq_hz = if n % 2 == 0 { 867_100_000 } else { 868_100_000 };
            bench.send(n * 10 * SECOND_US, freq_hz, &data(n as u8));
        }
        let counts = bench.traffic.counts();
        assert_eq!((counts.over_duty_cycle, counts.duty_cycle_ppm), (0, 30 * 1_155_072 / 3_600));
        assert_eq!(counts.duty_cycle_mean_ppm, counts.duty_cycle_ppm);
    }

    #[test]
    fn what_is_in_no_band_is_over_it_where_the_plan_has_bands() {
        for (region, freq_hz, over) in [
            (Region::Eu868, 868_650_000, 1),
            (Region::Eu868, 869_525_000, 0),
            (Region::Us915, 902_300_000, 0),
            (Region::As923_3, 916_600_000, 0),
        ] {
            let bench = bench(region);
            bench.send(0, freq_hz, &data(0));
            assert_eq!(bench.traffic.counts().over_duty_cycle, over, "{freq_hz} Hz");
        }
    }

    #[test]
    fn what_gateways_send_is_not_the_sockets() {
        let bench = bench(Region::Eu868);
        let gateway = bench.medium.air().add_gateway();
        let modulation = Modulation::downlink(869_525_000, 12, 125_000);
        bench.medium.air().transmit(0, gateway, modulation, 27, &data(0));
        assert_eq!(bench.traffic.counts(), Counts::default());
    }
}
