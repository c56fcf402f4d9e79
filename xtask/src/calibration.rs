//! What a socket's meter is off, as `provision` takes it: in ppm, or as what it shows and what is true.

use sockeye_metering::Correction;

/// Reads `voltage=+1200ppm,current=9.95/10.00`: what is not named stays as it is.
///
/// # Errors
/// A sentence that says what is wrong, with the range.
pub fn parse(text: &str) -> Result<Correction, String> {
    let mut ppm = [("voltage", None), ("current", None), ("power", None)];
    for part in text.split(',') {
        let (name, value) = part
            .trim()
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is not like voltage=+1200ppm or voltage=228.7/230.0"))?;
        let (_, place) = ppm.iter_mut().find(|(known, _)| *known == name).ok_or_else(|| {
            format!("there is no `{name}` to calibrate; choose of: voltage, current, power")
        })?;
        if place.replace(in_ppm(value)?).is_some() {
            return Err(format!("{name} is named twice"));
        }
    }
    let [voltage, current, power] = ppm.map(|(_, ppm)| ppm.unwrap_or(0));
    Correction::new(voltage, current, power).map_err(|error| error.to_string())
}

/// Reads `+1200ppm`, or `SHOWN/TRUE` of any unit.
fn in_ppm(text: &str) -> Result<i32, String> {
    let wrong =
        || format!("`{text}` is neither a number of ppm such as +1200ppm nor SHOWN/TRUE such as 228.7/230.0");
    if let Some(number) = text.strip_suffix("ppm") {
        return number.parse().map_err(|_| wrong());
    }
    let (shown, truth) = text.split_once('/').ok_or_else(wrong)?;
    let [shown, truth] =
        [shown, truth].map(|number| number.parse::<f64>().ok().filter(|number| *number > 0.0));
    // The cast keeps within its bounds; the range is looked at later.
    shown.zip(truth).map(|(shown, truth)| ((truth / shown - 1.0) * 1e6).round() as i32).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_calibration_is_read_in_ppm_or_as_what_was_shown_and_what_was_true() {
        for (text, voltage, current, power) in [
            ("voltage=+1200ppm,current=-300ppm,power=800ppm", 1200, -300, 800),
            ("power=800ppm, voltage=1200ppm", 1200, 0, 800),
            ("voltage=228.7/230.0,current=10/9.95,power=2287/2288.5", 5684, -5000, 656),
            ("current=0ppm", 0, 0, 0),
        ] {
            assert_eq!(parse(text), Ok(Correction::new(voltage, current, power).unwrap()), "{text}");
        }
    }

    #[test]
    fn a_calibration_that_is_none_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("", "is not like voltage=+1200ppm"),
            ("voltage", "`voltage` is not like"),
            ("frequency=1ppm", "no `frequency` to calibrate; choose of: voltage, current, power"),
            ("voltage=1ppm,voltage=1ppm", "voltage is named twice"),
            ("voltage=1200", "neither a number of ppm such as +1200ppm nor SHOWN/TRUE"),
            ("voltage=1.5ppm", "neither a number of ppm"),
            ("voltage=0/230", "neither a number of ppm"),
            ("voltage=230/-230", "neither a number of ppm"),
            ("voltage=230/NaN", "neither a number of ppm"),
            ("voltage=100001ppm", "voltage: +100001 ppm is outside -100000 to +100000 ppm"),
            ("current=1/inf", "current: +2147483647 ppm is outside"),
            (
                "voltage=40000ppm",
                "power: +0 ppm, but voltage and current make it +40000 ppm; they may be 30000 ppm apart",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn law_any_text_is_read_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn law_what_is_shown_and_true_gives_what_was_off(ppm in -29_000..29_000_i32, shown in 1.0..10_000.0_f64) {
            let truth = shown * (1.0 + f64::from(ppm) / 1e6);
            prop_assert_eq!(parse(&format!("voltage={shown}/{truth}")).unwrap().voltage_ppm(), ppm);
        }
    }
}
