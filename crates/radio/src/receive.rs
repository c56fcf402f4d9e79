//! The two receives: one window, and for ever.

use core::pin::pin;

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::Sx126xVariant;
use lorawan_device::async_device::radio::{RxConfig, RxMode, RxQuality};

use crate::chip::{HEADER_ERROR, RX_DONE, TIMEOUT};
use crate::radio::{EMPTY_INTERRUPTS, Group, Outcome, State, Sx126xRadio, Target};
use crate::report::{Counters, Error};
use crate::timing::{LOOKS, MAX_SYMBOLS, receive_limit_ms, search_symbols};

/// What a receive does next.
#[derive(Clone, Copy)]
enum Step {
    Open,
    Resume,
    Fetch,
    Process,
    Leave,
    Look,
    Reopen,
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
    /// Receives a frame; `None` when a single receive ends without one, which a continuous receive never does.
    ///
    /// Every pass finds out by the chip's state what is to be done next, and does it in one place: each command that
    /// stood on its own would be another copy of the code that waits for it.
    pub(crate) async fn receive(
        &mut self,
        config: RxConfig,
        buf: &mut [u8],
    ) -> Result<Option<(usize, RxQuality)>, Error> {
        let (single, mut symbols) = match config.mode {
            RxMode::Continuous => (false, 0),
            RxMode::Single { .. } if self.state == State::Receiving(config) => (true, 0),
            RxMode::Single { ms } => (true, search_symbols(&config.rf.bb, ms)),
        };
        let limit_ms = receive_limit_ms(&config.rf.bb, config.mode);
        // It runs from the first look at it.
        let mut timer = pin!(wait(self.bus.delay.clone(), limit_ms));
        let mut interrupted = true;
        let mut lost = false;
        let mut empty = 0;
        let mut looks = 0;
        loop {
            if !single && let Some(frame) = self.take_landed(buf) {
                return Ok(Some(frame));
            }
            let step = if self.state != State::Receiving(config) {
                Step::Open
            } else if lost {
                Step::Leave
            } else if self.commanding {
                Step::Resume
            } else if self.unread {
                Step::Fetch
            } else {
                if !single {
                    timer.set(wait(self.bus.delay.clone(), limit_ms));
                }
                interrupted = self.interrupt(timer.as_mut()).await?;
                looks = if interrupted { 0 } else { (looks + 1) % LOOKS };
                match looks {
                    _ if single || interrupted => Step::Process,
                    0 => Step::Reopen,
                    _ => Step::Look,
                }
            };
            let group = match step {
                Step::Open => {
                    // The chip counts so many at a time.
                    let now = u16::try_from(symbols).unwrap_or(MAX_SYMBOLS).min(MAX_SYMBOLS);
                    symbols = symbols.saturating_sub(u32::from(now));
                    Group::Go(Target::Receiving(config, now))
                }
                Step::Leave => Group::Leave(config),
                Step::Resume => Group::Resume(config.mode),
                Step::Fetch => Group::Fetch(&mut *buf),
                Step::Process => Group::Process(Some(config.mode)),
                Step::Look => Group::Look(config),
                Step::Reopen => Group::Reopen(config),
            };
            let Outcome { flags, frame, .. } = self.command(group).await?;
            match step {
                Step::Open | Step::Resume | Step::Look | Step::Reopen => {}
                Step::Leave => return Ok(None),
                Step::Fetch if single => {
                    self.state = State::Standby;
                    return Ok(frame);
                }
                Step::Fetch if frame.is_some() => return Ok(frame),
                Step::Fetch => {}
                Step::Process if !interrupted => {
                    // The chip stands where no interrupt comes from any more, or its line is dead.
                    Counters::count(&mut self.counters.overdue);
                    if flags & (RX_DONE | TIMEOUT) != 0 {
                        Counters::count(&mut self.counters.missed_interrupts);
                    }
                    if !self.unread {
                        self.state = State::Unknown;
                        return Ok(None);
                    }
                }
                Step::Process => {
                    empty = if flags == 0 { empty + 1 } else { 0 };
                    if empty >= EMPTY_INTERRUPTS {
                        return Err(Error::Nonsense(flags));
                    }
                    if single && !self.unread {
                        // The window's frame is lost: LoRaWAN sends no second one into it.
                        lost = flags & (RX_DONE | HEADER_ERROR) != 0;
                        if !lost && flags & TIMEOUT != 0 {
                            self.state = State::Ready(config);
                            if symbols == 0 {
                                return Ok(None);
                            }
                        }
                    }
                }
            }
        }
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
