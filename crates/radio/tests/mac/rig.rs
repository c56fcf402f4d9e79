//! The MAC's driver on the radio, a modelled chip, a gateway and a network server.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_futures::select::select;
use sockeye_lorawan_mac::{
    Activation, Clock, Config, Driver, Event, Key, Mac, Record, RecordBytes, Region, Restored,
};
use sockeye_network_server as network;
use sockeye_network_server::{NetworkServer, UplinkMeta};
use sockeye_virtual_hardware::air::{Heard, Modulation};
use sockeye_virtual_hardware::sim::{Notify, Sim};
use sockeye_virtual_hardware::sx126x::VirtualChip;

use crate::world::World;

pub const DEV_EUI: [u8; 8] = [0x24, 0xe1, 0x24, 1, 2, 3, 4, 5];
const JOIN_EUI: [u8; 8] = [0x24, 0xe1, 0x24, 0xc0, 0, 0x2a, 0, 1];
const APP_KEY: [u8; 16] = [0x55; 16];

#[derive(Clone)]
struct SimTimer {
    sim: Sim,
    mark_us: u64,
}

impl Clock for SimTimer {
    fn now_ms(&self) -> u64 {
        self.sim.now_us() / 1000
    }

    fn mark(&mut self) {
        self.mark_us = self.sim.now_us();
    }

    async fn after_mark_ms(&self, ms: u64) {
        self.sim.sleep_until_us(self.mark_us + ms * 1000).await;
    }

    async fn delay_ms(&self, ms: u64) {
        self.sim.sleep_us(ms * 1000).await;
    }
}

/// What the device and its air did.
#[derive(Default)]
pub struct Log {
    /// When, in ms, and what.
    pub events: Vec<(u64, Event)>,
    /// Frames that went out whole, with the instant of their end.
    pub uplinks: Vec<(u64, Vec<u8>)>,
    /// Both records, as they are in flash.
    pub flash: Vec<(Record, RecordBytes)>,
}

/// A payload to send on port 85, and whether it asks for an ACK.
type Order = (Vec<u8>, bool);

#[derive(Clone)]
pub struct Rig {
    pub world: Rc<World>,
    pub chip: VirtualChip,
    pub log: Rc<RefCell<Log>>,
    pub server: Rc<RefCell<NetworkServer>>,
    orders: Rc<RefCell<VecDeque<Order>>>,
    changed: Notify,
    changes: Rc<Cell<u64>>,
}

impl Rig {
    /// A device that begins to join in EU868; a store takes `store_us`.
    pub fn new(config: network::Config, store_us: u64) -> Self {
        Self::in_region(Region::Eu868, config, store_us)
    }

    /// The same in another region, which is that of `config`.
    pub fn in_region(region: Region, config: network::Config, store_us: u64) -> Self {
        let world = World::new();
        let (radio, chip) = world.device();
        let mut server = NetworkServer::new(config, 1).unwrap();
        server.add_otaa(DEV_EUI, JOIN_EUI, APP_KEY).unwrap();
        let rig = Self {
            world: Rc::new(world),
            chip,
            log: Rc::default(),
            server: Rc::new(RefCell::new(server)),
            orders: Rc::default(),
            changed: Notify::new(),
            changes: Rc::default(),
        };
        let otaa = Activation::Otaa { dev_eui: DEV_EUI, join_eui: JOIN_EUI, app_key: Key(APP_KEY) };
        let mac = Mac::new(Config::new(region, otaa), Restored::default(), 1);
        let driver = Driver::new(mac, radio, SimTimer { sim: rig.sim(), mark_us: 0 });
        rig.sim().spawn(rig.clone().device(driver, store_us));
        rig.sim().spawn(rig.clone().hear());
        rig.sim().spawn(rig.clone().send_due());
        rig
    }

    /// A device that has joined, and rests in RXC.
    pub fn joined(config: network::Config, store_us: u64) -> Self {
        let rig = Self::new(config, store_us);
        rig.run_ms(20_000);
        assert!(rig.dev_addr().is_some(), "did not join");
        rig.uplink(b"first", false);
        rig.run_ms(30_000);
        rig
    }

    pub fn sim(&self) -> Sim {
        self.world.sim.clone()
    }

    async fn device(self, mut driver: Driver<crate::world::Radio, SimTimer>, store_us: u64) {
        let sim = self.sim();
        driver.mac().join(0);
        loop {
            let now_ms = sim.now_us() / 1000;
            let next = self.orders.borrow().front().cloned();
            let mut refused = false;
            if let Some((payload, confirmed)) = next {
                refused = driver.mac().send(now_ms, 85, &payload, confirmed).is_err();
                if !refused {
                    self.orders.borrow_mut().pop_front();
                }
            }
            let woken = self.changed.until(|| !refused && !self.orders.borrow().is_empty());
            let event = driver.next(woken).await;
            if let Event::Store { record, bytes } = &event {
                sim.sleep_us(store_us).await;
                self.log.borrow_mut().flash.push((*record, bytes.clone()));
                driver.stored();
            }
            self.log.borrow_mut().events.push((sim.now_us() / 1000, event));
        }
    }

