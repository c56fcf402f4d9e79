//! The twelve channel plans, as far as settings need them: what may be set, and the defaults.
//!
//! Source of every figure: LoRaWAN Regional Parameters 1.0.3 rev A, the section of each plan; AS923 groups 2 to 4
//! from RP002-1.0.4. CN470 is the plan of 96 channels of 1.0.2 and 1.0.3.

use core::fmt;

/// A channel plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Region {
    /// 863 to 870 MHz, Europe.
    Eu868 = 0,
    /// 902 to 928 MHz, North America.
    Us915 = 1,
    /// 915 to 928 MHz, Australia.
    Au915 = 2,
    /// 915 to 928 MHz, Asia, group 1.
    As923_1 = 3,
    /// 920 to 923 MHz, Asia, group 2.
    As923_2 = 4,
    /// 915 to 921 MHz, Asia, group 3.
    As923_3 = 5,
    /// 917 to 920 MHz, Asia, group 4.
    As923_4 = 6,
    /// 920.9 to 923.3 MHz, Korea.
    Kr920 = 7,
    /// 865 to 867 MHz, India.
    In865 = 8,
    /// 864 to 870 MHz, Russia.
    Ru864 = 9,
    /// 433.05 to 434.79 MHz, Europe.
    Eu433 = 10,
    /// 470 to 510 MHz, China.
    Cn470 = 11,
}

/// Tells how the channels of a plan come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    /// Up to 16 channels, each with a frequency that may be set.
    Dynamic,
    /// Channels with frequencies that the plan fixes; only which of them are used may be set.
    Fixed,
}

/// A row of equally spaced frequencies.
struct Grid {
    start_hz: u32,
    step_hz: u32,
    count: u32,
}

impl Grid {
    const fn holds(&self, frequency_hz: u32) -> bool {
        match frequency_hz.checked_sub(self.start_hz) {
            Some(offset) => offset.is_multiple_of(self.step_hz) && offset / self.step_hz < self.count,
            None => false,
        }
    }
}

/// What the settings need to know about a plan.
struct Plan {
    channels: Channels,
    rx2_frequency_hz: u32,
    rx2_data_rate: u8,
    /// LoRa data rates of a downlink, first and last.
    rx2_data_rates: (u8, u8),
    /// The lowest uplink data rate that needs no leave of the network (400 ms dwell time in AS923 and AU915).
    default_data_rate: u8,
    /// In dBm, rounded down.
    max_eirp_dbm: i8,
}

enum Channels {
    Dynamic {
        first_hz: u32,
        last_hz: u32,
        /// Channels must lie on these; elsewhere any frequency in the range will do.
        step_hz: u32,
        defaults_hz: &'static [u32],
    },
    Fixed {
        count: u8,
        /// The number that the first channel has for people: ToolBox counts CN470 from 1.
        first_number: u8,
        /// LoRa data rates of channels 0 to `narrow`, first and last.
        data_rates: (u8, u8),
        /// How many channels are 125 kHz wide; those after them are 500 kHz wide, with the data rate `wide_rate`.
        narrow: u8,
        wide_rate: u8,
        downlink: Grid,
    },
}

/// Frequencies inside 863 to 870 MHz that are kept for other uses; the MAC refuses them as well (ERC/REC 70-03).
const EU868_GAPS_HZ: [(u32, u32); 3] =
    [(868_600_001, 868_699_999), (869_200_001, 869_399_999), (869_650_001, 869_699_999)];

/// The data rates of a channel in a dynamic plan, DR0 to DR5 (mandatory in every one).
const DYNAMIC_RATES: (u8, u8) = (0, 5);

const fn dynamic(first_hz: u32, last_hz: u32, defaults_hz: &'static [u32]) -> Channels {
    Channels::Dynamic { first_hz, last_hz, step_hz: 1, defaults_hz }
}

const fn as923(first_hz: u32, last_hz: u32, defaults_hz: &'static [u32], rx2: u32) -> Plan {
    Plan {
        channels: dynamic(first_hz, last_hz, defaults_hz),
        rx2_frequency_hz: rx2,
        rx2_data_rate: 2,
        rx2_data_rates: (0, 6),
        default_data_rate: 2,
        max_eirp_dbm: 16,
    }
}

const fn wide(narrow_rates: (u8, u8), wide_rate: u8) -> Channels {
    Channels::Fixed {
        count: 72,
        first_number: 0,
        data_rates: narrow_rates,
        narrow: 64,
        wide_rate,
        downlink: Grid { start_hz: 923_300_000, step_hz: 600_000, count: 8 },
    }
}

