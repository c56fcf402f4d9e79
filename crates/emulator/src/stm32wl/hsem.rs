//! The hardware semaphores (RM0453 chapter 10), by which the two cores of an STM32WL5x agree. The second core does not run.

/// How many there are.
const COUNT: usize = 16;

/// In a register: the semaphore is taken, and by which core and process.
const LOCK: u32 = 1 << 31;
const CORE: u32 = 0xF00;
const PROCESS: u32 = 0xFF;

/// The number of the first core, which runs here.
const OWN_CORE: u32 = 4 << 8;

/// Which semaphores interrupt when they come free, and the flags of those: nobody else takes one, so none ever does.
const C1IER: u32 = 0x100;
const C1ICR: u32 = 0x104;

/// The semaphores.
#[derive(Clone, Debug, Default)]
pub struct Hsem {
    semaphores: [u32; COUNT],
    enabled: u32,
}

impl Hsem {
    /// Reads a register. One of the second set takes the semaphore, if it is free.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        match offset {
            0..0x40 => self.semaphores.get(offset as usize / 4).copied(),
            0x80..0xC0 => {
                let semaphore = self.semaphores.get_mut((offset - 0x80) as usize / 4)?;
                if *semaphore == 0 {
                    *semaphore = LOCK | OWN_CORE;
                }
                Some(*semaphore)
            }
            C1IER => Some(self.enabled),
            _ => None,
        }
    }

    /// Writes a register: takes a semaphore that is free, and gives back one's own.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            C1IER => self.enabled = value,
            C1ICR => {}
            _ => return self.write_semaphore(offset, value),
        }
        Some(())
    }

    fn write_semaphore(&mut self, offset: u32, value: u32) -> Option<()> {
        let semaphore = self.semaphores.get_mut(offset as usize / 4)?;
        let own = value & (CORE | PROCESS);
        if value & LOCK != 0 && *semaphore == 0 {
            *semaphore = LOCK | own;
        } else if value & LOCK == 0 && *semaphore == LOCK | own {
            *semaphore = 0;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semaphore_is_one_process_s_until_that_gives_it_back() {
        let mut hsem = Hsem::default();
        let (first, second) = (OWN_CORE | 1, OWN_CORE | 2);
        hsem.write(8, LOCK | first).unwrap();
        hsem.write(8, LOCK | second).unwrap();
        assert_eq!(hsem.read(8), Some(LOCK | first));
        hsem.write(8, second).unwrap();
        assert_eq!(hsem.read(8), Some(LOCK | first));
        hsem.write(8, first).unwrap();
        assert_eq!(hsem.read(8), Some(0));
        // By a read alone, as the core.
        assert_eq!((hsem.read(0x88), hsem.read(8)), (Some(LOCK | OWN_CORE), Some(LOCK | OWN_CORE)));
        assert_eq!((hsem.read(0x40), hsem.write(0x40, 0)), (None, None));
    }
}
