//! lorawan-device's traits.

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::SpiDevice;
use lora_phy::mod_traits::InterfaceVariant;
use lora_phy::sx126x::Sx126xVariant;
use lorawan_device::async_device::Timings;
use lorawan_device::async_device::radio::{PhyRxTx, RxConfig, RxMode, RxQuality, RxStatus, TxConfig};
use sockeye_lorawan_mac::{CarrierSense, ListenBeforeTalk};

use crate::radio::{Outcome, State, Sx126xRadio, Target};
use crate::receive::Operation;
use crate::report::Error;
#[cfg(doc)]
use crate::timing::MARGIN_MS;
use crate::timing::WINDOW_LEAD_MS;

impl<SPI, IV, C, D, const MAX_DBM: u8> PhyRxTx for Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    type PhyError = Error;

    const MAX_RADIO_POWER: u8 = MAX_DBM;

    /// Sends a frame, and gives 0 at the moment its TxDone is seen.
    ///
    /// # Errors
    /// [`Error::Overdue`] when no TxDone comes within the time on air and [`MARGIN_MS`].
    ///
    /// # Cancel safety
    /// A dropped future may leave the frame half sent; the next operation stops the chip.
    async fn tx(&mut self, config: TxConfig, buf: &[u8]) -> Result<u32, Error> {
        let Ok(len) = u8::try_from(buf.len()) else { return Err(Error::FrameTooLong(buf.len())) };
        self.operate(Operation::Send(config, buf, len)).await.map(|_| 0)
    }

    /// Sets the chip for a receive. A continuous one is open from here; a single one is opened by
    /// `rx_single`.
    ///
    /// Asking again for the continuous receive that is open looks at the chip and opens it anew (CC-07): the
    /// receiver is closed for about a millisecond, so it is not for each frame.
    ///
    /// # Cancel safety
    /// Dropped among its commands, the next operation resets the chip, which takes some 70 ms.
    async fn setup_rx(&mut self, config: RxConfig) -> Result<(), Error> {
        self.wanted = Some(config);
        let operation = match (config.mode, self.state) {
            (RxMode::Continuous, State::Receiving(open)) if open == config => Operation::Reopen(config),
            (RxMode::Continuous, _) => Operation::Go(Target::Receiving(config, 0)),
            _ => Operation::Go(Target::Ready(config)),
        };
        self.operate(operation).await.map(drop)
    }

    /// Waits for a frame in the continuous receive, for ever.
    ///
    /// # Errors
    /// [`Error::NotSetUp`] when the last `setup_rx` was for a single receive. After any other error a new
    /// call initialises the chip and listens again.
    ///
    /// # Cancel safety
    /// Nothing is lost: the chip goes on listening, and the next call goes on where this one was dropped.
    async fn rx_continuous(&mut self, rx_buf: &mut [u8]) -> Result<(usize, RxQuality), Error> {
        let config = match self.wanted {
            Some(config) if config.mode == RxMode::Continuous => config,
            _ => return Err(Error::NotSetUp),
        };
        let outcome = self.operate(Operation::Receive(config, rx_buf)).await?;
        // A continuous receive does not end without a frame.
        outcome.frame.ok_or(Error::Overdue)
    }

    /// Opens the window that was set up, and waits for its frame or its end: at the latest after the
    /// search, the longest frame and [`MARGIN_MS`].
    ///
    /// # Cancel safety
    /// The next call goes on with the same window, unless `setup_rx` or `tx` came between.
    async fn rx_single(&mut self, buf: &mut [u8]) -> Result<RxStatus, Error> {
        let config = match self.wanted {
            Some(config) if config.mode != RxMode::Continuous => config,
            _ => return Err(Error::NotSetUp),
        };
        let Outcome { frame, .. } = self.operate(Operation::Receive(config, buf)).await?;
        Ok(frame.map_or(RxStatus::RxTimeout, |(len, quality)| RxStatus::Rx(len, quality)))
    }

    /// Goes to standby: a mains socket does not let its radio sleep, since waking it costs milliseconds of
    /// each window.
    async fn low_power(&mut self) -> Result<(), Error> {
        self.operate(Operation::Go(Target::Standby)).await.map(drop)
    }
}

impl<SPI, IV, C, D, const MAX_DBM: u8> CarrierSense for Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    /// Listens around a frequency, over 250 kHz, and looks once a millisecond.
    ///
    /// # Errors
    /// [`Error::Nonsense`] where the channel has 0 dBm.
    async fn is_clear(&mut self, frequency_hz: u32, listen: ListenBeforeTalk) -> Result<bool, Error> {
        Ok(self.operate(Operation::Sense(frequency_hz, listen)).await?.clear)
    }
}

#[cfg(feature = "certification")]
impl<SPI, IV, C, D, const MAX_DBM: u8> sockeye_lorawan_mac::ContinuousWave
    for Sx126xRadio<SPI, IV, C, D, MAX_DBM>
where
    SPI: SpiDevice<u8>,
    IV: InterfaceVariant,
    C: Sx126xVariant,
    D: DelayNs + Clone,
{
    async fn send_carrier(&mut self, frequency_hz: u32, power_dbm: i8, for_ms: u32) -> Result<(), Error> {
        self.operate(Operation::Go(Target::Carrier(frequency_hz, power_dbm))).await?;
        self.bus.delay.delay_ms(for_ms).await;
        self.low_power().await
    }
}

impl<SPI, IV, C: Sx126xVariant, D, const MAX_DBM: u8> Timings for Sx126xRadio<SPI, IV, C, D, MAX_DBM> {
    fn get_rx_window_lead_time_ms(&self) -> u32 {
        WINDOW_LEAD_MS
    }
}
