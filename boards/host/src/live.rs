//! The live view: what happens scrolls by, the state stands below it, and script commands are typed in.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crossterm::event::{Event as Key, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, event, queue, style, terminal};

use crate::human;
use crate::script::{Stimulus, parse_command};
use crate::world::{Status, World};

/// How often the simulation catches up with the clock, and the view is drawn.
const FRAME: Duration = Duration::from_millis(50);

/// What `help` says.
const HELP: &str = "\
press                 the button             hold 11s              a long press: factory reset
load 1500W [pf 0.9]   plug something in      load 0W               take it away
inrush 10x 100ms      its next switch-on     voltage 207V          the mains voltage
downlink 85 080100ff  switch on by LoRaWAN   downlink 85 ff28ff    ask for a report
gateway off           the network is deaf    power off             the mains goes
help, quit            this, and the end      docs/PROTOCOL.md has all downlinks";

/// What somebody typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Stimulus(Stimulus),
    Help,
    Quit,
    Nothing,
    Wrong(String),
}

fn understand(text: &str) -> Typed {
    match text.trim() {
        "" => Typed::Nothing,
        "help" | "?" => Typed::Help,
        "quit" | "exit" | "q" => Typed::Quit,
        command => match parse_command(command) {
            Ok(stimulus) => Typed::Stimulus(stimulus),
            Err(error) => Typed::Wrong(format!(
                "column {}: expected {}, found {}; `help` has examples",
                error.column,
                error.expected,
                if error.found.is_empty() {
                    "the end of the line".into()
                } else {
                    format!("`{}`", error.found)
                },
            )),
        },
    }
}

/// Runs the world in real time until `quit`, the end of `duration_ms`, or the end of a piped standard input's
/// patience: without a terminal, lines are printed as they come and commands are read from standard input.
///
/// # Errors
/// Those of the terminal.
pub fn run(world: &mut World, duration_ms: Option<u64>) -> io::Result<()> {
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        terminal::enable_raw_mode()?;
        let result = Screen::default().run(world, duration_ms);
        terminal::disable_raw_mode()?;
        println!();
        result
    } else {
        run_piped(world, duration_ms)
    }
}

/// Applies what was typed; returns lines to show, and whether to go on.
fn obey(world: &mut World, typed: Typed) -> (Vec<String>, bool) {
    match typed {
        Typed::Nothing => (vec![], true),
        Typed::Help => (HELP.lines().map(str::to_owned).collect(), true),
        Typed::Quit => (vec![], false),
        Typed::Wrong(why) => (vec![why], true),
        Typed::Stimulus(stimulus) => match world.apply(&stimulus) {
            Ok(()) => (vec![], true),
            Err(why) => (vec![why], true),
        },
    }
}

fn event_lines(world: &mut World) -> Vec<String> {
    let several = world.socket_count() > 1;
    let lines = world.take_events().into_iter().map(|(t_ms, socket, event)| {
        let who = if several { format!("{socket:>4}  ") } else { String::new() };
        format!("{}  {who}{}", human::time(t_ms), human::line(&event))
    });
    lines.collect()
}

