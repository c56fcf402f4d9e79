//! What the server does with what it hears.

use lrwn::{FType, Payload};

use crate::config::{UplinkMeta, Window, eu868};
use crate::device::{Activation, Answer, PendingWindow, Session};
use crate::frames::{self, Keys};
use crate::heard::{Heard, MacUp, RejectReason, Uplink};
use crate::server::{NetworkServer, keep};

/// JOIN_ACCEPT_DELAY1 and 2 (LoRaWAN Regional Parameters, all regions).
const JOIN_ACCEPT_DELAY1_US: u64 = 5_000_000;
const JOIN_ACCEPT_DELAY2_US: u64 = 6_000_000;
/// RX2 opens one second after RX1 (LoRaWAN 1.0.3 §3.3.2).
const RX1_TO_RX2_US: u64 = 1_000_000;

/// What an uplink is, before it has any effect.
enum Examined {
    Join { device: usize, join_eui: [u8; 8], dev_nonce: u16 },
    Data { device: usize, of_new_session: bool, repeat: bool, uplink: Uplink },
}

impl NetworkServer {
    /// Takes an uplink whose last symbol ended at `now_us`. Empty while the gateway is off.
    pub fn on_uplink(&mut self, now_us: u64, phy: &[u8], meta: UplinkMeta) -> Vec<Heard> {
        if !self.gateway_on {
            return Vec::new();
        }
        keep(&mut self.received, phy.to_vec(), self.config.record_frames);
        vec![match self.examine(phy) {
            Err(reason) => Heard::Rejected { reason },
            Ok(Examined::Join { device, join_eui, dev_nonce }) => {
                self.admit(now_us, meta, device, join_eui, dev_nonce)
            }
            Ok(Examined::Data { device, of_new_session, repeat, uplink }) => {
                self.accept(now_us, meta, device, of_new_session, repeat, &uplink);
                if repeat { Heard::Repeat(uplink) } else { Heard::Data(uplink) }
            }
        }]
    }

    /// Deciphers an uplink without any effect, whether the gateway is on or not. `None` for a frame that
    /// [`on_uplink`](Self::on_uplink) would reject.
    #[must_use]
    pub fn sniff(&self, phy: &[u8]) -> Option<Heard> {
        Some(match self.examine(phy).ok()? {
            Examined::Join { device, join_eui, dev_nonce } => {
                let dev_eui = self.devices.get(device)?.dev_eui;
                Heard::JoinRequest { dev_eui, join_eui, dev_nonce, dev_addr: None }
            }
            Examined::Data { repeat: true, uplink, .. } => Heard::Repeat(uplink),
            Examined::Data { uplink, .. } => Heard::Data(uplink),
        })
    }

    fn examine(&self, phy: &[u8]) -> Result<Examined, RejectReason> {
        let parsed = frames::parse(phy).ok_or(RejectReason::Malformed)?;
        match &parsed.payload {
            Payload::JoinRequest(request) if parsed.mhdr.f_type == FType::JoinRequest => {
                let (dev_eui, join_eui) = (request.dev_eui.to_be_bytes(), request.join_eui.to_be_bytes());
                let device = self.devices.iter().position(|device| device.dev_eui == dev_eui);
                let device = device.ok_or(RejectReason::UnknownDevice)?;
                let Some(Activation::Otaa { join_eui: expected, app_key, used_nonces, .. }) =
                    self.devices.get(device).map(|device| &device.activation)
                else {
                    return Err(RejectReason::NotOtaa);
                };
                if *expected != join_eui {
                    return Err(RejectReason::WrongJoinEui);
                }
                if !frames::join_mic_is_right(&parsed, app_key) {
                    return Err(RejectReason::WrongMic);
                }
                if used_nonces.contains(&request.dev_nonce) {
                    return Err(RejectReason::DevNonceUsed);
                }
                Ok(Examined::Join { device, join_eui, dev_nonce: request.dev_nonce })
            }
            Payload::MACPayload(payload)
                if matches!(parsed.mhdr.f_type, FType::UnconfirmedDataUp | FType::ConfirmedDataUp) =>
            {
                self.examine_data(&parsed, payload)
            }
            _ => Err(RejectReason::NotAnUplink),
        }
    }

