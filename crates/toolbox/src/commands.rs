//! What the commands do, once the way to the socket is open.

use std::fs;
use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::Path;

use serde_json::{Map, Value, json};
use sockeye_host::interrupt::Interrupt;
use sockeye_nfc::{Command as Act, Request, Status, Upgrade, UpgradeState};
use sockeye_settings::describe;
use sockeye_settings::template::{Secrets, Template, differences, set_text, text_of};
use sockeye_settings::{Field, Model, Password, Region, Settings};

use crate::cli::{Command, Switch, TemplateCommand};
use crate::client::Device;
use crate::error::Error;
use crate::link::{Link, Talk};
use crate::show::{settings_json, status_json, upgrade_json};
use crate::simulated::simulated_update;
use crate::upload::{Update, Upload};

/// Prints a line. Whoever reads may stop doing so (`| head`): that is no fault, and no reason to leave work half done.
macro_rules! println {
    ($($text:tt)*) => {{
        let _ = writeln!(stdout(), $($text)*);
    }};
}

/// Why a command ended: one of the socket, or one of a file on this side.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Of the session.
    Session(Error),
    /// Of this computer: a file that cannot be read, a step that was not confirmed. It is wrong usage.
    Here(String),
    /// Somebody pressed Ctrl-C while an upgrade went on.
    Interrupted(Upgrade),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<sockeye_settings::template::Error> for Failure {
    fn from(error: sockeye_settings::template::Error) -> Self {
        Self::Session(error.into())
    }
}

impl Failure {
    /// Says whether what was typed or given is wrong.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Session(error) => error.is_usage(),
            Self::Here(_) => true,
            Self::Interrupted(_) => false,
        }
    }

    /// Returns the object that stands for it with `--json`.
    pub(crate) fn json(&self) -> Value {
        let (kind, field, wait_s) = match self {
            Self::Session(error) => (error.kind(), error.field(), error.wait_s()),
            Self::Here(_) => ("usage", None, None),
            Self::Interrupted(_) => ("interrupted", None, None),
        };
        let what = self.to_string();
        json!({ "event": "error", "kind": kind, "what": what, "field": field, "wait_s": wait_s })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(error) => write!(f, "{error}"),
            Self::Here(what) => f.write_str(what),
            Self::Interrupted(Upgrade { received, total, .. }) => {
                write!(f, "stopped at {received} of {total} bytes; the same command goes on from there")
            }
        }
    }
}

/// A socket, and how to print.
pub(crate) struct Bench<L> {
    pub(crate) talk: Talk<L>,
    pub(crate) json: bool,
}

impl<L: Link> Bench<L> {
    /// Does one command.
    pub(crate) fn run(&mut self, command: &Command) -> Result<(), Failure> {
        let act = match command {
            Command::Read => return self.read(),
            Command::Set { settings } => return self.set(settings),
            Command::Template(command) => return self.template(command),
            Command::Password { new } => return self.password(new.password()?),
            Command::Upgrade { file } => return self.upgrade(file),
            Command::SimUpdate { file, version, does } => {
                let update = simulated_update(*version, (*does).into());
                fs::write(file, update).map_err(|error| cannot("write", file, &error))?;
                let name = file.display().to_string();
                self.say(json!({ "event": "saved", "file": name }), &format!("saved as {name}"));
                return Ok(());
            }
            Command::Fields { region, model } => {
                print_fields(*region, *model, self.json);
                return Ok(());
            }
            Command::AbortUpgrade => {
                self.talk.act(&Request::UpgradeAbort)?;
                self.say(json!({ "event": "upgrade_aborted" }), "the upgrade is given up");
                return Ok(());
            }
            Command::Reset { yes: false } => {
                let what = "a reset takes settings, password and energy sum back to the factory's; add --yes if you mean it";
                return Err(Failure::Here(what.to_owned()));
            }
            Command::Reset { yes: true } => Act::FactoryReset,
            Command::Relay { to: Switch::On } => Act::On,
            Command::Relay { to: Switch::Off } => Act::Off,
            Command::Relay { to: Switch::Toggle } => Act::Toggle,
            Command::Report => Act::Report,
            Command::Reboot => Act::Reboot,
            Command::ResetEnergy => Act::ResetEnergy,
        };
        self.talk.act(&Request::Command(act))?;
        let (name, sentence) = match act {
            Act::Off => ("off", "switched off"),
            Act::On => ("on", "switched on"),
            Act::Toggle => ("toggle", "switched over"),
            Act::Report => ("report", "a report is on its way"),
            Act::Reboot => ("reboot", "the socket restarts"),
            Act::FactoryReset => {
                ("reset", "the socket is as it left the factory; its password is 123456 again")
            }
            Act::ResetEnergy => ("reset_energy", "the energy sum is 0"),
        };
        self.say(json!({ "event": "done", "command": name }), sentence);
        Ok(())
    }

