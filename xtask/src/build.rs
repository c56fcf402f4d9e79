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
}

impl Options {
    /// Chooses a variant with its log.
    #[must_use]
    pub fn with_log(choice: Choice) -> Self {
        Self { choice, log: true }
    }
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
    let mut image = make(workspace, &board, &variant)?;
    // All variants are built in one place; who builds one on purpose finds it when another has been built.
    if options.log || options.choice.variant.is_some() {
        let kept = image.elf.with_file_name(format!("{}-{}", board.about.package, variant.name));
        fs::copy(&image.elf, &kept).map_err(|error| Failure::file(&kept, error))?;
        image.elf = kept;
    }
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
    cargo.args(["build", "--profile", "firmware"]);
    board.select(&mut cargo, variant);
    cargo
}

/// Makes the call of cargo that builds the bootloader, if the board has one.
pub fn cargo_bootloader(workspace: &Workspace, board: &Board) -> Option<Command> {
    let package = board.about.bootloader.as_deref()?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "firmware", "--package", package, "--target", &board.about.target]);
    Some(cargo)
}

/// Tells where those calls put the image of a package.
///
/// # Errors
/// When cargo does not say where it builds.
pub fn elf(workspace: &Workspace, board: &Board, package: &str) -> Result<PathBuf, Failure> {
    Ok(workspace.target_dir()?.join(&board.about.target).join("firmware").join(package))
}

/// Builds an image.
///
/// # Errors
/// As [`build`].
pub fn make(workspace: &Workspace, board: &Board, variant: &Variant) -> Result<Image, Failure> {
    finish(workspace, board, cargo(workspace, board, variant), &board.about.package)
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
