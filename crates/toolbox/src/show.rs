//! What was read, as JSON: for `--json` and for the web page.

use serde_json::{Value, json};
use sockeye_nfc::{Status, Upgrade};
use sockeye_settings::template::{Secrets, Template};
use sockeye_settings::{Model, Settings};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Writes a version as the guide does: `01 40` is V1.4 of the hardware, `01 14` is V1.14 of the software.
fn hardware([major, minor]: [u8; 2]) -> String {
    format!("{major}.{}", minor >> 4)
}

fn software([major, minor]: [u8; 2]) -> String {
    format!("{major}.{minor:x}")
}

/// Returns a status as JSON.
#[must_use]
pub fn status_json(status: &Status) -> Value {
    let faults = &status.faults;
    let reset_cause = match status.reset_cause {
        0 => "power",
        1 => "told to",
        2 => "watchdog",
        _ => "fault",
    };
    json!({
        "model": status.model.name(),
        "region": status.region.name(),
        "sn": hex(&status.sn),
        "dev_eui": hex(&status.dev_eui),
        "hardware_version": hardware(status.hardware_version),
        "software_version": software(status.software_version),
        "relay_on": status.relay_on,
        "joined": status.joined,
        "measured": status.measured,
        "voltage_mv": status.voltage_mv,
        "current_ma": status.current_ma,
        "power_mw": status.power_mw,
        "power_factor_permille": status.power_factor_permille,
        "energy_wh": status.energy_wh,
        "uptime_s": status.uptime_s,
        "reset_cause": reset_cause,
        "faults": {
            "commands": faults.commands,
            "meter": faults.meter,
            "readings": faults.readings,
            "stores": faults.stores,
        },
        "upgrade": upgrade_json(&status.upgrade),
        "wait_s": status.wait_s,
        "max_request": status.max_request,
    })
}

/// Returns how an upgrade stands as JSON.
#[must_use]
pub fn upgrade_json(upgrade: &Upgrade) -> Value {
    let refused = sockeye_upgrade::Refusal::from_code(upgrade.refused, upgrade.received);
    json!({
        "state": upgrade.state.name(),
        "refused": refused.map(|refused| refused.to_string()),
        "received": upgrade.received,
        "total": upgrade.total,
    })
}

/// Returns settings as JSON, in the form of a template, with the DevAddr and without what is secret.
#[must_use]
pub fn settings_json(settings: &Settings, model: Model) -> Value {
    let text = Template::of(settings, model, Secrets::Omit).to_json();
    let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(lorawan) = value.get_mut("lorawan").and_then(Value::as_object_mut) {
        let address = hex(&settings.lorawan.dev_addr.to_be_bytes());
        lorawan.insert("dev_addr".into(), json!(address));
    }
    value
}
