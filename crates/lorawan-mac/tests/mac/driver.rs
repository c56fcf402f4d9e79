//! The async driver over a scripted radio on a virtual clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lorawan_device::async_device::radio::{PhyRxTx, RxConfig, RxMode, RxQuality, RxStatus, TxConfig};
use sockeye_lorawan_mac::{CarrierSense, Clock, Config, Driver, Error, Event, ListenBeforeTalk, Mac, Region};

use crate::bench::{Accept, Down, Flash, Keys, abp, nonce, otaa};

/// What the radio did, and when.
#[derive(Clone, Debug, PartialEq)]
enum Did {
    Tx { at_ms: u64, phy: Vec<u8>, power_dbm: i8 },
    Setup { at_ms: u64, frequency_hz: u32, continuous: bool },
    Listened { frequency_hz: u32 },
}

/// What happens on the air, or to the radio.
#[derive(Clone, Debug)]
enum Air {
    /// A frame that ends at this time, where the radio happens to listen.
    Frame(u64, Vec<u8>),
    /// The next transmission fails.
    TxError,
    /// The next transmission never ends.
    TxHangs,
    /// Every set-up fails until this time.
    SetupErrorUntil(u64),
    /// Every receive fails at once until this time.
    RxErrorUntil(u64),
    /// The next look at a channel finds it busy.
    Busy,
    /// The next look at a channel fails.
    SenseError,
    /// The next look at a channel never ends.
    SenseHangs,
    /// The next single receive never ends.
    SingleHangs,
}

/// Makes of a frame that went out the one that comes back, and how many ms later it ends.
type Answer = Box<dyn FnMut(&[u8]) -> Option<(u64, Vec<u8>)>>;

#[derive(Clone, Default)]
struct World {
    now_ms: Rc<Cell<u64>>,
    mark_ms: Rc<Cell<u64>>,
    timers: Rc<RefCell<Vec<u64>>>,
    air: Rc<RefCell<VecDeque<Air>>>,
    did: Rc<RefCell<Vec<Did>>>,
    /// How long a set-up takes, such as the start of a TCXO.
    setup_ms: Rc<Cell<u64>>,
    /// Answers the next join-request or uplink by what this makes of it.
    answer: Rc<RefCell<Option<Answer>>>,
}

impl World {
    /// Completes when the clock has come there.
    async fn at(&self, at_ms: u64) {
        std::future::poll_fn(|_| {
            if self.now_ms.get() >= at_ms {
                return Poll::Ready(());
            }
            self.timers.borrow_mut().push(at_ms);
            Poll::Pending
        })
        .await;
    }

    /// Runs a future; the clock jumps to the next timer whenever it waits. `None` after `limit_ms`.
    fn run<F: Future>(&self, future: F, limit_ms: u64) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            self.timers.borrow_mut().clear();
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(output);
            }
            let next = self.timers.borrow().iter().copied().filter(|at| *at > self.now_ms.get()).min();
            match next {
                Some(at_ms) if at_ms <= limit_ms => self.now_ms.set(at_ms),
                _ => {
                    self.now_ms.set(limit_ms.max(self.now_ms.get()));
                    return None;
                }
            }
        }
    }

    fn take(&self, wanted: impl Fn(&Air) -> bool) -> Option<Air> {
        let mut air = self.air.borrow_mut();
        if air.front().is_some_and(wanted) { air.pop_front() } else { None }
    }

    fn next_frame(&self) -> Option<(u64, Vec<u8>)> {
        match self.air.borrow().front() {
            Some(Air::Frame(at_ms, phy)) => Some((*at_ms, phy.clone())),
            _ => None,
        }
    }
}

struct Radio {
    world: World,
    mode: Option<RxMode>,
}

impl PhyRxTx for Radio {
    type PhyError = ();
    const MAX_RADIO_POWER: u8 = 14;
    const ANTENNA_GAIN: i8 = 1;

