//! The SX1262, and the radio inside the STM32WL, as its commands show it.
//!
//! [`Sx126x`] is a plain value: chip select, bytes and time go in; bytes, BUSY, DIO1 and frames on an
//! [`Air`] come out. [`VirtualChip`] puts one on a simulation and gives embedded-hal and lora-phy handles
//! to it. Facts are from the SX1261/2 data sheet; timings marked "about" are rounded.
//! Left out: FSK, duty-cycled receive, LR-FHSS, clock drift, output power below the amplifier's tables.

mod commands;
mod faults;
mod host;
#[cfg(test)]
mod tests;

use crate::air::{Air, Channel, Link, Modulation, StationId, TransmissionId};
pub use faults::Fault;
pub(crate) use host::ChipCell;
pub use host::{VirtualChip, VirtualInterface, VirtualSpi};

/// Interrupts, data sheet table 13-29.
pub mod irq {
    /// A packet is sent.
    pub const TX_DONE: u16 = 1 << 0;
    /// A packet is received.
    pub const RX_DONE: u16 = 1 << 1;
    /// A preamble is found.
    pub const PREAMBLE_DETECTED: u16 = 1 << 2;
    /// A header is received.
    pub const HEADER_VALID: u16 = 1 << 4;
    /// A header does not fit its check.
    pub const HEADER_ERR: u16 = 1 << 5;
    /// A payload does not fit its CRC.
    pub const CRC_ERR: u16 = 1 << 6;
    /// Channel activity detection is over.
    pub const CAD_DONE: u16 = 1 << 7;
    /// Channel activity is detected.
    pub const CAD_DETECTED: u16 = 1 << 8;
    /// A receive has ended without a packet.
    pub const TIMEOUT: u16 = 1 << 9;
}

/// XOSC_START_ERR of the device errors (data sheet table 13-84): the crystal is a TCXO and not yet told.
const XOSC_START_ERR: u16 = 1 << 5;

// Data sheet table 8-1 and 8-2, in microseconds, about.
const COLD_START_US: u64 = 3500;
const WARM_START_US: u64 = 340;
const STANDBY_TO_RX_US: u64 = 83;
const STANDBY_TO_TX_US: u64 = 126;
const CALIBRATION_US: u64 = 3500;
const IMAGE_CALIBRATION_US: u64 = 1000;

/// How many symbols of preamble a receiver needs, in quarters: about five.
const DETECTION_QUARTERS: u64 = 20;

const REGISTERS: usize = 0x0A00;
const REG_SYNC_WORD: usize = 0x0740;
const REG_SYMBOL_TIMEOUT: usize = 0x0706;
const REG_IQ_POLARITY: usize = 0x0736;
const REG_RX_GAIN: usize = 0x08AC;
const REG_TX_MODULATION: usize = 0x0889;
const REG_TX_CLAMP: usize = 0x08D8;

/// The chip's mode of operation, as far as commands can see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Asleep; `warm` keeps the settings.
    Sleep {
        /// Whether the settings survive.
        warm: bool,
    },
    /// Standby on the RC oscillator.
    StandbyRc,
    /// Standby on the crystal.
    StandbyXosc,
    /// Frequency synthesis.
    Fs,
    /// Sending.
    Tx,
    /// Sending a carrier.
    Carrier,
    /// Receiving.
    Rx,
    /// Detecting channel activity.
    Cad,
}

/// How a receive ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RxKind {
    Single,
    Continuous,
}

/// How far a receiver is with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The preamble is not yet found.
    Searching,
    Preamble,
    Header,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    id: TransmissionId,
    stage: Stage,
    link: Link,
    due_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Reception {
    kind: RxKind,
    since_us: u64,
    /// When the search for a preamble ends.
    search_end_us: Option<u64>,
    /// When the timer of SetRx ends.
    timer_end_us: Option<u64>,
    lock: Option<Lock>,
    /// After a header error or a false preamble a single receive waits for ever.
    lost: bool,
}

impl Reception {
    fn preamble_found(&mut self, stops_timer: bool) {
        self.search_end_us = None;
        if stops_timer {
            self.timer_end_us = None;
        }
    }
}

