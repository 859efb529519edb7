//! A task that is held through a sturdy reference, and the references that are made of it.

use std::rc::Rc;

use remit_core::{Code, Failure, Reference};
use remit_faults::crash::{self, Step};
use remit_schema::mesh_capnp::task;
use remit_vat::run_detached::run_detached;

use super::TaskServer;
use crate::admission::members::uses::TaskTraits;
use crate::runtime::TaskKey;
use crate::serve::caller::Caller;
use crate::serve::good;
use crate::serve::hold::Hold;
use crate::services::refs::{RefSpec, RefValidity, Target};

/// A reference to the task `key` for as long as the sturdy one stands from which it is restored.
pub(in crate::serve) fn standing(
    caller: &Rc<Caller>,
    key: TaskKey,
    through: RefValidity,
) -> task::Client {
    let hold = if through.viewer { Hold::viewer() } else { Hold::whole(caller.grant.may()) };
    TaskServer::new(caller, key, Some(through)).held(hold)
}

impl TaskServer {
    /// Whether its holder may still use it.
    pub(super) async fn stands(&self) -> Result<(), Failure> {
        match &self.through {
            Some(through) => {
                let refs = self.tasks.refs()?;
                refs.check_validity(&self.key.tenant, through).await?;
                refs.note_use(&self.key.tenant, through).await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Waits until its holder may use it no more.
    pub(super) async fn over(&self) {
        match (&self.through, self.tasks.refs()) {
            (Some(through), Ok(refs)) => refs.over(&self.key.tenant, through).await,
            _ => std::future::pending().await,
        }
    }

    /// A new sturdy reference to the task or to one of its grants. It lasts no longer than its maker may
    /// steer the task, and is revoked at once if that was taken away meanwhile.
    pub(super) async fn saved(
        self: &Rc<Self>,
        target: Target,
        mut spec: RefSpec,
    ) -> Result<Reference, capnp::Error> {
        let traits = self.owner().await?.with(TaskTraits::of);
        if self.through.is_none() {
            let ends = [spec.until_ms, self.caller.steers_until(&traits)];
            spec.until_ms = ends.into_iter().flatten().min();
        }
        crash::point(Step::Received, "reference");
        let held = Rc::clone(self);
        let saving = run_detached(async move {
            let (refs, what) = (held.tasks.refs()?, (&held.key, target));
            let through = held.through.as_ref();
            let made = refs.save(&held.tasks, what, spec, &held.holder, through).await?;
            let may = match held.through {
                Some(_) => !held.caller.site.members.is_expelled(&held.holder),
                None => held.caller.still_steers(&traits),
            };
            if !may {
                let why = format!("{} may steer the task no more", held.holder);
                refs.revoke(&held.tasks, made.id(), &why, &held.holder).await?;
                return Err(Failure::new(Code::Denied, why));
            }
            Ok(made)
        });
        let made = good(saving.await)?;
        crash::point(Step::Flushed, "reference");
        Ok(made)
    }
}
