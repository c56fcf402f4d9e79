//! The form of the settings in flash: a version, then fields as tag, length and value.
//!
//! A field that has the guide's default is left out, apart from the region (on which defaults depend) and from those
//! whose default the identity decides. A value that cannot be falls back to its default. Tags that this version does
//! not know are passed over, and [`Settings::encode_keeping`] carries them into the next form, so that settings
//! survive a downgrade and the upgrade after it.

use core::fmt;

use crate::Settings;
use crate::change::ChangeError;
use crate::field::Field;
use crate::identity::Identity;
use crate::lorawan::LoRaWan;
use crate::region::Region;
use crate::value::region_of;

/// The most bytes that a stored form should take: 480 for the fields known here, the rest for those of newer firmware.
pub const MAX_STORED: usize = 640;

/// The version of the stored form; it changes only if older firmware must not read it.
const VERSION: u8 = 1;

/// Says why a stored form cannot be read or written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredError {
    /// There are no bytes.
    Empty,
    /// The form has a version that this firmware does not read.
    Version(u8),
    /// The form ends too early.
    Truncated,
    /// The identity names a model that does not exist.
    Model(u8),
    /// The output buffer is too short.
    NoRoom,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is stored"),
            Self::Version(version) => write!(f, "the stored form has the unknown version {version}"),
            Self::Truncated => f.write_str("the stored form ends too early"),
            Self::Model(model) => write!(f, "the stored identity names the unknown model {model}"),
            Self::NoRoom => f.write_str("the buffer is too short for the stored form"),
        }
    }
}

impl core::error::Error for StoredError {}

/// What was read from a stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The settings; they always hold all rules.
    pub settings: Settings,
    /// The fields whose stored value could not be, and which have their default now.
    pub fallen_back: heapless::Vec<Field, { Field::COUNT }>,
    /// How many unknown tags were passed over.
    pub unknown: u16,
    /// Whether the form ended inside a field; what came before it was read.
    pub truncated: bool,
}

impl Settings {
    /// Writes the stored form and returns its length, at most 480 bytes.
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, StoredError> {
        self.encode_some(true, out)
    }

    /// Writes the stored form without what is secret, and returns its length, at most 256 bytes.
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short.
    pub fn encode_public(&self, out: &mut [u8]) -> Result<usize, StoredError> {
        self.encode_some(false, out)
    }

    fn encode_some(&self, secrets: bool, out: &mut [u8]) -> Result<usize, StoredError> {
        let (mut settings, mut common) = (self.clone(), Self::common(self.lorawan.region));
        let mut form = Writer { out, len: 0 };
        form.put(&[VERSION])?;
        for &(field, tag) in &Field::TAGS {
            let value = settings.value(field);
            let is_written = always_written(field) || value != common.value(field);
            if is_written && (secrets || !field.is_secret()) {
                form.put_field(tag, &value)?;
            }
        }
        Ok(form.len)
    }

    /// Writes a change: these fields with the values that they have here, defaults too. Returns its length.
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short.
    pub fn encode_change(
        &self,
        fields: impl IntoIterator<Item = Field>,
        out: &mut [u8],
    ) -> Result<usize, StoredError> {
        let mut settings = self.clone();
        let mut form = Writer { out, len: 0 };
        form.put(&[VERSION])?;
        for field in fields {
            form.put_field(field.tag(), &settings.value(field))?;
        }
        Ok(form.len)
    }

    /// Returns the settings that a change makes of these: all of it, or nothing.
    ///
    /// A change has the stored form. Fields that it does not name stay as they are; with another channel plan, those that
    /// hang on the plan (RX2, channels, data rate, power) get its defaults first.
    ///
    /// # Errors
    /// The first field that cannot be so.
    pub fn changed_by(&self, form: &[u8], identity: &Identity) -> Result<Self, ChangeError> {
        let (&version, row) = form.split_first().ok_or(ChangeError::Form)?;
        if version != VERSION {
            return Err(ChangeError::Form);
        }
        let mut settings = self.clone();
        let mut defaults = None;
        // The plan first: other fields hang on it.
        for (_, value) in Row(row).filter(|&(tag, _)| field_of(tag) == Some(Field::Region)) {
            let region = region_of(value).ok_or(ChangeError::Value(Field::Region))?;
            defaults = (region != self.lorawan.region).then(|| LoRaWan::common(region));
        }
        if let Some(defaults) = defaults {
            let present = &self.lorawan;
            settings.lorawan = LoRaWan {
                join_eui: present.join_eui,
                application_port: present.application_port,
                activation: present.activation,
                app_key: present.app_key,
                dev_addr: present.dev_addr,
                nwk_s_key: present.nwk_s_key,
                app_s_key: present.app_s_key,
                version: present.version,
                confirmed: present.confirmed,
                rejoin: present.rejoin,
                rejoin_packets: present.rejoin_packets,
                adr: present.adr,
                ..defaults
            };
        }
        let mut fields = Row(row);
        for (tag, value) in fields.by_ref() {
            let field = field_of(tag).ok_or(ChangeError::Unknown(tag))?;
            settings.set_value(field, value).ok_or(ChangeError::Value(field))?;
        }
        if !fields.0.is_empty() {
            return Err(ChangeError::Form);
        }
        settings.validate(identity.model).map_err(ChangeError::Rule)?;
        Ok(settings)
    }

