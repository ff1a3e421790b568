//! Tables of text: names on the left, numbers aligned on the right; remarks behind them on the left again.
//! Only lays out; what is in the cells is the reports' business.

/// A table with a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
    /// Whether the last column holds text.
    remarks: bool,
}

impl Table {
    /// A table with these headings; the first is that of the names.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { lines: vec![headings.iter().map(|&heading| heading.to_owned()).collect()], remarks: false }
    }

    /// As [`Self::new`], but the last column holds text.
    pub(crate) fn with_remarks(headings: &[&str]) -> Self {
        Self { remarks: true, ..Self::new(headings) }
    }

    /// Adds a line.
    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.lines.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    /// The table as text, indented by two.
    pub(crate) fn render(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for line in &self.lines {
            let mut shown = String::from(" ");
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                let is_text = column == 0 || (self.remarks && column + 1 == columns);
                let (before, after) = if is_text { ("", padding.as_str()) } else { (padding.as_str(), "") };
                shown.extend([" ", before, cell, after, " "]);
            }
            text.push_str(shown.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["", "count", "p50"]);
        table.row("ack", ["1,000".into(), "0.50".into()]);
        table.row("delivery", ["30".into(), String::new()]);
        let expected = "            count   p50\n  ack       1,000  0.50\n  delivery     30\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn remarks_are_on_the_left() {
        let mut table = Table::with_remarks(&["", "p50", "remarks"]);
        table.row("ack", ["10.0".into(), "x".into()]);
        assert_eq!(table.render(), "        p50  remarks\n  ack  10.0  x\n");
    }
}
