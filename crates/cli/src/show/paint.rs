//! Colour, where it is wanted.

/// A meaning that has a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Less important than the rest.
    Dim,
    /// Went well.
    Good,
    /// Needs a look.
    Odd,
    /// Went wrong, or was refused.
    Bad,
    /// A name to find things by.
    Name,
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// For a terminal.
    Colour,
    /// For a file, a pipe, or a person who set `NO_COLOR`.
    Plain,
}

impl Paint {
    /// All that [`Paint::ink`] puts around a text.
    pub(crate) const STYLES: [&str; 6] =
        ["\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[36m", "\x1b[0m"];

    /// `text` in the colour of `ink`.
    pub(crate) fn ink(self, ink: Ink, text: &str) -> String {
        if self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Odd => "33",
            Ink::Bad => "31",
            Ink::Name => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_only_where_it_is_wanted() {
        assert_eq!(Paint::Plain.ink(Ink::Bad, "no"), "no");
        assert_eq!(Paint::Colour.ink(Ink::Bad, "no"), "\x1b[31mno\x1b[0m");
        for ink in [Ink::Dim, Ink::Good, Ink::Odd, Ink::Bad, Ink::Name] {
            let inked = Paint::Colour.ink(ink, " ");
            let (before, after) = inked.split_once(' ').unwrap();
            assert!(Paint::STYLES.contains(&before) && Paint::STYLES.contains(&after), "{ink:?}");
        }
    }
}
