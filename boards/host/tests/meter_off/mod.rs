//! What the tests of the calibration bring, here and on the images in emulation: parts that are 2 % off, and what a socket with
//! them reports.

use embassy_futures::block_on;
use sockeye_host::report::Event;
use sockeye_metering::{Correction, FrontEnd};
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::bl0942::SharedCircuit;
use sockeye_virtual_hardware::flash::{Chip, Flash};

/// Puts parts around the meter with which voltage and current show 2 % too much.
pub fn put_parts(circuit: &SharedCircuit) {
    let parts = FrontEnd { shunt_uohm: 1020, divider_bottom_ohm: 520, ..FrontEnd::TYPICAL };
    circuit.with_meter(|now_us, meter| meter.set_parts(now_us, parts));
}

/// Stores what makes up for these parts, as in the factory: 1/1.02, 1/1.0196 and both.
pub fn calibrate<C: Chip>(flash: &Flash<C>, records: std::ops::Range<u32>) {
    let correction = Correction::new(-19_226, -19_608, -38_457).unwrap();
    let mut storage = Storage::new(flash.clone(), records);
    block_on(storage.store(RecordId::Calibration, &correction.encode())).unwrap();
}

/// What the last report says, in 0.1 V, mA and W (guide, section 4.2).
#[derive(Debug)]
pub struct Shown {
    pub voltage_dv: u32,
    pub current_ma: u32,
    pub power_w: u32,
}

impl Shown {
    pub fn last(events: &[(u64, Event)]) -> Self {
        let payload = events.iter().rev().find_map(|(_, event)| match event {
            Event::Uplink { payload, .. } if payload.starts_with(&[0x08, 0x70]) => Some(&payload[..]),
            _ => None,
        });
        let payload = payload.unwrap();
        let number = |head: [u8; 2], length: usize| {
            let at = payload.windows(2).position(|bytes| bytes == head).unwrap() + 2;
            payload[at..at + length].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        let (voltage_dv, current_ma) = (number([0x03, 0x74], 2), number([0x07, 0xC9], 2));
        Self { voltage_dv, current_ma, power_w: number([0x04, 0x80], 4) }
    }

    /// 3 kW at 230 V.
    pub fn is_true(&self) -> bool {
        self.voltage_dv.abs_diff(2300) <= 1
            && self.current_ma.abs_diff(13_043) <= 5
            && self.power_w.abs_diff(3000) <= 3
    }

    /// The same by a meter that is 2 % off.
    pub fn is_off(&self) -> bool {
        self.voltage_dv.abs_diff(2345) <= 1
            && self.current_ma.abs_diff(13_304) <= 5
            && self.power_w.abs_diff(3120) <= 3
    }
}
