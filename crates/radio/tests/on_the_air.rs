//! The radio over lora-phy and a modelled SX1262, against a gateway on the same air.

mod world;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lora_modulation::SpreadingFactor::{_7, _9, _12};
use lorawan_device::async_device::Timings;
use lorawan_device::async_device::radio::{PhyRxTx, RxStatus};
use sockeye_radio::{Error, LOOK_PERIOD_MS, WINDOW_LEAD_MS};
use sockeye_virtual_hardware::air::Modulation;
use world::{FREQ_HZ, RX2_HZ, World, downlink, rxc, uplink, window};

#[test]
fn an_uplink_arrives_as_it_was_sent_and_tx_ends_with_it() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let sim = world.sim.clone();
    let ended_us = world.run(1000, async move {
        assert_eq!(radio.tx(uplink(_9), b"an uplink").await, Ok(0));
        sim.now_us()
    });
    let heard = world.gateway.try_receive().expect("the gateway heard it");
    assert_eq!(&*heard.transmission.payload, b"an uplink");
    assert_eq!(heard.transmission.modulation, Modulation::uplink(FREQ_HZ, 9, 125_000));
    assert_eq!(heard.transmission.power_dbm, 14);
    assert_eq!(heard.transmission.end_us, ended_us);
}

#[test]
fn power_is_what_was_asked_for_or_the_nearest_below_that_can_be_set() {
    for (wish_dbm, power_dbm) in [(22, 22), (21, 20), (17, 17), (14, 14), (2, 2), (0, 0), (-3, -9), (-9, -9)]
    {
        let world = World::new();
        let (mut radio, _) = world.device();
        let mut config = uplink(_7);
        config.pw = wish_dbm;
        world.run(1000, async move { radio.tx(config, &[0; 12]).await }).expect("sent");
        let heard = world.gateway.try_receive().expect("heard");
        assert_eq!(heard.transmission.power_dbm, power_dbm, "{wish_dbm} dBm wished for");
    }
}

#[test]
fn a_window_hears_its_frame_with_its_quality() {
    for sf in [_7, _12] {
        let world = World::new();
        let (mut radio, chip) = world.device();
        world.medium.air().set_path_loss_db(world.gateway.station(), chip.station(), 134);
        let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
        let frame = world.run(5000, async move {
            radio.setup_rx(window(sf, 20)).await.expect("set up");
            let lead_us = u64::from(radio.get_rx_window_lead_time_ms()) * 1000;
            let opens_us = sim.now_us() + lead_us;
            let sim2 = sim.clone();
            let number = u8::try_from(sf.factor()).expect("small");
            sim.spawn(async move {
                sim2.sleep_until_us(opens_us + 10_000).await;
                gateway.send(downlink(FREQ_HZ, number), 27, &[0x60; 33]);
            });
            let mut buf = [0; 255];
            match radio.rx_single(&mut buf).await.expect("received") {
                RxStatus::Rx(len, quality) => (buf[..len].to_vec(), quality.rssi(), quality.snr()),
                RxStatus::RxTimeout => panic!("nothing heard"),
            }
        });
        assert_eq!((frame.0, frame.1), (vec![0x60; 33], -107));
        assert_eq!(frame.2, 10, "SNR over a noise of -117 dBm");
    }
}

#[test]
fn an_empty_window_closes_after_its_search() {
    // SF, extra milliseconds, and from when to when it should close, in milliseconds after opening.
    for (sf, extra_ms, from_ms, to_ms) in [(_7, 0, 12, 45), (_7, 400, 412, 480), (_12, 50, 450, 650)] {
        let world = World::new();
        let (mut radio, _) = world.device();
        let sim = world.sim.clone();
        let took_ms = world.run(2000, async move {
            radio.setup_rx(window(sf, extra_ms)).await.expect("set up");
            let opened_us = sim.now_us();
            assert!(matches!(radio.rx_single(&mut [0; 255]).await, Ok(RxStatus::RxTimeout)));
            (sim.now_us() - opened_us) / 1000
        });
        assert!((from_ms..=to_ms).contains(&took_ms), "{sf:?} with {extra_ms} ms took {took_ms} ms");
    }
}

#[test]
fn a_receive_that_opens_in_the_middle_of_a_preamble_hears_the_frame() {
    // SF12: the preamble with its sync word is 401 ms long, and some 164 ms of it are needed.
    for (late_ms, heard) in [(0, true), (150, true), (200, true), (300, false)] {
        let world = World::new();
        let (mut radio, _) = world.device();
        let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
        let frame = world.run(5000, async move {
            radio.setup_rx(window(_12, 0)).await.expect("set up");
            gateway.send(downlink(FREQ_HZ, 12), 27, &[7; 20]);
            sim.sleep_us(late_ms * 1000).await;
            radio.rx_single(&mut [0; 255]).await.expect("no error")
        });
        assert_eq!(matches!(frame, RxStatus::Rx(20, _)), heard, "{late_ms} ms late");
    }
}

