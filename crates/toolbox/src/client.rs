//! The tool's end of a maintenance session, without I/O.

use std::fmt;

use embassy_futures::block_on;
use sockeye_nfc::{
    Answer, Challenge, Code, Guard, HEADER, Keys, Kind, MAX_ANSWER, Request, Seal, Status, TAG, Upgrade,
};
use sockeye_settings::template::Template;
use sockeye_settings::{Field, Identity, Key, MAX_STORED, Password, Settings};

use crate::error::Error;

/// The longest request that is ever made: the longest piece of an image, or all settings.
const MAX_REQUEST: usize = if MAX_ANSWER > 4096 { MAX_ANSWER } else { 4096 };

/// A socket as it was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its status.
    pub status: Status,
    /// Its settings, if they were read; what is secret holds placeholders.
    pub settings: Option<Settings>,
}

/// The tool's end of a session with one socket at a time.
#[derive(Default)]
pub struct Client {
    device: Option<Device>,
    password: Option<Password>,
    /// Of that password on the device with this serial number.
    keys: Option<([u8; 8], Password, Keys)>,
    /// The request that was made last.
    asked: Option<(Kind, Challenge)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Client {
    /// Takes the password for what needs one.
    pub fn set_password(&mut self, password: Option<Password>) {
        self.password = password;
    }

    /// Returns the socket as it was read last.
    #[must_use]
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Makes the request for the status, which needs to know nothing.
    ///
    /// # Errors
    /// None that is known; the codec may refuse.
    pub fn ask_status(&mut self) -> Result<Vec<u8>, Error> {
        self.make(&Request::Status, [0; 8], Challenge::default())
    }

    /// Makes a request for the socket that was read last.
    ///
    /// # Errors
    /// [`Error::NotRead`]; [`Error::PasswordForm`] if it needs a password and there is none.
    pub fn request(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let Device { status, .. } = self.device.as_ref().ok_or(Error::NotRead)?;
        let (sn, challenge) = (status.sn, status.challenge);
        self.make(request, sn, challenge)
    }

    fn make(&mut self, request: &Request<'_>, sn: [u8; 8], challenge: Challenge) -> Result<Vec<u8>, Error> {
        let kind = request.kind();
        if kind.is_guarded() {
            let password = self.password.ok_or(Error::PasswordForm)?;
            if self.keys.as_ref().is_none_or(|(of, with, _)| (of, with) != (&sn, &password)) {
                self.keys = Some((sn, password, block_on(Keys::derive(&password, &sn))));
            }
        }
        let keys = self.keys.as_ref().map(|(_, _, keys)| keys);
        let mut out = vec![0; MAX_REQUEST + HEADER + TAG];
        let seal = Seal { sn, challenge, keys };
        let len = seal.write(request, &mut out).map_err(|_| Error::Refused(Code::TooLong))?;
        out.truncate(len);
        self.asked = Some((kind, challenge));
        Ok(out)
    }

    /// Takes a status that stands by itself, as on a tag.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`].
    pub fn see_status(&mut self, bytes: &[u8]) -> Result<Status, Error> {
        let status = Status::parse(bytes).map_err(|_| Error::NotUnderstood)?;
        let settings = self.device.take().filter(|it| it.status.sn == status.sn).and_then(|it| it.settings);
        self.device = Some(Device { status, settings });
        Ok(status)
    }

    /// Reads the answer to [`Self::ask_status`].
    ///
    /// # Errors
    /// [`Error::NotUnderstood`] and what the socket refuses.
    pub fn take_status(&mut self, bytes: &[u8]) -> Result<Status, Error> {
        let body = self.check(bytes)?.body.to_vec();
        self.see_status(&body)
    }

    /// Reads the answer to a request for the settings.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`] and what the socket refuses.
    pub fn take_settings(&mut self, bytes: &[u8]) -> Result<Settings, Error> {
        let body = self.check(bytes)?.body.to_vec();
        self.see_settings(&body)
    }

    /// Takes settings that stand by themselves, as on a tag, of the socket whose status was seen last.
    ///
    /// # Errors
    /// [`Error::NotRead`], [`Error::NotUnderstood`].
    pub fn see_settings(&mut self, body: &[u8]) -> Result<Settings, Error> {
        let device = self.device.as_mut().ok_or(Error::NotRead)?;
        let decoded = Settings::decode(body, device.status.region, &identity(&device.status));
        let settings = decoded.map_err(|_| Error::NotUnderstood)?.settings;
        device.settings = Some(settings.clone());
        Ok(settings)
    }

    /// Reads the answer to a request that changes something.
    ///
    /// # Errors
    /// [`Error::NotUnderstood`], [`Error::NotGenuine`], and what the socket refuses.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Upgrade>, Error> {
        Ok(self.check(bytes)?.upgrade())
    }

