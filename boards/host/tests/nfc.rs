//! A phone at the tag of a whole socket: what it may do, what it may not, and what a phone that leaves in the middle costs.
#![allow(missing_docs, reason = "tests")]

mod at_the_tag;
mod bench;

use at_the_tag::{TOGGLE, bytes_of, message, one_by_one, others, refused, together};
use bench::Bench;
use embassy_futures::block_on;
use sockeye_host::device::Device;
use sockeye_host::nfc::{Read, ask, look};
use sockeye_host::report::Event;
use sockeye_nfc::{Answer, Code, Command, Guard, Request};
use sockeye_settings::{Field, Identity, MAX_STORED, Password, Region, Settings};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::sim::Sim;
use sockeye_virtual_hardware::st25dv::{BusFault, Cut, Phone, SharedTag};

impl Bench {
    fn tag(&self) -> SharedTag {
        self.world.device(0).unwrap().tag().unwrap().clone()
    }

    fn identity(&self) -> Identity {
        *self.world.device(0).unwrap().identity()
    }

    /// Lets somebody do something, to its end.
    fn lets<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        what: impl FnOnce(Sim, SharedTag) -> F,
    ) -> T {
        let sim = self.world.sim().clone();
        let future = what(sim.clone(), self.tag());
        at_the_tag::lets(&sim, future, || {
            self.run(100);
        })
    }

    fn look(&mut self) -> Read {
        self.lets(|_, tag| async move { look(&Phone::at(&tag)).await.unwrap() })
    }

    /// Taps, asks, and waits for the answer: its code and its body.
    fn ask(&mut self, password: &str, request: Request<'_>) -> (Code, Vec<u8>) {
        // What is asked lives as long as the simulation.
        let form: Vec<u8> = match request {
            Request::Write { form, .. } => form.to_vec(),
            _ => Vec::new(),
        };
        let password = Password::new(password.as_bytes()).unwrap();
        let request: Request<'static> = match request {
            Request::Write { guard, .. } => Request::Write { guard, form: Vec::leak(form) },
            Request::Command(command) => Request::Command(command),
            Request::Settings => Request::Settings,
            _ => Request::Status,
        };
        let answer = self.lets(|sim, tag| async move {
            let mut phone = Phone::at(&tag);
            let read = look(&phone).await.unwrap();
            ask(&sim, &mut phone, &read, password, &request).await.unwrap()
        });
        let answer = Answer::parse(&answer).unwrap();
        (answer.code, answer.body.to_vec())
    }

    fn change(&mut self, settings: &Settings, fields: &[Field]) -> (Code, Vec<u8>) {
        let mut form = [0; MAX_STORED];
        let len = settings.encode_change(fields.iter().copied(), &mut form).unwrap();
        self.ask("123456", Request::Write { guard: Guard::ANY, form: &form[..len] })
    }

    /// Writes bytes as a phone does, and takes it away.
    fn write(&mut self, message: Vec<u8>, cut: Cut) {
        self.lets(|_, tag| async move {
            let mut phone = Phone::at(&tag).leaving(cut);
            let _ = phone.write_message(&message).await;
        });
    }

    /// The settings as the flash holds them.
    fn stored(&self) -> Settings {
        let flash = self.world.flash(0).unwrap().duplicate();
        let mut storage = Storage::new(flash, 0..14 * 1024);
        let mut bytes = [0; 1024];
        let len = block_on(storage.load(RecordId::Settings, &mut bytes)).unwrap().unwrap();
        Settings::decode(&bytes[..len], Region::Eu868, &self.identity()).unwrap().settings
    }
}

#[test]
fn commands_are_done_and_the_relay_names_its_cause() {
    let mut bench = Bench::joined("");
    for (command, on) in
        [(Command::Off, false), (Command::Off, false), (Command::On, true), (Command::Toggle, false)]
    {
        assert_eq!(bench.ask("123456", Request::Command(command)).0, Code::Done);
        assert_eq!(bench.look().status.relay_on, on, "{command:?}");
    }
    let switched: Vec<_> = bench.relay().into_iter().skip(1).map(|(_, on, cause)| (on, cause)).collect();
    assert_eq!(switched, [(false, "nfc"), (true, "nfc"), (false, "nfc")]);
    bench.run(10_000).forget();
    assert_eq!(bench.ask("123456", Request::Command(Command::Report)).0, Code::Done);
    bench.run(10_000);
    assert_eq!(bench.uplinks().len(), 1);
    bench.forget();
    assert_eq!(bench.ask("123456", Request::Command(Command::Reboot)).0, Code::Done);
    bench.run(15_000);
    assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Reboot { cause: "nfc" })));
    assert_eq!(bench.look().answer.first(), None, "a restart forgets the answer");
}

