//! Multicast groups (guide, section 3.2.2).

use crate::field::{Error, Field, Group, Reason};
use crate::lorawan::{Activation, LoRaWan};
use crate::secret::Key;

/// One multicast group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MulticastGroup {
    /// Whether the group is listened to.
    pub enabled: bool,
    /// The address of the group, unlike those of the other groups and of the device.
    pub dev_addr: u32,
    /// McNetSKey.
    pub nwk_s_key: Key,
    /// McAppSKey.
    pub app_s_key: Key,
}

impl MulticastGroup {
    /// Returns the defaults of a group, counted from 0: addresses 11111111 to 44444444, and keys that end in 23 to 26.
    pub(crate) fn default_for(index: usize) -> Self {
        let index = u8::try_from(index).unwrap_or_default();
        let mut key = *Key::DEFAULT.as_bytes();
        if let Some(last) = key.last_mut() {
            *last = last.wrapping_add(index);
        }
        let key = Key::new(key);
        let dev_addr = u32::from(index).wrapping_add(1).wrapping_mul(0x1111_1111);
        Self { enabled: false, dev_addr, nwk_s_key: key, app_s_key: key }
    }
}

pub(crate) fn validate(groups: &[MulticastGroup; 4], lorawan: &LoRaWan) -> Result<(), Error> {
    for (index, (group, name)) in groups.iter().zip(Group::ALL).enumerate() {
        let field = Field::MulticastDevAddr(name);
        let mut earlier = groups.iter().zip(Group::ALL).take(index);
        if let Some((_, other)) = earlier.find(|(earlier, _)| earlier.dev_addr == group.dev_addr) {
            return Err(field.breaks(Reason::SameAs { other: Field::MulticastDevAddr(other) }));
        }
        // With OTAA the network gives the address, so that the set one says nothing.
        if group.enabled && lorawan.activation == Activation::Abp && group.dev_addr == lorawan.dev_addr {
            return Err(field.breaks(Reason::SameAs { other: Field::DevAddr }));
        }
    }
    Ok(())
}
