//! The command behind `cargo xtask emulate`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use serialport::{SerialPort, TTYPort};
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

    /// Joins the chip's serial line to a pseudo terminal of this computer, in real time, and names it: docs/RUN.md.
    #[arg(long)]
    serial: bool,

    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let emulate = Emulate::parse();
    let image = match join(&emulate.elf, emulate.bootloader.as_deref()) {
        Ok(image) => Rc::new(image),
        Err(what) => {
            eprintln!("error: {what}");
            return ExitCode::from(2);
        }
    };
    if image.is_for_rp2040() { run::<Rp2040>(&emulate, &image) } else { run::<Stm32wl>(&emulate, &image) }
}

fn run<C: Chip>(emulate: &Emulate, image: &Rc<Image>) -> ExitCode {
    let Emulate { trace, gdb, serial, options, .. } = emulate;
    command::execute(options, |options| {
        let trace = trace.as_ref().map(|path| {
            Trace::create(path)
                .map(Rc::new)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        });
        let trace = trace.transpose()?;
        if gdb.is_some() && options.sockets > 1 {
            return Err("--gdb looks at one socket: leave --sockets out".into());
        }
        if *serial && (options.sockets > 1 || options.duration_ms.is_some() && !options.realtime) {
            return Err(
                "--serial is for one socket in real time: leave --sockets out, and --for or add --realtime"
                    .into(),
            );
        }
        let mut terminal = serial.then(terminal).transpose()?;
        let debugger = gdb.map(listen::<C>).transpose()?;
        let world = World::with(options, |place| {
            let socket = EmulatedSocket::<C>::new(image, &place)?;
            if let Some(trace) = &trace {
                socket.trace(trace)?;
            }
            if let Some(debugger) = &debugger {
                socket.debug(debugger)?;
            }
            if let Some((port, _)) = &mut terminal {
                socket.connect(port.take().ok_or("one socket has the line")?);
            }
            Ok(socket)
        });
        // Whoever opens the terminal finds it as long as the run lasts.
        std::mem::forget(terminal);
        world
    })
}

/// Makes a pseudo terminal: the emulator's end of it, and the other, which has to stay open.
fn terminal() -> Result<(Option<Box<dyn SerialPort>>, TTYPort), String> {
    let wrong = |error: serialport::Error| format!("--serial: {error}");
    let (mut ours, theirs) = TTYPort::pair().map_err(wrong)?;
    ours.set_timeout(Duration::ZERO).map_err(wrong)?;
    let name = theirs.name().unwrap_or_default();
    eprintln!("the serial line is {name}: cargo xtask toolbox --port {name} read");
    Ok((Some(Box::new(ours)), theirs))
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
