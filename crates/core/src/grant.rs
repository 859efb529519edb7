//! Caveats: the conditions on a grant, and the check of one call against one of them.
//!
//! All caveats of a grant and of its ancestors must hold. One that is not known refuses every call.

pub mod path;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::failure::{Code, Failure};

/// One condition on the use of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caveat {
    /// Only these methods. `readOnly` and `idempotent` stand for the methods so annotated.
    Methods(Vec<String>),
    /// Only on and below this path, seen from the grant's root, normalised.
    Path(String),
    /// At most so many calls, counting those of grants narrowed from this one.
    Calls(u64),
    /// Not at or after this moment, in milliseconds since 1970.
    Expires(u64),
    /// Something this version does not know, as it was written. Always refuses.
    Unknown(String),
}

/// What a caveat needs to know of a call.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The method that is called.
    pub method: &'a str,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// Whether doing it twice is the same as doing it once.
    pub idempotent: bool,
    /// Where the call acts, seen from the grant's root: the object's own place, or one for each
    /// path argument. Empty if nobody can tell where an object stands.
    pub paths: &'a [String],
    /// How many calls were charged to the grant so far.
    pub used: u64,
    /// The time of the call, in milliseconds since 1970.
    pub now_ms: u64,
}

impl Caveat {
    /// Whether this caveat allows `used`; if not, why. The failure's detail is the caveat as text.
    pub fn check(&self, usage: &Use<'_>) -> Result<(), Failure> {
        let refuse =
            |why: String| Err(Failure::new(Code::Denied, why).with_detail(text::caveat_text(self)));
        match self {
            Self::Methods(allowed) => {
                let by_class = |class: &str| {
                    (class == "readOnly" && usage.read_only)
                        || (class == "idempotent" && (usage.idempotent || usage.read_only))
                };
                if allowed.iter().any(|name| name == usage.method || by_class(name)) {
                    return Ok(());
                }
                refuse(format!(
                    "the grant does not allow the method `{}`, only {}",
                    usage.method,
                    allowed.join(", ")
                ))
            }
            Self::Path(prefix) => match usage.paths.iter().find(|p| !path::is_within(p, prefix)) {
                Some(outside) => refuse(format!("`{outside}` is not within `{prefix}`")),
                None if usage.paths.is_empty() => {
                    refuse("nobody can tell where this object stands".into())
                }
                None => Ok(()),
            },
            Self::Calls(most) if usage.used >= *most => {
                refuse(format!("the budget of {most} calls is spent"))
            }
            Self::Expires(at) if usage.now_ms >= *at => {
                refuse(format!("the grant expired at {}", text::moment(*at)))
            }
            Self::Calls(_) | Self::Expires(_) => Ok(()),
            Self::Unknown(written) => {
                refuse(format!("the caveat `{written}` is not known here, so nothing is allowed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used<'a>(method: &'a str, paths: &'a [String]) -> Use<'a> {
        Use { method, read_only: false, idempotent: false, paths, used: 3, now_ms: 1_000 }
    }

    #[track_caller]
    fn check(caveat: &Caveat, usage: &Use<'_>, allowed: bool) {
        let result = caveat.check(usage);
        assert_eq!(result.is_ok(), allowed, "{caveat:?} {usage:?}");
        if let Err(failure) = result {
            assert_eq!(failure.code, Code::Denied);
            assert!(!failure.detail.is_empty());
        }
    }

    #[test]
    fn only_named_methods_and_classes_are_allowed() {
        let caveat = Caveat::Methods(vec!["write".into(), "readOnly".into()]);
        check(&caveat, &used("write", &[]), true);
        check(&caveat, &used("remove", &[]), false);
        check(&caveat, &Use { read_only: true, ..used("list", &[]) }, true);
        check(&Caveat::Methods(vec![]), &used("write", &[]), false);
    }

    #[test]
    fn a_path_outside_the_prefix_is_refused() {
        let caveat = Caveat::Path("src".into());
        for (path, allowed) in
            [("src", true), ("src/a", true), ("srcs", false), ("", false), ("lib/src", false)]
        {
            check(&caveat, &used("read", &[path.to_owned()]), allowed);
        }
        check(&caveat, &used("read", &["src/a".into(), "b".into()]), false);
        check(&caveat, &used("read", &[]), false);
    }

    #[test]
    fn a_spent_budget_and_a_past_moment_refuse() {
        check(&Caveat::Calls(4), &used("read", &[]), true);
        check(&Caveat::Calls(3), &used("read", &[]), false);
        check(&Caveat::Expires(1_001), &used("read", &[]), true);
        check(&Caveat::Expires(1_000), &used("read", &[]), false);
    }

    #[test]
    fn an_unknown_caveat_refuses() {
        check(&Caveat::Unknown("moon=full".into()), &used("read", &[]), false);
    }
}
