//! What is seen of the sockets: the events of a run, and the state of each socket.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use sockeye_firmware::{Notice, Observer};
use sockeye_metering::Reading;
use sockeye_nfc::Code;
use sockeye_virtual_hardware::sim::{Notify, Sim};

use crate::report::{DownlinkKind, Event, Summary};
use crate::trace::{Mark, Recent, Trace};

/// Of the button's doings, so many are kept for who asks late.
const MAX_SWITCHES: usize = 16;

/// One event: its instant in ms since power-up, the socket's number, and what happened.
pub type Line = (u64, usize, Event);

/// Collects the events of all sockets. Clones share one collection.
#[derive(Clone, Debug)]
pub struct Log {
    sim: Sim,
    lines: Rc<RefCell<Vec<Line>>>,
    summaries: Rc<RefCell<BTreeMap<usize, Summary>>>,
    /// Of the first socket, if somebody wants it.
    trace: Rc<RefCell<Option<Trace>>>,
    frames_of_devices: bool,
    /// What the button of the first socket made of its relay, and nobody has asked for yet.
    switches: Rc<RefCell<VecDeque<bool>>>,
    switched: Notify,
}

impl Log {
    /// Makes an empty log on the clock of `sim`.
    #[must_use]
    pub fn new(sim: &Sim) -> Self {
        Self {
            sim: sim.clone(),
            lines: Rc::default(),
            summaries: Rc::default(),
            trace: Rc::default(),
            frames_of_devices: false,
            switches: Rc::default(),
            switched: Notify::new(),
        }
    }

    /// Makes an empty log that takes the frames which go out from the devices that send them: in a run whose
    /// network server is elsewhere, nobody else can decipher them.
    #[must_use]
    pub fn with_frames_of_devices(sim: &Sim) -> Self {
        Self { frames_of_devices: true, ..Self::new(sim) }
    }

    /// Tells whether the frames which go out are told by the devices, and not by whoever hears them.
    #[must_use]
    pub fn has_frames_of_devices(&self) -> bool {
        self.frames_of_devices
    }

    /// Adds an event of a socket, now.
    pub fn push(&self, socket: usize, event: Event) {
        let now_ms = self.now_ms();
        self.summaries.borrow_mut().entry(socket).or_default().count(&event);
        if let Some(trace) = self.trace.borrow_mut().as_mut().filter(|_| socket == 0) {
            trace.event(now_ms, &event);
        }
        if let (0, Event::Relay { on, cause: "button" }) = (socket, &event) {
            let mut switches = self.switches.borrow_mut();
            // Nobody may be asking.
            switches.truncate(MAX_SWITCHES - 1);
            switches.push_back(*on);
            self.switched.notify();
        }
        self.lines.borrow_mut().push((now_ms, socket, event));
    }

    /// Begins to keep what happens to the first socket, for a picture.
    pub fn keep_trace(&self) {
        self.trace.borrow_mut().get_or_insert_default();
    }

    /// Gives what was kept.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.trace.borrow().clone()
    }

    fn reading(&self, socket: usize, reading: &Reading) {
        if let Some(trace) = self.trace.borrow_mut().as_mut().filter(|_| socket == 0) {
            trace.power_mw.push(self.now_ms(), reading.power_mw);
        }
    }

    fn now_ms(&self) -> u64 {
        self.sim.now_us() / 1000
    }

    /// Waits until the button of the first socket has switched its relay, and tells what it is then.
    pub async fn button_switched(&self) -> bool {
        let mut next = None;
        self.switched
            .until(|| {
                next = self.switches.borrow_mut().pop_front();
                next.is_some()
            })
            .await;
        // `until` returns only after its condition held.
        next.unwrap_or_else(|| unreachable!("it was switched"))
    }

    /// Takes the events since the last call, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<Line> {
        self.lines.take()
    }

    /// Gives the counts of a socket so far.
    #[must_use]
    pub fn summary(&self, socket: usize) -> Summary {
        self.summaries.borrow().get(&socket).cloned().unwrap_or_default()
    }
}

