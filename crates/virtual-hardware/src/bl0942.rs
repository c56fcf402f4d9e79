//! BL0942: what it measures, its registers, and its serial line.
//!
//! Register facts, equations and timing are those of the data sheet, as `sockeye-metering` uses them; the
//! model is written from them and not from the driver. Not modelled: waveform registers, SPI, the pulse and
//! over-current pins, noise.

use sockeye_metering::FrontEnd;
use sockeye_metering::bl0942::{
    Counts, FULL_PACKET, PACKET_LEN, READ, WRITE, checksum, read_command, register,
};

use crate::mains::Flow;

mod serial;
#[cfg(test)]
mod tests;
mod window;

pub use serial::{SharedCircuit, VirtualSerial};
use window::Window;

/// The chip's reference voltage in V.
const VREF_V: f64 = 1.218;
/// I_FAST_RMS of a current, as a part of its I_RMS.
const FAST_PART: f64 = 0.363;
/// WATT-seconds for one energy pulse: 1638.4 · 256.
const PULSE_WATT_S: f64 = 419_430.4;
/// Full scale of the current input at the default gain: ±42 mV peak; as RMS of a sine in mV (data sheet,
/// electrical characteristics).
const CURRENT_FULL_SCALE_MV: f64 = 29.7;
/// The greatest value of a 24-bit register.
const MAX_U24: f64 = 16_777_215.0;
/// After this pause in µs the chip takes a byte for the first of a command (data sheet, UART timing).
const COMMAND_GAP_US: u64 = 20_000;
/// Pause in µs between a command's last byte and the answer's first bit (data sheet, UART timing).
const ANSWER_GAP_US: u64 = 150;
/// Bits a byte takes on the line, with the pause that the chip leaves.
const BITS_PER_BYTE: u64 = 11;

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer.
    Silence,
    /// The checksum is wrong.
    BadChecksum,
    /// Only that many bytes come.
    Truncated(u8),
    /// That many bytes (at most [`Fault::MAX_GARBAGE`]) that are none of the answer come before it.
    Garbage(u8),
}

impl Fault {
    /// The most garbage before an answer, in bytes.
    pub const MAX_GARBAGE: u8 = 32;
}

/// The state of the pin SCLK_BPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BaudPin {
    /// Low: 4800 baud.
    #[default]
    Low,
    /// High: 9600 baud.
    High,
}

/// A model of the chip.
#[derive(Clone, Debug)]
pub struct Bl0942 {
    parts: FrontEnd,
    baud_pin: BaudPin,
    address: u8,
    reversed: bool,
    registers: Registers,
    now_us: u64,
    flow: Flow,
    input: Input,
    slow: Window<3>,
    fast: Window<1>,
    /// Parts of a pulse that have not been counted.
    pulse_part: f64,
    cf_cnt: u32,
    command: [u8; 6],
    command_len: usize,
    last_received_us: u64,
    answer: Answer,
    fault: Option<(Fault, u32)>,
}

/// The present input, in register counts.
#[derive(Clone, Copy, Debug, Default)]
struct Input {
    i_rms: f64,
    v_rms: f64,
    watt: f64,
}

#[derive(Clone, Copy, Debug)]
struct Registers {
    i_rmsos: u32,
    wa_creep: u32,
    i_fast_rms_th: u32,
    i_fast_rms_cyc: u32,
    freq_cyc: u32,
    ot_funx: u32,
    mode: u32,
    gain_cr: u32,
    unlocked: bool,
}

impl Registers {
    /// The values after a reset.
    const RESET: Self = Self {
        i_rmsos: 0,
        wa_creep: 0x0B,
        i_fast_rms_th: 0xFFFF,
        i_fast_rms_cyc: 1,
        freq_cyc: 3,
        ot_funx: 0x24,
        mode: 0x87,
        gain_cr: 2,
        unlocked: false,
    };

    fn slow_period_us(&self) -> u64 {
        if self.mode & 1 << 3 == 0 { 400_000 } else { 800_000 }
    }

    fn fast_period_us(&self) -> u64 {
        let half_cycle_us = if self.mode & 1 << 5 == 0 { 10_000 } else { 8_333 };
        half_cycle_us << self.i_fast_rms_cyc.min(4)
    }
}

