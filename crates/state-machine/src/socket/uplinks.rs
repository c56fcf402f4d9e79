//! What the socket tells: reports, basic information, alerts and answers.

use sockeye_metering::Reading;
use sockeye_protocol::uplink::Record;
use sockeye_protocol::{BasicInformation, Payload, Report};
use sockeye_settings::{ButtonLock, Threshold};

use super::Socket;
use crate::{Uplink, UplinkKind};

impl Socket {
    fn uplink(&self, kind: UplinkKind, payload: Payload) -> Uplink {
        let lorawan = &self.settings.lorawan;
        Uplink {
            kind,
            payload,
            confirmed: lorawan.confirmed && kind != UplinkKind::Outage,
            port: lorawan.application_port,
        }
    }

    /// Returns a report of the last reading. Without a fresh one the measured values are left out, rather
    /// than given as they were or as 0.
    pub(super) fn report(&self, now_ms: u64) -> Uplink {
        let payload = match self.fresh_reading(now_ms) {
            Some(reading) => self.report_payload(&reading, reading.current_ma),
            None => Self::payload_of(&[
                Record::SocketStatus { on: self.relay_on() },
                Record::Energy { energy_wh: self.energy.wh() },
            ]),
        };
        self.uplink(UplinkKind::Report, payload)
    }

    /// Returns the report of an alarm or a trip: the state as it is now, the current that was the cause, and the
    /// rest of its reading.
    pub(super) fn alarm_report(&self) -> Uplink {
        self.uplink(
            UplinkKind::Alarm,
            self.report_payload(&self.alarm_reading, self.alarm_reading.fast_current_ma),
        )
    }

    fn report_payload(&self, reading: &Reading, current_ma: u32) -> Payload {
        let report = Report {
            on: self.relay_on(),
            power_factor_percent: percent(reading.power_factor_permille()),
            current_ma,
            // To the nearest tenth of a volt.
            voltage_dv: reading.voltage_mv.saturating_add(50) / 100,
            energy_wh: self.energy.wh().into(),
            // Whole watts, not rounded: the guide's example, section 4.2, sends 229.3 V · 18 mA · 41 % as 1 W.
            active_power_w: reading.power_mw / 1000,
        };
        encoded(|out| report.encode(out))
    }

    /// Returns the basic information, with `ff0b` if it is the first since the start.
    pub(super) fn basic_information(&mut self) -> Uplink {
        let general = &self.settings.general;
        let threshold = |Threshold { enabled, current_a }| (enabled, current_a);
        let ButtonLock { enabled, minutes } = general.button_lock;
        let information = BasicInformation {
            power_on: core::mem::take(&mut self.power_on_untold),
            serial_number: self.identity.sn,
            hardware_version: self.identity.hardware_version,
            software_version: self.software_version,
            overcurrent_alarm: threshold(general.overcurrent_alarm),
            overcurrent_protection: threshold(general.overcurrent_protection),
            button_lock: (enabled, minutes),
            power_consumption: general.power_consumption,
        };
        self.uplink(UplinkKind::BasicInformation, encoded(|out| information.encode(out)))
    }

    /// Returns the outage alert, alone in its payload: the vendor's decoder fails on it (facts, wire protocol).
    pub(super) fn outage(&self) -> Uplink {
        self.uplink(UplinkKind::Outage, Self::payload_of(&[Record::PowerOutage]))
    }

    /// Takes the answers that have been gathered, if all that they tell of is in flash.
    pub(super) fn take_answer(&mut self) -> Option<Uplink> {
        if !self.may_answer() {
            return None;
        }
        let payload = core::mem::take(&mut self.answer);
        Some(self.uplink(UplinkKind::Answer, payload))
    }

    fn payload_of(records: &[Record]) -> Payload {
        let mut payload = Payload::new();
        for record in records {
            // The few records that come here fit.
            let _ = record.append(&mut payload);
        }
        payload
    }
}

/// Writes into a payload; one that does not fit is empty, and sent by nobody. All of this crate's fit.
fn encoded(encode: impl FnOnce(&mut [u8]) -> Result<usize, sockeye_protocol::Error>) -> Payload {
    let mut payload = Payload::new();
    let _ = payload.resize(payload.capacity(), 0);
    let length = encode(&mut payload).unwrap_or(0);
    payload.truncate(length);
    payload
}

/// Rounds ‰ to %.
fn percent(permille: u16) -> u8 {
    u8::try_from(permille.saturating_add(5) / 10).unwrap_or(100)
}
