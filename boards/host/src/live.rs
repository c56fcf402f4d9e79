//! The live view: what happens scrolls by, the state stands below it, and script commands are typed in.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Instant;

use crossterm::event::{Event as Key, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::{cursor, event, queue, style, terminal};

use crate::device::Device;
use sockeye_state_machine::UplinkKind;

use crate::human;
use crate::pace::{FRAME, Pace};
use crate::trace::{Mark, Second};
use crate::typed::{Reply, obey};
use crate::world::{Status, World};

/// Runs the world in real time on a terminal until `quit`, Ctrl-C or the run's end.
///
/// # Errors
/// Those of the terminal.
pub fn run<D: Device>(world: &mut World<D>, pace: Pace<'_>) -> io::Result<()> {
    let raw = RawMode::enter()?;
    let result = Screen::default().run(world, pace);
    drop(raw);
    println!();
    result
}

/// A terminal that hands over each key. It becomes itself again also when the firmware panics.
struct RawMode;

impl RawMode {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode().map(|()| Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing is left to be done about a terminal that is gone.
        let _ = terminal::disable_raw_mode();
    }
}

/// The view on a terminal.
#[derive(Default)]
struct Screen {
    input: String,
    /// How many letters the lines have that stand on the screen now, the one for input last.
    drawn: Vec<usize>,
    history: VecDeque<String>,
}

impl Screen {
    fn run<D: Device>(mut self, world: &mut World<D>, mut pace: Pace<'_>) -> io::Result<()> {
        let mut lines =
            vec!["Sockeye: a simulated socket. Type `help` for what can happen, `quit` to end.".to_owned()];
        loop {
            let go_on = pace.catch_up(world);
            let several = world.socket_count() > 1;
            for (t_ms, socket, event) in world.take_events() {
                lines.push(human::dated(t_ms, several.then_some(socket), &event));
            }
            self.draw(&lines, &world.status())?;
            lines.clear();
            if !go_on {
                return Ok(());
            }
            let frame_end = Instant::now() + FRAME;
            while event::poll(frame_end.saturating_duration_since(Instant::now()))? {
                let Key::Key(key) = event::read()? else { continue };
                let Some(text) = self.key(key) else { continue };
                lines.push(format!("> {text}"));
                match obey(world, &text) {
                    Reply::Done => {}
                    Reply::Help(text) => lines.extend(text.lines().map(str::to_owned)),
                    Reply::Refused(why) => lines.push(why),
                    Reply::Quit => return Ok(()),
                }
            }
        }
    }

    /// Takes a key; gives the line that it ends.
    fn key(&mut self, key: KeyEvent) -> Option<String> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Some("quit".to_owned()),
            KeyCode::Char('u') if control => self.input.clear(),
            KeyCode::Char(letter) if !control => self.input.push(letter),
            KeyCode::Backspace => drop(self.input.pop()),
            KeyCode::Up => {
                if let Some(last) = self.history.pop_back() {
                    self.history.push_front(last.clone());
                    self.input = last;
                }
            }
            KeyCode::Enter => {
                let text = std::mem::take(&mut self.input);
                if !text.trim().is_empty() {
                    self.history.push_back(text.clone());
                }
                return Some(text);
            }
            _ => {}
        }
        None
    }

    /// Scrolls new lines in above the state block, and draws that again.
    fn draw(&mut self, lines: &[String], status: &Status) -> io::Result<()> {
        let (width, height) =
            terminal::size().map_or((80, 24), |(columns, rows)| (columns.into(), rows.into()));
        let mut out = io::stdout().lock();
        if let Ok(up @ 1..) = u16::try_from(rows_above_input(&self.drawn, width)) {
            queue!(out, cursor::MoveUp(up))?;
        }
        queue!(out, cursor::MoveToColumn(0), terminal::Clear(terminal::ClearType::FromCursorDown))?;
        for line in lines {
            queue!(out, style::Print(line), style::Print("\r\n"))?;
        }
        let block = block(status, &self.input, width, height);
        self.drawn = block.iter().map(|line| line.chars().count()).collect();
        queue!(out, style::Print(block.join("\r\n")))?;
        out.flush()
    }
}

/// Tells how far above the cursor the first of these lines begins, on a terminal that has `width` columns now:
/// one that was made narrower has folded them.
fn rows_above_input(drawn: &[usize], width: usize) -> usize {
    drawn.iter().map(|letters| letters.div_ceil(width.max(1)).max(1)).sum::<usize>().saturating_sub(1)
}

/// The state of the first socket and the line for input, each of fewer than `width` columns, at most `height`.
fn block(status: &Status, input: &str, width: usize, height: usize) -> Vec<String> {
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
    let room = width.saturating_sub(1);
    let typed: Vec<char> = input.chars().collect();
    let shown = typed.len().saturating_sub(room.saturating_sub(3));
    let [marks, power] = plot(&status.recent, room);
    let lines = [
        "─".repeat(room),
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
        marks,
        power,
        waiting(&status.waiting),
        format!("> {}", typed.iter().skip(shown).collect::<String>()),
    ];
    let hidden = lines.len().saturating_sub(height.max(1));
    lines.iter().skip(hidden).map(|line| line.chars().take(room).collect()).collect()
}

/// The letters before a plot: what its highest bar is.
const SCALE: usize = 10;

