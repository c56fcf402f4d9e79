//! The script language: one stimulus a line, at a time or every period.
//!
//! The language is fixed by the project's command-line page; docs and other people's scripts hang on it. Parsing takes
//! any text and never panics; an error names line, column, what was expected and what stood there.

use core::cmp::Reverse;
use core::fmt;
use std::collections::BinaryHeap;

#[cfg(test)]
mod tests;

/// The longest application payload of any data rate (LoRaWAN Regional Parameters, N of DR4 and up in EU868).
const MAX_PAYLOAD: usize = 242;
/// Far above what a socket carries, far below what overflows a model of the mains.
const MAX_POWER_MW: u64 = 100_000_000;
const MAX_VOLTAGE_MV: u64 = 1_000_000;
const MAX_INRUSH_PERMILLE: u64 = 1_000_000;

/// Is something that happens to the socket from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named by their units")]
pub enum Stimulus {
    /// The button goes down and comes up again.
    Press,
    /// The button stays down for `ms`.
    Hold { ms: u64 },
    /// What is plugged in; 0 mW takes it away.
    Load { power_mw: u32, power_factor_permille: u32 },
    /// The load's next switch-on current, as a multiple of its steady current (10x is 10 000 ‰), for `ms`.
    Inrush { factor_permille: u32, ms: u64 },
    /// The mains voltage, r.m.s.
    Voltage { mv: u32 },
    /// A frame for this socket alone, queued at the network.
    Downlink { port: u8, payload: Vec<u8>, confirmed: bool },
    /// A frame for a multicast group, 1 to 4.
    Multicast { group: u8, port: u8, payload: Vec<u8> },
    /// A command from another device.
    D2d { command: [u8; 2] },
    /// Whether the network hears and sends.
    Gateway(bool),
    /// Whether the mains is there.
    Power(bool),
    /// A settings file is written by NFC.
    NfcWrite { path: String },
    /// The settings are read by NFC.
    NfcRead,
}

/// Says when a line of a script acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once, so many ms after power-up.
    At(u64),
    /// Again and again, first after one period of so many ms (above 0).
    Every(u64),
}

/// Is one line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it acts.
    pub when: When,
    /// What happens.
    pub stimulus: Stimulus,
}

/// Is a whole script, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The lines that say something.
    pub entries: Vec<Entry>,
}

/// Says where a script is wrong; lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line.
    pub line: usize,
    /// The column of the word that was not understood.
    pub column: usize,
    /// What could have stood there.
    pub expected: &'static str,
    /// The word that stood there; empty at the end of a line.
    pub found: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}", self.line, self.within_line())
    }
}

impl ScriptError {
    /// Says what is wrong without the line, for who has typed only one. Letters that would move a terminal's
    /// cursor come as their escapes.
    #[must_use]
    pub fn within_line(&self) -> String {
        let Self { column, expected, found, .. } = self;
        let shown = |letter: char| match letter {
            letter if letter.is_control() || letter == '\u{feff}' => letter.escape_default().to_string(),
            letter => letter.to_string(),
        };
        let found = match found.as_str() {
            "" => "the end of the line".to_owned(),
            found => format!("`{}`", found.chars().map(shown).collect::<String>()),
        };
        format!("column {column}: expected {expected}, found {found}")
    }
}

impl std::error::Error for ScriptError {}

impl Schedule {
    /// Parses a whole script.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut words = Words::new(line, index + 1);
            let Some(first) = words.next() else { continue };
            let when = match first.text {
                "at" => When::At(words.duration()?),
                "every" => {
                    let word = words.peek();
                    match words.duration()? {
                        0 => return Err(words.error(word, "a period above 0")),
                        ms => When::Every(ms),
                    }
                }
                _ => return Err(words.error(Some(first), "`at` or `every`")),
            };
            entries.push(Entry { when, stimulus: stimulus(&mut words)? });
        }
        Ok(Self { entries })
    }

    /// Parses a script as a file holds it: UTF-8, with or without the mark that some editors put first.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and the first byte that is no UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ScriptError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let wrong = match str::from_utf8(bytes) {
            Ok(text) => return Self::parse(text),
            Err(error) => error.valid_up_to(),
        };
        let (before, after) = bytes.split_at(wrong);
        let before = String::from_utf8_lossy(before);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Err(ScriptError {
            line: before.split('\n').count(),
            column: last_line.chars().count() + 1,
            expected: "UTF-8 text",
            found: after.first().map_or(String::new(), |byte| format!("\\x{byte:02x}")),
        })
    }

    /// Makes the queue of what happens, in the order of time and, at the same time, of lines.
    pub fn queue(&self) -> Queue<'_> {
        let first = |(index, entry): (usize, &Entry)| match entry.when {
            When::At(ms) | When::Every(ms) => Reverse((ms, index)),
        };
        Queue { schedule: self, due: self.entries.iter().enumerate().map(first).collect() }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { when, stimulus } in &self.entries {
            match when {
                When::At(ms) => writeln!(f, "at {} {stimulus}", Duration(*ms))?,
                When::Every(ms) => writeln!(f, "every {} {stimulus}", Duration(*ms))?,
            }
        }
        Ok(())
    }
}

