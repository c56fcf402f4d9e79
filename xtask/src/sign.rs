//! `sign`: an image with a header that says what it is, signed: what `toolbox upgrade` writes to a socket.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use sockeye_upgrade::{BoardName, HEADER_LEN, Header, Image, Software, Verify};

use crate::board::{Board, Choice, Variant};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{build, image, keys};

/// Says what is signed, and by whom.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    choice: Choice,
    /// The file of the secret key, as `keygen` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The image, an ELF file; built if not given
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// The file to write; beside the image if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The version of the image, in place of its own: for trying an upgrade
    #[arg(long, value_name = "V", value_parser = build::software_version)]
    version_as: Option<[u8; 2]>,
    #[command(flatten)]
    range: Hardware,
}

/// The hardware versions that an image runs on.
#[derive(Clone, Copy, Debug, Args)]
pub struct Hardware {
    /// The first hardware version that it runs on
    #[arg(long, value_name = "V", default_value = "1.0", value_parser = hardware_version)]
    hardware_min: [u8; 2],
    /// The last hardware version that it runs on
    #[arg(long, value_name = "V", default_value = "1.9", value_parser = hardware_version)]
    hardware_max: [u8; 2],
}

impl Hardware {
    /// All that there are of the first design.
    pub const ALL: Self = Self { hardware_min: [1, 0x00], hardware_max: [1, 0x90] };
}

/// Reads `1.4` as the identity has it: `[0x01, 0x40]`.
pub fn hardware_version(text: &str) -> Result<[u8; 2], String> {
    let parsed = text.split_once('.').and_then(|(major, minor)| {
        let minor: u8 = minor.parse().ok().filter(|minor| *minor <= 9)?;
        Some([major.parse().ok()?, minor << 4])
    });
    parsed.ok_or_else(|| format!("`{text}` is no hardware version such as 1.4"))
}

/// Builds an image if need be, and signs it.
///
/// # Errors
/// A board that is not there, an image that does not build or fit, a key that is none, a file that is there.
pub fn sign(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (board, variant) = Board::choose(&workspace.root, &options.choice)?;
    let key = keys::read(&options.key)?;
    let elf = match &options.elf {
        Some(elf) => elf.clone(),
        None => build::make_as(workspace, &board, &variant, options.version_as)?.elf,
    };
    let bytes = fs::read(&elf).map_err(|error| Failure::file(&elf, error))?;
    let flat = flat(&board, &bytes).map_err(|error| Failure::file(&elf, error))?;
    let version = match options.version_as {
        Some(version) => version,
        None => version(&workspace.root)?,
    };
    let update = update(&variant, &flat, version, options.range, &key)?;
    let out = options.out.clone().unwrap_or_else(|| elf.with_extension("update"));
    fs::write(&out, &update).map_err(|error| Failure::file(&out, error))?;
    let [major, minor] = version;
    println!(
        "{}: {} V{major:x}.{minor:x}, {} bytes and a header of {HEADER_LEN}",
        workspace.short(&out),
        variant.update_name(),
        flat.len()
    );
    Ok(())
}

/// Makes the version after the present one of a board's image, signed with the key of those who develop: what the tests of
/// upgrades carry in.
///
/// # Errors
/// As [`sign`].
pub fn next(workspace: &Workspace, board: &str) -> Result<(), Failure> {
    let [major, minor] = version(&workspace.root)?;
    let options = Options {
        choice: Choice { board: board.to_owned(), variant: None },
        key: workspace.root.join("boards/development.key"),
        elf: None,
        out: None,
        version_as: Some([major, minor.wrapping_add(1)]),
        range: Hardware::ALL,
    };
    sign(workspace, &options)
}

/// Gives an image as it lies in the active slot, gaps as erased flash.
///
/// # Errors
/// An image that is none, or lies elsewhere.
pub fn flat(board: &Board, elf: &[u8]) -> Result<Vec<u8>, String> {
    let segments = image::segments(elf).map_err(|error| error.to_string())?;
    let (origin, length) = (board.memory.active_origin, board.memory.active_length);
    let mut flat = Vec::new();
    for (address, bytes) in segments {
        let start = u64::from(address).checked_sub(origin);
        let end = start.map(|start| start + bytes.len() as u64).filter(|end| *end <= length);
        let (Some(start), Some(end)) = (start, end) else {
            return Err(format!("a part at {address:#010x} lies outside of the application's slot"));
        };
        let (start, end) = (start as usize, end as usize);
        flat.resize(flat.len().max(end), 0xFF);
        flat[start..end].copy_from_slice(bytes);
    }
    if flat.is_empty() {
        return Err("the image is empty".to_owned());
    }
    // The chip writes words.
    flat.resize(flat.len().next_multiple_of(8), 0xFF);
    Ok(flat)
}