    fn examine_data(
        &self,
        parsed: &lrwn::PhyPayload,
        payload: &lrwn::MACPayload,
    ) -> Result<Examined, RejectReason> {
        let dev_addr = u32::from_be_bytes(payload.fhdr.devaddr.to_be_bytes());
        let low = payload.fhdr.f_cnt as u16;
        let mut outcome = RejectReason::UnknownAddress;
        for (index, device) in self.devices.iter().enumerate() {
            let sessions = [(&device.session, false), (&device.joining, true)];
            for (session, of_new_session) in sessions.iter().filter_map(|(s, new)| Some((s.as_ref()?, *new)))
            {
                if session.dev_addr != dev_addr {
                    continue;
                }
                let fcnt = session.full_fcnt(low);
                if frames::uplink_mic_is_right(parsed, &session.keys.nwk_s_key, fcnt) {
                    let uplink = read_uplink(device.dev_eui, session, parsed, payload, fcnt)?;
                    let repeat = session.fcnt_up == Some(fcnt);
                    return Ok(Examined::Data { device: index, of_new_session, repeat, uplink });
                }
                let is_old = fcnt
                    .checked_sub(0x1_0000)
                    .is_some_and(|old| frames::uplink_mic_is_right(parsed, &session.keys.nwk_s_key, old));
                outcome = if is_old { RejectReason::Replayed } else { RejectReason::WrongMic };
            }
        }
        Err(outcome)
    }

    fn admit(
        &mut self,
        now_us: u64,
        meta: UplinkMeta,
        index: usize,
        join_eui: [u8; 8],
        dev_nonce: u16,
    ) -> Heard {
        let dev_addr = frames::dev_addr(self.config.net_id, self.next_address);
        let dr = meta.data_rate();
        let template = self.new_session(dev_addr, Keys { nwk_s_key: [0; 16], app_s_key: [0; 16] });
        let Some(device) = self.devices.get_mut(index) else {
            return Heard::Rejected { reason: RejectReason::UnknownDevice };
        };
        let Activation::Otaa { app_key, used_nonces, next_join_nonce, .. } = &mut device.activation else {
            return Heard::Rejected { reason: RejectReason::NotOtaa };
        };
        let join_nonce = *next_join_nonce;
        let built = frames::join_accept(&self.config, app_key, join_nonce, dev_addr, join_eui, dev_nonce)
            .and_then(|phy| {
                Ok((phy, frames::session_keys(&self.config, app_key, join_nonce, join_eui, dev_nonce)?))
            });
        let Ok((phy, keys)) = built else {
            return Heard::Rejected { reason: RejectReason::Malformed };
        };
        used_nonces.insert(dev_nonce);
        *next_join_nonce = next_join_nonce.wrapping_add(1) & 0xFF_FFFF;
        self.next_address = self.next_address.wrapping_add(1);
        device.joining = Some(Session { keys, ..template });
        // The windows of a join have the region's parameters, whatever the session will have (MAC-JOIN-03).
        let rx2 = (now_us + JOIN_ACCEPT_DELAY2_US, eu868::RX2.0, eu868::RX2.1);
        let rx1 = dr.map(|dr| (now_us + JOIN_ACCEPT_DELAY1_US, meta.freq_hz, dr));
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, Answer::JoinAccept { phy, dev_addr }));
        Heard::JoinRequest { dev_eui: device.dev_eui, join_eui, dev_nonce, dev_addr: Some(dev_addr) }
    }

    fn accept(
        &mut self,
        now_us: u64,
        meta: UplinkMeta,
        index: usize,
        of_new_session: bool,
        repeat: bool,
        uplink: &Uplink,
    ) {
        let Some(device) = self.devices.get_mut(index) else { return };
        if of_new_session {
            device.session = device.joining.take();
            device.outstanding.clear();
            // What the old session did not acknowledge goes out anew in the new one.
            if let Some(lost) = device.in_flight.take() {
                device.queue.push_front(lost.downlink);
            }
        }
        if uplink.ack && !repeat {
            device.in_flight = None;
        }
        if !repeat {
            device.note_mac_answers(&uplink.mac);
        }
        let Some(session) = &mut device.session else { return };
        session.fcnt_up = Some(uplink.fcnt);
        let mac = mac_answers(&uplink.mac, meta, now_us, self.config.gps_time_at_start_s);
        let rx1_at_us = now_us + u64::from(session.rx1_delay_s) * 1_000_000;
        let rx1 = meta
            .data_rate()
            .map(|dr| (rx1_at_us, meta.freq_hz, eu868::rx1_data_rate(dr, session.rx1_dr_offset)));
        let rx2 = (rx1_at_us + RX1_TO_RX2_US, session.rx2_freq_hz, session.rx2_dr);
        let content = Answer::Data { ack: uplink.confirmed, must_answer: uplink.adr_ack_req, mac };
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, content));
    }
}

