//! What a frame looks like on the air, and for how long.

/// The LoRa settings that a frame is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulation {
    /// Carrier frequency in hertz.
    pub freq_hz: u32,
    /// Spreading factor, 5 to 12.
    pub sf: u8,
    /// Bandwidth in hertz.
    pub bw_hz: u32,
    /// The denominator of the coding rate 4/x, 5 to 8.
    pub cr: u8,
    /// Inverted IQ, as in downlinks.
    pub iq_inverted: bool,
    /// Preamble in symbols, without the sync word.
    pub preamble: u16,
    /// Whether a CRC follows the payload, as in uplinks.
    pub crc: bool,
    /// The sync word as the SX126x has it in its registers: 0x3444 for public networks.
    pub sync_word: u16,
}

/// The sync word of public networks in SX126x registers (SX1261/2 data sheet table 12-1).
pub const PUBLIC_SYNC_WORD: u16 = 0x3444;

impl Modulation {
    /// Gives LoRaWAN's settings for an uplink: CRC, IQ as it is, 4/5, a preamble of eight symbols.
    #[must_use]
    pub const fn uplink(freq_hz: u32, sf: u8, bw_hz: u32) -> Self {
        let (cr, preamble, sync_word) = (5, 8, PUBLIC_SYNC_WORD);
        Self { freq_hz, sf, bw_hz, cr, iq_inverted: false, preamble, crc: true, sync_word }
    }

    /// Gives LoRaWAN's settings for a downlink: as an uplink, with inverted IQ and without CRC.
    #[must_use]
    pub const fn downlink(freq_hz: u32, sf: u8, bw_hz: u32) -> Self {
        Self { iq_inverted: true, crc: false, ..Self::uplink(freq_hz, sf, bw_hz) }
    }

    /// Tells how long `quarters` quarters of a symbol take, in microseconds, rounded to the nearest.
    #[must_use]
    pub fn quarter_symbols_us(&self, quarters: u64) -> u64 {
        let bw_hz = u64::from(self.bw_hz.max(1));
        (((quarters * 250_000) << self.sf.min(12)) + bw_hz / 2) / bw_hz
    }

    /// Whether the low data rate optimisation is on: symbols of 16.38 ms and more (SX1261/2 data sheet
    /// section 6.1.1.4).
    #[must_use]
    pub fn low_data_rate_optimised(&self) -> bool {
        (1_000_000u64 << self.sf.min(12)) / u64::from(self.bw_hz.max(1)) >= 16_380
    }

    /// When the preamble with its sync word is over, in microseconds from the start.
    #[must_use]
    pub fn preamble_us(&self) -> u64 {
        self.quarter_symbols_us(self.preamble_quarters())
    }

    /// When the header is over, in microseconds from the start: it fills the first eight symbols.
    #[must_use]
    pub fn header_us(&self) -> u64 {
        self.quarter_symbols_us(self.preamble_quarters() + 32)
    }

    /// The time on air of `len` bytes with an explicit header, in microseconds (SX1261/2 data sheet section
    /// 6.1.4).
    #[must_use]
    pub fn airtime_us(&self, len: usize) -> u64 {
        let sf = i64::from(self.sf.clamp(5, 12));
        let long_sf = sf >= 7;
        let bits = 8 * i64::try_from(len).unwrap_or(i64::MAX / 16) + if self.crc { 16 } else { 0 } - 4 * sf
            + 20
            + if long_sf { 8 } else { 0 };
        let bits_a_block = 4 * (sf - if self.low_data_rate_optimised() { 2 } else { 0 });
        let blocks = (bits.max(0) + bits_a_block - 1) / bits_a_block;
        let symbols = u64::try_from(blocks).unwrap_or(0) * u64::from(self.cr) + 8;
        self.quarter_symbols_us(self.preamble_quarters() + 4 * symbols)
    }

    /// The preamble with the sync word: 4.25 symbols more, with SF5 and SF6 6.25.
    fn preamble_quarters(&self) -> u64 {
        4 * u64::from(self.preamble) + if self.sf >= 7 { 17 } else { 25 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn airtime_is_that_of_the_data_sheets_equation() {
        // (SF, bandwidth, bytes, CRC) and microseconds. SF7 with 38 bytes by hand: 80.25 symbols of 1.024 ms.
        let table = [
            (7, 125_000, 13, true, 46_336),
            (7, 125_000, 38, true, 82_176),
            (7, 250_000, 38, true, 41_088),
            (8, 125_000, 39, true, 154_112),
            (9, 125_000, 40, true, 287_744),
            (10, 125_000, 41, true, 534_528),
            (11, 125_000, 41, true, 1_150_976),
            (12, 125_000, 38, true, 1_974_272),
            (12, 125_000, 41, true, 2_138_112),
            (12, 125_000, 13, true, 1_155_072),
            // A join-accept of 17 bytes at DR5 has no CRC.
            (7, 125_000, 17, false, 46_336),
            (12, 500_000, 33, false, 411_648),
        ];
        for (sf, bw_hz, len, crc, us) in table {
            let modulation = Modulation { crc, ..Modulation::uplink(868_100_000, sf, bw_hz) };
            assert_eq!(modulation.airtime_us(len), us, "SF{sf} {bw_hz} Hz {len} bytes");
        }
    }

    #[test]
    fn the_low_data_rate_optimisation_follows_the_symbol_time() {
        let table = [(10, 125_000, false), (11, 125_000, true), (12, 125_000, true), (12, 500_000, false)];
        for (sf, bw_hz, on) in table {
            assert_eq!(
                Modulation::uplink(868_100_000, sf, bw_hz).low_data_rate_optimised(),
                on,
                "SF{sf} {bw_hz}"
            );
        }
        assert!(Modulation::uplink(868_100_000, 12, 250_000).low_data_rate_optimised());
    }

    #[test]
    fn the_parts_of_a_frame_come_in_order() {
        let modulation = Modulation::downlink(869_525_000, 12, 125_000);
        // 12.25 and 20.25 symbols of 32.768 ms.
        assert_eq!(modulation.preamble_us(), 401_408);
        assert_eq!(modulation.header_us(), 663_552);
        assert_eq!(modulation.airtime_us(0), modulation.header_us());
    }
}
