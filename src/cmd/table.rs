//! Tables for terminals.

use std::fmt::Write;

/// Columns as wide as their widest cell, two spaces between them.
pub(super) fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
