//! The gateways: who heard what, who answers.

use std::cmp::Reverse;

use crate::config::UplinkMeta;
use crate::heard::Heard;
use crate::server::{NetworkServer, keep};

/// Copies of one uplink come from other gateways within this time, as network servers usually wait for them.
const COPIES_WITHIN_US: u64 = 200_000;

/// The most uplinks whose copies are waited for.
const RECENT: usize = 64;

pub(crate) struct Gateway {
    pub(crate) on: bool,
    /// It transmits until then.
    pub(crate) free_us: u64,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self { on: true, free_us: 0 }
    }
}

/// A gateway that heard a device's last uplink.
#[derive(Clone, Copy)]
pub(crate) struct Reception {
    pub(crate) gateway: usize,
    pub(crate) meta: UplinkMeta,
}

/// An uplink that other gateways may have heard too.
pub(crate) struct Recent {
    at_us: u64,
    phy: Vec<u8>,
    by: Vec<usize>,
    /// The device, if the uplink had an effect.
    device: Option<usize>,
}

impl NetworkServer {
    /// Adds a gateway, switched on, and tells its number; number 0 is there from the start.
    pub fn add_gateway(&mut self) -> usize {
        self.gateways.push(Gateway::new());
        self.gateways.len() - 1
    }

    /// Switches all gateways. While they are off nothing is heard, and nothing is sent: answers are lost, the
    /// data of the application waits.
    pub fn set_gateway(&mut self, now_us: u64, on: bool) {
        for gateway in 0..self.gateways.len() {
            self.set_one_gateway(now_us, gateway, on);
        }
    }

    /// Switches one gateway. The others that heard an uplink answer for it. False if there is no such gateway.
    pub fn set_one_gateway(&mut self, now_us: u64, gateway: usize, on: bool) -> bool {
        let Some(state) = self.gateways.get_mut(gateway) else { return false };
        state.on = on;
        state.free_us = state.free_us.max(now_us);
        if !on {
            self.broadcast.retain(|frame| frame.gateway != gateway);
            self.late.retain(|frame| frame.gateway != gateway);
            for index in 0..self.devices.len() {
                let is_heard = self.hearing(index).next().is_some();
                let Some(device) = self.devices.get_mut(index) else { continue };
                if !is_heard {
                    device.pending = None;
                }
                // What waited for this gateway goes by another one from now on, not from before.
                device.class_c_from_us = device.class_c_from_us.max(now_us);
            }
        }
        true
    }

    /// Tells whether any gateway is on.
    #[must_use]
    pub fn gateway_is_on(&self) -> bool {
        self.first_gateway().is_some()
    }

    pub(crate) fn first_gateway(&self) -> Option<usize> {
        self.gateways.iter().position(|gateway| gateway.on)
    }

    /// Takes an uplink whose last symbol ended at `now_us`, heard by gateway 0.
    pub fn on_uplink(&mut self, now_us: u64, phy: &[u8], meta: UplinkMeta) -> Vec<Heard> {
        self.on_uplink_by(0, now_us, phy, meta)
    }

    /// Takes an uplink whose last symbol ended at `now_us`, heard by one of the gateways. The same bytes from
    /// another gateway within 200 ms tell of a further hearer and no more: what is returned is empty. It is
    /// empty too while the gateway is off, and for a frame that is made to get lost.
    pub fn on_uplink_by(&mut self, gateway: usize, now_us: u64, phy: &[u8], meta: UplinkMeta) -> Vec<Heard> {
        if !self.gateways.get(gateway).is_some_and(|gateway| gateway.on) || self.faults.loses_uplink() {
            return Vec::new();
        }
        self.recent.retain(|recent| now_us.saturating_sub(recent.at_us) <= COPIES_WITHIN_US);
        let reception = Reception { gateway, meta };
        let copy = self.recent.iter_mut().find(|recent| recent.phy == phy && !recent.by.contains(&gateway));
        if let Some(copy) = copy {
            copy.by.push(gateway);
            if let Some(device) = copy.device.and_then(|index| self.devices.get_mut(index)) {
                device.receptions.push(reception);
                device.history.heard_also(meta.snr_db);
            }
            return Vec::new();
        }
        keep(&mut self.received, phy.to_vec(), self.config.record_frames);
        let (heard, device) = self.take_uplink(now_us, phy, reception);
        if self.gateways.len() > 1 {
            keep(
                &mut self.recent,
                Recent { at_us: now_us, phy: phy.to_vec(), by: vec![gateway], device },
                RECENT,
            );
        }
        vec![heard]
    }

    /// Tells the gateways that are on and heard a device's last uplink, the best first.
    pub(crate) fn hearing(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let mut receptions =
            self.devices.get(index).map(|device| device.receptions.clone()).unwrap_or_default();
        receptions.sort_by_key(|reception| {
            Reverse((reception.meta.snr_db, reception.meta.rssi_dbm, Reverse(reception.gateway)))
        });
        receptions
            .into_iter()
            .map(|reception| reception.gateway)
            .filter(|gateway| self.gateways.get(*gateway).is_some_and(|gateway| gateway.on))
    }

    /// Tells which gateway is to send to a device: the best that is on, or any for one that none has heard.
    pub(crate) fn gateway_of(&self, index: usize) -> Option<usize> {
        self.hearing(index).next().or_else(|| self.first_gateway())
    }

    /// Tells until when a gateway transmits.
    pub(crate) fn free_us(&self, gateway: usize) -> u64 {
        self.gateways.get(gateway).map_or(u64::MAX, |gateway| gateway.free_us)
    }
}
