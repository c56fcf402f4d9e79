//! Every future dropped at every await, with an SPI that leaves chip select low when it is dropped.

mod world;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use lora_modulation::SpreadingFactor::{_7, _8};
use lorawan_device::async_device::radio::{PhyRxTx, RxStatus};
use sockeye_virtual_hardware::air::{Gateway, Modulation};
use sockeye_virtual_hardware::sim::Sim;
use world::{FREQ_HZ, RX2_HZ, Radio, World, downlink, rxc, uplink, window};

/// Polls a future at most `polls` times, and drops it then; tells whether it ended.
async fn at_most(polls: u32, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            // The dropping happens within the poll that is one too many, so that the next one is due at once.
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// After whatever happened: sends, answers a window, and hears RXC.
async fn works(gateway: &Gateway, ear: &Gateway, sim: &Sim, radio: &mut Radio) {
    let send_later = |frequency_hz, payload: &'static [u8]| {
        let (gateway, sim2) = (gateway.clone(), sim.clone());
        sim.spawn(async move {
            sim2.sleep_us(15_000).await;
            gateway.send(downlink(frequency_hz, 7), 27, payload);
        });
    };
    let mut buf = [0; 255];
    while ear.try_receive().is_some() {}
    // Another spreading factor than before: a command that is lost shows.
    radio.tx(uplink(_8), b"alive").await.expect("sent");
    let heard = ear.receive().await.transmission;
    assert_eq!(heard.modulation, Modulation::uplink(FREQ_HZ, 8, 125_000));
    assert_eq!(&*heard.payload, b"alive");
    radio.setup_rx(window(_7, 20)).await.expect("set up");
    send_later(FREQ_HZ, b"answer");
    match radio.rx_single(&mut buf).await.expect("no error") {
        RxStatus::Rx(len, _) => assert_eq!(&buf[..len], b"answer"),
        RxStatus::RxTimeout => panic!("the answer is not heard"),
    }
    radio.setup_rx(rxc(_7)).await.expect("set up");
    send_later(RX2_HZ, b"command");
    loop {
        let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
        // What the dropped future was about to hear may come first.
        if &buf[..len] == b"command" {
            return;
        }
        assert_eq!(&buf[..len], b"before");
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Transmit,
    SetUpWindow,
    SetUpRxc,
    Window,
    Rxc,
    LowPower,
}

/// Drops `operation` after `polls` polls, lets `later_us` pass, and checks that the radio works; tells
/// whether the operation had ended by itself.
fn check(operation: Operation, polls: u32, later_us: u64) -> bool {
    let world = World::new();
    let (mut radio, _) = world.device_with_dma();
    let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
    // A gateway is deaf while it sends: this one only listens.
    let ear = world.medium.gateway();
    world.run(20_000, async move {
        let mut buf = [0; 255];
        let frequency_hz = match operation {
            Operation::Window => {
                radio.setup_rx(window(_7, 20)).await.expect("set up");
                FREQ_HZ
            }
            Operation::Rxc => {
                radio.setup_rx(rxc(_7)).await.expect("set up");
                RX2_HZ
            }
            _ => RX2_HZ,
        };
        let (gateway2, sim2) = (gateway.clone(), sim.clone());
        sim.spawn(async move {
            sim2.sleep_us(12_000).await;
            gateway2.send(downlink(frequency_hz, 7), 27, b"before");
        });
        let ended = match operation {
            Operation::Transmit => at_most(polls, radio.tx(uplink(_7), b"first")).await,
            Operation::SetUpWindow => at_most(polls, radio.setup_rx(window(_7, 20))).await,
            Operation::SetUpRxc => at_most(polls, radio.setup_rx(rxc(_7))).await,
            Operation::Window => at_most(polls, radio.rx_single(&mut buf)).await,
            Operation::Rxc => at_most(polls, radio.rx_continuous(&mut buf)).await,
            Operation::LowPower => at_most(polls, radio.low_power()).await,
        };
        sim.sleep_us(later_us).await;
        works(&gateway, &ear, &sim, &mut radio).await;
        ended
    })
}

/// Drops an operation after one poll, after two, and so on until it ends; tells after how many.
fn check_all(operation: Operation, least: u32) {
    for later_us in [0, 100_000] {
        let ends_after = (1..2000).find(|polls| check(operation, *polls, later_us));
        let polls = ends_after.unwrap_or_else(|| panic!("{operation:?} never ends"));
        assert!(polls >= least, "{operation:?} has no more than {polls} awaits: is it dropped at each?");
    }
}

#[test]
fn a_transmission_may_be_dropped_at_any_await() {
    check_all(Operation::Transmit, 90);
}

#[test]
fn setting_up_a_window_may_be_dropped_at_any_await() {
    check_all(Operation::SetUpWindow, 70);
}

#[test]
fn setting_up_rxc_may_be_dropped_at_any_await() {
    check_all(Operation::SetUpRxc, 80);
}

#[test]
fn a_window_may_be_dropped_at_any_await() {
    check_all(Operation::Window, 20);
}

#[test]
fn rxc_may_be_dropped_at_any_await() {
    check_all(Operation::Rxc, 15);
}

#[test]
fn going_to_standby_may_be_dropped_at_any_await() {
    check_all(Operation::LowPower, 40);
}

#[test]
fn leaving_rxc_may_be_dropped_at_any_await_and_rxc_goes_on() {
    for polls in 1..40 {
        let world = World::new();
        let (mut radio, _) = world.device_with_dma();
        let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
        world.run(1000, async move {
            radio.setup_rx(rxc(_7)).await.expect("set up");
            at_most(polls, radio.low_power()).await;
            let sim2 = sim.clone();
            sim.spawn(async move {
                // Long enough for a reset.
                sim2.sleep_us(100_000).await;
                gateway.send(downlink(RX2_HZ, 7), 27, b"heard");
            });
            let mut buf = [0; 255];
            let (len, _) = radio.rx_continuous(&mut buf).await.expect("received");
            assert_eq!(&buf[..len], b"heard", "dropped after {polls} polls");
        });
    }
}

#[test]
fn a_frame_in_rxc_is_heard_exactly_once_wherever_its_receive_is_dropped() {
    for polls in 1..60 {
        let world = World::new();
        let (mut radio, _) = world.device_with_dma();
        let (gateway, sim) = (world.gateway.clone(), world.sim.clone());
        let heard = world.run(20_000, async move {
            radio.setup_rx(rxc(_7)).await.expect("set up");
            let sim2 = sim.clone();
            let second_us = Rc::new(Cell::new(u64::MAX));
            let second_us2 = second_us.clone();
            sim.spawn(async move {
                sim2.sleep_us(12_000).await;
                let sent = gateway.send(downlink(RX2_HZ, 7), 27, b"1");
                sim2.sleep_until_us(sent.end_us + 50_000).await;
                second_us2.set(sim2.now_us());
                gateway.send(downlink(RX2_HZ, 7), 27, b"2");
            });
            let mut heard = Vec::new();
            let mut buf = [0; 255];
            let mut result = None;
            let first = async { result = Some(radio.rx_continuous(&mut buf).await) };
            at_most(polls, first).await;
            if result.is_some() {
                heard.push(buf[0]);
            }
            while heard.last() != Some(&b'2') {
                radio.rx_continuous(&mut buf).await.expect("received");
                heard.push(buf[0]);
                assert!(buf[0] == b'2' || sim.now_us() < second_us.get(), "late");
            }
            heard
        });
        assert_eq!(heard, b"12", "dropped after {polls} polls");
    }
}
