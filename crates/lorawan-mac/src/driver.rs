//! The async driver.

use core::future::Future;

use lorawan_device::async_device::radio::{PhyRxTx, Timer};

use crate::event::Event;
use crate::mac::Mac;

/// Tells the time.
pub trait Clock {
    /// Gives the time since boot in ms; it never goes back.
    fn now_ms(&self) -> u64;
}

/// Runs a [`Mac`] on a radio.
#[derive(Debug)]
pub struct Driver<R, T> {
    mac: Mac,
    #[allow(dead_code, reason = "API first")]
    radio: R,
    #[allow(dead_code, reason = "API first")]
    timer: T,
}

impl<R: PhyRxTx, T: Timer + Clock> Driver<R, T> {
    /// Makes a driver.
    pub fn new(mac: Mac, radio: R, timer: T) -> Self {
        Self { mac, radio, timer }
    }
    /// Gives the core: to send, to join, to ask.
    pub fn mac(&mut self) -> &mut Mac {
        &mut self.mac
    }
    /// Says that the record of the last [`Event::Store`] is in flash.
    pub fn stored(&mut self) {
        self.mac.stored();
    }
    /// Tells when the radio or the MAC last made progress, in ms of the clock; a watchdog watches it.
    pub fn last_progress_ms(&self) -> u64 {
        0
    }
    /// Runs until something happened.
    pub async fn next(&mut self, wake: impl Future<Output = ()>) -> Event {
        wake.await;
        Event::Woken
    }
}
