//! `bench`: the figures that the project promises, measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::emulate;
use crate::failure::Failure;
use crate::process;
use crate::sign;
use crate::web;
use crate::workspace::Workspace;

/// Says what to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Measures one thing only; may be given several times
    #[arg(long, value_name = "WHAT")]
    only: Vec<What>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// How fast payloads are decoded and how fast a virtual day goes by
    Speed,
    /// How many instructions an uplink and a downlink take in the MAC, by callgrind
    Instructions,
    /// Millions of random frames, commands and crashes against the MAC: some minutes
    Counted,
    /// What the images of both chips promise, on the modelled chips: a thousand starts, uplinks, frames and cuts each; an hour
    Image,
    /// A power cut in every flash operation of a swap and of the way back, with both bootloaders on the modelled chips, and a hundred in
    /// uploads through the tag; some minutes
    Cuts,
    /// An image of 100 KB and more through the tag, into the simulated socket and into the images of both chips: how many writes of a
    /// phone, and how long; some minutes
    Tag,
    /// How large the web page is on the wire, and how soon it can be used, in headless Chromium
    Page,
    /// The guide's scenarios that last for hours, on the images of both chips; some minutes
    Scenarios,
    /// A thousand sockets on one gateway: joins, delivery, time on the air; some minutes
    Crowd,
}

/// Runs the benches, which print their method and their result themselves.
///
/// # Errors
/// When one does not build or run, or valgrind is not there.
pub fn bench(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    for what in What::value_variants() {
        if !options.only.is_empty() && !options.only.contains(what) {
            continue;
        }
        match what {
            What::Speed => speed(workspace)?,
            What::Instructions => instructions(workspace)?,
            What::Counted => counted(workspace)?,
            What::Image => image(workspace)?,
            What::Cuts => cuts(workspace)?,
            What::Tag => tag(workspace)?,
            What::Page => process::run(web::test(workspace)?.arg("the page is small"))?,
            What::Scenarios => scenarios(workspace)?,
            What::Crowd => crowd(workspace)?,
        }
    }
    Ok(())
}

fn speed(workspace: &Workspace) -> Result<(), Failure> {
    for (package, bench) in
        [("sockeye-protocol", "decode"), ("sockeye-state-machine", "reading"), ("sockeye-host", "day")]
    {
        process::run(workspace.cargo().args(["bench", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}

/// Repeats of the shorter of two runs; four times what one counter record covers.
const REPEATS: u64 = 128;

fn instructions(workspace: &Workspace) -> Result<(), Failure> {
    if process::find("valgrind").is_none() {
        return Err(Failure::Usage(
            "valgrind is not installed; `cargo xtask setup` installs it on Debian, or see `--only`"
                .to_owned(),
        ));
    }
    let program = instructions_program(workspace)?;
    println!(
        "instructions in the MAC core on this computer, callgrind, AES in software: difference of {} and {REPEATS} repeats",
        2 * REPEATS
    );
    for (what, of) in [
        ("uplink", "24 bytes, unconfirmed, EU868, send to the end of RX2, a counter record every 32nd time"),
        ("downlink", "3 bytes, unconfirmed, RXC, received to the event, with its counter record"),
    ] {
        let (few, many) = (count(&program, what, REPEATS)?, count(&program, what, 2 * REPEATS)?);
        println!("  {what:<8} {:>7}   {of}", many.saturating_sub(few) / REPEATS);
    }
    Ok(())
}

/// Builds the program whose instructions are counted, and says where it is.
fn instructions_program(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["bench", "--quiet", "--no-run", "--message-format", "json"])
        .args(["--package", "sockeye-lorawan-mac", "--bench", "instructions"])
        // The same on every computer, and nearer to a chip: not the processor's own instructions for AES.
        .args(["--config", "build.rustflags=['--cfg', 'aes_force_soft', '--cfg', 'aes_compact']"])
        // Other flags would have everything else built anew in the common folder.
        .arg("--target-dir")
        .arg(workspace.target_dir()?.join("instructions"));
    let text = process::output(&mut cargo)?;
    executable(&text, "instructions")
        .ok_or_else(|| Failure::Failed("cargo names no program for the bench `instructions`".to_owned()))
}

/// Finds in cargo's messages what a target became.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let fits = message["target"]["name"] == target;
        message["executable"].as_str().filter(|_| fits).map(PathBuf::from)
    })
}

