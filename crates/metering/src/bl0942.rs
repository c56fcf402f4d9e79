//! BL0942 on its UART: set up, then asked for its full packet at each reading.
//!
//! Facts are from the BL0942 data sheet: UART protocol, full packet, register list. The serial line is 8N1
//! at 4800 or 9600 baud, as the chip's pin SCLK_BPS says; a reading takes 25 bytes, some 57 or 29 ms. The
//! line must be buffered, by interrupt, by DMA or by a UART that holds an answer: it begins right after the request.
//!
//! Of the chip's registers these are written, with protection lifted before and set again after, and read
//! back:
//! - `MODE`: energy pulses on; RMS values every 400 ms; pulses counted whichever way the power flows (the
//!   sign shows the wiring) and not cleared by reading, so that a lost answer loses no energy; line
//!   frequency.
//! - `I_FAST_RMS_CYC`: one line cycle. The half cycle would misjudge loads that draw on one half-wave only;
//!   more cycles would see an overload too late.
//! - `GAIN_CR`: 16, which [`Calibration::bl0942`](crate::Calibration::bl0942) reckons with.

use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{Read, Write};

use crate::LineFrequency;
use crate::calibration::PulseEnergy;
use crate::{Calibration, Correction, EnergyMeter, Error, Reading};

mod packet;
#[cfg(test)]
mod tests;

pub use packet::{
    Assembler, Counts, FULL_PACKET, HEAD, PACKET_LEN, Packet, Progress, READ, WRITE, checksum, read_command,
};

/// Register addresses (data sheet, register list).
pub mod register {
    /// Line cycles of the fast RMS current: 0 half, 1 one, 2 two, 3 four, 4 and more eight.
    pub const I_FAST_RMS_CYC: u8 = 0x16;
    /// Mode of operation.
    pub const MODE: u8 = 0x19;
    /// Gain of the current channel: 0..=3 for 1, 4, 16, 24.
    pub const GAIN_CR: u8 = 0x1A;
    /// Write protection of the registers: 0x55 lifts it.
    pub const USR_WRPROT: u8 = 0x1D;
}

/// `MODE` as wanted at 50 Hz: bit 2 pulses on, bit 3 clear 400 ms, bit 6 clear no clearing by reading, bit 7
/// absolute counting; bits 1:0 as the chip has them after a reset; bits 9:8 clear, the pin sets the baud.
const MODE_50_HZ: u32 = 0x87;
/// `MODE` bit 5: the line has 60 Hz.
const MODE_60_HZ_BIT: u32 = 1 << 5;
const ONE_CYCLE: u32 = 1;
const GAIN_16: u32 = 2;
const UNLOCK: u32 = 0x55;
const LOCK: u32 = 0;

/// The most pulses that may lie between two good readings: some 12 kWh with the usual parts, three hours at
/// 4 kW without an answer. More is a counter that is not to be believed.
const MAX_PULSES: u32 = 1 << 16;

/// A BL0942 on a buffered serial line.
#[derive(Debug)]
pub struct Bl0942<S, D> {
    serial: S,
    delay: D,
    calibration: Calibration,
    address: u8,
    mode: u32,
    is_set_up: bool,
    last_cf_cnt: Option<u32>,
    /// The count before one that cannot be believed, until another reading tells which of the two was wrong.
    doubted_cf_cnt: Option<u32>,
    energy: PulseEnergy,
}

impl<S: Read + Write, D: DelayNs> Bl0942<S, D> {
    /// How long an answer may take, in ms (data sheet facts: 200 ms).
    pub const TIME_OUT_MS: u32 = 200;
    /// Makes the driver of a chip with address 0; it is set up with the first reading.
    pub fn new(serial: S, delay: D, calibration: Calibration) -> Self {
        Self {
            serial,
            delay,
            calibration,
            address: 0,
            mode: MODE_50_HZ,
            is_set_up: false,
            last_cf_cnt: None,
            doubted_cf_cnt: None,
            energy: PulseEnergy::default(),
        }
    }

    /// Speaks to another chip than the one with address 0 (0..=3, by the chip's address pins).
    #[must_use]
    pub fn with_address(mut self, address: u8) -> Self {
        self.address = address & 3;
        self
    }

    /// Gives the serial line and the delay back.
    pub fn release(self) -> (S, D) {
        (self.serial, self.delay)
    }

    async fn set_up(&mut self) -> Result<(), Error<S::Error>> {
        let wanted = [
            (register::MODE, self.mode),
            (register::I_FAST_RMS_CYC, ONE_CYCLE),
            (register::GAIN_CR, GAIN_16),
        ];
        self.write_register(register::USR_WRPROT, UNLOCK).await?;
        for (register, value) in wanted {
            self.write_register(register, value).await?;
        }
        self.write_register(register::USR_WRPROT, LOCK).await?;
        for (register, wrote) in wanted {
            let read = self.read_register(register).await?;
            if read != wrote {
                return Err(Error::SetUp { register, wrote, read });
            }
        }
        self.is_set_up = true;
        Ok(())
    }

    async fn write_register(&mut self, register: u8, value: u32) -> Result<(), Error<S::Error>> {
        let command = WRITE | self.address;
        let [d0, d1, d2, _] = value.to_le_bytes();
        let sum = checksum(command, &[register, d0, d1, d2]);
        let bytes = [command, register, d0, d1, d2, sum];
        let serial = &mut self.serial;
        match select(serial.write_all(&bytes), self.delay.delay_ms(Self::TIME_OUT_MS)).await {
            Either::First(result) => result.map_err(Error::Bus),
            Either::Second(()) => Err(Error::TimeOut),
        }
    }

