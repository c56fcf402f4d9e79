//! ST25DV04K/16K/64K: the NFC tag whose memory phone and chip share (data sheet DS10925).
//!
//! Register addresses and bits are those of its sections 4 (memory), 5 (registers) and 6 (I2C). The KC versions work the
//! same.

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::{Error as _, ErrorKind, I2c};

/// I2C addresses of seven bits (section 6.3): A6 and AE with the bit for the direction.
const USER: u8 = 0xa6 >> 1;
const SYSTEM: u8 = 0xae >> 1;

/// Registers of the system, behind [`SYSTEM`] (section 5.2).
mod system {
    pub(super) const GPO: u16 = 0x00;
    pub(super) const MB_MODE: u16 = 0x0d;
    pub(super) const LOCK_CFG: u16 = 0x0f;
    /// The number of blocks less one, low byte first.
    pub(super) const MEM_SIZE: u16 = 0x14;
    pub(super) const I2C_PASSWORD: u16 = 0x0900;
}

/// Dynamic registers, behind [`USER`] (section 5.2).
mod dynamic {
    pub(super) const I2C_SESSION: u16 = 0x2004;
    pub(super) const IT_STS: u16 = 0x2005;
}

/// Bytes of a block, the row of the EEPROM (section 4.2).
const BLOCK: usize = 4;

/// GPO (section 5.2.1): pulses, for writes by RF and for the field that comes or goes.
const GPO_PULSES: u8 = 1 << 7 | 1 << 6 | 1 << 3;

/// What stands behind the password (section 6.6): is it presented, or changed.
const PRESENT: u8 = 0x09;
const CHANGE: u8 = 0x07;

/// How many bytes go in one transaction: some 0.9 ms of a bus at 400 kHz, and 8 rows of EEPROM.
pub const PIECE: usize = 32;

/// How often a transaction that is not acknowledged is tried, 1 ms apart: 8 rows take 40 ms (section 4.2), and a phone may own
/// the memory for some frames (section 5.1.1).
const TRIES: u8 = 150;

/// What went wrong with the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bus: stuck, lost, or out of its time.
    Bus,
    /// It does not acknowledge: it is absent, or a phone owns it for long.
    Busy,
    /// The I2C password is neither the factory's nor ours.
    Password,
}

/// What happened since it was asked last (section 5.2.4, IT_STS_Dyn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u8);

impl Events {
    /// A phone has written.
    #[must_use]
    pub const fn rf_wrote(self) -> bool {
        self.0 & 1 << 7 != 0
    }

    /// The field has gone.
    #[must_use]
    pub const fn field_fell(self) -> bool {
        self.0 & 1 << 3 != 0
    }
}

/// The chip on its bus. The bus has to end each transaction by itself, within some 20 ms.
#[derive(Debug)]
pub struct St25dv<I, D> {
    i2c: I,
    pub(crate) delay: D,
}

impl<I: I2c, D: DelayNs> St25dv<I, D> {
    /// Takes the bus. Nothing is sent before the first call.
    pub fn new(i2c: I, delay: D) -> Self {
        Self { i2c, delay }
    }

    /// Reads the memory.
    ///
    /// # Errors
    /// [`Error::Bus`] and [`Error::Busy`].
    ///
    /// # Cancel safety
    /// That of the bus.
    pub async fn read(&mut self, address: u16, out: &mut [u8]) -> Result<(), Error> {
        let mut address = address;
        for piece in out.chunks_mut(PIECE) {
            self.transact(USER, address, &[], piece).await?;
            address = address.saturating_add(PIECE as u16);
        }
        Ok(())
    }

    /// Writes the memory; pieces that hold the bytes already are left alone, so that they do not wear.
    ///
    /// # Errors
    /// [`Error::Bus`] and [`Error::Busy`]; some pieces may be written then.
    ///
    /// # Cancel safety
    /// As [`read`](Self::read); some pieces may be written.
    pub async fn write(&mut self, address: u16, data: &[u8]) -> Result<(), Error> {
        let mut address = address;
        for piece in data.chunks(PIECE) {
            let mut there = [0; PIECE];
            let there = there.get_mut(..piece.len()).unwrap_or_default();
            self.transact(USER, address, &[], there).await?;
            if there != piece {
                self.transact(USER, address, piece, &mut []).await?;
            }
            address = address.saturating_add(PIECE as u16);
        }
        Ok(())
    }