    async fn tx(&mut self, config: TxConfig, buf: &[u8]) -> Result<u32, ()> {
        let at_ms = self.world.now_ms.get();
        if self.world.take(|air| matches!(air, Air::TxError)).is_some() {
            return Err(());
        }
        if self.world.take(|air| matches!(air, Air::TxHangs)).is_some() {
            std::future::pending::<()>().await;
        }
        self.world.did.borrow_mut().push(Did::Tx { at_ms, phy: buf.to_vec(), power_dbm: config.pw });
        self.world.at(at_ms + 60).await;
        if let Some(answer) = self.world.answer.borrow_mut().as_mut()
            && let Some((after_ms, phy)) = answer(buf)
        {
            let at_ms = self.world.now_ms.get() + after_ms;
            self.world.air.borrow_mut().push_back(Air::Frame(at_ms, phy));
        }
        Ok(0)
    }

    async fn setup_rx(&mut self, config: RxConfig) -> Result<(), ()> {
        let at_ms = self.world.now_ms.get();
        if let Some(Air::SetupErrorUntil(until_ms)) = self.world.air.borrow().front()
            && at_ms < *until_ms
        {
            return Err(());
        }
        self.world.take(|air| matches!(air, Air::SetupErrorUntil(_)));
        self.mode = Some(config.mode);
        let continuous = config.mode == RxMode::Continuous;
        self.world.did.borrow_mut().push(Did::Setup { at_ms, frequency_hz: config.rf.frequency, continuous });
        self.world.at(at_ms + self.world.setup_ms.get()).await;
        Ok(())
    }

    async fn rx_continuous(&mut self, buf: &mut [u8]) -> Result<(usize, RxQuality), ()> {
        assert_eq!(self.mode, Some(RxMode::Continuous));
        if let Some(Air::RxErrorUntil(until_ms)) = self.world.air.borrow().front()
            && self.world.now_ms.get() < *until_ms
        {
            return Err(());
        }
        self.world.take(|air| matches!(air, Air::RxErrorUntil(_)));
        let Some((at_ms, phy)) = self.world.next_frame() else { return std::future::pending().await };
        self.world.at(at_ms).await;
        self.world.air.borrow_mut().pop_front();
        buf[..phy.len()].copy_from_slice(&phy);
        Ok((phy.len(), RxQuality::new(-70, 9)))
    }

    async fn rx_single(&mut self, buf: &mut [u8]) -> Result<RxStatus, ()> {
        assert!(matches!(self.mode, Some(RxMode::Single { ms: 10 })));
        if self.world.take(|air| matches!(air, Air::SingleHangs)).is_some() {
            std::future::pending::<()>().await;
        }
        let now_ms = self.world.now_ms.get();
        match self.world.next_frame() {
            Some((at_ms, phy)) if at_ms < now_ms + 3000 => {
                self.world.at(at_ms).await;
                self.world.air.borrow_mut().pop_front();
                buf[..phy.len()].copy_from_slice(&phy);
                Ok(RxStatus::Rx(phy.len(), RxQuality::new(-70, 9)))
            }
            _ => {
                self.world.at(now_ms + 25).await;
                Ok(RxStatus::RxTimeout)
            }
        }
    }
}

impl CarrierSense for Radio {
    async fn is_clear(&mut self, frequency_hz: u32, listen: ListenBeforeTalk) -> Result<bool, ()> {
        self.world.did.borrow_mut().push(Did::Listened { frequency_hz });
        if self.world.take(|air| matches!(air, Air::SenseError)).is_some() {
            return Err(());
        }
        if self.world.take(|air| matches!(air, Air::SenseHangs)).is_some() {
            std::future::pending::<()>().await;
        }
        self.world.at(self.world.now_ms.get() + u64::from(listen.for_ms)).await;
        Ok(self.world.take(|air| matches!(air, Air::Busy)).is_none())
    }
}

