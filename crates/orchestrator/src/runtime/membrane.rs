//! The membrane: what an agent, or a tool that was lent an object, holds instead of the object.

mod caller_capabilities;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use capnp::capability::FromClientHook as _;
use capnp_rpc::CapabilityServerSet;
use remit_core::event::Delegate;
use remit_core::task::{CallCommand, CallState, Command, Operation};
use remit_core::{Attempt, CallNumber, Code, Failure, GrantId, ObjectId, Outcome, Value};
use remit_faults::crash::{self, Step};
use remit_schema::object_capnp::object;
use remit_vat::contain::contain;
use remit_vat::exception::to_exception;
use remit_vat::unsettled::Unsettled;
use remit_vat::wire;

use self::caller_capabilities::{CallerCapabilities, Given};
use crate::limits;
use crate::quota::shares::Share;
use crate::runtime::Owner;

/// A forwarder to one object of a task, on behalf of one attempt or of one tool call.
pub struct Membrane {
    owner: Weak<Owner>,
    attempt: Attempt,
    object: ObjectId,
    via: Via,
    /// Set when it is handed out.
    live: Option<Live>,
}

/// Counts a membrane for as long as anything refers to it.
struct Live(Rc<Cell<usize>>);

impl Live {
    fn of(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// How the holder came by the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// It is the task's own agent.
    Agent,
    /// This call lent it to a tool.
    Call(CallNumber),
    /// This grant was passed on, to another task or to a person.
    Grant(GrantId),
}

/// The membranes of one owner, by which it knows its own when it sees them in arguments.
#[derive(Default)]
pub struct Membranes {
    set: RefCell<CapabilityServerSet<Membrane, object::Client>>,
    /// How many of the set something refers to.
    live: Rc<Cell<usize>>,
    /// How many are in the set, with those that nothing refers to any more.
    kept: Cell<usize>,
    caller_capabilities: RefCell<CallerCapabilities>,
}

impl Membranes {
    /// A reference to a membrane.
    pub fn wrap(&self, mut membrane: Membrane) -> object::Client {
        membrane.live = Some(Live::of(&self.live));
        let mut set = self.set.borrow_mut();
        // It looks at all of them: only when half of them are gone, so that each pays for one other.
        if self.kept.get() >= 2 * self.live.get() + limits::MEMBRANES_KEPT {
            set.gc();
            self.kept.set(self.live.get() - 1);
        }
        self.kept.set(self.kept.get() + 1);
        set.new_client(membrane)
    }

    /// Which object of the task a reference stands for that `caller` gives; `None` if it is none
    /// that its holder was handed. So a tool cannot have an object that it was lent for one call
    /// lent to it again by another.
    async fn known(&self, client: object::Client, caller: &Membrane) -> Option<ObjectId> {
        let client = capnp::capability::get_resolved_cap(client).await;
        let membrane = self.set.borrow().get_local_server_of_resolved(&client)?;
        let held = match (membrane.via, caller.via) {
            (Via::Grant(given), Via::Grant(through)) => {
                let owner = caller.owner.upgrade()?;
                let holder = |task: &remit_core::Task, grant| {
                    task.grant(grant).map(|held| held.grant.holder.clone())
                };
                owner.with(|task| holder(task, given) == holder(task, through))
            }
            (given, through) => given == through && membrane.attempt == caller.attempt,
        };
        held.then_some(membrane.object)
    }

    /// The object that was lent to whom this reference was handed during `call`.
    pub(crate) async fn lent(&self, client: object::Client, call: CallNumber) -> Option<ObjectId> {
        let client = capnp::capability::get_resolved_cap(client).await;
        let membrane = self.set.borrow().get_local_server_of_resolved(&client)?;
        (membrane.via == Via::Call(call)).then_some(membrane.object)
    }
}

impl Membrane {
    /// What the agent holds.
    pub fn held(owner: &Rc<Owner>, attempt: Attempt, object: ObjectId) -> Self {
        Self { owner: Rc::downgrade(owner), attempt, object, via: Via::Agent, live: None }
    }

    /// What another task or a person holds, that `grant` was passed on to. Every call on it is
    /// checked, charged and recorded in this task's journal, under a key of the holder's.
    pub fn delegated(owner: &Rc<Owner>, grant: GrantId) -> Self {
        Self {
            owner: Rc::downgrade(owner),
            attempt: Attempt(0),
            object: ObjectId::Grant(grant),
            via: Via::Grant(grant),
            live: None,
        }
    }

