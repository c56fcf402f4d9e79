//! The tag, and the pin by which it calls.

use embassy_stm32::exti::ExtiInput;
use embassy_stm32::mode::Async;
use embassy_stm32::pac;
use embassy_time::Delay;

use crate::i2c::Bus;

/// The tag as the firmware takes it.
pub type Tag = sockeye_nfc::Tag<Bus, ExtiInput<'static, Async>, Delay>;

/// Makes the tag. Without one on the bus it is looked for again now and then, and nothing else is late.
pub fn new(bus: Bus, gpo: ExtiInput<'static, Async>) -> Tag {
    // Another one on each chip, and none of an identity: that may be given to the device after the tag has its password.
    let id = pac::UID.as_ptr().cast::<[u8; 8]>();
    // SAFETY: the first 8 of the 12 bytes of the chip's unique id, readable, aligned and never written.
    let password = unsafe { id.read_volatile() };
    sockeye_nfc::Tag::new(bus, gpo, Delay, password)
}
