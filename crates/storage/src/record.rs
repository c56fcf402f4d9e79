//! The records that there are.

/// Names a record. A number is never used for something else: a newer firmware reads what an older one wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordId {
    /// Serial number, EUI, factory keys, model. Written in the factory.
    Identity = 1,
    /// Every setting.
    Settings = 2,
    /// The LoRaWAN session: address, keys, receive parameters, channels.
    MacSession = 3,
    /// The counters of the MAC that are never used twice: DevNonce and the frame counters.
    MacCounters = 4,
    /// The relay's state, for *Previous* when power is restored.
    RelayState = 5,
    /// The energy sum.
    Energy = 6,
    /// The delay task, kept across a reboot.
    DelayTask = 7,
    /// The last frame counters of the multicast groups, which are never accepted twice.
    MacMulticast = 8,
    /// The D2D controllers that are known, each with its last counter, which is never accepted twice.
    D2dSenders = 9,
    /// The challenge of the next maintenance request, and how many wrong passwords there were.
    Maintenance = 11,
    /// What this socket's meter is off. Written in the factory.
    Calibration = 12,
    /// Certification was ended by the tester, for good.
    #[cfg(feature = "certification")]
    CertificationOff = 10,
}

impl RecordId {
    /// All records.
    pub const ALL: [Self; if cfg!(feature = "certification") { 12 } else { 11 }] = [
        Self::Identity,
        Self::Calibration,
        Self::Settings,
        Self::MacSession,
        Self::MacCounters,
        Self::RelayState,
        Self::Energy,
        Self::DelayTask,
        Self::MacMulticast,
        Self::D2dSenders,
        Self::Maintenance,
        #[cfg(feature = "certification")]
        Self::CertificationOff,
    ];

    /// The highest number of all.
    pub(crate) const LAST_KEY: u8 = Self::Calibration as u8;

    /// Tells the number under which the record is stored, 1 or more.
    #[must_use]
    pub const fn key(self) -> u8 {
        self as u8
    }

    /// Tells the record's name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Settings => "settings",
            Self::MacSession => "mac_session",
            Self::MacCounters => "mac_counters",
            Self::RelayState => "relay_state",
            Self::Energy => "energy",
            Self::DelayTask => "delay_task",
            Self::MacMulticast => "mac_multicast",
            Self::D2dSenders => "d2d_senders",
            Self::Maintenance => "maintenance",
            Self::Calibration => "calibration",
            #[cfg(feature = "certification")]
            Self::CertificationOff => "certification_off",
        }
    }
}
