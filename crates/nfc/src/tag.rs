//! The tag as a port: a phone puts its request in the place of what the socket shows.

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::digital::Wait;
use embedded_hal_async::i2c::I2c;

use crate::ndef::{self, Container, RECORD_HEADER, Record, TLV_END, TLV_HEAD, TlvHead};
use crate::port::{Arrival, Port, Shown};
use crate::st25dv::{
    BLOCK, CHANGE, Error, Events, PIECE, PRESENT, SET_UP, SYSTEM, St25dv, USER, dynamic, system,
};

/// How often the chip is asked what happened, in ms: a pulse that nobody waited for is found so.
const LOOK_MS: u32 = 5000;

/// So long without a pulse, in ms, and the phone is taken to be between two frames no more. No transaction disturbs it before.
const WATCH_MS: u32 = 50;

/// So many pulses are waited for without a look: all that a phone writes into 8 KB.
const PULSES: u16 = 2048;

/// So many looks without another write, and what was written is taken if it is whole.
const QUIET: u8 = 2;

/// So many looks without another write, and what was written will not become whole: 1 s.
const TORN: u8 = (1000 / WATCH_MS) as u8;

/// How old what is shown may get, in looks: 15 min. One rewrite in 15 min is 350,000 in ten years; the EEPROM bears 1,000,000
/// at 25 °C (DS10925, table 2).
const STALE: u16 = (15 * 60 * 1000 / LOOK_MS) as u16;

/// What is shown is made fresh when a phone leaves, but for phones that come and go: it has to be so many looks old.
const STALE_AFTER_TAP: u16 = 2;

/// After an error the tag is left alone for so long, in ms.
const AFTER_ERROR_MS: u32 = 10_000;

/// Between two transactions, in ms: the time of the others.
const BETWEEN_MS: u32 = 1;

/// How often a transaction that is not acknowledged is tried, [`BETWEEN_MS`] apart: 8 rows take 40 ms (section 4.2 of the data
/// sheet), and a phone may own the memory for some frames (section 5.1.1).
const TRIES: u8 = 150;

/// How many bytes behind the container are looked at for the head of the message; phones put nothing before it.
const HEAD: usize = 16;

/// What the next transaction with the chip is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Present our password.
    Ours,
    /// Was it the right one?
    IsOurs,
    /// Present the factory's.
    Factory,
    /// Was that one right?
    IsFactory,
    /// Put ours in its place.
    Change,
    /// Read a register of [`SET_UP`].
    Register,
    /// Write it.
    Set,
    /// How much does the memory hold?
    Size,
    /// What has happened? Asked now and then, while nothing else is to be done.
    Rest,
    /// Where does the message lie?
    Head,
    /// Read it, piece by piece.
    Message,
    /// Take the message's length away: a phone sees all of the next one, or none.
    Clear,
    /// Is a piece of what is shown there already?
    Compare,
    /// Write it.
    Write,
    /// All of it is there: give the message its length.
    Length,
}

/// The tag: a chip, and the pin by which it calls.
///
/// It does one transaction, waits, and does the next: other tasks go on in between.
pub struct Tag<I, P, D> {
    chip: St25dv<I>,
    gpo: P,
    delay: D,
    password: [u8; 8],
    phase: Phase,
    /// Before the next transaction.
    pause_ms: u32,
    /// How often this one was not acknowledged.
    tries: u8,
    /// Where it is: in [`SET_UP`], or in the buffer.
    at: usize,
    /// Where it ends in the buffer.
    end: usize,
    /// Where the message lies in the memory; how long it is, of what is shown.
    message: usize,
    /// Bytes of the memory; 0 until the chip is set up.
    memory: usize,
    /// Something is shown, since the chip was set up.
    is_shown: bool,
    /// Looks since then.
    age: u16,
    /// A phone has written, and that many looks ago.
    written: Option<u8>,
    /// Nothing more will come of it.
    is_over: bool,
}

