//! Guests: objects of its own that the holder of a grant that was passed on gives as arguments.
//!
//! They go to the tool as they came, each a membrane of the holder's owner: what the tool does with
//! one is checked and recorded there. The owner between them says no more of it than that it was.

use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use capnp::capability::FromClientHook as _;
use futures::FutureExt as _;
use remit_core::event::{CallRequested, Delegate};
use remit_core::{CallNumber, Code, Failure, GrantId, ObjectId, TaskId};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;

use crate::runtime::{Owner, TaskKey};

/// The objects in the arguments of one call, alive while its maker waits for the answer.
pub(super) type Given = Rc<Vec<object::Client>>;

/// The guests of all calls that are waited for.
#[derive(Default)]
pub(super) struct CallerCapabilities(BTreeMap<CallNumber, Weak<Vec<object::Client>>>);

impl CallerCapabilities {
    /// Keeps what was given for a call, for as long as somebody else keeps it too.
    pub(super) fn set(&mut self, call: CallNumber, given: &Given) {
        self.0.retain(|_, given| given.strong_count() > 0);
        self.0.insert(call, Rc::downgrade(given));
    }

    fn get(&self, call: CallNumber) -> Option<Given> {
        self.0.get(&call)?.upgrade()
    }
}

impl Owner {
    /// Whether a reference in the arguments of a call on `grant` is one that the task that holds it
    /// lends for that very call, from what it holds itself. Nothing else may come in.
    pub async fn is_caller_capability(
        &self,
        client: &object::Client,
        grant: GrantId,
        key: &[u8],
    ) -> bool {
        let Some((holder, call)) = self.holder(grant, key) else { return false };
        if holder.membranes().lent(client.clone(), call).await.is_some() {
            return true;
        }
        // It may have come through several hands.
        match holder.delegate_of(call) {
            Some(delegate) => {
                Box::pin(holder.is_caller_capability(client, delegate.grant, &delegate.key)).await
            }
            None => false,
        }
    }

    /// The task whose agent made a call, through however many hands, and the call in its journal.
    pub fn acting(self: &Rc<Self>, call: CallNumber) -> (Rc<Self>, CallNumber) {
        let maker =
            self.delegate_of(call).and_then(|delegate| self.holder(delegate.grant, &delegate.key));
        match maker {
            Some((owner, call)) => owner.acting(call),
            None => (Rc::clone(self), call),
        }
    }

    /// The task that makes a call on `grant`, which was passed on to it, and the call there.
    fn holder(&self, grant: GrantId, key: &[u8]) -> Option<(Rc<Self>, CallNumber)> {
        let holder = self.with(|task| task.grant(grant).map(|held| held.grant.holder.clone()))?;
        let task: TaskId = holder.strip_prefix("task:")?.parse().ok()?;
        let number = key.strip_prefix(&task.as_bytes()[..])?.try_into().ok()?;
        let call = Self::number_in(u64::from_be_bytes(number));
        let tasks = self.services().tasks.upgrade()?;
        let owner = tasks.working(&TaskKey { task, ..self.key().clone() }).ok()?;
        let asked = owner.with(|task| task.request(call).map(|request| request.grant))?;
        let origin = owner.origin_of(asked)?;
        (origin.task == self.key().task && origin.grant == grant).then_some((owner, call))
    }

    fn delegate_of(&self, call: CallNumber) -> Option<Delegate> {
        self.with(|task| task.request(call)?.delegate.clone())
    }

    /// A guest, if its call is still waited for.
    pub fn guest(&self, call: CallNumber, index: u32) -> object::Client {
        let given = self.membranes().caller_capabilities.borrow().get(call);
        let client = given.and_then(|given| given.get(index as usize).cloned());
        client.unwrap_or_else(|| {
            let why = "whoever gave the object for this call no longer waits for its answer";
            let gone = capnp_rpc::new_broken_cap(to_exception(&Failure::new(Code::Revoked, why)));
            gone.cast_to()
        })
    }

    /// Whether a call can go out only when its maker asks again and brings its objects along.
    pub fn lacks_caller_capabilities(&self, asked: &CallRequested) -> bool {
        let caller_capabilities = self.membranes().caller_capabilities.borrow();
        asked.args.any_object(&mut |object| {
            matches!(object, ObjectId::CallerCapability(call, _)
                if caller_capabilities.get(*call).is_none())
        })
    }

    /// Which guest of the call a reference is that its tool gives back.
    pub fn guest_again(&self, call: CallNumber, client: &object::Client) -> Option<ObjectId> {
        let given = self.membranes().caller_capabilities.borrow().get(call)?;
        let seen = |client: &object::Client| {
            let resolved = capnp::capability::get_resolved_cap(client.clone()).now_or_never()?;
            Some(resolved.as_client_hook().get_ptr())
        };
        let came = seen(client)?;
        let at = given.iter().position(|given| seen(given) == Some(came))?;
        Some(ObjectId::CallerCapability(call, u32::try_from(at).ok()?))
    }
}
