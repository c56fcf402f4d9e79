//! A serial port (RM0453 chapter 35).

use std::collections::VecDeque;

use crate::kept::Kept;

const CR1: u32 = 0x00;
const CR2: u32 = 0x04;
const CR3: u32 = 0x08;
const BRR: u32 = 0x0C;
const RQR: u32 = 0x18;
const ISR: u32 = 0x1C;
const ICR: u32 = 0x20;
const RDR: u32 = 0x24;
const TDR: u32 = 0x28;
const PRESC: u32 = 0x2C;

const OVERRUN: u32 = 1 << 3;
const IDLE: u32 = 1 << 4;
const RECEIVED: u32 = 1 << 5;
const SENT: u32 = 1 << 6;
const EMPTY: u32 = 1 << 7;

const FIFO_ENABLE: u32 = 1 << 29;
/// Bytes that each FIFO holds when it is on.
const FIFO: usize = 8;

/// The port.
#[derive(Clone, Debug)]
pub struct Usart {
    kept: Kept<12>,
    /// Overrun, idle and transmission complete; the other flags follow from what is in the registers.
    flags: u32,
    waiting: VecDeque<u8>,
    /// The byte on the line, and when its last stop bit ends.
    shifting: Option<(u8, u64)>,
    received: VecDeque<u8>,
    idle_at: Option<u64>,
    ticks_per_clock: u64,
    /// Into how many parts BRR divides a clock: 256 in a low-power port (RM0453 chapter 36), whose other registers are the same.
    parts: u64,
}

impl Usart {
    /// Makes the port as it is after a reset.
    pub fn new(ticks_per_clock: u64) -> Self {
        Self::with_parts(ticks_per_clock, 1)
    }

    /// Makes a low-power port as it is after a reset.
    pub fn low_power(ticks_per_clock: u64) -> Self {
        Self::with_parts(ticks_per_clock, 256)
    }

    fn with_parts(ticks_per_clock: u64, parts: u64) -> Self {
        Self {
            parts,
            kept: Kept::new(&[CR1, CR2, CR3, BRR, 0x10, 0x14, RQR, ISR, ICR, RDR, TDR, PRESC]),
            flags: SENT,
            waiting: VecDeque::new(),
            shifting: None,
            received: VecDeque::new(),
            idle_at: None,
            ticks_per_clock,
        }
    }

    /// Changes the clock that the speed is divided from.
    pub fn set_clock(&mut self, ticks_per_clock: u64) {
        self.ticks_per_clock = ticks_per_clock;
    }

    fn is_on(&self, bit: u32) -> bool {
        self.kept.get(CR1) & (1 | bit) == 1 | bit
    }

    /// Tells how many ticks a bit takes.
    pub fn bit_ticks(&self) -> u64 {
        // PRESC is left at 1, and oversampling at 16: what the registers hold otherwise is told by `is_plain`.
        u64::from(self.kept.get(BRR)) * self.ticks_per_clock / self.parts
    }

    /// Tells whether the port is set to what this model knows: 8 bits, no parity, no prescaler, sampled 16 times.
    pub fn is_plain(&self) -> bool {
        let odd = 1 << 10 | 1 << 12 | 1 << 15 | 1 << 28;
        self.kept.get(CR1) & odd == 0 && self.kept.get(PRESC) == 0
    }

    fn depth(&self) -> usize {
        if self.kept.get(CR1) & FIFO_ENABLE == 0 { 1 } else { FIFO }
    }

    fn frame_ticks(&self) -> u64 {
        let stop_bits = if self.kept.get(CR2) >> 13 & 1 == 0 { 1 } else { 2 };
        (9 + stop_bits) * self.bit_ticks()
    }

    /// Tells whether the DMA is asked for a byte to send.
    pub fn wants_byte(&self) -> bool {
        self.is_on(1 << 3) && self.kept.get(CR3) >> 7 & 1 != 0 && self.waiting.len() < self.depth()
    }

    /// Tells whether the DMA is asked to take a received byte.
    pub fn offers_byte(&self) -> bool {
        self.kept.get(CR3) >> 6 & 1 != 0 && !self.received.is_empty()
    }

    /// Takes the received byte.
    pub fn take(&mut self) -> u8 {
        self.received.pop_front().unwrap_or(0)
    }

    /// Sends a byte.
    pub fn send(&mut self, now: u64, byte: u8) {
        if !self.is_on(1 << 3) {
            return;
        }
        self.flags &= !SENT;
        if self.shifting.is_none() {
            self.shifting = Some((byte, now + self.frame_ticks()));
        } else if self.waiting.len() < self.depth() {
            self.waiting.push_back(byte);
        }
    }

    /// A byte has arrived; the next one arrives at `next`, if one is on its way.
    pub fn receive(&mut self, now: u64, byte: u8, next: Option<u64>) {
        if !self.is_on(1 << 2) {
            return;
        }
        if self.received.len() < self.depth() {
            self.received.push_back(byte);
        } else {
            self.flags |= OVERRUN;
        }
        // The line is idle once it rests for a frame: the next byte's start bit is to come later than that.
        let rests_until = next.map_or(u64::MAX, |next| next.saturating_sub(self.frame_ticks()));
        let idle_at = now + self.frame_ticks();
        self.idle_at = (idle_at <= rests_until).then_some(idle_at);
    }

