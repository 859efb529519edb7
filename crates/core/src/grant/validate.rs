//! What a person cannot have meant: a caveat that names what the tool does not have. A slip in
//! `methods` gives a grant that is of no use; one in `requiresApproval` would protect nothing.

use super::guard::Guard;
use super::{Caveat, text};
use crate::failure::{Code, Failure};
use crate::manifest::{Manifest, Method};

/// The classes that a list of methods may name besides methods.
const CLASSES: [&str; 2] = ["readOnly", "idempotent"];
/// Those that a list of methods to approve of may name beyond them.
const OF_APPROVAL: [&str; 2] = ["destructive", "*"];

/// Refuses the first caveat that names a method or an argument that nothing of the tool has, or
/// somebody who is nobody.
pub fn validate_against_manifest(caveats: &[Caveat], manifest: &Manifest) -> Result<(), Failure> {
    for caveat in caveats {
        let slip = match caveat {
            Caveat::Methods(names) => method(names, &CLASSES, manifest),
            Caveat::RequiresApproval(names) => {
                method(names, &[CLASSES, OF_APPROVAL].concat(), manifest)
            }
            Caveat::Argument(guard) => argument(guard, manifest),
            Caveat::Audience(users) => user(users),
            _ => None,
        };
        if let Some(why) = slip {
            let shown: String = text::caveat_text(caveat).chars().take(200).collect();
            let why = format!("`{shown}`: {why}");
            return Err(Failure::new(Code::InvalidArgument, why).with_detail(shown));
        }
    }
    Ok(())
}

fn methods(manifest: &Manifest) -> impl Iterator<Item = &Method> {
    manifest.interfaces.iter().flat_map(|interface| &interface.methods)
}

fn method(names: &[String], classes: &[&str], manifest: &Manifest) -> Option<String> {
    let known = |name: &str| classes.contains(&name) || methods(manifest).any(|m| m.name == name);
    let slip = names.iter().find(|name| !known(name))?;
    let all = methods(manifest).map(|method| method.name.as_str());
    let all = listed(classes.iter().copied().chain(all));
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
    fn of_a_method_that_takes_anything_any_argument_can_be_named() {
        let mut manifest = manifest();
        let open = Method { args_schema: "true".into(), ..Method::default() };
        manifest.interfaces[0].methods.push(open);
        let caveat = text::parse_caveat("arg.pth=prefix:a", 0).unwrap();
        assert_eq!(validate_against_manifest(&[caveat], &manifest), Ok(()));
    }

    fn check(text: &str) -> Result<(), String> {
        let caveat = text::parse_caveat(text, 0).unwrap();
        validate_against_manifest(&[caveat], &manifest()).map_err(|failure| failure.message)
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
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_slip_is_refused_with_what_could_be_meant() {
        for (text, named) in [
            ("methods=wirte", "what can be named is readOnly, idempotent, write"),
            ("requiresApproval=wirte", "readOnly, idempotent, destructive, *, write"),
            ("methods=destructive", "has no method `destructive`"),
            ("arg.pth?=prefix:a", "no method of fs has an argument `pth`; there is path"),
            ("audience=ann", "`ann` is nobody"),
        ] {
            let why = check(text).unwrap_err();
            assert!(why.starts_with(&format!("`{text}`: ")) && why.contains(named), "{why}");
        }
    }
}
