//! `build`: a board's image.

use std::fs;
use std::path::PathBuf;
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
}

/// Is what a build made.
#[derive(Debug)]
pub struct Image {
    /// The image with its symbols.
    pub elf: PathBuf,
    /// The same for a boot drive, where the board has one.
    pub uf2: Option<PathBuf>,
    /// What it takes.
    pub size: Size,
}

/// Builds one image and says where it is.
///
/// # Errors
/// A board that is not there, a missing target, an image that does not build.
pub fn build(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (board, variant) = Board::choose(&workspace.root, &options.choice)?;
    let image = make(workspace, &board, &variant)?;
    println!("{}", workspace.short(&image.elf));
    if let Some(uf2) = &image.uf2 {
        println!("{}", workspace.short(uf2));
    }
    size::print(&[(&board, &variant, image.size)]);
    Ok(())
}

/// Makes the call of cargo that builds an image.
pub fn cargo(workspace: &Workspace, board: &Board, variant: &Variant) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "firmware"]);
    board.select(&mut cargo, variant);
    cargo
}

/// Tells where that call puts the image.
///
/// # Errors
/// When cargo does not say where it builds.
pub fn elf(workspace: &Workspace, board: &Board) -> Result<PathBuf, Failure> {
    Ok(workspace.target_dir()?.join(&board.about.target).join("firmware").join(&board.about.package))
}

/// Builds an image, and from it the file for a boot drive where the board has one.
///
/// # Errors
/// As [`build`].
pub fn make(workspace: &Workspace, board: &Board, variant: &Variant) -> Result<Image, Failure> {
    board.check_target(workspace)?;
    process::run(&mut cargo(workspace, board, variant))?;
    let elf = elf(workspace, board)?;
    let bytes = fs::read(&elf).map_err(|error| Failure::file(&elf, error))?;
    let size = image::size(&bytes, &board.memory).map_err(|error| Failure::file(&elf, error))?;
    let uf2 = match &board.uf2 {
        None => None,
        Some(kind) => {
            let segments = image::segments(&bytes).map_err(|error| Failure::file(&elf, error))?;
            let file = elf.with_extension("uf2");
            let blocks = uf2::blocks(&segments, kind.family).map_err(|error| Failure::file(&elf, error))?;
            fs::write(&file, blocks).map_err(|error| Failure::file(&file, error))?;
            Some(file)
        }
    };
    Ok(Image { elf, uf2, size })
}