impl Clock for World {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn mark(&mut self) {
        self.mark_ms.set(self.now_ms.get());
    }

    async fn after_mark_ms(&self, ms: u64) {
        self.at(self.mark_ms.get() + ms).await;
    }

    async fn delay_ms(&self, ms: u64) {
        self.at(self.now_ms.get().saturating_add(ms)).await;
    }
}

/// The firmware's radio task in small.
struct Rig {
    world: World,
    driver: Driver<Radio, World>,
    flash: Flash,
    events: Vec<(u64, Event)>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let world = World::default();
        let radio = Radio { world: world.clone(), mode: None };
        let driver = Driver::new(Mac::new(config, Flash::default().restored(), 7), radio, world.clone());
        Self { world, driver, flash: Flash::default(), events: Vec::new() }
    }

    /// Runs to a time; `wake` ends a wait.
    fn run_until(&mut self, limit_ms: u64, mut wake_at_ms: Option<u64>) {
        let world = self.world.clone();
        while world.now_ms.get() < limit_ms {
            let wake: Pin<Box<dyn Future<Output = ()>>> = match wake_at_ms {
                Some(at_ms) => {
                    let world = world.clone();
                    Box::pin(async move { world.at(at_ms).await })
                }
                None => Box::pin(std::future::pending()),
            };
            let Some(event) = world.run(self.driver.next(wake), limit_ms) else { return };
            match &event {
                Event::Store { record, bytes } => {
                    self.flash.save(*record, bytes);
                    self.driver.stored();
                }
                Event::Woken => wake_at_ms = None,
                _ => {}
            }
            self.events.push((world.now_ms.get(), event));
        }
    }

    fn send(&mut self, payload: &[u8], confirmed: bool) {
        let now_ms = self.world.now_ms.get();
        self.driver.mac().send(now_ms, 85, payload, confirmed).unwrap();
    }

    fn sent(&self) -> Vec<(u64, Vec<u8>)> {
        let did = self.world.did.borrow();
        did.iter()
            .filter_map(|did| match did {
                Did::Tx { at_ms, phy, .. } => Some((*at_ms, phy.clone())),
                Did::Setup { .. } | Did::Listened { .. } => None,
            })
            .collect()
    }

    fn names(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .map(|(_, event)| match event {
                Event::Store { .. } => "store",
                Event::JoinRequestSent { .. } => "join request",
                Event::Joined { .. } => "joined",
                Event::SessionResumed { .. } => "resumed",
                Event::UplinkSent { .. } => "sent",
                Event::UplinkDone { .. } => "done",
                Event::UplinkFailed { .. } => "failed",
                Event::Downlink { .. } => "downlink",
                Event::LinkCheckAnswer { .. } => "link check",
                Event::DeviceTime { .. } => "time",
                Event::Error(Error::RadioTimeout) => "time-out",
                Event::Error(_) => "error",
                Event::Proprietary { .. } => "proprietary",
                Event::Woken => "woken",
                #[cfg(feature = "certification")]
                Event::Certification(_) => "certification",
            })
            .collect()
    }
}

fn keys() -> Keys {
    Keys { dev_addr: crate::bench::DEV_ADDR, nwk: crate::bench::NWK_SKEY, app: crate::bench::APP_SKEY }
}

#[test]
fn a_device_joins_reports_and_obeys() {
    let mut rig = Rig::new(otaa());
    let accept = Accept::default();
    let reply = accept.clone();
    *rig.world.answer.borrow_mut() =
        Some(Box::new(move |phy| (phy[0] == 0).then(|| (5040, reply.phy(nonce(phy))))));
    rig.driver.mac().join(0);
    rig.run_until(8_000, None);
    assert_eq!(rig.names(), ["store", "join request", "store", "store", "joined"]);
    let keys = accept.keys(0);
    rig.world.air.borrow_mut().push_back(Air::Frame(9_000, keys.phy(&keys.data(0, 85, &[8, 1]))));
    rig.run_until(10_000, None);
    assert_eq!(rig.names()[5..], ["store", "downlink"]);
    rig.send(b"report", false);
    rig.run_until(20_000, None);
    assert_eq!(rig.names()[7..], ["sent", "done"]);
    let (_, phy) = rig.sent().pop().unwrap();
    assert_eq!(keys.hear(&phy, 0).payload, b"report");
}

