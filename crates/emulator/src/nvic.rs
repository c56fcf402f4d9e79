//! The interrupt controller of a Cortex-M: what is pending, and what comes next.

/// The first external interrupt's exception number (ARMv7-M ARM, B1.5.2).
pub const EXTERNAL: u8 = 16;
/// The non-maskable interrupt.
pub const NMI: u8 = 2;
/// The fault that every other one becomes, as nobody enables those.
pub const HARD_FAULT: u8 = 3;

/// Below every priority: no exception is active.
const THREAD: i16 = 256;

/// Interrupts, enabled and pending, and the exceptions that are being handled.
#[derive(Clone, Debug)]
pub struct Nvic {
    enabled: u64,
    pending: u64,
    /// Lines that are high. A line that is still high when its handler returns is pending again.
    lines: u64,
    priorities: [u8; 64],
    nmi: bool,
    hard_fault: bool,
    /// Exception numbers, the one that is running last.
    active: Vec<u8>,
    /// The event register, which WFE waits for.
    event: bool,
    /// The bits of a priority that the chip has.
    priority_mask: u8,
    taken: [u64; 80],
}

impl Nvic {
    /// Makes a controller with `priority_bits` bits of priority, all interrupts off.
    #[must_use]
    pub fn new(priority_bits: u32) -> Self {
        Self {
            enabled: 0,
            pending: 0,
            lines: 0,
            priorities: [0; 64],
            nmi: false,
            hard_fault: false,
            active: Vec::new(),
            event: false,
            priority_mask: !(0xFF_u8.checked_shr(priority_bits).unwrap_or(0)),
            taken: [0; 80],
        }
    }

    /// Sets the level of an interrupt's line.
    pub fn set_line(&mut self, irq: u8, high: bool) {
        let bit = 1_u64 << irq;
        if high && self.lines & bit == 0 {
            self.lines |= bit;
            self.pending |= bit;
        } else if !high {
            self.lines &= !bit;
        }
    }

    /// Makes the non-maskable interrupt pending.
    pub fn raise_nmi(&mut self) {
        self.nmi = true;
    }

    /// Makes a fault pending.
    pub fn raise_hard_fault(&mut self) {
        self.hard_fault = true;
    }

    /// Sets the event register, as SEV does.
    pub fn set_event(&mut self) {
        self.event = true;
    }

    /// Takes the event register, as a WFE that does not wait does.
    pub fn take_event(&mut self) -> bool {
        std::mem::take(&mut self.event)
    }

    /// Names the exception that is to be entered now, if there is one; `masked` is PRIMASK.
    #[must_use]
    pub fn next(&self, masked: bool) -> Option<u8> {
        let running = self.active.last().map_or(THREAD, |number| self.priority(*number));
        // The architecture's fixed priorities: NMI -2, hard fault -1.
        if self.nmi && running > -2 {
            return Some(NMI);
        }
        if self.hard_fault && running > -1 {
            return Some(HARD_FAULT);
        }
        if masked {
            return None;
        }
        self.best().filter(|irq| self.priority(EXTERNAL + irq) < running).map(|irq| EXTERNAL + irq)
    }

    /// Tells whether something would wake a WFI: an exception to be entered, were it not for PRIMASK.
    #[must_use]
    pub fn would_wake(&self) -> bool {
        self.next(false).is_some()
    }

    /// Enters an exception.
    pub fn enter(&mut self, number: u8) {
        match number {
            NMI => self.nmi = false,
            HARD_FAULT => self.hard_fault = false,
            _ => self.pending &= !(1 << (number - EXTERNAL)),
        }
        self.active.push(number);
        if let Some(taken) = self.taken.get_mut(usize::from(number)) {
            *taken += 1;
        }
    }

    /// Leaves the exception that is running. A return from one sets the event register.
    pub fn leave(&mut self) {
        if let Some(irq) = self.active.pop().and_then(|number| number.checked_sub(EXTERNAL)) {
            self.pending |= self.lines & 1 << irq;
        }
        self.event = true;
    }

    /// Names the exception that is running, 0 for none.
    #[must_use]
    pub fn running(&self) -> u8 {
        self.active.last().copied().unwrap_or(0)
    }

