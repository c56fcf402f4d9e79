//! What the CPU does, a line for each function that it enters and each exception.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A file of lines: the time in µs, and what begins then.
pub struct Trace(RefCell<BufWriter<File>>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(RefCell::new(BufWriter::new(File::create(path)?))))
    }

    /// Writes a line. A disk that is full ends the trace, not the run.
    pub fn line(&self, now_us: u64, what: fmt::Arguments<'_>) {
        let _ = writeln!(self.0.borrow_mut(), "{now_us:>12} {what}");
    }
}
