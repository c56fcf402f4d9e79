//! What the page asks of the program: answers, refusals with their field, and no panic on any question.

use proptest::prelude::*;
use serde_json::{Value, json};
use sockeye_web::Tool;

fn ask(tool: &mut Tool, question: &Value) -> Value {
    serde_json::from_str(&tool.ask(question.to_string().as_bytes())).expect("an answer is JSON")
}

/// Reads a simulated socket, as the page does it.
fn read(tool: &mut Tool, model: &str, region: &str) -> Value {
    let id =
        ask(tool, &json!({ "do": "sim_new", "model": model, "region": region, "last": 5 }))["id"].clone();
    look(tool, &id);
    id
}

fn look(tool: &mut Tool, id: &Value) -> (Value, Value) {
    let request = ask(tool, &json!({ "do": "ask_status" }))["request"].clone();
    let answer = exchange(tool, id, &request);
    let status = ask(tool, &json!({ "do": "take_status", "answer": answer }))["status"].clone();
    let request = ask(tool, &json!({ "do": "ask_settings" }))["request"].clone();
    let answer = exchange(tool, id, &request);
    let settings = ask(tool, &json!({ "do": "take_settings", "answer": answer }))["settings"].clone();
    (status, settings)
}

fn exchange(tool: &mut Tool, id: &Value, request: &Value) -> Value {
    ask(tool, &json!({ "do": "sim_exchange", "id": id, "request": request }))["answer"].clone()
}

#[test]
fn what_is_typed_is_written_and_read_back() {
    let mut tool = Tool::default();
    let id = read(&mut tool, "EU", "EU868");
    ask(&mut tool, &json!({ "do": "password", "password": "123456" }));
    let values =
        json!({ "general.led": "off", "general.overcurrent_alarm": { "enabled": true, "current_a": 12 } });
    let asked = ask(&mut tool, &json!({ "do": "write", "values": values }));
    assert_eq!(asked["fields"], json!(["general.led", "general.overcurrent_alarm"]));
    let answer = exchange(&mut tool, &id, &asked["request"]);
    assert_eq!(ask(&mut tool, &json!({ "do": "take", "answer": answer })), json!({ "upgrade": null }));
    let (_, settings) = look(&mut tool, &id);
    assert_eq!(settings["general"]["led"], false);
    assert_eq!(settings["general"]["overcurrent_alarm"]["current_a"], 12);
}

#[test]
fn a_refusal_names_kind_and_field() {
    let mut tool = Tool::default();
    let template = json!({ "model": "EU", "region": "US915" }).to_string();
    for (question, kind, field) in [
        (json!({ "do": "write", "values": {} }), "not_read", Value::Null),
        (json!({ "do": "password", "password": "12345" }), "password_form", Value::Null),
        (json!({ "do": "command", "command": "explode" }), "page", Value::Null),
        (json!({}), "page", Value::Null),
    ] {
        let answer = ask(&mut tool, &question);
        assert_eq!(
            (&answer["kind"], answer.get("field").unwrap_or(&Value::Null)),
            (&json!(kind), &field),
            "{question}"
        );
    }
    read(&mut tool, "EU", "EU868");
    for (question, kind, field) in [
        (
            json!({ "do": "write", "values": { "general.reporting_interval_s": "59" } }),
            "setting",
            json!("general.reporting_interval_s"),
        ),
        (
            json!({ "do": "write", "values": { "general.overcurrent_alarm": { "enabled": true, "current_a": null } } }),
            "setting",
            json!("general.overcurrent_alarm"),
        ),
        (
            json!({ "do": "write", "values": { "lorawan.channels": "17" } }),
            "setting",
            json!("lorawan.channels"),
        ),
        (json!({ "do": "template_look", "template": template }), "other_region", Value::Null),
        (json!({ "do": "write", "values": { "general.led": "off" } }), "password_form", Value::Null),
        (json!({ "do": "update_open", "file": "00" }), "update_file", Value::Null),
    ] {
        let answer = ask(&mut tool, &question);
        assert_eq!((&answer["kind"], &answer["field"]), (&json!(kind), &field), "{question}: {answer}");
    }
}

#[test]
fn an_upgrade_goes_on_where_the_socket_says_after_a_power_cut() {
    let mut tool = Tool::default();
    let id = read(&mut tool, "EU", "EU868");
    ask(&mut tool, &json!({ "do": "password", "password": "123456" }));
    let file = ask(&mut tool, &json!({ "do": "sim_update", "version": "0020" }))["file"].take();
    ask(&mut tool, &json!({ "do": "update_open", "file": file }));
    let (mut upgrade, mut most, mut went_back) = (Value::Null, 0, false);
    for requests in 0..1000 {
        if requests == 10 {
            for (line, ms) in [("power off", 10_000), ("power on", 10_000)] {
                ask(&mut tool, &json!({ "do": "sim_do", "id": id, "line": line }));
                ask(&mut tool, &json!({ "do": "sim_run", "id": id, "ms": ms }));
            }
        }
        look(&mut tool, &id);
        let next = ask(&mut tool, &json!({ "do": "update_next", "upgrade": upgrade }));
        if next["done"] == true {
            assert_eq!((&upgrade["state"], went_back), (&json!("ready"), true));
            return;
        }
        let answer = exchange(&mut tool, &id, &next["request"]);
        let taken = ask(&mut tool, &json!({ "do": "take", "answer": answer }));
        assert!(taken["error"].is_null(), "{taken}");
        upgrade = taken["upgrade"].clone();
        let received = upgrade["received"].as_u64().unwrap();
        went_back |= received < most;
        most = most.max(received);
    }
    panic!("no end: {upgrade}");
}

#[test]
fn fields_have_the_ranges_of_model_and_band() {
    let fields = ask(&mut Tool::default(), &json!({ "do": "fields", "region": "US915", "model": "UK" }));
    let field =
        |key: &str| fields["fields"].as_array().unwrap().iter().find(|it| it["key"] == key).unwrap().clone();
    assert_eq!(field("general.overcurrent_alarm")["max"], 13);
    assert_eq!(field("lorawan.tx_power_dbm")["max"], 30);
}

proptest! {
    #[test]
    fn no_question_panics(
        what in "(fields|password|ask_status|ask_settings|take_status|see_status|take_settings|see_settings|is_for_us|take|\
                 command|write|template_of|template_look|template_write|update_open|update_next|update_abort|frame|deframe|\
                 sim_new|sim_exchange|sim_run|sim_do|sim_save|[a-z]{0,5})",
        key in "(answer|bytes|request|template|file|values|upgrade|password|id|line|region|model)",
        text in "([0-9a-f]{2}){0,90}|.{0,40}",
    ) {
        let mut tool = Tool::default();
        let id = read(&mut tool, "EU", "EU868");
        for value in [json!(text), json!({ &*text: text }), json!(1), json!(u64::MAX)] {
            let question = json!({ "do": what, "id": id, "model": "EU", "region": "EU868", "last": 6, &*key: value });
            ask(&mut tool, &question);
        }
        tool.ask(text.as_bytes());
    }
}