impl<I, P, D> core::fmt::Debug for Tag<I, P, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tag").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl<I: I2c, P: Wait, D: DelayNs> Tag<I, P, D> {
    /// Takes bus, pin and delay. The pin falls with each pulse of GPO; `password` is the I2C password that the chip is given.
    pub const fn new(i2c: I, gpo: P, delay: D, password: [u8; 8]) -> Self {
        Self {
            chip: St25dv::new(i2c),
            gpo,
            delay,
            password,
            phase: Phase::Ours,
            pause_ms: 0,
            tries: 0,
            at: 0,
            end: 0,
            message: 0,
            memory: 0,
            is_shown: false,
            age: 0,
            written: None,
            is_over: false,
        }
    }

    /// Waits for the time of the next transaction; while nothing is to be done, for a pulse and the end of those that follow
    /// it too.
    async fn wait(&mut self) {
        for _ in 0..PULSES {
            let (gpo, is_resting) = (&mut self.gpo, self.phase == Phase::Rest);
            let pulse = async {
                if !is_resting || gpo.wait_for_falling_edge().await.is_err() {
                    core::future::pending::<()>().await;
                }
            };
            // Neither of the two loses anything when it is dropped: the chip remembers what happened.
            match select(pulse, self.delay.delay_ms(self.pause_ms)).await {
                Either::First(()) => self.pause_ms = WATCH_MS,
                Either::Second(()) => return,
            }
        }
    }

    /// How many bytes the next piece has.
    fn piece(&self) -> usize {
        self.end.saturating_sub(self.at).min(PIECE)
    }

    /// Puts the next transaction together.
    #[inline(never)]
    fn prepare(&mut self, buffer: &[u8]) {
        let (start, password) = (self.start(), self.password);
        let chip = &mut self.chip;
        match self.phase {
            Phase::Ours => chip.will_say_password(password, PRESENT),
            Phase::Factory => chip.will_say_password([0; 8], PRESENT),
            Phase::Change => chip.will_say_password(password, CHANGE),
            Phase::IsOurs | Phase::IsFactory => chip.will_read(USER, dynamic::I2C_SESSION, 1),
            Phase::Register | Phase::Set => {
                let (register, value) = SET_UP.get(self.at).copied().unwrap_or_default();
                match self.phase {
                    Phase::Set => chip.will_write(SYSTEM, register, &[value]),
                    _ => chip.will_read(SYSTEM, register, 1),
                }
            }
            Phase::Size => chip.will_read(SYSTEM, system::MEM_SIZE, 2),
            Phase::Rest => chip.will_read(USER, dynamic::IT_STS, 1),
            Phase::Head => chip.will_read(USER, address(start), HEAD),
            Phase::Message => {
                let (from, len) = (address(self.message.saturating_add(self.at)), self.piece());
                self.chip.will_read(USER, from, len);
            }
            Phase::Compare => {
                let len = self.piece();
                self.chip.will_read(USER, address(self.at), len);
            }
            Phase::Clear => chip.will_write(USER, address(start), image(buffer, start, TLV_HEAD)),
            Phase::Write => {
                let (to, len) = (address(self.at), self.piece());
                self.chip.will_write(USER, to, image(buffer, self.at, len));
            }
            Phase::Length => {
                self.chip.will_write(USER, address(start), TlvHead::new(self.message).bytes());
            }
        }
    }

    /// Looks at what came of it, and sees what comes next.
    #[inline(never)]
    fn go_on(&mut self, result: Result<(), Error>, buffer: &mut [u8]) -> Option<Arrival> {
        self.pause_ms = BETWEEN_MS;
        match result {
            Ok(()) => self.tries = 0,
            Err(Error::Busy) if self.tries < TRIES => {
                self.tries = self.tries.saturating_add(1);
                return None;
            }
            Err(error) => return self.give_up(error),
        }
        self.phase = match self.phase {
            Phase::Ours => Phase::IsOurs,
            Phase::IsOurs if self.chip.byte() & 1 == 0 => Phase::Factory,
            Phase::Factory => Phase::IsFactory,
            Phase::IsFactory if self.chip.byte() & 1 != 0 => Phase::Change,
            Phase::IsOurs | Phase::Change => {
                self.at = 0;
                Phase::Register
            }
            Phase::Register if self.chip.byte() != SET_UP.get(self.at).map_or(0, |(_, value)| *value) => {
                Phase::Set
            }
            Phase::Register | Phase::Set => {
                self.at = self.at.saturating_add(1);
                if self.at < SET_UP.len() { Phase::Register } else { Phase::Size }
            }
            // With a password that somebody else gave it, it may still do its work.
            Phase::IsFactory => Phase::Size,
            Phase::Size => {
                let blocks = self.chip.got().first_chunk().map_or(0, |size| u16::from_le_bytes(*size));
                self.memory = usize::from(blocks).saturating_add(1).saturating_mul(BLOCK);
                // What was written while the socket had no power counts.
                Phase::Head
            }
            Phase::Rest => return self.look(),
            Phase::Head => {
                let Ok(place) = ndef::find_message(self.chip.got()) else { return self.nothing() };
                self.message = self.start().saturating_add(place.start);
                (self.at, self.end) = (0, place.len());
                if place.len() > buffer.len() || self.message.saturating_add(place.len()) > self.memory {
                    return Some(Arrival::TooLong);
                }
                Phase::Message
            }
            Phase::Message => {
                let to = self.at.saturating_add(self.piece());
                if let Some(place) = buffer.get_mut(self.at..to) {
                    place.copy_from_slice(self.chip.got());
                }
                self.at = to;
                if to < self.end {
                    return None;
                }
                let message = buffer.get(..to).unwrap_or_default();
                return match ndef::find(message, Record::Request) {
                    Some(found) => Some(Arrival::Request(found.place)),
                    None => self.nothing(),
                };
            }
            Phase::Compare if image(buffer, self.at, self.piece()) != self.chip.got() => Phase::Write,
            Phase::Compare | Phase::Write => {
                self.at = self.at.saturating_add(self.piece());
                if self.at < self.end { Phase::Compare } else { Phase::Length }
            }
            Phase::Length => Phase::Rest,
            Phase::Clear => Phase::Compare,
        };
        None
    }

    /// After an error that stays.
    fn give_up(&mut self, error: Error) -> Option<Arrival> {
        self.tries = 0;
        if matches!(self.phase, Phase::Clear | Phase::Compare | Phase::Write | Phase::Length) {
            // Once more with the next look.
            self.age = STALE;
        }
        if error == Error::Busy && self.is_shown {
            // Busy is what it is while a phone reads and writes.
            self.rest();
        } else {
            (self.phase, self.is_shown, self.written) = (Phase::Ours, false, None);
            self.pause_ms = AFTER_ERROR_MS;
        }
        None
    }

    /// Until the next look.
    fn rest(&mut self) {
        self.phase = Phase::Rest;
        self.pause_ms = if self.written.is_some() { WATCH_MS } else { LOOK_MS };
    }

    /// Sees by what has happened whether there is something to do.
    fn look(&mut self) -> Option<Arrival> {
        let events = Events(self.chip.byte());
        if events.rf_wrote() {
            self.written = Some(0);
        }
        let Some(quiet) = &mut self.written else {
            let is_due = self.age >= STALE || events.field_fell() && self.age >= STALE_AFTER_TAP;
            self.rest();
            self.age = self.age.saturating_add(1);
            return is_due.then_some(Arrival::Refresh);
        };
        *quiet = quiet.saturating_add(1);
        self.is_over = events.field_fell() || *quiet > TORN;
        if *quiet > QUIET || self.is_over {
            self.phase = Phase::Head;
        } else {
            self.rest();
        }
        None
    }

    /// There is no request in the memory, or not all of it.
    fn nothing(&mut self) -> Option<Arrival> {
        if !self.is_shown {
            return Some(Arrival::Refresh);
        }
        if self.is_over {
            return Some(Arrival::Request(0..0));
        }
        self.rest();
        None
    }

    /// Puts what is shown into the buffer as the memory is to hold it: container, TLV, end. The length stays 0 until all of it is
    /// there: a phone sees all, or none.
    #[inline(never)]
    fn compose(&mut self, shown: Shown<'_>, buffer: &mut [u8]) {
        let container = Container::new(self.memory);
        let start = container.bytes().len();
        let whole = buffer.get_mut(..self.memory.min(buffer.len())).unwrap_or_default();
        let (front, out) = whole.split_at_mut_checked(start.saturating_add(TLV_HEAD)).unwrap_or_default();
        let room = out.len().saturating_sub(1);
        let out = out.get_mut(..room).unwrap_or_default();
        let (status, answer) = ((Record::Status, shown.status), (Record::Answer, shown.answer));
        let records = if shown.answer.is_empty() { 1 } else { 2 };
        // On a small tag the settings give way to the answer.
        let all = [status, (Record::Settings, shown.settings), answer];
        let len = ndef::message(all.get(..=records).unwrap_or_default(), out)
            .or_else(|| ndef::message([status, answer].get(..records).unwrap_or_default(), out))
            .unwrap_or(0);
        let head = TlvHead::new(len);
        for (place, byte) in front.iter_mut().zip(container.bytes().iter().chain(head.bytes())) {
            *place = *byte;
        }
        let length = start.saturating_add(1);
        if let Some(place) = front.get_mut(length..length.saturating_add(2)) {
            place.copy_from_slice(&[0, TLV_END]);
        }
        let from = start.saturating_add(TLV_HEAD);
        let behind = start.saturating_add(head.bytes().len());
        if from.saturating_add(len) < whole.len() {
            whole.copy_within(from..from.saturating_add(len), behind);
        }
        (self.at, self.end, self.message) = (0, behind.saturating_add(len).saturating_add(1), len);
        if let Some(end) = whole.get_mut(self.end.saturating_sub(1)) {
            *end = TLV_END;
        }
    }

    /// Where the TLVs begin, behind the container.
    fn start(&self) -> usize {
        Container::new(self.memory).bytes().len()
    }
}

/// A piece of what is shown.
fn image(buffer: &[u8], at: usize, len: usize) -> &[u8] {
    buffer.get(at..at.saturating_add(len)).unwrap_or_default()
}

fn address(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl<I: I2c, P: Wait, D: DelayNs> Port for Tag<I, P, D> {
    async fn next(&mut self, buffer: &mut [u8]) -> Arrival {
        loop {
            self.wait().await;
            self.prepare(buffer);
            let result = self.chip.transact().await;
            if let Some(arrival) = self.go_on(result, buffer) {
                return arrival;
            }
        }
    }

    fn room(&self, buffer: usize) -> usize {
        // A container of 8 bytes, the TLV's head and end.
        self.memory.saturating_sub(8 + TLV_HEAD + 1).min(buffer).saturating_sub(RECORD_HEADER)
    }

    /// It is written by the calls of [`next`](Port::next) that follow.
    async fn show(&mut self, shown: Shown<'_>, buffer: &mut [u8]) {
        self.compose(shown, buffer);
        (self.phase, self.is_shown, self.age, self.written) = (Phase::Clear, true, 0, None);
        self.pause_ms = BETWEEN_MS;
    }
}
