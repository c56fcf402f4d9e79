//! What bootloader and application hand to each other: the relay's level over a reset, and the services of the bootloader.
//! Each board and each bootloader takes it in with `#[path]`.
#![allow(dead_code, reason = "each side uses its half")]

/// What stands for a relay that is on, in the first word of what a reset leaves alone: the application writes it, as
/// `sockeye_firmware::Retained` says, and the bootloader reads it. Noise after power-up is neither.
pub const RELAY_ON: u32 = 0x5AE1_C09A;
/// What stands for one that is off.
pub const RELAY_OFF: u32 = 0xA51E_3F65;

/// Marks a table of services.
pub const MAGIC: u32 = u32::from_le_bytes(*b"SkyE");

/// The form of the table.
pub const VERSION: u32 = 1;

/// A SHA-512 under way, which only the bootloader understands.
#[repr(C, align(8))]
pub struct Hash(pub [u8; 256]);

/// What the bootloader offers to the application, so that the application need not carry it: at the end of the bootloader's
/// flash. The functions use the caller's stack and no other memory but what they are given.
#[repr(C)]
pub struct Services {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Begins a SHA-512.
    pub hash_begin: unsafe extern "C" fn(hash: *mut Hash),
    /// Adds so many bytes.
    pub hash_update: unsafe extern "C" fn(hash: *mut Hash, bytes: *const u8, length: usize),
    /// Writes the 64 bytes of the sum.
    pub hash_finish: unsafe extern "C" fn(hash: *mut Hash, digest: *mut [u8; 64]),
    /// Tells whether 64 bytes are the Ed25519 signature of a message, by the owner of the bootloader's key: 1, else 0.
    pub is_signed: unsafe extern "C" fn(message: *const u8, length: usize, signature: *const [u8; 64]) -> u32,
    /// Words to come.
    pub reserved: [u32; 2],
}
