//! The JSON inside the gateways' datagrams (§4 and §6 of the protocol description), as gateways write it and as
//! servers do.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::config::UplinkMeta;
use crate::packet_forwarder::{EmissionModulation, ForwarderCounts};

/// Base64 with padding as written, and with or without as read (§6, `data`).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most bytes of a frame, LoRa or FSK.
const MAX_PHY: usize = 255;
/// Bit rates of FSK, as in Semtech's concentrators (loragw_hal.h).
const FSK_BIT_RATES: std::ops::RangeInclusive<u32> = 500..=250_000;
/// The shortest preamble of FSK and the usual one, in bytes, as in Semtech's packet forwarder.
const FSK_PREAMBLE: (u16, u16) = (3, 5);

/// Why a downlink is not sent (§6, `error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    TooLate,
    TooEarly,
    CollisionPacket,
    TxFreq,
    GpsUnlocked,
}

/// When a downlink is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Immediately,
    Tmst(u32),
    GpsTime,
}

/// A downlink as the server asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Txpk {
    pub(crate) when: When,
    pub(crate) freq_hz: u32,
    pub(crate) modulation: EmissionModulation,
    pub(crate) power_dbm: Option<i8>,
    pub(crate) has_crc: bool,
    pub(crate) phy: Vec<u8>,
}

/// Writes a received frame (§4, `rxpk`), in the order of fields that Semtech's gateways have.
pub(crate) fn rxpk(tmst: u32, time: Duration, phy: &[u8], meta: UplinkMeta) -> String {
    let UplinkMeta { freq_hz, sf, bw_hz, rssi_dbm, snr_db } = meta;
    let civil = Civil::of(time);
    format!(
        concat!(
            r#"{{"rxpk":[{{"tmst":{},"time":"{}","chan":0,"rfch":0,"freq":{}.{:06},"stat":1,"#,
            r#""modu":"LORA","datr":"SF{}BW{}","codr":"4/5","lsnr":{}.0,"rssi":{},"size":{},"data":"{}"}}]}}"#
        ),
        tmst,
        civil.iso(time.subsec_micros()),
        freq_hz / 1_000_000,
        freq_hz % 1_000_000,
        sf,
        bw_hz / 1_000,
        snr_db,
        rssi_dbm,
        phy.len(),
        BASE64.encode(phy),
    )
}

/// Writes a status report (§4, `stat`): what happened since the last one.
pub(crate) fn stat(time: Duration, now: ForwarderCounts, before: ForwarderCounts) -> String {
    let heard = now.heard - before.heard;
    let (pushed, acknowledged) =
        (now.pushed - before.pushed, now.push_acknowledged.saturating_sub(before.push_acknowledged));
    // In tenths of a percent; an acknowledgement of an earlier datagram may come in.
    let ackr = (acknowledged * 1_000).checked_div(pushed).unwrap_or_default().min(1_000);
    format!(
        concat!(
            r#"{{"stat":{{"time":"{}","rxnb":{},"rxok":{},"rxfw":{},"ackr":{}.{},"#,
            r#""dwnb":{},"txnb":{}}}}}"#
        ),
        Civil::of(time).gmt(),
        heard,
        heard,
        heard,
        ackr / 10,
        ackr % 10,
        now.asked - before.asked,
        now.sent - before.sent,
    )
}

