//! The BL0942's full packet: 23 bytes from the head 0x55 to the checksum.
//!
//! Two levels: [`Packet`] is a checked view of the bytes, [`Counts`] what they say. Offsets and widths are
//! those of the data sheet's section on the UART's packet reading mode. No input panics.

/// The length of a full packet in bytes.
pub const PACKET_LEN: usize = 23;
/// The first byte of a full packet.
pub const HEAD: u8 = 0x55;
/// The command byte of a read; the chip's address (0..=3) is added.
pub const READ: u8 = 0x58;
/// The command byte of a write; the chip's address (0..=3) is added.
pub const WRITE: u8 = 0xA8;
/// The register address that asks for the full packet.
pub const FULL_PACKET: u8 = 0xAA;

/// The contents of a full packet, in the chip's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// RMS current, 24 bit.
    pub i_rms: u32,
    /// RMS voltage, 24 bit.
    pub v_rms: u32,
    /// Fast RMS current, 24 bit; 0.363 of what I_RMS shows for the same current.
    pub i_fast_rms: u32,
    /// Active power, 24 bit, signed.
    pub watt: i32,
    /// Count of energy pulses, 24 bit, wraps.
    pub cf_cnt: u32,
    /// Line period: f = 10^6 / freq Hz.
    pub freq: u16,
    /// STATUS: bit 0 last pulse reversed, bit 1 creep.
    pub status: u16,
}

impl Counts {
    /// Writes the packet as a chip with this address sends it. Values are cut to their 24 bits.
    #[must_use]
    pub fn encode(&self, address: u8) -> [u8; PACKET_LEN] {
        let [i0, i1, i2, _] = self.i_rms.to_le_bytes();
        let [v0, v1, v2, _] = self.v_rms.to_le_bytes();
        let [f0, f1, f2, _] = self.i_fast_rms.to_le_bytes();
        let [w0, w1, w2, _] = self.watt.to_le_bytes();
        let [c0, c1, c2, _] = self.cf_cnt.to_le_bytes();
        let [q0, q1] = self.freq.to_le_bytes();
        let [s0, s1] = self.status.to_le_bytes();
        let mut bytes =
            [HEAD, i0, i1, i2, v0, v1, v2, f0, f1, f2, w0, w1, w2, c0, c1, c2, q0, q1, 0, s0, s1, 0, 0];
        let [body @ .., sum] = &mut bytes;
        *sum = checksum(read_command(address), body);
        bytes
    }
}

/// A full packet whose head, fixed bytes and checksum are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a>(&'a [u8; PACKET_LEN]);

impl<'a> Packet<'a> {
    /// Looks at the bytes that a chip with this address sent. `None` when the head, the checksum or one of
    /// the two bytes that are always 0 is wrong: eight bits of checksum alone let one in 256 false packets
    /// pass while a line full of garbage is searched for the true one.
    #[must_use]
    pub fn new(bytes: &'a [u8; PACKET_LEN], address: u8) -> Option<Self> {
        // FREQ and STATUS have 16 bits and are sent as 24.
        let [head, .., freq_top, _, _, status_top, sum] = *bytes;
        let [body @ .., _] = bytes;
        let right = head == HEAD && (freq_top, status_top) == (0, 0);
        (right && sum == checksum(read_command(address), body)).then_some(Self(bytes))
    }

    /// Reads what the packet says.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [_, i0, i1, i2, v0, v1, v2, f0, f1, f2, w0, w1, w2, c0, c1, c2, q0, q1, _, s0, s1, _, _] =
            *self.0;
        Counts {
            i_rms: u24(i0, i1, i2),
            v_rms: u24(v0, v1, v2),
            i_fast_rms: u24(f0, f1, f2),
            // The sign is bit 23: put at the top, and shifted back with it.
            watt: i32::from_le_bytes([0, w0, w1, w2]) >> 8,
            cf_cnt: u24(c0, c1, c2),
            freq: u16::from_le_bytes([q0, q1]),
            status: u16::from_le_bytes([s0, s1]),
        }
    }
}

/// Finds a packet in what comes over the wire, behind bytes that do not belong to it.
#[derive(Clone, Debug)]
pub struct Assembler {
    address: u8,
    bytes: [u8; PACKET_LEN],
    filled: usize,
    bad_checksum: bool,
}

/// How far an [`Assembler`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// A packet with the wrong checksum came, and nothing behind it that may be another one.
    BadChecksum,
    /// A packet is there.
    Complete(Counts),
}

impl Assembler {
    /// Makes an empty one, for a chip with this address.
    #[must_use]
    pub fn new(address: u8) -> Self {
        Self { address, bytes: [0; PACKET_LEN], filled: 0, bad_checksum: false }
    }

    /// Gives the place for the next bytes; never empty while [`Progress::More`] was the last answer.
    pub fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Takes `count` bytes that were put into [`space`](Self::space).
    pub fn take(&mut self, count: usize) -> Progress {
        self.filled = self.filled.saturating_add(count).min(PACKET_LEN);
        loop {
            self.drop_to_head(0);
            if self.filled < PACKET_LEN {
                let nothing_left = self.filled == 0 && self.bad_checksum;
                return if nothing_left { Progress::BadChecksum } else { Progress::More };
            }
            if let Some(packet) = Packet::new(&self.bytes, self.address) {
                return Progress::Complete(packet.counts());
            }
            self.bad_checksum = true;
            self.drop_to_head(1);
        }
    }

    /// Tells whether a packet with a wrong checksum has come.
    #[must_use]
    pub fn saw_bad_checksum(&self) -> bool {
        self.bad_checksum
    }

    /// Drops everything before the first head at or after `from`.
    fn drop_to_head(&mut self, from: usize) {
        let held = self.bytes.get(..self.filled).unwrap_or_default();
        let head = held.iter().skip(from).position(|&byte| byte == HEAD);
        let start = head.map_or(self.filled, |position| position.saturating_add(from));
        if start == 0 {
            return;
        }
        self.bytes.copy_within(start..self.filled, 0);
        self.filled = self.filled.saturating_sub(start);
    }
}

/// The command byte of a read from a chip with this address.
#[must_use]
pub fn read_command(address: u8) -> u8 {
    READ | (address & 3)
}

/// The chip's checksum: the sum of the command's bytes and the data, inverted.
#[must_use]
pub fn checksum(command: u8, data: &[u8]) -> u8 {
    !data.iter().fold(command, |sum, &byte| sum.wrapping_add(byte))
}

fn u24(low: u8, middle: u8, high: u8) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}
