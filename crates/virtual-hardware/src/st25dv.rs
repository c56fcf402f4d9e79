//! ST25DV: the NFC tag between a phone's field and the chip's I2C bus.
//!
//! Modelled after its data sheet (DS10925) and not after the driver: memory with its write times, system and dynamic
//! registers, the I2C password, the GPO pulses, and the arbitration between the two sides: a side that finds the other one
//! at work gets no answer. Not modelled: areas and RF passwords, mailbox, energy harvesting, more than 256 bytes a write.

use std::collections::VecDeque;

mod bus;
mod phone;
#[cfg(test)]
mod tests;

pub use bus::{BusFault, SharedTag, VirtualGpo, VirtualI2c};
pub use phone::{Cut, Phone};

/// Bytes of a block, the row of the EEPROM (section 4.2).
pub const BLOCK: usize = 4;

/// Time to program a row, in µs (section 4.2).
const ROW_US: u64 = 5_000;

/// Time of an RF request with its answer, in µs, for one block at the fast rate: 26 kbit/s both ways, with the gaps of
/// ISO 15693.
const RF_FRAME_US: u64 = 2_500;

/// I2C address bytes without the bit for the direction (section 6.3).
const USER: u8 = 0xa6;
const SYSTEM: u8 = 0xae;

/// How many bytes one I2C write may hold (section 6.4.2).
const MAX_WRITE: usize = 256;

/// System registers (section 5.2).
mod system {
    pub(super) const GPO: usize = 0x00;
    pub(super) const LOCK_CFG: usize = 0x0f;
    /// Those that can be written.
    pub(super) const WRITABLE: usize = 0x10;
    pub(super) const MEM_SIZE: usize = 0x14;
    pub(super) const BLOCK_SIZE: usize = 0x16;
    pub(super) const COUNT: usize = 0x21;
    pub(super) const I2C_PASSWORD: u16 = 0x0900;
}

/// Dynamic registers (section 5.2).
mod dynamic {
    pub(super) const I2C_SESSION: u16 = 0x2004;
    pub(super) const IT_STS: u16 = 0x2005;
}

/// Bits of GPO and of IT_STS.
mod bits {
    pub(super) const GPO_ENABLE: u8 = 1 << 7;
    pub(super) const GPO_RF_WRITE: u8 = 1 << 6;
    pub(super) const GPO_FIELD: u8 = 1 << 3;
    pub(super) const STS_RF_WRITE: u8 = 1 << 7;
    pub(super) const STS_RISING: u8 = 1 << 4;
    pub(super) const STS_FALLING: u8 = 1 << 3;
}

/// What a phone's request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RfError {
    /// No answer: no field, or the I2C side is at work.
    NoAnswer,
    /// There is no such block, or it may not be written.
    Refused,
}

/// A chip of one size.
#[derive(Clone, Debug)]
pub struct St25dv {
    memory: Vec<u8>,
    system: [u8; system::COUNT],
    password: [u8; 8],
    session_open: bool,
    it_sts: u8,
    field: bool,
    /// Rows that are being programmed by I2C: when each is done, where it lies, what it holds.
    programming: VecDeque<(u64, usize, [u8; BLOCK])>,
    /// The chip answers no I2C before: a register or password is being programmed, or a phone's frame is served.
    busy_until_us: u64,
    transfer: Option<Transfer>,
    /// The address that the next read begins at.
    address: u16,
    /// Instants of GPO pulses.
    pulses: u64,
    /// Rows programmed so far, each a wear of 1 in 1,000,000.
    rows_written: u64,
}

/// What happens between start and stop.
#[derive(Clone, Debug)]
struct Transfer {
    system: bool,
    reading: bool,
    written: Vec<u8>,
}

