//! A new grant held against the manifest of its tool. A slip in `methods` gives a grant that is of no
//! use; one in `requiresApproval` would protect nothing.

use super::guard::{Guard, Step, Test};
use super::{Caveat, text};
use crate::failure::{Code, Failure};
use crate::manifest::{Kinds, Manifest, Method, Shape};

/// The classes that a list of methods may name besides methods.
const CLASSES: [&str; 2] = ["readOnly", "idempotent"];
/// Those that a list of methods to approve of may name beyond them.
const OF_APPROVAL: [&str; 2] = ["destructive", "*"];

/// Refuses the first caveat of a new grant that names a method or an argument that nothing of the
/// tool has, or somebody who is nobody; and one under which no granted method could ever be called.
/// `above`: the caveats of the grants that it is narrowed from.
pub fn validate_against_manifest<'a>(
    caveats: &'a [Caveat],
    above: impl IntoIterator<Item = &'a Caveat>,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let all: Vec<&Caveat> = above.into_iter().chain(caveats).collect();
    let lists: Vec<&[String]> = all.iter().filter_map(|caveat| caveat.methods()).collect();
    let granted: Vec<&Method> =
        methods(manifest).filter(|method| lists.iter().all(|list| allows(list, method))).collect();
    for caveat in caveats {
        let slip = match caveat.of_one_method() {
            Some((name, inner)) => {
                let of: Vec<&Method> =
                    granted.iter().copied().filter(|method| method.name == *name).collect();
                let is_granted = !of.is_empty() || granted.is_empty();
                method(std::slice::from_ref(name), &[], manifest)
                    .or_else(|| (!is_granted).then(|| format!("the grant does not allow `{name}`")))
                    .or_else(|| slip(inner, &of, manifest, &all))
            }
            None => slip(caveat, &granted, manifest, &all),
        };
        if let Some(why) = slip {
            let shown: String = text::caveat_text(caveat).chars().take(200).collect();
            let why = format!("`{shown}`: {why}");
            return Err(Failure::new(Code::InvalidArgument, why).with_detail(shown));
        }
    }
    Ok(())
}

/// What is wrong with a caveat of some methods, if anything is. `all`: those of the whole chain.
fn slip(
    caveat: &Caveat,
    granted: &[&Method],
    manifest: &Manifest,
    all: &[&Caveat],
) -> Option<String> {
    match caveat {
        Caveat::Methods(names) => method(names, &CLASSES, manifest),
        Caveat::RequiresApproval(names) => {
            method(names, &[CLASSES, OF_APPROVAL].concat(), manifest)
        }
        Caveat::Argument(guard) => argument(guard, manifest)
            .or_else(|| never_passes(guard, granted))
            .or_else(|| passed_by(&guard.at, granted, all)),
        Caveat::Cel(source) if source.contains("args") => {
            passed_by(&[Step::Name(String::new())], granted, all)
        }
        Caveat::Audience(users) => user(users),
        // These name nothing of the tool.
        Caveat::Path(_)
        | Caveat::Cel(_)
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
        | Caveat::DelegationDepth(_)
        | Caveat::Requires(_)
        | Caveat::Label(_)
        | Caveat::Direct
        | Caveat::Only(..)
        | Caveat::Unknown(_) => None,
    }
}

/// How a guard is passed by: at a step by name a granted method takes fields that its schema does not
/// name, so that one of another name could mean the same to the tool. Unless the names that there
/// may be are said as well, such a guard protects nothing.
fn passed_by(at: &[Step], granted: &[&Method], all: &[&Caveat]) -> Option<String> {
    let (method, open) = granted.iter().find_map(|method| {
        let named = (0..at.len()).filter(|end| matches!(at[*end], Step::Name(_)));
        let open = |end: &usize| {
            let before = &at[..*end];
            shape_at(method, before).is_some_and(|shape| shape.is_open())
                && !all.iter().any(|caveat| names_all(caveat, before, &method.name))
        };
        Some((method, named.into_iter().find(open)?))
    })?;
    let place = Guard { at: at[..open].to_vec(), optional: open > 0, test: Test::Keys(Vec::new()) };
    let place = text::caveat_text(&Caveat::Argument(place));
    Some(format!(
        "`{}` takes fields there that it does not name, so another name could mean the same: say which there may be as well, as in {place}a,b",
        method.name
    ))
}

/// Whether a caveat says which fields there may be at a place in the arguments of a method.
fn names_all(caveat: &Caveat, at: &[Step], method: &str) -> bool {
    match caveat.of_one_method() {
        Some((only, inner)) => only == method && names_all(inner, at, method),
        None => {
            matches!(caveat, Caveat::Argument(Guard { at: place, test: Test::Keys(_), .. }) if place == at)
        }
    }
}

