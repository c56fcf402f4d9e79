//! `flash`: puts an image on a chip, through a debug probe or the drive of the boot ROM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::board::{Board, Choice, Method, Uf2, Variant};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{build, process};

/// Says what goes where.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    choice: Choice,
    /// By which way; the first one of board.toml if not given
    #[arg(long)]
    method: Option<Method>,
    /// The mounted boot drive, if it is not found by itself; chooses `uf2`
    #[arg(long, value_name = "PATH")]
    drive: Option<PathBuf>,
    /// Leave the bootloader on the chip as it is
    #[arg(long)]
    application_only: bool,
    /// Print the commands and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Builds an image and flashes it.
///
/// # Errors
/// A board that is not there, a missing target, tool, probe or drive, an image that does not build.
pub fn flash(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (board, variant) = Board::choose(&workspace.root, &options.choice)?;
    match method(&board, options)? {
        Method::ProbeRs => by_probe(workspace, &board, &variant, options),
        Method::Uf2 => by_drive(workspace, &board, &variant, options),
    }
}

fn method(board: &Board, options: &Options) -> Result<Method, Failure> {
    let default =
        if options.drive.is_some() { Some(Method::Uf2) } else { board.flash.methods.first().copied() };
    let method = options.method.or(default).unwrap_or(Method::ProbeRs);
    let name = &board.about.name;
    if options.drive.is_some() && method != Method::Uf2 {
        return Err(Failure::Usage(
            "`--drive` goes with `--method uf2`; leave one of the two out".to_owned(),
        ));
    }
    if board.flash.methods.contains(&method) {
        return Ok(method);
    }
    let sentence = match method {
        Method::Uf2 => format!("the chip of {name} shows no drive; leave `--method uf2` and `--drive` out"),
        Method::ProbeRs => format!("{name} is not flashed by probe-rs; use `--method uf2`"),
    };
    Err(Failure::Usage(sentence))
}

/// What is flashed: the bootloader first, if it is wanted.
fn images(workspace: &Workspace, board: &Board, options: &Options) -> Result<Vec<PathBuf>, Failure> {
    let bootloader = board.about.bootloader.iter().filter(|_| !options.application_only);
    bootloader.chain([&board.about.package]).map(|package| build::elf(workspace, board, package)).collect()
}

/// The calls of cargo that make them.
fn builds(workspace: &Workspace, board: &Board, variant: &Variant, options: &Options) -> Vec<Command> {
    let bootloader = build::cargo_bootloader(workspace, board).filter(|_| !options.application_only);
    bootloader.into_iter().chain([build::cargo(workspace, board, variant)]).collect()
}

fn make(workspace: &Workspace, board: &Board, variant: &Variant, options: &Options) -> Result<(), Failure> {
    if !options.application_only {
        build::make_bootloader(workspace, board)?;
    }
    build::make(workspace, board, variant).map(drop)
}

fn by_probe(
    workspace: &Workspace,
    board: &Board,
    variant: &Variant,
    options: &Options,
) -> Result<(), Failure> {
    let chip = &variant.probe_chip;
    let mut commands = Vec::new();
    for elf in images(workspace, board, options)? {
        let mut download = Command::new("probe-rs");
        download.args(["download", "--chip", chip]).arg(&elf);
        commands.push(download);
    }
    let mut reset = Command::new("probe-rs");
    reset.args(["reset", "--chip", chip]);
    commands.push(reset);
    if options.dry_run {
        for command in builds(workspace, board, variant, options).iter().chain(&commands) {
            println!("{}", process::show(command));
        }
        return Ok(());
    }
    check_probe(board)?;
    make(workspace, board, variant, options)?;
    commands.iter_mut().try_for_each(process::run)
}

/// Checks that there is a probe, and the program that talks to it.
///
/// # Errors
/// What to do if not.
pub fn check_probe(board: &Board) -> Result<(), Failure> {
    if process::find("probe-rs").is_none() {
        let other = if board.uf2.is_some() { ", or use `--method uf2`" } else { "" };
        return Err(Failure::Usage(format!(
            "probe-rs is not installed; `cargo install probe-rs-tools --locked` installs it{other}"
        )));
    }
    let probes = process::output(Command::new("probe-rs").arg("list"))?;
    if probes.contains("No debug probes were found") {
        return Err(Failure::Usage("no debug probe is connected; connect one and try again".to_owned()));
    }
    Ok(())
}

