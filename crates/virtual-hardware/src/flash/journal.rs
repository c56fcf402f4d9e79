//! A list of what was done to a flash, so that a test can cut the power at each operation of a life without
//! living it again for each.

use std::rc::Rc;

use super::{Chip, Flash, FlashError, Memory};

/// What an operation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Bytes are programmed, no more than one program operation takes.
    Program {
        /// Where, from the start of the flash.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// A page is erased.
    Erase {
        /// Its number.
        page: usize,
    },
}

/// One program or erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The clock's word when it was done.
    pub stamp: u64,
    /// What it did.
    pub change: Change,
}

pub(super) struct Journal {
    clock: Box<dyn Fn() -> u64>,
    operations: Vec<Operation>,
}

impl<C: Chip> Flash<C> {
    /// Lists the operations from now on, each with what `clock` says then.
    pub fn record(&self, clock: impl Fn() -> u64 + 'static) {
        self.memory.borrow_mut().journal = Some(Journal { clock: Box::new(clock), operations: Vec::new() });
    }

    /// Takes the operations that were listed since the last call.
    #[must_use]
    pub fn take_operations(&self) -> Vec<Operation> {
        let memory = &mut *self.memory.borrow_mut();
        memory.journal.as_mut().map(|journal| std::mem::take(&mut journal.operations)).unwrap_or_default()
    }

    /// Does an operation that was listed before, on this flash; a cut that is planned meets it.
    ///
    /// # Errors
    /// As a program or an erase.
    pub fn redo(&self, change: &Change) -> Result<(), FlashError> {
        let mut memory = self.memory.borrow_mut();
        match change {
            Change::Program { offset, bytes } => memory.program::<C>(*offset, bytes),
            Change::Erase { page } => memory.erase::<C>(*page),
        }
    }

    /// Makes this flash hold what another one holds, with its torn words and faults; powered, and without a cut to
    /// come. Counts and list of operations stay.
    pub fn become_like(&self, other: &Self) {
        if Rc::ptr_eq(&self.memory, &other.memory) {
            return self.power_on();
        }
        let from = other.memory.borrow();
        let to = &mut *self.memory.borrow_mut();
        to.bytes.clone_from(&from.bytes);
        to.torn.clone_from(&from.torn);
        to.worn.clone_from(&from.worn);
        to.stuck.clone_from(&from.stuck);
        to.is_powered = true;
        to.cut = None;
    }
}

impl Memory {
    pub(super) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(journal) = &mut self.journal {
            journal.operations.push(Operation { stamp: (journal.clock)(), change: change() });
        }
    }
}
