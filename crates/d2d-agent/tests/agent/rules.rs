//! What is obeyed, what is refused, and what remains of it.

use sockeye_d2d_agent::{
    Agent, BURST, Keys, MAX_FIELDS, MAX_RECORD, MAX_SENDERS, Message, PERIOD_MS, Refusal,
};
use sockeye_settings::{Action, D2d};

use super::{KEY, OFF, ON, TOGGLE, UNKNOWN, agent, frame, settings};

/// Judges a frame at `now_ms`; an order counts as stored and obeyed.
fn check_at(agent: &mut Agent, now_ms: u64, bytes: &[u8], expected: Result<Action, Refusal>) {
    let before = Refusal::ALL.map(|refusal| agent.refused(refusal));
    let judged = agent.hear(now_ms, bytes).map(|order| order.once_stored());
    assert_eq!(judged, expected, "{bytes:02x?}");
    for (refusal, before) in Refusal::ALL.into_iter().zip(before) {
        let counted = u32::from(expected == Err(refusal));
        assert_eq!(agent.refused(refusal), before + counted, "{refusal}");
    }
}

fn check(agent: &mut Agent, bytes: &[u8], expected: Result<Action, Refusal>) {
    check_at(agent, 0, bytes, expected);
}

/// The table as it would be stored now.
fn record(agent: &mut Agent, sender: u32, counter: u32) -> Vec<u8> {
    agent.hear(0, &frame(sender, counter, ON)).unwrap().record().to_vec()
}

#[test]
fn each_command_has_its_action() {
    let mut agent = agent();
    for (counter, (command, action)) in
        (1..).zip([(ON, Action::On), (OFF, Action::Off), (TOGGLE, Action::Toggle), (ON, Action::On)])
    {
        check(&mut agent, &frame(7, counter, command), Ok(action));
    }
}

#[test]
fn a_counter_counts_once_and_never_backwards() {
    let mut agent = agent();
    for (counter, expected) in [
        (0, Ok(Action::On)),
        (0, Err(Refusal::Replayed)),
        (5, Ok(Action::On)),
        (4, Err(Refusal::Replayed)),
        (5, Err(Refusal::Replayed)),
        (6, Ok(Action::On)),
        (u32::MAX, Ok(Action::On)),
        (u32::MAX, Err(Refusal::Replayed)),
        (0, Err(Refusal::Replayed)),
    ] {
        check(&mut agent, &frame(7, counter, ON), expected);
    }
    check(&mut agent, &frame(8, 0, ON), Ok(Action::On));
}

#[test]
fn a_disabled_agent_obeys_nothing_and_keeps_its_table() {
    let mut agent = agent();
    let stored = record(&mut agent, 7, 5);
    let mut disabled = Agent::new(D2d { enabled: false, ..settings(KEY) }, Some(&stored));
    for bytes in [&frame(7, 6, ON)[..], &[], &[0xE0; 20]] {
        check(&mut disabled, bytes, Err(Refusal::Disabled));
    }
    let mut again = Agent::new(settings(KEY), Some(&stored));
    check(&mut again, &frame(7, 5, ON), Err(Refusal::Replayed));
    check(&mut again, &frame(7, 6, ON), Ok(Action::On));
}

#[test]
fn what_has_not_the_shape_of_a_frame_is_told_apart_from_a_wrong_version_and_a_wrong_mic() {
    let good = frame(7, 1, ON);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        bytes
    };
    let longest = Message { sender: 7, counter: 1, command: ON }.seal(&Keys::new(&KEY), &[9; MAX_FIELDS]);
    for (bytes, expected) in [
        (vec![], Refusal::Malformed),
        (vec![0xE0], Refusal::Malformed),
        (vec![0xE0, 1], Refusal::Malformed),
        (vec![0xE0, 2], Refusal::Version),
        (with(0, 0xE1), Refusal::Malformed),
        (with(0, 0x60), Refusal::Malformed),
        (with(1, 0), Refusal::Version),
        (with(1, 2), Refusal::Version),
        (good[..19].to_vec(), Refusal::Malformed),
        ([&good[..], &[0]].concat(), Refusal::Mic),
        ([&longest.unwrap()[..], &[0]].concat(), Refusal::Malformed),
        (with(19, good[19] ^ 1), Refusal::Mic),
    ] {
        check(&mut agent(), &bytes, Err(expected));
    }
}

#[test]
fn a_frame_of_another_key_is_refused() {
    let keys = Keys::new(&[0x2B; 16]);
    let foreign = Message { sender: 7, counter: 1, command: ON }.seal(&keys, &[]).unwrap();
    check(&mut agent(), &foreign, Err(Refusal::Mic));
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let message = Message { sender: 7, counter: 1, command: OFF };
    let keys = Keys::new(&KEY);
    check(&mut agent(), &message.seal(&keys, &[1, 2, 3]).unwrap(), Ok(Action::Off));
    check(&mut agent(), &message.seal(&keys, &[0; MAX_FIELDS]).unwrap(), Ok(Action::Off));
    assert_eq!(message.seal(&keys, &[0; MAX_FIELDS + 1]), Err(Refusal::Malformed));
}

#[test]
fn an_unknown_command_uses_up_the_counter_of_a_known_sender_only() {
    let mut agent = agent();
    check(&mut agent, &frame(7, 3, UNKNOWN), Err(Refusal::UnknownCommand));
    check(&mut agent, &frame(7, 3, ON), Ok(Action::On));
    check(&mut agent, &frame(7, 9, UNKNOWN), Err(Refusal::UnknownCommand));
    check(&mut agent, &frame(7, 9, ON), Err(Refusal::Replayed));
    // And goes to flash with the next order.
    let stored = record(&mut agent, 8, 0);
    check(&mut Agent::new(settings(KEY), Some(&stored)), &frame(7, 9, ON), Err(Refusal::Replayed));
}

