//! RAM as the DMA sees it.

use unicorn_engine::Unicorn;

/// Memory that a peripheral reads and writes by itself.
pub trait Memory {
    /// Reads bytes; tells whether there is memory at that address.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool;

    /// Writes bytes; tells whether there is memory at that address.
    fn write(&mut self, address: u32, bytes: &[u8]) -> bool;
}

impl Memory for Unicorn<'_, ()> {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
        self.mem_read(u64::from(address), bytes).is_ok()
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
        self.mem_write(u64::from(address), bytes).is_ok()
    }
}
