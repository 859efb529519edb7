//! The facets by which a client sees tasks: lists, what waits for people, who holds what.

use std::rc::Rc;

use remit_core::status::Status;
use remit_core::{Code, Facet, Failure};
use remit_schema::mesh_capnp::tasks;
use remit_vat::exception::to_exception;
use remit_vat::run_detached::run_detached;
use remit_vat::wire::text;

use super::caller::Caller;
use super::hold::TaskNeed;
use super::{authority, good, questions, reason, task, task_info};
use crate::limits;
use crate::runtime::TaskKey;

/// The tasks that one client sees.
struct TasksServer(Rc<Caller>);

/// The tasks that this client sees.
pub(super) fn client(caller: &Rc<Caller>) -> tasks::Client {
    capnp_rpc::new_client(TasksServer(Rc::clone(caller)))
}

/// The status of this name; `None`: any.
fn status(name: &str) -> Result<Option<Status>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    Status::parse(name).map(Some).ok_or_else(|| {
        let known = Status::ALL.map(Status::as_str).join(", ");
        Failure::new(Code::InvalidArgument, format!("`{name}` is no status: {known}"))
    })
}

impl tasks::Server for TasksServer {
    async fn task(
        self: Rc<Self>,
        params: tasks::TaskParams,
        mut results: tasks::TaskResults,
    ) -> Result<(), capnp::Error> {
        let key = good(self.0.key(&text(params.get()?.get_id())?))?;
        let hold = good(self.0.hold(&key))?;
        results.get().set_task(task::client(&self.0, key, hold));
        Ok(())
    }

    async fn list(
        self: Rc<Self>,
        params: tasks::ListParams,
        mut results: tasks::ListResults,
    ) -> Result<(), capnp::Error> {
        let (caller, params) = (&self.0, params.get()?);
        let status = good(status(&text(params.get_status())?))?;
        let after = good(caller.after(&text(params.get_after())?))?;
        let limit = match params.get_limit() {
            0 => limits::TASKS_PER_PAGE,
            limit => limit as usize,
        };
        let (tenant, sight) = (caller.who.tenant(), caller.sees());
        let listed = caller.site.tasks.list(tenant, status, after, limit, Some(&sight));
        let (listed, more) = good(listed)?;
        if let Some(more) = more {
            results.get().set_more(more.to_string());
        }
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_tasks(count);
        for (at, (id, head)) in (0..count).zip(listed) {
            let key = TaskKey { tenant: tenant.to_owned(), task: id };
            task_info::write(list.reborrow().get(at), &key, &head);
        }
        Ok(())
    }

    async fn inbox(
        self: Rc<Self>,
        params: tasks::InboxParams,
        mut results: tasks::InboxResults,
    ) -> Result<(), capnp::Error> {
        let (caller, params) = (&self.0, params.get()?);
        let after = good(caller.after(&text(params.get_after())?))?;
        let limit = match params.get_limit() {
            0 => limits::QUESTIONS_PER_PAGE,
            limit => limit as usize,
        };
        let sight = caller.sees();
        let inbox = caller.site.tasks.inbox(caller.who.tenant(), after, limit, Some(&sight));
        let (items, more) = good(inbox)?;
        if let Some(more) = more {
            results.get().set_more(more.to_string());
        }
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_items(count);
        for (at, item) in (0..count).zip(&items) {
            questions::write(list.reborrow().get(at), item);
        }
        Ok(())
    }

    async fn holders(
        self: Rc<Self>,
        params: tasks::HoldersParams,
        mut results: tasks::HoldersResults,
    ) -> Result<(), capnp::Error> {
        let mut which = good(authority::read_selection(params.get()?.get_which()?))?;
        which.within = Some(self.0.sees());
        let held = good(self.0.site.tasks.holders(self.0.who.tenant(), &which).await)?;
        let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
        authority::write_holdings(&self.0.site, results.get().init_held(count), &held);
        Ok(())
    }

    async fn revoke_all(
        self: Rc<Self>,
        params: tasks::RevokeAllParams,
        mut results: tasks::RevokeAllResults,
    ) -> Result<(), capnp::Error> {
        let (caller, params) = (&self.0, params.get()?);
        let mut which = good(authority::read_selection(params.get_which()?))?;
        let usable = caller.usable();
        if !usable.has(Facet::Steer) && !usable.has(Facet::Own) {
            let why = "you may see tasks and steer none: revoking needs `own` or `steer`";
            return Err(to_exception(&Failure::new(Code::Denied, why)));
        }
        if let Some(task) = which.task {
            let key = TaskKey { tenant: caller.who.tenant().to_owned(), task };
            good(good(caller.hold(&key))?.check(TaskNeed::Steer))?;
        }
        which.within = Some(caller.steers());
        let reason = reason(params.get_reason())?;
        let asked = Rc::clone(caller);
        let revoked =
            run_detached(
                async move { asked.site.tasks.revoke_all(&which, &reason, &asked.who).await },
            );
        let revoked = good(revoked.await)?;
        let count = u32::try_from(revoked.len()).unwrap_or(u32::MAX);
        authority::write_holdings(&caller.site, results.get().init_revoked(count), &revoked);
        Ok(())
    }
}
