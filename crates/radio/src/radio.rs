//! The radio: what the chip is doing, and how it is brought back.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::RxMode as ChipRxMode;
use lora_phy::mod_params::{ModulationParams, PacketParams, RadioError, RadioMode};
use lora_phy::mod_traits::{InterfaceVariant, IrqState, RadioKind};
use lora_phy::sx126x::{Config, DeviceSel, Sx126x, Sx126xVariant};
use lorawan_device::async_device::radio::{RfConfig, RxConfig, RxMode, RxQuality, TxConfig};
use sockeye_lorawan_mac::ListenBeforeTalk;

use crate::bounded::Bounded;
use crate::power::Amplifier;
use crate::report::{Counters, Error};
use crate::tap::{
    CRC_ERROR, HEADER_ERROR, IrqFlags, OF_CONTINUOUS, OF_SINGLE, OF_TRANSMIT, PREAMBLE_DETECTED, RX_DONE,
    TIMEOUT, TX_DONE, Tap,
};
use crate::timing::{COMMANDS_LIMIT_MS, PREAMBLE_SYMBOLS, SENSE_BANDWIDTH};

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
pub(crate) enum Target<'a> {
    Standby,
    /// Standby, with everything set for this receive but SetRx.
    Ready(RxConfig),
    /// Receiving; a single receive for so many symbols.
    Receiving(RxConfig, u16),
    /// Sending so many bytes.
    Transmitting(TxConfig, &'a [u8], u8),
}

