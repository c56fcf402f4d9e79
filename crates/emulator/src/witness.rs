//! Says why something happened, from what is seen outside: the image tells nothing.
//!
//! It goes by what came just before: a button that moved, a frame for this socket that the radio received, a current
//! above what the socket is rated for. What none of them explains is the delay task's.

use sockeye_settings::Model;

use crate::chip::ResetKind;

/// How long before the relay the button moved last: it is debounced for 30 ms, and looked at once more.
const BUTTON_US: u64 = 60_000;

/// How long before the relay a frame was received that switched it.
const FRAME_US: u64 = 50_000;

/// How long before a restart the frame was received that asked for it: its answer goes out first.
const REBOOT_US: u64 = 30_000_000;

/// A factory reset follows on so much time with the button held, and a little more, in µs.
const HOLD_US: u64 = 15_000_000;

/// Parts of the names of functions that end in a reset because something went wrong.
const FAULTS: [&str; 3] = ["panic", "rust_begin_unwind", "HardFault"];

/// Who is seen to have switched the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The first setting after a start.
    PowerUp,
    /// The button.
    Button,
    /// A frame for this socket.
    Downlink,
    /// A frame for its group.
    Multicast,
    /// A controller's frame.
    D2d,
    /// More than 130 % of the rated current.
    HardLimit,
    /// A current, and nobody else.
    Protection,
    /// Nobody.
    DelayTask,
}

impl Cause {
    /// The name that the lines of a run use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PowerUp => "power_up",
            Self::Button => "button",
            Self::Downlink => "downlink",
            Self::Multicast => "multicast",
            Self::D2d => "d2d",
            Self::HardLimit => "hard_limit",
            Self::Protection => "protection",
            Self::DelayTask => "delay_task",
        }
    }

    /// Names the limit, if it was one.
    #[must_use]
    pub fn trip(self) -> Option<&'static str> {
        matches!(self, Self::HardLimit | Self::Protection).then(|| self.name())
    }
}

/// What was seen last.
#[derive(Clone, Debug)]
pub struct Witness {
    rated_ma: u32,
    has_set_relay: bool,
    delivered: Option<(u64, Cause)>,
    reboot_asked: Option<(u64, bool)>,
    faults: Vec<String>,
    nwh: u64,
}

