//! The two receives: one window, and for ever.

use core::pin::pin;

use embedded_hal_async::delay::DelayNs;
use lora_phy::RxMode as ChipRxMode;
use lora_phy::mod_traits::RadioKind;
use lorawan_device::async_device::radio::{RxConfig, RxMode, RxQuality, RxStatus};

use crate::radio::{EMPTY_INTERRUPTS, Group, Radio, State, Target, chip_mode};
use crate::report::{Counters, Error};
use crate::tap::{HEADER_ERROR, RX_DONE, TIMEOUT};
use crate::timing::{MAX_SYMBOLS, QUIET_LIMIT_MS, receive_limit_ms, search_symbols};

impl<RK, D, const MAX_DBM: u8> Radio<RK, D, MAX_DBM>
where
    RK: RadioKind,
    D: DelayNs + Clone,
{
    /// Reads the packet that the chip reported into `buf`; `None` when it is not one for the caller.
    pub(crate) async fn fetch(
        &mut self,
        config: RxConfig,
        buf: &mut [u8],
    ) -> Result<Option<(usize, RxQuality)>, Error> {
        self.commanding = true;
        let frame = Self::read(&mut self.kind, config, buf).await?;
        self.unread = false;
        self.commanding = false;
        let counter = if frame.is_some() { &mut self.counters.received } else { &mut self.counters.dropped };
        Counters::count(counter);
        Ok(frame)
    }

    pub(crate) async fn receive_single(
        &mut self,
        config: RxConfig,
        buf: &mut [u8],
    ) -> Result<RxStatus, Error> {
        let RxMode::Single { ms } = config.mode else { return Err(Error::NotSetUp) };
        let mut symbols = 0;
        if self.state != State::Receiving(config) {
            symbols = search_symbols(&config.rf.bb, ms);
            symbols = self.open_for(config, symbols).await?;
        }
        let mut delay = self.delay.clone();
        let mut timer = pin!(delay.delay_ms(receive_limit_ms(&config.rf.bb, config.mode)));
        let mode = chip_mode(config.mode, 0);
        let mut empty = 0;
        loop {
            self.command(Group::Resume(mode)).await?;
            if self.unread {
                let frame = self.command(Group::Fetch(config, buf)).await?.frame;
                self.state = State::Standby;
                return Ok(frame.map_or(RxStatus::RxTimeout, |(len, quality)| RxStatus::Rx(len, quality)));
            }
            let interrupted = self.interrupt(timer.as_mut()).await?;
            let flags = self.command(Group::Process(mode)).await?.flags;
            if !interrupted {
                // The chip stands where no interrupt comes from any more, or its line is dead.
                Counters::count(&mut self.counters.overdue);
                if flags & (RX_DONE | TIMEOUT) != 0 {
                    Counters::count(&mut self.counters.missed_interrupts);
                }
                if !self.unread {
                    self.state = State::Unknown;
                    return Ok(RxStatus::RxTimeout);
                }
                continue;
            }
            empty = if flags == 0 { empty + 1 } else { 0 };
            if empty >= EMPTY_INTERRUPTS {
                return Err(Error::Nonsense(flags));
            }
            if self.unread {
                continue;
            }
            if flags & (RX_DONE | HEADER_ERROR) != 0 {
                // The window's frame is lost: LoRaWAN sends no second one into it.
                self.command(Group::Leave(config)).await?;
                return Ok(RxStatus::RxTimeout);
            }
            if flags & TIMEOUT != 0 {
                self.state = State::Ready(config);
                if symbols == 0 {
                    return Ok(RxStatus::RxTimeout);
                }
                symbols = self.open_for(config, symbols).await?;
            }
        }
    }

    /// Opens a single receive for as many of `symbols` as the chip can count, and tells how many are left.
    async fn open_for(&mut self, config: RxConfig, symbols: u32) -> Result<u32, Error> {
        let now = u16::try_from(symbols).unwrap_or(MAX_SYMBOLS).min(MAX_SYMBOLS);
        self.command(Group::Go(Target::Receiving(config, now))).await?;
        Ok(symbols.saturating_sub(u32::from(now)))
    }

    pub(crate) async fn receive_continuous(&mut self, buf: &mut [u8]) -> Result<(usize, RxQuality), Error> {
        let mut empty = 0;
        loop {
            if let Some((len, quality)) = self.landed.frame.take() {
                if let (Some(to), Some(from)) = (buf.get_mut(..len), self.landed.bytes.get(..len)) {
                    to.copy_from_slice(from);
                    Counters::count(&mut self.counters.received);
                    return Ok((len, quality));
                }
                Counters::count(&mut self.counters.dropped);
            }
            let config = match self.wanted {
                Some(config) if config.mode == RxMode::Continuous => config,
                _ => return Err(Error::NotSetUp),
            };
            if self.state != State::Receiving(config) {
                self.command(Group::Go(Target::Receiving(config, 0))).await?;
                continue;
            }
            self.command(Group::Resume(ChipRxMode::Continuous)).await?;
            if self.unread {
                match self.command(Group::Fetch(config, buf)).await?.frame {
                    Some(frame) => return Ok(frame),
                    None => continue,
                }
            }
            let mut delay = self.delay.clone();
            let timer = pin!(delay.delay_ms(QUIET_LIMIT_MS));
            let interrupted = self.interrupt(timer).await?;
            if interrupted {
                let flags = self.command(Group::Process(ChipRxMode::Continuous)).await?.flags;
                empty = if flags == 0 { empty + 1 } else { 0 };
                if empty >= EMPTY_INTERRUPTS {
                    return Err(Error::Nonsense(flags));
                }
            } else {
                self.command(Group::Reopen(config)).await?;
            }
        }
    }

    /// Closes the continuous receive and opens it again; resets the chip when the interrupt line has kept
    /// silent about a frame.
    pub(crate) async fn reopen(&mut self, config: RxConfig) -> Result<(), Error> {
        let kept_before = self.landed.frame.is_some();
        self.leave(config).await?;
        if !kept_before && self.landed.frame.is_some() {
            Counters::count(&mut self.counters.missed_interrupts);
            self.state = State::Unknown;
        }
        self.go(Target::Receiving(config, 0)).await
    }
}
