//! Any bytes as a stored table and as D2D frames, some of them under the right key: no panic, and no sender and
//! counter obeyed twice.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use sockeye_d2d_agent::{Agent, Frame, Keys, MAX_RECORD, Message};
use sockeye_settings::{Action, D2d, D2dCommand, Key};

const KEY: [u8; 16] = *b"Ur@LinkLoRa2018#";

fuzz_target!(|bytes: &[u8]| {
    let mut settings = D2d { enabled: true, key: Key::new(KEY), ..D2d::default() };
    for (code, action) in [(0x1510, Action::On), (0x1511, Action::Off)] {
        settings.commands.push(D2dCommand { code, action }).expect("there is room for 16");
    }
    let keys = Keys::new(&KEY);
    // The first byte says how much of the rest is a stored table; what follows is a row of frames, each behind its
    // length. A length above 127 asks for a genuine frame of what follows.
    let Some((&len, rest)) = bytes.split_first() else { return };
    let (record, mut rest) = rest.split_at(usize::from(len).min(rest.len()));
    let mut agent = Agent::new(settings.clone(), Some(record));
    let mut obeyed = HashSet::new();
    let mut now_ms = 0;
    while let Some((&len, tail)) = rest.split_first() {
        let (given, tail) = tail.split_at(usize::from(len & 0x7F).min(tail.len()));
        rest = tail;
        now_ms += 1000;
        let made = match given {
            [sender, counter, a, b, fields @ ..] if len > 0x7F => {
                let message = Message {
                    sender: u32::from(*sender),
                    counter: u32::from(*counter),
                    command: u16::from_be_bytes([*a, *b]),
                };
                message.seal(&keys, fields).ok()
            }
            _ => None,
        };
        let frame = made.as_ref().map_or(given, |frame| frame.as_slice());
        let Ok(order) = agent.hear(now_ms, frame) else { continue };
        let message = Frame::parse(frame).and_then(|frame| frame.open(&keys)).expect("it was obeyed");
        assert!(obeyed.insert((message.sender, message.counter)), "{message:?} twice");
        assert!(order.record().len() <= MAX_RECORD);
        // The power goes each time: what is stored is all that the agent knows.
        agent = Agent::new(settings.clone(), Some(order.record()));
    }
});
