//! A run's events as lines for people.

use crate::report::{DownlinkKind, Event};
use crate::traffic::Counts;

/// Writes an instant as hours, minutes, seconds and milliseconds since power-up.
#[must_use]
pub fn time(t_ms: u64) -> String {
    let (seconds, ms) = (t_ms / 1000, t_ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Writes an event as one line with its time, and with its socket where there are several.
#[must_use]
pub fn dated(t_ms: u64, socket: Option<usize>, event: &Event) -> String {
    let who = socket.map_or(String::new(), |socket| format!("{socket:>4}  "));
    format!("{}  {who}{}", time(t_ms), line(event))
}

/// Writes an event as one line without its time.
#[must_use]
pub fn line(event: &Event) -> String {
    match event {
        Event::JoinRequest { dev_nonce, dr, freq_hz } => {
            format!("join request   DevNonce {dev_nonce}, DR{dr}, {}", mhz(*freq_hz))
        }
        Event::Joined { dev_addr } => format!("joined         DevAddr {dev_addr:08X}"),
        Event::Uplink { port, payload, fcnt, dr, freq_hz, confirmed } => format!(
            "uplink         port {port}, {}, FCnt {fcnt}, DR{dr}, {}{}",
            hex(payload),
            mhz(*freq_hz),
            if *confirmed { ", confirmed" } else { "" }
        ),
        Event::Downlink { port, payload, fcnt, kind } => {
            let kind = match kind {
                DownlinkKind::Unicast => "",
                DownlinkKind::Multicast => ", multicast",
            };
            format!("downlink       port {port}, {}, FCnt {fcnt}{kind}", hex(payload))
        }
        Event::Relay { on, cause } => format!("relay {}      by {}", state(*on), cause.replace('_', " ")),
        Event::Led { on } => format!("LED {}", state(*on)),
        Event::Trip { cause, current_ma } => {
            format!("TRIP           {}, at {}", cause.replace('_', " "), amperes(*current_ma))
        }
        Event::Alarm { current_ma } => format!("overcurrent    {}", amperes(*current_ma)),
        Event::Power { on } => format!("mains {}", state(*on)),
        Event::Stored { record } => format!("stored         {}", record.replace('_', " ")),
        Event::Reboot { cause } => format!("reboot         {}", cause.replace('_', " ")),
        Event::Nfc { action, result, settings } => match settings {
            Some(settings) => format!("nfc {action}       {result}: {settings}"),
            None => format!("nfc {action}      {result}"),
        },
        Event::Upgrade { state } => format!("upgrade        {}", state.replace('_', " ")),
        Event::Log { level, text } => {
            format!("log            {}{text}", level.map_or(String::new(), |level| format!("{level}: ")))
        }
        Event::Error { what } => format!("error          {what}"),
        Event::Summary(summary) => format!(
            "{} uplinks, {} downlinks, {} joins, relay changed {} times, {}.{:03} Wh, {}.{:03} s on this computer; {}",
            summary.uplinks,
            summary.downlinks,
            summary.joins,
            summary.relay_changes,
            summary.energy_uwh / 1_000_000,
            summary.energy_uwh / 1000 % 1000,
            summary.wall_ms / 1000,
            summary.wall_ms % 1000,
            on_air(&summary.traffic),
        ),
    }
}

/// Writes milliamperes as amperes.
#[must_use]
pub fn amperes(current_ma: u32) -> String {
    format!("{}.{:03} A", current_ma / 1000, current_ma % 1000)
}

fn on_air(counts: &Counts) -> String {
    let Counts { frames, delivered, duty_cycle_ppm, duty_cycle_mean_ppm, over_duty_cycle, .. } = counts;
    let permille = counts.delivered_permille().unwrap_or_default();
    let percent = |ppm: &u64| format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100);
    format!(
        "{delivered} of {frames} data frames delivered ({}.{} %); on air {} of an hour at most, {} on average{}",
        permille / 10,
        permille % 10,
        percent(duty_cycle_ppm),
        percent(duty_cycle_mean_ppm),
        if *over_duty_cycle > 0 { format!("; {over_duty_cycle} OVER THE DUTY CYCLE") } else { String::new() },
    )
}

fn mhz(freq_hz: u32) -> String {
    format!("{}.{} MHz", freq_hz / 1_000_000, freq_hz / 100_000 % 10)
}

fn hex(bytes: &[u8]) -> String {
    match bytes {
        [] => "no payload".into(),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn state(on: bool) -> &'static str {
    if on { "ON " } else { "OFF" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_happened() {
        for (event, said) in [
            (Event::Relay { on: true, cause: "delay_task" }, "relay ON       by delay task"),
            (
                Event::Trip { cause: "hard_limit", current_ma: 13_005 },
                "TRIP           hard limit, at 13.005 A",
            ),
            (
                Event::Uplink {
                    port: 85,
                    payload: vec![8, 0x70, 1],
                    fcnt: 3,
                    dr: 5,
                    freq_hz: 868_100_000,
                    confirmed: true,
                },
                "uplink         port 85, 087001, FCnt 3, DR5, 868.1 MHz, confirmed",
            ),
            (
                Event::Downlink { port: 85, payload: vec![], fcnt: 0, kind: DownlinkKind::Multicast },
                "downlink       port 85, no payload, FCnt 0, multicast",
            ),
        ] {
            assert_eq!(line(&event), said);
        }
    }

    #[test]
    fn instants_are_written_as_a_clock_does() {
        assert_eq!(time(0), "00:00:00.000");
        assert_eq!(time(3_723_045), "01:02:03.045");
        assert_eq!(time(360_000_000), "100:00:00.000");
    }
}
