//! What a run needs of a socket, whether its firmware runs on this computer or on a modelled chip.

use std::time::Duration;

use sockeye_settings::{Identity, Settings};
use sockeye_state_machine::UplinkKind;
use sockeye_virtual_hardware::air::Medium;
use sockeye_virtual_hardware::bl0942::SharedCircuit;
use sockeye_virtual_hardware::button::VirtualButton;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::SharedTag;

use crate::network::Network;
use crate::observer::{HostObserver, Log};

/// Where a socket is put, and what it begins with.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The clock that it lives on.
    pub sim: &'a Sim,
    /// The air that its radio is in.
    pub medium: &'a Medium,
    /// Its number in the run.
    pub index: usize,
    /// Who it is.
    pub identity: Identity,
    /// What its flash holds, if anything.
    pub settings: Option<&'a Settings>,
    /// What its random numbers come from.
    pub seed: u64,
    /// The network, which tells what a device does not tell itself.
    pub network: &'a Network,
    /// Where its events go.
    pub log: &'a Log,
}

/// A socket with mains, load, button and air around it.
pub trait Device {
    /// The circuit with its meter.
    fn circuit(&self) -> &SharedCircuit;

    /// The button.
    fn button(&self) -> &VirtualButton;

    /// Who it is.
    fn identity(&self) -> &Identity;

    /// The NFC tag; none on a board without.
    fn tag(&self) -> Option<&SharedTag> {
        None
    }

    /// What is seen of it.
    fn observer(&self) -> &HostObserver;

    /// Tells whether the mains is there.
    fn mains_on(&self) -> bool;

    /// Sets the mains voltage, now or for when the mains returns.
    fn set_voltage_mv(&self, voltage_mv: u32);

    /// Takes the mains away or brings it back.
    fn set_mains(&self, on: bool);

    /// Tells which uplinks wait in it, with the bytes still to be sent; a device that cannot be looked into tells none.
    fn waiting(&self) -> Vec<(UplinkKind, usize)> {
        Vec::new()
    }

    /// Tells how often the watchdog ended a hang.
    fn watchdog_resets(&self) -> u64;

    /// Tells for how long, by the computer's clock, a debugger has kept it from running.
    fn halted(&self) -> Duration {
        Duration::ZERO
    }

    /// Lets all devices of a run, and the clock that they live on, go on until it shows `end_us`.
    fn run_until_us(devices: &mut [Self], sim: &Sim, end_us: u64)
    where
        Self: Sized;
}
