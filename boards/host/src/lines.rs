//! A run as lines: for people, or as JSON.

use std::io::{self, BufRead, Write};
use std::sync::mpsc;

use crate::device::Device;
use crate::human;
use crate::pace::{FRAME, Pace};
use crate::report::{Event, write_line};
use crate::typed::{Reply, obey};
use crate::world::World;

/// Writes the events of a run.
#[derive(Debug)]
pub struct Lines<W> {
    /// Where to.
    pub out: W,
    /// One JSON object a line.
    pub json: bool,
    /// There are several sockets: each line says whose it is.
    pub several: bool,
}

impl<W: Write> Lines<W> {
    /// Writes one event.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn event(&mut self, t_ms: u64, socket: usize, event: &Event) -> io::Result<()> {
        let socket = self.several.then_some(socket);
        if self.json {
            write_line(&mut self.out, t_ms, socket, event)
        } else {
            writeln!(self.out, "{}", human::dated(t_ms, socket, event))
        }
    }

    /// Runs at the pace of the clock until `quit` is read from standard input, to Ctrl-C, or to the run's end. Other
    /// lines of standard input are commands of a script, without their times.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn run<D: Device>(&mut self, world: &mut World<D>, mut pace: Pace<'_>) -> io::Result<()> {
        let typed = standard_input();
        loop {
            let mut go_on = pace.catch_up(world);
            for text in typed.try_iter() {
                match obey(world, &text) {
                    Reply::Done => {}
                    Reply::Help(_) if self.json => {}
                    Reply::Help(text) => writeln!(self.out, "{text}")?,
                    Reply::Refused(why) => world.tell(why),
                    Reply::Quit => go_on = false,
                }
            }
            for (t_ms, socket, event) in world.take_events() {
                self.event(t_ms, socket, &event)?;
            }
            self.out.flush()?;
            if !go_on {
                return Ok(());
            }
            std::thread::sleep(FRAME);
        }
    }
}

/// Reads standard input line by line; what is no UTF-8 comes as the sign for that, and is refused.
fn standard_input() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if typed.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}
