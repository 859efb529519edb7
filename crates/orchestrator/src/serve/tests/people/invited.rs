//! An invite gives no name that is held, and no authority that its maker lacks.

use remit_core::{Code, Facet, Facets, Failure, Identity, Role};
use remit_identity::credential::MembershipId;
use remit_identity::join::{Invite, Renewal, Request};

use super::super::{SOON, here};
use super::{admin, client};
use crate::admission::members::NotAMember;
use crate::serve::fakes::{Here, who};
use crate::services::membership::NewInvite;

pub(super) fn wanted(role: Role, name: &str, may: Facets) -> NewInvite {
    NewInvite { role, name: name.into(), grant: may.into(), again: false, ttl: 20 * SOON }
}

pub(super) fn again(name: &str, may: Facets) -> NewInvite {
    NewInvite { again: true, ..wanted(Role::Client, name, may) }
}

async fn invite(here: &Here, by: &str, wanted: NewInvite) -> Result<Invite, Failure> {
    let line = here.site.invite(&who(Role::Client, by), wanted).await?;
    Ok(line.parse().unwrap())
}

/// Joins by this invite, as this role.
pub(super) async fn join(here: &Here, invite: &Invite, role: Role) -> Result<Identity, String> {
    let own = here.site.authority.issue(&who(Role::Client, "nobody"), SOON).unwrap();
    let signing_request = Renewal::prepare(&own).unwrap().signing_request().to_vec();
    let (secret, role) = (invite.secret.to_vec(), role.as_str().to_owned());
    let request = Request { secret, signing_request, role };
    here.site.admit(&request).await.map(|(identity, ..)| identity)
}

#[tokio::test]
async fn name_that_a_member_holds_or_held_is_not_given() {
    here(async |here| {
        let _admin = admin(&here);
        let _bob = client(&here, "bob", Facets::MEMBER).await;
        let bob = who(Role::Client, "bob");
        let plain = || wanted(Role::Client, "bob", Facets::MEMBER);
        let refused = invite(&here, "me", plain()).await.unwrap_err();
        assert!(refused.message.contains("is a member"), "{refused}");
        here.site.members.expel(&bob, "gone", &who(Role::Client, "me")).await.unwrap();
        let refused = invite(&here, "me", plain()).await.unwrap_err();
        assert!(refused.message.contains("was expelled"), "{refused}");
        let explicit = invite(&here, "me", again("bob", Facets::MEMBER)).await.unwrap();
        assert_eq!(join(&here, &explicit, Role::Client).await.unwrap(), bob);
        assert_eq!(here.site.members.granted(&bob), Facets::MEMBER.into());
    })
    .await;
}

#[tokio::test]
async fn name_that_came_to_be_held_while_the_invite_waited_is_not_given() {
    here(async |here| {
        let _admin = admin(&here);
        let early = invite(&here, "me", wanted(Role::Client, "bob", Facets::MEMBER)).await;
        let _bob = client(&here, "bob", Facets::MEMBER).await;
        let refused = join(&here, &early.unwrap(), Role::Client).await.unwrap_err();
        assert!(refused.contains("is a member"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn authority_that_its_maker_lacks_is_not_given() {
    here(async |here| {
        let _admin = admin(&here);
        let some = Facets::of(&[Facet::Members, Facet::Create]);
        let _clerk = client(&here, "clerk", some).await;
        let _plain = client(&here, "plain", Facets::MEMBER).await;
        for (by, wanted) in [
            ("clerk", wanted(Role::Client, "friend", Facets::ALL)),
            ("clerk", wanted(Role::Client, "friend", Facets::of(&[Facet::Audit]))),
            ("clerk", wanted(Role::ToolNode, "friend", Facets::NONE)),
            ("clerk", again("me", some)),
            ("plain", wanted(Role::Client, "friend", Facets::of(&[Facet::Create]))),
            ("stranger", wanted(Role::Client, "friend", Facets::NONE)),
        ] {
            let refused = invite(&here, by, wanted.clone()).await.unwrap_err();
            assert_eq!(refused.code, Code::Denied, "{by} {wanted:?}: {refused}");
        }
        let by = who(Role::Client, "clerk");
        for may in [Facets::ALL, Facets::of(&[Facet::Own])] {
            let refused = here.site.authorize(&by, &who(Role::Client, "plain"), may.into()).await;
            assert_eq!(refused.unwrap_err().code, Code::Denied, "{may}");
        }
        let given = wanted(Role::Client, "friend", Facets::of(&[Facet::Create]));
        let given = invite(&here, "clerk", given).await.unwrap();
        assert!(join(&here, &given, Role::Client).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn invite_of_a_maker_who_lost_the_authority_gives_nothing() {
    here(async |here| {
        let _admin = admin(&here);
        let _clerk = client(&here, "clerk", Facets::ALL).await;
        let made = invite(&here, "clerk", wanted(Role::Client, "friend", Facets::ALL)).await;
        let clerk = who(Role::Client, "clerk");
        here.site.members.authorize(&clerk, &Facets::MEMBER.into()).await.unwrap();
        let refused = join(&here, &made.unwrap(), Role::Client).await.unwrap_err();
        assert!(refused.contains("lacks"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn invite_for_another_role_is_refused_and_not_used() {
    here(async |here| {
        let _admin = admin(&here);
        let given = invite(&here, "me", wanted(Role::Client, "carol", Facets::MEMBER)).await;
        let given = given.unwrap();
        let refused = join(&here, &given, Role::ToolNode).await.unwrap_err();
        assert!(refused.contains("for a client") && refused.contains("not used"), "{refused}");
        assert!(join(&here, &given, Role::Client).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn certificate_from_before_another_joined_under_the_name_is_void() {
    here(async |here| {
        let _admin = admin(&here);
        let first = invite(&here, "me", wanted(Role::Client, "bob", Facets::MEMBER)).await;
        let bob = join(&here, &first.unwrap(), Role::Client).await.unwrap();
        let until = std::time::SystemTime::now() + SOON;
        let members = &here.site.members;
        let stolen = members.basis(&bob).membership();
        assert!(stolen.is_some() && members.greet(&bob, stolen, until).is_ok());
        for forged in [None, Some(MembershipId([0; 8]))] {
            let refused = members.greet(&bob, forged, until).unwrap_err();
            assert_eq!(refused, NotAMember::Replaced(bob.clone()));
        }
        let second = invite(&here, "me", again("bob", Facets::MEMBER)).await.unwrap();
        join(&here, &second, Role::Client).await.unwrap();
        let refused = members.greet(&bob, stolen, until).unwrap_err();
        assert_eq!(refused, NotAMember::Replaced(bob.clone()));
        assert!(members.greet(&bob, members.basis(&bob).membership(), until).is_ok());
    })
    .await;
}
