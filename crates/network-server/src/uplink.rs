//! What the server does with what it hears.

use lrwn::{FType, Payload};

use crate::config::{UplinkMeta, Window};
use crate::device::{Activation, Answer, MacAnswer, PendingWindow, Session};
use crate::frames::{self, Keys};
use crate::gateways::Reception;
use crate::heard::{Heard, MacUp, RejectReason, Uplink};
use crate::server::NetworkServer;

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
    /// Takes a new uplink, and tells whose it is if it had an effect.
    pub(crate) fn take_uplink(
        &mut self,
        now_us: u64,
        phy: &[u8],
        reception: Reception,
    ) -> (Heard, Option<usize>) {
        match self.examine(phy) {
            Err(reason) => (Heard::Rejected { reason }, None),
            Ok(Examined::Join { device, join_eui, dev_nonce }) => {
                (self.admit(now_us, reception, device, join_eui, dev_nonce), Some(device))
            }
            Ok(Examined::Data { device, of_new_session, repeat, uplink }) => {
                self.accept(now_us, reception, device, of_new_session, repeat, &uplink);
                (if repeat { Heard::Repeat(uplink) } else { Heard::Data(uplink) }, Some(device))
            }
        }
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
        reception: Reception,
        index: usize,
        join_eui: [u8; 8],
        dev_nonce: u16,
    ) -> Heard {
        let dev_addr = frames::dev_addr(self.config.net_id, self.next_address);
        let meta = reception.meta;
        // The windows of a join have the region's parameters, whatever the session will have (MAC-JOIN-03).
        let rx1 = self.rx1(meta, 0, false);
        let (rx2_freq_hz, rx2_dr) = self.plan.rx2();
        let cf_list = self.plan.cf_list().filter(|_| self.config.send_cf_list);
        let template = self.new_session(dev_addr, Keys { nwk_s_key: [0; 16], app_s_key: [0; 16] });
        let Some(device) = self.devices.get_mut(index) else {
            return Heard::Rejected { reason: RejectReason::UnknownDevice };
        };
        let Activation::Otaa { app_key, used_nonces, next_join_nonce, .. } = &mut device.activation else {
            return Heard::Rejected { reason: RejectReason::NotOtaa };
        };
        let join_nonce = *next_join_nonce;
        let built =
            frames::join_accept(&self.config, app_key, join_nonce, dev_addr, join_eui, dev_nonce, cf_list)
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
        device.receptions = vec![reception];
        let rx2 = (now_us + JOIN_ACCEPT_DELAY2_US, rx2_freq_hz, rx2_dr);
        let rx1 = rx1.map(|(freq_hz, dr)| (now_us + JOIN_ACCEPT_DELAY1_US, freq_hz, dr));
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, Answer::JoinAccept { phy, dev_addr }));
        Heard::JoinRequest { dev_eui: device.dev_eui, join_eui, dev_nonce, dev_addr: Some(dev_addr) }
    }

    fn accept(
        &mut self,
        now_us: u64,
        reception: Reception,
        index: usize,
        of_new_session: bool,
        repeat: bool,
        uplink: &Uplink,
    ) {
        let meta = reception.meta;
        let Some(device) = self.devices.get_mut(index) else { return };
        device.receptions = vec![reception];
        if of_new_session {
            device.begin_session(&self.plan);
        }
        if !repeat {
            if uplink.ack {
                device.in_flight = None;
            }
            device.note_mac_answers(&self.plan, &uplink.mac);
            device.history.add(meta.snr_db);
            self.ask_again(index);
        }
        let Some(Some(session)) = self.devices.get(index).map(|device| &device.session) else { return };
        let rx1_at_us = now_us + u64::from(session.rx1_delay_s) * 1_000_000;
        let rx1 = self.rx1(meta, session.rx1_dr_offset, session.downlink_dwell);
        let moved = session.rx1_freq_hz.iter().find(|(uplink_hz, _)| *uplink_hz == meta.freq_hz);
        let rx1 = rx1.map(|(freq_hz, dr)| (rx1_at_us, moved.map_or(freq_hz, |(_, moved_hz)| *moved_hz), dr));
        let rx2 = (rx1_at_us + RX1_TO_RX2_US, session.rx2_freq_hz, session.rx2_dr);
        let mac = mac_answers(&uplink.mac, now_us);
        let data_rate = self.data_rate(&meta);
        let content = Answer::Data {
            ack: uplink.confirmed,
            must_answer: uplink.adr_ack_req,
            mac,
            steer_by: (!repeat).then_some((meta, uplink.adr)),
        };
        let Some(device) = self.devices.get_mut(index) else { return };
        if let Some(session) = &mut device.session {
            session.fcnt_up = Some(uplink.fcnt);
            session.data_rate = data_rate.unwrap_or(session.data_rate);
        }
        device.class_c_from_us = device.class_c_from_us.max(rx2.0);
        device.pending = Some(window(self.config.answer_in, rx1, rx2, content));
    }

    /// Tells frequency and data rate of RX1 for an uplink.
    fn rx1(&self, meta: UplinkMeta, offset: u8, dwell: bool) -> Option<(u32, u8)> {
        let plan = self.plan.under_dwell(dwell);
        plan.rx1(meta.freq_hz, plan.uplink_data_rate(meta.sf, meta.bw_hz)?, offset)
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

/// Tells what LinkCheckReq and DeviceTimeReq are owed.
fn mac_answers(commands: &[MacUp], end_us: u64) -> Vec<MacAnswer> {
    let owed = commands.iter().filter_map(|command| match command {
        MacUp::LinkCheckReq => Some(MacAnswer::LinkCheck),
        MacUp::DeviceTimeReq => Some(MacAnswer::DeviceTime(end_us)),
        _ => None,
    });
    owed.collect()
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