    /// What a tool holds while it works on call `through`.
    pub fn lent(
        owner: &Rc<Owner>,
        attempt: Attempt,
        object: ObjectId,
        through: CallNumber,
    ) -> Self {
        Self { owner: Rc::downgrade(owner), attempt, object, via: Via::Call(through), live: None }
    }

    fn owner(&self) -> Result<Rc<Owner>, Failure> {
        let gone = || match self.via {
            // The grant stands; whoever holds it may ask again.
            Via::Grant(_) => Failure::new(Code::Unavailable, "the task's owner is away"),
            Via::Agent | Via::Call(_) => {
                Failure::new(Code::Revoked, "the task is no longer owned here")
            }
        };
        self.owner.upgrade().filter(|owner| !owner.is_closing()).ok_or_else(gone)
    }

    /// Halts the task over a panic in a call, and answers the caller.
    fn broke(&self, panic: &str) -> Failure {
        if let Some(owner) = self.owner.upgrade() {
            owner.halt_on_defect("a call", panic);
        }
        Failure::new(Code::Unavailable, "the task is halted by a defect of the orchestrator")
    }

    /// The same holder's reference to another object of the task.
    fn sibling(&self, owner: &Owner, object: ObjectId) -> object::Client {
        owner.membranes().wrap(Self {
            owner: self.owner.clone(),
            attempt: self.attempt,
            object,
            via: self.via,
            live: None,
        })
    }

    /// The call as a command, the objects in its arguments by their ids; and the objects.
    async fn resolve(
        &self,
        owner: &Rc<Owner>,
        params: object::call_params::Reader<'_>,
    ) -> Result<(CallCommand, Given), Failure> {
        let malformed = |error: wire::Malformed| Failure::from(error);
        let method = params
            .get_method()
            .map_err(wire::Malformed::from)
            .and_then(|text| Ok(text.to_str()?.to_owned()))
            .map_err(malformed)?;
        let args = params.get_args().map_err(|error| malformed(error.into()))?;
        let (args, given) = wire::value::read(args).map_err(malformed)?;
        if given.len() > limits::OBJECTS_PER_VALUE {
            let why = format!("{} objects in the arguments of one call", given.len());
            return Err(Failure::new(Code::Limit, why));
        }
        let key = params.get_key().unwrap_or_default();
        let delegate = match self.via {
            Via::Grant(grant) => Some(Delegate { grant, key: key_of_delegate(key)? }),
            Via::Agent | Via::Call(_) => None,
        };
        let given = Rc::new(given);
        let ids = self.identify(owner, delegate.as_ref(), &given).await?;
        // From here until the call is recorded nothing is waited for: the next number is its own.
        let call = match (self.via, &delegate) {
            (Via::Agent, _) => {
                let number = <[u8; 8]>::try_from(key).map_err(|_| {
                    let why = "the key of an agent's call is its number, eight bytes";
                    Failure::new(Code::InvalidArgument, why)
                })?;
                CallNumber(u64::from_be_bytes(number))
            }
            (_, delegate) => owner.with(|task| {
                let known = delegate.as_ref().and_then(|d| task.delegated_call(d.grant, &d.key));
                known.unwrap_or_else(|| task.next_lent())
            }),
        };
        if ids.contains(&None) {
            owner.membranes().caller_capabilities.borrow_mut().set(call, &given);
        }
        let ids: Vec<_> = (0..)
            .zip(ids)
            .map(|(at, id)| id.unwrap_or(ObjectId::CallerCapability(call, at)))
            .collect();
        let args = args.try_map(&mut |index| {
            ids.get(index as usize).copied().ok_or_else(|| {
                Failure::new(Code::InvalidArgument, "an object that is not in the message")
            })
        })?;
        let command = CallCommand {
            attempt: self.attempt,
            call,
            object: self.object,
            method,
            args,
            through: match self.via {
                Via::Call(call) => Some(call),
                Via::Agent | Via::Grant(_) => None,
            },
            delegate,
        };
        Ok((command, given))
    }

    /// What the objects in the arguments of a call are to the task; `None`: a guest.
    async fn identify(
        &self,
        owner: &Rc<Owner>,
        delegate: Option<&Delegate>,
        given: &Given,
    ) -> Result<Vec<Option<ObjectId>>, Failure> {
        let mut ids = Vec::with_capacity(given.len());
        for client in given.iter() {
            let own = owner.membranes().known(client.clone(), self).await;
            let may_come = match delegate {
                Some(delegate) if own.is_none() => {
                    owner.is_caller_capability(client, delegate.grant, &delegate.key).await
                }
                _ => own.is_some(),
            };
            if !may_come {
                let why = "an object in the arguments is none that the task holds";
                return Err(Failure::new(Code::InvalidArgument, why));
            }
            ids.push(own);
        }
        Ok(ids)
    }