    fn say(&self, object: Value, sentence: &str) {
        if self.json { println!("{object}") } else { println!("{sentence}") }
    }

    fn device(&mut self) -> Result<(Device, Settings), Error> {
        let status = self.talk.status()?;
        let settings = self.talk.settings()?;
        Ok((Device { status, settings: Some(settings.clone()) }, settings))
    }

    fn read(&mut self) -> Result<(), Failure> {
        let (device, settings) = self.device()?;
        let status = device.status;
        if self.json {
            println!("{}", json!({ "event": "status", "status": status_json(&status) }));
            println!(
                "{}",
                json!({ "event": "settings", "settings": settings_json(&settings, status.model) })
            );
        } else {
            print_status(&status);
            println!("");
            print_settings(&settings);
        }
        Ok(())
    }

    fn set(&mut self, assignments: &[(String, String)]) -> Result<(), Failure> {
        let (device, present) = self.device()?;
        let (mut wanted, mut named) = (present.clone(), Vec::new());
        for (key, value) in assignments {
            named.push(set_typed(&mut wanted, device.status.model, key, value)?);
        }
        let rule = sockeye_settings::template::Error::Rule;
        wanted.validate(device.status.model).map_err(rule)?;
        let fields = device.changed(&wanted, &named);
        self.write(&device, &present, &wanted, &fields)
    }

    /// Writes fields, and tells which.
    fn write(
        &mut self,
        device: &Device,
        present: &Settings,
        wanted: &Settings,
        fields: &[Field],
    ) -> Result<(), Failure> {
        if !fields.is_empty() {
            let (guard, form) = device.change(wanted, fields)?;
            self.talk.act(&Request::Write { guard, form: &form })?;
        }
        if self.json {
            let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
            println!("{}", json!({ "event": "written", "fields": names }));
        } else if fields.is_empty() {
            println!("nothing to write: the socket has it so already");
        } else {
            for field in fields {
                let (from, to) = (text_of(present, *field), text_of(wanted, *field));
                if field.is_secret() {
                    println!("{field}: written")
                } else {
                    println!("{field}: {from} -> {to}")
                }
            }
        }
        Ok(())
    }

    fn template(&mut self, command: &TemplateCommand) -> Result<(), Failure> {
        match command {
            TemplateCommand::Save { file, settings } => {
                let (device, mut saved) = self.device()?;
                let mut named = Vec::new();
                for (key, value) in settings {
                    named.push(set_typed(&mut saved, device.status.model, key, value)?);
                }
                let rule = sockeye_settings::template::Error::Rule;
                saved.validate(device.status.model).map_err(rule)?;
                let mut template = Template::of(&saved, device.status.model, Secrets::Include);
                template.retain(|field| {
                    named.contains(&field) || !(field.is_secret() || field == Field::DevAddr)
                });
                write_text(file, &template.to_json())?;
                if file != Path::new("-") {
                    let name = file.display().to_string();
                    self.say(json!({ "event": "saved", "file": name }), &format!("saved as {name}"));
                }
                Ok(())
            }
            TemplateCommand::Apply { file } => {
                let template = Template::parse(&read_text(file)?)?;
                let (device, present) = self.device()?;
                let (wanted, fields) = device.applied(&template)?;
                self.write(&device, &present, &wanted, &fields)
            }
            TemplateCommand::Diff { file } => {
                let template = Template::parse(&read_text(file)?)?;
                let (device, present) = self.device()?;
                let (wanted, _) = device.applied(&template)?;
                let unlike = differences(&present, &wanted);
                // Of secrets nobody can tell.
                let unlike = unlike.iter().filter(|it| !it.field.is_secret());
                let mut same = true;
                for it in unlike {
                    same = false;
                    let name = it.field.name();
                    self.say(
                        json!({ "event": "difference", "field": name, "socket": it.from, "template": it.to }),
                        &format!("{name}: {} in the socket, {} in the template", it.from, it.to),
                    );
                }
                if same {
                    self.say(json!({ "event": "same" }), "no difference");
                }
                for field in template.fields().filter(|field| field.is_secret()) {
                    self.say(
                        json!({ "event": "not_compared", "field": field.name() }),
                        &format!("{field}: in the template; the socket does not tell its own"),
                    );
                }
                Ok(())
            }
        }
    }

