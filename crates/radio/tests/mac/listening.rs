//! Listen before talk (MAC-TX-03): the chip is really in receive on the uplink's channel before it sends there.

use lora_modulation::SpreadingFactor;
use lorawan_device::async_device::radio::PhyRxTx;
use sockeye_lorawan_mac::{CarrierSense, Event, ListenBeforeTalk, Region};
use sockeye_network_server::{Config, Region as Plan};
use sockeye_radio::Error;
use sockeye_virtual_hardware::air::{Air, Modulation, StationId};
use sockeye_virtual_hardware::sx126x::{Fault, Mode, VirtualChip};

use crate::rig::Rig;
use crate::world::{World, uplink};

const KOREA: ListenBeforeTalk = ListenBeforeTalk { threshold_dbm: -65, for_ms: 6 };
const CHANNELS_HZ: [u32; 3] = [922_100_000, 922_300_000, 922_500_000];

/// A neighbour whose signal reaches the chip with this strength.
fn neighbour(world: &World, chip: &VirtualChip, rssi_dbm: i32) -> StationId {
    let mut air = world.medium.air();
    let station = air.add_station();
    air.set_path_loss_db(station, chip.station(), -rssi_dbm);
    station
}

/// Sends for `ms` at most, from `start_us` on, with 0 dBm.
fn occupy(air: &mut Air, station: StationId, start_us: u64, frequency_hz: u32, ms: u64) {
    let modulation = Modulation { iq_inverted: false, ..Modulation::downlink(frequency_hz, 12, 125_000) };
    let len = (0..=255).rev().find(|len| modulation.airtime_us(*len) <= ms * 1000).unwrap();
    air.transmit(start_us, station, modulation, 0, &vec![0; len]);
}

/// What a look at 922.1 MHz gives, and how long it takes in ms, while a neighbour sends on `frequency_hz` from
/// `after_us` on.
fn look(rssi_dbm: i32, frequency_hz: u32, after_us: u64) -> (Result<bool, Error>, u64) {
    let world = World::new();
    let (mut radio, chip) = world.device();
    let station = neighbour(&world, &chip, rssi_dbm);
    let (sim, medium) = (world.sim.clone(), world.medium.clone());
    world.run(10_000, async move {
        radio.tx(uplink(SpreadingFactor::_7), b"awake").await.unwrap();
        let start_us = sim.now_us();
        let task = sim.clone();
        sim.spawn(async move {
            task.sleep_us(after_us).await;
            occupy(&mut medium.air(), station, task.now_us(), frequency_hz, 1500);
        });
        sim.sleep_us(100).await;
        let clear = radio.is_clear(922_100_000, KOREA).await;
        (clear, (sim.now_us() - start_us) / 1000)
    })
}

#[test]
fn mac_tx_03_a_signal_from_the_threshold_on_makes_the_channel_busy() {
    for (rssi_dbm, frequency_hz, after_us, clear) in [
        (-65, 922_100_000, 0, false),
        (-40, 922_100_000, 0, false),
        (-66, 922_100_000, 0, true),
        (-120, 922_100_000, 0, true),
        // The next channel is another one.
        (-40, 922_300_000, 0, true),
        (-40, 921_900_000, 0, true),
        // It begins while the device listens.
        (-40, 922_100_000, 15_000, false),
        // It begins after that.
        (-40, 922_100_000, 60_000, true),
    ] {
        let (result, took_ms) = look(rssi_dbm, frequency_hz, after_us);
        assert_eq!(result, Ok(clear), "{rssi_dbm} dBm, {frequency_hz} Hz, {after_us} us");
        // The TCXO starts in 10 ms, and a clear channel is listened to for 6 ms.
        assert!((if clear { 17 } else { 0 }..25).contains(&took_ms), "{took_ms} ms");
    }
}

#[test]
fn mac_tx_03_a_chip_that_does_not_answer_is_an_error_in_bounded_time_and_works_afterwards() {
    for fault in [Fault::Hang, Fault::BusyStuck] {
        let world = World::new();
        let (mut radio, chip) = world.device();
        let sim = world.sim.clone();
        world.run(30_000, async move {
            radio.tx(uplink(SpreadingFactor::_7), b"awake").await.unwrap();
            chip.with(|model| model.inject(fault));
            let start_us = sim.now_us();
            let result = radio.is_clear(922_100_000, KOREA).await;
            assert!(matches!(result, Err(Error::Chip(_))), "{result:?}");
            assert!(sim.now_us() - start_us < 1_000_000);
            chip.with(|model| model.heal());
            assert_eq!(radio.is_clear(922_100_000, KOREA).await, Ok(true));
            radio.tx(uplink(SpreadingFactor::_7), b"alive").await.unwrap();
        });
    }
}

