//! `dist`: what is given to others: images in every form, signed updates, the ToolBox as a page and as a program, and what is in
//! them. The same bytes whoever builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bill::{self, About, Part};
use crate::board::{Board, Choice};
use crate::failure::Failure;
use crate::sign::{self, Hardware};
use crate::workspace::{Workspace, cargo_in};
use crate::{hex_file, image, keys, process, uf2, web};

/// Says what to make.
#[derive(Debug, Args)]
#[command(after_help = "\
For every variant: NAME.elf (application), NAME-bootloader.elf, NAME.bin (application, as it lies in its slot), NAME.hex and where the chip \
shows a drive NAME.uf2 (bootloader and application), NAME.update (signed), NAME.sbom.json (CycloneDX: what is in it). Beside them the \
folder `toolbox`: the web page, for any web server; the folder `sockeye-toolbox-SYSTEM`: the ToolBox as a program for a computer like \
this one; and SHA256SUMS, of all that this call made.")]
pub struct Options {
    /// Only this board, in all its variants
    #[arg(long)]
    board: Option<String>,
    /// Only the web page
    #[arg(long, conflicts_with = "board")]
    page: bool,
    /// Only the ToolBox as a program
    #[arg(long, conflicts_with_all = ["board", "page"])]
    program: bool,
    /// The file of the secret key; the development key, which everybody has, if not given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The folder to write to; target/dist if not given
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Build twice, in two folders, and compare instead
    #[arg(long)]
    check: bool,
}

/// A folder with the sources, and where it builds.
struct Place {
    root: PathBuf,
    target: PathBuf,
}

/// What is made.
struct Wanted {
    boards: Vec<Board>,
    page: bool,
    program: bool,
    key: [u8; 32],
}

/// Makes everything, or checks that it is the same when made elsewhere.
///
/// # Errors
/// A board that is not there, an image that does not build, a key that is none, bytes that differ.
pub fn dist(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let boards: Vec<Board> = match &options.board {
        None if options.page || options.program => Vec::new(),
        None => Board::all(&workspace.root)?,
        Some(name) => vec![Board::choose(&workspace.root, &Choice { board: name.clone(), variant: None })?.0],
    };
    let key = match &options.key {
        Some(file) => keys::read(file)?,
        None => keys::read(&workspace.root.join("boards/development.key"))?,
    };
    let wanted = Wanted {
        page: options.board.is_none() && !options.program,
        program: options.board.is_none() && !options.page,
        boards,
        key,
    };
    if options.check {
        return check(workspace, &wanted);
    }
    if options.key.is_none() && !wanted.boards.is_empty() {
        println!("signed with the development key, which everybody has: not for a product");
    }
    let target = workspace.target_dir()?;
    let out = options.out.clone().unwrap_or_else(|| target.join("dist"));
    let place = Place { root: workspace.root.clone(), target: target.join("dist-build") };
    for file in make(&place, &wanted, &out)? {
        println!("{}", workspace.short(&out.join(file)));
    }
    Ok(())
}

/// Builds in two folders with names of different lengths, and compares file by file.
fn check(workspace: &Workspace, wanted: &Wanted) -> Result<(), Failure> {
    let base = workspace.target_dir()?.join("dist-check");
    let folders = ["one", "the-other-one/of-the-two"].map(|name| base.join(name));
    // Both before the first build: somebody may go on working meanwhile.
    for folder in &folders {
        copy_sources(&workspace.root, &folder.join("source"))?;
    }
    let mut made = Vec::new();
    for folder in folders {
        let place = Place { target: folder.join("built"), root: folder.join("source") };
        let out = folder.join("dist");
        made.push((make(&place, wanted, &out)?, out));
        // A build takes some hundred MB.
        let _ = fs::remove_dir_all(&place.target);
    }
    let [(names, one), (other_names, other)] = made.as_slice() else { return Ok(()) };
    let read = |file: PathBuf| fs::read(&file).map_err(|error| Failure::file(&file, error));
    let mut differ = Vec::new();
    for name in names {
        let same = other_names.contains(name) && read(one.join(name))? == read(other.join(name))?;
        let name = name.display().to_string();
        println!("{name:<56} {}", if same { "same" } else { "DIFFERS" });
        if !same {
            differ.push(name);
        }
    }
    if differ.is_empty() && !names.is_empty() && names.len() == other_names.len() {
        let _ = fs::remove_dir_all(&base);
        return Ok(());
    }
    Err(Failure::Failed(format!("built twice, {} differ; both are in {}", differ.join(", "), base.display())))
}