static EU868: Plan = Plan {
    channels: dynamic(863_000_000, 870_000_000, &[868_100_000, 868_300_000, 868_500_000]),
    rx2_frequency_hz: 869_525_000,
    rx2_data_rate: 0,
    rx2_data_rates: (0, 6),
    default_data_rate: 0,
    max_eirp_dbm: 16,
};
static US915: Plan = Plan {
    channels: wide((0, 3), 4),
    rx2_frequency_hz: 923_300_000,
    rx2_data_rate: 8,
    rx2_data_rates: (8, 13),
    default_data_rate: 0,
    max_eirp_dbm: 30,
};
static AU915: Plan = Plan {
    channels: wide((0, 5), 6),
    rx2_frequency_hz: 923_300_000,
    rx2_data_rate: 8,
    rx2_data_rates: (8, 13),
    default_data_rate: 2,
    max_eirp_dbm: 30,
};
static AS923_1: Plan = as923(915_000_000, 928_000_000, &[923_200_000, 923_400_000], 923_200_000);
static AS923_2: Plan = as923(920_000_000, 923_000_000, &[921_400_000, 921_600_000], 921_400_000);
static AS923_3: Plan = as923(915_000_000, 921_000_000, &[916_600_000, 916_800_000], 916_600_000);
static AS923_4: Plan = as923(917_000_000, 920_000_000, &[917_300_000, 917_500_000], 917_300_000);
static KR920: Plan = Plan {
    channels: Channels::Dynamic {
        first_hz: 920_900_000,
        last_hz: 923_300_000,
        step_hz: 200_000,
        defaults_hz: &[922_100_000, 922_300_000, 922_500_000],
    },
    rx2_frequency_hz: 921_900_000,
    rx2_data_rate: 0,
    rx2_data_rates: (0, 5),
    default_data_rate: 0,
    max_eirp_dbm: 14,
};
static IN865: Plan = Plan {
    channels: dynamic(865_000_000, 867_000_000, &[865_062_500, 865_402_500, 865_985_000]),
    rx2_frequency_hz: 866_550_000,
    rx2_data_rate: 2,
    rx2_data_rates: (0, 5),
    default_data_rate: 0,
    max_eirp_dbm: 30,
};
static RU864: Plan = Plan {
    channels: dynamic(864_000_000, 870_000_000, &[868_900_000, 869_100_000]),
    rx2_frequency_hz: 869_100_000,
    rx2_data_rate: 0,
    rx2_data_rates: (0, 6),
    default_data_rate: 0,
    max_eirp_dbm: 16,
};
static EU433: Plan = Plan {
    channels: dynamic(433_175_000, 434_665_000, &[433_175_000, 433_375_000, 433_575_000]),
    rx2_frequency_hz: 434_665_000,
    rx2_data_rate: 0,
    rx2_data_rates: (0, 6),
    default_data_rate: 0,
    // 12.15 dBm in the plan.
    max_eirp_dbm: 12,
};
static CN470: Plan = Plan {
    channels: Channels::Fixed {
        count: 96,
        first_number: 1,
        data_rates: (0, 5),
        narrow: 96,
        wide_rate: 0,
        downlink: Grid { start_hz: 500_300_000, step_hz: 200_000, count: 48 },
    },
    rx2_frequency_hz: 505_300_000,
    rx2_data_rate: 0,
    rx2_data_rates: (0, 5),
    default_data_rate: 0,
    // 19.15 dBm in the plan.
    max_eirp_dbm: 19,
};

impl Region {
    /// All channel plans.
    pub const ALL: [Self; 12] = [
        Self::Eu868,
        Self::Us915,
        Self::Au915,
        Self::As923_1,
        Self::As923_2,
        Self::As923_3,
        Self::As923_4,
        Self::Kr920,
        Self::In865,
        Self::Ru864,
        Self::Eu433,
        Self::Cn470,
    ];

    /// How many channels a dynamic plan may have.
    pub const MAX_DYNAMIC_CHANNELS: u8 = 16;

