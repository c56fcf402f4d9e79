//! Calls of other programs.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

/// Runs a program with our terminal and waits for its end.
///
/// # Errors
/// When it cannot start or ends with another status than 0; it has said why.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("`{}` failed ({status})", show(command))))
    }
}

/// Runs a program beside others; gives what it wrote to standard error, and shows all of what it wrote if it fails.
///
/// # Errors
/// As for [`run`].
pub fn run_aside(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(said.into_owned());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{said}");
    Err(Failure::Failed(format!("`{}` failed ({})", show(command), output.status)))
}

/// Runs a program and gives what it wrote to standard output.
///
/// # Errors
/// When it cannot start or ends with another status than 0; with the first line that it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Failure::Failed(format!("`{}` failed ({}): {said}", show(command), output.status)))
}

/// Writes a call as one would type it in the folder where it runs.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), word(value?))));
    set.chain([word(program)]).chain(command.get_args().map(word)).collect::<Vec<_>>().join(" ")
}

fn word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = Path::new(command.get_program()).display();
    Failure::Usage(format!("{program} cannot be started ({error}); `cargo xtask setup` says what is missing"))
}

/// Finds a program as the shell would.
pub fn find(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/some/where/cargo");
        command.args(["build", "-p", "a b", "it's", ""]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(show(&command), r"RUSTDOCFLAGS='-D warnings' cargo build -p 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_program_that_is_not_there_is_wrong_use_and_not_a_panic() {
        let failure = run(&mut Command::new("/no/such/program")).unwrap_err();
        assert!(
            matches!(&failure, Failure::Usage(sentence) if sentence.contains("cargo xtask setup")),
            "{failure:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_a_program_says_when_it_fails_is_handed_on() {
        let failure =
            output(Command::new("sh").args(["-c", "echo; echo out of luck >&2; exit 3"])).unwrap_err();
        assert!(
            matches!(&failure, Failure::Failed(sentence) if sentence.ends_with("out of luck")),
            "{failure:?}"
        );
    }
}
