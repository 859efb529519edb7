//! Tables with columns as wide as what is in them.

use super::paint::{Ink, Paint};

/// The lines of a table: a header, dim, and its rows. The last column is not padded.
pub(crate) fn lines(header: &[&str], rows: &[Vec<String>], paint: Paint) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(header.get(column).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let head = paint.ink(Ink::Dim, &line(&header, &widths));
    std::iter::once(head).chain(rows.iter().map(|row| line(row, &widths))).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at + 1 == cells.len() {
            out.push_str(cell);
        } else {
            let pad = width - cell.chars().count().min(*width) + 2;
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', pad));
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = vec![vec!["a".into(), "running".into()], vec!["long-name".into(), "x".into()]];
        let shown = lines(&["NAME", "STATUS"], &rows, Paint::Plain);
        assert_eq!(shown, ["NAME       STATUS", "a          running", "long-name  x"]);
    }
}
