//! Virtual time, and the tasks that live in it.
//!
//! A [`Sim`] is a single-threaded executor whose clock jumps from one due instant to the next. Nothing in
//! it reads the computer's clock, and tasks woken at the same instant run in the order in which they were
//! woken: a run is a pure function of its inputs.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Virtual time in microseconds since the simulation began, with the tasks that wait in it.
///
/// Clones share one clock and one set of tasks.
#[derive(Clone, Default)]
pub struct Sim(Rc<Inner>);

#[derive(Default)]
struct Inner {
    now_us: Cell<u64>,
    sequence: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Arc<ReadyQueue>,
}

struct Task {
    /// `None` while the task is being polled.
    future: Option<TaskFuture>,
    wake: Arc<TaskWaker>,
    waker: Waker,
}

#[derive(Default)]
struct ReadyQueue(Mutex<VecDeque<u64>>);

impl ReadyQueue {
    fn push(&self, id: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
    }

    fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

struct TaskWaker {
    id: u64,
    /// The task stands in the queue: it need not stand there twice.
    queued: AtomicBool,
    queue: Arc<ReadyQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.push(self.id);
        }
    }
}

/// Names a task of a [`Sim`], to kill it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u64);

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("now_us", &self.now_us()).finish_non_exhaustive()
    }
}

impl Sim {
    /// Makes a simulation that stands at 0 µs and holds no task.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the present instant, in microseconds since the simulation began.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.0.now_us.get()
    }

    /// Waits until the clock shows `at_us` or later.
    ///
    /// Cancel safety: dropping the future takes its timer away.
    #[must_use]
    pub fn sleep_until_us(&self, at_us: u64) -> Sleep {
        Sleep { sim: self.clone(), at_us, key: None }
    }

    /// Waits for `duration_us` from now.
    #[must_use]
    pub fn sleep_us(&self, duration_us: u64) -> Sleep {
        self.sleep_until_us(self.now_us().saturating_add(duration_us))
    }

    /// Adds a task; it is polled for the first time when the simulation runs next.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.next_sequence();
        let queued = AtomicBool::new(false);
        let wake = Arc::new(TaskWaker { id, queued, queue: self.0.ready.clone() });
        wake.wake_by_ref();
        let waker = Waker::from(wake.clone());
        self.0.tasks.borrow_mut().insert(id, Task { future: Some(Box::pin(future)), wake, waker });
        TaskId(id)
    }

    /// Drops a task where it stands, as a power cut does. An unknown or finished task is no error.
    pub fn kill(&self, task: TaskId) {
        // Taken out of the map first: dropping the future may call back into this simulation.
        let killed = self.0.tasks.borrow_mut().remove(&task.0);
        drop(killed);
    }

    /// Tells whether a task is still there: neither finished nor killed.
    #[must_use]
    pub fn is_alive(&self, task: TaskId) -> bool {
        self.0.tasks.borrow().contains_key(&task.0)
    }

    /// Tells when the earliest timer is due, if there is one.
    #[must_use]
    pub fn next_timer_us(&self) -> Option<u64> {
        self.0.timers.borrow().first_key_value().map(|((at_us, _), _)| *at_us)
    }

    /// Runs every task until the clock shows `end_us`, which it does on return.
    pub fn run_until_us(&self, end_us: u64) {
        loop {
            self.poll_ready();
            match self.next_timer_us() {
                Some(at_us) if at_us <= end_us => {
                    self.0.now_us.set(at_us.max(self.now_us()));
                    self.fire_timers();
                }
                _ => break,
            }
        }
        self.0.now_us.set(end_us.max(self.now_us()));
    }

    fn next_sequence(&self) -> u64 {
        let next = self.0.sequence.get() + 1;
        self.0.sequence.set(next);
        next
    }

    fn poll_ready(&self) {
        while let Some(id) = self.0.ready.pop() {
            let taken = {
                let mut tasks = self.0.tasks.borrow_mut();
                tasks.get_mut(&id).and_then(|task| {
                    task.wake.queued.store(false, Ordering::Relaxed);
                    Some((task.future.take()?, task.waker.clone()))
                })
            };
            let Some((mut future, waker)) = taken else { continue };
            let finished = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            let mut tasks = self.0.tasks.borrow_mut();
            if finished {
                tasks.remove(&id);
            } else if let Some(task) = tasks.get_mut(&id) {
                task.future = Some(future);
                continue;
            }
            // Finished, or killed while it ran: dropped only when the map is free again.
            drop(tasks);
            drop(future);
        }
    }

    fn fire_timers(&self) {
        let now_us = self.now_us();
        loop {
            let due = {
                let mut timers = self.0.timers.borrow_mut();
                match timers.first_entry() {
                    Some(entry) if entry.key().0 <= now_us => entry.remove(),
                    _ => break,
                }
            };
            due.wake();
        }
    }
}

