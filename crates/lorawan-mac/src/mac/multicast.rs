//! Multicast: frames in RXC for a group that the device belongs to (MAC-MC-01 to MAC-MC-05).

use super::{Mac, Notice, Quality};
use crate::config::MULTICAST_GROUPS;
use crate::event::{DownlinkWindow, Error};
use crate::fifo::Header;
use crate::frame::{DataDown, MHDR_AND_MIC, rebuild_fcnt_multicast};
use crate::session::{self, GroupCounters};

impl Mac {
    /// Takes the counters of those groups that are still what they were; the others begin anew. That of a group that is
    /// disabled is kept: enabled again with its keys, it must not hear its old frames once more.
    pub(super) fn restore_groups(&mut self, stored: Option<&[u8]>) {
        let stored = stored.and_then(session::decode_groups).unwrap_or_default();
        let mut groups = GroupCounters::default();
        for (counter, group) in groups.iter_mut().zip(&self.config.multicast) {
            let Some(group) = group else { continue };
            counter.tag = session::group_tag(group);
            let last = stored.iter().filter(|stored| stored.tag == counter.tag);
            counter.fcnt_down = last.filter_map(|stored| stored.fcnt_down).max();
        }
        for ((place, group), kept) in (0..).zip(&self.config.multicast).zip(&stored) {
            // One that has moved has taken its counter along.
            let is_here = groups.iter().any(|counter| counter.tag == kept.tag);
            if let (None, false, Some(counter)) = (group, is_here, groups.get_mut::<usize>(place)) {
                *counter = *kept;
            }
        }
        self.groups = groups;
    }

    /// Takes a frame for one of the groups; any other has no effect. It is never answered, carries no MAC command and
    /// leaves ADR alone (MAC-MC-03).
    pub(super) fn accept_multicast(&mut self, frame: &[u8], quality: Quality) {
        let Some(session) = &self.session else { return };
        let longest = self.plan.max_downlink(session.parameters.rx2.data_rate).saturating_add(MHDR_AND_MIC);
        let Some(data) = DataDown::parse(frame).filter(|_| frame.len() <= longest) else { return };
        // Between two that share an address, the device itself comes first (MAC-MC-04).
        if data.dev_addr == session.dev_addr {
            return;
        }
        let mut groups = (1u8..).zip(self.config.multicast.iter().zip(&mut self.groups));
        let ours = groups.find_map(|(number, (group, counter))| {
            Some((number, group.as_ref().filter(|group| group.dev_addr == data.dev_addr)?, counter))
        });
        let Some((number, group, counter)) = ours else { return };
        let fcnt = rebuild_fcnt_multicast(counter.fcnt_down, group.min_fcnt, data.fcnt_low);
        let Some(fcnt) = fcnt.filter(|&fcnt| fcnt <= group.max_fcnt) else { return };
        if !data.mic_is_right(&group.nwk_skey, fcnt) {
            return;
        }
        let port = data.port.filter(|port| (1..=223).contains(port));
        let (Some(port), false) = (port, data.confirmed || data.ack || data.bit_6 || !data.fopts.is_empty())
        else {
            return;
        };
        if !self.downlinks.has_room(data.payload.len()) {
            self.lost_downlinks = self.lost_downlinks.saturating_add(1);
            let count = self.lost_downlinks;
            self.notify(Notice::Error(Error::DownlinkOverflow { count }));
            return;
        }
        counter.fcnt_down = Some(fcnt);
        // In flash before the application sees the frame: a power cut re-opens none (MAC-MC-05).
        self.groups_dirty = true;
        let payload = data.decipher(&group.app_skey, fcnt);
        let header = Header { port, fcnt, window: DownlinkWindow::ClassC, multicast: Some(number), quality };
        self.downlinks.push(header, &payload);
        #[cfg(feature = "certification")]
        self.certify(0, port, &payload);
    }

    /// Tells the last FCntDown accepted of each group.
    #[must_use]
    pub fn multicast_counters(&self) -> [Option<u32>; MULTICAST_GROUPS] {
        self.groups.map(|group| group.fcnt_down)
    }
}