/// Writes the answer to a downlink (§6, `txpk_ack`).
pub(crate) fn txpk_ack(fault: Option<Fault>) -> String {
    let error = match fault {
        None => "NONE",
        Some(Fault::TooLate) => "TOO_LATE",
        Some(Fault::TooEarly) => "TOO_EARLY",
        Some(Fault::CollisionPacket) => "COLLISION_PACKET",
        Some(Fault::TxFreq) => "TX_FREQ",
        Some(Fault::GpsUnlocked) => "GPS_UNLOCKED",
    };
    format!(r#"{{"txpk_ack":{{"error":"{error}"}}}}"#)
}

/// Writes that a downlink goes out with less power than asked for (§6, `warn`).
pub(crate) fn power_warning(power_dbm: i8) -> String {
    format!(r#"{{"txpk_ack":{{"warn":"TX_POWER","value":{power_dbm}}}}}"#)
}

/// Reads a downlink (§6, `txpk`); `None` for what is none, or lacks a field: Semtech's packet forwarder
/// (lora_pkt_fwd.c, thread_down) does not answer it at all. Servers leave out what is false, and some end the text
/// with a zero byte.
pub(crate) fn txpk(json: &[u8]) -> Option<Txpk> {
    let json = json.strip_suffix(&[0]).unwrap_or(json);
    let root: Value = serde_json::from_slice(json).ok()?;
    let txpk = root.get("txpk")?;
    let flag = |name: &str| match txpk.get(name) {
        None | Some(Value::Null) => Some(false),
        Some(value) => value.as_bool(),
    };
    let when = match (flag("imme")?, txpk.get("tmst"), txpk.get("tmms")) {
        (true, ..) => When::Immediately,
        (false, Some(Value::Number(tmst)), _) => When::Tmst(u32::try_from(tmst.as_u64()?).ok()?),
        (false, _, Some(Value::Number(_))) => When::GpsTime,
        _ => return None,
    };
    let modulation = match txpk.get("modu")?.as_str()? {
        "LORA" => {
            let (sf, bw_hz) = data_rate(txpk.get("datr")?.as_str()?)?;
            // Downlinks of LoRaWAN have 4/5; what else a server asks for must be one of these.
            let rates = ["4/5", "4/6", "2/3", "4/7", "4/8", "1/2"];
            rates.contains(&txpk.get("codr")?.as_str()?).then_some(())?;
            EmissionModulation::LoRa { sf, bw_hz, iq_inverted: flag("ipol")? }
        }
        "FSK" => {
            let bit_rate = u32::try_from(txpk.get("datr")?.as_u64()?).ok()?;
            // The frequency deviation: nobody here listens to FSK, and yet it must be there.
            txpk.get("fdev")?.as_f64()?;
            let (shortest, usual) = FSK_PREAMBLE;
            let preamble = match txpk.get("prea") {
                None | Some(Value::Null) => usual,
                Some(bytes) => u16::try_from(bytes.as_u64()?).ok()?.max(shortest),
            };
            FSK_BIT_RATES.contains(&bit_rate).then_some(EmissionModulation::Fsk { bit_rate, preamble })?
        }
        _ => return None,
    };
    // The radio chain that sends: there is one here.
    txpk.get("rfch")?.as_u64()?;
    let freq_hz = txpk.get("freq")?.as_f64()? * 1_000_000.0;
    if !(1.0..=4_000_000_000.0).contains(&freq_hz) {
        return None;
    }
    let power_dbm = match txpk.get("powe") {
        None | Some(Value::Null) => None,
        Some(power) => Some(power.as_f64()?.clamp(-100.0, 100.0).round() as i8),
    };
    let mut phy = BASE64.decode(txpk.get("data")?.as_str()?).ok()?;
    // `size` is what is sent, whatever `data` has.
    phy.resize(usize::try_from(txpk.get("size")?.as_u64()?).ok().filter(|size| *size <= MAX_PHY)?, 0);
    (!phy.is_empty()).then_some(Txpk {
        when,
        freq_hz: freq_hz.round() as u32,
        modulation,
        power_dbm,
        has_crc: !flag("ncrc")?,
        phy,
    })
}

/// Reads a data rate such as `SF12BW125`.
fn data_rate(text: &str) -> Option<(u8, u32)> {
    let (sf, bw_khz) = text.strip_prefix("SF")?.split_once("BW")?;
    let (sf, bw_khz) = (sf.parse().ok()?, bw_khz.parse().ok()?);
    ((5..=12).contains(&sf) && matches!(bw_khz, 125 | 250 | 500)).then_some((sf, bw_khz * 1_000))
}

/// A time of day and year, UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Civil {
    /// Converts a time since 1 January 1970.
    fn of(since_1970: Duration) -> Self {
        let (mut days, second_of_day) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
        // 400 years have 146 097 days, whichever they are.
        let mut year = 1970 + 400 * (days / 146_097);
        days %= 146_097;
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        while days >= 365 + u64::from(is_leap(year)) {
            days -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let february = 28 + u64::from(is_leap(year));
        let mut month = 1;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        Self { year, month, day: days + 1, second_of_day }
    }

    fn date_and_time(&self, between: char) -> String {
        let Self { year, month, day, second_of_day: s } = self;
        format!("{year:04}-{month:02}-{day:02}{between}{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    }

    fn iso(&self, micros: u32) -> String {
        format!("{}.{micros:06}Z", self.date_and_time('T'))
    }

    fn gmt(&self) -> String {
        format!("{} GMT", self.date_and_time(' '))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 GMT"),
            (951_782_399, "2000-02-28 23:59:59 GMT"),
            (951_782_400, "2000-02-29 00:00:00 GMT"),
            (1_389_517_168, "2014-01-12 08:59:28 GMT"),
            (1_798_761_599, "2026-12-31 23:59:59 GMT"),
            (4_107_542_400, "2100-03-01 00:00:00 GMT"),
            (12_622_780_800, "2370-01-01 00:00:00 GMT"),
        ] {
            assert_eq!(Civil::of(Duration::from_secs(seconds)).gmt(), expected);
        }
        assert_eq!(Civil::of(Duration::from_secs(1)).iso(42), "1970-01-01T00:00:01.000042Z");
    }

    #[test]
    fn a_downlink_is_read_however_servers_write_it() {
        let good = r#"{"txpk":{"imme":false,"tmst":7,"freq":864.123456,"rfch":0,"powe":14,"modu":"LORA","datr":"SF11BW125","codr":"4/6","ipol":true,"size":2,"data":"AQI="}}"#;
        let read = txpk(good.as_bytes()).expect("good");
        let expected = Txpk {
            when: When::Tmst(7),
            freq_hz: 864_123_456,
            modulation: EmissionModulation::LoRa { sf: 11, bw_hz: 125_000, iq_inverted: true },
            power_dbm: Some(14),
            has_crc: true,
            phy: vec![1, 2],
        };
        assert_eq!(read, expected);
        // What is put for what, and what is read then.
        type Change = fn(Txpk) -> Txpk;
        let changes: [(&str, &str, Change); 13] = [
            (r#""imme":false,"#, "", |read| read),
            (r#""imme":false"#, r#""imme":true"#, |read| Txpk { when: When::Immediately, ..read }),
            (r#""tmst":7"#, r#""tmms":7"#, |read| Txpk { when: When::GpsTime, ..read }),
            (r#","powe":14"#, "", |read| Txpk { power_dbm: None, ..read }),
            (r#""powe":14"#, r#""powe":-3"#, |read| Txpk { power_dbm: Some(-3), ..read }),
            (r#""powe":14"#, r#""powe":16.15"#, |read| Txpk { power_dbm: Some(16), ..read }),
            (r#","ipol":true"#, "", |read| {
                let modulation = EmissionModulation::LoRa { sf: 11, bw_hz: 125_000, iq_inverted: false };
                Txpk { modulation, ..read }
            }),
            (r#""size":2"#, r#""size":2,"ncrc":true"#, |read| Txpk { has_crc: false, ..read }),
            (r#""size":2"#, r#""size":1"#, |read| Txpk { phy: vec![1], ..read }),
            (r#""size":2"#, r#""size":3"#, |read| Txpk { phy: vec![1, 2, 0], ..read }),
            (r#""modu":"LORA","datr":"SF11BW125""#, r#""modu":"FSK","datr":50000,"fdev":25000"#, |read| {
                Txpk { modulation: EmissionModulation::Fsk { bit_rate: 50_000, preamble: 5 }, ..read }
            }),
            (r#""modu":"LORA","datr":"SF11BW125""#, r#""modu":"FSK","datr":500,"fdev":5,"prea":1"#, |read| {
                Txpk { modulation: EmissionModulation::Fsk { bit_rate: 500, preamble: 3 }, ..read }
            }),
            ("AQI=", "AQI", |read| read),
        ];
        for (old, new, change) in changes {
            let text = good.replace(old, new);
            assert_ne!(text, good);
            let expected = change(txpk(good.as_bytes()).expect("good"));
            assert_eq!(txpk(text.as_bytes()), Some(expected), "{text}");
        }
        assert!(txpk(format!("{good}\0").as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_downlink_is_not_read() {
        let good = concat!(
            r#"{"txpk":{"tmst":7,"freq":868.1,"rfch":0,"modu":"LORA","datr":"SF7BW125","codr":"4/5","#,
            r#""size":2,"data":"AQI="}}"#
        );
        assert!(txpk(good.as_bytes()).is_some());
        for (old, new) in [
            (r#""tmst":7,"#, ""),
            (r#""tmst":7"#, r#""tmst":4294967296"#),
            (r#""tmst":7"#, r#""tmst":-1"#),
            (r#""tmst":7"#, r#""imme":1"#),
            (r#""freq":868.1,"#, ""),
            ("868.1", "-1"),
            ("868.1", "1e300"),
            (r#""rfch":0,"#, ""),
            (r#""modu":"LORA","#, ""),
            (r#""codr":"4/5","#, ""),
            ("4/5", "5/4"),
            (r#""size":2,"#, ""),
            (r#""size":2"#, r#""size":0"#),
            (r#""size":2"#, r#""size":256"#),
            ("LORA", "LR_FHSS"),
            ("LORA", "FSK"),
            (r#""LORA","datr":"SF7BW125""#, r#""FSK","datr":50000"#),
            (r#""LORA","datr":"SF7BW125""#, r#""FSK","fdev":25000"#),
            (r#""LORA","datr":"SF7BW125""#, r#""FSK","datr":"50000","fdev":25000"#),
            (r#""LORA","datr":"SF7BW125""#, r#""FSK","datr":499,"fdev":25000"#),
            (r#""LORA","datr":"SF7BW125""#, r#""FSK","datr":250001,"fdev":25000"#),
            (r#""SF7BW125""#, "50000"),
            ("SF7BW125", "SF13BW125"),
            ("SF7BW125", "SF7BW203"),
            ("SF7BW125", "SF\u{e9}7BW1"),
            ("SF7BW125", ""),
            ("AQI=", "A?"),
            ("txpk", "rxpk"),
            ("}}", "}"),
        ] {
            let text = good.replace(old, new);
            assert_ne!(text, good);
            assert_eq!(txpk(text.as_bytes()), None, "{text}");
        }
        let long = good.replace("AQI=", &"AAAA".repeat(86)).replace(r#""size":2"#, r#""size":258"#);
        assert_eq!(txpk(long.as_bytes()), None, "258 bytes");
    }
}
