//! The chip by its commands alone.

use proptest::prelude::*;

use super::*;

/// A chip, and a station to talk to it.
struct Bench {
    air: Air,
    chip: Sx126x,
    other: StationId,
    now_us: u64,
}

const FREQ_HZ: u32 = 868_100_000;
/// SF9: a symbol of 4.096 ms.
const DOWN: Modulation = Modulation::downlink(FREQ_HZ, 9, 125_000);
const SYMBOL_US: u64 = 4096;

impl Bench {
    fn new(tcxo_fitted: bool) -> Self {
        let mut air = Air::new(1);
        let other = air.add_station();
        let chip = Sx126x::new(0, air.add_station(), tcxo_fitted);
        Self { air, chip, other, now_us: 10_000 }
    }

    /// One that is set for LoRa at SF9, with IQ inverted, the public sync word, and every interrupt on DIO1.
    fn receiver() -> Self {
        let mut bench = Self::new(false);
        bench.set_up(1);
        bench
    }

    fn set_up(&mut self, iq: u8) {
        let steps = (((u64::from(FREQ_HZ) << 25) + 16_000_000) / 32_000_000) as u32;
        let [a, b, c, d] = steps.to_be_bytes();
        self.write(&[0x8A, 1]);
        self.write(&[0x86, a, b, c, d]);
        self.write(&[0x8B, 9, 4, 1, 0]);
        self.write(&[0x8C, 0, 8, 0, 16, u8::from(iq == 0), iq]);
        self.write(&[0x0D, 0x07, 0x40, 0x34, 0x44]);
        self.write(&[0x95, 2, 2, 0, 1]);
        self.write(&[0x8E, 22, 4]);
        self.write(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
        self.write(&[0x9F, 1]);
    }

    fn write(&mut self, command: &[u8]) {
        self.command::<0>(command, 0);
    }

    fn command<const N: usize>(&mut self, command: &[u8], skip: usize) -> [u8; N] {
        self.chip.select(self.now_us);
        for byte in command {
            self.chip.exchange(self.now_us, *byte, &self.air);
        }
        for _ in 0..skip {
            self.chip.exchange(self.now_us, 0, &self.air);
        }
        let answer = [0; N].map(|_: u8| self.chip.exchange(self.now_us, 0, &self.air));
        self.chip.deselect(self.now_us, &mut self.air);
        answer
    }

    fn irq(&mut self) -> u16 {
        u16::from_be_bytes(self.command(&[0x12], 1))
    }

    fn run_to(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.chip.advance(now_us, &mut self.air);
    }

    /// Lets the other station send; the chip is told, as a medium would.
    fn send(&mut self, at_us: u64, modulation: Modulation, payload: &[u8]) -> crate::air::Transmission {
        self.run_to(at_us);
        let sent = self.air.transmit(at_us, self.other, modulation, 14, payload);
        for station in self.air.take_woken() {
            assert_eq!(station, self.chip.station());
            self.chip.frame_begun(at_us, &self.air);
        }
        sent
    }

    /// Runs to the chip's next event and gives its instant and the interrupts, which it clears.
    fn next(&mut self) -> Option<(u64, u16)> {
        let at_us = self.chip.next_event_us()?;
        self.run_to(at_us);
        let irq = self.irq();
        assert_eq!(self.chip.dio1(), irq != 0);
        self.write(&[0x02, 0xFF, 0xFF]);
        assert!(!self.chip.dio1());
        Some((at_us, irq))
    }
}

const SINGLE: &[u8] = &[0x82, 0, 0, 0];
const CONTINUOUS: &[u8] = &[0x82, 0xFF, 0xFF, 0xFF];

#[test]
fn the_interrupts_of_a_receive_come_at_their_instants() {
    let mut bench = Bench::receiver();
    bench.write(CONTINUOUS);
    assert_eq!(bench.chip.next_event_us(), None, "an idle receiver waits for nothing");
    let sent = bench.send(50_000, DOWN, b"payload");
    assert_eq!(bench.next(), Some((50_000 + 5 * SYMBOL_US, irq::PREAMBLE_DETECTED)));
    assert_eq!(bench.next(), Some((50_000 + 81 * SYMBOL_US / 4, irq::HEADER_VALID)));
    assert_eq!(bench.next(), Some((sent.end_us, irq::RX_DONE)));
    assert_eq!(bench.next(), None);
    assert_eq!(bench.chip.mode(), Mode::Rx, "a continuous receive goes on");
    assert_eq!(bench.command(&[0x13], 1), [7, 0]);
    assert_eq!(&bench.command::<7>(&[0x1E, 0], 1), b"payload");
    // 14 dBm less 110 dB; the SNR is cut off at 12 dB.
    assert_eq!(bench.command(&[0x14], 1), [192, 48, 192]);
}

#[test]
fn a_continuous_receive_stores_one_frame_behind_the_other() {
    let mut bench = Bench::receiver();
    bench.write(CONTINUOUS);
    let first = bench.send(50_000, DOWN, &[1; 200]);
    let second = bench.send(first.end_us + 2000, DOWN, &[2; 100]);
    bench.run_to(second.end_us);
    assert_eq!(bench.command(&[0x13], 1), [100, 200]);
    // The buffer is a ring of 256 bytes.
    assert_eq!(bench.command::<100>(&[0x1E, 200], 1), [2; 100]);
    assert_eq!(bench.command(&[0x1E, 43], 1), [2, 1]);
    assert_eq!(bench.command(&[0x10], 1), [0, 2, 0, 0, 0, 0], "statistics count them");
}

#[test]
fn a_single_receive_without_a_frame_times_out_after_its_symbols() {
    for (symbols, value, register) in [(12, 12, 6 << 3), (248, 248, (31 << 3) | 1)] {
        let mut bench = Bench::receiver();
        bench.write(&[0xA0, value]);
        bench.write(&[0x0D, 0x07, 0x06, register]);
        bench.write(SINGLE);
        let open_us = bench.now_us + STANDBY_TO_RX_US;
        assert_eq!(bench.next(), Some((open_us + symbols * SYMBOL_US, irq::TIMEOUT)));
        assert_eq!(bench.chip.mode(), Mode::StandbyRc);
    }
}

#[test]
fn a_timer_of_a_receive_counts_steps_of_15_625_microseconds() {
    let mut bench = Bench::receiver();
    bench.write(&[0x82, 0, 0x06, 0x40]);
    let open_us = bench.now_us + STANDBY_TO_RX_US;
    assert_eq!(bench.next(), Some((open_us + 25_000, irq::TIMEOUT)));
}

#[test]
fn a_preamble_stops_the_timer_only_if_told_to() {
    for (stops, ends_with) in [(1, irq::RX_DONE), (0, irq::TIMEOUT)] {
        let mut bench = Bench::receiver();
        bench.write(&[0x9F, stops]);
        // 100 ms: the frame's preamble is found in time, its header is not over.
        bench.write(&[0x82, 0, 0x19, 0]);
        bench.send(bench.now_us + 60_000, DOWN, b"late");
        let mut last = 0;
        while let Some((_, irq)) = bench.next() {
            last = irq;
        }
        assert_eq!(last, ends_with, "StopTimerOnPreamble {stops}");
    }
}

#[test]
fn only_what_matches_is_heard() {
    let others = [
        Modulation { freq_hz: FREQ_HZ + 200_000, ..DOWN },
        Modulation { sf: 10, ..DOWN },
        Modulation { bw_hz: 250_000, ..DOWN },
        Modulation { iq_inverted: false, ..DOWN },
        Modulation { sync_word: 0x1424, ..DOWN },
        Modulation { preamble: 4, ..DOWN },
    ];
    for other in others {
        let mut bench = Bench::receiver();
        bench.write(CONTINUOUS);
        bench.send(50_000, other, b"not heard");
        let heard = bench.next();
        let wanted = if other.preamble == 4 { heard.is_some() } else { heard.is_none() };
        assert!(wanted, "{other:?}: {heard:?}");
    }
}

#[test]
fn five_symbols_of_preamble_are_enough() {
    // Preamble and sync word are 12.25 symbols.
    for (quarters_late, heard) in [(28, true), (30, false)] {
        let mut bench = Bench::receiver();
        bench.send(50_000, DOWN, b"frame");
        bench.run_to(50_000 + quarters_late * SYMBOL_US / 4);
        bench.write(CONTINUOUS);
        assert_eq!(bench.next().is_some(), heard, "{quarters_late} quarters of a symbol late");
    }
}

#[test]
fn a_frame_is_lost_when_the_chip_leaves_the_receive() {
    let mut bench = Bench::receiver();
    bench.write(CONTINUOUS);
    let sent = bench.send(50_000, DOWN, b"lost");
    bench.run_to(sent.end_us - 1);
    bench.write(&[0x80, 0]);
    bench.write(&[0x02, 0xFF, 0xFF]);
    bench.write(CONTINUOUS);
    assert_eq!(bench.next(), None);
}

#[test]
fn a_stronger_frame_takes_the_receiver_over_until_a_header_is_in() {
    for (later_symbols, payload) in [(10, *b"near"), (25, [b'f' ^ 0x5A; 4])] {
        let mut bench = Bench::receiver();
        let near = bench.air.add_station();
        bench.air.set_path_loss_db(near, bench.chip.station(), 90);
        bench.write(CONTINUOUS);
        let far = bench.send(50_000, DOWN, &[b'f'; 60]);
        let at_us = 50_000 + later_symbols * SYMBOL_US;
        bench.run_to(at_us);
        let strong = bench.air.transmit(at_us, near, DOWN, 14, b"near");
        bench.chip.frame_begun(at_us, &bench.air);
        bench.run_to(strong.end_us.max(far.end_us));
        let [_, start] = bench.command(&[0x13], 1);
        assert_eq!(bench.command(&[0x1E, start], 1), payload, "{later_symbols} symbols later");
    }
}

#[test]
fn a_transmission_takes_its_time_on_air_at_its_power() {
    let mut bench = Bench::new(false);
    bench.set_up(0);
    bench.write(&[0x0E, 0, 0xA0, 0xA1, 0xA2]);
    bench.write(&[0x83, 0, 0, 0]);
    let begun_us = bench.now_us + STANDBY_TO_TX_US;
    assert_eq!(bench.chip.busy_until_us(), Some(begun_us));
    let up = Modulation::uplink(FREQ_HZ, 9, 125_000);
    let sent = bench.air.transmission(crate::air::TransmissionId(0)).expect("on the air").clone();
    assert_eq!((sent.modulation, sent.start_us, sent.power_dbm), (up, begun_us, 14));
    assert_eq!((sent.payload.len(), &sent.payload[..3]), (16, &[0xA0, 0xA1, 0xA2][..]));
    bench.now_us = begun_us;
    assert_eq!(bench.next(), Some((begun_us + up.airtime_us(16), irq::TX_DONE)));
    assert_eq!(bench.chip.mode(), Mode::StandbyRc);
}

#[test]
fn standby_cuts_a_transmission() {
    let mut bench = Bench::new(false);
    bench.set_up(0);
    bench.write(&[0x83, 0, 0, 0]);
    bench.run_to(60_000);
    bench.write(&[0x80, 0]);
    let sent = bench.air.transmission(crate::air::TransmissionId(0)).expect("on the air");
    assert_eq!(sent.cut_us, Some(60_000));
    assert_eq!(bench.chip.next_event_us(), None);
}

#[test]
fn a_carrier_lasts_until_standby_and_tells_nothing() {
    let mut bench = Bench::new(false);
    bench.set_up(0);
    bench.write(&[0xD1]);
    assert_eq!((bench.chip.mode(), bench.chip.next_event_us()), (Mode::Carrier, None));
    assert_eq!((bench.chip.frequency_hz(), bench.chip.output_power_dbm()), (FREQ_HZ, 14));
    bench.run_to(60_000_000);
    assert_eq!(bench.chip.mode(), Mode::Carrier);
    bench.write(&[0x80, 0]);
    assert_eq!(bench.chip.mode(), Mode::StandbyRc);
    assert!(bench.air.transmission(crate::air::TransmissionId(0)).is_none(), "no frame");
}

#[test]
fn output_power_follows_the_amplifiers_table() {
    // Duty cycle, hp_max, device, SetTxParams, and the power in dBm (data sheet table 13-21).
    let table = [
        ([4, 7, 0, 1], 22, 22),
        ([3, 5, 0, 1], 22, 20),
        ([2, 3, 0, 1], 22, 17),
        ([2, 2, 0, 1], 22, 14),
        ([2, 2, 0, 1], 0x08, 0),
        ([2, 2, 0, 1], 0xFF, -9),
        ([6, 0, 1, 1], 14, 15),
        ([4, 0, 1, 1], 14, 14),
        ([1, 0, 1, 1], 13, 10),
    ];
    for (pa, power, dbm) in table {
        let mut bench = Bench::new(false);
        bench.write(&[0x95, pa[0], pa[1], pa[2], pa[3]]);
        bench.write(&[0x8E, power, 0]);
        assert_eq!(bench.chip.output_power_dbm(), dbm, "{pa:?} {power}");
    }
}

#[test]
fn a_tcxo_must_be_told_of_and_starts_before_each_receive() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.command(&[0x17], 1), [0, 0x20], "XOSC_START_ERR after power-on");
    bench.set_up(1);
    bench.write(CONTINUOUS);
    assert_eq!(bench.chip.mode(), Mode::StandbyRc, "no clock, no receive");
    bench.write(&[0x07, 0, 0]);
    bench.write(&[0x97, 1, 0, 2, 0x80]);
    bench.write(&[0x89, 0x7F]);
    let calibrated_us = bench.chip.busy_until_us().expect("not stuck");
    assert_eq!(calibrated_us, bench.now_us + 10_000 + CALIBRATION_US);
    bench.run_to(calibrated_us);
    assert_eq!(bench.command(&[0x17], 1), [0, 0]);
    bench.write(CONTINUOUS);
    assert_eq!(bench.chip.mode(), Mode::Rx);
    assert_eq!(bench.chip.busy_until_us(), Some(bench.now_us + 10_000 + STANDBY_TO_RX_US));
}

