//! Frames, built and checked by `lrwn`: nothing of LoRaWAN's coding or crypto is done here by hand.

use lrwn::{
    AES128Key, CFList, DLSettings, DevAddr, DwellTime, EUI64, FCtrl, FHDR, FRMPayload, FType,
    JoinAcceptPayload, JoinType, MACCommand, MACCommandSet, MACPayload, MACVersion, MHDR, Major, NetID,
    Payload, PhyPayload, Redundancy,
};

use crate::config::Config;
use crate::heard::{MacRequest, MacUp};

/// The session keys of a device or a group. Debug shows none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// NwkSKey.
    pub nwk_s_key: [u8; 16],
    /// AppSKey.
    pub app_s_key: [u8; 16],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// A data frame from the network, before enciphering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataDown {
    /// The address it is for.
    pub dev_addr: u32,
    /// FCntDown, 32 bits.
    pub fcnt: u32,
    /// Whether an ACK is asked for.
    pub confirmed: bool,
    /// Whether it acknowledges the device's confirmed uplink.
    pub ack: bool,
    /// Whether more is waiting.
    pub f_pending: bool,
    /// The bytes of FOpts, 15 at most.
    pub f_opts: Vec<u8>,
    /// Port and payload, not enciphered. Port 0 is enciphered with the NwkSKey.
    pub data: Option<(u8, Vec<u8>)>,
}

/// Reads a frame. One that `lrwn` would not write with the same bytes is none: it forgets the reserved bits of
/// the MHDR, and would find the MIC right whatever they are.
pub(crate) fn parse(phy: &[u8]) -> Option<PhyPayload> {
    let parsed = PhyPayload::from_slice(phy).ok()?;
    (parsed.to_vec().ok()? == phy).then_some(parsed)
}

impl DataDown {
    /// Builds the PHYPayload, enciphered and with its MIC.
    ///
    /// # Errors
    ///
    /// What `lrwn` says when the fields cannot be coded, such as 16 bytes of FOpts.
    pub fn encode(&self, keys: &Keys) -> Result<Vec<u8>, String> {
        self.build(keys, if self.confirmed { FType::ConfirmedDataDown } else { FType::UnconfirmedDataDown })
            .map_err(|error| error.to_string())
    }

    fn build(&self, keys: &Keys, f_type: FType) -> Result<Vec<u8>, lrwn::Error> {
        let f_opts = if self.f_opts.is_empty() {
            MACCommandSet::new(Vec::new())
        } else {
            MACCommandSet::from_slice(&self.f_opts)
        };
        let mut phy = PhyPayload {
            mhdr: MHDR { f_type, major: Major::LoRaWANR1 },
            payload: Payload::MACPayload(MACPayload {
                fhdr: FHDR {
                    devaddr: DevAddr::from_be_bytes(self.dev_addr.to_be_bytes()),
                    f_ctrl: FCtrl { ack: self.ack, f_pending: self.f_pending, ..FCtrl::default() },
                    f_cnt: self.fcnt,
                    f_opts,
                },
                f_port: self.data.as_ref().map(|(port, _)| *port),
                frm_payload: self
                    .data
                    .as_ref()
                    .filter(|(_, payload)| !payload.is_empty())
                    .map(|(_, payload)| FRMPayload::Raw(payload.clone())),
            }),
            mic: None,
        };
        let is_mac = self.data.as_ref().is_some_and(|(port, _)| *port == 0);
        phy.encrypt_frm_payload(&key(if is_mac { &keys.nwk_s_key } else { &keys.app_s_key }))?;
        phy.set_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &key(&keys.nwk_s_key))?;
        Ok(phy.to_vec()?)
    }
}

