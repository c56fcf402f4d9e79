//! A tool's phone at a socket's tag: it puts a request there as it came, and waits for the answer.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_nfc::ndef::{self, Record};
use sockeye_nfc::{Answer, Envelope};
use sockeye_settings::{Model, Region};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Cut, Phone, SharedTag};

use crate::cli::{Bytes, ModelName, Options};
use crate::device::Device;
use crate::socket::Socket;
use crate::world::World;

/// How often a phone looks for the answer, in ms.
const LOOK_MS: u64 = 100;

/// How long it looks before it says that none comes, in ms: a store is given up after 10 s, a phone's write of all that
/// a tag holds takes seconds itself, and a dozen pieces of an image may each wait for the radio for 3 s.
const PATIENCE_MS: u64 = 60_000;

/// When the capacitor of a socket that lost its mains at once is surely empty, in ms.
const EMPTY_MS: u64 = 2_500;

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
    let mut world = World::new(&options)?;
    if let Some(flash) = flash {
        // What was kept is put in while there is no power, as the bootloader looks at it first.
        let socket = world.socket(0).ok_or("there is no socket")?.clone();
        socket.set_mains(false);
        world.run_until_ms(EMPTY_MS);
        if !socket.put_flash(flash) {
            return Err("what was kept is of another version of the simulated socket".to_owned());
        }
        socket.set_mains(true);
    }
    Ok(world)
}

impl World<Socket> {
    /// Returns all that a socket keeps without power, for [`plug_in`].
    #[must_use]
    pub fn kept(&self, socket: usize) -> Vec<u8> {
        self.socket(socket).map(Socket::all_flash).unwrap_or_default()
    }

    /// Holds a phone to the tag of a socket and reads the message that is there.
    ///
    /// None if the tag does not answer, or holds none.
    pub fn read_tag(&mut self, socket: usize) -> Option<Vec<u8>> {
        let tag = self.socket(socket)?.tag()?.clone();
        self.hold(async move { Phone::at(&tag).read_message().await.ok() })
    }

    /// Holds a phone to the tag of a socket and writes a message; with `leaves_after` the phone is taken away after
    /// so many bytes. Tells whether all was written.
    pub fn write_tag(&mut self, socket: usize, message: &[u8], leaves_after: Option<usize>) -> bool {
        let cut = leaves_after.map_or(Cut::Never, Cut::After);
        let Some(tag) = self.socket(socket).and_then(Device::tag).cloned() else { return false };
        let message = message.to_vec();
        let written = async move { Phone::at(&tag).leaving(cut).write_message(&message).await.ok() };
        self.hold(written).is_some()
    }

    /// Holds a phone to the tag of a socket, puts a request there and waits for the answer, while the socket's time goes on.
    ///
    /// None if the socket has no power, or says nothing.
    pub fn tap(&mut self, socket: usize, request: &[u8]) -> Option<Vec<u8>> {
        let tag = self.socket(socket)?.tag()?.clone();
        let envelope = Envelope::parse(request).ok()?;
        let (sim, request) = (self.sim().clone(), request.to_vec());
        self.hold(async move { asked(&sim, &tag, &request, &envelope).await })
    }

    /// Lets time pass until something with a phone is over, or patience.
    fn hold<T: 'static>(&mut self, what: impl Future<Output = Option<T>> + 'static) -> Option<T> {
        let result: Rc<RefCell<Option<Option<T>>>> = Rc::default();
        let to = result.clone();
        let task = self.sim().spawn(async move {
            let what = what.await;
            *to.borrow_mut() = Some(what);
        });
        let end_ms = self.now_ms().saturating_add(PATIENCE_MS);
        while result.borrow().is_none() && self.now_ms() < end_ms {
            self.run_until_ms(self.now_ms().saturating_add(LOOK_MS));
        }
        self.sim().kill(task);
        result.take().flatten()
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