/// Gives a script's stimuli with their times in ms since power-up; never ends when a line says `every`.
#[derive(Clone, Debug)]
pub struct Queue<'a> {
    schedule: &'a Schedule,
    due: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Queue<'_> {
    /// Tells when the next stimulus comes, in ms since power-up.
    pub fn next_ms(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((ms, _))| *ms)
    }
}

impl<'a> Iterator for Queue<'a> {
    type Item = (u64, &'a Stimulus);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((ms, index)) = self.due.pop()?;
        let entry = self.schedule.entries.get(index)?;
        if let When::Every(period_ms) = entry.when
            && let Some(again_ms) = ms.checked_add(period_ms)
        {
            self.due.push(Reverse((again_ms, index)));
        }
        Some((ms, &entry.stimulus))
    }
}

/// Parses one stimulus without a time, as it is typed into the live view.
///
/// # Errors
/// The word that is wrong, on line 1.
pub fn parse_command(text: &str) -> Result<Stimulus, ScriptError> {
    stimulus(&mut Words::new(text, 1))
}

/// Parses a duration such as `250ms`, `10s`, `5m`, `2h` or `1d` into ms.
///
/// # Errors
/// What was expected, as one phrase.
pub fn parse_duration(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "a duration such as 250ms, 10s, 5m, 2h or 1d";
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(EXPECTED),
    };
    // Parts of a millisecond do not exist here: `0.5ms` is refused, `1.5s` is 1500 ms.
    let milli = thousandths(number).ok_or(EXPECTED)?.checked_mul(unit_ms).ok_or(EXPECTED)?;
    if milli.is_multiple_of(1_000) { Ok(milli / 1_000) } else { Err("a duration in whole milliseconds") }
}

fn stimulus(words: &mut Words<'_>) -> Result<Stimulus, ScriptError> {
    const COMMANDS: &str =
        "press, hold, load, inrush, voltage, downlink, multicast, d2d, gateway, power or nfc";
    let first = words.next();
    let stimulus = match first.map(|word| word.text) {
        Some("press") => Stimulus::Press,
        Some("hold") => Stimulus::Hold { ms: words.duration()? },
        Some("load") => load(words)?,
        Some("inrush") => Stimulus::Inrush {
            factor_permille: words.quantity(
                "x",
                1_000,
                MAX_INRUSH_PERMILLE,
                "a factor such as 10x, from 1x to 1000x",
            )?,
            ms: words.duration()?,
        },
        Some("voltage") => Stimulus::Voltage {
            mv: words.quantity("V", 0, MAX_VOLTAGE_MV, "a voltage such as 207V, up to 1000V")?,
        },
        Some("downlink") => {
            let (port, payload) = (words.port()?, words.payload()?);
            let confirmed = words.peek().is_some_and(|word| word.text == "confirmed");
            if confirmed {
                words.next();
            }
            Stimulus::Downlink { port, payload, confirmed }
        }
        Some("multicast") => {
            let group = words.parsed("a multicast group, 1 to 4", |text| match number(text)? {
                group @ 1..=4 => Some(group),
                _ => None,
            })?;
            Stimulus::Multicast { group, port: words.port()?, payload: words.payload()? }
        }
        Some("d2d") => Stimulus::D2d {
            command: words
                .parsed("a command of four hex digits such as 1510", |text| hex(text)?.try_into().ok())?,
        },
        Some("gateway") => Stimulus::Gateway(words.on_or_off()?),
        Some("power") => Stimulus::Power(words.on_or_off()?),
        Some("nfc") => match words.peek().map(|word| word.text) {
            Some("read") => {
                words.next();
                Stimulus::NfcRead
            }
            Some("write") => {
                words.next();
                Stimulus::NfcWrite { path: words.rest("the settings file to write")? }
            }
            _ => return Err(words.error(words.peek(), "`read` or `write FILE`")),
        },
        _ => return Err(words.error(first, COMMANDS)),
    };
    match words.next() {
        None => Ok(stimulus),
        extra => Err(words.error(extra, "the end of the line")),
    }
}

fn load(words: &mut Words<'_>) -> Result<Stimulus, ScriptError> {
    let power_mw = words.quantity("W", 0, MAX_POWER_MW, "a power such as 2300W, up to 100000W")?;
    let mut power_factor_permille = 1_000;
    if words.peek().is_some_and(|word| word.text == "pf") {
        words.next();
        power_factor_permille = words.quantity("", 1, 1_000, "a power factor from 0.001 to 1")?;
    }
    Ok(Stimulus::Load { power_mw, power_factor_permille })
}

#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    /// Byte offset into the line.
    start: usize,
}

