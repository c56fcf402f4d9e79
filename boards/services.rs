//! Hash and signature, for the application.

use salty::{PublicKey, Sha512, Signature};

use crate::handover::{Hash, MAGIC, Services, VERSION};
use crate::memory;

/// The table that the application finds at the end of this flash.
// SAFETY: the linker's map puts it, and nothing else, there.
#[unsafe(link_section = ".services")]
#[used]
static SERVICES: Services = Services {
    magic: MAGIC,
    version: VERSION,
    hash_begin,
    hash_update,
    hash_finish,
    is_signed,
    reserved: [0; 2],
};

const _: () = assert!(size_of::<Sha512>() <= size_of::<Hash>() && align_of::<Sha512>() <= align_of::<Hash>());

unsafe extern "C" fn hash_begin(hash: *mut Hash) {
    // SAFETY: the caller gives memory that is large enough, and does not look into it.
    unsafe { hash.cast::<Sha512>().write(Sha512::new()) };
}

unsafe extern "C" fn hash_update(hash: *mut Hash, bytes: *const u8, length: usize) {
    // SAFETY: the caller gives a hash that was begun, and so many readable bytes.
    unsafe { (*hash.cast::<Sha512>()).update(core::slice::from_raw_parts(bytes, length)) };
}

unsafe extern "C" fn hash_finish(hash: *mut Hash, digest: *mut [u8; 64]) {
    // SAFETY: the caller gives a hash that was begun and is not used again, and 64 bytes to write to.
    unsafe { digest.write(hash.cast::<Sha512>().read().finalize()) };
}

unsafe extern "C" fn is_signed(message: *const u8, length: usize, signature: *const [u8; 64]) -> u32 {
    // SAFETY: the caller gives so many readable bytes, and 64 others.
    let (message, signature) = unsafe { (core::slice::from_raw_parts(message, length), &*signature) };
    let valid = PublicKey::try_from(&memory::PUBLIC_KEY)
        .and_then(|key| key.verify(message, &Signature::from(signature)));
    u32::from(valid.is_ok())
}