impl St25dv {
    /// Makes a new chip, as the factory leaves it, with so many bytes: 512, 2048 or 8192.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let mut system = [0; system::COUNT];
        system[system::GPO] = bits::GPO_ENABLE | bits::GPO_FIELD;
        system[0x01] = 0x03;
        system[0x02] = 0x01;
        let blocks = u16::try_from(bytes / BLOCK - 1).unwrap_or(u16::MAX).to_le_bytes();
        system[system::MEM_SIZE..system::MEM_SIZE + 2].copy_from_slice(&blocks);
        system[system::BLOCK_SIZE] = (BLOCK - 1) as u8;
        system[0x17] = if bytes == 512 { 0x24 } else { 0x26 };
        system[0x18..0x20].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0x9a, 0x24, 0x02, 0xe0]);
        Self {
            memory: vec![0; bytes],
            system,
            password: [0; 8],
            session_open: false,
            it_sts: 0,
            field: false,
            programming: VecDeque::new(),
            busy_until_us: 0,
            transfer: None,
            address: 0,
            pulses: 0,
            rows_written: 0,
        }
    }

    /// Returns the memory as it is now.
    pub fn memory(&mut self, now_us: u64) -> &[u8] {
        self.settle(now_us);
        &self.memory
    }

    /// Returns a system register.
    #[must_use]
    pub fn system_register(&self, register: usize) -> u8 {
        self.system.get(register).copied().unwrap_or(0xff)
    }

    /// Tells how often GPO has pulsed.
    #[must_use]
    pub fn pulses(&self) -> u64 {
        self.pulses
    }

    /// Tells how many rows have been programmed.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// The supply goes: a row that was being programmed is left with part of its bits, rows behind it are not begun.
    pub fn power_cut(&mut self, now_us: u64) {
        self.settle(now_us);
        if let Some((_, at, row)) = self.programming.pop_front() {
            for (place, byte) in self.memory[at..at + BLOCK].iter_mut().zip(row) {
                *place ^= (*place ^ byte) & 0x55;
            }
        }
        self.programming.clear();
        self.busy_until_us = now_us;
        (self.transfer, self.session_open, self.address) = (None, false, 0);
    }

    /// Ends what is programmed by now.
    fn settle(&mut self, now_us: u64) {
        while let Some((_, at, row)) = self.programming.pop_front_if(|(done_us, _, _)| *done_us <= now_us) {
            self.memory[at..at + BLOCK].copy_from_slice(&row);
            self.rows_written += 1;
        }
    }

    fn is_busy(&mut self, now_us: u64) -> bool {
        self.settle(now_us);
        !self.programming.is_empty() || now_us < self.busy_until_us
    }

    // The I2C side.

    /// A start, and the address byte behind it; says whether the chip acknowledges.
    pub fn start(&mut self, now_us: u64, address: u8) -> bool {
        let reading = address & 1 != 0;
        let chip = address & !1;
        if self.is_busy(now_us) || (chip != USER && chip != SYSTEM) {
            self.transfer = None;
            return false;
        }
        // What was written before a repeated start is the address to read from.
        if let Some(before) = self.transfer.take()
            && let [high, low, ..] = before.written[..]
        {
            self.address = u16::from_be_bytes([high, low]);
        }
        self.transfer = Some(Transfer { system: chip == SYSTEM, reading, written: Vec::new() });
        true
    }

    /// A byte for the chip; says whether it acknowledges.
    pub fn write(&mut self, byte: u8) -> bool {
        match &mut self.transfer {
            Some(transfer) if !transfer.reading && transfer.written.len() < MAX_WRITE + 2 => {
                transfer.written.push(byte);
                true
            }
            _ => false,
        }
    }

    /// A byte of the chip.
    pub fn read(&mut self) -> u8 {
        let Some(Transfer { system, reading: true, .. }) = self.transfer else { return 0xff };
        let address = self.address;
        self.address = address.wrapping_add(1);
        match (system, address) {
            (true, _) => self.system_register(address.into()),
            (false, dynamic::I2C_SESSION) => u8::from(self.session_open),
            (false, dynamic::IT_STS) => std::mem::take(&mut self.it_sts),
            (false, _) => self.memory.get(usize::from(address)).copied().unwrap_or(0xff),
        }
    }

    /// A stop: what was written is programmed.
    pub fn stop(&mut self, now_us: u64) {
        let Some(Transfer { system, reading: false, written }) = self.transfer.take() else { return };
        let [high, low, data @ ..] = &written[..] else { return };
        self.address = u16::from_be_bytes([*high, *low]);
        match (system, data) {
            (_, []) => {}
            (true, data) => self.write_system(now_us, data),
            (false, data) => self.program(now_us, usize::from(self.address), data),
        }
    }

    fn write_system(&mut self, now_us: u64, data: &[u8]) {
        let register = usize::from(self.address);
        match (self.address, data) {
            (system::I2C_PASSWORD, &[a, b, c, d, e, f, g, h, what, ref second @ ..]) => {
                let first = [a, b, c, d, e, f, g, h];
                if second != first {
                    return;
                }
                match what {
                    0x09 => self.session_open = first == self.password,
                    0x07 if self.session_open => {
                        self.password = first;
                        self.busy_until_us = now_us + ROW_US;
                    }
                    _ => {}
                }
            }
            (_, &[value]) if self.session_open && register < system::WRITABLE => {
                self.system[register] = value;
                self.busy_until_us = now_us + ROW_US;
            }
            _ => {}
        }
    }

    fn program(&mut self, now_us: u64, at: usize, data: &[u8]) {
        let end = (at + data.len()).min(self.memory.len());
        let mut done_us = now_us;
        for row in (at / BLOCK..end.div_ceil(BLOCK)).map(|row| row * BLOCK) {
            done_us += ROW_US;
            let mut bytes = [0; BLOCK];
            for (place, index) in bytes.iter_mut().zip(row..) {
                let new = index.checked_sub(at).and_then(|index| data.get(index));
                *place = new.copied().unwrap_or(self.memory[index]);
            }
            self.programming.push_back((done_us, row, bytes));
        }
    }

    // The RF side.

    /// A phone comes or goes.
    pub fn set_field(&mut self, on: bool) {
        if std::mem::replace(&mut self.field, on) != on {
            self.it_sts |= if on { bits::STS_RISING } else { bits::STS_FALLING };
            self.pulse(bits::GPO_FIELD);
        }
    }

    fn pulse(&mut self, what: u8) {
        if self.system[system::GPO] & (bits::GPO_ENABLE | what) == bits::GPO_ENABLE | what {
            self.pulses += 1;
        }
    }

    /// A phone asks; returns when the answer is there.
    fn rf(&mut self, now_us: u64, programs: bool) -> Result<u64, RfError> {
        if !self.field || self.is_busy(now_us) || self.transfer.is_some() {
            return Err(RfError::NoAnswer);
        }
        self.busy_until_us = now_us + RF_FRAME_US + if programs { ROW_US } else { 0 };
        Ok(self.busy_until_us)
    }

    /// A phone reads a block; returns it and when it has it.
    ///
    /// # Errors
    /// [`RfError`].
    pub fn rf_read(&mut self, now_us: u64, block: usize) -> Result<(u64, [u8; BLOCK]), RfError> {
        let done_us = self.rf(now_us, false)?;
        let bytes = self.memory.chunks_exact(BLOCK).nth(block).ok_or(RfError::Refused)?;
        Ok((done_us, bytes.try_into().map_err(|_| RfError::Refused)?))
    }

    /// A phone writes a block; returns when that is done.
    ///
    /// # Errors
    /// [`RfError`].
    pub fn rf_write(&mut self, now_us: u64, block: usize, bytes: [u8; BLOCK]) -> Result<u64, RfError> {
        let done_us = self.rf(now_us, true)?;
        let place = self.memory.chunks_exact_mut(BLOCK).nth(block).ok_or(RfError::Refused)?;
        place.copy_from_slice(&bytes);
        self.rows_written += 1;
        self.it_sts |= bits::STS_RF_WRITE;
        self.pulse(bits::GPO_RF_WRITE);
        Ok(done_us)
    }

    /// A phone writes a system register with the RF password of the factory, as any app can.
    ///
    /// # Errors
    /// [`RfError::Refused`] once the configuration is locked (LOCK_CFG).
    pub fn rf_write_system(&mut self, now_us: u64, register: usize, value: u8) -> Result<u64, RfError> {
        let done_us = self.rf(now_us, true)?;
        if self.system[system::LOCK_CFG] & 1 != 0 || register >= system::WRITABLE {
            return Err(RfError::Refused);
        }
        self.system[register] = value;
        Ok(done_us)
    }
}
