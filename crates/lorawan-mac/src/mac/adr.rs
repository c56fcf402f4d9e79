//! Between two uplinks: the end of the counter, and ADR back-off.

use super::{Mac, Notice};
use crate::config::Activation;
use crate::event::Error;
use crate::session::Parameters;

/// ADR_ACK_LIMIT and ADR_ACK_DELAY (RP002, section 2.3).
pub(super) const ADR_ACK_LIMIT: u16 = 64;
const ADR_ACK_DELAY: u16 = 32;

impl Mac {
    /// Between two frames: counter at its end (MAC-FCNT-03), and ADR back-off (MAC-ADR-03).
    pub(super) fn after_uplink(&mut self) {
        let Some(session) = &mut self.session else { return };
        if session.fcnt_up == u32::MAX {
            self.notify(Notice::Error(Error::FCntUpExhausted));
            if matches!(self.config.activation, Activation::Otaa { .. }) {
                self.join(0);
            }
            return;
        }
        let silent = self.adr_ack_count;
        let over = silent.saturating_sub(ADR_ACK_LIMIT);
        if !self.config.adr || over < ADR_ACK_DELAY || over.checked_rem(ADR_ACK_DELAY) != Some(0) {
            return;
        }
        let before = session.parameters.clone();
        let parameters = &mut session.parameters;
        let plan = self.plan;
        let dwell = parameters.uplink_dwell;
        let defaults = Parameters::defaults(plan, &self.config, parameters.data_rate).channels;
        // The settings may leave no channel that goes lower, such as those of 500 kHz alone.
        let reachable = parameters.channels.mask() | defaults.mask();
        let lower = parameters.data_rate.checked_sub(1).filter(|&rate| {
            plan.is_uplink_data_rate(rate, dwell)
                && !parameters.channels.carrying(plan, reachable, rate).is_empty()
        });
        match lower {
            _ if over == ADR_ACK_DELAY => parameters.power_index = 0,
            Some(rate) => parameters.data_rate = rate,
            None => {
                parameters.channels.restore(plan, &defaults);
                parameters.nb_trans = 1;
            }
        }
        let rate = parameters.data_rate;
        if !parameters.channels.suffices(plan, parameters.channels.mask(), rate) {
            // The channels that are on do not reach down to this rate: the default ones do.
            parameters.channels.set_mask(plan, parameters.channels.mask() | defaults.mask());
        }
        self.session_dirty |= before != session.parameters;
    }
}
