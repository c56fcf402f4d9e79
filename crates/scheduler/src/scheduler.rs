//! The jobs, and the instants at which they are due.

use crate::Random;

/// The longest random delay of an uplink that many sockets have cause for at once, in ms (behaviour.md:
/// power-up and multicast).
const SPREAD_MS: u32 = 30_000;

/// How long a report waits for further changes of the relay, in ms. A report goes at most 2 s after a change
/// (behaviour.md); the rest is left for the radio.
const RELAY_REPORT_MS: u64 = 1_800;

/// Something that is done at its time. Of two that are due at the same instant, the first in this list goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Look whether the meter has failed.
    Meter,
    /// Look at the button again: debounce or long press.
    Button,
    /// Send the outage alert, whether all is stored or not.
    Outage,
    /// The delay task switches.
    DelayTask,
    /// The button lock ends.
    LockEnd,
    /// The next step of an LED pattern.
    Led,
    /// Join, or resume the session.
    StartNetwork,
    /// Send the basic information, then a report.
    BasicInformation,
    /// Send the report of the interval.
    Report,
    /// Send the report that a change of the relay asked for.
    RelayReport,
    /// Store the time that is left to the delay task.
    StoreDelayTask,
    /// Give up waiting for a store.
    StoreTimeout,
    /// Restart.
    Reboot,
    /// Restart, whether all is stored or not.
    RebootDeadline,
}

impl Job {
    const ALL: [Self; 14] = [
        Self::Meter,
        Self::Button,
        Self::Outage,
        Self::DelayTask,
        Self::LockEnd,
        Self::Led,
        Self::StartNetwork,
        Self::BasicInformation,
        Self::Report,
        Self::RelayReport,
        Self::StoreDelayTask,
        Self::StoreTimeout,
        Self::Reboot,
        Self::RebootDeadline,
    ];
}

/// A relay action that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayTask {
    /// Supply power when the time is over; otherwise cut it.
    pub on: bool,
    /// It came by multicast: other sockets have the same, so what it leads to on the air is spread.
    pub spread: bool,
    /// Time that is left, in ms.
    pub remaining_ms: u64,
}

/// Gives the instant so many ms after another, or the last one that there is.
#[must_use]
#[inline(never)] // 8 bytes a call instead of 20, and there are many
pub const fn after(now_ms: u64, wait_ms: u64) -> u64 {
    now_ms.saturating_add(wait_ms)
}

/// No instant: the job is not set.
const NEVER: u64 = u64::MAX;

/// What is due when.
#[derive(Clone, Debug)]
pub struct Scheduler {
    due_ms: [u64; Job::ALL.len()],
    /// The smallest of `due_ms`.
    next_ms: u64,
    interval_ms: u64,
    /// The last instant of the report interval's grid.
    interval_start_ms: u64,
    delayed_on: bool,
    delayed_spread: bool,
    random: Random,
}

impl Scheduler {
    /// Starts with nothing due.
    #[must_use]
    pub const fn new(seed: u64, report_interval_s: u32) -> Self {
        Self {
            due_ms: [NEVER; Job::ALL.len()],
            next_ms: NEVER,
            interval_ms: interval_ms(report_interval_s),
            interval_start_ms: 0,
            delayed_on: false,
            delayed_spread: false,
            random: Random::new(seed),
        }
    }

    /// Returns the instant of the job that is due first.
    #[must_use]
    pub const fn next_due_ms(&self) -> Option<u64> {
        if self.next_ms == NEVER { None } else { Some(self.next_ms) }
    }

    /// Returns when a job is due, if it is set.
    #[must_use]
    pub fn due_ms(&self, job: Job) -> Option<u64> {
        self.due_ms.get(job as usize).copied().filter(|&due_ms| due_ms != NEVER)
    }

