//! Live references to the tools' objects that a task holds, and how to get one again.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use remit_core::event::Origin;
use remit_core::task::Operation;
use remit_core::{CallNumber, Code, Failure, GrantId, ObjectId, Value};
use remit_schema::object_capnp::object;
use remit_vat::turn;
use remit_vat::wire;

use super::Owner;
use crate::runtime::outgoing::{self, NoAnswer};
use crate::scheduler::registry::Link;

/// A live reference, and what it is reached over.
#[derive(Clone)]
pub struct Reached {
    pub(super) client: object::Client,
    pub(super) link: Link,
}

/// Why there is no live reference to an object.
pub(super) enum NoObject {
    /// What serves it is away: the call was not sent.
    Away(Failure),
    /// There will be none: that is the outcome of the call.
    Never(Failure),
    /// Its tool is not what the grant was made for: the call is refused.
    Refused(Failure),
}

/// A failure of the orchestrator's own. One that a tool answered with is [`NoObject::Never`].
impl From<Failure> for NoObject {
    fn from(failure: Failure) -> Self {
        match failure.code {
            Code::Unavailable => Self::Away(failure),
            Code::InterfaceChanged => Self::Refused(failure),
            Code::Denied
            | Code::Revoked
            | Code::NotFound
            | Code::InvalidArgument
            | Code::Failed
            | Code::TimedOut
            | Code::Cancelled
            | Code::Unknown
            | Code::Limit
            | Code::ObjectLost => Self::Never(failure),
        }
    }
}

impl From<NoObject> for Failure {
    fn from(why: NoObject) -> Self {
        match why {
            NoObject::Away(failure) | NoObject::Never(failure) | NoObject::Refused(failure) => {
                failure
            }
        }
    }
}

/// The live references that an owner has now. Any of them may be gone at any time.
#[derive(Default)]
pub struct Objects {
    live: BTreeMap<ObjectId, Result<Reached, Failure>>,
    /// Roots that no tool node serves: objects of a client's own process.
    own: BTreeMap<GrantId, object::Client>,
}

impl Objects {
    /// The reference, or the failure of the call that was to return it.
    pub fn get(&self, object: ObjectId) -> Option<Result<Reached, Failure>> {
        self.live.get(&object).cloned()
    }

    /// Keeps a reference, or why there is none.
    pub fn set(&mut self, object: ObjectId, reached: Result<Reached, Failure>) {
        self.live.insert(object, reached);
    }

    /// Keeps the root of a grant that is an object of a client's own process.
    pub fn set_own(&mut self, grant: GrantId, root: object::Client) {
        self.own.insert(grant, root);
    }

    /// Whether the grant's root is an object of a client's own process.
    pub fn is_own(&self, grant: GrantId) -> bool {
        self.own.contains_key(&grant)
    }

    /// Drops the references that `which` names.
    pub fn forget(&mut self, which: impl Fn(ObjectId) -> bool) {
        self.live.retain(|object, _| !which(*object));
        self.own.retain(|grant, _| !which(ObjectId::Grant(*grant)));
    }

    /// Drops the references through a connection that is gone; own roots too are gone then.
    pub fn forget_live(&mut self, which: impl Fn(ObjectId) -> bool) {
        self.live.retain(|object, _| !which(*object));
    }
}

impl Owner {
    /// Keeps the root of a grant that is an object of a client's own process.
    pub fn hold_own(&self, grant: GrantId, root: object::Client) {
        self.objects.borrow_mut().set_own(grant, root);
    }

