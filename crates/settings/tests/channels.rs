//! The channel list: what it reads, what it refuses, how it prints.

mod common;

use proptest::prelude::*;
use sockeye_settings::{ChannelSet, ListError, ListReason, Region};

fn set(channels: impl IntoIterator<Item = u8>) -> ChannelSet {
    channels.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with)
}

/// Checks that a list reads as these channels, counted from 0, and prints as `printed`.
fn check(region: Region, list: &str, channels: impl IntoIterator<Item = u8>, printed: &str) {
    let set = set(channels);
    assert_eq!(ChannelSet::parse(list, region), Ok(set), "{list}");
    assert_eq!(set.display(region).to_string(), printed, "{list}");
}

#[test]
fn the_lists_of_the_guide_read_and_print() {
    let region = Region::Us915;
    check(region, "1,40", [1, 40], "1,40");
    check(region, "1, 40", [1, 40], "1,40");
    check(region, "1-40", 1..=40, "1-40");
    check(region, "1-40,60", (1..=40).chain([60]), "1-40,60");
    check(region, "1-40, 60", (1..=40).chain([60]), "1-40,60");
    check(region, "All", 0..72, "All");
    check(region, "Null", [], "Null");
    check(region, "8-15", 8..16, "8-15");
}

#[test]
fn cn470_counts_from_one_and_the_others_from_zero() {
    check(Region::Cn470, "1,40", [0, 39], "1,40");
    check(Region::Cn470, "81-88", 80..88, "81-88");
    check(Region::Cn470, "96", [95], "96");
    check(Region::Au915, "0", [0], "0");
    check(Region::Eu868, "0-2", 0..3, "0-2");
}

#[test]
fn a_list_is_printed_in_its_shortest_form() {
    let region = Region::Us915;
    for (list, printed) in [
        ("0-71", "All"),
        ("71,0-70", "All"),
        ("5-5", "5"),
        ("8-9", "8,9"),
        ("3,2,1", "1-3"),
        ("1-3,2-5,5", "1-5"),
        ("1,1,1", "1"),
        ("007", "7"),
        (" ALL ", "All"),
        ("nULL", "Null"),
        ("0,2,4,5,6,70,71", "0,2,4-6,70,71"),
    ] {
        assert_eq!(ChannelSet::parse(list, region).unwrap().display(region).to_string(), printed, "{list}");
    }
    assert_eq!(ChannelSet::all(Region::Cn470).display(Region::Cn470).to_string(), "All");
    assert_eq!(ChannelSet::all(Region::Cn470).len(), 96);
}

fn check_refused(region: Region, list: &str, at: usize, reason: ListReason, sentence: &str) {
    let error = ListError { at, reason };
    assert_eq!(ChannelSet::parse(list, region), Err(error), "{list}");
    assert_eq!(error.to_string(), sentence);
}

#[test]
fn a_wrong_list_is_refused_at_its_place() {
    let missing = |at: usize| {
        format!(
            "the channel list is wrong at character {}: a channel number is missing (no channel at all is Null)",
            at + 1
        )
    };
    for (list, at) in
        [("", 0), (" ", 0), ("1,", 2), (",1", 0), ("1,,2", 2), ("1-", 2), ("-1", 0), ("1-,2", 2)]
    {
        check_refused(Region::Us915, list, at, ListReason::NumberMissing, &missing(at));
    }
    for (list, at) in
        [("x", 0), ("1,x", 2), ("1-x", 2), ("+1", 0), ("1 2", 0), ("1-2-3", 2), ("All,1", 0), ("1;2", 0)]
    {
        let sentence = format!(
            "the channel list is wrong at character {}: a channel number, All or Null is expected",
            at + 1
        );
        check_refused(Region::Us915, list, at, ListReason::NotANumber, &sentence);
    }
    for (region, list, at, first, last) in [
        (Region::Us915, "72", 0, 0, 71),
        (Region::Us915, "1,0-72", 4, 0, 71),
        (Region::Us915, "99999999999999999999", 0, 0, 71),
        (Region::Cn470, "0", 0, 1, 96),
        (Region::Cn470, "1-97", 2, 1, 96),
        (Region::Eu868, "16", 0, 0, 15),
    ] {
        let sentence = format!(
            "the channel list is wrong at character {}: the plan has the channels {first} to {last}",
            at + 1
        );
        check_refused(region, list, at, ListReason::OutOfRange { first, last }, &sentence);
    }
    let sentence = "the channel list is wrong at character 3: the range ends before it begins";
    check_refused(Region::Us915, "1,9-8", 2, ListReason::Backwards, sentence);
}

#[test]
fn a_set_holds_what_was_put_in_and_nothing_else() {
    let set = set([0, 31, 32, 63, 64, 95, 96, 255]);
    assert_eq!(set.iter().collect::<Vec<u8>>(), [0, 31, 32, 63, 64, 95]);
    assert_eq!(set.len(), 6);
    assert!(!set.contains(96) && !set.contains(1));
    assert_eq!(ChannelSet::from_words(set.words()), set);
    assert!(ChannelSet::EMPTY.is_empty() && !set.is_empty());
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same_set(
        (region, set) in common::region().prop_flat_map(|region| (Just(region), common::channel_set(region))),
    ) {
        let printed = set.display(region).to_string();
        prop_assert_eq!(ChannelSet::parse(&printed, region), Ok(set));
    }

    #[test]
    fn no_list_of_the_same_channels_is_shorter(
        region in common::region(),
        list in "([0-9]{1,2}(-[0-9]{1,2})?)(,([0-9]{1,2}(-[0-9]{1,2})?)){0,5}",
    ) {
        if let Ok(set) = ChannelSet::parse(&list, region) {
            prop_assert!(set.display(region).to_string().len() <= list.len());
        }
    }

    #[test]
    fn no_text_stops_the_reader(region in common::region(), list in "[0-9,\\- AlNu\\u{e9}]{0,24}") {
        let _ = ChannelSet::parse(&list, region);
    }
}
