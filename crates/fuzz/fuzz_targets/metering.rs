//! The BL0942's serial input, in chunks of any size: nothing panics, what is found has a right checksum, and
//! what becomes of it stays in its bounds. The first bytes as a stored correction are refused, or are that correction.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_metering::bl0942::{Assembler, Counts, PACKET_LEN, Packet, Progress};
use sockeye_metering::{Calibration, Correction, FrontEnd, Plausibility, TripCurve};

fuzz_target!(|data: &[u8]| {
    let mut calibration = Calibration::bl0942(FrontEnd::TYPICAL);
    let form = data.get(..Correction::STORED_LEN).unwrap_or(data);
    if let Ok(correction) = Correction::decode(form) {
        assert_eq!(correction.encode(), form);
        calibration.correct(&correction);
    }
    let [address, chunk, bytes @ ..] = data else { return };
    let address = address & 3;
    let chunk = usize::from(*chunk).max(1);
    let mut assembler = Assembler::new(address);
    let mut filter = Plausibility::new(16);
    let mut curve = TripCurve::new(16);
    curve.set_protection(Some(16));
    curve.set_alarm(Some(16));
    let mut now_ms = 0;
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = assembler.space();
        let count = space.len().min(rest.len()).min(chunk);
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        match assembler.take(count) {
            Progress::More => {}
            Progress::BadChecksum => assembler = Assembler::new(address),
            Progress::Complete(counts) => {
                assert_is_in(bytes, address, counts);
                now_ms += u64::from(counts.freq);
                let reading = calibration.reading(&counts, counts.cf_cnt);
                assert!(reading.power_factor_permille() <= 1000);
                if filter.check(now_ms, &reading).is_ok() {
                    curve.sample(now_ms, reading.fast_current_ma);
                }
                assembler = Assembler::new(address);
            }
        }
    }
});

fn assert_is_in(bytes: &[u8], address: u8, counts: Counts) {
    let found = bytes.windows(PACKET_LEN).any(|window| {
        let window = window.try_into().expect("a window has a packet's length");
        Packet::new(window, address).is_some_and(|packet| packet.counts() == counts)
    });
    assert!(found);
}
