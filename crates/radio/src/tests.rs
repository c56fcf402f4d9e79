//! A scripted chip without a tap, and transcripts of the wrappers.

use core::cell::Cell;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use embedded_hal_mock::eh1::spi::{Mock, Transaction};
use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use lora_phy::RxMode as ChipRxMode;
use lora_phy::mod_params::{ModulationParams, PacketParams, PacketStatus, RadioError, RadioMode};
use lora_phy::mod_traits::{InterfaceVariant, IrqState, RadioKind};
use lora_phy::sx126x::{Config, Sx126x, Sx1262};
use lorawan_device::async_device::radio::{PhyRxTx, RfConfig, RxConfig, RxMode, RxStatus, TxConfig};
use sockeye_lorawan_mac::ListenBeforeTalk;

use crate::tap::{HEADER_ERROR, RX_DONE};
use crate::{Amplifier, Bounded, Error, IrqFlags, Radio, Tap};

extern crate std;
use std::boxed::Box;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

/// Runs a future whose waits are all over at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("still waiting"),
    }
}

fn flags() -> &'static IrqFlags {
    Box::leak(Box::new(IrqFlags::new()))
}

/// A delay that is over when the script has nothing more to say, which `idle` tells.
#[derive(Clone)]
struct ScriptedDelay {
    idle: Rc<Cell<bool>>,
}