/// What the chip can be made to do in one go; each ends within [`COMMANDS_LIMIT_MS`].
pub(crate) enum Group<'a> {
    Go(Target<'a>),
    /// Looks at a receive that is open, and opens it anew.
    Reopen(RxConfig),
    /// Ends a receive.
    Leave(RxConfig),
    /// Takes up a receive where a dropped future left it.
    Resume(ChipRxMode),
    /// Reads and clears the interrupts: [`Outcome::flags`].
    Process(ChipRxMode),
    /// Reads the packet that was reported: [`Outcome::frame`].
    Fetch(RxConfig, &'a mut [u8]),
    /// Listens around a frequency: [`Outcome::clear`].
    Sense(u32, ListenBeforeTalk),
    /// Sends a carrier at a frequency with a power in dBm.
    #[cfg(feature = "certification")]
    Carrier(u32, i8),
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

/// A LoRa radio for LoRaWAN, over any chip that lora-phy knows.
///
/// `MAX_DBM` is the greatest power that the board may put out, in dBm.
pub struct Radio<RK, D, const MAX_DBM: u8 = 22> {
    pub(crate) kind: RK,
    pub(crate) delay: D,
    pub(crate) amplifier: Amplifier,
    pub(crate) flags: &'static IrqFlags,
    pub(crate) state: State,
    /// What `setup_rx` asked for last: a receive comes back to it after an error or a transmission.
    pub(crate) wanted: Option<RxConfig>,
    /// A packet lies in the chip's buffer.
    pub(crate) unread: bool,
    /// A command of a receive is under way, or a future was dropped there.
    pub(crate) commanding: bool,
    pub(crate) landed: Landed,
    /// The band whose image calibration the chip has.
    pub(crate) calibrated: Option<u8>,
    pub(crate) counters: Counters,
}

/// The type that [`sx126x`] makes.
pub type Sx126xRadio<SPI, IV, C, D, const MAX_DBM: u8 = 22> =
    Radio<Sx126x<Tap<SPI>, Bounded<IV, D>, C>, D, MAX_DBM>;

/// Makes a radio of a board's SPI device, lines, chip and delay. The chip is touched first by the first
/// operation.
///
/// `flags` is for this radio alone: keep it in a `static`.
pub fn sx126x<SPI, IV, C, D, const MAX_DBM: u8>(
    spi: SPI,
    variant: IV,
    config: Config<C>,
    delay: D,
    flags: &'static IrqFlags,
) -> Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    let amplifier = match config.chip.get_device_sel() {
        DeviceSel::HighPowerPA => Amplifier::High,
        DeviceSel::LowPowerPA => Amplifier::Low,
    };
    let kind = Sx126x::new(Tap::new(spi, flags), Bounded::new(variant, delay.clone()), config);
    Radio::new(kind, delay, amplifier, flags)
}

impl<RK, D, const MAX_DBM: u8> fmt::Debug for Radio<RK, D, MAX_DBM> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Radio")
            .field("state", &self.state)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<RK, D, const MAX_DBM: u8> Radio<RK, D, MAX_DBM>
where
    RK: RadioKind,
    D: DelayNs + Clone,
{
    /// Makes a radio over a lora-phy driver, whose SPI device should pass through a [`Tap`] on `flags`:
    /// without one, a header error that is read together with a preamble ends by the clock only.
    pub fn new(kind: RK, delay: D, amplifier: Amplifier, flags: &'static IrqFlags) -> Self {
        Self {
            kind,
            delay,
            amplifier,
            flags,
            state: State::Unknown,
            wanted: None,
            unread: false,
            commanding: false,
            landed: Landed { bytes: [0; 255], frame: None },
            calibrated: None,
            counters: Counters::default(),
        }
    }

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
        let mut delay = self.delay.clone();
        match select(self.run(group), delay.delay_ms(COMMANDS_LIMIT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(Error::Overdue),
        }
    }

    async fn run(&mut self, group: Group<'_>) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        match group {
            Group::Go(target) => self.go(target).await?,
            Group::Reopen(config) => self.reopen(config).await?,
            Group::Leave(config) => self.leave(config).await?,
            Group::Resume(mode) => self.resume(mode).await?,
            Group::Process(mode) => outcome.flags = self.process(mode).await?,
            Group::Fetch(config, buf) => outcome.frame = self.fetch(config, buf).await?,
            Group::Sense(frequency_hz, listen) => outcome.clear = self.sense(frequency_hz, listen).await?,
            #[cfg(feature = "certification")]
            Group::Carrier(frequency_hz, power_dbm) => self.begin_carrier(frequency_hz, power_dbm).await?,
        }
        Ok(outcome)
    }

    /// Brings the chip to standby from whatever it does, and keeps a frame that landed in a continuous receive.
    pub(crate) async fn stand_by(&mut self) -> Result<(), Error> {
        match self.state {
            State::Standby | State::Ready(_) => Ok(()),
            State::Unknown => self.initialise().await,
            State::Transmitting => {
                self.state = State::Unknown;
                self.finish_dropped_command().await?;
                self.kind.set_standby().await?;
                self.kind.process_irq_event(RadioMode::Transmit, None, true).await.ok();
                self.flags.take();
                self.state = State::Standby;
                Ok(())
            }
            State::Receiving(config) | State::Leaving(config) => self.leave(config).await,
        }
    }

    /// Ends a receive, and looks once whether a packet landed in it.
    pub(crate) async fn leave(&mut self, config: RxConfig) -> Result<(), Error> {
        self.state = State::Leaving(config);
        if self.commanding {
            self.finish_dropped_command().await?;
        }
        self.commanding = true;
        self.kind.set_standby().await?;
        self.process(chip_mode(config.mode, 0)).await?;
        if self.unread {
            self.commanding = true;
            if config.mode == RxMode::Continuous && self.landed.frame.is_none() {
                self.landed.frame = Self::read(&mut self.kind, config, &mut self.landed.bytes).await?;
            } else {
                Counters::count(&mut self.counters.dropped);
            }
            self.unread = false;
        }
        self.commanding = false;
        self.state = State::Standby;
        Ok(())
    }

    /// Reads the packet that was reported; `None` when it is too long for `buf`.
    pub(crate) async fn read(
        kind: &mut RK,
        config: RxConfig,
        buf: &mut [u8],
    ) -> Result<Option<(usize, RxQuality)>, Error> {
        let modulation = modulation_params(kind, config.rf)?;
        let params = packet_params(kind, &modulation, u8::MAX, true)?;
        let len = match kind.get_rx_payload(&params, buf).await {
            Ok(len) => Some(usize::from(len)),
            Err(RadioError::PayloadSizeMismatch(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let status = kind.get_rx_packet_status().await?;
        Ok(len.map(|len| (len, quality(status.rssi, status.snr))))
    }

    /// Ends an SPI transaction that a dropped future may have left open: the chip takes what follows as the
    /// tail of that command, so what follows is one that does nothing (GetStatus).
    async fn finish_dropped_command(&mut self) -> Result<(), Error> {
        Ok(self.kind.ensure_ready(RadioMode::Sleep).await?)
    }

    /// Takes up a receive where a dropped future left it.
    async fn resume(&mut self, mode: ChipRxMode) -> Result<(), Error> {
        if self.commanding {
            self.finish_dropped_command().await?;
            self.process(mode).await?;
        }
        Ok(())
    }

    async fn initialise(&mut self) -> Result<(), Error> {
        self.calibrated = None;
        self.commanding = false;
        self.unread = false;
        Counters::count(&mut self.counters.resets);
        // The reset may follow a dropped transaction, whose chip select still stands: see above. A chip
        // that hangs does not answer this one, and is reset all the same.
        self.kind.ensure_ready(RadioMode::Sleep).await.ok();
        self.kind.reset(&mut self.delay).await?;
        self.kind.ensure_ready(RadioMode::Standby).await?;
        self.kind.set_standby().await?;
        // The public sync word: D2D frames are told apart by their MHDR.
        self.kind.init_lora(true).await?;
        self.kind.set_tx_power_and_ramp_time(0, None, false).await?;
        self.kind.set_irq_params(Some(RadioMode::Standby)).await?;
        self.flags.take();
        self.state = State::Standby;
        Ok(())
    }

    /// Brings the chip to where it shall be, whatever it does.
    ///
    /// One way for receiving and sending: two would be twice the commands, and each takes 70 bytes of code and more.
    pub(crate) async fn go(&mut self, target: Target<'_>) -> Result<(), Error> {
        if !matches!(target, Target::Receiving(config, _) if self.state == State::Ready(config)) {
            self.stand_by().await?;
            let (rf, mode, frame) = match target {
                Target::Standby => return Ok(()),
                Target::Ready(config) | Target::Receiving(config, _) => {
                    (config.rf, RadioMode::Receive(chip_mode(config.mode, 0)), None)
                }
                Target::Transmitting(config, bytes, len) => {
                    (config.rf, RadioMode::Transmit, Some((config.pw, bytes, len)))
                }
            };
            let modulation = modulation_params(&self.kind, rf)?;
            let len = frame.map_or(u8::MAX, |(_, _, len)| len);
            let packet = packet_params(&self.kind, &modulation, len, frame.is_none())?;
            self.state = State::Unknown;
            let band = image_band(rf.frequency);
            if self.calibrated != Some(band) {
                self.kind.calibrate_image(rf.frequency).await?;
                self.calibrated = Some(band);
            }
            self.kind.set_modulation_params(&modulation).await?;
            if let Some((pw, ..)) = frame {
                let power_dbm = self.amplifier.clamp_dbm(i32::from(pw).min(i32::from(MAX_DBM)));
                self.kind.set_tx_power_and_ramp_time(power_dbm, Some(&modulation), true).await?;
            }
            self.kind.set_packet_params(&packet).await?;
            self.kind.set_channel(rf.frequency).await?;
            if let Some((_, bytes, _)) = frame {
                self.kind.set_payload(bytes).await?;
            }
            self.kind.set_irq_params(Some(mode)).await?;
        }
        self.state = match target {
            Target::Standby => State::Standby,
            Target::Ready(config) => State::Ready(config),
            Target::Receiving(config, symbols) => {
                self.state = State::Unknown;
                self.flags.take();
                self.flags.ask_rssi(false);
                self.unread = false;
                self.kind.do_rx(chip_mode(config.mode, symbols)).await?;
                State::Receiving(config)
            }
            Target::Transmitting(..) => {
                self.flags.take();
                self.kind.do_tx().await?;
                State::Transmitting
            }
        };
        Ok(())
    }

    /// Reads and clears the interrupts, and gives them back; nothing is lost when it is dropped.
    async fn process(&mut self, mode: ChipRxMode) -> Result<u16, Error> {
        self.commanding = true;
        match self.kind.process_irq_event(RadioMode::Receive(mode), None, true).await {
            Ok(Some(IrqState::Done)) => self.flags.add(RX_DONE),
            Ok(Some(IrqState::PreambleReceived)) => self.flags.add(PREAMBLE_DETECTED),
            Err(RadioError::ReceiveTimeout) => self.flags.add(TIMEOUT),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
        self.commanding = false;
        let flags = self.flags.take();
        let possible = if mode == ChipRxMode::Continuous { OF_CONTINUOUS } else { OF_SINGLE };
        if flags & !possible != 0 {
            return Err(Error::Nonsense(flags));
        }
        if flags & HEADER_ERROR != 0 {
            Counters::count(&mut self.counters.header_errors);
        }
        if flags & RX_DONE != 0 {
            if flags & CRC_ERROR != 0 {
                Counters::count(&mut self.counters.crc_errors);
            } else {
                self.unread = true;
            }
        }
        Ok(flags)
    }

    /// Waits for the interrupt line; `false` when the timer was first. The only wait that is selected.
    pub(crate) async fn interrupt(
        &mut self,
        timer: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, Error> {
        match select(timer, self.kind.await_irq()).await {
            Either::First(()) => Ok(false),
            Either::Second(result) => Ok(result.map(|()| true)?),
        }
    }

    /// Listens around a frequency; `false` as soon as something is as strong as `listen` says.
    pub(crate) async fn sense(&mut self, frequency: u32, listen: ListenBeforeTalk) -> Result<bool, Error> {
        let config = RxConfig { rf: RfConfig { frequency, bb: SENSE_BANDWIDTH }, mode: RxMode::Continuous };
        self.go(Target::Receiving(config, 0)).await?;
        // One look more: the first millisecond is the receiver's, to settle.
        for _ in 0..=listen.for_ms {
            self.delay.delay_ms(1).await;
            self.flags.ask_rssi(true);
            self.commanding = true;
            let status = self.kind.get_rx_packet_status().await?;
            self.commanding = false;
            if self.flags.asks_rssi() {
                // Without a tap it was the strength of the last packet.
                return Err(Error::Deaf);
            }
            if status.rssi >= 0 {
                // A bus that reads as zeros: as a busy channel it would keep the device silent, and be told to nobody.
                return Err(Error::Nonsense(0));
            }
            if status.rssi >= listen.threshold_dbm {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a carrier until the next command to stand by.
    #[cfg(feature = "certification")]
    async fn begin_carrier(&mut self, frequency_hz: u32, power_dbm: i8) -> Result<(), Error> {
        self.stand_by().await?;
        let rf = RfConfig { frequency: frequency_hz, bb: SENSE_BANDWIDTH };
        let modulation = modulation_params(&self.kind, rf)?;
        self.state = State::Unknown;
        self.kind.calibrate_image(frequency_hz).await?;
        self.calibrated = Some(image_band(frequency_hz));
        let power_dbm = self.amplifier.clamp_dbm(i32::from(power_dbm).min(i32::from(MAX_DBM)));
        self.kind.set_tx_power_and_ramp_time(power_dbm, Some(&modulation), true).await?;
        self.kind.set_channel(frequency_hz).await?;
        self.flags.take();
        self.kind.set_tx_continuous_wave_mode().await?;
        self.state = State::Transmitting;
        Ok(())
    }

    pub(crate) async fn await_sent(&mut self, limit_ms: u32) -> Result<(), Error> {
        let mut delay = self.delay.clone();
        let mut timer = pin!(delay.delay_ms(limit_ms));
        let mut empty = 0;
        loop {
            let interrupted = self.interrupt(timer.as_mut()).await?;
            match self.kind.process_irq_event(RadioMode::Transmit, None, true).await? {
                Some(_) => self.flags.add(TX_DONE),
                None => empty += 1,
            }
            let flags = self.flags.take();
            if flags & !OF_TRANSMIT != 0 || (interrupted && empty >= EMPTY_INTERRUPTS) {
                return Err(Error::Nonsense(flags));
            }
            if flags & TX_DONE != 0 {
                Counters::count(&mut self.counters.sent);
                // A chip that has sent without the line telling is initialised again before it is trusted.
                self.state = if interrupted { State::Standby } else { State::Unknown };
                if !interrupted {
                    Counters::count(&mut self.counters.missed_interrupts);
                }
                return Ok(());
            }
            if !interrupted {
                return Err(Error::Overdue);
            }
        }
    }

    /// Notes an error: unless the chip was not touched, its state is unknown from here.
    pub(crate) fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_) | Err(Error::NotSetUp | Error::FrameTooLong(_)) => {}
            Err(error) => {
                if *error == Error::Overdue {
                    Counters::count(&mut self.counters.overdue);
                }
                self.state = State::Unknown;
            }
        }
        result
    }
}

fn modulation_params(kind: &impl RadioKind, rf: RfConfig) -> Result<ModulationParams, Error> {
    Ok(kind.create_modulation_params(rf.bb.sf, rf.bb.bw, rf.bb.cr, rf.frequency)?)
}

/// LoRaWAN's packets (TS001-1.0.3 section 3): explicit header; a CRC in uplinks only; downlinks with
/// inverted IQ.
fn packet_params(
    kind: &impl RadioKind,
    modulation: &ModulationParams,
    len: u8,
    downlink: bool,
) -> Result<PacketParams, Error> {
    Ok(kind.create_packet_params(u16::from(PREAMBLE_SYMBOLS), false, len, !downlink, downlink, modulation)?)
}

pub(crate) fn chip_mode(mode: RxMode, symbols: u16) -> ChipRxMode {
    match mode {
        RxMode::Continuous => ChipRxMode::Continuous,
        RxMode::Single { .. } => ChipRxMode::Single(symbols),
    }
}

fn quality(rssi: i16, snr: i16) -> RxQuality {
    let snr = snr.clamp(i16::from(i8::MIN), i16::from(i8::MAX));
    RxQuality::new(rssi, i8::try_from(snr).unwrap_or(0))
}

/// Numbers the bands of image calibration (SX1261/2 data sheet table 9-2), as lora-phy divides them.
fn image_band(frequency_hz: u32) -> u8 {
    match frequency_hz {
        ..=425_000_000 => 0,
        425_000_001..=460_000_000 => 1,
        460_000_001..=770_000_000 => 2,
        770_000_001..=850_000_000 => 3,
        850_000_001..=900_000_000 => 4,
        900_000_001.. => 5,
    }
}
