//! What holds for any bytes and any values.
#![allow(missing_docs, reason = "tests")]

use embassy_futures::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sockeye_nfc::{
    Answer, Challenge, Code, Envelope, Faults, Keys, Kind, MAX_ANSWER, STATUS, Session, Status, Upgrade,
    UpgradeState,
};
use sockeye_settings::{Model, Password, Region};

fn upgrade() -> impl Strategy<Value = Upgrade> {
    (select(&UpgradeState::ALL[..]), any::<u8>(), any::<u32>(), any::<u32>())
        .prop_map(|(state, refused, received, total)| Upgrade { state, refused, received, total })
}

fn status() -> impl Strategy<Value = Status> {
    let who = (select(&Model::ALL[..]), select(&Region::ALL[..]), any::<[u8; 8]>(), any::<[u8; 8]>());
    let meter = (any::<[bool; 3]>(), any::<[u32; 5]>(), any::<u16>());
    let rest = (any::<u8>(), any::<[u16; 7]>(), upgrade(), any::<[u8; 8]>(), any::<[u8; 5]>());
    (who, meter, rest).prop_map(|(who, meter, rest)| {
        let ([relay_on, joined, measured], [voltage_mv, current_ma, power_mw, energy_wh, uptime_s], factor) =
            meter;
        let (
            reset_cause,
            [commands, meter, readings, stores, wait_s, max_request, restarts],
            upgrade,
            challenge,
            versions,
        ) = rest;
        Status {
            model: who.0,
            region: who.1,
            sn: who.2,
            dev_eui: who.3,
            hardware_version: [versions[0], versions[1]],
            software_version: [versions[2], versions[3]],
            relay_on,
            joined,
            measured,
            voltage_mv,
            current_ma,
            power_mw,
            power_factor_permille: factor,
            energy_wh,
            uptime_s,
            reset_cause,
            faults: Faults { commands, meter, readings, stores, restarts, last_restart: versions[4] },
            upgrade,
            wait_s,
            max_request,
            challenge: Challenge(challenge),
        }
    })
}

proptest! {
    #[test]
    fn a_status_comes_back_as_it_was(status in status(), more in vec(any::<u8>(), 0..20)) {
        let bytes = [&status.bytes()[..], &more].concat();
        prop_assert_eq!(Status::parse(&bytes), Ok(status));
        for len in 0..STATUS {
            prop_assert!(Status::parse(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was(
        code in select(&Code::ALL[..]),
        kind in select(&Kind::ALL[..]),
        challenge in any::<[u8; 8]>(),
        body in vec(any::<u8>(), 0..300),
    ) {
        let mut out = [0; MAX_ANSWER];
        let len = Answer::write(code, kind as u8, Challenge(challenge), &body, None, &mut out);
        let answer = Answer::parse(&out[..len]).unwrap();
        prop_assert_eq!((answer.code, answer.kind_code, answer.challenge), (code, kind as u8, Challenge(challenge)));
        prop_assert_eq!(answer.body, &body[..]);
    }

    #[test]
    fn how_an_upgrade_stands_is_read_from_its_answers(upgrade in upgrade()) {
        for kind in Kind::ALL {
            let mut out = [0; MAX_ANSWER];
            let challenge = Challenge([0; 8]);
            let len = Answer::write(Code::Done, kind as u8, challenge, &upgrade.bytes(), None, &mut out);
            let is_upgrade = kind as u8 >= 0x20;
            prop_assert_eq!(Answer::parse(&out[..len]).unwrap().upgrade(), is_upgrade.then_some(upgrade));
        }
    }

    #[test]
    fn no_bytes_panic_anything(bytes in vec(any::<u8>(), 0..120), mark in select(&b"QSA"[..]), has_mark in any::<bool>()) {
        let mut bytes = bytes;
        if has_mark && bytes.len() >= 2 {
            (bytes[0], bytes[1]) = (mark, 1);
        }
        let _ = Envelope::parse(&bytes);
        let _ = Status::parse(&bytes);
        if let Ok(answer) = Answer::parse(&bytes) {
            let _ = (answer.wait_s(), answer.refusal(), answer.upgrade());
        }
        let mut session = Session::new([0; 8], Some(&bytes), 0, 0);
        let challenge = session.challenge();
        let opened = block_on(session.open(0, &Password::DEFAULT, &mut bytes));
        if let Ok(request) = opened {
            prop_assert!(!request.kind().is_guarded(), "nobody guesses 8 bytes");
        }
        prop_assert_eq!(session.challenge(), challenge);
    }
}

#[test]
fn an_answer_without_its_room_is_none() {
    let keys = block_on(Keys::derive(&Password::DEFAULT, &[0; 8]));
    for len in 0..24 {
        let mut out = [0; 24];
        let written =
            Answer::write(Code::Done, 1, Challenge([0; 8]), &[1, 2, 3, 4], Some(&keys), &mut out[..len]);
        assert_eq!(written, if len == 24 { 24 } else { 0 }, "{len}");
    }
}

#[test]
fn a_forged_answer_is_not_genuine() {
    let keys = block_on(Keys::derive(&Password::DEFAULT, &[0; 8]));
    let mut out = [0; 40];
    let len = Answer::write(Code::Settings, 0x10, Challenge([0; 8]), &[0x40, 3], Some(&keys), &mut out);
    assert!(Answer::parse(&out[..len]).unwrap().is_genuine(&keys));
    for bit in 0..len * 8 {
        let mut out = out;
        out[bit / 8] ^= 1 << (bit % 8);
        assert!(!Answer::parse(&out[..len]).is_ok_and(|answer| answer.is_genuine(&keys)), "bit {bit}");
    }
    let refusal = Answer::parse(&out[..len]).unwrap().refusal().unwrap();
    assert_eq!(refusal.to_string(), "general.reporting_interval_s: outside its range");
}
