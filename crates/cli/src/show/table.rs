//! Tables with columns as wide as what is in them, counted in the cells of a terminal, and cut where
//! the terminal is narrower.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::paint::Ink;
use crate::look::Look;

/// What of a cell is shown where the terminal is too narrow for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    All,
    /// Its beginning.
    Start,
    /// Its end, as of an id.
    End,
}

/// The fewest cells that a column is cut to: a mark and the last part of a task's id.
const NARROWEST: usize = 13;

/// Between two columns.
const GAP: usize = 2;

/// Stands where a cell was cut.
const CUT: char = '…';

/// The lines of a table: a header, dim, and its rows. The last column is not padded. On a terminal
/// that is too narrow the widest columns are cut, as far as they may be.
pub(crate) fn lines(header: &[(&str, Keep)], rows: &[Vec<String>], look: Look) -> Vec<String> {
    let heads: Vec<String> = header.iter().map(|(head, _)| (*head).to_owned()).collect();
    let widths = widths(header, rows, look.columns);
    let cut = |row: &Vec<String>| -> Vec<String> {
        let cells = row.iter().zip(header).zip(&widths);
        cells.map(|((cell, (_, keep)), width)| shortened(cell, *keep, *width)).collect()
    };
    let head = look.out.ink(Ink::Dim, &line(&heads, &widths));
    std::iter::once(head).chain(rows.iter().map(|row| line(&cut(row), &widths))).collect()
}

fn widths(header: &[(&str, Keep)], rows: &[Vec<String>], columns: Option<usize>) -> Vec<usize> {
    let width = |(column, (head, _)): (usize, &(&str, Keep))| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain([head.width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = header.iter().enumerate().map(width).collect();
    let Some(columns) = columns else { return widths };
    loop {
        let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let widest = (0..widths.len())
            .filter(|at| header[*at].1 != Keep::All && widths[*at] > NARROWEST)
            .max_by_key(|at| widths[*at]);
        match widest {
            Some(at) if total > columns => widths[at] -= 1,
            _ => return widths,
        }
    }
}

/// As much of a cell as fits into `width`, with a mark where it was cut.
fn shortened(cell: &str, keep: Keep, width: usize) -> String {
    if keep == Keep::All || cell.width() <= width {
        return cell.to_owned();
    }
    let fitting = |chars: &mut dyn Iterator<Item = char>| {
        let mut left = width.saturating_sub(1);
        let mut taken = Vec::new();
        for c in chars {
            let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
            left = rest;
            taken.push(c);
        }
        taken
    };
    match keep {
        Keep::End => {
            let end = fitting(&mut cell.chars().rev());
            std::iter::once(CUT).chain(end.into_iter().rev()).collect()
        }
        Keep::All | Keep::Start => {
            fitting(&mut cell.chars()).into_iter().chain(std::iter::once(CUT)).collect()
        }
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at + 1 == cells.len() {
            out.push_str(cell);
        } else {
            let pad = width - cell.width().min(*width) + GAP;
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', pad));
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::paint::Paint;

    fn look(columns: Option<usize>) -> Look {
        Look { out: Paint::Plain, err: Paint::Plain, lively: false, columns }
    }

    fn shown(header: &[(&str, Keep)], rows: &[&[&str]], columns: Option<usize>) -> Vec<String> {
        let row = |row: &&[&str]| row.iter().map(|&cell| cell.to_owned()).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
        lines(header, &rows, look(columns))
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let header = [("NAME", Keep::All), ("STATUS", Keep::All)];
        let rows: [&[&str]; 2] = [&["a", "running"], &["long-name", "x"]];
        let wanted = ["NAME       STATUS", "a          running", "long-name  x"];
        assert_eq!(shown(&header, &rows, None), wanted);
    }

    #[test]
    fn wide_characters_take_two_cells_and_combining_ones_none() {
        let header = [("NAME", Keep::All), ("X", Keep::All)];
        let rows: [&[&str]; 2] = [&["日本", "x"], &["e\u{301}", "y"]];
        assert_eq!(shown(&header, &rows, None), ["NAME  X", "日本  x", "e\u{301}     y"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_ids_keep_their_ends() {
        let header = [("TASK", Keep::End), ("NAME", Keep::Start), ("STATUS", Keep::All)];
        let id = "0190a6e2-7c1d-7000-8000-00000000aaaa";
        let rows: [&[&str]; 2] = [&[id, "日本語の長い名前です", "completed"], &[id, "short", "x"]];
        let lines = shown(&header, &rows, Some(40));
        assert!(lines.iter().all(|line| line.width() <= 40), "{lines:#?}");
        assert!(lines[1].starts_with('…') && lines[1].contains("00000000aaaa"), "{lines:#?}");
        assert!(lines[1].contains("日本語") && lines[1].contains("completed"), "{lines:#?}");
        let whole = shown(&header, &rows, None);
        assert!(whole[1].contains(id) && whole[1].contains("名前です"), "{whole:#?}");
    }
}
