//! The tables of comparisons: a row for each server, with the median of its rounds, and what must not be believed.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::machine::Machine;
use crate::measure::{Mark, Marked, Spread, marks_text};
use crate::rounds::Measured;
use crate::table::Table;

/// A figure of a table: its heading, where a round has it, and its decimals.
pub(crate) struct Column<T> {
    /// The heading, with the unit.
    pub(crate) heading: &'static str,
    /// Takes the figure from a round; `None` where there is none.
    pub(crate) figure: fn(&T) -> Option<f64>,
    /// Writes it.
    pub(crate) show: fn(f64) -> String,
}

/// The figures of one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison<T> {
    title: String,
    rows: Vec<Measured<T>>,
}

/// All that a command prints, as JSON.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    machine: &'a Machine,
    comparisons: &'a [Comparison<T>],
}

/// Prints the machine and a table for each workload, and writes the figures of each round to `json` if asked for. Returns
/// whether all passed.
pub(crate) fn publish<T: Marked + Serialize>(
    machine: &Machine,
    comparisons: &[Comparison<T>],
    columns: &[Column<T>],
    json: Option<&Path>,
) -> io::Result<bool> {
    let tables: Vec<_> = comparisons.iter().map(|comparison| comparison.text(columns)).collect();
    let text = format!("{}\n\n{}", machine.text(), tables.join("\n"));
    crate::options::publish(&Document { machine, comparisons }, &text, json)?;
    Ok(comparisons.iter().all(Comparison::passed))
}

/// One decimal.
pub(crate) fn decimal(value: f64) -> String {
    format!("{value:.1}")
}

/// Two decimals.
pub(crate) fn decimals(value: f64) -> String {
    format!("{value:.2}")
}

/// No decimals, with thousands separated.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate or a size of a run fits by far"
)]
pub(crate) fn whole(value: f64) -> String {
    crate::number::grouped(value.round() as u64)
}

impl<T: Marked> Comparison<T> {
    /// The figures that were measured under this title.
    pub(crate) fn new(title: String, rows: Vec<Measured<T>>) -> Self {
        Self { title, rows }
    }

    /// One comparison for each title; a round has the figures in the order of the titles.
    pub(crate) fn split(titles: Vec<String>, measured: &[Measured<Vec<T>>]) -> Vec<Self>
    where
        T: Clone,
    {
        let rows = |index: usize| {
            let round = |round: &Option<Vec<T>>| round.as_ref().and_then(|round| round.get(index)).cloned();
            let row = |server: &Measured<Vec<T>>| Measured {
                name: server.name.clone(),
                rounds: server.rounds.iter().map(round).collect(),
            };
            measured.iter().map(row).collect()
        };
        titles.into_iter().enumerate().map(|(index, title)| Self { title, rows: rows(index) }).collect()
    }

    /// Whether all rounds were carried out, and none has a mark that says that its figure must not be believed.
    fn passed(&self) -> bool {
        let is_good = |round: &Option<T>| {
            round.as_ref().is_some_and(|round| {
                !round.marks().iter().any(|mark| matches!(mark, Mark::Invalid(_) | Mark::Lost(_)))
            })
        };
        self.rows.iter().flat_map(|row| &row.rounds).all(is_good)
    }

    /// The table.
    fn text(&self, columns: &[Column<T>]) -> String {
        let headings: Vec<_> =
            std::iter::once("").chain(columns.iter().map(|column| column.heading)).chain(["marks"]).collect();
        let mut table = Table::with_remarks(&headings);
        for row in &self.rows {
            let rounds: Vec<&T> = row.rounds.iter().flatten().collect();
            let spreads: Vec<_> = columns
                .iter()
                .map(|column| Spread::of(rounds.iter().filter_map(|round| (column.figure)(round))))
                .collect();
            let cell = |(column, spread): (&Column<T>, &Option<Spread>)| {
                spread.as_ref().map_or("-".into(), |spread| spread.text(column.show))
            };
            let mut cells: Vec<_> = columns.iter().zip(&spreads).map(cell).collect();
            let varies = spreads.iter().flatten().any(Spread::varies);
            let all: Vec<_> = rounds.iter().map(|round| round.marks().to_vec()).collect();
            let mut text = marks_text(&all, varies);
            if rounds.len() < row.rounds.len() {
                let failed = row.rounds.len() - rounds.len();
                text = [format!("FAILED in {failed} of {}", row.rounds.len()), text].join(" ");
            }
            cells.push(text);
            table.row(&row.name, cells);
        }
        format!("{}\n\n{}", self.title, table.render())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Round(f64, Vec<Mark>);

    impl Marked for Round {
        fn marks(&self) -> &[Mark] {
            &self.1
        }
    }

    #[test]
    fn rows_have_median_spread_and_marks() {
        let measured = |name: &str, rounds: Vec<Option<Round>>| Measured { name: name.into(), rounds };
        let round = |value| Some(Round(value, Vec::new()));
        let comparison = Comparison::new(
            "some workload".into(),
            vec![
                measured("one", vec![round(7.0), round(8.0), round(6.0)]),
                measured("two", vec![round(1.0), None, Some(Round(2.5, vec![Mark::Invalid("why".into())]))]),
                measured("three", vec![None]),
            ],
        );
        let columns = [Column { heading: "µs", figure: |round: &Round| Some(round.0), show: decimal }];
        let text = comparison.text(&columns);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "some workload");
        assert_eq!(lines[3], "one    7.0 (6.0-8.0)");
        assert!(lines[4].starts_with("two    1.8 (1.0-2.5)"), "{text}");
        assert!(lines[4].ends_with("FAILED in 1 of 3 INVALID in 1 of 2 (why), varies > 2x"), "{text}");
        assert!(lines[5].ends_with(" -  FAILED in 1 of 1"), "{text}");
        assert!(!comparison.passed());
    }
}
