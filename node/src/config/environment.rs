//! Environment variables: empty ones count as unset, and unknown ones that begin with `STARLING_` give a warning.

use std::{collections::BTreeMap, env};

use clap::{Arg, Command, CommandFactory, builder::Resettable};

use super::Flags;

const PREFIX: &str = "STARLING_";
/// The similarity (1 is equal) from which a name counts as a misspelling of another.
const SIMILAR_FROM: f64 = 0.5;
/// Warnings, at most.
const WARNINGS_MAX: usize = 20;

/// Makes empty variables count as unset: Compose sets variables that are named in its file but not set outside.
pub fn without_empty(command: Command) -> Command {
    let unset = |arg: Arg| {
        let is_empty =
            |name| env::var_os(name).is_some_and(|value| value.to_string_lossy().trim().is_empty());
        if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg }
    };
    command.mut_args(unset).mut_subcommands(without_empty)
}

/// The environment variables of all settings, each with its flag.
pub fn settings() -> BTreeMap<String, String> {
    let command = Flags::command();
    let named = |arg: &Arg| Some((arg.get_env()?.to_str()?.to_owned(), arg.get_long()?.to_owned()));
    command.get_arguments().filter_map(named).collect()
}

/// A warning for each variable of this process that looks like a setting but is none.
pub fn warnings() -> Vec<String> {
    let given = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    unknown_variables(given, &settings())
}

fn unknown_variables(
    given: impl Iterator<Item = (String, String)>,
    settings: &BTreeMap<String, String>,
) -> Vec<String> {
    let unknown = given.filter(|(name, value)| {
        name.starts_with(PREFIX) && !settings.contains_key(name) && !is_from_kubernetes(name, value)
    });
    let warning = |(name, _): (String, String)| {
        let advice = match nearest(&name, settings) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "'starling --help' lists the settings".to_owned(),
        };
        format!("the environment variable {name} is not a setting and has no effect: {advice}")
    };
    unknown.map(warning).take(WARNINGS_MAX).collect()
}

/// Whether Kubernetes has set the variable for a service called `starling…`.
fn is_from_kubernetes(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            name.split_once("_PORT_").is_some_and(|(_, rest)| {
                rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains(protocol)
            })
        })
}

/// The setting that was probably meant. People also write the name of a flag after the prefix.
fn nearest<'a>(name: &str, settings: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let written = name.trim_start_matches(PREFIX);
    let similarity = |(setting, flag): (&'a String, &String)| {
        let as_flag = flag.replace('-', "_").to_ascii_uppercase();
        let as_setting = strsim::normalized_damerau_levenshtein(written, setting.trim_start_matches(PREFIX));
        (as_setting.max(strsim::normalized_damerau_levenshtein(written, &as_flag)), setting.as_str())
    };
    let best = settings.iter().map(similarity).max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(similarity, _)| *similarity >= SIMILAR_FROM).map(|(_, setting)| setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(name: &str, value: &str) -> Option<String> {
        unknown_variables(std::iter::once((name.to_owned(), value.to_owned())), &settings()).pop()
    }

    /// The warning names the setting that was meant.
    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest() {
        for (written, meant) in [
            ("STARLING_HTTP_LISTN", "STARLING_HTTP_LISTEN"),
            ("STARLING_LISTEN", "STARLING_HTTP_LISTEN"),
            ("STARLING_CLUSTER_SECRETFILE", "STARLING_CLUSTER_SECRET_FILE"),
            ("STARLING_JOIN", "STARLING_CLUSTER_JOIN"),
            ("STARLING_PUBLIC_URL", "STARLING_HTTP_PUBLIC_URL"),
            ("STARLING_LIMIT_ROOMS_PER_ADDRESS", "STARLING_LIMITS_ROOMS_PER_ADDRESS"),
        ] {
            let warning = warned(written, "a secret value").unwrap();
            assert!(warning.contains(&format!("did you mean {meant}?")), "{warning}");
            assert!(!warning.contains("a secret value"));
        }
        assert!(warned("STARLING_ZZZZZ", "1").unwrap().contains("--help"));
        assert_eq!(warned("STARLING_HTTP_LISTEN", "8080"), None);
        assert_eq!(warned("PATH", "/bin"), None);
    }

    /// Variables of Kubernetes are no mistakes of the operator.
    #[test]
    fn variables_of_kubernetes_are_ignored() {
        for (name, value) in [
            ("STARLING_PORT", "tcp://10.0.0.1:8080"),
            ("STARLING_HTTP_PORT", "tcp://10.0.0.1:8080"),
            ("STARLING_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("STARLING_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("STARLING_PORT_8080_TCP_PROTO", "tcp"),
            ("STARLING_SERVICE_HOST", "10.0.0.1"),
            ("STARLING_SERVICE_PORT_HTTP", "8080"),
        ] {
            assert_eq!(warned(name, value), None);
        }
        assert!(warned("STARLING_HTTP_PORT", "8080").is_some());
    }
}
