//! What the page can ask: each question is an object with `do`, each answer an object, with `error` if it was refused.

use serde_json::{Map, Value, json};
use sockeye_nfc::line::{Deframer, framed};
use sockeye_nfc::{Code, Command, Guard, MAX_ANSWER, Request, Upgrade, UpgradeState};
use sockeye_settings::template::{Error as TemplateError, Secrets, Template, differences, set_text};
use sockeye_settings::{Field, Model, Password, Region, Settings, describe};
use sockeye_toolbox::{
    Client, Conduct, Device, Error, Link, Simulated, Update, Upload, settings_json, simulated_update,
    status_json, upgrade_json,
};

use crate::hex::{hex, unhex};
use crate::simulated;

/// The tool behind the page.
#[derive(Debug, Default)]
pub struct Tool {
    client: Client,
    update: Option<Update>,
    upload: Upload,
    /// What was asked last is a piece of it.
    uploads: bool,
    deframer: Deframer,
    frame: Vec<u8>,
    simulated: Vec<Simulated>,
    /// How many requests the socket had obeyed when it was read before the last time.
    obeyed_before: u32,
}

/// Why a question has no answer.
enum Refused {
    Session(Error),
    /// The page asked what cannot be asked: its fault, and not its user's.
    Question(&'static str),
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Session(error.into())
    }
}

type Answer = Result<Value, Refused>;

impl Tool {
    /// Answers a question.
    pub fn ask(&mut self, question: &[u8]) -> String {
        let question: Value = serde_json::from_slice(question).unwrap_or_default();
        let answer = self.answer(&question).unwrap_or_else(|refused| match refused {
            Refused::Session(error) => json!({
                "error": error.to_string(),
                "kind": error.kind(),
                "field": error.field(),
                "wait_s": error.wait_s(),
                "stale": error == Error::Refused(Code::Stale),
            }),
            Refused::Question(what) => json!({ "error": what, "kind": "page" }),
        });
        answer.to_string()
    }

    fn answer(&mut self, question: &Value) -> Answer {
        let text = |name: &'static str| question.get(name).and_then(Value::as_str);
        let bytes = |name: &'static str| text(name).and_then(unhex).ok_or(Refused::Question(name));
        match text("do").unwrap_or_default() {
            "fields" => {
                let region = text("region").and_then(Region::from_name).ok_or(Refused::Question("region"))?;
                let model = text("model").and_then(Model::from_name).ok_or(Refused::Question("model"))?;
                let fields: Value =
                    serde_json::from_str(&describe::to_json(region, model)).unwrap_or_default();
                Ok(json!({ "fields": fields }))
            }
            "password" => {
                let password = text("password").and_then(|text| Password::new(text.as_bytes()));
                self.client.set_password(Some(password.ok_or(Error::PasswordForm)?));
                Ok(json!({}))
            }
            "ask_status" => Ok(request(&self.client.ask_status()?)),
            "ask_settings" => Ok(request(&self.client.request(&Request::Settings)?)),
            "take_status" => {
                self.note_count();
                Ok(json!({ "status": status_json(&self.client.take_status(&bytes("answer")?)?) }))
            }
            "see_status" => {
                self.note_count();
                Ok(json!({ "status": status_json(&self.client.see_status(&bytes("bytes")?)?) }))
            }
            "obeyed" => {
                let status = self.device()?.status;
                let yes = status.challenge.sequence() == self.obeyed_before.wrapping_add(1);
                if yes && self.uploads {
                    // Obeyed, and perhaps refused by the upgrade itself.
                    let upgrade = status.upgrade;
                    let came =
                        if upgrade.refused == 0 { Ok(Some(upgrade)) } else { Err(Error::Upgrade(upgrade)) };
                    self.upload.take(came)?;
                }
                Ok(json!({ "yes": yes, "upgrade": upgrade_json(&status.upgrade) }))
            }
            "take_settings" => {
                let settings = self.client.take_settings(&bytes("answer")?)?;
                self.settings(&settings)
            }
            "see_settings" => {
                let settings = self.client.see_settings(&bytes("bytes")?)?;
                self.settings(&settings)
            }
            "is_for_us" => Ok(json!({ "yes": self.client.is_for_us(&bytes("answer")?) })),
            "take" => {
                let mut came = self.client.take(&bytes("answer")?);
                if self.uploads {
                    came = self.upload.take(came);
                }
                let upgrade = came?;
                Ok(json!({ "upgrade": upgrade.map(|upgrade| upgrade_json(&upgrade)) }))
            }
            "command" => {
                self.uploads = false;
                let command = text("command").and_then(command).ok_or(Refused::Question("command"))?;
                Ok(request(&self.client.request(&Request::Command(command))?))
            }
            "write" => {
                let values = question.get("values").and_then(Value::as_object);
                self.write(values.ok_or(Refused::Question("values"))?)
            }
            "template_of" => self.template_of(question.get("values").and_then(Value::as_object)),
            "template_look" => self.template_look(text("template").unwrap_or_default()),
            "template_write" => {
                let template = Template::parse(text("template").unwrap_or_default())?;
                let (wanted, fields) = self.device()?.applied(&template)?;
                self.write_fields(&wanted, &fields)
            }
            "update_open" => self.update_open(bytes("file")?),
            "update_next" => self.update_next(question.get("upgrade")),
            "update_abort" => {
                self.uploads = false;
                Ok(request(&self.client.request(&Request::UpgradeAbort)?))
            }
            "frame" => Ok(json!({ "bytes": hex(&framed(&bytes("bytes")?).collect::<Vec<_>>()) })),
            "deframe" => Ok(self.deframe(&bytes("bytes")?)),
            other => self.simulate(other, question),
        }
    }