/// The words of one line, without its comment.
struct Words<'a> {
    line: &'a str,
    number: usize,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(line: &'a str, number: usize) -> Self {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        Self { line: line.trim_end(), number, at: 0 }
    }

    fn peek(&self) -> Option<Word<'a>> {
        let rest = self.line.get(self.at..)?;
        let trimmed = rest.trim_start();
        let text = trimmed.split(char::is_whitespace).next().filter(|text| !text.is_empty())?;
        Some(Word { text, start: self.at + (rest.len() - trimmed.len()) })
    }

    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.at = word.start + word.text.len();
        Some(word)
    }

    fn error(&self, found: Option<Word<'a>>, expected: &'static str) -> ScriptError {
        let (start, found) = found.map_or((self.line.len(), ""), |word| (word.start, word.text));
        let before = self.line.get(..start).unwrap_or(self.line);
        // At the end of a line the column is that of the next word: one blank further, unless the line is empty.
        let gap = usize::from(found.is_empty() && !before.is_empty());
        let column = before.chars().count() + gap + 1;
        ScriptError { line: self.number, column, expected, found: found.to_owned() }
    }

    fn parsed<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ScriptError> {
        let word = self.next();
        word.and_then(|word| parse(word.text)).ok_or_else(|| self.error(word, expected))
    }

    fn duration(&mut self) -> Result<u64, ScriptError> {
        let word = self.next();
        parse_duration(word.map_or("", |word| word.text)).map_err(|expected| self.error(word, expected))
    }

    /// A number with up to three decimals and its unit, in thousandths.
    fn quantity(
        &mut self,
        unit: &str,
        min: u64,
        max: u64,
        expected: &'static str,
    ) -> Result<u32, ScriptError> {
        self.parsed(expected, |text| {
            let value = thousandths(text.strip_suffix(unit)?)?;
            (min..=max).contains(&value).then(|| u32::try_from(value).ok())?
        })
    }

    fn port(&mut self) -> Result<u8, ScriptError> {
        self.parsed("a port, 0 to 255", number)
    }

    fn payload(&mut self) -> Result<Vec<u8>, ScriptError> {
        self.parsed("a payload of 1 to 242 bytes in hex such as 080100ff", |text| {
            hex(text).filter(|bytes| (1..=MAX_PAYLOAD).contains(&bytes.len()))
        })
    }

    fn on_or_off(&mut self) -> Result<bool, ScriptError> {
        self.parsed("`on` or `off`", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    /// All that is left of the line: a file's name may hold blanks.
    fn rest(&mut self, expected: &'static str) -> Result<String, ScriptError> {
        let word = self.peek().ok_or_else(|| self.error(None, expected))?;
        let rest = self.line.get(word.start..).unwrap_or_default();
        self.at = self.line.len();
        Ok(rest.to_owned())
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Option<u8> {
    digits(text).then(|| text.parse().ok())?
}

/// `2300` is 2 300 000, `0.95` is 950; more than three decimals or a sign is nothing.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    if !digits(whole) || part.is_some_and(|part| !digits(part) || part.len() > 3) {
        return None;
    }
    let part: u64 = format!("{:0<3}", part.unwrap_or_default()).parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(part)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

struct Duration(u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        match units.into_iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
            Some((unit_ms, unit)) => write!(f, "{}{unit}", ms / unit_ms),
            None => write!(f, "{ms}ms"),
        }
    }
}

struct Milli(u32);

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000, self.0 % 1_000);
        match part {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{part:03}").trim_end_matches('0')),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Stimulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        match self {
            Self::Press => write!(f, "press"),
            Self::Hold { ms } => write!(f, "hold {}", Duration(*ms)),
            Self::Load { power_mw, power_factor_permille: 1_000 } => write!(f, "load {}W", Milli(*power_mw)),
            Self::Load { power_mw, power_factor_permille } => {
                write!(f, "load {}W pf {}", Milli(*power_mw), Milli(*power_factor_permille))
            }
            Self::Inrush { factor_permille, ms } => {
                write!(f, "inrush {}x {}", Milli(*factor_permille), Duration(*ms))
            }
            Self::Voltage { mv } => write!(f, "voltage {}V", Milli(*mv)),
            Self::Downlink { port, payload, confirmed } => {
                let confirmed = if *confirmed { " confirmed" } else { "" };
                write!(f, "downlink {port} {}{confirmed}", Hex(payload))
            }
            Self::Multicast { group, port, payload } => {
                write!(f, "multicast {group} {port} {}", Hex(payload))
            }
            Self::D2d { command } => write!(f, "d2d {}", Hex(command)),
            Self::Gateway(state) => write!(f, "gateway {}", on(*state)),
            Self::Power(state) => write!(f, "power {}", on(*state)),
            Self::NfcWrite { path } => write!(f, "nfc write {path}"),
            Self::NfcRead => write!(f, "nfc read"),
        }
    }
}
