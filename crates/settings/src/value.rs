//! Each field as bytes: how it is stored, and what of stored bytes can be a value.

use crate::channels::ChannelSet;
use crate::d2d::{Action, D2d, D2dCommand};
use crate::field::{Field, Group};
use crate::general::{ButtonLock, PowerRestore, Threshold};
use crate::lorawan::{Activation, Version};
use crate::region::Region;
use crate::secret::{Key, Password};
use crate::{MulticastGroup, Settings};

/// The longest value of a field: 16 frequencies of 4 bytes.
pub(crate) type Value = heapless::Vec<u8, 64>;

/// The place of a field, by its kind: how a value is written and read hangs on nothing else.
pub(crate) enum Slot<'a> {
    Flag(&'a mut bool),
    Byte(&'a mut u8),
    Signed(&'a mut i8),
    Number(&'a mut u32),
    Eui(&'a mut [u8; 8]),
    Key(&'a mut Key),
    Region(&'a mut Region),
    Activation(&'a mut Activation),
    Version(&'a mut Version),
    PowerRestore(&'a mut PowerRestore),
    ButtonLock(&'a mut ButtonLock),
    Threshold(&'a mut Threshold),
    Password(&'a mut Password),
    Channels(&'a mut ChannelSet),
    Frequencies(&'a mut [u32; 16]),
    Commands(&'a mut heapless::Vec<D2dCommand, { D2d::MAX_COMMANDS }>),
}

impl Settings {
    pub(crate) fn slot(&mut self, field: Field) -> Slot<'_> {
        let Self { lorawan, multicast, general, d2d } = self;
        match field {
            Field::Region => Slot::Region(&mut lorawan.region),
            Field::JoinEui => Slot::Eui(&mut lorawan.join_eui),
            Field::ApplicationPort => Slot::Byte(&mut lorawan.application_port),
            Field::Activation => Slot::Activation(&mut lorawan.activation),
            Field::AppKey => Slot::Key(&mut lorawan.app_key),
            Field::DevAddr => Slot::Number(&mut lorawan.dev_addr),
            Field::NwkSKey => Slot::Key(&mut lorawan.nwk_s_key),
            Field::AppSKey => Slot::Key(&mut lorawan.app_s_key),
            Field::Version => Slot::Version(&mut lorawan.version),
            Field::Rx2DataRate => Slot::Byte(&mut lorawan.rx2_data_rate),
            Field::Rx2FrequencyHz => Slot::Number(&mut lorawan.rx2_frequency_hz),
            Field::Channels => Slot::Channels(&mut lorawan.channels.enabled),
            Field::ChannelFrequencies => Slot::Frequencies(&mut lorawan.channels.frequency_hz),
            Field::SingleChannel => Slot::Flag(&mut lorawan.single_channel),
            Field::Confirmed => Slot::Flag(&mut lorawan.confirmed),
            Field::Rejoin => Slot::Flag(&mut lorawan.rejoin),
            Field::RejoinPackets => Slot::Byte(&mut lorawan.rejoin_packets),
            Field::Adr => Slot::Flag(&mut lorawan.adr),
            Field::DataRate => Slot::Byte(&mut lorawan.data_rate),
            Field::TxPowerDbm => Slot::Signed(&mut lorawan.tx_power_dbm),
            Field::ReportingIntervalS => Slot::Number(&mut general.reporting_interval_s),
            Field::Led => Slot::Flag(&mut general.led),
            Field::PowerConsumption => Slot::Flag(&mut general.power_consumption),
            Field::PowerRestore => Slot::PowerRestore(&mut general.power_restore),
            Field::ButtonLock => Slot::ButtonLock(&mut general.button_lock),
            Field::OvercurrentAlarm => Slot::Threshold(&mut general.overcurrent_alarm),
            Field::OvercurrentProtection => Slot::Threshold(&mut general.overcurrent_protection),
            Field::Password => Slot::Password(&mut general.password),
            Field::D2dEnabled => Slot::Flag(&mut d2d.enabled),
            Field::D2dKey => Slot::Key(&mut d2d.key),
            Field::D2dCommands => Slot::Commands(&mut d2d.commands),
            Field::MulticastEnabled(group) => Slot::Flag(&mut group_of(multicast, group).enabled),
            Field::MulticastDevAddr(group) => Slot::Number(&mut group_of(multicast, group).dev_addr),
            Field::MulticastNwkSKey(group) => Slot::Key(&mut group_of(multicast, group).nwk_s_key),
            Field::MulticastAppSKey(group) => Slot::Key(&mut group_of(multicast, group).app_s_key),
        }
    }

    /// Returns a field as it is stored. It takes the settings as [`Self::set_value`] does: one list of places serves both.
    pub(crate) fn value(&mut self, field: Field) -> Value {
        match self.slot(field) {
            Slot::Flag(flag) => bytes(&[u8::from(*flag)]),
            Slot::Byte(byte) => bytes(&[*byte]),
            Slot::Signed(number) => bytes(&number.to_le_bytes()),
            Slot::Number(number) => bytes(&number.to_le_bytes()),
            Slot::Eui(eui) => bytes(eui),
            Slot::Key(key) => bytes(key.as_bytes()),
            Slot::Region(region) => bytes(&[*region as u8]),
            Slot::Activation(activation) => bytes(&[*activation as u8]),
            Slot::Version(version) => bytes(&[*version as u8]),
            Slot::PowerRestore(restore) => bytes(&[*restore as u8]),
            Slot::ButtonLock(lock) => {
                let [a, b] = lock.minutes.to_le_bytes();
                bytes(&[u8::from(lock.enabled), a, b])
            }
            Slot::Threshold(threshold) => bytes(&[u8::from(threshold.enabled), threshold.current_a]),
            Slot::Password(password) => bytes(password.as_bytes()),
            Slot::Channels(channels) => numbers(&channels.words()),
            Slot::Frequencies(list) => {
                let used = list.iter().rposition(|&hz| hz != 0).map_or(0, |last| last.saturating_add(1));
                numbers(list.get(..used).unwrap_or_default())
            }
            Slot::Commands(commands) => commands.iter().flat_map(command_bytes).collect(),
        }
    }

    /// Sets a field to a stored value; none, and nothing set, if the value cannot be.
    pub(crate) fn set_value(&mut self, field: Field, value: &[u8]) -> Option<()> {
        match self.slot(field) {
            Slot::Flag(flag) => *flag = boolean(value)?,
            Slot::Byte(place) => *place = byte(value)?,
            Slot::Signed(number) => *number = i8::from_le_bytes([byte(value)?]),
            Slot::Number(number) => *number = u32::from_le_bytes(value.try_into().ok()?),
            Slot::Eui(eui) => *eui = value.try_into().ok()?,
            Slot::Key(key) => *key = Key::new(value.try_into().ok()?),
            Slot::Region(region) => *region = region_of(value)?,
            Slot::Activation(activation) => {
                *activation = one_of(value, &[Activation::Otaa, Activation::Abp], |it| it as u8)?;
            }
            Slot::Version(version) => {
                *version = one_of(value, &[Version::V1_0_2, Version::V1_0_3], |it| it as u8)?;
            }
            Slot::PowerRestore(restore) => {
                let all = [PowerRestore::Off, PowerRestore::On, PowerRestore::Previous];
                *restore = one_of(value, &all, |it| it as u8)?;
            }
            Slot::ButtonLock(lock) => {
                let &[enabled, a, b] = value else { return None };
                *lock = ButtonLock { enabled: boolean(&[enabled])?, minutes: u16::from_le_bytes([a, b]) };
            }
            Slot::Threshold(threshold) => {
                let &[enabled, current_a] = value else { return None };
                *threshold = Threshold { enabled: boolean(&[enabled])?, current_a };
            }
            Slot::Password(password) => *password = Password::new(value)?,
            Slot::Channels(channels) => {
                let ([a, b, c], []) = value.as_chunks::<4>() else { return None };
                *channels = ChannelSet::from_words([*a, *b, *c].map(u32::from_le_bytes));
            }
            Slot::Frequencies(list) => {
                let (chunks, rest) = value.as_chunks::<4>();
                if !rest.is_empty() || chunks.len() > list.len() {
                    return None;
                }
                list.fill(0);
                for (to, from) in list.iter_mut().zip(chunks) {
                    *to = u32::from_le_bytes(*from);
                }
            }
            Slot::Commands(place) => {
                let (chunks, rest) = value.as_chunks::<3>();
                if !rest.is_empty() {
                    return None;
                }
                let mut commands = heapless::Vec::new();
                for chunk in chunks {
                    commands.push(command_of(*chunk)?).ok()?;
                }
                *place = commands;
            }
        }
        Some(())
    }
}

pub(crate) fn group_of(groups: &mut [MulticastGroup; 4], group: Group) -> &mut MulticastGroup {
    let [one, two, three, four] = groups;
    match group {
        Group::One => one,
        Group::Two => two,
        Group::Three => three,
        Group::Four => four,
    }
}

/// Copies a value, which is never longer than [`Value`] holds.
fn bytes(value: &[u8]) -> Value {
    value.iter().copied().collect()
}

fn numbers(value: &[u32]) -> Value {
    value.iter().copied().flat_map(u32::to_le_bytes).collect()
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

fn command_of([a, b, action]: [u8; 3]) -> Option<D2dCommand> {
    let action = one_of(&[action], &[Action::Off, Action::On, Action::Toggle], |it| it as u8)?;
    Some(D2dCommand { code: u16::from_le_bytes([a, b]), action })
}
