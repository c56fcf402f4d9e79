//! The agent: the rules of docs/D2D.md one by one, and as laws over random histories.
#![allow(missing_docs, reason = "tests")]

mod laws;
mod rules;

use sockeye_d2d_agent::{Agent, FrameBytes, Keys, Message};
use sockeye_settings::{Action, D2d, D2dCommand, Key};

pub const KEY: [u8; 16] = [0x2A; 16];
pub const ON: u16 = 0x1510;
pub const OFF: u16 = 0x1511;
pub const TOGGLE: u16 = 0xFFFF;
pub const UNKNOWN: u16 = 0x1015;

/// An agent's settings with three commands.
pub fn settings(key: [u8; 16]) -> D2d {
    let mut settings = D2d { enabled: true, key: Key::new(key), ..D2d::default() };
    for (code, action) in [(ON, Action::On), (OFF, Action::Off), (TOGGLE, Action::Toggle)] {
        settings.commands.push(D2dCommand { code, action }).unwrap();
    }
    settings
}

pub fn agent() -> Agent {
    Agent::new(settings(KEY), None)
}

pub fn frame(sender: u32, counter: u32, command: u16) -> FrameBytes {
    Message { sender, counter, command }.seal(&Keys::new(&KEY), &[]).unwrap()
}
