//! What the server sends, and when.

use crate::airtime::airtime_us;
use crate::config::{Downlink, Kind, Transmission, Window, eu868};
use crate::device::{Activation, Answer, Device, InFlight, PendingWindow};
use crate::frames::DataDown;
use crate::server::{NetworkServer, keep};

/// Pause after a frame before the next to the same device, so that it is back in RXC.
const PAUSE_US: u64 = 100_000;

/// A moment at which the device listens, and what must be said in it.
struct Opening {
    at_us: u64,
    window: Window,
    ack: bool,
    f_opts: Vec<u8>,
    /// The longest payload that fits beside FOpts.
    max: usize,
    /// Whether a frame goes out even without data.
    needs_answer: bool,
}

impl NetworkServer {
    /// Tells when the next transmission may be due; `None` while there is nothing to send.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        if !self.gateway_on {
            return None;
        }
        let windows =
            self.devices.iter().filter_map(|device| device.pending.as_ref()).map(|pending| pending.at_us);
        let class_c = (0..self.devices.len()).filter_map(|index| self.class_c_due_us(index));
        let broadcast = self.broadcast.front().map(|front| front.at_us.max(self.gateway_free_us));
        windows.chain(class_c).chain(broadcast).min()
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
        let (next, earliest_us) = match (&device.in_flight, device.queue.front()) {
            (Some(in_flight), _) => (&in_flight.downlink, in_flight.retry_at_us),
            (None, Some(front)) => (front, 0),
            (None, None) => return None,
        };
        if next.payload.len() > max_payload(session.rx2_dr) {
            // Too long for RXC: it waits for a window that carries it.
            return None;
        }
        let at_us = earliest_us.max(device.class_c_from_us).max(self.gateway_free_us);
        // A window of any device comes first: the longest frame must not run into it.
        let longest_us = airtime_us(12, 125_000, 64);
        let in_the_way =
            self.devices.iter().filter_map(|other| other.pending.as_ref()).map(|other| other.at_us);
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
            let Some(transmission) = self.take_one(at_us) else { continue };
            self.gateway_free_us =
                transmission.at_us + airtime_us(transmission.sf, transmission.bw_hz, transmission.phy.len());
            keep(&mut self.sent, transmission.clone(), self.config.record_frames);
            due.push(transmission);
        }
        due
    }

    /// Takes one step at the instant `at_us` of [`next_due_us`](Self::next_due_us): each call consumes a
    /// window, a queued frame or a try, so that the calls come to an end.
    fn take_one(&mut self, at_us: u64) -> Option<Transmission> {
        let is_due = |device: &Device| device.pending.as_ref().is_some_and(|pending| pending.at_us <= at_us);
        if let Some(index) = self.devices.iter().position(is_due) {
            return self.answer(index);
        }
        if self.broadcast.front().is_some_and(|front| front.at_us <= at_us) && self.gateway_free_us <= at_us {
            return self.broadcast.pop_front().map(|frame| Transmission { at_us, ..frame });
        }
        let index = (0..self.devices.len()).find(|index| self.class_c_due_us(*index) == Some(at_us))?;
        self.class_c(index, at_us)
    }

    /// Answers in a receive window, if there is something to say.
    fn answer(&mut self, index: usize) -> Option<Transmission> {
        let gateway_free_us = self.gateway_free_us;
        let device = self.devices.get_mut(index)?;
        let pending = device.pending.take()?;
        if gateway_free_us > pending.at_us {
            // The gateway is still sending: RX2 is the second chance, and there is no third.
            let (at_us, freq_hz, dr) = pending.rx2?;
            device.pending =
                Some(PendingWindow { at_us, window: Window::Rx2, freq_hz, dr, rx2: None, ..pending });
            return None;
        }
        let PendingWindow { at_us, window, freq_hz, dr, content, .. } = pending;
        let power_dbm = if window == Window::Rx1 { eu868::RX1_POWER_DBM } else { eu868::RX2_POWER_DBM };
        let (phy, kind) = match content {
            Answer::JoinAccept { phy, dev_addr } => {
                (phy, Kind::JoinAccept { dev_eui: device.dev_eui, dev_addr })
            }
            Answer::Data { ack, must_answer, mac } => {
                let f_opts = device.take_f_opts(mac);
                let needs_answer = ack || must_answer || !f_opts.is_empty();
                let max = max_payload(dr).saturating_sub(f_opts.len());
                self.data_frame(index, Opening { at_us, window, ack, f_opts, max, needs_answer })?
            }
        };
        let sent = transmission(at_us, freq_hz, dr, power_dbm, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    /// Sends the next frame of the application to RXC.
    fn class_c(&mut self, index: usize, at_us: u64) -> Option<Transmission> {
        let session = self.devices.get(index)?.session.as_ref()?;
        let (freq_hz, dr) = (session.rx2_freq_hz, session.rx2_dr);
        let opening = Opening {
            at_us,
            window: Window::Rxc,
            ack: false,
            f_opts: Vec::new(),
            max: max_payload(dr),
            needs_answer: false,
        };
        let (phy, kind) = self.data_frame(index, opening)?;
        let sent = transmission(at_us, freq_hz, dr, eu868::RX2_POWER_DBM, phy, kind);
        self.pause_after(index, &sent);
        Some(sent)
    }

    /// Builds the next data frame: the confirmed one that waits for its ACK, or the next of the queue, or,
    /// when an answer is needed, one without data.
    fn data_frame(&mut self, index: usize, opening: Opening) -> Option<(Vec<u8>, Kind)> {
        let Opening { at_us, window, ack, f_opts, max, needs_answer } = opening;
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

    /// Keeps the next Class C frame away until the device has had this one.
    fn pause_after(&mut self, index: usize, sent: &Transmission) {
        let end_us = sent.at_us + airtime_us(sent.sf, sent.bw_hz, sent.phy.len());
        if let Some(device) = self.devices.get_mut(index) {
            device.class_c_from_us = device.class_c_from_us.max(end_us + PAUSE_US);
        }
    }
}

fn again_in_flight(again: &InFlight, phy: Vec<u8>, fcnt: u32, retry_at_us: u64) -> Option<InFlight> {
    Some(InFlight { downlink: again.downlink.clone(), fcnt, phy, tries: again.tries + 1, retry_at_us })
}

fn max_payload(dr: u8) -> usize {
    eu868::MAX_PAYLOAD.get(usize::from(dr)).copied().unwrap_or_default()
}

pub(crate) fn transmission(
    at_us: u64,
    freq_hz: u32,
    dr: u8,
    power_dbm: i8,
    phy: Vec<u8>,
    kind: Kind,
) -> Transmission {
    let (sf, bw_hz) = eu868::DATA_RATES.get(usize::from(dr)).copied().unwrap_or((12, 125_000));
    Transmission { at_us, freq_hz, sf, bw_hz, power_dbm, phy, kind }
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
