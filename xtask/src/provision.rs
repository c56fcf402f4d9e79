//! `provision`: who a socket is, written where its records lie, as in the factory.

use std::convert::Infallible;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sockeye_metering::Correction;
use sockeye_settings::{Identity, Key, Model};
use sockeye_storage::{RecordId, Storage};

use crate::board::{Board, Choice};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{calibration, flash, hex_file, keys, process};

/// Says who the socket is.
#[derive(Debug, Args)]
#[command(after_help = "\
The records' whole range is written: settings, session and counters that a socket has there are gone, so that its network has to \
forget its DevNonces too, and a calibration has to be given again. The application key is written to the chip and to FILE, and shown nowhere.")]
pub struct Options {
    #[command(flatten)]
    choice: Choice,
    /// The serial number, 16 hexadecimal digits
    #[arg(long, value_parser = bytes::<8>)]
    sn: Bytes<8>,
    /// The DevEUI, 16 hexadecimal digits
    #[arg(long, value_parser = bytes::<8>)]
    dev_eui: Bytes<8>,
    /// The application key, 32 hexadecimal digits, or the file that holds them: other users see a command line
    #[arg(long, value_name = "KEY|FILE")]
    app_key: String,
    /// The socket's model
    #[arg(long, default_value = "EU", value_parser = model)]
    model: Model,
    /// The hardware version
    #[arg(long, value_name = "V", default_value = "1.4", value_parser = crate::sign::hardware_version)]
    hardware: [u8; 2],
    /// What the meter is off: `voltage=+1200ppm,current=-300ppm,power=800ppm`, within 100000 ppm, or what a socket without calibration
    /// shows and what is true: `voltage=228.7/230.0`. The energy follows the power, which is within 30000 ppm of voltage and current
    /// together. What is not named is right
    #[arg(long, value_name = "WHAT=PPM,…", value_parser = calibration::parse, allow_hyphen_values = true)]
    calibration: Option<Correction>,
    /// Writes the block to this file as Intel HEX, and no chip
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the commands and do nothing
    #[arg(long)]
    dry_run: bool,
}

type Bytes<const N: usize> = [u8; N];

fn bytes<const N: usize>(text: &str) -> Result<Bytes<N>, String> {
    keys::hex(text).ok_or_else(|| format!("`{text}` is not {} hexadecimal digits", 2 * N))
}

fn model(text: &str) -> Result<Model, String> {
    let names = Model::ALL.map(Model::name).join(", ");
    Model::from_name(text).ok_or_else(|| format!("there is no model `{text}`; choose one of: {names}"))
}

/// Makes the block of records and writes it to a chip or a file.
///
/// # Errors
/// A board that is not there, a key that is none, a missing tool or probe.
pub fn provision(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let (board, variant) = Board::choose(&workspace.root, &options.choice)?;
    let identity = Identity {
        sn: options.sn,
        dev_eui: options.dev_eui,
        model: options.model,
        app_key: Key::new(app_key(&options.app_key)?),
        hardware_version: options.hardware,
    };
    let block = block(&board, &identity, options.calibration.as_ref())?;
    let origin =
        u32::try_from(board.memory.storage_origin).map_err(|error| Failure::Failed(error.to_string()))?;
    let hex = hex_file::write(&[(origin, &block)]).map_err(Failure::Failed)?;
    let file = match &options.out {
        Some(out) => out.clone(),
        None => workspace.target_dir()?.join(format!("{}.identity.hex", variant.update_name())),
    };
    let chip = &variant.probe_chip;
    let mut download = Command::new("probe-rs");
    download.args(["download", "--chip", chip, "--binary-format", "hex"]).arg(&file);
    let mut reset = Command::new("probe-rs");
    reset.args(["reset", "--chip", chip]);
    if options.dry_run {
        if options.out.is_none() {
            println!("{}\n{}", process::show(&download), process::show(&reset));
        }
        println!("{} bytes at {origin:#010x}", block.len());
        if let Some(calibration) = &options.calibration {
            println!(
                "calibration: voltage {:+} ppm, current {:+} ppm, power {:+} ppm",
                calibration.voltage_ppm(),
                calibration.current_ppm(),
                calibration.power_ppm()
            );
        }
        return Ok(());
    }
    if options.out.is_none() {
        flash::check_probe(&board)?;
    }
    fs::write(&file, hex).map_err(|error| Failure::file(&file, error))?;
    if options.out.is_some() {
        println!("{}", workspace.short(&file));
        return Ok(());
    }
    let done = process::run(&mut download).and_then(|()| process::run(&mut reset));
    // It holds the key.
    let removed = fs::remove_file(&file).map_err(|error| Failure::file(&file, error));
    done.and(removed)
}

