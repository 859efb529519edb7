//! Whether a call is allowed: what it means, and what the caveats of its grant's whole chain say.

use std::borrow::Cow;

use super::call::CallCommand;
use super::{Task, charge};
use crate::failure::{Code, Failure};
use crate::grant::{Budgets, Caveat, Place, Use, Verdict, path, text};
use crate::id::{GrantId, ObjectId};
use crate::manifest::Method;
use crate::value::Value;

/// A call that the caveats allow, so far as arguments go.
#[derive(Default)]
pub(super) struct Understood {
    pub(super) args: Value,
    pub(super) path: String,
    pub(super) returns: String,
    pub(super) read_only: bool,
    pub(super) idempotent: bool,
    pub(super) destructive: bool,
    /// Whether a manifest says what the arguments are called.
    described: bool,
    /// Which arguments are paths.
    path_args: Vec<String>,
    paths: Vec<String>,
    /// Where the object stands, from which the paths among the arguments are seen.
    place: String,
}

impl Task {
    /// Whether the grant's whole chain allows the call, and the caveat that asks for a person's
    /// approval first, if one does.
    pub(super) fn allow(
        &self,
        call: &CallCommand,
        grant: GrantId,
        now_ms: u64,
    ) -> Result<(Understood, Option<String>), Failure> {
        self.check_usable(call.object, grant)?;
        let understood = self.understand(call, grant)?;
        let user = self.user(call);
        let root = self.chain(grant).next().map_or("", |held| &held.grant.path);
        let mut place = match call.object {
            ObjectId::Grant(_) => Place::Root,
            object => Place::Obtained(self.interface_of(object)),
        };
        // What is known only when the call has ended is asked for as one, so that there is some.
        let bytes_in = charge::bytes(&understood.args);
        let amount = Budgets { calls: 1, cost: 1, bytes_in, bytes_out: 1 };
        let mut approval = None;
        for ((held, takes), distance) in self.takes(grant, amount).zip(0..) {
            let between = between(&held.grant.path, root)?;
            let paths = seen_from(between, &understood.paths)?;
            let args = understood.described.then(|| match held.checker.looks_at_args() {
                true => understood.args_seen_from(between),
                false => Cow::Borrowed(&understood.args),
            });
            let verdict = held.checker.check(&Use {
                method: &call.method,
                read_only: understood.read_only,
                idempotent: understood.idempotent,
                destructive: understood.destructive,
                returns: &understood.returns,
                place,
                args: args.as_deref(),
                path_args: &understood.path_args,
                paths: &paths,
                user: &user,
                now_ms,
                usage: &held.usage,
                takes,
                distance,
                lives: &|need| self.lives(need, now_ms),
            });
            match verdict {
                Verdict::Allowed => {}
                Verdict::AllowedOnceApproved(caveat) => approval = approval.or(Some(caveat)),
                Verdict::Refused(failure) => return Err(failure),
            }
            charge::check_purse(&held.usage, takes)?;
            // To the grants above, the root of a derived one is an object obtained through them.
            if let Some(derived) = &held.grant.derived
                && !matches!(derived.object, ObjectId::Grant(_))
                && place == Place::Root
            {
                place = Place::Obtained(self.interface_of(ObjectId::Grant(held.grant.grant)));
            }
        }
        Ok((understood, approval))
    }

    /// Who makes a call: the holder of a grant that was passed on, the tool that was lent an
    /// object, or the task's own agent.
    pub(super) fn user(&self, call: &CallCommand) -> String {
        let holder = call.delegate.as_ref().and_then(|delegate| self.grants.get(&delegate.grant));
        let lender = call.through.and_then(|lender| self.request(lender));
        let tool = lender.and_then(|request| self.grants.get(&request.grant));
        match (holder, tool) {
            (Some(held), _) => held.grant.holder.clone(),
            (None, Some(held)) => held.grant.node.clone(),
            // Whoever it was is gone, and has no name that could be on a list.
            (None, None) if call.delegate.is_some() || call.through.is_some() => String::new(),
            (None, None) => "task".into(),
        }
    }

