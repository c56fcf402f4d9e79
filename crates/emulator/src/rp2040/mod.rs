//! The RP2040 with its flash and, beside it, an SX1262: as far as the image uses them.

mod calls;
mod clocks;
mod gpio;
mod i2c;
mod rom;
mod sio;
mod spi;
mod ssi;
mod timer;
mod uart;
mod watchdog;

use std::ops::Range;
use std::rc::Rc;

use sockeye_virtual_hardware::flash::{self, Flash};

use self::clocks::Clocks;
use self::gpio::Gpio;
use self::i2c::I2c;
use self::sio::Sio;
use self::spi::Spi;
use self::ssi::Ssi;
use self::timer::Timer;
use self::uart::Uart;
use self::watchdog::Watchdog;
use crate::chip::{Area, Call, Chip, Core, Programs, ResetKind, Start};
use crate::elf::Image;
use crate::kept::Kept;
use crate::memory::Memory;
use crate::outside::Outside;
use crate::time::{TICKS_PER_US, Time, ticks_of_us};

/// Where the flash is seen, through its cache.
const XIP: u32 = 0x1000_0000;
/// Bytes of the flash of a Raspberry Pi Pico.
const FLASH_BYTES: u32 = 2 * 1024 * 1024;
const RAM: u32 = 0x2000_0000;
const RAM_BYTES: u32 = 264 * 1024;
/// Bytes of the second-stage loader, with its check in the last four.
const LOADER_BYTES: usize = 256;
/// Where the boot ROM copies it to, and its stack begins (data sheet 2.8.1.3.1).
const LOADER: u32 = 0x2004_1F00;

const SECTOR: u32 = 4096;
const PAGE: u32 = 256;

/// Numbers of interrupts (data sheet 2.3.2).
mod irq {
    pub const TIMER_0: u8 = 0;
    pub const IO_BANK0: u8 = 13;
    pub const SPI1: u8 = 19;
    pub const UART0: u8 = 20;
    pub const UART1: u8 = 21;
    pub const I2C0: u8 = 23;
}

/// Bits of RESETS (data sheet 2.14), of those that have a model.
mod reset {
    pub const I2C0: u32 = 1 << 3;
    pub const IO_BANK0: u32 = 1 << 5;
    pub const PADS_BANK0: u32 = 1 << 8;
    pub const PLL_SYS: u32 = 1 << 12;
    pub const PLL_USB: u32 = 1 << 13;
    pub const SPI1: u32 = 1 << 17;
    pub const TIMER: u32 = 1 << 21;
    pub const UART0: u32 = 1 << 22;
    pub const UART1: u32 = 1 << 23;
    pub const ALL: u32 = 0x01FF_FFFF;
    /// What the boot ROM needs: both blocks of the flash's pins.
    pub const FLASH: u32 = 1 << 6 | 1 << 9;
}

/// Which pin goes where (boards/rp2040-sx1262/README.md).
mod pin {
    /// High closes the relay.
    pub const RELAY: u32 = 6;
    /// High lights the LED.
    pub const LED: u32 = 25;
    /// Low is pressed.
    pub const BUTTON: u32 = 7;
    /// Low when the mains is gone.
    pub const MAINS: u32 = 22;
    pub const TAG_SDA: u32 = 4;
    pub const TAG_SCL: u32 = 5;
    /// Falls with each pulse.
    pub const TAG_GPO: u32 = 8;
    pub const RADIO_NSS: u32 = 3;
    pub const RADIO_RESET: u32 = 15;
    pub const RADIO_BUSY: u32 = 2;
    pub const RADIO_DIO1: u32 = 20;
}