/// The chip as a value.
#[derive(Debug)]
pub struct Sx126x {
    station: StationId,
    tcxo_fitted: bool,
    mode: Mode,
    selected: bool,
    /// The bytes of the command under way.
    command: Vec<u8>,
    busy_until_us: u64,
    registers: Box<[u8; REGISTERS]>,
    buffer: [u8; 256],
    irq: u16,
    irq_mask: u16,
    dio1_mask: u16,
    command_status: u8,
    device_errors: u16,
    lora: bool,
    frequency_steps: u32,
    sf: u8,
    bw: u8,
    cr: u8,
    preamble: u16,
    payload_length: u8,
    crc_on: bool,
    iq_inverted: bool,
    tx_base: u8,
    rx_base: u8,
    rx_pointer: u8,
    rx_length: u8,
    rx_start: u8,
    rx_link: Link,
    stop_timer_on_preamble: bool,
    tx_power: i8,
    pa: [u8; 4],
    tcxo_start_us: Option<u64>,
    fallback: Mode,
    packets: [u16; 3],
    sending: Option<(TransmissionId, u64)>,
    reception: Option<Reception>,
    cad_until_us: Option<u64>,
    faults: faults::Faults,
    /// Modes and when each began, for whoever asked for them, and the last one.
    modes: Option<(Vec<(u64, Mode)>, Mode)>,
}

impl Sx126x {
    /// Makes a chip as it is after power-on, at `now_us`. `tcxo_fitted` says that its clock is a TCXO on
    /// DIO3, which it must be told before it can send or receive.
    #[must_use]
    pub fn new(now_us: u64, station: StationId, tcxo_fitted: bool) -> Self {
        let mut registers = Box::new([0; REGISTERS]);
        // Values after reset, data sheet table 12-1.
        registers[REG_SYNC_WORD] = 0x14;
        registers[REG_SYNC_WORD + 1] = 0x24;
        registers[REG_IQ_POLARITY] = 0x0D;
        registers[REG_RX_GAIN] = 0x94;
        registers[REG_TX_MODULATION] = 0x01;
        registers[REG_TX_CLAMP] = 0xC8;
        Self {
            station,
            tcxo_fitted,
            mode: Mode::StandbyRc,
            selected: false,
            command: Vec::with_capacity(260),
            busy_until_us: now_us + COLD_START_US,
            registers,
            buffer: [0; 256],
            irq: 0,
            irq_mask: 0,
            dio1_mask: 0,
            command_status: 0,
            device_errors: if tcxo_fitted { XOSC_START_ERR } else { 0 },
            lora: false,
            frequency_steps: 0,
            sf: 7,
            bw: 4,
            cr: 1,
            preamble: 12,
            payload_length: 255,
            crc_on: false,
            iq_inverted: false,
            tx_base: 0,
            rx_base: 0,
            rx_pointer: 0,
            rx_length: 0,
            rx_start: 0,
            rx_link: Link { rssi_dbm: 0, snr_db: 0 },
            stop_timer_on_preamble: false,
            tx_power: 0,
            pa: [0; 4],
            tcxo_start_us: None,
            fallback: Mode::StandbyRc,
            packets: [0; 3],
            sending: None,
            reception: None,
            cad_until_us: None,
            faults: faults::Faults::default(),
            modes: None,
        }
    }

    /// Pulls NRST: everything but permanent faults starts again.
    pub fn reset(&mut self, now_us: u64, air: &mut Air) {
        self.stop(now_us, air);
        let mut fresh = Self::new(now_us, self.station, self.tcxo_fitted);
        fresh.faults = self.faults.after_reset();
        fresh.modes = self.modes.take();
        *self = fresh;
        self.note_mode(now_us);
    }

    /// Names the chip's station.
    #[must_use]
    pub fn station(&self) -> StationId {
        self.station
    }

    /// Tells the mode of operation.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Tells how many packets the chip has received so far, modulo 65536.
    #[must_use]
    pub fn packets(&self) -> u16 {
        self.packets[0]
    }

