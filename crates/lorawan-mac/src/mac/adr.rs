//! Between two uplinks: the end of the counter, and ADR back-off.

use super::{Mac, Notice};
use crate::channels::default_count;
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
        let lower = parameters.data_rate.checked_sub(1).filter(|&rate| self.plan.data_rate(rate).is_some());
        match lower {
            _ if over == ADR_ACK_DELAY => parameters.power_index = 0,
            Some(rate) => parameters.data_rate = rate,
            None => {
                let defaults = Parameters::defaults(self.plan, &self.config, parameters.data_rate);
                for (index, channel) in defaults.channels.iter() {
                    if index < default_count(self.plan) || self.config.channels_hz.is_some() {
                        parameters.channels.define(
                            index,
                            channel.frequency_hz,
                            channel.min_data_rate,
                            channel.max_data_rate,
                        );
                    }
                }
                parameters.nb_trans = 1;
            }
        }
        let rate = parameters.data_rate;
        if parameters.channels.carrying(parameters.channels.mask(), rate) == 0 {
            // The channels that are on do not reach down to this rate: the default ones do.
            let defaults = Parameters::defaults(self.plan, &self.config, rate);
            parameters.channels.set_mask(parameters.channels.mask() | defaults.channels.mask());
        }
        self.session_dirty |= before != session.parameters;
    }
}
