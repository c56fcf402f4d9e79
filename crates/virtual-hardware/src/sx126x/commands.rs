//! The command interface (data sheet chapter 13): chip select, bytes, and what the commands do.

use super::{
    CALIBRATION_US, COLD_START_US, IMAGE_CALIBRATION_US, Mode, REG_SYMBOL_TIMEOUT, REGISTERS, Reception,
    RxKind, STANDBY_TO_RX_US, STANDBY_TO_TX_US, Sx126x, WARM_START_US, XOSC_START_ERR,
};
use crate::air::{Air, Channel};

/// A command that needs more bytes than it got, or is not known.
const PROCESSING_ERROR: u8 = 4;
const EXECUTION_FAILURE: u8 = 5;
/// A timer step is 15.625 µs (data sheet section 13.1.4), given in 1/64 µs.
const TIMER_STEP_64TH_US: u64 = 1000;
const CONTINUOUS: u32 = 0x00FF_FFFF;

impl Sx126x {
    /// Pulls chip select low: a command begins. A chip that is busy does not hear it; one that sleeps wakes.
    ///
    /// One that is selected already notices nothing: what follows is the tail of the command before.
    pub fn select(&mut self, now_us: u64) {
        if self.selected {
            return;
        }
        self.command.clear();
        self.selected = !self.faults.busy_stuck && self.busy_until_us <= now_us;
        if let Mode::Sleep { warm } = self.mode {
            self.selected = false;
            self.wake(now_us, warm);
        }
    }

    /// Exchanges one byte.
    pub fn exchange(&mut self, now_us: u64, mosi: u8, air: &Air) -> u8 {
        if let Some(byte) = self.faults.reads_as {
            self.command.push(mosi);
            return byte;
        }
        if !self.selected {
            return 0;
        }
        self.command.push(mosi);
        self.answer(now_us, air)
    }

    /// Lets chip select go high: the command is carried out.
    pub fn deselect(&mut self, now_us: u64, air: &mut Air) {
        if !std::mem::take(&mut self.selected) || self.command.is_empty() {
            return;
        }
        let command = std::mem::take(&mut self.command);
        if let Some(status) = self.execute(now_us, &command, air) {
            self.command_status = status;
        }
        self.command = command;
        self.note_mode(now_us);
    }

    fn status(&self) -> u8 {
        let mode = match self.mode {
            Mode::Sleep { .. } => 0,
            Mode::StandbyRc => 2,
            Mode::StandbyXosc => 3,
            Mode::Fs => 4,
            Mode::Rx | Mode::Cad => 5,
            Mode::Tx | Mode::Carrier => 6,
        };
        mode << 4 | self.command_status << 1
    }

    /// What the chip shifts out while the last byte of `command` comes in.
    fn answer(&self, now_us: u64, air: &Air) -> u8 {
        let index = self.command.len() - 1;
        let byte = |at: usize| self.command.get(at).copied().unwrap_or(0);
        let of = |bytes: &[u8], first: usize| {
            index.checked_sub(first).and_then(|at| bytes.get(at)).copied().unwrap_or(0)
        };
        match byte(0) {
            // Reads carry a status byte before what is read.
            0x1D if index >= 4 => {
                let address = usize::from(u16::from_be_bytes([byte(1), byte(2)])) + index - 4;
                self.registers.get(address).copied().unwrap_or(0)
            }
            0x1E if index >= 3 => self.buffer[(usize::from(byte(1)) + index - 3) % 256],
            0x11 if index >= 2 => u8::from(self.lora),
            0x12 if index >= 2 => of(&self.irq.to_be_bytes(), 2),
            0x13 if index >= 2 => of(&[self.rx_length, self.rx_start], 2),
            0x14 if index >= 2 => {
                let rssi = rssi_byte(self.rx_link.rssi_dbm);
                of(&[rssi, (self.rx_link.snr_db * 4).clamp(-128, 127) as i8 as u8, rssi], 2)
            }
            0x15 if index >= 2 => {
                let modulation = self.modulation();
                rssi_byte(air.power_dbm(now_us, self.station, modulation.freq_hz, modulation.bw_hz))
            }
            0x10 if index >= 2 => {
                let [received, crc, header] = self.packets.map(u16::to_be_bytes);
                of(&[received, crc, header].concat(), 2)
            }
            0x17 if index >= 2 => of(&self.device_errors.to_be_bytes(), 2),
            _ => self.status(),
        }
    }

