//! What the tag's driver says to an ST25DV, byte by byte: addresses and registers are those of facts/chips.md, 5.5.
#![allow(missing_docs, reason = "tests")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::digital::ErrorType;
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::digital::Wait;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use sockeye_nfc::{Arrival, Port, Shown, Tag};

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

/// A pin that never falls.
struct Still;

impl ErrorType for Still {
    type Error = Infallible;
}

impl Wait for Still {
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
}

/// Time that passes at once, up to the first pause that is longer than 1 ms; it keeps that one.
#[derive(Clone, Default)]
struct Time(Rc<RefCell<Vec<u32>>>);

impl DelayNs for Time {
    async fn delay_ns(&mut self, ns: u32) {
        self.delay_ms(ns / 1_000_000).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        if ms > 1 {
            self.0.borrow_mut().push(ms);
            std::future::pending::<()>().await;
        }
    }
}

type Dut = Tag<Mock, Still, Time>;

/// A tag on a bus that expects exactly these transactions.
struct Rig {
    bus: Mock,
    tag: Dut,
    time: Time,
    buffer: Vec<u8>,
}

impl Rig {
    fn new(expected: &[Transaction]) -> Self {
        let (bus, time) = (Mock::new(expected), Time::default());
        Self { tag: Tag::new(bus.clone(), Still, time.clone(), OURS), bus, time, buffer: vec![0; 2048] }
    }

    /// Runs to the next arrival, or to the pause before the next look.
    fn next(&mut self) -> Result<Arrival, u32> {
        let arrival = {
            let mut next = std::pin::pin!(self.tag.next(&mut self.buffer));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            next.as_mut().poll(&mut context)
        };
        match arrival {
            std::task::Poll::Ready(arrival) => Ok(arrival),
            std::task::Poll::Pending => Err(self.time.0.borrow_mut().pop().unwrap()),
        }
    }

    fn show(&mut self, status: &[u8], answer: &[u8]) {
        let shown = Shown { status, settings: &[], answer };
        embassy_futures::block_on(self.tag.show(shown, &mut self.buffer));
    }
}

/// What is said to a chip that is set up and has so many bytes.
fn known(bytes: u16) -> Vec<Transaction> {
    let [low, high] = (bytes / 4 - 1).to_le_bytes();
    vec![
        password(OURS, 0x09),
        read(USER, 0x2004, &[1]),
        read(SYSTEM, 0x0000, &[0xc8]),
        read(SYSTEM, 0x000d, &[0x00]),
        read(SYSTEM, 0x000f, &[0x01]),
        read(SYSTEM, 0x0014, &[low, high]),
    ]
}

/// No message, behind a container of 4 bytes or of 8.
fn nothing(container: u16) -> Transaction {
    read(USER, container, &[0xff; 16])
}

/// Password, what is done with it, password again.
fn password(password: [u8; 8], what: u8) -> Transaction {
    write(SYSTEM, &[&[0x09, 0x00][..], &password, &[what], &password].concat())
}

fn check(expected: Vec<Transaction>, arrival: Result<Arrival, u32>) {
    let mut rig = Rig::new(&expected);
    assert_eq!(rig.next(), arrival);
    rig.bus.done();
}

#[test]
fn a_new_chip_gets_our_password_and_is_set_up() {
    let expected = vec![
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
        read(SYSTEM, 0x0014, &[0x7f, 0x00]),
        nothing(4),
    ];
    check(expected, Ok(Arrival::Refresh));
}

#[test]
fn a_chip_that_is_set_up_is_left_as_it_is() {
    // MEM_SIZE is the number of blocks less one: 04K, 16K, 64K; the container of the largest two has 8 bytes.
    for (size, container) in [(512, 4), (2048, 8), (8192, 8)] {
        check([known(size), vec![nothing(container)]].concat(), Ok(Arrival::Refresh));
    }
}

#[test]
fn a_chip_with_a_strangers_password_does_what_it_can() {
    let expected = vec![
        password(OURS, 0x09),
        read(USER, 0x2004, &[0]),
        password([0; 8], 0x09),
        read(USER, 0x2004, &[0]),
        read(SYSTEM, 0x0014, &[0x7f, 0x00]),
        nothing(4),
    ];
    check(expected, Ok(Arrival::Refresh));
}

