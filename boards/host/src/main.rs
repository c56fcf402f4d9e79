//! The command behind `cargo xtask run`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::command;
use sockeye_host::world::World;

fn main() -> ExitCode {
    // clap prints its own sentence for a wrong option, and exits with 2.
    command::execute(&Options::parse(), World::new)
}