fn run_piped(world: &mut World, duration_ms: Option<u64>) -> io::Result<()> {
    let (typed, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if typed.send(line).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let mut out = io::stdout().lock();
    loop {
        let go_on = catch_up(world, started, duration_ms);
        let mut shown = event_lines(world);
        let mut quit = false;
        for line in lines.try_iter() {
            let (more, stay) = obey(world, understand(&line));
            shown.extend(more);
            quit |= !stay;
        }
        for line in shown {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        if quit || !go_on {
            return Ok(());
        }
        std::thread::sleep(FRAME);
    }
}

/// Brings the world up to the clock; tells whether there is time left.
fn catch_up(world: &mut World, started: Instant, duration_ms: Option<u64>) -> bool {
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let end_ms = duration_ms.unwrap_or(u64::MAX);
    world.run_until_ms(elapsed_ms.min(end_ms));
    elapsed_ms < end_ms
}

/// The view on a terminal.
#[derive(Default)]
struct Screen {
    input: String,
    /// Lines of the state block that stand on the screen now.
    drawn: u16,
    history: VecDeque<String>,
}

impl Screen {
    fn run(mut self, world: &mut World, duration_ms: Option<u64>) -> io::Result<()> {
        let started = Instant::now();
        let mut lines =
            vec!["Sockeye: a simulated socket. Type `help` for what can happen to it, `quit` to end.".into()];
        loop {
            let go_on = catch_up(world, started, duration_ms);
            lines.extend(event_lines(world));
            self.draw(&lines, &world.status())?;
            lines.clear();
            if !go_on {
                return Ok(());
            }
            let frame_end = Instant::now() + FRAME;
            while event::poll(frame_end.saturating_duration_since(Instant::now()))? {
                let Key::Key(key) = event::read()? else { continue };
                if key.kind == KeyEventKind::Release {
                    continue;
                }
                match key.code {
                    KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(());
                    }
                    KeyCode::Char(letter) => self.input.push(letter),
                    KeyCode::Backspace => drop(self.input.pop()),
                    KeyCode::Up => {
                        if let Some(last) = self.history.pop_back() {
                            self.history.push_front(last.clone());
                            self.input = last;
                        }
                    }
                    KeyCode::Enter => {
                        let text = std::mem::take(&mut self.input);
                        lines.push(format!("> {text}"));
                        let (more, stay) = obey(world, understand(&text));
                        lines.extend(more);
                        if !text.trim().is_empty() {
                            self.history.push_back(text);
                        }
                        if !stay {
                            return Ok(());
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Scrolls new lines in above the state block, and draws that again.
    fn draw(&mut self, lines: &[String], status: &Status) -> io::Result<()> {
        let width = usize::from(terminal::size().map_or(80, |(columns, _)| columns)).max(20);
        let mut out = io::stdout().lock();
        if self.drawn > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.drawn))?;
        }
        queue!(out, cursor::MoveToColumn(0), terminal::Clear(terminal::ClearType::FromCursorDown))?;
        for line in lines {
            queue!(out, style::Print(line), style::Print("\r\n"))?;
        }
        let block = block(status, width);
        for line in &block {
            queue!(out, style::Print(line), style::Print("\r\n"))?;
        }
        let room = width.saturating_sub(3);
        let shown: String =
            self.input.chars().rev().take(room).collect::<Vec<_>>().into_iter().rev().collect();
        queue!(out, style::Print("> "), style::Print(shown))?;
        self.drawn = u16::try_from(block.len()).unwrap_or(0);
        out.flush()
    }
}

/// The state of the first socket, a few lines of at most `width` columns.
fn block(status: &Status, width: usize) -> Vec<String> {
    let reading = match &status.reading {
        Some(reading) => format!(
            "{}.{} V   {}   {}.{} W   factor {} %   {} Wh",
            reading.voltage_mv / 1000,
            reading.voltage_mv / 100 % 10,
            human::amperes(reading.current_ma),
            reading.power_mw / 1000,
            reading.power_mw / 100 % 10,
            (u32::from(reading.power_factor_permille()) + 5) / 10,
            status.energy_uwh / 1_000_000,
        ),
        None => "the meter has not been read".into(),
    };
    let network = match status.dev_addr {
        Some(dev_addr) => format!("joined as {dev_addr:08X}"),
        None => "not joined".into(),
    };
    let onoff = |on| if on { "ON" } else { "off" };
    let lines = [
        "─".repeat(width.saturating_sub(1)),
        format!(
            "{}   relay {:3}   LED {:3}   {}   {} up, {} down{}{}",
            human::time(status.t_ms).split('.').next().unwrap_or_default(),
            onoff(status.relay_on),
            onoff(status.led_on),
            network,
            status.uplinks,
            status.downlinks,
            if status.mains_on { "" } else { "   NO MAINS" },
            if status.gateway_on { "" } else { "   gateway off" },
        ),
        reading,
    ];
    lines.map(|line| line.chars().take(width.saturating_sub(1)).collect()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_words_are_understood() {
        assert_eq!(understand("  "), Typed::Nothing);
        assert_eq!(understand("help"), Typed::Help);
        assert_eq!(understand("quit"), Typed::Quit);
        assert_eq!(understand("press"), Typed::Stimulus(Stimulus::Press));
        let Typed::Wrong(why) = understand("load lots") else { panic!("understood nonsense") };
        assert!(why.contains("`lots`") && why.contains("help"), "{why}");
    }

    #[test]
    fn every_example_of_the_help_is_a_command() {
        for line in HELP.lines() {
            for half in [line.get(..22), line.get(45..67)] {
                let command = half.unwrap_or_default().replace("[pf 0.9]", "pf 0.9");
                let command = command.trim();
                if command.starts_with("help") || command.starts_with("docs") {
                    continue;
                }
                assert!(matches!(understand(command), Typed::Stimulus(_)), "{command}");
            }
        }
    }

    #[test]
    fn the_state_block_fits_its_width() {
        let status = Status { relay_on: true, dev_addr: Some(0x0102_0304), ..Status::default() };
        for width in [20, 80, 200] {
            for line in block(&status, width) {
                assert!(line.chars().count() < width, "{line}");
            }
        }
        let shown = block(&status, 120).join("\n");
        assert!(shown.contains("relay ON") && shown.contains("01020304"), "{shown}");
    }
}