    /// A live reference to the inner object, got again if need be.
    pub(super) async fn resolve(self: &Rc<Self>, object: ObjectId) -> Result<Reached, NoObject> {
        if let Some(known) = self.objects.borrow().get(object) {
            return known.map_err(NoObject::Never);
        }
        let reached = match object {
            ObjectId::Grant(grant) => self.root(grant).await?,
            ObjectId::Result(call) if let Some(grant) = self.derived(call) => {
                return Box::pin(self.resolve(ObjectId::Grant(grant))).await;
            }
            ObjectId::Result(call) => {
                let (promise, link) = self.repeat(call).await?;
                let client = see_through(self.timeout_of(call), promise, &link);
                Reached { client, link }
            }
            ObjectId::Part(call, index) => self.part_again(call, index).await?,
            ObjectId::CallerCapability(call, index) => {
                return Ok(Reached { client: self.guest(call, index), link: Link::Here });
            }
        };
        self.objects.borrow_mut().set(object, Ok(reached.clone()));
        Ok(reached)
    }

    /// The root object of a grant, from the node that serves it.
    async fn root(self: &Rc<Self>, grant: GrantId) -> Result<Reached, NoObject> {
        if let Some(own) = self.objects.borrow().own.get(&grant) {
            return Ok(Reached { client: own.clone(), link: Link::Client });
        }
        let Some(grant) =
            self.with(|task| task.grant(grant).map(|held| Rc::new(held.grant.clone())))
        else {
            return Err(Failure::new(Code::ObjectLost, "the grant is gone").into());
        };
        if let Some(derived) = &grant.derived {
            return Box::pin(self.resolve(derived.object)).await;
        }
        if let Some(origin) = grant.origin {
            let away = || Failure::new(Code::Unavailable, "the orchestrator is going away");
            let tasks = self.services.tasks.upgrade().ok_or_else(away)?;
            return Ok(Reached { client: tasks.passed(self.key(), origin)?, link: Link::Here });
        }
        if grant.node == crate::tasks::BUILT_IN {
            let client = crate::tasks::tool::object::root(self);
            return Ok(Reached { client, link: Link::Here });
        }
        let live = self.live_tool(&grant.node, &grant.tool, &grant.manifest.version).await?;
        self.check_live(grant.grant, &live)?;
        if grant.path.is_empty() {
            return Ok(Reached { client: live.root, link: live.link });
        }
        let path = Value::<u32>::Fields(vec![("path".into(), Value::Text(grant.path.clone()))]);
        let descend = &grant.manifest.descend;
        if descend.is_empty() {
            let why = format!("{} opens no paths any more, and the grant is one", grant.tool);
            return Err(Failure::new(Code::InterfaceChanged, why).into());
        }
        let promise = outgoing::call(&live.root, descend, &[], |args| {
            wire::value::write(args, &path, &[]);
        });
        let promise = promise.send();
        let client = see_through(crate::limits::DEFAULT_CALL, promise, &live.link);
        Ok(Reached { client, link: live.link })
    }

    /// Waits a while for a tool node that is drained to take calls again.
    pub(super) async fn admitted(&self, node: &str) -> Result<(), Failure> {
        let grace = self.services.timing.tool_grace;
        let undrained = self.services.registry.undrained(node);
        tokio::time::timeout(grace, undrained).await.map_err(|_| {
            let why = format!(
                "{node} is drained, and was given no work again within {} s",
                grace.as_secs_f32()
            );
            Failure::new(Code::Unavailable, why)
        })
    }

    /// The tool, waiting a while for its node to come back.
    pub(super) async fn live_tool(
        &self,
        node: &str,
        tool: &str,
        version: &str,
    ) -> Result<crate::scheduler::registry::LiveTool, Failure> {
        let registry = &self.services.registry;
        let grace = self.services.timing.tool_grace;
        let wait = async {
            loop {
                let changed = registry.changed();
                if let Some(live) = registry.live(node, tool, version) {
                    return live;
                }
                changed.await;
            }
        };
        tokio::time::timeout(grace, wait).await.map_err(|_| {
            Failure::new(
                Code::Unavailable,
                format!(
                    "{node}, which serves {tool} {version}, is away, and did not come back within {} s",
                    grace.as_secs_f32()
                ),
            )
        })
    }

