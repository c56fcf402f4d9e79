//! Certification mode, carried out (MAC-CERT-01 to MAC-CERT-03). Never in a product.

use super::{Mac, Notice};
use crate::certification::{CertificationRequest, Command, Commands, PACKAGE, PORT, cid};
use crate::config::Activation;
use crate::event::Payload;
use crate::region::Plan;

/// Test uplinks that nothing else is said in: their port and payload.
const TEST_PORT: u8 = 1;
const TEST_PAYLOAD: [u8; 1] = [0];

/// Versions told by DutVersionsAns: LoRaWAN 1.0.3, and its regional parameters 1.0.3.
const LORAWAN: [u8; 4] = [1, 0, 3, 0];
const REGIONAL: [u8; 4] = [1, 0, 3, 0];

/// What the tester has set.
#[derive(Debug, Default)]
pub(super) struct Certifying {
    rx_app_count: u16,
    /// Waits for the next uplink on port 224.
    answer: Payload,
    /// Between test uplinks; 0 = none but the application's.
    period_ms: u64,
    next_at_ms: u64,
    confirmed: bool,
    wants_join: bool,
}

impl Mac {
    /// Counts a downlink to the application, and obeys one on port 224.
    pub(super) fn certify(&mut self, now_ms: u64, port: u8, payload: &[u8]) {
        if !self.config.certification {
            return;
        }
        self.certifying.rx_app_count = self.certifying.rx_app_count.saturating_add(1);
        if port == PORT {
            for command in Commands(payload) {
                self.obey_tester(now_ms, command);
            }
        }
        if !self.certifying.answer.is_empty() {
            self.want_own_uplink(now_ms);
        }
    }

    /// Gives the highest power of a carrier in dBm EIRP; `None` outside of the plan.
    pub(crate) fn carrier_limit_dbm(&self, frequency_hz: u32) -> Option<i8> {
        let plan = Plan::of(self.config.region);
        let (lowest_hz, highest_hz) = plan.range_hz;
        (lowest_hz..=highest_hz).contains(&frequency_hz).then(|| plan.eirp_limit_dbm(frequency_hz))
    }

    fn obey_tester(&mut self, now_ms: u64, command: Command<'_>) {
        match command {
            Command::PackageVersion => self.tell_tester(cid::PACKAGE_VERSION, &PACKAGE),
            Command::Application(request) => {
                if request == CertificationRequest::Disable {
                    self.config.certification = false;
                }
                self.notify(Notice::Certification(request));
            }
            Command::Join => self.certifying.wants_join = true,
            // 0 = A, 2 = C; there is no Class B.
            Command::SwitchClass(class @ (0 | 2)) => self.config.class_c = class == 2,
            Command::AdrBit(on) => self.config.adr = on,
            Command::RegionalDutyCycle(on) => self.duty.is_off = !on,
            Command::Period(seconds) => {
                self.certifying.period_ms = u64::from(seconds).saturating_mul(1000);
                self.certifying.next_at_ms = now_ms.saturating_add(self.certifying.period_ms);
            }
            // 0 = as before.
            Command::Frames(kind @ (1 | 2)) => self.certifying.confirmed = kind == 2,
            Command::SwitchClass(_) | Command::Frames(_) => {}
            Command::Echo(bytes) => {
                let room = self.max_payload().saturating_sub(1);
                let echo: Payload = bytes.iter().take(room).map(|byte| byte.wrapping_add(1)).collect();
                self.tell_tester(cid::ECHO, &echo);
            }
            Command::RxAppCount => {
                self.tell_tester(cid::RX_APP_COUNT, &self.certifying.rx_app_count.to_le_bytes());
            }
            Command::RxAppCountReset => self.certifying.rx_app_count = 0,
            Command::LinkCheck => {
                self.request_link_check();
                self.want_own_uplink(now_ms);
            }
            Command::DeviceTime => {
                self.request_device_time();
                self.want_own_uplink(now_ms);
            }
            Command::Versions => {
                let [a, b, c, d] = self.config.firmware_version;
                let [e, f, g, h] = LORAWAN;
                let [i, j, k, l] = REGIONAL;
                self.tell_tester(cid::DUT_VERSIONS, &[a, b, c, d, e, f, g, h, i, j, k, l]);
            }
        }
    }

    /// Adds an answer whole, or not at all.
    fn tell_tester(&mut self, id: u8, bytes: &[u8]) {
        let answer = &mut self.certifying.answer;
        if answer.capacity().saturating_sub(answer.len()) > bytes.len() {
            let _ = answer.push(id).map(|()| answer.extend_from_slice(bytes));
        }
    }

    /// Between two frames: a join that the tester asked for, and the next test uplink.
    pub(super) fn plan_test(&mut self, now_ms: u64) {
        if core::mem::take(&mut self.certifying.wants_join)
            && matches!(self.config.activation, Activation::Otaa { .. })
        {
            self.session = None;
            self.session_dirty = true;
            self.own_uplink_at_ms = None;
            self.certifying.answer.clear();
            self.join(now_ms);
        }
        if self.session.is_some() && self.certifying.period_ms != 0 && self.own_uplink_at_ms.is_none() {
            self.own_uplink_at_ms = Some(self.certifying.next_at_ms);
        }
    }

    /// Begins an answer, or a test uplink that is due; `false` if there is none.
    pub(super) fn start_test_uplink(&mut self, now_ms: u64) -> bool {
        let confirmed = self.certifying.confirmed;
        if !self.certifying.answer.is_empty() {
            let answer = core::mem::take(&mut self.certifying.answer);
            let limit = self.max_payload().min(answer.len());
            self.start_data(now_ms, Some(PORT), answer.get(..limit).unwrap_or_default(), confirmed);
        } else {
            let is_due = self.certifying.period_ms != 0 && self.certifying.next_at_ms <= now_ms;
            // A check of the rejoin mode goes out as in a product.
            let is_asked = (self.wants_link_check || self.wants_device_time) && !self.watch.is_due;
            if !(is_due || is_asked) {
                return false;
            }
            self.start_data(now_ms, Some(TEST_PORT), &TEST_PAYLOAD, confirmed);
        }
        self.certifying.next_at_ms = now_ms.saturating_add(self.certifying.period_ms);
        true
    }
}
