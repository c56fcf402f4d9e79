//! A chip that answers from a script.

extern crate std;

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{ErrorType, Operation, SpiDevice};
use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::{Config, Sx1262};
use lorawan_device::async_device::radio::{PhyRxTx, RfConfig, RxConfig, RxMode, RxStatus, TxConfig};

use crate::bus::Bus;
use crate::chip::{HEADER_ERROR, PREAMBLE_DETECTED, Program, RX_DONE, TIMEOUT, TX_DONE};
use crate::{Error, Sx126xRadio, sx126x};

/// What the chip reports next, and what it was told.
#[derive(Default)]
struct Script {
    /// Interrupts, one read each.
    says: RefCell<VecDeque<u16>>,
    /// The interrupt line stays high when the script is over.
    line_stuck: bool,
    /// The script has nothing more to say: delays are over.
    idle: Cell<bool>,
    /// The length of each packet.
    len: u8,
    /// How often it was told to receive.
    opened: Cell<u32>,
    /// How often it was told to send.
    sent: Cell<u32>,
}

impl Script {
    fn goes_on(&self, says: &[u16]) {
        self.says.borrow_mut().extend(says);
        self.idle.set(false);
    }
}

#[derive(Clone)]
struct Scripted(Rc<Script>);

impl DelayNs for Scripted {
    async fn delay_ns(&mut self, _: u32) {
        core::future::poll_fn(|_| if self.0.idle.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl ErrorType for Scripted {
    type Error = Infallible;
}

impl SpiDevice<u8> for Scripted {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        let [Operation::Write(command), tail] = operations else { panic!("{operations:?}") };
        let script = &*self.0;
        match (command[0], tail) {
            (0x12, Operation::Read(answer)) => {
                let [high, low] = script.says.borrow_mut().pop_front().unwrap_or(0).to_be_bytes();
                answer.copy_from_slice(&[0, high, low]);
            }
            (0x13, Operation::Read(answer)) => answer.copy_from_slice(&[0, script.len, 0]),
            (0x1E, Operation::Read(answer)) => answer.fill(script.len),
            (_, Operation::Read(answer)) => answer.fill(0),
            (0x82, _) => script.opened.set(script.opened.get() + 1),
            (0x83, _) => script.sent.set(script.sent.get() + 1),
            _ => {}
        }
        Ok(())
    }
}

impl InterfaceVariant for Scripted {
    async fn reset(&mut self, _: &mut impl DelayNs) -> Result<(), RadioError> {
        Ok(())
    }
    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn await_irq(&mut self) -> Result<(), RadioError> {
        if self.0.says.borrow().is_empty() && !self.0.line_stuck {
            self.0.idle.set(true);
            // The radio's timer is asked before the line: let it look again.
            core::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        }
        Ok(())
    }
    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
}

/// BUSY that never goes low.
struct Busy;

impl InterfaceVariant for Busy {
    async fn reset(&mut self, _: &mut impl DelayNs) -> Result<(), RadioError> {
        Ok(())
    }
    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        core::future::pending().await
    }
    async fn await_irq(&mut self) -> Result<(), RadioError> {
        Err(RadioError::DIO1)
    }
    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
}

type Radio = Sx126xRadio<Scripted, Scripted, Sx1262, Scripted>;

fn scripted(says: &[u16], line_stuck: bool, len: u8) -> (Radio, Rc<Script>) {
    let config = Config { chip: Sx1262, tcxo_ctrl: None, use_dcdc: false, rx_boost: false };
    let says = RefCell::new(says.iter().copied().collect());
    let script = Rc::new(Script { says, line_stuck, len, ..Script::default() });
    let part = Scripted(script.clone());
    (sx126x(part.clone(), part.clone(), config, part), script)
}

const RF: RfConfig = RfConfig {
    frequency: 868_100_000,
    bb: BaseBandModulationParams::new(SpreadingFactor::_7, Bandwidth::_125KHz, CodingRate::_4_5),
};
const WINDOW: RxConfig = RxConfig { rf: RF, mode: RxMode::Single { ms: 10 } };
const RXC: RxConfig = RxConfig { rf: RF, mode: RxMode::Continuous };

/// Polls twice: the timer is due in the second poll if the script was over in the first.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..8 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("no end")
}

#[test]
fn a_window_always_ends() {
    const HEARD: Option<usize> = Some(5);
    type Row = (&'static str, &'static [u16], Result<Option<usize>, Error>);
    let table: &[Row] = &[
        ("a frame", &[PREAMBLE_DETECTED, PREAMBLE_DETECTED, RX_DONE], Ok(HEARD)),
        ("no frame", &[TIMEOUT], Ok(None)),
        ("a header error after a preamble", &[PREAMBLE_DETECTED, HEADER_ERROR], Ok(None)),
        ("a header error and a preamble in one", &[PREAMBLE_DETECTED | HEADER_ERROR], Ok(None)),
        ("silence after a preamble", &[PREAMBLE_DETECTED, 0], Ok(None)),
        ("a preamble and a time-out in one", &[PREAMBLE_DETECTED | TIMEOUT], Ok(None)),
        ("a spurious interrupt before a frame", &[0, RX_DONE], Ok(HEARD)),
        ("nothing at all", &[], Ok(None)),
        ("a line that is stuck", &[0; 20], Err(Error::Nonsense(0))),
    ];
    for (name, says, expected) in table {
        let (mut radio, _) = scripted(says, false, 5);
        let result = run(async {
            radio.setup_rx(WINDOW).await?;
            radio.rx_single(&mut [0; 255]).await
        });
        let result = result.map(|status| match status {
            RxStatus::Rx(len, _) => Some(len),
            RxStatus::RxTimeout => None,
        });
        assert_eq!(result, *expected, "{name}");
    }
}

