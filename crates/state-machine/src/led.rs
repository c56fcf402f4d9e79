//! The LED: its static state, and the blinks over it.

/// Length of half a blink, in ms: the blinks of the network are 100 ms, the quick ones are 5 Hz (behaviour.md).
pub(crate) const STEP_MS: u64 = 100;

/// Blinks at a factory reset: 5 Hz for 2 s (behaviour.md).
const RESET_BLINKS: u8 = 10;

/// A pattern that lies over the static state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pattern {
    #[default]
    None,
    /// Blinks of the network, inverted against the static state, with the steps that are left, the present
    /// one included. They begin and end inverted.
    Network(u8),
    /// The quick blinks of a factory reset, with the steps that are left. They show whatever the settings say.
    Reset(u8),
}

/// The LED's pattern. The caller steps it every [`STEP_MS`] while [`is_blinking`](Self::is_blinking).
#[derive(Clone, Debug, Default)]
pub(crate) struct Led(Pattern);

impl Led {
    /// Begins blinks of the network, in place of those that run. A factory reset goes on.
    pub(crate) fn blink(&mut self, times: u8) {
        if !self.is_resetting() {
            self.0 = Pattern::Network(times.saturating_mul(2).saturating_sub(1));
        }
    }

    /// Begins the quick blinks of a factory reset.
    pub(crate) fn blink_reset(&mut self) {
        self.0 = Pattern::Reset(RESET_BLINKS.saturating_mul(2));
    }

    /// Ends the blinks of the network, because the relay or the LED is switched off.
    pub(crate) fn hush(&mut self) {
        if !self.is_resetting() {
            self.0 = Pattern::None;
        }
    }

    pub(crate) fn is_blinking(&self) -> bool {
        self.0 != Pattern::None
    }

    pub(crate) fn is_resetting(&self) -> bool {
        matches!(self.0, Pattern::Reset(_))
    }

    /// Goes on to the next step.
    pub(crate) fn step(&mut self) {
        self.0 = match self.0 {
            Pattern::Network(left @ 2..) => Pattern::Network(left.saturating_sub(1)),
            Pattern::Reset(left @ 2..) => Pattern::Reset(left.saturating_sub(1)),
            _ => Pattern::None,
        };
    }

    /// Tells whether the LED is lit, given its static state.
    pub(crate) fn is_lit(&self, static_on: bool) -> bool {
        match self.0 {
            Pattern::None => static_on,
            Pattern::Network(left) => static_on ^ (left % 2 == 1),
            Pattern::Reset(left) => left % 2 == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    /// The LED over time, a character a step, until the pattern is over.
    fn levels(mut led: Led, static_on: bool) -> String {
        let mut levels = String::new();
        loop {
            levels.push(if led.is_lit(static_on) { '#' } else { '.' });
            if !led.is_blinking() {
                return levels;
            }
            led.step();
        }
    }

    #[test]
    fn blinks_of_the_network_invert_the_static_state() {
        for (times, static_on, want) in [(1, true, ".#"), (2, true, ".#.#"), (2, false, "#.#.")] {
            let mut led = Led::default();
            led.blink(times);
            assert_eq!(levels(led, static_on), want, "{times} {static_on}");
        }
    }

    #[test]
    fn a_factory_reset_blinks_ten_times_whatever_the_static_state() {
        for static_on in [false, true] {
            let mut led = Led::default();
            led.blink_reset();
            let levels = levels(led, static_on);
            assert_eq!(levels.split_at(20), ("#.#.#.#.#.#.#.#.#.#.", if static_on { "#" } else { "." }));
        }
    }

    #[test]
    fn nothing_breaks_into_the_blinks_of_a_factory_reset() {
        let mut led = Led::default();
        led.blink_reset();
        led.step();
        led.blink(2);
        led.hush();
        assert_eq!(levels(led, true).len(), 20);
    }

    #[test]
    fn blinks_of_the_network_end_when_hushed() {
        let mut led = Led::default();
        led.blink(2);
        led.hush();
        assert_eq!(levels(led, false), ".");
    }
}
