//! How long things may take.

use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use lorawan_device::async_device::radio::RxMode;

/// How long one command may hold BUSY, in milliseconds.
///
/// The longest that a healthy chip needs is the start of the TCXO (10 ms as we set it) with a full
/// calibration (3.5 ms, SX1261/2 data sheet table 8-1).
pub const BUSY_LIMIT_MS: u32 = 100;

/// How long a group of commands may take in all, in milliseconds; a reset with TCXO start takes about 70.
pub const COMMANDS_LIMIT_MS: u32 = 1000;

/// What is added to a computed end before the chip counts as stuck, in milliseconds: TCXO start (10 ms) and
/// the caller's own delays.
pub const MARGIN_MS: u32 = 100;

/// How often the chip is asked in a continuous receive whether it still receives, in milliseconds: what is wrong with it
/// is over within 10 s, also where the interrupt line died in an uplink, whose end and windows are waited for in vain before that.
pub const LOOK_PERIOD_MS: u32 = 2_000;

/// After how many looks that found nothing a continuous receive is armed again: five minutes of silence (CC-07).
pub(crate) const LOOKS: u32 = 150;

/// How long before a window `setup_rx` should begin, in milliseconds: some twenty commands, and, from a reset, the start of
/// a TCXO (10 ms).
pub const WINDOW_LEAD_MS: u32 = 15;

/// The longest symbol time-out that the chip takes (SX1261/2 data sheet section 13.4.9).
pub(crate) const MAX_SYMBOLS: u16 = 248;

/// What a preamble search needs before the extra time of the caller: the eight symbols of a LoRaWAN
/// preamble with its sync word (4.25), so that a frame which starts at the end of the extra time is found.
const SEARCH_SYMBOLS: u32 = 12;

/// LoRaWAN's preamble, in symbols (TS001-1.0.3 regional parameters, "preamble size").
pub(crate) const PREAMBLE_SYMBOLS: u8 = 8;

/// How a channel is listened to before talk: with the narrowest bandwidth of LoRa that takes in the 200 kHz of Korean
/// and Japanese law.
pub(crate) const SENSE_BANDWIDTH: BaseBandModulationParams =
    BaseBandModulationParams::new(SpreadingFactor::_7, Bandwidth::_250KHz, CodingRate::_4_5);

/// The time of one symbol in microseconds, rounded up.
fn symbol_us(bb: &BaseBandModulationParams) -> u32 {
    // SF is 5 to 12 and the bandwidth at least 7.81 kHz: no overflow.
    (1_000_000u32 << bb.sf.factor()).div_ceil(bb.bw.hz())
}

/// The preamble search of a single receive, in symbols.
pub(crate) fn search_symbols(bb: &BaseBandModulationParams, extra_ms: u32) -> u32 {
    let extra = extra_ms.saturating_mul(1000).div_ceil(symbol_us(bb));
    SEARCH_SYMBOLS.saturating_add(extra)
}

/// The longest that a frame of `len` bytes is on the air, in milliseconds, rounded up.
pub(crate) fn airtime_ms(bb: &BaseBandModulationParams, len: u8) -> u32 {
    bb.time_on_air_us(Some(PREAMBLE_SYMBOLS), true, len).div_ceil(1000)
}

/// When a receive that shows no end must be over: its search, the longest frame, and the margin, in
/// milliseconds.
pub(crate) fn receive_limit_ms(bb: &BaseBandModulationParams, mode: RxMode) -> u32 {
    match mode {
        RxMode::Continuous => LOOK_PERIOD_MS,
        RxMode::Single { ms } => {
            // The chip's symbol time-out has steps of up to 32 symbols above 124.
            let search_us = u64::from(search_symbols(bb, ms).saturating_add(32)) * u64::from(symbol_us(bb));
            let search_ms = u32::try_from(search_us.div_ceil(1000)).unwrap_or(u32::MAX);
            search_ms.saturating_add(airtime_ms(bb, u8::MAX)).saturating_add(MARGIN_MS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bb(sf: SpreadingFactor, bw: Bandwidth) -> BaseBandModulationParams {
        BaseBandModulationParams::new(sf, bw, CodingRate::_4_5)
    }

    #[test]
    fn the_search_takes_in_the_preamble_and_the_callers_time() {
        let table = [
            (SpreadingFactor::_7, Bandwidth::_125KHz, 0, 12),
            (SpreadingFactor::_7, Bandwidth::_125KHz, 20, 12 + 20),
            (SpreadingFactor::_7, Bandwidth::_500KHz, 20, 12 + 79),
            (SpreadingFactor::_12, Bandwidth::_125KHz, 20, 12 + 1),
            (SpreadingFactor::_12, Bandwidth::_125KHz, 33, 12 + 2),
        ];
        for (sf, bw, extra_ms, symbols) in table {
            assert_eq!(search_symbols(&bb(sf, bw), extra_ms), symbols, "{sf:?} {bw:?} {extra_ms} ms");
        }
    }

    #[test]
    fn a_limit_is_longer_than_the_search_and_the_longest_frame_together() {
        let sf12 = bb(SpreadingFactor::_12, Bandwidth::_125KHz);
        let limit_ms = receive_limit_ms(&sf12, RxMode::Single { ms: 50 });
        assert!(limit_ms > 14 * 33 + airtime_ms(&sf12, 255), "{limit_ms}");
        assert!(receive_limit_ms(&sf12, RxMode::Single { ms: u32::MAX }) > limit_ms);
    }
}