/// The power over the last seconds, a bar each, the last one now; above it A for an alarm, T for a trip.
fn plot(recent: &[Second], room: usize) -> [String; 2] {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &recent[recent.len().saturating_sub(room.saturating_sub(SCALE))..];
    let top_mw = shown.iter().filter_map(|second| second.power_mw).max().unwrap_or_default();
    let bar = |power_mw: u32| {
        // The highest bar is for the most only, the lowest for nothing only.
        let eighths = u64::from(power_mw) * 7 / u64::from(top_mw.max(1));
        BARS[usize::try_from(eighths).unwrap_or_default().max(usize::from(power_mw > 0)).min(7)]
    };
    let bars = shown.iter().map(|second| second.power_mw.map_or(' ', bar));
    let marks = shown.iter().map(|second| match second.mark {
        Some(Mark::Trip) => 'T',
        Some(Mark::Alarm) => 'A',
        Some(Mark::Reboot) | None => ' ',
    });
    let scale = format!("{:>6} W  ", top_mw / 1000);
    [format!("{}{}", " ".repeat(SCALE), marks.collect::<String>()), scale + &bars.collect::<String>()]
}

/// Says what the radio has still to send.
fn waiting(uplinks: &[(UplinkKind, usize)]) -> String {
    if uplinks.is_empty() {
        return "nothing waits to be sent".to_owned();
    }
    let name = |kind: &UplinkKind| match kind {
        UplinkKind::Outage => "outage",
        UplinkKind::Alarm => "alarm",
        UplinkKind::Answer => "answer",
        UplinkKind::BasicInformation => "basic information",
        UplinkKind::Report => "report",
    };
    let all: Vec<String> = uplinks.iter().map(|(kind, bytes)| format!("{} {bytes} B", name(kind))).collect();
    format!("waits to be sent: {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_shows_the_last_seconds_to_its_scale_with_gaps_and_marks() {
        let second = |power_w: u32, mark| Second { power_mw: Some(power_w * 1000), mark };
        let recent = [
            second(9_999, None),
            second(0, None),
            second(1, None),
            second(1_150, Some(Mark::Alarm)),
            second(2_300, Some(Mark::Trip)),
            Second::default(),
            second(0, None),
        ];
        // The first second has no room any more, and does not count for the scale.
        assert_eq!(plot(&recent, SCALE + 6), ["            AT  ", "  2300 W  ▁▂▄█ ▁"]);
        assert_eq!(plot(&[], 80), [" ".repeat(SCALE), "     0 W  ".to_owned()]);
        assert_eq!(plot(&recent, 3)[1], "     0 W  ");
    }

    #[test]
    fn what_waits_is_told_with_its_bytes() {
        assert_eq!(waiting(&[]), "nothing waits to be sent");
        let uplinks = [(UplinkKind::Alarm, 24), (UplinkKind::BasicInformation, 48)];
        assert_eq!(waiting(&uplinks), "waits to be sent: alarm 24 B, basic information 48 B");
    }

    #[test]
    fn the_state_block_fits_its_terminal() {
        let recent = vec![Second { power_mw: Some(1_000), mark: None }; 240];
        let waiting = vec![(UplinkKind::Report, 24); 12];
        let status =
            Status { relay_on: true, dev_addr: Some(0x0102_0304), recent, waiting, ..Status::default() };
        for width in [1, 2, 5, 20, 80, 200] {
            for height in [1, 2, 3, 4, 6, 7, 24] {
                let block = block(&status, &"typed ".repeat(40), width, height);
                assert_eq!(block.len(), height.min(7));
                assert!(block.iter().all(|line| line.chars().count() < width), "{block:?}");
                if width > 5 {
                    assert!(
                        block.last().unwrap().starts_with("> ") && block.last().unwrap().ends_with("ped ")
                    );
                }
            }
        }
        let shown = block(&status, "load 1", 120, 24).join("\n");
        for part in ["relay ON", "01020304", "     1 W  ███", "report 24 B", "\n> load 1"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn lines_that_a_narrower_terminal_folds_are_cleared_as_a_whole() {
        for (drawn, width, rows) in [
            (&[][..], 80, 0),
            (&[79, 60, 10, 2], 80, 3),
            (&[79, 60, 10, 2], 40, 5),
            (&[79, 60, 10, 40], 20, 4 + 3 + 1 + 2 - 1),
            (&[0, 0, 0, 0], 0, 3),
        ] {
            assert_eq!(rows_above_input(drawn, width), rows, "{drawn:?} at {width}");
        }
    }

    #[test]
    fn keys_make_lines() {
        let mut screen = Screen::default();
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        for letter in "presx".chars() {
            assert_eq!(screen.key(plain(KeyCode::Char(letter))), None);
        }
        screen.key(plain(KeyCode::Backspace));
        screen.key(control('a'));
        screen.key(plain(KeyCode::Char('s')));
        assert_eq!(screen.key(plain(KeyCode::Enter)).as_deref(), Some("press"));
        assert_eq!(screen.key(plain(KeyCode::Enter)).as_deref(), Some(""));
        screen.key(plain(KeyCode::Up));
        assert_eq!(screen.input, "press");
        screen.key(control('u'));
        assert_eq!(screen.input, "");
        assert_eq!(screen.key(control('c')).as_deref(), Some("quit"));
    }
}
