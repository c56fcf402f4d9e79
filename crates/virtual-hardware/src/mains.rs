//! The mains, the relay's contact, and what is plugged in behind it.
//!
//! A [`Circuit`] has constant RMS values between its events. [`MeteredCircuit`] puts the meter's model into
//! it, and brings both to a point in time together.

use crate::bl0942::Bl0942;

/// What flows through the contact: RMS values and active power.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// The mains voltage in V, with or without load.
    pub voltage_v: f64,
    /// The current in A.
    pub current_a: f64,
    /// The active power in W.
    pub power_w: f64,
}

/// What is plugged in. It draws its power at whatever voltage, as a switched-mode supply does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Active power in W; 0 is nothing plugged in.
    pub power_w: f64,
    /// Power factor, above 0 and up to 1.
    pub power_factor: f64,
}

impl Load {
    /// Nothing plugged in.
    pub const NONE: Self = Self { power_w: 0.0, power_factor: 1.0 };

    /// Makes a load with power factor 1.
    #[must_use]
    pub fn resistive(power_w: f64) -> Self {
        Self { power_w, power_factor: 1.0 }
    }
}

/// A switch-on current.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inrush {
    /// How many times the load's current flows.
    pub factor: f64,
    /// For how long, in µs.
    pub duration_us: u64,
}

/// Mains, contact and load.
#[derive(Clone, Debug)]
pub struct Circuit {
    voltage_v: f64,
    load: Load,
    next_inrush: Option<Inrush>,
    /// Factor and end of the switch-on current that flows now.
    inrush: Option<(f64, u64)>,
    coil_on: bool,
    closed: bool,
    welded: bool,
    contact_moves_us: Option<u64>,
}

impl Circuit {
    /// How long the contact takes to close or open, in µs: 10 ms, the order of what data sheets of 16 A
    /// relays give.
    pub const CONTACT_US: u64 = 10_000;

    /// Makes a circuit with an open contact and nothing plugged in.
    #[must_use]
    pub fn new(voltage_v: f64) -> Self {
        Self {
            voltage_v,
            load: Load::NONE,
            next_inrush: None,
            inrush: None,
            coil_on: false,
            closed: false,
            welded: false,
            contact_moves_us: None,
        }
    }

    /// Sets the mains voltage in V; 0 is a power cut. The load's return from a cut is a switch-on.
    pub fn set_voltage(&mut self, now_us: u64, voltage_v: f64) {
        let returns = self.voltage_v <= 0.0 && voltage_v > 0.0;
        self.voltage_v = voltage_v;
        if returns && self.closed {
            self.begin_inrush(now_us);
        }
    }

    /// Plugs another load in. Behind a closed contact that is a switch-on.
    pub fn set_load(&mut self, now_us: u64, load: Load) {
        self.load = load;
        self.inrush = None;
        if self.closed && load.power_w > 0.0 {
            self.begin_inrush(now_us);
        }
    }

    /// Sets the switch-on current of the load's next switch-on; later ones are without again.
    pub fn set_next_inrush(&mut self, inrush: Inrush) {
        self.next_inrush = Some(inrush);
    }

    /// Drives the relay's coil; the contact follows after [`Self::CONTACT_US`].
    pub fn drive_relay(&mut self, now_us: u64, on: bool) {
        if on != self.coil_on {
            self.coil_on = on;
            self.contact_moves_us = Some(now_us.saturating_add(Self::CONTACT_US));
        }
    }

    /// Makes the contact unable to open, or able again; it then follows the coil.
    pub fn set_welded(&mut self, now_us: u64, welded: bool) {
        self.welded = welded;
        if !welded && self.closed != self.coil_on && self.contact_moves_us.is_none() {
            self.contact_moves_us = Some(now_us.saturating_add(Self::CONTACT_US));
        }
    }

