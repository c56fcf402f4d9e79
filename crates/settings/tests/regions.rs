//! The region table against a copy of the figures that was made from the regional parameters by a program.

use sockeye_settings::{PlanKind, Region};

struct Row {
    name: &'static str,
    kind: PlanKind,
    channels: u8,
    first_number: u8,
    default_channels_hz: &'static [u32],
    rx2: (u32, u8),
    max_eirp_dbm: i8,
    /// Frequencies that a channel may have, and some that it may not; a fixed plan has none to set.
    allowed_hz: &'static [u32],
    refused_hz: &'static [u32],
    /// The same for RX2.
    rx2_allowed_hz: &'static [u32],
    rx2_refused_hz: &'static [u32],
    rx2_rates: (u8, u8),
    uplink_rates: (u8, u8),
}

const ROWS: [Row; 12] = [
    Row {
        name: "EU868",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[868_100_000, 868_300_000, 868_500_000],
        rx2: (869_525_000, 0),
        max_eirp_dbm: 16,
        allowed_hz: &[
            863_000_000,
            870_000_000,
            868_100_000,
            868_300_000,
            868_500_000,
            868_600_000,
            868_700_000,
            869_200_000,
            869_400_000,
            869_650_000,
            869_700_000,
        ],
        refused_hz: &[
            862_999_999,
            870_000_001,
            0,
            4_294_967_295,
            868_600_001,
            868_699_999,
            869_200_001,
            869_399_999,
            869_650_001,
            869_699_999,
        ],
        rx2_allowed_hz: &[
            863_000_000,
            870_000_000,
            868_100_000,
            868_300_000,
            868_500_000,
            868_600_000,
            868_700_000,
            869_200_000,
            869_400_000,
            869_650_000,
            869_700_000,
        ],
        rx2_refused_hz: &[
            862_999_999,
            870_000_001,
            0,
            4_294_967_295,
            868_600_001,
            868_699_999,
            869_200_001,
            869_399_999,
            869_650_001,
            869_699_999,
        ],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "US915",
        kind: PlanKind::Fixed,
        channels: 72,
        first_number: 0,
        default_channels_hz: &[],
        rx2: (923_300_000, 8),
        max_eirp_dbm: 30,
        allowed_hz: &[],
        refused_hz: &[902_300_000],
        rx2_allowed_hz: &[923_300_000, 927_500_000],
        rx2_refused_hz: &[922_700_000, 928_100_000, 923_300_001, 0, 4_294_967_295],
        rx2_rates: (8, 13),
        uplink_rates: (0, 4),
    },
    Row {
        name: "AU915",
        kind: PlanKind::Fixed,
        channels: 72,
        first_number: 0,
        default_channels_hz: &[],
        rx2: (923_300_000, 8),
        max_eirp_dbm: 30,
        allowed_hz: &[],
        refused_hz: &[915_200_000],
        rx2_allowed_hz: &[923_300_000, 927_500_000],
        rx2_refused_hz: &[922_700_000, 928_100_000, 923_300_001, 0, 4_294_967_295],
        rx2_rates: (8, 13),
        uplink_rates: (0, 6),
    },
    Row {
        name: "AS923-1",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[923_200_000, 923_400_000],
        rx2: (923_200_000, 2),
        max_eirp_dbm: 16,
        allowed_hz: &[915_000_000, 928_000_000, 923_200_000, 923_400_000],
        refused_hz: &[914_999_999, 928_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[915_000_000, 928_000_000, 923_200_000, 923_400_000],
        rx2_refused_hz: &[914_999_999, 928_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "AS923-2",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[921_400_000, 921_600_000],
        rx2: (921_400_000, 2),
        max_eirp_dbm: 16,
        allowed_hz: &[920_000_000, 923_000_000, 921_400_000, 921_600_000],
        refused_hz: &[919_999_999, 923_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[920_000_000, 923_000_000, 921_400_000, 921_600_000],
        rx2_refused_hz: &[919_999_999, 923_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "AS923-3",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[916_600_000, 916_800_000],
        rx2: (916_600_000, 2),
        max_eirp_dbm: 16,
        allowed_hz: &[915_000_000, 921_000_000, 916_600_000, 916_800_000],
        refused_hz: &[914_999_999, 921_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[915_000_000, 921_000_000, 916_600_000, 916_800_000],
        rx2_refused_hz: &[914_999_999, 921_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "AS923-4",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[917_300_000, 917_500_000],
        rx2: (917_300_000, 2),
        max_eirp_dbm: 16,
        allowed_hz: &[917_000_000, 920_000_000, 917_300_000, 917_500_000],
        refused_hz: &[916_999_999, 920_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[917_000_000, 920_000_000, 917_300_000, 917_500_000],
        rx2_refused_hz: &[916_999_999, 920_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "KR920",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[922_100_000, 922_300_000, 922_500_000],
        rx2: (921_900_000, 0),
        max_eirp_dbm: 14,
        allowed_hz: &[920_900_000, 923_300_000, 922_100_000, 922_300_000, 922_500_000],
        refused_hz: &[920_899_999, 923_300_001, 0, 4_294_967_295, 921_000_000],
        rx2_allowed_hz: &[920_900_000, 923_300_000, 922_100_000, 922_300_000, 922_500_000],
        rx2_refused_hz: &[920_899_999, 923_300_001, 0, 4_294_967_295, 921_000_000],
        rx2_rates: (0, 5),
        uplink_rates: (0, 5),
    },
    Row {
        name: "IN865",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[865_062_500, 865_402_500, 865_985_000],
        rx2: (866_550_000, 2),
        max_eirp_dbm: 30,
        allowed_hz: &[865_000_000, 867_000_000, 865_062_500, 865_402_500, 865_985_000],
        refused_hz: &[864_999_999, 867_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[865_000_000, 867_000_000, 865_062_500, 865_402_500, 865_985_000],
        rx2_refused_hz: &[864_999_999, 867_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 5),
        uplink_rates: (0, 5),
    },
    Row {
        name: "RU864",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[868_900_000, 869_100_000],
        rx2: (869_100_000, 0),
        max_eirp_dbm: 16,
        allowed_hz: &[864_000_000, 870_000_000, 868_900_000, 869_100_000],
        refused_hz: &[863_999_999, 870_000_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[864_000_000, 870_000_000, 868_900_000, 869_100_000],
        rx2_refused_hz: &[863_999_999, 870_000_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "EU433",
        kind: PlanKind::Dynamic,
        channels: 16,
        first_number: 0,
        default_channels_hz: &[433_175_000, 433_375_000, 433_575_000],
        rx2: (434_665_000, 0),
        max_eirp_dbm: 12,
        allowed_hz: &[433_175_000, 434_665_000, 433_175_000, 433_375_000, 433_575_000],
        refused_hz: &[433_174_999, 434_665_001, 0, 4_294_967_295],
        rx2_allowed_hz: &[433_175_000, 434_665_000, 433_175_000, 433_375_000, 433_575_000],
        rx2_refused_hz: &[433_174_999, 434_665_001, 0, 4_294_967_295],
        rx2_rates: (0, 6),
        uplink_rates: (0, 5),
    },
    Row {
        name: "CN470",
        kind: PlanKind::Fixed,
        channels: 96,
        first_number: 1,
        default_channels_hz: &[],
        rx2: (505_300_000, 0),
        max_eirp_dbm: 19,
        allowed_hz: &[],
        refused_hz: &[470_300_000],
        rx2_allowed_hz: &[500_300_000, 509_700_000],
        rx2_refused_hz: &[500_100_000, 509_900_000, 500_300_001, 0, 4_294_967_295],
        rx2_rates: (0, 5),
        uplink_rates: (0, 5),
    },
];

#[test]
fn every_region_has_the_figures_of_its_plan() {
    for (region, row) in Region::ALL.into_iter().zip(ROWS) {
        let name = row.name;
        assert_eq!(region.name(), name);
        assert_eq!((region.kind(), region.channel_count()), (row.kind, row.channels), "{name}");
        assert_eq!(region.first_channel_number(), row.first_number, "{name}");
        assert_eq!(region.default_channels_hz(), row.default_channels_hz, "{name}");
        assert_eq!((region.default_rx2_hz(), region.default_rx2_data_rate()), row.rx2, "{name}");
        assert_eq!(region.max_eirp_dbm(), row.max_eirp_dbm, "{name}");
        assert_eq!(
            (region.rx2_data_rates(), region.uplink_data_rates()),
            (row.rx2_rates, row.uplink_rates),
            "{name}"
        );
    }
}

#[test]
fn every_region_takes_its_own_frequencies_and_no_others() {
    for (region, row) in Region::ALL.into_iter().zip(ROWS) {
        for (list, allowed) in [(row.allowed_hz, true), (row.refused_hz, false)] {
            for &hz in list {
                assert_eq!(region.allows_channel_hz(hz), allowed, "{} {hz}", row.name);
            }
        }
        for (list, allowed) in [(row.rx2_allowed_hz, true), (row.rx2_refused_hz, false)] {
            for &hz in list {
                assert_eq!(region.allows_rx2_hz(hz), allowed, "{} {hz}", row.name);
            }
        }
        assert!(region.allows_rx2_hz(region.default_rx2_hz()), "{}", row.name);
    }
}

#[test]
fn wide_channels_carry_the_rate_of_wide_channels() {
    for (region, channel, rates) in [
        (Region::Us915, 63, (0, 3)),
        (Region::Us915, 64, (4, 4)),
        (Region::Au915, 0, (0, 5)),
        (Region::Au915, 71, (6, 6)),
        (Region::Cn470, 95, (0, 5)),
        (Region::Eu868, 15, (0, 5)),
    ] {
        assert_eq!(region.channel_data_rates(channel), rates, "{region} {channel}");
    }
}

#[test]
fn the_default_data_rate_is_one_that_needs_no_leave() {
    for region in Region::ALL {
        // 400 ms dwell time until the network says otherwise.
        let expected = if region == Region::Au915 || region.name().starts_with("AS923") { 2 } else { 0 };
        assert_eq!(region.default_data_rate(), expected, "{region}");
    }
}
