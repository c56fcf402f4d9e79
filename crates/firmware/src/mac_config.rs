//! From the socket's settings to the MAC's.

use sockeye_lorawan_mac as mac;
use sockeye_settings::{Activation, ChannelSet, Identity, PlanKind, Region, Settings};

/// The least time between two link checks.
const HALF_AN_HOUR_S: u32 = 1800;

/// Names the MAC's channel plan.
pub(crate) fn mac_region(region: Region) -> mac::Region {
    match region {
        Region::Eu868 => mac::Region::Eu868,
        Region::Us915 => mac::Region::Us915,
        Region::Au915 => mac::Region::Au915,
        Region::As923_1 => mac::Region::As923_1,
        Region::As923_2 => mac::Region::As923_2,
        Region::As923_3 => mac::Region::As923_3,
        Region::As923_4 => mac::Region::As923_4,
        Region::Kr920 => mac::Region::Kr920,
        Region::In865 => mac::Region::In865,
        Region::Ru864 => mac::Region::Ru864,
        Region::Eu433 => mac::Region::Eu433,
        Region::Cn470 => mac::Region::Cn470,
    }
}

/// Makes the MAC's settings.
pub(crate) fn mac_config(settings: &Settings, identity: &Identity) -> mac::Config {
    let lorawan = &settings.lorawan;
    let activation = match lorawan.activation {
        Activation::Otaa => mac::Activation::Otaa {
            dev_eui: identity.dev_eui,
            join_eui: lorawan.join_eui,
            app_key: mac::Key(*lorawan.app_key.as_bytes()),
        },
        Activation::Abp => mac::Activation::Abp {
            dev_addr: lorawan.dev_addr,
            nwk_skey: mac::Key(*lorawan.nwk_s_key.as_bytes()),
            app_skey: mac::Key(*lorawan.app_s_key.as_bytes()),
        },
    };
    let mut config = mac::Config::new(mac_region(lorawan.region), activation);
    // D2D needs no network (guide section 3.4).
    config.rxc_without_session = settings.d2d.enabled;
    config.adr = lorawan.adr;
    config.data_rate = lorawan.data_rate;
    config.tx_power_dbm = lorawan.tx_power_dbm;
    config.rx2 = Some(mac::Rx2 { frequency_hz: lorawan.rx2_frequency_hz, data_rate: lorawan.rx2_data_rate });
    config.rejoin = lorawan.rejoin.then(|| mac::Rejoin {
        interval_s: check_interval_s(settings.general.reporting_interval_s),
        packets: lorawan.rejoin_packets,
    });
    config.fixed_channels = lorawan.single_channel;
    match lorawan.region.kind() {
        PlanKind::Dynamic => config.channels_hz = channels_hz(settings),
        PlanKind::Fixed => config.channel_mask = channel_mask(settings),
    }
    for (place, group) in config.multicast.iter_mut().zip(&settings.multicast) {
        *place = group.enabled.then(|| mac::MulticastGroup {
            dev_addr: group.dev_addr,
            nwk_skey: mac::Key(*group.nwk_s_key.as_bytes()),
            app_skey: mac::Key(*group.app_s_key.as_bytes()),
            min_fcnt: 0,
            max_fcnt: u32::MAX,
        });
    }
    config
}

/// Tells how often the link is checked (guide section 3.2.1, "Rejoin Mode"): every 30 minutes, or every reporting interval
/// if that is longer.
pub(crate) fn check_interval_s(reporting_interval_s: u32) -> u32 {
    reporting_interval_s.max(HALF_AN_HOUR_S)
}

/// Gives the channels of a fixed plan to send on, or none where they are all of them.
fn channel_mask(settings: &Settings) -> Option<[u32; 3]> {
    let lorawan = &settings.lorawan;
    let all = lorawan.channels.enabled == ChannelSet::all(lorawan.region);
    (!all).then_some(lorawan.channels.enabled.words())
}

/// Gives the frequencies to send on, or none where they are the plan's own.
fn channels_hz(settings: &Settings) -> Option<[u32; 16]> {
    let lorawan = &settings.lorawan;
    let usable = lorawan.channels.usable(lorawan.region);
    let mut frequency_hz = lorawan.channels.frequency_hz;
    for (channel, frequency_hz) in (0..).zip(&mut frequency_hz) {
        if !usable.contains(channel) {
            *frequency_hz = 0;
        }
    }
    let own = lorawan.region.default_channels_hz();
    let same = frequency_hz.iter().copied().eq(own.iter().copied().chain(core::iter::repeat(0)).take(16));
    (!same).then_some(frequency_hz)
}