#[test]
fn an_idle_rxc_waits_for_nothing_but_a_frame_and_the_next_look() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let sim = world.sim.clone();
    sim.spawn(async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        radio.rx_continuous(&mut [0; 255]).await.expect("received");
    });
    sim.run_until_us(1_000_000);
    let look_us = sim.next_timer_us().expect("a timer");
    let period_us = u64::from(LOOK_PERIOD_MS) * 1000;
    assert!((period_us..period_us + 100_000).contains(&look_us), "{look_us} µs");
    // Frames elsewhere do not concern it.
    for elsewhere in [downlink(RX2_HZ, 8), downlink(FREQ_HZ, 7), Modulation::uplink(RX2_HZ, 7, 125_000)] {
        let sent = world.gateway.send(elsewhere, 27, b"not here");
        sim.run_until_us(sent.end_us + 1000);
        assert_eq!(sim.next_timer_us(), Some(look_us));
    }
}

#[test]
fn a_frame_on_the_air_while_the_chip_is_looked_at_is_heard() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let sim2 = sim.clone();
    let heard = world.run(40_000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        let ready_us = sim.now_us();
        sim.spawn(async move {
            // The looks come at their period from then on, but for the time that a frame before has put them off.
            for n in 1..=5 {
                let sent = gateway.send(downlink(RX2_HZ, 7), 27, &[n; 100]);
                sim2.sleep_until_us(sent.end_us + u64::from(LOOK_PERIOD_MS) * 1000 - 80_000).await;
            }
        });
        let mut heard = 0;
        let mut buf = [0; 255];
        while heard < 5 {
            let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
            heard += 1;
            assert_eq!((len, buf[0]), (100, heard), "{} us", sim.now_us() - ready_us);
        }
        heard
    });
    assert_eq!(heard, 5);
}

#[test]
fn class_c_frames_two_milliseconds_apart_are_all_heard() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let heard = world.run(20_000, async move {
        radio.setup_rx(rxc(_9)).await.expect("set up");
        let sim2 = sim.clone();
        sim.spawn(async move {
            for number in 0..20 {
                let sent = gateway.send(downlink(RX2_HZ, 9), 27, &[number; 24]);
                sim2.sleep_until_us(sent.end_us + 2000).await;
            }
        });
        let mut heard = Vec::new();
        let mut buf = [0; 255];
        while heard.len() < 20 {
            let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
            assert_eq!(buf[..len], [buf[0]; 24]);
            heard.push(buf[0]);
        }
        heard
    });
    assert_eq!(heard, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_receive_that_is_dropped_again_and_again_loses_nothing_and_repeats_nothing() {
    for step_us in [97, 1013, 31_337] {
        let world = World::new();
        let (mut radio, _) = world.device();
        let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
        let heard = world.run(60_000, async move {
            radio.setup_rx(rxc(_7)).await.expect("set up");
            let sim2 = sim.clone();
            let sent = Rc::new(Cell::new(false));
            let all_sent = sent.clone();
            sim.spawn(async move {
                for number in 0..50 {
                    let sent = gateway.send(downlink(RX2_HZ, 7), 27, &[number; 16]);
                    sim2.sleep_until_us(sent.end_us + 2000 + u64::from(number) * 11).await;
                }
                all_sent.set(true);
            });
            let mut heard = Vec::new();
            let mut buf = [0; 255];
            while !sent.get() {
                let tick = sim.sleep_us(step_us);
                match embassy_futures::select::select(tick, radio.rx_continuous(&mut buf)).await {
                    embassy_futures::select::Either::First(()) => {}
                    embassy_futures::select::Either::Second(frame) => {
                        frame.expect("received");
                        heard.push(buf[0]);
                    }
                }
            }
            assert_eq!(radio.counters().resets, 1);
            heard
        });
        assert_eq!(heard, (0..50).collect::<Vec<_>>(), "dropped every {step_us} µs");
    }
}

#[test]
fn a_frame_that_lands_as_the_radio_leaves_to_send_comes_from_the_next_continuous_receive() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let log = Rc::new(RefCell::new(Vec::new()));
    let into = log.clone();
    world.run(5000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        let landing = gateway.send(downlink(RX2_HZ, 7), 27, b"switch off");
        // The firmware gets its wake-up in the same instant as the frame ends, and sends.
        sim.sleep_until_us(landing.end_us).await;
        sim.sleep_us(1).await;
        radio.tx(uplink(_7), b"report").await.expect("sent");
        radio.setup_rx(window(_7, 10)).await.expect("set up");
        let mut buf = [0; 255];
        let answer = radio.rx_single(&mut buf).await.expect("no error");
        into.borrow_mut().push(matches!(answer, RxStatus::RxTimeout));
        radio.setup_rx(rxc(_7)).await.expect("set up");
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        into.borrow_mut().push(&buf[..len] == b"switch off");
    });
    assert_eq!(*log.borrow(), [true, true], "RX1 stays empty, and RXC gives the frame");
    assert_eq!(&*world.gateway.try_receive().expect("the report").transmission.payload, b"report");
}

