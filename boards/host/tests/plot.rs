//! `--plot`: the picture shows what the lines say.
#![allow(missing_docs, reason = "tests")]

use std::process::Command;

const SCRIPT: &str = "\
at 1m load 1500W
at 10m press
at 20m press
at 25m load 3800W
at 30m load 60W
at 31m press
at 35m downlink 85 ff28ff
at 40m power off
at 45m power on
at 50m downlink 85 ff10ff
";

#[test]
fn a_picture_has_a_mark_for_each_uplink_downlink_trip_alarm_and_reboot_and_a_bar_for_each_time_on() {
    let folder = tempfile::tempdir().unwrap();
    let (script, picture) = (folder.path().join("script.txt"), folder.path().join("run.svg"));
    std::fs::write(&script, SCRIPT).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sockeye-host"))
        .args(["--for", "1h", "--json", "--script"])
        .arg(&script)
        .arg("--plot")
        .arg(&picture)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let lines = String::from_utf8(output.stdout).unwrap();
    let count = |event: &str| lines.matches(&format!("\"event\":\"{event}\"")).count();
    let svg = std::fs::read_to_string(&picture).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let shapes = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    let said = |text: &str| {
        let texts = document.descendants().filter(|node| node.is_text()).filter_map(|node| node.text());
        texts.filter(|found| found.trim() == text).count()
    };
    assert!(count("uplink") >= 6 && count("trip") == 1 && count("reboot") == 1, "{lines}");
    assert_eq!(shapes("circle"), count("uplink"));
    assert_eq!(shapes("polygon"), count("downlink"));
    assert_eq!(
        (said("TRIP"), said("alarm"), said("reboot")),
        (count("trip"), count("alarm"), count("reboot"))
    );
    // Each time that the relay is driven on is a bar, those after the outage and after the reboot too.
    let green = document.descendants().filter(|node| node.attribute("fill") == Some("#38761D"));
    let driven_on = lines.matches("\"event\":\"relay\",\"on\":true").count();
    assert_eq!(green.filter(|node| node.has_tag_name("rect")).count(), driven_on);
    // The outage is grey in the charts of power and relay.
    let grey = document.descendants().filter(|node| node.attribute("fill") == Some("#D2D2D2"));
    assert_eq!(grey.count(), 2);
}
