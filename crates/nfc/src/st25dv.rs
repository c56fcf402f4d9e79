//! ST25DV04K/16K/64K: the NFC tag whose memory phone and chip share (data sheet DS10925).
//!
//! Register addresses and bits are those of its sections 4 (memory), 5 (registers) and 6 (I2C). The KC versions work the
//! same.

use embedded_hal_async::i2c::{Error as _, ErrorKind, I2c};

/// I2C addresses of seven bits (section 6.3): A6 and AE with the bit for the direction.
pub(crate) const USER: u8 = 0xa6 >> 1;
pub(crate) const SYSTEM: u8 = 0xae >> 1;

/// Registers of the system, behind [`SYSTEM`] (section 5.2).
pub(crate) mod system {
    pub(crate) const GPO: u16 = 0x00;
    pub(crate) const MB_MODE: u16 = 0x0d;
    pub(crate) const LOCK_CFG: u16 = 0x0f;
    /// The number of blocks less one, low byte first.
    pub(crate) const MEM_SIZE: u16 = 0x14;
    pub(crate) const I2C_PASSWORD: u16 = 0x0900;
}

/// Dynamic registers, behind [`USER`] (section 5.2).
pub(crate) mod dynamic {
    pub(crate) const I2C_SESSION: u16 = 0x2004;
    pub(crate) const IT_STS: u16 = 0x2005;
}

/// Bytes of a block, the row of the EEPROM (section 4.2).
pub(crate) const BLOCK: usize = 4;

/// GPO (section 5.2.1): pulses, for writes by RF and for the field that comes or goes.
const GPO_PULSES: u8 = 1 << 7 | 1 << 6 | 1 << 3;

/// What stands behind the password (section 6.6): is it presented, or changed.
pub(crate) const PRESENT: u8 = 0x09;
pub(crate) const CHANGE: u8 = 0x07;

/// How many bytes go in one transaction: some 0.9 ms of a bus at 400 kHz, and 8 rows of EEPROM.
pub const PIECE: usize = 32;

/// What a new chip is set up to: pulses on GPO, no mailbox, and a configuration that RF cannot change.
pub(crate) const SET_UP: [(u16, u8); 3] =
    [(system::GPO, GPO_PULSES), (system::MB_MODE, 0), (system::LOCK_CFG, 1)];

/// What went wrong with the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The bus: stuck, lost, or out of its time.
    Bus,
    /// It does not acknowledge: it is absent, programs what was written, or a phone owns it.
    Busy,
}

/// What happened since it was asked last (section 5.2.4, IT_STS_Dyn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events(pub(crate) u8);

impl Events {
    /// A phone has written.
    pub(crate) const fn rf_wrote(self) -> bool {
        self.0 & 1 << 7 != 0
    }

    /// The field has gone.
    pub(crate) const fn field_fell(self) -> bool {
        self.0 & 1 << 3 != 0
    }
}

/// Bytes of the address that every transaction begins with.
const ADDRESS: usize = 2;

/// The chip on its bus, one transaction at a time: it is put together, carried out, and looked at. The bus has to end each
/// by itself, within some 20 ms.
#[derive(Debug)]
pub(crate) struct St25dv<I> {
    i2c: I,
    chip: u8,
    written: usize,
    read: usize,
    frame: [u8; ADDRESS + PIECE],
}

impl<I: I2c> St25dv<I> {
    /// Takes the bus. Nothing is sent before the first transaction.
    pub(crate) const fn new(i2c: I) -> Self {
        Self { i2c, chip: USER, written: 0, read: 0, frame: [0; ADDRESS + PIECE] }
    }

    /// Makes the next transaction read so many bytes, at most [`PIECE`].
    pub(crate) fn will_read(&mut self, chip: u8, address: u16, len: usize) {
        self.will_write(chip, address, &[]);
        self.read = len.min(PIECE);
    }

    /// Makes the next transaction write, at most [`PIECE`] bytes.
    pub(crate) fn will_write(&mut self, chip: u8, address: u16, data: &[u8]) {
        let [high, low] = address.to_be_bytes();
        for (place, byte) in self.frame.iter_mut().zip([&high, &low].into_iter().chain(data)) {
            *place = *byte;
        }
        (self.chip, self.written, self.read) = (chip, data.len().min(PIECE), 0);
    }

    /// Makes the next transaction present a password, or change it (section 6.6).
    pub(crate) fn will_say_password(&mut self, password: [u8; 8], what: u8) {
        let mut bytes = [what; 17];
        let (first, rest) = bytes.split_at_mut(8);
        first.copy_from_slice(&password);
        if let Some(second) = rest.get_mut(1..) {
            second.copy_from_slice(&password);
        }
        self.will_write(SYSTEM, system::I2C_PASSWORD, &bytes);
    }

    /// Carries the transaction out. It may be carried out again.
    ///
    /// # Cancel safety
    /// That of the bus.
    pub(crate) async fn transact(&mut self) -> Result<(), Error> {
        let (address, rest) = self.frame.split_at_mut(ADDRESS);
        let result = match rest.get_mut(..self.read) {
            Some(out) if self.read > 0 => self.i2c.write_read(self.chip, address, out).await,
            _ => {
                let sent = self.frame.get(..ADDRESS.saturating_add(self.written)).unwrap_or_default();
                self.i2c.write(self.chip, sent).await
            }
        };
        result.map_err(|error| match error.kind() {
            ErrorKind::NoAcknowledge(_) => Error::Busy,
            _ => Error::Bus,
        })
    }

    /// Returns what was read.
    pub(crate) fn got(&self) -> &[u8] {
        self.frame.get(ADDRESS..).and_then(|rest| rest.get(..self.read)).unwrap_or_default()
    }

    /// Returns the first byte of what was read.
    pub(crate) fn byte(&self) -> u8 {
        self.got().first().copied().unwrap_or(0)
    }
}
