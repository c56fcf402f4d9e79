//! What a group of commands comes to, program by program. Nothing in here waits.

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::{DeviceSel, Sx126xVariant};
use lorawan_device::async_device::radio::{RfConfig, RxConfig, RxMode, RxQuality};

use crate::bus::Answer;
use crate::chip::{
    CRC_ERROR, HEADER_ERROR, OF_CONTINUOUS, OF_SINGLE, OF_TRANSMIT, Program, RECEIVES, RX_DONE, STATUS_MODE,
    dbm, decibels, image_band, is_failure,
};
use crate::power::Amplifier;
use crate::radio::{Group, Outcome, State, Sx126xRadio, Target};
use crate::report::{Counters, Error};
use crate::timing::SENSE_BANDWIDTH;

/// How far a group is: what its last program has done.
#[derive(Clone, Copy)]
enum Phase {
    /// Nothing yet.
    Begun,
    /// Nothing that helps: the chip's state tells how to come nearer to the target.
    Approaching,
    /// The chip came to standby from a state that has nothing to tell.
    Stands,
    /// The interrupts are read to see whether the chip is well in this receive.
    Looked(RxConfig),
    /// The interrupts are read, of a receive in this mode or of a transmission.
    Asked(Option<RxMode>),
    /// They are cleared too.
    Cleared(Option<RxMode>),
    /// It is known where a packet lies.
    Placed,
    /// The packet is read.
    Fetched(u8),
    /// The chip left a receive.
    Left,
    /// The chip is as it shall be.
    Reached(State),
    /// The strength of the channel is read.
    Sensed,
}

/// A group at work.
pub(crate) struct Work<'a> {
    pub(crate) group: Group<'a>,
    phase: Phase,
    /// What is to be done now.
    pub(crate) program: Program,
    /// What the last command of the last program answered.
    pub(crate) answer: Answer,
    pub(crate) outcome: Outcome,
    /// How often a channel was looked at.
    looks: u16,
    /// A frame landed in the receive that was left.
    has_landed: bool,
}

impl<'a> Work<'a> {
    pub(crate) fn new(group: Group<'a>) -> Self {
        Self {
            group,
            phase: Phase::Begun,
            program: Program::new(),
            answer: [0; 4],
            outcome: Outcome::default(),
            looks: 0,
            has_landed: false,
        }
    }

    /// Gives what follows the status of the last answer.
    fn answered(&self) -> Result<[u8; 3], RadioError> {
        let [status, rest @ ..] = self.answer;
        if is_failure(status) { Err(RadioError::OpError(status)) } else { Ok(rest) }
    }
}