#[test]
fn standby_with_a_running_tcxo_takes_its_start_once_and_a_receive_none() {
    let mut bench = Bench::new(true);
    bench.write(&[0x80, 1]);
    assert_eq!(bench.chip.mode(), Mode::StandbyRc, "a TCXO that the chip was not told of");
    bench.write(&[0x97, 1, 0, 2, 0x80]);
    bench.set_up(1);
    bench.write(&[0x80, 1]);
    assert_eq!(
        (bench.chip.mode(), bench.chip.busy_until_us()),
        (Mode::StandbyXosc, Some(bench.now_us + 10_000))
    );
    bench.run_to(bench.now_us + 20_000);
    for _ in 0..2 {
        bench.write(CONTINUOUS);
        assert_eq!(bench.chip.busy_until_us(), Some(bench.now_us + STANDBY_TO_RX_US));
        bench.run_to(bench.now_us + 1_000);
        bench.write(&[0x80, 1]);
        assert!(bench.chip.busy_until_us().is_some_and(|until_us| until_us <= bench.now_us), "it runs on");
    }
}

#[test]
fn a_busy_chip_hears_no_command() {
    let mut bench = Bench::receiver();
    bench.write(&[0x98, 0xD7, 0xDB]);
    bench.write(&[0x0D, 0x07, 0x40, 0x12, 0x34]);
    bench.run_to(bench.now_us + IMAGE_CALIBRATION_US);
    assert_eq!(bench.command(&[0x1D, 0x07, 0x40], 1), [0x34, 0x44]);
    bench.write(&[0x0D, 0x07, 0x40, 0x12, 0x34]);
    assert_eq!(bench.command(&[0x1D, 0x07, 0x40], 1), [0x12, 0x34]);
}