/// Builds an enciphered join-accept with its MIC.
pub(crate) fn join_accept(
    config: &Config,
    app_key: &[u8; 16],
    join_nonce: u32,
    dev_addr: u32,
    join_eui: [u8; 8],
    dev_nonce: u16,
    cflist: Option<CFList>,
) -> Result<Vec<u8>, lrwn::Error> {
    let mut phy = PhyPayload {
        mhdr: MHDR { f_type: FType::JoinAccept, major: Major::LoRaWANR1 },
        payload: Payload::JoinAccept(JoinAcceptPayload {
            join_nonce,
            home_netid: NetID::from_be_bytes(config.net_id),
            devaddr: DevAddr::from_be_bytes(dev_addr.to_be_bytes()),
            dl_settings: DLSettings {
                opt_neg: false,
                rx2_dr: config.rx2_dr,
                rx1_dr_offset: config.rx1_dr_offset,
            },
            rx_delay: config.rx1_delay_s,
            cflist,
        }),
        mic: None,
    };
    phy.set_join_accept_mic(JoinType::Join, &EUI64::from_be_bytes(join_eui), dev_nonce, &key(app_key))?;
    phy.encrypt_join_accept_payload(&key(app_key))?;
    Ok(phy.to_vec()?)
}

/// Derives the session keys of a join (LoRaWAN 1.0.3 §6.2.5).
pub(crate) fn session_keys(
    config: &Config,
    app_key: &[u8; 16],
    join_nonce: u32,
    join_eui: [u8; 8],
    dev_nonce: u16,
) -> Result<Keys, lrwn::Error> {
    let (net_id, join_eui) = (NetID::from_be_bytes(config.net_id), EUI64::from_be_bytes(join_eui));
    let root = key(app_key);
    Ok(Keys {
        nwk_s_key: lrwn::keys::get_f_nwk_s_int_key(false, &root, &net_id, &join_eui, join_nonce, dev_nonce)?
            .to_bytes(),
        app_s_key: lrwn::keys::get_app_s_key(false, &root, &net_id, &join_eui, join_nonce, dev_nonce)?
            .to_bytes(),
    })
}

/// Makes an address of this network with the given low bits.
pub(crate) fn dev_addr(net_id: [u8; 3], low_bits: u32) -> u32 {
    let mut address = DevAddr::from_be_bytes(low_bits.to_be_bytes());
    address.set_dev_addr_prefix(NetID::from_be_bytes(net_id).dev_addr_prefix());
    u32::from_be_bytes(address.to_be_bytes())
}

/// Tells whether a join-request's MIC is made with this key.
pub(crate) fn join_mic_is_right(phy: &PhyPayload, app_key: &[u8; 16]) -> bool {
    phy.validate_join_request_mic(&key(app_key)).unwrap_or(false)
}

/// Tells whether an uplink's MIC is made with this key and this 32-bit counter.
pub(crate) fn uplink_mic_is_right(phy: &PhyPayload, nwk_s_key: &[u8; 16], fcnt: u32) -> bool {
    let mut phy = phy.clone();
    let Payload::MACPayload(payload) = &mut phy.payload else { return false };
    payload.fhdr.f_cnt = fcnt;
    let nwk_s_key = key(nwk_s_key);
    phy.validate_uplink_data_mic(MACVersion::LoRaWAN1_0, 0, 0, 0, &nwk_s_key, &nwk_s_key).unwrap_or(false)
}

/// Tells whether a downlink's MIC is right for a counter of 32 bits.
pub(crate) fn downlink_mic_is_right(phy: &PhyPayload, nwk_s_key: &[u8; 16], fcnt: u32) -> bool {
    let mut phy = phy.clone();
    let Payload::MACPayload(payload) = &mut phy.payload else { return false };
    payload.fhdr.f_cnt = fcnt;
    phy.validate_downlink_data_mic(MACVersion::LoRaWAN1_0, 0, &key(nwk_s_key)).unwrap_or(false)
}

/// Deciphers the application payload of a genuine downlink; empty if it has none.
pub(crate) fn downlink_payload(payload: &MACPayload, keys: &Keys, fcnt: u32) -> Vec<u8> {
    let Some(FRMPayload::Raw(bytes)) = &payload.frm_payload else { return Vec::new() };
    lrwn::encrypt_frm_payload(&key(&keys.app_s_key), false, &payload.fhdr.devaddr, fcnt, bytes)
        .unwrap_or_default()
}

