use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::rc::Rc;
use std::vec::Vec;

use embassy_futures::block_on;
use embedded_hal::digital::{ErrorType, PinState};
use embedded_hal_mock::eh1::MockError;
use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction};

use super::*;
use crate::FrontEnd;

const TYPICAL: Calibration = Calibration::bl0937(FrontEnd::TYPICAL);

/// The chip on the pins' other side: frequencies from the data sheet's equations for the usual parts.
#[derive(Debug, Default)]
struct Chip {
    now_us: Cell<u64>,
    flow: Cell<(f64, f64, f64)>,
    /// Phases in cycles, of CF and CF1, and the time up to which they are reckoned.
    phases: RefCell<(f64, f64, u64)>,
    sel_high: Cell<bool>,
}

impl Chip {
    const DIVIDER: f64 = 1_950_510.0 / 510.0;

    fn advance(&self) {
        let (volt, ampere, watt) = self.flow.get();
        let mut phases = self.phases.borrow_mut();
        let seconds = (self.now_us.get() - phases.2) as f64 / 1e6;
        let voltage_hz = volt * 15_397.0 / (1.218 * Self::DIVIDER);
        let current_hz = ampere * 0.001 * 94_638.0 / 1.218;
        phases.0 += seconds * watt * 0.001 * 1_721_506.0 / (1.218 * 1.218 * Self::DIVIDER);
        phases.1 += seconds * if self.sel_high.get() { voltage_hz } else { current_hz };
        phases.2 = self.now_us.get();
    }

    fn set(&self, volt: f64, ampere: f64, watt: f64) {
        self.advance();
        self.flow.set((volt, ampere, watt));
    }
}

struct Cf(Rc<Chip>);
struct Cf1(Rc<Chip>);
struct Sel(Rc<Chip>);

impl ErrorType for Cf {
    type Error = Infallible;
}
impl ErrorType for Cf1 {
    type Error = Infallible;
}
impl ErrorType for Sel {
    type Error = Infallible;
}

impl InputPin for Cf {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        self.0.advance();
        Ok(self.0.phases.borrow().0.fract() < 0.5)
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

impl InputPin for Cf1 {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        self.0.advance();
        Ok(self.0.phases.borrow().1.fract() < 0.5)
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

impl OutputPin for Sel {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::Low)
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set_state(PinState::High)
    }
    fn set_state(&mut self, state: PinState) -> Result<(), Infallible> {
        self.0.advance();
        self.0.sel_high.set(state == PinState::High);
        Ok(())
    }
}

/// A delay that moves the chip's clock.
struct Passing(Rc<Chip>);

impl DelayNs for Passing {
    async fn delay_ns(&mut self, ns: u32) {
        self.0.now_us.set(self.0.now_us.get() + u64::from(ns / 1000));
    }
}

fn meter(chip: &Rc<Chip>) -> impl EnergyMeter<Error = Error<Infallible>> {
    let (cf, cf1, sel) = (Cf(chip.clone()), Cf1(chip.clone()), Sel(chip.clone()));
    let clock = chip.clone();
    Polled::new(Bl0937::new(cf, cf1, sel, VoltageSelect::High, TYPICAL), Passing(chip.clone()), move || {
        clock.now_us.get()
    })
}

/// Takes readings for `duration_us`; gives them with their times.
fn run(chip: &Rc<Chip>, meter: &mut impl EnergyMeter, duration_us: u64) -> Vec<(u64, Reading)> {
    let end_us = chip.now_us.get() + duration_us;
    let mut readings = Vec::new();
    while chip.now_us.get() < end_us {
        let reading = block_on(meter.read()).unwrap();
        readings.push((chip.now_us.get(), reading));
    }
    readings
}

fn assert_near(got: u32, want: u32, permille: u32, what: &str) {
    let within = u64::from(got.abs_diff(want)) * 1000 <= u64::from(want) * u64::from(permille);
    assert!(within, "{what}: {got} for {want}");
}

#[test]
fn voltage_current_and_power_follow_the_data_sheet() {
    for (volt, ampere, watt) in [
        (230.0, 8.0, 1840.0),
        (230.0, 16.0, 3680.0),
        (230.0, 20.8, 4784.0),
        (120.0, 1.0, 60.0),
        (230.0, 0.5, 80.0),
    ] {
        let chip = Rc::new(Chip::default());
        chip.set(volt, ampere, watt);
        let readings = run(&chip, &mut meter(&chip), 2_000_000);
        let (_, last) = readings.last().unwrap();
        assert_near(last.voltage_mv, (volt * 1000.0) as u32, 10, "voltage");
        assert_near(last.current_ma, (ampere * 1000.0) as u32, 10, "current");
        assert_near(last.power_mw, (watt * 1000.0) as u32, 10, "power");
        assert_eq!(last.fast_current_ma, last.current_ma);
    }
}

#[test]
fn energy_is_the_count_of_pulses() {
    let chip = Rc::new(Chip::default());
    chip.set(230.0, 8.0, 1840.0);
    let readings = run(&chip, &mut meter(&chip), 10_000_000);
    let sum_uwh: u32 = readings.iter().map(|(_, reading)| reading.energy_uwh).sum();
    let seconds = chip.now_us.get() as f64 / 1e6;
    assert_near(sum_uwh, (1840.0 / 3600.0 * seconds * 1e6) as u32, 2, "energy");
}

