//! The commands of the SX126x (SX1261/2 data sheet chapter 13), in the order and with the errata work-arounds of lora-phy
//! 3.0.1: `src/reference.rs` compares them byte by byte.
//!
//! What is to be done is first written down as a [`Program`], by plain functions, and then sent by one loop: to wait for
//! each command on its own takes 100 bytes of code a command.

use lora_modulation::{Bandwidth, CodingRate};
use lora_phy::mod_params::RadioError;
use lora_phy::sx126x::{Config, Sx126xVariant};
use lorawan_device::async_device::radio::{RfConfig, RxMode};

use crate::power::Amplifier;
use crate::timing::{MAX_SYMBOLS, PREAMBLE_SYMBOLS};

// SX1261/2 data sheet, table 13-29: IRQ registers.
pub(crate) const TX_DONE: u16 = 1 << 0;
pub(crate) const RX_DONE: u16 = 1 << 1;
pub(crate) const PREAMBLE_DETECTED: u16 = 1 << 2;
pub(crate) const HEADER_ERROR: u16 = 1 << 5;
pub(crate) const CRC_ERROR: u16 = 1 << 6;
pub(crate) const TIMEOUT: u16 = 1 << 9;
/// What a transmission can report. Any other bit is set only where the bus or the chip is broken.
pub(crate) const OF_TRANSMIT: u16 = TX_DONE | TIMEOUT;
/// What a receive without a time-out can report: also SyncWordValid and HeaderValid.
pub(crate) const OF_CONTINUOUS: u16 =
    RX_DONE | PREAMBLE_DETECTED | 1 << 3 | 1 << 4 | HEADER_ERROR | CRC_ERROR;
/// What a receive with a time-out can report.
pub(crate) const OF_SINGLE: u16 = OF_CONTINUOUS | TIMEOUT;

// SX1261/2 data sheet, tables 11-1 to 11-5: commands.
const CLEAR_IRQ_STATUS: u8 = 0x02;
const CLEAR_DEVICE_ERRORS: u8 = 0x07;
const SET_DIO_IRQ_PARAMS: u8 = 0x08;
pub(crate) const WRITE_REGISTER: u8 = 0x0D;
pub(crate) const WRITE_BUFFER: u8 = 0x0E;
pub(crate) const GET_IRQ_STATUS: u8 = 0x12;
pub(crate) const GET_RX_BUFFER_STATUS: u8 = 0x13;
pub(crate) const GET_PACKET_STATUS: u8 = 0x14;
pub(crate) const GET_RSSI_INST: u8 = 0x15;
pub(crate) const READ_REGISTER: u8 = 0x1D;
pub(crate) const READ_BUFFER: u8 = 0x1E;
pub(crate) const SET_STANDBY: u8 = 0x80;
pub(crate) const SET_RX: u8 = 0x82;
pub(crate) const SET_TX: u8 = 0x83;
const SET_RF_FREQUENCY: u8 = 0x86;
const CALIBRATE: u8 = 0x89;
const SET_PACKET_TYPE: u8 = 0x8A;
const SET_MODULATION_PARAMS: u8 = 0x8B;
const SET_PACKET_PARAMS: u8 = 0x8C;
const SET_TX_PARAMS: u8 = 0x8E;
const SET_BUFFER_BASE_ADDRESS: u8 = 0x8F;
const SET_PA_CONFIG: u8 = 0x95;
const SET_REGULATOR_MODE: u8 = 0x96;
const SET_RX_TX_FALLBACK_MODE: u8 = 0x93;
const SET_DIO3_AS_TCXO_CTRL: u8 = 0x97;
const CALIBRATE_IMAGE: u8 = 0x98;
const SET_DIO2_AS_RF_SWITCH_CTRL: u8 = 0x9D;
const STOP_TIMER_ON_PREAMBLE: u8 = 0x9F;
const SET_LORA_SYMB_NUM_TIMEOUT: u8 = 0xA0;
const GET_STATUS: u8 = 0xC0;
pub(crate) const SET_TX_CONTINUOUS_WAVE: u8 = 0xD1;

/// The mode in a status byte (SX1261/2 data sheet table 13-76), and that of a receiver.
pub(crate) const STATUS_MODE: u8 = 7 << 4;
pub(crate) const RECEIVES: u8 = 5 << 4;

/// GetStatus, which does nothing: it may be the tail of a command that was dropped.
const NOTHING: [u8; 2] = [GET_STATUS, 0];
/// The same, and it may fail: the reset comes next.
pub(crate) const ANYTHING: [u8; 3] = [GET_STATUS, 0, 0];

