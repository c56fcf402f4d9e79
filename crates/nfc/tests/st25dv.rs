//! What the driver says to an ST25DV, byte by byte: addresses and registers are those of facts/chips.md, 5.5.
#![allow(missing_docs, reason = "tests")]

use embassy_futures::block_on;
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use sockeye_nfc::st25dv::{Error, PIECE, St25dv};

/// A6 and AE, without the bit for the direction.
const USER: u8 = 0x53;
const SYSTEM: u8 = 0x57;

const OURS: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn write(chip: u8, bytes: &[u8]) -> Transaction {
    Transaction::write(chip, bytes.to_vec())
}

fn read(chip: u8, address: u16, bytes: &[u8]) -> Transaction {
    Transaction::write_read(chip, address.to_be_bytes().to_vec(), bytes.to_vec())
}

fn busy() -> ErrorKind {
    ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
}

/// Does something with a chip that expects exactly these transactions.
fn check<T>(expected: &[Transaction], what: impl AsyncFnOnce(&mut St25dv<&mut Mock, NoopDelay>) -> T) -> T {
    let mut bus = Mock::new(expected);
    let result = block_on(what(&mut St25dv::new(&mut bus, NoopDelay::new())));
    bus.done();
    result
}

#[test]
fn the_memory_is_read_in_pieces() {
    let first: Vec<u8> = (0..32).collect();
    let read_all = [read(USER, 0x0102, &first), read(USER, 0x0122, &[7, 8])];
    let out = check(&read_all, async |chip| {
        let mut out = [0; PIECE + 2];
        chip.read(0x0102, &mut out).await.unwrap();
        out
    });
    assert_eq!((&out[..32], &out[32..]), (&first[..], &[7, 8][..]));
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let old = [&[0; 32][..], &[9, 9]].concat();
    let new = [&[1; 32][..], &[9, 9]].concat();
    let expected = [
        read(USER, 0x0010, &old[..32]),
        write(USER, &[&[0x00, 0x10][..], &[1; 32]].concat()),
        read(USER, 0x0030, &old[32..]),
    ];
    assert_eq!(check(&expected, async |chip| chip.write(0x10, &new).await), Ok(()));
}

#[test]
fn a_chip_that_programs_is_asked_until_it_acknowledges() {
    let expected = [
        read(USER, 0, &[0]).with_error(busy()),
        read(USER, 0, &[0]).with_error(busy()),
        read(USER, 0, &[0x5a]),
    ];
    let mut out = [0];
    assert_eq!(check(&expected, async |chip| chip.read(0, &mut out).await), Ok(()));
    assert_eq!(out, [0x5a]);
}

#[test]
fn a_chip_that_never_acknowledges_is_an_error_and_no_hang() {
    let expected: Vec<_> = (0..150).map(|_| read(USER, 0x2005, &[0]).with_error(busy())).collect();
    assert_eq!(check(&expected, async |chip| chip.events().await), Err(Error::Busy));
}

#[test]
fn a_stuck_bus_is_an_error_at_once() {
    for error in [ErrorKind::Bus, ErrorKind::ArbitrationLoss, ErrorKind::Overrun, ErrorKind::Other] {
        let expected = [read(USER, 0x2005, &[0]).with_error(error)];
        assert_eq!(check(&expected, async |chip| chip.events().await), Err(Error::Bus));
    }
}

#[test]
fn events_are_the_bits_of_it_sts() {
    for (bits, wrote, fell) in
        [(0x00, false, false), (0x80, true, false), (0x08, false, true), (0x98, true, true)]
    {
        let events = check(&[read(USER, 0x2005, &[bits])], async |chip| chip.events().await).unwrap();
        assert_eq!((events.rf_wrote(), events.field_fell()), (wrote, fell), "{bits:#04x}");
    }
}

#[test]
fn the_size_of_the_memory_comes_from_the_chip() {
    // MEM_SIZE is the number of blocks less one: 04K, 16K, 64K.
    for (blocks, size) in [(0x007f_u16, 512), (0x01ff, 2048), (0x07ff, 8192)] {
        let [low, high] = blocks.to_le_bytes();
        let expected = [read(SYSTEM, 0x0014, &[low, high])];
        assert_eq!(check(&expected, async |chip| chip.memory().await), Ok(size));
    }
}

/// Password, what is done with it, password again.
fn password(password: [u8; 8], what: u8) -> Transaction {
    write(SYSTEM, &[&[0x09, 0x00][..], &password, &[what], &password].concat())
}

#[test]
fn a_new_chip_gets_our_password_and_is_set_up() {
    let expected = [
        password(OURS, 0x09),
        read(USER, 0x2004, &[0]),
        password([0; 8], 0x09),
        read(USER, 0x2004, &[1]),
        password(OURS, 0x07),
        // GPO: enabled, RF write, field change. No mailbox. The configuration is locked for RF.
        read(SYSTEM, 0x0000, &[0x88]).with_error(busy()),
        read(SYSTEM, 0x0000, &[0x88]),
        write(SYSTEM, &[0x00, 0x00, 0xc8]),
        read(SYSTEM, 0x000d, &[0x00]),
        read(SYSTEM, 0x000f, &[0x00]),
        write(SYSTEM, &[0x00, 0x0f, 0x01]),
    ];
    assert_eq!(check(&expected, async |chip| chip.set_up(OURS).await), Ok(()));
}

#[test]
fn a_chip_that_is_set_up_is_left_as_it_is() {
    let expected = [
        password(OURS, 0x09),
        read(USER, 0x2004, &[1]),
        read(SYSTEM, 0x0000, &[0xc8]),
        read(SYSTEM, 0x000d, &[0x00]),
        read(SYSTEM, 0x000f, &[0x01]),
    ];
    assert_eq!(check(&expected, async |chip| chip.set_up(OURS).await), Ok(()));
}

#[test]
fn a_chip_with_a_strangers_password_is_told() {
    let expected =
        [password(OURS, 0x09), read(USER, 0x2004, &[0]), password([0; 8], 0x09), read(USER, 0x2004, &[0])];
    assert_eq!(check(&expected, async |chip| chip.set_up(OURS).await), Err(Error::Password));
}
