//! A simulated socket at a good line or a bad one, with a count of what reached it.
#![allow(dead_code, reason = "each test uses a part")]

use sockeye_nfc::{Envelope, Kind};
use sockeye_settings::{Model, Region};
use sockeye_toolbox::{Link, LinkError, Simulated};

/// What is wrong with one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    RequestLost,
    AnswerLost,
    /// Somebody answers in the socket's place, who does not know the password.
    Forged,
}

#[derive(Debug)]
pub struct Line {
    pub socket: Simulated,
    /// Of the next exchanges that need the password; good ones when it is used up.
    pub faults: Vec<Fault>,
    /// How many requests that need the password reached the socket.
    pub guarded: usize,
}

pub fn line(model: Model, region: Region, last: u8) -> Line {
    Line { socket: Simulated::new(model, region, last).unwrap(), faults: Vec::new(), guarded: 0 }
}

pub fn eu() -> Line {
    line(Model::Eu, Region::Eu868, 5)
}

impl Link for Line {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        let is_guarded = Envelope::parse(request).is_ok_and(|it| it.kind.is_some_and(Kind::is_guarded));
        if !is_guarded {
            return self.socket.exchange(request);
        }
        let fault = if self.faults.is_empty() { Fault::None } else { self.faults.remove(0) };
        if fault == Fault::RequestLost {
            return Err(LinkError::Silent);
        }
        self.guarded += 1;
        let mut answer = self.socket.exchange(request)?;
        match fault {
            Fault::AnswerLost => return Err(LinkError::Silent),
            // The authentication code is at the end (docs/NFC.md).
            Fault::Forged => *answer.last_mut().unwrap() ^= 1,
            _ => {}
        }
        Ok(answer)
    }
}

impl Link for &mut Line {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        (**self).exchange(request)
    }
}
