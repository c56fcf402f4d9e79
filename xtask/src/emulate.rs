//! `emulate`: a board's image on a modelled chip.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::board::{Board, Choice, Variant};
use crate::build;
use crate::failure::Failure;
use crate::process;
use crate::run;
use crate::workspace::Workspace;

/// Those that are modelled. The first is the default.
pub const BOARDS: [&str; 2] = ["stm32wl", "rp2040-sx1262"];

/// Builds the board's image and the emulator, and becomes it.
///
/// # Errors
/// A board that is not modelled, an image or an emulator that does not build.
pub fn emulate(workspace: &Workspace, args: &[OsString]) -> Result<(), Failure> {
    let (chosen, rest) = take_board(args)?;
    // Before the minutes that the emulator takes to build.
    modelled(workspace, &chosen.choice)?;
    let mut emulator = Command::new(build_emulator(workspace)?);
    if !rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        let Images { application, bootloader } = images(workspace, &chosen)?;
        emulator.arg("--elf").arg(application);
        if let Some(bootloader) = bootloader {
            emulator.arg("--bootloader").arg(bootloader);
        }
    }
    emulator.args(rest);
    run::replace(&mut emulator)
}

/// Which image is to run.
#[derive(Debug)]
pub struct Chosen {
    choice: Choice,
    log: bool,
}

impl Chosen {
    /// The board's first variant, as it is given to others.
    #[must_use]
    pub fn of(board: &str) -> Self {
        Self { choice: Choice { board: board.to_owned(), variant: None }, log: false }
    }
}

/// Where the images of a board are.
pub struct Images {
    application: PathBuf,
    bootloader: Option<PathBuf>,
}

/// Builds the images of a board that is modelled, and says where they are.
///
/// # Errors
/// A board that is not modelled, an image that does not build.
pub fn images(workspace: &Workspace, Chosen { choice, log }: &Chosen) -> Result<Images, Failure> {
    let (board, variant) = modelled(workspace, choice)?;
    let variant = if *log { variant.with_log() } else { variant };
    let bootloader = build::make_bootloader(workspace, &board)?.map(|image| image.elf);
    Ok(Images { application: build::make(workspace, &board, &variant)?.elf, bootloader })
}

fn modelled(workspace: &Workspace, choice: &Choice) -> Result<(Board, Variant), Failure> {
    let found = Board::choose(&workspace.root, choice)?;
    let name = choice.board.as_str();
    if !BOARDS.contains(&name) {
        return Err(Failure::Usage(format!("there is no model of {name}, only of {}", BOARDS.join(" and "))));
    }
    Ok(found)
}

fn build_emulator(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let program = format!("sockeye-emulate{}", std::env::consts::EXE_SUFFIX);
    let program = workspace.target_dir()?.join("release").join(program);
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", "sockeye-emulator"]);
    if program.is_file() {
        cargo.arg("--quiet");
    }
    process::run(&mut cargo)?;
    Ok(program)
}

/// Takes `--board`, `--variant` and `--log` from the arguments; the others are the emulator's.
fn take_board(args: &[OsString]) -> Result<(Chosen, Vec<OsString>), Failure> {
    let mut chosen = Chosen::of(BOARDS[0]);
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
        match name {
            "--log" if value.is_none() => chosen.log = true,
            "--board" | "--variant" => {
                let value = match value {
                    Some(value) => value.to_owned(),
                    None => args
                        .next()
                        .ok_or_else(|| Failure::Usage(format!("{name} wants a name")))?
                        .to_string_lossy()
                        .into_owned(),
                };
                match name {
                    "--board" => chosen.choice.board = value,
                    _ => chosen.choice.variant = Some(value),
                }
            }
            _ => rest.push(arg.clone()),
        }
    }
    Ok((chosen, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_anywhere_among_the_options_of_the_run() {
        let check = |text: &str, board: &str, variant: Option<&str>, log: bool, rest: &str| {
            let args: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            let expected: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
            let (chosen, rest) = take_board(&args).unwrap();
            assert_eq!(
                (&*chosen.choice.board, chosen.choice.variant.as_deref(), chosen.log, rest),
                (board, variant, log, expected),
                "{text}"
            );
        };
        check("", "stm32wl", None, false, "");
        check("--for 2h --board x --json", "x", None, false, "--for 2h --json");
        check("--board=x --seed 3", "x", None, false, "--seed 3");
        check("--variant y --log --seed 3", "stm32wl", Some("y"), true, "--seed 3");
        check("--trace=log --variant=y", "stm32wl", Some("y"), false, "--trace=log");
        assert!(take_board(&["--board".into()]).is_err());
        assert!(take_board(&["--variant".into()]).is_err());
    }
}
