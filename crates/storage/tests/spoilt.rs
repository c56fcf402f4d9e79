//! Worn, spoilt and foreign flash: nothing panics, what is right stays, and what a store says it stored is there.

use futures::executor::block_on;
use sockeye_storage::{Error, MAX_RECORD, RecordId, Storage};
use sockeye_virtual_hardware::flash::{
    Change, Chip, Cut, Flash, FlashError, Operation, Rp2040, Stm32wl, Stm32wlNmi,
};

const PAGES: usize = 6;

fn open<C: Chip>(flash: &Flash<C>) -> Storage<Flash<C>> {
    Storage::new(flash.clone(), 0..(PAGES * C::ERASE_SIZE) as u32)
}

fn load<C: Chip>(
    storage: &mut Storage<Flash<C>>,
    id: RecordId,
) -> Result<Option<Vec<u8>>, Error<FlashError>> {
    let mut out = [0; MAX_RECORD];
    let length = block_on(storage.load(id, &mut out))?;
    Ok(length.map(|length| out[..length].to_vec()))
}

/// Where a record stands among all.
fn place(id: RecordId) -> usize {
    RecordId::ALL.iter().position(|other| *other == id).unwrap()
}

/// What each record holds after the filling below.
fn value(id: RecordId, round: u8) -> Vec<u8> {
    vec![id.key() ^ round; 20 + usize::from(id.key()) * 10]
}

/// A flash that was used for a while, pages erased and all; and the page in which each record's newest value lies.
fn used<C: Chip>() -> (Flash<C>, [usize; RecordId::ALL.len()]) {
    let flash = Flash::<C>::erased(PAGES);
    let mut storage = open(&flash);
    flash.record(|| 0);
    let mut homes = [0; RecordId::ALL.len()];
    let mut put = |id: RecordId, round: u8| {
        block_on(storage.store(id, &value(id, round))).unwrap();
        if let Some(Operation { change: Change::Program { offset, .. }, .. }) = flash.take_operations().pop()
        {
            homes[place(id)] = offset / C::ERASE_SIZE;
        }
        homes
    };
    let mut round = 1;
    while flash.counts().erases < 12 {
        round ^= 3;
        for id in RecordId::ALL {
            put(id, round);
        }
    }
    // The newest values: some in one page, some in the next.
    let (some, others) = RecordId::ALL.split_at(4);
    for id in some {
        put(*id, 0);
    }
    let first = put(some[0], 1);
    while put(some[0], round)[0] == first[0] {
        round ^= 3;
    }
    put(some[0], 0);
    for id in others {
        put(*id, 0);
    }
    (flash.duplicate(), homes)
}

/// Runs a check over the rules of each chip.
macro_rules! on_each_chip {
    ($($name:ident => $check:ident;)*) => {$(
        #[test]
        fn $name() {
            $check::<Stm32wl>();
            $check::<Stm32wlNmi>();
            $check::<Rp2040>();
        }
    )*};
}

on_each_chip! {
    a_worn_page_costs_no_record_and_is_told => outlives_a_worn_page;
    a_page_that_wore_out_in_the_middle_of_an_erase_costs_no_record => outlives_a_half_erased_page;
    a_stuck_bit_costs_no_record_that_was_said_to_be_stored => outlives_a_stuck_bit;
    a_spoilt_page_costs_what_was_in_it_and_no_more => outlives_a_spoilt_page;
}

