//! The random number generator (RM0453 chapter 22).

const CR: u32 = 0x00;
const SR: u32 = 0x04;
const DR: u32 = 0x08;
const HTCR: u32 = 0x10;
const CONDRST: u32 = 1 << 30;

/// A generator that gives the numbers of its seed.
#[derive(Clone, Debug)]
pub struct Rng {
    control: u32,
    health: u32,
    state: u64,
}

impl Rng {
    /// Makes a generator that is off.
    pub fn new(seed: u64) -> Self {
        Self { control: 0, health: 0, state: seed }
    }

    /// Gives what the next start is to be seeded with.
    pub fn next_seed(&self) -> u64 {
        self.state ^ 0x5DEE_CE66
    }

    fn is_ready(&self) -> bool {
        self.control & 4 != 0 && self.control & CONDRST == 0
    }

    /// Reads a register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            CR => self.control,
            SR => u32::from(self.is_ready()),
            DR if self.is_ready() => self.next(),
            DR => 0,
            HTCR => self.health,
            _ => return None,
        })
    }

    /// Writes a register.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            CR => self.control = value,
            HTCR => self.health = value,
            SR | DR => {}
            _ => return None,
        }
        Some(())
    }

    /// One step of splitmix64.
    fn next(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as u32
    }
}
