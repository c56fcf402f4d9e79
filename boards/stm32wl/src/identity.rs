//! Who a device is that nobody has given an identity yet.

use embassy_stm32::pac;
use sockeye_settings::{Identity, Key, Model};

/// Makes an identity of the chip's own EUI-64: DevEUI as the chip says, a serial number with the device number in
/// the digits that ABP takes for the DevAddr, and the default application key (guide section 3.2.1).
pub fn of_this_chip() -> Identity {
    let [number, company] = eui64_words();
    let [n0, n1, n2, n3] = number.to_be_bytes();
    let [c0, c1, c2, c3] = company.to_be_bytes();
    Identity {
        sn: [b'S', b'K', n0, n1, n2, n3, 0, 0],
        dev_eui: [c0, c1, c2, c3, n0, n1, n2, n3],
        model: Model::Eu,
        app_key: Key::new(*b"Ur@linkLoRa2018#"),
        hardware_version: [0x01, 0x40],
    }
}

/// Reads the device number, and company with device kind (RM0453, IEEE 64-bit unique device ID; from memory).
fn eui64_words() -> [u32; 2] {
    // 16 bytes below the 96-bit unique id.
    let id = (pac::UID.as_ptr() as usize - 0x10) as *const [u32; 2];
    // SAFETY: system memory of the chip, readable, aligned and never written.
    unsafe { id.read_volatile() }
}
