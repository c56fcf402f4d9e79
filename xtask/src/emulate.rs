//! `emulate`: a board's image on a modelled chip.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::board::{Board, Choice};
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
    let (board, rest) = take_board(args)?;
    let mut emulator = Command::new(build_emulator(workspace)?);
    if !rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        let Images { application, bootloader } = images(workspace, &board)?;
        emulator.arg("--elf").arg(application);
        if let Some(bootloader) = bootloader {
            emulator.arg("--bootloader").arg(bootloader);
        }
    }
    emulator.args(rest);
    run::replace(&mut emulator)
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
pub fn images(workspace: &Workspace, name: &str) -> Result<Images, Failure> {
    let choice = Choice { board: name.to_owned(), variant: None };
    let (board, variant) = Board::choose(&workspace.root, &choice)?;
    if !BOARDS.contains(&name) {
        return Err(Failure::Usage(format!("there is no model of {name}, only of {}", BOARDS.join(" and "))));
    }
    let bootloader = build::make_bootloader(workspace, &board)?.map(|image| image.elf);
    Ok(Images { application: build::make(workspace, &board, &variant)?.elf, bootloader })
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

/// Takes `--board` from the arguments; the others are the emulator's.
fn take_board(args: &[OsString]) -> Result<(String, Vec<OsString>), Failure> {
    let mut board = None;
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--board" {
            let name = args.next().ok_or_else(|| Failure::Usage("--board wants a name".to_owned()))?;
            board = Some(name.to_string_lossy().into_owned());
        } else if let Some(name) = text.strip_prefix("--board=") {
            board = Some(name.to_owned());
        } else {
            rest.push(arg.clone());
        }
    }
    Ok((board.unwrap_or_else(|| BOARDS[0].to_owned()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_is_found_anywhere_among_the_options_of_the_run() {
        let check = |text: &str, board: &str, rest: &str| {
            let args: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            let expected: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
            assert_eq!(take_board(&args).unwrap(), (board.to_owned(), expected), "{text}");
        };
        check("", "stm32wl", "");
        check("--for 2h --board x --json", "x", "--for 2h --json");
        check("--board=x --seed 3", "x", "--seed 3");
        assert!(take_board(&["--board".into()]).is_err());
    }
}
