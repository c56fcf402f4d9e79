//! What the tests share: a device, and settings of every shape.
#![allow(dead_code, reason = "each test file uses its part")]

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use sockeye_settings::{
    Action, Activation, ButtonLock, ChannelSet, Channels, D2d, D2dCommand, General, Identity, Key, LoRaWan,
    Model, MulticastGroup, Password, PlanKind, PowerRestore, Region, Settings, Threshold, Version,
};

pub fn identity(model: Model) -> Identity {
    Identity {
        sn: [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55],
        dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
        model,
        app_key: Key::new(*b"factory's secret"),
        hardware_version: [1, 0x40],
    }
}

pub fn region() -> impl Strategy<Value = Region> {
    proptest::sample::select(&Region::ALL[..])
}

pub fn model() -> impl Strategy<Value = Model> {
    proptest::sample::select(&Model::ALL[..])
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 16]>().prop_map(Key::new)
}

pub fn channel_set(region: Region) -> impl Strategy<Value = ChannelSet> {
    let count = region.channel_count();
    let some = btree_set(0..count, 0..usize::from(count))
        .prop_map(|set| set.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with));
    // Runs, which are what people write.
    let runs = vec((0..count, 0..count), 1..4).prop_map(|runs| {
        runs.into_iter().flat_map(|(a, b)| a.min(b)..=a.max(b)).fold(ChannelSet::EMPTY, ChannelSet::with)
    });
    prop_oneof![some, runs, Just(ChannelSet::EMPTY), Just(ChannelSet::all(region))]
}

fn channels(region: Region) -> impl Strategy<Value = Channels> {
    let defaults = Channels::default_for(region);
    let extra = match region.kind() {
        PlanKind::Fixed => Just([false; 16]).boxed(),
        PlanKind::Dynamic => any::<[bool; 16]>().boxed(),
    };
    (channel_set(region), extra).prop_map(move |(enabled, extra)| {
        let mut channels = Channels { enabled, ..defaults.clone() };
        // KR920 is the only plan with a grid, of 200 kHz; its first three channels lie on it.
        for (index, _) in extra.into_iter().enumerate().filter(|&(_, used)| used) {
            channels.frequency_hz[index] = defaults.frequency_hz[index % 2];
        }
        channels
    })
}

fn lorawan(region: Region) -> impl Strategy<Value = LoRaWan> {
    let template = Settings::default_for(region, &identity(Model::Eu)).lorawan;
    let (rx2_first, rx2_last) = region.rx2_data_rates();
    let (first, last) = region.uplink_data_rates();
    let ids = (any::<[u8; 8]>(), 1u8..=223, any::<bool>(), key(), any::<u32>(), key(), key(), any::<bool>());
    let radio = (rx2_first..=rx2_last, channels(region), first..=last, 0..=region.max_eirp_dbm());
    let modes = (any::<bool>(), any::<bool>(), 1u8..=255, any::<bool>());
    (ids, radio, modes).prop_map(move |(ids, radio, modes)| {
        let (join_eui, application_port, abp, app_key, dev_addr, nwk_s_key, app_s_key, older) = ids;
        let (rx2_data_rate, channels, data_rate, tx_power_dbm) = radio;
        let (confirmed, rejoin, rejoin_packets, adr) = modes;
        LoRaWan {
            join_eui,
            application_port,
            activation: if abp { Activation::Abp } else { Activation::Otaa },
            app_key,
            dev_addr,
            nwk_s_key,
            app_s_key,
            version: if older { Version::V1_0_2 } else { Version::V1_0_3 },
            rx2_data_rate,
            single_channel: channels.usable(region).len() == 1,
            channels,
            confirmed,
            rejoin,
            rejoin_packets,
            adr,
            data_rate,
            tx_power_dbm,
            ..template.clone()
        }
    })
}

fn general(model: Model) -> impl Strategy<Value = General> {
    let threshold = move || {
        (any::<bool>(), 1..=model.rated_current_a())
            .prop_map(|(enabled, current_a)| Threshold { enabled, current_a })
    };
    let restore = prop_oneof![Just(PowerRestore::Off), Just(PowerRestore::On), Just(PowerRestore::Previous)];
    let lock = (any::<bool>(), 0u16..0x8000).prop_map(|(enabled, minutes)| ButtonLock { enabled, minutes });
    let password = "[0-9]{6}".prop_map(|digits| Password::new(digits.as_bytes()).unwrap());
    (60u32..=64_800, any::<bool>(), any::<bool>(), restore, lock, threshold(), threshold(), password)
        .prop_map(
            |(
                reporting_interval_s,
                led,
                power_consumption,
                power_restore,
                button_lock,
                alarm,
                protection,
                password,
            )| {
                General {
                    reporting_interval_s,
                    led,
                    power_consumption,
                    power_restore,
                    button_lock,
                    overcurrent_alarm: alarm,
                    overcurrent_protection: protection,
                    password,
                }
            },
        )
}

fn d2d() -> impl Strategy<Value = D2d> {
    let action = prop_oneof![Just(Action::Off), Just(Action::On), Just(Action::Toggle)];
    (any::<bool>(), key(), btree_map(any::<u16>(), action, 0..=16)).prop_map(|(enabled, key, commands)| D2d {
        enabled,
        key,
        commands: commands.into_iter().map(|(code, action)| D2dCommand { code, action }).collect(),
    })
}

fn group() -> impl Strategy<Value = MulticastGroup> {
    (any::<bool>(), any::<u32>(), key(), key()).prop_map(|(enabled, dev_addr, nwk_s_key, app_s_key)| {
        MulticastGroup { enabled, dev_addr, nwk_s_key, app_s_key }
    })
}

/// Settings that hold all rules, with the region and the model that they are for.
pub fn settings() -> impl Strategy<Value = (Region, Model, Settings)> {
    (region(), model()).prop_flat_map(|(region, model)| {
        let multicast = [group(), group(), group(), group()];
        (lorawan(region), multicast, general(model), d2d())
            .prop_map(|(lorawan, multicast, general, d2d)| Settings { lorawan, multicast, general, d2d })
            .prop_filter("rules between fields", move |settings| settings.validate(model).is_ok())
            .prop_map(move |settings| (region, model, settings))
    })
}