    /// Remembers the count of a status that gives way to another: was an answer lost, the next count tells (docs/NFC.md).
    fn note_count(&mut self) {
        self.obeyed_before = self.client.device().map_or(0, |device| device.status.challenge.sequence());
    }

    fn device(&self) -> Result<&Device, Error> {
        self.client.device().ok_or(Error::NotRead)
    }

    fn settings(&self, settings: &Settings) -> Answer {
        let model = self.device()?.status.model;
        Ok(json!({ "settings": settings_json(settings, model) }))
    }

    /// Makes a request that writes values as people type them; those of other kinds than text stand for their JSON.
    fn write(&mut self, values: &Map<String, Value>) -> Answer {
        let device = self.device()?;
        let present = device.settings.as_ref().ok_or(Error::NotRead)?;
        let (wanted, named) = typed(present, device.status.model, values)?;
        wanted.validate(device.status.model).map_err(TemplateError::Rule)?;
        let fields = device.changed(&wanted, &named);
        self.write_fields(&wanted, &fields)
    }

    fn write_fields(&mut self, wanted: &Settings, fields: &[Field]) -> Answer {
        let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
        if fields.is_empty() {
            return Ok(json!({ "fields": names }));
        }
        self.uploads = false;
        let (guard, form): (Guard, Vec<u8>) = self.device()?.change(wanted, fields)?;
        let bytes = self.client.request(&Request::Write { guard, form: &form })?;
        Ok(json!({ "fields": names, "request": hex(&bytes) }))
    }

    fn template_of(&self, values: Option<&Map<String, Value>>) -> Answer {
        let device = self.device()?;
        let present = device.settings.as_ref().ok_or(Error::NotRead)?;
        let (settings, named) = typed(present, device.status.model, values.unwrap_or(&Map::new()))?;
        settings.validate(device.status.model).map_err(TemplateError::Rule)?;
        let mut template = Template::of(&settings, device.status.model, Secrets::Include);
        template.retain(|field| named.contains(&field) || !(field.is_secret() || field == Field::DevAddr));
        Ok(json!({ "template": template.to_json() }))
    }

    fn template_look(&self, text: &str) -> Answer {
        let template = Template::parse(text)?;
        let device = self.device()?;
        let (wanted, _) = device.applied(&template)?;
        let present = device.settings.as_ref().ok_or(Error::NotRead)?;
        let unlike = differences(present, &wanted);
        let shown = unlike.iter().filter(|it| !it.field.is_secret());
        let shown = shown.map(|it| json!({ "key": it.field.name(), "from": it.from, "to": it.to }));
        let secret = template.fields().filter(|field| field.is_secret()).map(Field::name);
        Ok(json!({ "differences": shown.collect::<Vec<_>>(), "secrets": secret.collect::<Vec<_>>() }))
    }

    fn update_open(&mut self, file: Vec<u8>) -> Answer {
        let update = Update::parse(file)?;
        let image = update.header().image();
        let [major, minor] = update.version();
        let answer = json!({
            "board": image.board.as_str(),
            "version": format!("{major}.{minor:x}"),
            "length": image.len,
        });
        (self.update, self.upload) = (Some(update), Upload::default());
        Ok(answer)
    }

