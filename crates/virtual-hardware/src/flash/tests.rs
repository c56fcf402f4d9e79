use super::*;

#[test]
fn the_stm32wl_writes_a_word_once_and_then_only_zeros() {
    let mut flash = Flash::<Stm32wl>::erased(1);
    flash.write(8, &[1; 8]).unwrap();
    assert_eq!(flash.write(8, &[1; 8]), Err(FlashError::NotErased { address: 8 }));
    flash.write(8, &[0; 8]).unwrap();
    let mut word = [9; 8];
    flash.read(8, &mut word).unwrap();
    assert_eq!(word, [0; 8]);
    assert_eq!(flash.write(4, &[0; 8]), Err(FlashError::NotAligned));
    assert_eq!(flash.write(8, &[0; 4]), Err(FlashError::NotAligned));
    assert_eq!(flash.write(2048, &[0; 8]), Err(FlashError::OutOfBounds));
}

#[test]
fn the_rp2040_clears_further_bits_of_a_byte() {
    let mut flash = Flash::<Rp2040>::erased(1);
    flash.write(3, &[0xF0]).unwrap();
    flash.write(3, &[0x3F]).unwrap();
    let mut byte = [0];
    flash.read(3, &mut byte).unwrap();
    assert_eq!(byte, [0x30]);
}

#[test]
fn a_write_is_counted_by_the_chips_program_operations() {
    let mut stm = Flash::<Stm32wl>::erased(2);
    stm.write(0, &[0; 24]).unwrap();
    stm.erase(0, 4096).unwrap();
    let busy_us = 3 * Stm32wl::PROGRAM_US + 2 * Stm32wl::ERASE_US;
    assert_eq!(stm.counts(), Counts { programs: 3, erases: 2, busy_us, ..Counts::default() });
    assert_eq!(stm.wear(), [1, 1]);
    let mut rp = Flash::<Rp2040>::erased(1);
    rp.write(250, &[0; 10]).unwrap();
    assert_eq!(rp.counts().programs, 2);
}

#[test]
fn an_erase_makes_everything_writable_again() {
    let mut flash = Flash::<Stm32wl>::erased(2);
    flash.write(0, &[1; 8]).unwrap();
    flash.erase(0, 2048).unwrap();
    flash.write(0, &[2; 8]).unwrap();
    assert_eq!(flash.erase(0, 100), Err(FlashError::NotAligned));
    assert_eq!(flash.erase(2048, 0), Err(FlashError::OutOfBounds));
}

