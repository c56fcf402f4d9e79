//! The way to the chip: SPI, BUSY, antenna switch.

use embassy_futures::select::{Either, select};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::spi::{Operation, SpiDevice};
use lora_phy::mod_params::RadioError;
use lora_phy::mod_traits::InterfaceVariant;

use crate::chip::{
    ANYTHING, CHANGE_REGISTER, GET_IRQ_STATUS, GET_RSSI_INST, Program, READ_BUFFER, READ_REGISTER, RESET,
    SET_RX, SET_STANDBY, SET_TX, SET_TX_CONTINUOUS_WAVE, WAIT, WRITE_BUFFER, WRITE_REGISTER,
};
use crate::timing::BUSY_LIMIT_MS;

/// What a command answered last, behind its status where it has one.
pub(crate) type Answer = [u8; 4];

/// A chip on its bus, with its lines.
pub(crate) struct Bus<SPI, IV, D> {
    pub(crate) spi: SPI,
    pub(crate) lines: IV,
    pub(crate) delay: D,
}

impl<SPI: SpiDevice<u8>, IV: InterfaceVariant, D: DelayNs> Bus<SPI, IV, D> {
    /// Waits for BUSY; ends with [`RadioError::Busy`] after [`BUSY_LIMIT_MS`].
    pub(crate) async fn ready(&mut self) -> Result<(), RadioError> {
        match select(self.lines.wait_on_busy(), self.delay.delay_ms(BUSY_LIMIT_MS)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(RadioError::Busy),
        }
    }

    /// Sends the commands of a program, each once the chip is ready for it. `payload` is what it writes to the buffer,
    /// `into` takes what it reads from there.
    ///
    /// One loop that waits in one place: each place more would be another copy of what waits.
    pub(crate) async fn perform(
        &mut self,
        program: &Program,
        payload: &[u8],
        into: &mut [u8],
        answer: &mut Answer,
    ) -> Result<(), RadioError> {
        let mut place = 0;
        while let Some((command, next)) = program.at(place) {
            place = next;
            let changed;
            let operations = match command {
                [WAIT] => {
                    self.delay.delay_ms(1).await;
                    continue;
                }
                [RESET] => {
                    self.lines.reset(&mut self.delay).await?;
                    None
                }
                [CHANGE_REGISTER, high, low, clear, set] => {
                    let [value, ..] = *answer;
                    changed = [WRITE_REGISTER, *high, *low, value & !clear | set];
                    Some((&changed[..], Operation::Write(&[])))
                }
                [READ_REGISTER, ..] => Some((command, Operation::Read(first(answer, 1)))),
                [command @ GET_IRQ_STATUS..=GET_RSSI_INST, len] => {
                    Some((core::slice::from_ref(command), Operation::Read(first(answer, *len))))
                }
                [command @ .., len] if command.first() == Some(&READ_BUFFER) => {
                    Some((command, Operation::Read(first(into, *len))))
                }
                [WRITE_BUFFER, ..] => Some((command, Operation::Write(payload))),
                _ => Some((command, Operation::Write(&[]))),
            };
            match command {
                [SET_RX, ..] => self.lines.enable_rf_switch_rx().await?,
                [SET_TX | SET_TX_CONTINUOUS_WAVE, ..] => self.lines.enable_rf_switch_tx().await?,
                _ => {}
            }
            let mut result = Ok(());
            if let Some((command, tail)) = operations {
                result = self
                    .spi
                    .transaction(&mut [Operation::Write(command), tail])
                    .await
                    .map_err(|_| RadioError::SPI);
            }
            if result.is_ok() {
                result = self.ready().await;
            }
            if command != ANYTHING {
                result?;
            }
            if let [SET_STANDBY, ..] = command {
                self.lines.disable_rf_switch().await?;
            }
        }
        Ok(())
    }
}

/// The first so many of some bytes; none where there are fewer.
fn first(bytes: &mut [u8], len: u8) -> &mut [u8] {
    bytes.get_mut(..usize::from(len)).unwrap_or_default()
}
