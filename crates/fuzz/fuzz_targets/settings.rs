//! Any bytes as a stored form, a channel list, a template and what is typed (`KEY=VALUE`): no panic, and only settings that hold all rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_settings::{ChannelSet, Identity, Key, MAX_STORED, Model, Region, Settings, template};

fn identity(model: Model) -> Identity {
    Identity {
        sn: [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55],
        dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, 0x43],
        model,
        app_key: Key::DEFAULT,
        hardware_version: [1, 0x40],
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let region = Region::ALL[usize::from(choice) % Region::ALL.len()];
    let model = Model::ALL[usize::from(choice) % Model::ALL.len()];
    let identity = identity(model);

    let _ = Identity::decode(bytes);

    if let Ok(decoded) = Settings::decode(bytes, region, &identity) {
        assert_eq!(decoded.settings.validate(model), Ok(()));
        let mut out = [0; MAX_STORED];
        let len = decoded.settings.encode(&mut out).expect("the stored form has its room");
        let again = Settings::decode(&out[..len], region, &identity).expect("what was written is read");
        assert_eq!(again.settings, decoded.settings);
        assert!(again.fallen_back.is_empty() && again.unknown == 0 && !again.truncated);
        let mut kept = vec![0; MAX_STORED + bytes.len()];
        let len = decoded.settings.encode_keeping(bytes, &mut kept).expect("and so have the fields kept");
        let again = Settings::decode(&kept[..len], region, &identity).expect("what was written is read");
        assert_eq!((again.settings, again.unknown), (decoded.settings, decoded.unknown));
    }

    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(set) = ChannelSet::parse(text, region) {
        let printed = set.display(region).to_string();
        assert_eq!(ChannelSet::parse(&printed, region), Ok(set));
        assert!(set.is_empty() || printed.len() <= text.len());
    }

    let present = Settings::default_for(region, &identity);
    if let Some((key, value)) = text.split_once('=') {
        let mut typed = present.clone();
        if let Ok(field) = template::set_text(&mut typed, model, key, value) {
            assert_eq!(template::text_of(&typed, field) == "…", field.is_secret());
        }
    }
    match template::from_json(text, model, &present) {
        Ok(settings) => {
            assert_eq!(settings.validate(model), Ok(()));
            let text = template::to_json(&settings, model, template::Secrets::Include);
            assert_eq!(template::from_json(&text, model, &present), Ok(settings));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
