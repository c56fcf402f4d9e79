//! Laws over random bytes, messages and histories.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sockeye_d2d_agent::{Agent, Frame, Keys, MAX_FIELDS, Message, Refusal};

use super::{KEY, OFF, ON, TOGGLE, UNKNOWN, frame, settings};

prop_compose! {
    fn messages()(sender: u32, counter: u32, command: u16) -> Message {
        Message { sender, counter, command }
    }
}

/// Something that happens to an agent.
#[derive(Clone, Debug)]
enum Step {
    /// A controller sends its next command; so many of its counters were skipped before.
    Send {
        sender: u32,
        skipped: u32,
        command: u16,
    },
    /// Somebody plays back a frame that was on the air.
    Replay {
        frame: prop::sample::Index,
    },
    /// Somebody changes a bit of a frame that was on the air.
    Forge {
        frame: prop::sample::Index,
        bit: prop::sample::Index,
    },
    /// The power goes while the next order is being stored: before it is in flash, or after.
    CutWhileStoring {
        stored: bool,
    },
    /// The flash does not take the next record.
    FlashFails,
    /// The power goes.
    Cut,
    Wait {
        minutes: u64,
    },
}

fn steps() -> impl Strategy<Value = Step> {
    let commands = prop::sample::select(vec![ON, OFF, TOGGLE, UNKNOWN]);
    prop_oneof![
        8 => (0u32..20, 0u32..3, commands).prop_map(|(sender, skipped, command)| Step::Send { sender, skipped, command }),
        6 => any::<prop::sample::Index>().prop_map(|frame| Step::Replay { frame }),
        3 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(frame, bit)| Step::Forge { frame, bit }),
        2 => any::<bool>().prop_map(|stored| Step::CutWhileStoring { stored }),
        1 => Just(Step::FlashFails),
        2 => Just(Step::Cut),
        1 => (0u64..90).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

/// An agent with its flash, and what happened to it.
struct World {
    agent: Agent,
    flash: Option<Vec<u8>>,
    now_ms: u64,
    on_air: Vec<Vec<u8>>,
    counters: HashMap<u32, u32>,
    next_store: Option<Step>,
    acted: HashSet<(u32, u32)>,
}

impl World {
    fn new() -> Self {
        Self {
            agent: Agent::new(settings(KEY), None),
            flash: None,
            now_ms: 0,
            on_air: Vec::new(),
            counters: HashMap::new(),
            next_store: None,
            acted: HashSet::new(),
        }
    }

    fn restart(&mut self) {
        self.agent = Agent::new(settings(KEY), self.flash.as_deref());
    }

    /// Lets the agent hear bytes; says whether it acted.
    fn hear(&mut self, bytes: &[u8]) -> Result<bool, TestCaseError> {
        let Ok(order) = self.agent.hear(self.now_ms, bytes) else { return Ok(false) };
        match self.next_store.take() {
            Some(Step::CutWhileStoring { stored }) => {
                if stored {
                    self.flash = Some(order.record().to_vec());
                }
                self.restart();
                return Ok(false);
            }
            Some(_) => return Ok(false),
            None => self.flash = Some(order.record().to_vec()),
        }
        let message = Frame::parse(bytes).unwrap().open(&Keys::new(&KEY)).unwrap();
        let expected = settings(KEY).action(message.command);
        prop_assert_eq!(Some(order.once_stored()), expected);
        prop_assert!(self.acted.insert((message.sender, message.counter)), "acted twice: {:?}", message);
        Ok(true)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Send { sender, skipped, command } => {
                let counter = self.counters.entry(sender).or_default();
                *counter += 1 + skipped;
                let frame = frame(sender, *counter, command).to_vec();
                self.on_air.push(frame.clone());
                self.hear(&frame)?;
            }
            Step::Replay { frame } if !self.on_air.is_empty() => {
                // It may act if it was never heard; twice it never does.
                let frame = frame.get(&self.on_air).clone();
                self.hear(&frame)?;
            }
            Step::Forge { frame, bit } if !self.on_air.is_empty() => {
                let mut frame = frame.get(&self.on_air).clone();
                let bit = bit.index(frame.len() * 8);
                frame[bit / 8] ^= 1 << (bit % 8);
                let acted = self.hear(&frame)?;
                prop_assert!(!acted, "a forged frame acts");
            }
            Step::Replay { .. } | Step::Forge { .. } => {}
            Step::CutWhileStoring { .. } | Step::FlashFails => self.next_store = Some(step.clone()),
            Step::Cut => self.restart(),
            Step::Wait { minutes } => self.now_ms += minutes * 60_000,
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_is_opened_as_it_was(
        message in messages(),
        key: [u8; 16],
        fields in prop::collection::vec(any::<u8>(), 0..=MAX_FIELDS),
    ) {
        let keys = Keys::new(&key);
        let frame = message.seal(&keys, &fields).unwrap();
        prop_assert_eq!(frame.len(), 20 + fields.len());
        prop_assert_eq!(Frame::parse(&frame).unwrap().open(&keys), Ok(message));
    }

    #[test]
    fn any_bytes_are_refused_and_leave_the_agent_as_it_was(
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
        likely: bool,
    ) {
        if let [mhdr, version, ..] = bytes.as_mut_slice() && likely {
            (*mhdr, *version) = (0xE0, 1);
        }
        let mut agent = Agent::new(settings(KEY), None);
        let refused = agent.hear(0, &bytes).unwrap_err();
        prop_assert!(matches!(refused, Refusal::Malformed | Refusal::Version | Refusal::Mic));
        prop_assert!(agent.hear(0, &frame(7, 0, ON)).is_ok());
    }

    #[test]
    fn any_bytes_are_a_record(record in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut agent = Agent::new(settings(KEY), Some(&record));
        prop_assert!(agent.hear(0, &frame(7, u32::MAX, ON)).is_ok());
    }

    #[test]
    fn a_command_cannot_be_read_without_the_key(message in messages(), key: [u8; 16]) {
        // Enciphered: the same command of the same sender looks different each time.
        let keys = Keys::new(&key);
        let next = Message { counter: message.counter.wrapping_add(1), ..message };
        let [one, two] = [message, next].map(|message| message.seal(&keys, &[0; MAX_FIELDS]).unwrap());
        prop_assert_ne!(&one[10..26], &two[10..26]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_change_of_one_bit_is_refused(
        message in messages(),
        fields in prop::collection::vec(any::<u8>(), 0..=MAX_FIELDS),
    ) {
        let good = Message { command: ON, ..message }.seal(&Keys::new(&KEY), &fields).unwrap();
        for bit in 0..good.len() * 8 {
            let mut agent = Agent::new(settings(KEY), None);
            let mut forged = good.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0 => Refusal::Malformed,
                1 => Refusal::Version,
                _ => Refusal::Mic,
            };
            prop_assert_eq!(agent.hear(0, &forged), Err(expected), "bit {}", bit);
            prop_assert!(agent.hear(0, &good).is_ok());
        }
    }

    #[test]
    fn whatever_happens_no_sender_and_counter_act_twice(history in prop::collection::vec(steps(), 1..200)) {
        let mut world = World::new();
        for step in &history {
            world.step(step)?;
        }
        // And it is not deaf afterwards: a sender that is known is obeyed.
        world.now_ms += 24 * 3_600_000;
        world.next_store = None;
        if let Some(&(sender, _)) = world.acted.iter().next() {
            let counter = world.counters[&sender] + 1;
            prop_assert!(world.hear(&frame(sender, counter, OFF))?);
        }
    }
}