    async fn hear(self) {
        loop {
            let Heard { transmission, link } = self.world.gateway.receive().await;
            let Modulation { freq_hz, sf, bw_hz, .. } = transmission.modulation;
            let meta = UplinkMeta {
                freq_hz,
                sf,
                bw_hz,
                rssi_dbm: i16::try_from(link.rssi_dbm).unwrap(),
                snr_db: i8::try_from(link.snr_db).unwrap(),
            };
            self.log.borrow_mut().uplinks.push((transmission.end_us, transmission.payload.to_vec()));
            self.with_server(|now_us, server| server.on_uplink(now_us, &transmission.payload, meta));
        }
    }

    async fn send_due(self) {
        let sim = self.sim();
        loop {
            let seen = self.changes.get();
            let due_us = self.server.borrow().next_due_us().unwrap_or(u64::MAX);
            select(sim.sleep_until_us(due_us), self.changed.until(|| self.changes.get() != seen)).await;
            let due = self.server.borrow_mut().take_due(sim.now_us());
            for frame in due {
                let modulation = Modulation::downlink(frame.freq_hz, frame.sf, frame.bw_hz);
                self.world.gateway.send(modulation, i32::from(frame.power_dbm), &frame.phy);
            }
        }
    }

    pub fn with_server<R>(&self, with: impl FnOnce(u64, &mut NetworkServer) -> R) -> R {
        let result = with(self.world.sim.now_us(), &mut self.server.borrow_mut());
        self.changes.set(self.changes.get() + 1);
        self.changed.notify();
        result
    }

    pub fn run_ms(&self, ms: u64) {
        self.world.sim.run_until_us(self.world.sim.now_us() + ms * 1000);
    }

    pub fn run_until_us(&self, at_us: u64) {
        self.world.sim.run_until_us(at_us);
    }

    /// Runs in steps of 1 ms until something holds, `limit_ms` at most.
    #[track_caller]
    pub fn run_until(&self, limit_ms: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..limit_ms {
            if holds(self) {
                return;
            }
            self.run_ms(1);
        }
        panic!("{what}: not within {limit_ms} ms");
    }

    /// Has the device send.
    pub fn uplink(&self, payload: &[u8], confirmed: bool) {
        self.orders.borrow_mut().push_back((payload.to_vec(), confirmed));
        self.changed.notify();
    }

    /// The instant at which the next uplink has ended.
    #[track_caller]
    pub fn uplink_end_us(&self) -> u64 {
        let before = self.log.borrow().uplinks.len();
        self.run_until(60_000, "an uplink", |rig| rig.log.borrow().uplinks.len() > before);
        self.log.borrow().uplinks[before].0
    }

    /// Queues a downlink in the server.
    pub fn downlink(&self, payload: &[u8]) {
        let downlink = network::Downlink { port: 85, payload: payload.to_vec(), confirmed: false };
        self.with_server(|now_us, server| server.enqueue(now_us, DEV_EUI, downlink)).unwrap();
    }

    pub fn dev_addr(&self) -> Option<u32> {
        let log = self.log.borrow();
        log.events.iter().rev().find_map(|(_, event)| match event {
            Event::Joined { dev_addr } => Some(*dev_addr),
            _ => None,
        })
    }

    /// The payloads that were delivered.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let log = self.log.borrow();
        let payloads = log.events.iter().filter_map(|(_, event)| match event {
            Event::Downlink { payload, .. } => Some(payload.to_vec()),
            _ => None,
        });
        payloads.collect()
    }

    /// Checks what no fault may break: a counter, of frames or of joins, stands for one frame.
    pub fn check_counters(&self) {
        let log = self.log.borrow();
        let mut seen: Vec<(&[u8], &[u8])> = Vec::new();
        for (_, phy) in &log.uplinks {
            // DevEUI and DevNonce of a join-request, or DevAddr and FCnt: FCtrl between them differs with content.
            let key = if phy[0] == 0 { &phy[..19] } else { &phy[1..8] };
            for (other, bytes) in &seen {
                let same = if phy[0] == 0 {
                    *other == key
                } else {
                    other.len() == key.len() && (&other[..4], &other[5..]) == (&key[..4], &key[5..])
                };
                assert!(!same || *bytes == &phy[..], "a counter was used twice: {bytes:02x?} and {phy:02x?}");
            }
            seen.push((key, phy));
        }
    }
}
