//! Multicast groups: their counters, and frames for them.

use crate::airtime::airtime_us;
use crate::config::Kind;
use crate::frames::{DataDown, Keys};
use crate::server::{Error, NetworkServer};

/// Pause between the same frame from one gateway and from the next, so that they do not collide.
const PAUSE_US: u64 = 100_000;

/// A multicast group: its address, keys and next FCntDown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The group's address.
    pub dev_addr: u32,
    /// The group's keys.
    pub keys: Keys,
    /// The next FCntDown, 32 bits.
    pub fcnt_down: u32,
}

impl NetworkServer {
    /// Adds a group, whose counter the server keeps from now on.
    ///
    /// # Errors
    ///
    /// [`Error::GroupExists`] if a group or a device has its address.
    pub fn add_group(&mut self, group: MulticastGroup) -> Result<(), Error> {
        let has_session = self
            .devices
            .iter()
            .filter_map(|device| device.session.as_ref())
            .any(|session| session.dev_addr == group.dev_addr);
        if has_session || self.group(group.dev_addr).is_some() {
            return Err(Error::GroupExists(group.dev_addr));
        }
        self.groups.push(group);
        Ok(())
    }

    /// Tells a group and its counter.
    #[must_use]
    pub fn group(&self, dev_addr: u32) -> Option<&MulticastGroup> {
        self.groups.iter().find(|group| group.dev_addr == dev_addr)
    }

    /// Sends application data to a group that the server keeps, as [`multicast`](Self::multicast) does.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownGroup`], [`Error::Port`], [`Error::PayloadTooLong`].
    pub fn send_to_group(
        &mut self,
        now_us: u64,
        dev_addr: u32,
        port: u8,
        payload: &[u8],
    ) -> Result<(), Error> {
        let mut group = self.group(dev_addr).cloned().ok_or(Error::UnknownGroup(dev_addr))?;
        self.multicast(now_us, &mut group, port, payload)?;
        if let Some(kept) = self.groups.iter_mut().find(|kept| kept.dev_addr == dev_addr) {
            *kept = group;
        }
        Ok(())
    }

    /// Sends application data to a group at once, with the network's RX2 parameters, and counts its FCntDown.
    /// Each gateway that is on sends the same frame, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Port`]; [`Error::PayloadTooLong`] when it is longer than the RX2 data rate carries.
    pub fn multicast(
        &mut self,
        now_us: u64,
        group: &mut MulticastGroup,
        port: u8,
        payload: &[u8],
    ) -> Result<(), Error> {
        self.check_data(port, payload)?;
        let max = self.plan.max_payload(self.config.rx2_dr);
        if payload.len() > max {
            return Err(Error::PayloadTooLong { max });
        }
        let frame = DataDown {
            dev_addr: group.dev_addr,
            fcnt: group.fcnt_down,
            data: Some((port, payload.to_vec())),
            ..DataDown::default()
        };
        let phy = frame.encode(&group.keys).map_err(Error::Request)?;
        let kind = Kind::Multicast {
            dev_addr: group.dev_addr,
            port,
            payload: payload.to_vec(),
            fcnt: group.fcnt_down,
        };
        group.fcnt_down = group.fcnt_down.wrapping_add(1);
        let (freq_hz, dr) = (self.config.rx2_freq_hz, self.config.rx2_dr);
        let mut at_us = now_us;
        for gateway in 0..self.gateways.len() {
            if !self.gateways.get(gateway).is_some_and(|gateway| gateway.on) {
                continue;
            }
            let frame = self.transmission(gateway, at_us, freq_hz, dr, phy.clone(), kind.clone());
            at_us += airtime_us(frame.sf, frame.bw_hz, frame.phy.len()) + PAUSE_US;
            self.broadcast.push_back(frame);
        }
        Ok(())
    }
}
