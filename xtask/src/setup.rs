//! `setup`: finds or installs what building and testing take.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::failure::Failure;
use crate::process;
use crate::web;
use crate::workspace::Workspace;

const CARGO_FUZZ_VERSION: &str = "0.13.2";

#[derive(Deserialize)]
struct ToolchainFile {
    toolchain: Toolchain,
}

/// What rust-toolchain.toml asks for.
#[derive(Deserialize)]
struct Toolchain {
    channel: String,
    components: Vec<String>,
    targets: Vec<String>,
}

/// Installs what is missing, and says what was there and what was done. A second call finds all and does nothing.
///
/// # Errors
/// When something is missing that cannot be installed from here: what to install.
pub fn setup(workspace: &Workspace) -> Result<(), Failure> {
    toolchain(workspace)?;
    cpp()?;
    cargo_fuzz(workspace)?;
    valgrind();
    emulator();
    browser(workspace)?;
    match process::find("probe-rs") {
        Some(path) => say("found", &format!("probe-rs at {}", path.display())),
        None => say(
            "not there",
            "probe-rs, only needed to flash a board by a debug probe: `cargo install probe-rs-tools --locked`",
        ),
    }
    Ok(())
}

fn say(what: &str, of: &str) {
    println!("{what:>9}  {of}");
}

fn toolchain(workspace: &Workspace) -> Result<(), Failure> {
    let file = workspace.root.join("rust-toolchain.toml");
    let text = fs::read_to_string(&file).map_err(|error| Failure::file(&file, error))?;
    let ToolchainFile { toolchain } = toml::from_str(&text).map_err(|error| Failure::file(&file, error))?;
    let Toolchain { channel, components, targets } = &toolchain;
    let all = format!("Rust {channel} with {} and the targets {}", components.join(", "), targets.join(", "));
    if process::find("rustup").is_none() {
        return Err(Failure::Usage(format!("rustup is not installed; install it, or {all} by other means")));
    }
    let missing = missing(&toolchain, &installed(workspace));
    if missing.is_empty() {
        say("found", &all);
        return Ok(());
    }
    say("missing", &missing.join(", "));
    process::run(&mut rustup(workspace, &["toolchain", "install"]))?;
    // An installed toolchain is not always completed by that call.
    for part in self::missing(&toolchain, &installed(workspace)) {
        let kind = if targets.contains(&part) { "target" } else { "component" };
        process::run(&mut rustup(workspace, &[kind, "add", &part]))?;
    }
    say("installed", &missing.join(", "));
    Ok(())
}

/// Makes a call of rustup that goes by the repository's file, not by the toolchain that runs us.
fn rustup(workspace: &Workspace, args: &[&str]) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(args).current_dir(&workspace.root).env_remove("RUSTUP_TOOLCHAIN");
    rustup
}

fn installed(workspace: &Workspace) -> String {
    // It fails while the toolchain itself is missing: then nothing is installed.
    process::output(&mut rustup(workspace, &["component", "list", "--installed"])).unwrap_or_default()
}

/// Compares what is wanted with rustup's list, in which a target is `rust-std-TARGET` and a component
/// `COMPONENT-HOST`.
fn missing(toolchain: &Toolchain, installed: &str) -> Vec<String> {
    let installed: HashSet<&str> = installed.lines().map(str::trim).collect();
    let has_component = |name: &String| installed.iter().any(|line| line.starts_with(&format!("{name}-")));
    let has_target = |name: &String| installed.contains(format!("rust-std-{name}").as_str());
    let components = toolchain.components.iter().filter(|name| !has_component(name));
    components.chain(toolchain.targets.iter().filter(|name| !has_target(name))).cloned().collect()
}

/// libFuzzer is C++.
fn cpp() -> Result<(), Failure> {
    if let Some(path) = process::find("c++") {
        say("found", &format!("a C++ compiler at {}", path.display()));
        return Ok(());
    }
    say("missing", "a C++ compiler");
    if !debian_package("g++")? {
        return Err(Failure::Usage(
            "a C++ compiler (`c++`) is missing; install one, as by `sudo apt-get install g++`".to_owned(),
        ));
    }
    Ok(())
}

