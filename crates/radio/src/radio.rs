//! The radio: what the chip is doing, and how it is brought back.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{Operation, SpiDevice};
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::{Config, DeviceSel, Sx126xVariant};
use lorawan_device::async_device::radio::{RfConfig, RxConfig, RxMode, RxQuality, TxConfig};
use sockeye_lorawan_mac::ListenBeforeTalk;

use crate::bus::{Bus, dbm};
use crate::chip::{
    CRC_ERROR, GET_IRQ_STATUS, GET_RSSI_INST, HEADER_ERROR, ImageBand, NOTHING, OF_CONTINUOUS, OF_SINGLE,
    OF_TRANSMIT, Program, RX_DONE, TIMEOUT, TX_DONE, image_band,
};
use crate::power::Amplifier;
use crate::report::{Counters, Error};
use crate::timing::{COMMANDS_LIMIT_MS, SENSE_BANDWIDTH};

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

/// An SX126x as a LoRa radio for LoRaWAN.
///
/// `MAX_DBM` is the greatest power that the board may put out, in dBm.
pub struct Sx126xRadio<SPI, IV, C: Sx126xVariant, D, const MAX_DBM: u8 = 22> {
    pub(crate) bus: Bus<SPI, IV, D>,
    config: Config<C>,
    /// What the chip has reported and nobody has acted on yet.
    flags: u16,
    pub(crate) state: State,
    /// What `setup_rx` asked for last: a receive comes back to it after an error or a transmission.
    pub(crate) wanted: Option<RxConfig>,
    /// A packet lies in the chip's buffer.
    pub(crate) unread: bool,
    /// A command of a receive is under way, or a future was dropped there.
    pub(crate) commanding: bool,
    pub(crate) landed: Landed,
    /// The band whose image calibration the chip has.
    calibrated: Option<ImageBand>,
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

    fn amplifier(&self) -> Amplifier {
        match self.config.chip.get_device_sel() {
            DeviceSel::HighPowerPA => Amplifier::High,
            DeviceSel::LowPowerPA => Amplifier::Low,
        }
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
        let mut outcome = Outcome::default();
        match group {
            Group::Go(target) => self.go(target).await?,
            Group::Reopen(config) => self.reopen(config).await?,
            Group::Look(config) => self.look(config).await?,
            Group::Leave(config) => self.leave(config).await?,
            Group::Resume(mode) => self.resume(mode).await?,
            Group::Process(mode) => outcome.flags = self.process(mode).await?,
            Group::Fetch(buf) => outcome.frame = self.fetch(buf).await?,
            Group::Sense(frequency_hz, listen) => outcome.clear = self.sense(frequency_hz, listen).await?,
            #[cfg(feature = "certification")]
            Group::Carrier(frequency_hz, power_dbm) => self.begin_carrier(frequency_hz, power_dbm).await?,
        }
        Ok(outcome)
    }

    /// Brings the chip to standby from whatever it does, and keeps a frame that landed in a continuous receive.
    async fn stand_by(&mut self) -> Result<(), Error> {
        match self.state {
            State::Standby | State::Ready(_) => Ok(()),
            State::Unknown => self.initialise().await,
            State::Transmitting => {
                self.state = State::Unknown;
                let mut program = Program::new();
                program.add(&NOTHING);
                program.stand_by();
                program.clear(u16::MAX, false);
                self.bus.perform(&program, &[]).await?;
                self.flags = 0;
                self.commanding = false;
                self.state = State::Standby;
                Ok(())
            }
            State::Receiving(config) | State::Leaving(config) => self.leave(config).await,
        }
    }

    /// Ends a receive, and looks once whether a packet landed in it.
    pub(crate) async fn leave(&mut self, config: RxConfig) -> Result<(), Error> {
        self.state = State::Leaving(config);
        let mut program = Program::new();
        if self.commanding {
            // An SPI transaction that a dropped future may have left open: the chip takes what follows as its tail.
            program.add(&NOTHING);
        }
        program.stand_by();
        self.commanding = true;
        self.bus.perform(&program, &[]).await?;
        self.process(Some(config.mode)).await?;
        if self.unread {
            self.commanding = true;
            if config.mode == RxMode::Continuous && self.landed.frame.is_none() {
                self.landed.frame = self.bus.read(&mut self.landed.bytes).await?;
            } else {
                Counters::count(&mut self.counters.dropped);
            }
            self.unread = false;
        }
        self.commanding = false;
        self.state = State::Standby;
        Ok(())
    }

    /// Takes up a receive where a dropped future left it.
    async fn resume(&mut self, mode: RxMode) -> Result<(), Error> {
        if self.commanding {
            let mut program = Program::new();
            program.add(&NOTHING);
            self.bus.perform(&program, &[]).await?;
            self.process(Some(mode)).await?;
        }
        Ok(())
    }

    async fn initialise(&mut self) -> Result<(), Error> {
        self.calibrated = None;
        self.commanding = false;
        self.unread = false;
        Counters::count(&mut self.counters.resets);
        // The reset may follow a dropped transaction, whose chip select still stands. A chip that hangs does not answer
        // this one, and is reset all the same.
        self.bus.exchange(&NOTHING, Operation::Write(&[])).await.ok();
        self.bus.lines.reset(&mut self.bus.delay).await?;
        self.bus.ready().await?;
        let mut program = Program::new();
        program.initialise(&self.config);
        self.bus.perform(&program, &[]).await?;
        self.flags = 0;
        self.state = State::Standby;
        Ok(())
    }

