//! The status: what anybody may read of a socket.

use sockeye_settings::{Model, Region};
use sockeye_upgrade::State as UpgradeState;

use crate::wire::{Malformed, Reader, Writer};

/// First byte of a status.
const MARK: u8 = b'S';
/// The version of the status; later fields are appended without a new one.
const VERSION: u8 = 1;
/// Bytes of a status.
pub const STATUS: usize = 81;

/// What a request has to be made for: the number of the requests obeyed so far, and a number that nobody can foresee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Challenge(pub [u8; 8]);

impl Challenge {
    pub(crate) fn new(sequence: u32, nonce: u32) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (sequence.to_le_bytes(), nonce.to_le_bytes());
        Self([a, b, c, d, e, f, g, h])
    }

    /// Tells how many requests the device had obeyed.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_le_bytes([a, b, c, d])
    }
}

/// What went wrong; each count stops at its largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Commands from the network that were not obeyed: another port, unknown, truncated, out of range.
    pub commands: u16,
    /// The meter did not answer.
    pub meter: u16,
    /// The meter showed what cannot be.
    pub readings: u16,
    /// A record was not stored in time.
    pub stores: u16,
    /// Restarts that nobody asked for, since power-up.
    pub restarts: u16,
    /// What the last of them came from: control, radio or service hung, the processor hung, panic, fault of the processor,
    /// unknown NMI are 1 to 7; 0 if there was none.
    pub last_restart: u8,
}

/// How an upgrade stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// How far it is.
    pub state: UpgradeState,
    /// Why the last image, or piece of it, was refused; 0 if it was not. The numbers are those of `crates/upgrade`.
    pub refused: u8,
    /// How many bytes of the image are in flash: the offset of the next piece.
    pub received: u32,
    /// How many bytes the image has.
    pub total: u32,
}

impl Upgrade {
    /// Its bytes.
    pub const LEN: usize = 10;

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; Self::LEN] {
        let ([a, b, c, d], [e, f, g, h]) = (self.received.to_le_bytes(), self.total.to_le_bytes());
        [self.state as u8, self.refused, a, b, c, d, e, f, g, h]
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let state = *UpgradeState::ALL.get(usize::from(reader.u8()?)).ok_or(Malformed)?;
        Ok(Self { state, refused: reader.u8()?, received: reader.u32()?, total: reader.u32()? })
    }
}

/// What anybody may read of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The model.
    pub model: Model,
    /// The channel plan.
    pub region: Region,
    /// The serial number, first printed digit first.
    pub sn: [u8; 8],
    /// The LoRaWAN device EUI, first printed byte first.
    pub dev_eui: [u8; 8],
    /// The hardware version, as in the basic information: `[0x01, 0x40]` is 1.4.
    pub hardware_version: [u8; 2],
    /// The software version, as in the basic information.
    pub software_version: [u8; 2],
    /// Power is supplied.
    pub relay_on: bool,
    /// The network is joined, or an ABP session is in use.
    pub joined: bool,
    /// The meter's values are of this moment.
    pub measured: bool,
    /// The voltage in mV.
    pub voltage_mv: u32,
    /// The current in mA.
    pub current_ma: u32,
    /// The active power in mW.
    pub power_mw: u32,
    /// The power factor in ‰.
    pub power_factor_permille: u16,
    /// The energy sum in Wh.
    pub energy_wh: u32,
    /// For how long the firmware has run, in s.
    pub uptime_s: u32,
    /// Why it started: 0 power, 1 told to, 2 watchdog, 3 fault.
    pub reset_cause: u8,
    /// What was counted since.
    pub faults: Faults,
    /// How an upgrade stands.
    pub upgrade: Upgrade,
    /// How long no password is looked at, in s.
    pub wait_s: u16,
    /// The longest request that the device can take, in bytes.
    pub max_request: u16,
    /// What the next request has to be made for.
    pub challenge: Challenge,
}

impl Status {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; STATUS] {
        let flags = u8::from(self.relay_on) | u8::from(self.joined) << 1 | u8::from(self.measured) << 2;
        let mut out = [0; STATUS];
        let mut writer = Writer::new(&mut out);
        writer
            .put(&[MARK, VERSION, self.model as u8, self.region as u8])
            .put(&self.sn)
            .put(&self.dev_eui)
            .put(&self.hardware_version)
            .put(&self.software_version)
            .put(&[flags])
            .put(&self.voltage_mv.to_le_bytes())
            .put(&self.current_ma.to_le_bytes())
            .put(&self.power_mw.to_le_bytes())
            .put(&self.power_factor_permille.to_le_bytes())
            .put(&self.energy_wh.to_le_bytes())
            .put(&self.uptime_s.to_le_bytes())
            .put(&[self.reset_cause]);
        for count in [self.faults.commands, self.faults.meter, self.faults.readings, self.faults.stores] {
            writer.put(&count.to_le_bytes());
        }
        writer
            .put(&self.upgrade.bytes())
            .put(&self.wait_s.to_le_bytes())
            .put(&self.max_request.to_le_bytes())
            .put(&self.challenge.0)
            .put(&self.faults.restarts.to_le_bytes())
            .put(&[self.faults.last_restart]);
        out
    }

    /// Reads a status; bytes after it are passed over.
    ///
    /// # Errors
    /// [`Malformed`] for what is none, or of a model, plan or version that this tool does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let [MARK, VERSION, model, region] = reader.array()? else { return Err(Malformed) };
        let (sn, dev_eui) = (reader.array()?, reader.array()?);
        let (hardware_version, software_version) = (reader.array()?, reader.array()?);
        let flags = reader.u8()?;
        let mut status = Self {
            model: Model::from_code(model).ok_or(Malformed)?,
            region: Region::from_code(region).ok_or(Malformed)?,
            sn,
            dev_eui,
            hardware_version,
            software_version,
            relay_on: flags & 1 != 0,
            joined: flags & 2 != 0,
            measured: flags & 4 != 0,
            voltage_mv: reader.u32()?,
            current_ma: reader.u32()?,
            power_mw: reader.u32()?,
            power_factor_permille: reader.u16()?,
            energy_wh: reader.u32()?,
            uptime_s: reader.u32()?,
            reset_cause: reader.u8()?,
            faults: Faults {
                commands: reader.u16()?,
                meter: reader.u16()?,
                readings: reader.u16()?,
                stores: reader.u16()?,
                ..Faults::default()
            },
            upgrade: Upgrade::parse(&reader.array::<{ Upgrade::LEN }>()?)?,
            wait_s: reader.u16()?,
            max_request: reader.u16()?,
            challenge: Challenge(reader.array()?),
        };
        (status.faults.restarts, status.faults.last_restart) = (reader.u16()?, reader.u8()?);
        Ok(status)
    }
}