#[test]
fn mac_tx_03_a_dropped_look_leaves_a_radio_that_works() {
    for after_us in (0..25_000).step_by(700) {
        let world = World::new();
        let (mut radio, _chip) = world.device_with_dma();
        let (sim, gateway) = (world.sim.clone(), world.gateway.clone());
        world.run(30_000, async move {
            radio.tx(uplink(SpreadingFactor::_7), b"awake").await.unwrap();
            let look = radio.is_clear(922_100_000, KOREA);
            embassy_futures::select::select(look, sim.sleep_us(after_us)).await;
            radio.tx(uplink(SpreadingFactor::_7), b"alive").await.unwrap();
            sim.sleep_us(1000).await;
            let _ = gateway.try_receive();
            assert_eq!(&*gateway.try_receive().unwrap().transmission.payload, b"alive", "{after_us}");
            assert_eq!(radio.is_clear(922_100_000, KOREA).await, Ok(true));
        });
    }
}

/// A device that has joined in Korea. From `at_ms` on a neighbour 30 dB above the threshold holds `busy` channels for
/// some 9 s.
fn korea(at_ms: u64, busy: &[u32]) -> Rig {
    let rig = Rig::in_region(Region::Kr920, Config::for_region(Plan::Kr920), 1000);
    let stations: Vec<_> = busy.iter().map(|hz| (*hz, neighbour(&rig.world, &rig.chip, -35))).collect();
    let (sim, medium) = (rig.sim(), rig.world.medium.clone());
    rig.sim().spawn(async move {
        sim.sleep_until_us(at_ms * 1000).await;
        for (frequency_hz, station) in stations {
            occupy(&mut medium.air(), station, sim.now_us(), frequency_hz, 9_500);
        }
    });
    rig.run_ms(20_000);
    assert!(rig.dev_addr().is_some(), "did not join");
    rig
}

/// When and where the device's frames went out after `from_ms`; their bytes.
fn sent(rig: &Rig, from_ms: u64) -> Vec<(u64, u32, Vec<u8>)> {
    let log = rig.log.borrow();
    let places = log.events.iter().filter_map(|(at_ms, event)| match event {
        Event::UplinkSent { freq_hz, .. } if *at_ms > from_ms => Some((*at_ms, *freq_hz)),
        _ => None,
    });
    let frames = log.uplinks.iter().filter(|(end_us, _)| *end_us > from_ms * 1000);
    places.zip(frames).map(|((at_ms, hz), (_, phy))| (at_ms, hz, phy.clone())).collect()
}

#[test]
fn mac_tx_03_two_busy_channels_leave_the_third() {
    for free_hz in CHANNELS_HZ {
        let busy: Vec<_> = CHANNELS_HZ.into_iter().filter(|hz| *hz != free_hz).collect();
        let rig = korea(30_000, &busy);
        rig.run_until_us(31_000_000);
        rig.uplink(b"here", false);
        rig.run_ms(5_000);
        let sent = sent(&rig, 30_000);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].1, free_hz);
    }
}

#[test]
fn mac_tx_03_with_every_channel_busy_the_frame_waits_and_is_the_same() {
    let rig = korea(30_000, &CHANNELS_HZ);
    rig.run_until_us(31_000_000);
    rig.uplink(b"later", false);
    // It is looked for again and again, and RXC is open in between.
    let mut listens = 0;
    for _ in 0..7000 {
        rig.run_ms(1);
        listens += u32::from(rig.chip.with(|chip| chip.mode() == Mode::Rx));
    }
    assert_eq!(sent(&rig, 30_000), []);
    assert!(listens > 6000, "{listens} of 7000 ms in receive");
    rig.run_ms(12_000);
    let sent = sent(&rig, 30_000);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].0 > 39_000, "{} ms", sent[0].0);
    rig.check_counters();
}

#[test]
fn mac_tx_03_a_bus_that_reads_as_zeros_sends_nothing_and_recovers() {
    let rig = korea(30_000, &[]);
    rig.run_until_us(31_000_000);
    // The strength reads as 0 dBm, and everything else as nothing.
    rig.chip.with(|chip| chip.inject(Fault::ReadsAs(0)));
    rig.uplink(b"patient", false);
    rig.run_ms(2_500);
    assert_eq!(sent(&rig, 30_000), []);
    rig.chip.with(|chip| chip.heal());
    rig.run_ms(40_000);
    let once = sent(&rig, 30_000);
    assert!(once.len() == 1 && once[0].0 > 33_500, "{once:?}");
    rig.uplink(b"and well", false);
    rig.run_ms(40_000);
    assert_eq!(sent(&rig, 30_000).len(), 2);
    rig.check_counters();
}

#[test]
fn mac_tx_03_a_bus_that_reads_as_zeros_is_an_error_and_no_busy_channel() {
    let world = World::new();
    let (mut radio, chip) = world.device();
    world.run(30_000, async move {
        radio.tx(uplink(SpreadingFactor::_7), b"awake").await.unwrap();
        chip.with(|model| model.inject(Fault::ReadsAs(0)));
        // 0 dBm: nothing that the chip can hear is so strong. For a busy channel nobody would reset the chip.
        let result = radio.is_clear(922_100_000, KOREA).await;
        assert!(matches!(result, Err(Error::Nonsense(_))), "{result:?}");
        chip.with(|model| model.heal());
        assert_eq!(radio.is_clear(922_100_000, KOREA).await, Ok(true));
    });
}
