//! `fuzz`: libFuzzer on one of the targets in crates/fuzz.
//!
//! No sanitizer is used: our crates forbid unsafe code, and without one the repository's own stable toolchain
//! suffices.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Says what to fuzz, and how long.
#[derive(Debug, Args)]
pub struct Options {
    /// A file of crates/fuzz/fuzz_targets, without its `.rs`
    target: String,
    /// How long, as 30s, 10m or 8h
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration)]
    time: Duration,
    /// Runs this one input instead, as a failure left it in crates/fuzz/artifacts
    input: Option<PathBuf>,
}

impl Options {
    /// Gives a target the time that it has in `cargo xtask test`: 30 seconds, and the MAC, with its many states, 60.
    pub fn short(target: String) -> Self {
        let seconds = if target == "lorawan_mac" { 60 } else { 30 };
        Self { target, time: Duration::from_secs(seconds), input: None }
    }
}

/// Runs one target.
///
/// # Errors
/// A target that is not there, a missing cargo-fuzz, an input that fails.
pub fn fuzz(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let Options { target, time, input } = options;
    let known = targets(workspace)?;
    if !known.contains(target) {
        let known = known.join(", ");
        return Err(Failure::Usage(format!("there is no fuzz target `{target}`; choose one of: {known}")));
    }
    if process::find("cargo-fuzz").is_none() {
        return Err(Failure::Usage(
            "cargo-fuzz is not installed; `cargo xtask setup` installs it".to_owned(),
        ));
    }
    let build_dir = workspace.target_dir()?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["fuzz", "run", "--fuzz-dir", "crates/fuzz", "--sanitizer", "none", "--target-dir"])
        .arg(build_dir.join("fuzz"))
        .arg(target)
        // cargo-fuzz is an anyhow program: with a backtrace it hides the failing input behind its own stack.
        .env("RUST_LIB_BACKTRACE", "0");
    if let Some(input) = input {
        let input =
            input.canonicalize().map_err(|error| Failure::Usage(format!("{}: {error}", input.display())))?;
        return process::run(cargo.arg(input));
    }
    // The first folder takes what is found; the seeds of the repository are only read.
    let found = build_dir.join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).map_err(|error| Failure::file(&found, error))?;
    cargo.arg(found);
    let seeds = workspace.root.join("crates/fuzz/corpus").join(target);
    if seeds.is_dir() {
        cargo.arg(seeds);
    }
    let seconds = time.as_secs().max(1);
    cargo.arg("--").arg(format!("-max_total_time={seconds}")).args([
        "-timeout=10",
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    process::run(&mut cargo)
}

/// Lists the targets by their files.
///
/// # Errors
/// When the folder cannot be read.
pub fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let folder = workspace.root.join("crates/fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| Failure::file(&folder, error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "a time is a number and one of s, m, h, as in 30s".to_owned();
    let unit_s = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    number.checked_mul(unit_s).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("8h", 28_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in
            ["", "30", "s", "-1s", "0s", "1.5m", "30ä", "99999999999999999999h", "9999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
