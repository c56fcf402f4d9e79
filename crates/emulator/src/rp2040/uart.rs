//! A serial port, PL011 (RP2040 data sheet 4.2).

use std::collections::VecDeque;

use crate::kept::Kept;

const DR: u32 = 0x00;
const RSR: u32 = 0x04;
const FR: u32 = 0x18;
const IBRD: u32 = 0x24;
const FBRD: u32 = 0x28;
const LCR_H: u32 = 0x2C;
const CR: u32 = 0x30;
const IFLS: u32 = 0x34;
const IMSC: u32 = 0x38;
const RIS: u32 = 0x3C;
const MIS: u32 = 0x40;
const ICR: u32 = 0x44;
const DMACR: u32 = 0x48;

const RX: u32 = 1 << 4;
const TX: u32 = 1 << 5;
const TIME_OUT: u32 = 1 << 6;
const OVERRUN: u32 = 1 << 10;

const UART_ON: u32 = 1;
const TX_ON: u32 = 1 << 8;
const RX_ON: u32 = 1 << 9;
const FIFO_ON: u32 = 1 << 4;
/// Bytes that each FIFO holds when it is on.
const FIFO: usize = 32;

/// The port.
#[derive(Clone, Debug)]
pub struct Uart {
    kept: Kept<0x13>,
    /// The flags of sending, of the time-out and of overruns; that of receiving follows from the FIFO.
    flags: u32,
    /// The flag of receiving was cleared while the FIFO had so many bytes.
    is_rx_cleared: bool,
    waiting: VecDeque<u8>,
    /// The byte on the line, and when its last stop bit ends.
    shifting: Option<(u8, u64)>,
    received: VecDeque<u8>,
    /// The byte that comes next is marked as one after a loss.
    has_lost: bool,
    time_out_at: Option<u64>,
    /// How many ticks a cycle of the peripherals' clock takes.
    ticks_per_clock: Option<u64>,
}

impl Uart {
    /// Makes the port as it is after a reset.
    pub fn new(ticks_per_clock: Option<u64>) -> Self {
        let mut kept =
            Kept::new(&[DR, RSR, FR, 0x20, IBRD, FBRD, LCR_H, CR, IFLS, IMSC, RIS, MIS, ICR, DMACR]);
        kept.set(CR, TX_ON | RX_ON);
        kept.set(IFLS, 0x12);
        Self {
            kept,
            flags: 0,
            is_rx_cleared: false,
            waiting: VecDeque::new(),
            shifting: None,
            received: VecDeque::new(),
            has_lost: false,
            time_out_at: None,
            ticks_per_clock,
        }
    }

    /// Changes the clock that the speed is divided from.
    pub fn set_clock(&mut self, ticks_per_clock: Option<u64>) {
        self.ticks_per_clock = ticks_per_clock;
    }

    fn is_on(&self, bit: u32) -> bool {
        self.kept.get(CR) & (UART_ON | bit) == UART_ON | bit
    }

    /// Tells how many ticks a bit takes; 0 without a clock, or with a format that this model does not know.
    pub fn bit_ticks(&self) -> u64 {
        // 8 bits and no parity.
        let is_plain = self.kept.get(LCR_H) & 0xE3 == 0x60;
        // Sixteen clocks a bit, divided by IBRD and 64ths.
        let divisor = u64::from(self.kept.get(IBRD)) * 64 + u64::from(self.kept.get(FBRD));
        self.ticks_per_clock.filter(|_| is_plain).map_or(0, |ticks| divisor * ticks / 4)
    }

    fn depth(&self) -> usize {
        if self.kept.get(LCR_H) & FIFO_ON == 0 { 1 } else { FIFO }
    }

    /// An eighth, a quarter, a half, three quarters, seven eighths of the FIFO.
    fn level(&self, shift: u32) -> usize {
        if self.depth() == 1 {
            return 1;
        }
        match self.kept.get(IFLS) >> shift & 7 {
            0 => FIFO / 8,
            1 => FIFO / 4,
            2 => FIFO / 2,
            3 => FIFO / 4 * 3,
            _ => FIFO / 8 * 7,
        }
    }

    fn frame_ticks(&self) -> u64 {
        let stop_bits = if self.kept.get(LCR_H) & 8 == 0 { 1 } else { 2 };
        (9 + stop_bits) * self.bit_ticks()
    }

    fn send(&mut self, now: u64, byte: u8) {
        if !self.is_on(TX_ON) {
            return;
        }
        if self.shifting.is_none() {
            self.shifting = Some((byte, now + self.frame_ticks()));
        } else if self.waiting.len() < self.depth() {
            self.waiting.push_back(byte);
        }
    }

