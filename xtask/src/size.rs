//! `size`: what the images take, against the budgets of board.toml, and crates against their own.

use clap::Args;

use crate::board::{Board, Variant};
use crate::build;
use crate::crates::{Crate, Divided};
use crate::failure::Failure;
use crate::image::Size;
use crate::workspace::Workspace;

/// Says what to measure.
#[derive(Debug, Args)]
#[command(after_help = "\
A crate's part is measured in the linked image: each instruction counts for the innermost function of its inline stack that is
ours, by the debug information; constants count for who loads them, statics by their symbols. Equal functions that the
linker folded into one count for one of their crates. What a task keeps lies in the
board's statics: of a crate's own types the largest are listed. Budgets of crates are in `package.metadata.size` of their
Cargo.toml, and checked without any option too.")]
pub struct Options {
    /// Only this board, in all its variants
    #[arg(long)]
    pub board: Option<String>,
    /// Tells for every crate what it takes of the images
    #[arg(long)]
    pub crates: bool,
    /// Tells what this one takes, and how big its types are
    #[arg(long = "crate", value_name = "NAME")]
    pub one: Option<String>,
}

/// Builds and measures; an image or a crate over its budget is a failure.
///
/// # Errors
/// A board or a crate that is not there, an image that does not build or takes too much.
pub fn size(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let boards = match &options.board {
        None => Board::all(&workspace.root)?,
        Some(name) => {
            let choice = crate::board::Choice { board: name.clone(), variant: None };
            vec![Board::choose(&workspace.root, &choice)?.0]
        }
    };
    let one = options.one.as_ref().map(|name| Crate::choose(workspace, name)).transpose()?;
    let crates = Crate::all(workspace)?;
    let mut measured = Vec::new();
    let mut divided = Vec::new();
    for board in &boards {
        for variant in &board.variants {
            let image = build::make(workspace, board, variant)?;
            divided.push(Divided::new(workspace, board, variant, &image)?);
            measured.push((board, variant, image.size));
        }
    }
    print(&measured);
    let mut over: Vec<String> =
        measured.iter().flat_map(|(board, variant, size)| over_budget(board, variant, *size)).collect();
    for board in &boards {
        if let Some(bootloader) = build::make_bootloader(workspace, board)? {
            over.extend(print_bootloader(board, bootloader.size));
        }
    }
    for image in &divided {
        if options.crates {
            image.print();
        }
        match &one {
            Some(one) => over.extend(image.print_one(one)?),
            None => {
                for one in &crates {
                    over.extend(image.check(one)?);
                }
            }
        }
    }
    if over.is_empty() { Ok(()) } else { Err(Failure::Failed(over.join("; "))) }
}

/// Prints a line an image; sizes in bytes.
pub fn print(measured: &[(&Board, &Variant, Size)]) {
    println!(
        "{:<30} {:>8} {:>8} {:>8}   {:>16}   {:>16}",
        "image", "text", "data", "bss", "flash of budget", "RAM of budget"
    );
    for (board, variant, size) in measured {
        let name = format!("{} {}", board.about.name, variant.name);
        let flash = format!("{} of {}", size.flash(), board.flash_budget());
        let ram = format!("{} of {}", size.ram(), board.budget.ram_bytes);
        println!("{name:<30} {:>8} {:>8} {:>8}   {flash:>16}   {ram:>16}", size.text, size.data, size.bss);
    }
}

/// Prints the line of a board's bootloader; gives what it takes over its slot.
pub fn print_bootloader(board: &Board, size: Size) -> Vec<String> {
    let name = format!("{} bootloader", board.about.name);
    // What the application finds at the end of the slot stands behind a gap.
    let slot = board.memory.bootloader_length;
    let flash = format!("{} of {slot}", size.flash());
    println!("{name:<30} {:>8} {:>8} {:>8}   {flash:>16}", size.text, size.data, size.bss);
    beyond(&name, [("flash", size.flash(), slot), ("RAM", size.ram(), board.budget.ram_bytes)])
}

fn over_budget(board: &Board, variant: &Variant, size: Size) -> Vec<String> {
    let name = format!("{} {}", board.about.name, variant.name);
    let (flash, ram) = (board.flash_budget(), board.budget.ram_bytes);
    beyond(&name, [("flash", size.flash(), flash), ("RAM", size.ram(), ram)])
}

/// Says of what `name` takes more than its budget: what, the bytes taken, the bytes allowed.
pub fn beyond(name: &str, taken: [(&str, u64, u64); 2]) -> Vec<String> {
    taken
        .into_iter()
        .filter(|(_, bytes, budget)| bytes > budget)
        .map(|(what, bytes, budget)| {
            format!("{name} takes {bytes} bytes of {what}, {} over its budget", bytes - budget)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_image_over_its_budget_fails_and_says_by_how_much() {
        let boards = Board::all(&Workspace::find().unwrap().root).unwrap();
        let mut board = boards.into_iter().next().unwrap();
        board.budget.ram_bytes = 20;
        board.memory.active_length = 100;
        let name = format!("{} {}", board.about.name, board.variants[0].name);
        let check = |text, data, bss, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|rest| format!("{name} takes {rest}")).collect();
            assert_eq!(over_budget(&board, &board.variants[0], Size { text, data, bss }), expected);
        };
        check(90, 10, 10, &[]);
        check(91, 10, 10, &["101 bytes of flash, 1 over its budget"]);
        check(90, 10, 15, &["25 bytes of RAM, 5 over its budget"]);
        check(
            200,
            30,
            0,
            &["230 bytes of flash, 130 over its budget", "30 bytes of RAM, 10 over its budget"],
        );
    }
}
