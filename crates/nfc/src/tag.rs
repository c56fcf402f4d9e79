//! The tag as a port: a phone puts its request in the place of what the socket shows.

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::digital::Wait;
use embedded_hal_async::i2c::I2c;

use crate::ndef::{self, Container, RECORD_HEADER, Record, TLV_END, TLV_HEAD, TlvHead};
use crate::port::{Arrival, Port, Shown};
use crate::st25dv::{Error, St25dv};

/// How often the chip is asked what happened, in ms: a pulse that nobody waited for is found so.
const LOOK_MS: u32 = 5000;

/// So long without a pulse, in ms, and the phone is taken to be between two frames no more. No transaction disturbs it before.
const WATCH_MS: u32 = 50;

/// So many pulses are waited for without a look: all that a phone writes into 8 KB.
const PULSES: u16 = 2048;

/// So many looks without another write, and what was written is taken if it is whole.
const QUIET: u32 = 2;

/// So many looks without another write, and what was written will not become whole: 1 s.
const TORN: u32 = 1000 / WATCH_MS;

/// How old what is shown may get, in looks: 15 min. One rewrite in 15 min is 350,000 in ten years; the EEPROM bears 1,000,000
/// at 25 °C (DS10925, table 2).
const STALE: u32 = 15 * 60 * 1000 / LOOK_MS;

/// What is shown is made fresh when a phone leaves, but for phones that come and go: it has to be so many looks old.
const STALE_AFTER_TAP: u32 = 2;

/// After an error the tag is left alone for so many looks.
const AFTER_ERROR: u32 = 2;

/// How many bytes behind the container are looked at for the head of the message; phones put nothing before it.
const HEAD: usize = 16;

/// The tag: a chip, and the pin by which it calls.
pub struct Tag<I, P, D> {
    chip: St25dv<I, D>,
    gpo: P,
    password: [u8; 8],
    /// Bytes of the memory; 0 until the chip is set up.
    memory: usize,
    /// Looks since something was shown, or since the tag failed.
    age: u32,
    /// A phone has written, and that many looks ago.
    written: Option<u32>,
    state: State,
}

/// What the memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody knows: the chip is not set up yet, or failed.
    Unknown,
    /// What is shown; it may be stale.
    Shown,
}

