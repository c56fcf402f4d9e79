//! What somebody at the port asks, and what they are told came of it.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, identity};
use futures::executor::block_on;
use sockeye_nfc::{Answer, Challenge, Code, Command, Keys, Request, Seal, Status};
use sockeye_settings::Password;
use sockeye_state_machine::ResetCause;

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