/// Copies what git knows, or would take.
fn copy_sources(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut git = Command::new("git");
    git.current_dir(from).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    for line in process::output(&mut git)?.lines() {
        let (source, copy) = (from.join(line), to.join(line));
        if !source.is_file() {
            continue;
        }
        let done = fs::create_dir_all(copy.parent().unwrap_or(to)).and_then(|()| fs::copy(&source, &copy));
        done.map_err(|error| Failure::file(&source, error))?;
    }
    Ok(())
}

/// Makes all that is wanted, and returns the names of the files within the folder.
fn make(place: &Place, wanted: &Wanted, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Wanted { boards, page, program, key } = wanted;
    for folder in [out, &place.target] {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    let public_key = place.target.join("update.pub");
    let digits: String = sockeye_upgrade::public_key(key).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&public_key, digits).map_err(|error| Failure::file(&public_key, error))?;
    let version = sign::version(&place.root)?;
    let mut files = Vec::new();
    for board in boards {
        let bootloader = match &board.about.bootloader {
            None => None,
            Some(package) => {
                let mut cargo = cargo_build(place, board)?;
                cargo.env("SOCKEYE_PUBLIC_KEY", &public_key).args(["--package", package]);
                Some(build(place, board, cargo, package)?)
            }
        };
        for variant in &board.variants {
            let mut cargo = cargo_build(place, board)?;
            cargo.args(["--package", &board.about.package, "--no-default-features"]);
            cargo.args(["--features", &variant.features.join(",")]);
            let elf = build(place, board, cargo, &board.about.package)?;
            let mut add = |ending: &str, bytes: &[u8]| {
                let name = format!("{}{ending}", variant.update_name());
                write(out, name.into(), bytes, &mut files)
            };
            let flat = sign::flat(board, &elf).map_err(Failure::Failed)?;
            let mut segments = Vec::new();
            for elf in bootloader.iter().chain([&elf]) {
                segments.extend(image::segments(elf).map_err(|error| Failure::Failed(error.to_string()))?);
            }
            add(".elf", &elf)?;
            if let Some(bootloader) = &bootloader {
                add("-bootloader.elf", bootloader)?;
                add(".update", &sign::update(variant, &flat, version, Hardware::ALL, key)?)?;
            }
            add(".bin", &flat)?;
            add(".hex", hex_file::write(&segments).map_err(Failure::Failed)?.as_bytes())?;
            if let Some(kind) = &board.uf2 {
                add(".uf2", &uf2::blocks(&segments, kind.family).map_err(Failure::Failed)?)?;
            }
            let application = Part { package: &board.about.package, features: variant.features.join(",") };
            let bootloader = board.about.bootloader.as_deref();
            let bootloader = bootloader.map(|package| Part { package, features: String::new() });
            let parts: Vec<_> = [application].into_iter().chain(bootloader).collect();
            let [major, minor] = version;
            let about = About {
                kind: "firmware",
                name: format!("sockeye {}", variant.update_name()),
                version: format!("{major:x}.{minor:x}"),
            };
            let bill = bill::of(&place.root, &board.about.target, &about, &parts)?;
            add(".sbom.json", format!("{bill:#}\n").as_bytes())?;
        }
    }
    if *page {
        let folder = out.join("toolbox");
        for file in web::make(cargo(place, "rustc", web::TARGET)?, &place.root, &place.target, &folder)? {
            files.push(Path::new("toolbox").join(file.file_name().unwrap_or_default()));
        }
    }
    if *program {
        make_program(place, out, &mut files)?;
    }
    let mut sums = String::new();
    for name in &files {
        let file = out.join(name);
        let bytes = fs::read(&file).map_err(|error| Failure::file(&file, error))?;
        sums.push_str(&sum_line(name, &bytes));
    }
    write(out, "SHA256SUMS".into(), sums.as_bytes(), &mut files)?;
    Ok(files)
}