/// Deciphers the payload of a genuine uplink; empty if it has none.
pub(crate) fn uplink_payload(payload: &MACPayload, keys: &Keys, fcnt: u32) -> Vec<u8> {
    let Some(FRMPayload::Raw(bytes)) = &payload.frm_payload else { return Vec::new() };
    let with = if payload.f_port == Some(0) { &keys.nwk_s_key } else { &keys.app_s_key };
    lrwn::encrypt_frm_payload(&key(with), true, &payload.fhdr.devaddr, fcnt, bytes).unwrap_or_default()
}

/// Reads the MAC commands of a device up to the first that is unknown or cut short.
pub(crate) fn mac_commands(bytes: &[u8]) -> Vec<MacUp> {
    let bytes = &without_reserved_bits(bytes);
    // `lrwn` gives nothing at all when the last command is cut short: then the longest head that it reads counts.
    for end in (1..=bytes.len()).rev() {
        let mut set = MACCommandSet::from_slice(bytes.get(..end).unwrap_or_default());
        if set.decode_from_raw(true).is_ok() {
            return set.iter().map(mac_up).collect();
        }
    }
    Vec::new()
}

/// Clears the two reserved bits of DevStatusAns's margin, on which `lrwn` 4.13 overflows.
///
/// Source: LoRaWAN 1.0.3 §5 (lengths of the answers) and §5.5 (DevStatusAns).
fn without_reserved_bits(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut rest = bytes.as_mut_slice();
    while let Some((cid, after)) = rest.split_first_mut() {
        let length = match *cid {
            0x02 | 0x04 | 0x08 | 0x09 | 0x0D => 0,
            0x03 | 0x05 | 0x07 | 0x0A => 1,
            0x06 => 2,
            _ => break,
        };
        if let (0x06, Some(margin)) = (*cid, after.get_mut(1)) {
            *margin &= 0x3F;
        }
        rest = after.get_mut(length..).unwrap_or_default();
    }
    bytes
}

fn mac_up(command: &MACCommand) -> MacUp {
    match command {
        MACCommand::LinkCheckReq => MacUp::LinkCheckReq,
        MACCommand::DeviceTimeReq => MacUp::DeviceTimeReq,
        MACCommand::LinkADRAns(ans) => MacUp::LinkAdrAns {
            channel_mask_ack: ans.ch_mask_ack,
            data_rate_ack: ans.dr_ack,
            power_ack: ans.tx_power_ack,
        },
        MACCommand::DutyCycleAns => MacUp::DutyCycleAns,
        MACCommand::RxParamSetupAns(ans) => MacUp::RxParamSetupAns {
            channel_ack: ans.channel_ack,
            rx2_data_rate_ack: ans.rx2_dr_ack,
            rx1_dr_offset_ack: ans.rx1_dr_offset_ack,
        },
        MACCommand::DevStatusAns(ans) => MacUp::DevStatusAns { battery: ans.battery, margin_db: ans.margin },
        MACCommand::NewChannelAns(ans) => {
            MacUp::NewChannelAns { frequency_ok: ans.channel_freq_ok, data_rate_range_ok: ans.dr_range_ok }
        }
        MACCommand::RxTimingSetupAns => MacUp::RxTimingSetupAns,
        MACCommand::TxParamSetupAns => MacUp::TxParamSetupAns,
        MACCommand::DlChannelAns(ans) => MacUp::DlChannelAns {
            uplink_frequency_exists: ans.uplink_freq_exists,
            frequency_ok: ans.channel_freq_ok,
        },
        MACCommand::Raw(bytes) => MacUp::Other { cid: bytes.first().copied().unwrap_or_default() },
        other => MacUp::Other { cid: other.cid().to_u8() },
    }
}