    fn password(&mut self, new: Password) -> Result<(), Failure> {
        let (device, mut wanted) = self.device()?;
        wanted.general.password = new;
        let (guard, form) = device.change(&wanted, &[Field::Password])?;
        self.talk.act(&Request::Write { guard, form: &form })?;
        self.say(json!({ "event": "done", "command": "password" }), "the password is changed");
        Ok(())
    }

    fn upgrade(&mut self, file: &Path) -> Result<(), Failure> {
        let bytes = fs::read(file).map_err(|error| cannot("read", file, &error))?;
        let update = Update::parse(bytes)?;
        let mut upload = Upload::default();
        let status = self.talk.status()?;
        let mut upgrade = status.upgrade;
        let mut progress = Progress { json: self.json, told: None };
        // The first Ctrl-C stops between two pieces, so that a simulated socket is kept; the second ends the program.
        let interrupt = Interrupt::catch().ok();
        while let Some(request) = upload.next(&update, &status, &upgrade) {
            if let Some(now) = upload.take(self.talk.act(&request))? {
                upgrade = now;
            }
            progress.show(&upgrade);
            if interrupt.as_ref().is_some_and(Interrupt::is_pressed)
                && upgrade.state == UpgradeState::Receiving
            {
                progress.end();
                return Err(Failure::Interrupted(upgrade));
            }
        }
        progress.end();
        let [major, minor] = update.version();
        let sentence = format!(
            "the image is in the socket: it restarts into version {major}.{minor:x}, watches itself for a minute, and goes back if \
             it is not well"
        );
        self.say(json!({ "event": "upgrade_done", "upgrade": upgrade_json(&upgrade) }), &sentence);
        Ok(())
    }
}

/// Sets what was typed; of a name that there is not, those are told that it may have been meant for, if there are any.
fn set_typed(settings: &mut Settings, model: Model, key: &str, value: &str) -> Result<Field, Failure> {
    use sockeye_settings::template::Error;
    let field = set_text(settings, model, key, value).map_err(|error| match error {
        Error::Unknown { path, known } => {
            let is_like = |name: &&str| {
                let end = name.rsplit('.').next().unwrap_or_default();
                // One letter in four wrong, swapped, missing or too many.
                let near = |name| strsim::damerau_levenshtein(&path, name) <= (path.len() / 4).max(1);
                (path.len() > 2 && name.contains(&path)) || near(end) || near(name)
            };
            let like: Vec<_> = known.iter().copied().filter(is_like).collect();
            Error::Unknown { path, known: if like.is_empty() { known } else { like } }
        }
        other => other,
    })?;
    Ok(field)
}

/// A bar for people, a line for each twentieth otherwise.
struct Progress {
    json: bool,
    told: Option<u32>,
}

