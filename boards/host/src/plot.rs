//! A run as a picture: power, relay and frames of the first socket over time, as SVG.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::trace::{Mark, Trace};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

const SIZE: (u32, u32) = (1200, 640);
/// The room left of the charts, so that their times stand one above the other.
const LABELS: u32 = 80;
const POWER: RGBColor = RGBColor(31, 78, 121);
const ON: RGBColor = RGBColor(56, 118, 29);
const UP: RGBColor = RGBColor(180, 95, 6);
const DOWN: RGBColor = RGBColor(103, 78, 167);
const OUTAGE: RGBColor = RGBColor(210, 210, 210);

/// A unit of time in which a run has a handy length.
#[derive(Clone, Copy, Debug)]
struct Unit {
    name: &'static str,
    ms: f64,
}

impl Unit {
    fn of(end_ms: u64) -> Self {
        let (name, ms) = match end_ms {
            0..=180_000 => ("s", 1_000.0),
            180_001..=10_800_000 => ("min", 60_000.0),
            10_800_001..=259_200_000 => ("h", 3_600_000.0),
            _ => ("days", 86_400_000.0),
        };
        Self { name, ms }
    }

    fn count(self, t_ms: u64) -> f64 {
        t_ms as f64 / self.ms
    }
}

/// Draws a run that ended at `end_ms`.
///
/// # Errors
/// Those of the drawing library.
pub fn svg(trace: &Trace, end_ms: u64, title: &str) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 20))?;
        let (power, rest) = root.split_vertically(380);
        let (relay, frames) = rest.split_vertically(80);
        let unit = Unit::of(end_ms);
        let end = unit.count(end_ms.max(1));
        draw_power(&power, trace, unit, end)?;
        draw_relay(&relay, trace, unit, end)?;
        draw_frames(&frames, trace, unit, end)?;
        root.present()?;
    }
    Ok(text)
}

fn chart<'a, 'b>(
    area: &'a Area<'b>,
    end: f64,
    top: f64,
    below: u32,
) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, LABELS)
        .set_label_area_size(LabelAreaPosition::Bottom, below)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    Ok(chart)
}

/// Greys the times without mains.
fn outages(chart: &mut Chart<'_, '_>, trace: &Trace, unit: Unit, end: f64, top: f64) -> Drawn {
    let mut gone = None;
    for (t_ms, on) in &trace.mains {
        let t = unit.count(*t_ms);
        match (gone, on) {
            (None, false) => gone = Some(t),
            (Some(from), true) => {
                chart.draw_series([Rectangle::new([(from, 0.0), (t, top)], OUTAGE.filled())])?;
                gone = None;
            }
            _ => {}
        }
    }
    if let Some(from) = gone {
        chart.draw_series([Rectangle::new([(from, 0.0), (end, top)], OUTAGE.filled())])?;
    }
    Ok(())
}

fn draw_power(area: &Area<'_>, trace: &Trace, unit: Unit, end: f64) -> Drawn {
    let watts = |mw: u32| f64::from(mw) / 1000.0;
    let most = trace.power_mw.spans().map(|(_, span)| watts(span.max)).fold(10.0, f64::max);
    let top = most * 1.25;
    let mut chart = chart(area, end, top, 30)?;
    outages(&mut chart, trace, unit, end, top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(12)
        .x_label_formatter(&|t| short(*t))
        .y_desc("power in W")
        .y_label_formatter(&|w| short(*w))
        .label_style(("sans-serif", 14))
        .draw()?;
    // A gap between two readings, as while the device has no supply, is no line.
    let mut line: Vec<(f64, f64)> = Vec::new();
    let mut last_ms = None;
    let gap_ms = (2 * trace.power_mw.stretch_ms()).max(2_000);
    for (t_ms, span) in trace.power_mw.spans() {
        if last_ms.is_some_and(|last_ms| t_ms - last_ms > gap_ms) {
            chart.draw_series([PathElement::new(std::mem::take(&mut line), POWER.stroke_width(2))])?;
        }
        last_ms = Some(t_ms);
        let t = unit.count(t_ms);
        line.push((t, watts(span.min)));
        if span.max != span.min {
            line.push((t, watts(span.max)));
        }
    }
    chart.draw_series([PathElement::new(line, POWER.stroke_width(2))])?;
    for (t_ms, mark) in &trace.marks {
        // Each kind on a line of its own: an alarm and a trip often come together.
        let (text, colour, height) = match mark {
            Mark::Trip => ("TRIP", RED, 0.99),
            Mark::Alarm => ("alarm", UP, 0.94),
            Mark::Reboot => ("reboot", BLACK, 0.89),
        };
        let t = unit.count(*t_ms);
        chart.draw_series([PathElement::new([(t, 0.0), (t, top * 0.83)], colour.stroke_width(1))])?;
        let style = ("sans-serif", 14).into_font().color(&colour);
        chart.draw_series([Text::new(text, (t, top * height), style)])?;
    }
    Ok(())
}

fn draw_relay(area: &Area<'_>, trace: &Trace, unit: Unit, end: f64) -> Drawn {
    let mut chart = chart(area, end, 1.0, 0)?;
    outages(&mut chart, trace, unit, end, 1.0)?;
    let ends = trace.relay.iter().skip(1).map(|(t_ms, _)| unit.count(*t_ms)).chain([end]);
    for ((from_ms, on), to) in trace.relay.iter().zip(ends) {
        if *on {
            let bar = [(unit.count(*from_ms), 0.15), (to, 0.85)];
            chart.draw_series([Rectangle::new(bar, ON.filled())])?;
        }
    }
    row(area, "relay on", 40, &ON)
}

fn draw_frames(area: &Area<'_>, trace: &Trace, unit: Unit, end: f64) -> Drawn {
    let mut chart = chart(area, end, 2.0, 40)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_y_axis()
        .x_labels(12)
        .x_label_formatter(&|t| short(*t))
        .x_desc(format!("{} since power-up", unit.name))
        .label_style(("sans-serif", 14))
        .draw()?;
    let at = |t_ms: &u64, y: f64| (unit.count(*t_ms), y);
    chart.draw_series(trace.uplinks_ms.iter().map(|t_ms| Circle::new(at(t_ms, 1.5), 4, UP.filled())))?;
    chart.draw_series(
        trace.downlinks_ms.iter().map(|t_ms| TriangleMarker::new(at(t_ms, 0.5), 6, DOWN.filled())),
    )?;
    row(area, &format!("uplinks {}", trace.uplinks_ms.len()), 34, &UP)?;
    row(area, &format!("downlinks {}", trace.downlinks_ms.len()), 80, &DOWN)
}

/// Names a row at the left.
fn row(area: &Area<'_>, text: &str, y: i32, colour: &RGBColor) -> Drawn {
    let style = ("sans-serif", 14).into_font().color(colour);
    area.draw(&Text::new(text.to_owned(), (4, y - 7), style))?;
    Ok(())
}

/// Writes a number without the zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
