//! A commit as it is stored, read so that a malformed one can be shown too: libgit2 gives none of
//! it then.

use git2::{ObjectType, Odb, Oid};

use super::text;
use crate::kit::Content;
use crate::limits;

/// The parts of a commit, as far as they can be told.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) tree: Option<Oid>,
    pub(super) parents: Vec<Oid>,
    pub(super) author: Person,
    pub(super) committer: Person,
    pub(super) message: String,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
    /// The commit as it is stored, or its beginning, if a part of it could not be read.
    pub(super) raw: Option<Content>,
}

/// Who did something, and when.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) name: Vec<u8>,
    pub(super) address: Vec<u8>,
    /// In seconds since 1970.
    pub(super) time_s: Option<i64>,
}

impl Record {
    /// Reads the commit `id`. One that is missing or damaged is told as that.
    pub(super) fn read(odb: &Odb<'_>, id: Oid) -> Self {
        let broken = |why: String| Self { problem: Some(why), ..Self::default() };
        match odb.read(id) {
            Ok(object) if object.kind() == ObjectType::Commit => Self::parse(object.data()),
            Ok(object) => broken(format!("it is no commit but a {}", object.kind())),
            Err(error) => broken(format!("it cannot be read: {}", error.message())),
        }
    }

    fn parse(stored: &[u8]) -> Self {
        let mut record = Self::default();
        let (mut author, mut committer, mut encoding) = (None, None, None);
        let mut rest = stored;
        while let Some((line, after)) = split_line(rest) {
            rest = after;
            let (key, value) = split_at_space(line);
            match key {
                b"" => break,
                b"tree" => record.tree = oid(value),
                b"parent" => record.parents.extend(oid(value)),
                b"author" => author = author.or(Some(value)),
                b"committer" => committer = committer.or(Some(value)),
                b"encoding" => encoding = Some(value),
                _ => {}
            }
        }
        let (message, legible) = decode(rest, encoding);
        record.message = message;
        let mut wrong = Vec::new();
        if record.tree.is_none() {
            wrong.push("its tree is malformed".to_owned());
        }
        for (what, line, person) in [
            ("author", author, &mut record.author),
            ("committer", committer, &mut record.committer),
        ] {
            let whole = person.parse(line.unwrap_or_default());
            if !whole {
                wrong.push(format!("its {what} is malformed"));
            }
        }
        if !legible {
            wrong.push("its message is not in the encoding that it names".into());
        }
        let names = [&record.author.name, &record.committer.name];
        let odd_name = encoding.is_none() && names.iter().any(|name| text::raw(name).is_some());
        if !wrong.is_empty() || odd_name {
            let most = stored.len().min(limits::GIT_RAW_COMMIT);
            record.raw = Some(Content::Data(stored.get(..most).unwrap_or_default().to_vec()));
        }
        record.problem = (!wrong.is_empty()).then(|| wrong.join(", "));
        if let Some(encoding) = encoding {
            for name in [&mut record.author.name, &mut record.committer.name] {
                *name = decode(name, Some(encoding)).0.into_bytes();
            }
        }
        record
    }
}

impl Person {
    /// Reads `Name <address> seconds zone`. Gives whether all of it was there.
    fn parse(&mut self, line: &[u8]) -> bool {
        let open = line.iter().position(|byte| *byte == b'<');
        let close = line.iter().rposition(|byte| *byte == b'>');
        let (name, address, rest) = match (open, close) {
            (Some(open), Some(close)) if open < close => (
                line.get(..open).unwrap_or_default(),
                line.get(open + 1..close).unwrap_or_default(),
                line.get(close + 1..).unwrap_or_default(),
            ),
            // Without an address, the time is what looks like it.
            _ => {
                let digits = |word: &&[u8]| word.len() > 6 && word.iter().all(u8::is_ascii_digit);
                let time = line.split(|byte| *byte == b' ').find(digits).unwrap_or_default();
                let at = line.windows(time.len().max(1)).position(|part| part == time);
                let name = at.filter(|_| !time.is_empty()).and_then(|at| line.get(..at));
                (name.unwrap_or(line), &[][..], time)
            }
        };
        self.name = name.trim_ascii().to_vec();
        self.address = address.trim_ascii().to_vec();
        let word = rest.trim_ascii().split(|byte| *byte == b' ').next().unwrap_or_default();
        let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<i64>().ok());
        // Later ones are no dates to a script.
        self.time_s = number.filter(|time| time.abs() <= MOST_S);
        open.is_some() && close.is_some() && self.time_s.is_some()
    }

    /// The time in milliseconds since 1970, if it can be told.
    pub(super) fn time_ms(&self) -> Option<i64> {
        Some(self.time_s?.saturating_mul(1000))
    }
}

