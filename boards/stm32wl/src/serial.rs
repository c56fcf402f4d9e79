//! The serial line to a computer, for a devkit without a tag: it carries the requests that a phone makes of the tag
//! (docs/NFC.md, "On a serial line").

use embassy_stm32::Peri;
use embassy_stm32::interrupt::typelevel::{Binding, LPUART1 as LPUART1_IRQ};
use embassy_stm32::peripherals::{LPUART1, PA2, PA3};
use embassy_stm32::usart::{
    BufferedInterruptHandler, BufferedUart, BufferedUartRx, BufferedUartTx, Config, Error,
};
use embedded_io_async::{ErrorType, Write};
use sockeye_nfc::Serial;
use static_cell::StaticCell;

/// As much as comes in while the other tasks have the processor for 80 ms. An erase of flash stops it for 22 ms, and what comes then is
/// lost beyond the 8 bytes of the UART: the tool asks again.
const BUFFER: usize = 1024;

/// What is sent at once.
const SENT: usize = 64;

/// The line.
pub type Line = Serial<BufferedUartRx<'static>, To>;

/// The way to the computer. embassy-stm32 0.6 wakes nobody who waits for room in its buffer: when that is full, it is waited
/// for until all has gone.
pub struct To {
    uart: BufferedUartTx<'static>,
    room: usize,
}

impl ErrorType for To {
    type Error = Error;
}

impl Write for To {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.room == 0 {
            self.flush().await?;
        }
        let part = bytes.get(..self.room).unwrap_or(bytes);
        let written = self.uart.write(part).await?;
        self.room = self.room.saturating_sub(written);
        Ok(written)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.uart.flush().await?;
        self.room = SENT;
        Ok(())
    }
}

/// Opens the line, at the 115,200 baud that `cargo xtask toolbox --port` begins with: embassy-stm32's default.
///
/// # Panics
/// On its second call.
pub fn open(
    uart: Peri<'static, LPUART1>,
    tx: Peri<'static, PA2>,
    rx: Peri<'static, PA3>,
    irqs: impl Binding<LPUART1_IRQ, BufferedInterruptHandler<LPUART1>> + 'static,
) -> Line {
    static TO_SEND: StaticCell<[u8; SENT]> = StaticCell::new();
    static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
    let (sent, received) = (TO_SEND.init([0; SENT]), RECEIVED.init([0; BUFFER]));
    let uart = BufferedUart::new(uart, rx, tx, sent, received, irqs, Config::default());
    let (to, from) = uart.expect("115,200 baud of 48 MHz").split();
    Serial::new(from, To { uart: to, room: SENT })
}
