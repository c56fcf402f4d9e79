//! Each field as JSON: how a template writes it, and what of a template can be a value.
//!
//! How a value is written and read hangs on the kind of the field's place ([`Slot`]) and on nothing else, so that a new
//! field needs no word here.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value, json};

use super::Error;
use crate::channels::ChannelSet;
use crate::d2d::{Action, D2dCommand};
use crate::field::Field;
use crate::general::PowerRestore;
use crate::lorawan::{Activation, Version};
use crate::region::PlanKind;
use crate::secret::{Key, Password};
use crate::value::Slot;
use crate::{Region, Settings};

/// The names of OTAA and ABP.
pub(crate) const ACTIVATIONS: [(&str, Activation); 2] =
    [("OTAA", Activation::Otaa), ("ABP", Activation::Abp)];
/// The names of the LoRaWAN versions.
pub(crate) const VERSIONS: [(&str, Version); 2] = [("1.0.2", Version::V1_0_2), ("1.0.3", Version::V1_0_3)];
/// The names of what the socket does when the supply comes back.
pub(crate) const RESTORES: [(&str, PowerRestore); 3] =
    [("off", PowerRestore::Off), ("on", PowerRestore::On), ("previous", PowerRestore::Previous)];
/// The names of what a device-to-device command does.
pub(crate) const ACTIONS: [(&str, Action); 3] =
    [("off", Action::Off), ("on", Action::On), ("toggle", Action::Toggle)];

/// Returns a field as a template has it; none for the frequencies of a plan that fixes them.
pub(crate) fn value_of(settings: &mut Settings, field: Field) -> Option<Value> {
    let region = settings.lorawan.region;
    Some(match settings.slot(field) {
        Slot::Flag(flag) => json!(flag),
        Slot::Byte(number) => json!(number),
        Slot::Signed(number) => json!(number),
        Slot::Number(number) if is_address(field) => hex(&number.to_be_bytes()),
        Slot::Number(number) => json!(number),
        Slot::Eui(eui) => hex(eui),
        Slot::Key(key) => hex(key.as_bytes()),
        Slot::Region(region) => json!(region.name()),
        Slot::Activation(it) => name_of(&ACTIVATIONS, it),
        Slot::Version(it) => name_of(&VERSIONS, it),
        Slot::PowerRestore(it) => name_of(&RESTORES, it),
        Slot::ButtonLock(lock) => json!({ "enabled": lock.enabled, "minutes": lock.minutes }),
        Slot::Threshold(it) => json!({ "enabled": it.enabled, "current_a": it.current_a }),
        Slot::Password(password) => json!(String::from_utf8_lossy(password.as_bytes())),
        Slot::Channels(channels) => json!(channels.display(region).to_string()),
        Slot::Frequencies(_) if region.kind() == PlanKind::Fixed => return None,
        Slot::Frequencies(list) => {
            let used = list.iter().rposition(|&hz| hz != 0).map_or(0, |last| last.saturating_add(1));
            json!(list.get(..used).unwrap_or_default())
        }
        Slot::Commands(commands) => commands.iter().map(command_to).collect(),
    })
}

/// Sets a field to what a template says; the rules between fields are checked later, on the whole.
pub(super) fn set(settings: &mut Settings, field: Field, value: Value) -> Result<(), Error> {
    let region = settings.lorawan.region;
    let at = At { path: field.name().to_string(), value };
    match settings.slot(field) {
        Slot::Flag(flag) => *flag = at.flag()?,
        Slot::Byte(number) => *number = at.number()?,
        Slot::Signed(number) => *number = at.number()?,
        Slot::Number(number) if is_address(field) => *number = u32::from_be_bytes(at.hex()?),
        Slot::Number(number) => *number = at.number()?,
        Slot::Eui(eui) => *eui = at.hex()?,
        Slot::Key(key) => *key = Key::new(at.hex()?),
        Slot::Region(region) => {
            let text = at.text()?;
            *region = Region::from_name(text).ok_or_else(|| at.kind("the name of a channel plan"))?;
        }
        Slot::Activation(it) => *it = at.one_of("OTAA or ABP", &ACTIVATIONS)?,
        Slot::Version(it) => *it = at.one_of("1.0.2 or 1.0.3", &VERSIONS)?,
        Slot::PowerRestore(it) => *it = at.one_of("off, on or previous", &RESTORES)?,
        Slot::ButtonLock(lock) => at.parts(&["enabled", "minutes"], |name, part| {
            match name {
                "enabled" => lock.enabled = part.flag()?,
                _ => lock.minutes = part.number()?,
            }
            Ok(())
        })?,
        Slot::Threshold(threshold) => at.parts(&["enabled", "current_a"], |name, part| {
            match name {
                "enabled" => threshold.enabled = part.flag()?,
                _ => threshold.current_a = part.number()?,
            }
            Ok(())
        })?,
        Slot::Password(password) => {
            let digits = at.text()?;
            *password = Password::new(digits.as_bytes()).ok_or_else(|| at.kind("six digits in quotes"))?;
        }
        Slot::Channels(channels) => {
            *channels = ChannelSet::parse(at.text()?, region).map_err(Error::ChannelList)?;
        }
        Slot::Frequencies(all) => {
            let wrong = || at.kind("at most 16 frequencies in hertz, 0 for a channel that is not used");
            let list = at.list()?;
            if list.len() > all.len() {
                return Err(wrong());
            }
            let mut read = [0; 16];
            for (to, from) in read.iter_mut().zip(list) {
                *to = from.as_u64().and_then(|hz| u32::try_from(hz).ok()).ok_or_else(wrong)?;
            }
            *all = read;
        }
        Slot::Commands(place) => {
            let mut commands = heapless::Vec::new();
            for (index, value) in at.list()?.iter().enumerate() {
                let at = At { path: format!("{}[{index}]", at.path), value: value.clone() };
                commands.push(command_from(at)?).map_err(|_| Error::Kind {
                    path: field.name().to_string(),
                    expected: "at most 16 commands",
                })?;
            }
            *place = commands;
        }
    }
    Ok(())
}

