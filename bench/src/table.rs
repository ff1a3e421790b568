//! Tables of text: names on the left, numbers aligned on the right.
//! Only lays out; what is in the cells is the reports' business.

/// A table with a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; the first is that of the names.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { lines: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
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
                let (before, after) =
                    if column == 0 { ("", padding.as_str()) } else { (padding.as_str(), "") };
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
}
