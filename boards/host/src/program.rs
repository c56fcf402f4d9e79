//! The flash of a simulated socket beside its records: the slots of two images, and embassy-boot's bootloader over them.
//!
//! What runs is this program, whatever an image says; so an image is a few words that tell as what it runs, and filling.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use embassy_boot::{AlignedBuffer, BootLoader, BootLoaderConfig};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sockeye_firmware::{SOFTWARE_VERSION, UpgradeParts};
use sockeye_upgrade::{BoardName, Header, Image, Notes, Slots, Software, Verify, sign};
use sockeye_virtual_hardware::flash::{Chip, Flash, FlashError, Stm32wl, Stm32wlNmi};

/// The name of this board in the headers of updates.
pub const BOARD: BoardName = BoardName::new("host").expect("a name");

/// Where the slots begin in the flash, behind all records.
const START: u32 = 64 * 1024;

const PAGE: u32 = Stm32wl::ERASE_SIZE as u32;

/// Pages of an image, as on the STM32WL.
const ACTIVE_PAGES: u32 = 55;

/// The longest image, in bytes.
pub const CAPACITY: u32 = ACTIVE_PAGES * PAGE;

const STATE: Range<u32> = 0..PAGE;
const ACTIVE: Range<u32> = STATE.end..STATE.end + CAPACITY;
const DFU: Range<u32> = ACTIVE.end..ACTIVE.end + CAPACITY + PAGE;

/// What an image of a simulated socket begins with.
const MARK: &[u8; 16] = b"SIMULATED SOCKET";

/// How the firmware of an image does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conduct {
    /// As it should.
    #[default]
    Well,
    /// It never comes to run, and the watchdog ends it.
    Hangs,
    /// It cannot read its meter.
    CannotMeasure,
}

impl Conduct {
    const ALL: [Self; 3] = [Self::Well, Self::Hangs, Self::CannotMeasure];
}

/// As what an image runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its version, as `ff0a` tells it.
    pub version: [u8; 2],
    /// How it does.
    pub conduct: Conduct,
}

impl Program {
    /// What a socket runs that was never upgraded.
    pub const FIRST: Self = Self { version: SOFTWARE_VERSION, conduct: Conduct::Well };

    /// Makes an image of so many bytes, 19 or more.
    #[must_use]
    pub fn image(self, len: usize) -> Vec<u8> {
        let words = MARK.iter().chain(&self.version).copied();
        let filling = (0_u32..).map(|at| at.wrapping_mul(0x9E37_79B9).to_be_bytes()[0]);
        words.chain([self.conduct as u8]).chain(filling).take(len).collect()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let [major, minor, conduct, ..] = *bytes.strip_prefix(MARK)? else { return None };
        let conduct = *Conduct::ALL.get(usize::from(conduct))?;
        Some(Self { version: [major, minor], conduct })
    }
}

/// Describes an image for its header.
#[must_use]
pub fn describe(bytes: &[u8], version: [u8; 2]) -> Image {
    let mut verify = Software { public_key: [0; 32] };
    let mut hash = verify.begin();
    verify.update(&mut hash, bytes);
    let sha512 = verify.finish(hash);
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Image { board: BOARD, hardware_min: [1, 0], hardware_max: [1, 0xFF], version, len, sha512 }
}

/// Signs with the key of those who develop, which simulated sockets obey and everybody has.
///
/// # Panics
/// If the file of the key holds none.
#[must_use]
pub fn signed(image: &Image) -> Header {
    Header::new(image, sign(&key(include_str!("../../development.key")), &image.signed_part()))
}

/// Makes an update of so many bytes of image, as it is in a file, which every simulated socket of an older version takes.
#[must_use]
pub fn update(program: Program, len: usize) -> Vec<u8> {
    let image = program.image(len);
    let header = signed(&describe(&image, program.version));
    [&header.to_bytes()[..], &image].concat()
}

/// Reads a file of a key: 64 hexadecimal digits below some lines of comment.
fn key(text: &str) -> [u8; 32] {
    let digits: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::chars).collect();
    let digit = |at: usize| digits.get(at).and_then(|digit| digit.to_digit(16)).expect("a hexadecimal digit");
    std::array::from_fn(|at| (digit(2 * at) << 4 | digit(2 * at + 1)) as u8)
}