/// Signs an image: header and image.
///
/// # Errors
/// A variant whose name no header takes.
pub fn update(
    variant: &Variant,
    image: &[u8],
    version: [u8; 2],
    range: Hardware,
    key: &[u8; 32],
) -> Result<Vec<u8>, Failure> {
    let name = variant.update_name();
    let board = BoardName::new(name)
        .ok_or_else(|| Failure::Failed(format!("`{name}` is no name for an update: 1 to 16 characters")))?;
    let mut software = Software { public_key: sockeye_upgrade::public_key(key) };
    let mut hash = software.begin();
    software.update(&mut hash, image);
    let Hardware { hardware_min, hardware_max } = range;
    let len = u32::try_from(image.len()).map_err(|error| Failure::Failed(error.to_string()))?;
    let image_of = Image { board, hardware_min, hardware_max, version, len, sha512: software.finish(hash) };
    let header = Header::new(&image_of, sockeye_upgrade::sign(key, &image_of.signed_part()));
    Ok(header.to_bytes().iter().chain(image).copied().collect())
}

/// Reads the version that the images tell, from the one line where it stands.
///
/// # Errors
/// The line is not there.
pub fn version(root: &Path) -> Result<[u8; 2], Failure> {
    const LINE: &str = "pub const SOFTWARE_VERSION: [u8; 2] = [";
    let file = root.join("crates/firmware/src/start.rs");
    let text = fs::read_to_string(&file).map_err(|error| Failure::file(&file, error))?;
    let numbers = text.lines().find_map(|line| line.strip_prefix(LINE)?.strip_suffix("];"));
    let version = numbers.and_then(|numbers| {
        let (major, minor) = numbers.split_once(", ")?;
        let byte = |text: &str| u8::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        Some([byte(major)?, byte(minor)?])
    });
    version.ok_or_else(|| Failure::file(&file, format!("no line `{LINE}0x…, 0x…];`")))
}

#[cfg(test)]
mod tests {
    use sockeye_upgrade::{Device, Refusal};

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn lora_e5() -> (Board, Variant) {
        let choice = Choice { board: "stm32wl".to_owned(), variant: None };
        Board::choose(&Workspace::find().unwrap().root, &choice).unwrap()
    }

    #[test]
    fn what_is_signed_is_taken_by_its_device_and_by_no_other() {
        let (board, variant) = lora_e5();
        let image = [1, 2, 3, 4, 5, 6, 7, 8];
        let update = update(&variant, &image, [2, 0x14], Hardware::ALL, &KEY).unwrap();
        assert_eq!(update[HEADER_LEN..], image);
        let header = Header::parse(&update).unwrap();
        let device = Device {
            board: BoardName::new("lora-e5").unwrap(),
            hardware: [1, 0x40],
            version: [2, 0x13],
            capacity: board.memory.active_length as u32,
        };
        let check = |device: &Device, key: [u8; 32]| {
            let mut verify = Software { public_key: sockeye_upgrade::public_key(&key) };
            header.check(device, &mut verify)
        };
        assert_eq!(check(&device, KEY), Ok(()));
        assert_eq!(check(&device, [8; 32]), Err(Refusal::Signature));
        let other = Device { board: BoardName::new("nucleo-wl55jc").unwrap(), ..device };
        assert_eq!(check(&other, KEY), Err(Refusal::Board));
        assert_eq!(check(&Device { hardware: [2, 0], ..device }, KEY), Err(Refusal::HardwareRevision));
        assert_eq!(check(&Device { version: [2, 0x14], ..device }, KEY), Err(Refusal::SameVersion));
    }

    #[test]
    fn the_version_of_the_firmware_is_found() {
        assert!(version(&Workspace::find().unwrap().root).unwrap() > [0, 0]);
        assert!(version(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_hardware_version_is_what_is_printed_on_the_case() {
        assert_eq!(hardware_version("1.4"), Ok([1, 0x40]));
        for text in ["1", "1.10", "256.1", "V1.4", ""] {
            assert!(hardware_version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_variant_has_a_name_of_its_own_in_updates() {
        let boards = Board::all(&Workspace::find().unwrap().root).unwrap();
        let mut names: Vec<_> =
            boards.iter().flat_map(|board| &board.variants).map(Variant::update_name).collect();
        assert!(names.iter().all(|name| BoardName::new(name).is_some()), "{names:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
