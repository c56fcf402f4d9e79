//! The bus to the tag, I2C0 as master (DW_apb_i2c, RP2040 data sheet 4.3). A byte takes its time; its effect comes at the end.

use std::collections::VecDeque;

use sockeye_virtual_hardware::st25dv::{BusFault, SharedTag};

use crate::kept::Kept;

const CON: u32 = 0x00;
const TAR: u32 = 0x04;
const SAR: u32 = 0x08;
const DATA_CMD: u32 = 0x10;
const FS_HCNT: u32 = 0x1C;
const FS_LCNT: u32 = 0x20;
const INTR_STAT: u32 = 0x2C;
const INTR_MASK: u32 = 0x30;
const RAW_INTR_STAT: u32 = 0x34;
const RX_TL: u32 = 0x38;
const TX_TL: u32 = 0x3C;
const CLR_INTR: u32 = 0x40;
const CLR_RX_UNDER: u32 = 0x44;
const CLR_RX_OVER: u32 = 0x48;
const CLR_TX_OVER: u32 = 0x4C;
const CLR_TX_ABRT: u32 = 0x54;
const CLR_STOP_DET: u32 = 0x60;
const CLR_START_DET: u32 = 0x64;
const ENABLE: u32 = 0x6C;
const STATUS: u32 = 0x70;
const TXFLR: u32 = 0x74;
const RXFLR: u32 = 0x78;
const TX_ABRT_SOURCE: u32 = 0x80;
const ENABLE_STATUS: u32 = 0x9C;
const FS_SPKLEN: u32 = 0xA0;

/// The registers that keep what they are given; the others are worked out.
const KEPT: [u32; 24] = [
    CON, TAR, SAR, 0x14, 0x18, FS_HCNT, FS_LCNT, INTR_MASK, RX_TL, TX_TL, 0x50, 0x5C, 0x58, 0x68, ENABLE,
    0x7C, 0x84, 0x88, 0x8C, 0x90, 0x94, 0x98, FS_SPKLEN, 0xA8,
];

/// CON: master, fast mode, restart enabled, no slave.
const MASTER: u32 = 1 | 2 << 1 | 1 << 5 | 1 << 6;
const MASTER_BITS: u32 = 1 | 3 << 1 | 1 << 5 | 1 << 6;

/// DATA_CMD.
const READS: u32 = 1 << 8;
const STOP: u32 = 1 << 9;
const RESTART: u32 = 1 << 10;

/// RAW_INTR_STAT.
const RX_UNDER: u32 = 1;
const RX_OVER: u32 = 1 << 1;
const RX_FULL: u32 = 1 << 2;
const TX_OVER: u32 = 1 << 3;
const TX_EMPTY: u32 = 1 << 4;
const TX_ABRT: u32 = 1 << 6;
const STOP_DET: u32 = 1 << 9;
const START_DET: u32 = 1 << 10;

/// TX_ABRT_SOURCE.
const NO_ADDRESS: u32 = 1;
const NO_DATA: u32 = 1 << 3;

/// Words that each FIFO holds.
const FIFO: usize = 16;

/// Bits of a byte, with its acknowledgement.
const BITS: u64 = 9;

/// The unit.
#[derive(Clone, Debug)]
pub struct I2c {
    kept: Kept<0x2B>,
    commands: VecDeque<u32>,
    received: VecDeque<u8>,
    /// The command on the lines, whether it begins with an address, and when its byte ends.
    shifting: Option<(u32, bool, u64)>,
    /// Which way the transfer goes that has not ended: does it read?
    direction: Option<bool>,
    flags: u32,
    abort: u32,
}

impl I2c {
    /// Makes it as it is after a reset.
    pub fn new() -> Self {
        let mut kept = Kept::new(&KEPT);
        kept.set(CON, 0x65);
        kept.set(TAR, 0x55);
        kept.set(SAR, 0x55);
        kept.set(FS_HCNT, 0x06);
        kept.set(FS_LCNT, 0x0D);
        kept.set(INTR_MASK, 0x8FF);
        kept.set(FS_SPKLEN, 0x07);
        Self {
            kept,
            commands: VecDeque::new(),
            received: VecDeque::new(),
            shifting: None,
            direction: None,
            flags: 0,
            abort: 0,
        }
    }

    fn is_on(&self) -> bool {
        self.kept.get(ENABLE) & 1 != 0
    }

    /// Tells how many clocks a bit takes (data sheet 4.3.14.1).
    fn bit_clocks(&self) -> u64 {
        let high = self.kept.get(FS_HCNT) + self.kept.get(FS_SPKLEN) + 7;
        u64::from(high + self.kept.get(FS_LCNT) + 1)
    }

    /// Tells whether a line is held low.
    pub fn is_stuck(tag: &SharedTag) -> bool {
        tag.fault() == BusFault::Stuck
    }

