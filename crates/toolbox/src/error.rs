//! What can go wrong between a tool and a socket; printed, each is a sentence with what to do next.

use std::fmt;

use sockeye_nfc::{Code, Upgrade};
use sockeye_settings::{Field, Refusal, template};

use crate::link::LinkError;

/// Says why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The way to the socket fails.
    Link(LinkError),
    /// What came is no answer, or none to what was asked.
    NotUnderstood,
    /// The answer does not come from a device that knows the password.
    NotGenuine,
    /// The password is not six digits.
    PasswordForm,
    /// The socket has not been read yet.
    NotRead,
    /// The password is wrong.
    WrongPassword {
        /// How long to wait before the next try, in seconds.
        wait_s: u16,
    },
    /// There were too many wrong passwords.
    Wait {
        /// For how long no password is looked at, in seconds.
        wait_s: u16,
    },
    /// The socket refuses a setting.
    Setting(Refusal),
    /// A setting, or a template, cannot be; found before anything was sent.
    Settings(template::Error),
    /// The socket refuses a piece of an upgrade, or the whole.
    Upgrade(Upgrade),
    /// The file is no update, or not for this socket; found before anything was sent.
    UpdateFile(String),
    /// The socket refuses for another reason.
    Refused(Code),
}

impl Error {
    /// Says whether what was typed or given is wrong, and not the socket or the way to it.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Link(LinkError::NoWay) | Self::PasswordForm | Self::Settings(_) | Self::UpdateFile(_)
        )
    }

    /// Returns a word for the kind of error, which never changes, for scripts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Link(LinkError::NoWay) => "usage",
            Self::Link(LinkError::NoDevice(_)) => "no_device",
            Self::Link(LinkError::Silent) => "silent",
            Self::Link(LinkError::Lost(_)) => "lost",
            Self::NotUnderstood => "not_understood",
            Self::NotGenuine => "not_genuine",
            Self::PasswordForm => "password_form",
            Self::NotRead => "not_read",
            Self::WrongPassword { .. } => "wrong_password",
            Self::Wait { .. } => "wait",
            Self::Setting(_) => "setting",
            Self::Settings(error) => match error {
                template::Error::OtherModel { .. } => "other_model",
                template::Error::OtherRegion { .. } => "other_region",
                _ => "setting",
            },
            Self::Upgrade(_) => "upgrade",
            Self::UpdateFile(_) => "update_file",
            Self::Refused(Code::OtherModel) => "other_model",
            Self::Refused(Code::OtherRegion) => "other_region",
            Self::Refused(_) => "refused",
        }
    }

    /// Returns the name of the setting that is wrong, if it is one.
    #[must_use]
    pub fn field(&self) -> Option<String> {
        use template::Error as T;
        match self {
            Self::Setting(refusal) => Field::from_tag(refusal.tag).map(|field| field.name().to_owned()),
            Self::Settings(T::Rule(error)) => Some(error.field.name().to_owned()),
            Self::Settings(T::ChannelList(_)) => Some(Field::Channels.name().to_owned()),
            Self::Settings(
                T::Kind { path, .. }
                | T::Typed { path, .. }
                | T::OutOfRange { path, .. }
                | T::Missing { path },
            ) => {
                let field = Field::all().find(|field| path.starts_with(field.name()));
                field.map(|field| field.name().to_owned())
            }
            _ => None,
        }
    }

    /// Returns the seconds to wait before the next try, if there are any.
    #[must_use]
    pub const fn wait_s(&self) -> Option<u16> {
        match self {
            Self::WrongPassword { wait_s } | Self::Wait { wait_s } if *wait_s > 0 => Some(*wait_s),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(error) => write!(f, "{error}"),
            Self::NotUnderstood => {
                f.write_str("what answers is no socket, or one that this tool is too old for")
            }
            Self::NotGenuine => {
                f.write_str("the answer does not come from the socket: it does not know the password")
            }
            Self::PasswordForm => f.write_str("the password is six digits"),
            Self::NotRead => f.write_str("read the socket first"),
            Self::WrongPassword { wait_s: 0 } => f.write_str("wrong password; nothing was changed"),
            Self::WrongPassword { wait_s } => {
                write!(f, "wrong password; nothing was changed, the next try is in {wait_s} s")
            }
            Self::Wait { wait_s } => {
                write!(f, "there were too many wrong passwords: try again in {wait_s} s")
            }
            Self::Setting(refusal) => write!(f, "{refusal}; nothing was changed"),
            Self::Settings(error) => write!(f, "{error}"),
            Self::Upgrade(upgrade) => {
                match sockeye_upgrade::Refusal::from_code(upgrade.refused, upgrade.received) {
                    Some(refusal) => write!(f, "{refusal}"),
                    None => write!(f, "the upgrade was refused, for the reason {}", upgrade.refused),
                }
            }
            Self::UpdateFile(what) => f.write_str(what),
            Self::Refused(code) => write!(f, "{code}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<template::Error> for Error {
    fn from(error: template::Error) -> Self {
        Self::Settings(error)
    }
}
