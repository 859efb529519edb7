//! What of a grant nothing bounds: effects whose target an agent may choose.

use super::guard::{Guard, Test};
use super::validate::allows;
use super::{Caveat, path};
use crate::manifest::{Manifest, Method};

/// A method with effects that a grant allows and whose target nothing bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbounded {
    /// The method.
    pub method: String,
    /// Its arguments, each of which the agent chooses.
    pub args: Vec<String>,
}

/// The methods with effects of which a grant leaves the target to whoever holds it: no person is
/// asked, and neither a path, nor an expression over the arguments, nor a test of what an argument
/// is bounds where a call acts. How often and how much is no bound of that kind. `at`: the grant's
/// path below the tool's root; `caveats`: its own and those of all grants above it.
pub fn unbounded_effects(manifest: &Manifest, at: &str, caveats: &[Caveat]) -> Vec<Unbounded> {
    let lists: Vec<&[String]> = caveats.iter().filter_map(Caveat::methods).collect();
    let mut found: Vec<Unbounded> = Vec::new();
    for method in manifest.interfaces.iter().flat_map(|interface| &interface.methods) {
        let granted = !method.read_only && lists.iter().all(|list| allows(list, method));
        let bounded = caveats.iter().any(|caveat| bounds(caveat, method));
        let args = arguments(method);
        let below = !at.is_empty() && method.params.iter().any(|param| param.path);
        let known = found.iter().any(|one| one.method == method.name);
        // Without arguments there is one thing that it can do.
        if granted && !bounded && !below && !args.is_empty() && !known {
            found.push(Unbounded { method: method.name.clone(), args });
        }
    }
    found
}

/// The caveat that has a person decide on just those methods.
pub fn approval_of(unbounded: &[Unbounded]) -> Caveat {
    Caveat::RequiresApproval(unbounded.iter().map(|one| one.method.clone()).collect())
}

fn arguments(method: &Method) -> Vec<String> {
    let declared = method.schema().map(|schema| schema.shape().names()).unwrap_or_default();
    let params = method.params.iter().map(|param| param.name.as_str());
    let mut all: Vec<String> = Vec::new();
    for name in params.chain(declared) {
        if !all.iter().any(|one| one == name) {
            all.push(name.to_owned());
        }
    }
    if method.schema().is_ok_and(|schema| schema.shape().is_open()) {
        all.push("...".into());
    }
    all
}

/// Whether a caveat bounds where a call of a method acts.
fn bounds(caveat: &Caveat, method: &Method) -> bool {
    match caveat {
        Caveat::Only(only, inner) => *only == method.name && bounds(inner, method),
        Caveat::RequiresApproval(names) => names.iter().any(|name| match name.as_str() {
            "*" => true,
            "destructive" => method.destructive,
            "readOnly" => method.read_only,
            "idempotent" => method.read_only || method.idempotent,
            name => name == method.name,
        }),
        Caveat::Path(prefix) => {
            !path::is_within("", prefix) && method.params.iter().any(|param| param.path)
        }
        Caveat::Argument(guard) => chooses(guard),
        Caveat::Cel(source) => source.contains("args") || source.contains("paths"),
        // These bound who, when, how often and how much, and what comes back.
        Caveat::Methods(_)
        | Caveat::ResultBytes(_)
        | Caveat::NoObjects
        | Caveat::Facet(_)
        | Caveat::NotBefore(_)
        | Caveat::Expires(_)
        | Caveat::IdleExpiry(_)
        | Caveat::Calls(_)
        | Caveat::BytesIn(_)
        | Caveat::BytesOut(_)
        | Caveat::Rate(_)
        | Caveat::Concurrency(_)
        | Caveat::Cost(_)
        | Caveat::Audience(_)
        | Caveat::DelegationDepth(_)
        | Caveat::Requires(_)
        | Caveat::Label(_)
        | Caveat::Direct => false,
        // It allows nothing.
        Caveat::Unknown(_) => true,
    }
}

/// Whether a guard says what an argument is, and not only how much of it there may be.
fn chooses(guard: &Guard) -> bool {
    match &guard.test {
        Test::Equals(_)
        | Test::OneOf(_)
        | Test::Prefix(_)
        | Test::Glob(_)
        | Test::Regex(_)
        | Test::List(_) => !guard.optional,
        Test::Range(..) | Test::Length(_) | Test::Count(_) | Test::Keys(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::text::parse_caveat;
    use crate::manifest::{Interface, Param};

    fn manifest() -> Manifest {
        let method = |name: &str, params: &[&str]| Method {
            name: name.into(),
            params: params
                .iter()
                .map(|name| Param {
                    name: (*name).into(),
                    path: *name == "path",
                    ..Param::default()
                })
                .collect(),
            ..Method::default()
        };
        let methods = vec![
            method("send", &["to", "body"]),
            method("store", &["path", "content"]),
            Method { destructive: true, ..method("purge", &["folder"]) },
            method("sync", &[]),
            Method { read_only: true, ..method("look", &["at"]) },
        ];
        let root = Interface { name: "Mail".into(), methods, ..Interface::default() };
        Manifest { tool: "mail".into(), interfaces: vec![root], ..Manifest::default() }
    }

    fn left(at: &str, text: &str) -> Vec<String> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let caveats: Vec<Caveat> = parts.map(|part| parse_caveat(part, 0).unwrap()).collect();
        let left = unbounded_effects(&manifest(), at, &caveats);
        left.into_iter().map(|one| one.method).collect()
    }

    #[test]
    fn effects_whose_target_nothing_bounds_are_named() {
        for (at, caveats, named) in [
            ("", "", &["send", "store", "purge"][..]),
            ("", "calls=3&bytesIn=10&rate=1/m&arg.to=length:..9", &["send", "store", "purge"]),
            ("out", "", &["send", "purge"]),
            ("", "store.path=out&send.arg.to=equals:ann", &["purge"]),
            ("", "path=&methods=store", &["store"]),
            ("", "methods=readOnly", &[]),
            ("", "requiresApproval=destructive", &["send", "store"]),
            ("", "requiresApproval=*", &[]),
            ("", "purge.requiresApproval=true&methods=purge,sync", &[]),
            // Whoever leaves the argument out is not bound by its test.
            ("", "methods=send&arg.to?=equals:ann", &["send"]),
        ] {
            assert_eq!(left(at, caveats), named, "{at} {caveats}");
        }
        let unbounded = unbounded_effects(&manifest(), "", &[]);
        assert_eq!(unbounded[0].args, ["to", "body"]);
        let approved = approval_of(&unbounded);
        assert!(unbounded_effects(&manifest(), "", &[approved]).is_empty());
    }
}
