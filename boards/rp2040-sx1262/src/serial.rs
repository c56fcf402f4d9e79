//! The serial line to a computer, for a devkit without a tag: it carries the requests that a phone makes of the tag
//! (docs/NFC.md, "On a serial line").

use embassy_rp::Peri;
use embassy_rp::interrupt::typelevel::{Binding, UART1_IRQ};
use embassy_rp::peripherals::{PIN_8, PIN_9, UART1};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, BufferedUartRx, BufferedUartTx, Config};
use sockeye_nfc::Serial;
use static_cell::StaticCell;

/// What `cargo xtask toolbox --port` begins with.
const BAUD: u32 = 115_200;

/// As much as comes in while the other tasks have the processor for 80 ms. An erase of flash keeps interrupts off for 45 ms, and what
/// comes then is lost beyond the 32 bytes of the UART: the tool asks again.
const BUFFER: usize = 1024;

/// The line.
pub type Line = Serial<BufferedUartRx, BufferedUartTx>;

/// Opens the line.
///
/// # Panics
/// On its second call.
pub fn open(
    uart: Peri<'static, UART1>,
    tx: Peri<'static, PIN_8>,
    rx: Peri<'static, PIN_9>,
    irqs: impl Binding<UART1_IRQ, BufferedInterruptHandler<UART1>>,
) -> Line {
    static SENT: StaticCell<[u8; 64]> = StaticCell::new();
    static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
    let mut config = Config::default();
    config.baudrate = BAUD;
    let uart = BufferedUart::new(uart, tx, rx, irqs, SENT.init([0; 64]), RECEIVED.init([0; BUFFER]), config);
    let (to, from) = uart.split();
    Serial::new(from, to)
}
