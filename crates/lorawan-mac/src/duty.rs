//! Time on air, band by band (MAC-TX-02), and the network's own limit.

use crate::instant::after;
use crate::region::{Band, Plan};

/// Bands of a plan at most.
const MAX_BANDS: usize = 6;
/// The hour of EN 300 220 is kept in slots: 11 whole ones (3630 s) behind the present one.
const SLOTS: usize = 12;
const SLOT_MS: u64 = 330_000;
/// The hour in ms.
const HOUR_MS: u64 = 3_600_000;
/// Time on air is kept in units of 10 ms, rounded up: the 10 % band's 360 s then fit 16 bits.
const UNIT_MS: u64 = 10;

/// Words of an [`AirTime`]: the bands, two slots a word; then plan, slot, network's pause and join's pause.
const BAND_WORDS: usize = MAX_BANDS * SLOTS / 2;

/// What the device has sent lately and must wait for, to be kept where a reset leaves it alone (MAC-TX-02,
/// MAC-JOIN-08).
///
/// Its times are those of the MAC's clock, which then has to go on over the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AirTime(pub [u32; AirTime::WORDS]);

impl AirTime {
    /// Its length in words of 32 bits.
    pub const WORDS: usize = BAND_WORDS + 4;

    /// Grows when the words get another meaning: what an older firmware kept is not to be resumed then.
    pub const LAYOUT: u32 = 1;
}

/// What was sent in the last hour.
///
/// It begins empty at power-up.
#[derive(Clone, Debug)]
pub struct Duty {
    used: [[u16; SLOTS]; MAX_BANDS],
    /// The number of the present slot since boot.
    slot: u64,
    /// End of the pause that a DutyCycleReq asks for.
    network_free_at_ms: u64,
    /// No join request before this, by the join's own duty cycle.
    pub join_free_at_ms: u64,
    /// A tester has switched the bands off.
    #[cfg(feature = "certification")]
    pub is_off: bool,
}

impl Duty {
    pub fn new() -> Self {
        Self {
            used: [[0; SLOTS]; MAX_BANDS],
            slot: 0,
            network_free_at_ms: 0,
            join_free_at_ms: 0,
            #[cfg(feature = "certification")]
            is_off: false,
        }
    }

