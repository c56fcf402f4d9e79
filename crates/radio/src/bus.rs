//! The way to the chip: SPI, BUSY, antenna switch.

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{Operation, SpiDevice};
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;
use lorawan_device::async_device::radio::RxQuality;

use crate::chip::{
    GET_PACKET_STATUS, GET_RX_BUFFER_STATUS, Program, READ_BUFFER, READ_REGISTER, SET_RX, SET_STANDBY,
    SET_TX, SET_TX_CONTINUOUS_WAVE, WRITE_BUFFER, WRITE_REGISTER, is_failure,
};
use crate::timing::BUSY_LIMIT_MS;

/// A chip on its bus, with its lines.
pub(crate) struct Bus<SPI, IV, D> {
    pub(crate) spi: SPI,
    pub(crate) lines: IV,
    pub(crate) delay: D,
}

impl<SPI: SpiDevice<u8>, IV: InterfaceVariant, D: DelayNs> Bus<SPI, IV, D> {
    /// Sends one command with its tail, or reads its answer, and waits until the chip is ready for the next.
    ///
    /// Its wait ends with [`RadioError::Busy`] after [`BUSY_LIMIT_MS`].
    pub(crate) async fn exchange(
        &mut self,
        command: &[u8],
        tail: Operation<'_, u8>,
    ) -> Result<(), RadioError> {
        let mut operations = [Operation::Write(command), tail];
        if self.spi.transaction(&mut operations).await.is_err() {
            return Err(RadioError::SPI);
        }
        self.ready().await
    }

    /// Waits for BUSY, at most [`BUSY_LIMIT_MS`].
    pub(crate) async fn ready(&mut self) -> Result<(), RadioError> {
        match select(self.lines.wait_on_busy(), self.delay.delay_ms(BUSY_LIMIT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(RadioError::Busy),
        }
    }

    /// Sends the commands of a program; `payload` is what it writes to the buffer.
    pub(crate) async fn perform(&mut self, program: &Program, payload: &[u8]) -> Result<(), RadioError> {
        let mut place = 0;
        while let Some((command, next)) = program.at(place) {
            place = next;
            match command {
                [READ_REGISTER, high, low, clear, set] => {
                    let mut value = [0];
                    self.exchange(&[READ_REGISTER, *high, *low, 0], Operation::Read(&mut value)).await?;
                    let [value] = value;
                    let changed = [WRITE_REGISTER, *high, *low, value & !clear | set];
                    self.exchange(&changed, Operation::Write(&[])).await?;
                    continue;
                }
                [SET_RX, ..] => self.lines.enable_rf_switch_rx().await?,
                [SET_TX | SET_TX_CONTINUOUS_WAVE, ..] => self.lines.enable_rf_switch_tx().await?,
                _ => {}
            }
            let tail: &[u8] = if let [WRITE_BUFFER, ..] = command { payload } else { &[] };
            self.exchange(command, Operation::Write(tail)).await?;
            if let [SET_STANDBY, ..] = command {
                self.lines.disable_rf_switch().await?;
            }
        }
        Ok(())
    }

    /// Reads the packet that was reported; `None` when it is too long for `buf`.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> Result<Option<(usize, RxQuality)>, RadioError> {
        let mut place = [0; 3];
        self.ask(GET_RX_BUFFER_STATUS, &mut place).await?;
        let [_, len, offset] = place;
        let len = usize::from(len);
        let Some(payload) = buf.get_mut(..len) else { return Ok(None) };
        self.exchange(&[READ_BUFFER, offset, 0], Operation::Read(payload)).await?;
        let mut status = [0; 4];
        self.ask(GET_PACKET_STATUS, &mut status).await?;
        let [_, rssi, snr, _] = status;
        Ok(Some((len, RxQuality::new(dbm(rssi), decibels(snr)))))
    }

    /// Reads an answer behind a status.
    ///
    /// # Errors
    /// [`RadioError::OpError`] with the status of a command that failed.
    pub(crate) async fn ask(&mut self, command: u8, answer: &mut [u8]) -> Result<(), RadioError> {
        self.exchange(&[command], Operation::Read(answer)).await?;
        match answer.first() {
            Some(status) if is_failure(*status) => Err(RadioError::OpError(*status)),
            _ => Ok(()),
        }
    }
}

/// A signal strength of -value / 2 dBm (data sheet sections 13.5.3 and 13.5.4).
pub(crate) fn dbm(value: u8) -> i16 {
    -i16::from(value) >> 1
}

/// An SNR in quarters of a dB (data sheet section 13.5.3), rounded.
fn decibels(value: u8) -> i8 {
    value.cast_signed().saturating_add(2) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_and_snr_of_every_byte_are_in_their_range() {
        for (byte, strength_dbm, snr_db) in [
            (0, 0, 0),
            (1, -1, 0),
            (0x28, -20, 10),
            (0x7D, -63, 31),
            (0x7F, -64, 31),
            (0x80, -64, -32),
            (0xFF, -128, 0),
        ] {
            assert_eq!((dbm(byte), decibels(byte)), (strength_dbm, snr_db), "{byte:#x}");
        }
    }
}
