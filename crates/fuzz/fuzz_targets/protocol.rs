//! Any bytes as an application payload, both ways: no panic, and what was read is written back as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_protocol::downlink::Commands;
use sockeye_protocol::uplink::Records;
use sockeye_protocol::{Error, MAX_RECORD, Report, split};

fuzz_target!(|bytes: &[u8]| {
    let mut out = [0; MAX_RECORD];

    for record in Records::new(bytes).flatten() {
        let len = record.encode(&mut out).expect("a record fits its longest form");
        assert_eq!(Records::new(&out[..len]).next(), Some(Ok(record)));
    }

    for command in Commands::new(bytes).flatten() {
        let len = command.encode(&mut out).expect("a command fits its longest form");
        assert_eq!(Commands::new(&out[..len]).next(), Some(Ok(command)));
        assert!(command.encode_answer(&mut out).is_ok());
    }

    if let Some(report) = Report::decode(bytes) {
        let mut again = [0; Report::LEN];
        report.encode(&mut again).expect("a report fits");
        let factor = report.power_factor_percent.min(100);
        assert_eq!(Report::decode(&again), Some(Report { power_factor_percent: factor, ..report }));
    }

    // The first byte is the size of a frame as well, so that the fuzzer finds the boundaries.
    if let Some((&max, payload)) = bytes.split_first() {
        match split(payload, max.into()) {
            Ok(pieces) => {
                let pieces: Vec<&[u8]> = pieces.collect();
                assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= max.into()));
                assert_eq!(pieces.concat(), payload);
            }
            Err(Error::RecordTooLong { len, max, .. }) => assert!(len > max),
            Err(Error::NotRecords(stop)) => {
                let mut records = Records::new(payload);
                let _ = records.by_ref().count();
                assert_eq!(records.stop(), Some(stop));
            }
            Err(error) => panic!("{error}"),
        }
    }
});
