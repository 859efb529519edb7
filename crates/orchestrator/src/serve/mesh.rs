//! What a client can do here.

mod sight;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use capnp::capability::FromServer;
use capnp::traits::HasTypeId as _;
use remit_core::reference::NotAReference;
use remit_core::status::Status;
use remit_core::{Code, Facet, Facets, Failure, Identity, RefId, Reference};
use remit_schema::mesh_capnp::mesh;
use remit_vat::crash::{self, Step};
use remit_vat::exception::to_exception;
use remit_vat::lasting::lasting;
use remit_vat::wire::{self, text};

use super::credentials::member;
use super::facets::{self, Hold, TaskNeed};
use super::{
    authority, good, keeper, keys, members, node_info, questions, reason, refs, task, task_info,
    task_spec,
};
use crate::limits;
use crate::owner::TaskKey;
use crate::refs::{Live, State};
use crate::registry::ToolInfo;
use crate::site::{AndItsTasks, Site};
use crate::tasks;

/// The bootstrap object of a client.
pub(super) struct MeshServer {
    pub(super) site: Rc<Site>,
    pub(super) who: Identity,
    may: Facets,
}

/// The bootstrap object of the client `who`, with what it may do and nothing else.
pub(super) fn client(site: Rc<Site>, who: Identity, may: Facets) -> mesh::Client {
    let server = MeshServer { site, who, may };
    let dispatch = <mesh::Client as FromServer<MeshServer>>::from_server(Rc::new(server));
    mesh::Client { client: facets::mesh(dispatch, mesh::Client::TYPE_ID, may) }
}

fn invalid(why: String) -> capnp::Error {
    to_exception(&Failure::new(Code::InvalidArgument, why))
}

member!(MeshServer);

impl mesh::Server for MeshServer {
    async fn create_task(
        self: Rc<Self>,
        params: mesh::CreateTaskParams,
        mut results: mesh::CreateTaskResults,
    ) -> Result<(), capnp::Error> {
        let mut spec = task_spec::read(params.get()?.get_spec()?)?;
        spec.key = good(keys::chosen(spec.key))?;
        crash::point(Step::Received, "task");
        let owner = good(self.site.tasks.create(spec, &self.who).await)?;
        crash::point_after_turn(Step::Replied, "task");
        let key = owner.key().clone();
        results.get().set_id(key.task.to_string());
        let hold = Hold::whole(self.may);
        results.get().set_task(task::client(&self.site.tasks, key, &self.who, hold));
        Ok(())
    }

    async fn task(
        self: Rc<Self>,
        params: mesh::TaskParams,
        mut results: mesh::TaskResults,
    ) -> Result<(), capnp::Error> {
        let id = text(params.get()?.get_id())?;
        let key = good(self.key(&id))?;
        let hold = good(self.hold(&key))?;
        results.get().set_task(task::client(&self.site.tasks, key, &self.who, hold));
        Ok(())
    }

    async fn tasks(
        self: Rc<Self>,
        params: mesh::TasksParams,
        mut results: mesh::TasksResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let status = match text(params.get_status())?.as_str() {
            "" => None,
            name => Some(Status::parse(name).ok_or_else(|| {
                invalid(format!(
                    "`{name}` is no status: {}",
                    Status::ALL.map(Status::as_str).join(", ")
                ))
            })?),
        };
        let after = good(self.after(&text(params.get_after())?))?;
        let limit = match params.get_limit() {
            0 => limits::TASKS_PER_PAGE,
            limit => limit as usize,
        };
        let by = self.sees();
        let listed =
            good(self.site.tasks.list(self.who.tenant(), status, after, limit, by.as_deref()))?;
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_tasks(count);
        for (at, (id, head)) in (0..count).zip(listed) {
            let key = TaskKey { tenant: self.who.tenant().to_owned(), task: id };
            task_info::write(list.reborrow().get(at), &key, &head);
        }
        Ok(())
    }

