//! A table of figures over several rounds. A figure with a limit fails the benchmark if any round misses it.

use std::process::ExitCode;

/// The limit that a promise sets to a figure.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", number(limit)),
            Self::AtLeast(limit) => format!("≥ {}", number(limit)),
        }
    }
}

struct Row {
    what: String,
    values: Vec<f64>,
    limit: Option<Limit>,
}

pub struct Report {
    title: String,
    rows: Vec<Row>,
    broken: Vec<String>,
}

impl Report {
    pub fn new(title: String) -> Self {
        println!("{title}");
        Self { title, rows: Vec::new(), broken: Vec::new() }
    }

    /// Notes a figure of one round.
    pub fn note(&mut self, what: &str, value: f64) {
        self.add(what, value, None);
    }

    /// Notes a figure of one round that has a limit.
    pub fn promise(&mut self, what: &str, limit: Limit, value: f64) {
        self.add(what, value, Some(limit));
    }

    /// Notes something that must not be.
    pub fn broken(&mut self, what: String) {
        println!("  BROKEN: {what}");
        self.broken.push(what);
    }

    fn add(&mut self, what: &str, value: f64, limit: Option<Limit>) {
        println!("  {what}: {}", number(value));
        match self.rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.values.push(value),
            None => self.rows.push(Row { what: what.to_owned(), values: vec![value], limit }),
        }
    }

    /// Prints the table; fails if something is broken or a limit missed.
    pub fn finish(self) -> ExitCode {
        let mut failed = !self.broken.is_empty();
        println!("\n{}\n", self.title);
        println!("{:<62} {:>10} {:>10} {:>10}  limit", "", "median", "min", "max");
        for Row { what, mut values, limit } in self.rows {
            let missed = limit.is_some_and(|limit| !values.iter().all(|&value| limit.holds(value)));
            failed |= missed;
            let [median, min, max] = [0.5, 0.0, 1.0].map(|share| number(quantile(&mut values, share)));
            let verdict = if missed { "  MISSED" } else { "" };
            println!(
                "{what:<62} {median:>10} {min:>10} {max:>10}  {}{verdict}",
                limit.map(Limit::text).unwrap_or_default()
            );
        }
        for broken in &self.broken {
            println!("BROKEN: {broken}");
        }
        println!("\n{}", if failed { "FAILED" } else { "passed" });
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// The value below which this share of all lies; 0 of none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index"
)]
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// Three digits are enough to compare by; thousands are grouped.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => {
            let text = format!("{value:.0}");
            let groups: Vec<_> = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            groups.join(",")
        }
        large if large >= 100.0 || large == 0.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
