//! The gateway's side of the UDP protocol against `semtech-udp` as the server's side.

use proptest::prelude::*;
use semtech_udp::pull_resp::{self, PhyData, Time, TxPk};
use semtech_udp::{
    Bandwidth, CodingRate, DataRate, Down, Modulation, Packet, SerializablePacket, SpreadingFactor, Up,
    tx_ack,
};
use sockeye_network_server::{
    Emission, EmissionModulation, ForwarderConfig, ForwarderOutput, MAX_LEAD_US, MIN_LEAD_US,
    PacketForwarder, UplinkMeta, airtime_us,
};

const EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0xFF, 0xFE, 0xF0, 0x12, 0x34];
const SECOND: u64 = 1_000_000;
const META: UplinkMeta =
    UplinkMeta { freq_hz: 868_100_000, sf: 7, bw_hz: 125_000, rssi_dbm: -97, snr_db: -3 };

/// A gateway whose counter wraps 10 s after instant 0, on 22 November 2026, 12:00.
fn gateway() -> PacketForwarder {
    let config = ForwarderConfig {
        unix_time_at_start_s: 1_795_348_800,
        tmst_at_start: 0u32.wrapping_sub(10_000_000),
        tx_band_hz: (863_000_000, 870_000_000),
        ..ForwarderConfig::new(EUI)
    };
    PacketForwarder::new(config, 0)
}

/// A gateway that has said its first words.
fn pulled() -> PacketForwarder {
    let mut gateway = gateway();
    datagram(&mut gateway, 0);
    gateway
}

/// Takes the one datagram that is to go.
fn datagram(gateway: &mut PacketForwarder, now_us: u64) -> Vec<u8> {
    match (gateway.poll(now_us), gateway.poll(now_us)) {
        (Some(ForwarderOutput::Datagram(bytes)), None) => bytes,
        other => panic!("{other:?}"),
    }
}

fn nothing(gateway: &mut PacketForwarder, now_us: u64) {
    assert_eq!(gateway.poll(now_us), None);
}

fn json(datagram: &[u8]) -> &str {
    std::str::from_utf8(&datagram[12..]).expect("text")
}

fn to_bytes(packet: &impl SerializablePacket) -> Vec<u8> {
    let mut buffer = [0; 1_024];
    let length = packet.serialize(&mut buffer).expect("fits");
    buffer[..usize::try_from(length).expect("small")].to_vec()
}

fn txpk(time: Time, payload: &[u8]) -> TxPk {
    TxPk {
        time,
        freq: 868.1,
        rfch: 0,
        powe: 14,
        modu: Modulation::LORA,
        datr: DataRate::new(SpreadingFactor::_7, Bandwidth::_125KHz),
        codr: Some(CodingRate::_4_5),
        fdev: None,
        ipol: true,
        prea: Some(8),
        data: PhyData::new(payload.to_vec()),
        ncrc: Some(true),
    }
}

/// Asks for a downlink as a server does, and reads the answer as a server does.
fn ask(gateway: &mut PacketForwarder, now_us: u64, txpk: TxPk) -> Result<Option<u32>, tx_ack::Error> {
    let token = 0xBEEF;
    let asked = pull_resp::Packet { random_token: token, data: pull_resp::Data::from_txpk(txpk) };
    gateway.datagram(now_us, &to_bytes(&asked));
    let answer = datagram(gateway, now_us);
    match Packet::parse_uplink(&answer).expect("of the protocol") {
        Up::TxAck(ack) => {
            assert_eq!((ack.random_token, ack.gateway_mac.as_bytes()), (token, &EUI[..]));
            ack.get_result()
        }
        other => panic!("{other:?}"),
    }
}

