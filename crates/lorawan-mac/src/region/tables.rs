//! The twelve plans (LoRaWAN Regional Parameters 1.0.3 rev A, the section of each; AS923 groups 2 to 4 and
//! TXPower beyond its tables from RP002-1.0.4). `tests/data/regions.json` holds the same figures, collected
//! from several stacks; a test compares.

use lora_modulation::{Bandwidth, SpreadingFactor};

use super::fixed::Grid;
use super::{Band, ChannelPlan, DataRate, Dynamic, Fixed, ListenBeforeTalk, Plan, Rx1};
use crate::config::Rx2;

use Bandwidth::{_125KHz, _250KHz, _500KHz};
use SpreadingFactor::{_7, _8, _9, _10, _11, _12};

const fn rate(sf: SpreadingFactor, bw: Bandwidth, max: u8) -> Option<DataRate> {
    dwell(sf, bw, max, max, max)
}

const fn dwell(
    sf: SpreadingFactor,
    bw: Bandwidth,
    max_downlink: u8,
    max_uplink: u8,
    max_uplink_dwell: u8,
) -> Option<DataRate> {
    Some(DataRate { sf, bw, max_downlink, max_uplink, max_uplink_dwell })
}

const fn band(low_hz: u32, high_hz: u32, duty_cycle_permille: u16) -> Band {
    Band { range_hz: (low_hz, high_hz), duty_cycle_permille }
}

/// M without repeater. DR7 is FSK, DR8 to DR11 are LR-FHSS: not for this radio.
static RATES_0_TO_6: [Option<DataRate>; 7] = [
    rate(_12, _125KHz, 59),
    rate(_11, _125KHz, 59),
    rate(_10, _125KHz, 59),
    rate(_9, _125KHz, 123),
    rate(_8, _125KHz, 250),
    rate(_7, _125KHz, 250),
    rate(_7, _250KHz, 250),
];
/// Without DR6, which these plans do not have.
static RATES_0_TO_5: [Option<DataRate>; 6] = [
    rate(_12, _125KHz, 59),
    rate(_11, _125KHz, 59),
    rate(_10, _125KHz, 59),
    rate(_9, _125KHz, 123),
    rate(_8, _125KHz, 250),
    rate(_7, _125KHz, 250),
];
/// DR2: 59 up to RP002-1.0.0, 123 from RP002-1.0.1 on; the one is sent, the other accepted.
static AS923_RATES: [Option<DataRate>; 7] = [
    dwell(_12, _125KHz, 59, 59, 0),
    dwell(_11, _125KHz, 59, 59, 0),
    dwell(_10, _125KHz, 123, 59, 19),
    dwell(_9, _125KHz, 123, 123, 61),
    dwell(_8, _125KHz, 250, 250, 133),
    rate(_7, _125KHz, 250),
    rate(_7, _250KHz, 250),
];
/// DR5 and DR6 are LR-FHSS.
static US915_RATES: [Option<DataRate>; 14] = [
    rate(_10, _125KHz, 19),
    rate(_9, _125KHz, 61),
    rate(_8, _125KHz, 133),
    rate(_7, _125KHz, 250),
    rate(_8, _500KHz, 250),
    None,
    None,
    None,
    rate(_12, _500KHz, 61),
    rate(_11, _500KHz, 137),
    rate(_10, _500KHz, 250),
    rate(_9, _500KHz, 250),
    rate(_8, _500KHz, 250),
    rate(_7, _500KHz, 250),
];
/// DR7 is LR-FHSS.
static AU915_RATES: [Option<DataRate>; 14] = [
    dwell(_12, _125KHz, 59, 59, 0),
    dwell(_11, _125KHz, 59, 59, 0),
    dwell(_10, _125KHz, 59, 59, 19),
    dwell(_9, _125KHz, 123, 123, 61),
    dwell(_8, _125KHz, 250, 250, 133),
    rate(_7, _125KHz, 250),
    rate(_8, _500KHz, 250),
    None,
    rate(_12, _500KHz, 61),
    rate(_11, _500KHz, 137),
    rate(_10, _500KHz, 250),
    rate(_9, _500KHz, 250),
    rate(_8, _500KHz, 250),
    rate(_7, _500KHz, 250),
];

/// RX1 as in most dynamic plans.
const fn rx1(highest: u8) -> Rx1 {
    Rx1 { base: 0, lowest: (0, 0), highest, max_offset: 5 }
}

const fn rx2(frequency_hz: u32, data_rate: u8) -> Rx2 {
    Rx2 { frequency_hz, data_rate }
}

