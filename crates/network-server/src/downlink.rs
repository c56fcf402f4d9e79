//! What the server sends, and when.

use crate::adr::demodulation_floor_tenths;
use crate::airtime::airtime_us;
use crate::config::{Downlink, Dropped, Kind, Transmission, Window};
use crate::device::{Activation, Answer, Commands, Device, InFlight, MacAnswer, PendingWindow};
use crate::faults::Fate;
use crate::frames::{self, DataDown};
use crate::gateways::Reception;
use crate::server::{NetworkServer, keep};

/// A moment at which the device listens, and what must be said in it.
struct Opening {
    at_us: u64,
    window: Window,
    ack: bool,
    commands: Commands,
    dr: u8,
    /// Whether a frame goes out even without data.
    needs_answer: bool,
}

impl NetworkServer {
    /// Tells when the next transmission may be due; `None` while there is nothing to send.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        if !self.gateway_is_on() {
            return None;
        }
        let windows =
            self.devices.iter().filter_map(|device| device.pending.as_ref()).map(|pending| pending.at_us);
        let class_c = (0..self.devices.len()).filter_map(|index| self.class_c_due_us(index));
        let broadcast = self.broadcast_due().map(|(_, at_us)| at_us);
        let late = self.late.front().map(|front| front.at_us);
        windows.chain(class_c).chain(broadcast).chain(late).min()
    }

    /// Tells which frame apart from the devices' windows is next, and when.
    fn broadcast_due(&self) -> Option<(usize, u64)> {
        let due = self.broadcast.iter().map(|frame| frame.at_us.max(self.free_us(frame.gateway)));
        due.enumerate().min_by_key(|(_, due_us)| *due_us)
    }

    /// Tells when the next Class C frame for a device may begin.
    fn class_c_due_us(&self, index: usize) -> Option<u64> {
        let device = self.devices.get(index)?;
        let session = device.session.as_ref()?;
        // Before its first uplink a device of OTAA may not know that it is in (LoRaWAN 1.0.3 §17.3), and
        // while a window is coming the frame goes there.
        let is_reachable = session.fcnt_up.is_some() || matches!(device.activation, Activation::Abp);
        if !is_reachable || device.pending.is_some() || device.rxc_is_uncertain() {
            return None;
        }
        let earliest_us = match (&device.in_flight, device.queue.front()) {
            (Some(in_flight), _) => in_flight.retry_at_us,
            (None, Some(_)) => 0,
            (None, None) => return None,
        };
        let gateway = self.gateway_of(index)?;
        // A window that was in the way, and in which nothing was said, does not bring time back.
        let at_us = earliest_us.max(device.class_c_from_us).max(self.free_us(gateway)).max(self.passed_us);
        // A window that this gateway answers in comes first: the longest frame must not run into it.
        let longest_us = airtime_us(12, 125_000, 64);
        let in_the_way = (self.devices.iter().enumerate())
            .filter_map(|(other, device)| Some((other, device.pending.as_ref()?.at_us)))
            .filter(|(other, _)| self.gateway_of(*other) == Some(gateway))
            .map(|(_, window_us)| window_us);
        Some(
            in_the_way
                .filter(|window_us| *window_us < at_us + longest_us)
                .fold(at_us, |at_us, window_us| at_us.max(window_us + 1)),
        )
    }

    /// Takes the transmissions that are due at `now_us` or before, in the order of their instants.
    pub fn take_due(&mut self, now_us: u64) -> Vec<Transmission> {
        let mut due = Vec::new();
        while let Some(at_us) = self.next_due_us().filter(|at_us| *at_us <= now_us) {
            self.passed_us = self.passed_us.max(at_us);
            let late = self.late.pop_front_if(|front| front.at_us <= at_us);
            let is_late = late.is_some();
            let Some(mut frame) = late.or_else(|| self.take_one(at_us)) else { continue };
            match if is_late { Fate::Sent } else { self.faults.fate() } {
                Fate::Sent => {
                    keep(&mut self.sent, frame.clone(), self.config.record_frames);
                    due.push(frame);
                }
                Fate::Lost => {}
                Fate::Late(by_us) => {
                    frame.at_us = frame.at_us.saturating_add(by_us);
                    self.occupy(&frame);
                    let after = self.late.partition_point(|other| other.at_us <= frame.at_us);
                    self.late.insert(after, frame);
                }
            }
        }
        due
    }

    /// Keeps a frame's gateway to itself until it has sent it.
    fn occupy(&mut self, frame: &Transmission) {
        let end_us = frame.at_us + airtime_us(frame.sf, frame.bw_hz, frame.phy.len());
        if let Some(gateway) = self.gateways.get_mut(frame.gateway) {
            gateway.free_us = gateway.free_us.max(end_us);
        }
    }

    /// Takes one step at the instant `at_us` of [`next_due_us`](Self::next_due_us): each call consumes a
    /// window, a queued frame or a try, so that the calls come to an end.
    fn take_one(&mut self, at_us: u64) -> Option<Transmission> {
        let is_due = |device: &Device| device.pending.as_ref().is_some_and(|pending| pending.at_us <= at_us);
        if let Some(index) = self.devices.iter().position(is_due) {
            return self.answer(index);
        }
        if let Some((next, due_us)) = self.broadcast_due().filter(|(_, due_us)| *due_us <= at_us) {
            let frame = Transmission { at_us: due_us, ..self.broadcast.remove(next)? };
            self.occupy(&frame);
            return Some(frame);
        }
        let index = (0..self.devices.len()).find(|index| self.class_c_due_us(*index) == Some(at_us))?;
        self.class_c(index, at_us)
    }

    /// Answers in a receive window, if there is something to say.
    fn answer(&mut self, index: usize) -> Option<Transmission> {
        let at_us = self.devices.get(index)?.pending.as_ref()?.at_us;
        let gateway = self.hearing(index).find(|gateway| self.free_us(*gateway) <= at_us);
        let device = self.devices.get_mut(index)?;
        let pending = device.pending.take()?;
        let Some(gateway) = gateway else {
            // Whoever heard the device is sending: RX2 is the second chance, and there is no third.
            let (at_us, freq_hz, dr) = pending.rx2?;
            device.pending =
                Some(PendingWindow { at_us, window: Window::Rx2, freq_hz, dr, rx2: None, ..pending });
            return None;
        };
        let PendingWindow { at_us, window, freq_hz, dr, content, .. } = pending;
        if let Answer::Data { steer_by: Some((meta, adr)), .. } = content {
            // Not before now: other gateways may have heard the uplink better than the first.
            self.steer(index, meta, adr);
        }
        let device = self.devices.get_mut(index)?;
        let (phy, kind) = match content {
            Answer::JoinAccept { phy, dev_addr } => {
                (phy, Kind::JoinAccept { dev_eui: device.dev_eui, dev_addr })
            }
            Answer::Data { ack, must_answer, mac, .. } => {
                let owed = code_answers(&mac, &device.receptions, self.config.gps_time_at_start_s);
                let commands = device.take_commands(owed);
                let has_commands = match &commands {
                    Commands::FOpts(bytes) => !bytes.is_empty(),
                    Commands::Port0(_) => true,
                };
                let needs_answer = ack || must_answer || has_commands;
                self.data_frame(index, Opening { at_us, window, ack, commands, dr, needs_answer })?
            }
        };
        let sent = self.transmission(gateway, at_us, freq_hz, dr, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    /// Sends the next frame of the application to RXC.
    fn class_c(&mut self, index: usize, at_us: u64) -> Option<Transmission> {
        let gateway = self.gateway_of(index)?;
        let session = self.devices.get(index)?.session.as_ref()?;
        let (freq_hz, dr) = (session.rx2_freq_hz, session.rx2_dr);
        let opening = Opening {
            at_us,
            window: Window::Rxc,
            ack: false,
            commands: Commands::FOpts(Vec::new()),
            dr,
            needs_answer: false,
        };
        let (phy, kind) = self.data_frame(index, opening)?;
        let sent = self.transmission(gateway, at_us, freq_hz, dr, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    /// Builds the next data frame: the confirmed one that waits for its ACK, or the next of the queue, or,
    /// when an answer is needed, one without data.
    fn data_frame(&mut self, index: usize, opening: Opening) -> Option<(Vec<u8>, Kind)> {
        let Opening { at_us, window, ack, commands, dr, needs_answer } = opening;
        let f_opts = match commands {
            Commands::FOpts(f_opts) => f_opts,
            Commands::Port0(bytes) => return self.command_frame(index, window, ack, bytes),
        };
        // What fits but for FOpts goes next time.
        let max = self.drop_too_long(index, dr)?.saturating_sub(f_opts.len());
        let (tries, ack_timeout_us) =
            (self.config.confirmed_tries, u64::from(self.config.ack_timeout_ms) * 1_000);
        let device = self.devices.get_mut(index)?;
        if device.in_flight.as_ref().is_some_and(|in_flight| in_flight.tries >= tries) {
            device.in_flight = None;
            device.unacknowledged += 1;
            if window == Window::Rxc {
                return None;
            }
        }
        let again = device.in_flight.take_if(|in_flight| in_flight.downlink.payload.len() <= max);
        let waits = device.in_flight.is_some();
        let session = device.session.as_mut()?;
        // The same bytes once more, unless the device has heard of a later counter, or must hear of an ACK.
        if let Some(again) = &again
            && !needs_answer
            && again.fcnt.wrapping_add(1) == session.fcnt_down
        {
            let kind = unicast(device.dev_eui, window, Some(&again.downlink), again.fcnt, false, true);
            let phy = again.phy.clone();
            device.in_flight = again_in_flight(again, phy.clone(), again.fcnt, at_us + ack_timeout_us);
            return Some((phy, kind));
        }
        let repeat = again.is_some();
        let before = again.as_ref().map_or(0, |again| again.tries);
        let fits = !waits && device.queue.front().is_some_and(|front| front.payload.len() <= max);
        let downlink = match again {
            Some(again) => Some(again.downlink),
            None if fits => device.queue.pop_front(),
            None => None,
        };
        if downlink.is_none() && !needs_answer {
            return None;
        }
        let frame = DataDown {
            dev_addr: session.dev_addr,
            fcnt: session.fcnt_down,
            confirmed: downlink.as_ref().is_some_and(|downlink| downlink.confirmed),
            ack,
            f_pending: !device.queue.is_empty() || !device.requests.is_empty(),
            f_opts,
            data: downlink.as_ref().map(|downlink| (downlink.port, downlink.payload.clone())),
        };
        let phy = frame.encode(&session.keys).ok()?;
        session.fcnt_down = session.fcnt_down.wrapping_add(1);
        let kind = unicast(device.dev_eui, window, downlink.as_ref(), frame.fcnt, ack, repeat);
        if let Some(downlink) = downlink.filter(|downlink| downlink.confirmed) {
            device.in_flight = Some(InFlight {
                downlink,
                fcnt: frame.fcnt,
                phy: phy.clone(),
                tries: before + 1,
                retry_at_us: at_us + ack_timeout_us,
            });
        }
        Some((phy, kind))
    }

    /// Gives up the next data of a device while it is longer than a data rate carries, and tells what that is, in
    /// bytes. What waited for a better rate could wait for ever, with all behind it; ChirpStack (downlink/data.rs) and
    /// The Things Stack (networkserver/downlink.go) drop it too.
    fn drop_too_long(&mut self, index: usize, dr: u8) -> Option<usize> {
        let device = self.devices.get_mut(index)?;
        let dwell = device.session.as_ref()?.downlink_dwell;
        let max = self.plan.under_dwell(dwell).max_payload(dr);
        let is_too_long = |downlink: &Downlink| downlink.payload.len() > max;
        let mut drop_one = |downlink| {
            self.dropped.push(Dropped { dev_eui: device.dev_eui, downlink, data_rate: dr, max });
        };
        if let Some(lost) = device.in_flight.take_if(|in_flight| is_too_long(&in_flight.downlink)) {
            drop_one(lost.downlink);
        }
        if device.in_flight.is_none() {
            while let Some(lost) = device.queue.pop_front_if(|front| is_too_long(front)) {
                drop_one(lost);
            }
        }
        Some(max)
    }

    /// Builds a frame with MAC commands on port 0; data waits.
    fn command_frame(
        &mut self,
        index: usize,
        window: Window,
        ack: bool,
        bytes: Vec<u8>,
    ) -> Option<(Vec<u8>, Kind)> {
        let device = self.devices.get_mut(index)?;
        let session = device.session.as_mut()?;
        let frame = DataDown {
            dev_addr: session.dev_addr,
            fcnt: session.fcnt_down,
            ack,
            f_pending: !device.queue.is_empty() || !device.requests.is_empty(),
            data: Some((0, bytes.clone())),
            ..DataDown::default()
        };
        let phy = frame.encode(&session.keys).ok()?;
        session.fcnt_down = session.fcnt_down.wrapping_add(1);
        let commands = Downlink { port: 0, payload: bytes, confirmed: false };
        Some((phy, unicast(device.dev_eui, window, Some(&commands), frame.fcnt, ack, false)))
    }

    pub(crate) fn transmission(
        &self,
        gateway: usize,
        at_us: u64,
        freq_hz: u32,
        dr: u8,
        phy: Vec<u8>,
        kind: Kind,
    ) -> Transmission {
        let (sf, bw_hz) = self.plan.downlink_rate(dr).unwrap_or((12, 125_000));
        let power_dbm = self.plan.downlink_power_dbm(freq_hz);
        Transmission { gateway, at_us, freq_hz, sf, bw_hz, power_dbm, phy, kind }
    }

    /// Keeps the next Class C frame away until the device has had time to answer this one.
    fn pause_after(&mut self, index: usize, sent: &Transmission) {
        self.occupy(sent);
        let end_us = sent.at_us + airtime_us(sent.sf, sent.bw_hz, sent.phy.len());
        if let Some(device) = self.devices.get_mut(index) {
            let pause_us = 1_000 * u64::from(self.config.class_c_pause_ms);
            device.class_c_from_us = device.class_c_from_us.max(end_us + pause_us);
        }
    }
}

fn again_in_flight(again: &InFlight, phy: Vec<u8>, fcnt: u32, retry_at_us: u64) -> Option<InFlight> {
    Some(InFlight { downlink: again.downlink.clone(), fcnt, phy, tries: again.tries + 1, retry_at_us })
}

/// Codes what is owed, from all that was heard until now.
fn code_answers(owed: &[MacAnswer], receptions: &[Reception], gps_time_at_start_s: u32) -> Vec<Vec<u8>> {
    let coded = owed.iter().map(|answer| match answer {
        MacAnswer::LinkCheck => {
            let margin_db = receptions.iter().map(link_margin_db).max().unwrap_or_default();
            frames::link_check_ans(margin_db, u8::try_from(receptions.len()).unwrap_or(u8::MAX))
        }
        MacAnswer::DeviceTime(end_us) => {
            frames::device_time_ans(u64::from(gps_time_at_start_s) * 1_000_000 + end_us)
        }
    });
    coded.filter_map(Result::ok).collect()
}

/// Tells how far an uplink was above the demodulation floor, in dB.
fn link_margin_db(reception: &Reception) -> u8 {
    let meta = reception.meta;
    let margin = (i32::from(meta.snr_db) * 10 - demodulation_floor_tenths(meta.sf)) / 10;
    // 255 is reserved.
    u8::try_from(margin.clamp(0, 254)).unwrap_or_default()
}

fn unicast(
    dev_eui: [u8; 8],
    window: Window,
    downlink: Option<&Downlink>,
    fcnt: u32,
    ack: bool,
    repeat: bool,
) -> Kind {
    Kind::Unicast {
        dev_eui,
        window,
        port: downlink.map(|downlink| downlink.port),
        payload: downlink.map(|downlink| downlink.payload.clone()).unwrap_or_default(),
        fcnt,
        confirmed: downlink.is_some_and(|downlink| downlink.confirmed),
        ack,
        repeat,
    }
}
