//! What somebody types while a run goes on: script commands without a time, and words about the run itself.

use crate::device::Device;
use crate::script::{Stimulus, parse_command};
use crate::world::World;

/// What `help` says, in lines that fit 80 columns.
const HELP: &str = "\
press                 the button            hold 11s            factory reset
load 1500W [pf 0.9]   plug something in     load 0W             take it away
inrush 10x 100ms      its next switch-on    voltage 207V        the mains
downlink 85 080100ff  switch on by LoRaWAN  downlink 85 ff28ff  ask for report
gateway off           the network is deaf   power off           the mains goes
help, quit            this, and the end     docs/PROTOCOL.md    all downlinks";

/// What is to be done with a line that was typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Stimulus(Stimulus),
    Help,
    Quit,
    Nothing,
    Wrong(String),
}

/// What comes of a line that was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done, or said nothing.
    Done,
    /// The lines of the help.
    Help(&'static str),
    /// Why it was not done.
    Refused(String),
    /// The run is to end.
    Quit,
}

fn understand(text: &str) -> Typed {
    match text.trim() {
        "" => Typed::Nothing,
        "help" | "?" => Typed::Help,
        "quit" | "exit" | "q" => Typed::Quit,
        command => match parse_command(command) {
            Ok(stimulus) => Typed::Stimulus(stimulus),
            Err(error) => Typed::Wrong(format!("{}; `help` has examples", error.within_line())),
        },
    }
}

/// Does what was typed.
pub fn obey<D: Device>(world: &mut World<D>, text: &str) -> Reply {
    match understand(text) {
        Typed::Nothing => Reply::Done,
        Typed::Help => Reply::Help(HELP),
        Typed::Quit => Reply::Quit,
        Typed::Wrong(why) => Reply::Refused(why),
        Typed::Stimulus(stimulus) => world.apply(&stimulus).map_or_else(Reply::Refused, |()| Reply::Done),
    }
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
    fn every_example_of_the_help_is_a_command_and_fits_80_columns() {
        for line in HELP.lines() {
            assert!(line.len() < 80, "{line}");
            for half in [line.get(..22), line.get(44..64)] {
                let command = half.unwrap_or_default().replace("[pf 0.9]", "pf 0.9");
                let command = command.trim();
                if command.starts_with("help") || command.starts_with("docs") {
                    continue;
                }
                assert!(matches!(understand(command), Typed::Stimulus(_)), "{command}");
            }
        }
    }
}
