//! An image on its way into a socket, piece by piece.

use sockeye_nfc::{HEADER, Request, Status, TAG, Upgrade, UpgradeState};
use sockeye_upgrade::{HEADER_LEN, Header, Refusal};

use crate::error::Error;

/// What stands before the bytes of a piece: its offset.
const OFFSET: usize = 4;

/// How often a socket may send the tool back before it has come further than ever: a restart of its takes one.
const SETBACKS: u8 = 8;

/// A file with a signed update: its header, and the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    header: Header,
    bytes: Vec<u8>,
}

impl Update {
    /// Takes a file apart. The signature is the socket's to check, as it has the key.
    ///
    /// # Errors
    /// [`Error::UpdateFile`] if it is no update, or not whole.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let no_update = |_| Error::UpdateFile("the file is no update for a socket (NAME.update)".to_owned());
        let header = Header::parse(&bytes).map_err(no_update)?;
        let (there, told) = (bytes.len().saturating_sub(HEADER_LEN), header.image().len);
        if u64::from(told) != there as u64 {
            let what = format!("the file is not whole: its header tells of {told} bytes, {there} are there");
            return Err(Error::UpdateFile(what));
        }
        Ok(Self { header, bytes })
    }

    /// Returns what the header says of the image.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the version of the image.
    #[must_use]
    pub fn version(&self) -> [u8; 2] {
        self.header.image().version
    }

    fn header_bytes(&self) -> &[u8] {
        self.bytes.get(..HEADER_LEN).unwrap_or_default()
    }

    fn image(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }
}

/// How far an update is, by what the socket says: after a broken connection or a reload it goes on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    begun: bool,
    finished: bool,
    /// The most that the socket has had.
    furthest: u32,
    /// How often it has sent the tool back since.
    setbacks: u8,
}

impl Upload {
    /// Returns the next request; none when the socket has all and restarts into it. `upgrade` is what the socket said
    /// last.
    ///
    /// The header comes first, each time: the socket sees by it whether this is what it has a part of.
    #[must_use]
    pub fn next<'a>(
        &mut self,
        update: &'a Update,
        status: &Status,
        upgrade: &Upgrade,
    ) -> Option<Request<'a>> {
        if self.finished {
            return None;
        }
        if !self.begun {
            self.begun = true;
            return Some(Request::UpgradeBegin { header: update.header_bytes() });
        }
        let image = update.image();
        let from = usize::try_from(upgrade.received).ok().filter(|from| *from < image.len());
        let Some(from) = from.filter(|_| upgrade.state == UpgradeState::Receiving) else {
            self.finished = true;
            return Some(Request::UpgradeFinish);
        };
        let room = usize::from(status.max_request).saturating_sub(HEADER + OFFSET + TAG).max(1);
        // Whole flash writes, so that no piece waits in the device for the next one.
        let piece = if room >= 256 { room / 256 * 256 } else { room / 8 * 8 }.max(1);
        let end = from.saturating_add(piece).min(image.len());
        Some(Request::UpgradeChunk { offset: upgrade.received, data: image.get(from..end)? })
    }

    /// Takes what came of the request that was made last, and returns how the upgrade stands, if the socket said so.
    ///
    /// A socket that has restarted meanwhile, as after a power cut, has less than it had and refuses the piece that comes next;
    /// so it does with a piece that its flash has not taken. Then the next request is what it wants.
    ///
    /// # Errors
    /// What came, if it is any other error, or if the socket sends the tool back again and again.
    pub fn take(&mut self, came: Result<Option<Upgrade>, Error>) -> Result<Option<Upgrade>, Error> {
        let (said, error) = match came {
            Ok(said) => (said, None),
            Err(error @ Error::Upgrade(said)) => (Some(said), Some(error)),
            Err(error) => return Err(error),
        };
        let Some(upgrade) = said else { return Ok(None) };
        if upgrade.received > self.furthest {
            (self.furthest, self.setbacks) = (upgrade.received, 0);
        }
        let Some(error) = error else { return Ok(said) };
        match Refusal::from_code(upgrade.refused, upgrade.received) {
            Some(Refusal::Offset { .. } | Refusal::Flash | Refusal::NothingBegun) => {
                self.begun = upgrade.state == UpgradeState::Receiving;
                self.finished = false;
            }
            _ => return Err(error),
        }
        self.setbacks = self.setbacks.saturating_add(1);
        if self.setbacks > SETBACKS { Err(error) } else { Ok(said) }
    }
}