    /// Makes the call. `Ok(Err(..))`: it failed, and that is recorded; `Err(..)`: the owner refuses
    /// it, or cannot make it now.
    async fn forward(
        &self,
        params: object::CallParams,
        results: &mut object::CallResults,
    ) -> Result<Result<(), Failure>, Failure> {
        let owner = self.owner()?;
        crash::point(Step::Received, "call");
        if self.via != Via::Agent {
            owner.unpaused().await;
            owner.decided(self.object).await?;
        }
        let params = params.get().map_err(|error| Failure::from(wire::Malformed::from(error)))?;
        // What is given is kept until the answer is on its way.
        let (command, _given) = self.resolve(&owner, params).await?;
        let call = command.call;
        if self.via == Via::Agent {
            owner.ask(self.attempt, call)?;
            // Nothing can be said of an object before a person has decided on the call that returns
            // it.
            owner.decided(self.object).await?;
        }
        let begins = self.begins(&owner).await;
        let recorded = match owner.check_pin(&command) {
            Ok(()) => owner.record(&command.into()),
            Err(changed) => owner.record(&Command::RefuseCall(Box::new((command, changed)))),
        }?;
        owner.ensure_forwarded(call, recorded.number);
        drop(begins);
        // Calls that already wait on the result go out too, each through a membrane of its own.
        let promised = self.sibling(&owner, ObjectId::Result(call));
        if promises_object(&owner, call) {
            results.get().set_object(promised.clone());
            results.set_pipeline().map_err(|error| Failure::from(wire::Malformed::from(error)))?;
        }
        let turn = match self.via {
            Via::Agent => Some(owner.turn(call).await?),
            Via::Call(_) | Via::Grant(_) => {
                owner.settled(call).await?;
                None
            }
        };
        let stamp = owner.with(|task| task.operation(call).and_then(Operation::settled));
        if stamp.is_some_and(|stamp| owner.lags_behind(stamp.number)) {
            let what = "a reply is due whose outcome is not on disk";
            owner.halt_on_defect("a reply", what);
            return Err(Failure::new(Code::Unavailable, what));
        }
        let outcome = owner.with(|task| match task.operation(call) {
            Some(Operation::Call { state: CallState::Completed(outcome, _), .. }) => {
                Some(Outcome::clone(outcome))
            }
            Some(Operation::Denied { denied, .. }) => {
                Some(Outcome::Failure(denied.failure.clone()))
            }
            Some(Operation::Derived { .. }) => {
                Some(Outcome::Value { value: Arc::default(), object: true })
            }
            _ => None,
        });
        match outcome {
            Some(Outcome::Value { value, object }) => {
                self.reply(&owner, results, &value, object.then_some(promised));
                self.point_to_kept(&owner, results, call);
                results.get().set_cost(owner.with(|task| task.cost(call)));
                if let Some(turn) = &turn {
                    let mut recorded = results.get().init_recorded();
                    recorded.set_number(turn.stamp.number.0);
                    recorded.set_time_ms(turn.stamp.time_ms);
                }
                Ok(Ok(()))
            }
            Some(Outcome::Failure(failure)) => Ok(Err(failure)),
            None => Err(Failure::new(Code::Unknown, "the call is not settled")),
        }
    }

    /// Waits until it is the turn of the agent's next call. What others call waited for its own
    /// agent's turn, or is of a call that has begun.
    async fn begins(&self, owner: &Owner) -> Option<Share> {
        if self.via != Via::Agent {
            return None;
        }
        let creator = owner.with(|task| task.created().creator.clone());
        let begins = Rc::clone(&owner.services().begins);
        let share = begins.take(&creator, owner.key().task).await;
        // With the turn in hand: thousands that waited for the disk would all be woken by each commit.
        owner.keep_pace().await;
        share
    }

    /// Says where the value is, if it is not in the journal.
    fn point_to_kept(&self, owner: &Owner, results: &mut object::CallResults, call: CallNumber) {
        let Some(kept) = owner.with(|task| task.kept(call).cloned()) else { return };
        let mut builder = results.get().init_kept();
        builder.set_digest(&kept.digest);
        builder.set_bytes(kept.bytes);
        if let Some(fresh) = owner.fresh(call) {
            builder.set_token(&fresh.token);
            builder.set_path(fresh.path);
        }
    }

