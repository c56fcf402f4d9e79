//! Frames that get lost or come late, on purpose, for tests.

use crate::server::NetworkServer;

/// What goes wrong by chance, in permille (0..1000) of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Uplinks that a gateway does not pass on; each gateway by itself.
    pub uplinks_lost_permille: u16,
    /// Downlinks which the network counts as sent, and which are not.
    pub downlinks_lost_permille: u16,
    /// Downlinks that go out late.
    pub downlinks_late_permille: u16,
    /// How late, in microseconds.
    pub late_by_us: u64,
}

/// What becomes of a downlink.
pub(crate) enum Fate {
    Sent,
    Lost,
    Late(u64),
}

/// The faults of a network, by chance and by number.
pub(crate) struct Mishaps {
    by_chance: Faults,
    random: u64,
    uplinks_to_lose: u32,
    downlinks_to_lose: u32,
    downlinks_to_delay: (u32, u64),
}

impl Mishaps {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            by_chance: Faults::default(),
            random: seed,
            uplinks_to_lose: 0,
            downlinks_to_lose: 0,
            downlinks_to_delay: (0, 0),
        }
    }

    /// Draws one of a thousand, by splitmix64; draws nothing where nothing can happen.
    fn happens(&mut self, permille: u16) -> bool {
        if permille == 0 {
            return false;
        }
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % 1_000 < u64::from(permille)
    }

    pub(crate) fn loses_uplink(&mut self) -> bool {
        if self.uplinks_to_lose > 0 {
            self.uplinks_to_lose -= 1;
            return true;
        }
        self.happens(self.by_chance.uplinks_lost_permille)
    }

    pub(crate) fn fate(&mut self) -> Fate {
        if self.downlinks_to_lose > 0 {
            self.downlinks_to_lose -= 1;
            return Fate::Lost;
        }
        if self.downlinks_to_delay.0 > 0 {
            self.downlinks_to_delay.0 -= 1;
            return Fate::Late(self.downlinks_to_delay.1);
        }
        if self.happens(self.by_chance.downlinks_lost_permille) {
            return Fate::Lost;
        }
        if self.happens(self.by_chance.downlinks_late_permille) {
            return Fate::Late(self.by_chance.late_by_us);
        }
        Fate::Sent
    }
}

impl NetworkServer {
    /// Lets frames get lost and come late by chance from now on; the seed of the server decides which.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults.by_chance = faults;
    }

    /// Loses the next uplinks that the gateways hear; copies count each.
    pub fn lose_uplinks(&mut self, count: u32) {
        self.faults.uplinks_to_lose = count;
    }

    /// Loses the next downlinks, whatever they are. The network takes them for sent.
    pub fn lose_downlinks(&mut self, count: u32) {
        self.faults.downlinks_to_lose = count;
    }

    /// Sends the next downlinks late by so many microseconds, whatever they are.
    pub fn delay_downlinks(&mut self, count: u32, by_us: u64) {
        self.faults.downlinks_to_delay = (count, by_us);
    }
}
