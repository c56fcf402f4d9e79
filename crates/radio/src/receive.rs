//! Sending, and the two receives: one window, and for ever.

use core::pin::pin;

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::Sx126xVariant;
use lorawan_device::async_device::radio::{RxConfig, RxMode, RxQuality, TxConfig};

use sockeye_lorawan_mac::ListenBeforeTalk;

use crate::chip::{HEADER_ERROR, RX_DONE, TIMEOUT, TX_DONE};
use crate::radio::{EMPTY_INTERRUPTS, Group, Outcome, State, Sx126xRadio, Target};
use crate::report::{Counters, Error};
use crate::timing::{LOOKS, MARGIN_MS, MAX_SYMBOLS, airtime_ms, receive_limit_ms, search_symbols};

/// What the caller wants.
pub(crate) enum Operation<'a> {
    /// The chip brought to something.
    Go(Target<'a>),
    /// A continuous receive that is open looked at, and opened anew.
    Reopen(RxConfig),
    /// A channel looked at: [`Outcome::clear`].
    Sense(u32, ListenBeforeTalk),
    /// A frame sent, of so many bytes: [`Outcome`] tells nothing.
    Send(TxConfig, &'a [u8], u8),
    /// A frame: [`Outcome::frame`], which a single receive may end without, and a continuous one never does.
    Receive(RxConfig, &'a mut [u8]),
}

/// What is done next.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Open,
    Wait,
    Resume,
    Fetch,
    Process,
    Leave,
    Look,
    Reopen,
}

/// How an operation goes.
#[derive(Default)]
struct Course {
    is_open: bool,
    /// The symbols that the chip is still to search.
    symbols: u32,
    /// The last wait ended by the line.
    interrupted: bool,
    /// The window's frame is lost.
    lost: bool,
    /// How many interrupts in a row reported nothing.
    empty: u8,
    /// How often the chip was looked at since it was heard.
    looks: u32,
}

async fn wait(mut delay: impl DelayNs, ms: u32) {
    delay.delay_ms(ms).await;
}

impl<SPI, IV, C, D, const MAX_DBM: u8> Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    /// Carries an operation out, and notes an error: unless the chip was not touched, its state is unknown from there.
    pub(crate) async fn operate(&mut self, operation: Operation<'_>) -> Result<Outcome, Error> {
        let result = self.attend(operation).await;
        if let Err(error) = &result {
            if *error == Error::Overdue {
                Counters::count(&mut self.counters.overdue);
            }
            self.state = State::Unknown;
        }
        result
    }

    /// Every pass finds out by the chip's state what is to be done next, and does it in one place: each command and each
    /// wait that stood on its own would be another copy of the code that waits for it.
    async fn attend(&mut self, mut operation: Operation<'_>) -> Result<Outcome, Error> {
        let mut course = Course::default();
        let limit_ms = match &operation {
            Operation::Go(_) | Operation::Reopen(_) | Operation::Sense(..) => 0,
            Operation::Send(config, _, len) => airtime_ms(&config.rf.bb, *len).saturating_add(MARGIN_MS),
            Operation::Receive(config, _) => {
                if let RxMode::Single { ms } = config.mode
                    && self.state != State::Receiving(*config)
                {
                    course.symbols = search_symbols(&config.rf.bb, ms);
                }
                receive_limit_ms(&config.rf.bb, config.mode)
            }
        };
        // It runs from the first look at it.
        let mut timer = pin!(wait(self.bus.delay.clone(), limit_ms));
        loop {
            let single = match &mut operation {
                Operation::Receive(RxConfig { mode: RxMode::Continuous, .. }, buf) => {
                    if let Some(frame) = self.take_landed(buf) {
                        return Ok(Outcome { frame: Some(frame), ..Outcome::default() });
                    }
                    false
                }
                _ => true,
            };
            let mut step = self.next(&operation, &course);
            if step == Step::Wait {
                if !single {
                    timer.set(wait(self.bus.delay.clone(), limit_ms));
                }
                course.interrupted = self.interrupt(timer.as_mut()).await?;
                course.looks = if course.interrupted { 0 } else { (course.looks + 1) % LOOKS };
                step = match course.looks {
                    _ if single || course.interrupted => Step::Process,
                    0 => Step::Reopen,
                    _ => Step::Look,
                };
            }
            let group = group(&mut operation, &mut course, step);
            let outcome = self.command(group).await?;
            let is_over = match &operation {
                Operation::Go(_) | Operation::Reopen(_) | Operation::Sense(..) => true,
                Operation::Send(..) => self.has_sent(&mut course, step, &outcome)?,
                Operation::Receive(config, _) => self.has_received(&mut course, *config, step, &outcome)?,
            };
            if is_over {
                return Ok(outcome);
            }
        }
    }

    /// Tells what is to be done next.
    fn next(&self, operation: &Operation<'_>, course: &Course) -> Step {
        let is_open = match operation {
            Operation::Receive(config, _) => self.state == State::Receiving(*config),
            _ => course.is_open,
        };
        if !is_open {
            Step::Open
        } else if let Operation::Send(..) = operation {
            Step::Wait
        } else if course.lost {
            Step::Leave
        } else if self.commanding {
            Step::Resume
        } else if self.unread {
            Step::Fetch
        } else {
            Step::Wait
        }
    }

    /// Tells whether a frame is sent after a step.
    fn has_sent(&mut self, course: &mut Course, step: Step, outcome: &Outcome) -> Result<bool, Error> {
        let flags = outcome.flags;
        if step == Step::Open {
            return Ok(false);
        }
        if flags == 0 {
            course.empty += 1;
        }
        if course.interrupted && course.empty >= EMPTY_INTERRUPTS {
            return Err(Error::Nonsense(flags));
        }
        if flags & TX_DONE != 0 {
            Counters::count(&mut self.counters.sent);
            // A chip that has sent without the line telling is initialised again before it is trusted.
            self.state = if course.interrupted { State::Standby } else { State::Unknown };
            if !course.interrupted {
                Counters::count(&mut self.counters.missed_interrupts);
            }
            return Ok(true);
        }
        if flags & TIMEOUT != 0 {
            return Err(RadioError::TransmitTimeout.into());
        }
        if course.interrupted { Ok(false) } else { Err(Error::Overdue) }
    }

    /// Tells whether a receive is over after a step.
    // Within the future it and `group` would take 40 bytes more.
    #[inline(never)]
    fn has_received(
        &mut self,
        course: &mut Course,
        config: RxConfig,
        step: Step,
        outcome: &Outcome,
    ) -> Result<bool, Error> {
        let single = config.mode != RxMode::Continuous;
        let flags = outcome.flags;
        match step {
            Step::Open | Step::Wait | Step::Resume | Step::Look | Step::Reopen => {}
            Step::Leave => return Ok(true),
            Step::Fetch if single => {
                self.state = State::Standby;
                return Ok(true);
            }
            Step::Fetch => return Ok(outcome.frame.is_some()),
            Step::Process if !course.interrupted => {
                // The chip stands where no interrupt comes from any more, or its line is dead.
                Counters::count(&mut self.counters.overdue);
                if flags & (RX_DONE | TIMEOUT) != 0 {
                    Counters::count(&mut self.counters.missed_interrupts);
                }
                if !self.unread {
                    self.state = State::Unknown;
                    return Ok(true);
                }
            }
            Step::Process => {
                course.empty = if flags == 0 { course.empty + 1 } else { 0 };
                if course.empty >= EMPTY_INTERRUPTS {
                    return Err(Error::Nonsense(flags));
                }
                if single && !self.unread {
                    // The window's frame is lost: LoRaWAN sends no second one into it.
                    course.lost = flags & (RX_DONE | HEADER_ERROR) != 0;
                    if !course.lost && flags & TIMEOUT != 0 {
                        self.state = State::Ready(config);
                        return Ok(course.symbols == 0);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Hands over the frame that landed in the continuous receive as it was left.
    fn take_landed(&mut self, buf: &mut [u8]) -> Option<(usize, RxQuality)> {
        let (len, quality) = self.landed.frame.take()?;
        if let (Some(to), Some(from)) = (buf.get_mut(..len), self.landed.bytes.get(..len)) {
            to.copy_from_slice(from);
            Counters::count(&mut self.counters.received);
            return Some((len, quality));
        }
        Counters::count(&mut self.counters.dropped);
        None
    }
}

/// Gives the commands of a step.
#[inline(never)]
fn group<'a>(operation: &'a mut Operation<'_>, course: &mut Course, step: Step) -> Group<'a> {
    course.is_open = true;
    match (operation, step) {
        (Operation::Go(target), _) => Group::Go(*target),
        (Operation::Reopen(config), _) => Group::Reopen(*config),
        (Operation::Sense(frequency_hz, listen), _) => Group::Sense(*frequency_hz, *listen),
        (Operation::Send(config, bytes, len), Step::Open) => {
            Group::Go(Target::Transmitting(*config, bytes, *len))
        }
        (Operation::Send(..), _) => Group::Process(None),
        (Operation::Receive(config, buf), step) => match step {
            Step::Open => {
                // The chip counts so many at a time.
                let now = u16::try_from(course.symbols).unwrap_or(MAX_SYMBOLS).min(MAX_SYMBOLS);
                course.symbols = course.symbols.saturating_sub(u32::from(now));
                Group::Go(Target::Receiving(*config, now))
            }
            Step::Leave => Group::Leave(*config),
            Step::Resume => Group::Resume(config.mode),
            Step::Fetch => Group::Fetch(buf),
            Step::Wait | Step::Process => Group::Process(Some(config.mode)),
            Step::Look => Group::Look(*config),
            Step::Reopen => Group::Reopen(*config),
        },
    }
}
