//! What an image tells by RTT, with the feature `log`: a few lines of what happens, for a debug probe or the emulator.
//! Part of ../mcu.rs. Release images carry none: there notices go nowhere.

use sockeye_firmware::{Notice, Observer};
use sockeye_state_machine::ResetCause;

/// Takes the firmware's notices.
#[derive(Clone, Debug)]
pub struct Log;

impl Log {
    /// Begins, and tells why the chip has started.
    pub fn begin(cause: ResetCause) -> Self {
        #[cfg(feature = "log")]
        lines::start(cause);
        let _ = cause;
        Self
    }
}

impl Observer for Log {
    #[cfg(not(feature = "log"))]
    fn observe(&self, _: Notice<'_>) {}

    #[cfg(feature = "log")]
    fn observe(&self, notice: Notice<'_>) {
        lines::write(notice);
    }
}

/// Throws away what lora-phy would log: it depends on defmt, whatever one chooses.
#[cfg(not(feature = "log"))]
mod nothing {
    #[defmt::global_logger]
    struct NoLog;

    // SAFETY: nothing is acquired, kept or written, so there is nothing to keep apart.
    unsafe impl defmt::Logger for NoLog {
        fn acquire() {}
        unsafe fn flush() {}
        unsafe fn release() {}
        unsafe fn write(_: &[u8]) {}
    }
}

/// Errors have their level; all else has none, as a level below `error` would hang on what DEFMT_LOG is when the image is
/// built. No line has a key, a payload, or settings.
#[cfg(feature = "log")]
mod lines {
    use defmt_rtt as _;
    use sockeye_firmware::Notice;
    use sockeye_state_machine::ResetCause;

    pub fn start(cause: ResetCause) {
        let cause = match cause {
            ResetCause::PowerOn => defmt::intern!("power came"),
            ResetCause::Reboot => defmt::intern!("it was told to"),
            ResetCause::Watchdog => defmt::intern!("the watchdog ended a hang"),
            ResetCause::Fault => defmt::intern!("a fault ended the last run"),
        };
        defmt::println!("start: {=istr}", cause);
    }

    pub fn write(notice: Notice<'_>) {
        match notice {
            Notice::Relay { on, cause } => defmt::println!("relay {=str} by {=str}", level(on), cause.name()),
            Notice::Trip { cause, current_ma } => {
                defmt::println!("trip by {=str} at {=u32} mA", cause.name(), current_ma);
            }
            Notice::Alarm { current_ma } => defmt::println!("alarm at {=u32} mA", current_ma),
            Notice::JoinRequest { dev_nonce, dr, freq_hz } => {
                defmt::println!("join-request: DevNonce {=u16}, DR{=u8}, {=u32} Hz", dev_nonce, dr, freq_hz);
            }
            Notice::Joined { dev_addr } => defmt::println!("joined as {=u32:08x}", dev_addr),
            Notice::Resumed { dev_addr } => defmt::println!("goes on as {=u32:08x}", dev_addr),
            Notice::Uplink { port, fcnt, dr, freq_hz, confirmed, payload } => defmt::println!(
                "uplink: port {=u8}, FCnt {=u32}, DR{=u8}, {=u32} Hz, {=usize} bytes, confirmed {=bool}",
                port.unwrap_or(0),
                fcnt,
                dr,
                freq_hz,
                payload.len(),
                confirmed
            ),
            Notice::Downlink { port, payload, fcnt, multicast } => defmt::println!(
                "downlink: port {=u8}, FCnt {=u32}, {=usize} bytes, multicast {=bool}",
                port,
                fcnt,
                payload.len(),
                multicast
            ),
            Notice::Maintenance { kind, code } => {
                defmt::println!("maintenance: request {=u8}: {=str}", kind, code.text());
            }
            Notice::Reboot { cause } => defmt::println!("restarts: {=str}", cause.name()),
            Notice::Upgrade { state } => defmt::println!("upgrade: {=str}", state.name()),
            Notice::Error { what } => defmt::error!("{=str}", what),
            // Too many: ten readings a second, and every store.
            Notice::Led { .. } | Notice::Reading { .. } | Notice::Stored { .. } => {}
        }
    }

    fn level(on: bool) -> &'static str {
        if on { "on" } else { "off" }
    }
}
