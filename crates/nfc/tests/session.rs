//! The device's side against the tool's: what is let through, once, and what a wrong password costs.
#![allow(missing_docs, reason = "tests")]

use embassy_futures::block_on;
use sockeye_nfc::{
    Answer, Challenge, Code, Command, Envelope, Guard, HEADER, Keys, Kind, RECORD, Request, Seal, Session,
    TAG,
};
use sockeye_settings::Password;

const SN: [u8; 8] = [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, 0x05];

fn password(digits: &str) -> Password {
    Password::new(digits.as_bytes()).unwrap()
}

struct Device {
    session: Session,
    password: Password,
    stored: Option<[u8; RECORD]>,
    now_ms: u64,
}

impl Device {
    fn new() -> Self {
        let session = Session::new(SN, None, 0x1234_5678_9abc_def0, 0);
        Self { session, password: Password::DEFAULT, stored: None, now_ms: 0 }.store()
    }

    fn store(mut self) -> Self {
        self.keep();
        self
    }

    fn keep(&mut self) {
        if let Some(record) = self.session.record() {
            self.stored = Some(record);
        }
    }

    /// A power cut, and the start after it.
    fn restart(&mut self, seed: u64) {
        self.session = Session::new(SN, self.stored.as_ref().map(|record| &record[..]), seed, self.now_ms);
        self.keep();
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Kind, Code> {
        let mut bytes = bytes.to_vec();
        let opened = block_on(self.session.open(self.now_ms, &self.password, &mut bytes));
        let result = opened.map(|request| request.kind());
        self.keep();
        result
    }

    fn seal(&self, digits: &str, request: &Request<'_>) -> Vec<u8> {
        let keys = block_on(Keys::derive(&password(digits), &SN));
        let mut out = [0; 900];
        let seal = Seal { sn: SN, challenge: self.session.challenge(), keys: Some(&keys) };
        let len = seal.write(request, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn ask(&mut self, digits: &str, request: &Request<'_>) -> Result<Kind, Code> {
        let bytes = self.seal(digits, request);
        self.take(&bytes)
    }
}

const TOGGLE: Request<'_> = Request::Command(Command::Toggle);

#[test]
fn every_kind_of_request_arrives_as_it_was_made() {
    let form = [1, 0x41, 1, 0];
    let data: Vec<u8> = (0..=255).collect();
    for request in [
        Request::Status,
        Request::Settings,
        Request::Write { guard: Guard::ANY, form: &form },
        Request::Command(Command::FactoryReset),
        Request::UpgradeBegin { header: &data },
        Request::UpgradeChunk { offset: 0x0102_0304, data: &data },
        Request::UpgradeFinish,
        Request::UpgradeAbort,
    ] {
        let mut device = Device::new();
        let mut bytes = device.seal("123456", &request);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!((envelope.sn, envelope.kind), (SN, Some(request.kind())));
        let opened = block_on(device.session.open(0, &Password::DEFAULT, &mut bytes));
        assert_eq!(opened, Ok(request));
    }
}

#[test]
fn a_request_is_obeyed_once_and_never_again() {
    let mut device = Device::new();
    let bytes = device.seal("123456", &TOGGLE);
    assert_eq!(device.take(&bytes), Ok(Kind::Command));
    for _ in 0..10 {
        assert_eq!(device.take(&bytes), Err(Code::Stale));
    }
    device.restart(77);
    assert_eq!(device.take(&bytes), Err(Code::Stale), "after a power cut neither");
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command), "and stale ones were no wrong passwords");
}

#[test]
fn a_challenge_outlives_a_power_cut_until_it_is_used() {
    // So that a socket in its box can be set up: what was written while it had no power holds when it gets some.
    let mut device = Device::new();
    let bytes = device.seal("123456", &TOGGLE);
    device.restart(77);
    assert_eq!(device.take(&bytes), Ok(Kind::Command));
}

#[test]
fn nobody_foresees_the_next_challenge() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut device = Device::new();
        device.restart(seed);
        device.stored = None;
        device.restart(seed);
        assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
        assert_eq!(device.session.challenge().sequence(), 1);
        assert!(seen.insert(device.session.challenge().0));
    }
}

#[test]
fn every_flipped_bit_is_refused_and_changes_nothing() {
    let mut device = Device::new();
    let request = Request::Write { guard: Guard::ANY, form: &[1, 0x41, 1, 0] };
    let bytes = device.seal("123456", &request);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        device.restart(bit as u64);
        let challenge = device.session.challenge();
        let refused = device.take(&bytes).unwrap_err();
        let expected: &[Code] = match bit / 8 {
            0 => &[Code::Malformed],
            1 => &[Code::Version],
            // Another kind that exists is another request.
            2 => &[Code::Kind, Code::WrongPassword],
            3..11 => &[Code::OtherDevice],
            11..19 => &[Code::Stale],
            _ => &[Code::WrongPassword],
        };
        assert!(expected.contains(&refused), "bit {bit}: {refused:?}");
        assert_eq!(device.session.challenge(), challenge);
        if refused == Code::WrongPassword {
            device.stored = device.stored.map(|mut record| {
                record[RECORD - 1] = 0;
                record
            });
        }
    }
    device.restart(0);
    assert_eq!(device.take(&bytes), Ok(Kind::Write), "the whole one still holds");
}

#[test]
fn every_shorter_request_is_refused() {
    let bytes = Device::new().seal("123456", &Request::Write { guard: Guard::ANY, form: &[1, 0x41, 1, 0] });
    for len in 0..bytes.len() {
        let refused = Device::new().take(&bytes[..len]).unwrap_err();
        let expected = if len < HEADER + TAG { Code::Malformed } else { Code::WrongPassword };
        assert_eq!(refused, expected, "{len} bytes");
    }
}

