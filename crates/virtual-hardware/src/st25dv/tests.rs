use std::cell::RefCell;
use std::rc::Rc;

use embedded_hal_async::i2c::I2c;

use super::*;
use crate::sim::Sim;

/// Lets a future live to its end, in virtual time.
fn run<T: 'static>(sim: &Sim, future: impl Future<Output = T> + 'static) -> T {
    let result = Rc::new(RefCell::new(None));
    let place = result.clone();
    sim.spawn(async move {
        let value = future.await;
        *place.borrow_mut() = Some(value);
    });
    sim.run_until_us(sim.now_us() + 100_000_000);
    result.take().expect("it ends within 100 s")
}

fn tag(bytes: usize) -> (Sim, SharedTag) {
    let sim = Sim::new();
    let tag = SharedTag::new(&sim, St25dv::new(bytes));
    (sim, tag)
}

/// Writes a container, so that a phone takes the tag for one.
fn format(sim: &Sim, tag: &SharedTag, container: &'static [u8]) {
    let mut bus = tag.i2c();
    let bytes = [&[0, 0], container, &[3, 0, 0xfe]].concat();
    run(sim, async move { bus.write(0x53, &bytes).await.unwrap() });
}

#[test]
fn what_is_written_by_i2c_is_there_after_5_ms_a_row_and_no_answer_comes_before() {
    let (sim, tag) = tag(512);
    let mut bus = tag.i2c();
    let clock = sim.clone();
    let times = run(&sim, async move {
        bus.write(0x53, &[0, 2, 1, 2, 3, 4, 5, 6, 7]).await.unwrap();
        let written_us = clock.now_us();
        let mut out = [0; 9];
        while bus.write_read(0x53, &[0, 0], &mut out).await.is_err() {}
        assert_eq!(out, [0, 0, 1, 2, 3, 4, 5, 6, 7]);
        clock.now_us() - written_us
    });
    // Three rows are touched.
    assert!((15_000..15_500).contains(&times), "{times} µs");
    assert_eq!(tag.with(|_, chip| chip.rows_written()), 3);
}

#[test]
fn system_registers_need_the_password_and_the_password_can_be_changed() {
    let (sim, tag) = tag(8192);
    let password = |password: [u8; 8], what: u8| [&[9, 0], &password[..], &[what], &password].concat();
    let mut bus = tag.i2c();
    let clock = sim.clone();
    let gpo = run(&sim, async move {
        let mut seen = Vec::new();
        for (present, change) in [([1; 8], None), ([0; 8], Some([2; 8])), ([0; 8], None), ([2; 8], None)] {
            bus.write(0x57, &password(present, 9)).await.unwrap();
            if let Some(new) = change {
                bus.write(0x57, &password(new, 7)).await.unwrap();
                clock.sleep_us(6_000).await;
            }
            bus.write(0x57, &[0, 0, present[0]]).await.unwrap();
            clock.sleep_us(6_000).await;
            let (mut value, mut session) = ([0], [0]);
            bus.write_read(0x57, &[0, 0], &mut value).await.unwrap();
            bus.write_read(0x53, &[0x20, 4], &mut session).await.unwrap();
            seen.push((value[0], session[0]));
        }
        let mut size = [0; 2];
        bus.write_read(0x57, &[0, 0x14], &mut size).await.unwrap();
        assert_eq!(size, [0xff, 0x07]);
        seen
    });
    assert_eq!(gpo, [(0x88, 0), (0, 1), (0, 0), (2, 1)]);
}

#[test]
fn a_phone_writes_and_reads_a_message_and_the_chip_tells_of_it() {
    for (bytes, container) in [(512, &[0xe1, 0x40, 0x40, 1][..]), (8192, &[0xe2, 0x40, 0, 1, 0, 0, 3, 0xff])]
    {
        let (sim, tag) = tag(bytes);
        format(&sim, &tag, container);
        for len in [0, 1, 100, 254, 255, 300] {
            let message: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let (phone, wanted) = (Phone::at(&tag), message.clone());
            let read = run(&sim, async move {
                let mut phone = phone;
                phone.write_message(&message).await.unwrap();
                phone.read_message().await.unwrap()
            });
            assert_eq!(read, wanted);
            let mut bus = tag.i2c();
            let status = run(&sim, async move {
                let (mut status, mut again) = ([0], [0]);
                bus.write_read(0x53, &[0x20, 5], &mut status).await.unwrap();
                bus.write_read(0x53, &[0x20, 5], &mut again).await.unwrap();
                (status[0], again[0])
            });
            assert_eq!(status, (0x98, 0), "RF write, field fell, field rose; reading clears");
        }
    }
}