/// The chip around its CPU.
#[derive(Debug)]
pub struct Rp2040 {
    core: Core<flash::Rp2040>,
    unique_id: [u8; 8],
    clocks: Clocks,
    /// The blocks that are held in reset.
    in_reset: u32,
    gpio: Gpio,
    sio: Sio,
    timer: Timer,
    watchdog: Watchdog,
    uart: Uart,
    /// The one to a computer.
    uart1: Uart,
    spi: Spi,
    i2c: I2c,
    /// The tag's pulses so far.
    pulses: u64,
    ssi: Ssi,
    /// Blocks that keep what they are given.
    psm: Kept<4>,
    vreg: Kept<3>,
    io_qspi: Kept<0x18>,
    pads_qspi: Kept<7>,
    xip: Kept<8>,
    syscfg: Kept<7>,
    dma: Kept<0x120>,
    resets_wdsel: u32,
    /// The levels of the radio's pins that the chip drives: NSS, RESET.
    radio_pins: (bool, bool),
    /// The pins that something outside drives, as they were looked at last.
    seen: Option<[(u32, bool); 6]>,
    /// Whether the flash is seen at its address.
    is_xip: bool,
    /// The last reset was one of the cores alone.
    only_cores: bool,
}

impl Chip for Rp2040 {
    type Nor = flash::Rp2040;

    const REGISTERS: &'static [(u32, u32)] = &[
        (0x1400_0000, 0x4000),
        (0x1800_0000, 0x1000),
        (0x4000_0000, 0x7_0000),
        (0x5000_0000, 0x4000),
        (0xD000_0000, 0x1000),
        (0xE000_0000, 0x1000),
        (0xE000_E000, 0x1000),
    ];
    const RECORDS: Range<u32> = FLASH_BYTES - 0x8000..FLASH_BYTES;
    const PROGRAMS: Programs = Programs { bootloader: 0..0x6000, active: 0x7000..0x47000 };
    /// The regulator, the ring oscillator and the boot ROM; about.
    const POWER_UP_US: u64 = 3_000;
    const HAS_TAG: bool = true;
    /// The mains sense misses a period of the mains.
    const SUPPLY_MONITOR_US: u64 = 20_000;

    fn flash(image: &Image) -> Flash<flash::Rp2040> {
        let flash = Flash::erased((FLASH_BYTES / SECTOR) as usize);
        for (address, bytes) in &image.segments {
            flash.spoil(address.wrapping_sub(XIP) as usize, bytes);
        }
        flash
    }

    fn new(time: &Rc<Time>, outside: &Outside<flash::Rp2040>, eui64: [u8; 8], seed: u64) -> Self {
        // CPUID: Cortex-M0+ r0p1.
        let core = Core::new(time, outside, 2, 0x410C_C601, 0);
        outside.radio.power_cycle();
        let clocks = Clocks::new(seed);
        let watchdog = Watchdog::new(time.now(), clocks.ref_ticks().unwrap_or(1));
        Self::from_reset(core, eui64, clocks, Gpio::new(None), watchdog)
    }

    fn areas(&self, _: &Image, seed: u64) -> Vec<Area> {
        vec![
            Area { start: 0, contents: rom::contents() },
            Area { start: XIP, contents: self.core.outside.flash.contents() },
            Area::ram(RAM, RAM_BYTES, seed),
        ]
    }

    fn start(&mut self, memory: &mut dyn Memory) -> Start {
        let mut loader = [0; LOADER_BYTES];
        let is_read = memory.read(XIP, &mut loader) && memory.write(LOADER, &loader);
        let (code, check) = loader.split_at(LOADER_BYTES - 4);
        if !is_read || rom::crc32(code).to_le_bytes() != check {
            self.core.fault("no second-stage loader: the boot ROM waits for USB".to_owned());
        }
        // The loader goes on at the vector table behind it where it is called from nowhere.
        Start { sp: LOADER, pc: LOADER, lr: 0 }
    }

    fn reset(&mut self, kind: ResetKind) {
        let core = self.core.after_reset(0);
        if std::mem::take(&mut self.only_cores) {
            self.core = core;
            return;
        }
        let clocks = Clocks::new(self.clocks.next_seed());
        self.i2c.let_go(&core.outside.tag);
        let now = core.time.now();
        let timed_out = kind == ResetKind::Watchdog;
        let watchdog = self.watchdog.after_reset(now, clocks.ref_ticks().unwrap_or(1), timed_out);
        *self = Self::from_reset(core, self.unique_id, clocks, Gpio::new(Some(&self.gpio)), watchdog);
    }

    fn core(&self) -> &Core<flash::Rp2040> {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core<flash::Rp2040> {
        &mut self.core
    }

    fn advance(&mut self, _: &mut dyn Memory) {
        let now = self.core.time.now();
        self.core.sync();
        if !self.is_held(reset::TIMER) {
            self.timer.advance(now);
        }
        while let Some((byte, at)) = self.uart.advance(now) {
            self.core.meter_hears(byte, at, self.uart.bit_ticks());
        }
        while let Some((byte, _)) = self.core.meter_byte() {
            self.uart.receive(now, byte);
        }
        while let Some((byte, _)) = self.uart1.advance(now) {
            self.core.computer_hears(byte, self.uart1.bit_ticks());
        }
        while let Some((byte, _)) = self.core.computer_byte() {
            self.uart1.receive(now, byte);
        }
        self.i2c.advance(&self.core.outside.tag, now, self.i2c_ticks());
        if self.watchdog.due().is_some_and(|due| due <= now) {
            self.core.ask_for_reset(ResetKind::Watchdog);
        }
        self.look_outside();
    }

    fn next_event(&self) -> Option<u64> {
        let busy = self.core.outside.radio.busy_until_us().map(ticks_of_us);
        let blocks = [
            self.timer.next_event(),
            self.uart.next_event(),
            self.uart1.next_event(),
            self.i2c.next_event(),
            self.watchdog.due(),
            busy,
            self.core.next_outside(),
        ];
        blocks.into_iter().flatten().min()
    }

    fn read(&mut self, _: &mut dyn Memory, address: u32, bytes: u32) -> u32 {
        let register = address & !3;
        let value = match self.read_register(register) {
            Some(value) => value,
            None => {
                self.core.fault(format!("a read of {register:#010x}, of which there is no model"));
                0
            }
        };
        if takes(Self::place(register).0) {
            self.set_lines();
        }
        let shifted = value >> (8 * (address & 3));
        match bytes {
            1 => shifted & 0xFF,
            2 => shifted & 0xFFFF,
            _ => shifted,
        }
    }

    fn write(&mut self, _: &mut dyn Memory, address: u32, bytes: u32, value: u32) {
        let register = address & !3;
        // A narrow write puts its value on all lanes of the bus (data sheet 2.1.4); the CPU's own registers take it alone.
        let value = match (bytes, address >> 28) {
            (1 | 2, 0xE) => {
                let shift = 8 * (address & 3);
                let mask = if bytes == 1 { 0xFF } else { 0xFFFF } << shift;
                self.core.read_system(register).unwrap_or(0) & !mask | value << shift & mask
            }
            (1, _) => (value & 0xFF) * 0x0101_0101,
            (2, _) => (value & 0xFFFF) * 0x0001_0001,
            _ => value,
        };
        if self.write_register(register, value).is_none() {
            self.core.fault(format!("a write to {register:#010x}, of which there is no model"));
        }
        self.set_lines();
    }

    fn call(&mut self, memory: &mut dyn Memory, call: Call) -> Option<u32> {
        self.rom_function(memory, call)
    }
}

