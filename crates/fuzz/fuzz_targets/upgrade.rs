//! Any bytes as the header of an update, some of them signed: no panic, and only what is signed is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_upgrade::{BoardName, Device, HEADER_LEN, Header, Refusal, Verify};

/// A signature is right if it is the message's first byte, 64 times: what a fuzzer finds, as no key could be found.
struct Toy;

impl Verify for Toy {
    type Hash = ();

    fn begin(&mut self) {}

    fn update(&mut self, _: &mut (), _: &[u8]) {}

    fn finish(&mut self, _: ()) -> [u8; 64] {
        [0; 64]
    }

    fn is_signed(&mut self, message: &[u8; 96], signature: &[u8; 64]) -> bool {
        signature.iter().all(|byte| *byte == message[0])
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::parse(bytes) else { return };
    assert_eq!(header.to_bytes(), bytes[..HEADER_LEN]);
    let image = header.image();
    assert_eq!(BoardName::new(image.board.as_str()), Some(image.board));
    let device = Device {
        board: BoardName::new("lora-e5").expect("a name"),
        hardware: [0x01, 0x40],
        version: [0x01, 0x13],
        capacity: 112_640,
    };
    match header.check(&device, &mut Toy) {
        Ok(()) => {
            assert!(image.board == device.board && image.version > device.version);
            assert!(image.hardware_min <= device.hardware && device.hardware <= image.hardware_max);
            assert!((1..=device.capacity).contains(&image.len));
            assert_eq!(bytes[96..160], [bytes[0]; 64]);
        }
        Err(refusal) => assert_eq!(Refusal::from_code(refusal.code(), 0), Some(refusal)),
    }
});