/// Writes a file of that name within the folder, and lists it.
fn write(out: &Path, name: PathBuf, bytes: &[u8], files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let file = out.join(&name);
    fs::write(&file, bytes).map_err(|error| Failure::file(&file, error))?;
    files.push(name);
    Ok(())
}

/// Writes a line as `sha256sum --check` reads it, on every system with strokes between folders.
fn sum_line(name: &Path, bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    format!("{digits}  {}\n", name.join("/"))
}

/// The package that is the ToolBox as a program; its program has the same name.
const PROGRAM: &str = "sockeye-toolbox";

/// Makes the ToolBox as a program for this computer, in a folder with its licences and with what is in it.
fn make_program(place: &Place, out: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let target = host(place)?;
    let mut cargo = cargo(place, "build", &target)?;
    cargo.args(["--quiet", "--profile", "tool", "--package", PROGRAM, "--target", &target]);
    process::run(&mut cargo)?;
    let folder = PathBuf::from(format!("{PROGRAM}-{target}"));
    fs::create_dir_all(out.join(&folder)).map_err(|error| Failure::file(&out.join(&folder), error))?;
    let program = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    for (name, from) in [
        (program.as_str(), place.target.join(&target).join("tool").join(&program)),
        ("README.md", place.root.join("crates/toolbox/INSTALL.md")),
        ("LICENSE-APACHE", place.root.join("LICENSE-APACHE")),
        ("LICENSE-MIT", place.root.join("LICENSE-MIT")),
    ] {
        let name = folder.join(name);
        // With its mode: it is a program.
        fs::copy(&from, out.join(&name)).map_err(|error| Failure::file(&from, error))?;
        files.push(name);
    }
    let about = About { kind: "application", name: PROGRAM.to_owned(), version: package_version(place)? };
    let part = Part { package: PROGRAM, features: "cli".to_owned() };
    let bill = bill::of(&place.root, &target, &about, &[part])?;
    let name = folder.join(format!("{PROGRAM}.sbom.json"));
    write(out, name, format!("{bill:#}\n").as_bytes(), files)
}

/// Asks the compiler what this computer is.
fn host(place: &Place) -> Result<String, Failure> {
    let said = process::output(Command::new("rustc").current_dir(&place.root).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Failed("`rustc -vV` names no host".to_owned()))
}

/// Asks cargo for the version of the program.
fn package_version(place: &Place) -> Result<String, Failure> {
    let id = process::output(cargo_in(&place.root).args(["pkgid", "--package", PROGRAM]))?;
    // `path+file:///some/where/crates/toolbox#sockeye-toolbox@0.1.0`
    let version = id.trim().rsplit(['@', '#']).next().unwrap_or_default();
    Ok(version.to_owned())
}

/// Makes a call of cargo that builds for a board.
fn cargo_build(place: &Place, board: &Board) -> Result<Command, Failure> {
    let mut cargo = cargo(place, "build", &board.about.target)?;
    cargo.arg("--quiet");
    board.image(&mut cargo);
    Ok(cargo)
}

