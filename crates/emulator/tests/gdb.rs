//! A debugger at the images, by GDB's remote protocol as it stands in "Debugging with GDB", appendix E.
#![allow(missing_docs, reason = "tests")]

mod image;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser;
use image::Board;
use sockeye_emulator::gdb::Server;
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::world::World;

/// The least of a debugger.
struct Gdb(TcpStream);

impl Gdb {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        byte[0]
    }

    fn send(&mut self, text: &str) {
        let sum = text.bytes().fold(0, u8::wrapping_add);
        write!(self.0, "${text}#{sum:02x}").unwrap();
        assert_eq!(self.byte(), b'+', "{text}");
    }

    fn answer(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut text = Vec::new();
        loop {
            match self.byte() {
                b'#' => break,
                byte => text.push(byte),
            }
        }
        let (_, _) = (self.byte(), self.byte());
        self.0.write_all(b"+").unwrap();
        let mut plain = String::new();
        let mut bytes = text.iter();
        // A star and a number stand for that many more of the character before; 29 is none (E.1, run-length encoding).
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' => {
                    let more = usize::from(bytes.next().unwrap() - 29);
                    let last = plain.chars().last().unwrap();
                    plain.extend(std::iter::repeat_n(last, more));
                }
                other => plain.push(char::from(*other)),
            }
        }
        plain
    }

    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.answer()
    }

    /// R0 to R15 and the status.
    fn registers(&mut self) -> Vec<u32> {
        let answer = self.ask("g");
        let bytes: Vec<u8> = (0..answer.len() / 2)
            .map(|at| u8::from_str_radix(&answer[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    fn pc(&mut self) -> u32 {
        self.registers()[15]
    }

    fn word(&mut self, address: u32) -> u32 {
        let answer = self.ask(&format!("m{address:x},4"));
        u32::from_str_radix(&answer, 16).unwrap_or_else(|_| panic!("{address:#x}: {answer}")).swap_bytes()
    }
}

/// What the other side of the connection has seen in the end.
struct Seen {
    now_ms: u64,
    joined: bool,
    faults: Vec<String>,
}

/// Runs a socket for so long of its time, with a debugger, in another thread.
fn run<B: Board>(for_ms: u64, script: &'static str) -> (SocketAddr, JoinHandle<Seen>) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let image = image::of::<B>();
        let server = Rc::new(Server::<B>::listen(0).unwrap());
        tell.send(server.address().unwrap()).unwrap();
        let options = Options::parse_from(["test"]);
        let mut world = World::with(&options, |place| {
            let socket = EmulatedSocket::new(&image, &place)?;
            socket.debug(&server)?;
            Ok(socket)
        })
        .unwrap();
        let schedule = sockeye_host::script::Schedule::from_bytes(script.as_bytes()).unwrap();
        let mut joined = false;
        world
            .run_script(&schedule, for_ms, |(_, _, event)| {
                joined |= matches!(event, Event::Joined { .. });
                Ok::<_, ()>(())
            })
            .unwrap();
        let machine = world.device(0).unwrap();
        let faults = machine.with_machine(|machine| machine.chip().core().faults().keys().cloned().collect());
        Seen { now_ms: world.now_ms(), joined, faults: faults.unwrap() }
    });
    (told.recv().unwrap(), thread)
}

fn a_debugger_breaks_at_a_symbol_reads_steps_and_goes_on<B: Board>() {
    let image = image::of::<B>();
    let main = image.start_of("main").unwrap();
    let (address, thread) = run::<B>(60_000, "");
    let mut gdb = Gdb::connect(address);
    assert!(gdb.ask("qSupported:swbreak+;hwbreak+;xmlRegisters=arm").contains("PacketSize"));
    assert!(gdb.ask("qXfer:features:read:target.xml:0,fff").contains("m-profile"));
    assert!(gdb.ask("?").starts_with(['S', 'T']));
    // Halted at reset: nothing has run.
    let start = gdb.pc();
    assert_ne!(start, main);

    assert_eq!(gdb.ask(&format!("Z0,{main:x},2")), "OK");
    assert!(gdb.ask("c").contains("swbreak"), "halts at main");
    let registers = gdb.registers();
    assert_eq!(registers.len(), 17);
    assert_eq!(registers[15], main);
    assert!((0x2000_0000..0x2005_0000).contains(&registers[13]), "SP {:#x}", registers[13]);
    assert_eq!(registers[16] & 0x1FF, 0, "no exception runs");

    // What lies there is what the image has there, and it does not change by itself.
    let code = gdb.word(main & !3);
    assert_ne!(code, 0);
    // One instruction after the other, a branch among them somewhere: PC moves each time.
    let mut pc = main;
    for _ in 0..50 {
        assert_eq!(gdb.ask("s"), "S05");
        let next = gdb.pc();
        assert_ne!(next, pc, "a step from {pc:#x}");
        pc = next;
    }
    assert_eq!(gdb.word(main & !3), code);

    // RAM can be written, flash cannot.
    let free = registers[13] - 64;
    assert_eq!(gdb.ask(&format!("M{free:x},4:78563412")), "OK");
    assert_eq!(gdb.word(free), 0x1234_5678);
    assert!(gdb.ask(&format!("M{:x},4:00000000", main & !3)).starts_with('E'));
    assert!(gdb.ask("m60000000,4").starts_with('E'), "there is nothing");

    // A register of the CPU can be changed, and is put back.
    let now = gdb.registers();
    let changed: Vec<u32> =
        now.iter().enumerate().map(|(at, value)| if at == 4 { !value } else { *value }).collect();
    let hex = |words: &[u32]| {
        words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(gdb.ask(&format!("G{}", hex(&changed))), "OK");
    assert_eq!(gdb.registers(), changed);
    assert_eq!(gdb.ask(&format!("G{}", hex(&now))), "OK");

    assert_eq!(gdb.ask(&format!("z0,{main:x},2")), "OK");
    // Ctrl-C halts what runs.
    gdb.send("c");
    std::thread::sleep(Duration::from_millis(20));
    gdb.0.write_all(&[3]).unwrap();
    assert_eq!(gdb.answer(), "S02");
    assert_eq!(gdb.ask("D"), "OK");
    drop(gdb);

    let seen = thread.join().unwrap();
    assert_eq!(seen.now_ms, 60_000);
    assert!(seen.joined, "the socket went its way when the debugger had gone");
    assert_eq!(seen.faults, Vec::<String>::new());
}

#[test]
fn a_debugger_breaks_steps_and_goes_on_at_the_stm32wl() {
    a_debugger_breaks_at_a_symbol_reads_steps_and_goes_on::<Stm32wl>();
}

#[test]
fn a_debugger_breaks_steps_and_goes_on_at_the_rp2040() {
    a_debugger_breaks_at_a_symbol_reads_steps_and_goes_on::<Rp2040>();
}

#[test]
fn time_stands_while_the_machine_is_halted_and_the_same_breakpoint_halts_again() {
    // The time driver's interrupt comes with each wait.
    let image = image::of::<Stm32wl>();
    let handler = image.start_of("TIM2").unwrap();
    let (address, thread) = run::<Stm32wl>(2_000, "");
    let mut gdb = Gdb::connect(address);
    assert_eq!(gdb.ask(&format!("Z1,{handler:x},2")), "OK");
    for _ in 0..5 {
        assert!(gdb.ask("c").contains("swbreak"));
        let registers = gdb.registers();
        assert_eq!(registers[15], handler);
        // Position 27 (RM0461, vector table) and 16 of the system's before it.
        assert_eq!(registers[16] & 0x1FF, 16 + 27);
        std::thread::sleep(Duration::from_millis(50));
    }
    // Stepping leaves the handler in the end, and comes back to what it interrupted.
    let mut left = false;
    for _ in 0..5_000 {
        gdb.ask("s");
        left = gdb.registers()[16] & 0x1FF == 0;
        if left {
            break;
        }
    }
    assert!(left, "the handler's end was not reached");
    assert_eq!(gdb.ask("D"), "OK");
    assert_eq!(thread.join().unwrap().now_ms, 2_000);
}

#[test]
fn breakpoints_stay_over_a_power_cut() {
    let image = image::of::<Stm32wl>();
    let main = image.start_of("main").unwrap();
    let (address, thread) = run::<Stm32wl>(9_000, "at 2s power off\nat 6s power on\n");
    let mut gdb = Gdb::connect(address);
    gdb.ask(&format!("Z0,{main:x},2"));
    for start in ["the first", "the one after the cut"] {
        assert!(gdb.ask("c").contains("swbreak"), "{start}");
        assert_eq!(gdb.pc(), main, "{start}");
    }
    drop(gdb);
    assert_eq!(thread.join().unwrap().now_ms, 9_000, "a debugger that is gone holds nothing up");
}
