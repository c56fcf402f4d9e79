//! How a board with a bootloader takes upgrades: where the slots lie, and the bootloader's services for what is to be checked.
//! Each board takes it in with `#[path = "../../upgrade.rs"] mod upgrade;`, beside `memory` and `handover`.

use core::mem::MaybeUninit;

use sockeye_firmware::{Retained, SOFTWARE_VERSION, UpgradeParts};
use sockeye_upgrade::{BoardName, SIGNED_LEN, Slots, Verify};

use crate::handover::{Hash, MAGIC, Services, VERSION};
use crate::{handover, memory};

const _: () = assert!(
    Retained::RELAY_ON == handover::RELAY_ON && Retained::RELAY_OFF == handover::RELAY_OFF,
    "the bootloader holds the relay by the firmware's word"
);

/// The bootloader's SHA-512 and Ed25519; `None` where there is no bootloader that offers them, and nothing is genuine.
#[derive(Clone, Copy)]
pub struct Bootloader(Option<&'static Services>);

impl Bootloader {
    fn find() -> Self {
        let table = memory::SERVICES_ORIGIN as *const Services;
        // SAFETY: readable flash, aligned, and two words whose every content is valid.
        let (magic, version) = unsafe { ((*table).magic, (*table).version) };
        // SAFETY: a table with this mark and of this version has functions in all of its places, and nothing writes there
        // while an application runs.
        Self((magic == MAGIC && version == VERSION).then(|| unsafe { &*table }))
    }
}

impl Verify for Bootloader {
    type Hash = Hash;

    fn begin(&mut self) -> Hash {
        let mut hash = MaybeUninit::new(Hash([0; 256]));
        if let Some(services) = self.0 {
            // SAFETY: it is given memory of the size that both sides know.
            unsafe { (services.hash_begin)(hash.as_mut_ptr()) };
        }
        // SAFETY: it was set before, and any bytes are valid.
        unsafe { hash.assume_init() }
    }

    fn update(&mut self, hash: &mut Hash, bytes: &[u8]) {
        if let Some(services) = self.0 {
            // SAFETY: the hash was begun by `begin`, and so many bytes can be read.
            unsafe { (services.hash_update)(hash, bytes.as_ptr(), bytes.len()) };
        }
    }

    fn finish(&mut self, mut hash: Hash) -> [u8; 64] {
        let mut digest = [0; 64];
        if let Some(services) = self.0 {
            // SAFETY: the hash was begun by `begin` and is not used again; the digest has 64 bytes.
            unsafe { (services.hash_finish)(&mut hash, &mut digest) };
        }
        digest
    }

    fn is_signed(&mut self, message: &[u8; SIGNED_LEN], signature: &[u8; 64]) -> bool {
        // SAFETY: so many bytes can be read, and 64 others.
        self.0.is_some_and(|services| unsafe {
            (services.is_signed)(message.as_ptr(), message.len(), signature) == 1
        })
    }
}

/// Says how the board of this name takes upgrades.
pub fn parts(board: BoardName) -> UpgradeParts<Bootloader> {
    let offset = |origin: u32| origin - memory::FLASH_ORIGIN;
    let range = |origin, length| offset(origin)..offset(origin) + length;
    UpgradeParts {
        board,
        slots: Slots {
            state: range(memory::STATE_ORIGIN, memory::STATE_LENGTH),
            dfu: range(memory::DFU_ORIGIN, memory::DFU_LENGTH),
        },
        capacity: memory::ACTIVE_LENGTH,
        version: memory::VERSION_AS.unwrap_or(SOFTWARE_VERSION),
        verify: Bootloader::find(),
    }
}
