//! The channel plans of `lrwn` against a second source: `data/regions.json`, collected from the regional
//! parameters, LoRaMac-node and SWL2001. Where the two differ the table below says which holds, and why.

use serde_json::Value;
use sockeye_network_server::{Channel, Plan, Region};

fn facts(region: Region) -> Value {
    let all: Value = serde_json::from_str(include_str!("data/regions.json")).expect("JSON");
    all["regions"][region.name()].clone()
}

fn plan(region: Region) -> Plan {
    Plan::new(region, &[], &[])
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a number")).expect("small")
}

fn small(value: &Value) -> u8 {
    u8::try_from(number(value)).expect("a byte")
}

fn list(value: &Value) -> Vec<u8> {
    value.as_array().expect("a list").iter().map(small).collect()
}

/// The LoRa data rates of a plan in one direction, by the facts.
fn rates(facts: &Value, direction: &str) -> Vec<(u8, u8, u32)> {
    let allowed = facts.get(direction).map(list);
    let rates = facts["datarates"].as_array().expect("a list").iter();
    rates
        .filter(|rate| rate["mod"] == "LORA")
        .map(|rate| (small(&rate["dr"]), small(&rate["sf"]), number(&rate["bw_hz"])))
        .filter(|(dr, ..)| allowed.as_ref().is_none_or(|allowed| allowed.contains(dr)))
        .collect()
}

#[test]
fn there_is_a_plan_for_each_region_of_the_facts() {
    let all: Value = serde_json::from_str(include_str!("data/regions.json")).expect("JSON");
    let mut names: Vec<&String> = all["regions"].as_object().expect("an object").keys().collect();
    names.sort();
    let mut ours: Vec<&str> = Region::ALL.iter().map(|region| region.name()).collect();
    ours.sort_unstable();
    assert_eq!(ours, names);
    for region in Region::ALL {
        assert_eq!(Region::from_name(region.name()), Some(region));
    }
    assert_eq!(Region::from_name("AS923"), Some(Region::As923_1));
    assert_eq!(Region::from_name("EU869"), None);
}

#[test]
fn data_rates_are_those_of_the_facts() {
    for region in Region::ALL {
        let (facts, plan) = (facts(region), plan(region));
        let of = |rate: fn(&Plan, u8) -> Option<(u8, u32)>| -> Vec<(u8, u8, u32)> {
            (0..16).filter_map(|dr| rate(&plan, dr).map(|(sf, bw_hz)| (dr, sf, bw_hz))).collect()
        };
        assert_eq!(of(Plan::uplink_rate), rates(&facts, "uplink_dr"), "{region:?} up");
        assert_eq!(of(Plan::downlink_rate), rates(&facts, "downlink_dr"), "{region:?} down");
        for (dr, sf, bw_hz) in rates(&facts, "uplink_dr") {
            assert_eq!(plan.uplink_data_rate(sf, bw_hz), Some(dr), "{region:?}");
        }
        assert_eq!(plan.uplink_data_rate(6, 125_000), None);
    }
}

#[test]
fn channels_are_those_of_the_facts() {
    for region in Region::ALL {
        let facts = facts(region);
        let mut expected = Vec::new();
        if let Some(channels) = facts["default_channels"].as_array() {
            expected.extend(channels.iter().map(|channel| Channel {
                freq_hz: number(&channel["freq_hz"]),
                min_dr: small(&channel["dr_min"]),
                max_dr: small(&channel["dr_max"]),
            }));
        }
        for kind in ["", "f125_", "f500_"] {
            let field = |name: &str| &facts["uplink"][format!("{kind}{name}")];
            let Some(count) = field("count").as_u64() else { continue };
            let dr = list(field("dr"));
            expected.extend((0..u32::try_from(count).expect("small")).map(|index| Channel {
                freq_hz: number(field("start_hz")) + index * number(field("step_hz")),
                min_dr: dr[0],
                max_dr: dr[1],
            }));
        }
        let plan = plan(region);
        assert_eq!(plan.channels(), expected, "{region:?}");
        assert_eq!(plan.is_fixed(), facts["kind"] == "fixed", "{region:?}");
        assert_eq!(plan.default_channels().count_ones() as usize, expected.len(), "{region:?}");
        assert_eq!(plan.enabled_channels(), plan.default_channels(), "{region:?}");
        let band = list_of_numbers(&facts["freq_range_hz"]);
        assert_eq!((*region.band_hz().start(), *region.band_hz().end()), (band[0], band[1]), "{region:?}");
    }
}

