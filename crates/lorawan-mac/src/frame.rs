//! Frames as they are on air (LoRaWAN 1.0.3, chapters 4 and 6).
//!
//! [`DataDown::parse`] is a checked view: it says that the bytes have the shape of a downlink, nothing of
//! it is trusted before [`DataDown::mic_is_right`].

use heapless::Vec;

use crate::config::Key;
use crate::crypto::{Direction, cipher, cmac, data_mic, encrypt_block, mic_eq};

/// The longest PHYPayload.
pub const MAX_FRAME: usize = 255;
/// Bytes of MHDR and MIC.
pub const MHDR_AND_MIC: usize = 5;
/// Bytes of FHDR without FOpts.
pub const FHDR: usize = 7;
/// Bytes of FOpts at most.
pub const MAX_FOPTS: usize = 15;

/// A frame.
pub type Frame = Vec<u8, MAX_FRAME>;

/// MHDR (section 4.2): type in bits 7..5, RFU, major in bits 1..0.
mod mhdr {
    pub const JOIN_REQUEST: u8 = 0x00;
    pub const JOIN_ACCEPT: u8 = 0x20;
    pub const UNCONFIRMED_UP: u8 = 0x40;
    pub const UNCONFIRMED_DOWN: u8 = 0x60;
    pub const CONFIRMED_UP: u8 = 0x80;
    pub const CONFIRMED_DOWN: u8 = 0xa0;
    /// The RFU bits are ignored on receipt.
    pub const TYPE_AND_MAJOR: u8 = 0xe3;
    /// A type of frame that is not LoRaWAN's (section 4.2.1.2); its other bits are its own.
    pub const PROPRIETARY: u8 = 0xe0;
}

/// Tells by its first byte whether a frame is of the type Proprietary (MAC-D2D-01).
pub fn is_proprietary(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & mhdr::PROPRIETARY == mhdr::PROPRIETARY)
}

/// FCtrl (section 4.3.1).
mod fctrl {
    pub const ADR: u8 = 0x80;
    pub const ADR_ACK_REQ: u8 = 0x40;
    pub const ACK: u8 = 0x20;
    pub const FOPTS_LEN: u8 = 0x0f;
}

/// Builds a join-request (MAC-JOIN-01). The EUIs are most significant byte first.
pub fn join_request(app_key: &Key, join_eui: [u8; 8], dev_eui: [u8; 8], dev_nonce: u16, out: &mut Frame) {
    out.clear();
    let written = out
        .push(mhdr::JOIN_REQUEST)
        .map_err(drop)
        .and_then(|()| append_reversed(out, join_eui))
        .and_then(|()| append_reversed(out, dev_eui))
        .and_then(|()| out.extend_from_slice(&dev_nonce.to_le_bytes()).map_err(drop));
    let mic = cmac(app_key, &[out]);
    // 23 bytes always fit.
    let _ = written.and_then(|()| out.extend_from_slice(&mic).map_err(drop));
}

fn append_reversed(out: &mut Frame, mut bytes: [u8; 8]) -> Result<(), ()> {
    bytes.reverse();
    out.extend_from_slice(&bytes).map_err(drop)
}

/// An accepted join, deciphered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinAccept {
    pub join_nonce: [u8; 3],
    pub net_id: [u8; 3],
    pub dev_addr: u32,
    pub dl_settings: u8,
    pub rx_delay: u8,
    pub cflist: Option<[u8; 16]>,
}

impl JoinAccept {
    /// Deciphers a join-accept and checks its MIC; `None` for anything else (MAC-JOIN-04).
    pub fn open(frame: &[u8], app_key: &Key) -> Option<Self> {
        let (&first, body) = frame.split_first()?;
        if first & mhdr::TYPE_AND_MAJOR != mhdr::JOIN_ACCEPT {
            return None;
        }
        // The network deciphered to encipher (section 6.2.5), so the device has no need of AES decryption.
        let mut clear = [0; 32];
        let clear = clear.get_mut(..body.len())?;
        if !matches!(body.len(), 16 | 32) {
            return None;
        }
        for (out, block) in clear.chunks_exact_mut(16).zip(body.chunks_exact(16)) {
            out.copy_from_slice(&encrypt_block(app_key, block.try_into().ok()?));
        }
        let (message, mic) = clear.split_last_chunk::<4>()?;
        if !mic_eq(cmac(app_key, &[&[first], message]), *mic) {
            return None;
        }
        let (fixed, cflist) = message.split_first_chunk::<12>()?;
        let [j0, j1, j2, n0, n1, n2, a0, a1, a2, a3, dl_settings, rx_delay] = *fixed;
        Some(Self {
            join_nonce: [j0, j1, j2],
            net_id: [n0, n1, n2],
            dev_addr: u32::from_le_bytes([a0, a1, a2, a3]),
            dl_settings,
            rx_delay,
            cflist: cflist.first_chunk().copied(),
        })
    }
}

/// A data uplink before it is put on air.
#[derive(Clone, Copy)]
pub struct DataUp<'a> {
    pub confirmed: bool,
    pub dev_addr: u32,
    pub adr: bool,
    pub adr_ack_req: bool,
    pub ack: bool,
    pub fcnt: u32,
    pub fopts: &'a [u8],
    pub port: Option<u8>,
    pub payload: &'a [u8],
}

