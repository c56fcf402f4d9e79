//! `figures`: the pictures in docs/ that are drawn from the code, or taken of the web page and the terminal.

use crate::failure::Failure;
use crate::process;
use crate::web;
use crate::workspace::Workspace;

/// The tests that draw, each with its package; a second test of the same file fails while the picture is old.
const FIGURES: [(&str, &str); 1] = [("sockeye-metering", "trip_curve_figure")];

/// Draws them anew.
///
/// # Errors
/// When one cannot be drawn or written.
pub fn figures(workspace: &Workspace) -> Result<(), Failure> {
    for (package, test) in FIGURES {
        let mut cargo = workspace.cargo();
        cargo.args([
            "test",
            "--quiet",
            "--package",
            package,
            "--test",
            test,
            "--",
            "--ignored",
            "write_the_figure",
        ]);
        process::run(&mut cargo)?;
    }
    web::pictures(workspace)
}
