//! The STM32WLE5 and its peripherals, as far as the images use them; and the first core of an STM32WL55.

mod dma;
mod exti;
mod flash;
mod gpio;
mod hsem;
mod i2c;
mod iwdg;
mod rcc;
mod rng;
mod spi;
mod tim2;
mod usart;

use std::ops::Range;
use std::rc::Rc;

use sockeye_virtual_hardware::flash::{Flash, Stm32wlNmi};
use sockeye_virtual_hardware::st25dv::BusFault;
use sockeye_virtual_hardware::sx126x::Mode;

use self::dma::{Dma, request};
use self::exti::{Exti, PVD_LINE};
use self::flash::{FlashController, Outcome};
use self::gpio::{Pin, Port};
use self::hsem::Hsem;
use self::i2c::I2c;
use self::iwdg::Iwdg;
use self::rcc::{Clocked, Rcc};
use self::rng::Rng;
use self::spi::Spi;
use self::tim2::Tim2;
use self::usart::Usart;
use crate::chip::{Area, Chip, Core, Programs, ResetKind, Start};
use crate::elf::Image;
use crate::kept::Kept;
use crate::memory::Memory;
use crate::outside::{HOLD_UP_US, Outside};
use crate::time::{TICKS_PER_US, Time};

/// Start of the flash.
pub const FLASH: u32 = 0x0800_0000;
/// Bytes of the flash.
pub const FLASH_BYTES: u32 = 256 * 1024;
/// Start of the bootloader's notes (this and what follows: boards/stm32wl/board.toml; a test compares).
pub const NOTES: u32 = 0x0800_3800;
/// Start of the application.
pub const ACTIVE: u32 = 0x0800_4000;
/// Start of the next application.
pub const DFU: u32 = 0x0802_0000;
/// Where the model of the whole flash is seen by the machine: there is nothing on the chip.
const ALIAS: u32 = 0x7000_0000;
const ALIAS_END: u32 = ALIAS + FLASH_BYTES;
/// The largest part of the memory that the engine asks about at once.
const VIEW_BYTES: u32 = 4096;
/// Start of the pages that the records may lie in.
pub const DATA: u32 = 0x0803_C800;
/// Bytes of those pages.
pub const DATA_BYTES: u32 = 14 * 1024;
/// Start of RAM.
pub const RAM: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_BYTES: u32 = 64 * 1024;
/// System memory, which holds the chip's numbers.
pub const SYSTEM: u32 = 0x1FFF_0000;
const SYSTEM_BYTES: usize = 0x1_0000;
/// Address of the 64-bit number of the chip (RM0453, IEEE 64-bit unique device ID).
pub const EUI64: u32 = 0x1FFF_7580;

/// Address of the 96-bit number of the chip (RM0453, unique device ID).
const UID: u32 = 0x1FFF_7590;

/// Numbers of interrupts (RM0453, vector table).
mod irq {
    pub const PVD_PVM: u8 = 1;
    pub const EXTI0: u8 = 6;
    pub const DMA1_CHANNEL1: u8 = 11;
    pub const EXTI9_5: u8 = 22;
    pub const TIM2: u8 = 27;
    pub const USART1: u8 = 36;
    pub const LPUART1: u8 = 38;
    pub const EXTI15_10: u8 = 41;
    pub const SUBGHZ_RADIO: u8 = 50;
}

/// Which pin goes where.
#[derive(Clone, Copy, Debug)]
struct Pins {
    /// High closes the relay.
    relay: Pin,
    /// The LED.
    led: Pin,
    /// Whether a high level lights the LED.
    led_lights_high: bool,
    /// Low is pressed.
    button: Pin,
    /// The tag's GPO, which falls with each pulse.
    gpo: Pin,
    /// A line of the bus to the tag, which is pulled up.
    tag_sda: Pin,
    /// The antenna switch, high to receive.
    antenna_rx: Pin,
    /// The antenna switch, high to send.
    antenna_tx: Pin,
}