#[test]
fn a_frame_that_lands_in_a_window_nobody_waits_for_is_dropped() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let (answered, dropped) = world.run(5000, async move {
        radio.setup_rx(window(_9, 10)).await.expect("set up");
        let sent = gateway.send(downlink(FREQ_HZ, 9), 27, b"an old RX1 answer");
        let waiting = radio.rx_single(&mut [0; 255]).await;
        let first = matches!(waiting, Ok(RxStatus::Rx(17, _)));
        assert!(first && sent.end_us <= sim.now_us());
        // The same once more, but the receive is dropped before the frame ends.
        radio.setup_rx(window(_9, 10)).await.expect("set up");
        let sent = gateway.send(downlink(FREQ_HZ, 9), 27, b"an old RX1 answer");
        let mut buf = [0; 255];
        embassy_futures::select::select(sim.sleep_us(20_000), radio.rx_single(&mut buf)).await;
        sim.sleep_until_us(sent.end_us + 1000).await;
        radio.setup_rx(window(_9, 10)).await.expect("set up");
        let answered = matches!(radio.rx_single(&mut buf).await, Ok(RxStatus::Rx(..)));
        (answered, radio.counters().dropped)
    });
    assert_eq!((answered, dropped), (false, 1));
}

#[test]
fn a_window_that_is_dropped_while_its_frame_comes_is_gone_on_with() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let answer = world.run(5000, async move {
        radio.setup_rx(window(_9, 10)).await.expect("set up");
        gateway.send(downlink(FREQ_HZ, 9), 27, b"answer");
        let mut buf = [0; 255];
        // Not before the chip is in the receive: a drop amid the commands means a reset.
        for part_us in [15_000, 5000, 5000, 5000, 5000] {
            embassy_futures::select::select(sim.sleep_us(part_us), radio.rx_single(&mut buf)).await;
        }
        match radio.rx_single(&mut buf).await.expect("no error") {
            RxStatus::Rx(len, _) => buf[..len].to_vec(),
            RxStatus::RxTimeout => Vec::new(),
        }
    });
    assert_eq!(answer, b"answer");
}

#[test]
fn a_device_hears_neither_other_devices_nor_other_spreading_factors() {
    let world = World::new();
    let (mut listener, _) = world.device();
    let (mut talker, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let (first, from_us) = world.run(20_000, async move {
        let mut config = rxc(_7);
        config.rf.frequency = FREQ_HZ;
        listener.setup_rx(config).await.expect("set up");
        talker.tx(uplink(_7), b"not for you").await.expect("sent");
        let wrong_sf = gateway.send(downlink(FREQ_HZ, 8), 27, b"not for you");
        sim.sleep_until_us(wrong_sf.end_us).await;
        let wrong_place = gateway.send(downlink(RX2_HZ, 7), 27, b"not for you");
        sim.sleep_until_us(wrong_place.end_us).await;
        let from_us = sim.now_us();
        gateway.send(downlink(FREQ_HZ, 7), 27, b"for you");
        let mut buf = [0; 255];
        let (len, _) = listener.rx_continuous(&mut buf).await.expect("received");
        (buf[..len].to_vec(), from_us)
    });
    assert_eq!(first, b"for you");
    assert!(world.sim.now_us() > from_us);
}

#[test]
fn a_frame_longer_than_the_buffer_is_dropped_and_the_next_is_heard() {
    let world = World::new();
    let (mut radio, _) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let (len, counters) = world.run(5000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        let sim2 = sim.clone();
        sim.spawn(async move {
            let sent = gateway.send(downlink(RX2_HZ, 7), 27, &[1; 65]);
            sim2.sleep_until_us(sent.end_us + 2000).await;
            gateway.send(downlink(RX2_HZ, 7), 27, &[2; 64]);
        });
        let (len, _) = radio.rx_continuous(&mut [0; 64]).await.expect("received");
        (len, radio.counters())
    });
    assert_eq!((len, counters.dropped, counters.received), (64, 1, 1));
}

#[test]
fn wrong_use_is_told_and_touches_nothing() {
    let world = World::new();
    let (mut radio, _) = world.device();
    world.run(1000, async move {
        assert_eq!(radio.tx(uplink(_7), &[0; 256]).await, Err(Error::FrameTooLong(256)));
        assert_eq!(radio.rx_continuous(&mut [0; 255]).await.err(), Some(Error::NotSetUp));
        assert!(matches!(radio.rx_single(&mut [0; 255]).await, Err(Error::NotSetUp)));
        radio.setup_rx(rxc(_7)).await.expect("set up");
        assert!(matches!(radio.rx_single(&mut [0; 255]).await, Err(Error::NotSetUp)));
        assert_eq!(radio.counters().resets, 1);
        assert_eq!(radio.get_rx_window_lead_time_ms(), WINDOW_LEAD_MS);
    });
}