#[test]
fn mac_rx_01_the_time_that_setting_rxc_up_takes_does_not_make_rx1_late() {
    let mut rig = Rig::new(abp());
    rig.world.setup_ms.set(12);
    rig.run_until(1000, None);
    rig.send(&[1], false);
    rig.run_until(60_000, None);
    let did = rig.world.did.borrow();
    let [.., Did::Setup { at_ms: rx1_ms, continuous: false, .. }, Did::Setup { continuous: true, .. }] =
        did[..]
    else {
        panic!("{did:?}")
    };
    let sent_ms = did.iter().find_map(|did| match did {
        Did::Tx { at_ms, .. } => Some(at_ms + 60),
        Did::Setup { .. } | Did::Listened { .. } => None,
    });
    assert_eq!(sent_ms, Some(rx1_ms + 15 - 1000));
}

#[test]
fn mac_cc_01_the_driver_leaves_rxc_only_for_tx_and_rx1() {
    let mut rig = Rig::new(abp());
    rig.run_until(1000, None);
    rig.send(&[1], false);
    rig.run_until(60_000, None);
    let did: Vec<_> = rig
        .world
        .did
        .borrow()
        .iter()
        .map(|did| match did {
            Did::Tx { at_ms, .. } => (*at_ms, "tx"),
            Did::Setup { at_ms, continuous: true, frequency_hz: 869_525_000 } => (*at_ms, "rxc"),
            Did::Setup { at_ms, .. } => (*at_ms, "rx1"),
            Did::Listened { .. } => panic!("EU868 does not ask for it"),
        })
        .collect();
    assert_eq!(did, [(0, "rxc"), (1000, "tx"), (1060, "rxc"), (2045, "rx1"), (2084, "rxc")]);
}

#[test]
fn mac_tx_04_the_radios_limit_and_the_antenna_are_minded() {
    let mut rig = Rig::new(abp());
    rig.send(&[1], false);
    rig.run_until(500, None);
    assert!(rig.world.did.borrow().iter().any(|did| matches!(did, Did::Tx { power_dbm: 14, .. })));
    let mut rig = Rig::new(Config { tx_power_dbm: 10, ..abp() });
    rig.send(&[1], false);
    rig.run_until(500, None);
    assert!(rig.world.did.borrow().iter().any(|did| matches!(did, Did::Tx { power_dbm: 9, .. })));
}

#[test]
fn mac_fcnt_02_a_failing_and_a_hanging_transmission_are_repeated_with_the_same_bytes() {
    for (fault, name) in [(Air::TxError, "error"), (Air::TxHangs, "time-out")] {
        let mut rig = Rig::new(abp());
        rig.run_until(100, None);
        rig.world.air.borrow_mut().push_back(fault);
        rig.send(b"once", false);
        rig.run_until(30_000, None);
        assert!(rig.names().ends_with(&[name, "sent", "done"]), "{:?}", rig.names());
        let sent = rig.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(keys().hear(&sent[0].1, 0).fcnt, 0);
    }
}