/// An answer on its way.
#[derive(Clone, Copy, Debug)]
struct Answer {
    bytes: [u8; PACKET_LEN + Fault::MAX_GARBAGE as usize],
    len: usize,
    sent: usize,
    begins_us: u64,
    byte_us: u64,
}

impl Answer {
    const NONE: Self = Self { bytes: [0; PACKET_LEN + 32], len: 0, sent: 0, begins_us: 0, byte_us: 1 };

    fn arrives_us(&self, index: usize) -> u64 {
        self.begins_us + (index as u64 + 1) * self.byte_us
    }
}

impl Bl0942 {
    /// Makes a chip with address 0 behind these parts, as it is after its reset.
    #[must_use]
    pub fn new(parts: FrontEnd, baud_pin: BaudPin) -> Self {
        let registers = Registers::RESET;
        Self {
            parts,
            baud_pin,
            address: 0,
            reversed: false,
            registers,
            now_us: 0,
            flow: Flow::default(),
            input: Input::default(),
            slow: Window::new(0, registers.slow_period_us()),
            fast: Window::new(0, registers.fast_period_us()),
            pulse_part: 0.0,
            cf_cnt: 0,
            command: [0; 6],
            command_len: 0,
            last_received_us: 0,
            answer: Answer::NONE,
            fault: None,
        }
    }

    /// Gives the chip another address (0..=3).
    #[must_use]
    pub fn with_address(mut self, address: u8) -> Self {
        self.address = address & 3;
        self
    }

    /// Connects the current input the other way round: the power becomes negative.
    #[must_use]
    pub fn with_reversed_wiring(mut self) -> Self {
        self.reversed = true;
        self
    }

    /// Puts other parts around the chip, as each socket's are a little off.
    pub fn set_parts(&mut self, now_us: u64, parts: FrontEnd) {
        self.parts = parts;
        self.set_flow(now_us, self.flow);
    }

    /// Resets the chip as a dip of its supply does: registers, measured values and pulse count begin anew.
    pub fn reset(&mut self, now_us: u64) {
        self.advance(now_us);
        let fresh = Self::new(self.parts, self.baud_pin);
        let registers = fresh.registers;
        let flow = self.flow;
        *self = Self {
            address: self.address,
            reversed: self.reversed,
            fault: self.fault,
            now_us,
            slow: Window::new(now_us, registers.slow_period_us()),
            fast: Window::new(now_us, registers.fast_period_us()),
            ..fresh
        };
        self.set_flow(now_us, flow);
    }

    /// Lets the next `answers` answers go wrong; `u32::MAX` for all.
    pub fn inject(&mut self, fault: Fault, answers: u32) {
        self.fault = (answers > 0).then_some((fault, answers));
    }

    /// Sets the pulse counter, to begin a run near its wrap.
    pub fn set_cf_cnt(&mut self, cf_cnt: u32) {
        self.cf_cnt = cf_cnt & 0x00FF_FFFF;
    }

    /// Changes what flows, from `now_us` on.
    pub fn set_flow(&mut self, now_us: u64, flow: Flow) {
        self.advance(now_us);
        self.flow = flow;
        let shunt_mohm = f64::from(self.parts.shunt_uohm) / 1000.0;
        let bottom_ohm = f64::from(self.parts.divider_bottom_ohm);
        let divider = bottom_ohm / (bottom_ohm + f64::from(self.parts.divider_top_ohm));
        let full_current_mv = flow.current_a * shunt_mohm;
        let current_mv = full_current_mv.min(CURRENT_FULL_SCALE_MV);
        let voltage_mv = flow.voltage_v * 1000.0 * divider;
        let clipped = if full_current_mv > 0.0 { current_mv / full_current_mv } else { 1.0 };
        // Relative to the default gain of 16, for which the equations hold.
        let gain = [1.0, 4.0, 16.0, 24.0][self.registers.gain_cr as usize & 3] / 16.0;
        let sign = if self.reversed { -gain } else { gain };
        let power_mv2 = flow.power_w * clipped * shunt_mohm * 1000.0 * divider;
        let watt = sign * 3537.0 * power_mv2 / (VREF_V * VREF_V);
        // Below WATT = WA_CREEP · 3125 / 256 the chip shows no power and counts none.
        let creep = f64::from(self.registers.wa_creep) * 3125.0 / 256.0;
        self.input = Input {
            i_rms: gain * 305_978.0 * current_mv / VREF_V,
            v_rms: 73_989.0 * voltage_mv / VREF_V,
            watt: if watt.abs() < creep { 0.0 } else { watt },
        };
    }

