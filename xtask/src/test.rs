//! `test`: everything that CI checks, step by step.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::board::{Board, Choice};
use crate::build;
use crate::emulate;
use crate::failure::Failure;
use crate::fuzz;
use crate::process;
use crate::setup;
use crate::sign;
use crate::size;
use crate::soak;
use crate::tidy;
use crate::web;
use crate::workspace::Workspace;

/// Says what to leave out.
#[derive(Debug, Args)]
#[command(after_help = "\
Steps: setup, format, tidy, clippy (host), tests, docs, boards (clippy for each board on its target), images (release images
and crates against their budgets), emulation (the images on modelled chips), web (the web page in headless Chromium), soak
(30 days of one socket at random) beside
fuzz (30 s of each target, 60 s of the MAC, one on each core).
A step that fails does not keep the others from running; the exit status is 0 when all passed.")]
pub struct Options {
    /// For daily work: without `images`, `emulation`, `web`, `soak` and `fuzz`
    #[arg(long)]
    quick: bool,
    /// Leaves one step out; may be given several times
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,
    /// Runs one step only; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    Setup,
    Format,
    Tidy,
    Clippy,
    Tests,
    Docs,
    Boards,
    Images,
    Emulation,
    Web,
    Soak,
    Fuzz,
}

impl Options {
    fn wants(&self, step: Step) -> bool {
        let slow = matches!(step, Step::Images | Step::Emulation | Step::Web | Step::Soak | Step::Fuzz);
        !self.skip.contains(&step)
            && (self.only.is_empty() || self.only.contains(&step))
            && !(self.quick && slow)
    }
}

/// Counts tests, and steps that are not tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    /// What the summary tells of those that failed.
    wrong: Vec<String>,
}

impl Count {
    fn of(passed: u64, failed: u64) -> Self {
        Self { passed, failed, wrong: Vec::new() }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.wrong.extend(other.wrong);
    }
}

impl From<Result<(), Failure>> for Count {
    /// Counts one check, and says what was wrong.
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::of(1, 0),
            Err(failure) => {
                let wrong = failure.to_string();
                failure.report();
                Self { passed: 0, failed: 1, wrong: vec![wrong] }
            }
        }
    }
}

/// Runs the steps in turn and ends with a summary.
///
/// # Errors
/// When anything failed.
pub fn test(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let timed = |run: fn(&Workspace) -> Count| {
        let start = Instant::now();
        let count = run(workspace);
        (start.elapsed(), count)
    };
    let mut done: Vec<(&str, Duration, Count)> = Vec::new();
    thread::scope(|scope| {
        let mut soaking = None;
        for step in Step::value_variants().iter().copied().filter(|step| options.wants(*step)) {
            let (name, run): (&str, fn(&Workspace) -> Count) = match step {
                Step::Setup => ("setup", |workspace| setup::setup(workspace).into()),
                Step::Format => ("format", format),
                Step::Tidy => ("tidy", |workspace| tidy::check(workspace).into()),
                Step::Clippy => ("clippy", clippy),
                Step::Tests => ("tests", tests),
                Step::Docs => ("docs", docs),
                Step::Boards => ("boards", boards),
                Step::Images => ("images", images),
                Step::Emulation => ("emulation", emulation),
                Step::Web => ("web", web),
                Step::Soak => ("soak", |workspace| soak::soak(workspace, &soak::Options::one()).into()),
                Step::Fuzz => ("fuzz", fuzz_all),
            };
            println!("== {name}");
            if step == Step::Soak && options.wants(Step::Fuzz) {
                // Beside the next step, which lasts as long as it is told to.
                soaking = Some((name, scope.spawn(move || timed(run))));
            } else {
                let (time, count) = timed(run);
                done.push((name, time, count));
            }
        }
        if let Some((name, soak)) = soaking {
            let failed = |_| (Duration::ZERO, Err(Failure::Failed("the step panicked".to_owned())).into());
            let (time, count) = soak.join().unwrap_or_else(failed);
            done.push((name, time, count));
        }
    });
    let (text, all) = summary(&done);
    print!("{text}");
    if all.failed == 0 && all.passed > 0 { Ok(()) } else { Err(Failure::Status(1)) }
}