/// Reads the key as it stands, or from a file.
fn app_key(text: &str) -> Result<[u8; 16], Failure> {
    let from_file = || fs::read_to_string(text).ok().and_then(|text| keys::hex(text.trim()));
    keys::hex(text).or_else(from_file).ok_or_else(|| {
        Failure::Usage("--app-key is neither 32 hexadecimal digits nor a file that holds them".to_owned())
    })
}

/// Makes the records' range of a board's flash, with an identity in it, and what the meter is off if that is known, by the code that the device reads it with.
///
/// # Errors
/// A memory map that does not work.
pub fn block(
    board: &Board,
    identity: &Identity,
    correction: Option<&Correction>,
) -> Result<Vec<u8>, Failure> {
    let identity = identity.encode();
    let correction = correction.map(Correction::encode);
    let records: Vec<(RecordId, &[u8])> = [(RecordId::Identity, &identity[..])]
        .into_iter()
        .chain(correction.as_ref().map(|bytes| (RecordId::Calibration, &bytes[..])))
        .collect();
    let length =
        u32::try_from(board.memory.storage_length).map_err(|error| Failure::Failed(error.to_string()))?;
    let bytes = vec![0xFF; length as usize];
    let bytes = match (board.memory.erase_size, board.memory.write_size) {
        (2048, 8) => store::<2048, 8>(bytes, 0..length, &records),
        (4096, 1) => store::<4096, 1>(bytes, 0..length, &records),
        (4096, 4) => store::<4096, 4>(bytes, 0..length, &records),
        (erase, write) => Err(format!("no flash with pages of {erase} bytes and words of {write} is known")),
    };
    let name = &board.about.name;
    bytes.map_err(|error| Failure::Failed(format!("the records of {name}: {error}")))
}

fn store<const ERASE: usize, const WRITE: usize>(
    bytes: Vec<u8>,
    range: Range<u32>,
    records: &[(RecordId, &[u8])],
) -> Result<Vec<u8>, String> {
    let mut flash = Ram::<ERASE, WRITE>(bytes);
    let mut storage = Storage::new(&mut flash, range);
    for (id, record) in records {
        embassy_futures::block_on(storage.store(*id, record)).map_err(|error| format!("{error:?}"))?;
    }
    Ok(flash.0)
}

/// A flash in memory.
struct Ram<const ERASE: usize, const WRITE: usize>(Vec<u8>);

impl<const ERASE: usize, const WRITE: usize> ErrorType for Ram<ERASE, WRITE> {
    type Error = Infallible;
}

impl<const ERASE: usize, const WRITE: usize> ReadNorFlash for Ram<ERASE, WRITE> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl<const ERASE: usize, const WRITE: usize> NorFlash for Ram<ERASE, WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        for (to, from) in self.0[offset as usize..].iter_mut().zip(bytes) {
            *to &= from;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a record as the device does.
    fn load(board: &Board, block: &[u8], id: RecordId) -> Option<Vec<u8>> {
        fn load<const ERASE: usize, const WRITE: usize>(block: &[u8], id: RecordId) -> Option<Vec<u8>> {
            let mut out = [0; 64];
            let mut storage = Storage::new(Ram::<ERASE, WRITE>(block.to_vec()), 0..block.len() as u32);
            let length = embassy_futures::block_on(storage.load(id, &mut out)).unwrap();
            length.map(|length| out[..length].to_vec())
        }
        match (board.memory.erase_size, board.memory.write_size) {
            (2048, 8) => load::<2048, 8>(block, id),
            (4096, 1) => load::<4096, 1>(block, id),
            _ => load::<4096, 4>(block, id),
        }
    }

    #[test]
    fn the_device_reads_the_identity_and_the_calibration_that_were_written() {
        let identity = Identity {
            sn: [1, 2, 3, 4, 5, 6, 7, 8],
            dev_eui: [8; 8],
            model: Model::Uk,
            app_key: Key::new([9; 16]),
            hardware_version: [1, 0x20],
        };
        let correction = Correction::new(1200, -300, 800).unwrap();
        for board in Board::all(&Workspace::find().unwrap().root).unwrap() {
            let name = &board.about.name;
            for correction in [None, Some(correction)] {
                let block = block(&board, &identity, correction.as_ref()).unwrap();
                assert_eq!(block.len() as u64, board.memory.storage_length);
                let read = load(&board, &block, RecordId::Identity).unwrap();
                assert_eq!(Identity::decode(&read), Ok(identity), "{name}");
                let read = load(&board, &block, RecordId::Calibration);
                assert_eq!(read.map(|bytes| Correction::decode(&bytes).unwrap()), correction, "{name}");
            }
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_shown() {
        let Err(Failure::Usage(sentence)) = app_key("00112233445566778899aabbccddeefg") else { panic!() };
        assert!(!sentence.contains("0011"), "{sentence}");
        assert_eq!(app_key(&"0f".repeat(16)), Ok([0x0F; 16]));
    }
}