    /// Tells whether the contact is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells what flows, until the next event.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let voltage_v = self.voltage_v;
        if !self.closed || voltage_v <= 0.0 || self.load.power_w <= 0.0 {
            return Flow { voltage_v, ..Flow::default() };
        }
        let power_w = self.load.power_w * self.inrush.map_or(1.0, |(factor, _)| factor);
        Flow { voltage_v, current_a: power_w / (voltage_v * self.load.power_factor), power_w }
    }

    /// Tells when the flow changes next by itself.
    #[must_use]
    pub fn next_event_us(&self) -> Option<u64> {
        let inrush_ends_us = self.inrush.map(|(_, end_us)| end_us);
        match (self.contact_moves_us, inrush_ends_us) {
            (Some(moves), Some(ends)) => Some(moves.min(ends)),
            (moves, ends) => moves.or(ends),
        }
    }

    /// Lets everything happen that is due at `now_us`. Call it at each event: what happens is taken to
    /// happen now.
    pub fn advance(&mut self, now_us: u64) {
        if self.inrush.is_some_and(|(_, end_us)| end_us <= now_us) {
            self.inrush = None;
        }
        if self.contact_moves_us.is_some_and(|at_us| at_us <= now_us) {
            self.contact_moves_us = None;
            let closes = self.coil_on || (self.welded && self.closed);
            if closes && !self.closed {
                self.closed = true;
                self.begin_inrush(now_us);
            } else if !closes {
                self.closed = false;
                self.inrush = None;
            }
        }
    }

    fn begin_inrush(&mut self, now_us: u64) {
        if self.load.power_w > 0.0 && self.voltage_v > 0.0 {
            let begin = |inrush: Inrush| (inrush.factor, now_us.saturating_add(inrush.duration_us));
            self.inrush = self.next_inrush.take().map(begin);
        }
    }
}

/// A circuit with a meter in it.
#[derive(Clone, Debug)]
pub struct MeteredCircuit {
    circuit: Circuit,
    pub(crate) meter: Bl0942,
    /// What went through the contact up to `now_us`, in J.
    energy_j: f64,
    now_us: u64,
}

impl MeteredCircuit {
    /// Puts the meter into the circuit.
    #[must_use]
    pub fn new(circuit: Circuit, mut meter: Bl0942) -> Self {
        meter.set_flow(0, circuit.flow());
        Self { circuit, meter, energy_j: 0.0, now_us: 0 }
    }

    /// Brings circuit and meter to `now_us`. Going back in time does nothing.
    pub fn advance(&mut self, now_us: u64) {
        while let Some(at_us) = self.circuit.next_event_us().filter(|&at_us| at_us <= now_us) {
            self.integrate(at_us);
            self.circuit.advance(at_us);
            self.meter.set_flow(at_us, self.circuit.flow());
        }
        self.integrate(now_us);
        self.meter.advance(now_us);
    }

