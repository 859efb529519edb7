//! Calls about members and invites.

use remit_core::{Caveat, Facets, Failure};
use remit_schema::caveat_capnp::caveat;
use remit_schema::member_capnp::{self, member, members};
use remit_vat::connection::within;
use remit_vat::wire::{self, Malformed};

use super::mesh::listed;
use super::{read, write};
use crate::limits;
use crate::members::{Expelled, Invite, InviteInfo, ItsTasks, MemberInfo};

pub(crate) async fn invite(members: members::Client, invite: &Invite) -> Result<String, Failure> {
    let mut request = members.invite_request();
    let mut params = request.get();
    params.set_role(invite.role.as_str());
    params.set_name(&invite.name);
    params.set_ttl_ms(u64::try_from(invite.ttl.as_millis()).unwrap_or(u64::MAX));
    params.set_again(invite.again);
    write_may(params.reborrow().init_may(count(invite.may)), invite.may);
    write_caveats(params.init_caveats(write::len(invite.caveats.len())), &invite.caveats);
    let response = within(limits::CALL, request.send()).await?;
    listed(|| read::text(response.get()?.get_line()))
}

pub(crate) async fn members(members: members::Client) -> Result<Vec<MemberInfo>, Failure> {
    let response = within(limits::CALL, members.list_request().send()).await?;
    listed(|| {
        let members = response.get()?.get_members()?;
        let member = |r: remit_schema::member_capnp::member_info::Reader<'_>| {
            Ok(MemberInfo {
                identity: read::text(r.get_identity())?,
                may: names(r.get_may()?)?,
                caveats: caveats(r.get_caveats()?)?,
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

pub(crate) async fn invites(members: members::Client) -> Result<Vec<InviteInfo>, Failure> {
    let response = within(limits::CALL, members.invites_request().send()).await?;
    listed(|| {
        let invites = response.get()?.get_invites()?;
        let invite = |r: remit_schema::member_capnp::invite_info::Reader<'_>| {
            Ok(InviteInfo {
                identity: read::text(r.get_identity())?,
                may: names(r.get_may()?)?,
                caveats: caveats(r.get_caveats()?)?,
                by: read::text(r.get_by())?,
                until_ms: r.get_until_ms(),
                again: r.get_again(),
            })
        };
        invites.iter().map(invite).collect()
    })
}

pub(crate) async fn withdraw(members: members::Client, identity: &str) -> Result<(), Failure> {
    let mut invited = members.invited_request();
    invited.get().set_identity(identity);
    let request = invited.send().pipeline.get_invite().withdraw_request();
    within(limits::CALL, request.send()).await.map(|_| ())
}

pub(crate) async fn authorize(
    members: members::Client,
    identity: &str,
    may: Facets,
    caveats: &[Caveat],
) -> Result<(), Failure> {
    let mut request = member(&members, identity).authorize_request();
    write_may(request.get().init_may(count(may)), may);
    write_caveats(request.get().init_caveats(write::len(caveats.len())), caveats);
    within(limits::CALL, request.send()).await.map(|_| ())
}

pub(crate) async fn expel(
    members: members::Client,
    identity: &str,
    reason: &str,
    then: ItsTasks,
) -> Result<Expelled, Failure> {
    let mut request = member(&members, identity).expel_request();
    request.get().set_reason(reason);
    request.get().set_tasks(match then {
        ItsTasks::Pause => member_capnp::ItsTasks::Pause,
        ItsTasks::Cancel => member_capnp::ItsTasks::Cancel,
        ItsTasks::GoOn => member_capnp::ItsTasks::GoOn,
    });
    let response = within(limits::EXPEL, request.send()).await?;
    listed(|| {
        let expelled = response.get()?.get_expelled()?;
        Ok(Expelled {
            references: expelled.get_references(),
            grants: expelled.get_grants(),
            invites: expelled.get_invites(),
            tasks: expelled.get_tasks(),
            triggers: expelled.get_triggers(),
        })
    })
}

/// The member of this identity. If there is none, calls on it fail.
fn member(members: &members::Client, identity: &str) -> member::Client {
    let mut request = members.member_request();
    request.get().set_identity(identity);
    request.send().pipeline.get_member()
}

fn caveats(list: capnp::struct_list::Reader<'_, caveat::Owned>) -> Result<Vec<Caveat>, Malformed> {
    list.iter().map(wire::event::read_caveat).collect()
}

fn write_caveats(mut list: capnp::struct_list::Builder<'_, caveat::Owned>, caveats: &[Caveat]) {
    for (at, caveat) in (0..list.len()).zip(caveats) {
        wire::event::write_caveat(list.reborrow().get(at), caveat);
    }
}

fn names(list: capnp::text_list::Reader<'_>) -> Result<Vec<String>, Malformed> {
    list.iter().map(read::text).collect()
}

fn count(may: Facets) -> u32 {
    u32::try_from(may.iter().count()).unwrap_or(u32::MAX)
}

fn write_may(mut list: capnp::text_list::Builder<'_>, may: Facets) {
    for (at, facet) in (0..list.len()).zip(may.iter()) {
        list.set(at, facet.as_str());
    }
}
