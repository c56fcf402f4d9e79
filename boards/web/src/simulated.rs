//! Sockets in the page itself, to try the tool on: the firmware on virtual hardware, with a phone at its tag.

use serde_json::{Value, json};
use sockeye_nfc::ndef::{self, Record};
use sockeye_settings::{Model, Region};
use sockeye_toolbox::Simulated;

use crate::hex::{hex, unhex};

/// What a tag may hold, as the page names it.
const RECORDS: [(Record, &str); 4] = [
    (Record::Status, "status"),
    (Record::Settings, "settings"),
    (Record::Request, "request"),
    (Record::Answer, "answer"),
];

/// Makes a socket of the model and the plan that the page wants, or brings back the one that was kept.
pub(crate) fn make(question: &Value) -> Option<Simulated> {
    let text = |name: &str| question.get(name).and_then(Value::as_str);
    let model = Model::from_name(text("model")?)?;
    let region = Region::from_name(text("region")?)?;
    let last = question.get("last").and_then(Value::as_u64).and_then(|last| u8::try_from(last).ok())?;
    let kept = text("flash").and_then(unhex).and_then(|kept| Simulated::restore(&kept).ok());
    kept.or_else(|| Simulated::new(model, region, last).ok())
}

/// Lets time pass, at most a minute at once.
pub(crate) fn run(socket: &mut Simulated, ms: u64) -> Value {
    socket.run_ms(ms.min(60_000));
    json!({ "t_ms": socket.now_ms() })
}

/// Holds a phone to the tag: what it reads, by the names of the records.
pub(crate) fn read_tag(socket: &mut Simulated) -> Value {
    let message = socket.read_tag().unwrap_or_default();
    let found = RECORDS.iter().filter_map(|(record, name)| {
        let found = ndef::find(&message, *record)?;
        Some(((*name).to_owned(), json!(hex(found.payload))))
    });
    json!({ "records": found.collect::<serde_json::Map<_, _>>() })
}

/// Holds a phone to the tag, which writes a request; with `leaves_after` it is taken away after so many bytes.
pub(crate) fn write_tag(socket: &mut Simulated, request: &[u8], leaves_after: Option<usize>) -> Value {
    let mut message = vec![0; request.len() + ndef::RECORD_HEADER];
    let len = ndef::message(&[(Record::Request, request)], &mut message).unwrap_or_default();
    let message = message.get(..len).unwrap_or_default();
    json!({ "written": socket.write_tag(message, leaves_after) })
}