impl Pins {
    /// Seeed LoRa-E5 (boards/stm32wl/README.md).
    const LORA_E5: Self = Self {
        relay: Pin { port: 1, number: 10 },
        led: Pin { port: 1, number: 5 },
        led_lights_high: false,
        button: Pin { port: 0, number: 0 },
        gpo: Pin { port: 1, number: 3 },
        tag_sda: Pin { port: 0, number: 15 },
        antenna_rx: Pin { port: 0, number: 4 },
        antenna_tx: Pin { port: 0, number: 5 },
    };

    /// ST Nucleo-WL55JC (the same page), which has no tag: what a tag would be connected to is as on the other.
    const NUCLEO: Self = Self {
        led: Pin { port: 1, number: 15 },
        led_lights_high: true,
        button: Pin { port: 2, number: 0 },
        antenna_rx: Pin { port: 2, number: 4 },
        antenna_tx: Pin { port: 2, number: 5 },
        ..Self::LORA_E5
    };
}

/// The chip around its CPU.
#[derive(Debug)]
pub struct Stm32wl {
    core: Core<Stm32wlNmi>,
    pins: Pins,
    eui64: [u8; 8],
    rcc: Rcc,
    pwr: Kept<0x26>,
    exti: Exti,
    syscfg: Kept<14>,
    ports: [Port; 8],
    tim2: Tim2,
    usart: Usart,
    /// To the computer.
    lpuart: Usart,
    dma: Dma,
    spi: Spi,
    i2c: I2c,
    hsem: Hsem,
    flash: FlashController,
    iwdg: Iwdg,
    rng: Rng,
    /// The debug unit, which keeps what it is given.
    dbgmcu: Kept<0x14>,
    /// How many operations have left a part of the flash torn.
    torn: u32,
    /// What the pins' lines hang on is as it was looked at last, if the button and the supply are too.
    seen: Option<(bool, bool)>,
    /// The tag's pulses so far.
    pulses: u64,
}

impl Chip for Stm32wl {
    type Nor = Stm32wlNmi;

