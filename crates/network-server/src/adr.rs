//! Adaptive data rate: what is asked of a device, from how well it was heard.

use std::collections::VecDeque;

/// How data rate and power are chosen: the margin over the demodulation floor, in steps of 3 dB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adr {
    /// What is kept in hand for fading, in dB.
    pub installation_margin_db: u8,
    /// Uplinks heard before a data rate is raised or a power lowered, 1..20. More power needs twenty, as in
    /// ChirpStack: one weak uplink is no reason.
    pub history: u8,
    /// NbTrans asked for, 1..15.
    pub nb_trans: u8,
}

impl Default for Adr {
    fn default() -> Self {
        // The figures of Semtech's recommended algorithm, which public networks took over.
        Self { installation_margin_db: 10, history: 20, nb_trans: 1 }
    }
}

/// The best SNR of each of the last uplinks, in dB.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<i8>);

/// The most uplinks that are looked back on.
const HISTORY: usize = 20;

impl History {
    pub(crate) fn add(&mut self, snr_db: i8) {
        self.0.push_back(snr_db);
        while self.0.len() > HISTORY {
            self.0.pop_front();
        }
    }

    /// Takes note of another gateway that heard the last uplink.
    pub(crate) fn heard_also(&mut self, snr_db: i8) {
        if let Some(last) = self.0.back_mut() {
            *last = snr_db.max(*last);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Data rate and power, and how far each may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) data_rate: u8,
    pub(crate) tx_power: u8,
}

impl Adr {
    /// Chooses from the present data rate and power; `sf` is the data rate's. `highest` is as far as the device
    /// may go.
    pub(crate) fn choose(&self, history: &History, now: Choice, sf: u8, highest: Choice) -> Choice {
        let Some(best_db) = history.0.iter().max() else { return now };
        let margin_tenths = i32::from(*best_db) * 10
            - demodulation_floor_tenths(sf)
            - 10 * i32::from(self.installation_margin_db);
        // Toward zero: a margin of less than a step changes nothing.
        let mut steps = margin_tenths / 30;
        let mut choice = now;
        let needed = if steps > 0 { usize::from(self.history) } else { HISTORY };
        if history.0.len() < needed {
            return now;
        }
        while steps > 0 && choice.data_rate < highest.data_rate {
            choice.data_rate += 1;
            steps -= 1;
        }
        while steps > 0 && choice.tx_power < highest.tx_power {
            choice.tx_power += 1;
            steps -= 1;
        }
        // Too weak: more power. A lower data rate is the device's own choice (ADRACKReq).
        while steps < 0 && choice.tx_power > 0 {
            choice.tx_power -= 1;
            steps += 1;
        }
        choice
    }
}

/// Tells the lowest SNR at which a spreading factor is demodulated, in tenths of a dB.
///
/// Source: SX1261/2 data sheet, table of SNR limits: -7.5 dB at SF7, 2.5 dB less a step.
pub(crate) fn demodulation_floor_tenths(sf: u8) -> i32 {
    -75 - 25 * (i32::from(sf) - 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(snr_db: i8, uplinks: usize, (data_rate, tx_power): (u8, u8), expected: (u8, u8)) {
        let mut history = History::default();
        for _ in 0..uplinks {
            history.add(snr_db);
        }
        let highest = Choice { data_rate: 5, tx_power: 7 };
        let chosen = Adr::default().choose(&history, Choice { data_rate, tx_power }, 12 - data_rate, highest);
        assert_eq!((chosen.data_rate, chosen.tx_power), expected, "{snr_db} dB, {uplinks} uplinks");
    }

    #[test]
    fn the_margin_goes_first_into_data_rate_then_into_power() {
        // SF12's floor is -20 dB, and 10 dB stay in hand: each 3 dB above -10 is a step.
        check(-10, 20, (0, 0), (0, 0));
        check(-8, 20, (0, 0), (0, 0));
        check(-7, 20, (0, 0), (1, 0));
        check(5, 20, (0, 0), (5, 0));
        check(8, 20, (0, 0), (5, 1));
        check(120, 20, (0, 0), (5, 7));
    }

    #[test]
    fn few_uplinks_change_nothing() {
        check(10, 19, (0, 0), (0, 0));
        check(10, 0, (0, 0), (0, 0));
        // SF7's floor is -7.5 dB: -1 dB is 3.5 dB short of it and the margin.
        check(-1, 19, (5, 3), (5, 3));
        check(-1, 20, (5, 3), (5, 2));
        check(-20, 20, (5, 3), (5, 0));
        check(-20, 20, (5, 0), (5, 0));
    }

    #[test]
    fn a_network_in_a_hurry_raises_the_rate_at_once_and_yet_waits_before_it_raises_the_power() {
        let adr = Adr { history: 1, ..Adr::default() };
        let highest = Choice { data_rate: 5, tx_power: 7 };
        let mut near = History::default();
        near.add(5);
        let slow = Choice { data_rate: 0, tx_power: 0 };
        assert_eq!(adr.choose(&near, slow, 12, highest), Choice { data_rate: 5, tx_power: 0 });
        let (mut far, low) = (History::default(), Choice { data_rate: 5, tx_power: 3 });
        for uplinks in 1..=20 {
            far.add(-1);
            let tx_power = if uplinks < 20 { 3 } else { 2 };
            assert_eq!(adr.choose(&far, low, 7, highest), Choice { data_rate: 5, tx_power }, "{uplinks}");
        }
    }

    #[test]
    fn the_best_of_the_gateways_and_of_the_last_twenty_counts() {
        let mut history = History::default();
        history.add(30);
        for _ in 0..20 {
            history.add(-20);
        }
        let adr = Adr { installation_margin_db: 0, ..Adr::default() };
        let (now, highest) = (Choice { data_rate: 0, tx_power: 0 }, Choice { data_rate: 5, tx_power: 7 });
        assert_eq!(adr.choose(&history, now, 12, highest), now, "the 30 dB are forgotten");
        history.heard_also(-14);
        assert_eq!(adr.choose(&history, now, 12, highest).data_rate, 2);
    }
}
