//! EU863-870 (RP002-1.0.4 section 2.5, and RP 1.0.3 revA section 2.2 where it differs not).

use lora_modulation::{Bandwidth, SpreadingFactor};

use super::{Band, DataRate, Plan};
use crate::config::Rx2;

const fn lora(sf: SpreadingFactor, bw: Bandwidth, max_mac_payload: u8) -> Option<DataRate> {
    Some(DataRate { sf, bw, max_mac_payload })
}

const fn band(low_hz: u32, high_hz: u32, duty_cycle_permille: u16) -> Band {
    Band { range_hz: (low_hz, high_hz), duty_cycle_permille }
}

pub static PLAN: Plan = Plan {
    id: 1,
    // M without repeater. DR7 is FSK, DR8 to DR11 are LR-FHSS: not for this radio.
    data_rates: &[
        lora(SpreadingFactor::_12, Bandwidth::_125KHz, 59),
        lora(SpreadingFactor::_11, Bandwidth::_125KHz, 59),
        lora(SpreadingFactor::_10, Bandwidth::_125KHz, 59),
        lora(SpreadingFactor::_9, Bandwidth::_125KHz, 123),
        lora(SpreadingFactor::_8, Bandwidth::_125KHz, 250),
        lora(SpreadingFactor::_7, Bandwidth::_125KHz, 250),
        lora(SpreadingFactor::_7, Bandwidth::_250KHz, 250),
    ],
    rx1_data_rates: &[
        &[0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0],
        &[2, 1, 0, 0, 0, 0],
        &[3, 2, 1, 0, 0, 0],
        &[4, 3, 2, 1, 0, 0],
        &[5, 4, 3, 2, 1, 0],
        &[6, 5, 4, 3, 2, 1],
    ],
    rx2: Rx2 { frequency_hz: 869_525_000, data_rate: 0 },
    range_hz: (863_000_000, 870_000_000),
    default_channels_hz: &[868_100_000, 868_300_000, 868_500_000],
    default_data_rates: (0, 5),
    max_eirp_dbm: 16,
    max_power_index: 7,
    // ETSI EN 300 220-2, annex B.
    bands: &[
        band(863_000_000, 865_000_000, 1),
        band(865_000_001, 868_000_000, 10),
        band(868_000_001, 868_600_000, 10),
        band(868_700_000, 869_200_000, 1),
        band(869_400_000, 869_650_000, 100),
        band(869_700_000, 870_000_000, 10),
    ],
};
