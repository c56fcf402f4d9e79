//! The STM32WLE5 and its peripherals, as far as the image uses them.

mod dma;
mod exti;
mod flash;
mod gpio;
mod iwdg;
mod kept;
mod rcc;
mod rng;
mod spi;
mod tim2;
mod usart;

use std::collections::BTreeMap;
use std::rc::Rc;

pub use gpio::Pin;
pub use rcc::ResetKind;

use self::dma::{Dma, request};
use self::exti::{Exti, PVD_LINE};
use self::flash::{FlashController, Outcome};
use self::gpio::Port;
use self::iwdg::Iwdg;
use self::kept::Kept;
use self::rcc::{Clocked, Rcc};
use self::rng::Rng;
use self::spi::Spi;
use self::tim2::Tim2;
use self::usart::Usart;
use crate::memory::Memory;
use crate::nvic::Nvic;
use crate::outside::{Change, Outside};
use crate::time::{Time, ticks_of_us};

/// Start of the flash.
pub const FLASH: u32 = 0x0800_0000;
/// Bytes of code flash: the pages before those of the records, which begin at `DATA`.
pub const CODE_BYTES: u32 = DATA - FLASH;
/// Start of the pages that the records may lie in (boards/stm32wl/board.toml; a test compares).
pub const DATA: u32 = 0x0803_D000;
/// Bytes of those pages.
pub const DATA_BYTES: u32 = 12 * 1024;
/// Start of RAM.
pub const RAM: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_BYTES: u32 = 64 * 1024;
/// System memory, which holds the chip's numbers.
pub const SYSTEM: u32 = 0x1FFF_0000;
/// Address of the 64-bit number of the chip (RM0453, IEEE 64-bit unique device ID).
pub const EUI64: u32 = 0x1FFF_7580;

/// Numbers of interrupts (RM0453, vector table).
mod irq {
    pub const PVD_PVM: u8 = 1;
    pub const EXTI0: u8 = 6;
    pub const DMA1_CHANNEL1: u8 = 11;
    pub const EXTI9_5: u8 = 22;
    pub const TIM2: u8 = 27;
    pub const USART1: u8 = 36;
    pub const EXTI15_10: u8 = 41;
    pub const SUBGHZ_RADIO: u8 = 50;
}

/// What ends a run from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset(pub ResetKind);

/// The chip around its CPU.
#[derive(Debug)]
pub struct Chip {
    time: Rc<Time>,
    outside: Outside,
    /// Interrupts.
    pub nvic: Nvic,
    vtor: u32,
    system: BTreeMap<u32, u32>,
    rcc: Rcc,
    pwr: Kept<0x26>,
    exti: Exti,
    syscfg: Kept<14>,
    ports: [Port; 8],
    tim2: Tim2,
    usart: Usart,
    dma: Dma,
    spi: Spi,
    flash: FlashController,
    iwdg: Iwdg,
    rng: Rng,
    /// When the meter's next byte has arrived.
    meter_due_us: Option<u64>,
    reset: Option<Reset>,
    changes: Vec<Change>,
    packets: u16,
    /// What the pins' lines hang on is as it was looked at last, if the button and the supply are too.
    seen: Option<(bool, bool)>,
    relay: Option<bool>,
    led: bool,
    /// What the image did that a chip would not have let pass, or that no model answers for, with how often.
    faults: BTreeMap<String, u64>,
}

