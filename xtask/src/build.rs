//! `build`: a board's image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::board::{Board, Choice, Variant};
use crate::failure::Failure;
use crate::image::{self, Size};
use crate::workspace::Workspace;
use crate::{process, size, uf2};

/// Says what to build.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    choice: Choice,
    /// With a log by RTT, for a debug probe: not for a product, and not every image has room for it
    #[arg(long)]
    log: bool,
    /// The version that the image tells, in place of its own: for trying an upgrade
    #[arg(long, value_name = "V", value_parser = software_version)]
    version_as: Option<[u8; 2]>,
}

impl Options {
    /// Chooses a variant.
    #[must_use]
    pub fn of(choice: Choice) -> Self {
        Self { choice, log: false, version_as: None }
    }

    /// Chooses a variant with its log.
    #[must_use]
    pub fn with_log(choice: Choice) -> Self {
        Self { choice, log: true, version_as: None }
    }
}

/// What boards/build.rs reads a version from that is not the firmware's own.
pub const VERSION_VARIABLE: &str = "SOCKEYE_VERSION_AS";

/// Reads `1.14` as basic information has it: `[0x01, 0x14]`.
pub fn software_version(text: &str) -> Result<[u8; 2], String> {
    let byte = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        u8::from_str_radix(text, 16).ok().filter(|_| digits)
    };
    let parsed = text.split_once('.').and_then(|(major, minor)| Some([byte(major)?, byte(minor)?]));
    parsed.ok_or_else(|| format!("`{text}` is no version such as 1.14"))
}

/// Is what a build made.
#[derive(Debug)]
pub struct Image {
    /// The image with its symbols.
    pub elf: PathBuf,
    /// What it takes.
    pub size: Size,
}

/// Builds an image and its bootloader, and says where they are.
///
/// # Errors
/// A board that is not there, a missing target, an image that does not build.
pub fn build(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (board, variant) = Board::choose(&workspace.root, &options.choice)?;
    let variant = if options.log { variant.with_log() } else { variant };
    let image = make_as(workspace, &board, &variant, options.version_as)?;
    println!("{}", workspace.short(&image.elf));
    let bootloader = make_bootloader(workspace, &board)?;
    if let Some(bootloader) = &bootloader {
        println!("{}", workspace.short(&bootloader.elf));
    }
    let images: Vec<&Path> =
        bootloader.iter().chain([&image]).map(|image| image.elf.as_path()).rev().collect();
    if let Some(uf2) = make_uf2(&board, &images)? {
        println!("{}", workspace.short(&uf2));
    }
    size::print(&[(&board, &variant, image.size)]);
    if let Some(bootloader) = &bootloader {
        size::print_bootloader(&board, bootloader.size);
    }
    Ok(())
}

/// Makes the call of cargo that builds an image.
pub fn cargo(workspace: &Workspace, board: &Board, variant: &Variant) -> Command {
    let mut cargo = workspace.cargo();
    cargo.arg("build");
    board.image(&mut cargo);
    board.select(&mut cargo, variant);
    cargo
}

/// Makes the call of cargo that builds the bootloader, if the board has one.
pub fn cargo_bootloader(workspace: &Workspace, board: &Board) -> Option<Command> {
    let package = board.about.bootloader.as_deref()?;
    let mut cargo = workspace.cargo();
    cargo.arg("build");
    board.image(&mut cargo);
    cargo.args(["--package", package]);
    Some(cargo)
}

/// Tells where those calls put the image of a package.
///
/// # Errors
/// When cargo does not say where it builds.
pub fn elf(workspace: &Workspace, board: &Board, package: &str) -> Result<PathBuf, Failure> {
    Ok(workspace.target_dir()?.join(&board.about.target).join("firmware").join(package))
}

/// Builds an image. Cargo builds all variants of a board in one place: here each has its own, PACKAGE-VARIANT beside it, where it is
/// found after another has been built.
///
/// # Errors
/// As [`build`].
pub fn make(workspace: &Workspace, board: &Board, variant: &Variant) -> Result<Image, Failure> {
    make_as(workspace, board, variant, None)
}

/// Builds an image, or one that tells another version than its own and is left where cargo builds it.
///
/// # Errors
/// As [`build`].
pub fn make_as(
    workspace: &Workspace,
    board: &Board,
    variant: &Variant,
    version: Option<[u8; 2]>,
) -> Result<Image, Failure> {
    let mut cargo = cargo(workspace, board, variant);
    if let Some([major, minor]) = version {
        cargo.env(VERSION_VARIABLE, format!("{major:x}.{minor:x}"));
    }
    let mut image = finish(workspace, board, cargo, &board.about.package)?;
    if version.is_none() {
        let own = image.elf.with_file_name(format!("{}-{}", board.about.package, variant.name));
        fs::copy(&image.elf, &own).map_err(|error| Failure::file(&own, error))?;
        image.elf = own;
    }
    Ok(image)
}

/// Builds the bootloader, if the board has one.
///
/// # Errors
/// As [`build`].
pub fn make_bootloader(workspace: &Workspace, board: &Board) -> Result<Option<Image>, Failure> {
    let package = board.about.bootloader.as_deref();
    let cargo = cargo_bootloader(workspace, board);
    package.zip(cargo).map(|(package, cargo)| finish(workspace, board, cargo, package)).transpose()
}

fn finish(workspace: &Workspace, board: &Board, mut cargo: Command, package: &str) -> Result<Image, Failure> {
    board.check_target(workspace)?;
    process::run(&mut cargo)?;
    let elf = elf(workspace, board, package)?;
    let bytes = fs::read(&elf).map_err(|error| Failure::file(&elf, error))?;
    let size = image::size(&bytes, &board.memory).map_err(|error| Failure::file(&elf, error))?;
    Ok(Image { elf, size })
}

/// Makes the file for a board's boot drive out of images, beside the first of them.
///
/// # Errors
/// An image that cannot be read.
pub fn make_uf2(board: &Board, images: &[&Path]) -> Result<Option<PathBuf>, Failure> {
    let (Some(kind), Some(first)) = (&board.uf2, images.first()) else { return Ok(None) };
    let read = |elf: &&Path| fs::read(elf).map_err(|error| Failure::file(elf, error));
    let elves: Vec<Vec<u8>> = images.iter().map(read).collect::<Result<_, _>>()?;
    let mut segments = Vec::new();
    for (elf, bytes) in images.iter().zip(&elves) {
        segments.extend(image::segments(bytes).map_err(|error| Failure::file(elf, error))?);
    }
    let file = first.with_extension("uf2");
    let blocks = uf2::blocks(&segments, kind.family).map_err(|error| Failure::file(first, error))?;
    fs::write(&file, blocks).map_err(|error| Failure::file(&file, error))?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_basic_information_shows_it() {
        assert_eq!(software_version("1.14"), Ok([1, 0x14]));
        assert_eq!(software_version("0.2"), Ok([0, 2]));
        for text in ["1", "1.a", "1.100", "V1.4", "", ".", "1.+1"] {
            assert!(software_version(text).is_err(), "{text}");
        }
    }
}