    /// The grant that the operation derived, if it did.
    fn derived(&self, call: CallNumber) -> Option<GrantId> {
        self.with(|task| match task.operation(call)? {
            Operation::Derived { grant, .. } => Some(*grant),
            Operation::CapabilityRequest { .. } => task.granted_to(call),
            Operation::Call { .. }
            | Operation::Denied { .. }
            | Operation::Sleep { .. }
            | Operation::Input { .. }
            | Operation::Steers { .. } => None,
        })
    }

    /// Whether calls on the grant go to an object of a client's own process.
    pub(super) fn is_own(&self, grant: GrantId) -> bool {
        let objects = self.objects.borrow();
        self.with(|task| task.chain(grant).any(|held| objects.is_own(held.grant.grant)))
    }

    /// Whether calls on the grant go to the orchestrator itself.
    pub(super) fn is_built_in(&self, grant: GrantId) -> bool {
        self.with(|task| {
            task.grant(grant).is_some_and(|held| held.grant.node == crate::tasks::BUILT_IN)
        })
    }

    /// The grant of another task through which the calls on `grant` go. That task's journal answers
    /// a call that is repeated under its key with what it recorded.
    pub fn origin_of(&self, grant: GrantId) -> Option<Origin> {
        self.with(|task| task.chain(grant).find_map(|held| held.grant.origin))
    }

    /// Sends a call again, which is sound only if it changes nothing, or if its key is known where
    /// it goes.
    pub(super) async fn repeat(
        self: &Rc<Self>,
        call: CallNumber,
    ) -> Result<(outgoing::Promise, Link), NoObject> {
        let lost = |why: &str| Failure::new(Code::ObjectLost, why);
        let Some(asked) = self.with(|task| task.request(call).cloned()) else {
            return Err(lost("the call that returned the object is not in the journal").into());
        };
        let known = self.origin_of(asked.grant).is_some() || self.is_built_in(asked.grant);
        if !asked.read_only && !known {
            return Err(lost(&format!(
                "the object came from call {call} ({}), which is not read-only and so is not repeated",
                asked.method
            ))
            .into());
        }
        let Reached { client, link } = Box::pin(self.resolve(asked.object)).await?;
        let again = outgoing::call(&client, &asked.method, &self.tool_key(call), |args| {
            let mut lend = |object| self.lend(&asked, call, object);
            wire::value::write_live(args, &asked.args, &mut lend);
        });
        Ok((again.send(), link))
    }

    async fn part_again(
        self: &Rc<Self>,
        call: CallNumber,
        index: u32,
    ) -> Result<Reached, NoObject> {
        let (promise, link) = self.repeat(call).await?;
        let answer = match outgoing::answer(self.timeout_of(call), promise, &link).await {
            Ok(answer) => answer,
            Err(NoAnswer::Failed(failure)) => return Err(NoObject::Never(failure)),
            Err(lost @ NoAnswer::Lost(_)) => return Err(NoObject::Away(lost.into())),
        };
        let outgoing::Answer { table, .. } = answer;
        for (at, client) in (0..).zip(&table) {
            let reached = Reached { client: client.clone(), link: link.clone() };
            self.objects.borrow_mut().set(ObjectId::Part(call, at), Ok(reached));
        }
        let client = table.into_iter().nth(index as usize).ok_or_else(|| {
            Failure::new(Code::ObjectLost, format!("call {call} no longer returns object {index}"))
        })?;
        Ok(Reached { client, link })
    }
}

/// The object that a call will return. The call is seen through to its answer: a promise that is
/// dropped takes an object in this same process with it.
fn see_through(limit: Duration, promise: outgoing::Promise, link: &Link) -> object::Client {
    let object = promise.pipeline.get_object();
    let link = link.clone();
    turn::spawn("an object", async move {
        let answer = outgoing::answer(limit, promise, &link).await;
        if let Err(failure) = answer.map_err(Failure::from) {
            tracing::debug!(%failure, "an object could not be got again");
        }
    });
    object
}