#[test]
fn a_factory_reset_by_the_tag_brings_back_settings_and_password() {
    let mut bench = Bench::joined("");
    let mut wanted = bench.stored_or_default();
    wanted.general.reporting_interval_s = 600;
    wanted.general.password = Password::new(b"987654").unwrap();
    assert_eq!(bench.change(&wanted, &[Field::ReportingIntervalS, Field::Password]).0, Code::Done);
    assert_eq!(bench.ask("123456", TOGGLE).0, Code::WrongPassword);
    assert_eq!(bench.ask("987654", Request::Command(Command::FactoryReset)).0, Code::Done);
    bench.run(30_000);
    assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Reboot { cause: "factory_reset" })));
    assert_eq!(bench.look().settings.unwrap().general.reporting_interval_s, 1200);
    assert_eq!(bench.ask("123456", TOGGLE).0, Code::Done);
}

impl Bench {
    fn stored_or_default(&self) -> Settings {
        Settings::default_for(Region::Eu868, &self.identity())
    }
}

#[test]
fn a_write_that_ends_at_any_byte_changes_nothing_and_the_next_tap_works() {
    let mut bench = Bench::joined("");
    let before = bench.look();
    let mut form = [0; MAX_STORED];
    let len = others(bench.stored_or_default()).encode_change(Field::all(), &mut form).unwrap();
    let request = Request::Write { guard: Guard::ANY, form: &form[..len] };
    let request = message(&before, "123456", &request);
    // The head of the TLV, the message and its end, filled up to a block; and the first block again, with the length.
    let written = (4 + request.len() + 1).next_multiple_of(4) + 4;
    let whole = (0..written).find(|&cut| {
        bench.write(request.clone(), Cut::After(cut));
        bench.run(4_000);
        let read = bench.look();
        let is_done = read.status.challenge.sequence() == 1;
        assert!(is_done || read.settings == before.settings, "byte {cut}");
        is_done
    });
    // All of the length has to be there; but for its last byte, which a whole block has as it had before.
    let whole = whole.unwrap_or(written);
    println!("{whole} cuts of an RF write of {written} bytes");
    assert!(whole + 2 >= written, "{whole} of {written}");
    bench.run(20_000);
    assert_eq!(
        bench.ask("123456", TOGGLE).0,
        if whole == written { Code::Done } else { Code::WrongPassword }
    );
}

#[test]
fn what_is_old_foreign_or_nonsense_is_refused_and_the_next_tap_works() {
    let mut bench = Bench::joined("");
    let first = bench.look();
    let done = message(&first, "123456", &TOGGLE);
    bench.write(done.clone(), Cut::Never);
    bench.run(5_000);
    assert_eq!(bench.relay().len(), 2, "{:?}", bench.relay());
    bench.forget();
    let now = bench.look();
    assert_eq!(now.status.challenge.sequence(), 1);
    for (what, bytes, code) in refused(&now, done) {
        bench.write(bytes, Cut::Never);
        bench.run(8_000);
        let read = bench.look();
        assert_eq!(Answer::parse(&read.answer).map(|answer| answer.code), Ok(code), "{what}");
        assert_eq!(read.status.challenge, now.status.challenge, "{what}");
    }
    assert_eq!(bench.relay(), []);
    assert_eq!(bench.ask("123456", TOGGLE).0, Code::Done);
}

#[test]
fn a_request_that_was_written_without_power_is_obeyed_when_it_comes() {
    let mut bench = Bench::joined("");
    let read = bench.look();
    bench.act("power off").run(10_000).forget();
    bench.write(message(&read, "123456", &Request::Command(Command::Off)), Cut::Never);
    bench.act("power on").run(10_000);
    let switched: Vec<_> = bench.relay().into_iter().map(|(_, on, cause)| (on, cause)).collect();
    assert_eq!(switched, [(true, "power_up"), (false, "nfc")]);
}

#[test]
fn five_wrong_passwords_make_wait_and_a_power_cut_does_not_help() {
    let mut bench = Bench::joined("");
    for _ in 0..5 {
        assert_eq!(bench.ask("000000", TOGGLE).0, Code::WrongPassword);
    }
    assert_eq!(bench.ask("123456", TOGGLE).0, Code::Wait);
    bench.act("power off").run(10_000).act("power on").run(10_000);
    let (code, wait_s) = bench.ask("123456", TOGGLE);
    assert_eq!(code, Code::Wait);
    assert!((5..=30).contains(&wait_s[0]), "{wait_s:?}");
    bench.run(31_000).forget();
    assert_eq!(bench.ask("123456", TOGGLE).0, Code::Done);
    assert_eq!(bench.relay().len(), 1);
}