    /// Goes on to `now`; a clock takes so many ticks.
    pub fn advance(&mut self, tag: &SharedTag, now: u64, ticks: u64) {
        while let Some((command, has_address, _)) = self.shifting.filter(|(_, _, end)| *end <= now) {
            self.shifting = None;
            self.finish(tag, command, has_address);
            self.begin(tag, now, ticks);
        }
    }

    /// Tells whether a look at this register is one at an empty FIFO while a byte is on the lines.
    pub fn is_awaited(&self, offset: u32) -> bool {
        offset == RXFLR && self.received.is_empty() && self.shifting.is_some()
    }

    /// Tells when the byte on the lines ends.
    pub fn next_event(&self) -> Option<u64> {
        self.shifting.map(|(_, _, end)| end)
    }

    /// Puts the next command on the lines, if they are free.
    fn begin(&mut self, tag: &SharedTag, now: u64, ticks: u64) {
        // Lines that never become free take nothing.
        let is_blocked = matches!(tag.fault(), BusFault::Stuck | BusFault::Hangs);
        let is_master = self.kept.get(CON) & MASTER_BITS == MASTER;
        if self.shifting.is_some() || !self.is_on() || is_blocked || !is_master {
            return;
        }
        let Some(command) = self.commands.pop_front() else { return };
        let reads = command & READS != 0;
        let has_address = self.direction != Some(reads) || command & RESTART != 0;
        let bits = BITS * (1 + u64::from(has_address));
        self.shifting = Some((command, has_address, now + bits * self.bit_clocks() * ticks));
    }

    fn finish(&mut self, tag: &SharedTag, command: u32, has_address: bool) {
        let reads = command & READS != 0;
        if has_address {
            self.flags |= START_DET;
            let address = (self.kept.get(TAR) << 1) as u8 | u8::from(reads);
            if tag.fault() == BusFault::Absent || !tag.with(|now_us, chip| chip.start(now_us, address)) {
                return self.give_up(tag, NO_ADDRESS);
            }
            self.direction = Some(reads);
        }
        if reads {
            let byte = tag.with(|_, chip| chip.read());
            if self.received.len() < FIFO {
                self.received.push_back(byte);
            } else {
                self.flags |= RX_OVER;
            }
        } else if !tag.with(|_, chip| chip.write(command as u8)) {
            return self.give_up(tag, NO_DATA);
        }
        if command & STOP != 0 {
            self.stop(tag);
        }
    }

    /// Both FIFOs are emptied, and that to send takes nothing before the flag is cleared.
    fn give_up(&mut self, tag: &SharedTag, why: u32) {
        self.abort |= why;
        self.flags |= TX_ABRT;
        self.commands.clear();
        self.received.clear();
        self.stop(tag);
    }

    fn stop(&mut self, tag: &SharedTag) {
        self.direction = None;
        self.flags |= STOP_DET;
        tag.with(|now_us, chip| chip.stop(now_us));
    }

    /// Lets go of the lines and empties the FIFOs. What happened is remembered until it is cleared.
    pub fn let_go(&mut self, tag: &SharedTag) {
        if self.direction.is_some() {
            tag.with(|now_us, chip| chip.stop(now_us));
        }
        *self = Self { kept: self.kept.clone(), flags: self.flags, abort: self.abort, ..Self::new() };
    }

    fn raw(&self) -> u32 {
        let is_full = self.received.len() > self.kept.get(RX_TL) as usize;
        // With TX_EMPTY_CTRL also the last byte has to have left.
        let is_empty = self.commands.len() <= self.kept.get(TX_TL) as usize && self.shifting.is_none();
        self.flags | if is_full { RX_FULL } else { 0 } | if is_empty { TX_EMPTY } else { 0 }
    }