    /// Takes the job that is due first, if its time has come. It is then no longer set, but for
    /// [`Job::Report`], which comes again an interval after the instant at which it was due, however late it
    /// is taken; instants that were missed altogether are left out.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Job> {
        if now_ms < self.next_ms {
            return None;
        }
        let job = Job::ALL
            .into_iter()
            .filter(|&job| self.due_ms(job).is_some())
            .min_by_key(|&job| self.due_ms(job))?;
        let due_ms = self.due_ms(job)?;
        self.cancel(job);
        if job == Job::Report {
            let missed = now_ms.saturating_sub(due_ms).checked_div(self.interval_ms).unwrap_or(0);
            self.interval_start_ms = after(due_ms, missed.saturating_mul(self.interval_ms));
            self.set(Job::Report, after(self.interval_start_ms, self.interval_ms));
        }
        Some(job)
    }

    /// Sets a job to an instant, in place of the one it had.
    pub fn set(&mut self, job: Job, due_ms: u64) {
        if let Some(place) = self.due_ms.get_mut(job as usize) {
            *place = due_ms;
            self.next_ms = self.due_ms.iter().copied().min().unwrap_or(NEVER);
        }
    }

    /// Sets a job to an instant, unless it is due before that.
    pub fn set_earlier(&mut self, job: Job, due_ms: u64) {
        self.set(job, self.due_ms(job).map_or(due_ms, |set_ms| set_ms.min(due_ms)));
    }

    /// Takes a job back.
    pub fn cancel(&mut self, job: Job) {
        self.set(job, NEVER);
    }

    /// Returns a random delay of 0 to 30 s, in ms, for an uplink that many sockets have cause for at once.
    pub fn spread_ms(&mut self) -> u64 {
        u64::from(self.random.up_to(SPREAD_MS))
    }

    /// Starts the grid of the report interval: the first report is due an interval after `now_ms`.
    pub fn start_interval(&mut self, now_ms: u64) {
        self.interval_start_ms = now_ms;
        self.set(Job::Report, after(now_ms, self.interval_ms));
    }

    /// Changes the report interval. It counts from the last report of the interval: when that lies further
    /// back than the new interval, a report is due at `not_before_ms`. Setting the interval it has changes
    /// nothing, so that a server that repeats itself does not hold the reports up.
    pub fn set_interval(&mut self, not_before_ms: u64, report_interval_s: u32) {
        let interval_ms = interval_ms(report_interval_s);
        if interval_ms == self.interval_ms {
            return;
        }
        self.interval_ms = interval_ms;
        if self.due_ms(Job::Report).is_some() {
            self.set(Job::Report, after(self.interval_start_ms, interval_ms).max(not_before_ms));
        }
    }

    /// Asks for a report after a change of the relay: at most 2 s later, one for all changes until then.
    pub fn report_change(&mut self, now_ms: u64) {
        self.set_earlier(Job::RelayReport, after(now_ms, RELAY_REPORT_MS));
    }

    /// Sets the delay task, in place of one that is set.
    pub fn set_delay_task(&mut self, now_ms: u64, task: DelayTask) {
        self.delayed_on = task.on;
        self.delayed_spread = task.spread;
        self.set(Job::DelayTask, after(now_ms, task.remaining_ms));
    }

    /// Returns the delay task with the time that is left.
    #[must_use]
    pub fn delay_task(&self, now_ms: u64) -> Option<DelayTask> {
        let due_ms = self.due_ms(Job::DelayTask)?;
        let remaining_ms = due_ms.saturating_sub(now_ms);
        Some(DelayTask { on: self.delayed_on, spread: self.delayed_spread, remaining_ms })
    }

    /// Returns what the delay task that was set last switches to.
    #[must_use]
    pub const fn delayed_on(&self) -> bool {
        self.delayed_on
    }

    /// Tells whether the delay task that was set last came by multicast.
    #[must_use]
    pub const fn delayed_spread(&self) -> bool {
        self.delayed_spread
    }
}

