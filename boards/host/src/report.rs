//! What a run reports: one JSON object a line.
//!
//! The lines are fixed by the project's command-line page; tests, benches and people's scripts read them. Fields may be
//! added, never changed.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::traffic::Counts;

/// Is one thing that a run reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The socket asked to join.
    JoinRequest {
        /// The number that the socket never uses twice.
        dev_nonce: u16,
        /// The data rate's index.
        dr: u8,
        /// In Hz.
        #[serde(rename = "freq")]
        freq_hz: u32,
    },
    /// The socket has a session.
    Joined {
        /// Eight hex digits, as a network server prints it.
        #[serde(serialize_with = "hex_address")]
        dev_addr: u32,
    },
    /// The network heard a data frame.
    Uplink {
        /// 1 to 223; 0 when the frame brought MAC commands or nothing.
        port: u8,
        /// Deciphered.
        #[serde(serialize_with = "hex_bytes")]
        payload: Vec<u8>,
        /// All 32 bits.
        fcnt: u32,
        /// The data rate's index.
        dr: u8,
        /// In Hz.
        #[serde(rename = "freq")]
        freq_hz: u32,
        /// Whether the socket wants an ACK.
        confirmed: bool,
    },
    /// The socket took a data frame.
    Downlink {
        /// The application's port.
        port: u8,
        /// Deciphered.
        #[serde(serialize_with = "hex_bytes")]
        payload: Vec<u8>,
        /// All 32 bits.
        fcnt: u32,
        /// To whom it was sent.
        kind: DownlinkKind,
    },
    /// The relay was driven; on is power for the load.
    Relay {
        /// On or off.
        on: bool,
        /// Who wanted it.
        cause: &'static str,
    },
    /// The LED changed.
    Led {
        /// Lit or dark.
        on: bool,
    },
    /// The socket switched off to protect itself or the installation.
    Trip {
        /// `protection`, `hard_limit` or `meter_fault`.
        cause: &'static str,
        /// What flowed before the relay opened.
        current_ma: u32,
    },
    /// The current reached the alarm's threshold.
    Alarm {
        /// The current that did.
        current_ma: u32,
    },
    /// The mains came or went.
    Power {
        /// There or gone.
        on: bool,
    },
    /// A record is safe in flash.
    Stored {
        /// Its name.
        record: &'static str,
    },
    /// A phone at the tag has read the socket, or what it wrote was answered.
    Nfc {
        /// `read` or `write`.
        action: &'static str,
        /// What came of it: `done`, or why not.
        result: String,
        /// What was read: the settings, as a template has them.
        #[serde(skip_serializing_if = "Option::is_none")]
        settings: Option<serde_json::Value>,
    },
    /// The device starts anew.
    Reboot {
        /// Why.
        cause: &'static str,
    },
    /// An upgrade has come to something.
    Upgrade {
        /// To what: `trying`, `confirmed` or `gone_back`.
        state: &'static str,
    },
    /// An image has written a line for a debug probe (`cargo xtask emulate --log`).
    Log {
        /// `error`, if it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        level: Option<&'static str>,
        /// The line.
        text: String,
    },
    /// Something that should not happen did.
    Error {
        /// One sentence.
        what: String,
    },
    /// The last line.
    Summary(Summary),
}

/// Tells to whom a downlink was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DownlinkKind {
    /// To this socket alone.
    Unicast,
    /// To a group.
    Multicast,
}

/// Counts what a run reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Data frames that the network heard.
    pub uplinks: u64,
    /// Data frames that the socket took.
    pub downlinks: u64,
    /// Sessions begun.
    pub joins: u64,
    /// How often the relay went to the other state; its first report is not a change.
    pub relay_changes: u64,
    /// What went through the socket.
    #[serde(rename = "energy_wh", serialize_with = "micro")]
    pub energy_uwh: u64,
    /// How long the run took on this computer.
    #[serde(rename = "wall_s", serialize_with = "milli")]
    pub wall_ms: u64,
    /// What the sockets put on the air.
    #[serde(flatten)]
    pub traffic: Counts,
    /// What the relay was last reported to be.
    #[serde(skip)]
    pub relay: Option<bool>,
}