/// Tells whether the settings leave no channel to send on (`Null`): the device is silent then.
pub(crate) fn is_silent(settings: &Settings) -> bool {
    settings.lorawan.channels.usable(settings.lorawan.region).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_settings::{Key, Model};

    fn identity() -> Identity {
        Identity {
            sn: [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, 0x05],
            dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
            model: Model::Eu,
            app_key: Key::DEFAULT,
            hardware_version: [1, 0x40],
        }
    }

    #[test]
    fn the_default_settings_leave_the_plan_as_it_is() {
        let settings = Settings::default_for(Region::Eu868, &identity());
        let config = mac_config(&settings, &identity());
        assert_eq!(config.channels_hz, None);
        assert!(config.class_c && config.adr);
        assert_eq!(config.rx2, Some(mac::Rx2 { frequency_hz: 869_525_000, data_rate: 0 }));
        assert!(!is_silent(&settings));
    }

    #[test]
    fn an_edited_channel_list_reaches_the_mac() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.lorawan.channels.frequency_hz[3] = 867_100_000;
        let hz = mac_config(&settings, &identity()).channels_hz.unwrap();
        assert_eq!(hz[..5], [868_100_000, 868_300_000, 868_500_000, 867_100_000, 0]);
        settings.lorawan.channels.enabled = ChannelSet::EMPTY.with(1);
        let hz = mac_config(&settings, &identity()).channels_hz.unwrap();
        assert_eq!(hz[..5], [0, 868_300_000, 0, 0, 0]);
    }

    #[test]
    fn no_channel_means_silence() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.lorawan.channels.enabled = ChannelSet::EMPTY;
        assert!(is_silent(&settings));
    }

    #[test]
    fn an_abp_device_starts_with_the_address_of_its_serial_number() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.lorawan.activation = Activation::Abp;
        let config = mac_config(&settings, &identity());
        let mac::Activation::Abp { dev_addr, .. } = config.activation else { panic!("not ABP") };
        assert_eq!(dev_addr, 0x3c37_1943);
    }

    #[test]
    fn every_plan_of_the_settings_has_its_defaults_in_the_mac() {
        for region in Region::ALL {
            let settings = Settings::default_for(region, &identity());
            let config = mac_config(&settings, &identity());
            // Both count the plans in the same order.
            let place = Region::ALL.iter().position(|&other| other == region).unwrap();
            assert_eq!(mac::Region::ALL.iter().position(|&other| other == config.region), Some(place));
            let untouched = mac::Config::new(config.region, config.activation);
            assert_eq!(config.channels_hz, None, "{region:?}");
            assert_eq!(config.channel_mask, None, "{region:?}");
            assert_eq!(config.tx_power_dbm, untouched.tx_power_dbm, "{region:?}");
            let _ = mac::Mac::new(config, mac::Restored::default(), 0);
        }
    }

    #[test]
    fn a_bank_of_a_fixed_plan_reaches_the_mac_as_a_mask() {
        let mut settings = Settings::default_for(Region::Us915, &identity());
        settings.lorawan.channels.enabled = ChannelSet::parse("8-15,65", Region::Us915).unwrap();
        let config = mac_config(&settings, &identity());
        assert_eq!(config.channel_mask, Some([0xff00, 0, 1 << 1]));
        assert_eq!(config.channels_hz, None);
    }

    #[test]
    fn the_link_is_checked_every_half_an_hour_or_less_often() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        for (reporting_s, checked_s) in [(60, 1800), (1800, 1800), (7200, 7200)] {
            settings.general.reporting_interval_s = reporting_s;
            let rejoin = mac_config(&settings, &identity()).rejoin;
            assert_eq!(rejoin, Some(mac::Rejoin { interval_s: checked_s, packets: 32 }));
        }
        settings.lorawan.rejoin = false;
        assert_eq!(mac_config(&settings, &identity()).rejoin, None);
    }

    #[test]
    fn only_enabled_groups_reach_the_mac() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        assert_eq!(mac_config(&settings, &identity()).multicast, [None; 4]);
        settings.multicast[2].enabled = true;
        let [None, None, Some(group), None] = mac_config(&settings, &identity()).multicast else {
            panic!("the third group");
        };
        assert_eq!(group.dev_addr, 0x3333_3333);
    }
}
