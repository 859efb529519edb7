//! The decision on one call: recorded, allowed or refused.

use sha2::{Digest, Sha256};

use super::decide::{Command, Decision, Refusal};
use super::derive::ATTENUATE;
use super::{CallState, Operation, Task};
use crate::event::{CallDenied, CallRequested, Delegate, Fact};
use crate::failure::{Code, Failure};
use crate::grant::{Caveat, Use, path, text};
use crate::id::{Attempt, CallNumber, GrantId, ObjectId};
use crate::limits;
use crate::manifest::Method;
use crate::value::{Outcome, Value, digest_object};

/// A call as it arrives at the membrane.
#[derive(Debug, Clone, PartialEq)]
pub struct CallCommand {
    /// The attempt that makes it.
    pub attempt: Attempt,
    /// Its number.
    pub call: CallNumber,
    /// On which object.
    pub object: ObjectId,
    /// Which method.
    pub method: String,
    /// The arguments as the agent gave them.
    pub args: Value,
    /// The call that lent the object to the tool now using it; `None`: the agent itself calls.
    pub through: Option<CallNumber>,
    /// By whom, when it is neither the agent nor a tool that was lent the object.
    pub delegate: Option<Delegate>,
}

/// A call that the caveats allow, so far as arguments go.
struct Understood {
    args: Value,
    path: String,
    returns: String,
    read_only: bool,
    idempotent: bool,
    paths: Vec<String>,
}

impl CallCommand {
    /// SHA-256 over object, method and arguments.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        digest_object(self.object, &mut hash);
        hash.update((self.method.len() as u64).to_be_bytes());
        hash.update(self.method.as_bytes());
        self.args.digest_into(&mut hash);
        hash.finalize().into()
    }
}

impl Task {
    pub(super) fn decide_call(&self, call: &CallCommand, now_ms: u64) -> Result<Decision, Refusal> {
        let digest = call.digest();
        match (call.through, &call.delegate) {
            (None, Some(delegate)) => {
                if let Some(known) = self.delegated_call(delegate.grant, &delegate.key) {
                    return self.same_delegated(known, &digest).map(|()| Decision::Recorded);
                }
                self.check_beyond(call.call)?;
            }
            (None, None) => {
                self.check_attempt(call.attempt)?;
                if call.call >= CallNumber::FIRST_LENT {
                    let why = format!("operation {} has a number that no agent gives", call.call);
                    return Err(Failure::new(Code::InvalidArgument, why).into());
                }
                if let Some(recorded) = self.operations.get(&call.call) {
                    return same_call(recorded, call, &digest).map(|()| Decision::Recorded);
                }
                self.check_number(call.call)?;
            }
            (Some(lender), _) => self.check_lent(call.call, lender)?,
        }
        if call.method.len() > limits::MAX_NAME_BYTES {
            let why = format!("a method name of more than {} bytes", limits::MAX_NAME_BYTES);
            return Err(Failure::new(Code::InvalidArgument, why).into());
        }
        if call.args.weight() > limits::MAX_VALUE_BYTES {
            let why = format!(
                "arguments of more than {} bytes: pass large contents in parts",
                limits::MAX_VALUE_BYTES
            );
            return Err(Failure::new(Code::Limit, why).into());
        }
        let Some(grant) = self.grant_of(call.object) else {
            let why = format!("the task does not hold {}", call.object);
            return Err(Failure::new(Code::ObjectLost, why).into());
        };
        let denied = |failure| {
            Fact::CallDenied(Box::new(CallDenied {
                call: call.call,
                attempt: call.attempt,
                object: call.object,
                method: call.method.clone(),
                digest,
                grant,
                failure,
                through: call.through,
                delegate: call.delegate.clone(),
            }))
        };
        if call.method == ATTENUATE {
            let fact = self.attenuated(call, grant, now_ms).unwrap_or_else(denied);
            return Ok(Decision::Record(vec![fact]));
        }
        let fact = match self.allow(call, grant, now_ms) {
            Ok(understood) => Fact::CallRequested(Box::new(CallRequested {
                call: call.call,
                attempt: call.attempt,
                object: call.object,
                method: call.method.clone(),
                args: understood.args,
                digest,
                grant,
                path: understood.path,
                returns: understood.returns,
                read_only: understood.read_only,
                idempotent: understood.idempotent,
                through: call.through,
                delegate: call.delegate.clone(),
            })),
            Err(failure) => denied(failure),
        };
        Ok(Decision::Record(vec![fact]))
    }

    /// Whether the grant's whole chain allows the call.
    fn allow(
        &self,
        call: &CallCommand,
        grant: GrantId,
        now_ms: u64,
    ) -> Result<Understood, Failure> {
        self.check_usable(call.object, grant)?;
        let understood = self.understand(call, grant)?;
        let root = self.chain(grant).next().map_or("", |held| &held.grant.path);
        for held in self.chain(grant) {
            let paths = seen_from(&held.grant.path, root, &understood.paths)?;
            let usage = Use {
                method: &call.method,
                read_only: understood.read_only,
                idempotent: understood.idempotent,
                paths: &paths,
                used: held.used,
                now_ms,
            };
            held.grant.caveats.iter().try_for_each(|caveat| caveat.check(&usage))?;
        }
        Ok(understood)
    }