impl Chip {
    /// Makes the chip as it is after a reset; `before` is what it was until then, if it had supply all the time.
    pub fn new(
        time: &Rc<Time>,
        outside: &Outside,
        kind: ResetKind,
        before: Option<&Self>,
        seed: u64,
    ) -> Self {
        let rcc = Rcc::new(kind, before.map(|before| &before.rcc));
        let ticks = rcc.ticks_per_cycle().unwrap_or(24);
        time.set_ticks_per_cycle(ticks);
        let mut pwr = Kept::new(&[
            0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x58, 0x5C,
            0x88, 0x90,
        ]);
        pwr.set(0x90, 1 << 15);
        let mut chip = Self {
            time: time.clone(),
            outside: outside.clone(),
            nvic: Nvic::new(4),
            vtor: FLASH,
            system: BTreeMap::new(),
            rcc,
            pwr,
            exti: Exti::new(0),
            syscfg: Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C]),
            ports: std::array::from_fn(|port| {
                Port::new(port as u32, before.and_then(|before| before.ports.get(port)))
            }),
            tim2: Tim2::new(time.now(), ticks),
            usart: Usart::new(ticks),
            dma: Dma::default(),
            spi: Spi::new(),
            flash: FlashController::new(&outside.flash, DATA - FLASH),
            iwdg: Iwdg::new(),
            rng: Rng::new(before.map_or(seed, |before| before.rng.next_seed())),
            meter_due_us: None,
            reset: None,
            changes: before.map(|before| before.changes.clone()).unwrap_or_default(),
            packets: 0,
            seen: None,
            // A hold circuit keeps the relay where it was while the chip restarts, and the first level that the
            // image then gives the pin is told, whether it is another one or not.
            relay: None,
            led: false,
            faults: before.map(|before| before.faults.clone()).unwrap_or_default(),
        };
        if before.is_some_and(|before| before.led) {
            chip.changes.push(Change::Led(false));
        }
        outside.radio.power_cycle();
        chip.look_outside();
        chip.exti = Exti::new(chip.exti_levels());
        chip
    }

    /// Gives the address of the vector table.
    #[must_use]
    pub fn vtor(&self) -> u32 {
        self.vtor
    }

    /// Takes the reset that was asked for.
    pub fn take_reset(&mut self) -> Option<Reset> {
        self.reset.take()
    }

    /// Takes what was seen since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Adds something that was seen.
    pub fn tell(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Tells whether something was seen that nobody has taken.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Tells what is plugged into the chip.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Tells what the image did that a chip would not have let pass, or that no model answers for, with how often.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<String, u64> {
        &self.faults
    }

    /// Notes something that a chip would not have let pass.
    pub fn fault(&mut self, what: String) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// Brings everything to the present instant: timers, bytes on lines, what is outside.
    pub fn advance(&mut self, memory: &mut dyn Memory) {
        let now = self.time.now();
        self.outside.sim.run_until_us(self.time.now_us());
        self.tim2.advance(now);
        while let Some((byte, at)) = self.usart.advance(now) {
            self.meter_hears(byte, at);
            self.move_bytes(memory);
        }
        while self.meter_due_us.is_some_and(|at| at <= self.time.now_us()) {
            let (byte, next) = self
                .outside
                .circuit
                .with_meter(|now_us, meter| (meter.transmit(now_us), meter.next_event_us()));
            self.meter_due_us = next;
            if let Some(byte) = byte {
                self.usart.receive(now, byte, next.map(ticks_of_us));
                self.move_bytes(memory);
            }
        }
        if self.iwdg.due().is_some_and(|due| due <= now) {
            self.reset.get_or_insert(Reset(ResetKind::Watchdog));
        }
        self.look_outside();
    }

    /// Tells when something happens next, in ticks.
    #[must_use]
    pub fn next_event(&self) -> Option<u64> {
        let outside =
            [self.outside.sim.next_timer_us(), self.outside.button.next_event_us(), self.meter_due_us];
        let outside = outside.into_iter().flatten().map(ticks_of_us);
        [self.tim2.next_event(), self.usart.next_event(), self.iwdg.due()]
            .into_iter()
            .flatten()
            .chain(outside)
            .min()
    }

    /// Looks at what is outside, and sets the lines of all interrupts.
    fn look_outside(&mut self) {
        let button = self.outside.pins.button;
        let pressed = self.outside.button.is_pressed();
        let packets = self.outside.radio.packets();
        if packets != self.packets {
            self.packets = packets;
            self.changes.push(Change::Received);
        }
        let seen = (pressed, self.pvd_output());
        if self.seen != Some(seen) {
            self.seen = Some(seen);
            if let Some(port) = self.ports.get_mut(button.port as usize) {
                port.drive(button.number, !pressed);
            }
            self.exti.set_levels(self.exti_levels());
        }
        self.set_lines();
    }

    fn exti_levels(&self) -> u32 {
        let pins = (0..16).fold(0, |levels, line| {
            // SYSCFG EXTICR: which port's pin of that number it is.
            let port = self.syscfg.get(8 + (line & !3)) >> (4 * (line & 3)) & 7;
            let inputs = self.ports.get(port as usize).map_or(0, Port::inputs);
            levels | inputs & 1 << line
        });
        pins | u32::from(self.pvd_output()) << PVD_LINE
    }

    /// The supply monitor's output: on, and below its threshold.
    fn pvd_output(&self) -> bool {
        self.pwr.get(0x04) & 1 != 0 && self.outside.supply_low.get()
    }

    fn set_lines(&mut self) {
        let lines = self.exti.interrupting();
        self.nvic.set_line(irq::PVD_PVM, lines >> PVD_LINE & 1 != 0);
        for line in 0..5 {
            self.nvic.set_line(irq::EXTI0 + line, lines >> line & 1 != 0);
        }
        self.nvic.set_line(irq::EXTI9_5, lines & 0x3E0 != 0);
        self.nvic.set_line(irq::EXTI15_10, lines & 0xFC00 != 0);
        let channels = self.dma.interrupting();
        for channel in 0..7 {
            self.nvic.set_line(irq::DMA1_CHANNEL1 + channel, channels >> channel & 1 != 0);
        }
        self.nvic.set_line(irq::TIM2, self.tim2.interrupts());
        self.nvic.set_line(irq::USART1, self.usart.interrupts());
        self.nvic.set_line(irq::SUBGHZ_RADIO, self.outside.radio.dio1());
    }

    /// The last stop bit of a byte has reached the meter.
    fn meter_hears(&mut self, byte: u8, at: u64) {
        let bit_ns = self.usart.bit_ticks() * 1000 / crate::time::TICKS_PER_US;
        let (fits, next) = self.outside.circuit.with_meter(|_, meter| {
            // A byte of the meter is 11 bits; a receiver stands an error of 3 %.
            let meter_bit_ns = meter.byte_us() * 1000 / 11;
            let fits = bit_ns.abs_diff(meter_bit_ns) * 100 <= meter_bit_ns * 3;
            if fits {
                meter.receive(at / crate::time::TICKS_PER_US, byte);
            }
            (fits, meter.next_event_us())
        });
        self.meter_due_us = next;
        if !fits || !self.usart.is_plain() {
            self.fault("the serial line runs at another speed or format than the meter".to_owned());
        }
    }

    /// Lets the DMA serve what asks for it.
    fn move_bytes(&mut self, memory: &mut dyn Memory) {
        let now = self.time.now();
        while self.usart.offers_byte() {
            let Some(moved) = self.dma.serve(request::USART1_RX) else { break };
            let byte = self.usart.take();
            if moved.from_memory || !memory.write(moved.memory, &[byte]) {
                self.fault(format!("DMA moved a received byte to {:#010x}", moved.memory));
            }
        }
        while self.usart.wants_byte() {
            let Some(moved) = self.dma.serve(request::USART1_TX) else { break };
            let mut byte = [0];
            if !moved.from_memory || !memory.read(moved.memory, &mut byte) {
                self.fault(format!("DMA took a byte to send from {:#010x}", moved.memory));
            }
            let [byte] = byte;
            self.usart.send(now, byte);
        }
    }

    /// Reads a register, `bytes` wide.
    pub fn read(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32) -> u32 {
        if (DATA..DATA + DATA_BYTES).contains(&address) {
            let outcome = self.flash.read_memory(address - DATA, bytes);
            return self.settle_flash(outcome);
        }
        let register = address & !3;
        let value = match self.read_register(register, bytes) {
            Some(value) => value,
            None => {
                self.fault(format!("a read of {register:#010x}, of which there is no model"));
                0
            }
        };
        self.move_bytes(memory);
        self.set_lines();
        let shifted = if is_narrow_port(register) { value } else { value >> (8 * (address & 3)) };
        match bytes {
            1 => shifted & 0xFF,
            2 => shifted & 0xFFFF,
            _ => shifted,
        }
    }

    fn read_register(&mut self, address: u32, bytes: u32) -> Option<u32> {
        let now = self.time.now();
        let (block, offset) = (address & !0x3FF, address & 0x3FF);
        if let Some(peripheral) = clocked(block)
            && !self.rcc.is_clocked(peripheral)
        {
            self.fault(format!("a read of {address:#010x}, whose clock is off"));
            return Some(0);
        }
        match block {
            0x4000_0000 => self.tim2.read(now, offset),
            0x4000_3000 => self.iwdg.read(offset),
            0x4001_0000 => self.syscfg.read(offset),
            0x4001_3800 => self.usart.read(offset),
            0x4002_0000 => self.dma.read(offset),
            0x4002_0800 => self.dma.read_mux(offset),
            0x4800_0000..0x4800_2000 => self.ports.get((block >> 10 & 7) as usize)?.read(offset),
            0x5800_0000 => self.rcc.read(offset),
            0x5800_0400 => self.read_pwr(offset),
            0x5800_0800 => self.exti.read(offset),
            0x5800_1000 => self.rng.read(offset),
            0x5800_4000 => self.flash.read(offset),
            0x5801_0000 => self.spi.read(offset, bytes),
            0xE000_E000..0xE000_F000 => self.read_system(address),
            // DBGMCU: keeps what it is given.
            0xE004_2000 => Some(self.system.get(&address).copied().unwrap_or(0)),
            _ => None,
        }
    }

    fn read_pwr(&self, offset: u32) -> Option<u32> {
        let value = self.pwr.read(offset)?;
        Some(match offset {
            // SR2: RFBUSYS and RFBUSYMS, SMPS and LDO ready, flash ready, low-power regulator ready, PVDO.
            0x14 => {
                let busy = self.rcc.radio_in_reset() || self.outside.radio.is_busy();
                let pvd = u32::from(self.pvd_output()) << 11;
                u32::from(busy) << 1 | u32::from(busy) << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 8 | pvd
            }
            _ => value,
        })
    }

    fn read_system(&self, address: u32) -> Option<u32> {
        match address {
            0xE000_E100..0xE000_E500 => self.nvic.read(address - 0xE000_E100),
            // CPUID: Cortex-M4 r0p1.
            0xE000_ED00 => Some(0x410F_C241),
            0xE000_ED04 => Some(u32::from(self.nvic.running())),
            0xE000_ED08 => Some(self.vtor),
            0xE000_ED0C => Some(0xFA05_0000),
            0xE000_ED10..0xE000_ED40 | 0xE000_ED88 | 0xE000_EDFC => {
                Some(self.system.get(&address).copied().unwrap_or(0))
            }
            _ => None,
        }
    }

    /// Writes a register, `bytes` wide.
    pub fn write(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32, value: u32) {
        if (DATA..DATA + DATA_BYTES).contains(&address) {
            let outcome = self.flash.write_memory(address - DATA, bytes, value);
            self.settle_flash(outcome);
            return;
        }
        let register = address & !3;
        let whole = if bytes == 4 || is_narrow_port(register) {
            value
        } else {
            let shift = 8 * (address & 3);
            let mask = if bytes == 1 { 0xFF } else { 0xFFFF } << shift;
            let before =
                if register & 0xFFFF_F000 == 0xE000_E000 { self.read_system(register) } else { None };
            before.unwrap_or(0) & !mask | value << shift & mask
        };
        if self.write_register(register, bytes, whole).is_none() {
            self.fault(format!("a write to {register:#010x}, of which there is no model"));
        }
        self.move_bytes(memory);
        self.set_lines();
    }

    fn write_register(&mut self, address: u32, bytes: u32, value: u32) -> Option<()> {
        let now = self.time.now();
        let (block, offset) = (address & !0x3FF, address & 0x3FF);
        if let Some(peripheral) = clocked(block)
            && !self.rcc.is_clocked(peripheral)
        {
            self.fault(format!("a write to {address:#010x}, whose clock is off"));
            return Some(());
        }
        match block {
            0x4000_0000 => self.tim2.write(now, offset, value),
            0x4000_3000 => self.iwdg.write(now, offset, value),
            0x4001_0000 => {
                self.syscfg.write(offset, value)?;
                self.seen = None;
                self.look_outside();
                Some(())
            }
            0x4001_3800 => self.usart.write(now, offset, value),
            0x4002_0000 => self.dma.write(offset, value),
            0x4002_0800 => self.dma.write_mux(offset, value),
            0x4800_0000..0x4800_2000 => {
                self.ports.get_mut((block >> 10 & 7) as usize)?.write(offset, value)?;
                self.pins_changed();
                Some(())
            }
            0x5800_0000 => self.write_rcc(offset, value),
            0x5800_0400 => self.write_pwr(offset, value),
            0x5800_0800 => self.exti.write(offset, value),
            0x5800_1000 => self.rng.write(offset, value),
            0x5800_4000 => {
                let outcome = self.flash.write(offset, value)?;
                self.settle_flash(outcome);
                Some(())
            }
            0x5801_0000 if offset == spi::DR => {
                self.write_spi(value, bytes);
                Some(())
            }
            0x5801_0000 => self.spi.write(offset, value),
            0xE000_E000..0xE000_F000 => self.write_system(address, value),
            0xE004_2000 => {
                self.system.insert(address, value);
                Some(())
            }
            _ => None,
        }
    }

    fn write_rcc(&mut self, offset: u32, value: u32) -> Option<()> {
        let in_reset = self.rcc.radio_in_reset();
        self.rcc.write(offset, value)?;
        if self.rcc.radio_in_reset() != in_reset {
            self.sync();
            self.outside.radio.power_cycle();
        }
        match self.rcc.ticks_per_cycle() {
            Ok(ticks) => {
                self.time.set_ticks_per_cycle(ticks);
                self.tim2.set_clock(self.time.now(), ticks);
                self.usart.set_clock(ticks);
                // RM0453 table of wait states, range 1: up to 18 MHz none, up to 36 MHz one, above two.
                let needed = match crate::time::TICKS_PER_US / ticks {
                    0..=18 => 0,
                    19..=36 => 1,
                    _ => 2,
                };
                if self.flash.wait_states() < needed {
                    self.fault(format!(
                        "the flash has {} wait states and needs {needed}",
                        self.flash.wait_states()
                    ));
                }
            }
            Err(hz) => self.fault(format!("the system clock is set to {hz} Hz")),
        }
        Some(())
    }

    fn write_pwr(&mut self, offset: u32, value: u32) -> Option<()> {
        let nss = self.pwr.get(0x90) >> 15 & 1;
        self.pwr.write(offset, value)?;
        if offset == 0x90 && value >> 15 & 1 != nss {
            self.sync();
            self.outside.radio.set_nss(nss == 0);
            if nss == 0 {
                self.check_antenna();
            }
        }
        // The supply monitor may just have been switched on.
        if offset == 0x04 {
            self.look_outside();
        }
        Some(())
    }

    fn check_antenna(&mut self) {
        let pins = self.outside.pins;
        let level = |pin: Pin| self.ports[pin.port as usize].output(pin.number) == Some(true);
        if let Some(what) = self.outside.antenna_fault(level(pins.antenna_rx), level(pins.antenna_tx)) {
            self.fault(what.to_owned());
        }
    }

    fn write_spi(&mut self, value: u32, bytes: u32) {
        if !self.spi.is_on() {
            self.fault("a byte to the radio's bus, which is off".to_owned());
            return;
        }
        self.sync();
        for byte in value.to_le_bytes().into_iter().take(bytes.min(2) as usize) {
            self.time.pass_cycles(self.spi.byte_cycles());
            let answer = self.outside.radio.exchange(byte);
            self.spi.received(answer);
        }
    }

    fn write_system(&mut self, address: u32, value: u32) -> Option<()> {
        match address {
            0xE000_E100..0xE000_E500 => self.nvic.write(address - 0xE000_E100, value)?,
            0xE000_ED08 => self.vtor = value,
            // STIR: software triggers an interrupt.
            0xE000_EF00 => self.nvic.write(0x100 + 4 * (value >> 5 & 1), 1 << (value & 31))?,
            // AIRCR takes its key in the upper half; SYSRESETREQ is bit 2.
            0xE000_ED0C => {
                if value >> 16 == 0x05FA && value & 4 != 0 {
                    self.reset.get_or_insert(Reset(ResetKind::Software));
                }
            }
            0xE000_ED10..0xE000_ED40 | 0xE000_ED88 | 0xE000_EDFC => {
                self.system.insert(address, value);
            }
            _ => return None,
        }
        Some(())
    }

    /// Brings the outside to the present instant, before the chip acts on it.
    fn sync(&self) {
        self.outside.sim.run_until_us(self.time.now_us());
    }

    fn settle_flash(&mut self, outcome: Outcome) -> u32 {
        let until = self.time.now() + ticks_of_us(outcome.stall_us);
        self.time.pass_until(until);
        if outcome.torn {
            self.nvic.raise_nmi();
        }
        for page in self.flash.take_code_erases() {
            self.fault(format!("an erase of page {page}, which holds code"));
        }
        outcome.value
    }

    fn pins_changed(&mut self) {
        let pins = self.outside.pins;
        let output = |pin: Pin| self.ports.get(pin.port as usize).and_then(|port| port.output(pin.number));
        let (relay, led) = (output(pins.relay), output(pins.led).map(|high| high == pins.led_lights_high));
        if let Some(on) = relay.filter(|on| self.relay != Some(*on)) {
            self.relay = Some(on);
            self.sync();
            self.outside.circuit.change(|now_us, circuit| circuit.drive_relay(now_us, on));
            self.changes.push(Change::Relay(on));
        }
        // A pin that drives nothing lights nothing.
        let lit = led.unwrap_or(false);
        if lit != self.led {
            self.led = lit;
            self.changes.push(Change::Led(lit));
        }
        self.seen = None;
        self.look_outside();
    }

    /// Ends the CPU's slice with the present block of code, if something is due that was not when it began. To stop
    /// the engine from inside an access would have it carry the access out twice.
    pub fn stop_if_wanted(&self) {
        if self.reset.is_some()
            || self.nvic.would_wake()
            || self.next_event().is_some_and(|at| at <= self.time.now())
        {
            self.time.set_stop(self.time.now());
        }
    }
}

/// Data registers that are read and written at their own width, not as a part of a word.
fn is_narrow_port(register: u32) -> bool {
    register == 0x5801_0000 + spi::DR
}

/// Names the peripheral of a block of registers, if its clock can be off.
fn clocked(block: u32) -> Option<Clocked> {
    Some(match block {
        0x4000_0000 => Clocked::Tim2,
        0x4001_3800 => Clocked::Usart1,
        0x4002_0000 => Clocked::Dma1,
        0x4002_0800 => Clocked::Dmamux,
        0x4800_0000..0x4800_2000 => Clocked::Gpio(block >> 10 & 7),
        0x5800_1000 => Clocked::Rng,
        0x5801_0000 => Clocked::SubghzSpi,
        _ => return None,
    })
}
