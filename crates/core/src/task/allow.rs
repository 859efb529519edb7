//! Whether a call is allowed: what it means, and what the caveats of its grant's whole chain say.

use super::call::CallCommand;
use super::{Task, charge};
use crate::failure::{Code, Failure};
use crate::grant::resolved_call::{self, ResolvedCall};
use crate::grant::{Budgets, Place, Use, Verdict};
use crate::id::{GrantId, ObjectId};
use crate::manifest::Method;

impl Task {
    /// Whether the grant's whole chain allows the call, and the caveat that asks for a person's
    /// approval first, if one does.
    pub(super) fn allow(
        &self,
        call: &CallCommand,
        grant: GrantId,
        now_ms: u64,
    ) -> Result<(ResolvedCall, Option<String>), Failure> {
        self.check_usable(call.object, grant)?;
        let resolved = self.resolve(call, grant)?;
        let user = self.user(call);
        let root = self.chain(grant).next().map_or("", |held| &held.grant.path);
        let mut place = match call.object {
            ObjectId::Grant(_) => Place::Root,
            object
            @ (ObjectId::Result(_) | ObjectId::Part(..) | ObjectId::CallerCapability(..)) => {
                Place::Obtained(self.interface_of(object))
            }
        };
        // What is known only when the call has ended is asked for as one, so that there is some.
        let (cost, bytes_in) = (resolved.max_cost.max(1), charge::bytes(&resolved.args));
        let amount = Budgets { calls: 1, cost, bytes_in, bytes_out: 1 };
        let mut approval = None;
        for ((held, takes), distance) in self.takes(grant, amount).zip(0..) {
            let way = resolved_call::between(&held.grant.path, root)?;
            let paths = resolved.paths_seen_from(way)?;
            let args = resolved.args_for(&held.checker, way);
            let verdict = held.checker.check(&Use {
                method: &call.method,
                read_only: resolved.read_only,
                idempotent: resolved.idempotent,
                destructive: resolved.destructive,
                returns: &resolved.returns,
                place,
                args: args.as_deref(),
                path_args: &resolved.path_args,
                paths: &paths,
                user: &user,
                now_ms,
                usage: &held.usage,
                takes,
                whole: amount,
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
        Ok((resolved, approval))
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
    fn resolve(&self, call: &CallCommand, grant: GrantId) -> Result<ResolvedCall, Failure> {
        let place = self.path_of(call.object).map(str::to_owned);
        let Some(interface) = self.interface_of(call.object) else {
            // An object that no manifest describes: nothing is known, so nothing is assumed.
            return Ok(ResolvedCall { args: call.args.clone(), ..ResolvedCall::default() });
        };
        let method = self.method(grant, interface, &call.method)?;
        ResolvedCall::of(method, call.args.clone(), place.as_deref())
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