/// Makes a call of cargo that leaves no trace of the folders in what is built for a target.
fn cargo(place: &Place, command: &str, target: &str) -> Result<Command, Failure> {
    let sysroot =
        process::output(Command::new("rustc").current_dir(&place.root).args(["--print", "sysroot"]))?;
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| std::env::home_dir().unwrap_or_default().join(".cargo"), PathBuf::from);
    // The last one that fits counts.
    let folders = [
        (place.root.as_path(), "/sockeye"),
        (&place.target, "/target"),
        (&home, "/cargo"),
        (Path::new(sysroot.trim()), "/rust"),
    ];
    let flags: Vec<String> = folders
        .iter()
        .map(|(from, to)| json!(format!("--remap-path-prefix={}={to}", from.display())).to_string())
        .collect();
    let mut cargo = cargo_in(&place.root);
    cargo.env("CARGO_TARGET_DIR", &place.target).env_remove("RUSTFLAGS");
    // `--config` adds to the flags of .cargo/config.toml.
    // Behind the command: before it, it would be forgotten for another `--config` that comes later.
    cargo
        .args([command, "--locked", "--config"])
        .arg(format!("target.{target}.rustflags=[{}]", flags.join(",")));
    Ok(cargo)
}

fn build(place: &Place, board: &Board, mut cargo: Command, package: &str) -> Result<Vec<u8>, Failure> {
    process::run(&mut cargo)?;
    let elf = place.target.join(&board.about.target).join("firmware").join(package);
    let bytes = fs::read(&elf).map_err(|error| Failure::file(&elf, error))?;
    match trace(place, &bytes) {
        None => Ok(bytes),
        Some(folder) => {
            Err(Failure::file(&elf, format!("it names the folder {folder}: elsewhere it would differ")))
        }
    }
}

/// Finds the name of a folder of ours in what was built.
fn trace(place: &Place, bytes: &[u8]) -> Option<String> {
    let folders = [&place.root, &place.target].map(|folder| folder.display().to_string());
    folders.into_iter().find(|folder| bytes.windows(folder.len()).any(|part| part == folder.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// cargo forgets what `--config` says before its command if it is there behind it too, as boards have it.
    #[test]
    fn the_folders_are_taken_out_of_what_is_built_for_every_board() {
        let root = Workspace::find().unwrap().root;
        let place = Place { target: root.join("target"), root: root.clone() };
        for board in Board::all(&root).unwrap() {
            let cargo = cargo_build(&place, &board).unwrap();
            let args: Vec<_> = cargo.get_args().map(|arg| arg.to_string_lossy()).collect();
            let before: Vec<_> = args.iter().take_while(|arg| *arg != "build").collect();
            assert!(before.len() < args.len() && !before.iter().any(|arg| *arg == "--config"), "{args:?}");
            let remaps = args.iter().filter(|arg| arg.contains("--remap-path-prefix="));
            assert_eq!(remaps.count(), 1, "{args:?}");
        }
    }

    #[test]
    fn a_folder_that_is_named_in_an_image_is_found() {
        let place = Place { root: "/some/where".into(), target: "/else/where".into() };
        let check = |bytes: &[u8], found: Option<&str>| assert_eq!(trace(&place, bytes).as_deref(), found);
        check(b"", None);
        check(b"/sockeye/src/lib.rs\0/target/memory.rs", None);
        check(b"\0/some/where/src/lib.rs", Some("/some/where"));
        check(b"x/else/where", Some("/else/where"));
    }

    #[test]
    fn a_sum_is_what_sha256sum_reads() {
        // FIPS 180-2, B.1: the hash of "abc".
        let line = sum_line(&Path::new("folder").join("a file"), b"abc");
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(line, format!("{digits}  folder/a file\n"));
    }

    #[test]
    fn the_program_has_this_computers_name_and_a_version() {
        let root = Workspace::find().unwrap().root;
        let place = Place { target: root.join("target"), root };
        assert!(host(&place).unwrap().contains(std::env::consts::ARCH), "{:?}", host(&place));
        assert_eq!(package_version(&place).unwrap(), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_copy_has_the_sources_and_not_what_was_built() {
        let root = Workspace::find().unwrap().root;
        let folder = tempfile::tempdir().unwrap();
        copy_sources(&root, folder.path()).unwrap();
        assert!(folder.path().join("boards/stm32wl/board.toml").is_file());
        assert!(!folder.path().join("target").exists() && !folder.path().join(".git").exists());
    }
}
