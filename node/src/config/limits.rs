//! The section `[limits]`: flags and environment variables from `web`'s table of limits, and the section of the file.

use std::{collections::BTreeMap, fmt};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer, MapAccess, Visitor},
};
use starling_web::guard::{
    Quota, Rate,
    limits::{LIMITS, Limit},
};

/// The only limit in the file that is not a rate.
const CONNECTIONS: &str = "connections_per_address";

/// The limits in flags and environment.
#[derive(Debug, Default)]
pub struct LimitFlags(pub BTreeMap<Quota, Rate>);

/// The section in the file.
#[derive(Debug, Default)]
pub struct LimitsFile {
    pub rates: BTreeMap<Quota, Rate>,
    pub connections_per_address: Option<u64>,
}

impl<'de> Deserialize<'de> for LimitsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LimitsVisitor)
    }
}

/// The setting of one line of the section.
enum Line {
    Connections,
    Rate(Quota),
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == CONNECTIONS {
            return Ok(Self::Connections);
        }
        let quota: Result<_, serde::de::value::Error> = Quota::deserialize(name.as_str().into_deserializer());
        quota.map(Self::Rate).map_err(|_| {
            let names = LIMITS.iter().map(|limit| limit.name).chain([CONNECTIONS]);
            let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            D::Error::custom(format!("unknown limit `{name}`, expected one of {names}"))
        })
    }
}

struct LimitsVisitor;

impl<'de> Visitor<'de> for LimitsVisitor {
    type Value = LimitsFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut lines: M) -> Result<LimitsFile, M::Error> {
        let mut file = LimitsFile::default();
        while let Some(line) = lines.next_key()? {
            match line {
                Line::Connections => file.connections_per_address = Some(lines.next_value()?),
                Line::Rate(quota) => drop(file.rates.insert(quota, lines.next_value()?)),
            }
        }
        Ok(file)
    }
}

fn arg(limit: &Limit) -> Arg {
    Arg::new(limit.name)
        .long(format!("limit-{}", limit.name.replace('_', "-")))
        .env(format!("STARLING_LIMITS_{}", limit.name.to_ascii_uppercase()))
        .value_name("COUNT/WINDOW")
        .value_parser(str::parse::<Rate>)
        .help(format!(
            "How many {}: COUNT at once, and as many again over each WINDOW; 0 for no limit [default: {}]",
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