    /// Writes the stored form, with the unknown tags of the form that it replaces at its end.
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short; what [`Self::encode`] writes may still fit.
    pub fn encode_keeping(&self, previous: &[u8], out: &mut [u8]) -> Result<usize, StoredError> {
        let len = self.encode(out)?;
        let mut form = Writer { out, len };
        if let Some((&VERSION, row)) = previous.split_first() {
            for (tag, value) in Row(row).filter(|&(tag, _)| field_of(tag).is_none()) {
                form.put_field(tag, value)?;
            }
        }
        Ok(form.len)
    }

    /// Reads a stored form; `region` is the plan of a form that does not name one.
    ///
    /// # Errors
    /// [`StoredError::Empty`] and [`StoredError::Version`]; take [`Settings::default_for`] then. Anything else that is
    /// wrong is told in [`Decoded`].
    pub fn decode(bytes: &[u8], region: Region, identity: &Identity) -> Result<Decoded, StoredError> {
        let (&version, row) = bytes.split_first().ok_or(StoredError::Empty)?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        let mut fallen_back = heapless::Vec::new();
        let mut fall_back = |field| {
            if !fallen_back.contains(&field) {
                // There is room for each field once.
                let _ = fallen_back.push(field);
            }
        };

        // The plan first: other defaults hang on it.
        let stored_region = Row(row).filter(|&(tag, _)| field_of(tag) == Some(Field::Region)).last();
        let region = match stored_region.map(|(_, value)| region_of(value)) {
            Some(Some(stored)) => stored,
            Some(None) => {
                fall_back(Field::Region);
                region
            }
            None => region,
        };
        let mut defaults = Self::default_for(region, identity);
        let mut settings = defaults.clone();

        let mut unknown: u16 = 0;
        let mut fields = Row(row);
        for (tag, value) in fields.by_ref() {
            match field_of(tag) {
                None => unknown = unknown.saturating_add(1),
                Some(Field::Region) => {}
                Some(field) => {
                    if settings.set_value(field, value).is_none() {
                        fall_back(field);
                    }
                }
            }
        }
        let truncated = !fields.0.is_empty();

        // One field at a time back to its default, until the rules hold; at worst that is all of them.
        for _ in 0..=Field::COUNT {
            let Err(error) = settings.validate(identity.model) else { break };
            let mut is_default = |field| settings.value(field) == defaults.value(field);
            let field = if is_default(error.field) { error.other_field() } else { error.field };
            fall_back(field);
            if is_default(field) {
                Field::all().for_each(&mut fall_back);
                settings = defaults.clone();
            } else {
                let _ = settings.set_value(field, &defaults.value(field));
            }
        }
        Ok(Decoded { settings, fallen_back, unknown, truncated })
    }
}

/// Says whether a field is written even with a default: others hang on it, or the identity decides it.
fn always_written(field: Field) -> bool {
    matches!(
        field,
        Field::Region
            | Field::AppKey
            | Field::DevAddr
            | Field::OvercurrentAlarm
            | Field::OvercurrentProtection
    )
}

fn field_of(tag: u8) -> Option<Field> {
    Field::from_tag(tag)
}

/// Iterates over tag, length and value; what is left at the end did not hold a whole field.
struct Row<'a>(&'a [u8]);

impl<'a> Iterator for Row<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, len], rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some((tag, value))
    }
}

/// Appends to a buffer.
struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoredError> {
        let end = self.len.saturating_add(bytes.len());
        self.out.get_mut(self.len..end).ok_or(StoredError::NoRoom)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn put_field(&mut self, tag: u8, value: &[u8]) -> Result<(), StoredError> {
        let len = u8::try_from(value.len()).map_err(|_| StoredError::NoRoom)?;
        self.put(&[tag, len])?;
        self.put(value)
    }
}
