//! Measures how many records a second one core decodes to typed values.
//!
//! Method: 200 MB of payloads are decoded from a buffer of mixed uplinks (basic information, report, answers) and of
//! mixed downlinks (every command), each payload through the public iterator, each value through `black_box`. The best
//! of five rounds counts, since other work on the machine can only make a round slower.

use std::hint::black_box;
use std::time::Instant;

use sockeye_protocol::downlink::Commands;
use sockeye_protocol::uplink::Records;

const UPLINKS: [&str; 4] = [
    "ff0bff ff0101 ff166148b13783621055 ff090140 ff0a0114 ff0f02 ff24010a ff30010a ff250080 ff2601",
    "087001 058129 07c91200 0374f508 068305000000 048001000000",
    "fe03b004 fe22003c0011 fe2300ff fe250a80",
    "ff3fff",
];

const DOWNLINKS: [&str; 3] = [
    "080100ff ff03b004 ff22003c0011 ff2300ff ff24010a ff30010a",
    "ff250080 ff2601 ff27ff ff28ff ff2cff ff2f00 ff10ff",
    "080000ff",
];

const ROUNDS: usize = 5;
const BYTES_A_ROUND: usize = 40_000_000;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Returns the best rate in records a second.
fn measure(payloads: &[Vec<u8>], decode: impl Fn(&[u8]) -> u64) -> f64 {
    let repeats = BYTES_A_ROUND / payloads.iter().map(Vec::len).sum::<usize>();
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut records = 0;
        for _ in 0..repeats {
            for payload in payloads {
                records += decode(black_box(payload));
            }
        }
        best = best.max(records as f64 / start.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    let up: Vec<Vec<u8>> = UPLINKS.iter().map(|text| hex(text)).collect();
    let down: Vec<Vec<u8>> = DOWNLINKS.iter().map(|text| hex(text)).collect();
    let up =
        measure(&up, |payload| Records::new(payload).map(black_box).filter(Result::is_ok).count() as u64);
    let down =
        measure(&down, |payload| Commands::new(payload).map(black_box).filter(Result::is_ok).count() as u64);
    println!("protocol decode, typed values, one core, best of {ROUNDS} rounds of {BYTES_A_ROUND} bytes:");
    println!("  uplinks:   {:.1} million records/s", up / 1e6);
    println!("  downlinks: {:.1} million records/s", down / 1e6);
}