/// Whether a list of methods and classes allows a method.
pub(super) fn allows(list: &[String], method: &Method) -> bool {
    list.iter().any(|name| match name.as_str() {
        "readOnly" if method.read_only => true,
        "idempotent" if method.read_only || method.idempotent => true,
        name => name == method.name,
    })
}

/// Whether the lists of methods among `caveats` leave a method. Other caveats may refuse its calls.
pub fn permits(caveats: &[Caveat], method: &Method) -> bool {
    caveats.iter().filter_map(Caveat::methods).all(|list| allows(list, method))
}

/// Why a guard lets no granted method be called, if it does not.
fn never_passes(guard: &Guard, granted: &[&Method]) -> Option<String> {
    let places: Vec<(&Method, Kinds)> = granted
        .iter()
        .filter_map(|method| Some((*method, shape_at(method, &guard.at)?.kinds())))
        .collect();
    let Some((method, kinds)) = places.first() else {
        if guard.optional || granted.is_empty() {
            return None;
        }
        let names = listed(granted.iter().map(|method| method.name.as_str()));
        return Some(format!(
            "none of the granted methods has that argument, so every call would be refused: {names}"
        ));
    };
    let tested = guard.kinds();
    if places.iter().any(|(_, kinds)| !kinds.and(tested).is_none()) {
        return None;
    }
    let hint = match kinds.and(Kinds::LIST.or(Kinds::FIELDS)).is_none() {
        true => "",
        false => "; `.*` after its name looks at each element",
    };
    Some(format!(
        "it passes {}, and of `{}` that argument is {}, so every call would be refused{hint}",
        tested.in_words(),
        method.name,
        kinds.in_words()
    ))
}

/// What can stand where a guard looks; nothing: the method has no such argument.
fn shape_at<'a>(method: &'a Method, at: &[Step]) -> Option<Shape<'a>> {
    let shape = method.schema().ok()?.shape();
    at.iter().try_fold(shape, |shape, step| match step {
        Step::Name(name) => shape.named(name),
        Step::Each => Some(shape.each()),
    })
}

fn methods(manifest: &Manifest) -> impl Iterator<Item = &Method> {
    manifest.interfaces.iter().flat_map(|interface| &interface.methods)
}

fn method(names: &[String], classes: &[&str], manifest: &Manifest) -> Option<String> {
    let known = |name: &str| classes.contains(&name) || methods(manifest).any(|m| m.name == name);
    let slip = names.iter().find(|name| !known(name))?;
    let all = methods(manifest).map(|method| method.name.as_str());
    let all = listed(classes.iter().copied().chain(all));
    let slip: String = slip.chars().take(80).collect();
    Some(format!("{} has no method `{slip}`; what can be named is {all}", manifest.tool))
}

fn argument(guard: &Guard, manifest: &Manifest) -> Option<String> {
    let name = guard.argument()?;
    let takes = |method: &Method| method.may_take(name);
    if methods(manifest).any(takes) {
        return None;
    }
    let all = methods(manifest).flat_map(|method| &method.params);
    let all = listed(all.map(|param| param.name.as_str()));
    Some(format!("no method of {} has an argument `{name}`; there is {all}", manifest.tool))
}

fn user(users: &[String]) -> Option<String> {
    let known =
        |user: &str| user == "task" || user.starts_with("task:") || user.starts_with("spiffe://");
    let slip = users.iter().find(|user| !known(user))?;
    Some(format!(
        "`{slip}` is nobody: write task, task:ID or spiffe://<mesh>/<tenant>/<role>/<name>"
    ))
}

