//! Reading a text file by lines.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use cap_std::fs::OpenOptions;
use remit_core::Failure;
use schemars::JsonSchema;
use serde::Serialize;

use super::read::open;
use super::root::{AtEnd, Root, failed};
use super::work::Stop;
use crate::kit::{RelPath, Text};
use crate::limits;

/// Which lines are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    /// Where a line begins, in bytes.
    pub(super) offset: u64,
    /// How many lines to pass over from there.
    pub(super) skip: u64,
    /// How many to give.
    pub(super) max: Option<usize>,
}

/// Lines of a file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Lines {
    /// The lines, without their ends and without a byte-order mark before the first.
    lines: Vec<String>,
    /// What to give to the next call for the lines after these; null: there are none.
    next: Option<Next>,
    /// How many U+FFFD in the lines stand for bytes that are no UTF-8.
    replaced: u64,
    /// How many of the lines are longer than what is given of them; `read` gives such a line whole.
    cut: u64,
}

/// Where the lines go on.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Next {
    offset: u64,
}

pub(super) fn lines(
    root: &Root,
    path: &RelPath,
    which: Which,
    stop: &Stop,
) -> Result<Lines, Failure> {
    let place = root.find(path, AtEnd::Follow)?;
    let (mut file, _) = open(root, path, &place, OpenOptions::new().read(true))?;
    file.seek(SeekFrom::Start(which.offset)).map_err(|e| failed(path, &e))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut line = |keep| Line::read(&mut reader, keep, path, stop);
    let mut offset = which.offset;
    for _ in 0..which.skip {
        let Some(passed) = line(0)? else { return Ok(Lines::default()) };
        offset += passed.bytes;
    }
    let most = which.max.unwrap_or(limits::FS_LINES).clamp(1, limits::FS_LINES_MOST);
    let (mut given, mut size) = (Lines::default(), 0);
    // Three bytes more than are given, for a character that the limit cuts.
    while let Some(Line { kept, bytes }) = line(limits::FS_LINE_READ_BYTES + 3)? {
        let first = if offset == 0 { 3 } else { 0 };
        let kept = match kept.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if first > 0 => rest,
            _ => &kept[..],
        };
        let Text { text, replaced } = Text::within(kept, 0, limits::FS_LINE_READ_BYTES);
        size += text.len() as u64;
        if given.lines.len() == most || (size > root.max_read_bytes && !given.lines.is_empty()) {
            given.next = Some(Next { offset });
            break;
        }
        given.cut += u64::from(kept.len() > limits::FS_LINE_READ_BYTES);
        given.replaced += replaced;
        given.lines.push(text);
        offset += bytes;
    }
    Ok(given)
}

/// One line.
struct Line {
    /// Its first bytes, without its end.
    kept: Vec<u8>,
    /// How long it is with its end.
    bytes: u64,
}

impl Line {
    /// The next line, of which `keep` bytes are kept; `None`: there is none.
    fn read(
        reader: &mut impl BufRead,
        keep: usize,
        path: &RelPath,
        stop: &Stop,
    ) -> Result<Option<Self>, Failure> {
        let mut line = Self { kept: Vec::new(), bytes: 0 };
        loop {
            stop.check()?;
            let buffer = reader.fill_buf().map_err(|e| failed(path, &e))?;
            if buffer.is_empty() {
                return Ok((line.bytes > 0).then_some(line));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = keep.saturating_sub(line.kept.len());
            line.kept.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            line.bytes += used as u64;
            reader.consume(used);
            if end.is_some() {
                if line.kept.last() == Some(&b'\r') {
                    line.kept.pop();
                }
                return Ok(Some(line));
            }
        }
    }
}
