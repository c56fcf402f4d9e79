//! The supply monitor of a board that sees the mains at a pin.

use embedded_hal_async::digital::Wait;

use crate::board::SupplyMonitor;

/// A pin that a divider or an optocoupler holds high while the mains is there. With a pull-up and nothing connected, it
/// always is.
#[derive(Debug)]
pub struct PinSupply<P> {
    mains: P,
    told: bool,
}

impl<P: Wait> PinSupply<P> {
    /// Takes the pin.
    pub const fn new(mains: P) -> Self {
        Self { mains, told: false }
    }

    /// Waits for a level. A pin that fails tells nothing any more: a loss that is none would be told again and again.
    async fn level(&mut self, high: bool) {
        let seen = if high { self.mains.wait_for_high().await } else { self.mains.wait_for_low().await };
        if seen.is_err() {
            core::future::pending().await
        }
    }
}

impl<P: Wait> SupplyMonitor for PinSupply<P> {
    async fn lost(&mut self) {
        // The level and not the edge: a loss that came before the call still stands.
        if self.told {
            self.level(true).await;
            self.told = false;
        }
        self.level(false).await;
        self.told = true;
    }
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::task::{Context, Poll};
    use std::cell::Cell;
    use std::rc::Rc;

    use embedded_hal::digital::{ErrorKind, ErrorType};

    use super::*;

    #[derive(Clone, Default)]
    struct Pin {
        high: Rc<Cell<bool>>,
        fails: Rc<Cell<bool>>,
    }

    impl Pin {
        async fn until(&self, high: bool) -> Result<(), ErrorKind> {
            core::future::poll_fn(|_| match (self.fails.get(), self.high.get() == high) {
                (true, _) => Poll::Ready(Err(ErrorKind::Other)),
                (false, true) => Poll::Ready(Ok(())),
                (false, false) => Poll::Pending,
            })
            .await
        }
    }

    impl ErrorType for Pin {
        type Error = ErrorKind;
    }

    impl Wait for Pin {
        async fn wait_for_high(&mut self) -> Result<(), ErrorKind> {
            self.until(true).await
        }

        async fn wait_for_low(&mut self) -> Result<(), ErrorKind> {
            self.until(false).await
        }

        async fn wait_for_rising_edge(&mut self) -> Result<(), ErrorKind> {
            Err(ErrorKind::Other)
        }

        async fn wait_for_falling_edge(&mut self) -> Result<(), ErrorKind> {
            Err(ErrorKind::Other)
        }

        async fn wait_for_any_edge(&mut self) -> Result<(), ErrorKind> {
            Err(ErrorKind::Other)
        }
    }

    fn tells(supply: &mut PinSupply<Pin>) -> bool {
        let call = core::pin::pin!(supply.lost());
        call.poll(&mut Context::from_waker(core::task::Waker::noop())).is_ready()
    }

    #[test]
    fn each_loss_is_told_once_also_one_that_came_before_the_call() {
        let pin = Pin::default();
        let mut supply = PinSupply::new(pin.clone());
        for (high, told) in [(false, true), (false, false), (true, false), (true, false), (false, true)] {
            pin.high.set(high);
            assert_eq!(tells(&mut supply), told, "high: {high}");
        }
    }

    #[test]
    fn a_pin_that_fails_tells_no_loss() {
        let pin = Pin::default();
        pin.fails.set(true);
        assert!(!tells(&mut PinSupply::new(pin)));
    }
}