    /// Does what is due by `now`; gives a byte that has left, with its instant.
    pub fn advance(&mut self, now: u64) -> Option<(u8, u64)> {
        if self.idle_at.is_some_and(|at| at <= now) {
            self.idle_at = None;
            self.flags |= IDLE;
        }
        let (byte, at) = self.shifting.filter(|(_, at)| *at <= now)?;
        self.shifting = self.waiting.pop_front().map(|next| (next, at + self.frame_ticks()));
        if self.shifting.is_none() {
            self.flags |= SENT;
        }
        Some((byte, at))
    }

    /// Tells when something changes by itself.
    pub fn next_event(&self) -> Option<u64> {
        self.idle_at.into_iter().chain(self.shifting.map(|(_, at)| at)).min()
    }

    fn status(&self) -> u32 {
        let mut word = self.flags;
        if !self.received.is_empty() {
            word |= RECEIVED;
        }
        // With the FIFO on the same bit says that it has room.
        if self.waiting.len() < self.depth() {
            word |= EMPTY;
        }
        // TEACK and REACK follow the two enable bits.
        word | u32::from(self.is_on(1 << 3)) << 21 | u32::from(self.is_on(1 << 2)) << 22
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        let (cr1, status) = (self.kept.get(CR1), self.status());
        // The enable bits of idle, received, sent and empty stand where their flags do.
        cr1 & 1 != 0
            && (status & cr1 & (IDLE | RECEIVED | SENT | EMPTY) != 0
                || status & OVERRUN != 0 && (cr1 & RECEIVED != 0 || self.kept.get(CR3) & 1 != 0))
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        match offset {
            ISR => Some(self.status()),
            RDR => Some(u32::from(self.take())),
            RQR | ICR => Some(0),
            _ => self.kept.read(offset),
        }
    }

    /// Writes a register.
    pub fn write(&mut self, now: u64, offset: u32, value: u32) -> Option<()> {
        match offset {
            TDR => self.send(now, value as u8),
            ICR => self.flags &= !(value & (OVERRUN | IDLE | SENT)),
            RQR => {
                if value & 1 << 3 != 0 {
                    self.received.clear();
                }
            }
            ISR | RDR => {}
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port at 5000 clocks of 2 ticks a bit, two stop bits, that sends and receives.
    fn port() -> Usart {
        let mut port = Usart::new(2);
        for (offset, value) in [(BRR, 5000), (CR2, 2 << 12), (CR1, 1 | 1 << 2 | 1 << 3 | IDLE)] {
            port.write(0, offset, value).unwrap();
        }
        port
    }

    #[test]
    fn a_low_power_port_divides_by_256ths() {
        // RM0453, LPUART baud rate: 256 times the clock by the rate.
        let mut port = Usart::low_power(2);
        port.write(0, BRR, 256 * 5000).unwrap();
        assert_eq!(port.bit_ticks(), 10_000);
    }

    #[test]
    fn bytes_leave_one_after_the_other_each_with_start_and_stop_bits() {
        let mut port = port();
        port.write(0, TDR, 0x58).unwrap();
        port.write(0, TDR, 0xAA).unwrap();
        assert_eq!(port.read(ISR).unwrap() & (SENT | EMPTY), 0);
        assert_eq!(port.next_event(), Some(110_000));
        assert_eq!(port.advance(109_999), None);
        assert_eq!(port.advance(110_000), Some((0x58, 110_000)));
        assert_eq!(port.read(ISR).unwrap() & (SENT | EMPTY), EMPTY);
        assert_eq!(port.advance(300_000), Some((0xAA, 220_000)));
        assert_eq!(port.read(ISR).unwrap() & (SENT | EMPTY), SENT | EMPTY);
    }

    #[test]
    fn a_byte_that_is_not_taken_makes_the_next_one_an_overrun() {
        let mut port = port();
        port.receive(0, 1, None);
        port.receive(10, 2, None);
        assert_eq!(port.read(ISR).unwrap() & (RECEIVED | OVERRUN), RECEIVED | OVERRUN);
        assert_eq!(port.read(RDR), Some(1));
        port.write(0, ICR, OVERRUN).unwrap();
        assert_eq!(port.read(ISR).unwrap() & (RECEIVED | OVERRUN), 0);
    }

    #[test]
    fn a_line_that_rests_for_a_frame_is_idle_and_interrupts() {
        let mut port = port();
        // Two bytes without a rest between them.
        port.receive(0, 7, Some(110_000));
        let _ = port.take();
        assert_eq!(port.next_event(), None);
        port.receive(1000, 1, None);
        let _ = port.take();
        port.advance(110_999);
        assert!(!port.interrupts());
        port.advance(111_000);
        assert!(port.interrupts());
        port.write(0, ICR, IDLE).unwrap();
        assert!(!port.interrupts());
        assert_eq!(port.next_event(), None);
    }
}