#[test]
fn no_pulse_is_missed_by_a_caller_who_reads_ten_times_a_second() {
    for (ampere, watt) in [(16.0, 3680.0), (2.0, 460.0)] {
        let chip = Rc::new(Chip::default());
        chip.set(230.0, ampere, watt);
        let mut meter = meter(&chip);
        let mut sum_uwh = 0;
        let mut due_us = 0;
        while chip.now_us.get() < 60_000_000 {
            // Until the next reading is due nobody looks at the pins.
            chip.now_us.set(chip.now_us.get().max(due_us));
            sum_uwh += block_on(meter.read()).unwrap().energy_uwh;
            due_us += 100_000;
        }
        let seconds = chip.now_us.get() as f64 / 1e6;
        assert_near(sum_uwh, (watt / 3600.0 * seconds * 1e6) as u32, 2, "energy");
    }
}

#[test]
fn ten_readings_a_second_come_from_1_a_on() {
    let chip = Rc::new(Chip::default());
    chip.set(230.0, 1.0, 230.0);
    assert!(run(&chip, &mut meter(&chip), 2_000_000).len() >= 20);
}

#[test]
fn without_current_there_is_no_power_and_readings_still_come() {
    let chip = Rc::new(Chip::default());
    chip.set(230.0, 8.0, 1840.0);
    let mut meter = meter(&chip);
    run(&chip, &mut meter, 1_000_000);
    chip.set(230.0, 0.0, 0.0);
    let readings = run(&chip, &mut meter, 3_000_000);
    let (_, last) = readings.last().unwrap();
    assert_eq!((last.current_ma, last.power_mw, last.energy_uwh), (0, 0, 0));
    assert_near(last.voltage_mv, 230_000, 10, "voltage");
}

#[test]
fn between_slow_pulses_the_power_holds_as_far_as_the_missing_pulse_allows() {
    let chip = Rc::new(Chip::default());
    // 6.6 W: a pulse each 500 ms.
    chip.set(230.0, 0.1, 6.6);
    let mut meter = meter(&chip);
    let steady = run(&chip, &mut meter, 6_000_000);
    for (at_us, reading) in steady.iter().filter(|(at_us, _)| *at_us > 3_000_000) {
        assert_near(reading.power_mw, 6_600, 20, &std::format!("at {at_us} µs"));
    }
    chip.set(230.0, 0.1, 0.6);
    let falling = run(&chip, &mut meter, 14_000_000);
    assert!(falling.is_sorted_by_key(|(_, reading)| core::cmp::Reverse(reading.power_mw)), "{falling:?}");
    assert_near(falling.last().unwrap().1.power_mw, 600, 20, "two pulses later");
}

#[test]
fn after_20_s_without_a_pulse_the_power_is_0_until_two_more_have_come() {
    let mut power = Power::default();
    power.edge(0);
    power.edge(1_000_000);
    for (now_us, mhz) in [(1_000_000, 1000), (2_000_000, 1000), (20_999_999, 50), (21_000_000, 0)] {
        assert_eq!(power.take(now_us, 20_000_000), mhz, "at {now_us} µs");
    }
    power.edge(30_000_000);
    assert_eq!(power.take(30_000_000, 20_000_000), 0);
    power.edge(30_500_000);
    assert_eq!(power.take(30_500_000, 20_000_000), 2000);
}

#[test]
fn poll_never_waits_and_switches_sel_when_it_begins() {
    let mut cf = Pin::new(&[Transaction::get(State::Low), Transaction::get(State::High)]);
    let mut cf1 = Pin::new(&[Transaction::get(State::Low), Transaction::get(State::Low)]);
    let mut sel = Pin::new(&[Transaction::set(State::Low)]);
    let mut driver = Bl0937::new(cf.clone(), cf1.clone(), sel.clone(), VoltageSelect::Low, TYPICAL);
    assert_eq!(driver.poll(0), Err(nb::Error::WouldBlock));
    assert_eq!(driver.poll(100), Err(nb::Error::WouldBlock));
    assert_eq!(driver.pulses, 1);
    for pin in [&mut cf, &mut cf1, &mut sel] {
        pin.done();
    }
}

#[test]
fn a_failing_pin_is_told() {
    let failure = MockError::Io(std::io::ErrorKind::NotConnected);
    let mut cf = Pin::new(&[Transaction::get(State::Low).with_error(failure.clone())]);
    let (mut cf1, mut sel) = (Pin::new(&[]), Pin::new(&[]));
    let mut driver = Bl0937::new(cf.clone(), cf1.clone(), sel.clone(), VoltageSelect::Low, TYPICAL);
    assert_eq!(driver.poll(0), Err(nb::Error::Other(Error::Bus(failure))));
    for pin in [&mut cf, &mut cf1, &mut sel] {
        pin.done();
    }
}

proptest::proptest! {
    #[test]
    fn law_no_sequence_of_levels_and_times_panics(
        steps in proptest::collection::vec((0..1_000_000_u64, proptest::bool::ANY, proptest::bool::ANY), 0..300),
    ) {
        let mut phase = Phase { quantity: Quantity::Current, started_us: 0, edges: 0, first_us: 0, last_us: 0 };
        let mut power = Power::default();
        let mut now_us = 0;
        for (gap_us, cf, cf1) in steps {
            now_us += gap_us;
            if cf {
                power.edge(now_us);
            }
            if cf1 {
                phase.edge(now_us);
            }
            phase.result(now_us, 50_000, 500_000);
            power.take(now_us, 20_000_000);
        }
    }
}
