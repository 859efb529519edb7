//! Tables with columns as wide as what is in them, counted in the cells of a terminal.

use unicode_width::UnicodeWidthStr as _;

use super::paint::{Ink, Paint};

/// The lines of a table: a header, dim, and its rows. The last column is not padded.
pub(crate) fn lines(header: &[&str], rows: &[Vec<String>], paint: Paint) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain(header.get(column).map(|head| head.width())).max().unwrap_or(0)
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
            let pad = width - cell.width().min(*width) + 2;
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

    #[test]
    fn a_wide_character_takes_two_cells_and_a_combining_one_none() {
        let rows = vec![vec!["日本".into(), "x".into()], vec!["e\u{301}".into(), "y".into()]];
        let shown = lines(&["NAME", "X"], &rows, Paint::Plain);
        assert_eq!(shown, ["NAME  X", "日本  x", "e\u{301}     y"]);
    }
}
