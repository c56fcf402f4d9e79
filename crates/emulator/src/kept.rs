//! Registers that keep what is written to them.

/// The registers of a peripheral, `N` words long; those that the reference manual does not list are not there.
#[derive(Clone, Debug)]
pub(crate) struct Kept<const N: usize> {
    words: [u32; N],
    known: &'static [u32],
}

impl<const N: usize> Kept<N> {
    /// Makes registers of zeros at the `known` offsets.
    pub fn new(known: &'static [u32]) -> Self {
        Self { words: [0; N], known }
    }

    /// Reads a register, if it is there.
    pub fn read(&self, offset: u32) -> Option<u32> {
        self.known.contains(&offset).then(|| self.get(offset))
    }

    /// Writes a register, if it is there.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        self.known.contains(&offset).then(|| self.set(offset, value))
    }

    /// Gives a register's content, for the model's own use.
    pub fn get(&self, offset: u32) -> u32 {
        self.words.get(offset as usize / 4).copied().unwrap_or(0)
    }

    /// Sets a register, for the model's own use.
    pub fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut(offset as usize / 4) {
            *word = value;
        }
    }
}