/// Names once each, in the order in which they come.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Interface, Param};

    fn manifest() -> Manifest {
        let path = Param { name: "path".into(), ..Param::default() };
        let write = Method {
            name: "write".into(),
            params: vec![path],
            args_schema: r#"{"properties":{"path":{},"mode":{}}}"#.into(),
            ..Method::default()
        };
        let dir = Interface { name: "Dir".into(), methods: vec![write], ..Interface::default() };
        Manifest { tool: "fs".into(), interfaces: vec![dir], ..Manifest::default() }
    }

    #[test]
    fn a_guard_on_fields_of_any_name_says_which_names_there_may_be() {
        let mut manifest = manifest();
        let get = Method {
            name: "get".into(),
            args_schema: r#"{"properties":{"headers":{"additionalProperties":{"type":"string"}}}}"#
                .into(),
            ..Method::default()
        };
        let open = Method { name: "any".into(), args_schema: "true".into(), ..Method::default() };
        manifest.interfaces[0].methods.extend([open, get]);
        let check = |text: &str| {
            let caveats: Vec<Caveat> =
                text.split('&').map(|part| text::parse_caveat(part, 0).unwrap()).collect();
            validate_against_manifest(&caveats, [], &manifest).map_err(|failure| failure.message)
        };
        for (text, hint) in [
            ("methods=any&arg.to=equals:ann", "`any` takes fields"),
            ("any.arg.to=equals:ann", "as in arg=keys:a,b"),
            ("any.cel=args.to=='ann'", "as in arg=keys:a,b"),
            ("get.arg.headers.accept=equals:a", "as in arg.headers?=keys:a,b"),
            ("get.arg.headers.accept=equals:a&get.arg=keys:headers", "`get` takes"),
            ("get.arg.headers.accept=equals:a&any.arg.headers=keys:accept", "`get` takes"),
        ] {
            let why = check(text).unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
        for text in [
            "any.arg=keys:to&any.arg.to=equals:ann",
            "get.arg.headers.accept=equals:a&get.arg.headers=keys:accept",
            "get.arg.headers.*=length:..9",
            "write.arg.path=prefix:a",
            "any.cel=method=='x'",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    fn check(text: &str) -> Result<(), String> {
        let caveat = text::parse_caveat(text, 0).unwrap();
        validate_against_manifest(&[caveat], [], &manifest()).map_err(|failure| failure.message)
    }

    #[test]
    fn what_the_tool_has_may_be_named() {
        for text in [
            "methods=write,readOnly,idempotent",
            "methods=",
            "requiresApproval=write,destructive,*",
            "facet=File",
            "arg.path=prefix:a",
            "arg.mode?=equals:1",
            "arg.*=equals:1",
            "audience=task,spiffe://home/default/client/ann",
            "moon=full",
            "calls=3",
            "write.calls=3",
            "write.requiresApproval=true",
            "write.arg.path=prefix:a",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_grant_that_refuses_every_call_is_refused_when_it_is_made() {
        let mut manifest = manifest();
        let send = Method {
            name: "send".into(),
            args_schema: r#"{"properties":{"to":{"type":"array","items":{"type":"string"}},
                "subject":{"type":"string"},"size":{"type":"integer"}}}"#
                .into(),
            ..Method::default()
        };
        let look = Method { name: "look".into(), read_only: true, ..Method::default() };
        manifest.interfaces[0].methods.extend([send, look]);
        let check = |text: &str| {
            let caveats: Vec<Caveat> =
                text.split('&').map(|part| text::parse_caveat(part, 0).unwrap()).collect();
            validate_against_manifest(&caveats, [], &manifest).map_err(|failure| failure.message)
        };
        for (text, why) in [
            ("arg.to=oneOf:ann,bob", "`.*` after its name"),
            ("arg.to=prefix:ann", "that argument is a list"),
            ("arg.to.*=range:1..2", "that argument is text"),
            ("arg.subject.*=equals:a", "that argument is nothing"),
            ("arg.size=regex:[0-9]", "a whole number"),
            ("methods=look&arg.to.*=equals:ann", "none of the granted methods has that argument"),
            ("methods=readOnly&arg.subject=equals:a", "look"),
        ] {
            let refused = check(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        for text in [
            "arg.to.*=oneOf:ann,bob",
            "arg.to=count:1..2",
            "arg.to.0=equals:ann",
            "methods=send&arg.subject=length:..9",
            "methods=look&arg.to?.*=equals:ann",
            "methods=&arg.to=count:1",
        ] {
            let text = text.replace("?.*", ".*?");
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        let above = text::parse_caveat("methods=look", 0).unwrap();
        let below = text::parse_caveat("arg.to=count:1", 0).unwrap();
        assert!(validate_against_manifest(&[below], [&above], &manifest).is_err());
    }

    #[test]
    fn a_slip_is_refused_with_what_could_be_meant() {
        for (text, named) in [
            ("methods=wirte", "what can be named is readOnly, idempotent, write"),
            ("requiresApproval=wirte", "readOnly, idempotent, destructive, *, write"),
            ("methods=destructive", "has no method `destructive`"),
            ("arg.pth?=prefix:a", "no method of fs has an argument `pth`; there is path"),
            ("audience=ann", "`ann` is nobody"),
            ("wirte.calls=3", "has no method `wirte`"),
            ("write.arg.pth=equals:a", "no method of fs has an argument `pth`"),
        ] {
            let why = check(text).unwrap_err();
            assert!(why.starts_with(&format!("`{text}`: ")) && why.contains(named), "{why}");
        }
    }
}