#[test]
fn a_stuck_interrupt_line_is_an_error_in_every_operation() {
    for says in [&[][..], &[PREAMBLE_DETECTED, 0]] {
        let (mut radio, _) = scripted(says, true, 5);
        assert_eq!(run(radio.setup_rx(RXC)), Ok(()));
        assert_eq!(run(radio.rx_continuous(&mut [0; 255])).err(), Some(Error::Nonsense(0)));
    }
    let (mut radio, _) = scripted(&[], true, 5);
    assert_eq!(run(radio.tx(TxConfig { pw: 14, rf: RF }, b"x")), Err(Error::Nonsense(0)));
    assert_eq!(run(radio.setup_rx(WINDOW)), Ok(()));
    assert!(matches!(run(radio.rx_single(&mut [0; 255])), Err(Error::Nonsense(0))));
}

#[test]
fn rxc_is_opened_once_for_many_frames() {
    let (mut radio, script) = scripted(&[RX_DONE; 5], false, 9);
    run(radio.setup_rx(RXC)).expect("set up");
    for _ in 0..5 {
        assert_eq!(run(radio.rx_continuous(&mut [0; 255])).map(|(len, _)| len), Ok(9));
    }
    assert_eq!(script.opened.get(), 1);
    assert_eq!(radio.counters().resets, 1);
}

#[test]
fn a_stale_done_is_no_answer_to_the_window_that_opens_next() {
    // The receive is dropped, and the look while leaving it finds the frame.
    let (mut radio, script) = scripted(&[], false, 7);
    run(radio.setup_rx(WINDOW)).expect("set up");
    {
        let mut buf = [0; 255];
        let mut dropped = pin!(radio.rx_single(&mut buf));
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    script.goes_on(&[RX_DONE]);
    run(radio.setup_rx(WINDOW)).expect("set up");
    assert!(matches!(run(radio.rx_single(&mut [0; 255])), Ok(RxStatus::RxTimeout)));
    assert_eq!(radio.counters().dropped, 1);
}

#[test]
fn a_length_that_does_not_fit_drops_the_frame_only() {
    let (mut radio, _) = scripted(&[RX_DONE, RX_DONE], false, 200);
    run(radio.setup_rx(RXC)).expect("set up");
    let small = &mut [0; 10];
    {
        let mut waiting = pin!(radio.rx_continuous(small));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!((radio.counters().dropped, radio.counters().received), (2, 0));
}

#[test]
fn a_transmission_that_the_chip_times_out_is_an_error() {
    let (mut radio, script) = scripted(&[TIMEOUT], false, 0);
    let result = run(radio.tx(TxConfig { pw: 14, rf: RF }, b"x"));
    assert_eq!(result, Err(Error::Chip(RadioError::TransmitTimeout)));
    assert_eq!(script.sent.get(), 1);
    // The next operation starts from a reset.
    script.goes_on(&[TX_DONE]);
    assert_eq!(run(radio.tx(TxConfig { pw: 14, rf: RF }, b"x")), Ok(0));
    assert_eq!(radio.counters().resets, 2);
}

#[test]
fn a_bandwidth_that_lorawan_does_not_have_is_an_error_and_nothing_is_sent() {
    let wide = BaseBandModulationParams::new(SpreadingFactor::_7, Bandwidth::_250KHz, CodingRate::_4_5);
    let narrow = BaseBandModulationParams::new(SpreadingFactor::_7, Bandwidth::_62KHz, CodingRate::_4_5);
    for (frequency, bb, error) in [
        (399_000_000, wide, RadioError::InvalidBandwidthForFrequency),
        (868_100_000, narrow, RadioError::UnavailableBandwidth),
    ] {
        let (mut radio, script) = scripted(&[], false, 0);
        let result = run(radio.tx(TxConfig { pw: 14, rf: RfConfig { frequency, bb } }, b"x"));
        assert_eq!((result, script.sent.get()), (Err(Error::Chip(error)), 0));
    }
}

#[test]
fn a_wait_for_busy_that_never_ends_is_an_error() {
    let part = Scripted(Rc::default());
    let mut bus = Bus { spi: part.clone(), lines: Busy, delay: part.clone() };
    let raced = run(select(bus.ready(), async {}));
    assert!(matches!(raced, Either::Second(())), "it waits as long as it may");
    part.0.idle.set(true);
    assert_eq!(run(bus.ready()), Err(RadioError::Busy));
    let mut program = Program::new();
    program.stand_by();
    assert_eq!(run(bus.perform(&program, &[], &mut [], &mut [0; 4])), Err(RadioError::Busy));
}
