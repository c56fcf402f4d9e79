//! The settings of the socket: fields, ranges, defaults, stored form and templates.
//!
//! Every field of the guide's sections 3.2 to 3.4 is here, with its default and its range. [`Settings::validate`]
//! holds all ranges and the rules between fields, and names the field that breaks one. What makes one device differ
//! from the next ([`Identity`]) is kept apart: a factory reset and a template leave it alone.
//!
//! [`Settings::encode`] and [`Settings::decode`] are the form in flash; `template` (feature `std`) is the form that
//! people edit.
//!
//! # No panic
//! Nothing in this crate panics, whatever was stored or typed in. A stored value that cannot be is replaced by its
//! default, and that is told.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(feature = "std")]
extern crate std;

mod change;
mod channels;
mod d2d;
#[cfg(feature = "std")]
pub mod describe;
mod field;
mod general;
mod identity;
mod lorawan;
mod multicast;
mod region;
mod secret;
mod stored;
#[cfg(feature = "std")]
pub mod template;
mod value;

pub use change::{ChangeError, Refusal, Why};
pub use channels::{ChannelSet, Channels, ListError, ListReason};
pub use d2d::{Action, D2d, D2dCommand};
pub use field::{Error, Field, Group, Reason};
pub use general::{ButtonLock, General, PowerRestore, Threshold};
pub use identity::{Identity, Model};
pub use lorawan::{Activation, LoRaWan, Version};
pub use multicast::MulticastGroup;
pub use region::{PlanKind, Region};
pub use secret::{Key, Password};
pub use stored::{Decoded, MAX_STORED, StoredError};

/// Holds every setting of one socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// LoRaWAN (guide, section 3.2.1).
    pub lorawan: LoRaWan,
    /// The four multicast groups (guide, section 3.2.2).
    pub multicast: [MulticastGroup; 4],
    /// Reporting, button, LED and limits (guide, section 3.3).
    pub general: General,
    /// Device to device (guide, section 3.4).
    pub d2d: D2d,
}

impl Settings {
    /// Returns the settings of a device as it leaves the factory, and after a factory reset.
    pub fn default_for(region: Region, identity: &Identity) -> Self {
        let rated = Threshold { enabled: true, current_a: identity.model.rated_current_a() };
        let mut settings = Self::common(region);
        settings.lorawan.app_key = identity.app_key;
        settings.lorawan.dev_addr = identity.default_dev_addr();
        settings.general.overcurrent_alarm = rated;
        settings.general.overcurrent_protection = rated;
        settings
    }

    /// Returns the defaults that no identity changes; the fields that one changes hold placeholders.
    fn common(region: Region) -> Self {
        Self {
            lorawan: LoRaWan::common(region),
            multicast: core::array::from_fn(MulticastGroup::default_for),
            general: General::common(),
            d2d: D2d::default(),
        }
    }

    /// Takes another channel plan, with its defaults for all that hangs on the plan: channels, RX2, data rate and power.
    ///
    /// Nothing changes if the plan is the present one.
    #[cfg(feature = "std")]
    pub fn change_region(&mut self, region: Region) {
        if region == self.lorawan.region {
            return;
        }
        let LoRaWan { channels, rx2_data_rate, rx2_frequency_hz, data_rate, tx_power_dbm, .. } =
            LoRaWan::common(region);
        self.lorawan.region = region;
        self.lorawan.channels = channels;
        self.lorawan.single_channel = false;
        self.lorawan.rx2_data_rate = rx2_data_rate;
        self.lorawan.rx2_frequency_hz = rx2_frequency_hz;
        self.lorawan.data_rate = data_rate;
        self.lorawan.tx_power_dbm = tx_power_dbm;
    }

    /// Checks every range and every rule between fields.
    ///
    /// # Errors
    /// The first field that breaks a rule, and the rule.
    pub fn validate(&self, model: Model) -> Result<(), Error> {
        self.lorawan.validate()?;
        multicast::validate(&self.multicast, &self.lorawan)?;
        self.general.validate(model)?;
        self.d2d.validate()
    }
}
