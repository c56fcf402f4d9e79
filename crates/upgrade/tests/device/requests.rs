//! Each request, and each way to refuse it.

use sockeye_upgrade::{Header, Progress, Refusal, Request, State, sign};
use sockeye_virtual_hardware::flash::{Chip, Cut, Flash, Rp2040, Stm32wl};

use crate::rig::{Layout, MAKER, NEW, OLD, ask, bytes, describe, header, send};

const PAGES: usize = 3;

fn layout() -> Layout {
    Layout::of::<Stm32wl>(PAGES)
}

/// A device with an image in its active slot, and what lay in the other slot before.
fn device<C: Chip>(layout: &Layout) -> Flash<C> {
    let flash = layout.flash::<C>();
    flash.spoil(layout.active().start as usize, &bytes(layout.capacity(), 1));
    flash.spoil(layout.dfu().start as usize, &bytes(layout.capacity() + layout.page, 2));
    flash
}

fn image() -> Vec<u8> {
    bytes(layout().capacity() - 1234 + 5, 9)
}

#[test]
fn an_image_in_chunks_of_any_size_is_written_swapped_confirmed() {
    fn check<C: Chip>(layout: Layout, chunk: usize) {
        let flash = device::<C>(&layout);
        let image = image();
        let mut upgrade = layout.started(&flash, OLD);
        send(&mut upgrade, &flash, &header(&image, NEW), &image, chunk).unwrap();
        assert!(layout.dfu_bytes(&flash).starts_with(&image), "chunks of {chunk}");
        layout.boot(&flash).unwrap();
        assert!(layout.active_bytes(&flash).starts_with(&image));
        let mut upgrade = layout.started(&flash, NEW);
        assert_eq!(upgrade.progress().state, State::Trying);
        upgrade.confirm(&mut flash.clone()).unwrap();
        assert_eq!(upgrade.progress().state, State::Confirmed);
        layout.boot(&flash).unwrap();
        assert!(layout.active_bytes(&flash).starts_with(&image));
        assert_eq!(layout.started(&flash, NEW).progress(), Progress::default());
    }
    for chunk in [8, 13, 64, 200, 240, 2048, 5000, 100_000] {
        check::<Stm32wl>(layout(), chunk);
    }
    for chunk in [9, 240, 4096, 100_000] {
        check::<Rp2040>(Layout::of::<Rp2040>(PAGES), chunk);
    }
}

#[test]
fn an_image_that_is_not_confirmed_goes_back_and_can_be_tried_again() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    for _ in 0..2 {
        let mut upgrade = layout.started(&flash, OLD);
        send(&mut upgrade, &flash, &header(&image, NEW), &image, 240).unwrap();
        layout.boot(&flash).unwrap();
        assert!(layout.active_bytes(&flash).starts_with(&image));
        layout.boot(&flash).unwrap();
        assert!(layout.active_bytes(&flash) == bytes(layout.capacity(), 1));
        for _ in 0..2 {
            let mut upgrade = layout.started(&flash, OLD);
            assert_eq!(upgrade.progress().state, State::GoneBack);
            assert_eq!(upgrade.confirm(&mut flash.clone()), Err(Refusal::NothingBegun));
            layout.boot(&flash).unwrap();
        }
    }
}

