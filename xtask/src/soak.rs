//! `soak`: lives of one socket at random, on virtual time.

use std::ops::RangeInclusive;

use clap::Args;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Says how many lives, and how long.
#[derive(Debug, Args)]
#[command(after_help = "\
A life is random loads, presses, downlinks, lost frames, power cuts and reboots; its seed is printed, and gives the same life \
again with --from. Checked all the while: no panic, no frame counter or DevNonce used twice, the relay where it was switched, \
the energy sum within its promise, the socket joined and reporting at the end.")]
pub struct Options {
    /// How many lives, each from a seed of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(COUNT))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=LAST_FROM))]
    from: u64,
    /// How long a life is, in days of the socket
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(COUNT))]
    days: u64,
}

const COUNT: RangeInclusive<u64> = 1..=1_000_000;

/// The last first seed behind which there are as many as may be asked for: no soak ends well because it lived nothing.
const LAST_FROM: u64 = u64::MAX - *COUNT.end();

impl Options {
    /// Gives the one life that `cargo xtask test` lives.
    pub fn one() -> Self {
        Self { seeds: 1, from: 1, days: 30 }
    }
}

/// Runs the lives; the program says of each how it went.
///
/// # Errors
/// When one failed.
pub fn soak(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let Options { seeds, from, days } = options;
    let mut cargo = workspace.cargo();
    cargo
        .args(["run", "--quiet", "--release", "--package", "sockeye-host", "--example", "soak", "--"])
        .args([from, seeds, days].map(u64::to_string));
    process::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        _options: Options,
    }

    fn check(words: &str, is_right: bool) {
        let parsed = Line::try_parse_from(["soak"].into_iter().chain(words.split_whitespace()));
        assert_eq!(parsed.is_ok(), is_right, "{words}: {parsed:?}");
    }

    #[test]
    fn a_soak_that_would_live_nothing_is_refused() {
        check("", true);
        check("--seeds 1000000 --from 0 --days 1", true);
        check("--seeds 1000000 --from 18446744073708551615", true);
        check("--seeds 2 --from 18446744073709551615", false);
        check("--seeds 0", false);
        check("--days 0", false);
        check("--days 1.5", false);
        check("extra", false);
    }
}