    /// Carries a command out; gives the command status, if it is a new one.
    fn execute(&mut self, now_us: u64, command: &[u8], air: &mut Air) -> Option<u8> {
        match *command {
            // Reads have answered already; GetStatus does nothing.
            [0xC0 | 0x1D | 0x1E | 0x11..=0x15 | 0x10 | 0x17, ..] => {}
            [0x0D, high, low, ref values @ ..] => {
                let address = usize::from(u16::from_be_bytes([high, low]));
                for (register, value) in (address..REGISTERS).zip(values) {
                    self.registers[register] = *value;
                }
            }
            [0x0E, offset, ref values @ ..] => {
                for (at, value) in values.iter().enumerate() {
                    self.buffer[(usize::from(offset) + at) % 256] = *value;
                }
            }
            [0x02, high, low, ..] => self.irq &= !u16::from_be_bytes([high, low]),
            [0x08, mask_high, mask_low, dio1_high, dio1_low, ..] => {
                self.irq_mask = u16::from_be_bytes([mask_high, mask_low]);
                self.dio1_mask = u16::from_be_bytes([dio1_high, dio1_low]);
            }
            [0x07, ..] => self.device_errors = 0,
            [0x00, ..] => self.packets = [0; 3],
            [0x84, config, ..] => {
                self.stop(now_us, air);
                self.mode = Mode::Sleep { warm: config & 0x04 != 0 };
            }
            [0x80, which, ..] => {
                self.stop(now_us, air);
                self.mode = if which & 1 == 0 {
                    Mode::StandbyRc
                } else if self.clock_fails() {
                    self.device_errors |= XOSC_START_ERR;
                    Mode::StandbyRc
                } else {
                    self.busy_until_us = self.busy_until_us.max(now_us + self.clock_start_us());
                    Mode::StandbyXosc
                };
            }
            [0xC1, ..] => {
                self.stop(now_us, air);
                self.mode = Mode::Fs;
            }
            [0x83, ..] => return self.start_tx(now_us, air),
            [0xD1, ..] => return self.start_carrier(now_us, air),
            [0x82, high, middle, low, ..] => {
                return self.start_rx(now_us, u32::from_be_bytes([0, high, middle, low]), air);
            }
            [0xC5, ..] => return self.start_cad(now_us, air),
            [0x8A, kind, ..] => self.lora = kind == 1,
            [0x86, a, b, c, d, ..] => self.frequency_steps = u32::from_be_bytes([a, b, c, d]),
            [0x8B, sf, bw, cr, ..] => (self.sf, self.bw, self.cr) = (sf.clamp(5, 12), bw, cr),
            [0x8C, high, low, _header, len, crc, iq, ..] => {
                self.preamble = u16::from_be_bytes([high, low]);
                self.payload_length = len;
                self.crc_on = crc != 0;
                self.iq_inverted = iq != 0;
            }
            [0x8E, power, _ramp, ..] => self.tx_power = power as i8,
            [0x95, duty_cycle, hp_max, device, lut, ..] => self.pa = [duty_cycle, hp_max, device, lut],
            [0x8F, tx, rx, ..] => (self.tx_base, self.rx_base) = (tx, rx),
            [0x93, fallback, ..] => {
                self.fallback = match fallback {
                    0x40 => Mode::Fs,
                    0x30 => Mode::StandbyXosc,
                    _ => Mode::StandbyRc,
                };
            }
            [0x97, _voltage, high, middle, low, ..] => {
                let steps = u64::from(u32::from_be_bytes([0, high, middle, low]));
                self.tcxo_start_us = Some(steps * TIMER_STEP_64TH_US / 64);
            }
            [0x89, ..] => {
                let start_us = self.tcxo_start_us.unwrap_or(0);
                self.busy_until_us = now_us + start_us + CALIBRATION_US;
                if self.clock_fails() {
                    self.device_errors |= XOSC_START_ERR;
                }
            }
            [0x98, _, _, ..] => self.busy_until_us = now_us + IMAGE_CALIBRATION_US,
            [0x9F, on, ..] => self.stop_timer_on_preamble = on != 0,
            [0xA0, symbols, ..] => self.registers[REG_SYMBOL_TIMEOUT] = symbol_register(symbols),
            // Regulator, DIO2 as RF switch, CAD parameters: nothing that a model without currents could show.
            [0x96 | 0x9D | 0x88, _, ..] => {}
            _ => return Some(PROCESSING_ERROR),
        }
        None
    }

    fn wake(&mut self, now_us: u64, warm: bool) {
        if warm {
            self.mode = Mode::StandbyRc;
            self.busy_until_us = now_us + WARM_START_US;
        } else {
            let faults = self.faults;
            *self = Self::new(now_us, self.station, self.tcxo_fitted);
            self.faults = faults;
            self.busy_until_us = now_us + COLD_START_US;
        }
    }