fn outlives_a_worn_page<C: Chip>() {
    let (start, _) = used::<C>();
    for page in 0..PAGES {
        let flash = start.duplicate();
        flash.wear_out(page);
        let mut last = RecordId::ALL.map(|id| value(id, 0));
        let mut refused = 0;
        for round in 3..27 {
            // A restart now and then.
            let mut storage = open(&flash);
            for (id, last) in RecordId::ALL.into_iter().zip(&mut last) {
                match block_on(storage.store(id, &value(id, round))) {
                    Ok(()) => *last = value(id, round),
                    Err(Error::Flash(_)) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
                assert_eq!(load(&mut storage, id), Ok(Some(last.clone())), "page {page}, {id:?}");
            }
            let mut storage = open(&flash);
            for (id, last) in RecordId::ALL.into_iter().zip(&last) {
                assert_eq!(load(&mut storage, id), Ok(Some(last.clone())), "page {page}, {id:?}");
            }
            assert_eq!(storage.erasures(), 0);
        }
        println!("page {page}: {refused} refused");
        assert!(refused > 0, "nobody was told");
    }
}

fn outlives_a_half_erased_page<C: Chip>() {
    let (start, _) = used::<C>();
    for seed in 0..24 {
        let flash = start.duplicate();
        flash.record(|| 0);
        let mut last = RecordId::ALL.map(|id| value(id, 0));
        flash.cut_after_erases(seed % 6, Cut::Inside { seed });
        let mut under_way = None;
        for round in 3.. {
            let mut storage = open(&flash);
            for (id, last) in RecordId::ALL.into_iter().zip(&mut last) {
                if flash.is_powered() {
                    match block_on(storage.store(id, &value(id, round))) {
                        Ok(()) => *last = value(id, round),
                        Err(_) => under_way = Some((id, value(id, round))),
                    }
                }
            }
            if !flash.is_powered() {
                break;
            }
        }
        let Some(Operation { change: Change::Erase { page }, .. }) = flash.take_operations().pop() else {
            panic!("no erase was cut");
        };
        flash.wear_out(page);
        flash.power_on();
        let mut storage = open(&flash);
        for _ in 0..2 {
            for (id, last) in RecordId::ALL.into_iter().zip(&last) {
                let found = load(&mut storage, id).unwrap();
                let is_new = under_way
                    .as_ref()
                    .is_some_and(|(new, bytes)| *new == id && Some(bytes) == found.as_ref());
                assert!(
                    is_new || found.as_ref() == Some(last),
                    "{seed}: {id:?} is {found:?} and not {last:?}"
                );
            }
            // It can be read, and says that it cannot be written.
            assert!(matches!(block_on(storage.store(RecordId::Energy, &[1])), Err(Error::Flash(_))));
        }
        assert_eq!(storage.erasures(), 0);
    }
}

fn outlives_a_stuck_bit<C: Chip>() {
    let mut refusals = 0;
    for word in (0..PAGES * C::ERASE_SIZE / 64).step_by(C::ERASE_SIZE / 256) {
        let flash = Flash::<C>::erased(PAGES);
        let offset = word * 64 + word % 61;
        flash.stick(offset, 1 << (word % 8));
        let mut storage = open(&flash);
        let mut last: [Option<Vec<u8>>; RecordId::ALL.len()] = Default::default();
        for round in 0..12 {
            for (id, last) in RecordId::ALL.into_iter().zip(&mut last) {
                let bytes = value(id, round);
                match block_on(storage.store(id, &bytes)) {
                    Ok(()) => *last = Some(bytes),
                    Err(_) => refusals += 1,
                }
            }
            if round % 5 == 0 {
                storage = open(&flash);
            }
            for (id, last) in RecordId::ALL.into_iter().zip(&last) {
                assert_eq!(
                    load(&mut storage, id),
                    Ok(last.clone()),
                    "a bit at {offset}, {id:?}, round {round}"
                );
            }
        }
    }
    println!("{refusals} stores refused");
}

fn outlives_a_spoilt_page<C: Chip>() {
    let page_of = |fill: &dyn Fn(usize) -> u8| (0..C::ERASE_SIZE).map(fill).collect::<Vec<u8>>();
    let spoils = [
        ("zeros", page_of(&|_| 0)),
        ("erased", page_of(&|_| 0xFF)),
        ("noise", page_of(&|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])),
        ("text", page_of(&|at| b"another program's data. "[at % 24])),
    ];
    let (start, homes) = used::<C>();
    let contents = start.contents();
    let others =
        (0..PAGES).map(|page| ("another page", contents[page * C::ERASE_SIZE..][..C::ERASE_SIZE].to_vec()));
    for (name, spoil) in spoils.into_iter().chain(others) {
        for page in 0..PAGES {
            let flash = start.duplicate();
            flash.spoil(page * C::ERASE_SIZE, &spoil);
            let mut storage = open(&flash);
            for (id, home) in RecordId::ALL.into_iter().zip(homes) {
                let found = load(&mut storage, id).unwrap();
                let is_newest = found.as_ref() == Some(&value(id, 0));
                let is_older =
                    found.is_none() || [1, 2].iter().any(|old| found.as_ref() == Some(&value(id, *old)));
                // Such a page can pass for one of the log, and the newest at that: then older values show.
                let may_be_older = home == page || ["noise", "text", "another page"].contains(&name);
                assert!(is_newest || may_be_older && is_older, "{name} in page {page}: {id:?} is {found:?}");
            }
            assert_eq!(storage.erasures(), 0);
            for id in RecordId::ALL {
                block_on(storage.store(id, &value(id, 9))).unwrap();
            }
            let mut storage = open(&flash);
            for id in RecordId::ALL {
                assert_eq!(load(&mut storage, id), Ok(Some(value(id, 9))), "{name} in page {page}");
            }
        }
    }
    assert!(homes.iter().any(|home| *home != homes[0]), "all in one page");
}
