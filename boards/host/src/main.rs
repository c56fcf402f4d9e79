//! The command behind `cargo xtask run`.
#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::{Event, write_line};
use sockeye_host::script::{Schedule, Stimulus};
use sockeye_host::world::{World, check_settings_file};
use sockeye_host::{human, live};

/// What a run ends with besides success.
enum Failure {
    /// The command was used wrongly; exit status 2.
    Usage(String),
    /// The device failed; exit status 1.
    Device(String),
}

fn main() -> ExitCode {
    // clap prints its own sentence for a wrong option, and exits with 2.
    let options = Options::parse();
    let failure = match std::panic::catch_unwind(AssertUnwindSafe(|| run(&options))) {
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

fn run(options: &Options) -> Result<(), Failure> {
    refuse_what_is_not_here(options).map_err(Failure::Usage)?;
    let schedule = read_script(options).map_err(Failure::Usage)?;
    let mut world = World::new(options).map_err(Failure::Usage)?;
    let started = Instant::now();
    let result = match options.duration_ms {
        Some(end_ms) if !options.realtime => batch(&mut world, options, &schedule, end_ms),
        _ if options.json || !schedule.entries.is_empty() => paced(&mut world, options, &schedule),
        _ => live::run(&mut world, options.duration_ms),
    };
    result.and_then(|()| finish(&world, options, started)).or_else(ignore_closed_pipe)?;
    match world.watchdog_resets() {
        0 => Ok(()),
        resets => Err(Failure::Device(format!("the watchdog had to end a hang {resets} times"))),
    }
}

fn refuse_what_is_not_here(options: &Options) -> Result<(), String> {
    for (given, option) in [
        (options.gateway.is_some(), "--gateway"),
        (options.gateway_eui.is_some(), "--gateway-eui"),
        (options.plot.is_some(), "--plot"),
    ] {
        if given {
            return Err(format!("{option} is not in this version; run without it"));
        }
    }
    Ok(())
}

fn read_script(options: &Options) -> Result<Schedule, String> {
    let Some(path) = &options.script else { return Ok(Schedule::default()) };
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(path).map(|whole| text = whole)
    };
    read.map_err(|error| format!("cannot read the script {}: {error}", path.display()))?;
    let schedule = Schedule::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    for entry in &schedule.entries {
        if let Stimulus::NfcWrite { path } = &entry.stimulus {
            check_settings_file(Path::new(path), options)?;
        }
    }
    Ok(schedule)
}

/// Writes one event in the form that was asked for.
fn print(out: &mut impl Write, options: &Options, t_ms: u64, socket: usize, event: &Event) -> io::Result<()> {
    let socket = (options.sockets > 1).then_some(socket);
    if options.json {
        return write_line(out, t_ms, socket, event);
    }
    let who = socket.map_or(String::new(), |socket| format!("{socket:>4}  "));
    writeln!(out, "{}  {who}{}", human::time(t_ms), human::line(event))
}

/// Runs as fast as it can.
fn batch(world: &mut World, options: &Options, schedule: &Schedule, end_ms: u64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    world.run_script(schedule, end_ms, |(t_ms, socket, event)| {
        print(&mut out, options, t_ms, socket, &event)
    })?;
    out.flush()
}

/// Runs a script, or JSON lines without an end, at the pace of the clock.
fn paced(world: &mut World, options: &Options, schedule: &Schedule) -> io::Result<()> {
    let end_ms = options.duration_ms.unwrap_or(u64::MAX);
    let started = Instant::now();
    let mut queue = schedule.queue().peekable();
    let mut out = io::stdout().lock();
    while world.now_ms() < end_ms {
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).min(end_ms);
        while let Some((at_ms, stimulus)) = queue.next_if(|(at_ms, _)| *at_ms <= elapsed_ms) {
            world.run_until_ms(at_ms);
            if let Err(what) = world.apply(stimulus) {
                print(&mut out, options, at_ms, 0, &Event::Error { what })?;
            }
        }
        world.run_until_ms(elapsed_ms);
        for (t_ms, socket, event) in world.take_events() {
            print(&mut out, options, t_ms, socket, &event)?;
        }
        out.flush()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn finish(world: &World, options: &Options, started: Instant) -> io::Result<()> {
    let mut summary = world.summary();
    summary.wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let event = Event::Summary(summary);
    let mut out = io::stdout().lock();
    if options.json {
        write_line(&mut out, world.now_ms(), None, &event)
    } else {
        writeln!(out, "{}  {}", human::time(world.now_ms()), human::line(&event))
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn ignore_closed_pipe(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::Device(format!("cannot write the run's lines: {error}"))),
    }
}
