//! The bootstrap object of a connection: built from the verified identity, it offers only what that
//! role may do.

use std::cell::OnceCell;
use std::rc::Rc;

use remit_core::{Code, Failure, Identity, MemberGrant, Role};
use remit_schema::task_capnp::task_context;
use remit_vat::connection::{Connection, ConnectionOptions};
use remit_vat::exception::to_exception;
use remit_vat::limits::ConnectionLimits;
use tokio::io::{AsyncRead, AsyncWrite};

use super::agent_node_port::AgentNodePort;
use super::mesh;
use super::tool_node_port::ToolNodePort;
use crate::admission::members::NotAMember;
use crate::services::context::Site;

/// Serves the object of the role of `identity`, for a client with what it was granted and nothing else.
/// `None`: that role gets nothing.
pub fn serve_role<S>(
    stream: S,
    site: &Rc<Site>,
    identity: &Identity,
    grant: Rc<MemberGrant>,
) -> Option<Connection>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    use remit_schema::{agent_node_capnp, tool_node_capnp};
    let held = site.tasks.services().accounts.calls(identity);
    let (site, who) = (Rc::clone(site), identity.clone());
    let own = Rc::new(OnceCell::new());
    let bootstrap: capnp::capability::Client = match identity.role() {
        Role::Client => {
            let mesh = mesh::client(site, who, grant);
            mesh.client
        }
        Role::AgentNode => {
            let port: agent_node_capnp::agent_node_port::Client =
                capnp_rpc::new_client(AgentNodePort::new(site, who));
            port.client
        }
        Role::ToolNode => {
            let port: tool_node_capnp::tool_node_port::Client =
                capnp_rpc::new_client(ToolNodePort::new(site, who, Rc::clone(&own)));
            port.client
        }
        Role::Orchestrator => return None,
    };
    let options =
        ConnectionOptions { peer: identity.to_string(), limits: ConnectionLimits::default() };
    let connection = Connection::serve_sharing(stream, bootstrap, options, held);
    let _first = own.set(connection.clone());
    Some(connection)
}

/// Tells a peer that is no member any more why it gets nothing, whatever it calls.
pub fn serve_refusal<S>(stream: S, identity: &Identity, why: &NotAMember) -> Connection
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let denied = to_exception(&Failure::new(Code::Denied, why.to_string()));
    let options =
        ConnectionOptions { peer: identity.to_string(), limits: ConnectionLimits::default() };
    Connection::serve(stream, capnp_rpc::new_broken_cap(denied), options)
}

/// Serves an attempt's task.
pub fn serve_attempt<S>(stream: S, bootstrap: task_context::Client, peer: &str) -> Connection
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let options = ConnectionOptions { peer: peer.to_owned(), limits: ConnectionLimits::attempt() };
    Connection::serve(stream, bootstrap.client, options)
}
