//! A socket on a network server that is elsewhere, behind a gateway's UDP protocol. The server here is a small one on
//! loopback: what it says to its gateway is written out, and `lrwn` checks the frames.
#![allow(missing_docs, reason = "tests")]

use std::net::{SocketAddr, UdpSocket};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use serde_json::{Value, json};
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::parse_command;
use sockeye_host::world::World;
use sockeye_network_server::{Config, Downlink, Heard, Kind, NetworkServer, UplinkMeta, Window};

const DEV_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0x14, 0x8C, 0x37, 0x19, 0x43];
const JOIN_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0xC0, 0x00, 0x2A, 0x00, 0x01];
const APP_KEY: [u8; 16] = *b"Ur@LinkLoRa2018#";

/// DevEUI and AppKey of socket number `socket`.
fn keys_of(socket: u8) -> ([u8; 8], [u8; 16]) {
    let (mut dev_eui, mut app_key) = (DEV_EUI, APP_KEY);
    dev_eui[7] += socket;
    app_key[15] += socket;
    (dev_eui, app_key)
}
const GATEWAY_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0xFF, 0xFE, 0x00, 0x00, 0x01];

/// How long before its instant the server hands a frame to the gateway, in µs.
const AHEAD_US: u64 = 200_000;
const STEP_MS: u64 = 10;

/// The server's side of the UDP protocol, with a network server behind it.
struct Server {
    udp: UdpSocket,
    network: NetworkServer,
    /// Where PULL_DATA came from: the way down.
    gateway: Option<SocketAddr>,
    heard: Vec<Heard>,
    stats: Vec<Value>,
    /// The `error` of each TX_ACK.
    acknowledged: Vec<String>,
    token: u16,
}

impl Server {
    fn new(sockets: u8) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let mut network = NetworkServer::new(Config::default(), 1).unwrap();
        for (dev_eui, app_key) in (0..sockets).map(keys_of) {
            network.add_otaa(dev_eui, JOIN_EUI, app_key).unwrap();
        }
        Self { udp, network, gateway: None, heard: vec![], stats: vec![], acknowledged: vec![], token: 0 }
    }

    fn exchange(&mut self, now_us: u64) {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = self.udp.recv_from(&mut bytes) {
            self.datagram(&bytes[..length], from);
        }
        for frame in self.network.take_due(now_us + AHEAD_US) {
            let mut txpk = json!({
                "freq": f64::from(frame.freq_hz) / 1e6, "rfch": 0, "powe": frame.power_dbm, "modu": "LORA",
                "datr": format!("SF{}BW{}", frame.sf, frame.bw_hz / 1000), "codr": "4/5", "ipol": true,
                "size": frame.phy.len(), "data": BASE64_STANDARD.encode(&frame.phy), "ncrc": true,
            });
            // What is not for a window goes when the gateway can, as ChirpStack has it.
            match frame.kind {
                Kind::Unicast { window: Window::Rxc, .. } => txpk["imme"] = json!(true),
                _ => txpk["tmst"] = json!(frame.at_us as u32),
            }
            self.pull_resp(&json!({ "txpk": txpk }));
        }
    }

    fn pull_resp(&mut self, body: &Value) {
        let gateway = self.gateway.expect("no PULL_DATA yet");
        self.token += 1;
        let mut bytes = vec![2, self.token.to_le_bytes()[0], self.token.to_le_bytes()[1], 3];
        bytes.extend(body.to_string().bytes());
        self.udp.send_to(&bytes, gateway).unwrap();
    }

    fn datagram(&mut self, bytes: &[u8], from: SocketAddr) {
        let [2, t0, t1, kind, rest @ ..] = bytes else { panic!("not of version 2: {bytes:02x?}") };
        assert_eq!(rest[..8], GATEWAY_EUI);
        let body = &rest[8..];
        match kind {
            0 => {
                self.udp.send_to(&[2, *t0, *t1, 1], from).unwrap();
                let body: Value = serde_json::from_slice(body).unwrap();
                for rxpk in body["rxpk"].as_array().into_iter().flatten() {
                    self.rxpk(rxpk);
                }
                self.stats.extend(body.get("stat").cloned());
            }
            2 => {
                self.gateway = Some(from);
                self.udp.send_to(&[2, *t0, *t1, 4], from).unwrap();
            }
            5 => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let error = body["txpk_ack"]["error"].as_str().unwrap_or("NONE").to_owned();
                self.acknowledged.push(error);
            }
            other => panic!("a gateway does not send {other}"),
        }
    }

    fn rxpk(&mut self, rxpk: &Value) {
        let phy = BASE64_STANDARD.decode(rxpk["data"].as_str().unwrap()).unwrap();
        assert_eq!(rxpk["size"], phy.len());
        assert_eq!((&rxpk["stat"], &rxpk["modu"]), (&json!(1), &json!("LORA")));
        let (sf, bw) = rxpk["datr"].as_str().unwrap().strip_prefix("SF").unwrap().split_once("BW").unwrap();
        let meta = UplinkMeta {
            freq_hz: (rxpk["freq"].as_f64().unwrap() * 1e6).round() as u32,
            sf: sf.parse().unwrap(),
            bw_hz: bw.parse::<u32>().unwrap() * 1000,
            rssi_dbm: rxpk["rssi"].as_i64().unwrap() as i16,
            snr_db: rxpk["lsnr"].as_f64().unwrap() as i8,
        };
        let end_us = rxpk["tmst"].as_u64().unwrap();
        self.heard.extend(self.network.on_uplink(end_us, &phy, meta));
    }
}