    /// Tells the level of the interrupt's line.
    pub fn interrupts(&self) -> bool {
        self.is_on() && self.raw() & self.kept.get(INTR_MASK) != 0
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        let mut clear = |flags: u32| {
            self.flags &= !flags;
            0
        };
        Some(match offset {
            CLR_INTR => {
                self.abort = 0;
                clear(u32::MAX)
            }
            CLR_TX_ABRT => {
                self.abort = 0;
                clear(TX_ABRT)
            }
            CLR_RX_UNDER => clear(RX_UNDER),
            CLR_RX_OVER => clear(RX_OVER),
            CLR_TX_OVER => clear(TX_OVER),
            CLR_STOP_DET => clear(STOP_DET),
            CLR_START_DET => clear(START_DET),
            DATA_CMD => self.received.pop_front().map_or_else(
                || {
                    self.flags |= RX_UNDER;
                    0
                },
                u32::from,
            ),
            INTR_STAT => self.raw() & self.kept.get(INTR_MASK),
            RAW_INTR_STAT => self.raw(),
            // ACTIVITY, TFNF, TFE, RFNE, RFF, MST_ACTIVITY.
            STATUS => {
                let is_active = self.shifting.is_some() || self.direction.is_some();
                (if is_active { 0x21 } else { 0 })
                    | u32::from(self.commands.len() < FIFO) << 1
                    | u32::from(self.commands.is_empty()) << 2
                    | u32::from(!self.received.is_empty()) << 3
                    | u32::from(self.received.len() == FIFO) << 4
            }
            TXFLR => self.commands.len() as u32,
            RXFLR => self.received.len() as u32,
            TX_ABRT_SOURCE => self.abort,
            ENABLE_STATUS => u32::from(self.is_on()),
            _ => self.kept.read(offset)?,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, tag: &SharedTag, now: u64, ticks: u64, offset: u32, value: u32) -> Option<()> {
        match offset {
            DATA_CMD if self.commands.len() == FIFO => self.flags |= TX_OVER,
            DATA_CMD if !self.is_on() || self.flags & TX_ABRT != 0 => {}
            DATA_CMD => {
                self.commands.push_back(value);
                self.begin(tag, now, ticks);
            }
            // They can be set while the unit is off alone.
            CON | TAR | SAR | 0x14..=0x20 | FS_SPKLEN if self.is_on() => {}
            ENABLE => {
                if value & 1 == 0 {
                    self.let_go(tag);
                }
                self.kept.write(offset, value)?;
            }
            INTR_STAT
            | RAW_INTR_STAT
            | TX_ABRT_SOURCE
            | ENABLE_STATUS
            | CLR_INTR..=CLR_START_DET
            | STATUS..=RXFLR => {}
            _ => self.kept.write(offset, value)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use sockeye_virtual_hardware::sim::Sim;
    use sockeye_virtual_hardware::st25dv::St25dv;

    use super::*;

    /// User memory of the tag, as an address of seven bits.
    const USER: u32 = 0x53;

    fn unit() -> (I2c, SharedTag) {
        let tag = SharedTag::new(&Sim::new(), St25dv::new(512));
        let mut unit = I2c::new();
        for (offset, value) in [(CON, MASTER), (TAR, USER), (FS_HCNT, 100), (FS_LCNT, 100), (ENABLE, 1)] {
            unit.write(&tag, 0, 1, offset, value).unwrap();
        }
        (unit, tag)
    }

    #[test]
    fn bytes_take_their_time_and_a_read_brings_what_is_in_the_memory() {
        let (mut unit, tag) = unit();
        // The first bytes of the factory's memory, whatever they are.
        let expected: Vec<u32> =
            tag.with(|now_us, chip| chip.memory(now_us)[..4].iter().map(|byte| u32::from(*byte)).collect());
        for command in [0, 0, READS | RESTART, READS, READS, READS | STOP] {
            unit.write(&tag, 0, 1, DATA_CMD, command).unwrap();
        }
        // Two addresses and six bytes, 9 bits each, of 100 + 7 + 7 + 100 + 1 clocks.
        let end = 8 * 9 * 215;
        let mut now = 0;
        while let Some(next) = unit.next_event() {
            assert!(next > now);
            now = next;
            unit.advance(&tag, now, 1);
        }
        assert_eq!(now, end);
        assert_ne!(unit.read(RAW_INTR_STAT).unwrap() & STOP_DET, 0);
        assert_eq!((0..4).map(|_| unit.read(DATA_CMD).unwrap()).collect::<Vec<_>>(), expected);
        assert_eq!(unit.read(RXFLR), Some(0));
    }

    #[test]
    fn an_absent_chip_is_not_acknowledged_and_empties_the_queue_until_that_is_cleared() {
        let (mut unit, tag) = unit();
        tag.set_fault(BusFault::Absent);
        for _ in 0..3 {
            unit.write(&tag, 0, 1, DATA_CMD, 0).unwrap();
        }
        unit.advance(&tag, 1_000_000, 1);
        assert_eq!(unit.read(TX_ABRT_SOURCE), Some(NO_ADDRESS));
        assert_eq!(unit.read(TXFLR), Some(0));
        unit.write(&tag, 0, 1, DATA_CMD, 0).unwrap();
        assert_eq!(unit.next_event(), None);
        unit.read(CLR_TX_ABRT).unwrap();
        assert_eq!(unit.read(TX_ABRT_SOURCE), Some(0));
        unit.write(&tag, 0, 1, DATA_CMD, 0).unwrap();
        assert!(unit.next_event().is_some());
    }

    #[test]
    fn a_stuck_bus_takes_nothing_and_the_address_cannot_change_while_the_unit_is_on() {
        let (mut unit, tag) = unit();
        tag.set_fault(BusFault::Hangs);
        unit.write(&tag, 0, 1, DATA_CMD, STOP).unwrap();
        assert_eq!((unit.next_event(), unit.read(TXFLR)), (None, Some(1)));
        unit.write(&tag, 0, 1, TAR, 1).unwrap();
        assert_eq!(unit.read(TAR), Some(USER));
        unit.write(&tag, 0, 1, ENABLE, 0).unwrap();
        unit.write(&tag, 0, 1, TAR, 1).unwrap();
        assert_eq!((unit.read(TAR), unit.read(TXFLR)), (Some(1), Some(0)));
    }
}