    /// A byte has arrived.
    pub fn receive(&mut self, now: u64, byte: u8) {
        if !self.is_on(RX_ON) {
            return;
        }
        if self.received.len() < self.depth() {
            self.received.push_back(byte);
            self.is_rx_cleared = false;
        } else {
            self.flags |= OVERRUN;
            self.has_lost = true;
        }
        self.time_out_at = Some(now + 32 * self.bit_ticks());
    }

    fn take(&mut self) -> u32 {
        let lost = u32::from(self.has_lost && self.received.len() == 1) << 11;
        let byte = self.received.pop_front();
        if lost != 0 {
            self.has_lost = false;
        }
        if self.received.is_empty() {
            self.time_out_at = None;
            self.flags &= !TIME_OUT;
        }
        byte.map_or(0, u32::from) | lost
    }

    /// Does what is due by `now`; gives a byte that has left, with its instant.
    pub fn advance(&mut self, now: u64) -> Option<(u8, u64)> {
        if self.time_out_at.is_some_and(|at| at <= now) {
            self.time_out_at = None;
            self.flags |= TIME_OUT;
        }
        let (byte, at) = self.shifting.filter(|(_, at)| *at <= now)?;
        let before = self.waiting.len();
        self.shifting = self.waiting.pop_front().map(|next| (next, at + self.frame_ticks()));
        // The flag is set as the FIFO falls through its level.
        let level = if self.depth() == 1 { 0 } else { self.level(0) };
        if before > level && self.waiting.len() <= level {
            self.flags |= TX;
        }
        Some((byte, at))
    }

    /// Tells when something changes by itself.
    pub fn next_event(&self) -> Option<u64> {
        self.time_out_at.into_iter().chain(self.shifting.map(|(_, at)| at)).min()
    }

    fn raw(&self) -> u32 {
        let is_full_enough = self.received.len() >= self.level(3) && !self.is_rx_cleared;
        self.flags | if is_full_enough { RX } else { 0 }
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        self.raw() & self.kept.get(IMSC) != 0
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            DR => self.take(),
            RSR => 0,
            FR => {
                let bit = |is: bool, at: u32| u32::from(is) << at;
                bit(self.shifting.is_some(), 3)
                    | bit(self.received.is_empty(), 4)
                    | bit(self.waiting.len() >= self.depth(), 5)
                    | bit(self.received.len() >= self.depth(), 6)
                    | bit(self.waiting.is_empty(), 7)
            }
            RIS => self.raw(),
            MIS => self.raw() & self.kept.get(IMSC),
            ICR => 0,
            // What the maker writes there: part and revision.
            0xFE0..0x1000 => *ID.get((offset - 0xFE0) as usize / 4)?,
            _ => self.kept.read(offset)?,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        match offset {
            DR => self.send(now, value as u8),
            ICR => {
                self.flags &= !value;
                self.is_rx_cleared |= value & RX != 0;
            }
            RSR | FR | RIS | MIS => {}
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }
}

const ID: [u32; 8] = [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

#[cfg(test)]
mod tests {
    use super::*;

    /// A port at 625 ticks of 16ths of a bit, two stop bits, that interrupts for all.
    fn port() -> Uart {
        let mut port = Uart::new(Some(4));
        for (offset, value) in
            [(IBRD, 156), (FBRD, 16), (LCR_H, 0x78), (IFLS, 0), (IMSC, 0x7F0), (CR, UART_ON | TX_ON | RX_ON)]
        {
            port.write(0, offset, value).unwrap();
        }
        port
    }

    #[test]
    fn bytes_leave_one_after_the_other_and_the_flag_comes_as_the_fifo_falls_to_its_level() {
        let mut port = port();
        let frame = 11 * 10_000;
        for byte in 0..6 {
            port.write(0, DR, byte).unwrap();
        }
        assert!(!port.interrupts());
        assert_eq!(port.next_event(), Some(frame));
        assert_eq!(port.advance(frame - 1), None);
        assert_eq!(port.advance(frame), Some((0, frame)));
        assert!(port.interrupts(), "four of the five that waited are left");
        port.write(frame, ICR, TX).unwrap();
        assert!(!port.interrupts());
        assert_eq!(port.advance(10 * frame), Some((1, 2 * frame)));
        assert_eq!(port.read(FR).unwrap() & 0x88, 0x08);
    }

    #[test]
    fn received_bytes_interrupt_at_the_level_or_after_a_rest_of_32_bits() {
        let mut port = port();
        for byte in 1..4 {
            port.receive(0, byte);
        }
        assert!(!port.interrupts());
        port.advance(319_999);
        assert!(!port.interrupts());
        port.advance(320_000);
        assert!(port.interrupts());
        assert_eq!((1..4).map(|_| port.read(DR).unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(!port.interrupts());
        for byte in 0..33 {
            port.receive(0, byte);
        }
        assert_eq!(port.read(RIS).unwrap() & (RX | OVERRUN), RX | OVERRUN);
    }
}
