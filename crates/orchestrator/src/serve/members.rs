//! Members and invites on the wire.

use std::time::Duration;

use remit_core::identity::NotAnIdentity;
use remit_core::{Code, Facets, Failure, Identity, Role};
use remit_schema::member_capnp::{expelled, invite_info, member_info};
use remit_schema::mesh_capnp::mesh;
use remit_vat::exception::to_exception;
use remit_vat::wire::text;

use crate::invites::Offer;
use crate::limits;
use crate::members::Member;
use crate::site::{Expelled, NewInvite};

/// Reads an invite that is asked for. Without facets, a client gets those of a plain member.
pub(super) fn read_invite(
    params: mesh::invite_params::Reader<'_>,
) -> Result<NewInvite, capnp::Error> {
    let invalid = |not: NotAnIdentity| refused(not.to_string());
    let role: Role = text(params.get_role())?.parse().map_err(invalid)?;
    let may = params.get_may()?;
    Ok(NewInvite {
        role,
        name: text(params.get_name())?,
        may: match role {
            Role::Client if may.is_empty() => Facets::MEMBER,
            _ => read_facets(may)?,
        },
        again: params.get_again(),
        ttl: Duration::from_millis(params.get_ttl_ms()),
    })
}

/// Reads facets by their names, or those of bundles.
pub(super) fn read_facets(list: capnp::text_list::Reader<'_>) -> Result<Facets, capnp::Error> {
    if list.is_empty() {
        return Ok(Facets::NONE);
    }
    let mut names = Vec::new();
    for name in list.iter().take(limits::LABELS) {
        names.push(text(name)?);
    }
    let facets: Result<Facets, _> = names.join(",").parse();
    facets.map_err(|not: remit_core::facet::NotFacets| refused(not.to_string()))
}

/// Reads who is meant.
pub(super) fn read_identity(name: &str) -> Result<Identity, Failure> {
    let identity: Result<Identity, NotAnIdentity> = name.parse();
    identity.map_err(|not| Failure::new(Code::InvalidArgument, not.to_string()))
}

/// Writes what a list shows of a member.
pub(super) fn write_info(mut info: member_info::Builder<'_>, identity: &Identity, member: &Member) {
    info.set_identity(identity.to_string());
    write_facets(info.reborrow().init_may(count(member.given())), member.given());
    info.set_by(&member.by);
    info.set_since_ms(member.since_ms);
    info.set_certificate_ends_ms(member.until_ms);
    info.set_seen_ms(member.seen_ms);
    info.set_connected(member.is_connected());
    if let Some(expelled) = &member.expelled {
        info.set_expelled_ms(expelled.at_ms);
        info.set_expelled_by(&expelled.by);
        info.set_reason(&expelled.reason);
    }
}

/// Writes what a list shows of an invite.
pub(super) fn write_offer(mut info: invite_info::Builder<'_>, offer: &Offer) {
    info.set_identity(offer.identity.to_string());
    write_facets(info.reborrow().init_may(count(offer.may)), offer.may);
    info.set_by(offer.by.to_string());
    info.set_until_ms(offer.until_ms);
    info.set_again(offer.again);
}

/// Writes what went with a member that was expelled.
pub(super) fn write_expelled(mut to: expelled::Builder<'_>, expelled: Expelled) {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    to.set_references(number(expelled.references));
    to.set_grants(number(expelled.grants));
    to.set_invites(number(expelled.invites));
    to.set_tasks(number(expelled.tasks));
}

fn count(may: Facets) -> u32 {
    u32::try_from(may.iter().count()).unwrap_or(u32::MAX)
}

fn write_facets(mut list: capnp::text_list::Builder<'_>, may: Facets) {
    for (at, facet) in (0..list.len()).zip(may.iter()) {
        list.set(at, facet.as_str());
    }
}

fn refused(why: String) -> capnp::Error {
    to_exception(&Failure::new(Code::InvalidArgument, why))
}
