//! Several rounds of one measurement in one figure, and marks on rounds that must not be believed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::number::round3;

/// A figure varies if its largest value is above its smallest times this.
const VARIES_FACTOR: f64 = 2.0;

/// Median, smallest and largest of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The median; of an even number, the middle between two.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of these values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: round3(median), min: round3(min), max: round3(max) })
    }

    /// Whether the rounds differ by more than a factor of two.
    pub(crate) fn varies(&self) -> bool {
        self.max > VARIES_FACTOR * self.min
    }

    /// Median and, in brackets, smallest and largest, each as `show` writes it.
    pub(crate) fn text(&self, show: impl Fn(f64) -> String) -> String {
        if self.min < self.max {
            format!("{} ({}-{})", show(self.median), show(self.min), show(self.max))
        } else {
            show(self.median)
        }
    }
}

/// The reason why a figure must not be believed as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Mark {
    /// The generator was the limit, not the server. The reason.
    Invalid(String),
    /// Messages were lost, refused, or not delivered in time. What, and how many.
    Lost(String),
    /// Other processes used the machine.
    Shared,
}

/// The figures of one round.
pub(crate) trait Marked {
    /// Reasons not to believe them.
    fn marks(&self) -> &[Mark];
}

/// All marks of some rounds in few words. Those of one kind are told once, with the number of rounds that have them.
pub(crate) fn marks_text(rounds: &[Vec<Mark>], varies: bool) -> String {
    let mut kinds: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for mark in rounds.iter().flatten() {
        let (kind, reason) = match mark {
            Mark::Invalid(reason) => ("INVALID", reason.as_str()),
            Mark::Lost(reason) => ("LOST", reason.as_str()),
            Mark::Shared => ("shared machine", ""),
        };
        let (count, first) = kinds.entry(kind).or_default();
        *count += 1;
        if first.is_empty() {
            reason.clone_into(first);
        }
    }
    if varies {
        kinds.insert("varies > 2x", (rounds.len(), String::new()));
    }
    let texts: Vec<_> = kinds
        .into_iter()
        .map(|(kind, (count, reason))| {
            let of =
                if count < rounds.len() { format!(" in {count} of {}", rounds.len()) } else { String::new() };
            let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            format!("{kind}{of}{why}")
        })
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_have_median_smallest_and_largest() {
        fn check(values: &[f64], expected: Option<(f64, f64, f64)>) {
            let spread = Spread::of(values.iter().copied());
            assert_eq!(spread.map(|spread| (spread.median, spread.min, spread.max)), expected, "{values:?}");
        }
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[3.0, 1.0], Some((2.0, 1.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0)));
    }

    #[test]
    fn only_more_than_a_factor_of_two_varies() {
        assert!(!Spread::of([1.0, 2.0]).unwrap().varies());
        assert!(Spread::of([1.0, 1.5, 2.001]).unwrap().varies());
    }

    #[test]
    fn marks_of_one_kind_are_told_once() {
        let invalid = |reason: &str| Mark::Invalid(reason.into());
        let rounds = [vec![invalid("0.99 of a core"), Mark::Shared], vec![Mark::Shared], vec![Mark::Shared]];
        assert_eq!(marks_text(&rounds, false), "INVALID in 1 of 3 (0.99 of a core), shared machine");
        assert_eq!(marks_text(&rounds[..1], true), "INVALID (0.99 of a core), shared machine, varies > 2x");
        assert_eq!(marks_text(&[vec![]], false), "");
    }
}