    async fn inbox(
        self: Rc<Self>,
        params: mesh::InboxParams,
        mut results: mesh::InboxResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let after = good(self.after(&text(params.get_after())?))?;
        let limit = match params.get_limit() {
            0 => limits::QUESTIONS_PER_PAGE,
            limit => limit as usize,
        };
        let by = self.sees();
        let inbox = self.site.tasks.inbox(self.who.tenant(), after, limit, by.as_deref());
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

    async fn tools(
        self: Rc<Self>,
        _: mesh::ToolsParams,
        mut results: mesh::ToolsResults,
    ) -> Result<(), capnp::Error> {
        let mut tools = self.site.registry.tools();
        tools.push(ToolInfo {
            manifest: Arc::clone(&tasks::tool::MANIFEST),
            accepted: None,
            node: tasks::BUILT_IN.into(),
            available: true,
        });
        let count = u32::try_from(tools.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_tools(count);
        for (at, tool) in (0..count).zip(tools) {
            let mut info = list.reborrow().get(at);
            info.set_node(&tool.node);
            info.set_available(tool.available);
            wire::manifest::write(info.reborrow().init_manifest(), &tool.manifest);
            if let Some(accepted) = &tool.accepted {
                wire::manifest::write(info.init_accepted(), accepted);
            }
        }
        Ok(())
    }

    async fn accept_tool(
        self: Rc<Self>,
        params: mesh::AcceptToolParams,
        _: mesh::AcceptToolResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let node = text(params.get_node())?;
        let hash = params.get_hash()?.to_vec();
        good(lasting(async move { self.site.accept(&self.who, &node, &hash).await }).await)
    }

    async fn audit(
        self: Rc<Self>,
        params: mesh::AuditParams,
        mut results: mesh::AuditResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let cursor = text(params.get_cursor())?;
        let _turn = good(self.site.tasks.services().jobs.begin(&self.who).await)?;
        let reader = authority::reader(&self.site, self.who.tenant());
        let filter = good(authority::read_filter(params.get_filter()?))?;
        let (records, cursor) = good(reader.page(&filter, &cursor, params.get_limit() as usize))?;
        results.get().set_cursor(&cursor);
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        authority::write_records(results.get().init_records(count), &records);
        Ok(())
    }

    async fn verify_audit(
        self: Rc<Self>,
        params: mesh::VerifyAuditParams,
        mut results: mesh::VerifyAuditResults,
    ) -> Result<(), capnp::Error> {
        let cursor = text(params.get()?.get_cursor())?;
        let _turn = good(self.site.tasks.services().jobs.begin(&self.who).await)?;
        let checked = good(authority::reader(&self.site, self.who.tenant()).verify(&cursor))?;
        let mut results = results.get();
        results.set_checked(checked.count);
        results.set_cursor(&checked.cursor);
        let count = u32::try_from(checked.broken.len()).unwrap_or(u32::MAX);
        let mut broken = results.init_broken(count);
        for (at, line) in (0..count).zip(&checked.broken) {
            broken.set(at, line);
        }
        Ok(())
    }

    async fn holders(
        self: Rc<Self>,
        params: mesh::HoldersParams,
        mut results: mesh::HoldersResults,
    ) -> Result<(), capnp::Error> {
        let mut which = good(authority::read_selection(params.get()?.get_which()?))?;
        which.creator = self.sees().unwrap_or_default();
        let held = good(self.site.tasks.holders(self.who.tenant(), &which))?;
        let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
        authority::write_holdings(&self.site, results.get().init_held(count), &held);
        Ok(())
    }

    async fn revoke_all(
        self: Rc<Self>,
        params: mesh::RevokeAllParams,
        mut results: mesh::RevokeAllResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut which = good(authority::read_selection(params.get_which()?))?;
        if !self.may.has(Facet::Steer) {
            if !self.may.has(Facet::Own) {
                let why = "you may see tasks and steer none: revoking needs `own` or `steer`";
                return Err(to_exception(&Failure::new(Code::Denied, why)));
            }
            which.creator = self.who.to_string();
            if let Some(task) = which.task {
                let key = TaskKey { tenant: self.who.tenant().to_owned(), task };
                good(good(self.hold(&key))?.check(TaskNeed::Steer))?;
            }
        }
        let reason = reason(params.get_reason())?;
        let mesh = Rc::clone(&self);
        let revoked =
            lasting(async move { mesh.site.tasks.revoke_all(&which, &reason, &mesh.who).await });
        let revoked = good(revoked.await)?;
        let count = u32::try_from(revoked.len()).unwrap_or(u32::MAX);
        authority::write_holdings(&self.site, results.get().init_revoked(count), &revoked);
        Ok(())
    }

    async fn nodes(
        self: Rc<Self>,
        _: mesh::NodesParams,
        mut results: mesh::NodesResults,
    ) -> Result<(), capnp::Error> {
        let nodes = self.site.registry.nodes();
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_nodes(count);
        for (at, node) in (0..count).zip(nodes) {
            node_info::write(list.reborrow().get(at), &node);
        }
        Ok(())
    }

    async fn drain(
        self: Rc<Self>,
        params: mesh::DrainParams,
        mut results: mesh::DrainResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let node = text(params.get_node())?;
        let time = Duration::from_millis(params.get_timeout_ms()).min(limits::DRAIN_LONGEST);
        let drained = good(self.site.registry.drain(&node, time).await)?;
        let mut said = results.get().init_drained();
        said.set_moved(drained.moved);
        said.set_left(drained.left);
        Ok(())
    }

    async fn undrain(
        self: Rc<Self>,
        params: mesh::UndrainParams,
        _: mesh::UndrainResults,
    ) -> Result<(), capnp::Error> {
        let node = text(params.get()?.get_node())?;
        good(self.site.registry.undrain(&node))
    }

    async fn invite(
        self: Rc<Self>,
        params: mesh::InviteParams,
        mut results: mesh::InviteResults,
    ) -> Result<(), capnp::Error> {
        let wanted = members::read_invite(params.get()?)?;
        let line = good(self.site.invite(&self.who, wanted).await)?;
        results.get().set_line(line);
        Ok(())
    }

    async fn members(
        self: Rc<Self>,
        _: mesh::MembersParams,
        mut results: mesh::MembersResults,
    ) -> Result<(), capnp::Error> {
        let listed = self.site.members.list(self.who.tenant());
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_members(count);
        for (at, (identity, member)) in (0..count).zip(&listed) {
            members::write_info(list.reborrow().get(at), identity, member);
        }
        Ok(())
    }

    async fn expel(
        self: Rc<Self>,
        params: mesh::ExpelParams,
        mut results: mesh::ExpelResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let identity = good(members::read_identity(&text(params.get_identity())?))?;
        let reason = reason(params.get_reason())?;
        let then = match params.get_cancel_tasks() {
            true => AndItsTasks::AreCancelled,
            false => AndItsTasks::GoOn,
        };
        let expelled =
            lasting(async move { self.site.expel(&self.who, &identity, &reason, then).await });
        members::write_expelled(results.get().init_expelled(), good(expelled.await)?);
        Ok(())
    }

    async fn authorize(
        self: Rc<Self>,
        params: mesh::AuthorizeParams,
        _: mesh::AuthorizeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let identity = good(members::read_identity(&text(params.get_identity())?))?;
        let may = members::read_facets(params.get_may()?)?;
        let changed = lasting(async move { self.site.authorize(&self.who, &identity, may).await });
        good(changed.await)
    }

    async fn invites(
        self: Rc<Self>,
        _: mesh::InvitesParams,
        mut results: mesh::InvitesResults,
    ) -> Result<(), capnp::Error> {
        let waiting = good(self.site.invites.list(self.who.tenant()))?;
        let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_invites(count);
        for (at, offer) in (0..count).zip(&waiting) {
            members::write_offer(list.reborrow().get(at), offer);
        }
        Ok(())
    }

    async fn withdraw(
        self: Rc<Self>,
        params: mesh::WithdrawParams,
        _: mesh::WithdrawResults,
    ) -> Result<(), capnp::Error> {
        let identity = good(members::read_identity(&text(params.get()?.get_identity())?))?;
        good(lasting(async move { self.site.withdraw(&self.who, &identity).await }).await)
    }

    async fn triggers(
        self: Rc<Self>,
        _: mesh::TriggersParams,
        mut results: mesh::TriggersResults,
    ) -> Result<(), capnp::Error> {
        let site = Rc::clone(&self.site);
        let server = super::triggers::TriggersServer { site, who: self.who.clone(), may: self.may };
        results.get().set_triggers(capnp_rpc::new_client(server));
        Ok(())
    }

    async fn keeper(
        self: Rc<Self>,
        _: mesh::KeeperParams,
        mut results: mesh::KeeperResults,
    ) -> Result<(), capnp::Error> {
        // It holds the tasks of all tenants.
        if self.who.tenant() != crate::node::TENANT {
            let why = format!("only clients of the tenant `{}` keep the mesh", crate::node::TENANT);
            return Err(to_exception(&Failure::new(Code::Denied, why)));
        }
        let journal = self.site.journal.on_disk().ok_or_else(|| {
            let why = "this journal is not on a disk, and cannot be backed up or checked";
            to_exception(&Failure::new(Code::Unavailable, why))
        })?;
        results.get().set_keeper(keeper::client(
            journal,
            &self.site.tasks.services().jobs,
            &self.who,
        ));
        Ok(())
    }

    async fn health(
        self: Rc<Self>,
        _: mesh::HealthParams,
        mut results: mesh::HealthResults,
    ) -> Result<(), capnp::Error> {
        let mut health = results.get().init_health();
        health.set_version(env!("CARGO_PKG_VERSION"));
        health.set_time_ms(crate::node::now_ms());
        match self.site.journal.health() {
            Ok(()) => health.set_journal("ok"),
            Err(error) => health.set_journal(error.to_string()),
        }
        health.set_flush_us(self.site.disk.last_commit_us());
        health.set_tasks(self.site.tasks.owned() as u64);
        health.set_webhooks(self.site.triggers.webhooks());
        let until = self.site.own_until.get().duration_since(UNIX_EPOCH).unwrap_or_default();
        health.set_certificate_ends_ms(u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: mesh::RestoreParams,
        mut results: mesh::RestoreResults,
    ) -> Result<(), capnp::Error> {
        let reference = Reference::from_bytes(params.get()?.get_ref()?)
            .map_err(|not| invalid(not.to_string()))?;
        let tasks = &self.site.tasks;
        let refs = good(tasks.refs())?;
        let restored = good(refs.restore(tasks, &reference, &self.who).await)?;
        let mut results = results.get();
        refs::write_info(results.reborrow().init_info(), &restored.saved, State::Good);
        match restored.live {
            Live::Object(object) => results.set_object(object),
            Live::Task(standing) => {
                results.reborrow().get_info()?.set_viewer(standing.viewer);
                let by = (&self.who, self.may);
                results.set_task(task::standing(tasks, restored.key, by, standing));
            }
        }
        Ok(())
    }

    async fn refs(
        self: Rc<Self>,
        _: mesh::RefsParams,
        mut results: mesh::RefsResults,
    ) -> Result<(), capnp::Error> {
        let refs = good(self.site.tasks.refs())?;
        let mut saved = good(refs.list(self.who.tenant()))?;
        saved.retain(|(saved, _)| self.sees_ref(saved));
        let count = u32::try_from(saved.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_refs(count);
        for (at, (saved, state)) in (0..count).zip(saved) {
            refs::write_info(list.reborrow().get(at), &saved, state);
        }
        Ok(())
    }

    async fn revoke_ref(
        self: Rc<Self>,
        params: mesh::RevokeRefParams,
        _: mesh::RevokeRefResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let id: Result<RefId, NotAReference> = text(params.get_id())?.parse();
        let id = id.map_err(|not| invalid(not.to_string()))?;
        let reason = reason(params.get_reason())?;
        let revoked = lasting(async move {
            let tasks = &self.site.tasks;
            let saved = tasks.refs()?.get(self.who.tenant(), id)?;
            if saved.is_none_or(|saved| !self.may_revoke(&saved)) {
                let why = format!(
                    "there is no reference {id} that you may revoke: `remit refs` lists yours"
                );
                return Err(Failure::new(Code::NotFound, why));
            }
            tasks.refs()?.revoke(tasks, id, &reason, &self.who).await
        });
        good(revoked.await)
    }
}
