//! The facet `members`: members and invites, as those who administer them reach them.

use std::rc::Rc;
use std::time::Duration;

use remit_core::identity::NotAnIdentity;
use remit_core::{Caveat, Code, Facets, Failure, Identity, MemberGrant, Role};
use remit_schema::caveat_capnp::caveat;
use remit_schema::member_capnp::{
    ItsTasks, expelled, invite, invite_info, member, member_info, members,
};
use remit_vat::exception::to_exception;
use remit_vat::run_detached::run_detached;
use remit_vat::wire::{self, text};

use super::caller::Caller;
use super::{good, reason};
use crate::admission::invites::Offer;
use crate::admission::members::Member;
use crate::limits;
use crate::services::membership::{AndItsTasks, Expelled, NewInvite};

type Texts<'a> = capnp::text_list::Reader<'a>;
type Caveats<'a> = capnp::struct_list::Reader<'a, caveat::Owned>;

/// The members, for a client that administers them.
struct MembersServer(Rc<Caller>);

/// One of them.
struct MemberServer {
    caller: Rc<Caller>,
    identity: Identity,
}

/// An invite that waits.
struct InviteServer {
    caller: Rc<Caller>,
    identity: Identity,
}

/// The members, for this client.
pub(super) fn client(caller: &Rc<Caller>) -> members::Client {
    capnp_rpc::new_client(MembersServer(Rc::clone(caller)))
}

impl members::Server for MembersServer {
    async fn list(
        self: Rc<Self>,
        _: members::ListParams,
        mut results: members::ListResults,
    ) -> Result<(), capnp::Error> {
        let listed = self.0.site.members.list(self.0.who.tenant());
        let mut list = results.get().init_members(len(&listed));
        for (at, (identity, member)) in (0..list.len()).zip(&listed) {
            write_info(list.reborrow().get(at), identity, member);
        }
        Ok(())
    }

    async fn member(
        self: Rc<Self>,
        params: members::MemberParams,
        mut results: members::MemberResults,
    ) -> Result<(), capnp::Error> {
        let identity = good(read_identity(&text(params.get()?.get_identity())?))?;
        good(self.0.site.check_member(&self.0.who, &identity))?;
        let caller = Rc::clone(&self.0);
        results.get().set_member(capnp_rpc::new_client(MemberServer { caller, identity }));
        Ok(())
    }

    async fn invite(
        self: Rc<Self>,
        params: members::InviteParams,
        mut results: members::InviteResults,
    ) -> Result<(), capnp::Error> {
        let wanted = read_invite(params.get()?)?;
        let line = good(self.0.site.invite(&self.0.who, wanted).await)?;
        results.get().set_line(line);
        Ok(())
    }

    async fn invites(
        self: Rc<Self>,
        _: members::InvitesParams,
        mut results: members::InvitesResults,
    ) -> Result<(), capnp::Error> {
        let waiting = good(self.0.site.invites.list(self.0.who.tenant()).await)?;
        let mut list = results.get().init_invites(len(&waiting));
        for (at, offer) in (0..list.len()).zip(&waiting) {
            write_offer(list.reborrow().get(at), offer);
        }
        Ok(())
    }

    async fn invited(
        self: Rc<Self>,
        params: members::InvitedParams,
        mut results: members::InvitedResults,
    ) -> Result<(), capnp::Error> {
        let identity = good(read_identity(&text(params.get()?.get_identity())?))?;
        good(self.0.site.check_invited(&self.0.who, &identity).await)?;
        let caller = Rc::clone(&self.0);
        results.get().set_invite(capnp_rpc::new_client(InviteServer { caller, identity }));
        Ok(())
    }
}

impl member::Server for MemberServer {
    async fn authorize(
        self: Rc<Self>,
        params: member::AuthorizeParams,
        _: member::AuthorizeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let wanted = good(read_grant(params.get_may()?, params.get_caveats()?))?;
        let changed = run_detached(async move {
            self.caller.site.authorize(&self.caller.who, &self.identity, wanted).await
        });
        good(changed.await)
    }

    async fn expel(
        self: Rc<Self>,
        params: member::ExpelParams,
        mut results: member::ExpelResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let reason = reason(params.get_reason())?;
        let then = match params.get_tasks()? {
            ItsTasks::Pause => AndItsTasks::ArePaused,
            ItsTasks::Cancel => AndItsTasks::AreCancelled,
            ItsTasks::GoOn => AndItsTasks::GoOn,
        };
        let expelled = run_detached(async move {
            self.caller.site.expel(&self.caller.who, &self.identity, &reason, then).await
        });
        write_expelled(results.get().init_expelled(), good(expelled.await)?);
        Ok(())
    }
}

