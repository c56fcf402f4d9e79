//! Our commands against those of lora-phy, byte by byte: its errata work is ours as long as they are the same.

extern crate std;

use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::vec::Vec;

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{ErrorType, Operation, SpiDevice};
use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use lora_phy::RxMode as ChipRxMode;
use lora_phy::mod_params::{RadioError, RadioMode};
use lora_phy::mod_traits::{InterfaceVariant, RadioKind};
use lora_phy::sx126x::{Config, Stm32wl, Sx126x, Sx126xVariant, Sx1261, Sx1262, TcxoCtrlVoltage};
use lorawan_device::async_device::radio::{RfConfig, RxMode};

use crate::bus::Bus;
use crate::chip::{OF_TRANSMIT, Program, RX_DONE, dbm, decibels, image_band, is_failure};
use crate::power::Amplifier;

/// A bus that notes what goes over it, and on which every byte that is read is this one.
#[derive(Default)]
struct Recorder {
    reads_as: u8,
    /// A transaction each; a byte that is read counts as a zero.
    sent: Vec<Vec<u8>>,
}

impl ErrorType for &mut Recorder {
    type Error = Infallible;
}

impl SpiDevice<u8> for &mut Recorder {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        let mut sent = Vec::new();
        for operation in operations {
            match operation {
                Operation::Write(bytes) => sent.extend_from_slice(bytes),
                Operation::Read(bytes) => {
                    bytes.fill(self.reads_as);
                    sent.resize(sent.len() + bytes.len(), 0);
                }
                _ => panic!("neither of the two does {operation:?}"),
            }
        }
        self.sent.push(sent);
        Ok(())
    }
}

struct Lines;

impl InterfaceVariant for Lines {
    async fn reset(&mut self, _: &mut impl DelayNs) -> Result<(), RadioError> {
        Ok(())
    }
    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn await_irq(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        Ok(())
    }
}

struct NoDelay;

impl DelayNs for NoDelay {
    async fn delay_ns(&mut self, _: u32) {}
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn config<C: Sx126xVariant>(chip: C) -> Config<C> {
    Config { chip, tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V7), use_dcdc: true, rx_boost: true }
}

/// What a program of ours sends.
fn ours(reads_as: u8, payload: &[u8], write: impl FnOnce(&mut Program)) -> Vec<Vec<u8>> {
    let mut spi = Recorder { reads_as, ..Recorder::default() };
    let mut program = Program::new();
    write(&mut program);
    let mut bus = Bus { spi: &mut spi, lines: Lines, delay: NoDelay };
    now(bus.perform(&program, payload, &mut [], &mut [0; 4])).expect("nothing fails");
    spi.sent
}

/// What lora-phy sends for a chip.
fn theirs<C: Sx126xVariant>(
    reads_as: u8,
    config: Config<C>,
    act: impl AsyncFnOnce(&mut Sx126x<&mut Recorder, Lines, C>) -> Result<(), RadioError>,
) -> Vec<Vec<u8>> {
    let mut spi = Recorder { reads_as, ..Recorder::default() };
    let mut kind = Sx126x::new(&mut spi, Lines, config);
    now(act(&mut kind)).expect("nothing fails");
    spi.sent
}

/// The edges of the bands, and frequencies that do not divide.
const FREQUENCIES_HZ: [u32; 14] = [
    424_999_999,
    425_000_000,
    425_000_001,
    433_175_000,
    460_000_001,
    470_300_000,
    779_500_000,
    850_000_001,
    868_100_000,
    869_525_000,
    900_000_000,
    900_000_001,
    915_200_000,
    927_987_654,
];
const FACTORS: [SpreadingFactor; 8] = [
    SpreadingFactor::_5,
    SpreadingFactor::_6,
    SpreadingFactor::_7,
    SpreadingFactor::_8,
    SpreadingFactor::_9,
    SpreadingFactor::_10,
    SpreadingFactor::_11,
    SpreadingFactor::_12,
];
const BANDWIDTHS: [Bandwidth; 3] = [Bandwidth::_125KHz, Bandwidth::_250KHz, Bandwidth::_500KHz];
const RATES: [CodingRate; 4] = [CodingRate::_4_5, CodingRate::_4_6, CodingRate::_4_7, CodingRate::_4_8];