/// Codes a MAC command for a device.
pub(crate) fn mac_request(request: &MacRequest) -> Result<Vec<u8>, lrwn::Error> {
    let command = match request {
        MacRequest::LinkAdr { data_rate, tx_power, channel_mask, ch_mask_cntl, nb_trans } => {
            MACCommand::LinkADRReq(lrwn::LinkADRReqPayload {
                dr: *data_rate,
                tx_power: *tx_power,
                ch_mask: lrwn::ChMask::new(std::array::from_fn(|bit| channel_mask >> bit & 1 == 1)),
                redundancy: Redundancy { ch_mask_cntl: *ch_mask_cntl, nb_rep: *nb_trans },
            })
        }
        MacRequest::DutyCycle { max_duty_cycle } => {
            MACCommand::DutyCycleReq(lrwn::DutyCycleReqPayload { max_duty_cycle: *max_duty_cycle })
        }
        MacRequest::RxParamSetup { rx1_dr_offset, rx2_dr, freq_hz } => {
            MACCommand::RxParamSetupReq(lrwn::RxParamSetupReqPayload {
                frequency: *freq_hz,
                dl_settings: DLSettings { opt_neg: false, rx2_dr: *rx2_dr, rx1_dr_offset: *rx1_dr_offset },
            })
        }
        MacRequest::DevStatus => MACCommand::DevStatusReq,
        MacRequest::NewChannel { index, freq_hz, min_dr, max_dr } => {
            MACCommand::NewChannelReq(lrwn::NewChannelReqPayload {
                ch_index: *index,
                freq: *freq_hz,
                min_dr: *min_dr,
                max_dr: *max_dr,
            })
        }
        MacRequest::RxTimingSetup { delay_s } => {
            MACCommand::RxTimingSetupReq(lrwn::RxTimingSetupReqPayload { delay: *delay_s })
        }
        MacRequest::TxParamSetup { downlink_dwell, uplink_dwell, max_eirp } => {
            let dwell = |on: bool| if on { DwellTime::Limit400ms } else { DwellTime::NoLimit };
            MACCommand::TxParamSetupReq(lrwn::TxParamSetupReqPayload {
                uplink_dwell_time: dwell(*uplink_dwell),
                downlink_dwell_time: dwell(*downlink_dwell),
                max_eirp: *max_eirp,
            })
        }
        MacRequest::DlChannel { index, freq_hz } => {
            MACCommand::DlChannelReq(lrwn::DlChannelReqPayload { ch_index: *index, freq: *freq_hz })
        }
        MacRequest::Raw(bytes) => return Ok(bytes.clone()),
    };
    Ok(MACCommandSet::new(vec![command]).to_vec()?)
}

/// Codes LinkCheckAns.
pub(crate) fn link_check_ans(margin_db: u8, gateways: u8) -> Result<Vec<u8>, lrwn::Error> {
    let answer = lrwn::LinkCheckAnsPayload { margin: margin_db, gw_cnt: gateways };
    Ok(MACCommandSet::new(vec![MACCommand::LinkCheckAns(answer)]).to_vec()?)
}

/// Codes DeviceTimeAns for an instant in microseconds since the GPS epoch.
pub(crate) fn device_time_ans(gps_us: u64) -> Result<Vec<u8>, lrwn::Error> {
    let answer =
        lrwn::DeviceTimeAnsPayload { time_since_gps_epoch: std::time::Duration::from_micros(gps_us) };
    Ok(MACCommandSet::new(vec![MACCommand::DeviceTimeAns(answer)]).to_vec()?)
}

pub(crate) fn key(bytes: &[u8; 16]) -> AES128Key {
    AES128Key::from_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The join-accept of lrwn's documentation.
    #[test]
    fn a_join_accept_has_the_golden_bytes() {
        let config = Config { net_id: [2, 2, 2], rx1_delay_s: 0, ..Config::default() };
        let app_key = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let phy =
            join_accept(&config, &app_key, 65_793, 0x0102_0304, [8, 7, 6, 5, 4, 3, 2, 1], 258, None).unwrap();
        let golden = [
            0x20, 0x23, 0xcf, 0x33, 0x54, 0x89, 0xaa, 0xe3, 0x18, 0x3c, 0x0b, 0xe0, 0xba, 0xa8, 0xde, 0xe5,
            0xf3,
        ];
        assert_eq!(phy, golden);
    }

    #[test]
    fn an_address_begins_with_the_networks_prefix() {
        // NetID 000013 is of type 0 with NwkID 13h: addresses from 26000000 (The Things Network's).
        assert_eq!(dev_addr([0, 0, 0x13], 0xFFFF_FFFF), 0x27FF_FFFF);
        assert_eq!(dev_addr([0, 0, 0x13], 5), 0x2600_0005);
    }
}
