//! Approval: calls that are held until a person decides on them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::call::{CallCommand, requested};
use super::command::Decision;
use super::pending::Hold;
use super::refusal::Refusal;
use super::{CallState, Operation, Stamp, Task};
use crate::event::{
    Approval, ApprovalDecided, ApprovalRequested, CallDenied, CallRequested, Fact, Remember,
};
use crate::failure::{Code, Failure};
use crate::grant::resolved_call::ResolvedCall;
use crate::grant::text::moment;
use crate::id::{CallNumber, GrantId, ObjectId};
use crate::limits;
use crate::value::{Value, digest_object};

/// A decision that counts for later calls too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RememberedApproval {
    /// The call on which it was made.
    call: CallNumber,
    grant: GrantId,
    user: String,
    interface: String,
    method: String,
    /// Over the object and the arguments; `None`: whatever they are.
    same: Option<[u8; 32]>,
    until_ms: u64,
}

type Applied = Result<(), &'static str>;

impl Task {
    /// What an allowed call that needs approval leads to: it is held, unless an earlier decision
    /// counts for it too.
    pub(super) fn hold(
        &self,
        request: CallRequested,
        resolved: &ResolvedCall,
        (caveat, user): (String, String),
        now_ms: u64,
    ) -> Result<Fact, Failure> {
        if let Some(call) = self.standing_for(&request, &user, now_ms) {
            let request = CallRequested { approval: Some(call), ..request };
            return Ok(Fact::CallRequested(Arc::new(request)));
        }
        self.check_questions()?;
        let summary = self.in_words(&request, resolved, &user);
        Ok(Fact::ApprovalRequested(Box::new(ApprovalRequested {
            request,
            caveat,
            summary,
            destructive: resolved.destructive,
            user,
            until_ms: now_ms.saturating_add(limits::QUESTION_LIFE_MS),
        })))
    }

    /// The earlier call whose decision counts for this one too.
    fn standing_for(&self, request: &CallRequested, user: &str, now_ms: u64) -> Option<CallNumber> {
        let interface = self.interface_of(request.object).unwrap_or_default();
        let mut fitting = self.pending.remembered.iter().filter(|remembered| {
            remembered.until_ms > now_ms
                && remembered.grant == request.grant
                && remembered.user == user
                && remembered.interface == interface
                && remembered.method == request.method
        });
        // To hash the arguments is worth it only if there is a decision on some.
        let same = |remembered: &RememberedApproval| {
            remembered.same.is_none_or(|same| same == self.sameness(request))
        };
        fitting.find(|remembered| same(remembered)).map(|remembered| remembered.call)
    }

    /// SHA-256 over the object, by the way it was opened if that says which it is, and the
    /// arguments.
    fn sameness(&self, request: &CallRequested) -> [u8; 32] {
        let mut hash = Sha256::new();
        match self.path_of(request.object) {
            Some(path) if self.is_known_by_path(request.object) => {
                hash.update([0]);
                hash.update((path.len() as u64).to_be_bytes());
                hash.update(path.as_bytes());
            }
            _ => {
                hash.update([1]);
                digest_object(request.object, &mut hash);
            }
        }
        request.args.digest_into(&mut hash);
        hash.finalize().into()
    }

    /// Whether an object is the same one whenever it is opened by its path: only methods that
    /// change nothing and take nothing but a path led to it.
    fn is_known_by_path(&self, object: ObjectId) -> bool {
        let ObjectId::Result(call) = object else { return matches!(object, ObjectId::Grant(_)) };
        let Some(request) = self.request(call) else { return true };
        let method = self.interface_of(request.object).and_then(|interface| {
            let manifest = &self.grants.get(&request.grant)?.grant.manifest;
            manifest.method(interface, &request.method)
        });
        let Value::Fields(args) = &request.args else { return false };
        let by_path = match (&args[..], method) {
            ([(name, Value::Text(_))], Some(method)) => {
                method.params.iter().any(|param| param.path && param.name == *name)
            }
            _ => false,
        };
        request.read_only && by_path && self.is_known_by_path(request.object)
    }

