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
}

impl MeteredCircuit {
    /// Puts the meter into the circuit.
    #[must_use]
    pub fn new(circuit: Circuit, mut meter: Bl0942) -> Self {
        meter.set_flow(0, circuit.flow());
        Self { circuit, meter }
    }

    /// Brings circuit and meter to `now_us`. Going back in time does nothing.
    pub fn advance(&mut self, now_us: u64) {
        while let Some(at_us) = self.circuit.next_event_us().filter(|&at_us| at_us <= now_us) {
            self.circuit.advance(at_us);
            self.meter.set_flow(at_us, self.circuit.flow());
        }
        self.meter.advance(now_us);
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
