//! The header: the vector of docs/UPGRADE.md, every reason to refuse one, and what holds for any bytes.
#![allow(missing_docs, reason = "tests")]

use std::collections::HashSet;

use proptest::prelude::*;
use sockeye_upgrade::{
    BoardName, Device, HEADER_LEN, Header, Image, Refusal, SIGNED_LEN, Software, Verify, public_key, sign,
};

const PAGE: &str = include_str!("../../../docs/UPGRADE.md");

/// The bytes of the row of the page's vector that has this name.
fn vector(name: &str) -> Vec<u8> {
    let head = format!("| {name} | `");
    let row = PAGE.lines().find_map(|line| line.strip_prefix(&head)).expect("the row is there");
    let hex = row.trim_end_matches("` |");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn private_key() -> [u8; 32] {
    vector("private key").try_into().unwrap()
}

fn verify() -> Software {
    Software { public_key: vector("public key").try_into().unwrap() }
}

fn sha512(bytes: &[u8]) -> [u8; 64] {
    let mut verify = verify();
    let mut hash = verify.begin();
    for piece in bytes.chunks(77) {
        verify.update(&mut hash, piece);
    }
    verify.finish(hash)
}

/// The image of the vector.
fn image() -> Image {
    let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * 7 % 256) as u8).collect();
    Image {
        board: BoardName::new("lora-e5").unwrap(),
        hardware_min: [0x01, 0x00],
        hardware_max: [0x01, 0xFF],
        version: [0x01, 0x14],
        len: 1000,
        sha512: sha512(&bytes),
    }
}

fn signed(image: &Image) -> Header {
    Header::new(image, sign(&private_key(), &image.signed_part()))
}

/// A device that takes the image of the vector.
fn device() -> Device {
    Device {
        board: BoardName::new("lora-e5").unwrap(),
        hardware: [0x01, 0x40],
        version: [0x01, 0x13],
        capacity: 1000,
    }
}

#[test]
fn the_update_of_another_library_is_ours() {
    assert_eq!(public_key(&private_key()), verify().public_key);
    let bytes = [vector("signed part"), vector("signature")].concat();
    assert_eq!(signed(&image()).to_bytes()[..], bytes);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.image(), image());
    assert_eq!(header.image().board.as_str(), "lora-e5");
    assert_eq!(header.check(&device(), &mut verify()), Ok(()));
}

#[test]
fn an_image_that_does_not_fit_is_refused_with_the_reason() {
    #[track_caller]
    fn check(change: impl Fn(&mut Image, &mut Device), wanted: Result<(), Refusal>) {
        let (mut image, mut device) = (image(), device());
        change(&mut image, &mut device);
        assert_eq!(signed(&image).check(&device, &mut verify()), wanted);
    }
    check(|_, _| {}, Ok(()));
    check(|image, _| image.board = BoardName::new("lora-e").unwrap(), Err(Refusal::Board));
    check(|_, device| device.board = BoardName::new("lora-e55").unwrap(), Err(Refusal::Board));
    check(|image, _| image.hardware_min = [0x01, 0x40], Ok(()));
    check(|image, _| image.hardware_min = [0x01, 0x41], Err(Refusal::HardwareRevision));
    check(|image, _| image.hardware_max = [0x01, 0x40], Ok(()));
    check(|image, _| image.hardware_max = [0x01, 0x3F], Err(Refusal::HardwareRevision));
    check(|_, device| device.hardware = [0x02, 0x10], Err(Refusal::HardwareRevision));
    check(|_, device| device.hardware = [0x00, 0xFF], Err(Refusal::HardwareRevision));
    check(|image, _| image.len = 0, Err(Refusal::Length));
    check(|image, _| image.len = 1001, Err(Refusal::Length));
    check(|image, _| image.len = u32::MAX, Err(Refusal::Length));
    check(|_, device| device.version = [0x01, 0x14], Err(Refusal::SameVersion));
    check(|_, device| device.version = [0x01, 0x15], Err(Refusal::Older));
    check(|_, device| device.version = [0x02, 0x00], Err(Refusal::Older));
    check(|_, device| device.version = [0x00, 0xFF], Ok(()));
}

