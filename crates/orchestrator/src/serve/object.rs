//! The membrane: what an agent, or a tool that was lent an object, holds instead of the object.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use capnp::capability::FromClientHook as _;
use capnp_rpc::CapabilityServerSet;
use remit_core::task::{CallCommand, CallState, Operation};
use remit_core::{Attempt, CallNumber, Code, Failure, ObjectId, Outcome, Value};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;
use remit_vat::wire;

use crate::limits;
use crate::owner::Owner;

/// A forwarder to one object of a task, on behalf of one attempt or of one tool call.
pub struct Membrane {
    owner: Weak<Owner>,
    attempt: Attempt,
    object: ObjectId,
    /// The call that lent the object to a tool; `None`: the agent holds it.
    through: Option<CallNumber>,
}

/// The membranes of one owner, by which it knows its own when it sees them in arguments.
#[derive(Default)]
pub struct Membranes {
    set: RefCell<CapabilityServerSet<Membrane, object::Client>>,
}

impl Membranes {
    /// A reference to a membrane.
    pub fn wrap(&self, membrane: Membrane) -> object::Client {
        let mut set = self.set.borrow_mut();
        set.gc();
        set.new_client(membrane)
    }

    /// Which object of the task a reference stands for; `None` if it is none of its membranes.
    async fn known(&self, client: object::Client, attempt: Attempt) -> Option<ObjectId> {
        let client = capnp::capability::get_resolved_cap(client).await;
        let membrane = self.set.borrow().get_local_server_of_resolved(&client)?;
        (membrane.attempt == attempt).then_some(membrane.object)
    }
}

impl Membrane {
    /// What the agent holds.
    pub fn held(owner: &Rc<Owner>, attempt: Attempt, object: ObjectId) -> Self {
        Self { owner: Rc::downgrade(owner), attempt, object, through: None }
    }

    /// What a tool holds while it works on call `through`.
    pub fn lent(
        owner: &Rc<Owner>,
        attempt: Attempt,
        object: ObjectId,
        through: CallNumber,
    ) -> Self {
        Self { owner: Rc::downgrade(owner), attempt, object, through: Some(through) }
    }

    fn owner(&self) -> Result<Rc<Owner>, Failure> {
        self.owner
            .upgrade()
            .ok_or_else(|| Failure::new(Code::Revoked, "the task is no longer owned here"))
    }

    /// The same holder's reference to another object of the task.
    fn sibling(&self, owner: &Owner, object: ObjectId) -> object::Client {
        owner.membranes().wrap(Self {
            owner: self.owner.clone(),
            attempt: self.attempt,
            object,
            through: self.through,
        })
    }

    /// The call as a command, the objects in its arguments by their ids.
    async fn understand(
        &self,
        owner: &Rc<Owner>,
        params: object::call_params::Reader<'_>,
    ) -> Result<CallCommand, Failure> {
        let malformed = |error: wire::Malformed| Failure::from(error);
        let method = params
            .get_method()
            .map_err(wire::Malformed::from)
            .and_then(|text| Ok(text.to_str()?.to_owned()))
            .map_err(malformed)?;
        let args = params.get_args().map_err(|error| malformed(error.into()))?;
        let (args, table) = wire::value::read(args).map_err(malformed)?;
        if table.len() > limits::OBJECTS_PER_VALUE {
            let why = format!("{} objects in the arguments of one call", table.len());
            return Err(Failure::new(Code::Limit, why));
        }
        let call = match self.through {
            Some(_) => owner.with(|task| task.next_lent()),
            None => {
                let key = params.get_key().unwrap_or_default();
                let number = <[u8; 8]>::try_from(key).map_err(|_| {
                    let why = "the key of an agent's call is its number, eight bytes";
                    Failure::new(Code::InvalidArgument, why)
                })?;
                CallNumber(u64::from_be_bytes(number))
            }
        };
        let mut ids = Vec::with_capacity(table.len());
        for client in table {
            let id = owner.membranes().known(client, self.attempt).await.ok_or_else(|| {
                let why = "an object in the arguments is none that the task holds";
                Failure::new(Code::InvalidArgument, why)
            })?;
            ids.push(id);
        }
        let args = args.try_map(&mut |index| {
            ids.get(index as usize).copied().ok_or_else(|| {
                Failure::new(Code::InvalidArgument, "an object that is not in the message")
            })
        })?;
        Ok(CallCommand {
            attempt: self.attempt,
            call,
            object: self.object,
            method,
            args,
            through: self.through,
        })
    }

    async fn forward(
        &self,
        params: object::CallParams,
        results: &mut object::CallResults,
    ) -> Result<(), Failure> {
        let owner = self.owner()?;
        let params = params.get().map_err(|error| Failure::from(wire::Malformed::from(error)))?;
        let command = self.understand(&owner, params).await?;
        let call = command.call;
        if self.through.is_none() {
            owner.ask(self.attempt, call)?;
        }
        let recorded = owner.record(&command.into())?;
        owner.ensure_forwarded(call, recorded.number);
        // Calls that already wait on the result go out too, each through a membrane of its own.
        let promised = self.sibling(&owner, ObjectId::Result(call));
        if promises_object(&owner, call) {
            results.get().set_object(promised.clone());
            results.set_pipeline().map_err(|error| Failure::from(wire::Malformed::from(error)))?;
        }
        let turn = match self.through {
            None => Some(owner.turn(call).await?),
            Some(_) => {
                owner.settled(call).await?;
                None
            }
        };
        let outcome = owner.with(|task| match task.operation(call) {
            Some(Operation::Call { state: CallState::Completed(outcome, _), .. }) => {
                Some((**outcome).clone())
            }
            Some(Operation::Denied { denied, .. }) => {
                Some(Outcome::Failure(denied.failure.clone()))
            }
            _ => None,
        });
        match outcome {
            Some(Outcome::Value { value, object }) => {
                self.reply(&owner, results, &value, object.then_some(promised));
                if let Some(turn) = &turn {
                    let mut recorded = results.get().init_recorded();
                    recorded.set_number(turn.stamp.number.0);
                    recorded.set_time_ms(turn.stamp.time_ms);
                }
                Ok(())
            }
            Some(Outcome::Failure(failure)) => Err(failure),
            None => Err(Failure::new(Code::Unknown, "the call is not settled")),
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
        let mut table = Vec::new();
        let Ok(live) = value.clone().try_map(&mut |object| {
            table.push(self.sibling(owner, object));
            Ok::<_, std::convert::Infallible>(u32::try_from(table.len() - 1).unwrap_or(u32::MAX))
        });
        let mut results = results.get();
        wire::value::write(results.reborrow().init_value(), &live, &table);
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
        self.forward(params, &mut results).await.map_err(|failure| to_exception(&failure))
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

/// Whether calls may be pipelined on what the call will return: it says that it returns an object,
/// or it has failed already and they fail with it.
fn promises_object(owner: &Owner, call: CallNumber) -> bool {
    owner.with(|task| match task.operation(call) {
        Some(Operation::Call { request, .. }) => !request.returns.is_empty(),
        Some(Operation::Denied { .. }) => true,
        _ => false,
    })
}