fn count(program: &Path, what: &str, repeats: u64) -> Result<u64, Failure> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--read-inline-info=no"])
        .arg(program)
        .args([what, &repeats.to_string()]);
    let output = valgrind
        .output()
        .map_err(|error| Failure::Failed(format!("valgrind cannot be started ({error})")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said).filter(|_| output.status.success()).ok_or_else(|| {
        Failure::Failed(format!("`{}` failed ({}): {said}", process::show(&valgrind), output.status))
    })
}

/// Reads callgrind's sum: `==123== Collected : 4567`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

fn counted(workspace: &Workspace) -> Result<(), Failure> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "--quiet", "--release", "--package", "sockeye-lorawan-mac", "--test", "mac"])
        // Optimised, and yet an overflow is a failure.
        .args(["--config", "profile.release.overflow-checks=true"])
        .args(["--", "--ignored", "--nocapture", "--test-threads", "1", "counted_"]);
    process::run(&mut cargo)
}

/// How often each figure of an image is taken.
const IMAGE_RUNS: &str = "1000";

fn image(workspace: &Workspace) -> Result<(), Failure> {
    let mut cargo = emulation(workspace, "figures")?;
    cargo.args(["--", "--nocapture", "--test-threads", "2"]).env("SOCKEYE_RUNS", IMAGE_RUNS);
    process::run(&mut cargo)
}

fn cuts(workspace: &Workspace) -> Result<(), Failure> {
    let shown = |what| ["--", "--ignored", "--nocapture", what];
    process::run(emulation(workspace, "swap")?.args(shown("any_operation")))?;
    emulate::BOARDS.iter().try_for_each(|board| sign::next(workspace, board))?;
    process::run(emulation(workspace, "upgrade")?.args(shown("a_hundred_cuts")))
}

fn tag(workspace: &Workspace) -> Result<(), Failure> {
    let shown = ["--", "--nocapture", "runs_is_confirmed"];
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--quiet", "--package", "sockeye-host", "--test", "upgrade"]);
    process::run(cargo.args(shown))?;
    // What is carried in; the images themselves take its place.
    emulate::BOARDS.iter().try_for_each(|board| sign::next(workspace, board))?;
    process::run(emulation(workspace, "upgrade")?.args(shown))
}

fn scenarios(workspace: &Workspace) -> Result<(), Failure> {
    let mut cargo = emulation(workspace, "guide")?;
    process::run(cargo.args(["--", "--ignored"]))
}

/// Builds the images of all boards, and gives the command that runs a test of the emulator with optimisation.
fn emulation(workspace: &Workspace, test: &str) -> Result<Command, Failure> {
    for board in emulate::BOARDS {
        emulate::images(workspace, &emulate::Chosen::of(board))?;
    }
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--quiet", "--release", "--package", "sockeye-emulator", "--test", test]);
    Ok(cargo)
}

fn crowd(workspace: &Workspace) -> Result<(), Failure> {
    let mut cargo = workspace.cargo();
    process::run(cargo.args(["bench", "--quiet", "--package", "sockeye-host", "--bench", "crowd"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages_and_the_sum_in_callgrinds() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"instructions","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"day"},"executable":"/t/day-1"}
{"reason":"compiler-artifact","target":{"name":"instructions"},"executable":"/t/instructions-2"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "instructions"), Some(PathBuf::from("/t/instructions-2")));
        assert_eq!(executable(messages, "night"), None);
        let said = "==7== Callgrind, a call-graph generating cache profiler\n==7== Events    : Ir\n==7== Collected : 4567890\n";
        assert_eq!(collected(said), Some(4_567_890));
        assert_eq!(collected("==7== Collected : none"), None);
    }
}
