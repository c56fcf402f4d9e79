//! The erase of a page that was left behind can wait, and a power cut meanwhile costs nothing.

use std::collections::BTreeMap;

use futures::executor::block_on;
use proptest::prelude::*;
use sockeye_storage::{MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::flash::{Chip, Cut, Flash, Rp2040, Stm32wl, Stm32wlNmi};

const PAGES: usize = 5;

fn open<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

/// Stores until many pages were left behind; each is settled after `every` stores. Tells how many erases lay in `settle`, and how
/// many elsewhere.
fn erases<C: Chip>(every: u32) -> (u64, u64) {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    let (mut settled, mut elsewhere) = (0, 0);
    for number in 0..8_000_u32 {
        let before = flash.counts().erases;
        block_on(storage.store(RecordId::DelayTask, &number.to_le_bytes())).expect("stores");
        block_on(storage.prepare(false)).expect("prepares");
        let between = flash.counts().erases;
        elsewhere += between - before;
        if number % every == 0 {
            block_on(storage.prepare(true)).expect("settles");
            let erased = flash.counts().erases - between;
            assert!(erased <= 1);
            settled += erased;
        }
    }
    (settled, elsewhere)
}

#[test]
fn no_erase_lies_outside_of_settle_when_that_comes_once_a_page() {
    // A page takes 127 stores or more of 16 bytes.
    for every in [1, 20, 100] {
        for (chip, (settled, elsewhere)) in
            [("STM32WL", erases::<Stm32wl>(every)), ("RP2040", erases::<Rp2040>(every))]
        {
            println!("{chip}, settled every {every} stores: {settled} erases there, {elsewhere} elsewhere");
            assert!(settled >= 20, "{chip}: {settled} erases");
            // The page of the notes, once it is full.
            assert!(elsewhere <= 1, "{chip}: {elsewhere} erases");
        }
    }
}

#[test]
fn what_is_never_settled_is_erased_before_it_is_written() {
    let (settled, elsewhere) = erases::<Stm32wl>(u32::MAX);
    assert!(settled <= 1 && elsewhere > 50, "{settled}, {elsewhere}");
}

#[derive(Clone, Debug)]
enum Step {
    Store(RecordId, Vec<u8>),
    Prepare,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = proptest::sample::select(RecordId::ALL.as_slice());
    let step = prop_oneof![
        6 => (id, any::<u8>(), 1..250_usize).prop_map(|(id, byte, length)| Step::Store(id, vec![byte; length])),
        2 => Just(Step::Prepare),
        1 => Just(Step::Settle),
    ];
    proptest::collection::vec(step, 80..200)
}

/// Lives with a storage that stays open, cuts at an operation, starts on what is left, and lives on.
fn check<C: Chip>(steps: &[Step], cuts: &[(u64, bool, u64)]) -> Result<(), TestCaseError> {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    let mut records: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut cuts = cuts.iter();
    for step in steps.iter().cycle().take(3 * steps.len()) {
        if flash.counts().operations().is_multiple_of(3)
            && let Some((after, only_erases, seed)) = cuts.next()
        {
            let cut = Cut::Inside { seed: *seed };
            if *only_erases { flash.cut_after_erases(after % 3, cut) } else { flash.cut_after(*after, cut) }
        }
        let mut new = None;
        let done = match step {
            Step::Store(id, bytes) => {
                new = Some((*id, bytes));
                block_on(storage.store(*id, bytes))
            }
            Step::Prepare => block_on(storage.prepare(false)),
            Step::Settle => block_on(storage.prepare(true)),
        };
        prop_assert_eq!(done.is_ok(), flash.is_powered(), "{:?}", done);
        if done.is_err() {
            flash.power_on();
            storage = open(&flash);
        } else if let Some((id, bytes)) = new {
            records.insert(id.key(), bytes.clone());
        }
        if done.is_err() || matches!(step, Step::Settle) {
            for id in RecordId::ALL {
                let mut out = [0; MAX_RECORD];
                let length = block_on(storage.load(id, &mut out)).expect("loads").unwrap_or(0);
                let found = out.get(..length).unwrap_or_default();
                let old = records.get(&id.key()).map_or(&[][..], Vec::as_slice);
                let is_new =
                    done.is_err() && new.is_some_and(|(stored, bytes)| stored == id && found == bytes);
                prop_assert!(found == old || is_new, "{id:?}: {found:?}, not {old:?}");
                if is_new {
                    records.insert(id.key(), found.to_vec());
                }
            }
        }
    }
    prop_assert_eq!(storage.erasures(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn law_each_record_is_old_or_new_after_a_cut_while_an_erase_is_owed(
        steps in steps(),
        cuts in proptest::collection::vec((0..60_u64, any::<bool>(), any::<u64>()), 20),
    ) {
        check::<Stm32wl>(&steps, &cuts)?;
        check::<Stm32wlNmi>(&steps, &cuts)?;
        check::<Rp2040>(&steps, &cuts)?;
    }
}
