//! The bootstrap object of a client: what every member may do, and the facets that it was granted.

use std::rc::Rc;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use remit_core::reference::NotAReference;
use remit_core::{Code, Facet, Failure, Identity, MemberGrant, RefId, Reference};
use remit_schema::mesh_capnp::mesh;
use remit_vat::exception::to_exception;
use remit_vat::turn;
use remit_vat::wire::{self, text};

use super::caller::Caller;
use super::credentials::member;
use super::{admin, audit, creation, good, members, node_info, nodes, refs, task, tasks};
use crate::scheduler::registry::ToolInfo;
use crate::services::context::Site;
use crate::services::refs::{Live, State};
use crate::tasks::{BUILT_IN, tool};

/// The bootstrap object of a client.
struct MeshServer {
    site: Rc<Site>,
    who: Identity,
    caller: Rc<Caller>,
}

/// The bootstrap object of the client `who`, with what it was granted and nothing else.
pub(super) fn client(site: Rc<Site>, who: Identity, grant: Rc<MemberGrant>) -> mesh::Client {
    let caller = Rc::new(Caller { site: Rc::clone(&site), who: who.clone(), grant });
    capnp_rpc::new_client(MeshServer { site, who, caller })
}

fn invalid(not: &NotAReference) -> capnp::Error {
    to_exception(&Failure::new(Code::InvalidArgument, not.to_string()))
}

member!(MeshServer);

impl mesh::Server for MeshServer {
    async fn facets(
        self: Rc<Self>,
        _: mesh::FacetsParams,
        mut results: mesh::FacetsResults,
    ) -> Result<(), capnp::Error> {
        let caller = &self.caller;
        let mut given = results.get();
        let may = caller.grant.may();
        members::write_facets(given.reborrow().init_may(members::count(may)), may);
        let caveats: Vec<_> = caller.grant.caveats().cloned().collect();
        members::write_caveats(given.reborrow().init_caveats(members::len(&caveats)), &caveats);
        let usable = caller.usable();
        if usable.has(Facet::Create) {
            given.set_creation(creation::client(caller));
        }
        if caller.sees_tasks() {
            given.set_tasks(tasks::client(caller));
        }
        if usable.has(Facet::Nodes) {
            given.set_nodes(nodes::client(caller));
        }
        if usable.has(Facet::Members) {
            given.set_members(members::client(caller));
        }
        if usable.has(Facet::Audit) {
            given.set_audit(audit::client(caller));
        }
        if usable.has(Facet::Backup) {
            given.set_admin(admin::of(caller));
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
            manifest: Arc::clone(&tool::MANIFEST),
            accepted: None,
            node: BUILT_IN.into(),
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
        health.set_flush_us(self.site.journal.last_commit_us());
        health.set_tasks(self.site.tasks.owned() as u64);
        health.set_webhooks(self.site.triggers.webhooks());
        let turns = turn::counted();
        health.set_long_turns(turns.long);
        health.set_longest_turn_us(u64::try_from(turns.longest.as_micros()).unwrap_or(u64::MAX));
        health.set_panics(turns.panics);
        health.set_cut_off(turns.cut_off);
        let damage = self.site.damage.known().borrow().clone();
        let damage = &damage[..damage.len().min(crate::limits::DAMAGE_SHOWN)];
        wire::write_texts(damage, |count| health.reborrow().init_damage(count));
        let until = self.site.own_until.get().duration_since(UNIX_EPOCH).unwrap_or_default();
        health.set_certificate_ends_ms(u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: mesh::RestoreParams,
        mut results: mesh::RestoreResults,
    ) -> Result<(), capnp::Error> {
        let reference =
            Reference::from_bytes(params.get()?.get_ref()?).map_err(|not| invalid(&not))?;
        let tasks = &self.site.tasks;
        let refs = good(tasks.refs())?;
        let restored = good(refs.restore(tasks, &reference, &self.who).await)?;
        let mut results = results.get();
        refs::write_info(results.reborrow().init_info(), &restored.saved, State::Good);
        match restored.live {
            Live::Object(object) => results.set_object(object),
            Live::Task(standing) => {
                results.reborrow().get_info()?.set_viewer(standing.viewer);
                results.set_task(task::standing(&self.caller, restored.key, standing));
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
        let mut saved = good(refs.list(self.who.tenant()).await)?;
        saved.retain(|(saved, _)| self.caller.sees_ref(saved));
        let count = u32::try_from(saved.len()).unwrap_or(u32::MAX);
        let mut list = results.get().init_refs(count);
        for (at, (saved, state)) in (0..count).zip(saved) {
            refs::write_info(list.reborrow().get(at), &saved, state);
        }
        Ok(())
    }

    async fn ref_(
        self: Rc<Self>,
        params: mesh::RefParams,
        mut results: mesh::RefResults,
    ) -> Result<(), capnp::Error> {
        let id: Result<RefId, NotAReference> = text(params.get()?.get_id())?.parse();
        let id = id.map_err(|not| invalid(&not))?;
        results.get().set_ref(good(refs::saved(&self.caller, id).await)?);
        Ok(())
    }
}
