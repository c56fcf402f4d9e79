//! What the storage promises while the power stays.

use std::ops::Range;

use futures::executor::block_on;
use proptest::prelude::*;
use sockeye_storage::{Error, MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::flash::{Chip, Flash, FlashError, Rp2040, Stm32wl};

const PAGES: usize = 6;

fn open<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

fn load<C: Chip>(storage: &mut Storage<Flash<C>>, id: RecordId) -> Option<Vec<u8>> {
    let mut out = [0; MAX_RECORD];
    let length = block_on(storage.load(id, &mut out)).expect("loads")?;
    Some(out[..length].to_vec())
}

fn store<C: Chip>(storage: &mut Storage<Flash<C>>, id: RecordId, bytes: &[u8]) {
    block_on(storage.store(id, bytes)).expect("stores");
}

/// Runs a check over both chips' rules.
macro_rules! on_both_chips {
    ($($name:ident => $check:ident;)*) => {$(
        #[test]
        fn $name() {
            $check::<Stm32wl>();
            $check::<Rp2040>();
        }
    )*};
}

on_both_chips! {
    what_was_stored_is_there_after_a_restart => survives_a_restart;
    an_erased_flash_has_no_records => starts_empty;
    the_same_bytes_are_not_written_again => writes_only_changes;
    a_cleared_record_is_absent_and_the_others_stay => clears_one;
    clear_all_but_keeps_what_it_was_told_to_keep => clears_all_but;
    clear_all_but_nothing_clears_everything => clears_everything;
    a_record_of_the_greatest_length_fits_and_a_longer_one_is_refused => has_a_limit;
    a_buffer_that_is_too_small_is_told_the_length => tells_the_length;
    ten_thousand_stores_wear_the_pages_evenly => wears_evenly;
    spoilt_contents_are_erased_and_told => erases_nonsense;
    a_range_of_two_pages_is_refused => refuses_a_short_range;
}

fn survives_a_restart<C: Chip>() {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    for id in RecordId::ALL {
        store(&mut storage, id, &[id.key(); 33]);
    }
    drop(storage);
    let mut storage = open(&flash);
    for id in RecordId::ALL {
        assert_eq!(load(&mut storage, id), Some(vec![id.key(); 33]), "{id:?}");
    }
    assert_eq!(storage.erasures(), 0);
}

fn starts_empty<C: Chip>() {
    let mut storage = open(&Flash::<C>::erased(PAGES));
    for id in RecordId::ALL {
        assert_eq!(load(&mut storage, id), None);
    }
}

fn writes_only_changes<C: Chip>() {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    store(&mut storage, RecordId::Energy, &[1, 2, 3]);
    let before = flash.counts().operations();
    store(&mut storage, RecordId::Energy, &[1, 2, 3]);
    block_on(storage.clear(RecordId::Settings)).expect("clears");
    assert_eq!(flash.counts().operations(), before);
    store(&mut storage, RecordId::Energy, &[1, 2, 4]);
    assert!(flash.counts().operations() > before);
}

fn clears_one<C: Chip>() {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    store(&mut storage, RecordId::Energy, &[1]);
    store(&mut storage, RecordId::Settings, &[2]);
    block_on(storage.clear(RecordId::Energy)).expect("clears");
    for mut storage in [storage, open(&flash)] {
        assert_eq!(load(&mut storage, RecordId::Energy), None);
        assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![2]));
    }
}

fn clears_all_but<C: Chip>() {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    for id in RecordId::ALL {
        store(&mut storage, id, &[id.key()]);
    }
    let kept = [RecordId::Identity, RecordId::MacCounters];
    block_on(storage.clear_all_but(&kept)).expect("clears");
    store(&mut storage, RecordId::RelayState, &[9]);
    let mut storage = open(&flash);
    for id in RecordId::ALL {
        let expected = match id {
            RecordId::RelayState => Some(vec![9]),
            _ => kept.contains(&id).then(|| vec![id.key()]),
        };
        assert_eq!(load(&mut storage, id), expected, "{id:?}");
    }
}

