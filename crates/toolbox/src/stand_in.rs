//! For tests: the device's end of a session over a perfect or a bad line, `crates/nfc`'s own, with settings and an upgrade
//! slot in memory. What a real device does with a request is tested where the firmware is (crates/firmware, boards/host).
#![allow(missing_docs, reason = "for tests")]
#![allow(missing_debug_implementations, reason = "for tests")]
#![allow(clippy::missing_panics_doc, reason = "for tests")]

use embassy_futures::block_on;
use sockeye_nfc::{
    Answer, Code, Command, Envelope, Faults, Kind, MAX_ANSWER, Request, Session, Status, Upgrade,
    UpgradeState,
};
use sockeye_settings::{Identity, Key, MAX_STORED, Model, Region, Settings};
use sockeye_upgrade::{HEADER_LEN, Header, Refusal};

use crate::link::{Link, LinkError};

/// What is wrong with the line, one item for each exchange; nothing once it is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Good,
    RequestLost,
    AnswerLost,
}

pub struct Device {
    pub identity: Identity,
    pub settings: Settings,
    pub session: Session,
    pub relay_on: bool,
    pub obeyed: Vec<&'static str>,
    pub header: Vec<u8>,
    pub image: Vec<u8>,
    pub upgrade: Upgrade,
    pub now_ms: u64,
    pub max_request: u16,
    pub line: Vec<Line>,
    pub forged: bool,
}

impl Device {
    pub fn new(model: Model, region: Region, last: u8) -> Self {
        let identity = Identity {
            sn: [0x61, 0x48, 0x3c, 0x37, 0x19, 0x43, 0x91, last],
            dev_eui: [0x24, 0xe1, 0x24, 0x14, 0x8c, 0x37, 0x19, last],
            model,
            app_key: Key::DEFAULT,
            hardware_version: [1, 0x40],
        };
        Self {
            identity,
            settings: Settings::default_for(region, &identity),
            session: Session::new(identity.sn, None, 1, 0),
            relay_on: true,
            obeyed: Vec::new(),
            header: Vec::new(),
            image: Vec::new(),
            upgrade: Upgrade::default(),
            now_ms: 0,
            max_request: 600,
            line: Vec::new(),
            forged: false,
        }
    }

    /// Returns what it keeps without power: settings, session, and what there is of an image.
    pub fn flash(&mut self) -> Vec<u8> {
        let mut form = [0; MAX_STORED];
        let len = self.settings.encode(&mut form).unwrap();
        self.session.unstored();
        let session = self.session.record().unwrap();
        let parts: [&[u8]; 4] = [&form[..len], &session, &self.header, &self.image];
        parts
            .iter()
            .flat_map(|part| (part.len() as u32).to_le_bytes().into_iter().chain(part.iter().copied()))
            .collect()
    }