fn read_uplink(
    dev_eui: [u8; 8],
    session: &Session,
    parsed: &lrwn::PhyPayload,
    payload: &lrwn::MACPayload,
    fcnt: u32,
) -> Result<Uplink, RejectReason> {
    let f_opts = payload.fhdr.f_opts.to_vec().unwrap_or_default();
    if matches!(payload.f_port, Some(225..)) || (payload.f_port == Some(0) && !f_opts.is_empty()) {
        return Err(RejectReason::BadPort);
    }
    let bytes = frames::uplink_payload(payload, &session.keys, fcnt);
    let is_mac = payload.f_port == Some(0);
    Ok(Uplink {
        dev_eui,
        dev_addr: session.dev_addr,
        port: payload.f_port,
        mac: frames::mac_commands(if is_mac { &bytes } else { &f_opts }),
        payload: if is_mac { Vec::new() } else { bytes },
        fcnt,
        confirmed: parsed.mhdr.f_type == FType::ConfirmedDataUp,
        ack: payload.fhdr.f_ctrl.ack,
        adr: payload.fhdr.f_ctrl.adr,
        adr_ack_req: payload.fhdr.f_ctrl.adr_ack_req,
    })
}

/// Codes the answers to LinkCheckReq and DeviceTimeReq.
fn mac_answers(commands: &[MacUp], meta: UplinkMeta, end_us: u64, gps_time_at_start_s: u32) -> Vec<Vec<u8>> {
    let coded = commands.iter().filter_map(|command| match command {
        MacUp::LinkCheckReq => Some(frames::link_check_ans(link_margin_db(meta))),
        MacUp::DeviceTimeReq => {
            Some(frames::device_time_ans(u64::from(gps_time_at_start_s) * 1_000_000 + end_us))
        }
        _ => None,
    });
    coded.filter_map(Result::ok).collect()
}

/// Tells how far an uplink was above the demodulation floor, in dB.
///
/// Source: SX1261/2 data sheet, table of SNR limits: -7.5 dB at SF7, 2.5 dB less a step.
fn link_margin_db(meta: UplinkMeta) -> u8 {
    let floor_tenths = -75 - 25 * (i32::from(meta.sf) - 7);
    let margin = (i32::from(meta.snr_db) * 10 - floor_tenths) / 10;
    // 255 is reserved.
    u8::try_from(margin.clamp(0, 254)).unwrap_or_default()
}

fn window(
    answer_in: Window,
    rx1: Option<(u64, u32, u8)>,
    rx2: (u64, u32, u8),
    content: Answer,
) -> PendingWindow {
    match rx1 {
        Some((at_us, freq_hz, dr)) if answer_in == Window::Rx1 => {
            PendingWindow { at_us, window: Window::Rx1, freq_hz, dr, rx2: Some(rx2), content }
        }
        _ => {
            PendingWindow { at_us: rx2.0, window: Window::Rx2, freq_hz: rx2.1, dr: rx2.2, rx2: None, content }
        }
    }
}
