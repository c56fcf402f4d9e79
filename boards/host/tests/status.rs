//! What the live view is told of a socket.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::trace::Mark;
use sockeye_state_machine::UplinkKind;

#[test]
fn a_trip_is_marked_at_its_second_and_its_packet_waits_until_it_is_sent() {
    let mut bench = Bench::joined("");
    bench.act("load 1000W").run(60_000);
    assert_eq!(bench.world.status().waiting, []);
    bench.act("load 5000W");
    let mut waited = false;
    for _ in 0..40 {
        bench.run(50);
        waited |=
            bench.world.status().waiting.iter().any(|(kind, bytes)| *kind == UplinkKind::Alarm && *bytes > 0);
    }
    assert!(waited, "the alarm never waited");
    bench.run(30_000);
    let status = bench.world.status();
    assert_eq!(status.waiting, []);
    let trips: Vec<_> = status.recent.iter().filter(|second| second.mark == Some(Mark::Trip)).collect();
    assert_eq!(trips.len(), 1);
    assert!(trips[0].power_mw.unwrap() > 3_500_000, "{trips:?}");
    assert!((990_000..1_010_000).contains(&status.recent[status.recent.len() - 60].power_mw.unwrap()));
    assert_eq!(status.recent.last().unwrap().power_mw, Some(0));
}