impl Summary {
    /// Counts one event of one socket; energy and wall time are set by whoever knows them.
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Uplink { .. } => self.uplinks += 1,
            Event::Downlink { .. } => self.downlinks += 1,
            Event::Joined { .. } => self.joins += 1,
            Event::Relay { on, .. } => {
                let changed = self.relay.replace(*on).is_some_and(|before| before != *on);
                self.relay_changes += u64::from(changed);
            }
            _ => {}
        }
    }

    /// Adds what another socket of the same run counted; the wall time is the longer one. What is on the air is
    /// counted for all together, not here.
    pub fn add(&mut self, other: &Self) {
        self.uplinks += other.uplinks;
        self.downlinks += other.downlinks;
        self.joins += other.joins;
        self.relay_changes += other.relay_changes;
        self.energy_uwh += other.energy_uwh;
        self.wall_ms = self.wall_ms.max(other.wall_ms);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<usize>,
}

/// Writes one event as one line; `socket` counts from 0 and is given when the run has several.
///
/// # Errors
/// Those of `out`.
pub fn write_line(out: &mut impl Write, t_ms: u64, socket: Option<usize>, event: &Event) -> io::Result<()> {
    let fields = serde_json::to_string(&Line { event, socket })?;
    // The time goes in by hand, because a float would drop the last zeros and, after years, the milliseconds.
    let fields = fields.strip_prefix('{').unwrap_or(&fields);
    writeln!(out, "{{\"t\":{}.{:03},{fields}", t_ms / 1_000, t_ms % 1_000)
}

fn hex_address<S: Serializer>(address: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{address:08x}"))
}

fn hex_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&text)
}

fn micro<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*value as f64 / 1_000_000.0)
}