    /// What a person approved of for later calls on a grant too, in words.
    pub fn standing_on(&self, grant: GrantId, now_ms: u64) -> Vec<String> {
        let on_it = |remembered: &&RememberedApproval| {
            remembered.grant == grant && remembered.until_ms > now_ms
        };
        let words = |remembered: &RememberedApproval| {
            let RememberedApproval { method, call, until_ms, .. } = remembered;
            let args = match remembered.same {
                Some(_) => "with the arguments of",
                None => "with whatever arguments, as",
            };
            let until = match *until_ms {
                u64::MAX => String::new(),
                until_ms => format!(", until {}", moment(until_ms)),
            };
            format!("{method} {args} call {call}{until}")
        };
        self.pending.remembered.iter().filter(on_it).map(words).collect()
    }

    /// What a person's decision on a held call leads to.
    pub(super) fn decide_approval(
        &self,
        decided: &ApprovalDecided,
        now_ms: u64,
    ) -> Result<Decision, Refusal> {
        let call = decided.call;
        let refuse = |code, why: String| Err(Failure::new(code, why).into());
        if let Some(before) = self.pending.approvals.get(&call) {
            return repeated(before, decided);
        }
        let held = self.pending.held.get(&call).filter(|_| self.has_asker(call));
        let (Some(hold), Some(request)) = (held, self.request(call)) else {
            let why = format!("call {call} waits for no approval: `remit inbox` lists what does");
            return refuse(Code::NotFound, why);
        };
        if request.digest != decided.digest {
            let why = format!(
                "the decision names another call than the one that waits as call {call}: look at it again"
            );
            return Err(Failure::new(Code::InvalidArgument, why).with_detail("digest").into());
        }
        if now_ms >= hold.until_ms {
            let why = format!("call {call} waited until {} and is denied", moment(hold.until_ms));
            return refuse(Code::Denied, why);
        }
        check_remember(decided, now_ms)?;
        let follows = self.follows_from(request, hold, decided, now_ms)?;
        Ok(Decision::Record(vec![Fact::ApprovalDecided(Box::new(decided.clone())), follows]))
    }

    /// What becomes of a held call that was decided on.
    fn follows_from(
        &self,
        request: &CallRequested,
        hold: &Hold,
        decided: &ApprovalDecided,
        now_ms: u64,
    ) -> Result<Fact, Failure> {
        let args = match &decided.approval {
            Approval::Approve => request.args.clone(),
            Approval::Change(args) => args.clone(),
            Approval::Deny => {
                let why = match &decided.reason[..] {
                    "" => "a person denied the call".to_owned(),
                    reason => format!("a person denied the call: {reason}"),
                };
                let failure = Failure::new(Code::Denied, why).with_detail(hold.caveat.clone());
                return Ok(denied(request, failure));
            }
        };
        let command = CallCommand {
            attempt: request.attempt,
            call: request.call,
            object: request.object,
            method: request.method.clone(),
            args,
            through: request.through,
            delegate: request.delegate.clone(),
        };
        let allowed = match self.why_void(request.call) {
            Some(failure) => Err(failure),
            None => {
                let fits = command.check_size();
                fits.and_then(|()| self.allow(&command, request.grant, now_ms))
            }
        };
        match allowed {
            Ok((resolved, _)) => {
                let call = Some(request.call);
                let grant = (request.digest, request.grant);
                let request = requested(&command, grant, resolved, call);
                Ok(Fact::CallRequested(Arc::new(request)))
            }
            // A person who changes arguments can change them once more.
            Err(failure)
                if matches!(decided.approval, Approval::Change(_))
                    && matches!(
                        failure.code,
                        Code::InvalidArgument | Code::Denied | Code::Limit
                    ) =>
            {
                Err(failure)
            }
            Err(failure) => Ok(denied(request, failure)),
        }
    }

    /// What becomes of a held call whose time ran out, or that leads nowhere any more.
    pub(super) fn review_hold(&self, call: CallNumber, now_ms: u64) -> Decision {
        let held = self.pending.held.get(&call).filter(|_| self.has_asker(call));
        let (Some(hold), Some(request)) = (held, self.request(call)) else {
            return Decision::Recorded;
        };
        if let Some(failure) = self.why_void(call) {
            return Decision::Record(vec![denied(request, failure)]);
        }
        if now_ms < hold.until_ms {
            return Decision::Recorded;
        }
        let expired = ApprovalDecided {
            call,
            digest: request.digest,
            approval: Approval::Deny,
            who: String::new(),
            reason: "nobody decided in time".into(),
            remember: Remember::Nothing,
        };
        let why = format!("nobody approved of the call until {}", moment(hold.until_ms));
        let failure = Failure::new(Code::Denied, why).with_detail(hold.caveat.clone());
        let expired = Fact::ApprovalDecided(Box::new(expired));
        Decision::Record(vec![expired, denied(request, failure)])
    }

