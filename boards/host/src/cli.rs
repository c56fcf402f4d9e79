//! The options of a run.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use sockeye_settings::{Model, Region};

use crate::script::parse_duration;

/// Runs a simulated LoRaWAN socket with its own network server.
///
/// Without --for it runs in real time with a live view, and takes the commands of a script typed in.
/// With --for it runs as fast as it can. Ctrl-C ends it with its summary.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask run", bin_name = "cargo xtask run", version, max_term_width = 100)]
pub struct Options {
    /// How long the run lasts in the socket's time, for example 90s, 5m, 2h or 1d.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration_ms: Option<u64>,

    /// What all randomness in the run comes from; the same seed gives the same run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// The channel plan: EU868, US915, AU915, AS923-1 to AS923-4, KR920, IN865, RU864, EU433 or CN470.
    #[arg(long, value_name = "REGION", default_value = "EU868", value_parser = region)]
    pub region: Region,

    /// The socket's model, which sets its rated current.
    #[arg(long, value_name = "MODEL", default_value = "EU", ignore_case = true)]
    pub model: ModelName,

    /// The device's EUI, 16 hex digits.
    #[arg(long, value_name = "HEX", default_value = "24E124148C371943", value_parser = hex::<8>)]
    pub dev_eui: Bytes<8>,

    /// The device's application key, 32 hex digits; without it the guide's default.
    #[arg(long, value_name = "HEX", value_parser = hex::<16>)]
    pub app_key: Option<Bytes<16>>,

    /// The serial number, 16 hex digits.
    #[arg(long, value_name = "HEX", default_value = "61483C3719439105", value_parser = hex::<8>)]
    pub sn: Bytes<8>,

    /// A settings file (JSON, as templates are) that the sockets start with; see docs/RUN.md.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// A file of stimuli, one a line; `-` is standard input. See docs/RUN.md.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// Prints one JSON object a line.
    #[arg(long)]
    pub json: bool,

    /// Keeps to the computer's clock although --for is given.
    #[arg(long)]
    pub realtime: bool,

    /// Carries frames to a real network server by the gateways' UDP protocol, in real time.
    #[arg(long, value_name = "HOST:PORT")]
    pub gateway: Option<String>,

    /// The EUI of that gateway, 16 hex digits.
    #[arg(long, value_name = "HEX", default_value = "24E124FFFE000001", value_parser = hex::<8>)]
    pub gateway_eui: Bytes<8>,

    /// How many sockets share the air and the network.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub sockets: u16,

    /// Lets the button of the first socket switch all others by D2D; needs --sockets. See docs/RUN.md.
    #[arg(long)]
    pub d2d_controller: bool,

    /// Writes the run as a picture (SVG): power, relay and frames of the first socket over time.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

fn region(text: &str) -> Result<Region, String> {
    let names = || Region::ALL.map(Region::name).join(", ");
    Region::from_name(&text.to_uppercase()).ok_or_else(|| format!("expected one of {}", names()))
}

/// The models by the names of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "named as on the command line")]
pub enum ModelName {
    #[value(name = "EU")]
    Eu,
    #[value(name = "UK")]
    Uk,
    #[value(name = "US")]
    Us,
    #[value(name = "AU")]
    Au,
    #[value(name = "CN10")]
    Cn10,
    #[value(name = "CN16")]
    Cn16,
}

impl From<Model> for ModelName {
    fn from(model: Model) -> Self {
        match model {
            Model::Eu => Self::Eu,
            Model::Uk => Self::Uk,
            Model::Us => Self::Us,
            Model::Au => Self::Au,
            Model::Cn10 => Self::Cn10,
            Model::Cn16 => Self::Cn16,
        }
    }
}

impl From<ModelName> for Model {
    fn from(name: ModelName) -> Self {
        match name {
            ModelName::Eu => Self::Eu,
            ModelName::Uk => Self::Uk,
            ModelName::Us => Self::Us,
            ModelName::Au => Self::Au,
            ModelName::Cn10 => Self::Cn10,
            ModelName::Cn16 => Self::Cn16,
        }
    }
}

/// Bytes given as hex digits. `Debug` shows none: one of them is a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> std::fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{N} bytes")
    }
}

fn duration(text: &str) -> Result<u64, String> {
    match parse_duration(text) {
        Ok(0) => Err("a run needs a time above 0".into()),
        Ok(ms) => Ok(ms),
        Err(expected) => Err(format!("expected {expected}")),
    }
}

fn hex<const N: usize>(text: &str) -> Result<Bytes<N>, String> {
    let wrong = || format!("expected {} hex digits", 2 * N);
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, String> {
        Options::try_parse_from(["run"].into_iter().chain(words.split_whitespace()))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn options_of_the_command_line_page_are_understood() {
        let options = parse(
            "--for 2h --json --seed 7 --region eu868 --model AU --dev-eui 0102030405060708 --script - --sockets 3",
        )
        .unwrap();
        assert_eq!(options.duration_ms, Some(7_200_000));
        assert_eq!((options.seed, options.sockets, options.json), (7, 3, true));
        assert_eq!(options.model, ModelName::Au);
        assert_eq!(options.dev_eui.0, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn wrong_options_are_told_with_what_was_expected() {
        for (words, told) in [
            ("--for 2", "expected"),
            ("--for 0s", "above 0"),
            ("--dev-eui 12", "16 hex digits"),
            ("--app-key 5572404C696E6B4C6F526132303138ZZ", "32 hex digits"),
            ("--model XX", "EU"),
            ("--region MARS1", "EU868"),
            ("--sockets 0", "1..=1000"),
            ("--nonsense", "--nonsense"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(told), "{words}: {error}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let options = parse("--app-key 5572404C696E6B4C6F52613230313823").unwrap();
        assert!(!format!("{options:?}").to_lowercase().contains("5572"));
        assert!(!format!("{options:?}").contains("85, 114"));
    }
}