impl Witness {
    /// Makes a witness of a socket of this model.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            rated_ma: u32::from(model.rated_current_a()) * 1000,
            has_set_relay: false,
            delivered: None,
            reboot_asked: None,
            faults: Vec::new(),
            nwh: 0,
        }
    }

    /// Notes a start of the chip.
    pub fn restarted(&mut self) {
        self.has_set_relay = false;
    }

    /// Notes application data for this socket.
    pub fn delivery(&mut self, now_us: u64, multicast: bool, payload: &[u8]) {
        self.delivered = Some((now_us, if multicast { Cause::Multicast } else { Cause::Downlink }));
        // `ff10` restarts (guide section 4.2).
        if payload.windows(2).any(|pair| pair == [0xFF, 0x10]) {
            self.reboot_asked = Some((now_us, multicast));
        }
    }

    /// Notes a frame of a controller.
    pub fn controller(&mut self, now_us: u64) {
        self.delivered = Some((now_us, Cause::D2d));
    }

    /// Says who has switched the relay just now.
    pub fn relay(&mut self, now_us: u64, on: bool, current_ma: u32, button_us: Option<u64>) -> Cause {
        let within = |at_us: u64, time_us: u64| now_us.saturating_sub(at_us) <= time_us;
        if !std::mem::replace(&mut self.has_set_relay, true) {
            return Cause::PowerUp;
        }
        if let Some((_, cause)) = self.delivered.filter(|(at_us, _)| within(*at_us, FRAME_US)) {
            return cause;
        }
        if button_us.is_some_and(|at_us| within(at_us, BUTTON_US)) {
            return Cause::Button;
        }
        match (on, current_ma) {
            (true, _) | (false, 0) => Cause::DelayTask,
            // behaviour.md: the hard limit is 130 % of the rated current.
            _ if current_ma > self.rated_ma / 10 * 13 => Cause::HardLimit,
            _ => Cause::Protection,
        }
    }

    /// Says why the chip was reset just now.
    /// The image resets itself when it is asked to, after a factory reset, after a fault or a panic, and into another image: then the
    /// bootloader's notes say `swap`.
    pub fn reboot(
        &mut self,
        now_us: u64,
        kind: ResetKind,
        has_failed: bool,
        function: &str,
        button_us: Option<u64>,
        swaps: bool,
    ) -> &'static str {
        self.restarted();
        match (kind, self.reboot_asked.take()) {
            (ResetKind::Power, _) => "power_on",
            (ResetKind::Watchdog, _) => "watchdog",
            _ if has_failed => "fault",
            (ResetKind::Software, Some((at_us, multicast))) if now_us.saturating_sub(at_us) <= REBOOT_US => {
                if multicast {
                    "multicast"
                } else {
                    "downlink"
                }
            }
            _ if FAULTS.iter().any(|name| function.contains(name)) => "fault",
            _ if button_us.is_some_and(|at_us| now_us.saturating_sub(at_us) <= HOLD_US) => "factory_reset",
            (ResetKind::Software, _) if swaps => "upgrade",
            // By the tag or the serial line: a command, or settings that need it.
            (ResetKind::Software, _) => "nfc",
        }
    }

    /// Gives those of the faults that were not given before.
    pub fn new_faults(&mut self, faults: Vec<String>) -> Vec<String> {
        let new: Vec<String> = faults.into_iter().filter(|what| !self.faults.contains(what)).collect();
        self.faults.extend(new.iter().cloned());
        new
    }

    /// Adds energy; gives the sum, in nWh.
    pub fn count(&mut self, nwh: u64) -> u64 {
        self.nwh += nwh;
        self.nwh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_was_switched_by_what_came_just_before() {
        const NOW_US: u64 = 100_000_000;
        let check = |delivered: Option<(u64, bool)>, button_us, on, current_ma, expected| {
            let mut witness = Witness::new(Model::Eu);
            assert_eq!(witness.relay(0, true, 0, None), Cause::PowerUp);
            if let Some((ago_us, multicast)) = delivered {
                witness.delivery(NOW_US - ago_us, multicast, &[8, 0]);
            }
            let cause = witness.relay(NOW_US, on, current_ma, button_us);
            assert_eq!(cause, expected);
        };
        check(None, Some(NOW_US - 32_000), false, 5_000, Cause::Button);
        check(None, Some(NOW_US - 70_000), true, 0, Cause::DelayTask);
        check(Some((4_000, false)), None, true, 0, Cause::Downlink);
        check(Some((4_000, true)), None, true, 0, Cause::Multicast);
        check(Some((60_000, true)), None, true, 0, Cause::DelayTask);
        check(None, None, false, 0, Cause::DelayTask);
        check(None, None, false, 20_800, Cause::Protection);
        check(None, None, false, 20_801, Cause::HardLimit);
    }

    #[test]
    fn a_restart_was_asked_for_by_the_frame_before_it() {
        let mut witness = Witness::new(Model::Eu);
        witness.delivery(1_000_000, false, &[0xFF, 0x10, 0xFF]);
        let mut check = |at_us, kind, has_failed, function, button_us, swaps, expected| {
            assert_eq!(witness.reboot(at_us, kind, has_failed, function, button_us, swaps), expected);
        };
        check(5_000_000, ResetKind::Software, false, "service", None, false, "downlink");
        check(26_000_000, ResetKind::Software, false, "service", Some(15_000_000), false, "factory_reset");
        check(26_000_000, ResetKind::Software, false, "service", Some(1_000_000), true, "upgrade");
        check(26_000_000, ResetKind::Software, false, "service", None, true, "upgrade");
        check(26_000_000, ResetKind::Software, false, "service", None, false, "nfc");
        check(26_000_000, ResetKind::Software, false, "HardFault_", None, true, "fault");
        check(26_000_000, ResetKind::Software, true, "reset", None, true, "fault");
        check(27_000_000, ResetKind::Watchdog, false, "service", None, true, "watchdog");
    }
}