fn clears_everything<C: Chip>() {
    let mut storage = open(&Flash::<C>::erased(PAGES));
    for id in RecordId::ALL {
        store(&mut storage, id, &[id.key()]);
    }
    block_on(storage.clear_all_but(&[])).expect("clears");
    for id in RecordId::ALL {
        assert_eq!(load(&mut storage, id), None, "{id:?}");
    }
}

fn has_a_limit<C: Chip>() {
    let mut storage = open(&Flash::<C>::erased(PAGES));
    // The longest of all at once, twice, so that they are moved from page to page.
    for value in 0..10u8 {
        store(&mut storage, RecordId::Settings, &[value; MAX_RECORD]);
        store(&mut storage, RecordId::MacSession, &[value; MAX_RECORD]);
    }
    assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![9; MAX_RECORD]));
    let long = [0; MAX_RECORD + 1];
    let refused = block_on(storage.store(RecordId::Settings, &long));
    assert_eq!(refused, Err(Error::TooLong { length: MAX_RECORD + 1 }));
    assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![9; MAX_RECORD]));
}

fn tells_the_length<C: Chip>() {
    let mut storage = open(&Flash::<C>::erased(PAGES));
    store(&mut storage, RecordId::Settings, &[7; 100]);
    let mut small = [0; 99];
    let refused = block_on(storage.load(RecordId::Settings, &mut small));
    assert_eq!(refused, Err(Error::BufferTooSmall { length: 100 }));
    assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![7; 100]));
}

fn wears_evenly<C: Chip>() {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    store(&mut storage, RecordId::Settings, &[7; 200]);
    for count in 0..10_000u32 {
        store(&mut storage, RecordId::Energy, &count.to_le_bytes());
    }
    assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![7; 200]));
    let wear = flash.wear();
    let (records, notes) = wear.split_at(PAGES - 1);
    let (least, most) = (records.iter().min().unwrap_or(&0), records.iter().max().unwrap_or(&0));
    assert!(most - least <= 1, "{wear:?}");
    assert!(notes.iter().all(|notes| notes <= most), "{wear:?}");
    println!("{} pages of {} bytes: {wear:?} erases", PAGES, C::ERASE_SIZE);
}

fn erases_nonsense<C: Chip>() {
    // The log writes around its pages one after the other: two that are begun, with none free, are no log.
    let mut contents = vec![0xFF; PAGES * C::ERASE_SIZE];
    for page in 0..PAGES - 1 {
        contents[page * C::ERASE_SIZE] = 0;
        contents[(page + 1) * C::ERASE_SIZE - 1] = 0;
    }
    let mut storage = open(&Flash::<C>::with_contents(contents.clone()));
    let mut out = [0; 8];
    assert_eq!(block_on(storage.load(RecordId::Energy, &mut out)), Err(Error::Erased));
    assert_eq!(storage.erasures(), 1);
    assert_eq!(load(&mut storage, RecordId::Energy), None);
    store(&mut storage, RecordId::Energy, &[5]);
    assert_eq!(load(&mut storage, RecordId::Energy), Some(vec![5]));

    let mut storage = open(&Flash::<C>::with_contents(contents));
    store(&mut storage, RecordId::Energy, &[5]);
    assert_eq!(storage.erasures(), 1);
    assert_eq!(load(&mut storage, RecordId::Energy), Some(vec![5]));
}

fn refuses_a_short_range<C: Chip>() {
    for range in [
        0..2 * C::ERASE_SIZE as u32,
        0..0,
        1..3 * C::ERASE_SIZE as u32,
        Range { start: 8, end: 4 },
        0..3 * C::ERASE_SIZE as u32 + 1,
    ] {
        let mut storage = Storage::new(Flash::<C>::erased(PAGES), range.clone());
        assert_eq!(block_on(storage.store(RecordId::Energy, &[1])), Err(Error::Layout), "{range:?}");
        assert_eq!(block_on(storage.load(RecordId::Energy, &mut [0; 8])), Err(Error::Layout));
    }
}