/// All of a socket's flash: the records, and behind them the slots, which are there once something is written to them.
#[derive(Clone, Debug)]
pub struct HostFlash {
    records: Flash<Stm32wl>,
    slots: Rc<OnceCell<Flash<Stm32wl>>>,
}

/// In which of the two an offset lies, and where.
enum Place {
    Records(u32),
    Slots(u32),
}

impl HostFlash {
    /// Joins the flash of the records with slots that are erased.
    #[must_use]
    pub fn new(records: Flash<Stm32wl>) -> Self {
        Self { records, slots: Rc::default() }
    }

    /// The flash of the records.
    #[must_use]
    pub fn records(&self) -> &Flash<Stm32wl> {
        &self.records
    }

    /// The flash of the slots.
    pub fn slots(&self) -> &Flash<Stm32wl> {
        self.slots.get_or_init(|| Flash::erased((DFU.end / PAGE) as usize))
    }

    /// Copies the contents out: the records, and behind them the slots if they are there.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let mut bytes = self.records.contents();
        bytes.extend(self.slots.get().into_iter().flat_map(Flash::contents));
        bytes
    }

    /// Overwrites the contents with what [`Self::contents`] gave. Tells whether it was of this size.
    pub(crate) fn put(&self, bytes: &[u8]) -> bool {
        let Some((records, slots)) = bytes.split_at_checked(self.records.contents().len()) else {
            return false;
        };
        if !(slots.is_empty() || slots.len() == DFU.end as usize) {
            return false;
        }
        self.records.spoil(0, records);
        if !slots.is_empty() {
            self.slots().spoil(0, slots);
        }
        true
    }

    fn place(offset: u32) -> Place {
        offset.checked_sub(START).map_or(Place::Records(offset), Place::Slots)
    }

    /// Runs the bootloader: tells what starts after it, and how long it takes in µs.
    ///
    /// # Panics
    /// If the bootloader finds a flash that refuses.
    pub fn boot(&self) -> (Program, u64) {
        let Some(slots) = self.slots.get() else { return (Program::FIRST, 0) };
        let before_us = slots.counts().busy_us;
        let seen = slots.seen_as::<Stm32wlNmi>();
        let config = BootLoaderConfig {
            active: seen.part(ACTIVE),
            dfu: seen.part(DFU),
            state: Notes(seen.part(STATE)),
        };
        BootLoader::new(config)
            .prepare_boot(AlignedBuffer([0; 256]).as_mut())
            .expect("the flash of a simulated socket takes what it is given");
        let active = slots.contents().split_off(ACTIVE.start as usize);
        (Program::parse(&active).unwrap_or(Program::FIRST), slots.counts().busy_us - before_us)
    }
}

/// Says how a simulated socket takes upgrades, running an image of this version.
#[must_use]
pub fn upgrade_parts(version: [u8; 2]) -> UpgradeParts<Software> {
    let moved = |range: Range<u32>| START + range.start..START + range.end;
    UpgradeParts {
        board: BOARD,
        slots: Slots { state: moved(STATE), dfu: moved(DFU) },
        capacity: CAPACITY,
        version,
        verify: Software { public_key: key(include_str!("../../development.pub")) },
    }
}

impl ErrorType for HostFlash {
    type Error = FlashError;
}

impl ReadNorFlash for HostFlash {
    const READ_SIZE: usize = Stm32wl::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        match Self::place(offset) {
            Place::Records(at) => self.records.read(at, bytes).await,
            Place::Slots(at) => match self.slots.get() {
                Some(slots) => slots.clone().read(at, bytes).await,
                None => {
                    bytes.fill(0xFF);
                    Ok(())
                }
            },
        }
    }

    fn capacity(&self) -> usize {
        (START + DFU.end) as usize
    }
}

impl NorFlash for HostFlash {
    const WRITE_SIZE: usize = Stm32wl::WRITE_SIZE;
    const ERASE_SIZE: usize = Stm32wl::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        match Self::place(from) {
            Place::Records(at) => self.records.erase(at, at + (to - from)).await,
            Place::Slots(at) => self.slots().clone().erase(at, at + (to - from)).await,
        }
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        match Self::place(offset) {
            Place::Records(at) => self.records.write(at, bytes).await,
            Place::Slots(at) => self.slots().clone().write(at, bytes).await,
        }
    }
}
