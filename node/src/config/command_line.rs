//! Parses the command line and the environment, and says in one line what is wrong with them.

use std::env;

use clap::{
    CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Flags, environment};

impl Flags {
    /// Parses this process's command line and environment.
    pub fn from_process() -> Result<Self, clap::Error> {
        let matches = environment::without_empty(Self::command()).try_get_matches()?;
        Self::from_arg_matches(&matches)
    }
}

/// Whether what clap says is an answer for people in many lines: a help text or the version.
pub fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// What is wrong, and where to read more; clap says it in several lines.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let mut said = said
        .map(|line| line.trim_start_matches("error: "))
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ");
    if let Some(variable) = wrong_variable(error) {
        said = format!("{variable}: {said}");
    }
    format!("{said}; see '{} --help'", command(&text))
}

/// The command that was given, from the usage that clap shows: the words before the first argument.
fn command(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage:")).unwrap_or("starling");
    let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

/// The environment variable that holds the refused value, if no flag on the command line does.
fn wrong_variable(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = arg.split_whitespace().next()?;
    let is_given = |word: std::ffi::OsString| {
        word.to_str().is_some_and(|word| word == flag || word.starts_with(&format!("{flag}=")))
    };
    if env::args_os().any(is_given) {
        return None;
    }
    let settings = environment::settings();
    let named = |(variable, long): (String, String)| (format!("--{long}") == flag).then_some(variable);
    settings.into_iter().find_map(named).filter(|variable| env::var_os(variable).is_some())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(words: &[&str]) -> String {
        one_line(&Flags::try_parse_from(words).unwrap_err())
    }

    /// Each mistake is told in one line that names the help of the command that was given.
    #[test]
    fn a_mistake_is_one_line_with_the_right_help() {
        for (words, help) in [
            (&["starling", "user", "add"][..], "'starling user add --help'"),
            (&["starling", "user", "nonsense"], "'starling user --help'"),
            (&["starling", "status", "--jsno"], "'starling status --help'"),
            (&["starling", "--no-such-flag"], "'starling --help'"),
            (&["starling", "cluster", "secrets"], "'starling cluster --help'"),
        ] {
            let said = said(words);
            assert!(said.contains(help) && !said.contains('\n'), "{said}");
        }
    }

    /// A command without its subcommand shows its own help.
    #[test]
    fn a_group_of_commands_alone_is_answered_with_its_help() {
        for group in ["user", "cluster"] {
            let error = Flags::try_parse_from(["starling", group]).unwrap_err();
            assert!(is_help(&error));
            assert!(error.to_string().contains(&format!("Usage: starling {group} <COMMAND>")), "{error}");
        }
    }
}