    /// Says whether bytes are an answer to the request that was made last.
    #[must_use]
    pub fn is_for_us(&self, bytes: &[u8]) -> bool {
        Answer::parse(bytes).is_ok_and(|answer| self.fits(&answer))
    }

    fn fits(&self, answer: &Answer<'_>) -> bool {
        let what = self.asked.map(|(kind, challenge)| (kind as u8, challenge));
        what == Some((answer.kind_code, answer.challenge))
    }

    fn check<'a>(&self, bytes: &'a [u8]) -> Result<Answer<'a>, Error> {
        let answer = Answer::parse(bytes).map_err(|_| Error::NotUnderstood)?;
        if answer.kind_code != 0 && !self.fits(&answer) {
            return Err(Error::NotUnderstood);
        }
        match answer.code {
            Code::Done => {
                let guarded = self.asked.is_some_and(|(kind, _)| kind.is_guarded());
                let genuine = || self.keys.as_ref().is_some_and(|(_, _, keys)| answer.is_genuine(keys));
                if guarded && !genuine() { Err(Error::NotGenuine) } else { Ok(answer) }
            }
            Code::WrongPassword => Err(Error::WrongPassword { wait_s: answer.wait_s().unwrap_or(0) }),
            Code::Wait => Err(Error::Wait { wait_s: answer.wait_s().unwrap_or(0) }),
            Code::Settings => Err(answer.refusal().map_or(Error::NotUnderstood, Error::Setting)),
            Code::Upgrade => Err(answer.upgrade().map_or(Error::NotUnderstood, Error::Upgrade)),
            code => Err(Error::Refused(code)),
        }
    }
}

impl Device {
    /// Makes the body of a write that brings these fields to what `wanted` has. `guard` holds the socket to model and
    /// channel plan as they were read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is too long for the socket.
    pub fn change(&self, wanted: &Settings, fields: &[Field]) -> Result<(Guard, Vec<u8>), Error> {
        let mut form = vec![0; MAX_STORED];
        let too_long = Error::Refused(Code::TooLong);
        let len = wanted.encode_change(fields.iter().copied(), &mut form).map_err(|_| too_long.clone())?;
        form.truncate(len);
        if len + HEADER + TAG + 2 > usize::from(self.status.max_request) {
            return Err(too_long);
        }
        Ok((Guard { model: Some(self.status.model), region: Some(self.status.region) }, form))
    }

    /// Returns what a template makes of the socket, and the fields that have to be written: those that differ, and those
    /// of which nobody can tell, because they are secret.
    ///
    /// # Errors
    /// [`Error::NotRead`]; the template is for another model or channel plan, or breaks a rule.
    pub fn applied(&self, template: &Template) -> Result<(Settings, Vec<Field>), Error> {
        let present = self.settings.as_ref().ok_or(Error::NotRead)?;
        let wanted = template.apply(self.status.model, present)?;
        let fields = changed(present, &wanted, &template.fields().collect::<Vec<_>>());
        Ok((wanted, fields))
    }

    /// Returns the fields that have to be written for `wanted`: those that differ, and of those that were `named` the
    /// secret ones, of which nobody can tell.
    #[must_use]
    pub fn changed(&self, wanted: &Settings, named: &[Field]) -> Vec<Field> {
        self.settings.as_ref().map_or_else(Vec::new, |present| changed(present, wanted, named))
    }
}

fn changed(present: &Settings, wanted: &Settings, named: &[Field]) -> Vec<Field> {
    let differ = sockeye_settings::template::differences(present, wanted);
    let is_written = |field: &Field| {
        (field.is_secret() && named.contains(field)) || differ.iter().any(|it| it.field == *field)
    };
    Field::all().filter(is_written).collect()
}

fn identity(status: &Status) -> Identity {
    Identity {
        sn: status.sn,
        dev_eui: status.dev_eui,
        model: status.model,
        // Not readable: a placeholder.
        app_key: Key::DEFAULT,
        hardware_version: status.hardware_version,
    }
}
