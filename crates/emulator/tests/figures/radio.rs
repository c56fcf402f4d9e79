//! When the receiver is open, and what it hears.

use embassy_futures::block_on;
use sockeye_host::report::Event;
use sockeye_network_server::{DataDown, MacRequest};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::air::Modulation;
use sockeye_virtual_hardware::st25dv::BusFault;
use sockeye_virtual_hardware::sx126x::{Fault, Mode};

use crate::bench::Bench;
use crate::image::Board;
use crate::on_both;
use crate::span::{Random, Span, runs};

/// The modes of the chip from now on.
fn keep_modes<B: Board>(bench: &Bench<B>) {
    bench.outside().radio.with(|chip| {
        chip.keep_modes();
        chip.take_modes();
    });
}

fn take_modes<B: Board>(bench: &Bench<B>) -> Vec<(u64, Mode)> {
    bench.outside().radio.with(|chip| chip.take_modes())
}

fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}

/// Sends so many reports, and looks when the receiver opens behind each.
fn windows<B: Board>(delay_s: u8, count: u64) {
    let mut bench = Bench::<B>::joined(1, "");
    let dev_eui = bench.world.dev_eui(0).unwrap();
    if delay_s != 1 {
        bench
            .world
            .with_server(|_, server| server.request(dev_eui, MacRequest::RxTimingSetup { delay_s }).unwrap());
        bench.act("downlink 85 ff28ff").run(60_000);
        let told = bench.world.with_server(|_, server| server.session(dev_eui).unwrap().rx1_delay_s);
        assert_eq!(told, delay_s);
    }
    bench.act("load 1000W");
    let mut random = Random::new(delay_s.into());
    keep_modes(&bench);
    let (mut rxc, mut rx1, mut late) = (Span::NONE, Span::NONE, 0_u64);
    while rx1.count < count {
        // An answer and a report, each an uplink with its windows.
        // At a random moment between two readings of the meter.
        bench.act("downlink 85 ff28ff").run(15_000 + random.below(200) + u64::from(delay_s) * 2_000);
        let modes = take_modes(&bench);
        for (at, _) in modes.iter().enumerate().filter(|(_, (_, mode))| *mode == Mode::Tx) {
            let Some((end_us, _)) = modes.get(at + 1).copied() else { continue };
            let due_us = end_us + u64::from(delay_s) * 1_000_000;
            let opened = |at_us: u64| at_us.cast_signed() - due_us.cast_signed();
            let after =
                modes.iter().skip(at + 1).filter(|(_, mode)| *mode == Mode::Rx).map(|(at_us, _)| *at_us);
            // A second uplink is never sent before the windows of the first.
            let Some(first_us) = after.clone().next() else { continue };
            let nearest =
                after.map(opened).min_by_key(|off_us| off_us.abs()).filter(|off_us| off_us.abs() < 500_000);
            let Some(nearest) = nearest else { continue };
            rxc.take((first_us - end_us).cast_signed());
            rx1.take(nearest);
            late += u64::from(nearest > 0);
        }
    }
    println!(
        "{}: RXC open {:.2} to {:.2} ms after the end of an uplink (at most 5); RX1 at RxDelay {delay_s} opens {:.2} to {:.2} ms \
         from its instant (at most 1 either way), {late} times after it; {} uplinks",
        B::NAME,
        ms(rxc.least),
        ms(rxc.most),
        ms(rx1.least),
        ms(rx1.most),
        rx1.count
    );
    assert!(rxc.most <= 5_000, "{rxc:?}");
    // A LoRa preamble lasts 3 ms at the fastest (SF7, 500 kHz), and 12 ms here: a window that misses its first millisecond hears the frame.
    assert!(rx1.most <= 1_000 && rx1.least >= -1_000, "{rx1:?}");
    // As a rule it is open before the instant: what holds it up is two tasks at the same moment.
    assert!(late * 100 <= rx1.count, "{late} of {} late", rx1.count);
    bench.is_clean("windows");
}

fn rxc_and_rx1_open_in_time_with_a_delay_of_1_s<B: Board>() {
    windows::<B>(1, runs(20));
}

fn rxc_and_rx1_open_in_time_with_a_delay_of_15_s<B: Board>() {
    windows::<B>(15, runs(20));
}

/// From a pulse of the tag to the look at it, in ms (`sockeye_nfc::Tag`).
const TAG_LOOKS_AFTER_MS: u64 = 50;

