//! The agent: which frames are obeyed.

use sockeye_settings::{Action, D2d};

use crate::senders::Senders;
use crate::{Frame, Keys, RecordBytes, Refusal};

/// So many commands are obeyed one right after the other; then one in each [`PERIOD_MS`].
pub const BURST: u64 = 60;
/// The time in which one more command is allowed, in ms.
pub const PERIOD_MS: u64 = 60_000;

/// A command to be obeyed once its record is in flash.
#[must_use = "an order is obeyed, or its record is lost"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    record: RecordBytes,
    action: Action,
}

impl Order {
    /// Returns what has to be in flash first. If it cannot be stored the order is dropped: obeyed, it could be obeyed
    /// again after a power cut.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Returns what to do, now that the record is in flash.
    #[must_use]
    pub fn once_stored(self) -> Action {
        self.action
    }
}

/// Judges frames by the settings and by what was heard before.
#[derive(Clone, Debug)]
pub struct Agent {
    settings: D2d,
    keys: Keys,
    senders: Senders,
    /// The commands so far take up the time until then, at one in each period.
    spent_until_ms: u64,
    refused: [u32; Refusal::ALL.len()],
}

impl Agent {
    /// Makes an agent of its settings and the stored record, if there is one. A record of another key counts as none.
    #[must_use]
    pub fn new(settings: D2d, record: Option<&[u8]>) -> Self {
        let keys = Keys::new(settings.key.as_bytes());
        let senders = Senders::decode(record.unwrap_or_default(), keys.tag);
        Self { settings, keys, senders, spent_until_ms: 0, refused: [0; Refusal::ALL.len()] }
    }

    /// Judges a frame that was heard at `now_ms`.
    ///
    /// # Errors
    /// Why it is not obeyed; that is counted.
    pub fn hear(&mut self, now_ms: u64, bytes: &[u8]) -> Result<Order, Refusal> {
        let judged = self.judge(now_ms, bytes);
        if let Err(refusal) = judged
            && let Some(count) = self.refused.get_mut(refusal as usize)
        {
            *count = count.saturating_add(1);
        }
        judged.map(|action| Order { record: self.senders.encode(self.keys.tag), action })
    }

    /// Returns the record as it should be in flash, for a flash that has lost it; no bytes while no sender is known.
    #[must_use]
    pub fn record(&self) -> RecordBytes {
        if self.senders.is_empty() { RecordBytes::new() } else { self.senders.encode(self.keys.tag) }
    }

    /// Tells how often a frame was refused for a reason, since the start. It stops at its largest value.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u32 {
        self.refused.get(refusal as usize).copied().unwrap_or(0)
    }

    fn judge(&mut self, now_ms: u64, bytes: &[u8]) -> Result<Action, Refusal> {
        if !self.settings.enabled {
            return Err(Refusal::Disabled);
        }
        let message = Frame::parse(bytes)?.open(&self.keys)?;
        let is_known = match self.senders.last(message.sender) {
            Some(last) if message.counter <= *last => return Err(Refusal::Replayed),
            Some(last) => {
                // Whatever becomes of it below, it is not taken again. Without an order the new counter goes to flash
                // with the next one that there is.
                *last = message.counter;
                true
            }
            None => false,
        };
        // The commands for other sockets do not fill the table.
        let action = self.settings.action(message.command).ok_or(Refusal::UnknownCommand)?;
        let backlog_ms = self.spent_until_ms.saturating_sub(now_ms);
        if backlog_ms > PERIOD_MS.saturating_mul(BURST.saturating_sub(1)) {
            return Err(Refusal::TooOften);
        }
        if !is_known && !self.senders.advance(message.sender, message.counter) {
            return Err(Refusal::TooManySenders);
        }
        self.spent_until_ms = self.spent_until_ms.max(now_ms).saturating_add(PERIOD_MS);
        Ok(action)
    }
}