impl Rp2040 {
    /// Makes the chip of what comes through a reset, as the boot ROM leaves it.
    fn from_reset(
        core: Core<flash::Rp2040>,
        unique_id: [u8; 8],
        clocks: Clocks,
        gpio: Gpio,
        watchdog: Watchdog,
    ) -> Self {
        let now = core.time.now();
        core.time.set_ticks_per_cycle(clocks.sys_ticks().unwrap_or(TICKS_PER_US / 6));
        let mut vreg = Kept::new(&[0x0, 0x4, 0x8]);
        vreg.set(0x0, 0xB1 | 1 << 12);
        vreg.set(0x4, 0x91);
        // HAD_POR.
        vreg.set(0x8, 1 << 8);
        let mut xip = Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C]);
        xip.set(0x00, 3);
        let mut chip = Self {
            unique_id,
            in_reset: reset::ALL & !reset::FLASH,
            gpio,
            sio: Sio::default(),
            timer: Timer::new(now, None),
            watchdog,
            uart: Uart::new(clocks.peri_ticks()),
            uart1: Uart::new(clocks.peri_ticks()),
            spi: Spi::new(),
            i2c: I2c::new(),
            pulses: core.outside.tag.pulses(),
            ssi: Ssi::new(unique_id),
            psm: Kept::new(&[0x0, 0x4, 0x8, 0xC]),
            vreg,
            io_qspi: Kept::new(&QSPI_PINS),
            pads_qspi: Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18]),
            xip,
            syscfg: Kept::new(&[0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18]),
            dma: Kept::new(&DMA),
            resets_wdsel: 0,
            // Both are pulled up on the radio's board.
            radio_pins: (true, true),
            seen: None,
            is_xip: false,
            only_cores: false,
            clocks,
            core,
        };
        chip.drive_radio();
        chip.look_outside();
        chip
    }

    /// Looks at what is outside, and sets the lines of all interrupts.
    fn look_outside(&mut self) {
        self.core.look_at_radio();
        let outside = &self.core.outside;
        let pulses = outside.tag.pulses();
        let seen = [
            (pin::BUTTON, !outside.button.is_pressed()),
            (pin::MAINS, !outside.supply_low.get()),
            (pin::RADIO_BUSY, outside.radio.is_busy()),
            (pin::RADIO_DIO1, outside.radio.dio1()),
            // Both lines are pulled up.
            (pin::TAG_SCL, true),
            (pin::TAG_SDA, !I2c::is_stuck(&outside.tag)),
        ];
        let has_pulsed = std::mem::replace(&mut self.pulses, pulses) != pulses;
        if has_pulsed || self.seen != Some(seen) {
            self.seen = Some(seen);
            seen.iter().for_each(|(pin, high)| self.gpio.drive(*pin, *high));
            if has_pulsed {
                // Shorter than the software could look.
                self.gpio.drive(pin::TAG_GPO, false);
                self.gpio.look();
            }
            self.gpio.drive(pin::TAG_GPO, true);
            self.gpio.look();
        }
        self.set_lines();
    }

    fn is_held(&self, block: u32) -> bool {
        self.in_reset & block != 0
    }

    fn set_lines(&mut self) {
        let alarms = self.timer.interrupting();
        let nvic = &mut self.core.nvic;
        for alarm in 0..4 {
            nvic.set_line(irq::TIMER_0 + alarm, alarms >> alarm & 1 != 0);
        }
        nvic.set_line(irq::IO_BANK0, self.gpio.interrupts());
        nvic.set_line(irq::SPI1, self.spi.interrupts());
        nvic.set_line(irq::UART0, self.uart.interrupts());
        nvic.set_line(irq::UART1, self.uart1.interrupts());
        nvic.set_line(irq::I2C0, self.i2c.interrupts());
    }

    fn pins_changed(&mut self) {
        match self.gpio.output(pin::RELAY) {
            Some(on) => self.core.drive_relay(on),
            None => self.core.release_relay(),
        }
        // A pin that drives nothing lights nothing.
        self.core.light(self.gpio.output(pin::LED) == Some(true));
        self.drive_radio();
        self.seen = None;
        self.look_outside();
    }

    fn drive_radio(&mut self) {
        // Both are pulled up on the radio's board.
        let level = |pin| self.gpio.output(pin).unwrap_or(true);
        let pins = (level(pin::RADIO_NSS), level(pin::RADIO_RESET));
        let before = std::mem::replace(&mut self.radio_pins, pins);
        if pins != before {
            self.core.sync();
        }
        if pins.1 != before.1 {
            self.core.outside.radio.power_cycle();
        }
        if pins.0 != before.0 {
            self.core.outside.radio.set_nss(pins.0);
        }
    }

    /// The block of a register, and where it stands in it, without the part of the address that makes it atomic.
    fn place(address: u32) -> (u32, u32) {
        match address >> 28 {
            0x4 | 0x5 => (address & !0x3FFF, address & 0xFFF),
            _ => (address & !0xFFF, address & 0xFFF),
        }
    }

    fn read_register(&mut self, address: u32) -> Option<u32> {
        let now = self.core.time.now();
        let (block, offset) = Self::place(address);
        if self.is_held(held_by(block)) {
            self.core.fault(format!("a read of {address:#010x}, which is in reset"));
            return Some(0);
        }
        match block {
            // FLUSH reads as done, and the stream is empty: STAT says so, and that the FIFO of the stream is.
            0x1400_0000 if offset == 0x04 => Some(0),
            0x1400_0000 if offset == 0x08 => Some(3),
            0x1400_0000 => self.xip.read(offset),
            0x1800_0000 => self.ssi.read(offset),
            // SYSINFO: CHIP_ID of the second stepping, PLATFORM.
            0x4000_0000 if offset == 0x00 => Some(0x2000_2927),
            0x4000_0000 if offset == 0x04 => Some(2),
            0x4000_4000 => self.syscfg.read(offset),
            0x4000_8000 => self.clocks.read(offset),
            0x4000_C000 => match offset {
                0x0 => Some(self.in_reset),
                0x4 => Some(self.resets_wdsel),
                0x8 => Some(!self.in_reset & reset::ALL),
                _ => None,
            },
            // PSM: all that is not forced off is done.
            0x4001_0000 if offset == 0xC => Some(0x1FFFF & !self.psm.get(0x4)),
            0x4001_0000 => self.psm.read(offset),
            0x4001_4000 => self.gpio.read(offset),
            0x4001_8000 => self.io_qspi.read(offset),
            0x4001_C000 => self.gpio.read_pad(offset),
            0x4002_0000 => self.pads_qspi.read(offset),
            0x4002_4000 => self.clocks.read_xosc(now, offset),
            0x4002_8000 => self.clocks.pll_sys.read(offset),
            0x4002_C000 => self.clocks.pll_usb.read(offset),
            0x4003_4000 => self.uart.read(offset),
            0x4003_8000 => self.uart1.read(offset),
            0x4004_0000 => self.spi.read(offset),
            0x4004_4000 => {
                self.sync_i2c();
                // Who finds nothing looks again until the byte on the lines has come: so time goes on to that, as far as nothing
                // else happens before.
                if self.i2c.is_awaited(offset)
                    && let Some(at) = self.next_event()
                {
                    self.core.time.pass_until(at);
                    self.sync_i2c();
                }
                self.i2c.read(offset)
            }
            0x4005_4000 => self.timer.read(now, offset),
            0x4005_8000 => self.watchdog.read(now, offset),
            0x4006_0000 => self.clocks.read_rosc(offset),
            0x4006_4000 => self.vreg.read(offset),
            0x5000_0000 => self.read_dma(offset),
            0xD000_0000 => match offset {
                0x04 => Some(self.gpio.inputs()),
                // The flash's pins.
                0x08 => Some(0),
                0x10 => Some(self.gpio.out),
                0x20 => Some(self.gpio.out_enable),
                _ => self.sio.read(offset),
            },
            0xE000_E000 => self.core.read_system(address),
            _ => None,
        }
    }

    fn read_dma(&self, offset: u32) -> Option<u32> {
        match offset {
            // CHAN_ABORT: done.
            0x444 => Some(0),
            _ => self.dma.read(offset),
        }
    }

    fn write_register(&mut self, address: u32, value: u32) -> Option<()> {
        let (block, offset) = Self::place(address);
        if self.is_held(held_by(block)) {
            self.core.fault(format!("a write to {address:#010x}, which is in reset"));
            return Some(());
        }
        // Data sheet 2.1.2: the same registers again, to flip, set and clear bits.
        let value = match (address >> 28, address >> 12 & 3) {
            (0x4 | 0x5, atomic @ 1..=3) => {
                let before = self.read_register(address & !0x3000)?;
                match atomic {
                    1 => before ^ value,
                    2 => before | value,
                    _ => before & !value,
                }
            }
            _ => value,
        };
        self.write_whole(block, offset, address, value)
    }

    fn write_whole(&mut self, block: u32, offset: u32, address: u32, value: u32) -> Option<()> {
        let now = self.core.time.now();
        match block {
            0x1400_0000 => self.xip.write(offset, value),
            0x1800_0000 => {
                self.ssi.write(offset, value)?;
                self.is_xip |= self.ssi.is_xip();
                Some(())
            }
            0x4000_4000 => self.syscfg.write(offset, value),
            0x4000_8000 => {
                self.clocks.write(offset, value)?;
                self.clocks_changed();
                Some(())
            }
            0x4000_C000 if offset == 0x0 => {
                self.hold(value & reset::ALL);
                Some(())
            }
            0x4000_C000 if offset == 0x4 => {
                self.resets_wdsel = value;
                Some(())
            }
            0x4001_0000 => {
                // SIO is stage 14.
                if offset == 0x4 && value & 1 << 14 != 0 {
                    self.sio = Sio::default();
                }
                self.psm.write(offset, value)
            }
            0x4001_4000 => {
                self.gpio.write(offset, value)?;
                self.pins_changed();
                Some(())
            }
            0x4001_8000 => self.io_qspi.write(offset, value),
            0x4001_C000 => {
                self.gpio.write_pad(offset, value)?;
                self.pins_changed();
                Some(())
            }
            0x4002_0000 => self.pads_qspi.write(offset, value),
            0x4002_4000 => {
                self.clocks.write_xosc(now, offset, value)?;
                self.clocks_changed();
                Some(())
            }
            0x4002_8000 | 0x4002_C000 => {
                let clocks = &mut self.clocks;
                let pll = if block == 0x4002_8000 { &mut clocks.pll_sys } else { &mut clocks.pll_usb };
                pll.write(offset, value)?;
                self.clocks_changed();
                Some(())
            }
            0x4003_4000 => self.uart.write(now, offset, value),
            0x4003_8000 => self.uart1.write(now, offset, value),
            0x4004_0000 if offset == spi::DR => {
                self.write_spi(value as u8);
                Some(())
            }
            0x4004_0000 => self.spi.write(offset, value),
            0x4004_4000 => {
                self.sync_i2c();
                let ticks = self.i2c_ticks();
                self.i2c.write(&self.core.outside.tag, now, ticks, offset, value)
            }
            0x4005_4000 => self.timer.write(now, offset, value),
            0x4005_8000 => {
                self.watchdog.write(now, offset, value)?;
                if self.watchdog.take_trigger() {
                    self.core.ask_for_reset(ResetKind::Software);
                }
                self.set_tick();
                Some(())
            }
            0x4006_0000 => self.clocks.write_rosc(offset, value),
            0x4006_4000 => self.vreg.write(offset, value),
            0x5000_0000 => self.write_dma(offset, value),
            0xD000_0000 => self.write_sio(offset, value),
            0xE000_E000 => self.write_cpu(address, value),
            _ => None,
        }
    }

    fn write_cpu(&mut self, address: u32, value: u32) -> Option<()> {
        // SYSRESETREQ resets the cores alone: the watchdog resets the chip.
        self.only_cores |= address == 0xE000_ED0C && value >> 16 == 0x05FA && value & 4 != 0;
        self.core.write_system(address, value)
    }

    fn write_sio(&mut self, offset: u32, value: u32) -> Option<()> {
        let gpio = &mut self.gpio;
        match offset {
            0x10 => gpio.out = value,
            0x14 => gpio.out |= value,
            0x18 => gpio.out &= !value,
            0x1C => gpio.out ^= value,
            0x20 => gpio.out_enable = value,
            0x24 => gpio.out_enable |= value,
            0x28 => gpio.out_enable &= !value,
            0x2C => gpio.out_enable ^= value,
            _ => return self.sio.write(offset, value),
        }
        self.pins_changed();
        Some(())
    }

    /// A channel that is started would move nothing.
    fn write_dma(&mut self, offset: u32, value: u32) -> Option<()> {
        // CTRL_TRIG and the other registers of a channel that start it, with its enable.
        if offset < 0x300 && offset & 0xC == 0xC && value & 1 != 0 {
            self.core.fault("a start of a DMA channel, of which there is no model".to_owned());
        }
        self.dma.write(offset, value)
    }

    fn write_spi(&mut self, byte: u8) {
        let Some(ticks) = self.clocks.peri_ticks().filter(|_| self.spi.is_on()) else {
            self.core.fault("a byte to the radio's bus, which is off".to_owned());
            return;
        };
        self.core.sync();
        self.core.time.pass_until(self.core.time.now() + self.spi.byte_cycles() * ticks);
        // A chip that is not selected leaves the line alone.
        let is_selected = !self.radio_pins.0;
        let answer = if is_selected { self.core.outside.radio.exchange(byte) } else { 0 };
        self.spi.received(answer);
    }

    fn i2c_ticks(&self) -> u64 {
        self.clocks.sys_ticks().unwrap_or(1)
    }

    /// Brings the bus to the present instant.
    fn sync_i2c(&mut self) {
        self.core.sync();
        let now = self.core.time.now();
        self.i2c.advance(&self.core.outside.tag, now, self.i2c_ticks());
    }

    /// Holds blocks in reset, and lets others go: each begins as it is after a reset.
    fn hold(&mut self, blocks: u32) {
        let freed = self.in_reset & !blocks;
        let newly = blocks & !self.in_reset;
        self.in_reset = blocks;
        let now = self.core.time.now();
        if (freed | newly) & reset::TIMER != 0 {
            self.timer = Timer::new(now, None);
        }
        if newly & reset::UART0 != 0 {
            self.uart = Uart::new(self.clocks.peri_ticks());
        }
        if newly & reset::UART1 != 0 {
            self.uart1 = Uart::new(self.clocks.peri_ticks());
        }
        if newly & reset::I2C0 != 0 {
            self.i2c.let_go(&self.core.outside.tag);
            self.i2c = I2c::new();
        }
        if newly & reset::SPI1 != 0 {
            self.spi = Spi::new();
        }
        if newly & reset::PLL_SYS != 0 {
            self.clocks.pll_sys = clocks::Pll::new();
        }
        if newly & reset::PLL_USB != 0 {
            self.clocks.pll_usb = clocks::Pll::new();
        }
        if newly & (reset::IO_BANK0 | reset::PADS_BANK0) != 0 {
            // Neither clears what SIO puts out.
            let (out, out_enable) = (self.gpio.out, self.gpio.out_enable);
            self.gpio = Gpio::new(Some(&self.gpio));
            (self.gpio.out, self.gpio.out_enable) = (out, out_enable);
            self.pins_changed();
        }
        self.clocks_changed();
    }

    fn clocks_changed(&mut self) {
        let now = self.core.time.now();
        match self.clocks.sys_ticks() {
            Ok(ticks) => self.core.time.set_ticks_per_cycle(ticks),
            Err(hz) => self.core.fault(format!("the system clock is set to {hz} Hz")),
        }
        if let Some(ticks) = self.clocks.ref_ticks() {
            self.watchdog.set_clock(now, ticks);
        }
        self.uart.set_clock(self.clocks.peri_ticks());
        self.uart1.set_clock(self.clocks.peri_ticks());
        self.set_tick();
    }

    /// The watchdog's tick is the timer's.
    fn set_tick(&mut self) {
        let tick = self.watchdog.tick().filter(|_| !self.is_held(reset::TIMER));
        self.timer.set_tick(self.core.time.now(), tick);
    }
}