fn list_of_numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(number).collect()
}

#[test]
fn rx1_is_where_the_facts_put_it() {
    for region in Region::ALL {
        let (facts, plan) = (facts(region), plan(region));
        let table = |names: [&str; 2]| -> Option<Vec<Vec<u8>>> {
            let table = names.map(|name| &facts["rx1_offset"][name]).into_iter().find_map(Value::as_array)?;
            Some(table.iter().map(|row| if row.is_null() { Vec::new() } else { list(row) }).collect())
        };
        let dwell_off = table(["table", "table_downlink_dwell0"]).expect("a table");
        let dwell_on = table(["table", "table_downlink_dwell1"]).expect("a table");
        assert_eq!(plan.max_rx1_dr_offset(), small(&facts["rx1_offset"]["max"]), "{region:?}");
        for (index, channel) in plan.channels().iter().enumerate() {
            let down = &facts["downlink"];
            let freq_hz = match down["count"].as_u64() {
                Some(count) => {
                    let index = u32::try_from(index as u64 % count).expect("small");
                    number(&down["start_hz"]) + index * number(&down["step_hz"])
                }
                None => channel.freq_hz,
            };
            for dr in channel.min_dr..=channel.max_dr {
                let rows = [(false, &dwell_off), (true, &dwell_on)];
                let cases = rows.into_iter().flat_map(|(dwell, table)| {
                    (0u8..).zip(&table[usize::from(dr)]).map(move |(offset, rx1_dr)| (dwell, offset, *rx1_dr))
                });
                for (dwell, offset, rx1_dr) in cases {
                    // The offsets 6 and 7, which raise the rate (AS923, IN865), end at DR5 in the regional
                    // parameters up to 1.0.3; the facts have the later table, and say so in a note. Our MAC
                    // ends there too.
                    let rx1_dr = if offset >= 6 { rx1_dr.min(5) } else { rx1_dr };
                    let expected = plan.downlink_rate(rx1_dr).map(|_| (freq_hz, rx1_dr));
                    let found = plan.under_dwell(dwell).rx1(channel.freq_hz, dr, offset);
                    assert_eq!(found, expected, "{region:?} DR{dr}+{offset} {dwell}");
                }
            }
        }
        let rx2 = (number(&facts["rx2"]["freq_hz"]), small(&facts["rx2"]["dr"]));
        assert_eq!(plan.rx2(), rx2, "{region:?}");
        assert!(plan.downlink_rate(rx2.1).is_some() && region.band_hz().contains(&rx2.0), "{region:?}");
    }
}

#[test]
fn payload_sizes_are_those_of_the_facts() {
    for region in Region::ALL {
        let (facts, plan) = (facts(region), plan(region));
        let sizes = facts["max_M"]["dwell0"]["no_repeater"].as_array().expect("a list");
        for (dr, size) in (0u8..).zip(sizes).filter(|(dr, _)| plan.downlink_rate(*dr).is_some()) {
            // N is M less FHDR and FPort.
            let expected = number(size) as usize - 8;
            let is_as923 = region.name().starts_with("AS923");
            let agreed = if is_as923 && dr == 2 {
                // 59 in the regional parameters 1.0.3, 123 from RP002-1.0.1: the shorter fits both.
                51
            } else {
                expected
            };
            assert_eq!(plan.max_payload(dr), agreed, "{region:?} DR{dr}");
        }
        assert_eq!(plan.longest_payload(), 242, "{region:?}");
        let under_dwell = facts["max_M"]["dwell1"]["no_repeater"].as_array().unwrap_or(sizes);
        for dr in (0..16).filter(|dr| plan.downlink_rate(*dr).is_some()) {
            // A data rate that is too slow for 400 ms carries nothing.
            let size = under_dwell[usize::from(dr)].as_u64().map_or(0, |size| size as usize - 8);
            assert_eq!(plan.under_dwell(true).max_payload(dr), size, "{region:?} DR{dr}");
        }
    }
}

#[test]
fn power_steps_are_those_of_the_facts() {
    for region in Region::ALL {
        let (facts, plan) = (facts(region), plan(region));
        let known = small(&facts["tx_power"]["max_index"]);
        // 10 in the regional parameters 1.0.2 and 1.0.3, 14 later, as the facts' note says.
        let agreed = if region == Region::Us915 { 10 } else { known };
        assert_eq!(plan.max_tx_power(), agreed, "{region:?}");
    }
}
