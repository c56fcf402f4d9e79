//! Design rule 5: after a power cut at any flash operation each record reads as its old or its new value.

use std::cell::Cell;

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sockeye_storage::{MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::flash::{Chip, Cut, Flash, Rp2040, Stm32wl, Stm32wlNmi};

/// Few pages, so that a short sequence moves and erases often.
const PAGES: usize = 4;

/// Steps of one walk.
const STEPS: usize = 350;

/// What the device does.
#[derive(Clone, Debug)]
enum Step {
    Store(RecordId, Vec<u8>),
    ClearAllBut(Vec<RecordId>),
}

/// The records as they should be, by their place in `RecordId::ALL`.
type Records = [Vec<u8>; RecordId::ALL.len()];

fn after(records: &Records, step: &Step) -> Records {
    let mut records = records.clone();
    for (record, id) in records.iter_mut().zip(RecordId::ALL) {
        match step {
            Step::Store(stored, bytes) if *stored == id => record.clone_from(bytes),
            Step::ClearAllBut(keep) if !keep.contains(&id) => record.clear(),
            _ => {}
        }
    }
    records
}

fn open<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

/// Does the step, and the erase that it leaves for later; tells whether the power stayed.
fn run<C: Chip>(flash: &Flash<C>, step: &Step) -> bool {
    let mut storage = open(flash);
    let done = match step {
        Step::Store(id, bytes) => block_on(storage.store(*id, bytes)),
        Step::ClearAllBut(keep) => block_on(storage.clear_all_but(keep)),
    };
    // Once to leave the page, once to erase it.
    let done = done.and_then(|()| block_on(storage.prepare(true)));
    let done = done.and_then(|()| block_on(storage.prepare(true)));
    assert_eq!(done.is_ok(), flash.is_powered(), "{step:?}: {done:?}");
    done.is_ok()
}

fn read<C: Chip>(flash: &Flash<C>) -> Result<Records, String> {
    let mut storage = open(flash);
    let mut records = Records::default();
    for (record, id) in records.iter_mut().zip(RecordId::ALL) {
        let mut out = [0; MAX_RECORD];
        match block_on(storage.load(id, &mut out)) {
            Ok(length) => record.extend(out.iter().take(length.unwrap_or(0))),
            Err(error) => return Err(format!("{id:?}: {error:?}")),
        }
    }
    Ok(records)
}

/// Checks what is there after a cut: all as before the step or all as after it.
fn check<C: Chip>(flash: &Flash<C>, old: &Records, step: &Step) -> Result<(), TestCaseError> {
    flash.power_on();
    let found = read(flash).map_err(TestCaseError::fail)?;
    prop_assert!(found == *old || found == after(old, step), "{step:?} left {found:?} from {old:?}");
    Ok(())
}

/// The cuts of a walk, and the debris that they leave.
struct Walk<C> {
    flash: Flash<C>,
    records: Records,
    cuts: u64,
    erase_cuts: u64,
    seed: u64,
}

impl<C: Chip> Walk<C> {
    fn dice(&mut self, sides: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % sides
    }

    /// Does the step on a copy whose power is cut as `plan` says, then cuts the recovery too; checks both.
    fn cut(&mut self, step: &Step, plan: impl Fn(&Flash<C>)) -> Result<Flash<C>, TestCaseError> {
        let copy = self.flash.duplicate();
        plan(&copy);
        prop_assert!(!run(&copy, step), "the cut did not come");
        self.cuts += 1;
        let again = copy.duplicate();
        check(&copy, &self.records, step)?;
        let seed = self.seed;
        again.cut_after(self.dice(3), Cut::Inside { seed });
        let _ = read(&again);
        if !again.is_powered() {
            self.cuts += 1;
            check(&again, &self.records, step)?;
        }
        Ok(again)
    }

    /// Cuts the step at each of its erases and at some of its other operations; then does it on what one of
    /// the cuts left behind.
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let trial = self.flash.duplicate();
        prop_assert!(run(&trial, step));
        let (before, done) = (self.flash.counts(), trial.counts());
        let (operations, erases) = (done.operations() - before.operations(), done.erases - before.erases);
        let mut debris = None;
        for erase in 0..erases {
            for tear in 0..4 {
                let seed = self.seed ^ tear;
                let cut = if tear == 0 { Cut::Before } else { Cut::Inside { seed } };
                debris = Some(self.cut(step, |flash| flash.cut_after_erases(erase, cut))?);
                self.erase_cuts += 1;
            }
        }
        // A step with an erase is looked at closely, and one of six of the others.
        let looks = if erases > 0 {
            8
        } else if self.dice(6) == 0 {
            3
        } else {
            0
        };
        for _ in 0..looks.min(operations) {
            let (operation, seed) = (self.dice(operations), self.seed);
            let cut = if self.dice(3) == 0 { Cut::Before } else { Cut::Inside { seed } };
            let left = self.cut(step, |flash| flash.cut_after(operation, cut))?;
            if self.dice(4) == 0 {
                debris = Some(left);
            }
        }
        if let Some(debris) = debris {
            debris.power_on();
            self.flash = debris;
        }
        prop_assert!(run(&self.flash, step));
        self.records = after(&self.records, step);
        prop_assert_eq!(&read(&self.flash).map_err(TestCaseError::fail)?, &self.records);
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || proptest::sample::select(RecordId::ALL.as_slice());
    let bytes = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..24),
        1 => proptest::collection::vec(any::<u8>(), 100..180),
        1 => (any::<u8>(), 200..330usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let step = prop_oneof![
        20 => (id(), bytes).prop_map(|(id, bytes)| Step::Store(id, bytes)),
        1 => proptest::collection::vec(id(), 0..4).prop_map(Step::ClearAllBut),
    ];
    proptest::collection::vec(step, STEPS..=STEPS)
}

fn law<C: Chip>(name: &str) {
    let (cuts, erase_cuts) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig {
        cases: 2,
        max_shrink_iters: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&(steps(), any::<u64>()), |(steps, seed)| {
        let flash = Flash::<C>::erased(PAGES);
        let mut walk = Walk { flash, records: Records::default(), cuts: 0, erase_cuts: 0, seed };
        steps.iter().try_for_each(|step| walk.step(step))?;
        cuts.set(cuts.get() + walk.cuts);
        erase_cuts.set(erase_cuts.get() + walk.erase_cuts);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{name}: {failure}");
    }
    println!(
        "{name}: {} power cuts, {} of them at an erase: each record old or new after all",
        cuts.get(),
        erase_cuts.get()
    );
    assert!(cuts.get() > 200 && erase_cuts.get() > 20, "too few to prove much");
}

#[test]
fn rule_5_each_record_is_old_or_new_after_a_cut_on_the_stm32wl() {
    law::<Stm32wl>("STM32WL");
}

#[test]
fn rule_5_each_record_is_old_or_new_after_a_cut_on_the_stm32wl_behind_its_nmi() {
    law::<Stm32wlNmi>("STM32WL behind its NMI");
}

#[test]
fn rule_5_each_record_is_old_or_new_after_a_cut_on_the_rp2040() {
    law::<Rp2040>("RP2040");
}