#[test]
fn sleep_keeps_registers_only_when_warm_and_chip_select_wakes() {
    for (config, kept, start_us) in [(4, [0x34, 0x44], WARM_START_US), (0, [0x14, 0x24], COLD_START_US)] {
        let mut bench = Bench::receiver();
        bench.write(&[0x84, config]);
        assert_eq!(bench.chip.mode(), Mode::Sleep { warm: config == 4 });
        bench.write(&[0xC0, 0]);
        assert_eq!(bench.chip.mode(), Mode::StandbyRc);
        assert_eq!(bench.chip.busy_until_us(), Some(bench.now_us + start_us));
        bench.run_to(bench.now_us + start_us);
        assert_eq!(bench.command(&[0x1D, 0x07, 0x40], 1), kept);
    }
}

#[test]
fn interrupts_outside_the_mask_are_not_seen() {
    let mut bench = Bench::receiver();
    // All enabled but PreambleDetected; only RxDone on DIO1.
    bench.write(&[0x08, 0xFF, 0xFB, 0, 2, 0, 0, 0, 0]);
    bench.write(CONTINUOUS);
    let sent = bench.send(50_000, DOWN, b"payload");
    bench.run_to(sent.end_us - 1);
    assert_eq!((bench.irq(), bench.chip.dio1()), (irq::HEADER_VALID, false));
    bench.run_to(sent.end_us);
    assert_eq!((bench.irq(), bench.chip.dio1()), (irq::HEADER_VALID | irq::RX_DONE, true));
}

