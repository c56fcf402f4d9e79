//! What a dynamic plan is made of.

/// A plan whose channels are defined by frequency.
#[derive(Debug)]
pub struct Dynamic {
    /// Uplink channels that a device starts with, and joins on.
    pub defaults_hz: &'static [u32],
    /// Every frequency is so many Hz, or a multiple of it, above the lowest; 0 = any.
    pub step_hz: u32,
    /// Lowest and highest data rate of the default channels and of those of a CFList.
    pub data_rates: (u8, u8),
}

impl Dynamic {
    /// Tells how many channels the plan itself defines; NewChannelReq and CFList leave them alone.
    pub fn default_count(&self) -> u8 {
        u8::try_from(self.defaults_hz.len()).unwrap_or(0)
    }

    /// Tells whether a frequency is one of the plan's steps.
    pub fn is_on_grid(&self, lowest_hz: u32, frequency_hz: u32) -> bool {
        frequency_hz.saturating_sub(lowest_hz).checked_rem(self.step_hz).unwrap_or(0) == 0
    }
}