impl<I, P, D> core::fmt::Debug for Tag<I, P, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tag").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<I: I2c, P: Wait, D: DelayNs> Tag<I, P, D> {
    /// Takes bus, pin and delay. The pin falls with each pulse of GPO; `password` is the I2C password that the chip is given.
    pub fn new(i2c: I, gpo: P, delay: D, password: [u8; 8]) -> Self {
        let chip = St25dv::new(i2c, delay);
        Self { chip, gpo, password, memory: 0, age: AFTER_ERROR, written: None, state: State::Unknown }
    }

    /// Waits for a pulse and the end of those that follow it, or for the time of the next look.
    async fn wait(&mut self) {
        let mut ms = if self.written.is_some() { WATCH_MS } else { LOOK_MS };
        for _ in 0..PULSES {
            let pulse = async {
                if self.gpo.wait_for_falling_edge().await.is_err() {
                    core::future::pending::<()>().await;
                }
            };
            // Neither of the two loses anything when it is dropped: the chip remembers what happened.
            match select(pulse, self.chip.delay.delay_ms(ms)).await {
                Either::First(()) => ms = WATCH_MS,
                Either::Second(()) => return,
            }
        }
    }

    /// Sets the chip up and finds out how much it holds.
    async fn begin(&mut self) -> Result<(), Error> {
        // With a password that somebody else gave it, it may still do its work.
        match self.chip.set_up(self.password).await {
            Ok(()) | Err(Error::Password) => {}
            Err(error) => return Err(error),
        }
        self.memory = self.chip.memory().await?;
        Ok(())
    }

    /// Looks once.
    async fn look(&mut self, buffer: &mut [u8]) -> Result<Option<Arrival>, Error> {
        if self.state == State::Unknown {
            if self.age < AFTER_ERROR {
                return Ok(None);
            }
            self.age = 0;
            self.begin().await?;
            // What was written while the socket had no power counts.
            return Ok(Some(self.request(buffer).await?.unwrap_or(Arrival::Refresh)));
        }
        let events = self.chip.events().await?;
        if events.rf_wrote() {
            self.written = Some(0);
        }
        let Some(quiet) = self.written.as_mut() else {
            let is_due = self.age >= STALE || events.field_fell() && self.age >= STALE_AFTER_TAP;
            return Ok(is_due.then_some(Arrival::Refresh));
        };
        *quiet = quiet.saturating_add(1);
        let quiet = *quiet;
        let is_over = events.field_fell() || quiet > TORN;
        if quiet <= QUIET && !is_over {
            return Ok(None);
        }
        let arrival = self.request(buffer).await?;
        Ok(arrival.or(is_over.then_some(Arrival::Request(0..0))))
    }

    /// Reads the memory and finds the request in it, if there is a whole one.
    async fn request(&mut self, buffer: &mut [u8]) -> Result<Option<Arrival>, Error> {
        let start = Container::new(self.memory).bytes().len();
        let mut head = [0; HEAD];
        self.chip.read(address(start), &mut head).await?;
        let Ok(place) = ndef::find_message(&head) else { return Ok(None) };
        let (from, to) = (start.saturating_add(place.start), start.saturating_add(place.end));
        let message = buffer.get_mut(..place.len()).filter(|_| to <= self.memory);
        let Some(message) = message else { return Ok(Some(Arrival::TooLong)) };
        self.chip.read(address(from), message).await?;
        Ok(ndef::find(message, Record::Request).map(|found| Arrival::Request(found.place)))
    }

    async fn write(&mut self, shown: Shown<'_>, buffer: &mut [u8]) -> Result<(), Error> {
        let container = Container::new(self.memory);
        let start = container.bytes().len();
        let room = self.memory.saturating_sub(start.saturating_add(TLV_HEAD + 1));
        let (out, end) =
            buffer.split_at_mut_checked(room.min(buffer.len().saturating_sub(1))).unwrap_or_default();
        let (status, settings) = ((Record::Status, shown.status), (Record::Settings, shown.settings));
        let answer = (Record::Answer, shown.answer);
        // On a small tag the settings give way to the answer.
        let len = match shown.answer {
            [] => ndef::message(&[status, settings], out).or_else(|| ndef::message(&[status], out)),
            _ => ndef::message(&[status, settings, answer], out)
                .or_else(|| ndef::message(&[status, answer], out)),
        };
        let len = len.unwrap_or(0);
        if let Some(place) = out.get_mut(len).or(end.first_mut()) {
            *place = TLV_END;
        }
        let message = buffer.get(..len.saturating_add(1)).unwrap_or_default();
        let (none, whole) = (TlvHead::new(0), TlvHead::new(len));
        let head = address(start);
        let behind = address(start.saturating_add(whole.bytes().len()));
        // The message has no length while it is written: a phone sees all of it, or none.
        self.chip.write(0, container.bytes()).await?;
        self.chip.write(head, none.bytes()).await?;
        self.chip.write(behind, message).await?;
        self.chip.write(head, whole.bytes()).await
    }
}

fn address(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl<I: I2c, P: Wait, D: DelayNs> Port for Tag<I, P, D> {
    async fn next(&mut self, buffer: &mut [u8]) -> Arrival {
        loop {
            match self.look(buffer).await {
                Ok(Some(arrival)) => return arrival,
                Ok(None) => {}
                // Busy is what it is while a phone reads and writes.
                Err(Error::Busy) if self.state == State::Shown => {}
                Err(_) => (self.state, self.age, self.written) = (State::Unknown, 0, None),
            }
            self.wait().await;
            if self.written.is_none() {
                self.age = self.age.saturating_add(1);
            }
        }
    }

    fn room(&self, buffer: usize) -> usize {
        // A container of 8 bytes, the TLV's head and end.
        self.memory.saturating_sub(8 + TLV_HEAD + 1).min(buffer).saturating_sub(RECORD_HEADER)
    }

    async fn show(&mut self, shown: Shown<'_>, buffer: &mut [u8]) {
        self.written = None;
        (self.state, self.age) = match self.write(shown, buffer).await {
            Ok(()) => (State::Shown, 0),
            // A phone is there: once more with the next look.
            Err(Error::Busy) => (State::Shown, STALE),
            Err(_) => (State::Unknown, 0),
        };
    }
}