impl DataUp<'_> {
    /// Builds the frame, enciphered and with its MIC.
    ///
    /// # Errors
    /// FOpts beyond 15 bytes, or a frame beyond 255: `out` is of no use then.
    pub fn encode(&self, nwk_skey: &Key, app_skey: &Key, out: &mut Frame) -> Result<(), ()> {
        out.clear();
        if self.fopts.len() > MAX_FOPTS {
            return Err(());
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let fctrl = flag(self.adr, fctrl::ADR)
            | flag(self.adr_ack_req, fctrl::ADR_ACK_REQ)
            | flag(self.ack, fctrl::ACK)
            | (self.fopts.len() as u8 & fctrl::FOPTS_LEN);
        out.push(if self.confirmed { mhdr::CONFIRMED_UP } else { mhdr::UNCONFIRMED_UP }).map_err(drop)?;
        out.extend_from_slice(&self.dev_addr.to_le_bytes()).map_err(drop)?;
        out.push(fctrl).map_err(drop)?;
        out.extend_from_slice(&(self.fcnt as u16).to_le_bytes()).map_err(drop)?;
        out.extend_from_slice(self.fopts).map_err(drop)?;
        if let Some(port) = self.port {
            out.push(port).map_err(drop)?;
            let start = out.len();
            out.extend_from_slice(self.payload).map_err(drop)?;
            let key = if port == 0 { nwk_skey } else { app_skey };
            if let Some(payload) = out.get_mut(start..) {
                cipher(key, Direction::Up, self.dev_addr, self.fcnt, payload);
            }
        }
        let mic = data_mic(nwk_skey, Direction::Up, self.dev_addr, self.fcnt, out);
        out.extend_from_slice(&mic).map_err(drop)
    }
}

/// A checked view of a data downlink.
#[derive(Clone, Copy)]
pub struct DataDown<'a> {
    pub confirmed: bool,
    pub dev_addr: u32,
    pub ack: bool,
    /// FCtrl bit 6, which a multicast frame must not have (MAC-MC-02).
    pub bit_6: bool,
    /// The low half of FCntDown.
    pub fcnt_low: u16,
    pub fopts: &'a [u8],
    pub port: Option<u8>,
    /// Still enciphered.
    pub payload: &'a [u8],
    message: &'a [u8],
    mic: [u8; 4],
}

impl<'a> DataDown<'a> {
    /// Looks at a frame; `None` unless it has the shape of a data *downlink* (MAC-FCNT-05, MAC-FCNT-06) that
    /// this device may obey (MAC-FRM-02).
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        if frame.len() > MAX_FRAME {
            return None;
        }
        let (message, mic) = frame.split_last_chunk::<4>()?;
        let (header, rest) = message.split_first_chunk::<8>()?;
        let [first, a0, a1, a2, a3, fctrl, f0, f1] = *header;
        let confirmed = match first & mhdr::TYPE_AND_MAJOR {
            mhdr::UNCONFIRMED_DOWN => false,
            mhdr::CONFIRMED_DOWN => true,
            _ => return None,
        };
        let (fopts, rest) = rest.split_at_checked(usize::from(fctrl & fctrl::FOPTS_LEN))?;
        let (port, payload) = match rest.split_first() {
            Some((&port, payload)) => (Some(port), payload),
            None => (None, rest),
        };
        match port {
            Some(0) if !fopts.is_empty() => return None,
            Some(225..) => return None,
            _ => {}
        }
        Some(Self {
            confirmed,
            dev_addr: u32::from_le_bytes([a0, a1, a2, a3]),
            ack: fctrl & fctrl::ACK != 0,
            bit_6: fctrl & fctrl::ADR_ACK_REQ != 0,
            fcnt_low: u16::from_le_bytes([f0, f1]),
            fopts,
            port,
            payload,
            message,
            mic: *mic,
        })
    }

    /// Checks the MIC against the rebuilt 32-bit counter.
    pub fn mic_is_right(&self, nwk_skey: &Key, fcnt: u32) -> bool {
        mic_eq(data_mic(nwk_skey, Direction::Down, self.dev_addr, fcnt, self.message), self.mic)
    }

    /// Deciphers the FRMPayload.
    pub fn decipher(&self, key: &Key, fcnt: u32) -> Vec<u8, 242> {
        let mut clear = Vec::from_slice(self.payload).unwrap_or_default();
        cipher(key, Direction::Down, self.dev_addr, fcnt, &mut clear);
        clear
    }
}

/// Rebuilds the 32-bit FCntDown of a frame from the last one accepted (MAC-FCNT-04); `None` for a repeat,
/// and for a jump beyond `MAX_FCNT_GAP`.
pub fn rebuild_fcnt_down(last: Option<u32>, low: u16) -> Option<u32> {
    /// LoRaWAN 1.0.3 section 4.3.1.5, and the figure in RP002 and its predecessors.
    const MAX_FCNT_GAP: u32 = 16384;
    let Some(last) = last else { return Some(u32::from(low)) };
    let same_high = (last & 0xffff_0000) | u32::from(low);
    let candidate =
        if u32::from(low) < (last & 0xffff) { same_high.checked_add(0x1_0000)? } else { same_high };
    let gap = candidate.checked_sub(last)?;
    (gap != 0 && gap <= MAX_FCNT_GAP).then_some(candidate)
}

/// Rebuilds the 32-bit FCntDown of a multicast frame: the next value above `last` with that low half, or, before the
/// first frame, the next one from `min` on. There is no gap that is too large: a socket may have been off for long.
pub fn rebuild_fcnt_multicast(last: Option<u32>, min: u32, low: u16) -> Option<u32> {
    let least = match last {
        Some(last) => last.checked_add(1)?.max(min),
        None => min,
    };
    let same_high = (least & 0xffff_0000) | u32::from(low);
    if same_high >= least { Some(same_high) } else { same_high.checked_add(0x1_0000) }
}
