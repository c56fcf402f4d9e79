//! What the world may do to a socket, in any order and at any instant.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use proptest::prelude::*;
use sockeye_host::report::Event;

/// Script lines that a run may meet, some of them of no use to anybody.
fn stimulus() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("press".to_owned()),
        1 => (1_u64..15_000).prop_map(|ms| format!("hold {ms}ms")),
        3 => (0_u32..6_000, 1_u32..=1_000).prop_map(|(watts, pf)| format!("load {watts}W pf {}.{:03}", pf / 1000, pf % 1000)),
        1 => (1_u32..1_000, 0_u64..5_000).prop_map(|(factor, ms)| format!("inrush {factor}x {ms}ms")),
        1 => (0_u32..=1_000).prop_map(|volts| format!("voltage {volts}V")),
        2 => any::<bool>().prop_map(|on| format!("gateway {}", if on { "on" } else { "off" })),
        4 => any::<bool>().prop_map(|on| format!("power {}", if on { "on" } else { "off" })),
        4 => downlink(),
    ]
}

/// Short enough for every data rate: the network's queue would wait for a better one, and all behind it.
fn downlink() -> impl Strategy<Value = String> {
    let payload = prop_oneof![
        Just("080100ff".to_owned()),
        Just("080000ff".to_owned()),
        Just("ff10ff".to_owned()),
        Just("ff2cff".to_owned()),
        Just("ff03100e".to_owned()),
        Just("ff22000a0011".to_owned()),
        Just("ff240105ff300105".to_owned()),
        proptest::collection::vec(any::<u8>(), 1..45).prop_map(|bytes| bench::hex(&bytes)),
    ];
    (prop_oneof![9 => Just(85_u8), 1 => 1_u8..=223], payload, any::<bool>()).prop_map(
        |(port, payload, confirmed)| {
            format!("downlink {port} {payload}{}", if confirmed { " confirmed" } else { "" })
        },
    )
}

/// Instants that fall together often: the relay, the button, the mains and the radio all at once.
fn script() -> impl Strategy<Value = String> {
    let at_ms = prop_oneof![0_u64..900_000, (0_u64..900).prop_map(|s| s * 1000), 34_000_u64..60_000];
    proptest::collection::vec((at_ms, stimulus()), 1..40).prop_map(|lines| {
        lines.iter().map(|(at_ms, stimulus)| format!("at {at_ms}ms {stimulus}\n")).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_device_neither_hangs_nor_repeats_a_counter_and_obeys_afterwards(
        script in script(),
        seed in 1_u64..1_000,
    ) {
        let options = format!("--seed {seed} --model AU");
        let calm = "at 1000s power on\nat 1000s gateway on\nat 1000s voltage 230V\nat 1000s load 0W\n";
        let mut bench = Bench::script(&options, &format!("{script}{calm}"), 2_000_000);
        let again = Bench::script(&options, &format!("{script}{calm}"), 2_000_000);
        prop_assert_eq!(&bench.events, &again.events, "not the same run twice");
        prop_assert_eq!(bench.world.watchdog_resets(), 0);
        prop_assert!(bench.events.is_sorted_by_key(|(t_ms, _)| *t_ms));
        counters_are_used_once(&bench)?;
        nothing_without_mains(&bench)?;

        // In peace it is there, and does what it is told.
        for (payload, on) in [("080000ff", false), ("080100ff", true), ("080000ff", false)] {
            bench.act(&format!("downlink 85 {payload} confirmed")).run(120_000);
            prop_assert_eq!(bench.world.status().relay_on, on, "after {}", payload);
        }
    }
}

/// Design rule 4, as the air shows it: a frame counter comes once in a session, a DevNonce once ever.
fn counters_are_used_once(bench: &Bench) -> Result<(), TestCaseError> {
    let (mut nonces, mut frames) = (Vec::new(), std::collections::HashMap::new());
    for (_, event) in &bench.events {
        match event {
            Event::JoinRequest { dev_nonce, .. } => {
                prop_assert!(!nonces.contains(dev_nonce), "DevNonce {dev_nonce} twice");
                nonces.push(*dev_nonce);
                // The session of before may go on until a join-accept comes.
            }
            Event::Joined { .. } => frames.clear(),
            Event::Uplink { fcnt, payload, port, .. } => {
                let sent = frames.entry(*fcnt).or_insert_with(|| (*port, payload.clone()));
                prop_assert_eq!((sent.0, &sent.1), (*port, payload), "FCntUp {} with another payload", fcnt);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Once the capacitor is empty nothing happens until the mains is back.
fn nothing_without_mains(bench: &Bench) -> Result<(), TestCaseError> {
    let mut gone_ms = None;
    for (t_ms, event) in &bench.events {
        match event {
            Event::Power { on } => gone_ms = (!on).then_some(*t_ms),
            // Errors of a stimulus are the script's.
            Event::Error { what } if what.starts_with("downlink:") => {}
            event => {
                let dead = gone_ms.is_some_and(|gone_ms| *t_ms > gone_ms + 2_000);
                prop_assert!(!dead, "at {t_ms} without mains: {event:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_socket_without_mains_is_shown_dark_and_its_sums_stay() {
    let mut bench = Bench::joined("");
    bench.act("load 1000W").run(120_000);
    let before = bench.world.status();
    assert!(before.relay_on && before.led_on && before.dev_addr.is_some() && before.energy_uwh > 0);
    bench.act("power off").run(1_900);
    assert!(bench.world.status().relay_on, "the capacitor still feeds it");
    bench.run(200);
    let status = bench.world.status();
    assert!(!status.relay_on && !status.led_on && !status.mains_on);
    assert_eq!((status.reading, status.dev_addr), (None, None));
    assert!(bench.world.summary().energy_uwh >= before.energy_uwh);
    bench.act("power on").run(60_000);
    let status = bench.world.status();
    assert!(status.relay_on && status.led_on && status.reading.is_some());
    assert_eq!(status.dev_addr, before.dev_addr);
}

#[test]
fn a_socket_that_was_off_is_still_off_after_a_reset_to_factory_defaults() {
    let mut bench = Bench::joined("");
    bench.act("press").run(5_000).forget().act("hold 11s").run(60_000);
    assert!(matches!(bench.relay()[..], [(_, false, "power_up")]), "{:?}", bench.relay());
}
