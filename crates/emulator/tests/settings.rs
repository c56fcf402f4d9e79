//! Every setting of the guide's chapter 3 through the tag, the image and its flash, and back.
#![allow(missing_docs, reason = "tests")]

mod bench;
#[path = "../../../boards/host/tests/every_field/mod.rs"]
mod every_field;
mod image;

use std::cell::RefCell;
use std::rc::Rc;

use bench::Bench;
use embassy_futures::block_on;
use every_field::{bytes_of, one_by_one, others, together};
use image::{Board, MemoryMap};
use sockeye_host::nfc::{Read, ask, look};
use sockeye_nfc::{Answer, Code, Command, Guard, Request};
use sockeye_settings::{Field, Identity, Key, MAX_STORED, Password, Region, Settings};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Phone, SharedTag};

/// Lets somebody with a phone do something, to its end.
fn lets<B: Board, T: 'static, F: Future<Output = T> + 'static>(
    bench: &mut Bench<B>,
    what: impl FnOnce(Sim, SharedTag) -> F,
) -> T {
    let done = Rc::new(RefCell::new(None));
    let (place, future) = (done.clone(), what(bench.world.sim().clone(), bench.outside().tag.clone()));
    bench.world.sim().spawn(async move {
        let value = future.await;
        *place.borrow_mut() = Some(value);
    });
    for _ in 0..1000 {
        bench.run(100);
        if let Some(value) = done.take() {
            return value;
        }
    }
    panic!("it takes longer than 100 s");
}

fn read<B: Board>(bench: &mut Bench<B>) -> Read {
    lets(bench, |_, tag| async move { look(&Phone::at(&tag)).await.unwrap() })
}

/// Taps, asks, and waits for the answer.
fn asked<B: Board>(bench: &mut Bench<B>, password: &'static [u8], request: Request<'static>) -> Code {
    let answer = lets(bench, move |sim, tag| async move {
        let mut phone = Phone::at(&tag);
        let read = look(&phone).await.unwrap();
        ask(&sim, &mut phone, &read, Password::new(password).unwrap(), &request).await.unwrap()
    });
    Answer::parse(&answer).unwrap().code
}

/// The settings as the flash holds them.
fn stored<B: Board>(bench: &Bench<B>, identity: &Identity) -> Settings {
    let flash = bench.outside().flash.duplicate();
    let mut storage = Storage::new(flash, MemoryMap::of::<B>().part("storage"));
    let mut bytes = [0; 1024];
    let len = block_on(storage.load(RecordId::Settings, &mut bytes)).unwrap().unwrap();
    Settings::decode(&bytes[..len], Region::Eu868, identity).unwrap().settings
}

fn every_setting_of_chapter_3_goes_through_the_tag_into_the_flash_and_back<B: Board>() {
    let mut bench = Bench::<B>::joined(6, "");
    let status = read(&mut bench).status;
    let identity = Identity {
        sn: status.sn,
        dev_eui: status.dev_eui,
        model: status.model,
        app_key: Key::DEFAULT,
        hardware_version: status.hardware_version,
    };
    let before = Settings::default_for(Region::Eu868, &identity);
    let wanted = others(before.clone());
    let mut tried = 0;
    for field in one_by_one() {
        let mut form = [0; MAX_STORED];
        let len = wanted.encode_change(together(field), &mut form).unwrap();
        let request = Request::Write { guard: Guard::ANY, form: Vec::leak(form[..len].to_vec()) };
        assert_eq!(asked(&mut bench, b"123456", request), Code::Done, "{field}");
        // The radio's settings bring a restart.
        bench.run(10_000);
        assert_eq!(
            bytes_of(&stored(&bench, &identity), field),
            bytes_of(&wanted, field),
            "{field}: in flash"
        );
        let read = read(&mut bench).settings.unwrap();
        let expected = if field.is_secret() { &before } else { &wanted };
        assert_eq!(bytes_of(&read, field), bytes_of(expected, field), "{field}: to be read");
        tried += 1;
    }
    assert_eq!(tried, Field::COUNT - 1);
    assert_eq!(stored(&bench, &identity), wanted);
    bench.act("power off").run(10_000).act("power on").run(10_000);
    assert_eq!(read(&mut bench).settings.unwrap().general.reporting_interval_s, 600);
    assert_eq!(asked(&mut bench, b"000001", Request::Command(Command::Toggle)), Code::Done);
    bench.is_clean("");
}

on_both! {
    every_setting_of_chapter_3_goes_through_the_tag_into_the_flash_and_back
}