    /// Measures up to `now_us`. Going back in time does nothing.
    pub fn advance(&mut self, now_us: u64) {
        if now_us <= self.now_us {
            return;
        }
        let Input { i_rms, v_rms, watt } = self.input;
        self.slow.step(self.now_us, now_us, [i_rms * i_rms, v_rms * v_rms, watt]);
        self.fast.step(self.now_us, now_us, [i_rms * i_rms]);
        if watt != 0.0 && self.registers.mode & 1 << 2 != 0 {
            self.count_pulses(watt, (now_us - self.now_us) as f64 / 1e6);
        }
        self.now_us = now_us;
    }

    fn count_pulses(&mut self, watt: f64, duration_s: f64) {
        let absolute = self.registers.mode & 1 << 7 != 0;
        let watt = if absolute { watt.abs() } else { watt };
        self.pulse_part += watt * duration_s / PULSE_WATT_S;
        let whole = self.pulse_part.trunc();
        self.pulse_part -= whole;
        self.cf_cnt = self.cf_cnt.wrapping_add_signed(whole as i32) & 0x00FF_FFFF;
    }

    /// Tells what the registers of the full packet hold now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [i_square, v_square, watt] = self.slow.mean();
        let [fast_square] = self.fast.mean();
        let line_hz = if self.registers.mode & 1 << 5 == 0 { 50.0 } else { 60.0 };
        Counts {
            i_rms: i_square.sqrt().min(MAX_U24).round() as u32,
            v_rms: v_square.sqrt().min(MAX_U24).round() as u32,
            i_fast_rms: (fast_square.sqrt() * FAST_PART).min(MAX_U24).round() as u32,
            watt: watt.round() as i32,
            cf_cnt: self.cf_cnt,
            freq: (1e6 / line_hz) as u16,
            status: u16::from(watt < 0.0) | u16::from(watt == 0.0) << 1,
        }
    }

    /// Takes a byte whose last bit arrives at `at_us`. The values of an answer are those that the chip was
    /// brought forward to last.
    pub fn receive(&mut self, at_us: u64, byte: u8) {
        if at_us.saturating_sub(self.last_received_us) > COMMAND_GAP_US {
            self.command_len = 0;
        }
        self.last_received_us = at_us;
        self.command[self.command_len] = byte;
        self.command_len += 1;
        let reads = self.command[0] == READ | self.address;
        let writes = self.command[0] == WRITE | self.address;
        match self.command_len {
            2 if reads => self.answer(at_us),
            6 if writes => self.write(),
            _ if reads || writes => return,
            _ => {}
        }
        self.command_len = 0;
    }

    fn answer(&mut self, at_us: u64) {
        let register = self.command[1];
        self.answer = Answer { begins_us: at_us + ANSWER_GAP_US, byte_us: self.byte_us(), ..Answer::NONE };
        if register == FULL_PACKET {
            let packet = self.counts().encode(self.address);
            self.answer.bytes[..PACKET_LEN].copy_from_slice(&packet);
            self.answer.len = PACKET_LEN;
        } else if let Some(value) = self.register(register) {
            let [d0, d1, d2, _] = value.to_le_bytes();
            let sum = checksum(read_command(self.address), &[register, d0, d1, d2]);
            self.answer.bytes[..4].copy_from_slice(&[d0, d1, d2, sum]);
            self.answer.len = 4;
        }
        if register == FULL_PACKET || self.answer.len == 4 {
            self.after_reading(register);
        }
        if let Some((fault, left)) = self.fault {
            self.spoil(fault);
            self.inject(fault, if left == u32::MAX { left } else { left - 1 });
        }
    }

    fn after_reading(&mut self, register: u8) {
        let clears = self.registers.mode & 1 << 6 != 0;
        if clears && (register == FULL_PACKET || register == 0x07) {
            self.cf_cnt = 0;
        }
    }

    fn spoil(&mut self, fault: Fault) {
        let answer = &mut self.answer;
        match fault {
            Fault::Silence => answer.len = 0,
            Fault::BadChecksum => {
                if let Some(last) = answer.len.checked_sub(1) {
                    answer.bytes[last] ^= 0x10;
                }
            }
            Fault::Truncated(len) => answer.len = answer.len.min(usize::from(len)),
            Fault::Garbage(count) => {
                let count = usize::from(count.min(Fault::MAX_GARBAGE));
                answer.bytes.copy_within(..answer.len, count);
                // Every third byte looks like a head.
                for (index, byte) in answer.bytes[..count].iter_mut().enumerate() {
                    *byte = if index % 3 == 0 { 0x55 } else { 0xA7 };
                }
                answer.len += count;
            }
        }
    }

    fn register(&self, address: u8) -> Option<u32> {
        let counts = self.counts();
        let registers = &self.registers;
        Some(match address {
            0x03 => counts.i_rms,
            0x04 => counts.v_rms,
            0x05 => counts.i_fast_rms,
            0x06 => counts.watt as u32 & 0x00FF_FFFF,
            0x07 => counts.cf_cnt,
            0x08 => u32::from(counts.freq),
            0x09 => u32::from(counts.status),
            0x12 => registers.i_rmsos,
            0x14 => registers.wa_creep,
            0x15 => registers.i_fast_rms_th,
            register::I_FAST_RMS_CYC => registers.i_fast_rms_cyc,
            0x17 => registers.freq_cyc,
            0x18 => registers.ot_funx,
            register::MODE => registers.mode,
            register::GAIN_CR => registers.gain_cr,
            register::USR_WRPROT => {
                if registers.unlocked {
                    0x55
                } else {
                    0
                }
            }
            _ => return None,
        })
    }

    fn write(&mut self) {
        let [command, address, d0, d1, d2, sum] = self.command;
        if sum != checksum(command, &[address, d0, d1, d2]) {
            return;
        }
        let value = u32::from_le_bytes([d0, d1, d2, 0]);
        if address == register::USR_WRPROT {
            self.registers.unlocked = value == 0x55;
            return;
        }
        if !self.registers.unlocked {
            return;
        }
        let registers = &mut self.registers;
        match address {
            0x12 => registers.i_rmsos = value & 0xFF,
            0x14 => registers.wa_creep = value & 0xFF,
            0x15 => registers.i_fast_rms_th = value & 0xFFFF,
            register::I_FAST_RMS_CYC => registers.i_fast_rms_cyc = value & 7,
            0x17 => registers.freq_cyc = value & 3,
            0x18 => registers.ot_funx = value & 0x3F,
            register::MODE => registers.mode = value & 0x3FF,
            register::GAIN_CR => registers.gain_cr = value & 3,
            0x1C if value == 0x005A_5A5A => return self.reset(self.now_us),
            _ => return,
        }
        // Gain and creep threshold change what the input counts.
        self.set_flow(self.now_us, self.flow);
        self.slow.set_period(self.now_us, self.registers.slow_period_us());
        self.fast.set_period(self.now_us, self.registers.fast_period_us());
    }

    /// Tells when the next byte of an answer has arrived at the other side.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        (self.answer.sent < self.answer.len).then(|| self.answer.arrives_us(self.answer.sent))
    }

    /// Tells when the last byte of an answer has arrived at the other side.
    #[must_use]
    pub fn answered_us(&self) -> Option<u64> {
        (self.answer.sent < self.answer.len).then(|| self.answer.arrives_us(self.answer.len - 1))
    }

    /// Shows the answer that is on its way.
    #[must_use]
    pub fn answer_under_way(&self) -> Option<&[u8]> {
        self.answered_us()?;
        self.answer.bytes.get(..self.answer.len)
    }

    /// Gives the next byte of an answer, if it has arrived by `now_us`.
    pub fn transmit(&mut self, now_us: u64) -> Option<u8> {
        self.next_event_us().filter(|&at_us| at_us <= now_us)?;
        let byte = self.answer.bytes[self.answer.sent];
        self.answer.sent += 1;
        Some(byte)
    }

    /// Tells how long a byte takes on the line, in µs, at the present baud rate (`MODE` bits 9:8, or the
    /// pin).
    #[must_use]
    pub fn byte_us(&self) -> u64 {
        let baud = match (self.registers.mode >> 8 & 3, self.baud_pin) {
            (2, _) => 19_200,
            (3, _) => 38_400,
            (_, BaudPin::Low) => 4_800,
            (_, BaudPin::High) => 9_600,
        };
        (BITS_PER_BYTE * 1_000_000).div_ceil(baud)
    }
}
