//! The command behind `cargo xtask run`, as a shell sees it.
#![allow(missing_docs, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye-host"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A run that is refused at once may close its input first.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn json_lines_are_objects_with_time_and_event_and_end_with_a_summary() {
    let output = run(&["--for", "5m", "--json", "--script", "-"], "at 40s load 1500W\nat 90s press\n");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<f64> = lines.iter().map(|line| line["t"].as_f64().unwrap()).collect();
    assert!(times.is_sorted());
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    for event in ["relay", "led", "join_request", "joined", "uplink", "stored"] {
        assert!(events.contains(&event), "no {event} in {events:?}");
    }
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["joins"], 1);
    assert_eq!(summary["relay_changes"], 1);
    let uplinks = events.iter().filter(|event| **event == "uplink").count();
    assert_eq!(summary["uplinks"], uplinks);
    // 1500 W for 50 s are 20.8 Wh; a pulse is 0.2 Wh.
    let energy_wh = summary["energy_wh"].as_f64().unwrap();
    assert!((20.3..=21.1).contains(&energy_wh), "{energy_wh}");
}

#[test]
fn several_sockets_each_join_and_say_which_they_are() {
    let output = run(&["--for", "10m", "--json", "--sockets", "5"], "");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut joined: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["event"] == "joined")
        .map(|line| line["socket"].as_u64().unwrap())
        .collect();
    joined.sort_unstable();
    assert_eq!(joined, [0, 1, 2, 3, 4]);
}

#[test]
fn wrong_use_is_one_sentence_and_exit_status_2() {
    for (arguments, input, told) in [
        (&["--frobnicate"][..], "", "--frobnicate"),
        (&["--for", "1h", "--script", "-"], "at 10s dance\n", "line 1, column 8"),
        (&["--for", "1h", "--script", "-"], "at 10s press\nat soon press\n", "line 2, column 4"),
        (&["--for", "1h", "--script", "/nowhere/at/all.txt"], "", "/nowhere/at/all.txt"),
        (&["--for", "yesterday"], "", "yesterday"),
        (&["--region", "MARS1", "--for", "1h"], "", "EU868"),
        (&["--gateway", "nonsense", "--for", "1h"], "", "HOST:PORT"),
        (&["--plot", "/nowhere/at/all.svg", "--for", "1h"], "", "/nowhere/at/all.svg"),
    ] {
        let output = run(arguments, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked") && !errors.contains("backtrace"), "{errors}");
    }
}

#[test]
fn commands_of_a_pipe_act_at_once_and_quit_ends_the_run() {
    let output = run(&[], "press\nload lots\nhelp\nquit\n");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("relay ON"), "{text}");
    assert!(text.contains("`lots`"), "{text}");
    assert!(text.contains("downlink 85 080100ff"), "{text}");
}

#[test]
fn a_script_with_bytes_that_are_no_text_is_told_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("odd.txt");
    std::fs::write(&script, b"at 10s press\nat 20s \xFF\n").unwrap();
    let output = run(&["--for", "1m", "--script", script.to_str().unwrap()], "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("odd.txt: line 2, column 8: expected UTF-8 text"), "{errors}");
}

#[test]
fn at_the_pace_of_the_clock_a_script_and_typed_commands_act_together_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.txt");
    std::fs::write(&script, "at 200ms press\nat 500ms nfc read\nat 700ms press\n").unwrap();
    let script = script.to_str().unwrap();
    let output = run(&["--for", "2s", "--realtime", "--json", "--script", script], "load lots\nhelp\n");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.is_sorted_by_key(|line| line["t"].as_f64().unwrap().to_bits()), "{text}");
    let errors: Vec<_> = lines.iter().filter_map(|line| line["what"].as_str()).collect();
    assert!(errors.iter().any(|what| what.contains("`lots`")), "{text}");
    assert!(lines.iter().any(|line| line["event"] == "nfc"), "{text}");
    let relay: Vec<_> = lines.iter().filter(|line| line["event"] == "relay").collect();
    assert_eq!(relay.len(), 3, "{text}");
    assert_eq!(lines.last().unwrap()["event"], "summary");
}

