//! A flash with its parts, a maker who signs, a bootloader, and images that can be told apart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use embassy_boot::{AlignedBuffer, BootLoader, BootLoaderConfig};
use sockeye_upgrade::{
    BoardName, Device, Header, Image, Notes, Progress, Refusal, Request, SIGNED_LEN, Slots, Software, State,
    Upgrade, Verify, public_key, sign,
};
use sockeye_virtual_hardware::flash::{Chip, Flash};

pub const MAKER: [u8; 32] = [0x5A; 32];
pub const OLD: [u8; 2] = [1, 0x00];
pub const NEW: [u8; 2] = [1, 0x10];

thread_local! {
    static SEEN: RefCell<HashMap<Vec<u8>, bool>> = RefCell::default();
}

/// The software, which need not be asked about the same signature twice: it takes 2 ms, and a sweep has thousands of lives.
#[derive(Clone, Copy, Debug)]
pub struct Remembering;

impl Remembering {
    fn software() -> Software {
        static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| public_key(&MAKER));
        Software { public_key: *KEY }
    }
}

impl Verify for Remembering {
    type Hash = <Software as Verify>::Hash;

    fn begin(&mut self) -> Self::Hash {
        Self::software().begin()
    }

    fn update(&mut self, hash: &mut Self::Hash, bytes: &[u8]) {
        Self::software().update(hash, bytes);
    }

    fn finish(&mut self, hash: Self::Hash) -> [u8; 64] {
        Self::software().finish(hash)
    }

    fn is_signed(&mut self, message: &[u8; SIGNED_LEN], signature: &[u8; 64]) -> bool {
        let key = [&message[..], signature].concat();
        SEEN.with_borrow_mut(|seen| {
            *seen.entry(key).or_insert_with(|| Self::software().is_signed(message, signature))
        })
    }
}

/// Pages of the records at the end of the flash.
const STORAGE_PAGES: usize = 4;

/// Where everything lies, with so many pages for an image.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub pages: usize,
    pub page: usize,
}

impl Layout {
    pub fn of<C: Chip>(pages: usize) -> Self {
        Self { pages, page: C::ERASE_SIZE }
    }

    fn pages(&self, from: usize, pages: usize) -> Range<u32> {
        (from * self.page) as u32..((from + pages) * self.page) as u32
    }

    pub fn state(&self) -> Range<u32> {
        self.pages(0, 1)
    }

    pub fn active(&self) -> Range<u32> {
        self.pages(1, self.pages)
    }

    pub fn dfu(&self) -> Range<u32> {
        self.pages(1 + self.pages, self.pages + 1)
    }

    pub fn storage(&self) -> Range<u32> {
        self.pages(2 + 2 * self.pages, STORAGE_PAGES)
    }

    pub fn capacity(&self) -> usize {
        self.pages * self.page
    }

    pub fn flash<C: Chip>(&self) -> Flash<C> {
        Flash::erased(2 + 2 * self.pages + STORAGE_PAGES)
    }

    pub fn device(&self, version: [u8; 2]) -> Device {
        let board = BoardName::new("rig").unwrap();
        Device { board, hardware: [1, 0x40], version, capacity: self.capacity() as u32 }
    }

    /// A device that runs an image of this version and knows nothing yet.
    pub fn upgrade(&self, version: [u8; 2]) -> Upgrade<Remembering> {
        let slots = Slots { state: self.state(), dfu: self.dfu() };
        Upgrade::new(self.device(version), slots, Remembering)
    }

    /// The same after a start.
    pub fn started<C: Chip>(&self, flash: &Flash<C>, version: [u8; 2]) -> Upgrade<Remembering> {
        let mut upgrade = self.upgrade(version);
        upgrade.look(&mut flash.clone()).unwrap();
        upgrade
    }

    /// Starts the bootloader, and the image that it leaves in the active slot.
    pub fn boot<C: Chip>(&self, flash: &Flash<C>) -> Result<(), embassy_boot::BootError> {
        let config = BootLoaderConfig {
            active: flash.part(self.active()),
            dfu: flash.part(self.dfu()),
            state: Notes(flash.part(self.state())),
        };
        BootLoader::new(config).prepare_boot(AlignedBuffer([0; 256]).as_mut()).map(|_| ())
    }

    pub fn active_bytes<C: Chip>(&self, flash: &Flash<C>) -> Vec<u8> {
        let Range { start, end } = self.active();
        flash.contents()[start as usize..end as usize].to_vec()
    }

    pub fn dfu_bytes<C: Chip>(&self, flash: &Flash<C>) -> Vec<u8> {
        let Range { start, end } = self.dfu();
        flash.contents()[start as usize..end as usize].to_vec()
    }
}

/// Bytes that no other image has.
pub fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[0] ^ seed).collect()
}

pub fn describe(bytes: &[u8], version: [u8; 2]) -> Image {
    let mut verify = Software { public_key: [0; 32] };
    let mut hash = verify.begin();
    verify.update(&mut hash, bytes);
    let sha512 = verify.finish(hash);
    let board = BoardName::new("rig").unwrap();
    Image { board, hardware_min: [1, 0], hardware_max: [1, 0xFF], version, len: bytes.len() as u32, sha512 }
}

pub fn header(bytes: &[u8], version: [u8; 2]) -> Vec<u8> {
    let image = describe(bytes, version);
    Header::new(&image, sign(&MAKER, &image.signed_part())).to_bytes().to_vec()
}

pub fn ask<C: Chip>(
    upgrade: &mut Upgrade<Remembering>,
    flash: &Flash<C>,
    request: Request<'_>,
) -> Result<Progress, Refusal> {
    upgrade.handle(&mut flash.clone(), request, || false)
}

/// Sends an image as a tool does: from where the device goes on, in chunks of so many bytes.
pub fn send<C: Chip>(
    upgrade: &mut Upgrade<Remembering>,
    flash: &Flash<C>,
    header: &[u8],
    image: &[u8],
    chunk: usize,
) -> Result<Progress, Refusal> {
    let mut progress = ask(upgrade, flash, Request::Begin { header })?;
    while progress.received < progress.total {
        let offset = progress.received;
        let rest = &image[offset as usize..];
        let data = &rest[..chunk.min(rest.len())];
        progress = ask(upgrade, flash, Request::Chunk { offset, data })?;
        assert!(progress.received > offset, "it does not go on");
    }
    let progress = ask(upgrade, flash, Request::Finish)?;
    assert_eq!(progress.state, State::Ready);
    Ok(progress)
}
