//! What the boot ROM's functions do: memory, bits, and the flash (RP2040 data sheet 2.8.3).

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use sockeye_virtual_hardware::flash::{self, Flash, FlashError};

use super::rom::{self, Function};
use super::{PAGE, RAM, RAM_BYTES, Rp2040, SECTOR, XIP};
use crate::chip::{Call, Chip};
use crate::memory::Memory;

impl Rp2040 {
    /// Does what a function of the ROM does; gives its R0.
    pub(super) fn rom_function(&mut self, memory: &mut dyn Memory, call: Call) -> Option<u32> {
        let [first, second, third, _] = call.arguments;
        Some(match rom::at(call.address)? {
            Function::Lookup => match rom::find(first, second) {
                Some(address) => address,
                None => {
                    let [low, high, ..] = second.to_le_bytes();
                    let code = [low, high].escape_ascii().to_string();
                    self.core.fault(format!("the boot ROM's function {code}, of which there is no model"));
                    0
                }
            },
            Function::Memset => {
                // In pieces: the length is the image's.
                self.core.time.pass_cycles(u64::from(third));
                let fill = vec![second as u8; third.min(RAM_BYTES) as usize];
                self.check_memory(memory.write(first, &fill), first);
                first
            }
            Function::Memcpy => {
                self.core.time.pass_cycles(u64::from(third));
                let mut bytes = vec![0; third.min(RAM_BYTES) as usize];
                let copied = memory.read(second, &mut bytes) && memory.write(first, &bytes);
                self.check_memory(copied, first);
                first
            }
            Function::Popcount => first.count_ones(),
            Function::Clz => first.leading_zeros(),
            Function::Ctz => first.trailing_zeros(),
            Function::Reverse => first.reverse_bits(),
            Function::ConnectInternalFlash | Function::FlashFlushCache => {
                self.check_caller(call);
                first
            }
            Function::FlashExitXip => {
                self.check_caller(call);
                self.is_xip = false;
                first
            }
            Function::FlashEnterCmdXip => {
                self.check_caller(call);
                self.is_xip = true;
                first
            }
            Function::FlashRangeErase => {
                self.check_flash(call);
                let end = first.saturating_add(second);
                for from in (first..end).step_by(SECTOR as usize) {
                    let result = self.timed(|flash| flash.erase(from, from.saturating_add(SECTOR)));
                    self.settle_flash(memory, result, from, SECTOR);
                }
                first
            }
            Function::FlashRangeProgram => {
                self.check_flash(call);
                for offset in (0..third).step_by(PAGE as usize) {
                    let (from, mut page) = (first.saturating_add(offset), [0; PAGE as usize]);
                    let is_read = memory.read(second.saturating_add(offset), &mut page);
                    self.check_memory(is_read, second);
                    if third % PAGE != 0 || from % PAGE != 0 {
                        self.core.fault("a program of the flash that is no whole page".to_owned());
                    }
                    let result = self.timed(|flash| flash.write(from, &page));
                    self.settle_flash(memory, result, from, PAGE);
                }
                first
            }
        })
    }

    /// Does something to the flash, and lets the time pass that it takes.
    fn timed<T>(&mut self, act: impl FnOnce(&mut Flash<flash::Rp2040>) -> T) -> T {
        let before = self.core.outside.flash.counts().busy_us;
        let result = act(&mut self.core.outside.flash);
        self.core.stall_us(self.core.outside.flash.counts().busy_us - before);
        result
    }

    /// Shows the CPU what is now in the flash.
    fn settle_flash(
        &mut self,
        memory: &mut dyn Memory,
        result: Result<(), FlashError>,
        from: u32,
        bytes: u32,
    ) {
        match result {
            Ok(()) => self.core.flash_changed(&Self::PROGRAMS, XIP, from),
            // Without power nothing answers, and soon the CPU has none either.
            Err(FlashError::PowerLost) => {}
            Err(error) => self.core.fault(format!("the flash, at offset {from:#x}: {error:?}")),
        }
        let mut contents = vec![0; bytes as usize];
        if self.core.outside.flash.read(from, &mut contents).is_ok() {
            memory.write(XIP + from, &contents);
        }
    }

    fn check_memory(&mut self, is_there: bool, address: u32) {
        if !is_there {
            self.core.fault(format!("the boot ROM's function met no memory at {address:#010x}"));
        }
    }

    /// While the flash is not seen, code cannot run from it.
    fn check_caller(&mut self, call: Call) {
        if !(RAM..RAM + RAM_BYTES).contains(&call.caller) {
            self.core.fault(format!("code at {:#010x} turns the flash off under itself", call.caller));
        }
        if !call.is_masked {
            self.core.fault("an interrupt may come while the flash is off".to_owned());
        }
    }

    fn check_flash(&mut self, call: Call) {
        self.check_caller(call);
        if self.is_xip {
            self.core.fault("an operation of the flash without an end of XIP".to_owned());
        }
    }
}
