//! A grant of a task, for a client that steers the task.

use std::rc::Rc;

use remit_core::task::Command;
use remit_core::{Code, Failure, GrantId};
use remit_schema::mesh_capnp::task_grant;

use super::TaskServer;
use crate::serve::{reason, refs};
use crate::services::refs::Target;

/// One grant of a task that a client holds.
struct TaskGrantServer {
    task: Rc<TaskServer>,
    grant: GrantId,
}

/// The grant of this number, of a task as it is held.
pub(super) async fn client(
    task: &Rc<TaskServer>,
    grant: GrantId,
) -> Result<task_grant::Client, Failure> {
    task.stands().await?;
    let known = task.tasks.get(&task.key)?.with(|state| state.grant(grant).is_some());
    if !known {
        let why = format!("the task has no grant {grant}: `remit grants` lists them");
        return Err(Failure::new(Code::NotFound, why));
    }
    Ok(capnp_rpc::new_client(TaskGrantServer { task: Rc::clone(task), grant }))
}

impl task_grant::Server for TaskGrantServer {
    async fn revoke(
        self: Rc<Self>,
        params: task_grant::RevokeParams,
        _: task_grant::RevokeResults,
    ) -> Result<(), capnp::Error> {
        let reason = reason(params.get()?.get_reason())?;
        let by = self.task.holder.to_string();
        self.task.command(&Command::RevokeGrant { grant: self.grant, reason, by }).await?;
        Ok(())
    }

    async fn save(
        self: Rc<Self>,
        params: task_grant::SaveParams,
        mut results: task_grant::SaveResults,
    ) -> Result<(), capnp::Error> {
        let spec = refs::read_spec(params.get()?.get_spec()?)?;
        let made = self.task.saved(Target::Grant(self.grant), spec).await?;
        results.get().set_ref(&made.to_bytes());
        results.get().set_id(made.id().to_string());
        Ok(())
    }
}