// What a program has besides commands; no command has these numbers.
/// Writes the register that was read, with bits cleared and set.
pub(crate) const CHANGE_REGISTER: u8 = 0xF0;
/// Pulls the chip's reset.
pub(crate) const RESET: u8 = 0xF1;
/// Waits for a millisecond.
pub(crate) const WAIT: u8 = 0xF2;

/// The longest program, a transmission in a band that is new, and some.
const ROOM: usize = 96;

/// Commands to send one after the other, each behind its length.
///
/// Those that read are followed by the number of bytes; [`WRITE_BUFFER`] is followed by the payload; and where the chip's
/// mode changes so does the antenna switch.
#[derive(Debug)]
pub(crate) struct Program {
    bytes: [u8; ROOM],
    len: usize,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    /// Adds a command. One for which there is no room would be left out; the comparison with lora-phy sees that there is.
    #[inline(never)]
    pub(crate) fn add(&mut self, command: &[u8]) {
        let end = self.len + 1 + command.len();
        if let Some([len, to @ ..]) = self.bytes.get_mut(self.len..end) {
            // No command is longer than nine bytes.
            *len = command.len() as u8;
            to.copy_from_slice(command);
            self.len = end;
        }
    }

    /// Gives the command at a place, and the place of the next one.
    pub(crate) fn at(&self, place: usize) -> Option<(&[u8], usize)> {
        let (len, rest) = self.bytes.get(place..self.len)?.split_first()?;
        let len = usize::from(*len);
        Some((rest.get(..len)?, place + 1 + len))
    }

    /// Clears and sets bits of a register.
    fn change(&mut self, register: u16, clear: u8, set: u8) {
        let [high, low] = register.to_be_bytes();
        self.add(&[READ_REGISTER, high, low, 0]);
        self.add(&[CHANGE_REGISTER, high, low, clear, set]);
    }

    /// Empties it.
    pub(crate) fn restart(&mut self) {
        self.len = 0;
    }

    /// Ends an SPI transaction that a dropped future may have left open: the chip takes what follows as the tail of that
    /// command, so what follows is one that does nothing.
    pub(crate) fn finish_dropped_command(&mut self) {
        self.add(&NOTHING);
    }

    /// Reads the interrupts: two bytes behind a status.
    pub(crate) fn ask_interrupts(&mut self) {
        self.add(&[GET_IRQ_STATUS, 3]);
    }

    /// Reads how long a packet is and where: two bytes behind a status.
    pub(crate) fn ask_place(&mut self) {
        self.add(&[GET_RX_BUFFER_STATUS, 3]);
    }

    /// Reads a packet, and then its strength and SNR: three bytes behind a status.
    pub(crate) fn fetch(&mut self, offset: u8, len: u8) {
        self.add(&[READ_BUFFER, offset, 0, len]);
        self.add(&[GET_PACKET_STATUS, 4]);
    }

    /// Reads the strength of a channel after a millisecond: one byte behind a status.
    pub(crate) fn ask_strength(&mut self) {
        self.add(&[WAIT]);
        self.add(&[GET_RSSI_INST, 2]);
    }

    pub(crate) fn stand_by(&mut self) {
        // On the RC oscillator.
        self.add(&[SET_STANDBY, 0]);
    }

    /// Goes to standby with the TCXO running, which takes 10 ms where it does not run yet: what is opened from there opens
    /// at once.
    pub(crate) fn stand_ready(&mut self) {
        self.add(&[SET_STANDBY, 1]);
    }

    /// Resets the chip. The reset may follow a dropped transaction, whose chip select still stands. A chip that hangs does
    /// not answer to the end of it, and is reset all the same.
    pub(crate) fn reset(&mut self) {
        self.add(&ANYTHING);
        self.add(&[RESET]);
    }

    /// Takes a chip from its reset to standby, in LoRa with the public sync word: D2D frames are told apart by their MHDR.
    pub(crate) fn initialise(&mut self, config: &Config<impl Sx126xVariant>) {
        self.stand_by();
        if config.use_dcdc {
            self.add(&[SET_REGULATOR_MODE, 1]);
        }
        if config.chip.use_dio2_as_rfswitch() {
            self.add(&[SET_DIO2_AS_RF_SWITCH_CTRL, 1]);
        }
        if let Some(voltage) = config.tcxo_ctrl {
            // Until the chip knows that its clock is a TCXO it takes it for a crystal that does not start.
            self.add(&[CLEAR_DEVICE_ERRORS, 0, 0, 0]);
            // 10 ms for it to start, in steps of 15.625 us.
            self.add(&[SET_DIO3_AS_TCXO_CTRL, voltage.value(), 0x00, 0x02, 0x80]);
            self.add(&[CALIBRATE, 0x7F]);
        }
        // After a transmission the clock runs on, so that RXC opens behind it without the 10 ms of its start.
        self.add(&[SET_RX_TX_FALLBACK_MODE, 0x30]);
        self.add(&[SET_PACKET_TYPE, 1]);
        self.add(&[WRITE_REGISTER, 0x07, 0x40, 0x34, 0x44]);
        self.add(&[SET_BUFFER_BASE_ADDRESS, 0, 0]);
    }

