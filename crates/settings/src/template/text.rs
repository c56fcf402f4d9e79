//! Settings as people type them on a command line: `KEY=VALUE`, and the differences between two sockets.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Value, json};

use super::{Error, json as form};
use crate::value::Slot;
use crate::{Field, Settings};

/// Sets one field by its name and a value as people type it; the rules between fields are checked later, on the whole
/// ([`Settings::validate`]).
///
/// `key` is a field's path or as much of its end as is unlike that of all others (`led`,
/// `group_1.enabled`, `overcurrent_alarm.current_a`). Flags are `on`, `off`, `yes`, `no`, `true` or `false`; a threshold is
/// `off`, `on` or `12A`; a button lock `off`, `on` or `30min`; lists are separated by commas, device-to-device commands
/// being `1510=on,1511=off`. What begins with a bracket is taken as JSON.
///
/// Setting the region takes its defaults for all that hangs on the plan ([`Settings::change_region`]).
///
/// # Errors
/// No field of this name, several of it, or a value of the wrong kind.
pub fn set_text(settings: &mut Settings, key: &str, text: &str) -> Result<Field, Error> {
    let (field, part) = find(key)?;
    let value = value_from(settings, field, part, text.trim());
    if field == Field::Region {
        let mut changed = settings.clone();
        form::set(&mut changed, field, value)?;
        settings.change_region(changed.lorawan.region);
    } else {
        form::set(settings, field, value)?;
    }
    Ok(field)
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
    if text.starts_with(['[', '{', '"'])
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    if let Some(part) = part {
        return json!({ part: if part == "enabled" { flag(text) } else { number(text) } });
    }
    match settings.slot(field) {
        Slot::Flag(_) => flag(text),
        Slot::Number(_) if form::is_address(field) => json!(text),
        Slot::Byte(_) | Slot::Signed(_) | Slot::Number(_) => number(text),
        Slot::Threshold(_) => match flag(text) {
            Value::Bool(enabled) => json!({ "enabled": enabled }),
            _ => json!({ "enabled": true, "current_a": number(without(text, "A")) }),
        },
        Slot::ButtonLock(_) => match flag(text) {
            Value::Bool(enabled) => json!({ "enabled": enabled, "minutes": 0 }),
            _ => json!({ "enabled": true, "minutes": number(without(text, "min")) }),
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

/// Takes a unit off the end of a number.
fn without<'a>(text: &'a str, unit: &str) -> &'a str {
    text.strip_suffix(unit).unwrap_or(text).trim_end()
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
