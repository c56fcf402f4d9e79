//! The serial line to the meter, without an interrupt for what comes or goes in between: DMA fills a ring, and the
//! line's rest after an answer is the one thing that wakes. embassy's driver wakes its task some five times a reading.

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use embassy_stm32::gpio::{AfType, Flex, OutputType, Pull, Speed};
use embassy_stm32::interrupt::typelevel::USART1 as Interrupt;
use embassy_stm32::interrupt::typelevel::{Binding, Handler, Interrupt as _};
use embassy_stm32::pac::bdma::vals::Dir;
use embassy_stm32::pac::usart::vals::Stop;
use embassy_stm32::peripherals::{DMA1_CH2, USART1};
use embassy_stm32::usart::{RxPin, TxPin};
use embassy_stm32::{Peri, pac, rcc};
use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};
use static_cell::StaticCell;

/// The BL0942's speed with its pin SCLK_BPS high. At 4800 a reading would take 57 ms of the 100 ms between two.
const BAUD: u32 = 9600;

/// Two answers of 23 bytes and some. DMA writes here also while an erase of flash holds up the processor (22 ms),
/// when an interrupt for each byte would come too late. What is not read in time is written over; the checksum tells.
const BUFFER: usize = 64;

/// The DMA channel, counted from 0.
const CHANNEL: usize = 1;

/// The request of the received byte (RM0453, table of the multiplexer's inputs).
const USART1_RX: u8 = 17;

/// Bytes that the transmitter holds (RM0453, USART FIFO).
const FIFO: usize = 8;

static MOVED: AtomicWaker = AtomicWaker::new();

/// Tells the waiting task that the line rests, or that everything is sent.
#[derive(Debug)]
pub struct InterruptHandler;

impl Handler<Interrupt> for InterruptHandler {
    unsafe fn on_interrupt() {
        pac::USART1.icr().write(|w| w.set_idle(true));
        // The flag itself stays, for `write` to look at.
        pac::USART1.cr1().modify(|w| w.set_tcie(false));
        MOVED.wake();
    }
}

/// A serial line that is received by DMA, always.
pub struct Line {
    received: *const [u8; BUFFER],
    read: usize,
    _pins: [Flex<'static>; 2],
}

// SAFETY: the pointer is to a static buffer that this line alone reads.
unsafe impl Send for Line {}

impl Line {
    /// Opens the line.
    ///
    /// # Panics
    /// On its second call.
    pub fn new(
        _uart: Peri<'static, USART1>,
        rx: Peri<'static, impl RxPin<USART1>>,
        tx: Peri<'static, impl TxPin<USART1>>,
        _dma: Peri<'static, DMA1_CH2>,
        _irqs: impl Binding<Interrupt, InterruptHandler>,
    ) -> Self {
        static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
        let received: *mut [u8; BUFFER] = RECEIVED.init([0; BUFFER]);

        let (rx_function, tx_function) = (rx.af_num(), tx.af_num());
        let mut pins = [Flex::new(rx), Flex::new(tx)];
        let [rx, tx] = &mut pins;
        rx.set_as_af_unchecked(rx_function, AfType::input(Pull::None));
        tx.set_as_af_unchecked(tx_function, AfType::output(OutputType::PushPull, Speed::Medium));

        pac::DMAMUX1.ccr(CHANNEL).write(|w| w.set_dmareq_id(USART1_RX));
        let channel = pac::DMA1.ch(CHANNEL);
        channel.par().write_value(pac::USART1.rdr().as_ptr() as u32);
        channel.mar().write_value(received as u32);
        channel.ndtr().write(|w| w.set_ndt(BUFFER as u16));
        channel.cr().write(|w| {
            w.set_dir(Dir::FROM_PERIPHERAL);
            w.set_minc(true);
            w.set_circ(true);
            w.set_en(true);
        });

        rcc::enable_and_reset::<USART1>();
        let uart = pac::USART1;
        // 48 MHz (see clocks.rs), sampled 16 times: the divider is the number of clocks in a bit.
        uart.brr().write(|w| w.set_brr((crate::clocks::HZ / BAUD) as u16));
        // The chip takes one and a half; a longer one is right for both directions.
        uart.cr2().write(|w| w.set_stop(Stop::STOP2));
        uart.cr3().write(|w| {
            w.set_dmar(true);
            // A byte too many would else stop the receiver until somebody looks.
            w.set_ovrdis(true);
        });
        uart.cr1().write(|w| {
            w.set_fifoen(true);
            w.set_idleie(true);
            w.set_te(true);
            w.set_re(true);
            w.set_ue(true);
        });
        Interrupt::unpend();
        // SAFETY: nothing here relies on the interrupt being off.
        unsafe { Interrupt::enable() };
        Self { received, read: 0, _pins: pins }
    }

    /// Takes what has come, at most as much as fits.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let written = BUFFER - usize::from(pac::DMA1.ch(CHANNEL).ndtr().read().ndt());
        let count = (written.wrapping_sub(self.read) % BUFFER).min(buffer.len());
        for place in buffer.iter_mut().take(count) {
            // SAFETY: inside the buffer, as `read` is less than its length; DMA may write at any time, hence volatile.
            *place = unsafe { self.received.cast::<u8>().add(self.read).read_volatile() };
            self.read = (self.read + 1) % BUFFER;
        }
        count
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            MOVED.register(cx.waker());
            match self.take(buffer) {
                0 if !buffer.is_empty() => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        })
        .await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.flush().await?;
        let now = bytes.len().min(FIFO);
        for byte in bytes.iter().take(now) {
            pac::USART1.tdr().write(|w| w.set_dr(u16::from(*byte)));
        }
        Ok(now)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx| {
            MOVED.register(cx.waker());
            if pac::USART1.isr().read().tc() {
                return Poll::Ready(Ok(()));
            }
            pac::USART1.cr1().modify(|w| w.set_tcie(true));
            Poll::Pending
        })
        .await
    }
}
