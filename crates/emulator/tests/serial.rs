//! The ToolBox on the serial line of the devkits, the RP2040's (PL011) and the Nucleo's (LPUART): requests as docs/NFC.md has them.
#![allow(missing_docs, reason = "tests")]

mod image;

use clap::Parser;
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::cli::Options;
use sockeye_host::world::World;
use sockeye_nfc::line::{Deframer, framed};
use sockeye_nfc::{Answer, Challenge, Command, Request, Seal};
use sockeye_settings::{Field, Password, Region};
use sockeye_toolbox::{Device as Known, Error, Link, LinkError, Talk};

use crate::image::Board;

/// How long the ToolBox waits for an answer.
const PATIENCE_MS: u64 = 3_000;

/// A board of which a variant has such a line.
trait Devkit: Board {
    const LINE: &'static str;
}

impl Devkit for Rp2040 {
    const LINE: &'static str = "serial-log";
}

impl Devkit for Stm32wl {
    const LINE: &'static str = "nucleo-wl55jc";
}

struct Bench<B: Devkit> {
    world: World<EmulatedSocket<B>>,
    /// What is on the line before each request.
    noise: Vec<u8>,
}

impl<B: Devkit> Bench<B> {
    /// A socket that has started.
    fn new() -> Self {
        let image = image::aside::<B>(B::LINE);
        let options = Options::parse_from(["test"]);
        let mut world = World::with(&options, |place| EmulatedSocket::new(&image, &place)).unwrap();
        world.run_until_ms(1_000);
        Self { world, noise: Vec::new() }
    }

    fn send(&self, bytes: &[u8]) {
        let socket = self.world.device(0).unwrap();
        socket.outside().line.send(self.world.now_ms() * 1000, bytes);
    }

    /// Lets time pass until frames are there, or for so long; gives them.
    fn frames(&mut self, count: usize, for_ms: u64) -> Vec<Vec<u8>> {
        let (mut deframer, mut buffer, mut frames) = (Deframer::default(), [0; 2048], Vec::new());
        let end_ms = self.world.now_ms() + for_ms;
        while frames.len() < count && self.world.now_ms() < end_ms {
            self.world.run_until_ms(self.world.now_ms() + 1);
            for byte in self.world.device(0).unwrap().outside().line.take() {
                frames.extend(deframer.push(byte, &mut buffer).map(|len| buffer[..len].to_vec()));
            }
        }
        frames
    }

    fn talk(&mut self, password: Password) -> Talk<&mut Self> {
        Talk::new(self, Some(password))
    }

    /// The image did nothing that a chip would not have let pass.
    fn is_clean(&self) {
        let socket = self.world.device(0).unwrap();
        let faults = socket.with_machine(|machine| machine.chip().core().faults().clone()).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(self.world.watchdog_resets(), 0);
    }
}

impl<B: Devkit> Link for &mut Bench<B> {
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        self.send(&self.noise);
        self.send(&framed(request).collect::<Vec<u8>>());
        self.frames(1, PATIENCE_MS).pop().ok_or(LinkError::Silent)
    }
}

fn known<B: Devkit>(talk: &mut Talk<&mut Bench<B>>) -> Known {
    let status = talk.status().unwrap();
    Known { status, settings: Some(talk.settings().unwrap()) }
}

fn status_and_settings_are_read_and_settings_written_over_the_line<B: Devkit>() {
    let mut bench = Bench::<B>::new();
    let mut talk = bench.talk(Password::DEFAULT);
    let before = known(&mut talk);
    assert_eq!(before.settings.as_ref().unwrap().lorawan.region, Region::Eu868);
    let mut wanted = before.settings.clone().unwrap();
    wanted.general.led = false;
    wanted.general.set_reporting_interval_s(600).unwrap();
    let fields = [Field::Led, Field::ReportingIntervalS];
    let (guard, form) = before.change(&wanted, &fields).unwrap();
    assert_eq!(talk.act(&Request::Write { guard, form: &form }), Ok(None));
    let after = talk.settings().unwrap();
    assert!(!after.general.led);
    assert_eq!(after.general.reporting_interval_s, 600);
    // The relay, and what is seen of it from outside.
    assert_eq!(talk.act(&Request::Command(Command::Off)), Ok(None));
    let status = talk.status().unwrap();
    assert!(!status.relay_on);
    bench.is_clean();
}

fn a_wrong_password_changes_nothing_and_five_cost_a_wait<B: Devkit>() {
    let mut bench = Bench::<B>::new();
    let off = Request::Command(Command::Off);
    let mut talk = bench.talk(Password::new(b"000000").unwrap());
    for _ in 0..4 {
        assert_eq!(talk.act(&off), Err(Error::WrongPassword { wait_s: 0 }));
    }
    assert_eq!(talk.act(&off), Err(Error::WrongPassword { wait_s: 30 }));
    assert!(matches!(talk.act(&off), Err(Error::Wait { .. })));
    // Not even the right one before the wait is over.
    let mut talk = bench.talk(Password::DEFAULT);
    assert!(matches!(talk.act(&off), Err(Error::Wait { .. })));
    assert!(talk.status().unwrap().relay_on);
    bench.world.run_until_ms(bench.world.now_ms() + 30_000);
    assert_eq!(bench.talk(Password::DEFAULT).act(&off), Ok(None));
    bench.is_clean();
}

fn noise_half_frames_and_two_requests_at_once_do_no_harm<B: Devkit>() {
    let mut bench = Bench::<B>::new();
    let mut out = [0; 64];
    let seal = Seal { sn: [0; 8], challenge: Challenge([7; 8]), keys: None };
    let len = seal.write(&Request::Status, &mut out).unwrap();
    let whole: Vec<u8> = framed(&out[..len]).collect();
    // Half a frame, and silence; then noise; then a frame with a bit turned.
    bench.send(&whole[..whole.len() / 2]);
    assert_eq!(bench.frames(1, 500), Vec::<Vec<u8>>::new());
    bench.send(b"\r\nlogin: \xff\x00\xdb\xdb");
    let mut spoilt = whole.clone();
    spoilt[4] ^= 1;
    bench.send(&spoilt);
    assert_eq!(bench.frames(1, 500), Vec::<Vec<u8>>::new());
    // More than any buffer holds.
    bench.send(&[0x55; 5_000]);
    assert_eq!(bench.frames(1, 1_000), Vec::<Vec<u8>>::new());
    // Two at once: both are answered, one after the other.
    bench.send(&[&whole[..], &whole].concat());
    let answers = bench.frames(2, PATIENCE_MS);
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        assert_eq!(Answer::parse(answer).unwrap().challenge, Challenge([7; 8]));
    }
    // And noise before each request of a session.
    bench.noise = b"\x00\xc0noise".to_vec();
    assert_eq!(bench.talk(Password::DEFAULT).act(&Request::Command(Command::Off)), Ok(None));
    bench.is_clean();
}

on_both! {
    status_and_settings_are_read_and_settings_written_over_the_line
    a_wrong_password_changes_nothing_and_five_cost_a_wait
    noise_half_frames_and_two_requests_at_once_do_no_harm
}
