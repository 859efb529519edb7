//! How a member holds a task, and what each method of a task takes. A task is wrapped in the table of
//! its methods when it is handed out, and a call that its holder may not make never reaches it.

use std::ops::Deref;
use std::rc::Rc;

use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Results, Server,
};
use capnp::private::capability::ClientHook;
use remit_core::{Code, Facet, FacetUse, Facets, Failure, Identity, MemberGrant};
use remit_vat::exception::to_exception;

use crate::admission::members::uses::TaskTraits;

/// What a method of a task takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskNeed {
    /// That its holder may look.
    See,
    /// That it may change how the task goes on, and share it.
    Steer,
    /// That it may decide what waits for a person.
    Decide,
    /// That it may look at what waits.
    SeeQuestions,
    /// That it may steer, and create tasks.
    Fork,
}

/// Every method of `Task`, by its ordinal.
pub const TASK: [(&str, TaskNeed); 20] = [
    ("info", TaskNeed::See),
    ("events", TaskNeed::See),
    ("send", TaskNeed::Steer),
    ("cancel", TaskNeed::Steer),
    ("result", TaskNeed::See),
    ("grants", TaskNeed::See),
    ("grant", TaskNeed::Steer),
    ("held", TaskNeed::Steer),
    ("pause", TaskNeed::Steer),
    ("resume", TaskNeed::Steer),
    ("fork", TaskNeed::Fork),
    ("retry", TaskNeed::Fork),
    ("upgrade", TaskNeed::Steer),
    ("questions", TaskNeed::SeeQuestions),
    ("approve", TaskNeed::Decide),
    ("give", TaskNeed::Decide),
    ("refuse", TaskNeed::Decide),
    ("settle", TaskNeed::Decide),
    ("save", TaskNeed::Steer),
    ("remove", TaskNeed::Steer),
];

/// How somebody holds a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    steers: bool,
    decides: bool,
    creates: bool,
}

impl Hold {
    /// The hold of a member on a task that it names; `None`: it may not see it.
    pub fn by_name(
        grant: &MemberGrant,
        whose: TaskOwnership,
        usage: &FacetUse<'_>,
        now_ms: u64,
    ) -> Option<Self> {
        let allows = |facet| grant.check(facet, usage, now_ms).is_ok();
        let own = whose == TaskOwnership::Own && allows(Facet::Own);
        let hold = Self {
            steers: own || allows(Facet::Steer),
            decides: own || allows(Facet::Decide),
            creates: grant.may().has(Facet::Create),
        };
        (hold.steers || hold.decides || allows(Facet::View)).then_some(hold)
    }

    /// Of the client that just created it, or restored a reference to all of it.
    pub const fn whole(may: Facets) -> Self {
        Self { steers: true, decides: true, creates: may.has(Facet::Create) }
    }

    /// Of whoever may only look.
    pub const fn viewer() -> Self {
        Self { steers: false, decides: false, creates: false }
    }

    /// Whether it lets its holder steer.
    pub const fn steers(self) -> bool {
        self.steers
    }

    /// Refuses what it is not for.
    pub fn check(self, need: TaskNeed) -> Result<(), Failure> {
        let (allowed, lacks) = match need {
            TaskNeed::See => return Ok(()),
            TaskNeed::Steer => (self.steers, "steering"),
            TaskNeed::Decide => (self.decides, "deciding"),
            TaskNeed::SeeQuestions => (self.decides || self.steers, "deciding"),
            TaskNeed::Fork => (self.steers && self.creates, "creating tasks"),
        };
        if allowed {
            return Ok(());
        }
        let why = if self.steers || self.decides {
            format!("what you hold of the task is not for {lacks}")
        } else {
            "what you hold is only for looking at the task: ask for a reference to the task itself"
                .to_owned()
        };
        Err(Failure::new(Code::Denied, why))
    }
}

/// Whose a task is, seen from a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskOwnership {
    /// It created it.
    Own,
    /// Another one did.
    Anothers,
}

impl TaskOwnership {
    /// Whose the task with these traits is, seen from `who`.
    pub fn of(traits: &TaskTraits, who: &Identity) -> Self {
        if traits.creator == who.to_string() { Self::Own } else { Self::Anothers }
    }
}

/// Says whether the method of this ordinal may be called.
type Check = Box<dyn Fn(u16) -> Result<(), Failure>>;

/// A server behind a table.
pub(super) struct Guard<D> {
    dispatch: D,
    /// The interface that the table is of. What it extends is for every member.
    interface: u64,
    check: Check,
}

struct Guarded<D>(Rc<Guard<D>>);

/// A client of a guarded server, before it is one of an interface.
struct GuardedClient(Client);

/// A task as it is held.
pub(super) fn task<D: Server + Clone + 'static>(dispatch: D, interface: u64, hold: Hold) -> Client {
    wrap(dispatch, interface, move |ordinal| match TASK.get(usize::from(ordinal)) {
        Some((_, need)) => hold.check(*need),
        None => Err(not_known()),
    })
}

fn wrap<D: Server + Clone + 'static>(
    dispatch: D,
    interface: u64,
    check: impl Fn(u16) -> Result<(), Failure> + 'static,
) -> Client {
    let guard = Guard { dispatch, interface, check: Box::new(check) };
    let client: GuardedClient = capnp_rpc::new_client(guard);
    client.0
}

fn not_known() -> Failure {
    Failure::new(Code::Denied, "this method is in no table of what members may do")
}

impl<D: Server + Clone> Server for Guarded<D> {
    fn dispatch_call(
        self,
        interface_id: u64,
        method_id: u16,
        params: Params<capnp::any_pointer::Owned>,
        results: Results<capnp::any_pointer::Owned>,
    ) -> DispatchCallResult {
        if interface_id == self.0.interface
            && let Err(failure) = (self.0.check)(method_id)
        {
            return DispatchCallResult::new(Promise::err(to_exception(&failure)), false);
        }
        self.0.dispatch.clone().dispatch_call(interface_id, method_id, params, results)
    }

    fn as_ptr(&self) -> usize {
        self.0.dispatch.as_ptr()
    }
}

impl<D> Deref for Guarded<D> {
    type Target = Guard<D>;

    fn deref(&self) -> &Guard<D> {
        &self.0
    }
}

impl<D> Clone for Guarded<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl FromClientHook for GuardedClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &dyn ClientHook {
        &*self.0.hook
    }
}

impl<D: Server + Clone + 'static> FromServer<Guard<D>> for GuardedClient {
    type Dispatch = Guarded<D>;

    fn from_server(guard: Rc<Guard<D>>) -> Guarded<D> {
        Guarded(guard)
    }
}
