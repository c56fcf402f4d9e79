//! The tables of docs/NFC.md: test vectors that another library made.
#![allow(missing_docs, reason = "tests")]

use embassy_futures::block_on;
use sockeye_nfc::{
    Answer, Challenge, Code, Command, Guard, HEADER, ITERATIONS, Keys, Kind, Request, STATUS, Seal, TRIES,
};
use sockeye_settings::{Model, Password, Region};

const PAGE: &str = include_str!("../../../docs/NFC.md");
const CHALLENGE: Challenge = Challenge([7, 0, 0, 0, 0x78, 0x56, 0x34, 0x12]);
const SN: [u8; 8] = [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, 0x05];

/// The cells of the rows below the header that begins so.
fn table(head: &str) -> Vec<Vec<String>> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let cells = |line: &str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = rows.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "no table {head}");
    rows
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keys(password: &str, sn: [u8; 8]) -> Keys {
    block_on(Keys::derive(&Password::new(password.as_bytes()).unwrap(), &sn))
}

#[test]
fn the_requests_of_another_library_are_ours() {
    let keys = keys("123456", SN);
    let image: Vec<u8> = (0..40).collect();
    let requests = [
        Request::Command(Command::Toggle),
        Request::Write {
            guard: Guard { model: Some(Model::Eu), region: Some(Region::Eu868) },
            form: &[1, 0x40, 4, 0x58, 2, 0, 0],
        },
        Request::Write { guard: Guard::ANY, form: b"\x01\x47\x06987654" },
        Request::UpgradeChunk { offset: 256, data: &image },
        Request::UpgradeAbort,
    ];
    let rows = table("| request | kind |");
    assert_eq!(rows.len(), requests.len());
    let seal = Seal { sn: SN, challenge: CHALLENGE, keys: Some(&keys) };
    for (row, request) in rows.iter().zip(requests) {
        let mut out = [0; 200];
        let len = seal.write(&request, &mut out).unwrap();
        assert_eq!(hex(&out[..len]), row[3], "{row:?}");
        assert_eq!(hex(&[request.kind() as u8]), row[1]);
    }
}

#[test]
fn the_answers_of_another_library_are_ours() {
    let keys = keys("123456", SN);
    let rows = table("| answer | code |");
    for (row, kind) in rows.iter().zip([Kind::Command, Kind::Write]) {
        let code = Code::ALL[usize::from(bytes(&row[1])[0])];
        let mut out = [0; 100];
        let len = Answer::write(code, kind as u8, CHALLENGE, &bytes(&row[2]), Some(&keys), &mut out);
        assert_eq!(hex(&out[..len]), row[3], "{row:?}");
        let answer = Answer::parse(&out[..len]).unwrap();
        assert_eq!((answer.code, answer.kind_code, answer.body), (code, kind as u8, &bytes(&row[2])[..]));
        assert!(answer.is_genuine(&keys));
    }
    assert_eq!(rows.len(), 2);
}

#[test]
fn the_keys_of_another_library_open_what_ours_seal() {
    // The keys themselves are shown to nobody: they are compared by what they do.
    for row in table("| password | serial number |") {
        let (mac, cipher) = (bytes(&row[2]), bytes(&row[3]));
        let sn: [u8; 8] = bytes(&row[1]).try_into().unwrap();
        let keys = keys(&row[0], sn);
        let seal = Seal { sn, challenge: CHALLENGE, keys: Some(&keys) };
        let mut out = [0; 100];
        let form = [1, 0x41, 1, 0];
        let len = seal.write(&Request::Write { guard: Guard::ANY, form: &form }, &mut out).unwrap();
        let (text, tag) = out[..len].split_at(len - 8);
        let plain = [&[0xff, 0xff][..], &form].concat();
        let aes = |key: &[u8]| sockeye_lorawan_mac::Key(key.try_into().unwrap());
        let mac = sockeye_lorawan_mac::aes::cmac(&aes(&mac), &[&text[..HEADER], &plain]);
        assert_eq!(mac[..8], *tag);
        let first: [u8; 16] = [tag, &CHALLENGE.0[..6], &[0, 0]].concat().try_into().unwrap();
        let stream = sockeye_lorawan_mac::aes::encrypt_block(&aes(&cipher), first);
        let ciphered: Vec<u8> = plain.iter().zip(stream).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(text[HEADER..], ciphered);
    }
}

#[test]
fn the_page_names_every_kind_code_and_command() {
    let numbers = |head: &str| table(head).iter().map(|row| bytes(&row[0])[0]).collect::<Vec<_>>();
    assert_eq!(numbers("| kind | asks for"), Kind::ALL.map(|kind| kind as u8));
    assert_eq!(numbers("| code | says"), Code::ALL.map(|code| code as u8));
    assert_eq!(numbers("| command | does"), Command::ALL.map(|command| command as u8));
    for row in table("| kind | asks for") {
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == bytes(&row[0])[0]).unwrap();
        assert_eq!(row[2] == "yes", kind.is_guarded(), "{row:?}");
    }
    assert!(PAGE.contains(&format!("{ITERATIONS} rounds")) && PAGE.contains(&format!("{STATUS} bytes")));
    assert_eq!(TRIES, 5);
}
