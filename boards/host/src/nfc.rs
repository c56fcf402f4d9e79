//! A phone at a socket's tag, for the script lines `nfc read` and `nfc write`: what a person with the ToolBox does.

use std::cell::Cell;
use std::rc::Rc;

use embassy_futures::block_on;
use sockeye_nfc::ndef::{self, Record};
use sockeye_nfc::{Answer, Challenge, Guard, Keys, Request, Seal, Status};
use sockeye_settings::template::{Secrets, Template};
use sockeye_settings::{Field, Identity, Key, MAX_STORED, Password, Settings};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Phone, RfError, SharedTag};

use crate::observer::Log;
use crate::report::Event;

/// How often a phone that is held to the tag looks for the answer, in µs.
const LOOK_US: u64 = 500_000;

/// How often it looks before it says that none comes.
const LOOKS: u32 = 60;

/// What a phone read of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The status.
    pub status: Status,
    /// The settings, without what is secret: keys and password hold placeholders. None if the tag had no room.
    pub settings: Option<Settings>,
    /// The answer to the last request, as it came.
    pub answer: Vec<u8>,
}

impl Read {
    /// Reads a message.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(message: &[u8]) -> Result<Self, String> {
        let payload = |record| ndef::find(message, record).map(|found| found.payload);
        let status =
            payload(Record::Status).ok_or("the tag shows no status; hold it longer, and try again")?;
        let status = Status::parse(status).map_err(|error| error.to_string())?;
        let identity = identity(&status);
        let settings = payload(Record::Settings).map(|form| Settings::decode(form, status.region, &identity));
        let settings =
            settings.transpose().map_err(|error| error.to_string())?.map(|decoded| decoded.settings);
        Ok(Self { status, settings, answer: payload(Record::Answer).unwrap_or_default().to_vec() })
    }
}

/// The identity as far as a status tells it; the factory's key is nobody's to read.
fn identity(status: &Status) -> Identity {
    let Status { sn, dev_eui, model, hardware_version, .. } = *status;
    Identity { sn, dev_eui, model, app_key: Key::DEFAULT, hardware_version }
}

/// Somebody with a phone, who knows the password.
#[derive(Clone, Debug)]
pub struct Person {
    sim: Sim,
    log: Log,
    index: usize,
    tag: SharedTag,
    password: Rc<Cell<Password>>,
}

impl Person {
    /// Puts somebody beside a socket; `password` changes with what they write.
    #[must_use]
    pub fn new(sim: &Sim, log: &Log, index: usize, tag: &SharedTag, password: &Rc<Cell<Password>>) -> Self {
        Self { sim: sim.clone(), log: log.clone(), index, tag: tag.clone(), password: password.clone() }
    }

    fn tell(&self, action: &'static str, result: Result<Option<Settings>, String>, read: Option<&Read>) {
        let (result, settings) = match result {
            Ok(settings) => ("done".to_owned(), settings),
            Err(why) => (why, None),
        };
        let settings = settings.zip(read).and_then(|(settings, read)| {
            let template = Template::of(&settings, read.status.model, Secrets::Omit);
            serde_json::from_str(&template.to_json()).ok()
        });
        self.log.push(self.index, Event::Nfc { action, result, settings });
    }

    /// Reads the socket and tells its settings.
    pub async fn read(self) {
        let phone = Phone::at(&self.tag);
        match look(&phone).await {
            Ok(read) => self.tell("read", Ok(read.settings.clone()), Some(&read)),
            Err(why) => self.tell("read", Err(why), None),
        }
    }

    /// Writes the settings of a template, and tells what the socket answers.
    pub async fn write(self, template: String) {
        let result = self.try_to_write(&template).await;
        self.tell("write", result.map(|()| None), None);
    }

    async fn try_to_write(&self, template: &str) -> Result<(), String> {
        let mut phone = Phone::at(&self.tag);
        let read = look(&phone).await?;
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        let present = read.settings.as_ref().ok_or("the tag has no room for the settings")?;
        let wanted = template.apply(read.status.model, present).map_err(|error| error.to_string())?;
        let mut form = [0; MAX_STORED];
        let len = wanted.encode_change(template.fields(), &mut form).map_err(|error| error.to_string())?;
        let guard = Guard { model: Some(read.status.model), region: Some(read.status.region) };
        let request = Request::Write { guard, form: form.get(..len).unwrap_or_default() };
        let answer = ask(&self.sim, &mut phone, &read, self.password.get(), &request).await?;
        let answer = Answer::parse(&answer).map_err(|error| error.to_string())?;
        match (answer.refusal(), answer.wait_s()) {
            (Some(refusal), _) => Err(refusal.to_string()),
            (None, Some(wait_s)) if wait_s > 0 => Err(format!("{}, {wait_s} s", answer.code)),
            _ if answer.code == sockeye_nfc::Code::Done => {
                if template.fields().any(|field| field == Field::Password) {
                    self.password.set(wanted.general.password);
                }
                Ok(())
            }
            _ => Err(answer.code.to_string()),
        }
    }
}

/// Reads all that a socket shows.
///
/// # Errors
/// A sentence.
pub async fn look(phone: &Phone) -> Result<Read, String> {
    let message = phone.read_message().await.map_err(|error| lost(&error))?;
    Read::parse(&message)
}

/// Writes a request and waits for its answer, which is given as it came.
///
/// # Errors
/// A sentence.
pub async fn ask(
    sim: &Sim,
    phone: &mut Phone,
    read: &Read,
    password: Password,
    request: &Request<'_>,
) -> Result<Vec<u8>, String> {
    let Status { sn, challenge, max_request, .. } = read.status;
    let keys = block_on(Keys::derive(&password, &sn));
    let mut bytes = vec![0; usize::from(max_request)];
    let len = Seal { sn, challenge, keys: Some(&keys) }
        .write(request, &mut bytes)
        .map_err(|_| format!("the socket takes {max_request} bytes at once"))?;
    let mut message = vec![0; len + ndef::RECORD_HEADER];
    let payload = bytes.get(..len).unwrap_or_default();
    let len = ndef::message(&[(Record::Request, payload)], &mut message).unwrap_or_default();
    message.truncate(len);
    phone.write_message(&message).await.map_err(|error| lost(&error))?;
    for _ in 0..LOOKS {
        sim.sleep_us(LOOK_US).await;
        if let Some(answer) = answer_to(phone, challenge).await {
            return Ok(answer);
        }
    }
    Err("the socket does not answer".to_owned())
}

/// Looks for the answer to the request of a challenge.
async fn answer_to(phone: &Phone, challenge: Challenge) -> Option<Vec<u8>> {
    let answer = look(phone).await.ok()?.answer;
    let is_ours =
        |answer: Answer<'_>| answer.challenge == challenge || answer.code == sockeye_nfc::Code::Malformed;
    Answer::parse(&answer).is_ok_and(is_ours).then_some(answer)
}

fn lost(error: &RfError) -> String {
    match error {
        RfError::NoAnswer => "the tag was lost; hold the phone still, and try again".to_owned(),
        RfError::Refused => "the tag is none of a socket, or its socket had no power yet".to_owned(),
    }
}