    /// Gives the last packet that the chip has received.
    #[must_use]
    pub fn last_packet(&self) -> Vec<u8> {
        let at = |at: usize| self.buffer[(usize::from(self.rx_start) + at) % self.buffer.len()];
        (0..usize::from(self.rx_length)).map(at).collect()
    }

    /// Tells the level of DIO1.
    #[must_use]
    pub fn dio1(&self) -> bool {
        !self.faults.dio1_dead && self.irq & self.dio1_mask != 0
    }

    /// Tells until when BUSY is high: `None` when it is stuck, an instant in the past when it is low.
    #[must_use]
    pub fn busy_until_us(&self) -> Option<u64> {
        (!self.faults.busy_stuck).then_some(self.busy_until_us)
    }

    /// Tells the power in dBm that a transmission would have (data sheet table 13-21).
    #[must_use]
    pub fn output_power_dbm(&self) -> i32 {
        // The tables give the power at which SetTxParams reads 22 (high) or 14 (low).
        let [duty_cycle, hp_max, device, _] = self.pa;
        let (full_dbm, reference_dbm) = match (device, duty_cycle, hp_max) {
            (1, 6, _) => (15, 14),
            (1, 4, _) => (14, 14),
            (1, _, _) => (10, 13),
            (_, 4, 7) => (22, 22),
            (_, 3, 5) => (20, 22),
            (_, 2, 3) => (17, 22),
            _ => (14, 22),
        };
        full_dbm + i32::from(self.tx_power) - reference_dbm
    }

    /// Keeps every mode from now on for [`take_modes`](Self::take_modes).
    pub fn keep_modes(&mut self) {
        self.modes.get_or_insert((Vec::new(), self.mode));
    }

    /// Takes the modes since the last call, each with the instant in microseconds from which the chip sends or hears in
    /// it; nothing without [`keep_modes`](Self::keep_modes).
    pub fn take_modes(&mut self) -> Vec<(u64, Mode)> {
        self.modes.as_mut().map(|(modes, _)| std::mem::take(modes)).unwrap_or_default()
    }

    fn note_mode(&mut self, now_us: u64) {
        let since_us = self.reception.map_or(now_us, |reception| reception.since_us);
        if let Some((modes, last)) = &mut self.modes
            && *last != self.mode
        {
            *last = self.mode;
            modes.push((since_us, self.mode));
        }
    }