impl invite::Server for InviteServer {
    async fn withdraw(
        self: Rc<Self>,
        _: invite::WithdrawParams,
        _: invite::WithdrawResults,
    ) -> Result<(), capnp::Error> {
        let withdrawn = run_detached(async move {
            self.caller.site.withdraw(&self.caller.who, &self.identity).await
        });
        good(withdrawn.await)
    }
}

/// Reads an invite that is asked for. Without facets, a client gets those of a plain member.
fn read_invite(params: members::invite_params::Reader<'_>) -> Result<NewInvite, capnp::Error> {
    let invalid = |not: NotAnIdentity| invalid(not.to_string());
    let role: Role = text(params.get_role())?.parse().map_err(|not| to_exception(&invalid(not)))?;
    let (may, caveats) = (params.get_may()?, params.get_caveats()?);
    let grant = match role {
        Role::Client if may.is_empty() => good(with_caveats(Facets::MEMBER, caveats))?,
        _ => good(read_grant(may, caveats))?,
    };
    Ok(NewInvite {
        role,
        name: text(params.get_name())?,
        grant,
        again: params.get_again(),
        ttl: Duration::from_millis(params.get_ttl_ms()),
    })
}

/// Reads facets by their names, or those of bundles, and the caveats on them.
fn read_grant(may: Texts<'_>, caveats: Caveats<'_>) -> Result<MemberGrant, Failure> {
    if may.is_empty() {
        return with_caveats(Facets::NONE, caveats);
    }
    let names = may.iter().take(limits::LABELS).map(text).collect::<Result<Vec<_>, _>>()?;
    let facets: Result<Facets, _> = names.join(",").parse();
    let facets = facets.map_err(|not: remit_core::facet::NotFacets| invalid(not.to_string()))?;
    with_caveats(facets, caveats)
}

fn with_caveats(may: Facets, caveats: Caveats<'_>) -> Result<MemberGrant, Failure> {
    let caveats = caveats.iter().take(limits::CAVEATS + 1).map(wire::event::read_caveat);
    MemberGrant::validated(may, caveats.collect::<Result<_, _>>()?)
}

/// Reads who is meant.
fn read_identity(name: &str) -> Result<Identity, Failure> {
    let identity: Result<Identity, NotAnIdentity> = name.parse();
    identity.map_err(|not| invalid(not.to_string()))
}

/// Writes what a list shows of a member.
fn write_info(mut info: member_info::Builder<'_>, identity: &Identity, member: &Member) {
    info.set_identity(identity.to_string());
    let grant = member.given();
    write_facets(info.reborrow().init_may(count(grant.may())), grant.may());
    let caveats: Vec<Caveat> = grant.caveats().cloned().collect();
    write_caveats(info.reborrow().init_caveats(len(&caveats)), &caveats);
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
fn write_offer(mut info: invite_info::Builder<'_>, offer: &Offer) {
    info.set_identity(offer.identity.to_string());
    write_facets(info.reborrow().init_may(count(offer.grant.may())), offer.grant.may());
    let caveats: Vec<Caveat> = offer.grant.caveats().cloned().collect();
    write_caveats(info.reborrow().init_caveats(len(&caveats)), &caveats);
    info.set_by(offer.by.to_string());
    info.set_until_ms(offer.until_ms);
    info.set_again(offer.again);
}

/// Writes what went with a member that was expelled.
fn write_expelled(mut to: expelled::Builder<'_>, expelled: Expelled) {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    to.set_references(number(expelled.references));
    to.set_grants(number(expelled.grants));
    to.set_invites(number(expelled.invites));
    to.set_tasks(number(expelled.tasks));
    to.set_triggers(number(expelled.triggers));
}

/// How many facets a list of them has.
pub(super) fn count(may: Facets) -> u32 {
    u32::try_from(may.iter().count()).unwrap_or(u32::MAX)
}

/// The length of a list on the wire.
pub(super) fn len<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Writes facets by their names.
pub(super) fn write_facets(mut list: capnp::text_list::Builder<'_>, may: Facets) {
    for (at, facet) in (0..list.len()).zip(may.iter()) {
        list.set(at, facet.as_str());
    }
}

/// Writes the caveats on facets.
pub(super) fn write_caveats(
    mut list: capnp::struct_list::Builder<'_, caveat::Owned>,
    caveats: &[Caveat],
) {
    for (at, caveat) in (0..list.len()).zip(caveats) {
        wire::event::write_caveat(list.reborrow().get(at), caveat);
    }
}

fn invalid(why: String) -> Failure {
    Failure::new(Code::InvalidArgument, why)
}
