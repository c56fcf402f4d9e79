//! Settings as people type them on a command line: `KEY=VALUE`, and the differences between two sockets.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Value, json};

use super::{Error, json as form};
use crate::describe::Kind;
use crate::field::Reason;
use crate::value::Slot;
use crate::{Field, Model, Region, Settings};

/// Sets one field by its name and a value as people type it; the rules between fields are checked later, on the whole
/// ([`Settings::validate`]).
///
/// `key` is a field's path or as much of its end as is unlike that of all others (`led`,
/// `group_1.enabled`, `overcurrent_alarm.current_a`). Flags are `on`, `off`, `yes`, `no`, `true` or `false`; a threshold is
/// `off`, `on` or `12A`; a button lock `off`, `on` or `30min`; any number may have its unit behind it; lists are separated by
/// commas, device-to-device commands being `1510=on,1511=off`. What begins with a bracket is taken as JSON.
///
/// Setting the region takes its defaults for all that hangs on the plan ([`Settings::change_region`]).
///
/// # Errors
/// No field of this name, several of it, or a value of the wrong kind: then nothing is set. What a socket of this model may
/// have there is in the error.
pub fn set_text(settings: &mut Settings, model: Model, key: &str, text: &str) -> Result<Field, Error> {
    let (field, part) = find(key)?;
    let text = text.trim();
    let json = json_of(text);
    let is_json = json.is_some();
    let value = json.unwrap_or_else(|| value_from(settings, field, part, text));
    let mut changed = settings.clone();
    form::set(&mut changed, field, value).map_err(|error| match error {
        // Who writes JSON is answered in its words, and a channel list tells where it is wrong.
        error @ Error::ChannelList(_) => error,
        error if is_json => error,
        _ => refused(field, part, text, settings.lorawan.region, model),
    })?;
    if field == Field::Region {
        settings.change_region(changed.lorawan.region);
    } else {
        *settings = changed;
    }
    Ok(field)
}

/// Makes the error that tells what may be typed.
fn refused(field: Field, part: Option<&str>, text: &str, region: Region, model: Model) -> Error {
    let whole = field.describe(region, model).kind;
    let number = |min: i64, max: i64| Kind::Number { min, max, unit: field.unit() };
    if let Kind::Frequencies { range_hz: None } = whole {
        return Error::Rule(field.breaks(Reason::FixedPlan { region }));
    }
    let expected = match (part, &whole) {
        (Some("enabled"), _) => Kind::Flag,
        (Some(_), Kind::Threshold { min_a, max_a }) => number((*min_a).into(), (*max_a).into()),
        (Some(_), Kind::Lock { max_minutes }) => number(0, (*max_minutes).into()),
        _ => whole,
    };
    let path = part.map_or_else(|| field.name().to_string(), |part| format!("{field}.{part}"));
    Error::Typed { path, expected, typed: (!field.is_secret()).then(|| text.to_string()) }
}

/// Reads what is typed as JSON.
fn json_of(text: &str) -> Option<Value> {
    text.starts_with(['[', '{', '"']).then(|| serde_json::from_str(text).ok()).flatten()
}

/// Returns a field as people read it; a secret one as dots, so that it cannot be read.
pub fn text_of(settings: &Settings, field: Field) -> String {
    if field.is_secret() {
        return "…".to_string();
    }
    let on = |flag| if flag { "on" } else { "off" };
    let mut settings = settings.clone();
    match settings.slot(field) {
        Slot::Flag(flag) => on(*flag).to_string(),
        Slot::Threshold(it) => format!("{}, {} A", on(it.enabled), it.current_a),
        Slot::ButtonLock(lock) if lock.enabled && lock.minutes > 0 => format!("on, {} min", lock.minutes),
        Slot::ButtonLock(lock) => on(lock.enabled).to_string(),
        Slot::Commands(commands) => {
            let name = |action| form::ACTIONS.iter().find(|it| it.1 == action).map_or("", |it| it.0);
            let one = |it: &crate::D2dCommand| format!("{:04X}={}", it.code, name(it.action));
            commands.iter().map(one).collect::<Vec<_>>().join(",")
        }
        Slot::Frequencies(_) => match form::value_of(&mut settings, field) {
            Some(Value::Array(list)) => list.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
            _ => "fixed by the plan".to_string(),
        },
        _ => match form::value_of(&mut settings, field) {
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        },
    }
}