fn summary(done: &[(&str, Duration, Count)]) -> (String, Count) {
    let mut all = Count::default();
    let mut text =
        String::from("== summary: each test counts as one, and so does each call of another step\n");
    for (name, time, count) in done {
        let result = if count.failed == 0 { "ok" } else { "FAILED" };
        let _ = writeln!(
            text,
            "{name:<8} {result:<6} {:>6.1} s   {} ok, {} wrong",
            time.as_secs_f32(),
            count.passed,
            count.failed
        );
        all.add(count.clone());
    }
    // At the end, as whoever reads the end of a long text wants to know.
    for (name, _, count) in done {
        for wrong in &count.wrong {
            let _ = writeln!(text, "{name}: {wrong}");
        }
    }
    let _ = writeln!(text, "{} passed, {} failed", all.passed, all.failed);
    (text, all)
}

fn format(workspace: &Workspace) -> Count {
    let mut count: Count = process::run(workspace.cargo().args(["fmt", "--all", "--", "--check"])).into();
    let fuzz = ["fmt", "--manifest-path", "crates/fuzz/Cargo.toml", "--", "--check"];
    count.add(process::run(workspace.cargo().args(fuzz)).into());
    count
}

/// The host's crates, and those with a test mode with that too: it is in no board's image.
fn clippy(workspace: &Workspace) -> Count {
    let mut count = Count::default();
    let certification = ["--package", "sockeye-firmware", "--features", "certification"];
    for of in [&[][..], &certification] {
        let mut cargo = workspace.cargo();
        cargo.args(["clippy", "--quiet", "--all-targets"]).args(of).args(["--", "-D", "warnings"]);
        count.add(process::run(&mut cargo).into());
    }
    count
}

