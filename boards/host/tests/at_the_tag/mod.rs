//! What the tests of the tag bring to it, here and on the images in emulation: requests as the tool makes them, and every setting of
//! the guide's chapter 3, another one than its default.

use std::cell::RefCell;
use std::rc::Rc;

use embassy_futures::block_on;
use sockeye_host::nfc::Read;
use sockeye_nfc::ndef::{self, Record};
use sockeye_nfc::{Challenge, Code, Command, Guard, Keys, Request, Seal};
use sockeye_settings::{
    Action, Activation, ButtonLock, ChannelSet, D2dCommand, Field, Key, Password, PowerRestore, Settings,
    Threshold, Version,
};
use sockeye_virtual_hardware::sim::Sim;

/// The command of these tests.
pub const TOGGLE: Request<'static> = Request::Command(Command::Toggle);

/// Lists the fields as they can be set one after the other: the password last, as those before it are written with the old
/// one, and without the plan, which brings others.
pub fn one_by_one() -> Vec<Field> {
    let (last, rest): (Vec<_>, Vec<_>) = Field::all().partition(|field| *field == Field::Password);
    rest.into_iter().chain(last).filter(|field| *field != Field::Region).collect()
}

/// Gives what has to be written together with a field: two hang on others, and alone they would be refused.
pub fn together(field: Field) -> Vec<Field> {
    match field {
        Field::Channels => vec![Field::ChannelFrequencies, Field::Channels],
        _ => vec![field],
    }
}

/// Makes of default settings such as differ from them in every field but the plan.
pub fn others(mut settings: Settings) -> Settings {
    let lorawan = &mut settings.lorawan;
    (lorawan.join_eui, lorawan.application_port, lorawan.activation) = ([1; 8], 86, Activation::Abp);
    (lorawan.app_key, lorawan.nwk_s_key, lorawan.app_s_key) =
        (Key::new([6; 16]), Key::new([1; 16]), Key::new([2; 16]));
    (lorawan.dev_addr, lorawan.version, lorawan.rx2_data_rate) = (0x2601_2345, Version::V1_0_2, 3);
    lorawan.rx2_frequency_hz = 868_100_000;
    lorawan.channels.frequency_hz[3] = 867_100_000;
    lorawan.channels.enabled = ChannelSet::EMPTY.with(3);
    (lorawan.single_channel, lorawan.confirmed, lorawan.rejoin, lorawan.rejoin_packets) =
        (true, true, false, 7);
    (lorawan.adr, lorawan.data_rate, lorawan.tx_power_dbm) = (false, 5, 2);
    for (group, address) in settings.multicast.iter_mut().zip(1..) {
        (group.enabled, group.dev_addr) = (true, address);
        (group.nwk_s_key, group.app_s_key) = (Key::new([3; 16]), Key::new([4; 16]));
    }
    let general = &mut settings.general;
    (general.reporting_interval_s, general.led, general.power_consumption) = (600, false, false);
    general.power_restore = PowerRestore::On;
    general.button_lock = ButtonLock { enabled: true, minutes: 0 };
    general.overcurrent_alarm = Threshold { enabled: false, current_a: 7 };
    general.overcurrent_protection = Threshold { enabled: true, current_a: 8 };
    general.password = Password::new(b"000001").unwrap();
    settings.d2d.enabled = true;
    settings.d2d.key = Key::new([5; 16]);
    settings.d2d.commands = (0..16).map(|code| D2dCommand { code, action: Action::On }).collect();
    settings
}

/// Gives the bytes of one field.
pub fn bytes_of(settings: &Settings, field: Field) -> Vec<u8> {
    let mut out = [0; 100];
    let len = settings.encode_change([field], &mut out).unwrap();
    out[..len].to_vec()
}

/// A message with a request, as the tool makes it.
pub fn message(read: &Read, password: &str, request: &Request<'_>) -> Vec<u8> {
    let (sn, challenge) = (read.status.sn, read.status.challenge);
    sealed(sn, challenge, password, request)
}

/// The same for any device and challenge.
pub fn sealed(sn: [u8; 8], challenge: Challenge, password: &str, request: &Request<'_>) -> Vec<u8> {
    let keys = block_on(Keys::derive(&Password::new(password.as_bytes()).unwrap(), &sn));
    let mut bytes = vec![0; 8000];
    let len = Seal { sn, challenge, keys: Some(&keys) }.write(request, &mut bytes).unwrap();
    wrapped(&bytes[..len])
}

/// A message with any bytes as its request.
pub fn wrapped(request: &[u8]) -> Vec<u8> {
    let mut message = vec![0; request.len() + ndef::RECORD_HEADER];
    let len = ndef::message(&[(Record::Request, request)], &mut message).unwrap();
    message.truncate(len);
    message
}

/// Messages that are no request of now, each with what it is refused as; `done` is one that was obeyed before.
pub fn refused(now: &Read, done: Vec<u8>) -> Vec<(&'static str, Vec<u8>, Code)> {
    let other = sealed([9; 8], now.status.challenge, "123456", &TOGGLE);
    let long = message(now, "123456", &Request::Write { guard: Guard::ANY, form: &[0; 2500] });
    let noise: Vec<u8> = (0..200_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let uri = b"\xd1\x01\x04U\x04a.b".to_vec();
    let mut short = message(now, "123456", &TOGGLE);
    short.truncate(short.len() - 1);
    vec![
        ("the last one again", done, Code::Stale),
        ("for another device", other, Code::OtherDevice),
        ("longer than the buffer", long, Code::TooLong),
        ("noise", noise.clone(), Code::Malformed),
        ("noise in our record", wrapped(&noise), Code::Malformed),
        ("a link", uri, Code::Malformed),
        ("a record that is cut", short, Code::Malformed),
        ("nothing", Vec::new(), Code::Malformed),
    ]
}

/// Lets somebody do something in a simulation, to its end; `run` lets 0.1 s of it pass.
pub fn lets<T: 'static>(sim: &Sim, what: impl Future<Output = T> + 'static, mut run: impl FnMut()) -> T {
    let done = Rc::new(RefCell::new(None));
    let place = done.clone();
    sim.spawn(async move {
        let value = what.await;
        *place.borrow_mut() = Some(value);
    });
    for _ in 0..1000 {
        run();
        if let Some(value) = done.take() {
            return value;
        }
    }
    panic!("it takes longer than 100 s");
}
