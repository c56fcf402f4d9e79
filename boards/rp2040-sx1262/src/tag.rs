//! The tag, and the pin by which it calls.

use embassy_rp::gpio::Input;
use embassy_time::Delay;

use crate::i2c::Bus;

/// The tag as the firmware takes it.
pub type Tag = sockeye_nfc::Tag<Bus, Input<'static>, Delay>;

/// Makes the tag. Without one on the bus it is looked for again now and then, and nothing else is late. Its password is the
/// number of the flash chip and none of an identity: that may be given to the device after the tag has its password.
pub fn new(bus: Bus, gpo: Input<'static>, number: [u8; 8]) -> Tag {
    sockeye_nfc::Tag::new(bus, gpo, Delay, number)
}
