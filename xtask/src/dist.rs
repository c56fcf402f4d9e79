//! `dist`: what is given to others: images in every form, signed updates, and what is in them. The same bytes whoever builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

use crate::board::{Board, Choice, Variant};
use crate::failure::Failure;
use crate::sign::{self, Hardware};
use crate::workspace::Workspace;
use crate::{hex_file, image, keys, process, uf2, web};

/// Says what to make.
#[derive(Debug, Args)]
#[command(after_help = "\
For every variant: NAME.elf (application), NAME-bootloader.elf, NAME.bin (application, as it lies in its slot), NAME.hex and where the chip \
shows a drive NAME.uf2 (bootloader and application), NAME.update (signed), NAME.sbom.json (CycloneDX: what is in it). Beside them the \
folder `toolbox`: the web page, for any web server.")]
pub struct Options {
    /// Only this board, in all its variants
    #[arg(long)]
    board: Option<String>,
    /// Only the web page
    #[arg(long, conflicts_with = "board")]
    page: bool,
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
    key: [u8; 32],
}

/// Makes everything, or checks that it is the same when made elsewhere.
///
/// # Errors
/// A board that is not there, an image that does not build, a key that is none, bytes that differ.
pub fn dist(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let boards: Vec<Board> = match &options.board {
        None if options.page => Vec::new(),
        None => Board::all(&workspace.root)?,
        Some(name) => vec![Board::choose(&workspace.root, &Choice { board: name.clone(), variant: None })?.0],
    };
    let key = match &options.key {
        Some(file) => keys::read(file)?,
        None => keys::read(&workspace.root.join("boards/development.key"))?,
    };
    let wanted = Wanted { boards, page: options.board.is_none(), key };
    if options.check {
        return check(workspace, &wanted);
    }
    if options.key.is_none() && !options.page {
        println!("signed with the development key, which everybody has: not for a product");
    }
    let target = workspace.target_dir()?;
    let out = options.out.clone().unwrap_or_else(|| target.join("dist"));
    let place = Place { root: workspace.root.clone(), target: target.join("dist-build") };
    for file in make(&place, &wanted, &out)? {
        println!("{}", workspace.short(&file));
    }
    Ok(())
}

/// Builds in two folders with names of different lengths, and compares file by file.
fn check(workspace: &Workspace, wanted: &Wanted) -> Result<(), Failure> {
    let base = workspace.target_dir()?.join("dist-check");
    let mut made = Vec::new();
    for name in ["one", "the-other-one/of-the-two"] {
        let root = base.join(name).join("source");
        copy_sources(&workspace.root, &root)?;
        let place = Place { target: base.join(name).join("built"), root };
        made.push(make(&place, wanted, &base.join(name).join("dist"))?);
        // A build takes some hundred MB.
        let _ = fs::remove_dir_all(&place.target);
    }
    let [one, other] = made.as_slice() else { return Ok(()) };
    let read = |file: &PathBuf| fs::read(file).map_err(|error| Failure::file(file, error));
    let mut differ = Vec::new();
    for (one, other) in one.iter().zip(other) {
        let same = read(one)? == read(other)?;
        let name = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{name:<40} {}", if same { "same" } else { "DIFFERS" });
        if !same {
            differ.push(name);
        }
    }
    if differ.is_empty() && !one.is_empty() {
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

fn make(place: &Place, wanted: &Wanted, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Wanted { boards, page, key } = wanted;
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
                let file = out.join(format!("{}{ending}", variant.update_name()));
                files.push(file.clone());
                fs::write(&file, bytes).map_err(|error| Failure::file(&file, error))
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
            let parts = bill(place, board, variant, version)?;
            add(".sbom.json", format!("{parts:#}\n").as_bytes())?;
        }
    }
    if *page {
        let cargo = cargo(place, web::TARGET)?;
        files.extend(web::make(cargo, &place.root, &place.target, &out.join("toolbox"))?);
    }
    Ok(files)
}

/// Makes a call of cargo that builds for a board.
fn cargo_build(place: &Place, board: &Board) -> Result<Command, Failure> {
    let mut cargo = cargo(place, &board.about.target)?;
    cargo.args(["build", "--quiet"]);
    board.image(&mut cargo);
    Ok(cargo)
}

/// Makes a call of cargo, still without its command, that leaves no trace of the folders in what is built for a target.
fn cargo(place: &Place, target: &str) -> Result<Command, Failure> {
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
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&place.root).env("CARGO_TARGET_DIR", &place.target).env_remove("RUSTFLAGS");
    // `--config` adds to the flags of .cargo/config.toml.
    cargo.arg("--locked").arg("--config").arg(format!("target.{target}.rustflags=[{}]", flags.join(",")));
    Ok(cargo)
}

fn build(place: &Place, board: &Board, mut cargo: Command, package: &str) -> Result<Vec<u8>, Failure> {
    process::run(&mut cargo)?;
    let elf = place.target.join(&board.about.target).join("firmware").join(package);
    fs::read(&elf).map_err(|error| Failure::file(&elf, error))
}

/// Lists the packages that an image is made of, as CycloneDX 1.5 has it. Without time and serial number: they would differ.
fn bill(place: &Place, board: &Board, variant: &Variant, version: [u8; 2]) -> Result<Value, Failure> {
    let mut packages = Vec::new();
    let applications = [(&board.about.package, variant.features.join(","))];
    let bootloader = board.about.bootloader.iter().map(|package| (package, String::new()));
    for (package, features) in applications.into_iter().chain(bootloader) {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&place.root).args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
        cargo.args(["--format", "{p}|{l}", "--no-dedupe", "--target", &board.about.target]);
        cargo.args(["--package", package, "--no-default-features", "--features", &features]);
        packages.extend(process::output(&mut cargo)?.lines().filter_map(component));
    }
    packages.sort();
    packages.dedup();
    let components: Vec<Value> = packages
        .iter()
        .map(|(name, version, license)| {
            json!({
                "type": "library",
                "name": name,
                "version": version,
                "purl": format!("pkg:cargo/{name}@{version}"),
                "licenses": [{ "expression": license }],
            })
        })
        .collect();
    let [major, minor] = version;
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "firmware",
            "name": format!("sockeye {}", variant.update_name()),
            "version": format!("{major:x}.{minor:x}"),
        } },
        "components": components,
    }))
}

/// Reads a line such as `name v1.2.3 (proc-macro)|MIT`.
fn component(line: &str) -> Option<(String, String, String)> {
    let (package, license) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // What cargo's older form writes with a stroke is an alternative.
    Some((name.to_owned(), version.to_owned(), license.trim().replace('/', " OR ").replace("  ", " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_cargos_tree_becomes_a_component() {
        let check = |line: &str, expected: Option<[&str; 3]>| {
            let found = component(line);
            assert_eq!(found, expected.map(|[a, b, c]| (a.to_owned(), b.to_owned(), c.to_owned())), "{line}");
        };
        check("aes v0.8.4|MIT OR Apache-2.0", Some(["aes", "0.8.4", "MIT OR Apache-2.0"]));
        check("paste v1.0.15 (proc-macro)|MIT/Apache-2.0", Some(["paste", "1.0.15", "MIT OR Apache-2.0"]));
        check(
            "sockeye-radio v0.1.0 (/some/where)|MIT OR Apache-2.0",
            Some(["sockeye-radio", "0.1.0", "MIT OR Apache-2.0"]),
        );
        check("", None);
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