#[test]
fn a_chip_is_initialised_as_by_lora_phy() {
    fn check<C: Sx126xVariant>(make: impl Fn() -> Config<C>) {
        let mut ours = ours(0, &[], |program| program.initialise(&make()));
        // lora-phy lets the clock stop after a transmission.
        assert_eq!(ours.iter().filter(|sent| ***sent == [0x93, 0x30]).count(), 1);
        ours.retain(|sent| **sent != [0x93, 0x30]);
        let mut theirs = theirs(0, make(), async |kind| {
            kind.set_standby().await?;
            kind.init_lora(true).await
        });
        // The registers that survive sleep: this radio never sleeps.
        theirs.retain(|sent| !matches!(**sent, [0x0D | 0x1D, 0x02, 0x9F, ..]));
        assert_eq!(ours, theirs);
    }
    check(|| config(Sx1262));
    check(|| config(Sx1261));
    check(|| config(Stm32wl { use_high_power_pa: true }));
    check(|| Config { tcxo_ctrl: None, use_dcdc: false, ..config(Sx1262) });
    check(|| Config {
        tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl3V3),
        ..config(Stm32wl { use_high_power_pa: false })
    });
}

/// Compares a transmission, or without a power a receive up to SetRx.
fn check_tune(reads_as: u8, rf: RfConfig, wish_dbm: Option<i32>, amplifier: Amplifier) {
    let power_dbm = wish_dbm.map(|wish_dbm| amplifier.clamp_dbm(wish_dbm));
    let sends = power_dbm.is_some();
    let payload = if sends { &b"payload"[..] } else { &[] };
    let len = if sends { 7 } else { 255 };
    let ours = ours(reads_as, payload, |program| {
        program.calibrate_image(image_band(rf.frequency));
        program.tune(rf, len, power_dbm, amplifier).expect("a bandwidth of LoRaWAN");
        if sends {
            program.payload();
        }
        program.interrupts(if sends { OF_TRANSMIT } else { u16::MAX });
        if sends {
            program.send();
        }
    });
    let chip = Stm32wl { use_high_power_pa: amplifier == Amplifier::High };
    let theirs = theirs(reads_as, config(chip), async |kind| {
        let modulation = kind.create_modulation_params(rf.bb.sf, rf.bb.bw, rf.bb.cr, rf.frequency)?;
        let packet = kind.create_packet_params(8, false, len, sends, !sends, &modulation)?;
        kind.calibrate_image(rf.frequency).await?;
        kind.set_modulation_params(&modulation).await?;
        if let Some(power_dbm) = power_dbm {
            kind.set_tx_power_and_ramp_time(power_dbm, Some(&modulation), true).await?;
        }
        kind.set_packet_params(&packet).await?;
        kind.set_channel(rf.frequency).await?;
        if sends {
            kind.set_payload(payload).await?;
        }
        let mode = if sends { RadioMode::Transmit } else { RadioMode::Receive(ChipRxMode::Continuous) };
        kind.set_irq_params(Some(mode)).await?;
        if sends { kind.do_tx().await } else { Ok(()) }
    });
    assert_eq!(ours, theirs, "{rf:?}, {wish_dbm:?} dBm, {amplifier:?}");
}

#[test]
fn modulation_packets_frequency_and_power_are_set_as_by_lora_phy() {
    let rf = |frequency, sf, bw, cr| RfConfig { frequency, bb: BaseBandModulationParams::new(sf, bw, cr) };
    for reads_as in [0x00, 0x5A, 0xFF] {
        for sf in FACTORS {
            for bw in BANDWIDTHS {
                for cr in RATES {
                    check_tune(reads_as, rf(868_100_000, sf, bw, cr), None, Amplifier::High);
                    check_tune(reads_as, rf(868_100_000, sf, bw, cr), Some(14), Amplifier::High);
                }
            }
        }
        for frequency_hz in FREQUENCIES_HZ {
            let rf = rf(frequency_hz, SpreadingFactor::_7, Bandwidth::_125KHz, CodingRate::_4_5);
            check_tune(reads_as, rf, None, Amplifier::High);
            for wish_dbm in -20..=30 {
                check_tune(reads_as, rf, Some(wish_dbm), Amplifier::High);
                check_tune(reads_as, rf, Some(wish_dbm), Amplifier::Low);
            }
        }
    }
}

