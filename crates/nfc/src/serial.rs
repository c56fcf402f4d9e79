//! A serial line as a port: for boards without a tag.

use embedded_io_async::{Read, Write};

use crate::line::{Deframer, framed};
use crate::port::{Arrival, Port, Shown};

/// Bytes of the CRC that the buffer has to hold besides the request.
const CRC: usize = 2;

/// A serial line with requests and answers in frames ([`line`](crate::line)).
pub struct Serial<R, W> {
    from: R,
    to: W,
    deframer: Deframer,
}

impl<R, W> core::fmt::Debug for Serial<R, W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Serial").finish_non_exhaustive()
    }
}

impl<R: Read, W: Write> Serial<R, W> {
    /// Takes both ways of the line.
    pub fn new(from: R, to: W) -> Self {
        Self { from, to, deframer: Deframer::default() }
    }
}

impl<R: Read, W: Write> Port for Serial<R, W> {
    async fn next(&mut self, buffer: &mut [u8]) -> Arrival {
        // One byte at a time: what follows a frame waits in the driver for the next call.
        loop {
            let mut byte = [0];
            match self.from.read(&mut byte).await {
                Ok(1) => {}
                // A line with errors goes on, and keeps nobody from running; one that has ended never does.
                Err(_) => {
                    embassy_futures::yield_now().await;
                    continue;
                }
                Ok(_) => core::future::pending().await,
            }
            let [byte] = byte;
            if let Some(len) = self.deframer.push(byte, buffer) {
                return Arrival::Request(0..len);
            }
        }
    }

    fn room(&self, buffer: usize) -> usize {
        buffer.saturating_sub(CRC)
    }

    async fn show(&mut self, shown: Shown<'_>, _: &mut [u8]) {
        if shown.answer.is_empty() {
            return;
        }
        for byte in framed(shown.answer) {
            if self.to.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        let _ = self.to.flush().await;
    }
}