#[test]
fn a_phone_that_leaves_leaves_the_first_bytes_and_no_length() {
    let (sim, tag) = tag(512);
    for cut in 0..40 {
        format(&sim, &tag, &[0xe1, 0x40, 0x40, 1]);
        let before = tag.with(|now_us, chip| chip.memory(now_us).to_vec());
        let mut phone = Phone::at(&tag).leaving(Cut::After(cut));
        let result = run(&sim, async move { phone.write_message(&[0xaa; 28]).await });
        // 8 blocks, and the first one again.
        assert_eq!(result.is_ok(), cut >= 36, "{cut}");
        let after = tag.with(|now_us, chip| chip.memory(now_us).to_vec());
        assert_eq!(after[5] == 28, cut >= 34, "{cut}: the length comes last");
        let reached = after.iter().zip(&before).rposition(|(new, old)| new != old).map_or(0, |last| last + 1);
        assert!(reached <= 4 + cut, "{cut}: {reached}");
    }
}

#[test]
fn each_side_goes_without_an_answer_while_the_other_one_works() {
    let (sim, tag) = tag(512);
    let mut bus = tag.i2c();
    tag.with(|_, chip| chip.set_field(true));
    let shared = tag.clone();
    run(&sim, async move {
        bus.write(0x53, &[0, 0, 1]).await.unwrap();
        assert_eq!(shared.with(|now_us, chip| chip.rf_read(now_us, 0)), Err(RfError::NoAnswer));
        shared.sim.sleep_us(6_000).await;
        assert!(shared.with(|now_us, chip| chip.rf_write(now_us, 1, [1; 4])).is_ok());
        assert!(bus.write(0x53, &[0, 0]).await.is_err());
        shared.sim.sleep_us(8_000).await;
        assert!(bus.write(0x53, &[0, 0]).await.is_ok());
    });
}

#[test]
fn a_power_cut_leaves_a_row_half_programmed_and_those_behind_it_alone() {
    let (sim, tag) = tag(512);
    let mut bus = tag.i2c();
    sim.spawn(async move {
        bus.write(0x53, &[&[0, 0][..], &[0xff; 12]].concat()).await.unwrap();
    });
    sim.run_until_us(7_500);
    tag.with(|now_us, chip| chip.power_cut(now_us));
    sim.run_until_us(100_000);
    assert_eq!(
        tag.with(|now_us, chip| chip.memory(now_us)[..12].to_vec()),
        [0xff, 0xff, 0xff, 0xff, 0x55, 0x55, 0x55, 0x55, 0, 0, 0, 0]
    );
}

#[test]
fn a_locked_configuration_is_closed_to_phones() {
    let mut chip = St25dv::new(512);
    chip.set_field(true);
    assert!(chip.rf_write_system(0, 0, 0x81).is_ok());
    chip.system[system::LOCK_CFG] = 1;
    assert_eq!(chip.rf_write_system(100_000, 0, 0x80), Err(RfError::Refused));
    assert_eq!(chip.system_register(0), 0x81);
}

#[test]
fn a_broken_bus_is_an_error_within_its_time() {
    let (sim, tag) = tag(512);
    for (fault, us) in [(BusFault::Stuck, 20_000), (BusFault::Absent, 0)] {
        tag.set_fault(fault);
        let (mut bus, clock) = (tag.i2c(), sim.clone());
        let took_us = run(&sim, async move {
            let begin_us = clock.now_us();
            assert!(bus.write(0x53, &[0, 0]).await.is_err());
            clock.now_us() - begin_us
        });
        assert_eq!(took_us, us, "{fault:?}");
    }
}
