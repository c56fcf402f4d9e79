//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::{build, process};

/// Is the repository that the commands work on.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the root Cargo.toml.
    pub root: PathBuf,
}

/// Makes a call of cargo in the root of these sources or of a copy of them.
pub fn cargo_in(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    // What is built has its own version, but where `build` and `sign` are told another one.
    cargo.env_remove(build::VERSION_VARIABLE);
    cargo
}

impl Workspace {
    /// Finds the repository that this program belongs to.
    ///
    /// # Errors
    /// When the folder is gone.
    pub fn find() -> Result<Self, Failure> {
        // Cargo sets the variable when it runs us; the other holds when the program is called by its path.
        let here = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = here.parent().unwrap_or(&here).to_owned();
        if root.join("Cargo.toml").is_file() {
            Ok(Self { root })
        } else {
            Err(Failure::Usage(format!(
                "there is no Sockeye in {}; call `cargo xtask` in its folder",
                root.display()
            )))
        }
    }

    /// Makes a call of cargo in the root.
    pub fn cargo(&self) -> Command {
        cargo_in(&self.root)
    }

    /// Asks cargo where it builds, since people set that in several ways.
    ///
    /// # Errors
    /// When cargo does not answer.
    pub fn target_dir(&self) -> Result<PathBuf, Failure> {
        let metadata = self.metadata()?;
        let folder = metadata["target_directory"].as_str();
        folder
            .map(PathBuf::from)
            .ok_or_else(|| Failure::Failed("cargo metadata names no target_directory".to_owned()))
    }

    /// Asks cargo what it knows of our packages.
    ///
    /// # Errors
    /// When cargo does not answer.
    pub fn metadata(&self) -> Result<serde_json::Value, Failure> {
        let text = process::output(self.cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
        serde_json::from_str(&text).map_err(|error| Failure::Failed(format!("cargo metadata: {error}")))
    }

    /// Writes a path as a person in the root would type it.
    pub fn short<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