    /// Starts it with what another one kept.
    pub fn restart(&mut self, flash: &[u8]) -> Option<()> {
        let mut rest = flash;
        let mut part = || {
            let (len, after) = rest.split_first_chunk()?;
            let (part, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
            rest = after;
            Some(part.to_vec())
        };
        let (form, session, header, image) = (part()?, part()?, part()?, part()?);
        self.settings = Settings::decode(&form, self.settings.lorawan.region, &self.identity).ok()?.settings;
        self.session = Session::new(self.identity.sn, Some(&session), 1, self.now_ms);
        if let Ok(told) = Header::parse(&header) {
            let received = image.len().try_into().ok()?;
            let state = UpgradeState::Receiving;
            self.upgrade = Upgrade { state, refused: 0, received, total: told.image().len };
        }
        (self.header, self.image) = (header, image);
        Some(())
    }

    fn status(&self) -> Status {
        Status {
            model: self.identity.model,
            region: self.settings.lorawan.region,
            sn: self.identity.sn,
            dev_eui: self.identity.dev_eui,
            hardware_version: self.identity.hardware_version,
            software_version: [0, 1],
            relay_on: self.relay_on,
            joined: false,
            measured: true,
            voltage_mv: 230_100,
            current_ma: 435,
            power_mw: 100_000,
            power_factor_permille: 999,
            energy_wh: 1234,
            uptime_s: 60,
            reset_cause: 0,
            faults: Faults::default(),
            upgrade: self.upgrade,
            wait_s: self.session.wait_s(self.now_ms),
            max_request: self.max_request,
            challenge: self.session.challenge(),
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        let password = self.settings.general.password;
        let opened = block_on(self.session.open(self.now_ms, &password, &mut bytes));
        let (code, body) = match opened {
            Ok(request) => self.act(&request),
            Err(code @ (Code::WrongPassword | Code::Wait)) => {
                (code, self.session.wait_s(self.now_ms).to_le_bytes().to_vec())
            }
            Err(code) => (code, Vec::new()),
        };
        let mut out = [0; MAX_ANSWER];
        let len = match Envelope::parse(request) {
            Ok(Envelope { kind_code, challenge, .. }) if self.forged => {
                Answer::write(code, kind_code, challenge, &body, None, &mut out)
            }
            _ => self.session.answer(code, &body, &mut out),
        };
        out[..len].to_vec()
    }

    fn act(&mut self, request: &Request<'_>) -> (Code, Vec<u8>) {
        match *request {
            Request::Status => return (Code::Done, self.status().bytes().to_vec()),
            Request::Settings => {
                let mut form = [0; MAX_STORED];
                let len = self.settings.encode_public(&mut form).unwrap();
                return (Code::Done, form[..len].to_vec());
            }
            Request::Write { guard, form } => {
                if guard.model.is_some_and(|model| model != self.identity.model) {
                    return (Code::OtherModel, Vec::new());
                }
                if guard.region.is_some_and(|region| region != self.settings.lorawan.region) {
                    return (Code::OtherRegion, Vec::new());
                }
                self.obeyed.push("write");
                match self.settings.changed_by(form, &self.identity) {
                    Ok(settings) => self.settings = settings,
                    Err(error) => {
                        let refusal = error.refusal();
                        return (Code::Settings, vec![refusal.tag, refusal.why as u8]);
                    }
                }
                return (Code::Done, Vec::new());
            }
            Request::Command(command) => {
                self.obeyed.push("command");
                match command {
                    Command::Off => self.relay_on = false,
                    Command::On => self.relay_on = true,
                    Command::Toggle => self.relay_on = !self.relay_on,
                    Command::FactoryReset => {
                        self.settings = Settings::default_for(self.settings.lorawan.region, &self.identity);
                    }
                    _ => {}
                }
                return (Code::Done, Vec::new());
            }
            _ => {}
        }
        let refused = match self.upgrade(request) {
            Ok(()) => 0,
            Err(refusal) => refusal.code(),
        };
        self.upgrade.refused = refused;
        (if refused == 0 { Code::Done } else { Code::Upgrade }, self.upgrade.bytes().to_vec())
    }

    fn upgrade(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let wanted = self.upgrade.received;
        match *request {
            Request::UpgradeBegin { header } => {
                let image = *Header::parse(header)?.image();
                if image.board.as_str() != "test" {
                    return Err(Refusal::Board);
                }
                if self.header != header {
                    (self.header, self.image) = (header.to_vec(), Vec::new());
                    assert_eq!(header.len(), HEADER_LEN);
                }
                self.upgrade = Upgrade {
                    state: UpgradeState::Receiving,
                    refused: 0,
                    received: self.image.len().try_into().unwrap(),
                    total: image.len,
                };
            }
            Request::UpgradeChunk { offset, .. } if offset != wanted => {
                return Err(Refusal::Offset { wanted });
            }
            Request::UpgradeChunk { data, .. } => {
                self.image.extend(data);
                self.upgrade.received = self.image.len().try_into().unwrap();
            }
            Request::UpgradeFinish if self.upgrade.received != self.upgrade.total => {
                return Err(Refusal::Length);
            }
            Request::UpgradeFinish => self.upgrade.state = UpgradeState::Ready,
            _ => self.upgrade = Upgrade::default(),
        }
        Ok(())
    }
}

impl Link for Device {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        // Only what needs the password meets a bad line: the tests count those.
        let guarded = Envelope::parse(request).is_ok_and(|it| it.kind.is_some_and(Kind::is_guarded));
        let line = if guarded && !self.line.is_empty() { self.line.remove(0) } else { Line::Good };
        if line == Line::RequestLost {
            return Err(LinkError::Silent);
        }
        let answer = self.answer(request);
        if line == Line::AnswerLost { Err(LinkError::Silent) } else { Ok(answer) }
    }
}

impl Link for &mut Device {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        (**self).exchange(request)
    }
}