#[test]
fn after_the_cut_everything_fails_until_power_comes_back() {
    let mut flash = Flash::<Stm32wl>::erased(1);
    flash.cut_after(1, Cut::Before);
    flash.write(0, &[1; 8]).unwrap();
    assert_eq!(flash.write(8, &[2; 8]), Err(FlashError::PowerLost));
    assert_eq!(flash.read(0, &mut [0; 8]), Err(FlashError::PowerLost));
    assert!(!flash.is_powered());
    let mut same = flash.clone();
    flash.power_on();
    let mut words = [0; 16];
    same.read(0, &mut words).unwrap();
    assert_eq!(words, *b"\x01\x01\x01\x01\x01\x01\x01\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
}

#[test]
fn a_cut_can_be_set_at_an_erase() {
    let mut flash = Flash::<Stm32wl>::erased(2);
    flash.cut_after_erases(1, Cut::Before);
    flash.erase(0, 2048).unwrap();
    flash.write(0, &[1; 16]).unwrap();
    assert_eq!(flash.erase(0, 2048), Err(FlashError::PowerLost));
    assert_eq!(flash.counts().operations(), 3);
}

#[test]
fn a_torn_word_of_the_stm32wl_cannot_be_read_until_it_is_zeroed_or_erased() {
    let mut torn = 0;
    for seed in 0..200 {
        let mut flash = Flash::<Stm32wl>::erased(1);
        flash.cut_after(0, Cut::Inside { seed });
        assert_eq!(flash.write(16, &[0x55; 8]), Err(FlashError::PowerLost));
        flash.power_on();
        let mut word = [0; 8];
        match flash.read(16, &mut word) {
            Ok(()) => assert!(word == [0x55; 8] || word == [0xFF; 8], "{word:02x?}"),
            Err(error) => {
                torn += 1;
                assert_eq!(error, FlashError::Ecc { address: 16 });
                assert_eq!(flash.write(16, &[0x55; 8]), Err(FlashError::NotErased { address: 16 }));
                flash.write(16, &[0; 8]).unwrap();
                flash.read(16, &mut word).unwrap();
                flash.read(0, &mut word).unwrap();
            }
        }
    }
    assert!(torn > 100, "{torn}");
}

#[test]
fn behind_the_nmi_a_torn_word_gives_its_bits_and_still_refuses_a_write() {
    let mut faults = 0;
    for seed in 0..50 {
        let mut flash = Flash::<Stm32wlNmi>::erased(1);
        flash.cut_after(0, Cut::Inside { seed });
        assert_eq!(flash.write(16, &[0x55; 8]), Err(FlashError::PowerLost));
        flash.power_on();
        let mut word = [0; 8];
        flash.read(16, &mut word).unwrap();
        assert!(word.iter().all(|byte| byte & 0x55 == 0x55), "{word:02x?}");
        if flash.counts().ecc_faults > 0 {
            faults += 1;
            assert_eq!(flash.write(16, &[0x55; 8]), Err(FlashError::NotErased { address: 16 }));
        }
    }
    assert!(faults > 20, "{faults}");
}

#[test]
fn a_torn_program_of_the_rp2040_clears_some_of_the_bits_and_no_others() {
    for seed in 0..200 {
        let mut flash = Flash::<Rp2040>::erased(1);
        flash.write(0, &[0xAA; 64]).unwrap();
        flash.cut_after(0, Cut::Inside { seed });
        assert_eq!(flash.write(0, &[0x0F; 32]), Err(FlashError::PowerLost));
        flash.power_on();
        let mut bytes = [0; 64];
        flash.read(0, &mut bytes).unwrap();
        assert!(bytes[..32].iter().all(|byte| byte & 0x0A == 0x0A && byte & 0x55 == 0));
        assert!(bytes[32..].iter().all(|byte| *byte == 0xAA));
    }
}

#[test]
fn a_torn_erase_sets_bits_and_clears_none() {
    for seed in 0..200 {
        let mut flash = Flash::<Rp2040>::erased(1);
        flash.write(0, &[0x5A; 4096]).unwrap();
        flash.cut_after(0, Cut::Inside { seed });
        assert_eq!(flash.erase(0, 4096), Err(FlashError::PowerLost));
        assert!(flash.contents().iter().all(|byte| byte & 0x5A == 0x5A));
        assert_eq!(flash.wear(), [1]);
    }
}

#[test]
fn a_worn_page_is_read_and_neither_programmed_nor_erased() {
    let mut flash = Flash::<Stm32wl>::erased(2);
    flash.write(2048, &[5; 8]).unwrap();
    flash.wear_out(1);
    assert_eq!(flash.write(2056, &[1; 8]), Err(FlashError::Worn { address: 2048 }));
    assert_eq!(flash.erase(2048, 4096), Err(FlashError::Worn { address: 2048 }));
    let mut word = [0; 8];
    flash.read(2048, &mut word).unwrap();
    assert_eq!(word, [5; 8]);
    flash.write(0, &[1; 8]).unwrap();
    assert_eq!(flash.wear(), [0, 0]);
}

#[test]
fn a_stuck_bit_reads_as_zero_erased_or_not() {
    let mut flash = Flash::<Rp2040>::erased(1);
    flash.stick(100, 0x21);
    let mut byte = [0];
    for _ in 0..2 {
        flash.read(100, &mut byte).unwrap();
        assert_eq!(byte, [0xDE]);
        flash.erase(0, 4096).unwrap();
    }
    let mut flash = Flash::<Stm32wl>::erased(1);
    flash.stick(100, 0x21);
    assert_eq!(flash.write(96, &[1; 8]), Err(FlashError::NotErased { address: 96 }));
}

#[test]
fn a_torn_word_is_unreadable_only_where_there_is_a_code() {
    let mut stm = Flash::<Stm32wl>::erased(1);
    stm.tear(20);
    assert_eq!(stm.read(16, &mut [0; 8]), Err(FlashError::Ecc { address: 16 }));
    let mut rp = Flash::<Rp2040>::erased(1);
    rp.tear(20);
    rp.read(16, &mut [0; 8]).unwrap();
}

#[test]
fn what_was_listed_can_be_done_again_and_be_cut() {
    let mut flash = Flash::<Stm32wl>::erased(2);
    let start = flash.duplicate();
    flash.record(|| 7);
    flash.write(8, &[3; 16]).unwrap();
    flash.erase(2048, 4096).unwrap();
    let operations = flash.take_operations();
    assert_eq!(operations.len(), 3);
    assert!(operations.iter().all(|operation| operation.stamp == 7));
    assert_eq!(operations[1].change, Change::Program { offset: 16, bytes: vec![3; 8] });
    assert_eq!(operations[2].change, Change::Erase { page: 1 });
    assert!(flash.take_operations().is_empty());
    for operation in &operations {
        start.redo(&operation.change).unwrap();
    }
    assert_eq!(start.contents(), flash.contents());
    start.cut_after(0, Cut::Before);
    assert_eq!(start.redo(&operations[2].change), Err(FlashError::PowerLost));
    let other = Flash::<Stm32wl>::erased(2);
    other.become_like(&start);
    assert_eq!(other.contents(), flash.contents());
    assert!(other.is_powered());
}

#[test]
fn a_part_is_a_flash_of_its_own_and_ends_where_it_ends() {
    let flash = Flash::<Rp2040>::erased(4);
    let mut part = flash.part(4096..3 * 4096);
    assert_eq!(ReadNorFlash::capacity(&part), 8192);
    part.write(8184, &[7; 8]).unwrap();
    assert_eq!(flash.contents()[3 * 4096 - 8..3 * 4096], [7; 8]);
    assert_eq!(part.write(8192, &[7; 8]), Err(FlashError::OutOfBounds));
    assert_eq!(part.read(8191, &mut [0; 2]), Err(FlashError::OutOfBounds));
    assert_eq!(part.erase(4096, 3 * 4096), Err(FlashError::OutOfBounds));
    part.erase(4096, 8192).unwrap();
    assert_eq!(flash.wear(), [0, 0, 1, 0]);
}

#[test]
fn one_memory_is_seen_through_two_drivers() {
    let flash = Flash::<Stm32wl>::erased(1);
    let mut behind_the_nmi = flash.seen_as::<Stm32wlNmi>();
    flash.tear(16);
    assert_eq!(flash.clone().read(16, &mut [0; 8]), Err(FlashError::Ecc { address: 16 }));
    behind_the_nmi.read(16, &mut [0; 8]).unwrap();
}
