//! Calls about members and invites.

use remit_core::{Facets, Failure};
use remit_schema::mesh_capnp::mesh;
use remit_vat::connection::within;
use remit_vat::wire::Malformed;

use super::mesh::listed;
use super::read;
use crate::limits;
use crate::members::{Expelled, Invite, InviteInfo, MemberInfo};

pub(crate) async fn invite(mesh: mesh::Client, invite: &Invite) -> Result<String, Failure> {
    let mut request = mesh.invite_request();
    let mut params = request.get();
    params.set_role(invite.role.as_str());
    params.set_name(&invite.name);
    params.set_ttl_ms(u64::try_from(invite.ttl.as_millis()).unwrap_or(u64::MAX));
    params.set_again(invite.again);
    write(params.init_may(count(invite.may)), invite.may);
    let response = within(limits::CALL, request.send()).await?;
    listed(|| read::text(response.get()?.get_line()))
}

pub(crate) async fn members(mesh: mesh::Client) -> Result<Vec<MemberInfo>, Failure> {
    let response = within(limits::CALL, mesh.members_request().send()).await?;
    listed(|| {
        let members = response.get()?.get_members()?;
        let member = |r: remit_schema::member_capnp::member_info::Reader<'_>| {
            Ok(MemberInfo {
                identity: read::text(r.get_identity())?,
                may: names(r.get_may()?)?,
                by: read::text(r.get_by())?,
                since_ms: r.get_since_ms(),
                certificate_ends_ms: r.get_certificate_ends_ms(),
                seen_ms: r.get_seen_ms(),
                connected: r.get_connected(),
                expelled_ms: r.get_expelled_ms(),
                expelled_by: read::text(r.get_expelled_by())?,
                reason: read::text(r.get_reason())?,
            })
        };
        members.iter().map(member).collect()
    })
}

pub(crate) async fn invites(mesh: mesh::Client) -> Result<Vec<InviteInfo>, Failure> {
    let response = within(limits::CALL, mesh.invites_request().send()).await?;
    listed(|| {
        let invites = response.get()?.get_invites()?;
        let invite = |r: remit_schema::member_capnp::invite_info::Reader<'_>| {
            Ok(InviteInfo {
                identity: read::text(r.get_identity())?,
                may: names(r.get_may()?)?,
                by: read::text(r.get_by())?,
                until_ms: r.get_until_ms(),
                again: r.get_again(),
            })
        };
        invites.iter().map(invite).collect()
    })
}

pub(crate) async fn withdraw(mesh: mesh::Client, identity: &str) -> Result<(), Failure> {
    let mut request = mesh.withdraw_request();
    request.get().set_identity(identity);
    within(limits::CALL, request.send()).await.map(|_| ())
}

pub(crate) async fn authorize(
    mesh: mesh::Client,
    identity: &str,
    may: Facets,
) -> Result<(), Failure> {
    let mut request = mesh.authorize_request();
    request.get().set_identity(identity);
    write(request.get().init_may(count(may)), may);
    within(limits::CALL, request.send()).await.map(|_| ())
}

pub(crate) async fn expel(
    mesh: mesh::Client,
    identity: &str,
    reason: &str,
    cancel_tasks: bool,
) -> Result<Expelled, Failure> {
    let mut request = mesh.expel_request();
    request.get().set_identity(identity);
    request.get().set_reason(reason);
    request.get().set_cancel_tasks(cancel_tasks);
    let response = within(limits::EXPEL, request.send()).await?;
    listed(|| {
        let expelled = response.get()?.get_expelled()?;
        Ok(Expelled {
            references: expelled.get_references(),
            grants: expelled.get_grants(),
            invites: expelled.get_invites(),
            tasks: expelled.get_tasks(),
        })
    })
}

fn names(list: capnp::text_list::Reader<'_>) -> Result<Vec<String>, Malformed> {
    list.iter().map(read::text).collect()
}

fn count(may: Facets) -> u32 {
    u32::try_from(may.iter().count()).unwrap_or(u32::MAX)
}

fn write(mut list: capnp::text_list::Builder<'_>, may: Facets) {
    for (at, facet) in (0..list.len()).zip(may.iter()) {
        list.set(at, facet.as_str());
    }
}
