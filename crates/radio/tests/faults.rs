//! Each thing that can go wrong with the chip ends in bounded time, and the radio works afterwards.

mod world;

use embassy_futures::select::select;
use lora_modulation::SpreadingFactor::{_7, _9, _12};
use lora_phy::mod_params::RadioError;
use lorawan_device::async_device::radio::{PhyRxTx, RxStatus};
use sockeye_radio::{BUSY_LIMIT_MS, Counters, Error, LOOK_PERIOD_MS, MARGIN_MS};
use sockeye_virtual_hardware::sx126x::{Fault, VirtualChip};
use world::{FREQ_HZ, RX2_HZ, Radio, World, downlink, rxc, uplink, window};

/// Sends a frame, and hears one in RXC.
async fn works(world: &World, radio: &mut Radio) {
    // The gateway hears nothing while it sends.
    world.sim.sleep_us(1_000_000).await;
    while world.gateway.try_receive().is_some() {}
    radio.tx(uplink(_7), b"alive").await.expect("the next uplink is sent");
    radio.setup_rx(rxc(_7)).await.expect("the next receive opens");
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    world.sim.spawn(async move {
        sim.sleep_us(20_000).await;
        gateway.send(downlink(RX2_HZ, 7), 27, b"and well");
    });
    let mut buf = [0; 255];
    let (len, _) = radio.rx_continuous(&mut buf).await.expect("a frame is heard");
    assert_eq!(&buf[..len], b"and well");
    assert_eq!(&*world.gateway.try_receive().expect("heard").transmission.payload, b"alive");
}

/// Opens a window of SF9 with a frame in it while the chip has `fault`; gives what came of it, how long it
/// took in milliseconds, and the counters.
#[track_caller]
fn check_window(fault: Fault, frame: bool) -> (Result<Option<Vec<u8>>, Error>, u64, Counters) {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let inner =
        World { sim: world.sim.clone(), medium: world.medium.clone(), gateway: world.gateway.clone() };
    world.run(30_000, async move {
        radio.setup_rx(window(_9, 20)).await.expect("set up");
        chip.with(|model| model.inject(fault));
        let opened_us = sim.now_us();
        if frame {
            let sim = sim.clone();
            sim.clone().spawn(async move {
                sim.sleep_us(20_000).await;
                gateway.send(downlink(FREQ_HZ, 9), 27, b"a downlink");
            });
        }
        let mut buf = [0; 255];
        let result = match radio.rx_single(&mut buf).await {
            Ok(RxStatus::Rx(len, _)) => Ok(Some(buf[..len].to_vec())),
            Ok(RxStatus::RxTimeout) => Ok(None),
            Err(error) => Err(error),
        };
        let took_ms = (sim.now_us() - opened_us) / 1000;
        let counters = radio.counters();
        chip.with(|model| model.heal());
        works(&inner, &mut radio).await;
        (result, took_ms, counters)
    })
}

#[test]
fn a_header_error_ends_the_window_at_once() {
    let (result, took_ms, counters) = check_window(Fault::HeaderError, true);
    assert_eq!((result, counters.header_errors, counters.overdue), (Ok(None), 1, 0));
    assert!(took_ms < 120, "{took_ms} ms");
}

#[test]
fn a_preamble_and_a_time_out_read_together_end_the_window() {
    let (result, took_ms, counters) = check_window(Fault::PreambleWithTimeout, false);
    assert_eq!((result, counters.overdue), (Ok(None), 0));
    assert!(took_ms < 120, "{took_ms} ms");
}

