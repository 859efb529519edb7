//! A task that is held through a sturdy reference, and the references that are made of it.

use std::rc::Rc;

use remit_core::{Facets, Failure, Identity, Reference};
use remit_schema::mesh_capnp::task;
use remit_vat::crash::{self, Step};

use super::TaskServer;
use crate::owner::TaskKey;
use crate::refs::{RefSpec, Standing, Target};
use crate::serve::facets::Hold;
use crate::serve::good;
use crate::tasks::Tasks;

/// A reference to the task `key` for as long as the sturdy one stands from which it is restored.
pub fn standing(
    tasks: &Rc<Tasks>,
    key: TaskKey,
    (holder, may): (&Identity, Facets),
    through: Standing,
) -> task::Client {
    let hold = if through.viewer { Hold::viewer() } else { Hold::whole(may) };
    let (tasks, holder) = (Rc::clone(tasks), holder.clone());
    TaskServer { tasks, key, holder, through: Some(through) }.held(hold)
}

impl TaskServer {
    /// Whether its holder may still use it.
    pub(super) fn stands(&self) -> Result<(), Failure> {
        match &self.through {
            Some(through) => {
                let refs = self.tasks.refs()?;
                refs.check_standing(&self.key.tenant, through)?;
                refs.note_use(&self.key.tenant, through);
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

    /// A new sturdy reference to the task or to one of its grants.
    pub(super) async fn saved(
        &self,
        target: Target,
        spec: RefSpec,
    ) -> Result<Reference, capnp::Error> {
        self.owner()?;
        crash::point(Step::Received, "reference");
        let saving = async {
            let (refs, what) = (self.tasks.refs()?, (&self.key, target));
            refs.save(&self.tasks, what, spec, &self.holder, self.through.as_ref()).await
        };
        let made = good(saving.await)?;
        crash::point(Step::Flushed, "reference");
        Ok(made)
    }
}
