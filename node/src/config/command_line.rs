//! Parses the command line and the environment, and reports mistakes in one line.

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

/// Whether the error is a help text or the version, which have many lines.
pub fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// The error in one line, with the help to read; clap uses several lines.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let mut message = lines
        .map(|line| line.trim_start_matches("error: "))
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ");
    if let Some(variable) = wrong_variable(error) {
        message = format!("{variable}: {message}");
    }
    format!("{message}; see '{} --help'", command(&text))
}

/// The command in the usage that clap shows: the words before the first argument.
fn command(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage:")).unwrap_or("starling");
    let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

/// The environment variable with the refused value, unless a flag on the command line has it.
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

    fn message(words: &[&str]) -> String {
        one_line(&Flags::try_parse_from(words).unwrap_err())
    }

    /// Each mistake is one line that names the help of the command.
    #[test]
    fn a_mistake_is_one_line_with_the_right_help() {
        for (words, help) in [
            (&["starling", "user", "add"][..], "'starling user add --help'"),
            (&["starling", "user", "nonsense"], "'starling user --help'"),
            (&["starling", "status", "--jsno"], "'starling status --help'"),
            (&["starling", "--no-such-flag"], "'starling --help'"),
            (&["starling", "cluster", "secrets"], "'starling cluster --help'"),
        ] {
            let message = message(words);
            assert!(message.contains(help) && !message.contains('\n'), "{message}");
        }
    }

    /// A command without its subcommand shows its own help.
    #[test]
    fn a_command_without_its_subcommand_shows_its_help() {
        for group in ["user", "cluster"] {
            let error = Flags::try_parse_from(["starling", group]).unwrap_err();
            assert!(is_help(&error));
            assert!(error.to_string().contains(&format!("Usage: starling {group} <COMMAND>")), "{error}");
        }
    }
}