    /// Calibrates for the band of a frequency.
    pub(crate) fn calibrate_image(&mut self, band: ImageBand) {
        let [low, high] = band;
        self.add(&[CALIBRATE_IMAGE, low, high]);
    }

    /// Sets modulation, packets and frequency: of LoRaWAN (TS001-1.0.3 section 3), with an explicit header; uplinks with a
    /// CRC, downlinks with inverted IQ. `power_dbm` is for sending, and is one that [`Amplifier`] lets through.
    ///
    /// # Errors
    /// A bandwidth that LoRaWAN does not have, or not at this frequency.
    pub(crate) fn tune(
        &mut self,
        rf: RfConfig,
        len: u8,
        power_dbm: Option<i32>,
        amplifier: Amplifier,
    ) -> Result<(), RadioError> {
        let RfConfig { frequency, bb } = rf;
        let bandwidth = match bb.bw {
            Bandwidth::_125KHz => 4,
            Bandwidth::_250KHz | Bandwidth::_500KHz if frequency < 400_000_000 => {
                return Err(RadioError::InvalidBandwidthForFrequency);
            }
            Bandwidth::_250KHz => 5,
            Bandwidth::_500KHz => 6,
            _ => return Err(RadioError::UnavailableBandwidth),
        };
        let factor = bb.sf.factor() as u8;
        let rate = match bb.cr {
            CodingRate::_4_5 => 1,
            CodingRate::_4_6 => 2,
            CodingRate::_4_7 => 3,
            CodingRate::_4_8 => 4,
        };
        // Low data rate optimisation, for symbols of 16 ms and more.
        let is_slow = factor + 4 - bandwidth >= 11;
        self.add(&[SET_MODULATION_PARAMS, factor, bandwidth, rate, u8::from(is_slow)]);
        // Data sheet section 15.1: modulation quality with 500 kHz.
        let is_wide = bandwidth == 6;
        self.change(0x0889, 1 << 2, u8::from(!is_wide) << 2);
        if let Some(power_dbm) = power_dbm {
            self.power(power_dbm, amplifier);
        }
        let downlink = power_dbm.is_none();
        let preamble = if factor < 7 { 12 } else { PREAMBLE_SYMBOLS };
        self.add(&[SET_PACKET_PARAMS, 0, preamble, 0, len, u8::from(!downlink), u8::from(downlink)]);
        // Data sheet section 15.4: packet loss with inverted IQ.
        self.change(0x0736, 1 << 2, u8::from(!downlink) << 2);
        self.frequency(frequency);
        Ok(())
    }

    /// Sets a frequency, in steps of 32 MHz / 2^25, rounded: 15625 Hz are 2^14 steps.
    pub(crate) fn frequency(&mut self, frequency_hz: u32) {
        let fraction = (((frequency_hz % 15_625) << 14) + 15_625 / 2) / 15_625;
        let [a, b, c, d] = (((frequency_hz / 15_625) << 14) + fraction).to_be_bytes();
        self.add(&[SET_RF_FREQUENCY, a, b, c, d]);
    }

    /// Sets a power (data sheet table 13-21), with a ramp of 40 us.
    pub(crate) fn power(&mut self, power_dbm: i32, amplifier: Amplifier) {
        let (duty_cycle, hp_max, device, setting) = match amplifier {
            Amplifier::High => {
                // Data sheet section 15.2: resistance to antenna mismatch.
                self.change(0x08D8, 0, 0x0F << 1);
                match power_dbm {
                    21.. => (4, 7, 0, 22),
                    18..=20 => (3, 5, 0, power_dbm + 2),
                    15..=17 => (2, 3, 0, power_dbm + 5),
                    _ => (2, 2, 0, power_dbm + 8),
                }
            }
            Amplifier::Low => match power_dbm {
                15.. => (6, 0, 1, 14),
                11..=14 => (4, 0, 1, power_dbm),
                _ => (1, 0, 1, power_dbm + 3),
            },
        };
        self.add(&[SET_PA_CONFIG, duty_cycle, hp_max, device, 1]);
        // Two's complement in a byte.
        self.add(&[SET_TX_PARAMS, setting as u8, 2]);
    }

