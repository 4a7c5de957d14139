//! A table in plain text: columns as wide as their widest cell, numbers to the right.

pub struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self {
            title: title.into(),
            head: head.iter().map(|cell| cell.to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. One that is shorter than the head ends in a remark, which may run over the columns that are left.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn print(&self) {
        let whole_rows = || self.rows.iter().filter(|row| row.len() == self.head.len());
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = std::iter::once(&self.head).chain(whole_rows()).map(|row| &row[column]).chain(
                    self.rows
                        .iter()
                        .filter(|row| row.len() != self.head.len() && column + 1 < row.len())
                        .map(|row| &row[column]),
                );
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();

        println!("\n{}\n", self.title);
        for row in std::iter::once(&self.head).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths.get(column).copied().unwrap_or(0);
                let is_remark = row.len() < self.head.len() && column + 1 == row.len();
                let is_number = row.len() == self.head.len() && self.is_numeric(column);
                let padded = if is_remark {
                    cell.clone()
                } else if is_number {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                line.push_str(&padded);
                line.push_str("  ");
            }
            println!("{}", line.trim_end());
        }
    }

    /// A column is numeric where most of what its whole rows hold starts like a number.
    fn is_numeric(&self, column: usize) -> bool {
        let cells: Vec<&String> =
            self.rows.iter().filter(|row| row.len() == self.head.len()).map(|row| &row[column]).collect();
        let numbers = cells
            .iter()
            .filter(|cell| cell.starts_with(|c: char| c.is_ascii_digit() || "-~[".contains(c)))
            .count();
        numbers * 2 > cells.len()
    }
}