    /// Writes the reply, every object in it wrapped.
    fn reply(
        &self,
        owner: &Rc<Owner>,
        results: &mut object::CallResults,
        value: &Value,
        object: Option<object::Client>,
    ) {
        let mut live = |object| match object {
            ObjectId::CallerCapability(call, index) => owner.guest(call, index),
            object @ (ObjectId::Grant(_) | ObjectId::Result(_) | ObjectId::Part(..)) => {
                self.sibling(owner, object)
            }
        };
        let mut results = results.get();
        wire::value::write_live(results.reborrow().init_value(), value, &mut live);
        match object {
            Some(object) => results.set_object(object),
            // A pointer that is set cannot be cleared again, so it must lead nowhere.
            None if results.has_object() => {
                let why = Failure::new(Code::NotFound, "the method returned no object");
                let nowhere = capnp_rpc::new_broken_cap(to_exception(&why));
                results.set_object(nowhere.cast_to());
            }
            None => {}
        }
    }
}

impl object::Server for Membrane {
    async fn call(
        self: Rc<Self>,
        params: object::CallParams,
        mut results: object::CallResults,
    ) -> Result<(), capnp::Error> {
        let forwarded = contain(self.forward(params, &mut results)).await;
        let forwarded = forwarded.unwrap_or_else(|panic| Err(self.broke(&panic)));
        crash::point_after_turn(Step::Replied, "call");
        match forwarded {
            Ok(recorded) => recorded.map_err(|failure| to_exception(&failure)),
            Err(failure) if matches!(self.via, Via::Grant(_)) => own_word(failure, &mut results),
            Err(failure) => Err(to_exception(&failure)),
        }
    }

    async fn describe(
        self: Rc<Self>,
        _: object::DescribeParams,
        mut results: object::DescribeResults,
    ) -> Result<(), capnp::Error> {
        let owner = self.owner().map_err(|failure| to_exception(&failure))?;
        let described = owner.with(|task| {
            let grant = task.grant_of(self.object)?;
            if task.is_revoked(grant) {
                return None;
            }
            let manifest = &task.grant(grant)?.grant.manifest;
            let interface = task.interface_of(self.object).unwrap_or_default().to_owned();
            Some((std::sync::Arc::clone(manifest), interface))
        });
        let Some((manifest, interface)) = described else {
            return Err(to_exception(&Failure::new(Code::Revoked, "the grant was revoked")));
        };
        wire::manifest::write(results.get().init_manifest(), &manifest);
        results.get().set_interface(&interface);
        Ok(())
    }
}

/// An owner's own failure, as the answer to a call: if it is away now, nothing was done.
pub(crate) fn own_word(
    failure: Failure,
    results: &mut object::CallResults,
) -> Result<(), capnp::Error> {
    if failure.code != Code::Unavailable {
        return Err(to_exception(&failure));
    }
    Unsettled::NotBegun(failure.message).write(results.get());
    Ok(())
}

/// The key of a call by somebody else; one of its own for a call that has none.
fn key_of_delegate(key: &[u8]) -> Result<Vec<u8>, Failure> {
    if key.len() > remit_core::limits::MAX_NAME_BYTES {
        let why = format!("a key of more than {} bytes", remit_core::limits::MAX_NAME_BYTES);
        return Err(Failure::new(Code::Limit, why));
    }
    Ok(if key.is_empty() { rand::random::<[u8; 24]>().to_vec() } else { key.to_vec() })
}

/// Whether calls may be pipelined on what the call will return: it says that it returns an object,
/// or it has failed already and they fail with it.
fn promises_object(owner: &Owner, call: CallNumber) -> bool {
    owner.with(|task| match task.operation(call) {
        Some(Operation::Call { request, .. }) => !request.returns.is_empty(),
        Some(Operation::Denied { .. } | Operation::Derived { .. }) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_are_gone_are_swept_and_seldom_looked_at() {
        let membranes = Membranes::default();
        let object = ObjectId::Grant(GrantId(1));
        let held = || Membrane {
            owner: Weak::new(),
            attempt: Attempt(1),
            object,
            via: Via::Agent,
            live: None,
        };
        let kept: Vec<object::Client> = (0..1_000).map(|_| membranes.wrap(held())).collect();
        let (mut sweeps, mut before) = (0, membranes.kept.get());
        for _ in 0..20_000 {
            drop(membranes.wrap(held()));
            sweeps += usize::from(membranes.kept.get() <= before);
            before = membranes.kept.get();
            let most = 2 * (kept.len() + 1) + limits::MEMBRANES_KEPT;
            assert!(before <= most, "{before}");
        }
        assert!((1..=20).contains(&sweeps), "{sweeps}");
        assert_eq!(membranes.live.get(), kept.len());
    }
}
