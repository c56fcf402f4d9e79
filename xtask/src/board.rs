//! What boards/*/board.toml says of each board with an MCU.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;
use clap::ValueEnum;
use serde::Deserialize;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Chooses a board, and of a board that has several its variant.
#[derive(Clone, Debug, Args)]
pub struct Choice {
    /// Which board: a folder of boards/ with a board.toml
    #[arg(long, value_name = "BOARD")]
    pub board: String,
    /// Which of its variants; the first one of board.toml if not given
    #[arg(long)]
    pub variant: Option<String>,
}

/// Is a board as its board.toml describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Board {
    #[serde(rename = "board")]
    pub about: About,
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    pub memory: Memory,
    pub budget: Budget,
    pub flash: Flash,
    pub uf2: Option<Uf2>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct About {
    /// The folder's name.
    pub name: String,
    pub package: String,
    /// The compiler's target triple.
    pub target: String,
    /// A file in the board's folder, `TARGET.json`, that describes the target to the compiler for images, instead of what it
    /// knows itself; the core library is then built with the image.
    pub target_file: Option<String>,
    /// How the compiler optimises its images, if not as the profile says: for size.
    pub opt_level: Option<String>,
    /// The package of its bootloader, if it has one.
    pub bootloader: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Variant {
    pub name: String,
    /// Cargo features that make this variant.
    pub features: Vec<String>,
    /// What probe-rs calls the chip.
    pub probe_chip: String,
    /// What updates call it, if not by the variant's name.
    update_name: Option<String>,
}

impl Variant {
    /// Becomes one that writes a log for a debug probe; its name says so.
    #[must_use]
    pub fn with_log(mut self) -> Self {
        self.features.push("log".to_owned());
        self.name.push_str("-log");
        self
    }

    /// Tells what the header of an update calls it.
    pub fn update_name(&self) -> &str {
        self.update_name.as_deref().unwrap_or(&self.name)
    }
}

/// Addresses and bytes; boards/build.rs makes the linker's map of them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Memory {
    pub bootloader_origin: u64,
    pub bootloader_length: u64,
    pub active_origin: u64,
    pub active_length: u64,
    pub storage_origin: u64,
    pub storage_length: u64,
    /// Bytes of a page and of a word of the flash.
    pub erase_size: u64,
    pub write_size: u64,
    pub ram_origin: u64,
    pub ram_length: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Budget {
    /// For text and data; the active slot if not given.
    flash_bytes: Option<u64>,
    /// For data and bss; the stack has what is left of the RAM.
    pub ram_bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Flash {
    /// The first is the default.
    pub methods: Vec<Method>,
}

/// Names a way to put an image on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Through a debug probe
    ProbeRs,
    /// Copied to the drive that the chip's boot ROM shows
    Uf2,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Uf2 {
    /// The number by which the boot ROM knows its images.
    pub family: u32,
    /// The Board-ID in the drive's INFO_UF2.TXT.
    pub volume: String,
}

impl Board {
    /// Reads all boards that have a board.toml, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(root: &Path) -> Result<Vec<Self>, Failure> {
        let folder = root.join("boards");
        let entries = fs::read_dir(&folder).map_err(|error| Failure::file(&folder, error))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path().join("board.toml")).collect();
        files.retain(|file| file.is_file());
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
        let board: Self =
            toml::from_str(&text).map_err(|error| Failure::file(file, error.to_string().trim()))?;
        if board.variants.is_empty() || board.flash.methods.is_empty() {
            return Err(Failure::file(
                file,
                "a board has at least one [[variant]] and one method of [flash]",
            ));
        }
        Ok(board)
    }

    /// Finds the board and the variant that were asked for.
    ///
    /// # Errors
    /// When there is none of that name: what there is.
    pub fn choose(root: &Path, choice: &Choice) -> Result<(Self, Variant), Failure> {
        let boards = Self::all(root)?;
        let names: Vec<&str> = boards.iter().map(|board| board.about.name.as_str()).collect();
        let Some(board) = boards.iter().find(|board| board.about.name == choice.board) else {
            let names = names.join(", ");
            let hint =
                if choice.board == "host" { " (`cargo xtask run` builds and runs the host)" } else { "" };
            return Err(Failure::Usage(format!(
                "there is no board `{}`{hint}; choose one of: {names}",
                choice.board
            )));
        };
        let variant = match &choice.variant {
            None => board.variants.first(),
            Some(name) => board.variants.iter().find(|variant| variant.name == *name),
        };
        variant.cloned().map(|variant| (board.clone(), variant)).ok_or_else(|| {
            let wanted = choice.variant.as_deref().unwrap_or_default();
            let names: Vec<&str> = board.variants.iter().map(|variant| variant.name.as_str()).collect();
            let (board, names) = (&choice.board, names.join(", "));
            Failure::Usage(format!("the board {board} has no variant `{wanted}`; choose one of: {names}"))
        })
    }

    /// Tells the most that text and data may take: never more than the slot.
    pub fn flash_budget(&self) -> u64 {
        self.budget.flash_bytes.unwrap_or(u64::MAX).min(self.memory.active_length)
    }

    /// Adds what selects this board and variant to a call of cargo.
    pub fn select(&self, cargo: &mut Command, variant: &Variant) {
        // Features unify over all packages of one call, so a call builds one board.
        cargo.args(["--package", &self.about.package, "--no-default-features"]);
        if !variant.features.is_empty() {
            cargo.args(["--features", &variant.features.join(",")]);
        }
    }

    /// Adds what makes a call of cargo build an image for this board: not what clippy looks at, which any target does for.
    pub fn image(&self, cargo: &mut Command) {
        // For all boards, since what they share on this computer would else be built anew after each change of the board.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        if let Some(level) = &self.about.opt_level {
            cargo.env("CARGO_PROFILE_FIRMWARE_OPT_LEVEL", level);
        }
        cargo.args(["--profile", "firmware", "--target"]);
        let Some(file) = &self.about.target_file else {
            cargo.arg(&self.about.target);
            return;
        };
        cargo.arg(format!("boards/{}/{file}", self.about.name));
        cargo.args(["-Zjson-target-spec", "-Zbuild-std=core", "-Zpanic-immediate-abort"]);
        // Small functions of it are there to vanish in their callers.
        cargo.args(["--config", "profile.firmware.package.core.opt-level=3"]);
        cargo.args(["--config", "profile.firmware.panic='immediate-abort'"]);
    }

    /// Checks that the compiler can build for this board.
    ///
    /// # Errors
    /// When the target's libraries are not there: what installs them.
    pub fn check_target(&self, workspace: &Workspace) -> Result<(), Failure> {
        let target = &self.about.target;
        let sysroot =
            process::output(Command::new("rustc").current_dir(&workspace.root).args(["--print", "sysroot"]))?;
        let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
        let name = &self.about.name;
        if self.about.target_file.is_some() && !rustlib.join("src/rust/library/core").is_dir() {
            return Err(Failure::Usage(format!(
                "the board {name} needs the source of Rust's core library; `cargo xtask setup` installs it"
            )));
        }
        if rustlib.join(target).join("lib").is_dir() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "the board {name} needs the target {target}; `cargo xtask setup` installs it"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> std::path::PathBuf {
        Workspace::find().unwrap().root
    }

    fn choose(board: &str, variant: Option<&str>) -> Result<String, Failure> {
        let choice = Choice { board: board.to_owned(), variant: variant.map(str::to_owned) };
        Board::choose(&root(), &choice).map(|(_, variant)| variant.name)
    }

    #[test]
    fn every_board_of_the_repository_is_understood() {
        let names: Vec<_> = Board::all(&root()).unwrap().into_iter().map(|board| board.about.name).collect();
        assert_eq!(names, ["rak4631", "rp2040-sx1262", "stm32wl"]);
    }

    #[test]
    fn the_first_variant_is_the_default() {
        assert_eq!(choose("stm32wl", None).unwrap(), "lora-e5");
        assert_eq!(choose("stm32wl", Some("nucleo-wl55jc")).unwrap(), "nucleo-wl55jc");
    }

    #[test]
    fn a_board_or_variant_that_is_not_there_gives_those_that_are() {
        for (board, variant, part) in [
            ("esp32", None, "there is no board `esp32`; choose one of: rak4631, rp2040-sx1262, stm32wl"),
            ("host", None, "`cargo xtask run`"),
            ("stm32wl", Some("blue"), "no variant `blue`; choose one of: lora-e5, nucleo-wl55jc"),
        ] {
            let failure = choose(board, variant).unwrap_err();
            assert!(matches!(&failure, Failure::Usage(sentence) if sentence.contains(part)), "{failure:?}");
        }
    }
}
