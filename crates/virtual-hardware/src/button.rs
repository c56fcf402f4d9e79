//! The push button, with contacts that bounce.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use embedded_hal::digital::{ErrorType, InputPin};
use embedded_hal_async::digital::Wait;

use crate::sim::{Notify, Sim};

/// A model of the button: what its contact does, now and in the time to come.
#[derive(Clone, Debug, Default)]
pub struct Button {
    pressed: bool,
    last_us: Option<u64>,
    /// Instants at which the contact changes, in order, and what it then is.
    edges: VecDeque<(u64, bool)>,
}

impl Button {
    /// The contact's changes after it first touches, or first parts, in µs. The last one stays.
    pub const BOUNCE_US: [u64; 5] = [0, 400, 900, 1_700, 2_600];

    /// Makes a button that nobody touches.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the button at `at_us`: down or up, with bounce. Movements planned for later than that are
    /// dropped.
    pub fn move_to(&mut self, at_us: u64, pressed: bool) {
        self.edges.retain(|&(edge_us, _)| edge_us < at_us);
        if self.edges.back().map_or(self.pressed, |&(_, last)| last) == pressed {
            return;
        }
        for (index, offset_us) in Self::BOUNCE_US.into_iter().enumerate() {
            let made = index % 2 == 0;
            self.edges.push_back((at_us.saturating_add(offset_us), made == pressed));
        }
    }

    /// Presses at `at_us` and releases after `duration_us`.
    pub fn hold(&mut self, at_us: u64, duration_us: u64) {
        self.move_to(at_us, true);
        self.move_to(at_us.saturating_add(duration_us), false);
    }

    /// Lets everything happen that is due at `now_us`.
    pub fn advance(&mut self, now_us: u64) {
        while let Some((at_us, pressed)) = self.edges.pop_front_if(|edge| edge.0 <= now_us) {
            self.pressed = pressed;
            self.last_us = Some(at_us);
        }
    }

    /// Tells whether the contact is closed, as of the last [`advance`](Self::advance).
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Tells when the contact changes next.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        self.edges.front().map(|&(at_us, _)| at_us)
    }
}

/// A [`Button`] between a pin and ground, on virtual time: low is pressed. Clones are the same button.
#[derive(Clone, Debug)]
pub struct VirtualButton {
    sim: Sim,
    model: Rc<RefCell<Button>>,
    moved: Notify,
}

impl VirtualButton {
    /// Makes a button that nobody touches, on the clock of `sim`.
    #[must_use]
    pub fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), model: Rc::default(), moved: Notify::new() }
    }

    /// Presses the button now and releases it after `duration_us`.
    pub fn hold(&self, duration_us: u64) {
        self.model.borrow_mut().hold(self.sim.now_us(), duration_us);
        self.moved.notify();
    }

    /// Tells whether the contact is closed now.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        let mut model = self.model.borrow_mut();
        model.advance(self.sim.now_us());
        model.is_pressed()
    }

    /// Tells when the contact changes next.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        self.model.borrow().next_event_us()
    }

    /// Tells when the contact changed last.
    #[must_use]
    pub fn last_moved_us(&self) -> Option<u64> {
        let mut model = self.model.borrow_mut();
        model.advance(self.sim.now_us());
        model.last_us
    }

    async fn until_pressed_is(&self, wanted: bool) {
        while self.is_pressed() != wanted {
            self.next_change().await;
        }
    }

    /// Waits until the contact has changed, or may have.
    async fn next_change(&self) {
        let next_us = self.model.borrow().next_event_us();
        let mut sleep = pin!(self.sim.sleep_until_us(next_us.unwrap_or(u64::MAX)));
        let mut moved = pin!(self.moved.until(|| self.model.borrow().next_event_us() != next_us));
        std::future::poll_fn(|context| {
            let due = next_us.is_some() && sleep.as_mut().poll(context).is_ready();
            if due || moved.as_mut().poll(context).is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl ErrorType for VirtualButton {
    type Error = Infallible;
}

impl InputPin for VirtualButton {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(!self.is_pressed())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.is_pressed())
    }
}

impl Wait for VirtualButton {
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        self.until_pressed_is(false).await;
        Ok(())
    }

    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        self.until_pressed_is(true).await;
        Ok(())
    }

    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        self.until_pressed_is(true).await;
        self.wait_for_high().await
    }

    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        self.until_pressed_is(false).await;
        self.wait_for_low().await
    }

    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        let before = self.is_pressed();
        self.until_pressed_is(!before).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressing_and_releasing_bounce_and_settle() {
        let mut button = Button::new();
        button.hold(1_000, 100_000);
        let mut changes = Vec::new();
        while let Some(at_us) = button.next_event_us() {
            button.advance(at_us);
            changes.push((at_us, button.is_pressed()));
        }
        let pressed = [(1_000, true), (1_400, false), (1_900, true), (2_700, false), (3_600, true)];
        let released = pressed.map(|(at_us, level)| (at_us + 100_000, !level));
        assert_eq!(changes, [pressed, released].concat());
    }

    #[test]
    fn a_later_movement_replaces_what_was_planned() {
        let mut button = Button::new();
        button.hold(0, 1_000_000);
        button.advance(500_000);
        button.hold(500_000, 20_000);
        button.advance(510_000);
        assert!(button.is_pressed());
        button.advance(530_000);
        assert!(!button.is_pressed());
        assert_eq!(button.next_event_us(), None);
    }

    #[test]
    fn releasing_within_the_bounce_still_ends_released() {
        let mut button = Button::new();
        button.hold(0, 1_000);
        button.advance(1_000_000);
        assert!(!button.is_pressed());
    }

    #[test]
    fn the_pin_wakes_whoever_waits_at_each_change() {
        let sim = Sim::new();
        let button = VirtualButton::new(&sim);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (mut pin, seen2, sim2) = (button.clone(), seen.clone(), sim.clone());
        sim.spawn(async move {
            pin.wait_for_falling_edge().await.unwrap();
            seen2.borrow_mut().push((sim2.now_us(), pin.is_low().unwrap()));
            for _ in 0..4 {
                pin.wait_for_any_edge().await.unwrap();
                seen2.borrow_mut().push((sim2.now_us(), pin.is_low().unwrap()));
            }
            pin.wait_for_rising_edge().await.unwrap();
            seen2.borrow_mut().push((sim2.now_us(), pin.is_low().unwrap()));
            pin.wait_for_low().await.unwrap();
            pin.wait_for_high().await.unwrap();
            seen2.borrow_mut().push((sim2.now_us(), pin.is_low().unwrap()));
        });
        sim.run_until_us(10_000);
        button.hold(100_000);
        sim.run_until_us(1_000_000);
        let expected = [
            (10_000, true),
            (10_400, false),
            (10_900, true),
            (11_700, false),
            (12_600, true),
            (110_000, false),
            (110_900, false),
        ];
        assert_eq!(*seen.borrow(), expected);
    }
}
