//! Builds, runs, flashes, measures and tests Sockeye: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod bench;
mod bill;
mod board;
mod build;
mod calibration;
mod crates;
mod dist;
mod emulate;
mod failure;
mod figures;
mod flash;
mod fuzz;
mod hex_file;
mod image;
mod keys;
mod parts;
mod process;
mod provision;
mod run;
mod setup;
mod sign;
mod size;
mod soak;
mod test;
mod thumb;
mod tidy;
mod types;
mod uf2;
mod web;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Builds, runs, flashes, measures and tests Sockeye.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs what is missing to build and test, and says what it found and did
    Setup,
    /// Runs the socket on this computer; `cargo xtask run --help` lists its options
    #[command(disable_help_flag = true)]
    Run {
        /// Handed to the host board as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Reads and sets up a socket; `cargo xtask toolbox --help` lists what it can do, `--serve` offers it as a web page
    #[command(disable_help_flag = true)]
    Toolbox {
        /// Handed to the program as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs a board's image on a modelled chip: `--board stm32wl`, and the options of `run`
    #[command(disable_help_flag = true)]
    Emulate {
        /// Handed to the emulator, but for --board
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Checks everything, as CI does; `--quick` for daily work
    Test(test::Options),
    /// Checks the rules of docs/STYLE.md that a program can check
    Tidy,
    /// Builds a board's image and prints where it is and what it takes
    Build(build::Options),
    /// Builds a board's image and puts it on the chip
    Flash(flash::Options),
    /// Writes to a chip who the socket is: serial number, DevEUI, application key
    Provision(provision::Options),
    /// Makes a pair of keys for signing updates
    Keygen(keys::Options),
    /// Makes a signed update of a board's image
    Sign(sign::Options),
    /// Makes what is given to others: images in every form, signed updates, lists of what is in them
    Dist(dist::Options),
    /// Builds the boards' images and holds them against their budgets
    Size(size::Options),
    /// Measures speed, instructions and the MAC among millions of random frames, commands and crashes
    Bench(bench::Options),
    /// Lives a socket's life at random, for 30 days of its time
    Soak(soak::Options),
    /// Draws the pictures in docs/ anew
    Figures,
    /// Feeds a parser with inputs that a fuzzer makes up
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    match parse().and_then(dispatch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    match cli.command {
        Command::Setup => setup::setup(&workspace),
        Command::Run { args } => run::run(&workspace, "sockeye-host", &args),
        Command::Toolbox { args } if args.iter().any(|arg| arg == "--serve") => match args.len() {
            1 => web::serve(&workspace),
            _ => Err(Failure::Usage("--serve takes nothing else: what to do is said in the page".to_owned())),
        },
        Command::Toolbox { args } => run::run(&workspace, "sockeye-toolbox", &args),
        Command::Emulate { args } => emulate::emulate(&workspace, &args),
        Command::Test(options) => test::test(&workspace, &options),
        Command::Tidy => tidy::check(&workspace),
        Command::Build(options) => build::build(&workspace, &options),
        Command::Flash(options) => flash::flash(&workspace, &options),
        Command::Provision(options) => provision::provision(&workspace, &options),
        Command::Keygen(options) => keys::keygen(&options),
        Command::Sign(options) => sign::sign(&workspace, &options),
        Command::Dist(options) => dist::dist(&workspace, &options),
        Command::Size(options) => size::size(&workspace, &options),
        Command::Bench(options) => bench::bench(&workspace, &options),
        Command::Soak(options) => soak::soak(&workspace, &options),
        Command::Figures => figures::figures(&workspace),
        Command::Fuzz(options) => fuzz::fuzz(&workspace, &options),
    }
}

/// Parses the command line; clap's page of usage becomes one sentence.
fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{error}");
            Failure::Status(failure::USAGE)
        }
        _ => {
            let text = error.to_string();
            let what: Vec<&str> = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
                .filter(|line| !line.is_empty())
                .collect();
            let what = what.join(" ");
            let what = what.strip_prefix("error: ").unwrap_or(&what);
            Failure::Usage(format!("{what}; `cargo xtask --help` says what there is"))
        }
    })
}
