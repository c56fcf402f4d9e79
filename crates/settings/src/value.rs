//! Each field as bytes: how it is stored, and what of stored bytes can be a value.

use crate::channels::ChannelSet;
use crate::d2d::{Action, D2dCommand};
use crate::field::{Field, Group};
use crate::general::{ButtonLock, PowerRestore, Threshold};
use crate::lorawan::{Activation, Version};
use crate::region::Region;
use crate::secret::{Key, Password};
use crate::{MulticastGroup, Settings};

/// The longest value of a field: 16 frequencies of 4 bytes.
pub(crate) type Value = heapless::Vec<u8, 64>;

impl Settings {
    /// Returns a field as it is stored.
    pub(crate) fn value(&self, field: Field) -> Value {
        let (lorawan, general, d2d) = (&self.lorawan, &self.general, &self.d2d);
        match field {
            Field::Region => bytes(&[lorawan.region as u8]),
            Field::JoinEui => bytes(&lorawan.join_eui),
            Field::ApplicationPort => bytes(&[lorawan.application_port]),
            Field::Activation => bytes(&[lorawan.activation as u8]),
            Field::AppKey => bytes(lorawan.app_key.as_bytes()),
            Field::DevAddr => bytes(&lorawan.dev_addr.to_le_bytes()),
            Field::NwkSKey => bytes(lorawan.nwk_s_key.as_bytes()),
            Field::AppSKey => bytes(lorawan.app_s_key.as_bytes()),
            Field::Version => bytes(&[lorawan.version as u8]),
            Field::Rx2DataRate => bytes(&[lorawan.rx2_data_rate]),
            Field::Rx2FrequencyHz => bytes(&lorawan.rx2_frequency_hz.to_le_bytes()),
            Field::Channels => {
                lorawan.channels.enabled.words().into_iter().flat_map(u32::to_le_bytes).collect()
            }
            Field::ChannelFrequencies => {
                let list = &lorawan.channels.frequency_hz;
                let used = list.iter().rposition(|&hz| hz != 0).map_or(0, |last| last.saturating_add(1));
                list.iter().take(used).copied().flat_map(u32::to_le_bytes).collect()
            }
            Field::SingleChannel => flag(lorawan.single_channel),
            Field::Confirmed => flag(lorawan.confirmed),
            Field::Rejoin => flag(lorawan.rejoin),
            Field::RejoinPackets => bytes(&[lorawan.rejoin_packets]),
            Field::Adr => flag(lorawan.adr),
            Field::DataRate => bytes(&[lorawan.data_rate]),
            Field::TxPowerDbm => bytes(&lorawan.tx_power_dbm.to_le_bytes()),
            Field::ReportingIntervalS => bytes(&general.reporting_interval_s.to_le_bytes()),
            Field::Led => flag(general.led),
            Field::PowerConsumption => flag(general.power_consumption),
            Field::PowerRestore => bytes(&[general.power_restore as u8]),
            Field::ButtonLock => {
                let [a, b] = general.button_lock.minutes.to_le_bytes();
                bytes(&[u8::from(general.button_lock.enabled), a, b])
            }
            Field::OvercurrentAlarm => threshold(general.overcurrent_alarm),
            Field::OvercurrentProtection => threshold(general.overcurrent_protection),
            Field::Password => bytes(general.password.as_bytes()),
            Field::D2dEnabled => flag(d2d.enabled),
            Field::D2dKey => bytes(d2d.key.as_bytes()),
            Field::D2dCommands => d2d.commands.iter().flat_map(command_bytes).collect(),
            Field::MulticastEnabled(group) => flag(self.group(group).enabled),
            Field::MulticastDevAddr(group) => bytes(&self.group(group).dev_addr.to_le_bytes()),
            Field::MulticastNwkSKey(group) => bytes(self.group(group).nwk_s_key.as_bytes()),
            Field::MulticastAppSKey(group) => bytes(self.group(group).app_s_key.as_bytes()),
        }
    }

