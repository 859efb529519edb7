//! Finds what a module imports, without understanding the rest of it.

use std::iter::Peekable;
use std::str::Chars;

/// The part of a module that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// The specifiers of all static imports and re-exports, and of `import("...")` with a plain text.
/// Those of types alone are left out: they are gone before the module runs.
pub(super) fn of(source: &str) -> Vec<String> {
    let tokens = Scanner { chars: source.chars().peekable(), tokens: Vec::new() }.run();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let member = at > 0 && tokens[at - 1] == Token::Sign('.');
        at += 1;
        let specifier = match token {
            Token::Word(word) if member || (word != "import" && word != "export") => None,
            Token::Word(word) => statement(word == "import", &tokens[at..]),
            _ => None,
        };
        found.extend(specifier);
    }
    found
}

/// The specifier of the statement that goes on with `rest`.
fn statement(import: bool, rest: &[Token]) -> Option<String> {
    let word = |token: Option<&Token>, text: &str| token == Some(&Token::Word(text.to_owned()));
    match rest.first()? {
        Token::Text(text) if import => return Some(text.clone()),
        Token::Sign('(') if import => {
            return match rest.get(1) {
                Some(Token::Text(text)) => Some(text.clone()),
                _ => None,
            };
        }
        Token::Sign('{' | '*') => {}
        Token::Word(first) if import && (first != "type" || word(rest.get(1), "from")) => {}
        _ => return None,
    }
    // What stands before `from` is names, braces, commas and `*`: anything else ends the search.
    for pair in rest.windows(2) {
        match pair {
            [Token::Word(from), Token::Text(text)] if from == "from" => return Some(text.clone()),
            [Token::Sign(sign), _] if !"{},*".contains(*sign) => return None,
            _ => {}
        }
    }
    None
}

struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    tokens: Vec<Token>,
}

impl Scanner<'_> {
    fn run(mut self) -> Vec<Token> {
        while let Some(c) = self.chars.next() {
            match c {
                '"' | '\'' => self.text(c),
                '`' => self.template(),
                '/' => self.slash(),
                c if c.is_alphanumeric() || c == '_' || c == '$' => self.word(c),
                c if c.is_whitespace() => {}
                c => self.tokens.push(Token::Sign(c)),
            }
        }
        self.tokens
    }

    fn word(&mut self, first: char) {
        let mut word = String::from(first);
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '$') {
            word.push(c);
        }
        self.tokens.push(Token::Word(word));
    }

    fn text(&mut self, quote: char) {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != '\n') {
            match c {
                c if c == quote => break,
                '\\' => text.extend(self.chars.next()),
                c => text.push(c),
            }
        }
        self.tokens.push(Token::Text(text));
    }

    /// A template is left out; what it embeds cannot be a static import.
    fn template(&mut self) {
        // For each template that is open, one within the other, the braces that are open in it.
        let mut open = vec![0_u32];
        while let Some(braces) = open.last_mut() {
            match self.chars.next() {
                None => break,
                Some('\\') => {
                    self.chars.next();
                }
                Some('`') if *braces == 0 => {
                    open.pop();
                }
                Some('`') => open.push(0),
                Some('$') if self.chars.peek() == Some(&'{') => {
                    self.chars.next();
                    *braces += 1;
                }
                Some('{') if *braces > 0 => *braces += 1,
                Some('}') if *braces > 0 => *braces -= 1,
                Some(_) => {}
            }
        }
        self.tokens.push(Token::Sign('`'));
    }

    fn slash(&mut self) {
        match self.chars.peek().copied() {
            Some('/') => while self.chars.next_if(|c| *c != '\n').is_some() {},
            Some('*') => {
                self.chars.next();
                let mut last = ' ';
                for c in self.chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            _ if self.begins_expression() => self.pattern(),
            _ => self.tokens.push(Token::Sign('/')),
        }
    }

    /// Whether a value may begin here, so that a slash begins a pattern and does not divide.
    fn begins_expression(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some(Token::Sign(sign)) => !")]}`".contains(*sign),
            Some(Token::Word(word)) => matches!(word.as_str(), "return" | "typeof" | "case"),
            Some(Token::Text(_)) => false,
        }
    }

    fn pattern(&mut self) {
        let mut in_class = false;
        while let Some(c) = self.chars.next_if(|c| *c != '\n') {
            match c {
                '\\' => {
                    self.chars.next();
                }
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => break,
                _ => {}
            }
        }
        self.tokens.push(Token::Sign('`'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        assert_eq!(of(source), expected, "{source}");
    }

    #[test]
    fn every_form_of_import_is_found() {
        check("import './a';import \"./b\"", &["./a", "./b"]);
        check("import a from './a'", &["./a"]);
        check("import a, { b as c, default as d } from './a'", &["./a"]);
        check("import * as a from './a'", &["./a"]);
        check("import {\n  a,\n  type B,\n} from './a'", &["./a"]);
        check(
            "export { a } from './a'; export * from './b'; export * as c from './c'",
            &["./a", "./b", "./c"],
        );
        check("const a = await import('./a')", &["./a"]);
        check("import type from './a'", &["./a"]);
    }

    #[test]
    fn templates_within_templates_are_passed_over_however_deep() {
        check("`a${ { b: `c${d}` } }e`; import './a'", &["./a"]);
        let deep = format!("{}{}; import './a'", "`${".repeat(200_000), "}`".repeat(200_000));
        check(&deep, &["./a"]);
    }

    #[test]
    fn what_only_looks_like_an_import_is_not() {
        check("// import './a'\n/* import './b' */ 'import \"./c\"'; `import './d' ${x}`", &[]);
        check("import type { A } from './a'; export type { B } from './b'", &[]);
        check("export const from = './a'; export default 'x'; a.import('./b')", &[]);
        check("export { a }; const from = 1; from './x'", &[]);
        check("const q = /['\"`]/g; import './a'", &["./a"]);
        check("const half = a / 2; const b = 'x/y'; import './a'", &["./a"]);
        check("import(name); import.meta.url", &[]);
    }
}
