//! The command line: see `sockeye-toolbox --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sockeye_toolbox::cli::main()
}