/// The last second that a date of JavaScript can be.
const MOST_S: i64 = 8_640_000_000_000;

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn split_at_space(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b' ') {
        // Such a line goes on with the header before it.
        Some(0) => (b" ", line),
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
        None => (line, &[]),
    }
}

pub(super) fn oid(hex: &[u8]) -> Option<Oid> {
    let hex = std::str::from_utf8(hex).ok().filter(|hex| hex.len() == 40)?;
    Oid::from_str(hex).ok()
}

/// The text of `bytes`, and whether all of it could be read.
fn decode(bytes: &[u8], encoding: Option<&[u8]>) -> (String, bool) {
    let named = encoding.map(|name| text::lossy(name).to_ascii_lowercase());
    match named.as_deref() {
        Some("iso-8859-1" | "iso8859-1" | "latin1" | "latin-1") => {
            (bytes.iter().map(|byte| char::from(*byte)).collect(), true)
        }
        _ => (text::lossy(bytes), std::str::from_utf8(bytes).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    #[test]
    fn a_malformed_commit_is_read_as_well_as_can_be() {
        for (author, name, address, time, problem) in [
            ("Ann <a@b.c> 7 +0000", "Ann", "a@b.c", Some(7), None),
            ("Ann 1600000000 +0000", "Ann", "", Some(1_600_000_000), Some("author")),
            ("Ann <a@b.c 7 +0000", "Ann <a@b.c 7 +0000", "", None, Some("author")),
            ("Ann <<a>@b.c> 7 +0000", "Ann", "<a>@b.c", Some(7), None),
            ("Ann <a@b.c> never +0000", "Ann", "a@b.c", None, Some("author")),
            ("Ann <a@b.c> 99999999999999999 +0", "Ann", "a@b.c", None, Some("author")),
            ("Ann <a@b.c> -7 +0000", "Ann", "a@b.c", Some(-7), None),
            ("", "", "", None, Some("author")),
        ] {
            let stored =
                format!("tree {TREE}\nauthor {author}\ncommitter B <b> 9 +0000\n\nHello\n");
            let record = Record::parse(stored.as_bytes());
            let found = (text::lossy(&record.author.name), text::lossy(&record.author.address));
            assert_eq!(found, (name.to_owned(), address.to_owned()), "{author}");
            assert_eq!(record.author.time_s, time, "{author}");
            assert_eq!(record.problem.is_some(), problem.is_some(), "{author}");
            assert_eq!(record.raw.is_some(), problem.is_some(), "{author}");
            assert_eq!((record.message.as_str(), record.committer.time_s), ("Hello\n", Some(9)));
        }
    }

    #[test]
    fn a_message_is_read_in_the_encoding_that_it_names() {
        let head = format!("tree {TREE}\nauthor \u{fc} <a> 1 +0\ncommitter B <b> 1 +0\n");
        let latin =
            [head.replace('\u{fc}', "U").as_bytes(), b"encoding ISO-8859-1\n\n\xfc"].concat();
        let record = Record::parse(&latin);
        assert_eq!((record.message.as_str(), record.raw), ("\u{fc}", None));
        let none = [head.as_bytes(), b"\n\xfc"].concat();
        let record = Record::parse(&none);
        assert_eq!(record.message, "\u{fffd}");
        assert_eq!(record.raw, Some(Content::Data(none)));
    }

    #[test]
    fn no_bytes_make_the_reading_fail() {
        for stored in
            [&b""[..], b"\n", b"tree", b"tree \nparent x\n\n", b"author <>", b"author ><\n"]
        {
            assert!(Record::parse(stored).problem.is_some());
        }
    }
}
