//! The command behind `cargo xtask run`, for any kind of socket.

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::cli::Options;
use crate::device::Device;
use crate::interrupt::Interrupt;
use crate::lines::Lines;
use crate::live;
use crate::pace::Pace;
use crate::plot;
use crate::report::Event;
use crate::script::{Schedule, Stimulus};
use crate::world::{World, check_settings_file};

/// What a run ends with besides success.
enum Failure {
    /// The command was used wrongly; exit status 2.
    Usage(String),
    /// The device failed; exit status 1.
    Device(String),
}

/// Makes a run of the options, in the world that `make` gives, and says how it ended.
pub fn execute<D: Device>(
    options: &Options,
    make: impl FnOnce(&Options) -> Result<World<D>, String>,
) -> ExitCode {
    let failure = match std::panic::catch_unwind(AssertUnwindSafe(|| run(options, make))) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Device("the firmware or a model panicked; the message is above".into()),
    };
    let (what, status) = match failure {
        Failure::Usage(what) => (what, 2),
        Failure::Device(what) => (what, 1),
    };
    eprintln!("error: {what}");
    ExitCode::from(status)
}

fn run<D: Device>(
    options: &Options,
    make: impl FnOnce(&Options) -> Result<World<D>, String>,
) -> Result<(), Failure> {
    check_plot(options).map_err(Failure::Usage)?;
    let schedule = read_script(options).map_err(Failure::Usage)?;
    let interrupt = Interrupt::catch()
        .map_err(|error| Failure::Device(format!("Ctrl-C cannot be waited for: {error}")))?;
    let mut world = make(options).map_err(Failure::Usage)?;
    let started = Instant::now();
    let result = match options.duration_ms {
        // A real network server keeps real time.
        Some(end_ms) if !options.realtime && options.gateway.is_none() => {
            batch(&mut world, options, &schedule, end_ms, &interrupt)
        }
        _ => paced(&mut world, options, &schedule, &interrupt),
    };
    result.and_then(|()| finish(&world, options, started)).or_else(ignore_closed_pipe)?;
    plot(&world, options).map_err(Failure::Device)?;
    match world.watchdog_resets() {
        0 => Ok(()),
        resets => Err(Failure::Device(format!("the watchdog had to end a hang {resets} times"))),
    }
}

/// Finds out before the run, which may be long, whether the picture can be written after it.
fn check_plot(options: &Options) -> Result<(), String> {
    let Some(path) = &options.plot else { return Ok(()) };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.map(drop).map_err(|error| format!("--plot {}: {error}", path.display()))
}

fn plot<D: Device>(world: &World<D>, options: &Options) -> Result<(), String> {
    let (Some(path), Some(trace)) = (&options.plot, world.trace()) else { return Ok(()) };
    let title = format!("Sockeye, seed {}, {}", options.seed, options.region.name());
    let svg = plot::svg(&trace, world.now_ms(), &title).map_err(|error| format!("--plot: {error}"))?;
    std::fs::write(path, svg).map_err(|error| format!("--plot {}: {error}", path.display()))
}

fn read_script(options: &Options) -> Result<Schedule, String> {
    let Some(path) = &options.script else { return Ok(Schedule::default()) };
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|whole| bytes = whole)
    };
    read.map_err(|error| format!("cannot read the script {}: {error}", path.display()))?;
    let schedule = Schedule::from_bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    for entry in &schedule.entries {
        if let Stimulus::NfcWrite { path } = &entry.stimulus {
            check_settings_file(Path::new(path), options)?;
        }
    }
    Ok(schedule)
}

fn lines<W: Write>(options: &Options, out: W) -> Lines<W> {
    Lines { out, json: options.json, several: options.sockets > 1 }
}

/// Runs as fast as it can, to its end or to Ctrl-C.
fn batch<D: Device>(
    world: &mut World<D>,
    options: &Options,
    schedule: &Schedule,
    end_ms: u64,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let mut lines = lines(options, BufWriter::new(io::stdout().lock()));
    let mut queue = schedule.queue().peekable();
    while !interrupt.is_pressed() && world.step(&mut queue, end_ms) {
        for (t_ms, socket, event) in world.take_events() {
            lines.event(t_ms, socket, &event)?;
        }
    }
    lines.out.flush()
}

/// Runs at the pace of the clock: on a terminal as a live view, else as lines. Both take commands typed in.
fn paced<D: Device>(
    world: &mut World<D>,
    options: &Options,
    schedule: &Schedule,
    interrupt: &Interrupt,
) -> io::Result<()> {
    let pace = Pace::new(schedule, options.duration_ms, interrupt);
    if !options.json && io::stdout().is_terminal() && io::stdin().is_terminal() {
        return live::run(world, pace);
    }
    lines(options, io::stdout().lock()).run(world, pace)
}

fn finish<D: Device>(world: &World<D>, options: &Options, started: Instant) -> io::Result<()> {
    let mut summary = world.summary();
    summary.wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut lines = lines(options, io::stdout().lock());
    // It is that of all sockets together.
    lines.several = false;
    lines.event(world.now_ms(), 0, &Event::Summary(summary))
}

/// A reader that has seen enough (`| head`) is no failure.
fn ignore_closed_pipe(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::Device(format!("cannot write the run's lines: {error}"))),
    }
}
