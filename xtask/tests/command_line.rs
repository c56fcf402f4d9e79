//! What a caller sees: wrong use ends with one sentence that says what to do, status 2, and no backtrace.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn xtask(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args.split_whitespace()).env("RUST_BACKTRACE", "1");
    command
}

fn check_output(args: &str, output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args}: {said}");
    assert_eq!(said.lines().count(), 1, "{args}: {said}");
    assert!(said.starts_with("error: "), "{args}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args}: `{part}` is not in: {said}");
    }
}

fn check(args: &str, parts: &[&str]) {
    check_output(args, &xtask(args).output().unwrap(), parts);
}

/// Makes a folder with programs that print a text and end well.
#[cfg(unix)]
fn programs(list: &[(&str, &str)]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (name, says) in list {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// A cargo that only knows where it builds, and a compiler without any target.
#[cfg(unix)]
fn bare_toolchain(more: &[(&str, &str)]) -> tempfile::TempDir {
    let tools = [("cargo", r#"{"target_directory":"/nowhere"}"#), ("rustc", "/no/sysroot")];
    programs(&[tools.as_slice(), more].concat())
}

fn with_path(args: &str, path: &Path) -> Output {
    xtask(args)
        .env("PATH", format!("{}:/bin:/usr/bin", path.display()))
        .env("CARGO", path.join("cargo"))
        .output()
        .unwrap()
}

#[test]
fn an_unknown_command_points_to_the_help() {
    check("fly", &["'fly'", "`cargo xtask --help`"]);
    check("test --slowly", &["'--slowly'", "`cargo xtask --help`"]);
    check("test --skip lunch", &["'lunch'", "tidy"]);
}

#[test]
fn a_missing_argument_is_named() {
    check("build", &["--board <BOARD>", "`cargo xtask --help`"]);
    check("fuzz", &["<TARGET>", "`cargo xtask --help`"]);
}

#[test]
fn an_unknown_board_gives_the_boards_that_there_are() {
    for command in ["build", "flash", "flash --dry-run", "size"] {
        check(&format!("{command} --board esp32"), &["no board `esp32`", "rp2040-sx1262", "stm32wl"]);
    }
    check("build --board stm32wl --variant blue", &["no variant `blue`", "lora-e5, nucleo-wl55jc"]);
    check("build --board host", &["`cargo xtask run`"]);
}

#[test]
fn a_board_that_is_not_modelled_is_refused_before_anything_is_built() {
    check("emulate --board rak4631", &["there is no model of rak4631, only of stm32wl and rp2040-sx1262"]);
    check("emulate --for 2h --board esp32", &["no board `esp32`"]);
    check("emulate --variant blue", &["no variant `blue`"]);
}

#[test]
fn the_page_is_served_without_other_options() {
    check("toolbox --serve --port 3", &["--serve takes nothing else"]);
    check("toolbox --sim --serve", &["--serve takes nothing else"]);
}

#[test]
fn an_unknown_fuzz_target_gives_the_targets_that_there_are() {
    check("fuzz lunch", &["no fuzz target `lunch`", "lorawan_mac", "metering", "protocol", "settings"]);
    check("fuzz protocol --for 30", &["'30'", "30s"]);
}

#[test]
fn an_identity_that_is_none_is_refused_before_anything_is_written() {
    let rest = "--dev-eui 0011223344556677 --app-key 00112233445566778899aabbccddeeff --dry-run";
    check(&format!("provision --board stm32wl --sn 12 {rest}"), &["`12` is not 16 hexadecimal digits"]);
    check(&format!("provision --board stm32wl --sn 0123456789abcdef --model XX {rest}"), &["EU, UK, US"]);
    let bad = "--sn 0123456789abcdef --dev-eui 0011223344556677 --app-key 0011";
    check(&format!("provision --board stm32wl {bad}"), &["--app-key is neither 32 hexadecimal digits"]);
}

#[test]
fn a_calibration_that_cannot_be_is_refused_with_its_range() {
    let rest = "--sn 0123456789abcdef --dev-eui 0011223344556677 --app-key 00112233445566778899aabbccddeeff --dry-run";
    for (calibration, said) in [
        ("voltage=250000ppm", "voltage: +250000 ppm is outside -100000 to +100000 ppm"),
        ("current=-50000ppm", "voltage and current make it -50000 ppm; they may be 30000 ppm apart"),
        ("watts=1ppm", "choose of: voltage, current, power"),
    ] {
        check(&format!("provision --board stm32wl --calibration {calibration} {rest}"), &[said]);
    }
    let args = format!("provision --board stm32wl --calibration voltage=228.7/230.0,power=800ppm {rest}");
    let output = xtask(&args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("calibration: voltage +5684 ppm, current +0 ppm, power +800 ppm"), "{said}");
}

#[test]
fn a_key_that_is_none_signs_nothing() {
    check("sign --board stm32wl --key Cargo.toml", &["Cargo.toml holds no key"]);
}

#[test]
fn a_way_to_flash_that_the_board_has_not_is_refused() {
    check("flash --board stm32wl --method uf2", &["stm32wl shows no drive"]);
    check("flash --board stm32wl --drive /mnt", &["stm32wl shows no drive"]);
    check(
        "flash --board rp2040-sx1262 --method probe-rs --drive /mnt",
        &["`--drive` goes with `--method uf2`"],
    );
    check("flash --board stm32wl --method radio", &["'radio'", "probe-rs, uf2"]);
}

#[test]
fn a_drive_that_is_none_is_refused_before_anything_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let args = format!("flash --board rp2040-sx1262 --drive {}", folder.path().display());
    check(&args, &["is no boot drive", "INFO_UF2.TXT"]);
}

#[cfg(unix)]
#[test]
fn a_missing_target_says_what_installs_it() {
    let tools = bare_toolchain(&[]);
    for (board, what) in
        [("stm32wl", "the source of Rust's core library"), ("rp2040-sx1262", "thumbv6m-none-eabi")]
    {
        let args = format!("build --board {board}");
        check_output(&args, &with_path(&args, tools.path()), &[what, "`cargo xtask setup` installs it"]);
    }
}

#[cfg(unix)]
#[test]
fn a_missing_tool_or_probe_says_what_to_do() {
    let args = "flash --board stm32wl";
    let tools = bare_toolchain(&[]);
    check_output(args, &with_path(args, tools.path()), &["`cargo install probe-rs-tools --locked`"]);
    let tools = bare_toolchain(&[("probe-rs", "No debug probes were found.")]);
    check_output(args, &with_path(args, tools.path()), &["no debug probe is connected"]);
    let args = "fuzz protocol";
    let tools = bare_toolchain(&[]);
    check_output(
        args,
        &with_path(args, tools.path()),
        &["cargo-fuzz is not installed", "`cargo xtask setup`"],
    );
}

/// How an image of the STM32WL is built: without frame pointers, with a core library of its own.
#[cfg(unix)]
fn own_core(package: &str) -> String {
    let target = "--target boards/stm32wl/thumbv7em-none-eabi.json -Zjson-target-spec -Zbuild-std=core";
    let panics = "-Zpanic-immediate-abort --config profile.firmware.package.core.opt-level=3";
    let profile = "--config 'profile.firmware.panic='\\''immediate-abort'\\'''";
    format!("RUSTC_BOOTSTRAP=1 cargo build --profile firmware {target} {panics} {profile} {package}")
}

#[cfg(unix)]
#[test]
fn a_dry_run_prints_the_commands_and_needs_no_tool() {
    let tools = bare_toolchain(&[]);
    let check = |args: &str, expected: &[&str]| {
        let output = with_path(args, tools.path());
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{args}");
    };
    check(
        "flash --board stm32wl --variant nucleo-wl55jc --dry-run",
        &[
            &own_core("--package sockeye-stm32wl-bootloader"),
            &own_core("--package sockeye-stm32wl --no-default-features --features nucleo-wl55jc"),
            "probe-rs download --chip STM32WL55JCIx /nowhere/thumbv7em-none-eabi/firmware/sockeye-stm32wl-bootloader",
            "probe-rs download --chip STM32WL55JCIx /nowhere/thumbv7em-none-eabi/firmware/sockeye-stm32wl",
            "probe-rs reset --chip STM32WL55JCIx",
        ],
    );
    check(
        "flash --board stm32wl --application-only --dry-run",
        &[
            &own_core("--package sockeye-stm32wl --no-default-features --features lora-e5"),
            "probe-rs download --chip STM32WLE5JCIx /nowhere/thumbv7em-none-eabi/firmware/sockeye-stm32wl",
            "probe-rs reset --chip STM32WLE5JCIx",
        ],
    );
    let drive = tempfile::tempdir().unwrap();
    fs::write(drive.path().join("INFO_UF2.TXT"), "Board-ID: RPI-RP2\r\n").unwrap();
    let drive = drive.path().display();
    check(
        &format!("flash --board rp2040-sx1262 --drive {drive} --dry-run"),
        &[
            "CARGO_PROFILE_FIRMWARE_OPT_LEVEL=s RUSTC_BOOTSTRAP=1 cargo build --profile firmware --target thumbv6m-none-eabi --package sockeye-rp2040-sx1262-bootloader",
            "CARGO_PROFILE_FIRMWARE_OPT_LEVEL=s RUSTC_BOOTSTRAP=1 cargo build --profile firmware --target thumbv6m-none-eabi --package sockeye-rp2040-sx1262 --no-default-features",
            &format!(
                "cp /nowhere/thumbv6m-none-eabi/firmware/sockeye-rp2040-sx1262.uf2 {drive}/sockeye-rp2040-sx1262.uf2"
            ),
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_run_gets_its_arguments_and_gives_its_exit_status() {
    use std::os::unix::fs::PermissionsExt;
    let target = tempfile::tempdir().unwrap();
    let host = target.path().join("release/sockeye-host");
    fs::create_dir(target.path().join("release")).unwrap();
    fs::write(&host, "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(&host, fs::Permissions::from_mode(0o755)).unwrap();
    let metadata = format!(r#"{{"target_directory":"{}"}}"#, target.path().display());
    let tools = programs(&[("cargo", &metadata)]);
    for args in ["--help", "--for 2h --json --script -", "-x=1 -- y"] {
        let output = with_path(&format!("run {args}"), tools.path());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(7), "{args}");
        // The first line is what the made-up cargo says when it is asked to build.
        assert_eq!(said.lines().nth(1), Some(args), "{said}");
    }
}

#[test]
fn help_ends_well_and_lists_every_command() {
    let output = xtask("--help").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for command in
        ["setup", "run", "test", "build", "flash", "provision", "keygen", "sign", "size", "bench", "fuzz"]
    {
        assert!(said.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
    }
}