    /// Tells what happened since the last call; the chip forgets it with that.
    ///
    /// # Errors
    /// [`Error::Bus`] and [`Error::Busy`].
    pub async fn events(&mut self) -> Result<Events, Error> {
        let mut status = [0];
        self.transact(USER, dynamic::IT_STS, &[], &mut status).await?;
        let [status] = status;
        Ok(Events(status))
    }

    /// Tells how many bytes the memory has: 512, 2048 or 8192.
    ///
    /// # Errors
    /// [`Error::Bus`] and [`Error::Busy`].
    pub async fn memory(&mut self) -> Result<usize, Error> {
        let mut size = [0; 2];
        self.transact(SYSTEM, system::MEM_SIZE, &[], &mut size).await?;
        Ok(usize::from(u16::from_le_bytes(size)).saturating_add(1).saturating_mul(BLOCK))
    }

    /// Sets the chip up, if it is not: pulses on GPO, no mailbox, and a configuration that RF cannot change; and gives
    /// it our I2C password in place of the factory's.
    ///
    /// # Errors
    /// [`Error::Password`] if it has another one: then it stays as it is, and may work all the same.
    pub async fn set_up(&mut self, password: [u8; 8]) -> Result<(), Error> {
        if !self.present(password).await? {
            if !self.present([0; 8]).await? {
                return Err(Error::Password);
            }
            self.password(password, CHANGE).await?;
        }
        for (register, wanted) in [(system::GPO, GPO_PULSES), (system::MB_MODE, 0), (system::LOCK_CFG, 1)] {
            let mut present = [0];
            self.transact(SYSTEM, register, &[], &mut present).await?;
            if present != [wanted] {
                self.transact(SYSTEM, register, &[wanted], &mut []).await?;
            }
        }
        Ok(())
    }

    /// Presents a password and tells whether it was the right one.
    async fn present(&mut self, password: [u8; 8]) -> Result<bool, Error> {
        self.password(password, PRESENT).await?;
        let mut session = [0];
        self.transact(USER, dynamic::I2C_SESSION, &[], &mut session).await?;
        let [session] = session;
        Ok(session & 1 != 0)
    }

    async fn password(&mut self, password: [u8; 8], what: u8) -> Result<(), Error> {
        let mut bytes = [0; 17];
        let (first, rest) = bytes.split_at_mut(8);
        first.copy_from_slice(&password);
        if let Some((place, second)) = rest.split_first_mut() {
            *place = what;
            second.copy_from_slice(&password);
        }
        self.transact(SYSTEM, system::I2C_PASSWORD, &bytes, &mut []).await
    }

    /// Writes `data`, at most [`PIECE`] bytes, or reads `out` where there are none. A chip that does not acknowledge is
    /// busy with what was written before, or a phone owns it: it is asked again.
    async fn transact(&mut self, chip: u8, address: u16, data: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let mut sent = [0; 2 + PIECE];
        let len = data.len().min(PIECE).saturating_add(2);
        let [high, low] = address.to_be_bytes();
        for (place, byte) in sent.iter_mut().zip([high, low].iter().chain(data)) {
            *place = *byte;
        }
        let sent = sent.get(..len).unwrap_or_default();
        for _ in 0..TRIES {
            let result = match out {
                [] => self.i2c.write(chip, sent).await,
                _ => self.i2c.write_read(chip, sent, out).await,
            };
            match result.map_err(|error| error.kind()) {
                Ok(()) => return Ok(()),
                Err(ErrorKind::NoAcknowledge(_)) => self.delay.delay_ms(1).await,
                Err(_) => return Err(Error::Bus),
            }
        }
        Err(Error::Busy)
    }
}
