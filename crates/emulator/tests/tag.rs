//! A phone at the tag of an image: every setting of the guide's chapter 3 through tag and flash and back, a phone that leaves in the
//! middle, and what is no request.
#![allow(missing_docs, reason = "tests")]

#[path = "../../../boards/host/tests/at_the_tag/mod.rs"]
mod at_the_tag;
mod bench;
mod image;

use at_the_tag::{TOGGLE, bytes_of, message, one_by_one, others, refused, together};
use bench::{Bench, relays};
use embassy_futures::block_on;
use image::{Board, MemoryMap};
use sockeye_host::nfc::{Read, ask, look};
use sockeye_host::report::Event;
use sockeye_nfc::{Answer, Code, Guard, Request, Status};
use sockeye_settings::{Field, Identity, Key, MAX_STORED, Password, Region, Settings};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{Cut, Phone, SharedTag};

/// Lets somebody with a phone do something, to its end.
fn lets<B: Board, T: 'static, F: Future<Output = T> + 'static>(
    bench: &mut Bench<B>,
    what: impl FnOnce(Sim, SharedTag) -> F,
) -> T {
    let sim = bench.world.sim().clone();
    let future = what(sim.clone(), bench.outside().tag.clone());
    at_the_tag::lets(&sim, future, || {
        bench.run(100);
    })
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

/// The identity as far as a status tells it.
fn identity(read: &Read) -> Identity {
    let Status { sn, dev_eui, model, hardware_version, .. } = read.status;
    Identity { sn, dev_eui, model, app_key: Key::DEFAULT, hardware_version }
}

/// Fields of settings as a request has them.
fn form(settings: &Settings, fields: impl IntoIterator<Item = Field>) -> &'static [u8] {
    let mut form = [0; MAX_STORED];
    let len = settings.encode_change(fields, &mut form).unwrap();
    Vec::leak(form[..len].to_vec())
}

fn every_setting_of_chapter_3_goes_through_the_tag_into_the_flash_and_back<B: Board>() {
    let mut bench = Bench::<B>::joined(6, "");
    let identity = identity(&read(&mut bench));
    let before = Settings::default_for(Region::Eu868, &identity);
    let wanted = others(before.clone());
    let mut tried = 0;
    for field in one_by_one() {
        let request = Request::Write { guard: Guard::ANY, form: form(&wanted, together(field)) };
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
    let restarts = || bench.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. }));
    assert!(restarts().count() > 0);
    assert!(restarts().all(|(_, event)| *event == Event::Reboot { cause: "nfc" }));
    bench.act("power off").run(10_000).act("power on").run(10_000);
    assert_eq!(read(&mut bench).settings.unwrap().general.reporting_interval_s, 600);
    assert_eq!(asked(&mut bench, b"000001", TOGGLE), Code::Done);
    bench.is_clean("");
}

/// Writes bytes as a phone does, and takes it away.
fn write<B: Board>(bench: &mut Bench<B>, message: Vec<u8>, cut: Cut) {
    lets(bench, |_, tag| async move {
        let _ = Phone::at(&tag).leaving(cut).write_message(&message).await;
    });
}

fn a_write_that_ends_at_any_byte_changes_nothing_and_the_next_tap_works<B: Board>() {
    let mut bench = Bench::<B>::joined(7, "");
    let request = message(&read(&mut bench), "123456", &TOGGLE);
    // The head of the TLV, the message and its end, filled up to a block; and the first block again, with the length.
    let written = (4 + request.len() + 1).next_multiple_of(4) + 4;
    bench.events.clear();
    let whole = (0..written).find(|&cut| {
        write(&mut bench, request.clone(), Cut::After(cut));
        bench.run(4_000);
        let is_done = read(&mut bench).status.challenge.sequence() == 1;
        assert!(is_done || relays(&bench.events).count() == 0, "byte {cut}: {:?}", bench.events);
        is_done
    });
    // All of the length has to be there; but for its last byte, which a whole block has as it had before.
    let whole = whole.unwrap_or(written);
    println!("{}: {whole} cuts of an RF write of {written} bytes", B::NAME);
    assert!(whole + 2 >= written, "{whole} of {written}");
    let moves = relays(&bench.events).count();
    assert_eq!(moves, usize::from(whole < written));
    assert_eq!(asked(&mut bench, b"123456", TOGGLE), Code::Done);
    assert_eq!(relays(&bench.events).count(), moves + 1);
    bench.is_clean("");
}