    /// Makes the next request of an upgrade; `upgrade` is what the socket said last, none at first.
    fn update_next(&mut self, said: Option<&Value>) -> Answer {
        let status = self.device()?.status;
        let upgrade = said.and_then(upgrade_from).unwrap_or(status.upgrade);
        let update = self.update.as_ref().ok_or(Refused::Question("no update is open"))?;
        let next = self.upload.next(update, &status, &upgrade);
        self.uploads = next.is_some();
        match next {
            Some(next) => Ok(request(&self.client.request(&next)?)),
            None => Ok(json!({ "done": true })),
        }
    }

    /// Takes bytes of a serial line, and gives the answers that are whole.
    fn deframe(&mut self, bytes: &[u8]) -> Value {
        self.frame.resize(MAX_ANSWER + 2, 0);
        let mut frames = Vec::new();
        for byte in bytes {
            if let Some(len) = self.deframer.push(*byte, &mut self.frame) {
                frames.push(hex(self.frame.get(..len).unwrap_or_default()));
            }
        }
        json!({ "frames": frames })
    }

    fn simulate(&mut self, what: &str, question: &Value) -> Answer {
        if what == "sim_new" {
            self.simulated.push(simulated::make(question).ok_or(Refused::Question("sim_new"))?);
            return Ok(json!({ "id": self.simulated.len() - 1 }));
        }
        if what == "sim_update" {
            let version = question.get("version").and_then(Value::as_str).and_then(unhex);
            let version = version.and_then(|version| version.try_into().ok());
            let update = simulated_update(version.ok_or(Refused::Question("version"))?, Conduct::Well);
            return Ok(json!({ "file": hex(&update) }));
        }
        let id = question.get("id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
        let one = id.and_then(|id| self.simulated.get_mut(id)).ok_or(Refused::Question("id"))?;
        match what {
            "sim_exchange" => {
                let request = question.get("request").and_then(Value::as_str).and_then(unhex);
                let answer = one.exchange(&request.ok_or(Refused::Question("request"))?)?;
                Ok(json!({ "answer": hex(&answer) }))
            }
            "sim_run" => Ok(simulated::run(one, question.get("ms").and_then(Value::as_u64).unwrap_or(0))),
            "sim_read_tag" => Ok(simulated::read_tag(one)),
            "sim_write_tag" => {
                let request = question.get("request").and_then(Value::as_str).and_then(unhex);
                let leaves_after = question.get("leaves_after").and_then(Value::as_u64);
                let leaves_after = leaves_after.and_then(|bytes| usize::try_from(bytes).ok());
                Ok(simulated::write_tag(one, &request.ok_or(Refused::Question("request"))?, leaves_after))
            }
            "sim_do" => {
                let line = question.get("line").and_then(Value::as_str).unwrap_or_default();
                Ok(one
                    .stimulate(line)
                    .map_or_else(|what| json!({ "error": what, "kind": "usage" }), |()| json!({})))
            }
            "sim_save" => Ok(json!({ "flash": hex(&one.keep()) })),
            _ => Err(Refused::Question("do")),
        }
    }
}

/// Makes settings of present ones and of what was typed.
fn typed(
    present: &Settings,
    model: Model,
    values: &Map<String, Value>,
) -> Result<(Settings, Vec<Field>), Error> {
    let (mut wanted, mut named) = (present.clone(), Vec::new());
    let mut set = |key: &str, value: &Value| -> Result<(), Error> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        named.push(set_text(&mut wanted, model, key, &text)?);
        Ok(())
    };
    // The plan first: it resets what hangs on it.
    if let Some(region) = values.get("region") {
        set("region", region)?;
    }
    for (key, value) in values.iter().filter(|(key, _)| *key != "region") {
        set(key, value)?;
    }
    Ok((wanted, named))
}

fn request(bytes: &[u8]) -> Value {
    json!({ "request": hex(bytes) })
}

fn command(name: &str) -> Option<Command> {
    Some(match name {
        "off" => Command::Off,
        "on" => Command::On,
        "toggle" => Command::Toggle,
        "report" => Command::Report,
        "reboot" => Command::Reboot,
        "reset" => Command::FactoryReset,
        "reset_energy" => Command::ResetEnergy,
        _ => return None,
    })
}

/// Reads back what [`upgrade_json`] wrote, as far as the next piece hangs on it.
fn upgrade_from(value: &Value) -> Option<Upgrade> {
    let number = |name: &str| value.get(name)?.as_u64()?.try_into().ok();
    let state = match value.get("state")?.as_str()? {
        "receiving" => UpgradeState::Receiving,
        "ready" => UpgradeState::Ready,
        _ => UpgradeState::None,
    };
    Some(Upgrade { state, refused: 0, received: number("received")?, total: number("total")? })
}
