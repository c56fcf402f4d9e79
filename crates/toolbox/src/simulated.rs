//! A socket on this computer: the firmware itself on virtual hardware and virtual time, and a phone at its tag.

use sockeye_host::tap;
use sockeye_host::typed::{Reply, obey};
use sockeye_host::world::World;
use sockeye_settings::{Model, Region};

use crate::link::{Link, LinkError};

/// How long a socket is left alone when it is plugged in, in ms: until it has started and shows itself on its tag.
const START_MS: u64 = 3_000;

/// The first bytes of what is kept, with the version.
const MARK: &[u8; 8] = b"SKYSIM\0\x01";

/// One simulated socket.
#[derive(Debug)]
pub struct Simulated {
    world: World,
    model: Model,
    region: Region,
    last: u8,
    /// The time that it should have, by whoever looks at a clock; what it does may take it further.
    due_ms: u64,
}

impl Simulated {
    /// Plugs in a new socket; `last` tells several apart.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(model: Model, region: Region, last: u8) -> Result<Self, String> {
        Self::plug_in(model, region, last, None)
    }

    /// Plugs in the socket that [`Self::keep`] kept.
    ///
    /// # Errors
    /// A sentence; what was kept is none, or of another version.
    pub fn restore(kept: &[u8]) -> Result<Self, String> {
        let what = || "this is no simulated socket that was kept".to_owned();
        let rest = kept.strip_prefix(MARK).ok_or_else(what)?;
        let (&[model, region, last], flash) = rest.split_first_chunk::<3>().ok_or_else(what)?;
        let model = Model::from_code(model).ok_or_else(what)?;
        let region = Region::from_code(region).ok_or_else(what)?;
        Self::plug_in(model, region, last, Some(flash))
    }

    fn plug_in(model: Model, region: Region, last: u8, flash: Option<&[u8]>) -> Result<Self, String> {
        let mut world = tap::plug_in(model, region, last, flash)?;
        world.run_until_ms(START_MS);
        Ok(Self { world, model, region, last, due_ms: START_MS })
    }

    /// Returns what the socket keeps without power.
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let flash = self.world.flash(0).map(|flash| flash.contents()).unwrap_or_default();
        [&MARK[..], &[self.model as u8, self.region as u8, self.last], &flash].concat()
    }

    /// Lets time pass.
    pub fn run_ms(&mut self, ms: u64) {
        self.due_ms = self.due_ms.saturating_add(ms);
        self.world.run_until_ms(self.due_ms.max(self.world.now_ms()));
    }

    /// Tells the time since it was plugged in, in ms.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.now_ms()
    }

    /// Does what a line of a script says, such as `press` or `load 1500W` (docs/RUN.md).
    ///
    /// # Errors
    /// A sentence.
    pub fn stimulate(&mut self, line: &str) -> Result<(), String> {
        match obey(&mut self.world, line) {
            Reply::Refused(why) => Err(why),
            _ => Ok(()),
        }
    }
}

impl Link for Simulated {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        self.world.tap(0, request).ok_or(LinkError::Silent)
    }
}