fn emission(gateway: &mut PacketForwarder, now_us: u64) -> Emission {
    match gateway.poll(now_us) {
        Some(ForwarderOutput::Emission(emission)) => emission,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_uplink_has_the_bytes_of_a_gateway() {
    let mut gateway = pulled();
    gateway.uplink(3 * SECOND + 45_678, &[0x40, 1, 2, 3, 0xFF], META);
    let sent = datagram(&mut gateway, 4 * SECOND);
    assert_eq!((sent[0], sent[3], &sent[4..12]), (2, 0, &EUI[..]));
    let expected = concat!(
        r#"{"rxpk":[{"tmst":4288012974,"time":"2026-11-22T12:00:03.045678Z","chan":0,"rfch":0,"#,
        r#""freq":868.100000,"stat":1,"modu":"LORA","datr":"SF7BW125","codr":"4/5","lsnr":-3.0,"#,
        r#""rssi":-97,"size":5,"data":"QAECA/8="}]}"#
    );
    assert_eq!(json(&sent), expected);
}

#[test]
fn a_server_reads_every_uplink() {
    let mut gateway = pulled();
    let metas = [
        (META, "SF7BW125"),
        (UplinkMeta { freq_hz: 433_175_000, sf: 12, snr_db: -20, ..META }, "SF12BW125"),
        (UplinkMeta { freq_hz: 904_600_000, sf: 8, bw_hz: 500_000, snr_db: 12, rssi_dbm: -5 }, "SF8BW500"),
        (UplinkMeta { freq_hz: 865_062_500, sf: 7, bw_hz: 250_000, ..META }, "SF7BW250"),
    ];
    for (seconds, (meta, datr)) in (1..).zip(metas) {
        // The counter wraps at 10 s.
        let end_us = seconds * 3 * SECOND + 7;
        let phy: Vec<u8> = (0..seconds as u8 * 50).collect();
        gateway.uplink(end_us, &phy, meta);
        let datagram = match gateway.poll(end_us) {
            Some(ForwarderOutput::Datagram(bytes)) if bytes[3] == 0 => bytes,
            // Every 10 s a PULL_DATA goes too, after what was there before.
            other => panic!("{other:?}"),
        };
        while gateway.poll(end_us).is_some() {}
        let Ok(Up::PushData(push)) = Packet::parse_uplink(&datagram) else { panic!("{datagram:?}") };
        assert_eq!(push.gateway_mac.as_bytes(), EUI);
        let rxpk = &push.data.rxpk.expect("there")[0];
        assert_eq!(rxpk.timestamp(), (end_us as u32).wrapping_sub(10_000_000));
        assert_eq!((rxpk.frequency() * 1e6).round() as u32, meta.freq_hz);
        assert_eq!((rxpk.datarate().to_string().as_str(), rxpk.data()), (datr, &phy));
        assert_eq!((rxpk.snr() as i8, rxpk.channel_rssi()), (meta.snr_db, i32::from(meta.rssi_dbm)));
        assert_eq!(rxpk.crc_status(), semtech_udp::push_data::CRC::OK);
        gateway
            .datagram(end_us, &to_bytes(&semtech_udp::push_ack::Packet { random_token: push.random_token }));
    }
    let counts = gateway.counts();
    assert_eq!((counts.heard, counts.pushed, counts.push_acknowledged, counts.not_understood), (4, 4, 4, 0));
}

#[test]
fn pull_data_keeps_the_way_open() {
    let mut gateway = gateway();
    assert_eq!(gateway.next_due_us(), 0);
    let first = datagram(&mut gateway, 0);
    let Ok(Up::PullData(pull)) = Packet::parse_uplink(&first) else { panic!("{first:?}") };
    assert_eq!((pull.gateway_mac.as_bytes(), first.len()), (&EUI[..], 12));
    assert!(!gateway.is_connected());
    let ack = |random_token| to_bytes(&semtech_udp::pull_ack::Packet { random_token });
    gateway.datagram(1, &ack(pull.random_token.wrapping_add(1)));
    assert!(!gateway.is_connected(), "another's");
    gateway.datagram(1, &ack(pull.random_token));
    assert!(gateway.is_connected());
    gateway.datagram(1, &ack(pull.random_token));
    assert_eq!((gateway.counts().pull_acknowledged, gateway.counts().not_understood), (1, 2));
    assert_eq!(gateway.next_due_us(), 10 * SECOND);
    nothing(&mut gateway, 10 * SECOND - 1);
    let second = datagram(&mut gateway, 10 * SECOND);
    assert_ne!(second[1..3], first[1..3]);
    assert!(gateway.is_connected(), "one may get lost");
    datagram(&mut gateway, 20 * SECOND);
    assert!(gateway.is_connected(), "or two");
    // At 30 s the first status report goes too.
    while gateway.poll(30 * SECOND).is_some() {}
    assert!(!gateway.is_connected());
}

#[test]
fn a_status_report_tells_what_happened_since_the_last() {
    let (mut gateway, mut third) = (pulled(), Vec::new());
    for n in 1..=3 {
        gateway.uplink(n * SECOND, &[1], META);
        let sent = datagram(&mut gateway, n * SECOND);
        if n < 3 {
            gateway.datagram(n * SECOND, &[2, sent[1], sent[2], 1]);
        } else {
            third = sent;
        }
    }
    assert_eq!(ask(&mut gateway, 4 * SECOND, txpk(Time::immediate(), &[1])), Ok(None));
    emission(&mut gateway, 5 * SECOND);
    let mut sent = Vec::new();
    for at_us in [10 * SECOND, 20 * SECOND, 30 * SECOND] {
        while let Some(ForwarderOutput::Datagram(bytes)) = gateway.poll(at_us) {
            sent.push(bytes);
        }
    }
    let stat = sent.iter().find(|bytes| bytes[3] == 0).expect("a report");
    let expected = concat!(
        r#"{"stat":{"time":"2026-11-22 12:00:30 GMT","rxnb":3,"rxok":3,"rxfw":3,"ackr":66.6,"#,
        r#""dwnb":1,"txnb":1}}"#
    );
    assert_eq!(json(stat), expected);
    assert!(matches!(Packet::parse_uplink(stat), Ok(Up::PushData(push)) if push.data.stat.is_some()));
    // Two acknowledgements come late, for what the last report counted and for itself: not over 100 %.
    for late in [&third, stat] {
        gateway.datagram(31 * SECOND, &[2, late[1], late[2], 1]);
    }
    let mut last = Vec::new();
    while let Some(ForwarderOutput::Datagram(bytes)) = gateway.poll(60 * SECOND) {
        last.push(bytes);
    }
    let stat = last.iter().find(|bytes| bytes[3] == 0).expect("a report");
    assert!(json(stat).contains(r#""rxnb":0,"rxok":0,"rxfw":0,"ackr":100.0,"dwnb":0,"txnb":0"#));
}

#[test]
fn a_downlink_goes_out_at_its_microsecond_also_when_the_counter_wraps() {
    let mut gateway = pulled();
    for now_us in [2 * SECOND, 9 * SECOND + 500_000] {
        // The server adds the RX1 delay to the counter of the uplink.
        let tmst = gateway.tmst(now_us).wrapping_add(1_000_000);
        assert_eq!(ask(&mut gateway, now_us, txpk(Time::by_tmst(tmst), &[0x60, 1, 2])), Ok(None));
        assert_eq!(gateway.next_due_us(), (now_us + SECOND).min(10 * SECOND));
        if now_us + SECOND > 10 * SECOND {
            datagram(&mut gateway, 10 * SECOND);
        }
        nothing(&mut gateway, now_us + SECOND - 1);
        let expected = Emission {
            at_us: now_us + SECOND,
            freq_hz: 868_100_000,
            modulation: EmissionModulation::LoRa { sf: 7, bw_hz: 125_000, iq_inverted: true },
            power_dbm: 14,
            has_crc: false,
            phy: vec![0x60, 1, 2],
        };
        assert_eq!(emission(&mut gateway, now_us + SECOND), expected);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_by_its_reason() {
    use tx_ack::Error;
    let far = MAX_LEAD_US as u32;
    let near = MIN_LEAD_US as u32;
    let by = |lead_us: u32| txpk(Time::by_tmst(lead_us.wrapping_sub(10_000_000)), &[1; 20]);
    // Asked at instant 0, when the counter shows 10 s less than nothing.
    for (txpk, expected) in [
        (by(near), Ok(None)),
        (by(near - 1), Err(Error::TooLate)),
        (by(0), Err(Error::TooLate)),
        (by(u32::MAX), Err(Error::TooLate)),
        (by(far), Ok(None)),
        (by(far + 1), Err(Error::TooEarly)),
        (by(i32::MAX as u32), Err(Error::TooEarly)),
        (by(i32::MAX as u32 + 1), Err(Error::TooLate)),
        (TxPk { freq: 862.9, ..by(SECOND as u32) }, Err(Error::InvalidTransmitFrequency)),
        (TxPk { freq: 870.000001, ..by(SECOND as u32) }, Err(Error::InvalidTransmitFrequency)),
        (TxPk { freq: 870.0, ..by(SECOND as u32) }, Ok(None)),
        (txpk(Time::by_tmms(5), &[1]), Err(Error::GpsUnlocked)),
    ] {
        let mut gateway = pulled();
        let shown = txpk.to_string();
        assert_eq!(ask(&mut gateway, 0, txpk), expected, "{shown}");
        assert_eq!(gateway.counts().refused, u64::from(expected.is_err()));
    }
}

#[test]
fn two_frames_at_once_collide() {
    let mut gateway = pulled();
    let at = |us: u32| txpk(Time::by_tmst(us.wrapping_sub(10_000_000)), &[1; 20]);
    let air_us = u32::try_from(airtime_us(7, 125_000, 20)).expect("short");
    assert_eq!(ask(&mut gateway, 0, at(1_000_000)), Ok(None));
    for us in [1_000_000, 1_000_000 + air_us + 2_499, 1_000_000 - air_us - 2_499] {
        assert_eq!(ask(&mut gateway, 0, at(us)), Err(tx_ack::Error::CollisionPacket), "{us}");
    }
    for us in [1_000_000 + air_us + 2_500, 1_000_000 - air_us - 2_500] {
        assert_eq!(ask(&mut gateway, 0, at(us)), Ok(None), "{us}");
    }
    // While one is on the air another cannot begin.
    let sent: Vec<_> = (0..3).map(|_| emission(&mut gateway, 2 * SECOND)).collect();
    assert!(sent.windows(2).all(|pair| pair[0].at_us + u64::from(air_us) < pair[1].at_us));
}

#[test]
fn frames_without_a_time_go_one_after_the_other() {
    let mut gateway = pulled();
    // One with a time stands in the way of the second.
    let at = txpk(Time::by_tmst(120_000u32.wrapping_sub(10_000_000)), &[9; 20]);
    assert_eq!(ask(&mut gateway, 0, at), Ok(None));
    for byte in 1..=3 {
        assert_eq!(ask(&mut gateway, 0, txpk(Time::immediate(), &[byte; 20])), Ok(None));
    }
    let sent: Vec<_> = (0..4).map(|_| emission(&mut gateway, SECOND)).collect();
    assert_eq!(sent.iter().map(|sent| sent.phy[0]).collect::<Vec<_>>(), [1, 9, 2, 3]);
    assert_eq!(sent[0].at_us, MIN_LEAD_US);
    for pair in sent.windows(2) {
        assert!(pair[1].at_us >= pair[0].at_us + airtime_us(7, 125_000, 20) + 2_500);
    }
    // The queue is bounded.
    let answers: Vec<_> = (0..33).map(|_| ask(&mut gateway, SECOND, txpk(Time::immediate(), &[1]))).collect();
    assert!(answers[..32].iter().all(Result::is_ok));
    assert_eq!(answers[32], Err(tx_ack::Error::CollisionPacket));
}

#[test]
fn too_much_power_is_lowered_with_a_warning() {
    let mut gateway = pulled();
    let loud = TxPk { powe: 30, ..txpk(Time::immediate(), &[1]) };
    let asked = pull_resp::Packet { random_token: 7, data: pull_resp::Data::from_txpk(loud) };
    gateway.datagram(0, &to_bytes(&asked));
    let answer = datagram(&mut gateway, 0);
    assert_eq!(json(&answer), r#"{"txpk_ack":{"warn":"TX_POWER","value":27}}"#);
    assert_eq!(emission(&mut gateway, SECOND).power_dbm, 27);
}

/// What a gateway says to a `txpk`: the `error` of its TX_ACK; `None` for no answer.
fn answer(gateway: &mut PacketForwarder, txpk: &str) -> Option<String> {
    gateway.datagram(0, &[&[2, 0xBE, 0xEF, 3], format!(r#"{{"txpk":{txpk}}}"#).as_bytes()].concat());
    let answer = match gateway.poll(0)? {
        ForwarderOutput::Datagram(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(answer[..4], [2, 0xBE, 0xEF, 5]);
    let error = json(&answer).strip_prefix(r#"{"txpk_ack":{"error":""#).expect("an error field");
    error.strip_suffix(r#""}}"#).map(str::to_owned)
}

#[test]
fn what_lacks_a_field_is_not_answered_and_fsk_is_taken_as_by_semtechs_packet_forwarder() {
    let lora = concat!(
        r#"{"imme":true,"freq":868.1,"rfch":0,"powe":14,"modu":"LORA","datr":"SF7BW125","codr":"4/5","#,
        r#""ipol":true,"size":2,"data":"AQI="}"#
    );
    let fsk = concat!(
        r#"{"imme":true,"freq":868.8,"rfch":0,"powe":14,"modu":"FSK","datr":50000,"fdev":25000,"#,
        r#""size":2,"data":"AQI="}"#
    );
    for good in [lora, fsk] {
        assert_eq!(answer(&mut pulled(), good).as_deref(), Some("NONE"), "{good}");
        for (fault, expected) in
            [("862.9", Some("TX_FREQ")), ("null", None), ("\"868.1\"", None), ("[]", None), ("-868.1", None)]
        {
            let odd = good.replace(["868.1", "868.8"].into_iter().find(|f| good.contains(f)).unwrap(), fault);
            let mut gateway = pulled();
            assert_eq!(answer(&mut gateway, &odd).as_deref(), expected, "{odd}");
            assert_eq!(gateway.counts().not_understood, u64::from(expected.is_none()));
            assert_eq!(gateway.counts().asked, u64::from(expected.is_some()));
        }
        // One mandatory field after the other left out.
        let value: serde_json::Value = serde_json::from_str(good).expect("good");
        for field in ["imme", "freq", "rfch", "modu", "datr", "size", "data"] {
            let mut less = value.clone();
            less.as_object_mut().expect("an object").remove(field);
            assert_eq!(answer(&mut pulled(), &less.to_string()), None, "without {field}");
        }
    }
    assert_eq!(answer(&mut pulled(), &lora.replace("LORA", "LR_FHSS")), None);
    assert_eq!(answer(&mut pulled(), &lora.replace(r#""codr":"4/5","#, "")), None);
    assert_eq!(answer(&mut pulled(), &fsk.replace(r#""fdev":25000,"#, "")), None);
}

#[test]
fn an_fsk_frame_has_its_place_among_the_others() {
    let mut gateway = pulled();
    let fsk = concat!(
        r#"{"imme":true,"freq":868.8,"rfch":0,"modu":"FSK","datr":50000,"fdev":25000,"#,
        r#""size":20,"data":"AQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#
    );
    for _ in 0..2 {
        assert_eq!(answer(&mut gateway, fsk).as_deref(), Some("NONE"));
    }
    let (first, second) = (emission(&mut gateway, SECOND), emission(&mut gateway, SECOND));
    assert_eq!(first.modulation, EmissionModulation::Fsk { bit_rate: 50_000, preamble: 5 });
    assert_eq!(first.phy, [1; 20]);
    // Five bytes of preamble, three of sync word, one of length, 20 and two of CRC, at 160 us each.
    assert_eq!(first.end_us() - first.at_us, 31 * 160);
    assert_eq!(second.at_us, first.end_us() + 2_500);
}

#[test]
fn what_is_not_the_protocols_has_no_effect() {
    let mut gateway = pulled();
    let good = to_bytes(&pull_resp::Packet {
        random_token: 1,
        data: pull_resp::Data::from_txpk(txpk(Time::immediate(), &[1])),
    });
    let odd = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let datagrams = [
        vec![],
        vec![2, 0, 0],
        odd(0, 1),
        odd(3, 0),
        odd(3, 9),
        odd(4, b'['),
        good[..good.len() - 1].to_vec(),
    ];
    for (n, bytes) in (1..).zip(&datagrams) {
        gateway.datagram(0, bytes);
        nothing(&mut gateway, 0);
        assert_eq!(gateway.counts().not_understood, n);
    }
    assert_eq!(gateway.counts().asked, 0);
    // A zero byte at the end, as some servers put it, is no harm.
    gateway.datagram(0, &[&good[..], &[0]].concat());
    assert!(matches!(Packet::parse_uplink(&datagram(&mut gateway, 0)), Ok(Up::TxAck(_))));
}

#[test]
fn a_gateway_hears_its_server_only() {
    // What a server sends is read as such by the other implementation too.
    let down = to_bytes(&semtech_udp::pull_ack::Packet { random_token: 5 });
    assert!(matches!(Packet::parse_downlink(&down), Ok(Down::PullAck(_))));
    let mut gateway = pulled();
    gateway.uplink(SECOND, &[1], META);
    let own = datagram(&mut gateway, SECOND);
    gateway.datagram(SECOND, &own);
    assert_eq!(gateway.counts().not_understood, 1, "its own played back");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_datagram_leaves_the_gateway_whole(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
        texts in proptest::collection::vec("\\{\"txpk\":\\{(\"(tmst|freq|datr|data|imme|powe)\":(-?[0-9]{1,12}|\"[A-Z0-9é=]{0,9}\"|true),?){0,6}\\}\\}", 0..10),
    ) {
        let mut gateway = pulled();
        for bytes in &datagrams {
            gateway.datagram(SECOND, bytes);
        }
        for text in &texts {
            gateway.datagram(SECOND, &[&[2, 0, 0, 3], text.as_bytes()].concat());
        }
        while gateway.poll(2 * SECOND).is_some() {}
        gateway.uplink(3 * SECOND, &[1], META);
        prop_assert!(matches!(gateway.poll(3 * SECOND), Some(ForwarderOutput::Datagram(_))));
    }

    #[test]
    fn whatever_is_asked_frames_do_not_overlap_and_go_at_their_time(
        asked in proptest::collection::vec((0..3_000_000u32, any::<bool>(), 1..60usize, 0..200_000u64), 1..40),
    ) {
        let mut gateway = pulled();
        let (mut now_us, mut taken, mut free_us) = (0, 0, 0);
        for (lead_us, immediately, bytes, wait_us) in asked {
            let time = if immediately { Time::immediate() } else {
                Time::by_tmst(gateway.tmst(now_us).wrapping_add(lead_us))
            };
            let asked = pull_resp::Packet {
                random_token: 1,
                data: pull_resp::Data::from_txpk(txpk(time, &vec![1; bytes])),
            };
            gateway.datagram(now_us, &to_bytes(&asked));
            now_us += wait_us;
            while let Some(output) = gateway.poll(now_us) {
                if let ForwarderOutput::Emission(sent) = output {
                    prop_assert!(sent.at_us <= now_us && sent.at_us >= free_us);
                    free_us = sent.end_us();
                    taken += 1;
                }
            }
        }
        while let Some(output) = gateway.poll(now_us + 100 * SECOND) {
            taken += u64::from(matches!(output, ForwarderOutput::Emission(_)));
        }
        let counts = gateway.counts();
        prop_assert_eq!((counts.asked - counts.refused, counts.sent), (taken, taken));
    }
}
