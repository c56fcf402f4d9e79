//! The device's side of a session: which request is let through, and how long a wrong password costs.

use core::fmt;

use sockeye_settings::Password;

use crate::answer::{Answer, Code};
use crate::keys::{Keys, TAG};
use crate::request::{Envelope, HEADER, Kind, Request, VERSION};
use crate::status::Challenge;
use crate::wire::{Malformed, Reader};

/// Bytes of the record that is stored.
pub const RECORD: usize = 9;

/// How many wrong passwords in a row are free (behaviour.md, Settings by NFC).
pub const TRIES: u8 = 5;

/// The wait after that many, in s; each one more doubles it.
const FIRST_WAIT_S: u16 = 30;

/// The longest wait, in s: an hour keeps an owner whom somebody plays a trick on from despair.
const LONGEST_WAIT_S: u16 = 3600;

/// The device's side of a session.
pub struct Session {
    sn: [u8; 8],
    seed: u64,
    sequence: u32,
    nonce: u32,
    failures: u8,
    wait_until_ms: u64,
    keys: Option<(Password, Keys)>,
    is_dirty: bool,
    /// What the last request said of itself, if it was one.
    asked: Option<Envelope>,
    /// It knew the password.
    is_genuine: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, failures, .. } = self;
        f.debug_struct("Session")
            .field("sequence", sequence)
            .field("failures", failures)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Begins with the stored record, if there is one. How much of a wait was over at the last power cut nobody knows:
    /// it begins anew.
    #[must_use]
    pub fn new(sn: [u8; 8], record: Option<&[u8]>, seed: u64, now_ms: u64) -> Self {
        let mut session = Self {
            sn,
            seed,
            sequence: 0,
            nonce: fold(seed),
            failures: 0,
            wait_until_ms: now_ms,
            keys: None,
            is_dirty: true,
            asked: None,
            is_genuine: false,
        };
        if let Some((sequence, nonce, failures)) = record.and_then(|bytes| read(bytes).ok()) {
            (session.sequence, session.nonce, session.failures) = (sequence, nonce, failures);
            session.is_dirty = false;
        }
        session.begin_wait(now_ms);
        session
    }

    /// Returns what the next request has to be made for.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        Challenge::new(self.sequence, self.nonce)
    }

    /// Tells how long no password is looked at, in s, rounded up.
    #[must_use]
    #[inline(never)]
    pub fn wait_s(&self, now_ms: u64) -> u16 {
        u16::try_from(self.wait_until_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u16::MAX)
    }

    /// Returns the record, if it has to be stored: before an answer goes out, and before anything is done.
    pub fn record(&mut self) -> Option<[u8; RECORD]> {
        if !core::mem::take(&mut self.is_dirty) {
            return None;
        }
        let ([a, b, c, d], [e, f, g, h]) = (self.sequence.to_le_bytes(), self.nonce.to_le_bytes());
        Some([a, b, c, d, e, f, g, h, self.failures])
    }

    /// Notes that the record could not be stored: it has to be tried again, and nobody learns whether the password was right.
    pub fn unstored(&mut self) {
        (self.is_dirty, self.is_genuine) = (true, false);
    }

    /// Checks a request, and deciphers it in place. After it look at [`record`](Self::record), refused or not.
    ///
    /// The first request with a new password takes the time of [`Keys::derive`].
    ///
    /// # Errors
    /// Why it is refused.
    ///
    /// # Cancel safety
    /// Nothing is let through and nothing is counted.
    pub async fn open<'a>(
        &mut self,
        now_ms: u64,
        password: &Password,
        bytes: &'a mut [u8],
    ) -> Result<Request<'a>, Code> {
        let kind = self.admit(now_ms, bytes)?;
        let Some((head, rest)) = bytes.split_at_mut_checked(HEADER) else { return Err(Code::Malformed) };
        if !kind.is_guarded() {
            return Request::parse(kind, rest).map_err(|Malformed| Code::Malformed);
        }
        let Some((body, tag)) = rest.split_last_chunk_mut::<TAG>() else { return Err(Code::Malformed) };
        if self.keys.as_ref().is_none_or(|(of, _)| of != password) {
            self.keys = Some((*password, Keys::derive(password, &self.sn).await));
        }
        let Some((_, keys)) = &self.keys else { return Err(Code::WrongPassword) };
        let challenge = kind.is_enciphered().then_some(self.challenge().0);
        let is_right = keys.check(head, body, *tag, challenge).await;
        self.judge(now_ms, is_right)?;
        Request::parse(kind, body).map_err(|Malformed| Code::Malformed)
    }

    /// Looks at all that comes before the password.
    fn admit(&mut self, now_ms: u64, bytes: &[u8]) -> Result<Kind, Code> {
        self.is_genuine = false;
        self.asked = Envelope::parse(bytes).ok();
        let envelope = self.asked.ok_or(Code::Malformed)?;
        if envelope.version != VERSION {
            return Err(Code::Version);
        }
        let kind = envelope.kind.ok_or(Code::Kind)?;
        if !kind.is_guarded() {
            return Ok(kind);
        }
        if envelope.sn != self.sn {
            return Err(Code::OtherDevice);
        }
        // Before the password: an old request costs nobody a try.
        if envelope.challenge != self.challenge() {
            return Err(Code::Stale);
        }
        if self.wait_s(now_ms) > 0 {
            return Err(Code::Wait);
        }
        Ok(kind)
    }

    /// Uses the challenge up, or counts a wrong password.
    fn judge(&mut self, now_ms: u64, is_right: bool) -> Result<(), Code> {
        self.is_dirty = true;
        let Some((_, keys)) = self.keys.as_ref().filter(|_| is_right) else {
            self.failures = self.failures.saturating_add(1);
            self.begin_wait(now_ms);
            return Err(Code::WrongPassword);
        };
        // It will not come twice, whatever it asks for.
        self.seed = self.seed.wrapping_add(1);
        self.nonce = keys.nonce(self.seed, self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        self.failures = 0;
        self.is_genuine = true;
        Ok(())
    }

    /// Writes the answer to the last request, and returns its length. Who does not know the password gets nothing that the keys
    /// were used on.
    pub fn answer(&self, code: Code, body: &[u8], out: &mut [u8]) -> usize {
        let keys = self.keys.as_ref().filter(|_| self.is_genuine).map(|(_, keys)| keys);
        Answer::write(
            code,
            self.kind_code(),
            self.asked.map_or(Challenge::default(), |it| it.challenge),
            body,
            keys,
            out,
        )
    }

    /// Returns the kind of the last request, as it came; 0 if it was none.
    #[must_use]
    pub fn kind_code(&self) -> u8 {
        self.asked.map_or(0, |envelope| envelope.kind_code)
    }

    fn begin_wait(&mut self, now_ms: u64) {
        let Some(more) = self.failures.checked_sub(TRIES) else { return };
        let wait_s = FIRST_WAIT_S.checked_shl(more.into()).filter(|_| more < 7).unwrap_or(LONGEST_WAIT_S);
        let wait_ms = u64::from(wait_s.min(LONGEST_WAIT_S)).saturating_mul(1000);
        self.wait_until_ms = now_ms.saturating_add(wait_ms);
    }
}

fn read(bytes: &[u8]) -> Result<(u32, u32, u8), Malformed> {
    let mut reader = Reader(bytes);
    Ok((reader.u32()?, reader.u32()?, reader.u8()?))
}

/// Makes 32 bits of 64.
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn fold(seed: u64) -> u32 {
    (seed >> 32) as u32 ^ seed as u32
}
