//! Pins at work: a call goes to a tool that is what its grant was made for, or to none.

use std::rc::Rc;
use std::sync::Arc;

use remit_core::event::Grant;
use remit_core::task::{CallCommand, Command};
use remit_core::{Code, Failure, GrantId};

use super::Owner;
use crate::scheduler::registry::{LiveTool, interface_changed};

impl Owner {
    /// Whether the tool of a call is what the call's grant was made for. If it changed and somebody
    /// accepted that, the grant goes on with what is left of its interface. A node that is away is
    /// waited for: what comes back is looked at then.
    pub(crate) fn check_pin(self: &Rc<Self>, call: &CallCommand) -> Result<(), Failure> {
        let root = self.with(|task| task.root_of(task.grant_of(call.object)?).cloned());
        let Some(root) = root.filter(|root| self.is_registered(root)) else { return Ok(()) };
        let live = self.services().registry.live(&root.node, &root.tool, &root.manifest.version);
        live.map_or(Ok(()), |live| self.pin(root.grant, &live).map(|_| ()))
    }

    /// The same for a tool that was waited for. A call that was allowed by another interface than
    /// the one there is now is not sent.
    pub(super) fn check_live(
        self: &Rc<Self>,
        grant: GrantId,
        live: &LiveTool,
    ) -> Result<(), Failure> {
        match self.pin(grant, live)? {
            Pinned::AsBefore => Ok(()),
            Pinned::ForkOptions => Err(Failure::new(
                Code::InterfaceChanged,
                "the tool's interface changed, and was accepted, while the call waited for it: make the call again",
            )),
        }
    }

    fn pin(self: &Rc<Self>, grant: GrantId, live: &LiveTool) -> Result<Pinned, Failure> {
        let pinned = self
            .with(|task| task.pinned(grant).map(|(made_for, hash)| (Arc::clone(made_for), hash)));
        match pinned {
            Some((_, hash)) if hash == live.hash => Ok(Pinned::AsBefore),
            Some(_) if live.is_accepted => {
                let accepted = Arc::clone(&live.manifest);
                self.record(&Command::Repin { grant, accepted }).map(|_| Pinned::ForkOptions)
            }
            Some((made_for, _)) => {
                let node = self.with(|task| task.grant(grant).map(|held| held.grant.node.clone()));
                Err(interface_changed(&made_for, &live.manifest, &node.unwrap_or_default()))
            }
            None => Err(Failure::new(Code::ObjectLost, "the grant is gone")),
        }
    }

    /// Whether a grant leads to a tool of a tool node, and not to something of this process, of a
    /// client or of another task.
    fn is_registered(&self, root: &Grant) -> bool {
        root.origin.is_none() && root.node != crate::tasks::BUILT_IN && !self.is_own(root.grant)
    }
}

/// What a tool is to a grant.
enum Pinned {
    /// What it was.
    AsBefore,
    /// Another, from now on.
    ForkOptions,
}