    /// Writes down what a reset would forget. Pauses end within the second after.
    pub fn air_time(&self, plan: &Plan) -> AirTime {
        let mut air_time = AirTime([0; AirTime::WORDS]);
        let (bands, rest) = air_time.0.split_at_mut(BAND_WORDS);
        for (word, pair) in bands.iter_mut().zip(self.used.as_flattened().chunks_exact(2)) {
            *word = pair.iter().fold(0, |word, units| word << 16 | u32::from(*units));
        }
        let seconds = |ms: u64| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX);
        rest.copy_from_slice(&[
            u32::from(plan.id),
            u32::try_from(self.slot).unwrap_or(u32::MAX),
            seconds(self.network_free_at_ms),
            seconds(self.join_free_at_ms),
        ]);
        air_time
    }

    /// Reads it again; what was written under another plan, or after `now_ms`, counts as absent.
    pub fn resume(&mut self, plan: &Plan, now_ms: u64, air_time: &AirTime) {
        let (bands, rest) = air_time.0.split_at(BAND_WORDS);
        let &[id, slot, network_s, join_s] = rest else { return };
        if id != u32::from(plan.id) || u64::from(slot) > now_ms / SLOT_MS {
            return;
        }
        for (word, pair) in bands.iter().zip(self.used.as_flattened_mut().chunks_exact_mut(2)) {
            let [a, b, c, d] = word.to_be_bytes();
            pair.copy_from_slice(&[u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
        }
        self.slot = u64::from(slot);
        self.network_free_at_ms = u64::from(network_s).saturating_mul(1000);
        self.join_free_at_ms = u64::from(join_s).saturating_mul(1000);
    }

    fn index(slot: u64) -> usize {
        usize::try_from(slot.checked_rem(SLOTS as u64).unwrap_or(0)).unwrap_or(0)
    }

    /// Forgets the slots that are more than an hour old.
    fn advance(&mut self, now_ms: u64) {
        let target = now_ms / SLOT_MS;
        if target.saturating_sub(self.slot) >= SLOTS as u64 {
            self.used = [[0; SLOTS]; MAX_BANDS];
        } else {
            for slot in self.slot.saturating_add(1)..=target {
                for band in &mut self.used {
                    if let Some(units) = band.get_mut(Self::index(slot)) {
                        *units = 0;
                    }
                }
            }
        }
        self.slot = self.slot.max(target);
    }

    /// Counts a transmission. `max_duty_cycle` is the network's MaxDCycle.
    pub fn spend(
        &mut self,
        plan: &Plan,
        now_ms: u64,
        frequency_hz: u32,
        airtime_ms: u64,
        max_duty_cycle: u8,
    ) {
        self.advance(now_ms);
        let units = u16::try_from(airtime_ms.div_ceil(UNIT_MS)).unwrap_or(u16::MAX);
        if let Some((band, _)) = plan.band(frequency_hz)
            && let Some(slot) =
                self.used.get_mut(band).and_then(|slots| slots.get_mut(Self::index(self.slot)))
        {
            *slot = slot.saturating_add(units);
        }
        // LoRaWAN 1.0.3 section 5.2: aggregated duty cycle 1 / 2^MaxDCycle.
        let ratio = 1u64.checked_shl(u32::from(max_duty_cycle)).unwrap_or(u64::MAX).saturating_sub(1);
        self.network_free_at_ms = after(now_ms, airtime_ms).saturating_add(airtime_ms.saturating_mul(ratio));
    }

    /// Ends the pause of a DutyCycleReq: it goes with its session (MAC-JOIN-06).
    pub fn end_network_limit(&mut self) {
        self.network_free_at_ms = 0;
    }

    /// Takes the last transmission back: it did not happen.
    pub fn take_back(&mut self, plan: &Plan, frequency_hz: u32, airtime_ms: u64) {
        let units = u16::try_from(airtime_ms.div_ceil(UNIT_MS)).unwrap_or(u16::MAX);
        if let Some((band, _)) = plan.band(frequency_hz)
            && let Some(slot) =
                self.used.get_mut(band).and_then(|slots| slots.get_mut(Self::index(self.slot)))
        {
            *slot = slot.saturating_sub(units);
        }
        // An older pause was over, or nothing would have been sent.
        self.network_free_at_ms = 0;
    }

    /// Tells from when on a frame may go out at a frequency; `u64::MAX` where it never may.
    pub fn free_at_ms(&self, plan: &Plan, now_ms: u64, frequency_hz: u32, airtime_ms: u64) -> u64 {
        let at_ms = now_ms.max(self.network_free_at_ms);
        #[cfg(feature = "certification")]
        if self.is_off {
            return at_ms;
        }
        let Some((index, band)) = plan.band(frequency_hz) else { return at_ms };
        let Some(slots) = self.used.get(index) else { return at_ms };
        let needed = airtime_ms.div_ceil(UNIT_MS);
        let allowed = allowed_units(band);
        if needed > allowed {
            return u64::MAX;
        }
        // Slots that will have been forgotten by then count no more.
        let mut used = 0u64;
        let mut free_at_ms = at_ms;
        let at_slot = at_ms / SLOT_MS;
        for age in 0..SLOTS as u64 {
            let Some(slot) = self.slot.checked_sub(age) else { break };
            if at_slot.saturating_sub(slot) >= SLOTS as u64 {
                break;
            }
            used = used.saturating_add(slots.get(Self::index(slot)).copied().map_or(0, u64::from));
            if used.saturating_add(needed) > allowed {
                free_at_ms = free_at_ms.max(slot.saturating_add(SLOTS as u64).saturating_mul(SLOT_MS));
                break;
            }
        }
        free_at_ms
    }
}

fn allowed_units(band: &Band) -> u64 {
    HOUR_MS.saturating_mul(u64::from(band.duty_cycle_permille)) / 1000 / UNIT_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Region;
    use proptest::prelude::*;

    const F: u32 = 868_100_000;

    #[test]
    fn a_band_is_free_until_its_hour_is_used_up() {
        let plan = Plan::of(Region::Eu868);
        let mut duty = Duty::new();
        assert_eq!(duty.free_at_ms(plan, 5, F, 1000), 5);
        for n in 0..36 {
            assert_eq!(duty.free_at_ms(plan, n * 1000, F, 1000), n * 1000);
            duty.spend(plan, n * 1000, F, 1000, 0);
        }
        let free = duty.free_at_ms(plan, 36_000, F, 1000);
        assert!((HOUR_MS..=HOUR_MS + 2 * SLOT_MS).contains(&free), "{free}");
        assert_eq!(duty.free_at_ms(plan, free, F, 1000), free);
        // The 10 % band next to it is not concerned.
        assert_eq!(duty.free_at_ms(plan, 40_000, 869_525_000, 1000), 40_000);
    }

    #[test]
    fn a_network_limit_holds_on_every_band() {
        let plan = Plan::of(Region::Eu868);
        let mut duty = Duty::new();
        duty.spend(plan, 0, F, 100, 7);
        assert_eq!(duty.free_at_ms(plan, 0, 869_525_000, 100), 100 + 100 * 127);
    }

    #[test]
    fn another_plans_air_time_and_one_from_later_count_as_absent() {
        let (eu868, eu433) = (Plan::of(Region::Eu868), Plan::of(Region::Eu433));
        let mut duty = Duty::new();
        duty.spend(eu868, 10 * SLOT_MS, F, 36_000, 0);
        let air_time = duty.air_time(eu868);
        for (plan, now_ms, taken) in
            [(eu868, 10 * SLOT_MS, true), (eu868, 10 * SLOT_MS - 1, false), (eu433, 10 * SLOT_MS, false)]
        {
            let mut resumed = Duty::new();
            resumed.resume(plan, now_ms, &air_time);
            assert_eq!(resumed.air_time(eu868) == air_time, taken, "{now_ms}");
            assert_eq!(resumed.free_at_ms(eu868, now_ms, F, 1000) > now_ms, taken, "{now_ms}");
        }
    }

    proptest! {
        #[test]
        fn no_word_of_a_ledger_panics(
            words in prop::collection::vec(prop_oneof![any::<u32>(), 0u32..20], AirTime::WORDS),
            now in any::<u64>(),
        ) {
            for region in Region::ALL {
                let plan = Plan::of(region);
                let mut air_time = AirTime(words.clone().try_into().unwrap());
                air_time.0[BAND_WORDS] = u32::from(plan.id);
                let mut duty = Duty::new();
                duty.resume(plan, now, &air_time);
                let at = duty.free_at_ms(plan, now, F, 100);
                duty.spend(plan, at.max(now), F, 100, 15);
                duty.air_time(plan);
            }
        }

        #[test]
        fn no_hour_ever_holds_more_than_the_duty_cycle(
            gaps in prop::collection::vec((0u64..400_000, 20u64..3000, any::<bool>()), 1..300)
        ) {
            let plan = Plan::of(Region::Eu868);
            let mut duty = Duty::new();
            let mut sent: std::vec::Vec<(u64, u64)> = std::vec::Vec::new();
            let mut now = 0u64;
            for (gap, airtime, reset) in gaps {
                if reset {
                    let kept = duty.air_time(plan);
                    duty = Duty::new();
                    duty.resume(plan, now, &kept);
                }
                now = duty.free_at_ms(plan, now + gap, F, airtime);
                prop_assert!(duty.free_at_ms(plan, now, F, airtime) == now);
                duty.spend(plan, now, F, airtime, 0);
                sent.push((now, airtime));
                let used: u64 =
                    sent.iter().filter(|(at, _)| now - at < HOUR_MS).map(|(_, airtime)| airtime).sum();
                prop_assert!(used <= HOUR_MS / 100);
            }
        }
    }
}
