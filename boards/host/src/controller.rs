//! A D2D controller in the sockets' air: it sends the commands of a script, or follows the button of the first socket.

use std::cell::Cell;
use std::rc::Rc;

use sockeye_d2d_agent::{Keys, Message};
use sockeye_network_server::Plan;
use sockeye_settings::{Action, D2d, D2dCommand, Settings};
use sockeye_virtual_hardware::air::{Gateway, Medium, Modulation};

use crate::observer::Log;

/// The commands of a run whose sockets follow one button: 1510 is the guide's example of On (section 3.4).
const ON: u16 = 0x1510;
const OFF: u16 = 0x1511;
const TOGGLE: u16 = 0x1512;

/// What a battery-powered controller radiates, in dBm EIRP: as devices of EU868 do.
const POWER_DBM: i32 = 14;

/// Sets a socket to obey those commands; the key stays.
pub fn obey(settings: &mut D2d) {
    settings.enabled = true;
    let actions = [(ON, Action::On), (OFF, Action::Off), (TOGGLE, Action::Toggle)];
    settings.commands = actions.map(|(code, action)| D2dCommand { code, action }).into_iter().collect();
}

/// A controller. Clones are the same one.
#[derive(Clone)]
pub struct Controller(Rc<Inner>);

struct Inner {
    /// A station that never listens.
    radio: Gateway,
    modulation: Modulation,
    keys: Keys,
    sender: u32,
    next_counter: Cell<u32>,
}

impl Controller {
    /// Puts a controller into `medium`, with key, RX2 frequency and RX2 data rate of the sockets' settings.
    ///
    /// # Errors
    /// RX2 has no data rate of LoRa.
    pub fn new(medium: &Medium, plan: &Plan, settings: &Settings, sender: u32) -> Result<Self, String> {
        let lorawan = &settings.lorawan;
        let rate = plan.downlink_rate(lorawan.rx2_data_rate);
        let (sf, bw_hz) = rate.ok_or("d2d: RX2 has no data rate of LoRa")?;
        let radio = medium.gateway();
        medium.air().set_deaf(radio.station(), 0, u64::MAX);
        Ok(Self(Rc::new(Inner {
            radio,
            modulation: Modulation::downlink(lorawan.rx2_frequency_hz, sf, bw_hz),
            keys: Keys::new(settings.d2d.key.as_bytes()),
            sender,
            next_counter: Cell::new(1),
        })))
    }

    /// Sends a command, now.
    ///
    /// # Errors
    /// Every counter is used; there is one for each second of a century.
    pub fn send(&self, command: u16) -> Result<(), String> {
        let Inner { radio, modulation, keys, sender, next_counter } = &*self.0;
        let counter = next_counter.get();
        next_counter.set(counter.checked_add(1).ok_or("d2d: every counter is used")?);
        let message = Message { sender: *sender, counter, command };
        let frame = message.seal(keys, &[]).map_err(|refusal| refusal.to_string())?;
        radio.send(*modulation, POWER_DBM, &frame);
        Ok(())
    }

    /// Sends what the button of the first socket has made of its relay, each time that it is pressed.
    pub async fn follow_button(self, log: Log) {
        loop {
            let on = log.button_switched().await;
            if self.send(if on { ON } else { OFF }).is_err() {
                return;
            }
        }
    }
}
