//! `run` and `toolbox`: the socket on this computer, and the tool that sets sockets up.

use std::ffi::OsString;
use std::process::Command;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Builds a program, named as its package, and becomes it, so that its terminal, signals and exit status are its own.
///
/// # Errors
/// When it does not build.
pub fn run(workspace: &Workspace, package: &str, args: &[OsString]) -> Result<(), Failure> {
    let program = format!("{package}{}", std::env::consts::EXE_SUFFIX);
    let program = workspace.target_dir()?.join("release").join(program);
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", package]);
    // The first build takes minutes, and shows that it does; later ones are not to stand between the lines.
    if program.is_file() {
        cargo.arg("--quiet");
    }
    process::run(&mut cargo)?;
    let mut command = Command::new(program);
    command.args(args);
    replace(&mut command)
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