#[test]
fn mac_fcnt_02_next_dropped_at_any_poll_never_reuses_a_counter() {
    for polls in 1..40 {
        let mut rig = Rig::new(abp());
        let mut used = Vec::new();
        for round in 0..3u8 {
            let now_ms = rig.world.now_ms.get();
            let _ = rig.driver.mac().send(now_ms, 85, &[round], false);
            // Poll so many times, then drop the future where it stands.
            let mut left = polls;
            while left > 0 {
                let mut next = Box::pin(rig.driver.next(std::future::pending()));
                let event = loop {
                    if left == 0 {
                        break None;
                    }
                    left -= 1;
                    rig.world.timers.borrow_mut().clear();
                    if let Poll::Ready(event) = next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                        break Some(event);
                    }
                    let next = rig.world.timers.borrow().iter().copied().min();
                    rig.world.now_ms.set(next.unwrap_or(rig.world.now_ms.get()).max(rig.world.now_ms.get()));
                };
                drop(next);
                if let Some(Event::Store { .. }) = event {
                    rig.driver.stored();
                }
            }
        }
        rig.run_until(rig.world.now_ms.get() + 60_000, None);
        assert!(rig.driver.mac().can_send(), "the device goes on, {polls} polls");
        for (_, phy) in rig.sent() {
            let heard = keys().hear(&phy, 0);
            used.push((heard.fcnt, heard.payload));
        }
        used.sort();
        used.dedup();
        let mut counters: Vec<_> = used.iter().map(|(fcnt, _)| *fcnt).collect();
        counters.dedup();
        assert_eq!(counters.len(), used.len(), "one content for one counter, {polls} polls: {used:?}");
    }
}

#[test]
fn mac_rx_01_a_single_receive_that_never_ends_is_ended() {
    let mut rig = Rig::new(Config { class_c: false, ..abp() });
    rig.run_until(100, None);
    rig.send(b"x", false);
    rig.run_until(300, None);
    rig.world.air.borrow_mut().push_back(Air::SingleHangs);
    rig.run_until(30_000, None);
    assert!(rig.names().contains(&"time-out") && rig.names().contains(&"done"), "{:?}", rig.names());
    rig.send(b"y", false);
    rig.run_until(60_000, None);
    assert_eq!(rig.sent().len(), 2);
}

#[test]
fn mac_cc_07_radio_errors_slow_down_and_the_device_goes_on_by_itself() {
    for fault in [Air::RxErrorUntil(60_000), Air::SetupErrorUntil(60_000)] {
        let mut rig = Rig::new(abp());
        rig.world.air.borrow_mut().push_back(fault);
        rig.run_until(70_000, None);
        let errors = rig.names().iter().filter(|name| **name == "error").count();
        assert!((8..=20).contains(&errors), "{errors} errors in a minute");
        let phy = keys().phy(&keys().data(0, 85, &[8, 1]));
        rig.world.air.borrow_mut().clear();
        rig.world.air.borrow_mut().push_back(Air::Frame(80_000, phy));
        rig.run_until(90_000, None);
        assert!(rig.names().ends_with(&["store", "downlink"]), "{:?}", rig.names());
    }
}

#[test]
fn mac_cc_07_rxc_is_set_up_anew_after_ten_silent_minutes_and_progress_is_marked() {
    let mut rig = Rig::new(abp());
    rig.run_until(3_599_000, None);
    let setups = rig.world.did.borrow().len();
    assert_eq!(setups, 6);
    assert!(3_599_000 - rig.driver.last_progress_ms() <= Driver::<Radio, World>::PROGRESS_LIMIT_MS);
}

fn kr920() -> Config {
    let eu868 = abp();
    Config { rx2: None, ..Config::new(Region::Kr920, eu868.activation) }
}

impl Rig {
    fn listened(&self) -> Vec<u32> {
        let did = self.world.did.borrow();
        let listened = did.iter().filter_map(|did| match did {
            Did::Listened { frequency_hz } => Some(*frequency_hz),
            _ => None,
        });
        listened.collect()
    }
}