#[test]
fn a_header_signed_with_another_key_is_refused() {
    let foreign = Header::new(&image(), sign(&[7; 32], &image().signed_part()));
    assert_eq!(foreign.check(&device(), &mut verify()), Err(Refusal::Signature));
    // Bytes that are no point of the curve make no signature right.
    for public_key in [[0xFF; 32], [2; 32]] {
        let refused = signed(&image()).check(&device(), &mut Software { public_key });
        assert_eq!(refused, Err(Refusal::Signature));
    }
}

#[test]
fn a_header_with_any_bit_changed_is_refused() {
    let good = signed(&image()).to_bytes();
    for bit in 0..HEADER_LEN * 8 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let taken = Header::parse(&bytes).and_then(|header| header.check(&device(), &mut verify()));
        assert!(taken.is_err(), "bit {bit}");
    }
}

#[test]
fn what_is_no_header_is_refused_as_such() {
    let good = signed(&image()).to_bytes();
    for len in 0..HEADER_LEN {
        assert_eq!(Header::parse(&good[..len]), Err(Refusal::Format), "{len} bytes");
    }
    assert!(Header::parse(&[&good[..], &[1, 2, 3]].concat()).is_ok(), "the image follows");
    for (at, value) in [(0, 0), (4, 2), (4, 0), (5, 1), (8, 0), (9, b' '), (16, b'x'), (23, 0x80)] {
        let mut bytes = good;
        bytes[at] = value;
        assert_eq!(Header::parse(&bytes), Err(Refusal::Format), "byte {at} = {value}");
    }
}

#[test]
fn a_board_name_has_1_to_16_characters() {
    for good in ["a", "lora-e5", "0123456789abcdef"] {
        assert_eq!(BoardName::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "0123456789abcdefg", "lora e5", "è", "a\0"] {
        assert_eq!(BoardName::new(bad), None, "{bad:?}");
    }
}

#[test]
fn every_refusal_has_its_code_and_a_sentence() {
    let codes: HashSet<u8> = Refusal::ALL.into_iter().map(Refusal::code).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
    for refusal in Refusal::ALL.into_iter().chain([Refusal::Offset { wanted: 4711 }]) {
        let wanted = if let Refusal::Offset { wanted } = refusal { wanted } else { 99 };
        assert_eq!(Refusal::from_code(refusal.code(), wanted), Some(refusal));
        assert!(refusal.to_string().len() > 15, "{refusal:?}");
        let row = format!("| {} | `{refusal:?}` |", refusal.code()).replace("Offset { wanted: 0 }", "Offset");
        assert!(matches!(refusal, Refusal::Offset { wanted: 1.. }) || PAGE.contains(&row), "{row}");
    }
    for code in [0, 15, 255] {
        assert_eq!(Refusal::from_code(code, 0), None);
    }
}

#[test]
fn sha_512_is_that_of_the_standard() {
    // FIPS 180-4's example of one block, as NIST publishes it: "abc".
    let abc = sha512(b"abc");
    assert_eq!(abc[..8], [0xDD, 0xAF, 0x35, 0xA1, 0x93, 0x61, 0x7A, 0xBA]);
    assert_eq!(abc[56..], [0x2A, 0x9A, 0xC9, 0x4F, 0xA5, 0x4C, 0xA4, 0x9F]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read_back(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        overlay in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if overlay {
            // As close to a header as chance does not come.
            for (to, from) in bytes.iter_mut().zip(&image().signed_part()[..24]) {
                *to = *from;
            }
        }
        if let Ok(header) = Header::parse(&bytes) {
            prop_assert_eq!(&header.to_bytes()[..], &bytes[..HEADER_LEN]);
            prop_assert_eq!(&header.image().signed_part()[..], &bytes[..SIGNED_LEN]);
            prop_assert!(header.check(&device(), &mut verify()).is_err());
        }
    }

    #[test]
    fn every_image_is_read_as_it_was_written(
        name in "[!-~]{1,16}",
        numbers in any::<[u8; 6]>(),
        len in any::<u32>(),
        fill in any::<u8>(),
        signature in any::<u8>(),
    ) {
        let [a, b, c, d, e, f] = numbers;
        let image = Image {
            board: BoardName::new(&name).unwrap(),
            hardware_min: [a, b],
            hardware_max: [c, d],
            version: [e, f],
            len,
            sha512: [fill; 64],
        };
        let header = Header::new(&image, [signature; 64]);
        prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
        prop_assert_eq!(header.image(), image);
    }
}
