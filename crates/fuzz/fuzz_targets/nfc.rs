//! Any bytes as a request, an answer, a status and a serial line: no panic, and nobody opens what needs the password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_nfc::line::{Deframer, framed};
use sockeye_nfc::{Answer, Session, Status};
use sockeye_settings::Password;

const SN: [u8; 8] = [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(status) = Status::parse(bytes) {
        assert_eq!(Status::parse(&status.bytes()), Ok(status));
    }
    if let Ok(answer) = Answer::parse(bytes) {
        let _ = (answer.wait_s(), answer.refusal(), answer.upgrade());
    }
    let mut deframer = Deframer::default();
    let mut buffer = [0; 64];
    for &byte in bytes {
        if let Some(len) = deframer.push(byte, &mut buffer) {
            let frame: Vec<u8> = framed(&buffer[..len]).collect();
            assert!(frame.len() >= len + 4);
        }
    }
    // Up to the password: with the challenge of a device that was never used.
    let mut session = Session::new(SN, None, 0, 0);
    let challenge = session.challenge();
    let mut request = bytes.to_vec();
    let opened = block_on(session.open(0, &Password::DEFAULT, &mut request));
    if let Ok(request) = opened {
        assert!(!request.kind().is_guarded());
    }
    assert_eq!(session.challenge(), challenge);
});

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
