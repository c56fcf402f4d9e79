//! A socket in the page itself, to try the tool on.

use serde_json::{Value, json};
use sockeye_settings::{Model, Region};
use sockeye_toolbox::stand_in::Device;
use sockeye_toolbox::{Link, LinkError};

use crate::tool::unhex;

/// One socket.
pub(crate) struct Simulated {
    device: Device,
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Simulated {
    /// Makes a socket of the model and the plan that the page wants.
    pub(crate) fn new(question: &Value) -> Option<Self> {
        let text = |name: &str| question.get(name).and_then(Value::as_str);
        let model = Model::from_name(text("model")?)?;
        let region = Region::from_name(text("region")?)?;
        let last = question.get("last").and_then(Value::as_u64).and_then(|last| u8::try_from(last).ok())?;
        let mut device = Device::new(model, region, last);
        if let Some(flash) = text("flash").and_then(unhex) {
            device.restart(&flash)?;
        }
        Some(Self { device })
    }

    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        (&mut self.device).exchange(request)
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) -> Value {
        self.device.now_ms = self.device.now_ms.saturating_add(ms);
        json!({ "t_ms": self.device.now_ms })
    }

    /// Does what a script line says (docs/RUN.md).
    pub(crate) fn stimulate(&mut self, _line: &str) -> Result<(), String> {
        Err("the stand-in has no hardware".to_owned())
    }

    /// Returns what is kept while the page is reloaded.
    pub(crate) fn flash(&mut self) -> Vec<u8> {
        self.device.flash()
    }
}
