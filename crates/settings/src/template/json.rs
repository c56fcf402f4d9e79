//! Reads a JSON object field by field, so that every error can name its field and no field goes unread.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use super::Error;

/// Makes an object of the fields that are there.
pub(super) fn object<const N: usize>(fields: [(&'static str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Prints bytes as hexadecimal digits, as labels and ToolBox do.
pub(super) fn hex(bytes: &[u8]) -> Value {
    Value::String(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// Tells where the text is not JSON. The library's own message ends with the place as well; that is cut off.
pub(super) fn syntax(error: &serde_json::Error) -> Error {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default().to_string();
    Error::Syntax { line: error.line(), column: error.column(), what }
}

/// An object whose fields are taken out one by one. What is left at the end is unknown.
pub(super) struct Object {
    path: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object {
    /// Starts with the whole template.
    pub(super) fn top(value: Value) -> Result<Self, Error> {
        Self::new(String::new(), value)
    }

    fn new(path: String, value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(fields) => Ok(Self { path, fields, known: Vec::new() }),
            _ => {
                let path = if path.is_empty() { "the template".to_string() } else { path };
                Err(Error::Kind { path, expected: "an object in braces" })
            }
        }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    /// Makes the error of a field that must be there.
    pub(super) fn missing(&self, name: &str) -> Error {
        Error::Missing { path: self.path(name) }
    }

    /// Makes the error of a field of the wrong kind.
    pub(super) fn kind(&self, name: &str, expected: &'static str) -> Error {
        Error::Kind { path: self.path(name), expected }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.shift_remove(name)
    }

    /// Ends the reading.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.fields.keys().next() {
            Some(name) => Err(Error::Unknown { path: self.path(name), known: self.known }),
            None => Ok(()),
        }
    }

    /// Reads the object of a field, if it is there, and ends it.
    pub(super) fn object(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(value) = self.take(name) else { return Ok(()) };
        let mut object = Self::new(self.path(name), value)?;
        read(&mut object)?;
        object.end()
    }

    /// Starts with one object of a list.
    pub(super) fn entry(&self, name: &str, index: usize, value: Value) -> Result<Self, Error> {
        Self::new(format!("{}[{index}]", self.path(name)), value)
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.kind(name, "text in quotes")),
        }
    }

    pub(super) fn list(&mut self, name: &'static str) -> Result<Option<Vec<Value>>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.kind(name, "a list in brackets")),
        }
    }

    pub(super) fn flag(&mut self, name: &'static str, to: &mut bool) -> Result<(), Error> {
        match self.take(name) {
            None => {}
            Some(Value::Bool(flag)) => *to = flag,
            Some(_) => return Err(self.kind(name, "true or false")),
        }
        Ok(())
    }

    /// Reads a whole number that the field's type can hold; its range is for the rules.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, name: &'static str, to: &mut T) -> Result<(), Error> {
        let Some(value) = self.take(name) else { return Ok(()) };
        let number = value.as_i64().ok_or_else(|| self.kind(name, "a whole number"))?;
        *to = T::try_from(number).map_err(|_| Error::OutOfRange { path: self.path(name), value: number })?;
        Ok(())
    }

    /// Reads hexadecimal digits and says whether they were there.
    pub(super) fn hex<const N: usize>(
        &mut self,
        name: &'static str,
        to: &mut [u8; N],
    ) -> Result<bool, Error> {
        let Some(text) = self.text(name)? else { return Ok(false) };
        let expected = match N {
            2 => "4 hexadecimal digits in quotes",
            4 => "8 hexadecimal digits in quotes",
            8 => "16 hexadecimal digits in quotes",
            _ => "32 hexadecimal digits in quotes",
        };
        *to = parse_hex(&text).ok_or_else(|| self.kind(name, expected))?;
        Ok(true)
    }

    /// Reads one of a few names, whatever the case.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        names: &[(&'static str, T)],
        to: &mut T,
    ) -> Result<(), Error> {
        let Some(text) = self.text(name)? else { return Ok(()) };
        let found = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(&text));
        *to = found.map(|&(_, value)| value).ok_or_else(|| self.kind(name, expected))?;
        Ok(())
    }
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
