//! The radio: what the chip is doing, and how it is brought back.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::{Config, Sx126xVariant};
use lorawan_device::async_device::radio::{RxConfig, RxMode, RxQuality, TxConfig};
use sockeye_lorawan_mac::ListenBeforeTalk;

use crate::bus::Bus;
use crate::chip::ImageBand;
use crate::plan::Work;
use crate::report::{Counters, Error};
use crate::timing::COMMANDS_LIMIT_MS;

/// How many interrupts in a row may report nothing before the line counts as stuck.
pub(crate) const EMPTY_INTERRUPTS: u8 = 8;

/// What the chip is known to be doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    /// Nothing is known: never initialised, after an error, or a future was dropped among commands.
    Unknown,
    Standby,
    /// In standby, with everything set for this receive but SetRx.
    Ready(RxConfig),
    Receiving(RxConfig),
    /// On the way out of this receive, or stopped there by a dropped future.
    Leaving(RxConfig),
    Transmitting,
}

/// What the chip can be brought to.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    Standby,
    /// Standby, with everything set for this receive but SetRx.
    Ready(RxConfig),
    /// Receiving; a single receive for so many symbols.
    Receiving(RxConfig, u16),
    /// Sending so many bytes.
    Transmitting(TxConfig, &'a [u8], u8),
    /// Sending a carrier at a frequency with a power in dBm.
    #[cfg(feature = "certification")]
    Carrier(u32, i8),
}

/// What the chip can be made to do in one go; each ends within [`COMMANDS_LIMIT_MS`].
pub(crate) enum Group<'a> {
    Go(Target<'a>),
    /// Looks at a receive that is open, and opens it anew.
    Reopen(RxConfig),
    /// The same, but leaves it open if the chip is well.
    Look(RxConfig),
    /// Ends a receive.
    Leave(RxConfig),
    /// Takes up a receive where a dropped future left it.
    Resume(RxMode),
    /// Reads and clears the interrupts: [`Outcome::flags`]. Of a transmission without a mode.
    Process(Option<RxMode>),
    /// Reads the packet that was reported: [`Outcome::frame`].
    Fetch(&'a mut [u8]),
    /// Listens around a frequency: [`Outcome::clear`].
    Sense(u32, ListenBeforeTalk),
}

/// What a group of commands found.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) flags: u16,
    pub(crate) frame: Option<(usize, RxQuality)>,
    pub(crate) clear: bool,
}

/// A frame that landed in the continuous receive as it was left.
pub(crate) struct Landed {
    pub(crate) bytes: [u8; 255],
    /// `None` while there is no frame.
    pub(crate) frame: Option<(usize, RxQuality)>,
}

/// An SX126x as a LoRa radio for LoRaWAN.
///
/// `MAX_DBM` is the greatest power that the board may put out, in dBm.
pub struct Sx126xRadio<SPI, IV, C: Sx126xVariant, D, const MAX_DBM: u8 = 22> {
    pub(crate) bus: Bus<SPI, IV, D>,
    pub(crate) config: Config<C>,
    /// What the chip has reported and nobody has acted on yet.
    pub(crate) flags: u16,
    pub(crate) state: State,
    /// What `setup_rx` asked for last: a receive comes back to it after an error or a transmission.
    pub(crate) wanted: Option<RxConfig>,
    /// A packet lies in the chip's buffer.
    pub(crate) unread: bool,
    /// A command of a receive is under way, or a future was dropped there.
    pub(crate) commanding: bool,
    pub(crate) landed: Landed,
    /// The band whose image calibration the chip has.
    pub(crate) calibrated: Option<ImageBand>,
    pub(crate) counters: Counters,
}

/// Makes a radio of a board's SPI device, lines, chip and delay. The chip is touched first by the first
/// operation.
pub fn sx126x<SPI, IV, C, D, const MAX_DBM: u8>(
    spi: SPI,
    lines: IV,
    config: Config<C>,
    delay: D,
) -> Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    Sx126xRadio {
        bus: Bus { spi, lines, delay },
        config,
        flags: 0,
        state: State::Unknown,
        wanted: None,
        unread: false,
        commanding: false,
        landed: Landed { bytes: [0; 255], frame: None },
        calibrated: None,
        counters: Counters::default(),
    }
}

impl<SPI, IV, C: Sx126xVariant, D, const MAX_DBM: u8> fmt::Debug for Sx126xRadio<SPI, IV, C, D, MAX_DBM> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sx126xRadio")
            .field("state", &self.state)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<SPI, IV, C, D, const MAX_DBM: u8> Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    /// Tells how often what has happened, for diagnostics and the watchdog.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Gives the chip a group of commands, and ends one that takes too long.
    ///
    /// One function for all groups: each place that limited a future of its own would be another copy of this code in
    /// the image.
    pub(crate) async fn command(&mut self, group: Group<'_>) -> Result<Outcome, Error> {
        let mut delay = self.bus.delay.clone();
        match select(self.run(group), delay.delay_ms(COMMANDS_LIMIT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(Error::Overdue),
        }
    }

    async fn run(&mut self, group: Group<'_>) -> Result<Outcome, Error> {
        let mut work = Work::new(group);
        while self.plan(&mut work)? {
            let Work { group, program, answer, .. } = &mut work;
            let payload =
                if let Group::Go(Target::Transmitting(_, bytes, _)) = group { bytes } else { &[][..] };
            let into = if let Group::Fetch(buf) = group { &mut **buf } else { &mut self.landed.bytes };
            self.bus.perform(program, payload, into, answer).await?;
        }
        Ok(work.outcome)
    }

    /// Waits for the interrupt line; `false` when the timer was first. The only wait that is selected.
    pub(crate) async fn interrupt(
        &mut self,
        timer: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, Error> {
        match select(timer, self.bus.lines.await_irq()).await {
            Either::First(()) => Ok(false),
            Either::Second(result) => Ok(result.map(|()| true)?),
        }
    }
}
