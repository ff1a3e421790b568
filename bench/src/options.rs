//! Parsers shared by the options of subcommands, and the output of reports.
//! Values are checked here, on the command line, and nowhere else.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// Longest body of a message, in characters.
const BODY_MAX: usize = 8_000;
/// Most guests or rooms.
const MANY_MAX: usize = 100_000;

/// A span of time in seconds, with decimals if wanted.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    // A day is longer than any run, and keeps nanoseconds far from overflowing.
    if (0.0..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be between 0 and 86,400 seconds".into())
    }
}

/// A number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("must be above 0".into()) }
}

/// The length of a body.
pub(crate) fn body_bytes(text: &str) -> Result<usize, String> {
    within(text, BODY_MAX)
}

/// A number of guests or rooms, at least one.
pub(crate) fn many(text: &str) -> Result<usize, String> {
    within(text, MANY_MAX)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if (1..=most).contains(&value) { Ok(value) } else { Err(format!("must be between 1 and {most}")) }
}

/// Prints `text`, and writes `report` to the JSON file if one is wanted.
pub(crate) fn publish(report: &impl Serialize, text: &str, json: Option<&Path>) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = json {
        fs::write(path, serde_json::to_vec_pretty(report)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(["-1", "1e9", "NaN", "x"].iter().all(|text| seconds(text).is_err()));
        assert!(["0", "-1", "inf", "NaN", "x"].iter().all(|text| positive(text).is_err()));
        assert_eq!((body_bytes("1"), body_bytes("8000")), (Ok(1), Ok(8_000)));
        assert!(body_bytes("0").is_err() && body_bytes("8001").is_err());
    }
}