const fn dynamic(defaults_hz: &'static [u32]) -> ChannelPlan {
    ChannelPlan::Dynamic(Dynamic { defaults_hz, step_hz: 0, data_rates: (0, 5) })
}

/// What most dynamic plans have in common.
const COMMON: Plan = Plan {
    id: 0,
    data_rates: &RATES_0_TO_6,
    uplink_data_rates: (0, 6),
    downlink_data_rates: (0, 6),
    join_data_rates: (0, 5),
    rx1: rx1(7),
    rx2: rx2(0, 0),
    range_hz: (0, 0),
    channels: dynamic(&[]),
    max_eirp_dbm: 16,
    low_eirp: None,
    max_power_index: 7,
    bands: &[],
    dwell_time: false,
    listen_before_talk: None,
};

pub static EU868: Plan = Plan {
    id: 1,
    rx2: rx2(869_525_000, 0),
    range_hz: (863_000_000, 870_000_000),
    channels: dynamic(&[868_100_000, 868_300_000, 868_500_000]),
    // ETSI EN 300 220-2, annex B.
    bands: &[
        band(863_000_000, 865_000_000, 1),
        band(865_000_001, 868_000_000, 10),
        band(868_000_001, 868_600_000, 10),
        band(868_700_000, 869_200_000, 1),
        band(869_400_000, 869_650_000, 100),
        band(869_700_000, 870_000_000, 10),
    ],
    ..COMMON
};

pub static US915: Plan = Plan {
    id: 2,
    data_rates: &US915_RATES,
    uplink_data_rates: (0, 4),
    downlink_data_rates: (8, 13),
    join_data_rates: (0, 0),
    rx1: Rx1 { base: 10, lowest: (8, 8), highest: 13, max_offset: 3 },
    rx2: rx2(923_300_000, 8),
    range_hz: (902_000_000, 928_000_000),
    channels: ChannelPlan::Fixed(Fixed {
        narrow: Grid { start_hz: 902_300_000, step_hz: 200_000, count: 64 },
        narrow_data_rates: (0, 3),
        wide: Grid { start_hz: 903_000_000, step_hz: 1_600_000, count: 8 },
        wide_data_rate: 4,
        downlink: WIDE_DOWNLINK,
        // FCC 15.247: hopping, and 21 dBm with fewer than 50 channels.
        min_narrow: 2,
        few_channels: Some((50, 21)),
        cflist: true,
    }),
    max_eirp_dbm: 30,
    max_power_index: 14,
    ..COMMON
};

const WIDE_DOWNLINK: Grid = Grid { start_hz: 923_300_000, step_hz: 600_000, count: 8 };

pub static AU915: Plan = Plan {
    id: 3,
    data_rates: &AU915_RATES,
    downlink_data_rates: (8, 13),
    join_data_rates: (2, 2),
    rx1: Rx1 { base: 8, lowest: (8, 8), highest: 13, max_offset: 5 },
    rx2: rx2(923_300_000, 8),
    range_hz: (915_000_000, 928_000_000),
    channels: ChannelPlan::Fixed(Fixed {
        narrow: Grid { start_hz: 915_200_000, step_hz: 200_000, count: 64 },
        narrow_data_rates: (0, 5),
        wide: Grid { start_hz: 915_900_000, step_hz: 1_600_000, count: 8 },
        wide_data_rate: 6,
        downlink: WIDE_DOWNLINK,
        min_narrow: 1,
        few_channels: None,
        cflist: true,
    }),
    max_eirp_dbm: 30,
    max_power_index: 14,
    dwell_time: true,
    ..COMMON
};

/// The groups of AS923 differ in place only. RP002 prints a duty cycle below 1 %.
const AS923: Plan = Plan {
    data_rates: &AS923_RATES,
    join_data_rates: (2, 5),
    // Never above DR5 (RP 1.0.3 section 2.8.7; IN865: 2.10.7). RP002 goes up to DR7, from 1.0.1 on.
    rx1: Rx1 { base: 0, lowest: (0, 2), highest: 5, max_offset: 7 },
    dwell_time: true,
    ..COMMON
};

pub static AS923_1: Plan = Plan {
    id: 4,
    rx2: rx2(923_200_000, 2),
    range_hz: (915_000_000, 928_000_000),
    channels: dynamic(&[923_200_000, 923_400_000]),
    bands: &[band(915_000_000, 928_000_000, 10)],
    // Japanese law as LoRaMac-node keeps it (ARIB STD-T108). The frequencies do not tell where the device is.
    listen_before_talk: Some(ListenBeforeTalk { threshold_dbm: -80, for_ms: 5 }),
    ..AS923
};