#[test]
fn a_chip_that_never_acknowledges_is_an_error_and_no_hang() {
    let expected = (0..151).map(|_| password(OURS, 0x09).with_error(busy())).collect();
    check(expected, Err(10_000));
}

#[test]
fn a_stuck_bus_is_an_error_at_once() {
    for error in [ErrorKind::Bus, ErrorKind::ArbitrationLoss, ErrorKind::Overrun, ErrorKind::Other] {
        check(vec![password(OURS, 0x09).with_error(error)], Err(10_000));
    }
}

/// A message with a request, as it lies behind a container of 4 bytes: TLV, record.
fn request(payload: &[u8]) -> Vec<u8> {
    let record = [&[0xd4, 15, payload.len() as u8][..], b"sockeye:request", payload].concat();
    [&[3, record.len() as u8][..], &record, &[0xfe]].concat()
}

#[test]
fn a_request_is_read_in_pieces_and_found() {
    let tlv = request(&[7; 30]);
    let expected = [
        known(512),
        vec![read(USER, 4, &tlv[..16]), read(USER, 6, &tlv[2..34]), read(USER, 38, &tlv[34..50])],
    ];
    let mut rig = Rig::new(&expected.concat());
    assert_eq!(rig.next(), Ok(Arrival::Request(18..48)));
    assert_eq!(rig.buffer[18..48], [7; 30]);
    rig.bus.done();
}

#[test]
fn a_message_longer_than_memory_or_buffer_is_not_read() {
    check(
        [known(512), vec![read(USER, 4, &[&[3, 0xff, 2, 0][..], &[0; 12]].concat())]].concat(),
        Ok(Arrival::TooLong),
    );
    check(
        [known(8192), vec![read(USER, 8, &[&[3, 0xff, 8, 1][..], &[0; 12]].concat())]].concat(),
        Ok(Arrival::TooLong),
    );
}

#[test]
fn what_is_shown_has_its_length_last_and_what_is_there_already_is_not_written_again() {
    let record = [&[0x94, 14, 40][..], b"sockeye:status", &[9; 40], b"\x54\x10\x00sockeye:settings"].concat();
    let container = [0xe1, 0x40, 0x40, 0x01];
    let first = [&container[..], &[3, 0], &record[..26]].concat();
    let rest = [&record[26..], &[0xfe]].concat();
    let expected = [
        known(512),
        vec![
            nothing(4),
            // No length, then what differs, in the order of the memory, then the length.
            write(USER, &[0, 4, 3, 0, record[0], record[1]]),
            read(USER, 0, &first),
            read(USER, 32, &[0; 32]).with_error(busy()),
            read(USER, 32, &[0; 32]),
            write(USER, &[&[0, 32][..], &rest[..32]].concat()),
            // The last piece is there.
            read(USER, 64, &rest[32..]),
            write(USER, &[0, 4, 3, record.len() as u8]),
            read(USER, 0x2005, &[0]),
        ],
    ];
    let mut rig = Rig::new(&expected.concat());
    assert_eq!(rig.next(), Ok(Arrival::Refresh));
    rig.show(&[9; 40], &[]);
    assert_eq!(rig.next(), Err(5_000));
    rig.bus.done();
}

#[test]
fn events_are_the_bits_of_it_sts() {
    // A write by RF, or something else: the next look is soon, or not.
    let first = b"\xe1\x40\x40\x01\x03\x00\x94\x0e\x01sockeye:status\x05\x54\x10\x00socke";
    for (bits, pause_ms) in [(0x00, 5_000), (0x80, 50), (0x08, 5_000), (0x10, 5_000), (0x90, 50)] {
        let shown = vec![
            nothing(4),
            write(USER, &[0, 4, 3, 0, 0x94, 14]),
            read(USER, 0, &first[..32]),
            read(USER, 32, b"ye:settings\xfe"),
            write(USER, &[0, 4, 3, 37]),
            read(USER, 0x2005, &[bits]),
        ];
        let mut rig = Rig::new(&[known(512), shown].concat());
        assert_eq!(rig.next(), Ok(Arrival::Refresh));
        rig.show(&[5], &[]);
        assert_eq!(rig.next(), Err(pause_ms), "{bits:#04x}");
        rig.bus.done();
    }
}
