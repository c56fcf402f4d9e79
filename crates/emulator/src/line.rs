//! A serial line between the chip and a computer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

/// The speed of the computer's end, in bits a second: that of `cargo xtask toolbox --port`.
const BAUD: u64 = 115_200;

/// Bits of a byte: eight, with a start and a stop bit.
const BITS: u64 = 10;

/// The line. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct SerialLine(Rc<Bytes>);

#[derive(Debug, Default)]
struct Bytes {
    to_chip: RefCell<VecDeque<u8>>,
    from_chip: RefCell<VecDeque<u8>>,
    /// When the byte that goes to the chip next has arrived, in µs.
    arrives_us: Cell<Option<u64>>,
}

impl SerialLine {
    /// Sends bytes to the chip, one after the other from now on.
    pub fn send(&self, now_us: u64, bytes: &[u8]) {
        self.0.to_chip.borrow_mut().extend(bytes);
        if self.0.arrives_us.get().is_none() && !bytes.is_empty() {
            self.0.arrives_us.set(Some(now_us + byte_us()));
        }
    }

    /// Takes what has come from the chip.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        self.0.from_chip.borrow_mut().drain(..).collect()
    }

    /// Tells when the next byte arrives at the chip, in µs.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        self.0.arrives_us.get()
    }

    /// Gives the next byte that has arrived at the chip by now.
    #[must_use]
    pub fn arrived(&self, now_us: u64) -> Option<u8> {
        let at_us = self.0.arrives_us.get().filter(|at_us| *at_us <= now_us)?;
        let mut waiting = self.0.to_chip.borrow_mut();
        let byte = waiting.pop_front();
        self.0.arrives_us.set((!waiting.is_empty()).then_some(at_us + byte_us()));
        byte
    }

    /// Takes a byte of the chip's, with how long a bit of it was in ns; tells whether the computer understands that.
    pub fn hear(&self, byte: u8, bit_ns: u64) -> bool {
        let own_ns = 1_000_000_000 / BAUD;
        // A receiver stands an error of 3 %.
        let fits = bit_ns.abs_diff(own_ns) * 100 <= own_ns * 3;
        if fits {
            self.0.from_chip.borrow_mut().push_back(byte);
        }
        fits
    }

    /// Carries what has come at the computer's end of it, without waiting.
    ///
    /// # Errors
    /// Those of that end.
    pub fn pump(&self, now_us: u64, end: &mut (impl Read + Write)) -> io::Result<()> {
        let mut bytes = [0; 256];
        match end.read(&mut bytes) {
            Ok(length) => self.send(now_us, bytes.get(..length).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // Nobody has opened the other side of a pseudo terminal.
            Err(error) if error.kind() == ErrorKind::BrokenPipe || error.raw_os_error() == Some(5) => {}
            Err(error) => return Err(error),
        }
        let out = self.take();
        if out.is_empty() { Ok(()) } else { end.write_all(&out) }
    }
}

/// How long a byte is on the line, in µs.
fn byte_us() -> u64 {
    BITS * 1_000_000 / BAUD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_one_after_the_other() {
        let line = SerialLine::default();
        line.send(1_000, b"ab");
        line.send(1_010, b"c");
        assert_eq!((line.next_event_us(), line.arrived(1_085)), (Some(1_086), None));
        assert_eq!((line.arrived(1_086), line.arrived(1_086)), (Some(b'a'), None));
        assert_eq!(
            (line.arrived(2_000), line.arrived(2_000), line.arrived(2_000)),
            (Some(b'b'), Some(b'c'), None)
        );
        assert_eq!(line.next_event_us(), None);
    }

    #[test]
    fn a_chip_at_another_speed_is_not_understood() {
        let line = SerialLine::default();
        assert!(line.hear(b'x', 8_680) && !line.hear(b'y', 104_166));
        assert_eq!(line.take(), b"x");
    }
}
