//! The command line: its options, and what it ends with.

use std::convert::Infallible;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sockeye_settings::{Model, Password, Region};

use crate::commands::{Bench, Failure};
use crate::error::Error;
use crate::link::{Link, LinkError, Talk};
use crate::serial::Serial;
use crate::simulated::{Conduct, Simulated};

/// Reads and sets up LoRaWAN sockets.
#[derive(Debug, Parser)]
#[command(
    name = "sockeye-toolbox",
    version,
    arg_required_else_help = true,
    after_help = "\
A setting is named by its path, or as much of its end as is unlike all others:
  sockeye-toolbox --port /dev/ttyACM0 set reporting_interval_s=600 overcurrent_alarm=12A led=off
`sockeye-toolbox fields` lists them all with their ranges.

Exit status: 0 done; 1 the socket refused or does not answer; 2 wrong usage (a setting, a file, an option)."
)]
pub struct Options {
    #[command(flatten)]
    pub(crate) way: Way,
    /// The password for writing: six digits; a new socket has 123456
    #[arg(long, global = true, env = "SOCKEYE_PASSWORD", hide_env_values = true, value_parser = given, default_value = "123456", hide_default_value = true)]
    pub(crate) password: Given,
    /// Prints JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the socket is.
#[derive(Debug, Args)]
pub struct Way {
    /// The serial port of a board, such as /dev/ttyACM0 or COM3
    #[arg(long, global = true, value_name = "DEVICE", conflicts_with = "sim")]
    pub(crate) port: Option<String>,
    /// A simulated socket, to try things on; with a file it is the same one at the next call
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) sim: Option<Option<PathBuf>>,
    /// The model of a new simulated socket
    #[arg(long, global = true, value_name = "MODEL", value_parser = model, default_value = "EU")]
    pub(crate) sim_model: Model,
    /// The channel plan of a new simulated socket
    #[arg(long, global = true, value_name = "REGION", value_parser = region, default_value = "EU868")]
    pub(crate) sim_region: Region,
    /// The speed of the port
    #[arg(long, global = true, default_value_t = 115_200)]
    pub(crate) baud: u32,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads status and settings
    Read,
    /// Writes settings: all of them, or none
    Set {
        /// Settings, as `led=off overcurrent_alarm=12A`
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
        settings: Vec<(String, String)>,
    },
    /// Saves settings for other sockets of the same model and band, writes them, or compares
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Changes the password
    Password {
        /// The new one: six digits
        #[arg(value_parser = given)]
        new: Given,
    },
    /// Resets to factory defaults; needs --yes
    Reset {
        /// Yes, settings, password and energy sum may go
        #[arg(long)]
        yes: bool,
    },
    /// Switches the relay
    Relay {
        /// What to do
        to: Switch,
    },
    /// Has a report sent
    Report,
    /// Restarts the socket
    Reboot,
    /// Sets the energy sum to 0
    ResetEnergy,
    /// Writes a signed update; goes on where an interrupted one stopped
    Upgrade {
        /// The file (NAME.update), as `cargo xtask sign` and `cargo xtask dist` make it
        file: PathBuf,
    },
    /// Gives an upgrade up that was begun
    AbortUpgrade,
    /// Makes a signed update for simulated sockets, to try `upgrade` with; needs no socket
    SimUpdate {
        /// The file to write
        file: PathBuf,
        /// The version that it brings
        #[arg(long, value_name = "V", value_parser = version, default_value = "0.2")]
        version: [u8; 2],
        /// How its firmware does: `hangs` and `cannot-measure` are updates that go back
        #[arg(long, value_enum, default_value = "well")]
        does: Does,
    },
    /// Lists all settings with ranges and defaults; needs no socket
    Fields {
        /// For this channel plan
        #[arg(long, value_parser = region, default_value = "EU868")]
        region: Region,
        /// For this model
        #[arg(long, value_parser = model, default_value = "EU")]
        model: Model,
    },
}

/// What to do with a template.
#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// Saves the socket's settings; keys cannot be read, so they come from what is given after FILE
    Save {
        /// The file; `-` is standard output
        file: PathBuf,
        /// More settings to write into it, as `app_key=00112233445566778899AABBCCDDEEFF`
        #[arg(value_name = "KEY=VALUE", value_parser = assignment)]
        settings: Vec<(String, String)>,
    },
    /// Writes a template to the socket
    Apply {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Tells in what the socket differs from a template
    Diff {
        /// The file; `-` is standard input
        file: PathBuf,
    },
}

/// What the relay is to do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Switch {
    /// Supply power
    On,
    /// Cut it
    Off,
    /// The other one
    Toggle,
}

/// How the firmware of an update does.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Does {
    /// As it should
    Well,
    /// It never comes to run
    Hangs,
    /// It cannot read its meter
    CannotMeasure,
}

impl From<Does> for Conduct {
    fn from(does: Does) -> Self {
        match does {
            Does::Well => Self::Well,
            Does::Hangs => Self::Hangs,
            Does::CannotMeasure => Self::CannotMeasure,
        }
    }
}

