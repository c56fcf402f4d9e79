//! The serial line to the meter, with one interrupt a reading: the UART's own 32 bytes hold a whole answer, and the line's rest
//! after it is what wakes. embassy's driver has two or three, and a ring of its own.

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use embassy_rp::interrupt::typelevel::UART0_IRQ as Interrupt;
use embassy_rp::interrupt::typelevel::{Binding, Handler, Interrupt as _};
use embassy_rp::peripherals::{PIN_0, PIN_1, UART0};
use embassy_rp::uart::{Blocking, Config, StopBits, Uart};
use embassy_rp::{Peri, pac};
use embassy_sync::waitqueue::AtomicWaker;
use embassy_time::Timer;
use embedded_io_async::{ErrorType, Read, Write};

/// The BL0942's speed with its pin SCLK_BPS high. At 4800 a reading would take 57 ms of the 100 ms between two.
const BAUD: u32 = 9600;

/// Interrupts at seven eighths of the received bytes, so of an answer only by the rest after it (data sheet 4.2.8, UARTIFLS).
const SEVEN_EIGHTHS: u8 = 4;

/// Interrupts when half of what was to be sent is left.
const HALF: u8 = 2;

static MOVED: AtomicWaker = AtomicWaker::new();

/// Wakes the waiting task, which says anew what it waits for.
#[derive(Debug)]
pub struct InterruptHandler;

impl Handler<Interrupt> for InterruptHandler {
    unsafe fn on_interrupt() {
        pac::UART0.uartimsc().write_value(Default::default());
        MOVED.wake();
    }
}

/// A serial line without a buffer beside the UART's own. What is not read in time is lost; the checksum tells.
pub struct Line {
    _uart: Uart<'static, Blocking>,
}

impl Line {
    /// Opens the line.
    pub fn new(
        uart: Peri<'static, UART0>,
        tx: Peri<'static, PIN_0>,
        rx: Peri<'static, PIN_1>,
        _irqs: impl Binding<Interrupt, InterruptHandler>,
    ) -> Self {
        let mut config = Config::default();
        config.baudrate = BAUD;
        // The chip takes one and a half; a longer one is right for both directions.
        config.stop_bits = StopBits::STOP2;
        let uart = Uart::new_blocking(uart, tx, rx, config);
        pac::UART0.uartifls().write(|w| {
            w.set_rxiflsel(SEVEN_EIGHTHS);
            w.set_txiflsel(HALF);
        });
        Interrupt::unpend();
        // SAFETY: nothing here relies on the interrupt being off.
        unsafe { Interrupt::enable() };
        Self { _uart: uart }
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let uart = pac::UART0;
        poll_fn(|cx| {
            let mut count = 0;
            for place in buffer.iter_mut() {
                if uart.uartfr().read().rxfe() {
                    break;
                }
                *place = uart.uartdr().read().data();
                count += 1;
            }
            if count > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(count));
            }
            MOVED.register(cx.waker());
            // What has come since then interrupts at once, or when the line rests.
            uart.uartimsc().write(|w| {
                w.set_rxim(true);
                w.set_rtim(true);
            });
            Poll::Pending
        })
        .await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let uart = pac::UART0;
        poll_fn(|cx| {
            let mut count = 0;
            for byte in bytes {
                if uart.uartfr().read().txff() {
                    break;
                }
                uart.uartdr().write(|w| w.set_data(*byte));
                count += 1;
            }
            if count > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(count));
            }
            MOVED.register(cx.waker());
            // It is full now: the flag is from before, and comes again when half is left.
            uart.uarticr().write(|w| w.set_txic(true));
            uart.uartimsc().write(|w| w.set_txim(true));
            Poll::Pending
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        // The last bit that leaves interrupts nothing.
        while pac::UART0.uartfr().read().busy() {
            Timer::after_millis(1).await;
        }
        Ok(())
    }
}