#[test]
fn a_flash_without_power_is_an_error_and_not_an_end() {
    let flash = Flash::<Stm32wl>::erased(PAGES);
    let mut storage = open(&flash);
    store(&mut storage, RecordId::Energy, &[1]);
    flash.power_off();
    let refused = block_on(storage.store(RecordId::Energy, &[2]));
    assert_eq!(refused, Err(Error::Flash(FlashError::PowerLost)));
    flash.power_on();
    assert_eq!(load(&mut storage, RecordId::Energy), Some(vec![1]));
}

#[test]
fn records_that_do_not_fit_together_are_refused_and_the_others_stay() {
    // Two pages of 2 KB for records hold one page's worth of them.
    let flash = Flash::<Stm32wl>::erased(3);
    let mut storage = Storage::new(flash.clone(), 0..3 * 2048);
    store(&mut storage, RecordId::Settings, &[1; MAX_RECORD]);
    let full = block_on(storage.store(RecordId::MacSession, &[2; MAX_RECORD]));
    assert_eq!(full, Err(Error::Full));
    assert_eq!(load(&mut storage, RecordId::Settings), Some(vec![1; MAX_RECORD]));
    store(&mut storage, RecordId::Energy, &[3]);
    assert_eq!(load(&mut storage, RecordId::Energy), Some(vec![3]));
}

fn any_contents<C: Chip>(contents: Vec<u8>) {
    let mut storage = open(&Flash::<C>::with_contents(contents));
    for id in RecordId::ALL {
        let mut out = [0; MAX_RECORD];
        match block_on(storage.load(id, &mut out)) {
            Ok(Some(length)) => assert!((1..=MAX_RECORD).contains(&length)),
            Ok(None) | Err(Error::Erased) => {}
            Err(error) => panic!("{id:?}: {error:?}"),
        }
    }
    store(&mut storage, RecordId::Energy, &[1, 2, 3]);
    assert_eq!(load(&mut storage, RecordId::Energy), Some(vec![1, 2, 3]));
}

/// Pages as the log might have left them, and as it never would: markers, runs, noise.
fn contents(page: usize) -> impl Strategy<Value = Vec<u8>> {
    let fill = prop_oneof![
        Just(vec![0xFF]),
        Just(vec![0]),
        proptest::collection::vec(any::<u8>(), 1..64),
        Just(vec![0xFF, 0, 0, 0]),
    ];
    let one = (fill, any::<u8>(), any::<u8>()).prop_map(move |(fill, first, last)| {
        let mut bytes: Vec<u8> = fill.iter().copied().cycle().take(page).collect();
        bytes[0] = first;
        bytes[page - 1] = last;
        bytes
    });
    proptest::collection::vec(one, PAGES).prop_map(|pages| pages.concat())
}

/// Found by the law below.
#[test]
fn pages_that_look_full_of_nothing_do_not_keep_records_out_for_ever() {
    let pages = [(199, 0, 151), (181, 0, 171), (157, 0, 47), (59, 0, 115), (91, 0xFF, 0), (0, 0xFF, 0xFF)];
    let contents = pages.map(|(first, fill, last)| {
        let mut page = vec![fill; 2048];
        (page[0], page[2047]) = (first, last);
        page
    });
    any_contents::<Stm32wl>(contents.concat());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_contents_are_read_or_erased_on_the_stm32wl(contents in contents(2048)) {
        any_contents::<Stm32wl>(contents);
    }

    #[test]
    fn any_contents_are_read_or_erased_on_the_rp2040(contents in contents(4096)) {
        any_contents::<Rp2040>(contents);
    }
}

#[test]
fn it_takes_little_more_ram_than_the_longest_record() {
    let size = size_of::<Storage<Flash<Stm32wl>>>();
    println!("Storage: {size} bytes of RAM");
    assert!(size < MAX_RECORD + 256, "{size}");
}
