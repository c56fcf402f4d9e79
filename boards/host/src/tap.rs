//! A tool's phone at a socket's tag: it puts a request there as it came, and waits for the answer.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_nfc::ndef::{self, Record};
use sockeye_nfc::{Answer, Envelope};
use sockeye_settings::{Model, Region};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Phone, SharedTag};

use crate::cli::{Bytes, ModelName, Options};
use crate::device::Device;
use crate::socket::Socket;
use crate::world::World;

/// How often a phone looks for the answer, in ms.
const LOOK_MS: u64 = 100;

/// How long it looks before it says that none comes, in ms: a store is given up after 10 s, and a phone's write of all that
/// a tag holds takes seconds itself.
const PATIENCE_MS: u64 = 30_000;

/// The first socket's serial number and DevEUI, those of the guide; the last byte tells several apart.
const SN: [u8; 8] = [0x61, 0x48, 0x3C, 0x37, 0x19, 0x43, 0x91, 0x05];
const DEV_EUI: [u8; 8] = [0x24, 0xE1, 0x24, 0x14, 0x8C, 0x37, 0x19, 0x43];

/// Plugs in one socket by itself, with what an earlier one kept in its flash.
///
/// # Errors
/// A sentence that says what is in the way.
pub fn plug_in(model: Model, region: Region, last: u8, flash: Option<&[u8]>) -> Result<World, String> {
    let number = |mut bytes: [u8; 8]| {
        bytes[7] = bytes[7].wrapping_add(last);
        Bytes(bytes)
    };
    let options = Options {
        duration_ms: None,
        seed: u64::from(last).wrapping_add(1),
        region,
        model: ModelName::from(model),
        dev_eui: number(DEV_EUI),
        app_key: None,
        sn: number(SN),
        settings: None,
        script: None,
        json: false,
        realtime: false,
        gateway: None,
        gateway_eui: Bytes([0; 8]),
        sockets: 1,
        d2d_controller: false,
        plot: None,
    };
    let world = World::new(&options)?;
    if let (Some(flash), Some(there)) = (flash, world.flash(0)) {
        if flash.len() != there.contents().len() {
            return Err("what was kept is of another version of the simulated socket".to_owned());
        }
        there.spoil(0, flash);
    }
    Ok(world)
}

impl World<Socket> {
    /// Holds a phone to the tag of a socket, puts a request there and waits for the answer, while the socket's time goes on.
    ///
    /// None if the socket has no power, or says nothing.
    pub fn tap(&mut self, socket: usize, request: &[u8]) -> Option<Vec<u8>> {
        let tag = self.socket(socket)?.tag()?.clone();
        let envelope = Envelope::parse(request).ok()?;
        let result: Rc<RefCell<Option<Vec<u8>>>> = Rc::default();
        let (sim, request, to) = (self.sim().clone(), request.to_vec(), result.clone());
        let task = self.sim().spawn(async move {
            let answer = asked(&sim, &tag, &request, &envelope).await;
            *to.borrow_mut() = answer;
        });
        let end_ms = self.now_ms().saturating_add(PATIENCE_MS);
        while result.borrow().is_none() && self.now_ms() < end_ms {
            self.run_until_ms(self.now_ms().saturating_add(LOOK_MS));
        }
        self.sim().kill(task);
        result.take()
    }
}

/// Puts a request on the tag, and waits for its answer.
async fn asked(sim: &Sim, tag: &SharedTag, request: &[u8], envelope: &Envelope) -> Option<Vec<u8>> {
    let mut message = vec![0; request.len() + ndef::RECORD_HEADER];
    let len = ndef::message(&[(Record::Request, request)], &mut message)?;
    message.truncate(len);
    let mut phone = Phone::at(tag);
    while phone.write_message(&message).await.is_err() {
        sim.sleep_us(LOOK_MS * 1000).await;
    }
    loop {
        sim.sleep_us(LOOK_MS * 1000).await;
        let Ok(message) = phone.read_message().await else { continue };
        let Some(found) = ndef::find(&message, Record::Answer) else { continue };
        let ours = |answer: Answer<'_>| {
            answer.challenge == envelope.challenge && answer.kind_code == envelope.kind_code
        };
        if Answer::parse(found.payload).is_ok_and(ours) {
            return Some(found.payload.to_vec());
        }
    }
}