    /// Chooses the interrupts, for DIO1 too.
    pub(crate) fn interrupts(&mut self, flags: u16) {
        let [high, low] = flags.to_be_bytes();
        self.add(&[SET_DIO_IRQ_PARAMS, high, low, high, low, 0, 0, 0, 0]);
    }

    /// Writes the payload to the buffer.
    pub(crate) fn payload(&mut self) {
        self.add(&[WRITE_BUFFER, 0]);
    }

    /// Sends a carrier.
    #[cfg(feature = "certification")]
    pub(crate) fn carrier(&mut self) {
        self.add(&[SET_TX_CONTINUOUS_WAVE]);
    }

    /// Sends what is in the buffer, without a time-out.
    pub(crate) fn send(&mut self) {
        self.add(&[SET_TX, 0, 0, 0]);
    }

    /// Receives; a single receive looks for a preamble for so many symbols, at most [`MAX_SYMBOLS`].
    pub(crate) fn receive(&mut self, mode: RxMode, symbols: u16, boost: bool) {
        self.add(&[STOP_TIMER_ON_PREAMBLE, 1]);
        let continuous = mode == RxMode::Continuous;
        let symbols = if continuous { 0 } else { symbols.min(MAX_SYMBOLS) };
        // Mantissa * 2^(2 * exponent + 1), rounded up (data sheet section 13.4.9, and register 0x0706).
        let (mut mantissa, mut exponent) = (symbols.div_ceil(2) as u8, 0);
        while mantissa > 31 {
            mantissa = mantissa.div_ceil(4);
            exponent += 1;
        }
        self.add(&[SET_LORA_SYMB_NUM_TIMEOUT, mantissa << (2 * exponent + 1)]);
        if symbols > 0 {
            self.add(&[WRITE_REGISTER, 0x07, 0x06, exponent + (mantissa << 3)]);
        }
        self.add(&[WRITE_REGISTER, 0x08, 0xAC, if boost { 0x96 } else { 0x94 }]);
        let timeout = if continuous { 0xFF } else { 0 };
        self.add(&[SET_RX, timeout, timeout, timeout]);
    }

    /// Clears interrupts that were read in a receive.
    pub(crate) fn clear(&mut self, flags: u16, single: bool) {
        if flags != 0 {
            let [high, low] = flags.to_be_bytes();
            self.add(&[CLEAR_IRQ_STATUS, high, low]);
        }
        if single && flags & RX_DONE != 0 {
            // Data sheet section 15.3: the timer that a packet leaves behind.
            self.add(&[WRITE_REGISTER, 0x09, 0x02, 0]);
            self.change(0x0944, 0, 1 << 1);
        }
    }
}

/// What CalibrateImage takes for a band.
pub(crate) type ImageBand = [u8; 2];

/// Finds the band of a frequency (data sheet table 9-2).
pub(crate) fn image_band(frequency_hz: u32) -> ImageBand {
    match frequency_hz {
        ..=425_000_000 => [0, 0],
        425_000_001..=460_000_000 => [0x6B, 0x6F],
        460_000_001..=770_000_000 => [0x75, 0x81],
        770_000_001..=850_000_000 => [0xC1, 0xC5],
        850_000_001..=900_000_000 => [0xD7, 0xDB],
        900_000_001.. => [0xE1, 0xE9],
    }
}

/// A signal strength of -value / 2 dBm (data sheet sections 13.5.3 and 13.5.4).
pub(crate) fn dbm(value: u8) -> i16 {
    -i16::from(value) >> 1
}

/// An SNR in quarters of a dB (data sheet section 13.5.3), rounded.
pub(crate) fn decibels(value: u8) -> i8 {
    value.cast_signed().saturating_add(2) >> 2
}

/// Tells whether a status says that the command before it failed: time-out, processing error or failure to execute (data
/// sheet table 13-76).
pub(crate) fn is_failure(status: u8) -> bool {
    matches!(status >> 1 & 0x07, 3..=5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_and_snr_of_every_byte_are_in_their_range() {
        for (byte, strength_dbm, snr_db) in [
            (0, 0, 0),
            (1, -1, 0),
            (0x28, -20, 10),
            (0x7D, -63, 31),
            (0x7F, -64, 31),
            (0x80, -64, -32),
            (0xFF, -128, 0),
        ] {
            assert_eq!((dbm(byte), decibels(byte)), (strength_dbm, snr_db), "{byte:#x}");
        }
    }
}
