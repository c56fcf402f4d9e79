//! Templates: all settings but identity, as a JSON file to give to other devices of the same model and channel plan
//! (guide, section 3.5.2).
//!
//! A field that a template does not name stays as it is. What is secret or belongs to one device alone (keys, password
//! and the DevAddr of ABP) is written only on request.

mod json;
mod text;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use crate::channels::ListError;
use crate::describe::Kind;
use crate::field::Field;
use crate::{Model, Region, Settings};

pub(crate) use json::{ACTIONS, ACTIVATIONS, RESTORES, VERSIONS, is_address, value_of};
pub use text::{Difference, differences, set_text, text_of};

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
    /// What was typed cannot be a value of this field.
    Typed {
        /// The path of the field.
        path: String,
        /// What it may be.
        expected: Kind,
        /// What was typed; none for what is secret.
        typed: Option<String>,
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
    /// A name could mean several fields.
    Ambiguous {
        /// What was written.
        name: String,
        /// The fields that end with it.
        fields: Vec<&'static str>,
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
            Self::Typed { path, expected, typed: Some(typed) } => {
                write!(f, "{path}: `{typed}` is not {expected}")
            }
            Self::Typed { path, expected, typed: None } => {
                write!(f, "{path}: what was typed is not {expected}")
            }
            Self::OutOfRange { path, value } => write!(f, "{path}: {value} is outside its range"),
            Self::ChannelList(error) => write!(f, "lorawan.channels: {error}"),
            Self::OtherModel { template, device } => {
                write!(f, "model: the template is for {template}, the device is {device}")
            }
            Self::OtherRegion { template, device } => {
                write!(f, "region: the template is for {template}, the device is set to {device}")
            }
            Self::Ambiguous { name, fields } => {
                write!(f, "{name}: there are several; write one of {}", fields.join(", "))
            }
            Self::Rule(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}

/// A template, read and taken apart, but not yet held against a device.
///
/// Debug shows the names of its fields and no value, as some are keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    model: String,
    region: String,
    fields: Vec<(Field, Value)>,
}

impl core::fmt::Debug for Template {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { model, region, .. } = self;
        write!(f, "Template({model}, {region}, ")?;
        f.debug_list().entries(self.fields()).finish()?;
        f.write_str(")")
    }
}

impl Template {
    /// Makes a template of settings.
    pub fn of(settings: &Settings, model: Model, secrets: Secrets) -> Self {
        let mut settings = settings.clone();
        let written = Field::all()
            .filter(|&field| field != Field::Region && (secrets == Secrets::Include || !stays(field)));
        let fields = written.filter_map(|field| Some((field, json::value_of(&mut settings, field)?)));
        let fields = fields.collect();
        Self { model: model.name().to_string(), region: settings.lorawan.region.name().to_string(), fields }
    }

    /// Reads a template.
    ///
    /// # Errors
    /// The text is not JSON, does not name model and region, or names a field that does not exist.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut value: Value = serde_json::from_str(text).map_err(|error| json::syntax(&error))?;
        json::object_of("", &value)?;
        let mut head = |name: &str| match value.as_object_mut().and_then(|all| all.shift_remove(name)) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Error::Kind { path: name.to_string(), expected: "text in quotes" }),
            None => Err(Error::Missing { path: name.to_string() }),
        };
        let (model, region) = (head("model")?, head("region")?);
        let mut fields = Vec::new();
        flatten("", &value, &mut fields)?;
        Ok(Self { model, region, fields })
    }

    /// Iterates over the fields that the template names.
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        self.fields.iter().map(|&(field, _)| field)
    }

    /// Takes fields out for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(Field) -> bool) {
        self.fields.retain(|&(field, _)| keep(field));
    }

    /// Returns the settings that the template makes of a device's present ones: all or nothing, the rules are checked on
    /// the whole.
    ///
    /// # Errors
    /// The template is for another model or channel plan, holds a value of the wrong kind or breaks a rule. The error
    /// names the field.
    pub fn apply(&self, model: Model, present: &Settings) -> Result<Settings, Error> {
        if Model::from_name(&self.model) != Some(model) {
            return Err(Error::OtherModel { template: self.model.clone(), device: model });
        }
        let region = present.lorawan.region;
        if Region::from_name(&self.region) != Some(region) {
            return Err(Error::OtherRegion { template: self.region.clone(), device: region });
        }
        let mut settings = present.clone();
        for (field, value) in &self.fields {
            json::set(&mut settings, *field, value.clone())?;
        }
        settings.validate(model).map_err(Error::Rule)?;
        Ok(settings)
    }

    /// Returns the text of the file.
    pub fn to_json(&self) -> String {
        let mut top = Map::new();
        top.insert("model".to_string(), self.model.clone().into());
        top.insert("region".to_string(), self.region.clone().into());
        for (field, value) in &self.fields {
            insert(&mut top, field.name(), value.clone());
        }
        format!("{:#}\n", Value::Object(top))
    }
}

/// Returns a template of the settings.
pub fn to_json(settings: &Settings, model: Model, secrets: Secrets) -> String {
    Template::of(settings, model, secrets).to_json()
}

/// Reads a template and returns the settings that it makes of the present ones.
///
/// # Errors
/// As [`Template::parse`] and [`Template::apply`].
pub fn from_json(text: &str, model: Model, present: &Settings) -> Result<Settings, Error> {
    Template::parse(text)?.apply(model, present)
}

/// Says whether a field is secret or belongs to one device alone.
fn stays(field: Field) -> bool {
    field.is_secret() || field == Field::DevAddr
}

/// Puts a value where its path says.
fn insert(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_string(), value);
        }
        Some((name, rest)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Takes objects apart until each value stands beside its field.
fn flatten(path: &str, value: &Value, fields: &mut Vec<(Field, Value)>) -> Result<(), Error> {
    for (name, value) in json::object_of(path, value)? {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some(field) = Field::all().find(|field| field.name() == inner && *field != Field::Region) {
            fields.push((field, value.clone()));
        } else if Field::all().any(|field| below(&inner, field).is_some()) {
            flatten(&inner, value, fields)?;
        } else {
            let mut known = if path.is_empty() { std::vec!["model", "region"] } else { Vec::new() };
            for name in Field::all().filter_map(|field| below(path, field)) {
                if !known.contains(&name) {
                    known.push(name);
                }
            }
            return Err(Error::Unknown { path: inner, known });
        }
    }
    Ok(())
}

/// Returns the next part of a field's name after a path that it begins with.
fn below(path: &str, field: Field) -> Option<&'static str> {
    let rest = match path {
        "" => field.name(),
        _ => field.name().strip_prefix(path)?.strip_prefix('.')?,
    };
    rest.split('.').next()
}
