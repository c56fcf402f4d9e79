//! A serial line to a board: requests and answers in frames (docs/NFC.md), beside whatever else the board prints.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serialport::{ErrorKind as PortError, SerialPort};
use sockeye_nfc::line::{Deframer, framed};
use sockeye_nfc::{Answer, Envelope, Kind, MAX_ANSWER};

use crate::link::{Link, LinkError};

/// How long an answer may take: half a second of password, and a flash that erases before it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many times longer one may take to what has to be stored: that may have to wait for the radio, piece by piece.
const LONGER: u32 = 5;

/// A line, of a port or, in tests, of anything with bytes.
pub struct Serial<P> {
    port: P,
    patience: Duration,
}

impl<P> std::fmt::Debug for Serial<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serial")
    }
}

impl Serial<Box<dyn SerialPort>> {
    /// Opens a port.
    ///
    /// # Errors
    /// [`LinkError::NoDevice`], with the ports that there are.
    pub fn open(name: &str, baud: u32) -> Result<Self, LinkError> {
        let port = serialport::new(name, baud).timeout(Duration::from_millis(50)).open();
        let port = port.map_err(|error| {
            let ports = serialport::available_ports().unwrap_or_default();
            let ports: Vec<_> = ports.into_iter().map(|port| port.port_name).collect();
            let there = match (error.kind(), ports.is_empty()) {
                (PortError::Io(ErrorKind::PermissionDenied), _) => {
                    "; on Linux your user has to be in the group dialout".to_owned()
                }
                (_, true) => "; no serial port is there".to_owned(),
                (_, false) => format!("; the serial ports here: {}", ports.join(", ")),
            };
            LinkError::NoDevice(format!("cannot open {name}: {}{there}", error.description))
        })?;
        Ok(Self { port, patience: PATIENCE })
    }
}

impl<P: Read + Write> Link for Serial<P> {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        let lost = |error: std::io::Error| LinkError::Lost(error.to_string());
        let frame: Vec<u8> = framed(request).collect();
        self.port.write_all(&frame).map_err(lost)?;
        self.port.flush().map_err(lost)?;

        let envelope = Envelope::parse(request).ok();
        let challenge = envelope.map(|envelope| envelope.challenge);
        let is_guarded = envelope.and_then(|envelope| envelope.kind).is_some_and(Kind::is_guarded);
        let patience = self.patience.saturating_mul(if is_guarded { LONGER } else { 1 });
        let begun = Instant::now();
        let (mut deframer, mut buffer, mut bytes) = (Deframer::default(), [0; MAX_ANSWER + 2], [0; 256]);
        while begun.elapsed() < patience {
            let len = match self.port.read(&mut bytes) {
                Ok(len) => len,
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => 0,
                Err(error) => return Err(lost(error)),
            };
            for byte in bytes.iter().take(len) {
                let Some(len) = deframer.push(*byte, &mut buffer) else { continue };
                let frame = buffer.get(..len).unwrap_or_default();
                // A late answer to an earlier request is none to this one.
                if Answer::parse(frame).is_ok_and(|answer| Some(answer.challenge) == challenge) {
                    return Ok(frame.to_vec());
                }
            }
        }
        Err(LinkError::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_nfc::{Challenge, Code, Request, Seal};

    /// A line that says something whatever it hears.
    struct Line {
        said: std::io::Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Line {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.said.read(buffer) {
                Ok(0) => Err(ErrorKind::TimedOut.into()),
                other => other,
            }
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.heard.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request(challenge: Challenge) -> Vec<u8> {
        let mut out = [0; 64];
        let len = Seal { sn: [1; 8], challenge, keys: None }.write(&Request::Status, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn answer(challenge: Challenge) -> Vec<u8> {
        let mut out = [0; 64];
        let len = Answer::write(Code::Busy, 1, challenge, &[], None, &mut out);
        out[..len].to_vec()
    }

    fn line(said: Vec<u8>) -> Serial<Line> {
        let line = Line { said: std::io::Cursor::new(said), heard: Vec::new() };
        Serial { port: line, patience: Duration::from_millis(20) }
    }

    #[test]
    fn the_answer_is_found_among_a_log_and_late_answers() {
        let (mine, other) = (Challenge([7; 8]), Challenge([8; 8]));
        let mut said = b"INFO joined\n\xc0\xc0".to_vec();
        said.extend(framed(&answer(other)));
        said.extend(framed(b"not an answer"));
        said.extend(framed(&answer(mine)));
        let mut link = line(said);
        assert_eq!(link.exchange(&request(mine)), Ok(answer(mine)));
        let frame: Vec<u8> = framed(&request(mine)).collect();
        assert_eq!(link.port.heard, frame);
    }

    #[test]
    fn a_line_without_an_answer_is_silent() {
        assert_eq!(line(b"login: ".to_vec()).exchange(&request(Challenge([7; 8]))), Err(LinkError::Silent));
    }
}