#[test]
fn the_seventeenth_sender_is_refused_and_no_known_one_is_dropped_for_it() {
    let mut agent = agent();
    let senders = u32::try_from(MAX_SENDERS).unwrap();
    // Those who talk to other sockets take no place.
    for sender in 100..200 {
        check(&mut agent, &frame(sender, 0, UNKNOWN), Err(Refusal::UnknownCommand));
    }
    for sender in 0..senders {
        check(&mut agent, &frame(sender, 10, ON), Ok(Action::On));
    }
    check(&mut agent, &frame(senders, 0, ON), Err(Refusal::TooManySenders));
    check(&mut agent, &frame(senders, 1, ON), Err(Refusal::TooManySenders));
    for sender in 0..senders {
        check(&mut agent, &frame(sender, 10, ON), Err(Refusal::Replayed));
        check(&mut agent, &frame(sender, 11, ON), Ok(Action::On));
    }
    let stored = record(&mut agent, 0, 12);
    assert_eq!(stored.len(), MAX_RECORD);
    let mut again = Agent::new(settings(KEY), Some(&stored));
    for sender in 0..senders {
        check(&mut again, &frame(sender, 11, ON), Err(Refusal::Replayed));
    }
    check(&mut again, &frame(senders, 2, ON), Err(Refusal::TooManySenders));
}

#[test]
fn sixty_commands_go_at_once_and_then_one_a_minute() {
    let mut agent = agent();
    let start_ms = 1_000_000;
    let mut counter = 0;
    let mut next = |agent: &mut Agent, now_ms, expected| {
        counter += 1;
        check_at(agent, now_ms, &frame(7, counter, TOGGLE), expected);
    };
    for _ in 0..BURST {
        next(&mut agent, start_ms, Ok(Action::Toggle));
    }
    for (after_ms, expected) in [
        (0, Err(Refusal::TooOften)),
        (PERIOD_MS - 1, Err(Refusal::TooOften)),
        (PERIOD_MS, Ok(Action::Toggle)),
        (PERIOD_MS, Err(Refusal::TooOften)),
        (2 * PERIOD_MS, Ok(Action::Toggle)),
        (4 * PERIOD_MS, Ok(Action::Toggle)),
        (4 * PERIOD_MS, Ok(Action::Toggle)),
        (4 * PERIOD_MS, Err(Refusal::TooOften)),
    ] {
        next(&mut agent, start_ms + after_ms, expected);
    }
    // After an hour of rest all sixty are there again.
    for _ in 0..BURST {
        next(&mut agent, start_ms + 2 * BURST * PERIOD_MS, Ok(Action::Toggle));
    }
    next(&mut agent, start_ms + 2 * BURST * PERIOD_MS, Err(Refusal::TooOften));
    // What was refused so is not taken later.
    check_at(&mut agent, u64::MAX, &frame(7, counter, TOGGLE), Err(Refusal::Replayed));
}

#[test]
fn a_table_is_that_of_its_key_alone() {
    let stored = record(&mut agent(), 7, 5);
    let other = [0x2B; 16];
    let mut renewed = Agent::new(settings(other), Some(&stored));
    let message = Message { sender: 7, counter: 0, command: ON };
    check(&mut renewed, &message.seal(&Keys::new(&other), &[]).unwrap(), Ok(Action::On));
    // The next record is of the new key: the old one finds nothing of its own.
    let order = renewed.hear(0, &Message { counter: 1, ..message }.seal(&Keys::new(&other), &[]).unwrap());
    let stored = order.unwrap().record().to_vec();
    check(&mut Agent::new(settings(KEY), Some(&stored)), &frame(7, 5, ON), Ok(Action::On));
}

#[test]
fn a_record_of_another_form_is_an_empty_table() {
    let stored = record(&mut agent(), 7, 5);
    assert_eq!(stored.len(), 13);
    let mut other_form = stored.clone();
    other_form[0] = 2;
    for (bytes, expected) in [
        (&stored[..], Err(Refusal::Replayed)),
        (&other_form[..], Ok(Action::On)),
        (&stored[..12], Ok(Action::On)),
        (&stored[..4], Ok(Action::On)),
        (&[], Ok(Action::On)),
    ] {
        check(&mut Agent::new(settings(KEY), Some(bytes)), &frame(7, 5, ON), expected);
    }
    // A sender that is there twice, as no agent writes it, has its higher counter.
    let twice = [&stored[..], &stored[5..9], &[4, 0, 0, 0]].concat();
    check(&mut Agent::new(settings(KEY), Some(&twice)), &frame(7, 5, ON), Err(Refusal::Replayed));
}

#[test]
fn debug_prints_no_key() {
    let text = format!("{:?} {:?}", agent(), Keys::new(&KEY));
    let keys = Keys::new(&KEY);
    assert!(text.contains('…') && keys == Keys::new(&KEY));
    for secret in [KEY.to_vec(), derived(1), derived(2)] {
        let printed = format!("{:?}", &secret[..2]);
        assert!(!text.contains(printed.trim_matches(['[', ']'])), "{text}");
    }
}

/// A key as the page says that it is derived.
fn derived(purpose: u8) -> Vec<u8> {
    let label = [&[0xE0, 1, purpose], &b"sockeye d2d\0\0"[..]].concat();
    sockeye_lorawan_mac::aes::encrypt_block(&sockeye_lorawan_mac::Key(KEY), label.try_into().unwrap())
        .to_vec()
}