#[test]
fn a_change_is_whole_or_not_at_all_and_only_for_its_model_and_plan() {
    use sockeye_settings::Model;
    let mut bench = Bench::joined("");
    let mut wanted = bench.stored_or_default();
    (wanted.general.led, wanted.general.reporting_interval_s) = (false, 59);
    let fields = [Field::Led, Field::ReportingIntervalS];
    assert_eq!(bench.change(&wanted, &fields), (Code::Settings, vec![0x40, 3]));
    assert!(bench.look().settings.unwrap().general.led);
    for (guard, code) in [
        (Guard { model: Some(Model::Uk), region: None }, Code::OtherModel),
        (Guard { model: None, region: Some(Region::Us915) }, Code::OtherRegion),
        (Guard { model: Some(Model::Eu), region: Some(Region::Eu868) }, Code::Done),
    ] {
        assert_eq!(bench.ask("123456", Request::Write { guard, form: &[1, 0x41, 1, 0] }).0, code);
    }
    assert!(!bench.look().settings.unwrap().general.led);
}

#[test]
fn a_tag_that_is_stuck_keeps_nobody_else() {
    for fault in [BusFault::Stuck, BusFault::Absent, BusFault::Hangs] {
        let mut bench = Bench::joined("");
        bench.tag().set_fault(fault);
        // Whatever the phone does now, the socket does not see it.
        bench.run(30_000).forget();
        bench.act("press").run(5_000);
        bench.act("downlink 85 080100ff").run(5_000);
        bench.act("load 5000W").run(1_000);
        let switched: Vec<_> = bench.relay().into_iter().map(|(_, on, cause)| (on, cause)).collect();
        assert_eq!(switched, [(false, "button"), (true, "downlink"), (false, "hard_limit")], "{fault:?}");
        bench.act("load 0W").run(1_300_000);
        assert!(bench.uplinks().len() >= 4, "{fault:?}: {:?}", bench.uplinks());
        assert_eq!(bench.world.watchdog_resets(), 0, "{fault:?}");
        if fault != BusFault::Hangs {
            bench.tag().set_fault(BusFault::None);
            bench.run(30_000);
            assert_eq!(bench.ask("123456", TOGGLE).0, Code::Done, "{fault:?}");
        }
    }
}

#[test]
fn every_setting_of_chapter_3_goes_through_the_tag_into_the_flash_and_back() {
    let mut bench = Bench::joined("");
    let before = bench.stored_or_default();
    let wanted = others(before.clone());
    let mut tried = 0;
    for field in one_by_one() {
        assert_ne!(bytes_of(&before, field), bytes_of(&wanted, field), "{field}: the test changes nothing");
        assert_eq!(bench.change(&wanted, &together(field)), (Code::Done, vec![]), "{field}");
        // The radio's settings bring a restart.
        bench.run(10_000);
        assert_eq!(bytes_of(&bench.stored(), field), bytes_of(&wanted, field), "{field}: in flash");
        let read = bench.look().settings.unwrap();
        let expected = if field.is_secret() { &before } else { &wanted };
        assert_eq!(bytes_of(&read, field), bytes_of(expected, field), "{field}: to be read");
        tried += 1;
    }
    assert_eq!(tried, Field::COUNT - 1);
    assert_eq!(bench.stored(), wanted);
    bench.act("power off").run(10_000).act("power on").run(10_000);
    assert_eq!(bench.look().settings.unwrap().general.reporting_interval_s, 600);
    assert_eq!(bench.ask("000001", TOGGLE).0, Code::Done);
}

#[test]
fn another_channel_plan_is_set_and_joined_with() {
    let mut bench = Bench::joined("");
    let us915 = Settings::default_for(Region::Us915, &bench.identity());
    assert_eq!(bench.change(&us915, &[Field::Region]).0, Code::Done);
    bench.forget().run(60_000);
    assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Reboot { cause: "settings" })));
    assert_eq!(bench.look().status.region, Region::Us915);
    let asked = bench
        .events
        .iter()
        .any(|(_, event)| matches!(event, Event::JoinRequest { freq_hz: 902_300_000..=914_900_000, .. }));
    assert!(asked, "{:?}", bench.events);
}