    /// The call with its arguments by name and its paths seen from the grant's root.
    fn understand(&self, call: &CallCommand, grant: GrantId) -> Result<Understood, Failure> {
        let place = self.path_of(call.object).map(str::to_owned);
        let Some(interface) = self.interface_of(call.object) else {
            // An object that no manifest describes: nothing is known, so nothing is assumed.
            return Ok(Understood {
                args: call.args.clone(),
                path: String::new(),
                returns: String::new(),
                read_only: false,
                idempotent: false,
                paths: Vec::new(),
            });
        };
        let method = self.method(grant, interface, &call.method)?;
        let invalid = |why: String| Failure::new(Code::InvalidArgument, why);
        let mut args = method.named_args(call.args.clone()).map_err(invalid)?;
        let mut paths = Vec::new();
        for (name, value) in &mut args {
            if method.params.iter().any(|param| param.path && param.name == *name) {
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
            paths.extend(place);
        }
        Ok(Understood {
            args: Value::Fields(args),
            path: paths.first().cloned().unwrap_or_default(),
            returns: method.returns.clone(),
            read_only: method.read_only,
            idempotent: method.idempotent,
            paths,
        })
    }

    /// The failure of the call that was to return the object: what was pipelined on it fails so too.
    pub(super) fn cause_of(&self, object: ObjectId) -> Option<&Failure> {
        let (ObjectId::Result(call) | ObjectId::Part(call, _)) = object else { return None };
        match self.operations.get(&call)? {
            Operation::Denied { denied, .. } => Some(&denied.failure),
            Operation::Call { state: CallState::Completed(outcome, _), .. } => match &**outcome {
                Outcome::Failure(failure) => Some(failure),
                Outcome::Value { .. } => None,
            },
            _ => None,
        }
    }

    fn method(&self, grant: GrantId, interface: &str, name: &str) -> Result<&Method, Failure> {
        let lost = || Failure::new(Code::ObjectLost, "the object's grant is gone");
        let manifest = &self.grants.get(&grant).ok_or_else(lost)?.grant.manifest;
        manifest.method(interface, name).ok_or_else(|| {
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

    pub(super) fn check_number(&self, number: CallNumber) -> Result<(), Refusal> {
        if self.operations.len() >= limits::MAX_OPERATIONS {
            let why = format!("a task may do at most {} operations", limits::MAX_OPERATIONS);
            return Err(Failure::new(Code::Limit, why).into());
        }
        let highest = self
            .operations
            .range(..CallNumber::FIRST_LENT)
            .next_back()
            .map_or(0, |(number, _)| number.0);
        let possible = 1..=(highest + limits::MAX_AHEAD);
        if possible.contains(&number.0) {
            return Ok(());
        }
        let why = format!("operation {number} cannot follow on {highest}: they are counted from 1");
        Err(Failure::new(Code::InvalidArgument, why).into())
    }

    fn check_lent(&self, number: CallNumber, lender: CallNumber) -> Result<(), Refusal> {
        let in_flight = matches!(
            self.operations.get(&lender),
            Some(Operation::Call { state: CallState::Requested | CallState::Unknown, .. })
        );
        if self.ending.is_some() || !in_flight {
            let why = "an object is lent for one call, and that call is over";
            return Err(Failure::new(Code::Revoked, why).into());
        }
        self.check_beyond(number)
    }

    /// Whether a call that is not the agent's own may have this number.
    fn check_beyond(&self, number: CallNumber) -> Result<(), Refusal> {
        if number < CallNumber::FIRST_LENT || self.operations.contains_key(&number) {
            return Err(Failure::new(Code::InvalidArgument, "not a number for a lent call").into());
        }
        if self.operations.len() >= limits::MAX_OPERATIONS {
            let why = format!("a task may do at most {} operations", limits::MAX_OPERATIONS);
            return Err(Failure::new(Code::Limit, why).into());
        }
        Ok(())
    }

    /// Whether a call that was made under the same key before is this very call.
    fn same_delegated(&self, known: CallNumber, digest: &[u8; 32]) -> Result<(), Refusal> {
        if self.operations.get(&known).and_then(Operation::digest) == Some(digest) {
            return Ok(());
        }
        let why = "another call was made under this idempotency key: a key is for one call";
        Err(Failure::new(Code::InvalidArgument, why).into())
    }

    /// The next number for a call that is not the agent's own.
    pub fn next_lent(&self) -> CallNumber {
        self.operations
            .range(CallNumber::FIRST_LENT..)
            .next_back()
            .map_or(CallNumber::FIRST_LENT, |(number, _)| number.next())
    }
}

impl From<CallCommand> for Command {
    fn from(call: CallCommand) -> Self {
        Self::Call(Box::new(call))
    }
}

/// Whether a recorded operation is this very call. If not, the agent is not deterministic.
fn same_call(recorded: &Operation, call: &CallCommand, digest: &[u8; 32]) -> Result<(), Refusal> {
    if recorded.digest() == Some(digest) {
        return Ok(());
    }
    let recorded_args = match recorded {
        Operation::Call { request, .. } => format!(" with {}", shown(&request.args)),
        _ => String::new(),
    };
    Err(Refusal::diverged(
        call.call,
        &format!("{}{recorded_args}", recorded.describe()),
        &format!("{} on {} with {}", call.method, call.object, shown(&call.args)),
    ))
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

/// Paths seen from the grant root `from`, as seen from an ancestor's root `root`; both roots seen
/// from the tool's.
fn seen_from(root: &str, from: &str, paths: &[String]) -> Result<Vec<String>, Failure> {
    let outside = || {
        let why = format!("`{from}` is not within `{root}`, from which it was narrowed");
        Failure::new(Code::Denied, why).with_detail(text::caveat_text(&Caveat::Path(root.into())))
    };
    if !path::is_within(from, root) {
        return Err(outside());
    }
    let between = from[root.len()..].trim_start_matches('/');
    let join = |path: &String| path::join(between, path).map_err(|_| outside());
    paths.iter().map(join).collect()
}

/// A value in a few words, for an error message.
fn shown(value: &Value) -> String {
    let mut text = format!("{value:?}");
    if text.len() > 200 {
        let cut = (0..=200).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}
