//! Output powers that lora-phy programs rightly.

/// The power amplifier that a board uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amplifier {
    /// SX1262, and RFO_HP of the STM32WL: -9 to 22 dBm.
    High,
    /// SX1261, and RFO_LP of the STM32WL: -17 to 15 dBm.
    Low,
}

impl Amplifier {
    /// Takes a wish to the nearest power at or below it that lora-phy 3.0.1 programs as asked; a wish below
    /// the range gives the lowest power. In and out in dBm.
    ///
    /// lora-phy makes 22 dBm of 21, and overflows from -8 to -1 dBm (high) and from -3 to -1 dBm (low).
    #[must_use]
    pub fn clamp_dbm(self, wish_dbm: i32) -> i32 {
        match (self, wish_dbm) {
            (Self::High, ..=-1) => -9,
            (Self::High, 21) => 20,
            (Self::High, wish) => wish.min(22),
            (Self::Low, -3..=-1) => -4,
            (Self::Low, wish) => wish.clamp(-17, 15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(amplifier: Amplifier, table: &[(i32, i32)]) {
        for (wish_dbm, power_dbm) in table {
            assert_eq!(amplifier.clamp_dbm(*wish_dbm), *power_dbm, "{amplifier:?} {wish_dbm} dBm");
        }
    }

    #[test]
    fn the_high_power_amplifier_gets_no_power_that_lora_phy_gets_wrong() {
        let table = [
            (-40, -9),
            (-9, -9),
            (-8, -9),
            (-1, -9),
            (0, 0),
            (14, 14),
            (20, 20),
            (21, 20),
            (22, 22),
            (30, 22),
        ];
        check(Amplifier::High, &table);
    }

    #[test]
    fn the_low_power_amplifier_gets_no_power_that_lora_phy_gets_wrong() {
        let table = [
            (-40, -17),
            (-17, -17),
            (-5, -5),
            (-4, -4),
            (-3, -4),
            (-1, -4),
            (0, 0),
            (14, 14),
            (15, 15),
            (16, 15),
        ];
        check(Amplifier::Low, &table);
    }
}