    pub(super) fn apply_hold(&mut self, pending: &ApprovalRequested, at: Stamp) -> Applied {
        let call = pending.request.call;
        if !self.grants.contains_key(&pending.request.grant) {
            return Err("its grant is not there");
        }
        let request = Arc::new(pending.request.clone());
        self.add_operation(call, Operation::Call { request, state: CallState::Held })?;
        self.hold_value(&pending.request.args);
        self.note_delegate(pending.request.delegate.as_ref(), call);
        let hold = Hold {
            caveat: pending.caveat.clone(),
            summary: pending.summary.clone(),
            destructive: pending.destructive,
            user: pending.user.clone(),
            until_ms: pending.until_ms,
            at,
        };
        self.pending.held.insert(call, Arc::new(hold));
        Ok(())
    }

    pub(super) fn apply_approval(&mut self, decided: &ApprovalDecided, at: Stamp) -> Applied {
        let (Some(hold), Some(request)) =
            (self.pending.held.get(&decided.call), self.request(decided.call))
        else {
            return Err("that call is not held");
        };
        if self.pending.approvals.contains_key(&decided.call) {
            return Err("that call was decided on already");
        }
        if request.digest != decided.digest {
            return Err("it decides on another call");
        }
        let remembered = match decided.remember {
            Remember::Nothing => None,
            Remember::Arguments(until_ms) => Some((Some(self.sameness(request)), until_ms)),
            Remember::Method(until_ms) => Some((None, until_ms)),
        };
        let remembered = remembered.map(|(same, until_ms)| RememberedApproval {
            call: decided.call,
            grant: request.grant,
            user: hold.user.clone(),
            interface: self.interface_of(request.object).unwrap_or_default().to_owned(),
            method: request.method.clone(),
            same,
            until_ms,
        });
        if let Some(remembered) = remembered {
            self.pending.remembered.retain(|remembered| remembered.until_ms > at.time_ms);
            if self.pending.remembered.len() >= limits::MAX_STANDING {
                self.pending.remembered.remove(0);
            }
            self.pending.remembered.push(remembered);
        }
        self.pending.approvals.insert(decided.call, Arc::new(decided.clone()));
        Ok(())
    }
}

/// A held call that is not made.
fn denied(request: &CallRequested, failure: Failure) -> Fact {
    Fact::CallDenied(Box::new(CallDenied {
        call: request.call,
        attempt: request.attempt,
        object: request.object,
        method: request.method.clone(),
        digest: request.digest,
        grant: request.grant,
        failure,
        through: request.through,
        delegate: request.delegate.clone(),
    }))
}

/// Whether a decision is the very one that was made before.
fn repeated(before: &ApprovalDecided, decided: &ApprovalDecided) -> Result<Decision, Refusal> {
    let same = before.digest == decided.digest
        && before.approval == decided.approval
        && before.remember == decided.remember;
    if same {
        return Ok(Decision::Recorded);
    }
    let how = match before.approval {
        Approval::Approve => "approved",
        Approval::Deny => "denied",
        Approval::Change(_) => "approved with other arguments",
    };
    let by = if before.who.is_empty() { "when its time ran out" } else { &before.who };
    let why = format!("call {} was {how} already, by {by}: that stands", before.call);
    Err(Failure::new(Code::Failed, why).into())
}

fn check_remember(decided: &ApprovalDecided, now_ms: u64) -> Result<(), Failure> {
    let why = match (&decided.approval, decided.remember) {
        (_, Remember::Nothing) => return Ok(()),
        (Approval::Approve, Remember::Arguments(until_ms) | Remember::Method(until_ms)) => {
            if until_ms > now_ms {
                return Ok(());
            }
            "what is to be remembered is over already"
        }
        _ => "only an approval of the call as it is can be remembered",
    };
    Err(Failure::new(Code::InvalidArgument, why).with_detail("remember"))
}