    async fn read_register(&mut self, register: u8) -> Result<u32, Error<S::Error>> {
        let command = read_command(self.address);
        let mut answered = false;
        let serial = &mut self.serial;
        let exchange = async {
            request(serial, [command, register]).await?;
            // The last four bytes, of which the answer is the first with the right checksum: as with the packet, bytes
            // that do not belong to it may come before.
            let mut window = [0_u8; 4];
            let mut filled = 0_usize;
            loop {
                let mut byte = [0];
                // An end of input is silence: there is nothing else to wait for.
                if serial.read(&mut byte).await.map_err(Error::Bus)? == 0 {
                    return Err(Error::TimeOut);
                }
                let [_, d0, d1, d2] = window;
                let [sum] = byte;
                window = [d0, d1, d2, sum];
                filled = filled.saturating_add(1);
                answered = filled >= window.len();
                if answered && sum == checksum(command, &[register, d0, d1, d2]) {
                    return Ok(u32::from_le_bytes([d0, d1, d2, 0]));
                }
            }
        };
        match select(exchange, self.delay.delay_ms(Self::TIME_OUT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) if answered => Err(Error::Checksum),
            Either::Second(()) => Err(Error::TimeOut),
        }
    }

    async fn read_packet(&mut self) -> Result<Counts, Error<S::Error>> {
        let mut assembler = Assembler::new(self.address);
        let serial = &mut self.serial;
        let command = read_command(self.address);
        let exchange = async {
            request(serial, [command, FULL_PACKET]).await?;
            loop {
                let count = serial.read(assembler.space()).await.map_err(Error::Bus)?;
                if count == 0 {
                    return Err(Error::TimeOut);
                }
                match assembler.take(count) {
                    Progress::More => {}
                    Progress::BadChecksum => return Err(Error::Checksum),
                    Progress::Complete(counts) => return Ok(counts),
                }
            }
        };
        let outcome = select(exchange, self.delay.delay_ms(Self::TIME_OUT_MS)).await;
        match outcome {
            Either::First(result) => result,
            Either::Second(()) if assembler.saw_bad_checksum() => Err(Error::Checksum),
            Either::Second(()) => Err(Error::TimeOut),
        }
    }

    /// The pulses since the last good reading. None count when the counter cannot be believed.
    #[inline(never)]
    fn new_pulses(&mut self, cf_cnt: u32) -> u32 {
        let Some(last) = self.last_cf_cnt.replace(cf_cnt) else { return 0 };
        let doubted = self.doubted_cf_cnt.take();
        if let Some(pulses) = doubted.and_then(|before| pulses_from(before, cf_cnt)) {
            // The last value was a stray one: the counter goes on where it was before.
            return pulses;
        }
        let Some(pulses) = pulses_from(last, cf_cnt) else {
            // The counter went back, and not by its wrap: the chip has begun anew and lost its set-up, or this
            // is a stray value. The next reading tells, and brings what has been counted.
            self.doubted_cf_cnt = doubted.or(Some(last));
            self.is_set_up = false;
            return 0;
        };
        let began_anew = doubted.is_some() && cf_cnt <= MAX_PULSES;
        if began_anew { cf_cnt } else { pulses }
    }
}

/// The pulses from one count of 24 bits to the next, if they can have come.
fn pulses_from(before: u32, cf_cnt: u32) -> Option<u32> {
    const MASK: u32 = 0x00FF_FFFF;
    Some(cf_cnt.wrapping_sub(before) & MASK).filter(|&pulses| pulses <= MAX_PULSES)
}

/// Throws stale input away and sends a request.
async fn request<S: Read + Write>(serial: &mut S, bytes: [u8; 2]) -> Result<(), Error<S::Error>> {
    let mut stale = [0; PACKET_LEN];
    let mut dropped = 0_usize;
    while dropped < 256 {
        match poll_once(serial.read(&mut stale)) {
            core::task::Poll::Ready(Ok(count)) if count > 0 => dropped = dropped.saturating_add(count),
            // Errors of the past (an overrun, a break) are thrown away as well.
            _ => break,
        }
    }
    serial.write_all(&bytes).await.map_err(Error::Bus)
}

impl<S: Read + Write, D: DelayNs> EnergyMeter for Bl0942<S, D> {
    type Error = Error<S::Error>;

    fn set_line_frequency(&mut self, line: LineFrequency) {
        self.mode = match line {
            LineFrequency::Hz50 => MODE_50_HZ,
            LineFrequency::Hz60 => MODE_50_HZ | MODE_60_HZ_BIT,
        };
        self.is_set_up = false;
    }

    fn correct(&mut self, correction: &Correction) {
        self.calibration.correct(correction);
    }

    /// Takes a reading; sets the chip up before the first one, and after the chip lost its pulse count.
    ///
    /// # Errors
    /// [`Error::Bus`], [`Error::TimeOut`] after [`Bl0942::TIME_OUT_MS`], [`Error::Checksum`];
    /// [`Error::SetUp`] when a register does not keep its value. After each the next call tries anew.
    ///
    /// # Cancel safety
    /// A dropped reading loses nothing: what the chip still sends is thrown away before the next request,
    /// and its pulse count goes on.
    async fn read(&mut self) -> Result<Reading, Self::Error> {
        if !self.is_set_up {
            self.set_up().await?;
        }
        let counts = self.read_packet().await?;
        let pulses = self.new_pulses(counts.cf_cnt);
        let energy_uwh = self.energy.take(pulses, self.calibration.pulse_nwh);
        Ok(self.calibration.reading(&counts, energy_uwh))
    }
}