    /// Tells how often each exception was entered, by number, without those that never were.
    pub fn taken(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.taken.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Reads a word of the register block from ISER0 on (ARMv7-M ARM, B3.4).
    #[must_use]
    pub fn read(&self, offset: u32) -> Option<u32> {
        let half = |bits: u64| (bits >> ((offset & 4) * 8)) as u32;
        Some(match offset & 0x780 {
            _ if (0x300..0x340).contains(&offset) => {
                let first = (offset - 0x300) as usize;
                let bytes: [u8; 4] = self.priorities.get(first..first + 4)?.try_into().ok()?;
                u32::from_le_bytes(bytes)
            }
            0x000 | 0x080 if offset & 0x7F < 8 => half(self.enabled),
            0x100 | 0x180 if offset & 0x7F < 8 => half(self.pending),
            0x200 if offset & 0x7F < 8 => half(
                self.active
                    .iter()
                    .filter_map(|number| number.checked_sub(EXTERNAL))
                    .fold(0, |bits, irq| bits | 1 << irq),
            ),
            _ => return None,
        })
    }

    /// Writes a word of the register block from ISER0 on.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        let bits = u64::from(value) << ((offset & 4) * 8);
        match offset & 0x780 {
            _ if (0x300..0x340).contains(&offset) => {
                let first = (offset - 0x300) as usize;
                for (place, byte) in
                    self.priorities.get_mut(first..first + 4)?.iter_mut().zip(value.to_le_bytes())
                {
                    *place = byte & self.priority_mask;
                }
            }
            0x000 if offset < 8 => self.enabled |= bits,
            0x080 if offset & 0x7F < 8 => self.enabled &= !bits,
            0x100 if offset & 0x7F < 8 => self.pending |= bits,
            // A line that is high stays pending, unless it is being handled.
            0x180 if offset & 0x7F < 8 => {
                let handled = self.active.iter().filter_map(|number| number.checked_sub(EXTERNAL));
                let held = self.lines & !handled.fold(0, |bits, irq| bits | 1 << irq);
                self.pending &= !bits | held;
            }
            _ => return None,
        }
        Some(())
    }

    fn priority(&self, number: u8) -> i16 {
        match number {
            NMI => -2,
            HARD_FAULT => -1,
            _ => self.priorities.get(usize::from(number - EXTERNAL)).copied().map_or(THREAD, i16::from),
        }
    }

    /// The pending and enabled interrupt of the best priority; among equals the lowest number.
    fn best(&self) -> Option<u8> {
        let mut left = self.pending & self.enabled;
        let mut best: Option<u8> = None;
        while left != 0 {
            let irq = left.trailing_zeros() as u8;
            left &= left - 1;
            if best.is_none_or(|other| self.priority(EXTERNAL + irq) < self.priority(EXTERNAL + other)) {
                best = Some(irq);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(enabled: &[u8], priorities: &[(u8, u8)]) -> Nvic {
        let mut nvic = Nvic::new(4);
        for irq in enabled {
            nvic.write(u32::from(irq / 32) * 4, 1 << (irq % 32)).unwrap();
        }
        for (irq, priority) in priorities {
            let offset = 0x300 + u32::from(irq & !3);
            let shift = 8 * u32::from(irq & 3);
            let word = nvic.read(offset).unwrap() & !(0xFF << shift) | u32::from(*priority) << shift;
            nvic.write(offset, word).unwrap();
        }
        nvic
    }

    #[test]
    fn the_best_priority_comes_first_and_among_equals_the_lowest_number() {
        let mut nvic = with(&[27, 36, 51], &[(51, 0xF0)]);
        for irq in [51, 36, 27] {
            nvic.set_line(irq, true);
        }
        let mut order = Vec::new();
        while let Some(number) = nvic.next(false) {
            nvic.enter(number);
            order.push(number - EXTERNAL);
            nvic.set_line(number - EXTERNAL, false);
            nvic.leave();
        }
        assert_eq!(order, [27, 36, 51]);
    }

    #[test]
    fn only_a_better_priority_interrupts_a_handler() {
        let mut nvic = with(&[27, 36, 51], &[(51, 0xF0)]);
        nvic.write(0x104, 1 << (51 - 32)).unwrap();
        nvic.enter(nvic.next(false).unwrap());
        assert_eq!(nvic.next(false), None);
        nvic.set_line(27, true);
        nvic.enter(nvic.next(false).unwrap());
        assert_eq!(nvic.running(), EXTERNAL + 27);
        nvic.set_line(36, true);
        assert_eq!(nvic.next(false), None, "of equal priority");
        nvic.raise_nmi();
        assert_eq!(nvic.next(true), Some(NMI), "whatever the mask");
    }

    #[test]
    fn a_line_that_stays_high_comes_again_and_cannot_be_cleared() {
        let mut nvic = with(&[50], &[]);
        nvic.set_line(50, true);
        nvic.write(0x184, 1 << (50 - 32)).unwrap();
        nvic.enter(nvic.next(false).unwrap());
        assert_eq!(nvic.next(false), None);
        nvic.leave();
        assert_eq!(nvic.next(false), Some(EXTERNAL + 50));
        assert_eq!(nvic.next(true), None);
        assert!(nvic.would_wake());
        nvic.set_line(50, false);
        nvic.write(0x184, 1 << (50 - 32)).unwrap();
        assert_eq!(nvic.next(false), None);
    }

    #[test]
    fn a_priority_keeps_the_bits_that_the_chip_has() {
        assert_eq!(with(&[], &[(51, 0xFF)]).read(0x300 + 48), Some(0xF000_0000));
    }

    #[test]
    fn a_return_sets_the_event_that_wfe_waits_for() {
        let mut nvic = with(&[1], &[]);
        assert!(!nvic.take_event());
        nvic.set_line(1, true);
        nvic.enter(nvic.next(false).unwrap());
        nvic.leave();
        assert!(nvic.take_event());
        assert!(!nvic.take_event());
    }
}