    fn integrate(&mut self, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.now_us);
        self.now_us += elapsed_us;
        self.energy_j += self.circuit.flow().power_w * elapsed_us as f64 / 1e6;
    }

    /// Tells what went through the contact up to `now_us`, in Wh: what a meter without any error would show.
    pub fn energy_wh(&mut self, now_us: u64) -> f64 {
        self.advance(now_us);
        self.energy_j / 3600.0
    }

    /// Changes something about the circuit at `now_us`.
    pub fn change(&mut self, now_us: u64, change: impl FnOnce(&mut Circuit)) {
        self.advance(now_us);
        change(&mut self.circuit);
        self.meter.set_flow(now_us, self.circuit.flow());
    }

    /// Shows the circuit as it was when it was brought forward last.
    #[must_use]
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Gives the meter's model at `now_us`.
    pub fn meter(&mut self, now_us: u64) -> &mut Bl0942 {
        self.advance(now_us);
        &mut self.meter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(mut circuit: Circuit, times_us: &[u64]) -> Vec<f64> {
        let at = |&now_us: &u64| {
            while let Some(at_us) = circuit.next_event_us().filter(|&at_us| at_us <= now_us) {
                circuit.advance(at_us);
            }
            circuit.flow().current_a
        };
        times_us.iter().map(at).collect()
    }

    /// A circuit with 2300 W plugged in, the relay driven at 0.
    fn switched_on() -> Circuit {
        let mut circuit = Circuit::new(230.0);
        circuit.set_load(0, Load::resistive(2300.0));
        circuit.drive_relay(0, true);
        circuit
    }

    #[test]
    fn the_contact_follows_the_coil_after_10_ms() {
        assert_eq!(flows(switched_on(), &[0, 9_999, 10_000]), [0.0, 0.0, 10.0]);
        let mut circuit = switched_on();
        circuit.advance(10_000);
        circuit.drive_relay(20_000, false);
        assert_eq!(flows(circuit, &[29_999, 30_000]), [10.0, 0.0]);
    }

    #[test]
    fn a_coil_driven_for_less_than_10_ms_does_not_move_the_contact() {
        let mut circuit = switched_on();
        circuit.drive_relay(5_000, false);
        assert_eq!(flows(circuit, &[10_000, 15_000, 50_000]), [0.0; 3]);
    }

    #[test]
    fn a_switch_on_current_flows_once() {
        let mut circuit = switched_on();
        circuit.set_next_inrush(Inrush { factor: 10.0, duration_us: 100_000 });
        assert_eq!(flows(circuit.clone(), &[10_000, 109_999, 110_000]), [100.0, 100.0, 10.0]);
        circuit.advance(10_000);
        circuit.advance(110_000);
        circuit.drive_relay(200_000, false);
        circuit.advance(210_000);
        circuit.drive_relay(300_000, true);
        assert_eq!(flows(circuit, &[310_000]), [10.0]);
    }

    #[test]
    fn plugging_in_and_the_return_of_the_mains_are_switch_ons() {
        let inrush = Inrush { factor: 5.0, duration_us: 1_000 };
        let mut circuit = switched_on();
        circuit.advance(10_000);
        circuit.set_next_inrush(inrush);
        circuit.set_load(20_000, Load::resistive(230.0));
        assert_eq!(flows(circuit.clone(), &[20_000, 21_000]), [5.0, 1.0]);
        circuit.advance(21_000);
        circuit.set_voltage(30_000, 0.0);
        assert_eq!(circuit.flow(), Flow::default());
        circuit.set_next_inrush(inrush);
        circuit.set_voltage(40_000, 230.0);
        assert_eq!(flows(circuit, &[40_000, 41_000]), [5.0, 1.0]);
    }

    #[test]
    fn a_welded_contact_stays_closed_until_it_is_mended() {
        let mut circuit = switched_on();
        circuit.advance(10_000);
        circuit.set_welded(10_000, true);
        circuit.drive_relay(20_000, false);
        assert_eq!(flows(circuit.clone(), &[40_000]), [10.0]);
        circuit.advance(40_000);
        circuit.set_welded(50_000, false);
        assert_eq!(flows(circuit, &[59_999, 60_000]), [10.0, 0.0]);
    }

    #[test]
    fn the_energy_is_what_flowed_through_the_contact() {
        let mut circuit = Circuit::new(230.0);
        circuit.set_load(0, Load::resistive(3600.0));
        let meter = Bl0942::new(sockeye_metering::FrontEnd::TYPICAL, crate::bl0942::BaudPin::High);
        let mut metered = MeteredCircuit::new(circuit, meter);
        assert!(metered.energy_wh(5_000_000) < 1e-9, "the contact is open");
        metered.change(5_000_000, |circuit| circuit.drive_relay(5_000_000, true));
        // 10 ms until the contact closes, then 1 W·h a second.
        assert!((metered.energy_wh(15_010_000) - 10.0).abs() < 1e-9);
        metered.change(15_010_000, |circuit| circuit.set_voltage(15_010_000, 0.0));
        assert!((metered.energy_wh(99_000_000) - 10.0).abs() < 1e-9, "without mains nothing flows");
    }

    #[test]
    fn a_load_draws_its_power_at_any_voltage_and_power_factor() {
        for (volt, watt, power_factor, ampere) in [(230.0, 2300.0, 1.0, 10.0), (115.0, 2300.0, 0.5, 40.0)] {
            let mut circuit = switched_on();
            circuit.advance(10_000);
            circuit.set_voltage(10_000, volt);
            circuit.set_load(10_000, Load { power_w: watt, power_factor });
            assert_eq!(circuit.flow(), Flow { voltage_v: volt, current_a: ampere, power_w: watt });
        }
    }
}
