//! D2D on the tasks: in flash first, then obeyed.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, identity};
use sockeye_d2d_agent::{Keys, Message};
use sockeye_settings::{Action, D2dCommand, Key, Region, Settings};
use sockeye_state_machine::ResetCause;
use sockeye_storage::RecordId;

const ON: u16 = 0x1510;
const OFF: u16 = 0x1511;

/// A frame of one controller under the default key.
fn frame(counter: u32, command: u16) -> Vec<u8> {
    let message = Message { sender: 0x0102_0304, counter, command };
    message.seal(&Keys::new(Key::DEFAULT.as_bytes()), &[]).unwrap().to_vec()
}

/// A socket with D2D as said, one second after its start: it has no session and waits to join.
fn socket(enabled: bool) -> Bench {
    let mut settings = Settings::default_for(Region::Eu868, &identity());
    settings.d2d.enabled = enabled;
    for (code, action) in [(ON, Action::On), (OFF, Action::Off)] {
        settings.d2d.commands.push(D2dCommand { code, action }).unwrap();
    }
    let mut bytes = [0; 1024];
    let length = settings.encode(&mut bytes).unwrap();
    let bench = Bench::new().stored(&[(RecordId::Settings, &bytes[..length])]);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench
}

#[test]
fn a_command_is_in_flash_before_the_relay_switches() {
    let bench = socket(true);
    bench.send(&frame(1, OFF));
    bench.run_ms(100);
    assert_eq!(bench.relay.get(), Some(false));
    let seen = bench.seen.borrow().iter().map(|(_, seen)| seen.clone()).collect::<Vec<_>>();
    let place =
        |what: &str| seen.iter().position(|seen| seen == what).unwrap_or_else(|| panic!("{what}: {seen:?}"));
    assert!(place("stored d2d_senders") < place("relay false d2d"));
    assert!(bench.load(RecordId::D2dSenders).is_some());
}

#[test]
fn a_disabled_agent_is_not_on_the_air_without_a_session() {
    let bench = socket(false);
    let calls = bench.radio_calls.get();
    bench.send(&frame(1, OFF));
    bench.run_ms(1_000);
    assert_eq!((bench.relay.get(), bench.radio_calls.get()), (Some(true), calls));
}

#[test]
fn a_command_that_the_flash_does_not_take_is_dropped_and_the_radio_goes_on() {
    let bench = socket(true);
    bench.flash.power_off();
    bench.send(&frame(1, OFF));
    bench.run_ms(1_000);
    assert!(bench.when("Error { what: \"flash: a record could not be stored\" }").is_some());
    assert_eq!(bench.relay.get(), Some(true));
    bench.flash.power_on();
    // Not later either: it was heard, and is over.
    bench.send(&frame(1, OFF));
    bench.run_ms(1_000);
    assert!(bench.when("Error { what: \"d2d: old counter\" }").is_some());
    assert_eq!(bench.relay.get(), Some(true));
    bench.send(&frame(2, OFF));
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(false));
}

#[test]
fn the_button_works_while_a_command_waits_for_a_flash_that_hangs() {
    let bench = socket(true);
    bench.flash_hangs.set(true);
    bench.send(&frame(1, ON));
    bench.run_ms(1_000);
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(false));
    assert!(bench.when("relay true d2d").is_none());
}

#[test]
fn a_factory_reset_forgets_the_senders_with_the_settings() {
    let bench = socket(true);
    bench.send(&frame(1, OFF));
    bench.run_ms(1_000);
    assert!(bench.load(RecordId::D2dSenders).is_some());
    bench.button.hold(11_000_000);
    bench.run_ms(20_000);
    assert_eq!(bench.resets.get(), 1);
    assert_eq!((bench.load(RecordId::D2dSenders), bench.load(RecordId::Settings)), (None, None));
}

#[test]
fn a_flash_that_loses_its_records_while_the_socket_runs_does_not_let_a_command_be_given_again() {
    let bench = socket(true);
    bench.send(&frame(1, OFF));
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(false));
    bench.make_nonsense();
    // Anything that is stored finds it out: here the relay's state.
    bench.button.hold(100_000);
    bench.run_ms(60_000);
    assert_eq!(bench.relay.get(), Some(true));
    assert!(bench.when("Error { what: \"flash: it held nothing of sense and was erased\" }").is_some());
    assert!(bench.load(RecordId::Settings).is_some(), "the agent is still enabled");
    let mut again = Bench::new();
    again.flash = bench.flash.clone();
    again.start(ResetCause::PowerOn);
    again.run_ms(1_000);
    again.send(&frame(1, OFF));
    again.run_ms(1_000);
    assert_eq!(again.relay.get(), Some(true));
    assert!(again.when("Error { what: \"d2d: old counter\" }").is_some());
}