impl DelayNs for ScriptedDelay {
    async fn delay_ns(&mut self, _: u32) {
        core::future::poll_fn(|_| if self.idle.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// What lora-phy makes of the next interrupt.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    Preamble,
    Done,
    Timeout,
}

/// A driver that answers from a script and notes what it was told to do.
struct Scripted {
    inner: Sx126x<NoSpi, NoLines, Sx1262>,
    says: VecDeque<Says>,
    /// The interrupt line stays high when the script is over.
    line_stuck: bool,
    idle: Rc<Cell<bool>>,
    did: Rc<Cell<[u32; 3]>>,
    len: u8,
}

const STANDBY: usize = 0;
const OPENED: usize = 1;
const SENT: usize = 2;

impl Scripted {
    fn did(&self, what: usize) {
        let mut counts = self.did.get();
        counts[what] += 1;
        self.did.set(counts);
    }
}

struct NoSpi;
impl embedded_hal_async::spi::ErrorType for NoSpi {
    type Error = core::convert::Infallible;
}
impl SpiDevice<u8> for NoSpi {
    async fn transaction(
        &mut self,
        _: &mut [embedded_hal_async::spi::Operation<'_, u8>],
    ) -> Result<(), Self::Error> {
        unreachable!("only its parameters are asked for")
    }
}

struct NoLines;
impl InterfaceVariant for NoLines {
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

impl RadioKind for Scripted {
    async fn init_lora(&mut self, is_public_network: bool) -> Result<(), RadioError> {
        assert!(is_public_network, "the public sync word");
        Ok(())
    }
    fn create_modulation_params(
        &self,
        sf: SpreadingFactor,
        bw: Bandwidth,
        cr: CodingRate,
        hz: u32,
    ) -> Result<ModulationParams, RadioError> {
        self.inner.create_modulation_params(sf, bw, cr, hz)
    }
    fn create_packet_params(
        &self,
        preamble: u16,
        implicit: bool,
        len: u8,
        crc: bool,
        inverted: bool,
        modulation: &ModulationParams,
    ) -> Result<PacketParams, RadioError> {
        assert_eq!((preamble, implicit), (8, false));
        assert_ne!(crc, inverted, "a CRC in uplinks, inverted IQ in downlinks");
        self.inner.create_packet_params(preamble, implicit, len, crc, inverted, modulation)
    }
    async fn reset(&mut self, _: &mut impl DelayNs) -> Result<(), RadioError> {
        Ok(())
    }
    async fn ensure_ready(&mut self, _: RadioMode) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_standby(&mut self) -> Result<(), RadioError> {
        self.did(STANDBY);
        Ok(())
    }
    async fn set_sleep(&mut self, _: bool, _: &mut impl DelayNs) -> Result<(), RadioError> {
        panic!("a mains socket does not let its radio sleep")
    }
    async fn set_tx_rx_buffer_base_address(&mut self, _: usize, _: usize) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_tx_power_and_ramp_time(
        &mut self,
        _: i32,
        _: Option<&ModulationParams>,
        _: bool,
    ) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_modulation_params(&mut self, _: &ModulationParams) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_packet_params(&mut self, _: &PacketParams) -> Result<(), RadioError> {
        Ok(())
    }
    async fn calibrate_image(&mut self, _: u32) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_channel(&mut self, _: u32) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_payload(&mut self, _: &[u8]) -> Result<(), RadioError> {
        Ok(())
    }
    async fn do_tx(&mut self) -> Result<(), RadioError> {
        self.did(SENT);
        Ok(())
    }
    async fn do_rx(&mut self, _: ChipRxMode) -> Result<(), RadioError> {
        self.did(OPENED);
        Ok(())
    }
    async fn get_rx_payload(&mut self, _: &PacketParams, into: &mut [u8]) -> Result<u8, RadioError> {
        match into.get_mut(..usize::from(self.len)) {
            Some(payload) => payload.fill(self.len),
            None => return Err(RadioError::PayloadSizeMismatch(self.len.into(), into.len())),
        }
        Ok(self.len)
    }
    async fn get_rx_packet_status(&mut self) -> Result<PacketStatus, RadioError> {
        Ok(PacketStatus { rssi: i16::MIN, snr: i16::MAX })
    }
    async fn do_cad(&mut self, _: &ModulationParams) -> Result<(), RadioError> {
        panic!("not used")
    }
    async fn set_irq_params(&mut self, _: Option<RadioMode>) -> Result<(), RadioError> {
        Ok(())
    }
    async fn set_tx_continuous_wave_mode(&mut self) -> Result<(), RadioError> {
        panic!("not used")
    }
    async fn await_irq(&mut self) -> Result<(), RadioError> {
        if self.says.is_empty() && !self.line_stuck {
            self.idle.set(true);
            // The radio's timer is asked before the line: let it look again.
            core::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        }
        Ok(())
    }
    async fn process_irq_event(
        &mut self,
        mode: RadioMode,
        _: Option<&mut bool>,
        clear: bool,
    ) -> Result<Option<IrqState>, RadioError> {
        assert!(clear, "flags that are not cleared come again");
        match (self.says.pop_front().unwrap_or(Says::Nothing), mode) {
            (Says::Nothing, _) => Ok(None),
            (Says::Preamble, _) => Ok(Some(IrqState::PreambleReceived)),
            (Says::Done, _) => Ok(Some(IrqState::Done)),
            (Says::Timeout, RadioMode::Transmit) => Err(RadioError::TransmitTimeout),
            (Says::Timeout, _) => Err(RadioError::ReceiveTimeout),
        }
    }
}

fn scripted(
    says: &[Says],
    line_stuck: bool,
    len: u8,
) -> (Radio<Scripted, ScriptedDelay>, Rc<Cell<[u32; 3]>>) {
    let config = Config { chip: Sx1262, tcxo_ctrl: None, use_dcdc: false, rx_boost: false };
    let (idle, did) = (Rc::new(Cell::new(false)), Rc::default());
    let inner = Sx126x::new(NoSpi, NoLines, config);
    let says = says.iter().copied().collect();
    let kind = Scripted { inner, says, line_stuck, idle: idle.clone(), did: Rc::clone(&did), len };
    (Radio::new(kind, ScriptedDelay { idle }, Amplifier::High, flags()), did)
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
fn without_a_tap_no_channel_is_called_clear() {
    let (mut radio, _) = scripted(&[], false, 5);
    let listen = ListenBeforeTalk { threshold_dbm: -65, for_ms: 6 };
    let result = run(async {
        // The delays of the script are over at once.
        radio.delay.idle.set(true);
        radio.sense(RF.frequency, listen).await
    });
    assert_eq!(result, Err(Error::Deaf));
}

#[test]
fn a_window_over_a_driver_that_hides_its_flags_always_ends() {
    use Says::{Done, Nothing, Preamble, Timeout};
    const HEARD: Option<usize> = Some(5);
    type Row = (&'static str, &'static [Says], Result<Option<usize>, Error>);
    let table: &[Row] = &[
        ("a frame", &[Preamble, Preamble, Done], Ok(HEARD)),
        ("no frame", &[Timeout], Ok(None)),
        ("a header error after a preamble", &[Preamble, Nothing], Ok(None)),
        ("a preamble and a time-out in one", &[Preamble], Ok(None)),
        ("a spurious interrupt before a frame", &[Nothing, Done], Ok(HEARD)),
        ("nothing at all", &[], Ok(None)),
        ("a line that is stuck", &[Nothing; 20], Err(Error::Nonsense(0))),
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
    for says in [&[][..], &[Says::Preamble, Says::Nothing]] {
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
    let (mut radio, did) = scripted(&[Says::Done; 5], false, 9);
    run(radio.setup_rx(RXC)).expect("set up");
    for _ in 0..5 {
        assert_eq!(run(radio.rx_continuous(&mut [0; 255])).map(|(len, _)| len), Ok(9));
    }
    assert_eq!(did.get()[OPENED], 1);
    assert_eq!(radio.counters().resets, 1);
}

#[test]
fn a_stale_done_is_no_answer_to_the_window_that_opens_next() {
    // The receive is dropped, and the look while leaving it finds the frame.
    let (mut radio, _) = scripted(&[], false, 7);
    run(radio.setup_rx(WINDOW)).expect("set up");
    {
        let mut buf = [0; 255];
        let mut dropped = pin!(radio.rx_single(&mut buf));
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    radio.kind.says.push_back(Says::Done);
    radio.kind.idle.set(false);
    run(radio.setup_rx(WINDOW)).expect("set up");
    assert!(matches!(run(radio.rx_single(&mut [0; 255])), Ok(RxStatus::RxTimeout)));
    assert_eq!(radio.counters().dropped, 1);
}

#[test]
fn a_length_that_does_not_fit_drops_the_frame_only() {
    let (mut radio, _) = scripted(&[Says::Done, Says::Done], false, 200);
    run(radio.setup_rx(RXC)).expect("set up");
    let small = &mut [0; 10];
    {
        let mut waiting = pin!(radio.rx_continuous(small));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!((radio.counters().dropped, radio.counters().received), (2, 0));
}

#[test]
fn a_quality_out_of_range_is_clamped() {
    let (mut radio, _) = scripted(&[Says::Done], false, 1);
    run(radio.setup_rx(RXC)).expect("set up");
    let (_, quality) = run(radio.rx_continuous(&mut [0; 255])).expect("received");
    assert_eq!((quality.rssi(), quality.snr()), (i16::MIN, i8::MAX));
}

#[test]
fn a_transmission_that_the_chip_times_out_is_an_error() {
    let (mut radio, did) = scripted(&[Says::Timeout], false, 0);
    let result = run(radio.tx(TxConfig { pw: 14, rf: RF }, b"x"));
    assert_eq!(result, Err(Error::Chip(RadioError::TransmitTimeout)));
    assert_eq!(did.get()[SENT], 1);
    // The next operation starts from a reset.
    radio.kind.idle.set(false);
    radio.kind.says.extend([Says::Done]);
    assert_eq!(run(radio.tx(TxConfig { pw: 14, rf: RF }, b"x")), Ok(0));
    assert_eq!(radio.counters().resets, 2);
}

#[test]
fn the_tap_notes_interrupts_and_nothing_else() {
    let irq_status = |answer: Vec<u8>| {
        [
            Transaction::transaction_start(),
            Transaction::write_vec(std::vec![0x12]),
            Transaction::read(0xA2),
            Transaction::read_vec(answer),
            Transaction::transaction_end(),
        ]
    };
    let mut expected = Vec::from(irq_status(std::vec![0x00, 0x22]));
    expected.extend([
        Transaction::transaction_start(),
        // ReadRegister, whose answer looks like flags.
        Transaction::write_vec(std::vec![0x1D, 0x08, 0x89, 0x00]),
        Transaction::read_vec(std::vec![0xFF, 0xFF]),
        Transaction::transaction_end(),
    ]);
    expected.extend(irq_status(std::vec![0x02, 0x00]));
    let mut spi = Mock::new(&expected);
    let flags = flags();
    let mut tap = Tap::new(&mut spi, flags);
    let ask = |tap: &mut Tap<&mut Mock<u8>>, command: &[u8], status: bool| {
        use embedded_hal_async::spi::Operation::{Read, Write};
        let (mut first, mut answer) = ([0], [0; 2]);
        now(async {
            if status {
                tap.transaction(&mut [Write(command), Read(&mut first), Read(&mut answer)]).await
            } else {
                tap.transaction(&mut [Write(command), Read(&mut answer)]).await
            }
        })
        .expect("the mock agrees");
        answer
    };
    assert_eq!(ask(&mut tap, &[0x12], true), [0x00, 0x22]);
    ask(&mut tap, &[0x1D, 0x08, 0x89, 0x00], false);
    assert_eq!(flags.take(), RX_DONE | HEADER_ERROR);
    ask(&mut tap, &[0x12], true);
    assert_eq!((flags.take(), flags.take()), (0x0200, 0));
    spi.done();
}

#[test]
fn a_wait_for_busy_that_never_ends_is_an_error() {
    let mut lines = Bounded::new(NoLines, ScriptedDelay { idle: Rc::new(Cell::new(true)) });
    assert_eq!(now(lines.wait_on_busy()), Err(RadioError::Busy));
    assert_eq!(now(lines.await_irq()), Err(RadioError::DIO1));
    let mut patient = Bounded::new(NoLines, ScriptedDelay { idle: Rc::new(Cell::new(false)) });
    let raced = now(select(patient.wait_on_busy(), async {}));
    assert!(matches!(raced, Either::Second(())), "it waits as long as it may");
}
