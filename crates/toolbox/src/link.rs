//! The way to a socket, and how one talks over it.

use std::fmt;

use sockeye_nfc::{Code, Request, Status, Upgrade};
use sockeye_settings::{Password, Settings};

use crate::client::Client;
use crate::error::Error;

/// Carries a request to a socket and its answer back: a serial line, or the tag of a simulated socket.
pub trait Link {
    /// Sends a request and returns what answers.
    ///
    /// # Errors
    /// Nothing answers; the request may have arrived all the same.
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError>;
}

/// Says what is wrong with the way to the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkError {
    /// Nobody said where the socket is.
    NoWay,
    /// There is no such device, or it cannot be opened.
    NoDevice(String),
    /// Nothing answers.
    Silent,
    /// The way broke off.
    Lost(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWay => {
                f.write_str("say where the socket is: --port DEVICE, or --sim for a simulated one")
            }
            Self::NoDevice(what) => f.write_str(what),
            Self::Silent => {
                f.write_str("no socket answers: is it the right port, and is the socket switched on?")
            }
            Self::Lost(what) => write!(f, "the connection broke off: {what}"),
        }
    }
}

/// How often what got no answer is asked.
const TRIES: u8 = 3;

/// A client and its link.
#[derive(Debug)]
pub struct Talk<L> {
    link: L,
    client: Client,
}

impl<L: Link> Talk<L> {
    /// Begins.
    pub fn new(link: L, password: Option<Password>) -> Self {
        let mut client = Client::default();
        client.set_password(password);
        Self { link, client }
    }

    /// Gives the link back.
    pub fn into_link(self) -> L {
        self.link
    }

    /// Reads the status.
    ///
    /// # Errors
    /// Those of the link; an answer that is none.
    pub fn status(&mut self) -> Result<Status, Error> {
        let request = self.client.ask_status()?;
        let answer = self.persist(&request)?;
        self.client.take_status(&answer)
    }

    /// Reads the settings, without what is secret.
    ///
    /// # Errors
    /// Those of the link; an answer that is none.
    pub fn settings(&mut self) -> Result<Settings, Error> {
        let request = self.client.request(&Request::Settings)?;
        let answer = self.persist(&request)?;
        self.client.take_settings(&answer)
    }

    /// Has something done that needs the password, exactly once, and tells how an upgrade stands if it is about one.
    ///
    /// # Errors
    /// Those of the link, and what the socket refuses. If nothing answered it may have been done all the same.
    pub fn act(&mut self, request: &Request<'_>) -> Result<Option<Upgrade>, Error> {
        let before = self.status()?;
        let bytes = self.client.request(request)?;
        match self.persist(&bytes).and_then(|answer| self.client.take(&answer)) {
            // Was it obeyed, and the answer lost? Then the socket counted it, and takes it for an old one now.
            Err(Error::Refused(Code::Stale)) => {
                let after = self.status()?;
                if after.challenge.sequence() != before.challenge.sequence().wrapping_add(1) {
                    return Err(Error::Refused(Code::Stale));
                }
                let upgrade = after.upgrade;
                // Obeyed, and refused by the upgrade itself.
                if is_of_upgrade(request) && upgrade.refused != 0 {
                    return Err(Error::Upgrade(upgrade));
                }
                Ok(Some(upgrade))
            }
            other => other,
        }
    }

    fn persist(&mut self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.link.exchange(request) {
                Err(LinkError::Silent) if tries < TRIES => {}
                other => return Ok(other?),
            }
        }
    }
}

/// Tells whether what the socket says of its upgrade is about this request.
const fn is_of_upgrade(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::UpgradeBegin { .. }
            | Request::UpgradeChunk { .. }
            | Request::UpgradeFinish
            | Request::UpgradeAbort
    )
}
