//! The client's permissions as objects, requested once over each connection. A facet that was not
//! granted refuses every call here, without a request to the mesh.

use std::cell::OnceCell;

use capnp::capability::FromClientHook;
use remit_core::{Code, Failure};
use remit_schema::admin_capnp::admin;
use remit_schema::audit_capnp::audit;
use remit_schema::member_capnp::members;
use remit_schema::mesh_capnp::{creation, mesh, tasks};
use remit_schema::node_capnp::nodes;
use remit_vat::connection::within;
use remit_vat::exception::{to_exception, to_failure};

use super::read;
use super::session::Link;
use crate::limits;

/// The facets of one connection.
#[derive(Default)]
pub(crate) struct Facets(OnceCell<Granted>);

/// The object of each facet; `None`: not granted.
struct Granted {
    may: String,
    creation: Option<creation::Client>,
    tasks: Option<tasks::Client>,
    nodes: Option<nodes::Client>,
    members: Option<members::Client>,
    audit: Option<audit::Client>,
    admin: Option<admin::Client>,
}

impl Facets {
    /// Requests the facets, unless they are known already.
    pub(crate) async fn ask(&self, mesh: &mesh::Client) -> Result<(), Failure> {
        if self.0.get().is_some() {
            return Ok(());
        }
        let response = within(limits::CALL, mesh.facets_request().send()).await?;
        let read = || {
            let given = response.get()?;
            let may = given.get_may()?.iter().map(read::text).collect::<Result<Vec<_>, _>>();
            let may = may.map_err(|malformed| capnp::Error::failed(malformed.to_string()))?;
            Ok(Granted {
                may: may.join(","),
                creation: given.has_creation().then(|| given.get_creation()).transpose()?,
                tasks: given.has_tasks().then(|| given.get_tasks()).transpose()?,
                nodes: given.has_nodes().then(|| given.get_nodes()).transpose()?,
                members: given.has_members().then(|| given.get_members()).transpose()?,
                audit: given.has_audit().then(|| given.get_audit()).transpose()?,
                admin: given.has_admin().then(|| given.get_admin()).transpose()?,
            })
        };
        let granted = read().map_err(|error: capnp::Error| to_failure(&error))?;
        // A concurrent request got the same facets, so it does not matter which one is stored.
        let _ = self.0.set(granted);
        Ok(())
    }

    /// The object of a facet, or a broken capability that refuses. `takes` is the facet's name.
    fn get<C: FromClientHook + Clone>(
        &self,
        takes: &str,
        of: impl FnOnce(&Granted) -> &Option<C>,
    ) -> C {
        let granted = self.0.get();
        if let Some(facet) = granted.and_then(|granted| of(granted).clone()) {
            return facet;
        }
        let may = granted.map_or("", |granted| granted.may.as_str());
        let refused = to_exception(&not_granted(takes, may));
        FromClientHook::new(capnp_rpc::new_broken_cap(refused).hook)
    }
}

fn not_granted(takes: &str, may: &str) -> Failure {
    let has = if may.is_empty() { "nothing" } else { may };
    let why = format!(
        "this takes `{takes}`, and you were given {has}, or that for a time which is over: ask an administrator for it (`remit members authorize`)"
    );
    Failure::new(Code::Denied, why)
}

impl From<Link> for creation::Client {
    fn from(link: Link) -> Self {
        link.facets.get("create", |granted| &granted.creation)
    }
}

impl From<Link> for tasks::Client {
    fn from(link: Link) -> Self {
        link.facets.get("own`, `view`, `steer` or `decide", |granted| &granted.tasks)
    }
}

impl From<Link> for nodes::Client {
    fn from(link: Link) -> Self {
        link.facets.get("nodes", |granted| &granted.nodes)
    }
}

impl From<Link> for members::Client {
    fn from(link: Link) -> Self {
        link.facets.get("members", |granted| &granted.members)
    }
}

impl From<Link> for audit::Client {
    fn from(link: Link) -> Self {
        link.facets.get("audit", |granted| &granted.audit)
    }
}

impl From<Link> for admin::Client {
    fn from(link: Link) -> Self {
        link.facets.get("backup", |granted| &granted.admin)
    }
}