    /// Sets a field to a stored value; none, and nothing set, if the value cannot be.
    pub(crate) fn set_value(&mut self, field: Field, value: &[u8]) -> Option<()> {
        let (lorawan, general, d2d) = (&mut self.lorawan, &mut self.general, &mut self.d2d);
        match field {
            Field::Region => lorawan.region = region_of(value)?,
            Field::JoinEui => lorawan.join_eui = value.try_into().ok()?,
            Field::ApplicationPort => lorawan.application_port = byte(value)?,
            Field::Activation => {
                lorawan.activation = one_of(value, &[Activation::Otaa, Activation::Abp], |it| it as u8)?;
            }
            Field::AppKey => lorawan.app_key = key(value)?,
            Field::DevAddr => lorawan.dev_addr = number(value)?,
            Field::NwkSKey => lorawan.nwk_s_key = key(value)?,
            Field::AppSKey => lorawan.app_s_key = key(value)?,
            Field::Version => {
                lorawan.version = one_of(value, &[Version::V1_0_2, Version::V1_0_3], |it| it as u8)?;
            }
            Field::Rx2DataRate => lorawan.rx2_data_rate = byte(value)?,
            Field::Rx2FrequencyHz => lorawan.rx2_frequency_hz = number(value)?,
            Field::Channels => {
                let [a, b, c] = value.as_chunks::<4>().0 else { return None };
                if value.len() != 12 {
                    return None;
                }
                lorawan.channels.enabled = ChannelSet::from_words([*a, *b, *c].map(u32::from_le_bytes));
            }
            Field::ChannelFrequencies => {
                let (chunks, rest) = value.as_chunks::<4>();
                let list = &mut lorawan.channels.frequency_hz;
                if !rest.is_empty() || chunks.len() > list.len() {
                    return None;
                }
                list.fill(0);
                for (to, from) in list.iter_mut().zip(chunks) {
                    *to = u32::from_le_bytes(*from);
                }
            }
            Field::SingleChannel => lorawan.single_channel = boolean(value)?,
            Field::Confirmed => lorawan.confirmed = boolean(value)?,
            Field::Rejoin => lorawan.rejoin = boolean(value)?,
            Field::RejoinPackets => lorawan.rejoin_packets = byte(value)?,
            Field::Adr => lorawan.adr = boolean(value)?,
            Field::DataRate => lorawan.data_rate = byte(value)?,
            Field::TxPowerDbm => lorawan.tx_power_dbm = i8::from_le_bytes([byte(value)?]),
            Field::ReportingIntervalS => general.reporting_interval_s = number(value)?,
            Field::Led => general.led = boolean(value)?,
            Field::PowerConsumption => general.power_consumption = boolean(value)?,
            Field::PowerRestore => {
                let all = [PowerRestore::Off, PowerRestore::On, PowerRestore::Previous];
                general.power_restore = one_of(value, &all, |it| it as u8)?;
            }
            Field::ButtonLock => {
                let &[enabled, a, b] = value else { return None };
                let enabled = boolean(&[enabled])?;
                general.button_lock = ButtonLock { enabled, minutes: u16::from_le_bytes([a, b]) };
            }
            Field::OvercurrentAlarm => general.overcurrent_alarm = threshold_of(value)?,
            Field::OvercurrentProtection => general.overcurrent_protection = threshold_of(value)?,
            Field::Password => general.password = Password::new(value)?,
            Field::D2dEnabled => d2d.enabled = boolean(value)?,
            Field::D2dKey => d2d.key = key(value)?,
            Field::D2dCommands => {
                let (chunks, rest) = value.as_chunks::<3>();
                if !rest.is_empty() {
                    return None;
                }
                let mut commands = heapless::Vec::new();
                for chunk in chunks {
                    commands.push(command_of(*chunk)?).ok()?;
                }
                d2d.commands = commands;
            }
            Field::MulticastEnabled(group) => self.group_mut(group).enabled = boolean(value)?,
            Field::MulticastDevAddr(group) => self.group_mut(group).dev_addr = number(value)?,
            Field::MulticastNwkSKey(group) => self.group_mut(group).nwk_s_key = key(value)?,
            Field::MulticastAppSKey(group) => self.group_mut(group).app_s_key = key(value)?,
        }
        Some(())
    }

    fn group(&self, group: Group) -> &MulticastGroup {
        let [one, two, three, four] = &self.multicast;
        match group {
            Group::One => one,
            Group::Two => two,
            Group::Three => three,
            Group::Four => four,
        }
    }

    pub(crate) fn group_mut(&mut self, group: Group) -> &mut MulticastGroup {
        let [one, two, three, four] = &mut self.multicast;
        match group {
            Group::One => one,
            Group::Two => two,
            Group::Three => three,
            Group::Four => four,
        }
    }
}

/// Copies a value, which is never longer than [`Value`] holds.
fn bytes(value: &[u8]) -> Value {
    value.iter().copied().collect()
}

fn flag(value: bool) -> Value {
    bytes(&[u8::from(value)])
}

fn threshold(value: Threshold) -> Value {
    bytes(&[u8::from(value.enabled), value.current_a])
}

fn command_bytes(command: &D2dCommand) -> [u8; 3] {
    let [a, b] = command.code.to_le_bytes();
    [a, b, command.action as u8]
}

pub(crate) fn region_of(value: &[u8]) -> Option<Region> {
    Region::from_code(byte(value)?)
}

fn byte(value: &[u8]) -> Option<u8> {
    match value {
        &[byte] => Some(byte),
        _ => None,
    }
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(value.try_into().ok()?))
}

fn key(value: &[u8]) -> Option<Key> {
    Some(Key::new(value.try_into().ok()?))
}

fn boolean(value: &[u8]) -> Option<bool> {
    match byte(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn one_of<T: Copy>(value: &[u8], all: &[T], code: impl Fn(T) -> u8) -> Option<T> {
    let wanted = byte(value)?;
    all.iter().copied().find(|&it| code(it) == wanted)
}

fn threshold_of(value: &[u8]) -> Option<Threshold> {
    let &[enabled, current_a] = value else { return None };
    Some(Threshold { enabled: boolean(&[enabled])?, current_a })
}

fn command_of([a, b, action]: [u8; 3]) -> Option<D2dCommand> {
    let action = one_of(&[action], &[Action::Off, Action::On, Action::Toggle], |it| it as u8)?;
    Some(D2dCommand { code: u16::from_le_bytes([a, b]), action })
}