/// Reads a version as sockets show it: `0.20` is `[0x00, 0x20]`.
fn version(text: &str) -> Result<[u8; 2], String> {
    let number = |digits: &str| {
        let is_plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        u8::from_str_radix(digits, 16).ok().filter(|_| is_plain)
    };
    let parts = text.split_once('.').and_then(|(major, minor)| Some([number(major)?, number(minor)?]));
    parts.ok_or_else(|| "expected a version such as 0.2 or 1.14".to_owned())
}

/// What was given as a password: none if it cannot be one. clap would print what it refuses.
#[derive(Debug, Clone, Copy)]
pub struct Given(Option<Password>);

impl Given {
    /// Returns the password.
    ///
    /// # Errors
    /// [`Error::PasswordForm`].
    pub(crate) fn password(self) -> Result<Password, Error> {
        self.0.ok_or(Error::PasswordForm)
    }
}

fn given(text: &str) -> Result<Given, Infallible> {
    Ok(Given(Password::new(text.as_bytes())))
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, as led=off")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn region(text: &str) -> Result<Region, String> {
    let all = || Region::ALL.map(Region::name).join(", ");
    Region::from_name(text).ok_or_else(|| format!("expected one of {}", all()))
}

fn model(text: &str) -> Result<Model, String> {
    let all = || Model::ALL.map(Model::name).join(", ");
    Model::from_name(text).ok_or_else(|| format!("expected one of {}", all()))
}

/// No way to a socket: for what needs none.
struct Nowhere;

impl Link for Nowhere {
    fn exchange(&mut self, _: &[u8]) -> Result<Vec<u8>, LinkError> {
        Err(LinkError::NoWay)
    }
}

/// Reads the command line, does what it says, and returns the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => {
                let args: Vec<_> = std::env::args().collect();
                // Who asked for JSON gets it, for wrong usage too.
                let is_json = args.iter().any(|arg| arg == "--json");
                return end(&Failure::Here(sentence(&error.to_string(), &args)), is_json);
            }
        },
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure, options.json),
    }
}

/// Tells why a call ends, and returns its status.
fn end(failure: &Failure, json: bool) -> ExitCode {
    if json {
        // Whoever reads may have stopped doing so.
        let _ = writeln!(stdout(), "{}", failure.json());
    } else {
        eprintln!("error: {failure}");
    }
    ExitCode::from(if failure.is_usage() { 2 } else { 1 })
}

/// Makes one sentence of clap's page about wrong usage.
fn sentence(page: &str, args: &[String]) -> String {
    let is_over = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines = page.lines().map(str::trim).take_while(|line| !is_over(line));
    let what: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let what = what.join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    // It takes what follows for a command.
    let file = args.iter().skip_while(|arg| *arg != "--sim").nth(1);
    match file.filter(|file| what.starts_with(&format!("unrecognized subcommand '{file}'"))) {
        Some(file) => format!("{what}; the file of a simulated socket is written --sim={file}"),
        None => format!("{what}; `sockeye-toolbox --help` says what there is"),
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let Options { way, password, json, command } = options;
    if matches!(command, Command::Fields { .. } | Command::SimUpdate { .. }) {
        return Bench { talk: Talk::new(Nowhere, None), json: *json }.run(command);
    }
    let password = password.password()?;
    if let Some(file) = &way.sim {
        let simulated = plug_in(way, file.as_deref()).map_err(Failure::Here)?;
        let keep = |socket: &Simulated| match file {
            Some(file) => fs::write(file, socket.keep())
                .map_err(|error| Failure::Here(format!("cannot write {}: {error}", file.display()))),
            None => Ok(()),
        };
        // Where it cannot be kept nothing is done with it.
        keep(&simulated)?;
        let mut bench = Bench { talk: Talk::new(simulated, Some(password)), json: *json };
        let result = bench.run(command);
        // Also after a refusal: a wrong password is counted.
        let mut simulated = bench.talk.into_link();
        if file.is_some() {
            simulated.run_ms(if matches!(command, Command::Upgrade { .. }) { TRIAL_MS } else { SETTLE_MS });
        }
        keep(&simulated)?;
        return result;
    }
    match &way.port {
        Some(port) => {
            let link = Serial::open(port, way.baud).map_err(Error::from)?;
            Bench { talk: Talk::new(link, Some(password)), json: *json }.run(command)
        }
        None => Bench { talk: Talk::new(Nowhere, Some(password)), json: *json }.run(command),
    }
}

/// How long a simulated socket lives on after what was asked of it, in ms: it may have something to store, or a restart to do.
const SETTLE_MS: u64 = 5_000;

/// How long it lives on after an upgrade, in ms: until it has restarted and its new image has shown for a minute that it is well.
/// Without power before that it would go back.
const TRIAL_MS: u64 = 120_000;

fn plug_in(way: &Way, file: Option<&Path>) -> Result<Simulated, String> {
    match file {
        Some(file) if file.exists() => {
            let kept = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Simulated::restore(&kept).map_err(|why| format!("{}: {why}", file.display()))
        }
        _ => Simulated::new(way.sim_model, way.sim_region, 0),
    }
}
