//! Patterns of text, compiled within bounds and matched in time linear in the text.

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};

use super::guard::Test;
use crate::limits;

/// A compiled glob or regular expression. The whole text must match.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles the pattern of a test; an error if it is none, is wrong or takes too much memory.
    pub fn compile(test: &Test) -> Result<Self, String> {
        let (Test::Regex(source) | Test::Glob(source)) = test else {
            return Err("not a pattern".into());
        };
        if source.len() > limits::MAX_PATTERN_BYTES {
            return Err(format!("a pattern of more than {} bytes", limits::MAX_PATTERN_BYTES));
        }
        if matches!(test, Test::Regex(_)) {
            // By itself first: `a)|(b` would be well formed only between our parentheses.
            build(source)?;
            return build(&format!(r"\A(?:{source})\z")).map(Self);
        }
        let glob = GlobBuilder::new(source)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| error.to_string())?;
        // A new line is a character like any other to a glob.
        build(&format!("(?s){}", glob.regex())).map(Self)
    }

    /// Whether the whole text matches. A text too long to look at does not.
    pub fn matches(&self, text: &str) -> bool {
        text.len() <= limits::MAX_MATCHED_BYTES && self.0.is_match(text.as_bytes())
    }
}

fn build(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .size_limit(limits::MAX_PATTERN_MEMORY)
        .dfa_size_limit(limits::MAX_PATTERN_MEMORY)
        .nest_limit(limits::MAX_PATTERN_DEPTH)
        .build()
        .map_err(|error| error.to_string())
}
