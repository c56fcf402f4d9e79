//! The command behind `cargo xtask emulate`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use sockeye_emulator::chip::Chip;
use sockeye_emulator::elf::Image;
use sockeye_emulator::gdb::Server;
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_emulator::trace::Trace;
use sockeye_host::cli::Options;
use sockeye_host::command;
use sockeye_host::world::World;

/// Runs a board's image on a modelled chip, with its own network server.
///
/// Options, script and lines are those of `cargo xtask run`. Nothing in the image tells what it does: why the relay
/// was switched, and that a session has begun, is concluded from what is seen around the chip.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask emulate",
    bin_name = "cargo xtask emulate",
    version,
    max_term_width = 100,
    after_help = "\
Which image: --board BOARD (stm32wl or rp2040-sx1262), --variant VARIANT of its board.toml, and --log for one that writes what it does."
)]
struct Emulate {
    /// The image, an ELF file; `cargo xtask emulate` builds and names it.
    #[arg(long, value_name = "FILE")]
    elf: PathBuf,

    /// The bootloader before it, an ELF file; without one the image has to start the chip itself.
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,

    /// Writes every function that is entered and every exception to a file, with the time in µs: some 20 MB for a minute.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Waits for GDB on this port of this computer before the first instruction, and obeys it: docs/RUN.md.
    #[arg(long, value_name = "PORT")]
    gdb: Option<u16>,

    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Emulate { elf, bootloader, trace, gdb, options } = Emulate::parse();
    let image = match join(&elf, bootloader.as_deref()) {
        Ok(image) => Rc::new(image),
        Err(what) => {
            eprintln!("error: {what}");
            return ExitCode::from(2);
        }
    };
    let trace = trace.as_deref();
    if image.is_for_rp2040() {
        run::<Rp2040>(&options, &image, trace, gdb)
    } else {
        run::<Stm32wl>(&options, &image, trace, gdb)
    }
}

fn run<C: Chip>(options: &Options, image: &Rc<Image>, trace: Option<&Path>, gdb: Option<u16>) -> ExitCode {
    command::execute(options, |options| {
        let trace = trace.map(|path| {
            Trace::create(path)
                .map(Rc::new)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        });
        let trace = trace.transpose()?;
        if gdb.is_some() && options.sockets > 1 {
            return Err("--gdb looks at one socket: leave --sockets out".into());
        }
        let debugger = gdb.map(listen::<C>).transpose()?;
        World::with(options, |place| {
            let socket = EmulatedSocket::<C>::new(image, &place)?;
            if let Some(trace) = &trace {
                socket.trace(trace)?;
            }
            if let Some(debugger) = &debugger {
                socket.debug(debugger)?;
            }
            Ok(socket)
        })
    })
}

fn listen<C: Chip>(port: u16) -> Result<Rc<Server<C>>, String> {
    let server = Server::listen(port).and_then(|server| {
        eprintln!("waiting for a debugger: target remote {}", server.address()?);
        Ok(Rc::new(server))
    });
    server.map_err(|error| format!("--gdb {port}: {error}"))
}

/// Reads the image, and the bootloader before it.
fn join(elf: &Path, bootloader: Option<&Path>) -> Result<Image, String> {
    let image = read(elf)?;
    Ok(match bootloader {
        Some(bootloader) => image.join(read(bootloader)?),
        None => image,
    })
}

fn read(elf: &Path) -> Result<Image, String> {
    let bytes = std::fs::read(elf).map_err(|error| format!("cannot read {}: {error}", elf.display()))?;
    Image::parse(&bytes).map_err(|error| format!("{} is no image: {error}", elf.display()))
}
