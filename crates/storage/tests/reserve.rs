//! After `prepare` what is stored when the supply is lost needs no erase, however full the flash is.

use futures::executor::block_on;
use proptest::prelude::*;
use sockeye_storage::{MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::flash::{Chip, Flash, Rp2040, Stm32wl};

const PAGES: usize = 6;

/// What the device stores between a supply that is lost and the outage alert on the air, twice for a supply that came
/// back for a moment; the energy takes 7 bytes, and the counters are as long as they ever are.
const PATH: [(RecordId, usize); 5] = [
    (RecordId::RelayState, 1),
    (RecordId::Energy, 7),
    (RecordId::RelayState, 1),
    (RecordId::Energy, 7),
    (RecordId::MacCounters, 30),
];

fn open<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

/// One round: other records, sometimes a restart, then what is measured. Tells the microseconds of the path.
fn round<C: Chip>(
    flash: &Flash<C>,
    storage: &mut Storage<Flash<C>>,
    number: u8,
    others: &[(RecordId, usize)],
    restarts: bool,
) -> u64 {
    for (id, length) in others {
        block_on(storage.store(*id, &vec![number; *length])).expect("stores");
    }
    if restarts {
        *storage = open(flash);
    }
    block_on(storage.prepare(false)).expect("prepares");
    let before = flash.counts();
    for (index, (id, length)) in PATH.into_iter().enumerate() {
        let value = vec![number.wrapping_mul(5).wrapping_add(index as u8); length];
        block_on(storage.store(id, &value)).expect("stores");
        let mut out = [0; MAX_RECORD];
        assert_eq!(block_on(storage.load(id, &mut out)), Ok(Some(length)));
        assert_eq!(out[..length], value);
    }
    let after = flash.counts();
    assert_eq!(after.erases, before.erases, "an erase in the path");
    after.busy_us - before.busy_us
}

fn any_record() -> impl Strategy<Value = (RecordId, usize)> {
    let record = prop_oneof![
        Just((RecordId::Settings, 700)),
        Just((RecordId::MacSession, 300)),
        Just((RecordId::MacMulticast, 60)),
        Just((RecordId::DelayTask, 10)),
        Just((RecordId::Identity, 50)),
    ];
    (record, 1usize..=100).prop_map(|((id, longest), percent)| (id, (longest * percent).div_ceil(100)))
}

fn check<C: Chip>(rounds: &[(Vec<(RecordId, usize)>, bool)]) {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    for (number, (others, restarts)) in rounds.iter().enumerate() {
        round(&flash, &mut storage, number as u8, others, *restarts);
    }
    assert_eq!(storage.erasures(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn law_no_erase_lies_in_the_path_of_a_lost_supply_whatever_the_fill_level(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(any_record(), 0..3), proptest::bool::weighted(0.2)), 1..150
        ),
    ) {
        check::<Stm32wl>(&rounds);
        check::<Rp2040>(&rounds);
    }
}

/// Steps of 16 bytes go through every fill level that words of 8 bytes allow in two rounds of the pages.
#[test]
fn each_fill_level_leaves_room_for_the_path() {
    let flash = Flash::<Stm32wl>::erased(PAGES);
    let mut storage = open(&flash);
    let (mut longest_us, mut turned) = (0, 0);
    for number in 0..2_000_u32 {
        let others = [(RecordId::DelayTask, 1 + (number % 9) as usize)];
        let erases = flash.counts().erases;
        longest_us = longest_us.max(round(&flash, &mut storage, number as u8, &others, false));
        turned += flash.counts().erases - erases;
    }
    assert!(turned > 50, "{turned} pages were turned over: the reserve was never in doubt");
    // 13 words of 8 bytes.
    assert_eq!(longest_us, 13 * 82, "as docs/SUPPLY-LOSS.md says");
}

/// A flash that holds as much as it can is not turned over again and again for a reserve that is not to be had.
#[test]
fn a_page_is_turned_over_once_for_the_reserve_and_not_for_ever() {
    let flash = Flash::<Stm32wl>::erased(4);
    let mut storage = Storage::new(flash.clone(), 0..4 * 2048);
    for (id, length) in
        [(RecordId::Settings, 1000), (RecordId::MacSession, 880), (RecordId::MacMulticast, 880)]
    {
        block_on(storage.store(id, &vec![1; length])).expect("stores");
    }
    for number in 0..50_u8 {
        let _ = block_on(storage.store(RecordId::DelayTask, &[number; 10]));
        let erases = flash.counts().erases;
        let _ = block_on(storage.prepare(false));
        assert!(flash.counts().erases - erases <= 2, "round {number}");
    }
}