/// An interval in ms. One of 0 s counts as 1 s: a job that is due again at once would never be done.
const fn interval_ms(seconds: u32) -> u64 {
    if seconds == 0 { 1000 } else { seconds as u64 * 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Takes what is due at each instant, and notes it with the instant.
    fn run(scheduler: &mut Scheduler, instants: impl IntoIterator<Item = u64>) -> Vec<(u64, Job)> {
        let mut taken = Vec::new();
        for now_ms in instants {
            while let Some(job) = scheduler.take_due(now_ms) {
                taken.push((now_ms, job));
                assert!(taken.len() < 10_000, "endless: {taken:?}");
            }
        }
        taken
    }

    fn with_interval(interval_s: u32, start_ms: u64) -> Scheduler {
        let mut scheduler = Scheduler::new(1, interval_s);
        scheduler.start_interval(start_ms);
        scheduler
    }

    #[test]
    fn nothing_is_due_at_first() {
        let mut scheduler = Scheduler::new(1, 60);
        assert_eq!(scheduler.next_due_ms(), None);
        assert_eq!(scheduler.take_due(u64::MAX - 1), None);
    }

    #[test]
    fn a_job_is_due_at_its_instant_and_not_before_and_once() {
        let mut scheduler = Scheduler::new(1, 60);
        scheduler.set(Job::LockEnd, 500);
        assert_eq!(run(&mut scheduler, [499, 500, 501]), [(500, Job::LockEnd)]);
        assert_eq!(scheduler.next_due_ms(), None);
    }

    #[test]
    fn jobs_go_in_the_order_of_their_instants_then_of_the_list() {
        let mut scheduler = Scheduler::new(1, 60);
        scheduler.set(Job::Reboot, 10);
        scheduler.set(Job::Led, 20);
        scheduler.set(Job::Button, 20);
        assert_eq!(run(&mut scheduler, [30]), [(30, Job::Reboot), (30, Job::Button), (30, Job::Led)]);
    }

    #[test]
    fn a_job_taken_back_never_comes() {
        let mut scheduler = Scheduler::new(1, 60);
        scheduler.set(Job::Led, 10);
        scheduler.set(Job::Reboot, 20);
        scheduler.cancel(Job::Led);
        assert_eq!(scheduler.next_due_ms(), Some(20));
        assert_eq!(run(&mut scheduler, [30]), [(30, Job::Reboot)]);
    }

    #[test]
    fn uplinks_are_spread_over_30_s_and_no_longer() {
        let mut scheduler = Scheduler::new(1, 60);
        let delays: Vec<u64> = (0..10_000).map(|_| scheduler.spread_ms()).collect();
        assert!(delays.iter().all(|&ms| ms <= 30_000));
        assert!(delays.iter().any(|&ms| ms < 100) && delays.iter().any(|&ms| ms > 29_900));
    }

    #[test]
    fn set_earlier_keeps_the_earlier_of_two_instants() {
        let mut scheduler = Scheduler::new(1, 60);
        for (due_ms, want_ms) in [(300, 300), (400, 300), (200, 200)] {
            scheduler.set_earlier(Job::RelayReport, due_ms);
            assert_eq!(scheduler.due_ms(Job::RelayReport), Some(want_ms));
        }
    }

    #[test]
    fn the_interval_does_not_drift_when_it_is_taken_late() {
        let mut scheduler = with_interval(60, 5_000);
        let taken = run(&mut scheduler, [64_999, 65_040, 125_090, 185_000]);
        assert_eq!(taken, [(65_040, Job::Report), (125_090, Job::Report), (185_000, Job::Report)]);
        assert_eq!(scheduler.next_due_ms(), Some(245_000));
    }

    #[test]
    fn reports_that_were_missed_altogether_are_left_out() {
        let mut scheduler = with_interval(60, 0);
        assert_eq!(run(&mut scheduler, [200_000]), [(200_000, Job::Report)]);
        assert_eq!(scheduler.next_due_ms(), Some(240_000));
    }

    #[test]
    fn an_interval_of_0_s_counts_as_1_s() {
        let mut scheduler = with_interval(0, 0);
        assert_eq!(run(&mut scheduler, [999, 1_000, 2_500]).len(), 2);
        scheduler.set_interval(2_500, 60);
        scheduler.set_interval(2_500, 0);
        assert_eq!(run(&mut scheduler, [3_000]).len(), 1);
    }

    #[test]
    fn a_new_interval_counts_from_the_last_report() {
        /// Times count from the start of the interval's grid.
        fn check(at_s: u64, new_s: u32, want_due_s: u64) {
            let mut scheduler = with_interval(1200, 7_000);
            scheduler.set_interval(7_000 + at_s * 1000, new_s);
            assert_eq!(scheduler.next_due_ms(), Some(7_000 + want_due_s * 1000), "{new_s} s set at {at_s} s");
        }
        check(100, 600, 600); // shorter, not yet over
        check(1000, 600, 1000); // shorter, over: at once
        check(600, 600, 600); // just over
        check(100, 3600, 3600); // longer
        check(100, 1200, 1200); // the same
    }

    #[test]
    fn an_interval_set_before_the_grid_starts_sets_no_report() {
        let mut scheduler = Scheduler::new(1, 1200);
        scheduler.set_interval(10, 60);
        assert_eq!(scheduler.next_due_ms(), None);
        scheduler.start_interval(1_000);
        assert_eq!(scheduler.next_due_ms(), Some(61_000));
    }

    #[test]
    fn a_change_is_reported_within_two_seconds_of_the_first_of_several() {
        let mut scheduler = Scheduler::new(1, 60);
        for now_ms in [1_000, 1_500, 2_700] {
            scheduler.report_change(now_ms);
        }
        let taken = run(&mut scheduler, (1_000..8_000).step_by(10));
        assert_eq!(taken.len(), 1);
        assert!(taken[0].0 > 2_700 && taken[0].0 <= 3_000, "{taken:?}");
    }

    #[test]
    fn a_delay_task_tells_what_is_left_of_it() {
        let mut scheduler = Scheduler::new(1, 60);
        assert_eq!(scheduler.delay_task(0), None);
        scheduler.set_delay_task(1_000, DelayTask { on: true, spread: true, remaining_ms: 60_000 });
        assert_eq!(
            scheduler.delay_task(21_000),
            Some(DelayTask { on: true, spread: true, remaining_ms: 40_000 })
        );
        assert!(scheduler.delayed_on() && scheduler.delayed_spread());
        assert_eq!(scheduler.delay_task(99_000), Some(DelayTask { on: true, spread: true, remaining_ms: 0 }));
        assert_eq!(run(&mut scheduler, [60_999, 61_000]), [(61_000, Job::DelayTask)]);
        assert_eq!(scheduler.delay_task(61_000), None);
    }

    #[test]
    fn a_later_delay_task_replaces_the_earlier_one() {
        let mut scheduler = Scheduler::new(1, 60);
        scheduler.set_delay_task(0, DelayTask { on: true, spread: true, remaining_ms: 5_000 });
        scheduler.set_delay_task(1_000, DelayTask { on: false, spread: false, remaining_ms: 9_000 });
        assert_eq!(run(&mut scheduler, [5_000, 10_000]), [(10_000, Job::DelayTask)]);
        assert!(!scheduler.delayed_on() && !scheduler.delayed_spread());
    }

    #[test]
    fn instants_at_the_end_of_time_do_not_overflow() {
        let mut scheduler = with_interval(u32::MAX, u64::MAX - 5);
        scheduler.set_interval(u64::MAX - 4, 1);
        scheduler.report_change(u64::MAX - 1);
        scheduler.set_delay_task(u64::MAX - 1, DelayTask { on: true, spread: true, remaining_ms: u64::MAX });
        assert_eq!(scheduler.next_due_ms(), None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Set(usize, u64),
        Cancel(usize),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..Job::ALL.len(), 0..5_000u64).prop_map(|(job, in_ms)| Step::Set(job, in_ms)),
            (0..Job::ALL.len()).prop_map(Step::Cancel),
            (0..3_000u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// The reference is a plain map from job to instant.
        #[test]
        fn every_job_is_taken_once_when_due_and_the_next_instant_is_the_smallest(steps in steps()) {
            let mut scheduler = Scheduler::new(1, 60);
            let mut model = [None; Job::ALL.len()];
            let mut now_ms = 0;
            for step in steps {
                match step {
                    // The report comes again by itself; it has its own tests.
                    Step::Set(job, in_ms) if Job::ALL[job] != Job::Report => {
                        scheduler.set(Job::ALL[job], now_ms + in_ms);
                        model[job] = Some(now_ms + in_ms);
                    }
                    Step::Set(..) => {}
                    Step::Cancel(job) => {
                        scheduler.cancel(Job::ALL[job]);
                        model[job] = None;
                    }
                    Step::Wait(ms) => now_ms += ms,
                }
                prop_assert_eq!(scheduler.next_due_ms(), model.iter().flatten().min().copied());
                if matches!(step, Step::Wait(_)) {
                    while let Some(job) = scheduler.take_due(now_ms) {
                        let due_ms = model[job as usize].take();
                        prop_assert!(due_ms.is_some_and(|due_ms| due_ms <= now_ms), "{:?} at {}", job, now_ms);
                    }
                    prop_assert!(model.iter().flatten().all(|&due_ms| due_ms > now_ms));
                }
            }
        }

        #[test]
        fn n_intervals_take_n_times_the_interval(interval_s in 60u32..=64_800, lateness in proptest::collection::vec(0u64..59_000, 1..40)) {
            let mut scheduler = with_interval(interval_s, 0);
            for (n, late_ms) in (1u64..).zip(lateness) {
                let due_ms = scheduler.next_due_ms().unwrap();
                prop_assert_eq!(due_ms, n * u64::from(interval_s) * 1000);
                prop_assert_eq!(scheduler.take_due(due_ms + late_ms), Some(Job::Report));
            }
        }
    }
}