    fn plan(self) -> &'static Plan {
        match self {
            Self::Eu868 => &EU868,
            Self::Us915 => &US915,
            Self::Au915 => &AU915,
            Self::As923_1 => &AS923_1,
            Self::As923_2 => &AS923_2,
            Self::As923_3 => &AS923_3,
            Self::As923_4 => &AS923_4,
            Self::Kr920 => &KR920,
            Self::In865 => &IN865,
            Self::Ru864 => &RU864,
            Self::Eu433 => &EU433,
            Self::Cn470 => &CN470,
        }
    }

    /// Returns the name, as the command line and templates have it: `EU868`, `AS923-1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eu868 => "EU868",
            Self::Us915 => "US915",
            Self::Au915 => "AU915",
            Self::As923_1 => "AS923-1",
            Self::As923_2 => "AS923-2",
            Self::As923_3 => "AS923-3",
            Self::As923_4 => "AS923-4",
            Self::Kr920 => "KR920",
            Self::In865 => "IN865",
            Self::Ru864 => "RU864",
            Self::Eu433 => "EU433",
            Self::Cn470 => "CN470",
        }
    }

    /// Finds a plan by its name, whatever the case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|region| region.name().eq_ignore_ascii_case(name))
    }

    /// Finds a plan by the number that it is stored under.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|region| *region as u8 == code)
    }

    /// Says whether the frequencies of the channels may be set.
    pub fn kind(self) -> PlanKind {
        match self.plan().channels {
            Channels::Dynamic { .. } => PlanKind::Dynamic,
            Channels::Fixed { .. } => PlanKind::Fixed,
        }
    }

    /// Returns how many channels there are, or can be in a dynamic plan.
    pub fn channel_count(self) -> u8 {
        match self.plan().channels {
            Channels::Dynamic { .. } => Self::MAX_DYNAMIC_CHANNELS,
            Channels::Fixed { count, .. } => count,
        }
    }

    /// Returns the number that the first channel has for people: 1 in CN470, 0 elsewhere.
    pub fn first_channel_number(self) -> u8 {
        match self.plan().channels {
            Channels::Dynamic { .. } => 0,
            Channels::Fixed { first_number, .. } => first_number,
        }
    }

    /// Returns the frequencies that a dynamic plan begins with, in hertz; none in a fixed plan.
    pub fn default_channels_hz(self) -> &'static [u32] {
        match self.plan().channels {
            Channels::Dynamic { defaults_hz, .. } => defaults_hz,
            Channels::Fixed { .. } => &[],
        }
    }

    /// Says whether a channel of a dynamic plan may have this frequency; never in a fixed plan.
    pub fn allows_channel_hz(self, frequency_hz: u32) -> bool {
        match self.plan().channels {
            Channels::Dynamic { first_hz, last_hz, step_hz, .. } => {
                (first_hz..=last_hz).contains(&frequency_hz)
                    && frequency_hz.saturating_sub(first_hz).is_multiple_of(step_hz)
                    && !(self == Self::Eu868
                        && EU868_GAPS_HZ.iter().any(|&(from, to)| (from..=to).contains(&frequency_hz)))
            }
            Channels::Fixed { .. } => false,
        }
    }

    /// Says whether the receiver may listen on this frequency in RX2.
    pub fn allows_rx2_hz(self, frequency_hz: u32) -> bool {
        match &self.plan().channels {
            Channels::Dynamic { .. } => self.allows_channel_hz(frequency_hz),
            Channels::Fixed { downlink, .. } => downlink.holds(frequency_hz),
        }
    }

    /// Returns the lowest and the highest frequency that RX2, and a channel of a dynamic plan, may have, and the step
    /// between two, in hertz; not every one between them is allowed in EU868.
    #[cfg(feature = "std")]
    pub fn rx2_range_hz(self) -> (u32, u32, u32) {
        match &self.plan().channels {
            Channels::Dynamic { first_hz, last_hz, step_hz, .. } => (*first_hz, *last_hz, *step_hz),
            Channels::Fixed { downlink, .. } => {
                let span = downlink.count.saturating_sub(1).saturating_mul(downlink.step_hz);
                (downlink.start_hz, downlink.start_hz.saturating_add(span), downlink.step_hz)
            }
        }
    }

    /// Returns the RX2 frequency that the plan begins with, in hertz.
    pub fn default_rx2_hz(self) -> u32 {
        self.plan().rx2_frequency_hz
    }

    /// Returns the RX2 data rate that the plan begins with.
    pub fn default_rx2_data_rate(self) -> u8 {
        self.plan().rx2_data_rate
    }

    /// Returns the first and the last LoRa data rate of RX2.
    pub fn rx2_data_rates(self) -> (u8, u8) {
        self.plan().rx2_data_rates
    }

    /// Returns the first and the last LoRa data rate of an uplink.
    pub fn uplink_data_rates(self) -> (u8, u8) {
        match self.plan().channels {
            Channels::Dynamic { .. } => DYNAMIC_RATES,
            Channels::Fixed { data_rates: (first, last), wide_rate, .. } => (first, last.max(wide_rate)),
        }
    }

    /// Returns the first and the last LoRa data rate of one channel, counted from 0.
    pub fn channel_data_rates(self, channel: u8) -> (u8, u8) {
        match self.plan().channels {
            Channels::Dynamic { .. } => DYNAMIC_RATES,
            Channels::Fixed { narrow, wide_rate, .. } if channel >= narrow => (wide_rate, wide_rate),
            Channels::Fixed { data_rates, .. } => data_rates,
        }
    }

    /// Returns the uplink data rate with ADR off that a new device has.
    pub fn default_data_rate(self) -> u8 {
        self.plan().default_data_rate
    }

    /// Returns the most that may be radiated, in dBm EIRP, rounded down.
    pub fn max_eirp_dbm(self) -> i8 {
        self.plan().max_eirp_dbm
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
