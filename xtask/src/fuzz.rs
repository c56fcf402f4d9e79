//! `fuzz`: libFuzzer on one of the targets in crates/fuzz.
//!
//! No sanitizer is used: our crates forbid unsafe code, and without one the repository's own stable toolchain
//! suffices.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
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
    process::run(&mut command(workspace, options)?)
}

/// Runs every target for its short time, one on each core, and gives what came of each.
///
/// # Errors
/// When the targets cannot be found or built.
pub fn every(workspace: &Workspace) -> Result<Vec<Result<(), Failure>>, Failure> {
    let mut waiting: Vec<_> = targets(workspace)?.into_iter().map(Options::short).collect();
    // The last one is taken first: the longest.
    waiting.sort_by_key(|options| options.time);
    process::run(&mut cargo_fuzz(workspace, "build")?)?;
    let (waiting, done) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some(options) = take() {
            let result =
                command(workspace, &options).and_then(|mut command| process::run_aside(&mut command));
            let result = result.map(|said| println!("{}: {}", options.target, executed(&said)));
            done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Reads from what libFuzzer said how many inputs it tried.
fn executed(said: &str) -> String {
    let number = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    number.map_or_else(|| "ok".to_owned(), |number| format!("{} inputs", number.trim()))
}

/// cargo-fuzz on our folders.
fn cargo_fuzz(workspace: &Workspace, what: &str) -> Result<Command, Failure> {
    if process::find("cargo-fuzz").is_none() {
        return Err(Failure::Usage(
            "cargo-fuzz is not installed; `cargo xtask setup` installs it".to_owned(),
        ));
    }
    let mut cargo = workspace.cargo();
    cargo
        .args(["fuzz", what, "--fuzz-dir", "crates/fuzz", "--sanitizer", "none", "--target-dir"])
        .arg(workspace.target_dir()?.join("fuzz"));
    Ok(cargo)
}

fn command(workspace: &Workspace, options: &Options) -> Result<Command, Failure> {
    let Options { target, time, input } = options;
    let known = targets(workspace)?;
    if !known.contains(target) {
        let known = known.join(", ");
        return Err(Failure::Usage(format!("there is no fuzz target `{target}`; choose one of: {known}")));
    }
    let mut cargo = cargo_fuzz(workspace, "run")?;
    cargo
        .arg(target)
        // cargo-fuzz is an anyhow program: with a backtrace it hides the failing input behind its own stack.
        .env("RUST_LIB_BACKTRACE", "0");
    if let Some(input) = input {
        let input =
            input.canonicalize().map_err(|error| Failure::Usage(format!("{}: {error}", input.display())))?;
        cargo.arg(input);
        return Ok(cargo);
    }
    // The first folder takes what is found; the seeds of the repository are only read.
    let found = workspace.target_dir()?.join("fuzz-corpus").join(target);
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
    Ok(cargo)
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
    fn the_number_of_inputs_is_found_in_what_libfuzzer_says() {
        let said = "INFO: seed corpus\nstat::number_of_executed_units: 1428184\nstat::peak_rss_mb:              35\n";
        assert_eq!(executed(said), "1428184 inputs");
        assert_eq!(executed("Running"), "ok");
    }

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
