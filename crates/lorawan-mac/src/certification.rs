//! The certification commands of the network (TS009-1.0.0; FPort 224), as a checked view of a payload.

use crate::command::frequency_hz;

/// The port of certification commands and their answers.
pub const PORT: u8 = 224;

/// Identifier and version of the package.
pub const PACKAGE: [u8; 2] = [6, 1];

/// Command identifiers; an answer has that of its command.
pub mod cid {
    pub const PACKAGE_VERSION: u8 = 0x00;
    pub const DUT_RESET: u8 = 0x01;
    pub const DUT_JOIN: u8 = 0x02;
    pub const SWITCH_CLASS: u8 = 0x03;
    pub const ADR_BIT_CHANGE: u8 = 0x04;
    pub const REGIONAL_DUTY_CYCLE: u8 = 0x05;
    pub const TX_PERIODICITY: u8 = 0x06;
    pub const TX_FRAMES: u8 = 0x07;
    pub const ECHO: u8 = 0x08;
    pub const RX_APP_COUNT: u8 = 0x09;
    pub const RX_APP_COUNT_RESET: u8 = 0x0a;
    pub const LINK_CHECK: u8 = 0x20;
    pub const DEVICE_TIME: u8 = 0x21;
    pub const TX_CW: u8 = 0x7d;
    pub const DISABLE: u8 = 0x7e;
    pub const DUT_VERSIONS: u8 = 0x7f;
}

/// What the application has to do for a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificationRequest {
    /// Reset the processor.
    Reset,
    /// Send a carrier.
    ContinuousWave {
        /// How long, in s.
        timeout_s: u16,
        /// Where, in Hz.
        frequency_hz: u32,
        /// Radiated power in dBm.
        power_dbm: i8,
    },
    /// Start without certification mode from now on, and reset the processor.
    Disable,
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    PackageVersion,
    Application(CertificationRequest),
    Join,
    SwitchClass(u8),
    AdrBit(bool),
    RegionalDutyCycle(bool),
    /// In s; 0 = as the application does.
    Period(u16),
    Frames(u8),
    Echo(&'a [u8]),
    RxAppCount,
    RxAppCountReset,
    LinkCheck,
    DeviceTime,
    Versions,
}

/// Periods of test uplinks in s, by their index.
const PERIODS_S: [u16; 11] = [0, 5, 10, 20, 30, 40, 50, 60, 120, 240, 480];

/// Walks over the commands of one payload; ends at the first unknown or truncated one, as those of Class B are.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a>(pub &'a [u8]);

impl<'a> Commands<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn command(&mut self) -> Option<Command<'a>> {
        let [id] = self.take()?;
        Some(match id {
            cid::PACKAGE_VERSION => Command::PackageVersion,
            cid::DUT_RESET => Command::Application(CertificationRequest::Reset),
            cid::DUT_JOIN => Command::Join,
            cid::SWITCH_CLASS => self.take().map(|[class]| Command::SwitchClass(class))?,
            cid::ADR_BIT_CHANGE => self.take().map(|[on]| Command::AdrBit(on != 0))?,
            cid::REGIONAL_DUTY_CYCLE => self.take().map(|[on]| Command::RegionalDutyCycle(on != 0))?,
            cid::TX_PERIODICITY => {
                let [index] = self.take()?;
                Command::Period(*PERIODS_S.get(usize::from(index))?)
            }
            cid::TX_FRAMES => self.take().map(|[kind]| Command::Frames(kind))?,
            cid::ECHO => Command::Echo(core::mem::take(&mut self.0)),
            cid::RX_APP_COUNT => Command::RxAppCount,
            cid::RX_APP_COUNT_RESET => Command::RxAppCountReset,
            cid::LINK_CHECK => Command::LinkCheck,
            cid::DEVICE_TIME => Command::DeviceTime,
            cid::TX_CW => {
                let [t0, t1, f0, f1, f2, power] = self.take()?;
                Command::Application(CertificationRequest::ContinuousWave {
                    timeout_s: u16::from_le_bytes([t0, t1]),
                    frequency_hz: frequency_hz([f0, f1, f2]),
                    power_dbm: i8::from_le_bytes([power]),
                })
            }
            cid::DISABLE => Command::Application(CertificationRequest::Disable),
            cid::DUT_VERSIONS => Command::Versions,
            _ => return None,
        })
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    fn next(&mut self) -> Option<Command<'a>> {
        let command = self.command();
        if command.is_none() {
            self.0 = &[];
        }
        command
    }
}