/// Breaks a write of all settings off, at every so many bytes and at each of the last ones.
fn all_settings_or_none_are_written<B: Board>(step: usize) {
    let mut bench = Bench::<B>::joined(9, "");
    // One that is written whole, so that the flash has a record to compare.
    let mut dark = Settings::default_for(Region::Eu868, &identity(&read(&mut bench)));
    dark.general.led = false;
    let led = form(&dark, [Field::Led]);
    let led = Request::Write { guard: Guard::ANY, form: led };
    assert_eq!(asked(&mut bench, b"123456", led), Code::Done);
    bench.run(10_000);
    let shown = read(&mut bench);
    let identity = identity(&shown);
    let before = stored(&bench, &identity);
    let wanted = others(before.clone());
    let all = Request::Write { guard: Guard::ANY, form: form(&wanted, one_by_one()) };
    let request = message(&shown, "123456", &all);
    let written = (4 + request.len() + 1).next_multiple_of(4) + 4;
    bench.events.clear();
    let mut cuts = 0;
    for cut in (0..written - 8).step_by(step).chain(written - 8..written) {
        write(&mut bench, request.clone(), Cut::After(cut));
        bench.run(4_000);
        let now = read(&mut bench);
        if now.status.challenge != shown.status.challenge {
            // The last byte of the length is 0, as it was.
            assert!(cut + 2 >= written, "done after {cut} of {written} bytes");
            break;
        }
        assert!(now.settings == shown.settings, "byte {cut}");
        assert!(stored(&bench, &identity) == before, "byte {cut}: in flash");
        cuts += 1;
    }
    println!("{}: {cuts} cuts of an RF write of all settings, {written} bytes", B::NAME);
    assert!(cuts * step + 8 >= written, "{cuts} cuts");
    assert_eq!(relays(&bench.events).count(), 0, "{:?}", bench.events);
    bench.run(10_000);
    if stored(&bench, &identity) == before {
        assert_eq!(asked(&mut bench, b"123456", all), Code::Done);
        bench.run(10_000);
    }
    assert!(stored(&bench, &identity) == wanted);
    bench.is_clean("");
}

fn a_write_of_all_settings_that_ends_early_changes_nothing<B: Board>() {
    all_settings_or_none_are_written::<B>(97);
}

fn a_write_of_all_settings_that_ends_at_any_byte_changes_nothing<B: Board>() {
    all_settings_or_none_are_written::<B>(1);
}

fn what_is_old_foreign_or_nonsense_is_refused_and_the_next_tap_works<B: Board>() {
    let mut bench = Bench::<B>::joined(8, "");
    let done = message(&read(&mut bench), "123456", &TOGGLE);
    write(&mut bench, done.clone(), Cut::Never);
    bench.run(5_000).events.clear();
    let now = read(&mut bench);
    assert_eq!(now.status.challenge.sequence(), 1);
    for (what, bytes, code) in refused(&now, done) {
        write(&mut bench, bytes, Cut::Never);
        bench.run(8_000);
        let read = read(&mut bench);
        assert_eq!(Answer::parse(&read.answer).map(|answer| answer.code), Ok(code), "{what}");
        assert_eq!(read.status.challenge, now.status.challenge, "{what}");
    }
    assert_eq!(relays(&bench.events).count(), 0);
    assert_eq!(asked(&mut bench, b"123456", TOGGLE), Code::Done);
    bench.is_clean("");
}

on_both! {
    a_write_that_ends_at_any_byte_changes_nothing_and_the_next_tap_works
    a_write_of_all_settings_that_ends_early_changes_nothing
    #[ignore = "every byte of it: minutes"]
    a_write_of_all_settings_that_ends_at_any_byte_changes_nothing
    what_is_old_foreign_or_nonsense_is_refused_and_the_next_tap_works
    every_setting_of_chapter_3_goes_through_the_tag_into_the_flash_and_back
}