/// A look at the tag on a bus that fails begins just before RX1 is to open: the task that waits for the bus is the radio's
/// neighbour.
fn rx1_opens_in_time_while_the_bus_to_the_tag_fails<B: Board>() {
    let mut bench = Bench::<B>::joined(9, "");
    let mut random = Random::new(9);
    for fault in [BusFault::Stuck, BusFault::Hangs] {
        let mut rx1 = Span::NONE;
        while rx1.count < runs(4) {
            keep_modes(&bench);
            bench.act("downlink 85 ff28ff");
            let mut modes = Vec::new();
            let sent = loop {
                bench.run(1);
                modes.extend(take_modes(&bench));
                let sent = modes.windows(2).find(|pair| pair[0].1 == Mode::Tx);
                if let Some(sent) = sent {
                    break sent[1].0;
                }
            };
            let due_us = sent + 1_000_000;
            let pulse_ms = due_us / 1000 - TAG_LOOKS_AFTER_MS - random.below(5);
            bench.run(pulse_ms - bench.world.now_ms());
            let tag = bench.outside().tag.clone();
            tag.set_fault(fault);
            let pulses = tag.pulses();
            tag.with(|now_us, chip| {
                chip.set_field(true);
                chip.rf_write(now_us, 500, [0; 4]).unwrap();
                chip.set_field(false);
            });
            assert_ne!(tag.pulses(), pulses);
            bench.run(200);
            let opened = take_modes(&bench).into_iter().filter(|(_, mode)| *mode == Mode::Rx);
            let opened = opened.map(|(at_us, _)| at_us.cast_signed() - due_us.cast_signed());
            rx1.take(opened.min_by_key(|off_us| off_us.abs()).unwrap());
            tag.set_fault(BusFault::None);
            bench.run(25_000);
        }
        println!(
            "{}: bus to the tag {fault:?}: RX1 opens {:.2} to {:.2} ms from its instant; {} uplinks",
            B::NAME,
            ms(rx1.least),
            ms(rx1.most),
            rx1.count
        );
        assert!(rx1.most <= 1_000 && rx1.least >= -1_000, "{fault:?}: {rx1:?}");
    }
    bench.is_clean("windows");
}

/// Commands for this socket, ready to be sent one after the other; the first has the session's counter and `skip` more.
fn commands<B: Board>(bench: &mut Bench<B>, skip: u64, count: u64) -> (Modulation, Vec<Vec<u8>>) {
    let dev_eui = bench.world.dev_eui(0).unwrap();
    bench.world.with_server(|_, server| {
        let session = server.session(dev_eui).unwrap().clone();
        let rate = server.plan().downlink_rate(session.rx2_dr).unwrap();
        let frame = |n: u64| {
            let data = DataDown {
                dev_addr: session.dev_addr,
                fcnt: session.fcnt_down + u32::try_from(skip + n).unwrap(),
                data: Some((85, vec![0x08, u8::from(n % 2 == 1), 0, 0xFF])),
                ..DataDown::default()
            };
            data.encode(&session.keys).unwrap()
        };
        let modulation = Modulation::downlink(session.rx2_freq_hz, rate.0, rate.1);
        (modulation, (0..count).map(frame).collect())
    })
}

/// Lets the socket listen at SF7, so that many frames go into the time before its report.
fn listen_at_sf7<B: Board>(bench: &mut Bench<B>) {
    let dev_eui = bench.world.dev_eui(0).unwrap();
    let request = MacRequest::RxParamSetup { rx1_dr_offset: 0, rx2_dr: 5, freq_hz: 869_525_000 };
    bench.world.with_server(|_, server| server.request(dev_eui, request).unwrap());
    bench.act("downlink 85 ff28ff").run(30_000);
    let rx2_dr = bench.world.with_server(|_, server| server.session(dev_eui).unwrap().rx2_dr);
    assert_eq!(rx2_dr, 5);
}

/// Leaves a flash whose every page was in use, as after weeks, so that a page that is full costs an erase.
fn wear_in<B: Board>(bench: &mut Bench<B>) {
    bench.act("power off").run(5_000);
    let flash = bench.outside().flash.clone();
    let mut storage = Storage::new(flash.clone(), B::RECORDS);
    let erases = flash.counts().erases;
    for number in 0_u32.. {
        // No task: the first byte says so.
        let [a, b, c, d] = number.to_le_bytes();
        block_on(storage.store(RecordId::DelayTask, &[0, a, b, c, d])).unwrap();
        if flash.counts().erases > erases + 1 {
            break;
        }
    }
    block_on(storage.clear(RecordId::DelayTask)).unwrap();
    bench.act("power on").run(60_000);
}

/// Frames of a burst: they are over before the report of the first change, up to 2 s later, makes the receiver deaf.
const BURST: u64 = 20;