    /// Tells when the chip changes next by itself, in microseconds.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        let receiving = self.reception.as_ref().and_then(|reception| {
            let due_us = reception.lock.map(|lock| lock.due_us);
            [due_us, reception.search_end_us, reception.timer_end_us].into_iter().flatten().min()
        });
        let sending = self.sending.map(|(_, end_us)| end_us);
        [receiving, sending, self.cad_until_us, self.faults.false_preamble_us].into_iter().flatten().min()
    }

    /// Does everything that is due by `now_us`.
    pub fn advance(&mut self, now_us: u64, air: &mut Air) {
        while let Some(at_us) = self.next_event_us().filter(|at_us| *at_us <= now_us) {
            self.step(at_us, air);
            self.note_mode(at_us);
        }
    }

    /// Looks again at what is on the air: a frame has begun on this chip's channel.
    pub fn frame_begun(&mut self, now_us: u64, air: &Air) {
        self.search(now_us, air);
    }

    fn step(&mut self, at_us: u64, air: &mut Air) {
        if self.faults.false_preamble_us.is_some_and(|due_us| due_us <= at_us) {
            self.faults.false_preamble_us = None;
            if let Some(reception) = &mut self.reception {
                reception.preamble_found(self.stop_timer_on_preamble);
                self.raise(irq::PREAMBLE_DETECTED);
            }
        }
        if let Some((_, end_us)) = self.sending
            && end_us <= at_us
        {
            self.sending = None;
            self.mode = self.fallback;
            self.command_status = 6;
            if !std::mem::take(&mut self.faults.no_tx_done) {
                self.raise(irq::TX_DONE);
            }
        }
        if self.cad_until_us.is_some_and(|due_us| due_us <= at_us) {
            self.end_cad(at_us, air);
        }
        if let Some(reception) = self.reception {
            self.step_reception(at_us, reception, air);
        }
    }

    fn step_reception(&mut self, at_us: u64, reception: Reception, air: &mut Air) {
        let lock_due = reception.lock.filter(|lock| lock.due_us <= at_us);
        let ends_us = reception.search_end_us.into_iter().chain(reception.timer_end_us).min();
        let timed_out = ends_us.is_some_and(|due_us| due_us <= at_us);
        // A frame that is found, or complete, in the same instant comes first.
        if timed_out && lock_due.is_none() {
            let also = if std::mem::take(&mut self.faults.preamble_with_timeout) {
                irq::PREAMBLE_DETECTED
            } else {
                0
            };
            self.end_reception(air);
            self.command_status = 3;
            self.raise(irq::TIMEOUT | also);
        } else if let Some(lock) = lock_due {
            match lock.stage {
                Stage::Searching => self.preamble_found(lock, air),
                Stage::Preamble => self.header_over(at_us, lock, air),
                Stage::Header => self.payload_over(at_us, lock, air),
            }
        }
    }

    fn preamble_found(&mut self, lock: Lock, air: &Air) {
        let Some(transmission) = air.transmission(lock.id) else { return };
        let due_us = transmission.header_end_us();
        if let Some(reception) = &mut self.reception {
            reception.preamble_found(self.stop_timer_on_preamble);
            reception.lock = Some(Lock { stage: Stage::Preamble, due_us, ..lock });
        }
        self.raise(irq::PREAMBLE_DETECTED);
    }

    fn header_over(&mut self, at_us: u64, lock: Lock, air: &mut Air) {
        let whole =
            air.transmission(lock.id).filter(|transmission| air.is_whole(at_us, transmission, self.station));
        let end_us = whole.map(|transmission| transmission.end_us);
        if let Some(due_us) = end_us.filter(|_| !std::mem::take(&mut self.faults.header_error)) {
            if let Some(reception) = &mut self.reception {
                reception.timer_end_us = None;
                reception.lock = Some(Lock { stage: Stage::Header, due_us, ..lock });
            }
            self.raise(irq::HEADER_VALID);
        } else {
            self.packets[2] = self.packets[2].wrapping_add(1);
            self.raise(irq::HEADER_ERR);
            self.frame_lost(at_us, air);
        }
    }

    /// Unlocks: a continuous receive searches on, a single one never finds anything again.
    fn frame_lost(&mut self, at_us: u64, air: &Air) {
        if let Some(reception) = &mut self.reception {
            reception.lock = None;
            reception.lost = reception.kind == RxKind::Single;
            reception.since_us = at_us;
        }
        self.search(at_us, air);
    }

    fn payload_over(&mut self, at_us: u64, lock: Lock, air: &mut Air) {
        let Some(transmission) = air.transmission(lock.id).cloned() else { return };
        let whole =
            air.is_whole(at_us, &transmission, self.station) && !std::mem::take(&mut self.faults.crc_error);
        let mut flags = irq::RX_DONE;
        if !whole && transmission.modulation.crc {
            flags |= irq::CRC_ERR;
            self.packets[1] = self.packets[1].wrapping_add(1);
        } else {
            self.packets[0] = self.packets[0].wrapping_add(1);
        }
        self.rx_start = self.rx_pointer;
        self.rx_length = u8::try_from(transmission.payload.len()).unwrap_or(u8::MAX);
        self.rx_link = lock.link;
        for byte in transmission.payload.iter().take(usize::from(u8::MAX)) {
            // A frame without CRC that was disturbed arrives as something else.
            self.buffer[usize::from(self.rx_pointer)] = if whole { *byte } else { byte ^ 0x5A };
            self.rx_pointer = self.rx_pointer.wrapping_add(1);
        }
        self.command_status = 2;
        let continuous = self.reception.is_some_and(|reception| reception.kind == RxKind::Continuous);
        if continuous {
            self.frame_lost(at_us, air);
        } else {
            self.end_reception(air);
        }
        self.raise(flags);
    }

    fn end_reception(&mut self, air: &mut Air) {
        self.reception = None;
        self.mode = self.fallback;
        air.listen(self.station, None);
    }

    /// Finds the frame that the receiver will lock to, among those on the air.
    fn search(&mut self, now_us: u64, air: &Air) {
        let Some(reception) = self.reception else { return };
        if reception.lost {
            return;
        }
        let modulation = self.modulation();
        let mut best = reception.lock;
        for transmission in air.on_channel(now_us, Channel::of(&modulation)) {
            let heard_from_us = transmission.start_us.max(reception.since_us);
            let due_us = heard_from_us + modulation.quarter_symbols_us(DETECTION_QUARTERS);
            if due_us > transmission.preamble_end_us()
                || transmission.modulation.sync_word != modulation.sync_word
                || best.is_some_and(|lock| lock.id == transmission.id)
            {
                continue;
            }
            let Some(link) = air.link(transmission, self.station) else { continue };
            let better = best.is_none_or(|lock| match lock.stage {
                // A frame that is stronger by 6 dB takes the receiver over until a header is in.
                Stage::Searching | Stage::Preamble => {
                    link.rssi_dbm >= lock.link.rssi_dbm + 6
                        || (lock.stage == Stage::Searching && due_us < lock.due_us)
                }
                Stage::Header => false,
            });
            if better {
                best = Some(Lock { id: transmission.id, stage: Stage::Searching, link, due_us });
            }
        }
        if let Some(reception) = &mut self.reception {
            reception.lock = best;
        }
    }

    fn end_cad(&mut self, at_us: u64, air: &Air) {
        self.cad_until_us = None;
        self.mode = Mode::StandbyRc;
        let modulation = self.modulation();
        let active = [false, true].into_iter().any(|iq_inverted| {
            let channel = Channel::of(&Modulation { iq_inverted, ..modulation });
            air.on_channel(at_us, channel).any(|transmission| {
                transmission.start_us < at_us && air.link(transmission, self.station).is_some()
            })
        });
        self.raise(irq::CAD_DONE | if active { irq::CAD_DETECTED } else { 0 });
    }

    /// Leaves whatever the chip does: a frame being sent is cut, one being received is lost.
    fn stop(&mut self, now_us: u64, air: &mut Air) {
        if let Some((id, _)) = self.sending.take() {
            air.cut(now_us, id);
        }
        self.reception = None;
        self.cad_until_us = None;
        air.listen(self.station, None);
    }

    fn raise(&mut self, flags: u16) {
        self.irq |= flags & self.irq_mask;
    }

    /// The modulation that the settings describe.
    fn modulation(&self) -> Modulation {
        Modulation {
            freq_hz: self.frequency_hz(),
            sf: self.sf,
            bw_hz: bandwidth_hz(self.bw),
            cr: self.cr.clamp(1, 4) + 4,
            iq_inverted: self.iq_inverted,
            preamble: self.preamble,
            crc: self.crc_on,
            sync_word: u16::from_be_bytes([self.registers[REG_SYNC_WORD], self.registers[REG_SYNC_WORD + 1]]),
        }
    }

    /// Tells the frequency that is set: steps * 32 MHz / 2^25 (data sheet section 13.4.1), rounded to the nearest hertz.
    #[must_use]
    pub fn frequency_hz(&self) -> u32 {
        let hz = (u64::from(self.frequency_steps) * 32_000_000 + (1 << 24)) >> 25;
        u32::try_from(hz).unwrap_or(u32::MAX)
    }
}

/// Bandwidths by their number in SetModulationParams (data sheet table 13-48).
fn bandwidth_hz(number: u8) -> u32 {
    match number {
        0 => 7_810,
        8 => 10_420,
        1 => 15_630,
        9 => 20_830,
        2 => 31_250,
        10 => 41_670,
        3 => 62_500,
        5 => 250_000,
        6 => 500_000,
        _ => 125_000,
    }
}
