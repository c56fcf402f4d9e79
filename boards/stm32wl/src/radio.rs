//! The radio inside the chip: BUSY and interrupt are registers instead of pins.

use embassy_futures::yield_now;
use embassy_stm32::gpio::Output;
use embassy_stm32::interrupt::typelevel::{Handler, Interrupt as _, SUBGHZ_RADIO};
use embassy_stm32::pac;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Delay;
use embedded_hal_async::delay::DelayNs;
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::{Config, Stm32wl, TcxoCtrlVoltage};
use sockeye_radio::Sx126xRadio;

use crate::bus::Bus;

/// The radio as the firmware takes it.
pub type Phy = Sx126xRadio<Bus, Lines, Stm32wl, Delay>;

/// Makes the radio.
pub fn new(bus: Bus, antenna: Antenna) -> Phy {
    let config = Config {
        // LoRa-E5 has no other amplifier, and on the Nucleo board it is the stronger of two.
        chip: Stm32wl { use_high_power_pa: true },
        tcxo_ctrl: Some(TcxoCtrlVoltage::Ctrl1V7),
        use_dcdc: true,
        // 2 mA more for 3 dB: the mains pays.
        rx_boost: true,
    };
    sockeye_radio::sx126x(bus, Lines { antenna }, config, Delay)
}

/// The pins of the antenna switch.
pub struct Antenna {
    /// High to receive.
    pub rx: Output<'static>,
    /// High to send by the high-power amplifier.
    pub tx: Output<'static>,
    /// High for the switch to work at all, where there is such a pin.
    pub supply: Option<Output<'static>>,
}

impl Antenna {
    fn set(&mut self, rx: bool, tx: bool) {
        if let Some(supply) = &mut self.supply {
            supply.set_level((rx || tx).into());
        }
        self.rx.set_level(rx.into());
        self.tx.set_level(tx.into());
    }
}

/// Told by the radio's interrupt.
static RAISED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Tells the waiting task. The line stays raised until the radio's flags are cleared over SPI, which is not for an
/// interrupt handler: so it is shut off until somebody waits again.
#[derive(Debug)]
pub struct InterruptHandler;

impl Handler<SUBGHZ_RADIO> for InterruptHandler {
    unsafe fn on_interrupt() {
        SUBGHZ_RADIO::disable();
        RAISED.signal(());
    }
}

/// Reset, BUSY, interrupt and antenna switch.
pub struct Lines {
    antenna: Antenna,
}

impl InterfaceVariant for Lines {
    async fn reset(&mut self, delay: &mut impl DelayNs) -> Result<(), RadioError> {
        pac::RCC.csr().modify(|w| w.set_rfrst(true));
        delay.delay_ms(1).await;
        pac::RCC.csr().modify(|w| w.set_rfrst(false));
        delay.delay_ms(1).await;
        Ok(())
    }

    async fn wait_on_busy(&mut self) -> Result<(), RadioError> {
        // It has no interrupt that a driver could wait for. Each look yields, so that others run, and
        // the radio can put an end to it.
        while pac::PWR.sr2().read().rfbusys() {
            yield_now().await;
        }
        Ok(())
    }

    async fn await_irq(&mut self) -> Result<(), RadioError> {
        // What is pending or told already stays: one look at the chip too many costs less than one too few.
        // SAFETY: nothing here relies on the interrupt being off.
        unsafe { SUBGHZ_RADIO::enable() };
        RAISED.wait().await;
        Ok(())
    }

    async fn enable_rf_switch_rx(&mut self) -> Result<(), RadioError> {
        self.antenna.set(true, false);
        Ok(())
    }

    async fn enable_rf_switch_tx(&mut self) -> Result<(), RadioError> {
        self.antenna.set(false, true);
        Ok(())
    }

    async fn disable_rf_switch(&mut self) -> Result<(), RadioError> {
        self.antenna.set(false, false);
        Ok(())
    }
}
