//! The tables of docs/D2D.md: test vectors that another library made, and times on air.
#![allow(missing_docs, reason = "tests")]

use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use sockeye_d2d_agent::{BURST, Frame, Keys, MAX_FRAME, MIN_FRAME, Message, PERIOD_MS, Refusal, VERSION};
use sockeye_lorawan_mac::{Key, aes};

const PAGE: &str = include_str!("../../../docs/D2D.md");

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

fn key(hex: &str) -> [u8; 16] {
    bytes(hex).try_into().unwrap()
}

#[test]
fn the_frames_of_another_library_are_ours() {
    let keys: Vec<[u8; 16]> = table("| D2D key | cipher key |").iter().map(|row| key(&row[0])).collect();
    assert_eq!(keys[0], *b"Ur@LinkLoRa2018#");
    let rows = table("| key | sender |");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let [name, sender, counter, command, fields, frame] = &row[..] else { panic!("{row:?}") };
        let keys = Keys::new(&keys[usize::from(name == "second")]);
        let message = Message {
            sender: u32::from_str_radix(sender, 16).unwrap(),
            counter: counter.parse().unwrap(),
            command: u16::from_str_radix(command, 16).unwrap(),
        };
        let fields = if fields == "none" { vec![] } else { bytes(fields) };
        let frame = bytes(frame);
        assert_eq!(message.seal(&keys, &fields).unwrap()[..], frame, "{row:?}");
        assert_eq!(Frame::parse(&frame).unwrap().open(&keys), Ok(message), "{row:?}");
    }
}

#[test]
fn the_keys_are_those_of_another_library() {
    for row in table("| D2D key | cipher key |") {
        let derived = |purpose| {
            let label = [&[0xE0, VERSION, purpose], &b"sockeye d2d\0\0"[..]].concat();
            let block = aes::encrypt_block(&Key(key(&row[0])), label.try_into().unwrap());
            block.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!([derived(1), derived(2)], row[1..3]);
        assert_eq!(derived(3)[..8], row[3]);
    }
}

#[test]
fn the_times_on_air_are_those_of_the_page() {
    let factors = [
        SpreadingFactor::_7,
        SpreadingFactor::_8,
        SpreadingFactor::_9,
        SpreadingFactor::_10,
        SpreadingFactor::_11,
        SpreadingFactor::_12,
    ];
    // The crate counts a CRC of two bytes, which a downlink has not.
    let airtime_ms = |sf, len: usize| {
        let modulation = BaseBandModulationParams::new(sf, Bandwidth::_125KHz, CodingRate::_4_5);
        let us = modulation.time_on_air_us(Some(8), true, u8::try_from(len - 2).unwrap());
        ((us + 500) / 1000).to_string()
    };
    let rows = table("| | SF7 |");
    for (row, len) in rows.iter().zip([MIN_FRAME, MAX_FRAME]) {
        assert!(row[0].contains(&format!("{len} bytes")), "{row:?}");
        assert_eq!(row[1..], factors.map(|sf| airtime_ms(sf, len)));
    }
}

#[test]
fn the_page_names_the_bounds_and_every_reason() {
    let period = format!("{BURST} at once, then one a minute");
    assert!(PAGE.contains(&period) && PERIOD_MS == 60_000);
    // The requirement for a plain command.
    const { assert!(MIN_FRAME <= 24) };
    for refusal in Refusal::ALL {
        assert_eq!(refusal.to_string(), refusal.name());
        let short = refusal.name().strip_prefix("d2d: ").unwrap();
        let named = match refusal {
            Refusal::Malformed => "not the shape of a frame",
            Refusal::Version => "another version",
            Refusal::TooManySenders => "no room: 16 senders are known",
            _ => short,
        };
        assert!(PAGE.contains(named), "{named}");
    }
}
