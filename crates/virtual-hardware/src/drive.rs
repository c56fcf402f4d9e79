//! Runs a sans-IO model on a simulation: at its own instants, and when somebody else has changed it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, Waker};

use crate::sim::{Sim, Sleep};

/// Wakes the one task that [`drive`]s a model.
#[derive(Debug, Default)]
pub(crate) struct Poke(RefCell<Option<Waker>>);

impl Poke {
    pub(crate) fn poke(&self) {
        // Taken first: waking may poke again.
        let waker = self.0.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Calls `step` with the time now, after each poke, and at the instant that it gave back, until it answers
/// `None`: the model is gone. `Some(None)` is a model that waits for nothing but a poke.
pub(crate) async fn drive(sim: Sim, poke: &Poke, mut step: impl FnMut(u64) -> Option<Option<u64>>) {
    let mut sleep: Option<(u64, Sleep)> = None;
    poll_fn(|context| {
        loop {
            let now_us = sim.now_us();
            let Some(next_us) = step(now_us) else { return Poll::Ready(()) };
            *poke.0.borrow_mut() = Some(context.waker().clone());
            let Some(at_us) = next_us else {
                sleep = None;
                return Poll::Pending;
            };
            if sleep.as_ref().is_none_or(|(due_us, _)| *due_us != at_us) {
                sleep = Some((at_us, sim.sleep_until_us(at_us)));
            }
            match sleep.as_mut().map(|(_, sleep)| Pin::new(sleep).poll(context)) {
                Some(Poll::Pending) => return Poll::Pending,
                _ => sleep = None,
            }
        }
    })
    .await;
}
