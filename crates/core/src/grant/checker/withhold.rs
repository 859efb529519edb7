//! What a caveat says to the result of a call that was made.

use super::verdict::unknown;
use crate::grant::Caveat;

/// Why a result is withheld, if it is. `spent`: the bytes of results with this one.
pub(super) fn withholds(
    caveat: &Caveat,
    (bytes, holds_object, object): (u64, bool, Option<&str>),
    spent: u64,
    takes: u64,
) -> Option<String> {
    match caveat {
        Caveat::ResultBytes(most) => (bytes > *most)
            .then(|| format!("the result has {bytes} bytes, and at most {most} are allowed")),
        Caveat::BytesOut(most) => (takes > 0 && spent > *most)
            .then(|| format!("the result exceeds the budget of {most} bytes")),
        Caveat::NoObjects => (object.is_some() || holds_object)
            .then(|| "the result holds an object, and none is allowed".into()),
        Caveat::Facet(allowed) => {
            let other = object.is_some_and(|name| !allowed.iter().any(|a| a == name));
            (other || holds_object).then(|| {
                format!("the result holds an object that is none of {}", allowed.join(", "))
            })
        }
        Caveat::Unknown(written) => Some(unknown(written)),
        Caveat::Only(..) => Some("a condition on one method cannot be checked here".into()),
        // These were checked before the call was sent.
        Caveat::Methods(_)
        | Caveat::Path(_)
        | Caveat::Argument(_)
        | Caveat::Cel(_)
        | Caveat::NotBefore(_)
        | Caveat::Expires(_)
        | Caveat::IdleExpiry(_)
        | Caveat::Calls(_)
        | Caveat::BytesIn(_)
        | Caveat::Rate(_)
        | Caveat::Concurrency(_)
        | Caveat::Cost(_)
        | Caveat::Audience(_)
        | Caveat::DelegationDepth(_)
        | Caveat::RequiresApproval(_)
        | Caveat::Requires(_)
        | Caveat::Label(_)
        | Caveat::Direct => None,
    }
}
