//! From the socket's settings to the MAC's.

use sockeye_lorawan_mac as mac;
use sockeye_settings::{Activation, Identity, Region, Settings};

/// Names the MAC's channel plan, if this firmware has it.
pub(crate) fn mac_region(region: Region) -> Option<mac::Region> {
    match region {
        Region::Eu868 => Some(mac::Region::Eu868),
        _ => None,
    }
}

/// Makes the MAC's settings; none if the channel plan is not in this firmware.
pub(crate) fn mac_config(settings: &Settings, identity: &Identity) -> Option<mac::Config> {
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
    let mut config = mac::Config::new(mac_region(lorawan.region)?, activation);
    config.adr = lorawan.adr;
    config.data_rate = lorawan.data_rate;
    config.tx_power_dbm = lorawan.tx_power_dbm;
    config.rx2 = Some(mac::Rx2 { frequency_hz: lorawan.rx2_frequency_hz, data_rate: lorawan.rx2_data_rate });
    config.channels_hz = channels_hz(settings);
    Some(config)
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
    use sockeye_settings::{ChannelSet, Key, Model};

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
        let config = mac_config(&settings, &identity()).unwrap();
        assert_eq!(config.channels_hz, None);
        assert!(config.class_c && config.adr);
        assert_eq!(config.rx2, Some(mac::Rx2 { frequency_hz: 869_525_000, data_rate: 0 }));
        assert!(!is_silent(&settings));
    }

    #[test]
    fn an_edited_channel_list_reaches_the_mac() {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.lorawan.channels.frequency_hz[3] = 867_100_000;
        let hz = mac_config(&settings, &identity()).unwrap().channels_hz.unwrap();
        assert_eq!(hz[..5], [868_100_000, 868_300_000, 868_500_000, 867_100_000, 0]);
        settings.lorawan.channels.enabled = ChannelSet::EMPTY.with(1);
        let hz = mac_config(&settings, &identity()).unwrap().channels_hz.unwrap();
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
        let config = mac_config(&settings, &identity()).unwrap();
        let mac::Activation::Abp { dev_addr, .. } = config.activation else { panic!("not ABP") };
        assert_eq!(dev_addr, 0x3c37_1943);
    }

    #[test]
    fn a_plan_that_is_not_here_gives_no_mac() {
        let settings = Settings::default_for(Region::Us915, &identity());
        assert!(mac_config(&settings, &identity()).is_none());
    }
}
