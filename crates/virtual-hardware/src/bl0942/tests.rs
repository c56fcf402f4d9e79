use std::cell::RefCell;
use std::rc::Rc;

use sockeye_metering as metering;
use sockeye_metering::LineFrequency;
use sockeye_metering::bl0942::Packet;
use sockeye_metering::{Calibration, Cause, EnergyMeter, Error, Reading, TripCurve};

use super::*;
use crate::delay::VirtualDelay;
use crate::mains::{Circuit, Inrush, Load, MeteredCircuit};
use crate::sim::Sim;

const TEN_AMPERES: Flow = Flow { voltage_v: 230.0, current_a: 10.0, power_w: 2300.0 };

fn chip() -> Bl0942 {
    Bl0942::new(FrontEnd::TYPICAL, BaudPin::Low)
}

/// Sends bytes one byte time apart, and gives the answer with the times of its bytes.
fn exchange(chip: &mut Bl0942, now_us: u64, request: &[u8]) -> Vec<(u64, u8)> {
    let mut at_us = now_us;
    for &byte in request {
        at_us += chip.byte_us();
        chip.advance(at_us);
        chip.receive(at_us, byte);
    }
    let mut answer = Vec::new();
    while let Some(at_us) = chip.next_event_us() {
        assert_eq!(chip.transmit(at_us - 1), None);
        answer.push((at_us, chip.transmit(at_us).unwrap()));
    }
    answer
}

fn bytes(answer: &[(u64, u8)]) -> Vec<u8> {
    answer.iter().map(|&(_, byte)| byte).collect()
}

fn write(chip: &mut Bl0942, now_us: u64, register: u8, value: u32) {
    let [d0, d1, d2, _] = value.to_le_bytes();
    let sum = checksum(WRITE, &[register, d0, d1, d2]);
    assert_eq!(exchange(chip, now_us, &[WRITE, register, d0, d1, d2, sum]), []);
}

fn read(chip: &mut Bl0942, now_us: u64, register: u8) -> u32 {
    let answer = bytes(&exchange(chip, now_us, &[READ, register]));
    let [d0, d1, d2, sum] = answer[..] else { panic!("{answer:02X?}") };
    assert_eq!(sum, checksum(READ, &[register, d0, d1, d2]));
    u32::from_le_bytes([d0, d1, d2, 0])
}

#[test]
fn the_counts_are_those_of_the_data_sheet_for_the_usual_parts() {
    let mut chip = chip();
    chip.set_flow(0, TEN_AMPERES);
    chip.advance(3_600_000_000);
    let counts = chip.counts();
    // facts/chips.md: 251213 counts/A, 15883 counts/V, 623.39 counts/W; 2300 Wh at 0.186894 Wh a pulse.
    assert_eq!((counts.i_rms, counts.v_rms, counts.watt), (2_512_135, 3_653_168, 1_433_806));
    assert_eq!(counts.i_fast_rms, (2_512_134.647_f64 * 0.363).round() as u32);
    assert_eq!(counts.cf_cnt, 12_306);
}

#[test]
fn other_parts_bring_other_counts_for_the_same_flow() {
    let mut chip = chip();
    chip.set_flow(0, TEN_AMPERES);
    chip.set_parts(1_000_000, FrontEnd { shunt_uohm: 1020, ..FrontEnd::TYPICAL });
    chip.advance(2_000_000);
    let counts = chip.counts();
    assert_eq!((counts.i_rms, counts.v_rms, counts.watt), (2_562_377, 3_653_168, 1_462_482));
}