/// A field that two sockets, or a socket and a template, have unlike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// What the one has, as people read it.
    pub from: String,
    /// What the other has.
    pub to: String,
}

/// Returns the fields in which settings differ.
pub fn differences(from: &Settings, to: &Settings) -> Vec<Difference> {
    let (mut a, mut b) = (from.clone(), to.clone());
    let unlike = Field::all().filter(|&field| a.value(field) != b.value(field));
    unlike.map(|field| Difference { field, from: text_of(from, field), to: text_of(to, field) }).collect()
}

/// Finds a field by its name or the end of it, and the part of it that is named after it.
fn find(key: &str) -> Result<(Field, Option<&str>), Error> {
    let by_name = |name: &str| -> Result<Option<Field>, Error> {
        if let Some(field) = Field::all().find(|field| field.name() == name) {
            return Ok(Some(field));
        }
        let ends = |field: &Field| field.name().strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        let fields: Vec<_> = Field::all().filter(ends).collect();
        match fields.as_slice() {
            [] => Ok(None),
            [field] => Ok(Some(*field)),
            _ => {
                let fields = fields.iter().map(|field| field.name()).collect();
                Err(Error::Ambiguous { name: name.to_string(), fields })
            }
        }
    };
    if let Some((name, part @ ("enabled" | "current_a" | "minutes"))) = key.rsplit_once('.')
        && let Some(field) = by_name(name)?
        && matches!(field, Field::ButtonLock | Field::OvercurrentAlarm | Field::OvercurrentProtection)
    {
        return Ok((field, Some(part)));
    }
    match by_name(key)? {
        Some(field) => Ok((field, None)),
        None => Err(Error::Unknown { path: key.to_string(), known: Field::all().map(Field::name).collect() }),
    }
}

/// Makes of what was typed what a template would have.
fn value_from(settings: &mut Settings, field: Field, part: Option<&str>, text: &str) -> Value {
    let number = |text: &str| number(without(text, field.unit()));
    if let Some(part) = part {
        return json!({ part: if part == "enabled" { flag(text) } else { number(text) } });
    }
    match settings.slot(field) {
        Slot::Flag(_) => flag(text),
        Slot::Number(_) if form::is_address(field) => json!(text),
        Slot::Byte(_) | Slot::Signed(_) | Slot::Number(_) => number(text),
        Slot::Threshold(_) => match flag(text) {
            Value::Bool(enabled) => json!({ "enabled": enabled }),
            _ => json!({ "enabled": true, "current_a": number(text) }),
        },
        Slot::ButtonLock(_) => match flag(text) {
            Value::Bool(enabled) => json!({ "enabled": enabled, "minutes": 0 }),
            _ => json!({ "enabled": true, "minutes": number(text) }),
        },
        Slot::Frequencies(_) => words(text).map(number).collect(),
        Slot::Commands(_) => words(text)
            .map(|word| match word.split_once('=') {
                Some((code, action)) => json!({ "command": code.trim(), "action": action.trim() }),
                None => json!({ "command": word }),
            })
            .collect(),
        _ => json!(text),
    }
}

/// Takes a unit off the end of a number, whatever its case.
fn without<'a>(text: &'a str, unit: &str) -> &'a str {
    let split = text.len().checked_sub(unit.len()).and_then(|at| text.split_at_checked(at));
    split.filter(|(_, end)| end.eq_ignore_ascii_case(unit)).map_or(text, |(number, _)| number.trim_end())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Makes a flag; what is none stays text, which is then refused by name.
fn flag(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" => json!(true),
        "off" | "no" | "false" => json!(false),
        _ => json!(text),
    }
}

/// Makes a number; what is none stays text, which is then refused by name.
fn number(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
}
