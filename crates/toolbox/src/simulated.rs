//! A socket on this computer: the firmware itself on virtual hardware and virtual time, and a phone at its tag.

pub use sockeye_host::program::Conduct;
use sockeye_host::program::Program;
use sockeye_host::tap;
use sockeye_host::typed::{Reply, obey};
use sockeye_host::world::World;
use sockeye_settings::{Model, Region};

use crate::link::{Link, LinkError};

/// How long a socket is left alone when it is plugged in, in ms: until it has started and shows itself on its tag.
const START_MS: u64 = 3_000;

/// How far taps may take a socket's clock ahead of the one of whoever looks at it, in ms: more would be a socket that stands
/// still for minutes after an upgrade.
const MOST_AHEAD_MS: u64 = 2_000;

/// The first bytes of what is kept, with the version.
const MARK: &[u8; 8] = b"SKYSIM\0\x02";

/// Bytes of a page; one that is erased is not kept.
const PAGE: usize = 2048;

/// Says what is wrong with what should be a socket that was kept.
const NONE: &str = "this is no simulated socket that was kept, or one of another version";

/// Bytes of image in an update that is made to try upgrades: as many as those of a board.
const UPDATE_LEN: usize = 100_000;

/// Makes a signed update that simulated sockets take, to try upgrades with; `conduct` says how its firmware does.
#[must_use]
pub fn simulated_update(version: [u8; 2], conduct: Conduct) -> Vec<u8> {
    sockeye_host::program::update(Program { version, conduct }, UPDATE_LEN)
}

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
        let rest = kept.strip_prefix(MARK).ok_or(NONE)?;
        let (&[model, region, last], rest) = rest.split_first_chunk::<3>().ok_or(NONE)?;
        let model = Model::from_code(model).ok_or(NONE)?;
        let region = Region::from_code(region).ok_or(NONE)?;
        let flash = unpacked(rest).ok_or(NONE)?;
        Self::plug_in(model, region, last, Some(&flash))
    }

    fn plug_in(model: Model, region: Region, last: u8, flash: Option<&[u8]>) -> Result<Self, String> {
        let mut world = tap::plug_in(model, region, last, flash)?;
        let due_ms = world.now_ms() + START_MS;
        world.run_until_ms(due_ms);
        Ok(Self { world, model, region, last, due_ms })
    }

    /// Returns what the socket keeps without power.
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let about = [self.model as u8, self.region as u8, self.last];
        [&MARK[..], &about, &packed(&self.world.kept(0))].concat()
    }

    /// Lets time pass; of what taps have taken it ahead, up to 2 s are made up for.
    pub fn run_ms(&mut self, ms: u64) {
        let begun_ms = self.due_ms.max(self.world.now_ms().saturating_sub(MOST_AHEAD_MS));
        self.due_ms = begun_ms.saturating_add(ms);
        self.world.run_until_ms(self.due_ms.max(self.world.now_ms()));
    }

    /// Tells the time since it was plugged in, in ms.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.now_ms()
    }

    /// Holds a phone to the tag and reads the message that is there; none if the socket's tag does not answer.
    pub fn read_tag(&mut self) -> Option<Vec<u8>> {
        self.world.read_tag(0)
    }

    /// Holds a phone to the tag and writes a message; with `leaves_after` the phone is taken away after so many bytes. Tells
    /// whether all was written.
    pub fn write_tag(&mut self, message: &[u8], leaves_after: Option<usize>) -> bool {
        self.world.write_tag(0, message, leaves_after)
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

/// Writes down how many pages there are, then each that is not erased, behind its number.
fn packed(flash: &[u8]) -> Vec<u8> {
    let number = |at: usize| u16::try_from(at).unwrap_or(u16::MAX).to_le_bytes();
    let mut packed = number(flash.len() / PAGE).to_vec();
    for (at, page) in
        flash.chunks_exact(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0xFF))
    {
        packed.extend(number(at));
        packed.extend(page);
    }
    packed
}

/// Reads what [`packed`] wrote; none if it is not whole.
fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let (count, mut rest) = packed.split_first_chunk()?;
    let mut flash = vec![0xFF; usize::from(u16::from_le_bytes(*count)) * PAGE];
    while let Some((at, after)) = rest.split_first_chunk() {
        let (page, after) = after.split_at_checked(PAGE)?;
        let at = usize::from(u16::from_le_bytes(*at)) * PAGE;
        flash.get_mut(at..at + PAGE)?.copy_from_slice(page);
        rest = after;
    }
    rest.is_empty().then_some(flash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_taps_took_ahead_goes_on_soon() {
        let mut socket = Simulated::new(Model::Eu, Region::Eu868, 0).unwrap();
        socket.world.run_until_ms(100_000);
        socket.run_ms(1_000);
        assert_eq!(socket.now_ms(), 100_000);
        socket.run_ms(1_000);
        socket.run_ms(1_000);
        assert_eq!(socket.now_ms(), 101_000);
    }

    #[test]
    fn a_flash_is_packed_without_its_erased_pages_and_what_is_cut_off_is_none() {
        let mut flash = vec![0xFF; 5 * PAGE];
        flash[PAGE] = 1;
        flash[5 * PAGE - 1] = 0;
        let packed = packed(&flash);
        assert_eq!(packed.len(), 2 + 2 * (2 + PAGE));
        assert_eq!(unpacked(&packed), Some(flash));
        for len in [0, 1, 3, 2 + 2, packed.len() - 1] {
            assert_eq!(unpacked(&packed[..len]), None, "{len}");
        }
        assert_eq!(unpacked(&[1, 0, 9, 0].into_iter().chain([0; PAGE]).collect::<Vec<_>>()), None);
    }
}