impl<SPI, IV, C, D, const MAX_DBM: u8> Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    /// Draws the conclusions of a program that was sent, and writes down the next one; `false` when there is none.
    ///
    /// A future that is dropped while a program is sent leaves the state as it is here: it says what is known for sure.
    pub(crate) fn plan(&mut self, work: &mut Work<'_>) -> Result<bool, Error> {
        work.program.restart();
        loop {
            match work.phase {
                Phase::Begun => match work.group {
                    Group::Go(_) | Group::Sense(..) => work.phase = Phase::Approaching,
                    Group::Reopen(config) | Group::Leave(config) => {
                        self.leave(config, work);
                        return Ok(true);
                    }
                    Group::Look(config) => {
                        self.commanding = true;
                        work.program.ask_interrupts();
                        work.phase = Phase::Looked(config);
                        return Ok(true);
                    }
                    Group::Resume(_) if !self.commanding => return Ok(false),
                    Group::Resume(mode) => {
                        work.program.finish_dropped_command();
                        self.ask(Some(mode), work);
                        return Ok(true);
                    }
                    Group::Process(mode) => {
                        self.ask(mode, work);
                        return Ok(true);
                    }
                    Group::Fetch(_) => {
                        self.commanding = true;
                        work.program.ask_place();
                        work.phase = Phase::Placed;
                        return Ok(true);
                    }
                },
                Phase::Approaching => return self.approach(work),
                Phase::Stands => {
                    self.flags = 0;
                    self.state = State::Standby;
                    work.phase = Phase::Approaching;
                }
                Phase::Looked(config) => {
                    self.commanding = false;
                    // What it has to tell its line would have told; it stays there.
                    let [status, high, low, _] = work.answer;
                    if status & STATUS_MODE == RECEIVES && [high, low] == [0, 0] {
                        return Ok(false);
                    }
                    self.leave(config, work);
                    return Ok(true);
                }
                Phase::Asked(mode) => {
                    let [_, high, low, _] = work.answer;
                    let flags = u16::from_be_bytes([high, low]);
                    self.flags |= flags;
                    work.program.clear(flags, matches!(mode, Some(RxMode::Single { .. })));
                    work.phase = Phase::Cleared(mode);
                    return Ok(true);
                }
                Phase::Cleared(mode) => {
                    work.outcome.flags = self.conclude(mode)?;
                    let State::Leaving(config) = self.state else { return Ok(false) };
                    if self.unread && config.mode == RxMode::Continuous && self.landed.frame.is_none() {
                        self.commanding = true;
                        work.program.ask_place();
                        work.phase = Phase::Placed;
                        return Ok(true);
                    }
                    if self.unread {
                        Counters::count(&mut self.counters.dropped);
                    }
                    work.phase = Phase::Left;
                }
                Phase::Placed => {
                    let [len, offset, _] = work.answered()?;
                    let room =
                        if let Group::Fetch(buf) = &work.group { buf.len() } else { self.landed.bytes.len() };
                    if usize::from(len) <= room {
                        work.program.fetch(offset, len);
                        work.phase = Phase::Fetched(len);
                        return Ok(true);
                    }
                    if let Group::Fetch(_) = work.group {
                        return Ok(self.fetched(None, work));
                    }
                    work.phase = Phase::Left;
                }
                Phase::Fetched(len) => {
                    let [rssi, snr, _] = work.answered()?;
                    let frame = Some((usize::from(len), RxQuality::new(dbm(rssi), decibels(snr))));
                    if let Group::Fetch(_) = work.group {
                        return Ok(self.fetched(frame, work));
                    }
                    self.landed.frame = frame;
                    work.has_landed = true;
                    work.phase = Phase::Left;
                }
                Phase::Left => {
                    self.unread = false;
                    self.commanding = false;
                    self.state = State::Standby;
                    match work.group {
                        Group::Leave(_) => return Ok(false),
                        Group::Reopen(_) | Group::Look(_) if work.has_landed => {
                            // The interrupt line has kept silent about it.
                            Counters::count(&mut self.counters.missed_interrupts);
                            self.state = State::Unknown;
                        }
                        _ => {}
                    }
                    work.phase = Phase::Approaching;
                }
                Phase::Reached(state) => {
                    self.state = state;
                    let Group::Sense(..) = work.group else { return Ok(false) };
                    self.look(work);
                    return Ok(true);
                }
                Phase::Sensed => return self.sensed(work),
            }
        }
    }

    /// Reads the interrupts; nothing is lost when it is dropped.
    fn ask(&mut self, mode: Option<RxMode>, work: &mut Work<'_>) {
        self.commanding = true;
        work.program.ask_interrupts();
        work.phase = Phase::Asked(mode);
    }

    /// Ends a receive, and looks once whether a packet landed in it.
    fn leave(&mut self, config: RxConfig, work: &mut Work<'_>) {
        self.state = State::Leaving(config);
        if self.commanding {
            work.program.finish_dropped_command();
        }
        work.program.stand_ready();
        self.ask(Some(config.mode), work);
    }

    /// Acts on the interrupts that were read and cleared, and gives them back.
    #[inline(never)]
    fn conclude(&mut self, mode: Option<RxMode>) -> Result<u16, Error> {
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

    /// Ends the reading of a packet for the caller; `None` when it is too long.
    fn fetched(&mut self, frame: Option<(usize, RxQuality)>, work: &mut Work<'_>) -> bool {
        self.unread = false;
        self.commanding = false;
        let counter = if frame.is_some() { &mut self.counters.received } else { &mut self.counters.dropped };
        Counters::count(counter);
        work.outcome.frame = frame;
        false
    }

    /// Comes nearer to the target of a group: to standby, and from there to what is wanted, with everything set anew.
    ///
    /// One way for receiving and sending: two would be twice the code.
    fn approach(&mut self, work: &mut Work<'_>) -> Result<bool, Error> {
        let target = match work.group {
            Group::Go(target) => target,
            Group::Sense(frequency, _) => {
                let rf = RfConfig { frequency, bb: SENSE_BANDWIDTH };
                Target::Receiving(RxConfig { rf, mode: RxMode::Continuous }, 0)
            }
            Group::Reopen(config) | Group::Look(config) => Target::Receiving(config, 0),
            // These end before.
            Group::Leave(_) | Group::Resume(_) | Group::Process(_) | Group::Fetch(_) => return Ok(false),
        };
        let is_ready = matches!(target, Target::Receiving(config, _) if self.state == State::Ready(config));
        match self.state {
            State::Standby | State::Ready(_) => {}
            State::Unknown => {
                self.calibrated = None;
                self.commanding = false;
                self.unread = false;
                Counters::count(&mut self.counters.resets);
                work.program.reset();
                work.program.initialise(&self.config);
                work.phase = Phase::Stands;
                return Ok(true);
            }
            State::Transmitting => {
                self.state = State::Unknown;
                self.commanding = false;
                work.program.finish_dropped_command();
                work.program.stand_by();
                work.program.clear(u16::MAX, false);
                work.phase = Phase::Stands;
                return Ok(true);
            }
            State::Receiving(config) | State::Leaving(config) => {
                self.leave(config, work);
                return Ok(true);
            }
        }
        let state = match target {
            Target::Standby => return Ok(false),
            Target::Ready(config) => {
                self.tune(config.rf, u8::MAX, None, &mut work.program)?;
                work.program.stand_ready();
                State::Ready(config)
            }
            Target::Receiving(config, symbols) => {
                if !is_ready {
                    self.tune(config.rf, u8::MAX, None, &mut work.program)?;
                }
                work.program.receive(config.mode, symbols, self.config.rx_boost);
                State::Receiving(config)
            }
            Target::Transmitting(config, _, len) => {
                self.tune(config.rf, len, Some(config.pw), &mut work.program)?;
                work.program.send();
                State::Transmitting
            }
            #[cfg(feature = "certification")]
            Target::Carrier(frequency, power_dbm) => {
                let rf = RfConfig { frequency, bb: SENSE_BANDWIDTH };
                self.tune(rf, 0, Some(power_dbm), &mut work.program)?;
                work.program.carrier();
                State::Transmitting
            }
        };
        // Until it is done nothing is known.
        self.state = State::Unknown;
        self.flags = 0;
        self.unread = false;
        work.phase = Phase::Reached(state);
        Ok(true)
    }

    /// Sets everything for a packet of `len` bytes but what opens the receive or sends; the power, in dBm, is for sending.
    fn tune(
        &mut self,
        rf: RfConfig,
        len: u8,
        power_dbm: Option<i8>,
        program: &mut Program,
    ) -> Result<(), Error> {
        let band = image_band(rf.frequency);
        if self.calibrated != Some(band) {
            // Calibrations are for standby on the RC oscillator; the end of a transmission leaves the other one.
            program.stand_by();
            program.calibrate_image(band);
            self.calibrated = Some(band);
        }
        let amplifier = match self.config.chip.get_device_sel() {
            DeviceSel::HighPowerPA => Amplifier::High,
            DeviceSel::LowPowerPA => Amplifier::Low,
        };
        let power_dbm = power_dbm.map(|dbm| amplifier.clamp_dbm(i32::from(dbm).min(i32::from(MAX_DBM))));
        program.tune(rf, len, power_dbm, amplifier)?;
        if power_dbm.is_some() {
            program.payload();
        }
        program.interrupts(if power_dbm.is_some() { OF_TRANSMIT } else { u16::MAX });
        Ok(())
    }

    /// Looks at a channel.
    fn look(&mut self, work: &mut Work<'_>) {
        self.commanding = true;
        work.program.ask_strength();
        work.phase = Phase::Sensed;
    }

    /// Judges a channel by the strength that was read; it is clear when it was so as long as the group says.
    fn sensed(&mut self, work: &mut Work<'_>) -> Result<bool, Error> {
        let Group::Sense(_, listen) = work.group else { return Ok(false) };
        self.commanding = false;
        let [strength, ..] = work.answered()?;
        if strength == 0 {
            // A bus that reads as zeros: as a busy channel it would keep the device silent, and be told to nobody.
            return Err(Error::Nonsense(0));
        }
        if dbm(strength) >= listen.threshold_dbm {
            return Ok(false);
        }
        work.looks += 1;
        // One look more: the first millisecond is the receiver's, to settle.
        work.outcome.clear = work.looks > u16::from(listen.for_ms);
        if !work.outcome.clear {
            self.look(work);
        }
        Ok(!work.outcome.clear)
    }
}