/// Callgrind counts instructions. Nothing else needs it, so that its absence is no failure.
fn valgrind() {
    if let Some(path) = process::find("valgrind") {
        say("found", &format!("valgrind at {}", path.display()));
    } else if !debian_package("valgrind").unwrap_or(false) {
        say("not there", "valgrind, only needed by `cargo xtask bench`: `sudo apt-get install valgrind`");
    }
}

/// The emulator's CPU engine is built by cmake, and its bindings by libclang.
fn emulator() {
    let cmake = process::find("cmake").map(|path| format!("cmake at {}", path.display()));
    let libclang = libclang().map(|path| format!("libclang at {}", path.display()));
    for (found, package) in [(cmake, "cmake"), (libclang, "libclang-dev")] {
        match found {
            Some(what) => say("found", &what),
            None => {
                say("missing", package);
                if !debian_package(package).unwrap_or(false) {
                    say(
                        "not there",
                        &format!(
                            "{package}, needed to build crates/emulator: `sudo apt-get install {package}`"
                        ),
                    );
                }
            }
        }
    }
}

/// The web page is tried in Chromium, which Node drives.
///
/// # Errors
/// One of them is missing and cannot be installed from here.
fn browser(workspace: &Workspace) -> Result<(), Failure> {
    for (program, package) in [("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm")] {
        if let Some(path) = process::find(program) {
            say("found", &format!("{program} at {}", path.display()));
            continue;
        }
        say("missing", package);
        if !debian_package(package)? {
            return Err(Failure::Usage(format!(
                "{program} is missing, which the web page's test needs; install it, as by `sudo apt-get install {package}`"
            )));
        }
    }
    let modules = web::modules(workspace)?;
    say("found", &format!("the packages of boards/web/tests in {}", modules.display()));
    Ok(())
}

/// Finds libclang where bindgen looks for it.
fn libclang() -> Option<PathBuf> {
    let is_libclang = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest =
            name.strip_prefix("libclang").filter(|rest| rest.contains(".so") || rest.contains(".dylib"));
        // Not libclang-cpp, which has no C interface.
        rest.is_some_and(|rest| !rest.starts_with("-cpp"))
    };
    let in_folder = |folder: PathBuf| {
        fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find(is_libclang)
    };
    let llvm =
        fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let llvm = llvm.flat_map(|path| [path.join("lib"), path]);
    std::env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().chain(llvm).find_map(in_folder)
}

/// Installs a package of Debian where that is possible; says whether it was.
fn debian_package(name: &str) -> Result<bool, Failure> {
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || process::find("apt-get").is_none() {
        return Ok(false);
    }
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-qq", "-y", name]).env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut install)?;
    say("installed", name);
    Ok(true)
}

fn cargo_fuzz(workspace: &Workspace) -> Result<(), Failure> {
    if process::find("cargo-fuzz").is_some() {
        let version = process::output(workspace.cargo().args(["fuzz", "--version"]))?;
        say("found", version.trim());
        return Ok(());
    }
    say("missing", "cargo-fuzz");
    process::run(workspace.cargo().args([
        "install",
        "cargo-fuzz",
        "--quiet",
        "--locked",
        "--version",
        CARGO_FUZZ_VERSION,
    ]))?;
    if process::find("cargo-fuzz").is_none() {
        return Err(Failure::Usage(
            "cargo-fuzz is installed, but cargo's folder for programs is not in PATH; add it".to_owned(),
        ));
    }
    say("installed", &format!("cargo-fuzz {CARGO_FUZZ_VERSION}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rustup_does_not_list_is_missing() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let toolchain = Toolchain {
            channel: "1.95.0".to_owned(),
            components: words("rustfmt clippy llvm-tools"),
            targets: words("thumbv6m-none-eabi thumbv7em-none-eabi"),
        };
        let list = "clippy-x86_64-unknown-linux-gnu\nrust-std-thumbv6m-none-eabi\nrustfmt-x86_64-unknown-linux-gnu\n";
        assert_eq!(missing(&toolchain, list), ["llvm-tools", "thumbv7em-none-eabi"]);
        assert_eq!(missing(&toolchain, "").len(), 5);
        let list = format!("{list}llvm-tools-x86_64-unknown-linux-gnu\nrust-std-thumbv7em-none-eabi\n");
        assert!(missing(&toolchain, &list).is_empty());
    }
}