    /// The call with its arguments by name and its paths seen from the grant's root.
    fn understand(&self, call: &CallCommand, grant: GrantId) -> Result<Understood, Failure> {
        let place = self.path_of(call.object).map(str::to_owned);
        let Some(interface) = self.interface_of(call.object) else {
            // An object that no manifest describes: nothing is known, so nothing is assumed.
            return Ok(Understood { args: call.args.clone(), ..Understood::default() });
        };
        let method = self.method(grant, interface, &call.method)?;
        let invalid = |why: String| Failure::new(Code::InvalidArgument, why);
        let mut args = method.named_args(call.args.clone()).map_err(invalid)?;
        let (mut paths, mut path_args) = (Vec::new(), Vec::new());
        for (name, value) in &mut args {
            if method.params.iter().any(|param| param.path && param.name == *name) {
                path_args.push(name.clone());
                let wrong = |why| invalid(why).with_detail(name.clone());
                let given = normalised(value).map_err(wrong)?;
                if let Some(place) = &place {
                    let join = |given: &String| path::join(place, given);
                    let seen = given.iter().map(join).collect::<Result<Vec<_>, _>>();
                    paths.extend(seen.map_err(|bad| wrong(bad.to_string()))?);
                }
            }
        }
        if paths.is_empty() {
            paths.extend(place.clone());
        }
        Ok(Understood {
            args: Value::Fields(args),
            path: paths.first().cloned().unwrap_or_default(),
            returns: method.returns.clone(),
            read_only: method.read_only,
            idempotent: method.idempotent,
            destructive: method.destructive,
            described: place.is_some(),
            path_args,
            paths,
            place: place.unwrap_or_default(),
        })
    }

    fn method(&self, grant: GrantId, interface: &str, name: &str) -> Result<&Method, Failure> {
        let lost = || Failure::new(Code::ObjectLost, "the object's grant is gone");
        let held = self.grants.get(&grant).ok_or_else(lost)?;
        let manifest = &held.grant.manifest;
        manifest.method(interface, name).ok_or_else(|| {
            if let Some(changed) = held.pin.lost(interface, name) {
                return changed;
            }
            let known: Vec<&str> = manifest
                .interface(interface)
                .map(|i| i.methods.iter().map(|m| m.name.as_str()).collect())
                .unwrap_or_default();
            Failure::new(
                Code::NotFound,
                format!(
                    "{interface} of {} has no method `{name}`; it has {}",
                    manifest.tool,
                    known.join(", ")
                ),
            )
        })
    }
}

impl Understood {
    /// The arguments with their paths as seen from an ancestor's root, to which `between` is the
    /// way.
    fn args_seen_from(&self, between: &str) -> Cow<'_, Value> {
        let Value::Fields(fields) = &self.args else { return Cow::Borrowed(&self.args) };
        if self.path_args.is_empty() || (between.is_empty() && self.place.is_empty()) {
            return Cow::Borrowed(&self.args);
        }
        let seen = |path: &str| {
            // Both were joined once already, so that neither can be too long or leave its base.
            let whole = path::join(&self.place, path).and_then(|path| path::join(between, &path));
            Value::Text(whole.unwrap_or_default())
        };
        let moved = |value: &Value| match value {
            Value::Text(path) => seen(path),
            Value::List(paths) => {
                Value::List(paths.iter().filter_map(Value::as_text).map(seen).collect())
            }
            other => other.clone(),
        };
        let field = |(name, value): &(String, Value)| {
            let value = if self.path_args.contains(name) { moved(value) } else { value.clone() };
            (name.clone(), value)
        };
        Cow::Owned(Value::Fields(fields.iter().map(field).collect()))
    }
}

/// The paths in a path-typed argument: one, several or none. They are normalised where they stand,
/// so that the tool gets what was checked.
fn normalised(value: &mut Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Text(given) => {
            *given = path::join("", given).map_err(|bad| bad.to_string())?;
            Ok(vec![given.clone()])
        }
        Value::List(items) if items.iter().all(|item| matches!(item, Value::Text(_))) => {
            let each = items.iter_mut().map(normalised).collect::<Result<Vec<_>, _>>()?;
            Ok(each.into_iter().flatten().collect())
        }
        _ => Err("a path is text, and several are a list of texts".into()),
    }
}

/// The way from an ancestor's root `root` to the root `from` of a grant below it, both seen from
/// the tool's.
fn between<'a>(root: &str, from: &'a str) -> Result<&'a str, Failure> {
    if path::is_within(from, root) {
        return Ok(from[root.len()..].trim_start_matches('/'));
    }
    let why = format!("`{from}` is not within `{root}`, from which it was narrowed");
    Err(Failure::new(Code::Denied, why).with_detail(text::caveat_text(&Caveat::Path(root.into()))))
}

/// Paths as seen from an ancestor's root, to which `between` is the way.
fn seen_from<'a>(between: &str, paths: &'a [String]) -> Result<Cow<'a, [String]>, Failure> {
    if between.is_empty() {
        return Ok(Cow::Borrowed(paths));
    }
    let long = |bad: path::BadPath| Failure::new(Code::InvalidArgument, bad.to_string());
    let seen = paths.iter().map(|path| path::join(between, path).map_err(long));
    seen.collect::<Result<_, _>>().map(Cow::Owned)
}