#[test]
fn rssi_and_channel_activity_show_what_is_on_the_air() {
    for (sending, rssi, flags) in
        [(false, 234, irq::CAD_DONE), (true, 192, irq::CAD_DONE | irq::CAD_DETECTED)]
    {
        let mut bench = Bench::receiver();
        if sending {
            bench.send(20_000, DOWN, &[0; 200]);
        }
        bench.run_to(30_000);
        assert_eq!(bench.command(&[0x15], 1), [rssi]);
        bench.write(&[0xC5]);
        assert_eq!(bench.next().map(|(_, irq)| irq), Some(flags));
    }
}

#[test]
fn a_spoiled_header_leaves_a_single_receive_waiting_for_ever() {
    let mut bench = Bench::receiver();
    bench.chip.inject(Fault::HeaderError);
    bench.write(SINGLE);
    bench.send(50_000, DOWN, b"spoiled");
    assert_eq!(bench.next().map(|(_, irq)| irq), Some(irq::PREAMBLE_DETECTED));
    assert_eq!(bench.next().map(|(_, irq)| irq), Some(irq::HEADER_ERR));
    bench.send(1_000_000, DOWN, b"fine");
    assert_eq!((bench.next(), bench.chip.mode()), (None, Mode::Rx));
}

proptest! {
    #[test]
    fn no_command_breaks_the_chip(commands in prop::collection::vec(
        (prop::collection::vec(any::<u8>(), 0..12), 0u64..50_000, any::<bool>()), 0..60,
    )) {
        let mut bench = Bench::receiver();
        for (command, later_us, send) in commands {
            bench.write(&command);
            let now_us = bench.now_us + later_us;
            if send {
                bench.send(now_us, DOWN, &command);
            }
            bench.run_to(now_us);
            if let Some(at_us) = bench.chip.next_event_us() {
                prop_assert!(at_us > now_us, "nothing that was due is left");
            }
        }
    }
}