#[test]
fn a_header_that_is_refused_leaves_the_flash_alone() {
    let (layout, image) = (layout(), image());
    let good = header(&image, NEW);
    let with = |change: &dyn Fn(&mut sockeye_upgrade::Image)| {
        let mut described = describe(&image, NEW);
        change(&mut described);
        Header::new(&described, sign(&MAKER, &described.signed_part())).to_bytes().to_vec()
    };
    let board = sockeye_upgrade::BoardName::new("gir").unwrap();
    let described = describe(&image, NEW);
    let foreign = Header::new(&described, sign(&[7; 32], &described.signed_part())).to_bytes().to_vec();
    let mut tampered = good.clone();
    tampered[40] ^= 1;
    for (header, why) in [
        (&good[..159], Refusal::Format),
        (&with(&|image| image.board = board), Refusal::Board),
        (&with(&|image| image.hardware_min = [2, 0]), Refusal::HardwareRevision),
        (&with(&|image| image.len = layout.capacity() as u32 + 1), Refusal::Length),
        (&with(&|image| image.version = [0, 0x99]), Refusal::Older),
        (&with(&|image| image.version = OLD), Refusal::SameVersion),
        (&foreign, Refusal::Signature),
        (&tampered, Refusal::Signature),
    ] {
        let flash = device::<Stm32wl>(&layout);
        let mut upgrade = layout.started(&flash, OLD);
        assert_eq!(ask(&mut upgrade, &flash, Request::Begin { header }), Err(why));
        assert_eq!(upgrade.progress(), Progress { refused: Some(why), ..Progress::default() });
        assert_eq!(flash.counts().operations(), 0, "{why:?}");
        // Nor does one that is under way suffer.
        ask(&mut upgrade, &flash, Request::Begin { header: &good }).unwrap();
        ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..80] }).unwrap();
        assert_eq!(ask(&mut upgrade, &flash, Request::Begin { header }), Err(why));
        let progress = upgrade.progress();
        assert_eq!((progress.state, progress.received), (State::Receiving, 80));
        ask(&mut upgrade, &flash, Request::Chunk { offset: 80, data: &image[80..160] }).unwrap();
        assert_eq!(upgrade.progress().refused, None);
    }
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    let header = header(&image, NEW);
    let mut upgrade = layout.started(&flash, OLD);
    let chunk = Request::Chunk { offset: 0, data: &image };
    for request in [chunk, Request::Finish, Request::Abort] {
        assert_eq!(ask(&mut upgrade, &flash, request), Err(Refusal::NothingBegun));
    }
    ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
    assert_eq!(ask(&mut upgrade, &flash, Request::Finish), Err(Refusal::Offset { wanted: 0 }));
    for (offset, data, why) in [
        (8, &image[8..80], Refusal::Offset { wanted: 0 }),
        (u32::MAX, &image[8..80], Refusal::Offset { wanted: 0 }),
        (0, &[][..], Refusal::Length),
        (0, &image[..7], Refusal::Length),
        (0, &[&image[..], &[0; 8]].concat()[..], Refusal::Length),
    ] {
        assert_eq!(ask(&mut upgrade, &flash, Request::Chunk { offset, data }), Err(why));
    }
    // Whole words are taken; the answer says how many bytes that is.
    let progress = ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..23] }).unwrap();
    assert_eq!(progress.received, 16);
    // An answer that got lost: the same chunk once more, and the refusal tells where to go on.
    let again = ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..23] });
    assert_eq!(again, Err(Refusal::Offset { wanted: 16 }));
    send(&mut upgrade, &flash, &header, &image, 500).unwrap();
    for request in [chunk, Request::Abort, Request::Begin { header: &header }] {
        assert_eq!(ask(&mut upgrade, &flash, request), Err(Refusal::RestartPending));
    }
    assert_eq!(ask(&mut upgrade, &flash, Request::Finish).unwrap().state, State::Ready);
    layout.boot(&flash).unwrap();
    let mut upgrade = layout.started(&flash, NEW);
    for request in [chunk, Request::Abort, Request::Finish, Request::Begin { header: &header }] {
        assert_eq!(ask(&mut upgrade, &flash, request), Err(Refusal::Unconfirmed));
    }
}

#[test]
fn an_image_with_any_byte_changed_or_missing_is_not_swapped_in() {
    let (layout, image) = (layout(), image());
    let header = header(&image, NEW);
    for at in [0, 1, 2047, 2048, 3000, image.len() - 1] {
        let flash = device::<Stm32wl>(&layout);
        let mut upgrade = layout.started(&flash, OLD);
        let mut spoilt = image.clone();
        spoilt[at] ^= 0x40;
        assert_eq!(send(&mut upgrade, &flash, &header, &spoilt, 333), Err(Refusal::Hash));
        assert_eq!(upgrade.progress().state, State::None);
        layout.boot(&flash).unwrap();
        assert!(layout.active_bytes(&flash) == bytes(layout.capacity(), 1));
        // It begins anew, and does not go on with what is spoilt.
        let mut upgrade = layout.started(&flash, OLD);
        assert_eq!(upgrade.progress().state, State::None);
        send(&mut upgrade, &flash, &header, &image, 333).unwrap();
    }
}