/// Tells whether a read of a block can take something from it, and so change an interrupt's line.
fn takes(block: u32) -> bool {
    matches!(block, 0x4003_4000 | 0x4003_8000 | 0x4004_0000 | 0x4004_4000)
}

/// Names the bit that holds a block in reset, or none.
fn held_by(block: u32) -> u32 {
    match block {
        0x4001_4000 => reset::IO_BANK0,
        0x4001_C000 => reset::PADS_BANK0,
        0x4002_8000 => reset::PLL_SYS,
        0x4002_C000 => reset::PLL_USB,
        0x4003_4000 => reset::UART0,
        0x4003_8000 => reset::UART1,
        0x4004_0000 => reset::SPI1,
        0x4004_4000 => reset::I2C0,
        0x4005_4000 => reset::TIMER,
        0x5000_0000 => 1 << 2,
        _ => 0,
    }
}

/// The registers of IO_QSPI: two a pin, then those of interrupts.
const QSPI_PINS: [u32; 24] = counted();

/// The registers of DMA: sixteen a channel of twelve, then those of interrupts, pacing and abort.
const DMA: [u32; 0x120] = counted();

/// Every offset of `N` words.
const fn counted<const N: usize>() -> [u32; N] {
    let mut all = [0; N];
    let mut at = 0;
    while at < N {
        all[at] = 4 * at as u32;
        at += 1;
    }
    all
}

/// Makes a second-stage loader of code: filled up, and with its check.
#[cfg(test)]
pub(crate) fn loader(code: &[u8]) -> Vec<u8> {
    let mut loader = code.to_vec();
    loader.resize(LOADER_BYTES - 4, 0);
    let check = rom::crc32(&loader);
    loader.extend(check.to_le_bytes());
    loader
}
