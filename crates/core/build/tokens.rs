//! Splits Rust sources into tokens, without comments and white space.

/// The tokens of `text`: words, literals with all that is in them, and single signs.
pub(crate) fn of(text: &str) -> Vec<String> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, counts) = if first.is_whitespace() {
            (first.len_utf8(), false)
        } else if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else {
            (literal(rest).unwrap_or_else(|| word(rest, first)), true)
        };
        let (token, after) = rest.split_at(length);
        if counts {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string or character literal, if one begins here.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix);
        after.is_some_and(|after| {
            after.starts_with('"')
                || (*prefix == "b" && after.starts_with('\''))
                || (prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"'))
        })
    });
    let start = prefix.map_or(0, str::len);
    let body = &text[start..];
    if prefix.is_some_and(|prefix| prefix.ends_with('r')) {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let content = &body[hashes + 1..];
        let length = content.find(&end).map_or(content.len(), |at| at + end.len());
        return Some(start + hashes + 1 + length);
    }
    if body.starts_with('"') {
        return Some(start + quoted(body, '"'));
    }
    // A quote begins a lifetime, unless another one ends the character.
    let mut chars = body.strip_prefix('\'')?.chars();
    let is_char = chars.next() == Some('\\') || chars.next() == Some('\'');
    is_char.then(|| start + quoted(body, '\''))
}

/// The length of what stands between two quotes, with them.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if next == '\\' {
            escaped = true;
        } else if next == quote {
            return at + next.len_utf8();
        }
    }
    text.len()
}

/// The length of a word, or of a single sign.
fn word(text: &str, first: char) -> usize {
    let is_part = |next: char| next.is_alphanumeric() || next == '_';
    if is_part(first) {
        text.find(|next| !is_part(next)).unwrap_or(text.len())
    } else {
        first.len_utf8()
    }
}