/// Says whether a number is an address, which people write as hexadecimal digits.
pub(crate) fn is_address(field: Field) -> bool {
    matches!(field, Field::DevAddr | Field::MulticastDevAddr(_))
}

fn command_to(command: &D2dCommand) -> Value {
    json!({ "command": hex(&command.code.to_be_bytes()), "action": name_of(&ACTIONS, &command.action) })
}

fn command_from(at: At) -> Result<D2dCommand, Error> {
    let (mut code, mut action) = (None, None);
    let missing = |name: &str| Error::Missing { path: format!("{}.{name}", at.path) };
    at.parts(&["command", "action"], |name, part| {
        match name {
            "command" => code = Some(u16::from_be_bytes(part.hex()?)),
            _ => action = Some(part.one_of("off, on or toggle", &ACTIONS)?),
        }
        Ok(())
    })?;
    Ok(D2dCommand {
        code: code.ok_or_else(|| missing("command"))?,
        action: action.ok_or_else(|| missing("action"))?,
    })
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> Value {
    json!(names.iter().find(|(_, it)| it == value).map_or("", |(name, _)| name))
}

/// Prints bytes as hexadecimal digits, as labels and ToolBox do.
fn hex(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// A value of a template and its place, so that every error can name it.
struct At {
    path: String,
    value: Value,
}

impl At {
    fn kind(&self, expected: &'static str) -> Error {
        Error::Kind { path: self.path.clone(), expected }
    }

    fn text(&self) -> Result<&str, Error> {
        self.value.as_str().ok_or_else(|| self.kind("text in quotes"))
    }

    fn list(&self) -> Result<&Vec<Value>, Error> {
        self.value.as_array().ok_or_else(|| self.kind("a list in brackets"))
    }

    fn flag(&self) -> Result<bool, Error> {
        self.value.as_bool().ok_or_else(|| self.kind("true or false"))
    }

    /// Reads a whole number that the field's type can hold; its range is for the rules.
    fn number<T: TryFrom<i64>>(&self) -> Result<T, Error> {
        let value = self.value.as_i64().ok_or_else(|| self.kind("a whole number"))?;
        T::try_from(value).map_err(|_| Error::OutOfRange { path: self.path.clone(), value })
    }

    /// Reads hexadecimal digits.
    fn hex<const N: usize>(&self) -> Result<[u8; N], Error> {
        let expected = match N {
            2 => "4 hexadecimal digits in quotes",
            4 => "8 hexadecimal digits in quotes",
            8 => "16 hexadecimal digits in quotes",
            _ => "32 hexadecimal digits in quotes",
        };
        parse_hex(self.text()?).ok_or_else(|| self.kind(expected))
    }

    /// Reads one of a few names, whatever the case.
    fn one_of<T: Copy>(&self, expected: &'static str, names: &[(&'static str, T)]) -> Result<T, Error> {
        let text = self.text()?;
        let found = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(text));
        found.map(|&(_, value)| value).ok_or_else(|| self.kind(expected))
    }

    /// Reads the object of a field with parts, of which each may be missing.
    fn parts(
        &self,
        names: &[&'static str],
        mut read: impl FnMut(&'static str, Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let object = object_of(&self.path, &self.value)?;
        for (name, value) in object {
            let path = format!("{}.{name}", self.path);
            let Some(known) = names.iter().find(|known| *known == name) else {
                return Err(Error::Unknown { path, known: names.to_vec() });
            };
            read(known, Self { path, value: value.clone() })?;
        }
        Ok(())
    }
}

/// Takes a value that must be an object.
pub(super) fn object_of<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Error> {
    let path = if path.is_empty() { "the template" } else { path };
    value.as_object().ok_or_else(|| Error::Kind { path: path.to_string(), expected: "an object in braces" })
}

/// Tells where the text is not JSON. The library's own message ends with the place as well; that is cut off.
pub(super) fn syntax(error: &serde_json::Error) -> Error {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default().to_string();
    Error::Syntax { line: error.line(), column: error.column(), what }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    for (to, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *to = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}
