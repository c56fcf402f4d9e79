//! A gateway of the sockets' air that carries their frames to a network server elsewhere, by the gateways' UDP
//! protocol.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use sockeye_network_server::{
    Emission, EmissionModulation, ForwarderConfig, ForwarderOutput, PacketForwarder,
};
use sockeye_virtual_hardware::air::{Gateway, Medium, Modulation};
use sockeye_virtual_hardware::sim::Sim;

use crate::network::uplink_meta;
use crate::observer::Log;
use crate::report::Event;
use crate::traffic::Traffic;

/// Longest datagram of the protocol that is read; a PULL_RESP has some 500 bytes.
const MAX_DATAGRAM: usize = 4096;

/// A gateway with its server behind a UDP socket. Clones are the same one.
#[derive(Clone)]
pub struct Bridge(Rc<Inner>);

struct Inner {
    sim: Sim,
    medium: Medium,
    gateway: Gateway,
    forwarder: RefCell<PacketForwarder>,
    socket: UdpSocket,
    /// The server was there when that was looked at last.
    connected: Cell<bool>,
    log: Log,
    traffic: Traffic,
}

impl Bridge {
    /// Puts a gateway into `medium` whose server is at `address`, as in `127.0.0.1:1700`.
    ///
    /// # Errors
    /// The address cannot be resolved or reached from here.
    pub fn connect(
        sim: &Sim,
        medium: &Medium,
        address: &str,
        gateway_eui: [u8; 8],
        log: &Log,
        traffic: &Traffic,
    ) -> io::Result<Self> {
        let server = address
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such host"))?;
        let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let config = ForwarderConfig { unix_time_at_start_s: now_s, ..ForwarderConfig::new(gateway_eui) };
        let bridge = Self(Rc::new(Inner {
            sim: sim.clone(),
            medium: medium.clone(),
            gateway: medium.gateway(),
            forwarder: RefCell::new(PacketForwarder::new(config, sim.now_us())),
            socket,
            connected: Cell::new(false),
            log: log.clone(),
            traffic: traffic.clone(),
        }));
        sim.spawn(bridge.clone().hear());
        Ok(bridge)
    }

    /// Tells whether the server has answered lately.
    pub fn is_connected(&self) -> bool {
        self.0.forwarder.borrow().is_connected()
    }

    /// Exchanges what there is with the server. To be called every few ms of real time, with the simulation at the
    /// present: a frame for RX1 comes some 100 ms before it is due.
    pub fn exchange(&self) {
        let Inner { sim, forwarder, socket, .. } = &*self.0;
        let mut datagram = [0; MAX_DATAGRAM];
        // A server that is not there refuses datagrams: that is told by `is_connected`.
        while let Ok(length) = socket.recv(&mut datagram) {
            forwarder.borrow_mut().datagram(sim.now_us(), &datagram[..length]);
        }
        self.pump();
        self.tell_connection();
    }

    /// Tells when a frame is due for the air, in µs.
    pub fn next_due_us(&self) -> u64 {
        self.0.forwarder.borrow().next_due_us()
    }

    /// Sends what the gateway has for its server, and what is due on the air.
    pub fn pump(&self) {
        let Inner { sim, forwarder, socket, .. } = &*self.0;
        loop {
            let output = forwarder.borrow_mut().poll(sim.now_us());
            match output {
                Some(ForwarderOutput::Datagram(bytes)) => drop(socket.send(&bytes)),
                Some(ForwarderOutput::Emission(frame)) => {
                    self.emit(&frame);
                }
                None => return,
            }
        }
    }

    /// Puts a frame on the air.
    fn emit(&self, frame: &Emission) {
        let Inner { sim, gateway, medium, .. } = &*self.0;
        match frame.modulation {
            EmissionModulation::LoRa { sf, bw_hz, iq_inverted } => {
                let downlink = Modulation::downlink(frame.freq_hz, sf, bw_hz);
                let modulation = Modulation { iq_inverted, crc: frame.has_crc, ..downlink };
                gateway.send(modulation, i32::from(frame.power_dbm), &frame.phy);
            }
            EmissionModulation::Fsk { .. } => {
                // This air has LoRa only; what is left of the frame is that its sender hears nothing meanwhile.
                let air_us = frame.end_us().saturating_sub(frame.at_us);
                medium.air().set_deaf(gateway.station(), sim.now_us(), sim.now_us() + air_us);
                let what = "gateway: the server sends a frame in FSK, which no socket hears".to_owned();
                self.0.log.push(0, Event::Error { what });
            }
        }
    }

    fn tell_connection(&self) {
        let connected = self.is_connected();
        if self.0.connected.replace(connected) && !connected {
            let what = "gateway: the network server does not answer".to_owned();
            self.0.log.push(0, Event::Error { what });
        }
    }

    /// Hands over what the sockets send.
    async fn hear(self) {
        let Inner { sim, gateway, forwarder, traffic, .. } = &*self.0;
        loop {
            let heard = gateway.receive().await;
            traffic.heard(&heard.transmission);
            forwarder.borrow_mut().uplink(sim.now_us(), &heard.transmission.payload, uplink_meta(&heard));
            self.pump();
        }
    }
}