    const REGISTERS: &'static [(u32, u32)] = &[
        (0x4000_0000, 0x3_0000),
        (0x4800_0000, 0x2000),
        (0x5800_0000, 0x2_0000),
        (0xE000_0000, 0x1000),
        (0xE000_E000, 0x1000),
        (0xE004_2000, 0x1000),
        (ALIAS, FLASH_BYTES),
    ];
    const RECORDS: Range<u32> = DATA - FLASH..DATA - FLASH + DATA_BYTES;
    const PROGRAMS: Programs = Programs { bootloader: 0..NOTES - FLASH, active: ACTIVE - FLASH..DFU - FLASH };
    // STM32WLE5 data sheet, reset temporisation; about.
    const POWER_UP_US: u64 = 500;
    const HAS_TAG: bool = true;
    /// When the rail of 3.3 V has fallen to the detector's 2.9 V, of its fall to the 1.8 V that the chip needs.
    const SUPPLY_MONITOR_US: u64 = HOLD_UP_US * (3300 - 2900) / (3300 - 1800);

    fn flash(image: &Image) -> Flash<Stm32wlNmi> {
        let mut bytes = vec![0xFF; FLASH_BYTES as usize];
        for (address, part) in &image.segments {
            let offset = address.wrapping_sub(FLASH) as usize;
            if let Some(place) = bytes.get_mut(offset..offset.saturating_add(part.len())) {
                place.copy_from_slice(part);
            }
        }
        Flash::with_contents(bytes)
    }

    fn new(time: &Rc<Time>, outside: &Outside<Stm32wlNmi>, eui64: [u8; 8], seed: u64) -> Self {
        // CPUID: Cortex-M4 r0p1.
        let core = Core::new(time, outside, 4, 0x410F_C241, FLASH);
        let rcc = Rcc::new(ResetKind::Power, None);
        let ports = std::array::from_fn(|port| Port::new(port as u32, None));
        let mut chip = Self::from_reset(core, eui64, rcc, ports, Rng::new(seed));
        chip.begin();
        chip
    }

    fn areas(&self, _: &Image, seed: u64) -> Vec<Area> {
        // At reset the flash is seen at 0 as well, but the image uses its own address.
        let [a, b, c, d, e, f, g, h] = self.eui64;
        let mut system = vec![0; SYSTEM_BYTES];
        // Device number, then company and kind, each as a little-endian word.
        system[(EUI64 - SYSTEM) as usize..][..8].copy_from_slice(&[h, g, f, e, d, c, b, a]);
        system[(UID - SYSTEM) as usize..][..12]
            .copy_from_slice(&[h, g, f, e, b'u', b'i', b'd', 0, 0, 0, 0, 1]);
        vec![
            Area { start: FLASH, contents: self.core.outside.flash.contents() },
            Area::ram(RAM, RAM_BYTES, seed),
            Area { start: SYSTEM, contents: system },
        ]
    }

    fn start(&mut self, memory: &mut dyn Memory) -> Start {
        let mut word = |address| {
            let mut bytes = [0; 4];
            memory.read(address, &mut bytes);
            u32::from_le_bytes(bytes)
        };
        let vtor = self.core.vtor();
        Start { sp: word(vtor), pc: word(vtor + 4), lr: 0xFFFF_FFFF }
    }

    fn reset(&mut self, kind: ResetKind) {
        let rcc = Rcc::new(kind, Some(&self.rcc));
        let ports = std::array::from_fn(|port| Port::new(port as u32, self.ports.get(port)));
        let core = self.core.after_reset(FLASH);
        *self = Self::from_reset(core, self.eui64, rcc, ports, Rng::new(self.rng.next_seed()));
        self.begin();
    }

    fn alias(&self, address: u32, is_store: bool) -> Option<u32> {
        let offset = address.checked_sub(FLASH).filter(|offset| *offset < FLASH_BYTES)?;
        // What can be read is read from the engine's memory, which is faster.
        let around = offset & !(VIEW_BYTES - 1);
        let is_torn = || self.core.outside.flash.is_torn_in(around..around + VIEW_BYTES);
        (is_store || is_torn()).then_some(ALIAS + offset)
    }

    fn view(&self) -> u64 {
        u64::from(self.core.vtor()) << 32 | u64::from(self.torn)
    }

    fn core(&self) -> &Core<Stm32wlNmi> {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core<Stm32wlNmi> {
        &mut self.core
    }

    fn advance(&mut self, memory: &mut dyn Memory) {
        let now = self.core.time.now();
        self.core.sync();
        self.tim2.advance(now);
        while let Some((byte, at)) = self.usart.advance(now) {
            self.meter_hears(byte, at);
            self.move_bytes(memory);
        }
        while let Some((byte, next)) = self.core.meter_byte() {
            self.usart.receive(now, byte, next);
            self.move_bytes(memory);
        }
        while let Some((byte, _)) = self.lpuart.advance(now) {
            self.computer_hears(byte);
        }
        while let Some((byte, next)) = self.core.computer_byte() {
            self.lpuart.receive(now, byte, next);
        }
        if self.iwdg.due().is_some_and(|due| due <= now) {
            self.core.ask_for_reset(ResetKind::Watchdog);
        }
        self.look_outside();
    }

    fn next_event(&self) -> Option<u64> {
        let blocks = [
            self.tim2.next_event(),
            self.usart.next_event(),
            self.lpuart.next_event(),
            self.iwdg.due(),
            self.core.next_outside(),
        ];
        blocks.into_iter().flatten().min()
    }

    fn read(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32) -> u32 {
        if let Some(offset) = flash_offset(address) {
            let outcome = self.flash.read_memory(offset, bytes);
            return self.settle_flash(memory, outcome);
        }
        let register = address & !3;
        let value = match self.read_register(register, bytes) {
            Some(value) => value,
            None => {
                self.core.fault(format!("a read of {register:#010x}, of which there is no model"));
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

    fn write(&mut self, memory: &mut dyn Memory, address: u32, bytes: u32, value: u32) {
        if let Some(offset) = flash_offset(address) {
            let outcome = self.flash.write_memory(offset, bytes, value);
            self.settle_flash(memory, outcome);
            return;
        }
        let register = address & !3;
        let whole = if bytes == 4 || is_narrow_port(register) {
            value
        } else {
            let shift = 8 * (address & 3);
            let mask = if bytes == 1 { 0xFF } else { 0xFFFF } << shift;
            let before =
                if register & 0xFFFF_F000 == 0xE000_E000 { self.core.read_system(register) } else { None };
            before.unwrap_or(0) & !mask | value << shift & mask
        };
        if self.write_register(memory, register, bytes, whole).is_none() {
            self.core.fault(format!("a write to {register:#010x}, of which there is no model"));
        }
        self.move_bytes(memory);
        self.set_lines();
    }
}

impl Stm32wl {
    /// Makes the chip of what comes through a reset.
    fn from_reset(core: Core<Stm32wlNmi>, eui64: [u8; 8], rcc: Rcc, ports: [Port; 8], rng: Rng) -> Self {
        let ticks = rcc.ticks_per_cycle().unwrap_or(TICKS_PER_US / 4);
        core.time.set_ticks_per_cycle(ticks);
        // The last three are reserved and 0: embassy-stm32 0.6 looks for the second core's clocks there.
        let mut pwr = Kept::new(&[
            0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x58, 0x5C,
            0x88, 0x90, 0x50, 0x60, 0x64,
        ]);
        pwr.set(0x90, 1 << 15);
        Self {
            pins: if core.outside.is_devkit { Pins::NUCLEO } else { Pins::LORA_E5 },
            eui64,
            rcc,
            pwr,
            exti: Exti::new(0),
            syscfg: Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C]),
            ports,
            tim2: Tim2::new(core.time.now(), ticks),
            usart: Usart::new(ticks),
            lpuart: Usart::low_power(ticks),
            dma: Dma::default(),
            spi: Spi::new(),
            i2c: I2c::new(),
            hsem: Hsem::default(),
            flash: FlashController::new(&core.outside.flash, 0),
            iwdg: Iwdg::new(),
            rng,
            dbgmcu: Kept::new(&[0x00, 0x04, 0x3C, 0x40, 0x44, 0x48, 0x4C]),
            torn: 0,
            seen: None,
            pulses: core.outside.tag.pulses(),
            core,
        }
    }

    /// Looks around for the first time after a reset, which is one of the radio too.
    fn begin(&mut self) {
        self.core.outside.radio.power_cycle();
        self.look_outside();
        self.drive_gpo(true);
        self.exti = Exti::new(self.exti_levels());
    }

    /// Looks at what is outside, and sets the lines of all interrupts.
    fn look_outside(&mut self) {
        let button = self.pins.button;
        let pressed = self.core.outside.button.is_pressed();
        self.core.look_at_radio();
        let seen = (pressed, self.pvd_output());
        if self.seen != Some(seen) {
            self.seen = Some(seen);
            if let Some(port) = self.ports.get_mut(button.port as usize) {
                port.drive(button.number, !pressed);
            }
            self.exti.set_levels(self.exti_levels());
        }
        let pulses = self.core.outside.tag.pulses();
        if self.pulses != pulses {
            self.pulses = pulses;
            self.drive_gpo(false);
            self.drive_gpo(true);
        }
        let sda = self.pins.tag_sda;
        if let Some(port) = self.ports.get_mut(sda.port as usize) {
            port.drive(sda.number, self.core.outside.tag.fault() != BusFault::Stuck);
        }
        self.set_lines();
    }

    /// A pulse is shorter than the software could look.
    fn drive_gpo(&mut self, high: bool) {
        let gpo = self.pins.gpo;
        if let Some(port) = self.ports.get_mut(gpo.port as usize) {
            port.drive(gpo.number, high);
        }
        self.exti.set_levels(self.exti_levels());
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
        self.pwr.get(0x04) & 1 != 0 && self.core.outside.supply_low.get()
    }

    fn set_lines(&mut self) {
        let lines = self.exti.interrupting();
        self.core.nvic.set_line(irq::PVD_PVM, lines >> PVD_LINE & 1 != 0);
        for line in 0..5 {
            self.core.nvic.set_line(irq::EXTI0 + line, lines >> line & 1 != 0);
        }
        self.core.nvic.set_line(irq::EXTI9_5, lines & 0x3E0 != 0);
        self.core.nvic.set_line(irq::EXTI15_10, lines & 0xFC00 != 0);
        let channels = self.dma.interrupting();
        for channel in 0..7 {
            self.core.nvic.set_line(irq::DMA1_CHANNEL1 + channel, channels >> channel & 1 != 0);
        }
        self.core.nvic.set_line(irq::TIM2, self.tim2.interrupts());
        self.core.nvic.set_line(irq::USART1, self.usart.interrupts());
        self.core.nvic.set_line(irq::LPUART1, self.lpuart.interrupts());
        self.core.nvic.set_line(irq::SUBGHZ_RADIO, self.core.outside.radio.dio1());
    }

    /// The last stop bit of a byte has reached the computer.
    fn computer_hears(&mut self, byte: u8) {
        let bit_ticks = if self.lpuart.is_plain() { self.lpuart.bit_ticks() } else { 0 };
        self.core.computer_hears(byte, bit_ticks);
    }

    /// The last stop bit of a byte has reached the meter.
    fn meter_hears(&mut self, byte: u8, at: u64) {
        // A format that this model does not know is no speed that fits either.
        let bit_ticks = if self.usart.is_plain() { self.usart.bit_ticks() } else { 0 };
        self.core.meter_hears(byte, at, bit_ticks);
    }

    /// Lets the DMA serve what asks for it.
    fn move_bytes(&mut self, memory: &mut dyn Memory) {
        let now = self.core.time.now();
        while self.usart.offers_byte() {
            let Some(moved) = self.dma.serve(request::USART1_RX) else { break };
            let byte = self.usart.take();
            if moved.from_memory || !memory.write(moved.memory, &[byte]) {
                self.core.fault(format!("DMA moved a received byte to {:#010x}", moved.memory));
            }
        }
        while self.usart.wants_byte() {
            let Some(moved) = self.dma.serve(request::USART1_TX) else { break };
            let mut byte = [0];
            if !moved.from_memory || !memory.read(moved.memory, &mut byte) {
                self.core.fault(format!("DMA took a byte to send from {:#010x}", moved.memory));
            }
            let [byte] = byte;
            self.usart.send(now, byte);
        }
    }

    fn read_register(&mut self, address: u32, bytes: u32) -> Option<u32> {
        let now = self.core.time.now();
        let (block, offset) = (address & !0x3FF, address & 0x3FF);
        if let Some(peripheral) = clocked(block)
            && !self.rcc.is_clocked(peripheral)
        {
            self.core.fault(format!("a read of {address:#010x}, whose clock is off"));
            return Some(0);
        }
        match block {
            0x4000_0000 => self.tim2.read(now, offset),
            0x4000_3000 => self.iwdg.read(offset),
            0x4000_5800 => {
                self.core.sync();
                let (value, clocks) = self.i2c.read(&self.core.outside.tag, offset)?;
                self.core.time.pass_cycles(clocks);
                Some(value)
            }
            0x4001_0000 => self.syscfg.read(offset),
            0x4000_8000 => self.lpuart.read(offset),
            0x4001_3800 => self.usart.read(offset),
            0x4002_0000 => self.dma.read(offset),
            0x4002_0800 => self.dma.read_mux(offset),
            0x4800_0000..0x4800_2000 => self.ports.get((block >> 10 & 7) as usize)?.read(offset),
            0x5800_0000 => self.rcc.read(offset),
            0x5800_0400 => self.read_pwr(offset),
            0x5800_0800 => self.exti.read(offset),
            0x5800_1000 => self.rng.read(offset),
            0x5800_1400 => self.hsem.read(offset),
            0x5800_4000 => self.flash.read(offset),
            0x5801_0000 => self.spi.read(offset, bytes),
            // What the core can do (ARMv7-M B3.2.3): asked by nobody, but embassy-stm32 reads all of it with CPUID.
            0xE000_E000..0xE000_F000 if (0xE000_ED40..0xE000_ED88).contains(&address) => Some(0),
            0xE000_E000..0xE000_F000 => self.core.read_system(address),
            0xE004_2000 => self.dbgmcu.read(offset),
            _ => None,
        }
    }

    fn read_pwr(&self, offset: u32) -> Option<u32> {
        let value = self.pwr.read(offset)?;
        Some(match offset {
            // SR2: RFBUSYS and RFBUSYMS, SMPS and LDO ready, flash ready, low-power regulator ready, PVDO.
            0x14 => {
                let busy = self.rcc.radio_in_reset() || self.core.outside.radio.is_busy();
                let pvd = u32::from(self.pvd_output()) << 11;
                u32::from(busy) << 1 | u32::from(busy) << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 8 | pvd
            }
            _ => value,
        })
    }

    fn write_register(
        &mut self,
        memory: &mut dyn Memory,
        address: u32,
        bytes: u32,
        value: u32,
    ) -> Option<()> {
        let now = self.core.time.now();
        let (block, offset) = (address & !0x3FF, address & 0x3FF);
        if let Some(peripheral) = clocked(block)
            && !self.rcc.is_clocked(peripheral)
        {
            self.core.fault(format!("a write to {address:#010x}, whose clock is off"));
            return Some(());
        }
        match block {
            0x4000_0000 => self.tim2.write(now, offset, value),
            0x4000_3000 => self.iwdg.write(now, offset, value),
            0x4000_5800 => {
                self.core.sync();
                let clocks = self.i2c.write(&self.core.outside.tag, offset, value)?;
                self.core.time.pass_cycles(clocks);
                Some(())
            }
            0x4001_0000 => {
                self.syscfg.write(offset, value)?;
                self.seen = None;
                self.look_outside();
                Some(())
            }
            0x4000_8000 => self.lpuart.write(now, offset, value),
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
            0x5800_1400 => self.hsem.write(offset, value),
            0x5800_4000 => {
                let outcome = self.flash.write(offset, value)?;
                self.settle_flash(memory, outcome);
                Some(())
            }
            0x5801_0000 if offset == spi::DR => {
                self.write_spi(value, bytes);
                Some(())
            }
            0x5801_0000 => self.spi.write(offset, value),
            0xE000_E000..0xE000_F000 => self.core.write_system(address, value),
            0xE004_2000 => self.dbgmcu.write(offset, value),
            _ => None,
        }
    }

    fn write_rcc(&mut self, offset: u32, value: u32) -> Option<()> {
        let in_reset = self.rcc.radio_in_reset();
        self.rcc.write(offset, value)?;
        if self.rcc.radio_in_reset() != in_reset {
            self.core.sync();
            self.core.outside.radio.power_cycle();
        }
        match self.rcc.ticks_per_cycle() {
            Ok(ticks) => {
                self.core.time.set_ticks_per_cycle(ticks);
                self.tim2.set_clock(self.core.time.now(), ticks);
                self.usart.set_clock(ticks);
                self.lpuart.set_clock(ticks);
                // RM0453 table of wait states, range 1: up to 18 MHz none, up to 36 MHz one, above two.
                let needed = match TICKS_PER_US / ticks {
                    0..=18 => 0,
                    19..=36 => 1,
                    _ => 2,
                };
                if self.flash.wait_states() < needed {
                    self.core.fault(format!(
                        "the flash has {} wait states and needs {needed}",
                        self.flash.wait_states()
                    ));
                }
            }
            Err(hz) => self.core.fault(format!("the system clock is set to {hz} Hz")),
        }
        Some(())
    }

    fn write_pwr(&mut self, offset: u32, value: u32) -> Option<()> {
        let nss = self.pwr.get(0x90) >> 15 & 1;
        self.pwr.write(offset, value)?;
        if offset == 0x90 && value >> 15 & 1 != nss {
            self.core.sync();
            self.core.outside.radio.set_nss(nss == 0);
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

    /// The antenna switch is set for what the radio does.
    fn check_antenna(&mut self) {
        let pins = self.pins;
        let level = |pin: Pin| self.ports[pin.port as usize].output(pin.number) == Some(true);
        let (rx, tx) = (level(pins.antenna_rx), level(pins.antenna_tx));
        let fault = match (self.core.outside.radio.mode(), rx, tx) {
            (Mode::Tx | Mode::Carrier, false, true) | (Mode::Rx | Mode::Cad, true, false) => return,
            (Mode::Tx | Mode::Carrier, ..) => "the radio sends while the antenna switch is not set to send",
            (Mode::Rx | Mode::Cad, ..) => "the radio receives while the antenna switch is not set to receive",
            _ => return,
        };
        self.core.fault(fault.to_owned());
    }

    fn write_spi(&mut self, value: u32, bytes: u32) {
        if !self.spi.is_on() {
            self.core.fault("a byte to the radio's bus, which is off".to_owned());
            return;
        }
        self.core.sync();
        for byte in value.to_le_bytes().into_iter().take(bytes.min(2) as usize) {
            self.core.time.pass_cycles(self.spi.byte_cycles());
            let answer = self.core.outside.radio.exchange(byte);
            self.spi.received(answer);
        }
    }

    fn settle_flash(&mut self, memory: &mut dyn Memory, outcome: Outcome) -> u32 {
        self.core.stall_us(outcome.stall_us);
        if outcome.torn {
            self.core.nvic.raise_nmi();
        }
        if let Some(changed) = self.flash.take_changed() {
            self.core.flash_changed(&Self::PROGRAMS, FLASH, changed.start);
            let flash = &self.core.outside.flash;
            memory.write(FLASH + changed.start, &flash.peek(changed.clone()));
            self.torn += u32::from(flash.is_torn_in(changed));
        }
        outcome.value
    }

    fn pins_changed(&mut self) {
        let pins = self.pins;
        let output = |pin: Pin| self.ports.get(pin.port as usize).and_then(|port| port.output(pin.number));
        let (relay, led) = (output(pins.relay), output(pins.led).map(|high| high == pins.led_lights_high));
        match relay {
            Some(on) => self.core.drive_relay(on),
            None => self.core.release_relay(),
        }
        // A pin that drives nothing lights nothing.
        self.core.light(led.unwrap_or(false));
        self.seen = None;
        self.look_outside();
    }
}

/// Gives the offset in the flash of an address that its model answers.
fn flash_offset(address: u32) -> Option<u32> {
    match address {
        ALIAS..ALIAS_END => Some(address - ALIAS),
        _ => None,
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
        0x4000_5800 => Clocked::I2c2,
        0x4000_8000 => Clocked::Lpuart1,
        0x4001_3800 => Clocked::Usart1,
        0x4002_0000 => Clocked::Dma1,
        0x4002_0800 => Clocked::Dmamux,
        0x4800_0000..0x4800_2000 => Clocked::Gpio(block >> 10 & 7),
        0x5800_1000 => Clocked::Rng,
        0x5801_0000 => Clocked::SubghzSpi,
        _ => return None,
    })
}