fn milli<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*value as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(t_ms: u64, socket: Option<usize>, event: Event, expected: &str) {
        let mut out = Vec::new();
        write_line(&mut out, t_ms, socket, &event).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
    }

    fn uplink(port: u8, payload: &[u8]) -> Event {
        Event::Uplink {
            port,
            payload: payload.to_vec(),
            fcnt: 0,
            dr: 5,
            freq_hz: 868_100_000,
            confirmed: false,
        }
    }

    #[test]
    fn every_event_is_the_line_that_scripts_read() {
        let table = [
            (
                Event::JoinRequest { dev_nonce: 7, dr: 5, freq_hz: 868_300_000 },
                r#""event":"join_request","dev_nonce":7,"dr":5,"freq":868300000"#,
            ),
            (Event::Joined { dev_addr: 0x0001_f2a3 }, r#""event":"joined","dev_addr":"0001f2a3""#),
            (
                uplink(85, &[0x08, 0x70, 0x05]),
                r#""event":"uplink","port":85,"payload":"087005","fcnt":0,"dr":5,"freq":868100000,"confirmed":false"#,
            ),
            (
                Event::Downlink {
                    port: 85,
                    payload: vec![8, 1, 0, 0xff],
                    fcnt: 70_000,
                    kind: DownlinkKind::Multicast,
                },
                r#""event":"downlink","port":85,"payload":"080100ff","fcnt":70000,"kind":"multicast""#,
            ),
            (
                Event::Downlink { port: 1, payload: vec![], fcnt: 0, kind: DownlinkKind::Unicast },
                r#""event":"downlink","port":1,"payload":"","fcnt":0,"kind":"unicast""#,
            ),
            (Event::Relay { on: true, cause: "button" }, r#""event":"relay","on":true,"cause":"button""#),
            (Event::Led { on: false }, r#""event":"led","on":false"#),
            (
                Event::Trip { cause: "hard_limit", current_ma: 13_100 },
                r#""event":"trip","cause":"hard_limit","current_ma":13100"#,
            ),
            (Event::Power { on: false }, r#""event":"power","on":false"#),
            (Event::Stored { record: "settings" }, r#""event":"stored","record":"settings""#),
            (Event::Reboot { cause: "downlink" }, r#""event":"reboot","cause":"downlink""#),
            (Event::Upgrade { state: "confirmed" }, r#""event":"upgrade","state":"confirmed""#),
            (Event::Log { level: None, text: "joined".into() }, r#""event":"log","text":"joined""#),
            (
                Event::Log { level: Some("error"), text: "flash".into() },
                r#""event":"log","level":"error","text":"flash""#,
            ),
            (
                Event::Error { what: "a \"quoted\" word".into() },
                r#""event":"error","what":"a \"quoted\" word""#,
            ),
        ];
        for (event, fields) in table {
            check(12_345, None, event, &format!(r#"{{"t":12.345,{fields}}}"#));
        }
    }

    #[test]
    fn the_summary_gives_energy_in_watt_hours_and_wall_time_in_seconds() {
        let summary = Summary {
            uplinks: 9,
            downlinks: 3,
            joins: 1,
            relay_changes: 2,
            energy_uwh: 1_500_250_000,
            wall_ms: 80,
            traffic: Counts {
                join_requests: 2,
                frames: 10,
                delivered: 9,
                silent: 0,
                duty_cycle_ppm: 1_234,
                duty_cycle_mean_ppm: 1_000,
                over_duty_cycle: 0,
            },
            relay: Some(true),
        };
        let line = concat!(
            r#"{"t":7200.000,"event":"summary","uplinks":9,"downlinks":3,"joins":1,"relay_changes":2,"#,
            r#""energy_wh":1500.25,"wall_s":0.08,"join_requests":2,"frames":10,"delivered":9,"silent":0,"#,
            r#""duty_cycle_percent":0.1234,"duty_cycle_mean_percent":0.1,"over_duty_cycle":0}"#
        );
        check(7_200_000, None, Event::Summary(summary), line);
    }

    #[test]
    fn a_time_keeps_its_three_decimals() {
        for (t_ms, text) in
            [(0, "0.000"), (5, "0.005"), (1_000, "1.000"), (u64::MAX, "18446744073709551.615")]
        {
            check(t_ms, None, Event::Led { on: true }, &format!(r#"{{"t":{text},"event":"led","on":true}}"#));
        }
    }

    #[test]
    fn one_of_several_sockets_says_which() {
        check(1, Some(0), Event::Led { on: true }, r#"{"t":0.001,"event":"led","on":true,"socket":0}"#);
    }

    #[test]
    fn a_line_is_json_for_others_too() {
        let mut out = Vec::new();
        write_line(&mut out, 12_300, Some(3), &uplink(85, &[1])).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((value["t"].as_f64(), value["socket"].as_u64()), (Some(12.3), Some(3)));
    }

    #[test]
    fn the_summary_counts_changes_of_the_relay_and_not_its_first_state() {
        let mut summary = Summary::default();
        for on in [true, true, false, true] {
            summary.count(&Event::Relay { on, cause: "button" });
        }
        for event in
            [uplink(85, &[1]), uplink(85, &[1]), Event::Joined { dev_addr: 1 }, Event::Led { on: true }]
        {
            summary.count(&event);
        }
        let counted = (summary.relay_changes, summary.uplinks, summary.joins, summary.downlinks);
        assert_eq!(counted, (2, 2, 1, 0));
    }

    #[test]
    fn several_sockets_add_up_and_share_their_wall_time() {
        let one = Summary {
            uplinks: 1,
            downlinks: 2,
            joins: 3,
            relay_changes: 4,
            energy_uwh: 5,
            wall_ms: 6,
            traffic: Counts::default(),
            relay: None,
        };
        let mut all = one.clone();
        all.add(&Summary { wall_ms: 4, ..one });
        let sum = Summary {
            uplinks: 2,
            downlinks: 4,
            joins: 6,
            relay_changes: 8,
            energy_uwh: 10,
            wall_ms: 6,
            traffic: Counts::default(),
            relay: None,
        };
        assert_eq!(all, sum);
    }
}
