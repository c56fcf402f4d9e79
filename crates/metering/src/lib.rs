//! Energy metering of the socket: what is measured, how it is summed, and when it is too much.
//!
//! [`EnergyMeter`] is what the firmware reads ten times a second. [`Bl0942`] (UART) and [`Polled`] around a
//! [`Bl0937`] (pulses) implement it. [`Calibration`] turns a chip's counts into units,
//! [`Correction`] is what one meter is off from its parts' promise, [`Plausibility`] drops readings that cannot be true, [`EnergySum`] adds up, [`TripCurve`] and [`WeldedContact`] judge the
//! current.
//!
//! Units: mV, mA, mW, µWh, ‰. Integers only. Nothing here panics, whatever a chip or the wire delivers.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod bl0937;
pub mod bl0942;
mod calibration;
mod correction;
mod energy_sum;
mod meter;
mod plausibility;
mod trip;
mod welded;

pub use bl0937::{Bl0937, Polled};
pub use bl0942::Bl0942;
pub use calibration::{Calibration, FrontEnd};
pub use correction::{Correction, CorrectionError, Quantity};
pub use energy_sum::EnergySum;
pub use meter::{EnergyMeter, Error, LineFrequency, Reading};
pub use plausibility::{Implausible, Plausibility};
pub use trip::{Cause, Trip, TripCurve, Verdict};
pub use welded::WeldedContact;
