//! A socket in the page itself, to try the tool on.

use serde_json::{Value, json};
use sockeye_settings::{Model, Region};
use sockeye_toolbox::stand_in::Device;
use sockeye_toolbox::{Link, LinkError};

use crate::tool::unhex;

/// One socket.
pub(crate) enum Simulated {
    /// The firmware on virtual hardware, with a phone at its tag.
    Whole(Box<sockeye_toolbox::Simulated>),
    /// The stand-in of the tests, which takes any update.
    StandIn(Box<Device>),
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Simulated {
    /// Makes a socket of the model and the plan that the page wants, or brings back the one that was kept.
    pub(crate) fn new(question: &Value) -> Option<Self> {
        use sockeye_toolbox::Simulated as Whole;
        let text = |name: &str| question.get(name).and_then(Value::as_str);
        let model = Model::from_name(text("model")?)?;
        let region = Region::from_name(text("region")?)?;
        let last = question.get("last").and_then(Value::as_u64).and_then(|last| u8::try_from(last).ok())?;
        let kept = text("flash").and_then(unhex);
        if question.get("stand_in").and_then(Value::as_bool) == Some(true) {
            let mut device = Device::new(model, region, last);
            if let Some(kept) = kept {
                device.restart(&kept)?;
            }
            return Some(Self::StandIn(Box::new(device)));
        }
        let kept = kept.and_then(|kept| Whole::restore(&kept).ok());
        Some(Self::Whole(Box::new(kept.or_else(|| Whole::new(model, region, last).ok())?)))
    }

    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        match self {
            Self::Whole(socket) => socket.exchange(request),
            Self::StandIn(device) => device.as_mut().exchange(request),
        }
    }

    /// Lets time pass, at most a minute at once.
    pub(crate) fn run(&mut self, ms: u64) -> Value {
        let ms = ms.min(60_000);
        match self {
            Self::Whole(socket) => {
                socket.run_ms(ms);
                json!({ "t_ms": socket.now_ms() })
            }
            Self::StandIn(device) => {
                device.now_ms = device.now_ms.saturating_add(ms);
                json!({ "t_ms": device.now_ms })
            }
        }
    }

    /// Does what a script line says (docs/RUN.md).
    pub(crate) fn stimulate(&mut self, line: &str) -> Result<(), String> {
        match self {
            Self::Whole(socket) => socket.stimulate(line),
            Self::StandIn(_) => Err("the stand-in has no hardware".to_owned()),
        }
    }

    /// Returns what is kept while the page is reloaded.
    pub(crate) fn flash(&mut self) -> Vec<u8> {
        match self {
            Self::Whole(socket) => socket.keep(),
            Self::StandIn(device) => device.flash(),
        }
    }
}
