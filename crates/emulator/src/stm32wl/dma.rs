//! The DMA controller and the multiplexer of its requests (RM0453 chapters 13 and 14).

/// Requests of the multiplexer that this machine serves (RM0453, table of multiplexer inputs).
pub mod request {
    /// USART 1 has received a byte.
    pub const USART1_RX: u32 = 17;
    /// USART 1 wants a byte to send.
    pub const USART1_TX: u32 = 18;
}

const CHANNELS: usize = 7;
const ENABLE: u32 = 1;
const HALF: u32 = 4;
const COMPLETE: u32 = 2;
const FROM_MEMORY: u32 = 1 << 4;
const CIRCULAR: u32 = 1 << 5;
const MEMORY_INCREMENT: u32 = 1 << 7;

#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    control: u32,
    left: u32,
    peripheral: u32,
    memory: u32,
    /// What `left` starts from.
    length: u32,
}

/// One byte that the DMA moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where in memory.
    pub memory: u32,
    /// The peripheral's register.
    pub peripheral: u32,
    /// From memory to the peripheral, or the other way.
    pub from_memory: bool,
}

/// Controller 1 with its part of the multiplexer.
#[derive(Clone, Debug, Default)]
pub struct Dma {
    flags: u32,
    channels: [Channel; CHANNELS],
    requests: [u32; CHANNELS],
}

impl Dma {
    /// Reads a register of the controller.
    pub fn read(&self, offset: u32) -> Option<u32> {
        match offset {
            0x00 => Some(self.flags),
            0x04 => Some(0),
            _ => {
                let (channel, register) = place(offset)?;
                let channel = self.channels.get(channel)?;
                Some(match register {
                    0 => channel.control,
                    4 => channel.left,
                    8 => channel.peripheral,
                    12 => channel.memory,
                    _ => return None,
                })
            }
        }
    }

    /// Writes a register of the controller.
    pub fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            0x00 => {}
            0x04 => {
                for channel in 0..CHANNELS {
                    let bits = value >> (4 * channel) & 0xF;
                    // The global flag's bit clears all of a channel.
                    let cleared = if bits & 1 != 0 { 0xF } else { bits };
                    self.flags &= !(cleared << (4 * channel));
                }
            }
            _ => {
                let (channel, register) = place(offset)?;
                let channel = self.channels.get_mut(channel)?;
                let on = channel.control & ENABLE != 0;
                match register {
                    0 => channel.control = value & 0x7FFF,
                    // While a channel runs its other registers cannot be written.
                    4 if !on => (channel.left, channel.length) = (value & 0xFFFF, value & 0xFFFF),
                    8 if !on => channel.peripheral = value,
                    12 if !on => channel.memory = value,
                    4 | 8 | 12 => {}
                    _ => return None,
                }
            }
        }
        Some(())
    }

    /// Reads a register of the multiplexer.
    pub fn read_mux(&self, offset: u32) -> Option<u32> {
        self.requests.get(offset as usize / 4).copied()
    }

    /// Writes a register of the multiplexer.
    pub fn write_mux(&mut self, offset: u32, value: u32) -> Option<()> {
        *self.requests.get_mut(offset as usize / 4)? = value;
        Some(())
    }

    /// Serves a request: says which byte is to be moved, and counts it as moved.
    pub fn serve(&mut self, request: u32) -> Option<Move> {
        let at = (0..CHANNELS).find(|at| {
            self.requests[*at] & 0xFF == request
                && self.channels[*at].control & ENABLE != 0
                && self.channels[*at].left > 0
        })?;
        let channel = &mut self.channels[at];
        let done = channel.length - channel.left;
        let memory = channel.memory + if channel.control & MEMORY_INCREMENT != 0 { done } else { 0 };
        channel.left -= 1;
        if channel.left == channel.length / 2 {
            self.flags |= (HALF | 1) << (4 * at);
        }
        if channel.left == 0 {
            self.flags |= (COMPLETE | 1) << (4 * at);
            if channel.control & CIRCULAR != 0 {
                channel.left = channel.length;
            }
        }
        let from_memory = channel.control & FROM_MEMORY != 0;
        Some(Move { memory, peripheral: channel.peripheral, from_memory })
    }

    /// Tells which channels interrupt, a bit each.
    pub fn interrupting(&self) -> u32 {
        (0..CHANNELS).fold(0, |bits, at| {
            // Enable bits 1 to 3 stand where the channel's flags do.
            let raised = self.flags >> (4 * at) & self.channels[at].control & 0xE != 0;
            bits | u32::from(raised) << at
        })
    }
}

/// Finds channel and register of an offset; channels follow each other every 20 bytes from 8 on.
fn place(offset: u32) -> Option<(usize, u32)> {
    let offset = offset.checked_sub(8)?;
    Some(((offset / 20) as usize, offset % 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circular_channel_tells_half_and_whole_and_starts_again() {
        let mut dma = Dma::default();
        dma.write_mux(4, 17).unwrap();
        for (register, value) in
            [(4, 4), (8, 0x4001_3824), (12, 0x2000_0100), (0, 0x80 | CIRCULAR | HALF | 3)]
        {
            dma.write(8 + 20 + register, value).unwrap();
        }
        assert_eq!(dma.serve(18), None);
        let moved =
            |at: u32| Some(Move { memory: 0x2000_0100 + at, peripheral: 0x4001_3824, from_memory: false });
        assert_eq!((dma.serve(17), dma.interrupting()), (moved(0), 0));
        assert_eq!((dma.serve(17), dma.interrupting()), (moved(1), 2));
        dma.write(4, 0x10).unwrap();
        assert_eq!((dma.serve(17), dma.interrupting()), (moved(2), 0));
        assert_eq!((dma.serve(17), dma.interrupting()), (moved(3), 2));
        assert_eq!(dma.read(8 + 20 + 4), Some(4));
        assert_eq!(dma.serve(17), moved(0));
    }

    #[test]
    fn a_plain_channel_stops_at_its_end() {
        let mut dma = Dma::default();
        dma.write_mux(0, 18).unwrap();
        for (register, value) in [(4, 1), (12, 0x2000_0000), (0, 0x80 | FROM_MEMORY | 3)] {
            dma.write(8 + register, value).unwrap();
        }
        assert!(dma.serve(18).is_some_and(|moved| moved.from_memory));
        assert_eq!((dma.serve(18), dma.interrupting()), (None, 1));
    }
}