#[test]
fn five_wrong_passwords_in_a_row_cost_30_s_and_each_more_the_double() {
    let mut device = Device::new();
    for attempt in 1..=5 {
        assert_eq!(device.session.wait_s(device.now_ms), 0, "attempt {attempt}");
        assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    }
    for wait_s in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
        assert_eq!(device.session.wait_s(device.now_ms), wait_s);
        assert_eq!(device.ask("123456", &TOGGLE), Err(Code::Wait), "not even the right one");
        device.now_ms += u64::from(wait_s) * 1000 - 1;
        assert_eq!(device.ask("123456", &TOGGLE), Err(Code::Wait));
        device.now_ms += 1;
        assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    }
    device.now_ms += 3_600_000;
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
    // The right one forgives all.
    for _ in 0..4 {
        assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    }
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
}

#[test]
fn a_power_cut_does_not_shorten_the_wait() {
    let mut device = Device::new();
    for _ in 0..6 {
        device.now_ms += 30_000;
        assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    }
    device.now_ms += 59_000;
    device.restart(1);
    assert_eq!(device.session.wait_s(device.now_ms), 60);
    for failures in [4, 255] {
        device.stored.as_mut().unwrap()[RECORD - 1] = failures;
        device.restart(1);
        assert_eq!(device.session.wait_s(device.now_ms), if failures == 4 { 0 } else { 3600 });
    }
}

#[test]
fn reading_needs_no_password_even_while_there_is_a_wait() {
    let mut device = Device::new();
    for _ in 0..5 {
        assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    }
    assert_eq!(device.ask("000000", &Request::Status), Ok(Kind::Status));
    assert_eq!(device.ask("000000", &Request::Settings), Ok(Kind::Settings));
}

#[test]
fn a_new_password_holds_from_the_next_request_on() {
    let mut device = Device::new();
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
    device.password = password("987654");
    assert_eq!(device.ask("123456", &TOGGLE), Err(Code::WrongPassword));
    assert_eq!(device.ask("987654", &TOGGLE), Ok(Kind::Command));
}

#[test]
fn a_request_with_the_right_password_and_a_body_of_nonsense_is_refused_and_used_up() {
    let mut device = Device::new();
    // A chunk of two bytes has no room for its offset. The tool cannot make it; a request for an abort can become one.
    let keys = block_on(Keys::derive(&Password::DEFAULT, &SN));
    let bytes = device.seal("123456", &Request::UpgradeBegin { header: &[1, 2] });
    assert_eq!(device.take(&bytes), Ok(Kind::UpgradeBegin));
    let text = [&b"Q\x01\x21"[..], &SN, &device.session.challenge().0, &[1, 2]].concat();
    let tagged = tagged(&keys, &text);
    assert_eq!(device.take(&tagged), Err(Code::Malformed));
    assert_eq!(device.take(&tagged), Err(Code::Stale));
}

/// Adds the authentication code to any text, by way of an answer's.
fn tagged(_keys: &Keys, text: &[u8]) -> Vec<u8> {
    // From docs/NFC.md: the key of this password and serial number.
    let mac = sockeye_lorawan_mac::Key(0xc7c9_d242_b0f8_0555_6650_835a_6575_c1bb_u128.to_be_bytes());
    [text, &sockeye_lorawan_mac::aes::cmac(&mac, &[text])[..8]].concat()
}

#[test]
fn only_who_knows_the_password_gets_an_answer_with_an_authentication_code() {
    let mut device = Device::new();
    let is_genuine = |device: &Device| {
        let mut out = [0; 40];
        let len = device.session.answer(Code::Done, &[1], &mut out);
        let keys = block_on(Keys::derive(&Password::DEFAULT, &SN));
        let answer = Answer::parse(&out[..len]).unwrap();
        (answer.is_genuine(&keys), answer.kind_code, answer.body == [1])
    };
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
    assert_eq!(is_genuine(&device), (true, 0x11, true));
    assert_eq!(device.ask("123456", &Request::Status), Ok(Kind::Status));
    assert_eq!(is_genuine(&device), (false, 0x01, true));
    assert_eq!(device.ask("654321", &TOGGLE), Err(Code::WrongPassword));
    assert_eq!(is_genuine(&device), (false, 0x11, true));
    assert_eq!(device.take(b"Q"), Err(Code::Malformed));
    assert_eq!(is_genuine(&device), (false, 0, true));
    // Where nothing can be stored, each password could be tried: nobody learns that one was right.
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
    device.session.unstored();
    assert_eq!(is_genuine(&device), (false, 0x11, true));
}

#[test]
fn what_is_secret_is_not_printed() {
    let keys = block_on(Keys::derive(&Password::DEFAULT, &SN));
    let mut device = Device::new();
    assert_eq!(device.ask("123456", &TOGGLE), Ok(Kind::Command));
    let printed = format!(
        "{keys:?} {:?} {:?}",
        device.session,
        Seal { sn: SN, challenge: Challenge([0; 8]), keys: Some(&keys) }
    );
    for secret in ["123456", "199", "c7", "201, 210"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn debug_shows_nothing_of_the_settings_that_are_written() {
    // The new password in the stored form, and another one.
    let [one, other] = [b"\x01\x2a\x06654321", b"\x01\x2a\x06111111"].map(|form| {
        let request = Request::Write { guard: Guard::ANY, form };
        let envelope = Envelope::parse(&Device::new().seal("123456", &request)).unwrap();
        format!("{envelope:?} {request:?}")
    });
    assert_eq!(one, other);
}
