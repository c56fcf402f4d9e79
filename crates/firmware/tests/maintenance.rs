//! What somebody at the port asks, and what they are told came of it.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, identity};
use futures::executor::block_on;
use sockeye_metering::Correction;
use sockeye_nfc::{Answer, Challenge, Code, Command, Guard, Keys, Request, Seal, Status};
use sockeye_settings::{Field, Identity, Key, Password, Region, Settings};
use sockeye_state_machine::ResetCause;
use sockeye_storage::RecordId;

impl Bench {
    fn ask(&self, request: &Request<'_>) {
        let keys = block_on(Keys::derive(&Password::DEFAULT, &identity().sn));
        let seal = Seal { sn: identity().sn, challenge: self.status().challenge, keys: Some(&keys) };
        let mut bytes = [0; 512];
        let len = seal.write(request, &mut bytes).unwrap();
        self.requests.borrow_mut().push_back(bytes[..len].to_vec());
        self.request_came.notify();
    }

    fn status(&self) -> Status {
        Status::parse(&self.shown.borrow().last().unwrap().status).unwrap()
    }

    /// What was answered so far, and to which challenge.
    fn answers(&self) -> Vec<(Code, Challenge)> {
        let answers = self.shown.borrow();
        let answers = answers.iter().map(|shown| &shown.answer).filter(|answer| !answer.is_empty());
        answers.map(|answer| Answer::parse(answer).map(|it| (it.code, it.challenge)).unwrap()).collect()
    }

    /// How often something was told.
    fn count(&self, notice: &str) -> usize {
        self.seen.borrow().iter().filter(|(_, seen)| seen.starts_with(notice)).count()
    }
}

fn started() -> Bench {
    let bench = Bench::new();
    bench.has_port.set(true);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(5_000);
    bench
}

#[test]
fn what_takes_long_is_answered_by_what_came_of_it_and_nothing_is_done_after_another_answer() {
    let bench = started();
    for (round, command) in (1..).zip([Command::Off, Command::On]) {
        let challenge = bench.status().challenge;
        bench.flash_hangs.set(true);
        bench.ask(&Request::Command(command));
        bench.run_ms(20_000);
        // Not stored yet, so not done; and nobody is told that it will not be.
        assert_eq!((bench.answers().len(), bench.count("relay")), (round - 1, round));
        bench.flash_hangs.set(false);
        bench.flash_goes_on.notify();
        bench.run_ms(2_000);
        assert_eq!(bench.answers().last(), Some(&(Code::Done, challenge)));
        assert_eq!(bench.status().relay_on, command == Command::On);
    }
    // The challenge was used up in flash before the relay was switched.
    let seen = bench.seen.borrow();
    let order = seen
        .iter()
        .map(|(_, seen)| &seen[..])
        .filter(|seen| matches!(*seen, "stored maintenance" | "relay false nfc" | "relay true nfc"));
    let order: Vec<_> = order.skip_while(|seen| *seen == "stored maintenance").collect();
    assert_eq!(order, ["relay false nfc", "stored maintenance", "relay true nfc"]);
}

#[test]
fn an_upgrade_that_waits_for_the_flash_is_answered_by_what_came_of_it() {
    let bench = started();
    let challenge = bench.status().challenge;
    bench.flash_hangs.set(true);
    bench.ask(&Request::UpgradeBegin { header: &[0; 10] });
    bench.run_ms(20_000);
    assert_eq!(bench.answers(), []);
    bench.flash_hangs.set(false);
    bench.flash_goes_on.notify();
    bench.run_ms(2_000);
    assert_eq!(bench.answers(), [(Code::Upgrade, challenge)]);
}

/// Lets a socket with all its records restart, for a reason; tells what the flash then holds. It loses its sense so long before the
/// restart.
fn restarted(request: &Request<'_>, lost_before_us: Option<(u64, u64)>) -> (Bench, Vec<Option<Vec<u8>>>) {
    let own = Identity { app_key: Key::new([9; 16]), ..identity() }.encode();
    let calibration = Correction::new(1, 2, 3).unwrap().encode();
    let bench = Bench::new().stored(&[(RecordId::Identity, &own), (RecordId::Calibration, &calibration)]);
    bench.has_port.set(true);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(40_000);
    bench.button.hold(100_000);
    bench.run_ms(5_000);
    bench.ask(request);
    if let Some((reset_us, before_us)) = lost_before_us {
        bench.sim.run_until_us(reset_us - before_us);
        assert_eq!(bench.resets.get(), 0);
        bench.make_nonsense();
    }
    bench.run_ms(60_000);
    assert_eq!(bench.resets.get(), 1);
    let kept = [RecordId::Identity, RecordId::Calibration, RecordId::MacCounters, RecordId::RelayState];
    let loaded = kept.map(|id| bench.load(id)).to_vec();
    (bench, loaded)
}

#[test]
fn rule_4_what_the_flash_loses_right_before_a_restart_is_stored_again_before_it() {
    let mut other = Settings::default_for(Region::Eu868, &identity());
    other.lorawan.join_eui = [7; 8];
    let mut form = [0; 1024];
    let len = other.encode_change([Field::JoinEui], &mut form).unwrap();
    for (name, request) in [
        ("command", Request::Command(Command::Reboot)),
        ("factory reset", Request::Command(Command::FactoryReset)),
        ("settings", Request::Write { guard: Guard::ANY, form: &form[..len] }),
    ] {
        let (bench, whole) = restarted(&request, None);
        assert!(whole.iter().all(Option::is_some), "{name}: {whole:?}");
        let reset_us = bench.reset_us.get().unwrap();
        for before_us in [1, 1_500, 20_000] {
            let (bench, after) = restarted(&request, Some((reset_us, before_us)));
            let error = "Error { what: \"flash: it held nothing of sense";
            assert!(bench.when(error).is_some(), "{name}, {before_us} us before");
            assert_eq!(after, whole, "{name}, {before_us} us before");
            // What was given back first is reset as well.
            let settings = bench.load(RecordId::Settings).is_some();
            assert_eq!(settings, name != "factory reset", "{name}, {before_us} us before");
        }
    }
}