    fn clock_fails(&self) -> bool {
        self.tcxo_fitted && self.tcxo_start_us.is_none()
    }

    /// The time until the crystal runs, from the present mode.
    fn clock_start_us(&self) -> u64 {
        match self.mode {
            Mode::StandbyRc => self.tcxo_start_us.unwrap_or(0),
            _ => 0,
        }
    }

    /// What sending and receiving have in common; an error when there is no clock or no LoRa.
    fn leave_standby(&mut self, now_us: u64, air: &mut Air) -> Result<(), u8> {
        self.stop(now_us, air);
        if self.clock_fails() || !self.lora {
            if self.clock_fails() {
                self.device_errors |= XOSC_START_ERR;
            }
            self.mode = Mode::StandbyRc;
            return Err(EXECUTION_FAILURE);
        }
        Ok(())
    }

    fn start_tx(&mut self, now_us: u64, air: &mut Air) -> Option<u8> {
        if let Err(status) = self.leave_standby(now_us, air) {
            return Some(status);
        }
        let start_us = now_us + self.clock_start_us() + STANDBY_TO_TX_US;
        let payload: Vec<u8> = (0..usize::from(self.payload_length))
            .map(|at| self.buffer[(usize::from(self.tx_base) + at) % 256])
            .collect();
        let power_dbm = self.output_power_dbm();
        let sent = air.transmit(start_us, self.station, self.modulation(), power_dbm, &payload);
        self.busy_until_us = start_us;
        self.mode = Mode::Tx;
        self.sending = Some((sent.id, sent.end_us));
        None
    }

    /// SetTxContinuousWave (data sheet section 13.1.12): until another mode is set. It is not on the model's air.
    fn start_carrier(&mut self, now_us: u64, air: &mut Air) -> Option<u8> {
        if let Err(status) = self.leave_standby(now_us, air) {
            return Some(status);
        }
        self.busy_until_us = now_us + self.clock_start_us() + STANDBY_TO_TX_US;
        self.mode = Mode::Carrier;
        None
    }

    fn start_rx(&mut self, now_us: u64, timer: u32, air: &mut Air) -> Option<u8> {
        if let Err(status) = self.leave_standby(now_us, air) {
            return Some(status);
        }
        let since_us = now_us + self.clock_start_us() + STANDBY_TO_RX_US;
        let modulation = self.modulation();
        let kind = if timer == CONTINUOUS { RxKind::Continuous } else { RxKind::Single };
        let single = kind == RxKind::Single;
        let symbols = symbols_of(self.registers[REG_SYMBOL_TIMEOUT]);
        let search_end_us =
            (single && symbols > 0).then(|| since_us + modulation.quarter_symbols_us(4 * symbols));
        let timer_us = u64::from(timer) * TIMER_STEP_64TH_US / 64;
        let timer_end_us = (single && timer > 0).then(|| since_us + timer_us);
        self.busy_until_us = since_us;
        self.mode = Mode::Rx;
        self.rx_pointer = self.rx_base;
        self.reception =
            Some(Reception { kind, since_us, search_end_us, timer_end_us, lock: None, lost: false });
        air.listen(self.station, Some(Channel::of(&modulation)));
        self.search(now_us, air);
        None
    }

    fn start_cad(&mut self, now_us: u64, air: &mut Air) -> Option<u8> {
        if let Err(status) = self.leave_standby(now_us, air) {
            return Some(status);
        }
        // Eight symbols of search and half a symbol of thought.
        let search_us = self.modulation().quarter_symbols_us(34);
        self.cad_until_us = Some(now_us + self.clock_start_us() + STANDBY_TO_RX_US + search_us);
        self.mode = Mode::Cad;
        None
    }
}

/// RSSI = -value / 2 dBm (data sheet section 13.5.2).
fn rssi_byte(rssi_dbm: i32) -> u8 {
    (-2 * rssi_dbm).clamp(0, 255) as u8
}

/// The symbol time-out register: bits 7:3 are the mantissa, bits 2:0 the exponent (see [`symbols_of`]).
fn symbol_register(symbols: u8) -> u8 {
    let (mut mantissa, mut exponent) = (u16::from(symbols).div_ceil(2), 0);
    while mantissa > 31 {
        mantissa = mantissa.div_ceil(4);
        exponent += 1;
    }
    (mantissa as u8) << 3 | exponent
}

/// The register holds mantissa * 2^(2 * exponent + 1) symbols.
fn symbols_of(register: u8) -> u64 {
    u64::from(register >> 3) << (2 * (register & 0x07) + 1)
}
