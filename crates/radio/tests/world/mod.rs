//! A gateway and devices on one medium, in virtual time.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};
use lora_phy::sx126x::{Config, Sx1262, TcxoCtrlVoltage};
use lorawan_device::async_device::radio::{RfConfig, RxConfig, RxMode, TxConfig};
use sockeye_radio::{Sx126xRadio, sx126x};
use sockeye_virtual_hardware::air::{Gateway, Medium, Modulation};
use sockeye_virtual_hardware::delay::VirtualDelay;
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::sx126x::{VirtualChip, VirtualInterface, VirtualSpi};

pub type Radio = Sx126xRadio<VirtualSpi, VirtualInterface, Sx1262, VirtualDelay, 22>;

pub const FREQ_HZ: u32 = 868_100_000;
pub const RX2_HZ: u32 = 869_525_000;

pub struct World {
    pub sim: Sim,
    pub medium: Medium,
    pub gateway: Gateway,
}

impl World {
    pub fn new() -> Self {
        let sim = Sim::new();
        let medium = Medium::new(&sim, 1);
        let gateway = medium.gateway();
        Self { sim, medium, gateway }
    }

    /// A device with a TCXO, and its chip to break.
    pub fn device(&self) -> (Radio, VirtualChip) {
        let chip = VirtualChip::new(&self.medium, true);
        (self.radio(&chip, chip.spi()), chip)
    }

    /// A device whose SPI waits for a DMA.
    pub fn device_with_dma(&self) -> (Radio, VirtualChip) {
        let chip = VirtualChip::new(&self.medium, true);
        (self.radio(&chip, chip.spi_with_dma()), chip)
    }

    fn radio(&self, chip: &VirtualChip, spi: VirtualSpi) -> Radio {
        let config = Config {
            chip: Sx1262,
            tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V7),
            use_dcdc: true,
            rx_boost: false,
        };
        sx126x(spi, chip.interface(), config, VirtualDelay::new(&self.sim))
    }

    /// Runs a future to its end, which must come within `limit_ms`.
    #[track_caller]
    pub fn run<T: 'static>(&self, limit_ms: u64, future: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let into = result.clone();
        let task = self.sim.spawn(async move {
            let value = future.await;
            *into.borrow_mut() = Some(value);
        });
        let end_us = self.sim.now_us() + limit_ms * 1000;
        while result.borrow().is_none() && self.sim.now_us() < end_us {
            let next_us = self.sim.next_timer_us().map_or(end_us, |at_us| at_us.min(end_us));
            self.sim.run_until_us(next_us);
        }
        self.sim.kill(task);
        let value = result.borrow_mut().take();
        value.unwrap_or_else(|| panic!("no end within {limit_ms} ms"))
    }
}

pub fn bb(sf: SpreadingFactor) -> BaseBandModulationParams {
    BaseBandModulationParams::new(sf, Bandwidth::_125KHz, CodingRate::_4_5)
}

pub fn uplink(sf: SpreadingFactor) -> TxConfig {
    TxConfig { pw: 14, rf: RfConfig { frequency: FREQ_HZ, bb: bb(sf) } }
}

pub fn window(sf: SpreadingFactor, ms: u32) -> RxConfig {
    RxConfig { rf: RfConfig { frequency: FREQ_HZ, bb: bb(sf) }, mode: RxMode::Single { ms } }
}

pub fn rxc(sf: SpreadingFactor) -> RxConfig {
    RxConfig { rf: RfConfig { frequency: RX2_HZ, bb: bb(sf) }, mode: RxMode::Continuous }
}

pub fn downlink(freq_hz: u32, sf: u8) -> Modulation {
    Modulation::downlink(freq_hz, sf, 125_000)
}
