//! What the firmware tells about itself while it runs: a log on a chip, lines and live view on the host.

use sockeye_metering::Reading;
use sockeye_nfc::Code;
use sockeye_state_machine::{Cause, RebootCause, TripCause};
use sockeye_upgrade::State;

/// Takes notices from all tasks. It must not block: control calls it too.
pub trait Observer: Clone {
    /// Takes one notice.
    fn observe(&self, notice: Notice<'_>);
}

/// One thing that happened in the device.
///
/// No key and no session is in any of them (design rule 8).
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The relay was switched.
    Relay {
        /// Power is supplied.
        on: bool,
        /// Who or what switched it.
        cause: Cause,
    },
    /// The LED changed.
    Led {
        /// It is lit.
        on: bool,
    },
    /// The protection opened the relay.
    Trip {
        /// Which of the two limits.
        cause: TripCause,
        /// The current that caused it.
        current_ma: u32,
    },
    /// The current reached the alarm's threshold.
    Alarm {
        /// The current that did.
        current_ma: u32,
    },
    /// The meter was read.
    Reading {
        /// What it said.
        reading: &'a Reading,
        /// The energy sum with it.
        energy_uwh: u64,
    },
    /// A join-request went out.
    JoinRequest {
        /// Its DevNonce.
        dev_nonce: u16,
        /// Its data rate.
        dr: u8,
        /// Its channel.
        freq_hz: u32,
    },
    /// A session has begun.
    Joined {
        /// The address the network gave.
        dev_addr: u32,
    },
    /// A stored session, or that of an ABP device, is in use.
    Resumed {
        /// Its address.
        dev_addr: u32,
    },
    /// A data frame went out.
    Uplink {
        /// Its port, if it carries one.
        port: Option<u8>,
        /// Its frame counter.
        fcnt: u32,
        /// Its data rate.
        dr: u8,
        /// Its channel.
        freq_hz: u32,
        /// It asks for an ACK.
        confirmed: bool,
        /// Its payload, not enciphered; empty in a frame that the MAC sent for itself.
        payload: &'a [u8],
    },
    /// A downlink for the application was accepted.
    Downlink {
        /// Its port.
        port: u8,
        /// Its payload, deciphered.
        payload: &'a [u8],
        /// Its frame counter.
        fcnt: u32,
        /// It came to a multicast group.
        multicast: bool,
    },
    /// A record is in flash.
    Stored {
        /// The record's name.
        record: &'static str,
    },
    /// A request came by tag or serial line.
    Maintenance {
        /// Its kind, as it came; 0 if it was none.
        kind: u8,
        /// What became of it.
        code: Code,
    },
    /// The device restarts.
    Reboot {
        /// Why.
        cause: RebootCause,
    },
    /// An upgrade has come to this: on trial, confirmed, or gone back.
    Upgrade {
        /// How it stands.
        state: State,
    },
    /// Something went wrong, or was refused and counted.
    Error {
        /// What, in a few words.
        what: &'static str,
    },
}