fn by_drive(
    workspace: &Workspace,
    board: &Board,
    variant: &Variant,
    options: &Options,
) -> Result<(), Failure> {
    let name = &board.about.name;
    let Some(uf2) = &board.uf2 else {
        return Err(Failure::Failed(format!(
            "boards/{name}/board.toml lists the method uf2 but has no [uf2]"
        )));
    };
    let images = images(workspace, board, options)?;
    let mut file = build::elf(workspace, board, &board.about.package)?.with_extension("uf2");
    let drive = match &options.drive {
        Some(path) => check_drive(path, uf2).map(|()| path.clone()),
        None => find_drive(uf2, &mounted()),
    };
    if options.dry_run {
        // Without the chip at hand one may still want to know what would be done.
        let drive = drive
            .or_else(|failure| options.drive.is_none().then(|| PathBuf::from("DRIVE")).ok_or(failure))?;
        for command in builds(workspace, board, variant, options) {
            println!("{}", process::show(&command));
        }
        println!(
            "{}",
            process::show(
                Command::new("cp").arg(&file).arg(drive.join(file.file_name().unwrap_or_default()))
            )
        );
        return Ok(());
    }
    let drive = drive?;
    make(workspace, board, variant, options)?;
    // The application's name for the file, whatever comes with it.
    let images: Vec<&Path> = images.iter().rev().map(PathBuf::as_path).collect();
    file = build::make_uf2(board, &images)?.unwrap_or(file);
    let bytes = fs::read(&file).map_err(|error| Failure::file(&file, error))?;
    let there = drive.join(file.file_name().unwrap_or_default());
    // One write: the chip restarts as soon as it has the last block, and the drive is gone.
    fs::write(&there, bytes).map_err(|error| Failure::file(&there, error))?;
    println!("{} is on the drive {}; the chip restarts by itself", workspace.short(&file), drive.display());
    Ok(())
}

/// Tells the places where drives are mounted: what the kernel lists, and the usual folders.
fn mounted() -> Vec<PathBuf> {
    let listed = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut places: Vec<PathBuf> = listed.lines().filter_map(mount_point).collect();
    // macOS has no such list, but one folder for all.
    places.extend(fs::read_dir("/Volumes").into_iter().flatten().flatten().map(|entry| entry.path()));
    places
}

/// A line of the list is `device place type …`, with blanks in names as `\040`.
fn mount_point(line: &str) -> Option<PathBuf> {
    line.split(' ').nth(1).map(|place| PathBuf::from(place.replace("\\040", " ")))
}

fn find_drive(uf2: &Uf2, places: &[PathBuf]) -> Result<PathBuf, Failure> {
    let found: Vec<&PathBuf> = places.iter().filter(|place| check_drive(place, uf2).is_ok()).collect();
    match found.as_slice() {
        [drive] => Ok((*drive).clone()),
        [] => Err(Failure::Usage(format!(
            "no mounted drive {} was found; hold BOOTSEL while you plug the board in, mount the drive, or give it by `--drive`",
            uf2.volume
        ))),
        [first, ..] => Err(Failure::Usage(format!(
            "{} drives {} are mounted; choose one, as by `--drive {}`",
            found.len(),
            uf2.volume,
            first.display()
        ))),
    }
}

/// Checks that a folder is the boot drive of the right chip, so that no other board gets our image.
fn check_drive(place: &Path, uf2: &Uf2) -> Result<(), Failure> {
    let file = place.join("INFO_UF2.TXT");
    let Ok(text) = fs::read_to_string(&file) else {
        return Err(Failure::Usage(format!("{} is no boot drive: it has no INFO_UF2.TXT", place.display())));
    };
    let id = text.lines().find_map(|line| line.strip_prefix("Board-ID:")).map(str::trim);
    if id == Some(uf2.volume.as_str()) {
        return Ok(());
    }
    let id = id.unwrap_or("nothing");
    Err(Failure::Usage(format!("{} is the boot drive of {id} and not of {}", place.display(), uf2.volume)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pico() -> Uf2 {
        Uf2 { family: 0xE48B_FF56, volume: "RPI-RP2".to_owned() }
    }

    fn drive(id: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        // As the boot ROM of the RP2040 writes it.
        let text = format!("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {id}\r\n");
        fs::write(folder.path().join("INFO_UF2.TXT"), text).unwrap();
        folder
    }

    fn sentence(result: Result<PathBuf, Failure>) -> String {
        match result {
            Err(Failure::Usage(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_boot_drive_of_the_right_chip_is_found_among_others() {
        let (right, other, plain) = (drive("RPI-RP2"), drive("RP2350"), tempfile::tempdir().unwrap());
        let places = [plain.path(), other.path(), right.path()].map(Path::to_owned);
        assert_eq!(find_drive(&pico(), &places), Ok(right.path().to_owned()));
    }

    #[test]
    fn no_drive_and_two_drives_say_what_to_do() {
        let (one, two) = (drive("RPI-RP2"), drive("RPI-RP2"));
        assert!(sentence(find_drive(&pico(), &[])).contains("hold BOOTSEL"));
        let places = [one.path(), two.path()].map(Path::to_owned);
        assert!(
            sentence(find_drive(&pico(), &places)).starts_with("2 drives RPI-RP2 are mounted; choose one")
        );
    }

    #[test]
    fn a_folder_that_is_no_boot_drive_is_refused() {
        let plain = tempfile::tempdir().unwrap();
        let check = |place: &Path| sentence(check_drive(place, &pico()).map(|()| place.to_owned()));
        assert!(check(plain.path()).contains("no INFO_UF2.TXT"));
        assert!(check(drive("RP2350").path()).contains("the boot drive of RP2350 and not of RPI-RP2"));
    }

    #[test]
    fn a_mount_point_may_hold_blanks() {
        let line = r"/dev/sda1 /media/me/MY\040DRIVE vfat rw,nosuid 0 0";
        assert_eq!(mount_point(line), Some(PathBuf::from("/media/me/MY DRIVE")));
        assert_eq!(mount_point(""), None);
    }
}