#[test]
fn rms_values_come_after_400_ms_and_the_fast_current_after_a_line_cycle() {
    let mut chip = chip();
    chip.advance(1_210_000);
    chip.set_flow(1_210_000, TEN_AMPERES);
    let mut seen = Vec::new();
    for now_us in [1_219_999, 1_220_000, 1_240_000, 1_599_999, 1_600_000, 2_000_000] {
        chip.advance(now_us);
        let part = |counts: u32, whole: f64| (f64::from(counts) / whole * 1000.0).round() as u32;
        let counts = chip.counts();
        seen.push((now_us, part(counts.i_fast_rms, 911_905.0), part(counts.i_rms, 2_512_135.0)));
    }
    let expected = [
        (1_219_999, 0, 0),
        // Half the window: the root of 1/2.
        (1_220_000, 707, 0),
        (1_240_000, 1000, 0),
        (1_599_999, 1000, 0),
        // 390 of 400 ms.
        (1_600_000, 1000, 987),
        (2_000_000, 1000, 1000),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_packet_comes_byte_by_byte_at_the_baud_rate() {
    for (baud_pin, byte_us) in [(BaudPin::Low, 2292), (BaudPin::High, 1146)] {
        let mut chip = Bl0942::new(FrontEnd::TYPICAL, baud_pin);
        chip.set_flow(0, TEN_AMPERES);
        let answer = exchange(&mut chip, 1_000_000, &[READ, FULL_PACKET]);
        let first_us = 1_000_000 + 2 * byte_us + 150;
        let times: Vec<u64> = answer.iter().map(|&(at_us, _)| at_us).collect();
        let expected: Vec<u64> = (1..=23).map(|index| first_us + index * byte_us).collect();
        assert_eq!(times, expected);
        let packet: [u8; PACKET_LEN] = bytes(&answer).try_into().unwrap();
        assert_eq!(Packet::new(&packet, 0).unwrap().counts(), chip.counts());
    }
}

#[test]
fn mode_sets_the_baud_rate_and_the_windows() {
    let mut chip = chip();
    chip.set_flow(0, TEN_AMPERES);
    write(&mut chip, 0, register::USR_WRPROT, 0x55);
    write(&mut chip, 100_000, register::MODE, 0x387 | 1 << 3);
    assert_eq!(chip.byte_us(), 287);
    write(&mut chip, 200_000, register::I_FAST_RMS_CYC, 4);
    chip.advance(350_000);
    assert_eq!(chip.counts().i_fast_rms, 911_905, "as it was before the change");
    let changed_us = 200_000 + 6 * 287;
    chip.set_flow(changed_us + 160_000, Flow { voltage_v: 230.0, ..Flow::default() });
    chip.advance(changed_us + 319_999);
    assert_eq!(chip.counts().i_fast_rms, 911_905);
    chip.advance(changed_us + 320_000);
    assert_eq!(chip.counts().i_fast_rms, 0, "eight cycles of 20 ms");
    write(&mut chip, 1_000_000, register::MODE, 0x287);
    assert_eq!(chip.byte_us(), 573);
}

#[test]
fn registers_are_written_only_unlocked_and_with_a_right_checksum() {
    let mut chip = chip();
    assert_eq!(read(&mut chip, 0, register::MODE), 0x87);
    write(&mut chip, 100_000, register::MODE, 0xA7);
    assert_eq!(read(&mut chip, 200_000, register::MODE), 0x87, "locked");
    write(&mut chip, 300_000, register::USR_WRPROT, 0x55);
    exchange(&mut chip, 400_000, &[WRITE, register::MODE, 0xA7, 0, 0, 0x00]);
    assert_eq!(read(&mut chip, 500_000, register::MODE), 0x87, "wrong checksum");
    write(&mut chip, 600_000, register::MODE, 0xA7);
    assert_eq!(read(&mut chip, 700_000, register::MODE), 0xA7);
    write(&mut chip, 800_000, register::USR_WRPROT, 0);
    write(&mut chip, 900_000, register::MODE, 0x87);
    assert_eq!(read(&mut chip, 1_000_000, register::MODE), 0xA7, "locked again");
}

#[test]
fn a_soft_reset_brings_the_defaults_back_and_clears_the_pulses() {
    let mut chip = chip();
    chip.set_flow(0, TEN_AMPERES);
    chip.advance(60_000_000);
    assert!(chip.counts().cf_cnt > 200);
    write(&mut chip, 60_000_000, register::USR_WRPROT, 0x55);
    write(&mut chip, 61_000_000, register::MODE, 0xA7);
    write(&mut chip, 62_000_000, 0x1C, 0x005A_5A5A);
    assert_eq!(read(&mut chip, 62_050_000, register::MODE), 0x87);
    assert_eq!(chip.counts().cf_cnt, 0);
    chip.advance(63_000_000);
    assert_eq!(chip.counts().i_rms, 2_512_135, "what flows is measured on");
}

#[test]
fn other_addresses_half_commands_and_stray_bytes_get_no_answer() {
    let mut chip = chip().with_address(2);
    assert_eq!(exchange(&mut chip, 0, &[READ, FULL_PACKET]), []);
    assert_eq!(exchange(&mut chip, 100_000, &[0x00, 0xFF, READ | 2]), []);
    // The command byte of before is forgotten after 20 ms.
    assert_eq!(exchange(&mut chip, 200_000, &[FULL_PACKET]), []);
    assert_eq!(exchange(&mut chip, 300_000, &[READ | 2, FULL_PACKET]).len(), 23);
    assert_eq!(exchange(&mut chip, 400_000, &[READ | 2, 0x40]), [], "no such register");
}

#[test]
fn power_against_the_arrow_counts_up_or_down_as_mode_says() {
    let mut chip = chip().with_reversed_wiring();
    chip.set_cf_cnt(0x00FF_FFFF);
    chip.set_flow(0, TEN_AMPERES);
    chip.advance(3_600_000_000);
    assert_eq!((chip.counts().watt, chip.counts().cf_cnt), (-1_433_806, 12_305));
    write(&mut chip, 3_600_000_000, register::USR_WRPROT, 0x55);
    write(&mut chip, 3_600_100_000, register::MODE, 0x07);
    chip.advance(7_200_000_000);
    assert!(chip.counts().cf_cnt <= 1, "{}", chip.counts().cf_cnt);
}

#[test]
fn a_current_beyond_full_scale_is_clipped() {
    let mut chip = chip();
    chip.set_flow(0, Flow { voltage_v: 230.0, current_a: 160.0, power_w: 36_800.0 });
    chip.advance(400_000);
    let reading = Calibration::bl0942(FrontEnd::TYPICAL).reading(&chip.counts(), 0);
    assert_eq!((reading.current_ma, reading.power_factor_permille()), (29_700, 1000));
}

#[test]
fn less_than_the_creep_threshold_is_no_power() {
    let mut chip = chip();
    for (watt, counts) in [(0.21, 0), (0.22, 137)] {
        chip.set_flow(chip.now_us, Flow { voltage_v: 230.0, current_a: 0.01, power_w: watt });
        chip.advance(chip.now_us + 800_000);
        assert_eq!(chip.counts().watt, counts, "{watt} W");
    }
}

/// A reading with the time at which it was complete, in µs.
type Timed = (u64, Result<Reading, metering::Error<core::convert::Infallible>>);

/// A circuit with a driver that reads it ten times a second.
struct Bench {
    sim: Sim,
    circuit: SharedCircuit,
    readings: Rc<RefCell<Vec<Timed>>>,
}

impl Bench {
    fn new(meter: Bl0942, line: LineFrequency) -> Self {
        let sim = Sim::new();
        let circuit = SharedCircuit::new(&sim, MeteredCircuit::new(Circuit::new(230.0), meter));
        let calibration = Calibration::bl0942(FrontEnd::TYPICAL);
        let mut driver = metering::Bl0942::new(circuit.serial(), VirtualDelay::new(&sim), calibration);
        driver.set_line_frequency(line);
        let readings = Rc::<RefCell<Vec<_>>>::default();
        let (readings2, sim2) = (readings.clone(), sim.clone());
        sim.spawn(async move {
            let mut due_us = 0;
            loop {
                let result = driver.read().await;
                readings2.borrow_mut().push((sim2.now_us(), result));
                due_us = (due_us + 100_000).max(sim2.now_us());
                sim2.sleep_until_us(due_us).await;
            }
        });
        Self { sim, circuit, readings }
    }

    fn plug_in_and_switch_on(&self, watt: f64) {
        self.circuit.change(|now_us, circuit| {
            circuit.set_load(now_us, Load::resistive(watt));
            circuit.drive_relay(now_us, true);
        });
    }

    /// Runs for a time and gives what was read in it.
    fn run(&self, duration_us: u64) -> Vec<Timed> {
        self.sim.run_until_us(self.sim.now_us() + duration_us);
        self.readings.take()
    }

    fn energy_uwh(&self, duration_us: u64) -> u64 {
        let energy = |(_, result): (u64, Result<Reading, _>)| {
            result.map_or(0, |reading| u64::from(reading.energy_uwh))
        };
        self.run(duration_us).into_iter().map(energy).sum()
    }
}

#[test]
fn the_driver_reads_the_model_ten_times_a_second_at_any_baud_rate() {
    for baud_pin in [BaudPin::Low, BaudPin::High] {
        let bench = Bench::new(Bl0942::new(FrontEnd::TYPICAL, baud_pin), LineFrequency::Hz50);
        bench.plug_in_and_switch_on(2300.0);
        bench.run(2_000_000);
        let readings = bench.run(1_000_000);
        assert_eq!(readings.len(), 10);
        for (at_us, reading) in readings {
            let reading = reading.unwrap();
            let Reading { voltage_mv, current_ma, power_mw, fast_current_ma, .. } = reading;
            assert_eq!((voltage_mv, current_ma, power_mw), (230_000, 10_000, 2_300_000), "at {at_us} µs");
            assert_eq!((fast_current_ma, reading.power_factor_permille()), (10_000, 1000));
        }
    }
}

#[test]
fn an_hour_of_2300_w_is_2300_wh() {
    for meter in [chip(), chip().with_reversed_wiring()] {
        let bench = Bench::new(meter, LineFrequency::Hz60);
        bench.plug_in_and_switch_on(2300.0);
        bench.energy_uwh(1_000_000);
        let energy_uwh = bench.energy_uwh(3_600_000_000);
        assert!(energy_uwh.abs_diff(2_300_000_000) < 200_000, "{energy_uwh}");
    }
}

#[test]
fn no_fault_of_the_line_loses_or_invents_energy() {
    for (fault, error) in [
        (Fault::Silence, Some(Error::TimeOut)),
        (Fault::Truncated(22), Some(Error::TimeOut)),
        (Fault::BadChecksum, Some(Error::Checksum)),
        (Fault::Garbage(7), None),
        (Fault::Garbage(32), None),
    ] {
        let bench = Bench::new(chip(), LineFrequency::Hz50);
        bench.plug_in_and_switch_on(2300.0);
        let mut energy_uwh = bench.energy_uwh(60_000_000);
        bench.circuit.with_meter(|_, meter| meter.inject(fault, 5));
        let readings = bench.run(60_000_000);
        let failed: Vec<_> = readings.iter().filter_map(|(_, result)| result.err()).collect();
        assert!(failed.iter().all(|&failed| Some(failed) == error), "{fault:?}: {failed:?}");
        assert_eq!(failed.len(), if error.is_some() { 5 } else { 0 }, "{fault:?}");
        let good = readings.iter().filter_map(|(_, result)| result.ok());
        energy_uwh += good.map(|reading| u64::from(reading.energy_uwh)).sum::<u64>();
        assert!(energy_uwh.abs_diff(76_666_667) < 400_000, "{fault:?}: {energy_uwh}");
    }
}

#[test]
fn a_reset_of_the_chip_loses_little_energy_and_invents_none() {
    let bench = Bench::new(chip(), LineFrequency::Hz60);
    bench.plug_in_and_switch_on(2300.0);
    let mut energy_uwh = bench.energy_uwh(60_000_000);
    bench.circuit.with_meter(|now_us, meter| meter.reset(now_us));
    energy_uwh += bench.energy_uwh(60_000_000);
    assert!((76_000_000..=76_700_000).contains(&energy_uwh), "{energy_uwh}");
    // It is set up again: 60 Hz.
    assert_eq!(bench.circuit.with_meter(|_, meter| meter.register(register::MODE)), Some(0xA7));
}

#[test]
fn the_pulse_counters_wrap_is_not_seen_in_the_energy() {
    let mut meter = chip();
    meter.set_cf_cnt(0x00FF_FFF0);
    let bench = Bench::new(meter, LineFrequency::Hz50);
    bench.plug_in_and_switch_on(2300.0);
    let energy_uwh = bench.energy_uwh(60_000_000);
    assert!(energy_uwh.abs_diff(38_333_333) < 400_000, "{energy_uwh}");
}

/// Feeds what the driver reads into the trip curve of a socket; tells time and trip, if there is one.
fn trip(bench: &Bench, rated_a: u8, duration_us: u64) -> Option<(u64, metering::Trip)> {
    let mut curve = TripCurve::new(rated_a);
    curve.set_protection(Some(rated_a));
    bench.run(duration_us).into_iter().find_map(|(at_us, reading)| {
        let verdict = curve.sample(at_us / 1000, reading.unwrap().fast_current_ma);
        verdict.trip.map(|trip| (at_us, trip))
    })
}

#[test]
fn a_switch_on_current_of_ten_times_for_100_ms_does_not_trip_at_any_phase() {
    for (baud_pin, offset_ms) in [BaudPin::Low, BaudPin::High]
        .into_iter()
        .flat_map(|baud_pin| (0..100).step_by(7).map(move |offset_ms| (baud_pin, offset_ms)))
    {
        let bench = Bench::new(Bl0942::new(FrontEnd::TYPICAL, baud_pin), LineFrequency::Hz50);
        bench.run(1_000_000 + offset_ms * 1000);
        bench.circuit.change(|_, circuit| {
            circuit.set_next_inrush(Inrush { factor: 10.0, duration_us: 100_000 });
        });
        bench.plug_in_and_switch_on(2290.0);
        assert_eq!(trip(&bench, 10, 5_000_000), None, "{baud_pin:?}, {offset_ms} ms");
    }
}

#[test]
fn an_overload_trips_in_time_at_any_phase() {
    for (watt, cause, current_ma, soonest_ms, latest_ms) in [
        // Issue 2: 2600 W on a model AU.
        (2600.0, Cause::Protection, 11_304, 1000, 1250),
        (3000.0, Cause::HardLimit, 13_043, 200, 450),
        (6000.0, Cause::HardLimit, 26_087, 200, 450),
    ] {
        for offset_ms in (0..100).step_by(7) {
            let bench = Bench::new(Bl0942::new(FrontEnd::TYPICAL, BaudPin::High), LineFrequency::Hz50);
            bench.run(1_000_000 + offset_ms * 1000);
            bench.plug_in_and_switch_on(watt);
            let begins_us = bench.sim.now_us() + Circuit::CONTACT_US;
            let (at_us, trip) = trip(&bench, 10, 3_000_000).expect("it trips");
            assert_eq!(trip.cause, cause);
            assert!(trip.current_ma.abs_diff(current_ma) <= 2, "{trip:?}");
            let after_ms = (at_us - begins_us) / 1000;
            assert!((soonest_ms..=latest_ms).contains(&after_ms), "{watt} W: after {after_ms} ms");
        }
    }
}

#[test]
fn garbage_before_every_answer_hinders_neither_the_set_up_nor_a_reading() {
    for baud_pin in [BaudPin::Low, BaudPin::High] {
        for count in 0..=Fault::MAX_GARBAGE {
            let bench = Bench::new(Bl0942::new(FrontEnd::TYPICAL, baud_pin), LineFrequency::Hz50);
            bench.plug_in_and_switch_on(2300.0);
            bench.circuit.with_meter(|_, meter| meter.inject(Fault::Garbage(count), u32::MAX));
            bench.run(2_000_000);
            let readings = bench.run(2_000_000);
            assert!(readings.len() >= 10, "{baud_pin:?}, {count}: {}", readings.len());
            for (at_us, reading) in readings {
                let current_ma = reading.map(|reading| reading.fast_current_ma);
                assert_eq!(current_ma, Ok(10_000), "{baud_pin:?}, {count} bytes, at {at_us} µs");
            }
        }
    }
}
