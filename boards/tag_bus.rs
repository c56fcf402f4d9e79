//! What the tag's driver asks of a bus, by the one kind of transaction that the boards' buses do: write, then read.
//! Each board with a tag takes it in with `#[path = "../../tag_bus.rs"]`, beside an `i2c` of its own.

use embedded_hal_async::i2c::{ErrorKind, ErrorType, I2c, Operation};

use crate::i2c::Bus;

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl I2c for Bus {
    async fn write(&mut self, chip: u8, out: &[u8]) -> Result<(), ErrorKind> {
        self.transact(chip, out, &mut [])
    }

    async fn write_read(&mut self, chip: u8, out: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
        self.transact(chip, out, into)
    }

    async fn transaction(&mut self, chip: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        match operations {
            [Operation::Write(out)] => self.transact(chip, out, &mut []),
            [Operation::Write(out), Operation::Read(into)] => self.transact(chip, out, into),
            // The tag's driver does no other.
            _ => Err(ErrorKind::Other),
        }
    }
}