#[test]
fn a_false_preamble_ends_the_window_after_the_longest_frame() {
    let (result, took_ms, counters) = check_window(Fault::FalsePreamble { at_us: 100_000 }, false);
    assert_eq!((result, counters.overdue), (Ok(None), 1));
    // 255 bytes at SF9 take 1.5 s.
    assert!((1500..2200).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn a_dead_interrupt_line_still_gives_the_frame_and_is_counted() {
    let (result, took_ms, counters) = check_window(Fault::Dio1Dead, true);
    assert_eq!((result, counters.missed_interrupts), (Ok(Some(b"a downlink".to_vec())), 1));
    assert!(took_ms < 2200, "{took_ms} ms");
}

#[test]
fn a_chip_that_hangs_in_a_window_is_an_error_and_is_reset() {
    let (result, took_ms, counters) = check_window(Fault::Hang, true);
    assert_eq!((result, counters.resets), (Err(Error::Chip(RadioError::Busy)), 1));
    assert!(took_ms <= u64::from(BUSY_LIMIT_MS) + 1, "{took_ms} ms");
}

#[test]
fn a_bus_that_reads_as_ones_is_an_error() {
    let (result, took_ms, _) = check_window(Fault::ReadsAs(0xFF), true);
    assert_eq!(result, Err(Error::Nonsense(0xFFFF)));
    assert!(took_ms < 2200, "{took_ms} ms");
}

#[test]
fn a_bus_that_reads_as_zeros_is_an_error() {
    let (result, took_ms, _) = check_window(Fault::ReadsAs(0), true);
    assert_eq!(result, Err(Error::Nonsense(0)));
    assert!(took_ms < 2200, "{took_ms} ms");
}

#[test]
fn nothing_that_a_broken_bus_reads_can_panic() {
    for byte in 0..=u8::MAX {
        for from_start in [true, false] {
            let world = World::new();
            let (mut radio, chip) = world.device();
            let sim = world.sim.clone();
            let inner = World {
                sim: world.sim.clone(),
                medium: world.medium.clone(),
                gateway: world.gateway.clone(),
            };
            world.run(120_000, async move {
                if !from_start {
                    radio.setup_rx(rxc(_7)).await.expect("set up");
                }
                chip.with(|model| model.inject(Fault::ReadsAs(byte)));
                // Twice: the second time begins with a reset. What comes of it is of no interest here.
                for _ in 0..2 {
                    radio.tx(uplink(_7), b"?").await.ok();
                    radio.setup_rx(window(_7, 0)).await.ok();
                    radio.rx_single(&mut [0; 255]).await.ok();
                    radio.setup_rx(rxc(_7)).await.ok();
                    inner.gateway.send(downlink(RX2_HZ, 7), 27, b"?");
                    select(radio.rx_continuous(&mut [0; 255]), sim.sleep_us(1_000_000)).await;
                }
                chip.with(|model| model.heal());
                works(&inner, &mut radio).await;
            });
        }
    }
}

/// Sends while the chip has `fault`; gives what came of it and how long it took in milliseconds.
#[track_caller]
fn check_tx(fault: Fault) -> (Result<u32, Error>, u64, Counters) {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let sim = world.sim.clone();
    let inner =
        World { sim: world.sim.clone(), medium: world.medium.clone(), gateway: world.gateway.clone() };
    world.run(30_000, async move {
        radio.low_power().await.expect("initialised");
        chip.with(|model| model.inject(fault));
        let begun_us = sim.now_us();
        let result = radio.tx(uplink(_12), &[1; 20]).await;
        let took_ms = (sim.now_us() - begun_us) / 1000;
        let counters = radio.counters();
        chip.with(|model| model.heal());
        works(&inner, &mut radio).await;
        (result, took_ms, counters)
    })
}

/// 20 bytes at SF12 with a CRC: 40.25 symbols of 32.768 ms.
const AIRTIME_MS: u64 = 1318;
/// The image calibration and the start of the TCXO come before the time-out begins to count.
const TCXO_MS: u64 = 14;

#[test]
fn a_transmission_without_tx_done_is_overdue() {
    let (result, took_ms, counters) = check_tx(Fault::NoTxDone);
    assert_eq!((result, counters.overdue, counters.sent), (Err(Error::Overdue), 1, 0));
    assert!((AIRTIME_MS..AIRTIME_MS + u64::from(MARGIN_MS) + TCXO_MS).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn a_transmission_whose_interrupt_is_lost_counts_as_sent() {
    let (result, took_ms, counters) = check_tx(Fault::Dio1Silent);
    assert_eq!((result, counters.sent, counters.missed_interrupts), (Ok(0), 1, 1));
    assert!(took_ms < AIRTIME_MS + u64::from(MARGIN_MS) + TCXO_MS, "{took_ms} ms");
}

#[test]
fn a_hanging_chip_fails_a_transmission_in_bounded_time() {
    let (result, took_ms, _) = check_tx(Fault::Hang);
    assert_eq!(result, Err(Error::Chip(RadioError::Busy)));
    assert!(took_ms <= u64::from(BUSY_LIMIT_MS) + 1, "{took_ms} ms");
}

#[test]
fn every_operation_on_a_chip_that_is_dead_for_good_fails_in_bounded_time() {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let sim = world.sim.clone();
    chip.with(|model| model.inject(Fault::BusyStuck));
    world.run(10_000, async move {
        for _ in 0..3 {
            let begun_us = sim.now_us();
            assert!(radio.tx(uplink(_7), b"?").await.is_err());
            assert!(radio.setup_rx(rxc(_7)).await.is_err());
            assert!(radio.rx_continuous(&mut [0; 255]).await.is_err());
            assert!(radio.setup_rx(window(_7, 0)).await.is_err());
            assert!(radio.rx_single(&mut [0; 255]).await.is_err());
            assert!(radio.low_power().await.is_err());
            assert!(sim.now_us() - begun_us < 2_000_000);
        }
    });
}

/// Listens in RXC while `act` happens to the chip, and gives the frame that comes first and the counters.
#[track_caller]
fn check_rxc(
    limit_ms: u64,
    act: impl FnOnce(&VirtualChip) + 'static,
    frames: &'static [&[u8]],
) -> (Vec<u8>, Counters) {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    world.run(limit_ms, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        act(&chip);
        let sim2 = sim.clone();
        sim.spawn(async move {
            sim2.sleep_us(50_000).await;
            for frame in frames {
                let sent = gateway.send(downlink(RX2_HZ, 7), 27, frame);
                sim2.sleep_until_us(sent.end_us + 2000).await;
            }
        });
        let mut buf = [0; 255];
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        (buf[..len].to_vec(), radio.counters())
    })
}

#[test]
fn a_header_error_in_rxc_does_not_close_it() {
    let act = |chip: &VirtualChip| chip.with(|model| model.inject(Fault::HeaderError));
    let (frame, counters) = check_rxc(1000, act, &[b"spoiled", b"good"]);
    assert_eq!((&*frame, counters.header_errors, counters.resets), (&b"good"[..], 1, 1));
}

#[test]
fn a_silent_interrupt_line_in_rxc_is_found_by_the_next_look() {
    let act = |chip: &VirtualChip| chip.with(|model| model.inject(Fault::Dio1Silent));
    let (frame, counters) = check_rxc(u64::from(LOOK_PERIOD_MS) + 1000, act, &[b"late"]);
    assert_eq!((&*frame, counters.missed_interrupts), (&b"late"[..], 1));
}

#[test]
fn setting_rxc_up_again_finds_a_silent_line_and_a_hang() {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let inner =
        World { sim: world.sim.clone(), medium: world.medium.clone(), gateway: world.gateway.clone() };
    world.run(10_000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        chip.with(|model| model.inject(Fault::Dio1Silent));
        sim.sleep_us(50_000).await;
        let mut buf = [0; 255];
        let sent = gateway.send(downlink(RX2_HZ, 7), 27, b"unheard");
        // The firmware has other work now and then, so that no single wait is long.
        while sim.now_us() < sent.end_us + 100_000 {
            embassy_futures::select::select(sim.sleep_us(10_000), radio.rx_continuous(&mut buf)).await;
        }
        radio.setup_rx(rxc(_7)).await.expect("set up again");
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        assert_eq!(&buf[..len], b"unheard");
        let Counters { missed_interrupts, resets, .. } = radio.counters();
        assert_eq!((missed_interrupts, resets), (1, 2));
        chip.with(|model| model.inject(Fault::Hang));
        assert_eq!(radio.setup_rx(rxc(_7)).await, Err(Error::Chip(RadioError::Busy)));
        works(&inner, &mut radio).await;
    });
}

#[test]
fn a_disturbed_frame_without_crc_is_handed_over_for_its_mic_to_fail() {
    let act = |chip: &VirtualChip| chip.with(|model| model.inject(Fault::CrcError));
    let (frame, counters) = check_rxc(1000, act, &[b"spoiled"]);
    assert_ne!(&*frame, b"spoiled");
    assert_eq!((frame.len(), counters.crc_errors), (7, 0));
}

#[test]
fn a_frame_with_a_wrong_crc_is_dropped() {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    let (frame, counters) = world.run(2000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        chip.with(|model| model.inject(Fault::CrcError));
        let sim2 = sim.clone();
        sim.spawn(async move {
            // As another device would send it with its IQ inverted.
            let mut modulation = downlink(RX2_HZ, 7);
            modulation.crc = true;
            sim2.sleep_us(50_000).await;
            let sent = gateway.send(modulation, 14, b"spoiled");
            sim2.sleep_until_us(sent.end_us + 2000).await;
            gateway.send(modulation, 14, b"good");
        });
        let mut buf = [0; 255];
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        (buf[..len].to_vec(), radio.counters())
    });
    assert_eq!((&*frame, counters.crc_errors, counters.received), (&b"good"[..], 1, 1));
}

#[test]
fn rxc_goes_on_after_its_chip_hung_without_being_set_up_again() {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    world.run(u64::from(LOOK_PERIOD_MS) + 5000, async move {
        radio.setup_rx(rxc(_7)).await.expect("set up");
        chip.with(|model| model.inject(Fault::Hang));
        let mut buf = [0; 255];
        // A hang is silent: the next look finds it.
        assert_eq!(radio.rx_continuous(&mut buf).await.err(), Some(Error::Chip(RadioError::Busy)));
        let sim2 = sim.clone();
        sim.spawn(async move {
            sim2.sleep_us(500_000).await;
            gateway.send(downlink(RX2_HZ, 7), 27, b"back");
        });
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        assert_eq!((&buf[..len], radio.counters().resets), (&b"back"[..], 2));
    });
}
