//! Accesses that no model answers for.

use std::collections::BTreeMap;
use std::fmt;

/// Counts reads and writes of registers that no model knows. They read as zero and keep nothing, and a run tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(BTreeMap<u32, (u64, u64)>);

impl Unknown {
    /// Counts a read; its value is zero.
    pub fn read(&mut self, address: u32) -> u32 {
        self.0.entry(address & !3).or_default().0 += 1;
        0
    }

    /// Counts a write.
    pub fn write(&mut self, address: u32) {
        self.0.entry(address & !3).or_default().1 += 1;
    }

    /// Tells whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self
            .0
            .iter()
            .map(|(address, (reads, writes))| format!("{address:#010x} ({reads} reads, {writes} writes)"));
        f.write_str(&list.collect::<Vec<_>>().join(", "))
    }
}
