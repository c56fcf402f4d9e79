//! The writer against a model of it: any requests in any order, with restarts and cuts of the power between and within them.

use proptest::prelude::*;
use sockeye_upgrade::{Refusal, Request, State};
use sockeye_virtual_hardware::flash::{Chip, Cut, Flash, Rp2040, Stm32wlNmi};

use crate::rig::{Layout, NEW, OLD, ask, bytes, header};

#[derive(Clone, Debug)]
enum Step {
    /// The header of one of two images.
    Begin(bool),
    /// So many bytes from where it goes on, and from so much further.
    Chunk(usize, u32),
    Finish,
    Abort,
    Restart,
    /// The power goes in one of the next operations; the request then, and a start.
    Cut(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<bool>().prop_map(Step::Begin),
        12 => (1_usize..3000, prop_oneof![9 => Just(0_u32), 1 => any::<u32>()])
            .prop_map(|(len, beside)| Step::Chunk(len, beside)),
        2 => Just(Step::Finish),
        1 => Just(Step::Abort),
        1 => Just(Step::Restart),
        2 => (0_u64..400, any::<u64>()).prop_map(|(after, seed)| Step::Cut(after, seed)),
    ]
}

/// Holds the device to its model along the steps.
fn run<C: Chip>(steps: &[Step]) -> Result<(), TestCaseError> {
    let layout = Layout::of::<C>(3);
    let images = [bytes(layout.capacity() - 5, 1), bytes(3000, 2)];
    let headers = images.each_ref().map(|image| header(image, NEW));
    let flash: Flash<C> = layout.flash();
    let mut upgrade = layout.started(&flash, OLD);
    // Which image is coming in, and how much of it is there.
    let mut model: Option<(usize, usize)> = None;
    for step in steps {
        let progress = upgrade.progress();
        let begun = model.map(|(which, _)| &images[which]);
        match step {
            Step::Begin(which) => {
                let which = usize::from(*which);
                ask(&mut upgrade, &flash, Request::Begin { header: &headers[which] }).unwrap();
                model = Some(model.filter(|(old, _)| *old == which).unwrap_or((which, 0)));
            }
            Step::Chunk(len, beside) => {
                let image = begun.unwrap_or(&images[0]);
                let offset = progress.received.wrapping_add(*beside);
                let from = (progress.received as usize).min(image.len());
                let data = &image[from..(from + len).min(image.len())];
                let answer = ask(&mut upgrade, &flash, Request::Chunk { offset, data });
                let wanted = match (&mut model, *beside) {
                    (None, _) => Err(Refusal::NothingBegun),
                    (Some(_), 1..) => Err(Refusal::Offset { wanted: progress.received }),
                    (Some((_, there)), 0) => {
                        let is_last = from + data.len() == image.len();
                        let taken = if is_last { data.len() } else { data.len() / 8 * 8 };
                        *there += taken;
                        if taken == 0 { Err(Refusal::Length) } else { Ok(*there as u32) }
                    }
                };
                prop_assert_eq!(answer.map(|progress| progress.received), wanted);
            }
            Step::Finish => {
                let answer = ask(&mut upgrade, &flash, Request::Finish).map(|progress| progress.state);
                match model {
                    None => prop_assert_eq!(answer, Err(Refusal::NothingBegun)),
                    Some((which, there)) if there < images[which].len() => {
                        prop_assert_eq!(answer, Err(Refusal::Offset { wanted: there as u32 }));
                    }
                    Some((which, _)) => {
                        prop_assert_eq!(answer, Ok(State::Ready));
                        layout.boot(&flash).unwrap();
                        prop_assert!(layout.active_bytes(&flash).starts_with(&images[which]));
                        return Ok(());
                    }
                }
            }
            Step::Abort => {
                let answer = ask(&mut upgrade, &flash, Request::Abort);
                prop_assert_eq!(answer.is_ok(), model.is_some());
                model = None;
            }
            Step::Restart => {
                upgrade = layout.started(&flash, OLD);
                let Some((_, there)) = &mut model else { continue };
                let received = upgrade.progress().received as usize;
                prop_assert!(received <= *there && *there < received + 2 * layout.page + 1);
                *there = received;
            }
            Step::Cut(after, seed) => {
                flash.cut_after(*after, Cut::Inside { seed: *seed });
                let offset = progress.received;
                if let Some((which, there)) = model {
                    let _ =
                        ask(&mut upgrade, &flash, Request::Chunk { offset, data: &images[which][there..] });
                }
                flash.power_on();
                upgrade = layout.started(&flash, OLD);
                let Some((which, there)) = &mut model else { continue };
                let received = upgrade.progress().received as usize;
                // It had got further than the model knows, or goes back by two pages at most.
                prop_assert!(*there < received + 2 * layout.page + 1, "{there} became {received}");
                prop_assert_eq!(upgrade.progress().total as usize, images[*which].len());
                *there = received;
            }
        }
        let progress = upgrade.progress();
        prop_assert_eq!(progress.state, model.map_or(State::None, |_| State::Receiving));
        prop_assert_eq!(progress.received as usize, model.map_or(0, |(_, there)| there));
        if let Some((which, there)) = model {
            prop_assert!(layout.dfu_bytes(&flash)[..there] == images[which][..there]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_writer_does_what_its_model_does(steps in proptest::collection::vec(step(), 0..40)) {
                run::<Stm32wlNmi>(&steps)?;
        run::<Rp2040>(&steps)?;
    }
}
