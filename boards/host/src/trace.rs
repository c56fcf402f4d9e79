//! What a run leaves behind of its first socket, for pictures: the power over time, and what happened when.

use std::collections::VecDeque;

use crate::report::Event;

/// How many stretches of time a history keeps at most.
const STRETCHES: usize = 2048;

/// The least and the most of a value in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// A value over any length of time, in bounded memory: when it is full, each two stretches become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    stretch_ms: u64,
    spans: Vec<Option<Span>>,
}

impl Default for History {
    fn default() -> Self {
        Self { stretch_ms: 100, spans: Vec::new() }
    }
}

impl History {
    /// Adds a value at an instant; one of before the last stretch is added to it.
    pub fn push(&mut self, t_ms: u64, value: u32) {
        while t_ms / self.stretch_ms >= STRETCHES as u64 {
            self.stretch_ms = self.stretch_ms.saturating_mul(2);
            self.spans =
                self.spans.chunks(2).map(|pair| join(pair[0], pair.get(1).copied().flatten())).collect();
        }
        let index = usize::try_from(t_ms / self.stretch_ms)
            .unwrap_or(usize::MAX)
            .max(self.spans.len().saturating_sub(1));
        self.spans.resize(index + 1, None);
        self.spans[index] = join(self.spans[index], Some(Span { min: value, max: value }));
    }

    /// Gives the stretches that have a value, with the instants of their middles in ms.
    pub fn spans(&self) -> impl Iterator<Item = (u64, Span)> + '_ {
        let starts = (0..).map(|index: u64| index * self.stretch_ms + self.stretch_ms / 2);
        starts.zip(&self.spans).filter_map(|(t_ms, span)| Some((t_ms, (*span)?)))
    }

    /// Tells how long a stretch is, in ms.
    #[must_use]
    pub fn stretch_ms(&self) -> u64 {
        self.stretch_ms
    }
}

fn join(a: Option<Span>, b: Option<Span>) -> Option<Span> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Span { min: a.min.min(b.min), max: a.max.max(b.max) }),
        (one, other) => one.or(other),
    }
}

/// What is marked in a picture of the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The socket switched off to protect.
    Trip,
    /// The current reached the alarm's threshold.
    Alarm,
    /// The device started anew.
    Reboot,
}

/// What happened to one socket in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Active power in mW.
    pub power_mw: History,
    /// The states of the relay, each from its instant on.
    pub relay: Vec<(u64, bool)>,
    /// The states of the mains, each from its instant on; it is there in the beginning.
    pub mains: Vec<(u64, bool)>,
    /// When the network heard a data frame.
    pub uplinks_ms: Vec<u64>,
    /// When the socket took one.
    pub downlinks_ms: Vec<u64>,
    /// What is to be seen at a glance.
    pub marks: Vec<(u64, Mark)>,
}

impl Trace {
    /// Adds what happened.
    pub fn event(&mut self, t_ms: u64, event: &Event) {
        match event {
            Event::Uplink { .. } => self.uplinks_ms.push(t_ms),
            Event::Downlink { .. } => self.downlinks_ms.push(t_ms),
            Event::Relay { on, .. } => self.relay.push((t_ms, *on)),
            Event::Power { on } => self.mains.push((t_ms, *on)),
            Event::Trip { .. } => self.marks.push((t_ms, Mark::Trip)),
            Event::Alarm { .. } => self.marks.push((t_ms, Mark::Alarm)),
            Event::Reboot { .. } => self.marks.push((t_ms, Mark::Reboot)),
            _ => {}
        }
    }
}

/// How many seconds a live view looks back.
const RECENT: usize = 240;

/// The power of the last minutes, a value a second, with its marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// The second that the last one is.
    now_s: u64,
    seconds: VecDeque<Second>,
}

/// One second of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// The most that flowed; `None` without a reading.
    pub power_mw: Option<u32>,
    /// The gravest of what happened.
    pub mark: Option<Mark>,
}

impl Recent {
    /// Adds a reading.
    pub fn power(&mut self, t_ms: u64, power_mw: u32) {
        let second = self.at(t_ms);
        second.power_mw = second.power_mw.max(Some(power_mw));
    }

    /// Adds a mark; a trip stays although an alarm comes with it.
    pub fn mark(&mut self, t_ms: u64, mark: Mark) {
        let second = self.at(t_ms);
        if second.mark != Some(Mark::Trip) {
            second.mark = Some(mark);
        }
    }

    /// Gives the last so many seconds before `now_ms`, those without any reading too; fewer in the beginning.
    #[must_use]
    pub fn last(&self, now_ms: u64, count: usize) -> Vec<Second> {
        let mut whole = self.clone();
        whole.at(now_ms);
        let skip = whole.seconds.len().saturating_sub(count);
        whole.seconds.into_iter().skip(skip).collect()
    }

    fn at(&mut self, t_ms: u64) -> &mut Second {
        let now_s = t_ms / 1000;
        let passed = if self.seconds.is_empty() { 1 } else { now_s.saturating_sub(self.now_s) };
        for _ in 0..passed.min(RECENT as u64) {
            if self.seconds.len() == RECENT {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second::default());
        }
        self.now_s = self.now_s.max(now_s);
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_are_kept_by_the_second_with_gaps_peaks_and_the_gravest_mark() {
        let mut recent = Recent::default();
        recent.power(0, 10);
        recent.power(900, 30);
        recent.power(950, 20);
        recent.mark(2_000, Mark::Trip);
        recent.mark(2_100, Mark::Alarm);
        let second = |power_mw, mark| Second { power_mw, mark };
        let all =
            [second(Some(30), None), second(None, None), second(None, Some(Mark::Trip)), second(None, None)];
        assert_eq!(recent.last(3_500, 10), all);
        assert_eq!(recent.last(3_500, 2), all[2..]);
        assert_eq!(recent.last(1_000_000, usize::MAX), [Second::default(); RECENT]);
        recent.power(900_000, 5);
        assert_eq!(recent.last(900_000, usize::MAX).len(), RECENT);
    }

    #[test]
    fn a_history_of_any_length_keeps_its_peaks_in_bounded_memory() {
        let mut history = History::default();
        let day_ms = 86_400_000;
        for t_ms in (0..3 * day_ms).step_by(1_000) {
            history.push(t_ms, if t_ms == day_ms { 3_000 } else { 100 + (t_ms == 2 * day_ms) as u32 });
        }
        let spans: Vec<_> = history.spans().collect();
        assert!((STRETCHES / 2..=STRETCHES).contains(&spans.len()), "{}", spans.len());
        let peak = spans.iter().find(|(_, span)| span.max == 3_000).unwrap();
        assert!(peak.0.abs_diff(day_ms) <= history.stretch_ms(), "{peak:?}");
        assert_eq!(peak.1.min, 100);
        assert_eq!(spans.iter().filter(|(_, span)| span.max != 100).count(), 2);
    }

    #[test]
    fn a_time_without_values_is_a_gap() {
        let mut history = History::default();
        for (t_ms, value) in [(0, 5), (50, 7), (1_000, 9)] {
            history.push(t_ms, value);
        }
        let spans: Vec<_> = history.spans().collect();
        assert_eq!(spans, [(50, Span { min: 5, max: 7 }), (1_050, Span { min: 9, max: 9 })]);
    }
}
