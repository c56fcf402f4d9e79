//! What a program reads of what it cannot write: for tests that show on what its way hangs, and on what not.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use unicorn_engine::{HookType, Unicorn};

use super::{Error, Machine, RAM, RamCode};
use crate::chip::Chip;
use crate::memory::Memory;

/// A list of what was read.
#[derive(Clone, Debug, Default)]
pub struct Reads(Rc<RefCell<BTreeSet<u32>>>);

impl Reads {
    fn note(&self, address: u64, bytes: usize) {
        let words = address / 4..(address + bytes as u64).div_ceil(4);
        self.0.borrow_mut().extend(words.map(|word| 4 * word as u32));
    }

    /// Forgets what was read so far.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// Tells whether something was read of a memory, and all of that in these parts of it.
    #[must_use]
    pub fn are_within(&self, memory: &Range<u32>, parts: &[Range<u32>]) -> bool {
        let words = self.0.borrow();
        let mut of_it = words.range(memory.clone()).peekable();
        of_it.peek().is_some() && of_it.all(|word| parts.iter().any(|part| part.contains(word)))
    }
}

impl<C: Chip> Machine<C> {
    /// Lists from now on where below RAM something is read: by loads, and by functions in ROM. Instructions are not meant, nor words
    /// of the STM32WL's flash that are torn.
    ///
    /// # Errors
    /// Those of the CPU engine.
    pub fn watch_reads(&mut self) -> Result<Reads, Error> {
        let reads = Reads::default();
        let to = reads.clone();
        self.cpu.add_mem_hook(HookType::MEM_READ, 0, RAM - 1, move |_, _, address, bytes, _| {
            to.note(address, bytes);
            true
        })?;
        // Code that is translated already knows nothing of it.
        self.cpu.ctl_flush_tb()?;
        self.cpu.ctl_flush_tlb()?;
        self.reads = Some(reads.clone());
        Ok(reads)
    }
}

/// The memory as functions in ROM see it.
pub(super) struct Watched<'a> {
    pub(super) cpu: &'a mut Unicorn<'static, ()>,
    pub(super) reads: Option<&'a Reads>,
    pub(super) ram_code: &'a RamCode,
}

impl Memory for Watched<'_> {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool {
        if let Some(reads) = self.reads.filter(|_| u64::from(address) < RAM) {
            reads.note(u64::from(address), bytes.len());
        }
        self.cpu.read(address, bytes)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> bool {
        self.cpu.write(address, bytes) && self.ram_code.written(self.cpu, address, bytes.len()).is_ok()
    }
}
