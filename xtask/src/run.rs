//! `run`: the socket on this computer.

use std::ffi::OsString;
use std::process::Command;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Builds the host board and becomes it, so that its terminal, signals and exit status are its own.
///
/// # Errors
/// When it does not build.
pub fn run(workspace: &Workspace, args: &[OsString]) -> Result<(), Failure> {
    let program = format!("sockeye-host{}", std::env::consts::EXE_SUFFIX);
    let program = workspace.target_dir()?.join("release").join(program);
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", "sockeye-host"]);
    // The first build takes minutes, and shows that it does; later ones are not to stand between the lines.
    if program.is_file() {
        cargo.arg("--quiet");
    }
    process::run(&mut cargo)?;
    let mut host = Command::new(program);
    host.args(args);
    replace(&mut host)
}

/// Becomes another program, where the system can do that.
///
/// # Errors
/// It cannot be started, or ended with another status than 0.
#[cfg(unix)]
pub fn replace(host: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let error = host.exec();
    Err(Failure::Failed(format!("`{}` cannot be started ({error})", process::show(host))))
}

/// Runs another program and takes over its exit status.
///
/// # Errors
/// It cannot be started, or ended with another status than 0.
#[cfg(not(unix))]
pub fn replace(host: &mut Command) -> Result<(), Failure> {
    let status = host
        .status()
        .map_err(|error| Failure::Failed(format!("{} cannot be started ({error})", process::show(host))))?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::Status(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}
