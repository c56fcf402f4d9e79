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

#[cfg(test)]
mod tests {
    use core::task::Poll;
    use std::vec::Vec;

    use embassy_futures::{block_on, poll_once};
    use embedded_io_async::{ErrorKind, ErrorType};

    use super::*;

    /// A line that brings these bytes, `None` for an error of the line, and then nothing.
    struct From(std::vec::IntoIter<Option<u8>>);

    /// What was written.
    #[derive(Default)]
    struct To(Vec<u8>);

    impl ErrorType for From {
        type Error = ErrorKind;
    }

    impl Read for From {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
            match self.0.next() {
                Some(Some(byte)) => {
                    buffer[0] = byte;
                    Ok(1)
                }
                Some(None) => Err(ErrorKind::Other),
                None => core::future::pending().await,
            }
        }
    }

    impl ErrorType for To {
        type Error = ErrorKind;
    }

    impl Write for To {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            self.0.extend(bytes);
            Ok(bytes.len())
        }
        async fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    /// Lists the requests that come of a line before it falls silent.
    fn requests(line: Vec<Option<u8>>) -> Vec<Vec<u8>> {
        let mut port = Serial::new(From(line.into_iter()), To::default());
        let (mut buffer, mut found) = ([0; 32], Vec::new());
        loop {
            // An error of the line lets others run for a moment: a look may find nothing although more comes.
            let arrival = {
                let mut future = core::pin::pin!(port.next(&mut buffer));
                (0..100).find_map(|_| match poll_once(future.as_mut()) {
                    Poll::Ready(arrival) => Some(arrival),
                    Poll::Pending => None,
                })
            };
            match arrival {
                Some(Arrival::Request(range)) => found.push(buffer[range].to_vec()),
                Some(other) => panic!("{other:?}"),
                None => return found,
            }
        }
    }

    fn line(parts: &[&[u8]]) -> Vec<Option<u8>> {
        parts.concat().into_iter().map(Some).collect()
    }

    #[test]
    fn requests_are_found_among_noise_half_frames_and_errors_of_the_line() {
        let (one, two): (Vec<u8>, Vec<u8>) = (framed(b"one").collect(), framed(b"two").collect());
        let half = &one[..one.len() / 2];
        let check = |line: Vec<Option<u8>>, expected: &[&[u8]]| {
            assert_eq!(requests(line.clone()), expected, "{line:?}");
        };
        check(line(&[]), &[]);
        check(line(&[&one]), &[b"one"]);
        check(line(&[&one, &two]), &[b"one", b"two"]);
        check(line(&[b"login: \r\n\xff", &one, b"INFO", &two]), &[b"one", b"two"]);
        // Somebody stopped in the middle, and began again: its first END ends the half.
        check(line(&[half, &two]), &[b"two"]);
        check(line(&[half]), &[]);
        check(line(&[&framed(&[7; 100]).collect::<Vec<u8>>(), &two]), &[b"two"]);
        let mut broken = line(&[&one]);
        broken.insert(3, None);
        broken.extend([None, None]);
        broken.extend(line(&[&two]));
        check(broken, &[b"one", b"two"]);
    }

    #[test]
    fn only_an_answer_is_written_and_in_a_frame() {
        let mut port = Serial::new(From(Vec::new().into_iter()), To::default());
        let shown = |answer: &'static [u8]| Shown { status: b"status", settings: b"settings", answer };
        block_on(port.show(shown(b""), &mut []));
        assert_eq!(port.to.0, b"");
        block_on(port.show(shown(b"done"), &mut []));
        assert_eq!(port.to.0, framed(b"done").collect::<Vec<u8>>());
    }

    #[test]
    fn a_request_leaves_room_for_its_crc() {
        let port = Serial::new(From(Vec::new().into_iter()), To::default());
        assert_eq!((port.room(32), port.room(1)), (30, 0));
    }
}