#[test]
fn a_slot_that_is_changed_behind_the_devices_back_is_not_swapped_in() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    let header = header(&image, NEW);
    let mut upgrade = layout.started(&flash, OLD);
    ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
    ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image }).unwrap();
    // The image and the header in flash, both of another maker.
    let other = bytes(image.len(), 0x77);
    let described = describe(&other, NEW);
    let foreign = Header::new(&described, sign(&[7; 32], &described.signed_part())).to_bytes();
    flash.spoil(layout.dfu().start as usize, &other);
    flash.spoil(layout.dfu().start as usize + layout.capacity(), &foreign);
    let mut upgrade = layout.started(&flash, OLD);
    let offset = upgrade.progress().received;
    ask(&mut upgrade, &flash, Request::Chunk { offset, data: &other[offset as usize..] }).unwrap();
    assert_eq!(ask(&mut upgrade, &flash, Request::Finish), Err(Refusal::Signature));
    assert_eq!(upgrade.progress().state, State::None);
    layout.boot(&flash).unwrap();
    assert!(layout.active_bytes(&flash) == bytes(layout.capacity(), 1));
}

#[test]
fn an_upgrade_goes_on_after_a_restart_at_most_two_pages_before_where_it_was() {
    fn check<C: Chip>(layout: Layout) {
        let image = bytes(layout.capacity() - 700, 9);
        let header = header(&image, NEW);
        for sent in (0..image.len()).step_by(layout.page / 8) {
            let flash = device::<C>(&layout);
            let mut upgrade = layout.started(&flash, OLD);
            ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
            if sent > 0 {
                ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..sent] }).unwrap();
            }
            let mut upgrade = layout.started(&flash, OLD);
            let progress = upgrade.progress();
            assert_eq!(progress.state, State::Receiving, "after {sent}");
            let received = progress.received as usize;
            assert!(received <= sent && sent < received + 2 * layout.page, "{received} of {sent}");
            send(&mut upgrade, &flash, &header, &image, 240).unwrap();
        }
    }
    check::<Stm32wl>(layout());
    check::<Rp2040>(Layout::of::<Rp2040>(PAGES));
}

#[test]
fn the_same_header_goes_on_and_another_one_begins_anew() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    let mut upgrade = layout.started(&flash, OLD);
    let first = header(&image, NEW);
    ask(&mut upgrade, &flash, Request::Begin { header: &first }).unwrap();
    ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..4000] }).unwrap();
    assert_eq!(ask(&mut upgrade, &flash, Request::Begin { header: &first }).unwrap().received, 4000);
    let newer = bytes(500, 8);
    let second = header(&newer, [1, 0x20]);
    let progress = ask(&mut upgrade, &flash, Request::Begin { header: &second }).unwrap();
    assert_eq!((progress.received, progress.total), (0, 500));
    send(&mut upgrade, &flash, &second, &newer, 100).unwrap();
}

#[test]
fn what_is_given_up_is_forgotten() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    let header = header(&image, NEW);
    let mut upgrade = layout.started(&flash, OLD);
    ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
    ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..4000] }).unwrap();
    assert_eq!(ask(&mut upgrade, &flash, Request::Abort).unwrap(), Progress::default());
    assert_eq!(layout.started(&flash, OLD).progress(), Progress::default());
    assert_eq!(ask(&mut upgrade, &flash, Request::Abort), Err(Refusal::NothingBegun));
}

