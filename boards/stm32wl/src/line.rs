//! The serial line to the meter.

use embassy_stm32::interrupt::typelevel::Binding;
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{DMA1_CH1, DMA1_CH2, USART1};
use embassy_stm32::usart::{self, Config, RingBufferedUartRx, RxPin, StopBits, TxPin, Uart, UartTx};
use embassy_stm32::{Peri, dma, interrupt};
use embedded_io_async::{ErrorType, Read, Write};
use static_cell::StaticCell;

/// The BL0942's speed with its pin SCLK_BPS high. At 4800 a reading would take 57 ms of the 100 ms between two.
const BAUD: u32 = 9600;

/// Two answers of 23 bytes and some. DMA writes here also while an erase of flash holds up the processor (22 ms),
/// when an interrupt for each byte would come too late.
const BUFFER: usize = 64;

/// A serial line that is received by DMA, always.
pub struct Line {
    tx: UartTx<'static, Async>,
    rx: RingBufferedUartRx<'static>,
}

impl Line {
    /// Opens the line.
    ///
    /// # Panics
    /// On its second call, and if the clock could not make the speed.
    pub fn new(
        uart: Peri<'static, USART1>,
        rx: Peri<'static, impl RxPin<USART1>>,
        tx: Peri<'static, impl TxPin<USART1>>,
        tx_dma: Peri<'static, DMA1_CH1>,
        rx_dma: Peri<'static, DMA1_CH2>,
        irqs: impl Binding<interrupt::typelevel::USART1, usart::InterruptHandler<USART1>>
        + Binding<interrupt::typelevel::DMA1_CHANNEL1, dma::InterruptHandler<DMA1_CH1>>
        + Binding<interrupt::typelevel::DMA1_CHANNEL2, dma::InterruptHandler<DMA1_CH2>>
        + 'static,
    ) -> Self {
        static RECEIVED: StaticCell<[u8; BUFFER]> = StaticCell::new();
        let mut config = Config::default();
        config.baudrate = BAUD;
        // The chip takes one and a half; a longer one is right for both directions.
        config.stop_bits = StopBits::STOP2;
        let uart = Uart::new(uart, rx, tx, tx_dma, rx_dma, irqs, config).expect("48 MHz make 9600 baud");
        let (tx, rx) = uart.split();
        Self { tx, rx: rx.into_ring_buffered(RECEIVED.init([0; BUFFER])) }
    }
}

impl ErrorType for Line {
    type Error = usart::Error;
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        self.rx.read(buffer).await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.tx.write(bytes).await?;
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        self.tx.flush().await
    }
}