fn class_c_frames_2_ms_apart_are_all_heard_and_obeyed_within_10_ms<B: Board>() {
    let count = runs(120).next_multiple_of(BURST);
    let mut bench = Bench::<B>::joined(3, "");
    wear_in(&mut bench);
    listen_at_sf7(&mut bench);
    let erases = bench.outside().flash.counts().erases;
    let (mut sent, mut heard, mut received, mut latency) = (0, 0, 0, Span::NONE);
    for _ in 0..count / BURST {
        let (modulation, frames) = commands(&mut bench, sent, BURST);
        let (gateway, sim) = (bench.world.medium().gateway(), bench.world.sim().clone());
        let airtime_us = modulation.airtime_us(frames[0].len());
        let period_us = airtime_us + 2_000;
        let first_us = bench.now_us() + 5_000;
        let end_us = first_us + BURST * period_us + 20_000;
        sim.clone().spawn(async move {
            sim.sleep_until_us(first_us).await;
            for frame in frames {
                let sent = gateway.send(modulation, 27, &frame);
                sim.sleep_until_us(sent.end_us + 2_000).await;
            }
        });
        let packets_before = bench.outside().radio.packets();
        let mut set_us = bench.socket().relay_set_us();
        while bench.now_us() < end_us {
            bench.run(1);
            let now_set_us = bench.socket().relay_set_us();
            if now_set_us != set_us {
                set_us = now_set_us;
                heard += 1;
                // Behind the end of the last frame that was over then.
                let behind_us = (now_set_us.unwrap() - first_us - airtime_us) % period_us;
                latency.take(behind_us.cast_signed());
            }
        }
        received += u64::from(bench.outside().radio.packets().wrapping_sub(packets_before));
        sent += BURST;
        // The report goes out.
        bench.run(20_000);
    }
    let erases = bench.outside().flash.counts().erases - erases;
    println!(
        "{}: Class C frames 2 ms apart: {received} of {count} received, {heard} obeyed, {erases} erases of the flash meanwhile; \
         relay's pin {:.2} to {:.2} ms after a frame's end (at most 10)",
        B::NAME,
        ms(latency.least),
        ms(latency.most)
    );
    assert!(erases > 0, "no frame met an erase");
    assert_eq!((received, heard), (count, count));
    assert!(latency.most <= 10_000, "{latency:?}");
    bench.is_clean("class C");
}

/// Breaks the radio at a random moment, and sends it a command twice a second: tells when the first is obeyed.
fn heard_again<B: Board>(fault: impl Fn(u64) -> Fault, heals: bool, seed: u64) -> i64 {
    let mut random = Random::new(seed);
    let mut bench = Bench::<B>::joined(1 + seed % 50, "");
    // Sometimes in RXC for long, sometimes in an uplink or its windows.
    bench.run(random.below(3_000));
    if seed.is_multiple_of(2) {
        bench.act("downlink 85 ff28ff").run(random.below(5_000));
    }
    let what = fault(bench.now_us());
    bench.outside().radio.with(|chip| chip.inject(what));
    if heals {
        bench.run(60_000);
        bench.outside().radio.with(|chip| chip.heal());
    }
    bench.events.clear();
    let begun_us = bench.now_us();
    let (modulation, frames) = commands(&mut bench, 0, 60);
    let (gateway, sim) = (bench.world.medium().gateway(), bench.world.sim().clone());
    sim.clone().spawn(async move {
        for frame in frames {
            let sent = gateway.send(modulation, 27, &frame);
            sim.sleep_until_us(sent.end_us + 100_000).await;
        }
    });
    while bench.relays().next().is_none() {
        bench.run(10);
        assert!(bench.now_us() < begun_us + 60_000_000, "{what:?}, seed {seed}: not heard for a minute");
    }
    assert_eq!(bench.reboots(), 0, "{what:?}, seed {seed}: {:?}", bench.events);
    let faults: Vec<_> =
        bench.events.iter().filter(|(_, event)| matches!(event, Event::Error { .. })).collect();
    assert!(faults.is_empty(), "{what:?}, seed {seed}: {faults:?}");
    (bench.now_us() - begun_us).cast_signed()
}

fn a_radio_that_fails_in_whatever_way_is_heard_again_within_10_s<B: Board>() {
    type Make = fn(u64) -> Fault;
    let ways: [(&str, Make, bool); 9] = [
        ("a hang", |_| Fault::Hang, false),
        ("BUSY stuck for a minute", |_| Fault::BusyStuck, true),
        ("its bus dead for a minute", |_| Fault::ReadsAs(0), true),
        ("its interrupt line silent", |_| Fault::Dio1Silent, false),
        ("a header error", |_| Fault::HeaderError, false),
        ("a wrong CRC", |_| Fault::CrcError, false),
        ("no TxDone", |_| Fault::NoTxDone, false),
        ("preamble and time-out together", |_| Fault::PreambleWithTimeout, false),
        ("a false preamble", |now_us| Fault::FalsePreamble { at_us: now_us + 3_000 }, false),
    ];
    let count = runs(30).div_ceil(10);
    for (what, fault, heals) in ways {
        let mut span = Span::NONE;
        for seed in 1..=count {
            span.take(heard_again::<B>(fault, heals, seed));
        }
        println!(
            "{}: after {what}: a command obeyed {:.1} s later at most (10); {count} runs",
            B::NAME,
            ms(span.most) / 1000.0
        );
        assert!(span.most <= 10_000_000, "{what}: {span:?}");
    }
}

on_both! {
    rxc_and_rx1_open_in_time_with_a_delay_of_1_s
    rxc_and_rx1_open_in_time_with_a_delay_of_15_s
    rx1_opens_in_time_while_the_bus_to_the_tag_fails
    class_c_frames_2_ms_apart_are_all_heard_and_obeyed_within_10_ms
    a_radio_that_fails_in_whatever_way_is_heard_again_within_10_s
}