#[test]
fn mac_tx_03_the_driver_listens_before_it_sends_and_goes_elsewhere_while_it_is_busy() {
    let mut rig = Rig::new(kr920());
    rig.run_until(100, None);
    rig.world.air.borrow_mut().extend([Air::Busy, Air::Busy]);
    rig.send(b"polite", false);
    rig.run_until(30_000, None);
    let listened = rig.listened();
    assert_eq!(listened.len(), 3);
    assert!(listened[0] != listened[1] && listened[1] != listened[2], "{listened:?}");
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (keys().hear(&sent[0].1, 0).fcnt, keys().hear(&sent[0].1, 0).payload),
        (0, b"polite".to_vec())
    );
    assert!(rig.names().ends_with(&["sent", "done"]), "{:?}", rig.names());
    // In between it was in RXC.
    let setups = rig.world.did.borrow().iter().filter(|did| matches!(did, Did::Setup { .. })).count();
    assert!(setups >= 4, "{setups}");
}

#[test]
fn mac_tx_03_a_plan_without_the_duty_does_not_listen() {
    let mut rig = Rig::new(abp());
    rig.run_until(100, None);
    rig.send(b"x", false);
    rig.run_until(30_000, None);
    assert_eq!((rig.listened().len(), rig.sent().len()), (0, 1));
}

#[test]
fn mac_tx_03_without_a_look_at_the_channel_nothing_is_sent_and_nothing_hangs() {
    for (fault, name) in [(Air::SenseError, "error"), (Air::SenseHangs, "time-out")] {
        // One failure: the same frame goes out later.
        let mut rig = Rig::new(kr920());
        rig.run_until(100, None);
        rig.world.air.borrow_mut().push_back(fault.clone());
        rig.send(b"once", false);
        rig.run_until(30_000, None);
        assert!(rig.names().ends_with(&[name, "sent", "done"]), "{:?}", rig.names());
        assert_eq!(keys().hear(&rig.sent()[0].1, 0).fcnt, 0);
        // A radio that never can: the frame is given up, and the device listens on.
        let mut rig = Rig::new(kr920());
        rig.run_until(100, None);
        rig.world.air.borrow_mut().extend(vec![fault; 5]);
        rig.send(b"never", false);
        rig.run_until(60_000, None);
        assert_eq!(rig.sent(), []);
        assert!(rig.names().ends_with(&[name, "failed"]), "{:?}", rig.names());
        assert!(matches!(rig.world.did.borrow().last(), Some(Did::Setup { continuous: true, .. })));
        assert!(rig.driver.mac().can_send());
    }
}

#[test]
fn wake_waits_for_the_windows_of_an_uplink() {
    let mut rig = Rig::new(abp());
    rig.run_until(100, None);
    rig.send(b"x", false);
    rig.run_until(60_000, Some(500));
    let names = rig.names();
    assert_eq!(names[names.len() - 3..], ["sent", "done", "woken"]);
    assert!(rig.events.last().unwrap().0 > 2000);
    // At rest it is heard at once.
    rig.run_until(70_000, Some(65_000));
    assert_eq!(rig.events.last().unwrap().0, 65_000);
}

#[test]
fn mac_conf_01_the_driver_hears_an_ack_in_rx1() {
    let mut rig = Rig::new(abp());
    rig.run_until(100, None);
    *rig.world.answer.borrow_mut() =
        Some(Box::new(|_| Some((1050, keys().phy(&Down { ack: true, ..keys().down(0) })))));
    rig.send(b"c", true);
    rig.run_until(60_000, None);
    let done = rig.events.iter().find(|(_, event)| matches!(event, Event::UplinkDone { .. })).unwrap();
    assert_eq!(done.1, Event::UplinkDone { port: Some(85), acked: Some(true) });
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_store_that_is_not_confirmed_is_asked_for_again_and_holds_everything_back() {
    let mut rig = Rig::new(abp());
    rig.send(b"x", false);
    for _ in 0..3 {
        let event = rig.world.run(rig.driver.next(std::future::pending()), 60_000).unwrap();
        assert!(matches!(event, Event::Store { .. }), "{event:?}");
    }
    assert_eq!(rig.sent(), []);
}