impl Progress {
    fn show(&mut self, upgrade: &Upgrade) {
        let Upgrade { received, total, .. } = *upgrade;
        let twentieths = received.saturating_mul(20).checked_div(total).unwrap_or(0).min(20);
        if self.told.replace(twentieths) == Some(twentieths) {
            return;
        }
        if self.json {
            println!("{}", json!({ "event": "progress", "received": received, "total": total }));
        } else if stderr().is_terminal() {
            let bar: String = (0..20).map(|at| if at < twentieths { '█' } else { '░' }).collect();
            eprint!("\r{bar} {:3} % of {total} bytes", twentieths * 5);
        } else {
            eprintln!("{received} of {total} bytes");
        }
    }

    fn end(&self) {
        if !self.json && stderr().is_terminal() {
            eprintln!();
        }
    }
}

fn cannot(what: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure::Here(format!("cannot {what} {}: {error}", file.display()))
}

fn read_text(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    text.map_err(|error| cannot("read", file, &error))
}

fn write_text(file: &Path, text: &str) -> Result<(), Failure> {
    let written =
        if file == Path::new("-") { stdout().write_all(text.as_bytes()) } else { fs::write(file, text) };
    written.map_err(|error| cannot("write", file, &error))
}

/// Prints a number of thousandths with its decimals.
fn milli(value: u32) -> String {
    format!("{}.{:03}", value / 1000, value % 1000)
}

fn print_status(status: &Status) {
    let json = status_json(status);
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let row = |name: &str, value: String| println!("{name:<18} {value}");
    row("Model", format!("{} ({} A), {}", status.model, status.model.rated_current_a(), status.region));
    row("Serial number", text("sn"));
    row("Device EUI", text("dev_eui"));
    row(
        "Versions",
        format!("hardware V{}, software V{}", text("hardware_version"), text("software_version")),
    );
    row("Socket", if status.relay_on { "on" } else { "off" }.to_owned());
    row("Network", if status.joined { "joined" } else { "not joined" }.to_owned());
    if status.measured {
        let factor = status.power_factor_permille;
        row(
            "Load",
            format!(
                "{} W at {} V, {} A, power factor {}.{} %",
                milli(status.power_mw),
                milli(status.voltage_mv),
                milli(status.current_ma),
                factor / 10,
                factor % 10
            ),
        );
    }
    row("Energy", format!("{} kWh", milli(status.energy_wh)));
    row("Running for", format!("{} s, started by: {}", status.uptime_s, text("reset_cause")));
    let faults = &status.faults;
    let counts = [
        (faults.commands, "commands not obeyed"),
        (faults.meter, "times the meter was silent"),
        (faults.readings, "impossible readings"),
        (faults.stores, "late stores"),
    ];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    row("Faults", if counts.is_empty() { "none".to_owned() } else { counts.join(", ") });
    let upgrade = upgrade_json(&status.upgrade);
    if upgrade.get("state").is_some_and(|state| state != "none") {
        let state = upgrade.get("state").and_then(Value::as_str).unwrap_or_default().replace('_', " ");
        let refused = upgrade.get("refused").and_then(Value::as_str);
        let why = refused.map_or(String::new(), |why| format!(": {why}"));
        let Upgrade { received, total, .. } = status.upgrade;
        let bytes = if total > 0 { format!(", {received} of {total} bytes") } else { String::new() };
        row("Upgrade", format!("{state}{bytes}{why}"));
    }
    if status.wait_s > 0 {
        row("Password", format!("wrong ones were tried: wait {} s", status.wait_s));
    }
}

fn print_settings(settings: &Settings) {
    for field in Field::all() {
        if field.is_secret() {
            continue;
        }
        println!("{} = {}", field.name(), text_of(settings, field));
    }
    println!("(keys and the password can be written, not read)");
}

fn print_fields(region: Region, model: Model, json: bool) {
    if json {
        let all: Vec<Map<String, Value>> =
            serde_json::from_str(&describe::to_json(region, model)).unwrap_or_default();
        for field in all {
            let event = Map::from_iter([("event".to_owned(), json!("field"))]);
            println!("{}", Value::Object(event.into_iter().chain(field).collect()));
        }
        return;
    }
    for field in Field::all() {
        let about = field.describe(region, model);
        println!("{}\n    {}: {}\n    {}", field.name(), about.label, about.help, about.kind);
    }
}
