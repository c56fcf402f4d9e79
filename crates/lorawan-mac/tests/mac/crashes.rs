//! After a power cut at any point, no counter and no nonce is used again, and no downlink is accepted again.
//!
//! Each history is a row of random steps under one seed; the flash is what a real one is: a record that was being
//! written when the power went is either the old or the new one.

use std::collections::{BTreeMap, BTreeSet};

use sockeye_lorawan_mac::{
    Action, Activation, Config, Event, Key, Mac, MulticastGroup, Record, Region, Window,
};

use crate::bench::{
    APP_KEY, APP_SKEY, Accept, DEV_ADDR, DEV_EUI, Flash, JOIN_EUI, Keys, NWK_SKEY, QUALITY, nonce,
};

const GROUP: Keys = Keys { dev_addr: 0x1111_1111, nwk: [0x31; 16], app: [0x32; 16] };
const HISTORIES: u64 = 100_000;

/// A generator for steps (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// A session, by its keys.
type Id = Vec<u8>;

/// Frames that the network may send, made once: lrwn is slow in a debug build.
struct Frames {
    unicast: Vec<Vec<u8>>,
    group: Vec<Vec<u8>>,
    accepts: Vec<Vec<u8>>,
}

impl Frames {
    fn new() -> Self {
        let own = Keys { dev_addr: DEV_ADDR, nwk: NWK_SKEY, app: APP_SKEY };
        Self {
            unicast: (0..40).map(|fcnt| own.phy(&own.data(fcnt, 85, &[fcnt as u8]))).collect(),
            group: (0..40).map(|fcnt| GROUP.phy(&GROUP.data(fcnt, 85, &[fcnt as u8]))).collect(),
            accepts: (0..40).map(|n| accept(n).phy(0)).collect(),
        }
    }
}

fn accept(join_nonce: u32) -> Accept {
    Accept { join_nonce, dev_addr: 0x2600_0000 + join_nonce, ..Accept::default() }
}

/// Names the session that a device is in: the keys, as they stand in its record.
fn id(mac: &Mac) -> Id {
    const KEYS: std::ops::Range<usize> = 15..47;
    mac.record(Record::Session).get(KEYS).map(<[u8]>::to_vec).unwrap_or_default()
}

/// One device, its flash, and what was seen of it.
struct History<'a> {
    frames: &'a Frames,
    dice: Dice,
    config: Config,
    mac: Mac,
    now_ms: u64,
    flash: Flash,
    /// What went out under each counter of each session.
    uplinks: BTreeMap<(Id, u32), Vec<u8>>,
    dev_nonces: BTreeSet<u16>,
    on_air: Vec<u8>,
    /// Session or nothing, group, FCntDown.
    delivered: BTreeSet<(Id, Option<u8>, u32)>,
    /// The session that the device is in.
    session: Id,
    /// What the network knows of the sessions made over the air.
    keys: BTreeMap<Id, Keys>,
    cuts: u32,
}

impl<'a> History<'a> {
    fn new(seed: u64, frames: &'a Frames) -> Self {
        let mut dice = Dice(seed);
        let group = MulticastGroup {
            dev_addr: GROUP.dev_addr,
            nwk_skey: Key(GROUP.nwk),
            app_skey: Key(GROUP.app),
            min_fcnt: 0,
            max_fcnt: u32::MAX,
        };
        let activation = if dice.roll(2) == 0 {
            Activation::Otaa { dev_eui: DEV_EUI, join_eui: JOIN_EUI, app_key: Key(APP_KEY) }
        } else {
            Activation::Abp { dev_addr: DEV_ADDR, nwk_skey: Key(NWK_SKEY), app_skey: Key(APP_SKEY) }
        };
        let region = [Region::Kr920, Region::In865][dice.roll(2) as usize];
        let config = Config { multicast: [Some(group), None, None, None], ..Config::new(region, activation) };
        let flash = Flash::default();
        let mac = Mac::new(config.clone(), flash.restored(), seed);
        let session = id(&mac);
        Self {
            frames,
            dice,
            config,
            mac,
            now_ms: 0,
            flash,
            uplinks: BTreeMap::new(),
            dev_nonces: BTreeSet::new(),
            on_air: Vec::new(),
            delivered: BTreeSet::new(),
            session,
            keys: BTreeMap::new(),
            cuts: 0,
        }
    }

    /// Cuts the power: what is not in flash is gone.
    fn cut(&mut self) {
        self.cuts += 1;
        self.mac = Mac::new(self.config.clone(), self.flash.restored(), self.dice.roll(u64::MAX));
        self.session = id(&self.mac);
        self.now_ms = 0;
    }

    /// Does up to `count` things that the MAC asks for; the power goes at any of them.
    fn run(&mut self, count: u32) {
        for _ in 0..count {
            let cut = self.dice.roll(24) == 0;
            match self.mac.poll(self.now_ms) {
                Action::Store(record) => {
                    // Cut before the write, after it, or after the MAC knows of it.
                    let when = if cut { self.dice.roll(3) } else { 3 };
                    if when > 0 {
                        self.flash.save(record, &self.mac.record(record));
                    }
                    if when > 1 {
                        self.mac.stored();
                    }
                }
                Action::Event(event) => self.learn(event),
                Action::Transmit { airtime_ms, .. } => {
                    // Even a frame that is cut or fails has been heard.
                    self.hear_uplink();
                    self.now_ms += airtime_ms;
                    if self.dice.roll(8) == 0 {
                        self.mac.tx_failed(self.now_ms);
                    } else {
                        self.mac.tx_done(self.now_ms);
                    }
                }
                Action::Listen { window: Window::Rxc, until_ms, .. } => match until_ms {
                    Some(at_ms) => self.now_ms = self.now_ms.max(at_ms),
                    None => return,
                },
                Action::Listen { window, .. } => {
                    self.now_ms += 30;
                    if self.dice.roll(2) == 0 {
                        self.answer(window);
                    } else {
                        self.mac.window_closed(self.now_ms, window);
                    }
                }
                Action::Idle { until_ms: Some(at_ms) } => self.now_ms = self.now_ms.max(at_ms),
                Action::Idle { until_ms: None } => return,
            }
            if cut {
                self.cut();
            }
        }
    }

