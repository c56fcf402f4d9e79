//! `bench`: the two speeds that the project promises.

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Runs the benches, which print their method and their result themselves.
///
/// # Errors
/// When one does not build or run.
pub fn bench(workspace: &Workspace) -> Result<(), Failure> {
    for (package, bench) in [("sockeye-protocol", "decode"), ("sockeye-host", "day")] {
        process::run(workspace.cargo().args(["bench", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
