//! What a frame from the network says to whoever receives it: for the observer of a device that tells nothing itself.

use lrwn::{FType, Payload};

use crate::frames;
use crate::server::NetworkServer;

/// Application data to a device or to a group, deciphered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The address that it is for.
    pub dev_addr: u32,
    /// Whether that address is a group's.
    pub multicast: bool,
    /// The port, 1 to 223.
    pub port: u8,
    /// The payload, deciphered.
    pub payload: Vec<u8>,
    /// FCntDown, 32 bits.
    pub fcnt: u32,
}

impl NetworkServer {
    /// Tells the address that a join-accept has just given a device, before its first uplink shows that it has it.
    #[must_use]
    pub fn offered_address(&self, dev_eui: [u8; 8]) -> Option<u32> {
        let device = self.devices.iter().find(|device| device.dev_eui == dev_eui)?;
        Some(device.joining.as_ref()?.dev_addr)
    }

    /// Deciphers application data of the network's own, with a right MIC and a counter near the last one sent. `None`
    /// for everything else, MAC commands among it.
    #[must_use]
    pub fn sniff_delivery(&self, phy: &[u8]) -> Option<Delivery> {
        let parsed = frames::parse(phy)?;
        let Payload::MACPayload(payload) = &parsed.payload else { return None };
        if !matches!(parsed.mhdr.f_type, FType::UnconfirmedDataDown | FType::ConfirmedDataDown) {
            return None;
        }
        let dev_addr = u32::from_be_bytes(payload.fhdr.devaddr.to_be_bytes());
        let low = payload.fhdr.f_cnt as u16;
        let sessions = self.devices.iter().flat_map(|device| device.session.iter().chain(&device.joining));
        let unicast = sessions
            .filter(|session| session.dev_addr == dev_addr)
            .map(|session| (session.keys, session.fcnt_down, false));
        let groups = self.group(dev_addr).map(|group| (group.keys, group.fcnt_down, true));
        let (keys, fcnt, multicast) = unicast.chain(groups).find_map(|(keys, next, multicast)| {
            let fcnt = full_fcnt(low, next);
            frames::downlink_mic_is_right(&parsed, &keys.nwk_s_key, fcnt).then_some((keys, fcnt, multicast))
        })?;
        let port = payload.f_port.filter(|port| (1..=223).contains(port))?;
        Some(Delivery {
            dev_addr,
            multicast,
            port,
            payload: frames::downlink_payload(payload, &keys, fcnt),
            fcnt,
        })
    }
}

/// The counter with these low bits that was sent last, `next` being the next one.
fn full_fcnt(low: u16, next: u32) -> u32 {
    let last = next.wrapping_sub(1);
    last.wrapping_sub(u32::from((last as u16).wrapping_sub(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_the_last_one_sent_with_those_low_bits() {
        for (low, next, full) in [
            (0, 1, 0),
            (9, 10, 9),
            (8, 10, 8),
            (0xFFFF, 0x1_0000, 0xFFFF),
            (0xFFFF, 0x1_0001, 0xFFFF),
            (0, 0x2_0001, 0x2_0000),
        ] {
            assert_eq!(full_fcnt(low, next), full, "{low:#x} before {next:#x}");
        }
    }
}