    fn hear_uplink(&mut self) {
        let phy = self.mac.frame().to_vec();
        if phy[0] == 0 {
            let dev_nonce = nonce(&phy);
            assert!(self.dev_nonces.insert(dev_nonce), "DevNonce {dev_nonce} again");
        } else {
            let fcnt = u32::from(u16::from_le_bytes([phy[6], phy[7]]));
            let earlier = self.uplinks.entry((self.session.clone(), fcnt)).or_insert_with(|| phy.clone());
            assert_eq!(*earlier, phy, "FCntUp {fcnt} again, with other content");
        }
        self.on_air = phy;
    }

    fn learn(&mut self, event: Event) {
        if let Event::Downlink { fcnt, multicast, .. } = event {
            let session = if multicast.is_some() { Id::new() } else { self.session.clone() };
            let first = self.delivered.insert((session, multicast, fcnt));
            assert!(first, "downlink {fcnt} of {multicast:?} again");
        }
    }

    /// The network, or somebody who recorded it, says something.
    fn answer(&mut self, window: Window) {
        let index = self.dice.roll(40) as usize;
        if self.on_air.first() == Some(&0) && window != Window::Rxc {
            self.mac.received(self.now_ms, window, &self.frames.accepts[index], QUALITY);
            let session = id(&self.mac);
            if session != self.session {
                let keys = accept(index as u32).keys(nonce(&self.on_air));
                self.keys.insert(session.clone(), keys);
                self.session = session;
            }
            return;
        }
        let made;
        let phy = match (self.dice.roll(2), self.keys.get(&self.session)) {
            (0, _) => &self.frames.group[index],
            (_, None) => &self.frames.unicast[index],
            (_, Some(keys)) => {
                made = keys.phy(&keys.data(index as u32 / 4, 85, &[1]));
                &made
            }
        };
        self.mac.received(self.now_ms, window, phy, QUALITY);
    }

    fn step(&mut self) {
        match self.dice.roll(8) {
            0 | 1 => {
                let payload = [self.dice.roll(256) as u8, 2];
                let _ = self.mac.send(self.now_ms, 85, &payload, self.dice.roll(2) == 0);
                self.run(12);
            }
            2 => {
                self.mac.join(self.now_ms);
                self.run(10);
            }
            3 => self.cut(),
            _ => {
                if let Action::Listen { window: Window::Rxc, .. } = self.mac.poll(self.now_ms) {
                    self.answer(Window::Rxc);
                }
                self.run(4);
            }
        }
    }
}

/// What histories amount to, so that the law is not held by devices that do nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    cuts: u64,
    uplinks: u64,
    delivered: u64,
    joins: u64,
}

fn run(seeds: std::ops::Range<u64>, frames: &Frames) -> Sum {
    let mut sum = Sum::default();
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut history = History::new(seed, frames);
            for _ in 0..8 {
                history.step();
            }
            Sum {
                cuts: u64::from(history.cuts),
                uplinks: history.uplinks.len() as u64,
                delivered: history.delivered.len() as u64,
                joins: history.keys.len() as u64,
            }
        });
        let Ok(one) = result else { panic!("history {seed}") };
        sum.cuts += one.cuts;
        sum.uplinks += one.uplinks;
        sum.delivered += one.delivered;
        sum.joins += one.joins;
    }
    sum
}

fn law(histories: u64) -> Sum {
    let frames = Frames::new();
    let half = histories / 2;
    let [a, b] = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(half..histories, &frames));
        [run(0..half, &frames), other.join().unwrap()]
    });
    let sum = Sum {
        cuts: a.cuts + b.cuts,
        uplinks: a.uplinks + b.uplinks,
        delivered: a.delivered + b.delivered,
        joins: a.joins + b.joins,
    };
    for (what, count) in
        [("cuts", sum.cuts), ("uplinks", sum.uplinks), ("downlinks", sum.delivered), ("joins", sum.joins)]
    {
        assert!(count > histories / 10, "{what}: {count}");
    }
    sum
}

#[test]
fn mac_nvm_01_no_crash_brings_a_counter_a_nonce_or_a_downlink_back() {
    law(HISTORIES);
}

#[test]
#[ignore = "minutes in a debug build; `cargo xtask bench` runs it optimised"]
fn counted_2_million_histories_with_crashes() {
    let start = std::time::Instant::now();
    let histories = 2_000_000;
    let Sum { cuts, uplinks, delivered, joins } = law(histories);
    println!(
        "{histories} histories (seeds 0..{histories}), {cuts} power cuts, {uplinks} uplinks, {delivered} downlinks, {joins} joins: \
         no counter, nonce or downlink twice; {:.0} s",
        start.elapsed().as_secs_f32()
    );
}
