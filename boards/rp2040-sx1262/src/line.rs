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

/// Interrupts when the FIFO is seven eighths full, 28 bytes: so of an answer only by the rest after it (data sheet 4.2.8, UARTIFLS).
const SEVEN_EIGHTHS: u8 = 4;

/// What of a byte in the data register says that it is none: overrun, break, parity and framing (data sheet 4.2.8, UARTDR).
const ERRORS: u32 = 0xF00;

static CAME: AtomicWaker = AtomicWaker::new();

/// Wakes the waiting task, which takes what is there and asks for the next interrupt.
#[derive(Debug)]
pub struct InterruptHandler;

impl Handler<Interrupt> for InterruptHandler {
    unsafe fn on_interrupt() {
        pac::UART0.uartimsc().write_value(Default::default());
        pac::UART0.uarticr().write(|w| {
            w.set_rxic(true);
            w.set_rtic(true);
        });
        CAME.wake();
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
        pac::UART0.uartifls().write(|w| w.set_rxiflsel(SEVEN_EIGHTHS));
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
            while let Some(place) = buffer.get_mut(count)
                && !uart.uartfr().read().rxfe()
            {
                let came = uart.uartdr().read();
                if came.0 & ERRORS == 0 {
                    *place = came.data();
                    count += 1;
                }
            }
            if count > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(count));
            }
            CAME.register(cx.waker());
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
        let is_full = || uart.uartfr().read().txff();
        // The set-up of the meter and a request fill the FIFO to its last byte: there is hardly ever anything to wait for.
        while is_full() && !bytes.is_empty() {
            Timer::after_millis(1).await;
        }
        let mut count = 0;
        for byte in bytes.iter().take_while(|_| !is_full()) {
            uart.uartdr().write(|w| w.set_data(*byte));
            count += 1;
        }
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        // The last bit that leaves interrupts nothing.
        while pac::UART0.uartfr().read().busy() {
            Timer::after_millis(1).await;
        }
        Ok(())
    }
}