#[test]
fn a_lost_supply_stops_the_writing_before_the_next_page() {
    let (layout, image) = (layout(), image());
    let header = header(&image, NEW);
    for asked in 0..6 {
        let flash = device::<Stm32wl>(&layout);
        let mut upgrade = layout.started(&flash, OLD);
        ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
        let before = flash.counts().operations();
        let times = std::cell::Cell::new(0);
        let lost_after = |asked: u32| {
            times.set(times.get() + 1);
            times.get() > asked
        };
        let request = Request::Chunk { offset: 0, data: &image };
        let refused = upgrade.handle(&mut flash.clone(), request, || lost_after(asked));
        assert_eq!(refused, Err(Refusal::SupplyLost));
        // Asked when the request comes, before each erase and before each page's words.
        let most = [0, 0, 1, 1 + 256, 2 + 256, 2 + 512][asked as usize];
        assert_eq!(flash.counts().operations() - before, most, "asked {asked} times");
        // The supply is back: it goes on where it stopped.
        send(&mut upgrade, &flash, &header, &image, 240).unwrap();
    }
    let flash = device::<Stm32wl>(&layout);
    let mut upgrade = layout.started(&flash, OLD);
    for request in [Request::Begin { header: &header }, Request::Finish] {
        let refused = upgrade.handle(&mut flash.clone(), request, || true);
        assert_eq!((refused, flash.counts().operations()), (Err(Refusal::SupplyLost), 0));
    }
}

#[test]
fn a_flash_that_refuses_is_told_and_the_upgrade_goes_on_when_it_is_well() {
    let (layout, image) = (layout(), image());
    let flash = device::<Stm32wl>(&layout);
    let header = header(&image, NEW);
    let mut upgrade = layout.started(&flash, OLD);
    ask(&mut upgrade, &flash, Request::Begin { header: &header }).unwrap();
    ask(&mut upgrade, &flash, Request::Chunk { offset: 0, data: &image[..2400] }).unwrap();
    // A word that a write hits and that is not erased.
    flash.spoil(layout.dfu().start as usize + 2400 + 80, &[0]);
    let refused = ask(&mut upgrade, &flash, Request::Chunk { offset: 2400, data: &image[2400..2600] });
    assert_eq!(refused, Err(Refusal::Flash));
    assert_eq!(upgrade.progress().received, 2048);
    send(&mut upgrade, &flash, &header, &image, 200).unwrap();

    // A page that is worn out cannot be helped; the image that runs goes on.
    let flash = device::<Stm32wl>(&layout);
    flash.wear_out(layout.dfu().start as usize / layout.page + 1);
    let mut upgrade = layout.started(&flash, OLD);
    assert_eq!(send(&mut upgrade, &flash, &header, &image, 200), Err(Refusal::Flash));
    layout.boot(&flash).unwrap();
    assert!(layout.active_bytes(&flash) == bytes(layout.capacity(), 1));
}

#[test]
fn a_begin_that_is_cut_short_leaves_nothing_begun() {
    let (layout, image) = (layout(), image());
    let header = header(&image, NEW);
    let before = device::<Stm32wl>(&layout);
    // One upgrade is under way already, and its header is taken away by the next one.
    let mut upgrade = layout.started(&before, OLD);
    let other = bytes(5000, 3);
    let other_header = crate::rig::header(&other, [1, 5]);
    ask(&mut upgrade, &before, Request::Begin { header: &other_header }).unwrap();
    ask(&mut upgrade, &before, Request::Chunk { offset: 0, data: &other[..4500] }).unwrap();
    for operation in 0..22 {
        for seed in 0..20 {
            let flash = before.duplicate();
            flash.cut_after(operation, Cut::Inside { seed });
            let mut upgrade = layout.started(&flash, OLD);
            let cut = ask(&mut upgrade, &flash, Request::Begin { header: &header });
            assert_eq!(cut, Err(Refusal::Flash));
            flash.power_on();
            let mut upgrade = layout.started(&flash, OLD);
            let progress = upgrade.progress();
            // The old one as it was, or nothing, or the new one from its beginning.
            let total = (progress.total, progress.received);
            assert!(
                [(0, 0), (5000, 2048), (image.len() as u32, 0)].contains(&total),
                "{operation}: {total:?}"
            );
            send(&mut upgrade, &flash, &header, &image, 240).unwrap();
        }
    }
}
