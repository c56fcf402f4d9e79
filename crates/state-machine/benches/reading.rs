//! What a reading costs when nothing comes of it: the socket takes ten of them a second.
//!
//! Method: readings of 1 A, 100 ms apart in the socket's time, handed in one after the other; the mean of the
//! best of five rounds of a million.

use std::hint::black_box;
use std::time::Instant;

use sockeye_metering::Reading;
use sockeye_settings::{Identity, Key, Model, Region, Settings};
use sockeye_state_machine::{Boot, Effects, Event, ResetCause, Socket, StoreItem};

const READINGS: u32 = 1_000_000;

fn main() {
    let identity = Identity {
        sn: [1; 8],
        dev_eui: [2; 8],
        model: Model::Eu,
        app_key: Key::new([3; 16]),
        hardware_version: [1, 0x40],
    };
    let boot = Boot {
        settings: Settings::default_for(Region::Eu868, &identity),
        identity,
        software_version: [1, 0],
        relay_was_on: true,
        relay_kept: None,
        energy_uwh: 0,
        delay_task: None,
        cause: ResetCause::PowerOn,
        session_stored: true,
        seed: 1,
    };
    let mut effects = Effects::new();
    let mut socket = Socket::new(0, boot, &mut effects);
    let reading = Reading {
        voltage_mv: 230_000,
        current_ma: 1_000,
        power_mw: 230_000,
        energy_uwh: 6_389,
        fast_current_ma: 1_000,
    };
    let mut now_ms = 0;
    let mut made = 0;
    let mut best_ns = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..READINGS {
            now_ms += 100;
            effects.clear();
            socket.handle(now_ms, Event::Reading(black_box(reading)), &mut effects);
            if !effects.is_empty() {
                made += effects.len();
                socket.handle(
                    now_ms,
                    Event::Stored { item: StoreItem::Energy, number: socket.store_number(StoreItem::Energy) },
                    &mut effects,
                );
            }
        }
        best_ns = best_ns.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(READINGS));
    }
    println!(
        "state-machine: {best_ns:.1} ns a reading (best of 5 rounds of {READINGS}; {made} effects on the way)"
    );
    println!(
        "state-machine: Socket {} bytes, Effects {} bytes, Outbox {} bytes",
        size_of::<Socket>(),
        size_of::<Effects>(),
        size_of::<sockeye_state_machine::Outbox>()
    );
}
