//! Failures as exceptions: the one form in which a code and its details cross the wire.
//!
//! Only four kinds of exception cross the wire, so code and detail travel in the text, as
//! `remit/1 <code> <length of detail> <detail> <message>`. The reader skips what capnp-rpc puts
//! before it.

use remit_core::{Code, Failure};

const MARK: &str = "remit/1 ";

/// The longest message or detail that is sent. People read errors, and every relay keeps a copy.
const MAX_BYTES: usize = 16 << 10;

/// The exception that carries `failure`.
pub fn to_exception(failure: &Failure) -> capnp::Error {
    let detail = cut(&failure.detail);
    let text =
        format!("{MARK}{} {} {detail} {}", failure.code, detail.len(), cut(&failure.message));
    match failure.code {
        Code::Limit => capnp::Error::overloaded(text),
        _ => capnp::Error::failed(text),
    }
}

/// The failure that `error` carries. An error in another form gets the code that fits its kind:
/// disconnected is `unavailable`, overloaded is `limit`, the rest are `failed`.
pub fn to_failure(error: &capnp::Error) -> Failure {
    if let Some(failure) = parse(&error.extra) {
        return failure;
    }
    let why = cut(&error.extra);
    match error.kind {
        capnp::ErrorKind::Disconnected | capnp::ErrorKind::PrematureEndOfFile => {
            Failure::new(Code::Unavailable, format!("the connection was lost: {why}"))
        }
        capnp::ErrorKind::Overloaded => Failure::new(Code::Limit, why),
        _ => Failure::new(Code::Failed, cut(&error.to_string())),
    }
}

fn parse(text: &str) -> Option<Failure> {
    let (_, rest) = text.split_once(MARK)?;
    let (code, rest) = rest.split_once(' ')?;
    let (length, rest) = rest.split_once(' ')?;
    let length: usize = length.parse().ok()?;
    let detail = rest.get(..length)?;
    let message = rest.get(length..)?.strip_prefix(' ')?;
    Some(Failure::new(Code::parse(code)?, cut(message)).with_detail(cut(detail)))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_back_behind_any_prefix() {
        for code in Code::ALL {
            for (message, detail) in
                [("", ""), ("a b", "calls=3"), ("line\nline ü", "remit/1 x 9 y"), ("remit/1 ", " ")]
            {
                let failure = Failure::new(code, message).with_detail(detail);
                let mut error = to_exception(&failure);
                assert_eq!(to_failure(&error), failure);
                error.extra = format!("remote exception: remote exception: {}", error.extra);
                assert_eq!(to_failure(&error), failure);
            }
        }
    }

    #[test]
    fn errors_of_another_origin_get_the_code_of_their_kind() {
        for (error, code) in [
            (capnp::Error::disconnected("gone".into()), Code::Unavailable),
            (capnp::Error::overloaded("full".into()), Code::Limit),
            (capnp::Error::unimplemented("no".into()), Code::Failed),
            (capnp::Error::failed("remit/1 denied 99 x".into()), Code::Failed),
        ] {
            assert_eq!(to_failure(&error).code, code);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back(
            code in 0..Code::ALL.len(),
            message in "\\PC*|[ -~\\n]*|(remit/1 [a-z]+ [0-9]+ )+",
            detail in "\\PC*|[ -~\\n]*|(remit/1 [a-z]+ [0-9]+ )+",
            prefix in "[a-z: ]*",
        ) {
            let failure = Failure::new(Code::ALL[code], message).with_detail(detail);
            let mut error = to_exception(&failure);
            error.extra = format!("{prefix}{}", error.extra);
            proptest::prop_assert_eq!(to_failure(&error), failure);
        }

        #[test]
        fn any_text_is_a_failure(text in ".*|remit/1 [a-z-]* [0-9]* .*") {
            let failure = to_failure(&capnp::Error::failed(text));
            proptest::prop_assert!(failure.message.len() <= 2 * MAX_BYTES);
        }
    }

    #[test]
    fn overlong_text_is_cut_at_a_character() {
        let failure = Failure::new(Code::Failed, "ü".repeat(MAX_BYTES));
        assert!(to_failure(&to_exception(&failure)).message.len() <= MAX_BYTES);
    }
}
