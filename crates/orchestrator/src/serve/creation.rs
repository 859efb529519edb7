//! The facet `create`: makes tasks, and triggers that do.

use std::rc::Rc;

use remit_core::Facet;
use remit_faults::crash::{self, Step};
use remit_schema::mesh_capnp::creation;
use remit_vat::run_detached::run_detached;

use super::caller::Caller;
use super::hold::Hold;
use super::triggers::TriggersServer;
use super::{good, keys, task, task_spec};

/// What makes tasks for one client.
struct CreationServer(Rc<Caller>);

/// What makes tasks for this client.
pub(super) fn client(caller: &Rc<Caller>) -> creation::Client {
    capnp_rpc::new_client(CreationServer(Rc::clone(caller)))
}

impl creation::Server for CreationServer {
    async fn create_task(
        self: Rc<Self>,
        params: creation::CreateTaskParams,
        mut results: creation::CreateTaskResults,
    ) -> Result<(), capnp::Error> {
        let caller = &self.0;
        let mut spec = task_spec::read(params.get()?.get_spec()?)?;
        spec.key = good(keys::chosen(spec.key))?;
        good(caller.check_creates(&spec))?;
        crash::point(Step::Received, "task");
        let creator = Rc::clone(caller);
        let created = run_detached(async move {
            let owner = creator.site.tasks.create(spec, &creator.who).await?;
            creator.check_still_member(owner.key()).await?;
            Ok(owner)
        });
        let owner = good(created.await)?;
        crash::point_after_turn(Step::Replied, "task");
        let key = owner.key().clone();
        results.get().set_id(key.task.to_string());
        let hold = match caller.grant.looks_at_use(Facet::Own) {
            true => caller.hold(&key).unwrap_or(Hold::viewer()),
            false => Hold::whole(caller.grant.may()),
        };
        results.get().set_task(task::client(caller, key, hold));
        Ok(())
    }

    async fn triggers(
        self: Rc<Self>,
        _: creation::TriggersParams,
        mut results: creation::TriggersResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_triggers(capnp_rpc::new_client(TriggersServer(Rc::clone(&self.0))));
        Ok(())
    }
}