/// A socket whose gateway talks to the server, both on loopback; time is the simulation's.
struct Bench {
    server: Server,
    world: World,
    /// Each with its socket.
    events: Vec<(usize, Event)>,
}

impl Bench {
    fn new() -> Self {
        Self::with_sockets(1)
    }

    fn with_sockets(sockets: u8) -> Self {
        let server = Server::new(sockets);
        let (address, sockets) = (server.udp.local_addr().unwrap().to_string(), sockets.to_string());
        let options = ["run", "--realtime", "--gateway", &address, "--sockets", &sockets];
        let options = Options::try_parse_from(options).unwrap();
        Self { server, world: World::new(&options).unwrap(), events: vec![] }
    }

    fn run(&mut self, ms: u64) {
        let end_ms = self.world.now_ms() + ms;
        while self.world.now_ms() < end_ms {
            self.world.run_until_ms(self.world.now_ms() + STEP_MS);
            self.server.exchange(self.world.now_ms() * 1000);
            self.events
                .extend(self.world.take_events().into_iter().map(|(_, socket, event)| (socket, event)));
        }
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| is(event)).count()
    }

    /// The sockets that such events are of, in their order.
    fn sockets_with(&self, is: impl Fn(&Event) -> bool) -> Vec<usize> {
        self.events.iter().filter(|(_, event)| is(event)).map(|(socket, _)| *socket).collect()
    }
}

#[test]
fn a_socket_joins_reports_and_obeys_through_a_gateway_of_a_server_elsewhere() {
    let mut bench = Bench::new();
    bench.run(60_000);
    assert_eq!(bench.count(|event| matches!(event, Event::Joined { .. })), 1);
    assert!(matches!(bench.server.heard[0], Heard::JoinRequest { dev_eui: DEV_EUI, .. }));
    let Some(Heard::Data(uplink)) = bench
        .server
        .heard
        .iter()
        .find(|heard| matches!(heard, Heard::Data(uplink) if uplink.port == Some(85)))
    else {
        panic!("no data: {:?}", bench.server.heard)
    };
    assert_eq!(uplink.payload[..3], [0xFF, 0x0B, 0xFF]);
    // The lines of the run tell the same.
    let payload = uplink.payload.clone();
    assert_eq!(
        bench.count(
            |event| matches!(event, Event::Uplink { port: 85, payload: told, .. } if *told == payload)
        ),
        1
    );
    assert!(!bench.server.stats.is_empty(), "no status report in a minute");

    let now_us = bench.world.now_ms() * 1000;
    let off = Downlink { port: 85, payload: vec![0x08, 0x00, 0x00, 0xFF], confirmed: false };
    bench.server.network.enqueue(now_us, DEV_EUI, off).unwrap();
    bench.run(10_000);
    assert_eq!(bench.count(|event| matches!(event, Event::Relay { on: false, cause: "downlink" })), 1);
    assert!(bench.server.acknowledged.len() >= 2);
    assert!(bench.server.acknowledged.iter().all(|error| error == "NONE"), "{:?}", bench.server.acknowledged);
}

