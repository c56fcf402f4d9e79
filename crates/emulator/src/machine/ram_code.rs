//! Code in RAM, which may be written over, and is rare: stores should not have to ask for it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use unicorn_engine::Unicorn;

use super::Error;

/// Bytes of a page, as the CPU engine cuts memory up.
const PAGE: u64 = 1024;

/// The pages of RAM that code was fetched from. A store to one of them takes the long way through the engine, which forgets what it
/// has translated of what is written over.
#[derive(Clone, Default)]
pub(super) struct RamCode(Rc<RefCell<RamPages>>);

#[derive(Default)]
struct RamPages {
    pages: HashSet<u64>,
    /// Slices that ended elsewhere since there are any.
    slices: u32,
}

impl RamCode {
    /// A routine that writes to the flash comes many times in a row: to forget it in between would cost more than it saves.
    const KEPT_SLICES: u32 = 100;

    pub(super) fn enter(&self, page: u64) {
        self.0.borrow_mut().pages.insert(page);
    }

    pub(super) fn has(&self, page: u64) -> bool {
        self.0.borrow().pages.contains(&page)
    }

    /// Notes that the CPU runs elsewhere. After some time the pages are plain RAM again: the routine may have run on the stack.
    pub(super) fn pass(&self, cpu: &mut Unicorn<'static, ()>) -> Result<(), Error> {
        let mut code = self.0.borrow_mut();
        code.slices += u32::from(!code.pages.is_empty());
        if code.slices < Self::KEPT_SLICES {
            return Ok(());
        }
        drop(code);
        self.forget(cpu)
    }

    /// Forgets all code in RAM: from here on there is none in the engine that is not in a page that was entered.
    pub(super) fn forget(&self, cpu: &mut Unicorn<'static, ()>) -> Result<(), Error> {
        let pages = self.0.take().pages;
        if pages.is_empty() {
            return Ok(());
        }
        for page in pages {
            drop_code(cpu, page)?;
        }
        // To forget them the engine has looked at them, which is a fetch.
        self.0.take();
        cpu.ctl_flush_tlb()
    }

    /// Forgets code that something else than a store has written over: the engine does not look at that.
    pub(super) fn written(
        &self,
        cpu: &mut Unicorn<'static, ()>,
        address: u32,
        bytes: usize,
    ) -> Result<(), Error> {
        let first = u64::from(address) & !(PAGE - 1);
        let end = u64::from(address) + bytes as u64;
        (first..end)
            .step_by(PAGE as usize)
            .filter(|page| self.has(*page))
            .try_for_each(|page| drop_code(cpu, page))
    }
}

/// Has the engine translate a page anew.
fn drop_code(cpu: &mut Unicorn<'static, ()>, page: u64) -> Result<(), Error> {
    cpu.ctl_remove_cache(page, page + PAGE)
}

#[cfg(test)]
mod tests {
    use sockeye_virtual_hardware::air::Medium;
    use sockeye_virtual_hardware::sim::Sim;

    use super::*;
    use crate::chip::Chip;
    use crate::elf::Image;
    use crate::machine::Machine;
    use crate::outside::Outside;
    use crate::rp2040::{self, Rp2040};

    /// Runs a second-stage loader of the RP2040, which the boot ROM copies into RAM, and gives a word of RAM after it.
    fn word_after(loader: &[u16], literals: &[u32], address: u32) -> u32 {
        let mut bytes: Vec<u8> = loader.iter().flat_map(|half| half.to_le_bytes()).collect();
        bytes.extend(literals.iter().flat_map(|word| word.to_le_bytes()));
        let mut image = Image::default();
        image.segments.push((0x1000_0000, rp2040::loader(&bytes)));
        let image = Rc::new(image);
        let sim = Sim::new();
        let outside = Outside::new(&sim, &Medium::new(&sim, 1), Rp2040::flash(&image));
        let mut machine = Machine::<Rp2040>::new(&image, &outside, [0; 8], 1).unwrap();
        assert_eq!(u64::from(machine.cpu.ctl_get_page_size().unwrap()), PAGE);
        machine.run_until_us(Rp2040::POWER_UP_US + 1000).unwrap();
        assert_eq!(machine.chip().core().faults().len(), 0);
        u32::from_le_bytes(machine.ram(address, 4).unwrap().try_into().unwrap())
    }

    #[test]
    fn code_in_ram_that_is_written_over_is_run_as_it_is_now() {
        const AT: u32 = 0x2000_1000;
        let loader = [
            0x4D07, // ldr r5, =AT
            0x4908, // ldr r1, =the first two half-words of a routine
            0x4A08, // ldr r2, =its end
            0x6029, // str r1, [r5]
            0x606A, // str r2, [r5, #4]
            0x1C6E, // adds r6, r5, #1
            0x47B0, // blx r6
            0x0004, // movs r4, r0
            0x642C, // str r4, [r5, #0x40]: to its page, not to its code
            0x4906, // ldr r1, =the same with another number
            0x6029, // str r1, [r5]
            0x47B0, // blx r6
            0x0124, // lsls r4, r4, #4
            0x1824, // adds r4, r4, r0
            0x646C, // str r4, [r5, #0x44]
            0xE7FE, // b .
        ];
        // movs r0, #1 or 2; b to the next; bx lr.
        let literals = [AT, 0xE7FF_2001, 0xBF00_4770, 0xE7FF_2002];
        assert_eq!(word_after(&loader, &literals, AT + 0x44), 0x12);
    }
}