/// The future of [`Sim::sleep_until_us`].
#[derive(Debug)]
pub struct Sleep {
    sim: Sim,
    at_us: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.sim.now_us() >= self.at_us {
            return Poll::Ready(());
        }
        if let Some(key) = self.key {
            // Polled again before its time, because something beside it was due: mostly by the same task.
            if let Some(waker) = self.sim.0.timers.borrow_mut().get_mut(&key) {
                waker.clone_from(context.waker());
                return Poll::Pending;
            }
        }
        let key = (self.at_us, self.sim.next_sequence());
        self.key = Some(key);
        self.sim.0.timers.borrow_mut().insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.sim.0.timers.borrow_mut().remove(&key);
        }
    }
}

/// Tells tasks that something they wait for may have changed. Clones share one list of waiters.
#[derive(Clone, Debug, Default)]
pub struct Notify(Rc<RefCell<Vec<Waker>>>);

impl Notify {
    /// Makes a notify that nobody waits on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes everybody who waits: each looks at its condition again.
    pub fn notify(&self) {
        for waker in self.0.take() {
            waker.wake();
        }
    }

    /// Waits until `condition` holds. It is looked at now, and after each [`notify`](Self::notify).
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        std::future::poll_fn(|context| {
            if condition() {
                return Poll::Ready(());
            }
            let mut waiters = self.0.borrow_mut();
            if !waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
                waiters.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ran, and when.
    type Seen = Rc<RefCell<Vec<(u64, &'static str)>>>;

    fn log() -> (Seen, Sim) {
        (Rc::default(), Sim::new())
    }

    #[test]
    fn tasks_run_in_the_order_of_their_instants() {
        let (seen, sim) = log();
        for (name, at_us) in [("late", 300), ("early", 100), ("middle", 200)] {
            let (seen, sim2) = (seen.clone(), sim.clone());
            sim.spawn(async move {
                sim2.sleep_until_us(at_us).await;
                seen.borrow_mut().push((sim2.now_us(), name));
            });
        }
        sim.run_until_us(250);
        assert_eq!(*seen.borrow(), [(100, "early"), (200, "middle")]);
        assert_eq!(sim.now_us(), 250);
        sim.run_until_us(1000);
        assert_eq!(seen.borrow().last(), Some(&(300, "late")));
    }

    #[test]
    fn a_killed_task_never_runs_again_and_leaves_no_timer() {
        let (seen, sim) = log();
        let (seen2, sim2) = (seen.clone(), sim.clone());
        let task = sim.spawn(async move {
            sim2.sleep_us(100).await;
            seen2.borrow_mut().push((sim2.now_us(), "ran"));
        });
        sim.run_until_us(50);
        assert!(sim.is_alive(task));
        sim.kill(task);
        assert_eq!(sim.next_timer_us(), None);
        sim.run_until_us(200);
        assert!(seen.borrow().is_empty());
        assert!(!sim.is_alive(task));
    }

    #[test]
    fn a_task_that_kills_itself_ends_with_that_poll() {
        let (seen, sim) = log();
        let (seen2, sim2) = (seen.clone(), sim.clone());
        let id = Rc::new(Cell::new(None));
        let id2 = id.clone();
        id.set(Some(sim.spawn(async move {
            if let Some(own) = id2.get() {
                sim2.kill(own);
            }
            seen2.borrow_mut().push((sim2.now_us(), "before"));
            sim2.sleep_us(1).await;
            seen2.borrow_mut().push((sim2.now_us(), "after"));
        })));
        sim.run_until_us(10);
        assert_eq!(*seen.borrow(), [(0, "before")]);
    }

    #[test]
    fn a_notified_task_looks_at_its_condition_again() {
        let (seen, sim) = log();
        let (notify, value) = (Notify::new(), Rc::new(Cell::new(0)));
        let (seen2, sim2, notify2, value2) = (seen.clone(), sim.clone(), notify.clone(), value.clone());
        sim.spawn(async move {
            notify2.until(|| value2.get() == 2).await;
            seen2.borrow_mut().push((sim2.now_us(), "two"));
        });
        for (at_us, new) in [(10, 1), (20, 2)] {
            sim.run_until_us(at_us);
            value.set(new);
            notify.notify();
        }
        sim.run_until_us(30);
        assert_eq!(*seen.borrow(), [(20, "two")]);
    }
}
