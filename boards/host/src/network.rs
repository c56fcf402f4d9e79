//! The gateway in the sockets' air, and the network server behind it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use embassy_futures::select::select;
use sockeye_network_server::{
    self as server, Config, Delivery, Downlink, Dropped, Error, Heard, Keys, NetworkServer, Plan, UplinkMeta,
};
use sockeye_settings::{Activation, LoRaWan, MulticastGroup};
use sockeye_virtual_hardware::air::{self, Gateway, Medium, Modulation};
use sockeye_virtual_hardware::sim::{Notify, Sim};

use crate::observer::Log;
use crate::report::{DownlinkKind, Event};
use crate::traffic::Traffic;

/// A network server whose gateway hangs in the sockets' air. Clones are the same one.
#[derive(Clone)]
pub struct Network(Rc<Inner>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

struct Inner {
    sim: Sim,
    server: RefCell<NetworkServer>,
    plan: Plan,
    gateway: Gateway,
    /// Counts what may have changed the server's plans.
    changes: Cell<u64>,
    changed: Notify,
    log: Log,
    traffic: Traffic,
    /// Which socket has which DevEUI.
    sockets: RefCell<HashMap<[u8; 8], usize>>,
    /// Sockets that tell nothing of themselves, and the address of each as it was last told for them.
    silent: RefCell<HashMap<usize, Option<u32>>>,
}

impl Network {
    /// Puts a gateway into `medium` and starts its server.
    ///
    /// # Errors
    /// A setting of `config` is out of its range.
    pub fn new(
        sim: &Sim,
        medium: &Medium,
        config: Config,
        seed: u64,
        log: &Log,
        traffic: &Traffic,
    ) -> Result<Self, Error> {
        let network = Self(Rc::new(Inner {
            sim: sim.clone(),
            plan: Plan::new(config.region, &[], &[]),
            server: RefCell::new(NetworkServer::new(config, seed)?),
            gateway: medium.gateway(),
            changes: Cell::new(0),
            changed: Notify::new(),
            log: log.clone(),
            traffic: traffic.clone(),
            sockets: RefCell::default(),
            silent: RefCell::default(),
        }));
        sim.spawn(network.clone().hear());
        sim.spawn(network.clone().send());
        Ok(network)
    }

    /// Makes a socket known to the server, as its settings have it join or start.
    ///
    /// # Errors
    /// A device with its DevEUI is there already.
    pub fn add_socket(&self, socket: usize, dev_eui: [u8; 8], lorawan: &LoRaWan) -> Result<(), Error> {
        self.with_server(|_, server| match lorawan.activation {
            Activation::Otaa => server.add_otaa(dev_eui, lorawan.join_eui, *lorawan.app_key.as_bytes()),
            Activation::Abp => {
                let nwk_s_key = *lorawan.nwk_s_key.as_bytes();
                let app_s_key = *lorawan.app_s_key.as_bytes();
                server.add_abp(dev_eui, lorawan.dev_addr, Keys { nwk_s_key, app_s_key })
            }
        })?;
        self.0.sockets.borrow_mut().insert(dev_eui, socket);
        Ok(())
    }

    /// Lets this network tell sessions and downlinks of a socket whose firmware tells nothing.
    pub fn tell_for(&self, socket: usize) {
        self.0.silent.borrow_mut().insert(socket, None);
    }

    /// Tells a session that such a socket has just been let into, if its radio received a join-accept.
    pub fn accepted(&self, socket: usize, dev_eui: [u8; 8], phy: &[u8]) {
        // MHDR, MType 001 (LoRaWAN 1.0.3 section 4.2.1).
        if phy.first().is_some_and(|mhdr| mhdr >> 5 == 1)
            && let Some(dev_addr) = self.0.server.borrow().offered_address(dev_eui)
        {
            self.tell_session(socket, dev_addr);
        }
    }

    /// Tells a frame that the radio of such a socket has received, and gives it if it is for this socket or one of its
    /// groups.
    pub fn received(&self, socket: usize, groups: &[u32], phy: &[u8]) -> Option<Delivery> {
        let delivery = self.0.server.borrow().sniff_delivery(phy)?;
        let is_own = self.0.silent.borrow().get(&socket) == Some(&Some(delivery.dev_addr));
        if !is_own && !groups.contains(&delivery.dev_addr) {
            return None;
        }
        let kind = if delivery.multicast { DownlinkKind::Multicast } else { DownlinkKind::Unicast };
        let Delivery { port, payload, fcnt, .. } = delivery.clone();
        self.0.log.push(socket, Event::Downlink { port, payload, fcnt, kind });
        Some(delivery)
    }

    /// A silent socket's first uplink with a new address shows that it has a session.
    fn tell_session(&self, socket: usize, dev_addr: u32) {
        if let Some(told) = self.0.silent.borrow_mut().get_mut(&socket)
            && *told != Some(dev_addr)
        {
            *told = Some(dev_addr);
            self.0.log.push(socket, Event::Joined { dev_addr });
        }
    }

    /// Makes multicast groups known to the server, and gives their addresses.
    ///
    /// # Errors
    /// Two of them have the same address.
    pub fn add_groups(&self, groups: &[MulticastGroup]) -> Result<Vec<u32>, Error> {
        self.with_server(|_, server| {
            let add = |group: &MulticastGroup| {
                let keys =
                    Keys { nwk_s_key: *group.nwk_s_key.as_bytes(), app_s_key: *group.app_s_key.as_bytes() };
                server.add_group(server::MulticastGroup { dev_addr: group.dev_addr, keys, fcnt_down: 0 })?;
                Ok(group.dev_addr)
            };
            groups.iter().map(add).collect()
        })
    }

    /// Does something with the server, now; it looks afterwards at what there is to send.
    pub fn with_server<R>(&self, with: impl FnOnce(u64, &mut NetworkServer) -> R) -> R {
        let result = with(self.0.sim.now_us(), &mut self.0.server.borrow_mut());
        self.0.changes.set(self.0.changes.get() + 1);
        self.0.changed.notify();
        result
    }

    /// Queues application data for a device.
    ///
    /// # Errors
    /// The device is unknown, the port is none of the application's, or the payload too long.
    pub fn enqueue(&self, dev_eui: [u8; 8], downlink: Downlink) -> Result<(), Error> {
        self.with_server(|now_us, server| server.enqueue(now_us, dev_eui, downlink))
    }

    /// Hears what the sockets send. Uplinks are told as they end, gateway on or off: a receiver beside the
    /// gateway would hear them too.
    async fn hear(self) {
        loop {
            let heard = self.0.gateway.receive().await;
            self.0.traffic.heard(&heard.transmission);
            let (phy, meta) = (&heard.transmission.payload, uplink_meta(&heard));
            self.with_server(|now_us, server| {
                let sniffed = server.sniff(phy);
                if let Some(heard) = sniffed.filter(|_| !self.0.log.has_frames_of_devices()) {
                    self.tell(heard, meta);
                }
                server.on_uplink(now_us, phy, meta);
            });
        }
    }

    fn tell(&self, heard: Heard, meta: UplinkMeta) {
        let dr = self.0.plan.uplink_data_rate(meta.sf, meta.bw_hz).unwrap_or_default();
        let mut session = None;
        let (dev_eui, event) = match heard {
            Heard::JoinRequest { dev_eui, dev_nonce, .. } => {
                (dev_eui, Event::JoinRequest { dev_nonce, dr, freq_hz: meta.freq_hz })
            }
            Heard::Data(uplink) | Heard::Repeat(uplink) => {
                session = Some(uplink.dev_addr);
                let event = Event::Uplink {
                    port: uplink.port.unwrap_or_default(),
                    payload: uplink.payload,
                    fcnt: uplink.fcnt,
                    dr,
                    freq_hz: meta.freq_hz,
                    confirmed: uplink.confirmed,
                };
                (uplink.dev_eui, event)
            }
            Heard::Rejected { .. } => return,
        };
        let socket = self.0.sockets.borrow().get(&dev_eui).copied();
        if let Some(socket) = socket {
            if let Some(dev_addr) = session {
                self.tell_session(socket, dev_addr);
            }
            self.0.log.push(socket, event);
        }
    }

    fn tell_dropped(&self, dropped: &Dropped) {
        let Dropped { dev_eui, downlink, data_rate, max } = dropped;
        let length = downlink.payload.len();
        let what = format!("downlink: {length} bytes do not fit DR{data_rate}, which carries {max}; dropped");
        if let Some(socket) = self.0.sockets.borrow().get(dev_eui) {
            self.0.log.push(*socket, Event::Error { what });
        }
    }

    /// Sends what the server has planned, each frame at its instant.
    async fn send(self) {
        let Inner { sim, server, gateway, changes, changed, .. } = &*self.0;
        loop {
            let seen = changes.get();
            let due_us = server.borrow().next_due_us().unwrap_or(u64::MAX);
            select(sim.sleep_until_us(due_us), changed.until(|| changes.get() != seen)).await;
            let (due, dropped) = {
                let mut server = server.borrow_mut();
                (server.take_due(sim.now_us()), server.take_dropped())
            };
            dropped.iter().for_each(|dropped| self.tell_dropped(dropped));
            for frame in due {
                let modulation = Modulation::downlink(frame.freq_hz, frame.sf, frame.bw_hz);
                gateway.send(modulation, i32::from(frame.power_dbm), &frame.phy);
            }
        }
    }
}

/// Tells how a gateway heard a frame, in the server's terms.
pub fn uplink_meta(heard: &air::Heard) -> UplinkMeta {
    let Modulation { freq_hz, sf, bw_hz, .. } = heard.transmission.modulation;
    UplinkMeta {
        freq_hz,
        sf,
        bw_hz,
        rssi_dbm: i16::try_from(heard.link.rssi_dbm).unwrap_or(i16::MIN),
        snr_db: i8::try_from(heard.link.snr_db).unwrap_or(i8::MIN),
    }
}