fn docs(workspace: &Workspace) -> Count {
    process::run(workspace.cargo().args(["doc", "--quiet", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
        .into()
}

fn boards(workspace: &Workspace) -> Count {
    let boards = match Board::all(&workspace.root) {
        Ok(boards) => boards,
        Err(failure) => return Err(failure).into(),
    };
    let mut count = Count::default();
    for board in &boards {
        for variant in &board.variants {
            println!("{} {}", board.about.name, variant.name);
            let mut cargo = workspace.cargo();
            cargo.args(["clippy", "--quiet", "--target", &board.about.target]);
            board.select(&mut cargo, variant);
            cargo.args(["--", "-D", "warnings"]);
            count.add(board.check_target(workspace).and_then(|()| process::run(&mut cargo)).into());
        }
        if let Some(package) = &board.about.bootloader {
            println!("{} bootloader", board.about.name);
            let mut cargo = workspace.cargo();
            cargo.args(["clippy", "--quiet", "--package", package, "--target", &board.about.target]);
            cargo.args(["--", "-D", "warnings"]);
            count.add(process::run(&mut cargo).into());
        }
    }
    count
}

fn images(workspace: &Workspace) -> Count {
    size::size(workspace, &size::Options { board: None, crates: false, one: None }).into()
}

/// The emulator is no default member, as the CPU engine takes a minute to build: here it is checked and tested, with the
/// images as they are flashed.
fn emulation(workspace: &Workspace) -> Count {
    let mut count = Count::default();
    let clippy = ["clippy", "--quiet", "-p", "sockeye-emulator", "--all-targets", "--", "-D", "warnings"];
    count.add(process::run(workspace.cargo().args(clippy)).into());
    let docs = ["doc", "--quiet", "--no-deps", "-p", "sockeye-emulator"];
    count.add(process::run(workspace.cargo().args(docs).env("RUSTDOCFLAGS", "-D warnings")).into());
    let images = || {
        // The log is tested on one chip, the serial line on a devkit of each.
        let choice = Choice { board: "rp2040-sx1262".to_owned(), variant: Some("serial".to_owned()) };
        build::build(workspace, &build::Options::with_log(choice))?;
        let choice = Choice { board: "stm32wl".to_owned(), variant: Some("nucleo-wl55jc".to_owned()) };
        build::build(workspace, &build::Options::of(choice))?;
        emulate::BOARDS.iter().try_for_each(|board| {
            sign::next(workspace, board)?;
            emulate::images(workspace, &emulate::Chosen::of(board)).map(drop)
        })
    };
    match images() {
        Ok(()) => count.add(tests_of(workspace, &["test", "--no-fail-fast", "-p", "sockeye-emulator"])),
        Err(failure) => count.add(Err(failure).into()),
    }
    count
}

/// The web page, its program built for browsers, in headless Chromium.
fn web(workspace: &Workspace) -> Count {
    match web::test(workspace) {
        Ok(mut node) => tests_by(&mut node),
        Err(failure) => Err(failure).into(),
    }
}

fn fuzz_all(workspace: &Workspace) -> Count {
    let results = match fuzz::every(workspace) {
        Ok(results) => results,
        Err(failure) => return Err(failure).into(),
    };
    let mut count = Count::default();
    for result in results {
        count.add(result.into());
    }
    count
}

/// All tests, and then those of what a feature hides: the certification mode is in no product.
const TEST_CALLS: [&[&str]; 3] = [
    &["test", "--no-fail-fast"],
    &["test", "--no-fail-fast", "-p", "sockeye-lorawan-mac", "--features", "certification", "mac_cert_"],
    &[
        "test",
        "--no-fail-fast",
        "-p",
        "sockeye-host",
        "--features",
        "certification",
        "--test",
        "certification",
    ],
];

fn tests(workspace: &Workspace) -> Count {
    let mut count = Count::default();
    for call in TEST_CALLS {
        count.add(tests_of(workspace, call));
    }
    count
}

fn tests_of(workspace: &Workspace, call: &[&str]) -> Count {
    tests_by(workspace.cargo().args(call))
}

/// Runs a program that runs tests, and counts them.
fn tests_by(command: &mut Command) -> Count {
    let mut count = Count::default();
    let mut told = Told::default();
    let result = relay_lines(command, |line| {
        count.add(test_result(line).unwrap_or_default());
        told.line(line);
    });
    count.wrong = told.failed.into_iter().map(|(name, said)| name + &said).collect();
    match result {
        // A test binary that does not build or is killed fails without a line of its own.
        Err(failure) if count.failed == 0 => count.add(Err(failure).into()),
        Ok(()) if count.passed == 0 => {
            count.add(Err(Failure::Failed("no test was run".to_owned())).into());
        }
        _ => {}
    }
    count
}

/// Runs a program and hands its lines on, to us and to the terminal.
fn relay_lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(error.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    for text in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let text = text.map_err(failed)?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        line(&text);
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("`{}` failed ({status})", process::show(command))))
    }
}

/// How many lines of a failed test the summary shows.
const LINES: usize = 8;

/// Gathers from the lines of a test binary which tests failed, and what they said first.
#[derive(Default)]
struct Told {
    /// Names, and the lines of each, indented.
    failed: Vec<(String, String)>,
    /// Whose lines come now, and how many more are taken.
    now: Option<(usize, usize)>,
}

impl Told {
    fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed.push((name.to_owned(), String::new()));
            self.now = Some((self.failed.len() - 1, LINES));
        } else if let Some(title) = line.strip_prefix("---- ") {
            // What it said comes after all tests have run.
            let name = title.trim_end_matches(" ----").trim_end_matches(" stdout");
            let place = self.failed.iter().rposition(|(failed, _)| failed == name);
            self.now = place.map(|at| (at, LINES));
        } else if ["test ", "failures:", "running "].iter().any(|other| line.starts_with(other)) {
            self.now = None;
        } else if let Some((at, left @ 1..)) = self.now
            && let Some((_, said)) = self.failed.get_mut(at).filter(|_| !line.trim().is_empty())
        {
            let _ = write!(said, "\n    {line}");
            self.now = Some((at, left - 1));
        }
    }
}

