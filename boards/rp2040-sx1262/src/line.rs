//! The serial line to the meter.

use embassy_rp::Peri;
use embassy_rp::interrupt::typelevel::{Binding, UART0_IRQ};
use embassy_rp::peripherals::{PIN_0, PIN_1, UART0};
use embassy_rp::uart::{BufferedInterruptHandler, BufferedUart, Config, StopBits};
use static_cell::StaticCell;

/// The BL0942's speed with its pin SCLK_BPS high. At 4800 a reading would take 57 ms of the 100 ms between two.
const BAUD: u32 = 9600;

/// Two answers of 23 bytes and some. While flash keeps interrupts off (45 ms), the UART's own 32 bytes hold the
/// one answer that may come.
const BUFFER: usize = 64;

/// Opens the line.
///
/// # Panics
/// On its second call.
pub fn open(
    uart: Peri<'static, UART0>,
    tx: Peri<'static, PIN_0>,
    rx: Peri<'static, PIN_1>,
    irqs: impl Binding<UART0_IRQ, BufferedInterruptHandler<UART0>>,
) -> BufferedUart {
    static SENT: StaticCell<[u8; 16]> = StaticCell::new();
    static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
    let mut config = Config::default();
    config.baudrate = BAUD;
    // The chip takes one and a half; a longer one is right for both directions.
    config.stop_bits = StopBits::STOP2;
    BufferedUart::new(uart, tx, rx, irqs, SENT.init([0; 16]), RECEIVED.init([0; BUFFER]), config)
}