pub static AS923_2: Plan = Plan {
    id: 5,
    rx2: rx2(921_400_000, 2),
    range_hz: (920_000_000, 923_000_000),
    channels: dynamic(&[921_400_000, 921_600_000]),
    bands: &[band(920_000_000, 923_000_000, 10)],
    ..AS923
};

pub static AS923_3: Plan = Plan {
    id: 6,
    rx2: rx2(916_600_000, 2),
    range_hz: (915_000_000, 921_000_000),
    channels: dynamic(&[916_600_000, 916_800_000]),
    bands: &[band(915_000_000, 921_000_000, 10)],
    ..AS923
};

pub static AS923_4: Plan = Plan {
    id: 7,
    rx2: rx2(917_300_000, 2),
    range_hz: (917_000_000, 920_000_000),
    channels: dynamic(&[917_300_000, 917_500_000]),
    bands: &[band(917_000_000, 920_000_000, 10)],
    ..AS923
};

pub static KR920: Plan = Plan {
    id: 8,
    data_rates: &RATES_0_TO_5,
    uplink_data_rates: (0, 5),
    downlink_data_rates: (0, 5),
    rx1: rx1(5),
    rx2: rx2(921_900_000, 0),
    range_hz: (920_900_000, 923_300_000),
    channels: ChannelPlan::Dynamic(Dynamic {
        defaults_hz: &[922_100_000, 922_300_000, 922_500_000],
        step_hz: 200_000,
        data_rates: (0, 5),
    }),
    max_eirp_dbm: 14,
    // RP 1.0.3 section 2.9.3.
    low_eirp: Some((922_000_000, 10)),
    // Korean law as LoRaMac-node keeps it.
    listen_before_talk: Some(ListenBeforeTalk { threshold_dbm: -65, for_ms: 6 }),
    ..COMMON
};

pub static IN865: Plan = Plan {
    id: 9,
    data_rates: &RATES_0_TO_5,
    uplink_data_rates: (0, 5),
    downlink_data_rates: (0, 5),
    rx1: Rx1 { base: 0, lowest: (0, 0), highest: 5, max_offset: 7 },
    rx2: rx2(866_550_000, 2),
    range_hz: (865_000_000, 867_000_000),
    channels: dynamic(&[865_062_500, 865_402_500, 865_985_000]),
    max_eirp_dbm: 30,
    max_power_index: 10,
    ..COMMON
};

pub static RU864: Plan = Plan {
    id: 10,
    rx2: rx2(869_100_000, 0),
    range_hz: (864_000_000, 870_000_000),
    channels: dynamic(&[868_900_000, 869_100_000]),
    // Russian rules; the default channels at the 1 % that RP002 prints. What lies between the bands is inside the
    // plan, so it is allowed with the strictest figure.
    bands: &[
        band(864_000_000, 865_000_000, 1),
        band(865_000_001, 865_999_999, 1),
        band(866_000_000, 868_000_000, 10),
        band(868_000_001, 868_699_999, 1),
        band(868_700_000, 869_200_000, 10),
        band(869_200_001, 870_000_000, 1),
    ],
    ..COMMON
};

pub static EU433: Plan = Plan {
    id: 11,
    rx2: rx2(434_665_000, 0),
    range_hz: (433_175_000, 434_665_000),
    channels: dynamic(&[433_175_000, 433_375_000, 433_575_000]),
    max_eirp_dbm: 12,
    max_power_index: 5,
    // RP002 prints below 1 %; ETSI would allow 10 %.
    bands: &[band(433_050_000, 434_790_000, 10)],
    ..COMMON
};

/// The plan of 96 channels of the devices of 1.0.2 and 1.0.3.
pub static CN470: Plan = Plan {
    id: 12,
    data_rates: &RATES_0_TO_5,
    uplink_data_rates: (0, 5),
    downlink_data_rates: (0, 5),
    rx1: rx1(5),
    rx2: rx2(505_300_000, 0),
    range_hz: (470_000_000, 510_000_000),
    channels: ChannelPlan::Fixed(Fixed {
        narrow: Grid { start_hz: 470_300_000, step_hz: 200_000, count: 96 },
        narrow_data_rates: (0, 5),
        wide: Grid { start_hz: 0, step_hz: 0, count: 0 },
        wide_data_rate: 0,
        downlink: Grid { start_hz: 500_300_000, step_hz: 200_000, count: 48 },
        min_narrow: 1,
        few_channels: None,
        cflist: false,
    }),
    max_eirp_dbm: 19,
    ..COMMON
};
