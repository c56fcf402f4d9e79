//! Who a device is that nobody has given an identity yet.

use sockeye_settings::{Identity, Key, Model};

use crate::PicoFlash;

/// Reads the flash chip's 64-bit number, which is all that a Pico has.
pub fn number(flash: &mut PicoFlash) -> [u8; 8] {
    let mut number = [0; 8];
    // Without an answer all such devices are the same one, which does no harm on a bench.
    let _ = flash.blocking_unique_id(&mut number);
    number
}

/// Makes an identity of that number: DevEUI in the range that anybody
/// may use, a serial number with half of it in the digits that ABP takes for the DevAddr, and the default application
/// key (guide section 3.2.1).
pub fn of([first, i1, i2, i3, i4, i5, i6, i7]: [u8; 8]) -> Identity {
    Identity {
        sn: [b'S', b'K', i4, i5, i6, i7, 0, 0],
        // An EUI-64 that is locally administered (bit 1) and of one device (bit 0), IEEE 802 clause 8.
        dev_eui: [first & !1 | 2, i1, i2, i3, i4, i5, i6, i7],
        model: Model::Eu,
        app_key: Key::new(*b"Ur@linkLoRa2018#"),
        hardware_version: [0x01, 0x40],
    }
}
