//! `keygen`: a pair of keys for signing updates, and how their files are read.
//!
//! A key file holds 64 hexadecimal digits, and lines of comment that begin with `#`: 32 bytes of Ed25519 (RFC 8032, 5.1.5), the
//! seed in `NAME.key`, the public key in `NAME.pub`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;

/// Says where the keys go.
#[derive(Debug, Args)]
pub struct Options {
    /// The files without their endings: NAME.key and NAME.pub
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

/// Makes a pair of keys. Files that are there already are never written over.
///
/// # Errors
/// A file that is there, or cannot be written; no random numbers.
pub fn keygen(options: &Options) -> Result<(), Failure> {
    let with = |ending: &str| {
        let mut name = options.name.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (secret_file, public_file) = (with(".key"), with(".pub"));
    for file in [&secret_file, &public_file] {
        if file.exists() {
            let file = file.display();
            return Err(Failure::Usage(format!("{file} is there already; a key is never written over")));
        }
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Failed(format!("no random numbers: {error}")))?;
    let public = sockeye_upgrade::public_key(&seed);
    write_new(
        &secret_file,
        "Ed25519, secret half. Whoever has it makes firmware that sockets obey.",
        &seed,
        true,
    )?;
    write_new(&public_file, "Ed25519, public half, for the bootloader.", &public, false)?;
    println!("{}: keep it secret, and keep a copy", secret_file.display());
    println!(
        "{}: for the bootloader; `cargo xtask dist --key {}` puts it there by itself",
        public_file.display(),
        secret_file.display()
    );
    Ok(())
}

fn write_new(file: &Path, comment: &str, key: &[u8; 32], is_secret: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let written = options.open(file).and_then(|mut file| write!(file, "# {comment}\n{digits}\n"));
    written.map_err(|error| Failure::file(file, error))
}

/// What the comment of a public key's file says, and that of no secret one's.
const PUBLIC: &str = "public half";

/// Reads the file of a secret key. What is in it is never shown.
///
/// # Errors
/// A file that cannot be read, holds no key, or the public half of one.
pub fn read(file: &Path) -> Result<[u8; 32], Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
    if text.lines().any(|line| line.starts_with('#') && line.contains(PUBLIC)) {
        let secret = file.with_extension("key");
        let (file, secret) = (file.display(), secret.display());
        return Err(Failure::Usage(format!(
            "{file} is the public half of a key; what signs is the secret one, such as {secret}"
        )));
    }
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).map(str::trim).collect();
    hex(&digits).ok_or_else(|| {
        Failure::Usage(format!(
            "{} holds no key: 64 hexadecimal digits, as keygen writes them",
            file.display()
        ))
    })
}

/// Reads so many bytes from twice as many hexadecimal digits.
pub fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_keys_belongs_together_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { name: folder.path().join("product") };
        keygen(&options).unwrap();
        let (secret, public) = (folder.path().join("product.key"), folder.path().join("product.pub"));
        assert_eq!(sockeye_upgrade::public_key(&read(&secret).unwrap()), digits_of(&public));
        let before = fs::read(&secret).unwrap();
        assert!(
            matches!(keygen(&options), Err(Failure::Usage(sentence)) if sentence.contains("never written over"))
        );
        assert_eq!(fs::read(&secret).unwrap(), before);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o77, 0);
        }
        fs::remove_file(&secret).unwrap();
        assert!(keygen(&options).is_err(), "the public half is there still");
    }

    #[test]
    fn the_development_keys_belong_together() {
        let boards = crate::workspace::Workspace::find().unwrap().root.join("boards");
        let secret = read(&boards.join("development.key")).unwrap();
        assert_eq!(sockeye_upgrade::public_key(&secret), digits_of(&boards.join("development.pub")));
    }

    /// The public half taken for a seed would make a key whose secret everybody has.
    #[test]
    fn a_public_key_is_not_taken_for_a_secret_one() {
        let folder = tempfile::tempdir().unwrap();
        keygen(&Options { name: folder.path().join("product") }).unwrap();
        let boards = crate::workspace::Workspace::find().unwrap().root.join("boards");
        for public in [folder.path().join("product.pub"), boards.join("development.pub")] {
            let Err(Failure::Usage(sentence)) = read(&public) else { panic!("{}", public.display()) };
            assert!(
                sentence.contains(".pub is the public half of a key; what signs is the secret one, "),
                "{sentence}"
            );
        }
    }

    fn digits_of(file: &Path) -> [u8; 32] {
        let text = fs::read_to_string(file).unwrap();
        hex(text.lines().last().unwrap()).unwrap()
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.key");
        for text in ["", "# 00", "0011", &"zz".repeat(32), &"00".repeat(33), &"é".repeat(32)] {
            fs::write(&file, text).unwrap();
            let Err(Failure::Usage(sentence)) = read(&file) else { panic!("{text}") };
            assert!(!sentence.contains("zz"), "{sentence}");
        }
    }
}