#[test]
fn a_receive_is_opened_as_by_lora_phy() {
    let check = |mode: RxMode, chip_mode: ChipRxMode, symbols: u16, rx_boost: bool| {
        let ours = ours(0, &[], |program| program.receive(mode, symbols, rx_boost));
        let config = Config { rx_boost, ..config(Sx1262) };
        let theirs = theirs(0, config, async |kind| kind.do_rx(chip_mode).await);
        assert_eq!(ours, theirs, "{symbols} symbols");
    };
    for symbols in 0..=300 {
        check(RxMode::Single { ms: 1 }, ChipRxMode::Single(symbols), symbols, true);
    }
    check(RxMode::Continuous, ChipRxMode::Continuous, 0, true);
    check(RxMode::Continuous, ChipRxMode::Continuous, 0, false);
}

#[test]
fn interrupts_are_cleared_as_by_lora_phy() {
    for single in [true, false] {
        for reads_as in [0, 1, RX_DONE as u8, 0xFF] {
            let flags = u16::from_be_bytes([reads_as; 2]);
            let ours = ours(reads_as, &[], |program| program.clear(flags, single));
            let mode = if single { ChipRxMode::Single(0) } else { ChipRxMode::Continuous };
            let theirs = theirs(reads_as, config(Sx1262), async |kind| {
                kind.process_irq_event(RadioMode::Receive(mode), None, true).await.ok();
                Ok(())
            });
            let [read, theirs @ ..] = &*theirs else { panic!("lora-phy reads nothing") };
            assert_eq!((&**read, &*ours), (&[0x12, 0, 0, 0][..], theirs), "{flags:#x}");
        }
    }
}

#[test]
fn a_packet_is_read_as_by_lora_phy() {
    // Its length, offset, strength and SNR alike.
    for reads_as in [0x00, 0x05, 0x20, 0x71, 0xF0] {
        let mut spi = Recorder { reads_as, ..Recorder::default() };
        let (mut bytes, mut answer) = ([0; 255], [0; 4]);
        let mut bus = Bus { spi: &mut spi, lines: Lines, delay: NoDelay };
        for is_second in [false, true] {
            let mut program = Program::new();
            if is_second {
                program.fetch(reads_as, reads_as)
            } else {
                program.ask_place()
            }
            now(bus.perform(&program, &[], &mut bytes, &mut answer)).expect("nothing fails");
        }
        let len = usize::from(reads_as);
        assert!(
            bytes[..len].iter().all(|byte| *byte == reads_as) && bytes[len..].iter().all(|byte| *byte == 0)
        );
        let theirs = theirs(reads_as, config(Sx1262), async |kind| {
            let bb = (SpreadingFactor::_7, Bandwidth::_125KHz, CodingRate::_4_5);
            let modulation = kind.create_modulation_params(bb.0, bb.1, bb.2, 868_100_000)?;
            let packet = kind.create_packet_params(8, false, 255, false, true, &modulation)?;
            let mut bytes = [0; 255];
            assert_eq!(kind.get_rx_payload(&packet, &mut bytes).await?, reads_as);
            let status = kind.get_rx_packet_status().await?;
            assert_eq!((dbm(reads_as), i16::from(decibels(reads_as))), (status.rssi, status.snr));
            Ok(())
        });
        assert_eq!(spi.sent, theirs);
    }
}

#[test]
fn a_status_that_tells_a_failure_is_one_in_lora_phy() {
    // Beyond this lora-phy overflows as it rounds the SNR.
    for reads_as in 0..0x7E {
        let mut spi = Recorder { reads_as, ..Recorder::default() };
        let mut kind = Sx126x::new(&mut spi, Lines, config(Sx1262));
        let failed = now(kind.get_rx_packet_status()).is_err();
        assert_eq!(is_failure(reads_as), failed, "{reads_as:#x}");
    }
    assert!(is_failure(0xFB) && !is_failure(0xFF));
}
