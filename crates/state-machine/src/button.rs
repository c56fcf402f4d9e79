//! The button: debouncing, and short and long presses.

use sockeye_scheduler::after;

/// A level counts when it has stood for this long, in ms (behaviour.md).
const DEBOUNCE_MS: u64 = 30;

/// A press that is released before this time toggles the relay, in ms (behaviour.md).
const SHORT_MS: u64 = 2_000;

/// A press held for this long resets to factory defaults, in ms (guide, section 2.4; behaviour.md).
const LONG_MS: u64 = 10_000;

/// A button that is down this soon after the start was down before it, in ms: nobody is that quick.
const START_MS: u64 = 100;

/// What a press turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    /// Released before 2 s.
    Short,
    /// Still held at 10 s.
    Long,
}

/// The button's levels over time. A press lasts from its first to its last edge; bounces do not count.
///
/// Of a press that began before the start nobody knows how long it is: it toggles nothing. Whoever plugs the
/// socket in with the button down may reset it; after a restart that press means nothing at all, so that a
/// button held on after a factory reset, or one that is stuck, does not bring the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Button {
    level: bool,
    level_since_ms: u64,
    /// The last level that stood for the debounce time.
    stable: bool,
    pressed_ms: u64,
    /// The long press has been told, or is not to be.
    told: bool,
    /// A press that begins before this time began before the start.
    start_until_ms: u64,
    /// Such a press may be a long one.
    start_may_reset: bool,
}

impl Button {
    /// Starts with the button up; `power_on`: after a power cut.
    pub(crate) fn new(now_ms: u64, power_on: bool) -> Self {
        let start_until_ms = after(now_ms, START_MS);
        Self { start_until_ms, start_may_reset: power_on, ..Self::default() }
    }

    fn began_before_start(&self) -> bool {
        self.pressed_ms < self.start_until_ms
    }

    /// Takes the level of the pin, down or up.
    pub(crate) fn set_level(&mut self, now_ms: u64, pressed: bool) {
        if pressed != self.level {
            self.level = pressed;
            self.level_since_ms = now_ms;
        }
    }

    /// Returns when to [`poll`](Self::poll) next.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        if self.level != self.stable {
            Some(after(self.level_since_ms, DEBOUNCE_MS))
        } else if self.stable && !self.told {
            Some(after(self.pressed_ms, LONG_MS))
        } else {
            None
        }
    }

    /// Returns a press when there is one.
    pub(crate) fn poll(&mut self, now_ms: u64) -> Option<Press> {
        if self.due_ms().is_none_or(|due_ms| now_ms < due_ms) {
            return None;
        }
        if self.level == self.stable {
            self.told = true;
            return Some(Press::Long);
        }
        self.stable = self.level;
        if self.stable {
            self.pressed_ms = self.level_since_ms;
            self.told = self.began_before_start() && !self.start_may_reset;
            return None;
        }
        let held_ms = self.level_since_ms.saturating_sub(self.pressed_ms);
        (held_ms < SHORT_MS && !self.began_before_start()).then_some(Press::Short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Plays edges (the button begins up, each edge turns it over) and returns the presses with their times.
    fn play(edges_ms: &[u64]) -> Vec<(u64, Press)> {
        play_on(Button::default(), edges_ms)
    }

    fn play_on(mut button: Button, edges_ms: &[u64]) -> Vec<(u64, Press)> {
        let mut presses = Vec::new();
        let mut pressed = false;
        for now_ms in 0..=edges_ms.last().copied().unwrap_or(0) + 15_000 {
            for _ in edges_ms.iter().filter(|&&edge_ms| edge_ms == now_ms) {
                pressed = !pressed;
                button.set_level(now_ms, pressed);
            }
            presses.extend(button.poll(now_ms).map(|press| (now_ms, press)));
        }
        presses
    }

    fn check(edges_ms: &[u64], want: &[(u64, Press)]) {
        assert_eq!(play(edges_ms), want, "{edges_ms:?}");
    }

    #[test]
    fn a_press_is_judged_by_how_long_it_is_held() {
        check(&[0, 29], &[]); // too short to be a press
        check(&[0, 31], &[(61, Press::Short)]); // told once the release is sure
        check(&[0, 500], &[(530, Press::Short)]);
        check(&[0, 1_999], &[(2_029, Press::Short)]);
        check(&[0, 2_000], &[]); // between 2 s and 10 s: nothing
        check(&[0, 9_999], &[]);
        check(&[0, 10_001], &[(10_000, Press::Long)]); // told while it is held
        check(&[0, 14_000], &[(10_000, Press::Long)]); // and once
        check(&[0, 90, 300, 400], &[(120, Press::Short), (430, Press::Short)]);
    }

    #[test]
    fn bounces_do_not_count() {
        check(&[0, 3, 5, 9, 14, 200, 204, 210], &[(240, Press::Short)]);
        check(&[5, 15, 25, 35], &[]);
        // A bounce in the middle of a long press does not end it, even at 10 s.
        check(&[0, 5_000, 5_010, 11_000], &[(10_000, Press::Long)]);
        check(&[0, 9_995, 10_005, 11_000], &[(10_005, Press::Long)]);
    }

    #[test]
    fn a_press_from_before_the_start_toggles_nothing_and_resets_only_after_a_power_cut() {
        for (power_on, edges_ms, want) in [
            (false, &[0, 500][..], &[][..]),
            (false, &[99, 500], &[]),
            (false, &[0, 11_000], &[]),
            (true, &[0, 500], &[]),
            (true, &[0, 11_000], &[(10_000, Press::Long)]),
            // One that began later, or the next one, is as any other.
            (false, &[100, 500], &[(530, Press::Short)]),
            (false, &[0, 500, 900, 1_000], &[(1_030, Press::Short)]),
            (false, &[0, 500, 1_000, 12_000], &[(11_000, Press::Long)]),
            // A bounce does not make it another.
            (false, &[0, 5, 9, 500, 505, 510], &[]),
        ] {
            assert_eq!(play_on(Button::new(0, power_on), edges_ms), want, "{power_on} {edges_ms:?}");
        }
    }

    #[test]
    fn a_poll_that_comes_late_judges_by_the_edges() {
        let mut button = Button::default();
        button.set_level(0, true);
        assert_eq!(button.poll(1_000), None);
        button.set_level(1_900, false);
        assert_eq!(button.poll(2_500), Some(Press::Short));
    }

    proptest! {
        /// The reference judges the whole row of levels afterwards: runs shorter than the debounce time are
        /// swallowed by the run before them.
        #[test]
        fn presses_are_those_of_the_levels_without_bounces(runs in proptest::collection::vec(1u64..3_000, 0..20)) {
            let mut edges_ms = Vec::new();
            let mut at_ms = 0;
            for run_ms in runs {
                at_ms += run_ms;
                edges_ms.push(at_ms);
            }
            let mut want = 0;
            let (mut stable, mut pressed_ms) = (false, 0);
            for (index, &edge_ms) in edges_ms.iter().enumerate() {
                let level = index % 2 == 0;
                let stands = edges_ms.get(index + 1).is_none_or(|&next_ms| next_ms - edge_ms > DEBOUNCE_MS);
                if stands && level != stable {
                    stable = level;
                    if level {
                        pressed_ms = edge_ms;
                    } else if edge_ms - pressed_ms < SHORT_MS {
                        want += 1;
                    }
                }
            }
            let short = play(&edges_ms).iter().filter(|(_, press)| *press == Press::Short).count();
            prop_assert_eq!(short, want);
        }
    }
}