#[test]
fn three_sockets_behind_one_gateway_join_and_report_and_each_obeys_its_own_downlink() {
    let mut bench = Bench::with_sockets(3);
    bench.run(180_000);
    let mut joined = bench.sockets_with(|event| matches!(event, Event::Joined { .. }));
    joined.sort_unstable();
    assert_eq!(joined, [0, 1, 2]);
    for dev_eui in [0, 1, 2].map(|socket| keys_of(socket).0) {
        let mut of_it = bench.server.heard.iter().filter_map(|heard| match heard {
            Heard::Data(uplink) if uplink.dev_eui == dev_eui => uplink.port,
            _ => None,
        });
        assert!(of_it.any(|port| port == 85), "{dev_eui:02x?}: {:?}", bench.server.heard);
    }

    let switch = |bench: &mut Bench, socket: u8, on: u8| {
        let now_us = bench.world.now_ms() * 1000;
        let downlink = Downlink { port: 85, payload: vec![0x08, on, 0x00, 0xFF], confirmed: false };
        bench.server.network.enqueue(now_us, keys_of(socket).0, downlink).unwrap();
    };
    bench.events.clear();
    // One by one, and then the two that are left at once: the gateway sends one frame at a time.
    switch(&mut bench, 1, 0);
    bench.run(10_000);
    let is_off = |event: &Event| matches!(event, Event::Relay { on: false, cause: "downlink" });
    assert_eq!(bench.sockets_with(is_off), [1]);
    switch(&mut bench, 2, 0);
    switch(&mut bench, 0, 0);
    bench.run(20_000);
    let mut off = bench.sockets_with(is_off);
    off.sort_unstable();
    assert_eq!(off, [0, 1, 2]);
    switch(&mut bench, 2, 1);
    bench.run(10_000);
    let is_on = |event: &Event| matches!(event, Event::Relay { on: true, cause: "downlink" });
    assert_eq!(bench.sockets_with(is_on), [2]);
    let answers = &bench.server.acknowledged;
    assert!(answers.len() >= 7 && answers.iter().all(|error| error == "NONE"), "{answers:?}");
}

#[test]
fn a_frame_in_fsk_is_sent_and_told_and_one_that_lacks_a_field_is_not_answered() {
    let mut bench = Bench::new();
    bench.run(1_000);
    let fsk = json!({
        "imme": true, "freq": 868.8, "rfch": 0, "powe": 14, "modu": "FSK", "datr": 50_000, "fdev": 25_000,
        "size": 4, "data": "YAECAw==", "ncrc": true,
    });
    let mut less = fsk.clone();
    less.as_object_mut().unwrap().remove("fdev");
    bench.server.pull_resp(&json!({ "txpk": less }));
    bench.run(100);
    assert_eq!(bench.server.acknowledged, [""; 0]);
    bench.server.pull_resp(&json!({ "txpk": fsk }));
    bench.run(100);
    assert_eq!(bench.server.acknowledged, ["NONE"]);
    assert_eq!(
        bench.count(|event| matches!(event, Event::Error { what } if what.contains("FSK"))),
        1,
        "{:?}",
        bench.events
    );
}

#[test]
fn a_frame_that_comes_too_late_is_refused_with_its_reason_and_the_next_one_goes() {
    let mut bench = Bench::new();
    bench.run(1_000);
    let txpk = |tmst: u64| {
        json!({ "txpk": {
            "tmst": tmst, "freq": 869.525, "rfch": 0, "powe": 14, "modu": "LORA", "datr": "SF12BW125",
            "codr": "4/5", "ipol": true, "size": 4, "data": "YAECAw==", "ncrc": true,
        } })
    };
    let now_us = bench.world.now_ms() * 1000;
    bench.server.pull_resp(&txpk(now_us - 500_000));
    bench.run(100);
    assert_eq!(bench.server.acknowledged, ["TOO_LATE"]);
    bench.server.pull_resp(&txpk(now_us + 1_000_000));
    bench.run(100);
    assert_eq!(bench.server.acknowledged, ["TOO_LATE", "NONE"]);
}

#[test]
fn what_belongs_to_the_server_is_refused_in_such_a_run() {
    let mut bench = Bench::new();
    for command in ["downlink 85 080100ff", "gateway off"] {
        let refused = bench.world.apply(&parse_command(command).unwrap()).unwrap_err();
        assert!(refused.contains("--gateway"), "{refused}");
    }
    assert!(bench.world.apply(&parse_command("press").unwrap()).is_ok());
}

#[test]
fn an_address_that_is_none_is_refused_and_a_server_that_is_not_there_is_told() {
    let options = Options::try_parse_from(["run", "--gateway", "nonsense"]).unwrap();
    let refused = World::new(&options).map(drop).unwrap_err();
    assert!(refused.contains("--gateway nonsense") && refused.contains("HOST:PORT"), "{refused}");

    let mut bench = Bench::new();
    bench.run(100);
    assert!(bench.world.status().gateway_on);
    // It answers each PULL_DATA for a minute, then falls silent.
    bench.run(60_000);
    assert!(bench.world.status().gateway_on);
    assert_eq!(bench.count(|event| matches!(event, Event::Error { .. })), 0);
    bench.world.run_until_ms(100_000);
    bench.world.run_until_ms(100_100);
    assert!(!bench.world.status().gateway_on);
    let told = bench.world.take_events();
    assert!(
        told.iter()
            .any(|(_, _, event)| matches!(event, Event::Error { what } if what.contains("does not answer")))
    );
}