    /// Brings the chip to where it shall be, whatever it does.
    ///
    /// One way for receiving and sending: two would be twice the code.
    pub(crate) async fn go(&mut self, target: Target<'_>) -> Result<(), Error> {
        let mut program = Program::new();
        let mut payload: &[u8] = &[];
        if !matches!(target, Target::Receiving(config, _) if self.state == State::Ready(config)) {
            self.stand_by().await?;
            let (rf, len, power_dbm, flags) = match target {
                Target::Standby => return Ok(()),
                Target::Ready(config) | Target::Receiving(config, _) => (config.rf, u8::MAX, None, u16::MAX),
                Target::Transmitting(config, bytes, len) => {
                    payload = bytes;
                    let power_dbm =
                        self.amplifier().clamp_dbm(i32::from(config.pw.min(MAX_DBM.cast_signed())));
                    (config.rf, len, Some(power_dbm), OF_TRANSMIT)
                }
            };
            let band = image_band(rf.frequency);
            if self.calibrated != Some(band) {
                program.calibrate_image(band);
            }
            program.tune(rf, len, power_dbm, self.amplifier())?;
            if power_dbm.is_some() {
                program.payload();
            }
            program.interrupts(flags);
            self.calibrated = Some(band);
        }
        let state = match target {
            Target::Standby => State::Standby,
            Target::Ready(config) => State::Ready(config),
            Target::Receiving(config, symbols) => {
                program.receive(config.mode, symbols, self.config.rx_boost);
                State::Receiving(config)
            }
            Target::Transmitting(..) => {
                program.send();
                State::Transmitting
            }
        };
        self.state = State::Unknown;
        self.flags = 0;
        self.unread = false;
        self.bus.perform(&program, payload).await?;
        self.state = state;
        Ok(())
    }

    /// Reads and clears the interrupts, and gives them back; nothing is lost when it is dropped. Of a transmission
    /// without a mode.
    async fn process(&mut self, mode: Option<RxMode>) -> Result<u16, Error> {
        self.commanding = true;
        let mut answer = [0; 3];
        self.bus.exchange(&[GET_IRQ_STATUS], Operation::Read(&mut answer)).await?;
        let [_, high, low] = answer;
        let flags = u16::from_be_bytes([high, low]);
        self.flags |= flags;
        let mut program = Program::new();
        program.clear(flags, matches!(mode, Some(RxMode::Single { .. })));
        self.bus.perform(&program, &[]).await?;
        self.commanding = false;
        let flags = core::mem::take(&mut self.flags);
        let possible = match mode {
            None => OF_TRANSMIT,
            Some(RxMode::Continuous) => OF_CONTINUOUS,
            Some(RxMode::Single { .. }) => OF_SINGLE,
        };
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
        match select(timer, self.bus.lines.await_irq()).await {
            Either::First(()) => Ok(false),
            Either::Second(result) => Ok(result.map(|()| true)?),
        }
    }

    /// Listens around a frequency; `false` as soon as something is as strong as `listen` says.
    async fn sense(&mut self, frequency: u32, listen: ListenBeforeTalk) -> Result<bool, Error> {
        let config = RxConfig { rf: RfConfig { frequency, bb: SENSE_BANDWIDTH }, mode: RxMode::Continuous };
        self.go(Target::Receiving(config, 0)).await?;
        // One look more: the first millisecond is the receiver's, to settle.
        for _ in 0..=listen.for_ms {
            self.bus.delay.delay_ms(1).await;
            self.commanding = true;
            let mut answer = [0; 2];
            self.bus.ask(GET_RSSI_INST, &mut answer).await?;
            self.commanding = false;
            let [_, strength] = answer;
            if strength == 0 {
                // A bus that reads as zeros: as a busy channel it would keep the device silent, and be told to nobody.
                return Err(Error::Nonsense(0));
            }
            if dbm(strength) >= listen.threshold_dbm {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a carrier until the next command to stand by.
    #[cfg(feature = "certification")]
    async fn begin_carrier(&mut self, frequency_hz: u32, power_dbm: i8) -> Result<(), Error> {
        self.stand_by().await?;
        let amplifier = self.amplifier();
        let band = image_band(frequency_hz);
        let mut program = Program::new();
        program.calibrate_image(band);
        program.power(amplifier.clamp_dbm(i32::from(power_dbm.min(MAX_DBM.cast_signed()))), amplifier);
        program.frequency(frequency_hz);
        program.carrier();
        self.state = State::Unknown;
        self.bus.perform(&program, &[]).await?;
        self.calibrated = Some(band);
        self.state = State::Transmitting;
        Ok(())
    }

    pub(crate) async fn await_sent(&mut self, limit_ms: u32) -> Result<(), Error> {
        let mut delay = self.bus.delay.clone();
        let mut timer = pin!(delay.delay_ms(limit_ms));
        let mut empty = 0;
        loop {
            let interrupted = self.interrupt(timer.as_mut()).await?;
            let flags = self.command(Group::Process(None)).await?.flags;
            if flags == 0 {
                empty += 1;
            }
            if interrupted && empty >= EMPTY_INTERRUPTS {
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
            if flags & TIMEOUT != 0 {
                return Err(RadioError::TransmitTimeout.into());
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