/// Reads the line with which a test binary ends: `test result: ok. 12 passed; 0 failed; …`.
fn test_result(line: &str) -> Option<Count> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        counts
            .split(';')
            .find_map(|part| part.trim().strip_suffix(what))
            .and_then(|number| number.trim().parse().ok())
    };
    Some(Count::of(number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_lines_of_test_binaries_are_counted_and_others_are_not() {
        let line =
            "test result: ok. 19 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.18s";
        assert_eq!(test_result(line), Some(Count::of(19, 0)));
        let line =
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(test_result(line), Some(Count::of(3, 2)));
        assert_eq!(test_result("test a_test_result ... ok"), None);
        assert_eq!(test_result("test result: ok."), None);
    }

    #[test]
    fn the_summary_ends_with_the_sum_and_names_the_step_that_failed() {
        let second = Duration::from_secs(1);
        let done = [
            ("tests", second, Count::of(5, 0)),
            ("docs", second, Err(Failure::Failed("a link leads nowhere".to_owned())).into()),
        ];
        let (text, all) = summary(&done);
        assert_eq!((all.passed, all.failed), (5, 1));
        assert!(text.contains("\ndocs: a link leads nowhere\n"), "{text}");
        assert_eq!(text.lines().last(), Some("5 passed, 1 failed"));
        assert!(text.lines().any(|line| line.starts_with("docs     FAILED")), "{text}");
    }

    #[test]
    fn a_test_that_failed_is_named_with_what_it_said() {
        let mut told = Told::default();
        // As cargo's own test binaries tell it, as those of libtest-mimic do, and as the browser's tests do.
        for line in "\
running 3 tests
test a ... ok
test b::c ... FAILED
test d ... FAILED

failures:

---- b::c stdout ----

thread 'b::c' panicked at src/lib.rs:4:5:
it was red

---- d stdout ----
noise

failures:
    b::c
    d

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s
test chip: e ... FAILED

---- chip: e ----
hung
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s
test page ... FAILED
one
test other ... ok
two"
        .lines()
        {
            told.line(line);
        }
        let failed: Vec<_> = told.failed.iter().map(|(name, said)| (&**name, &**said)).collect();
        assert_eq!(
            failed,
            [
                ("b::c", "\n    thread 'b::c' panicked at src/lib.rs:4:5:\n    it was red"),
                ("d", "\n    noise"),
                ("chip: e", "\n    hung"),
                ("page", "\n    one"),
            ]
        );
        told.line("test long ... FAILED");
        (0..100).for_each(|_| told.line("again"));
        assert_eq!(told.failed[4].1.lines().count(), 1 + LINES);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_is_a_failure_even_if_its_lines_are_fine() {
        let mut seen = Vec::new();
        let mut sh = Command::new("sh");
        let result =
            relay_lines(sh.args(["-c", "echo one; echo two; exit 101"]), |line| seen.push(line.to_owned()));
        assert!(result.is_err());
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn quick_skip_and_only_choose_the_steps() {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let check = |args: &str, expected: &str| {
            let options = Line::parse_from(format!("test {args}").split_whitespace()).options;
            let chosen = Step::value_variants().iter().filter(|step| options.wants(**step));
            let chosen: Vec<_> = chosen.map(|step| format!("{step:?}").to_lowercase()).collect();
            assert_eq!(chosen.join(" "), expected, "{args}");
        };
        check("", "setup format tidy clippy tests docs boards images emulation web soak fuzz");
        check("--quick", "setup format tidy clippy tests docs boards");
        check("--quick --skip boards --skip docs", "setup format tidy clippy tests");
        check("--only tests --only fuzz", "tests fuzz");
    }
}