#[test]
fn typed_bytes_that_are_no_text_are_refused_and_the_next_command_is_taken() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye-host"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xFF\xFE\nquit\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("expected press, hold"));
}

#[test]
fn a_phone_reads_and_writes_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let settings = r#"{ "model": "EU", "region": "EU868", "general": { "reporting_interval_s": 600, "password": "987654" } }"#;
    std::fs::write(&file, settings).unwrap();
    let script = format!(
        "at 20s nfc read\nat 1m nfc write {0}\nat 2m nfc read\nat 3m nfc write {0}\n",
        file.display()
    );
    let output = run(&["--for", "4m", "--json", "--script", "-"], &script);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines.iter().filter(|line| line["event"] == "nfc").collect();
    let results: Vec<_> = seen
        .iter()
        .map(|line| (line["action"].as_str().unwrap(), line["result"].as_str().unwrap()))
        .collect();
    assert_eq!(results, [("read", "done"), ("write", "done"), ("read", "done"), ("write", "done")], "{text}");
    let interval = |line: &serde_json::Value| line["settings"]["general"]["reporting_interval_s"].as_u64();
    assert_eq!((interval(seen[0]), interval(seen[2])), (Some(1200), Some(600)));
    assert!(seen.iter().all(|line| line["settings"]["general"]["password"].is_null()));
}

#[test]
fn a_bad_settings_file_is_refused_by_field_before_anything_runs() {
    let folder = std::env::temp_dir().join(format!("sockeye-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("settings.json");
    let path = file.to_str().unwrap();
    for (text, told) in [
        ("{ \"model\": ", "line 1"),
        (r#"{ "model": "UK", "region": "EU868" }"#, "UK"),
        (r#"{ "model": "EU", "region": "US915" }"#, "US915"),
        (
            r#"{ "model": "EU", "region": "EU868", "general": { "reporting_interval_s": 59 } }"#,
            "general.reporting_interval_s",
        ),
        (r#"{ "model": "EU", "region": "EU868", "general": { "brightness": 3 } }"#, "general.brightness"),
    ] {
        std::fs::write(&file, text).unwrap();
        let script = format!("at 10s nfc write {path}\n");
        for (arguments, input) in [
            (&["--for", "1m", "--settings", path][..], ""),
            (&["--for", "1m", "--script", "-"], script.as_str()),
        ] {
            let output = run(arguments, input);
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{text}: {errors}");
            assert!(errors.contains(told) && errors.contains(path), "{text}: {errors}");
            assert!(output.stdout.is_empty());
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let output = run(&["--for", "1m", "--settings", path], "");
    assert_eq!(output.status.code(), Some(2));
}

/// Presses Ctrl-C when a line tells `event`; the lines that the run wrote, and its exit status.
#[cfg(unix)]
fn interrupted_at(event: &str, arguments: &[&str]) -> (Vec<serde_json::Value>, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye-host"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, mut lines, mut pressed) = (child.id().to_string(), Vec::new(), false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        // The second Ctrl-C would end it at once.
        if line["event"] == event && !std::mem::replace(&mut pressed, true) {
            assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        }
        lines.push(line);
    }
    (lines, child.wait().unwrap().code())
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_with_its_summary_and_exit_status_0() {
    for (event, arguments) in [
        ("led", &["--json"][..]),
        ("led", &["--json", "--for", "1d", "--realtime"]),
        ("joined", &["--json", "--for", "9999d"]),
    ] {
        let (lines, status) = interrupted_at(event, arguments);
        assert_eq!(status, Some(0), "{arguments:?}");
        let summary = lines.last().unwrap();
        assert_eq!(summary["event"], "summary", "{arguments:?}");
        assert!(lines.is_sorted_by_key(|line| line["t"].as_f64().unwrap().to_bits()));
        // It counts what the lines told, and nothing besides.
        for (event, counted) in [("uplink", "uplinks"), ("joined", "joins")] {
            let told = lines.iter().filter(|line| line["event"] == event).count();
            assert_eq!(summary[counted], told, "{arguments:?}");
        }
    }
}
