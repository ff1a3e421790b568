//! Flags and environment of the section `[limits]`, made from `web`'s table of limits.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use starling_web::guard::{
    Quota, Rate,
    limits::{LIMITS, Limit},
};

/// The limits that were given; for the others the file or the default holds.
#[derive(Debug, Default)]
pub struct LimitFlags(pub BTreeMap<Quota, Rate>);

fn arg(limit: &Limit) -> Arg {
    Arg::new(limit.name)
        .long(format!("limit-{}", limit.name.replace('_', "-")))
        .env(format!("STARLING_LIMITS_{}", limit.name.to_ascii_uppercase()))
        .value_name("COUNT/WINDOW")
        .value_parser(str::parse::<Rate>)
        .help(format!(
            "How many {}: so many at once and again over each window, 0 for no limit [default: {}]",
            limit.what, limit.default
        ))
}

impl Args for LimitFlags {
    fn augment_args(command: Command) -> Command {
        command.args(LIMITS.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LimitFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let given = |limit: &Limit| Some((limit.quota, *matches.get_one(limit.name)?));
        self.0.extend(LIMITS.iter().filter_map(given));
        Ok(())
    }
}