/// What a socket's own notices show of it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The relay was driven to supply power.
    pub relay_on: bool,
    /// The LED is lit.
    pub led_on: bool,
    /// The last good reading.
    pub reading: Option<Reading>,
    /// The energy sum.
    pub energy_uwh: u64,
    /// The address of the session.
    pub dev_addr: Option<u32>,
    /// The power of the last minutes.
    pub recent: Recent,
}

/// Turns the notices of one socket into events. Clones are the same observer.
#[derive(Clone, Debug)]
pub struct HostObserver {
    socket: usize,
    log: Log,
    seen: Rc<RefCell<Seen>>,
}

impl HostObserver {
    /// Makes the observer of a socket.
    #[must_use]
    pub fn new(socket: usize, log: &Log) -> Self {
        Self { socket, log: log.clone(), seen: Rc::default() }
    }

    /// Notes that the device has lost its supply: nothing is lit or driven, and nothing is known but its sum.
    pub fn goes_dark(&self) {
        let mut seen = self.seen.borrow_mut();
        let recent = std::mem::take(&mut seen.recent);
        *seen = Seen { energy_uwh: seen.energy_uwh, recent, ..Seen::default() };
    }

    /// Shows what is known of the socket.
    pub fn with_seen<R>(&self, with: impl FnOnce(&mut Seen) -> R) -> R {
        with(&mut self.seen.borrow_mut())
    }
}

impl Observer for HostObserver {
    fn observe(&self, notice: Notice<'_>) {
        let mut seen = self.seen.borrow_mut();
        let event = match notice {
            Notice::Reading { reading, energy_uwh } => {
                seen.reading = Some(*reading);
                seen.recent.power(self.log.now_ms(), reading.power_mw);
                self.log.reading(self.socket, reading);
                seen.energy_uwh = energy_uwh;
                return;
            }
            // With a network server of our own those are told from the air, as it hears them.
            Notice::JoinRequest { .. } | Notice::Uplink { .. } if !self.log.has_frames_of_devices() => return,
            Notice::JoinRequest { dev_nonce, dr, freq_hz } => Event::JoinRequest { dev_nonce, dr, freq_hz },
            Notice::Uplink { port, fcnt, dr, freq_hz, confirmed, payload } => Event::Uplink {
                port: port.unwrap_or_default(),
                payload: payload.to_vec(),
                fcnt,
                dr,
                freq_hz,
                confirmed,
            },
            Notice::Resumed { dev_addr } => {
                seen.dev_addr = Some(dev_addr);
                return;
            }
            Notice::Joined { dev_addr } => {
                seen.dev_addr = Some(dev_addr);
                Event::Joined { dev_addr }
            }
            Notice::Relay { on, cause } => {
                seen.relay_on = on;
                Event::Relay { on, cause: cause.name() }
            }
            Notice::Led { on } => {
                seen.led_on = on;
                Event::Led { on }
            }
            Notice::Trip { cause, current_ma } => {
                seen.recent.mark(self.log.now_ms(), Mark::Trip);
                Event::Trip { cause: cause.name(), current_ma }
            }
            Notice::Alarm { current_ma } => {
                seen.recent.mark(self.log.now_ms(), Mark::Alarm);
                Event::Alarm { current_ma }
            }
            Notice::Downlink { port, payload, fcnt, multicast } => Event::Downlink {
                port,
                payload: payload.to_vec(),
                fcnt,
                kind: if multicast { DownlinkKind::Multicast } else { DownlinkKind::Unicast },
            },
            Notice::Maintenance { code: Code::Done, .. } => return,
            Notice::Maintenance { code, .. } => Event::Error { what: format!("nfc: {code}") },
            Notice::Stored { record } => Event::Stored { record },
            Notice::Reboot { cause } => {
                seen.dev_addr = None;
                Event::Reboot { cause: cause.name() }
            }
            Notice::Upgrade { state } => Event::Upgrade { state: state.name() },
            Notice::Error { what } => Event::Error { what: what.to_owned() },
        };
        drop(seen);
        self.log.push(self.socket, event);
    }
}
