//! One [`Air`] shared by the tasks of a simulation.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::{Air, Heard, Modulation, StationId, Transmission};
use crate::drive::{Poke, drive};
use crate::sim::{Notify, Sim};
use crate::sx126x::ChipCell;

/// The radio medium of a simulation. Clones share it.
#[derive(Clone)]
pub struct Medium(Rc<Shared>);

struct Shared {
    sim: Sim,
    air: RefCell<Air>,
    chips: RefCell<HashMap<StationId, Weak<ChipCell>>>,
    frame_begun: Poke,
    heard: Notify,
}

impl std::fmt::Debug for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Medium").finish_non_exhaustive()
    }
}

impl Medium {
    /// Makes an empty medium on a simulation. `seed` decides which frames are erased.
    #[must_use]
    pub fn new(sim: &Sim, seed: u64) -> Self {
        let shared = Rc::new(Shared {
            sim: sim.clone(),
            air: RefCell::new(Air::new(seed)),
            chips: RefCell::default(),
            frame_begun: Poke::default(),
            heard: Notify::new(),
        });
        let medium = Self(shared);
        let driven = medium.clone();
        sim.spawn(async move {
            let Shared { sim, air, frame_begun, heard, .. } = &*driven.0;
            drive(sim.clone(), frame_begun, |now_us| {
                let mut air = air.borrow_mut();
                if air.next_event_us().is_some_and(|at_us| at_us <= now_us) {
                    air.advance(now_us);
                    heard.notify();
                }
                Some(air.next_event_us())
            })
            .await;
        });
        medium
    }

    /// Gives the medium itself, to set path losses and faults. Not to be held across an await.
    #[must_use]
    pub fn air(&self) -> RefMut<'_, Air> {
        self.0.air.borrow_mut()
    }

    /// Adds a gateway: see [`Air::add_gateway`].
    #[must_use]
    pub fn gateway(&self) -> Gateway {
        let station = self.air().add_gateway();
        Gateway { medium: self.clone(), station }
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.0.sim
    }

    pub(crate) fn add_chip(&self, station: StationId, chip: Weak<ChipCell>) {
        self.0.chips.borrow_mut().insert(station, chip);
    }

    /// Wakes everybody on whose channel something has begun. Called with no model borrowed.
    pub(crate) fn settle(&self) {
        let (woken, pending) = {
            let mut air = self.air();
            (air.take_woken(), air.next_event_us().is_some())
        };
        for station in woken {
            let chip = self.0.chips.borrow().get(&station).and_then(Weak::upgrade);
            if let Some(chip) = chip {
                chip.frame_begun(self);
            }
        }
        if pending {
            self.0.frame_begun.poke();
        }
    }
}

/// A gateway's radio on a [`Medium`]. Clones are the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    medium: Medium,
    station: StationId,
}

impl Gateway {
    /// Names the gateway's station, to set path losses and faults with.
    #[must_use]
    pub fn station(&self) -> StationId {
        self.station
    }

    /// Waits for the next frame.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn receive(&self) -> Heard {
        let mut heard = None;
        self.medium
            .0
            .heard
            .until(|| {
                heard = self.try_receive();
                heard.is_some()
            })
            .await;
        // `until` returns only after its condition held.
        heard.unwrap_or_else(|| unreachable!("a frame was there"))
    }

    /// Takes the earliest frame that was heard and not taken yet.
    #[must_use]
    pub fn try_receive(&self) -> Option<Heard> {
        self.medium.air().take_heard(self.station)
    }

    /// Sends a frame now, and says when it ends.
    pub fn send(&self, modulation: Modulation, power_dbm: i32, payload: &[u8]) -> Transmission {
        let now_us = self.medium.sim().now_us();
        let sent = self.medium.air().transmit(now_us, self.station, modulation, power_dbm, payload);
        self.medium.settle();
        sent
    }
}
