//! Templates: all settings but identity, as a JSON file to give to other devices of the same model and channel plan
//! (guide, section 3.5.2).
//!
//! A field that a template does not name stays as it is. What is secret or belongs to one device alone (keys, password
//! and the DevAddr of ABP) is written only on request.

mod json;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use crate::channels::{ChannelSet, ListError};
use crate::d2d::{Action, D2d, D2dCommand};
use crate::field::Group;
use crate::general::{ButtonLock, General, PowerRestore, Threshold};
use crate::lorawan::{Activation, LoRaWan, Version};
use crate::region::PlanKind;
use crate::secret::{Key, Password};
use crate::value::group_of;
use crate::{Model, MulticastGroup, Region, Settings};

use json::Object;

/// Says whether keys, password and DevAddr go into a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They stay out, and the devices keep their own.
    Omit,
    /// They are written in clear.
    Include,
}

/// Says why a template is refused; printed it is a sentence that names the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The text is not JSON.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// A field is missing that must be there.
    Missing {
        /// The path of the field.
        path: String,
    },
    /// There is no field of this name.
    Unknown {
        /// The path of the field.
        path: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The value is of another kind.
    Kind {
        /// The path of the field.
        path: String,
        /// What is expected.
        expected: &'static str,
    },
    /// The number is outside its range by far.
    OutOfRange {
        /// The path of the field.
        path: String,
        /// The number.
        value: i64,
    },
    /// The channel list is wrong.
    ChannelList(ListError),
    /// The template is for another model.
    OtherModel {
        /// What the template says.
        template: String,
        /// The device's model.
        device: Model,
    },
    /// The template is for another channel plan.
    OtherRegion {
        /// What the template says.
        template: String,
        /// The device's plan.
        device: Region,
    },
    /// A rule is broken.
    Rule(crate::Error),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Syntax { line, column, what } => {
                write!(f, "the template is not JSON: line {line}, column {column}: {what}")
            }
            Self::Missing { path } => write!(f, "{path}: is missing"),
            Self::Unknown { path, known } => {
                write!(f, "{path}: there is no such field; there are {}", known.join(", "))
            }
            Self::Kind { path, expected } => write!(f, "{path}: expected {expected}"),
            Self::OutOfRange { path, value } => write!(f, "{path}: {value} is outside its range"),
            Self::ChannelList(error) => write!(f, "lorawan.channels: {error}"),
            Self::OtherModel { template, device } => {
                write!(f, "model: the template is for {template}, the device is {device}")
            }
            Self::OtherRegion { template, device } => {
                write!(f, "region: the template is for {template}, the device is set to {device}")
            }
            Self::Rule(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}

const ACTIVATIONS: [(&str, Activation); 2] = [("OTAA", Activation::Otaa), ("ABP", Activation::Abp)];
const VERSIONS: [(&str, Version); 2] = [("1.0.2", Version::V1_0_2), ("1.0.3", Version::V1_0_3)];
const RESTORES: [(&str, PowerRestore); 3] =
    [("off", PowerRestore::Off), ("on", PowerRestore::On), ("previous", PowerRestore::Previous)];
const ACTIONS: [(&str, Action); 3] = [("off", Action::Off), ("on", Action::On), ("toggle", Action::Toggle)];
const GROUPS: [(&str, Group); 4] =
    [("group_1", Group::One), ("group_2", Group::Two), ("group_3", Group::Three), ("group_4", Group::Four)];

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> Value {
    names.iter().find(|(_, it)| it == value).map_or("", |(name, _)| name).into()
}

/// Returns a template of the settings.
pub fn to_json(settings: &Settings, model: Model, secrets: Secrets) -> String {
    let lorawan = &settings.lorawan;
    let mut groups = Map::new();
    for ((name, _), group) in GROUPS.iter().zip(&settings.multicast) {
        groups.insert((*name).to_string(), group_to(group, secrets));
    }
    let template = json::object([
        ("model", Some(model.name().into())),
        ("region", Some(lorawan.region.name().into())),
        ("lorawan", Some(lorawan_to(lorawan, secrets))),
        ("multicast", Some(Value::Object(groups))),
        ("general", Some(general_to(&settings.general, secrets))),
        ("d2d", Some(d2d_to(&settings.d2d, secrets))),
    ]);
    format!("{template:#}\n")
}

fn secret(secrets: Secrets, value: impl FnOnce() -> Value) -> Option<Value> {
    (secrets == Secrets::Include).then(value)
}

fn lorawan_to(lorawan: &LoRaWan, secrets: Secrets) -> Value {
    let used = lorawan.channels.frequency_hz.iter().rposition(|&hz| hz != 0).map_or(0, |last| last + 1);
    let frequencies: Vec<Value> =
        lorawan.channels.frequency_hz.iter().take(used).map(|&hz| hz.into()).collect();
    let dynamic = lorawan.region.kind() == PlanKind::Dynamic;
    json::object([
        ("join_eui", Some(json::hex(&lorawan.join_eui))),
        ("application_port", Some(lorawan.application_port.into())),
        ("activation", Some(name_of(&ACTIVATIONS, &lorawan.activation))),
        ("app_key", secret(secrets, || json::hex(lorawan.app_key.as_bytes()))),
        ("dev_addr", secret(secrets, || json::hex(&lorawan.dev_addr.to_be_bytes()))),
        ("nwk_s_key", secret(secrets, || json::hex(lorawan.nwk_s_key.as_bytes()))),
        ("app_s_key", secret(secrets, || json::hex(lorawan.app_s_key.as_bytes()))),
        ("version", Some(name_of(&VERSIONS, &lorawan.version))),
        ("rx2_data_rate", Some(lorawan.rx2_data_rate.into())),
        ("rx2_frequency_hz", Some(lorawan.rx2_frequency_hz.into())),
        ("channels", Some(lorawan.channels.enabled.display(lorawan.region).to_string().into())),
        ("channel_frequencies_hz", dynamic.then_some(Value::Array(frequencies))),
        ("single_channel", Some(lorawan.single_channel.into())),
        ("confirmed", Some(lorawan.confirmed.into())),
        ("rejoin", Some(lorawan.rejoin.into())),
        ("rejoin_packets", Some(lorawan.rejoin_packets.into())),
        ("adr", Some(lorawan.adr.into())),
        ("data_rate", Some(lorawan.data_rate.into())),
        ("tx_power_dbm", Some(lorawan.tx_power_dbm.into())),
    ])
}

fn group_to(group: &MulticastGroup, secrets: Secrets) -> Value {
    json::object([
        ("enabled", Some(group.enabled.into())),
        ("dev_addr", Some(json::hex(&group.dev_addr.to_be_bytes()))),
        ("nwk_s_key", secret(secrets, || json::hex(group.nwk_s_key.as_bytes()))),
        ("app_s_key", secret(secrets, || json::hex(group.app_s_key.as_bytes()))),
    ])
}

fn threshold_to(threshold: Threshold) -> Value {
    json::object([
        ("enabled", Some(threshold.enabled.into())),
        ("current_a", Some(threshold.current_a.into())),
    ])
}

fn general_to(general: &General, secrets: Secrets) -> Value {
    let lock = json::object([
        ("enabled", Some(general.button_lock.enabled.into())),
        ("minutes", Some(general.button_lock.minutes.into())),
    ]);
    let password = || String::from_utf8_lossy(general.password.as_bytes()).into_owned().into();
    json::object([
        ("reporting_interval_s", Some(general.reporting_interval_s.into())),
        ("led", Some(general.led.into())),
        ("power_consumption", Some(general.power_consumption.into())),
        ("power_restore", Some(name_of(&RESTORES, &general.power_restore))),
        ("button_lock", Some(lock)),
        ("overcurrent_alarm", Some(threshold_to(general.overcurrent_alarm))),
        ("overcurrent_protection", Some(threshold_to(general.overcurrent_protection))),
        ("password", secret(secrets, password)),
    ])
}

fn d2d_to(d2d: &D2d, secrets: Secrets) -> Value {
    let command = |command: &D2dCommand| {
        json::object([
            ("command", Some(json::hex(&command.code.to_be_bytes()))),
            ("action", Some(name_of(&ACTIONS, &command.action))),
        ])
    };
    json::object([
        ("enabled", Some(d2d.enabled.into())),
        ("key", secret(secrets, || json::hex(d2d.key.as_bytes()))),
        ("commands", Some(d2d.commands.iter().map(command).collect())),
    ])
}

/// Reads a template and returns the settings that it makes of the present ones.
///
/// All or nothing: the rules are checked on the whole.
///
/// # Errors
/// The text is not JSON, is for another model or channel plan, names a field that does not exist, holds a value of the
/// wrong kind or breaks a rule. The error names the field.
pub fn from_json(text: &str, model: Model, present: &Settings) -> Result<Settings, Error> {
    let value: Value = serde_json::from_str(text).map_err(|error| json::syntax(&error))?;
    let mut top = Object::top(value)?;
    let mut settings = present.clone();

    let template = top.text("model")?.ok_or_else(|| top.missing("model"))?;
    if Model::from_name(&template) != Some(model) {
        return Err(Error::OtherModel { template, device: model });
    }
    let region = settings.lorawan.region;
    let template = top.text("region")?.ok_or_else(|| top.missing("region"))?;
    if Region::from_name(&template) != Some(region) {
        return Err(Error::OtherRegion { template, device: region });
    }

    top.object("lorawan", |object| lorawan_from(object, &mut settings.lorawan))?;
    top.object("multicast", |groups| {
        for (name, group) in GROUPS {
            groups.object(name, |object| group_from(object, group_of(&mut settings.multicast, group)))?;
        }
        Ok(())
    })?;
    top.object("general", |object| general_from(object, &mut settings.general))?;
    top.object("d2d", |object| d2d_from(object, &mut settings.d2d))?;
    top.end()?;

    settings.validate(model).map_err(Error::Rule)?;
    Ok(settings)
}

fn lorawan_from(object: &mut Object, lorawan: &mut LoRaWan) -> Result<(), Error> {
    let region = lorawan.region;
    object.hex("join_eui", &mut lorawan.join_eui)?;
    object.number("application_port", &mut lorawan.application_port)?;
    object.one_of("activation", "OTAA or ABP", &ACTIVATIONS, &mut lorawan.activation)?;
    key_from(object, "app_key", &mut lorawan.app_key)?;
    address_from(object, "dev_addr", &mut lorawan.dev_addr)?;
    key_from(object, "nwk_s_key", &mut lorawan.nwk_s_key)?;
    key_from(object, "app_s_key", &mut lorawan.app_s_key)?;
    object.one_of("version", "1.0.2 or 1.0.3", &VERSIONS, &mut lorawan.version)?;
    object.number("rx2_data_rate", &mut lorawan.rx2_data_rate)?;
    object.number("rx2_frequency_hz", &mut lorawan.rx2_frequency_hz)?;
    if let Some(list) = object.text("channels")? {
        lorawan.channels.enabled = ChannelSet::parse(&list, region).map_err(Error::ChannelList)?;
    }
    if let Some(list) = object.list("channel_frequencies_hz")? {
        const EXPECTED: &str = "at most 16 frequencies in hertz, 0 for a channel that is not used";
        let wrong = || object.kind("channel_frequencies_hz", EXPECTED);
        let all = &mut lorawan.channels.frequency_hz;
        if list.len() > all.len() {
            return Err(wrong());
        }
        all.fill(0);
        for (to, from) in all.iter_mut().zip(list) {
            *to = from.as_u64().and_then(|hz| u32::try_from(hz).ok()).ok_or_else(wrong)?;
        }
    }
    object.flag("single_channel", &mut lorawan.single_channel)?;
    object.flag("confirmed", &mut lorawan.confirmed)?;
    object.flag("rejoin", &mut lorawan.rejoin)?;
    object.number("rejoin_packets", &mut lorawan.rejoin_packets)?;
    object.flag("adr", &mut lorawan.adr)?;
    object.number("data_rate", &mut lorawan.data_rate)?;
    object.number("tx_power_dbm", &mut lorawan.tx_power_dbm)
}

fn group_from(object: &mut Object, group: &mut MulticastGroup) -> Result<(), Error> {
    object.flag("enabled", &mut group.enabled)?;
    address_from(object, "dev_addr", &mut group.dev_addr)?;
    key_from(object, "nwk_s_key", &mut group.nwk_s_key)?;
    key_from(object, "app_s_key", &mut group.app_s_key)
}

fn general_from(object: &mut Object, general: &mut General) -> Result<(), Error> {
    object.number("reporting_interval_s", &mut general.reporting_interval_s)?;
    object.flag("led", &mut general.led)?;
    object.flag("power_consumption", &mut general.power_consumption)?;
    object.one_of("power_restore", "off, on or previous", &RESTORES, &mut general.power_restore)?;
    object.object("button_lock", |lock| {
        let ButtonLock { enabled, minutes } = &mut general.button_lock;
        lock.flag("enabled", enabled)?;
        lock.number("minutes", minutes)
    })?;
    object.object("overcurrent_alarm", |it| threshold_from(it, &mut general.overcurrent_alarm))?;
    object.object("overcurrent_protection", |it| threshold_from(it, &mut general.overcurrent_protection))?;
    if let Some(digits) = object.text("password")? {
        general.password = Password::new(digits.as_bytes())
            .ok_or_else(|| object.kind("password", "six digits in quotes"))?;
    }
    Ok(())
}

fn threshold_from(object: &mut Object, threshold: &mut Threshold) -> Result<(), Error> {
    object.flag("enabled", &mut threshold.enabled)?;
    object.number("current_a", &mut threshold.current_a)
}

fn d2d_from(object: &mut Object, d2d: &mut D2d) -> Result<(), Error> {
    object.flag("enabled", &mut d2d.enabled)?;
    key_from(object, "key", &mut d2d.key)?;
    let Some(list) = object.list("commands")? else { return Ok(()) };
    let mut commands = heapless::Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let mut entry = object.entry("commands", index, value)?;
        let mut code = [0; 2];
        if !entry.hex("command", &mut code)? {
            return Err(entry.missing("command"));
        }
        let mut action = None;
        entry.one_of(
            "action",
            "off, on or toggle",
            &ACTIONS.map(|(name, it)| (name, Some(it))),
            &mut action,
        )?;
        let action = action.ok_or_else(|| entry.missing("action"))?;
        entry.end()?;
        commands
            .push(D2dCommand { code: u16::from_be_bytes(code), action })
            .map_err(|_| object.kind("commands", "at most 16 commands"))?;
    }
    d2d.commands = commands;
    Ok(())
}

fn key_from(object: &mut Object, name: &'static str, key: &mut Key) -> Result<(), Error> {
    let mut bytes = *key.as_bytes();
    object.hex(name, &mut bytes)?;
    *key = Key::new(bytes);
    Ok(())
}

fn address_from(object: &mut Object, name: &'static str, address: &mut u32) -> Result<(), Error> {
    let mut bytes = address.to_be_bytes();
    object.hex(name, &mut bytes)?;
    *address = u32::from_be_bytes(bytes);
    Ok(())
}
