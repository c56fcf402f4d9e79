//! How long a frame is on the air.

/// Tells the time on air of a LoRaWAN downlink in microseconds: 8 preamble symbols, explicit header,
/// coding rate 4/5, no payload CRC.
///
/// Source: Semtech SX1261/2 data sheet §6.1.4 (LoRa time-on-air).
#[must_use]
pub fn airtime_us(sf: u8, bw_hz: u32, phy_bytes: usize) -> u64 {
    let sf = u64::from(sf.clamp(5, 12));
    let symbol_us = (1u64 << sf) * 1_000_000 / u64::from(bw_hz.max(1));
    // Symbols of 16 ms and more use the low data rate optimisation.
    let bits_per_symbol = if symbol_us >= 16_000 { sf - 2 } else { sf };
    let bits = (8 * phy_bytes as u64 + 28).saturating_sub(4 * sf);
    let payload_symbols = 8 + bits.div_ceil(4 * bits_per_symbol) * 5;
    // 8 + 4.25 preamble symbols, in quarters.
    symbol_us * (49 + 4 * payload_symbols) / 4
}

#[cfg(test)]
mod tests {
    use super::airtime_us;

    #[test]
    fn airtime_is_that_of_the_published_calculators() {
        // SF, bandwidth, PHYPayload bytes, microseconds without payload CRC.
        for (sf, bw_hz, bytes, expected_us) in [
            (7, 125_000, 13, 41_216),
            (12, 125_000, 13, 1_155_072),
            (12, 125_000, 23, 1_482_752),
            (9, 125_000, 33, 246_784),
            (7, 250_000, 13, 20_608),
        ] {
            assert_eq!(airtime_us(sf, bw_hz, bytes), expected_us, "SF{sf} {bytes} bytes");
        }
    }
}
