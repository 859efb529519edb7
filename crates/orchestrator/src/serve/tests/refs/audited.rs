//! What happens outside of tasks: each exercise of authority is one record of the mesh's own.

use std::time::Duration;

use remit_core::audit::Decision;
use remit_core::{Facets, Role};
use remit_identity::join::{Invite, Renewal, Request};

use super::super::lab::manifest;
use super::client::Spec;
use super::world::{World, must_fail};
use crate::serve::fakes::who;
use crate::services::membership::NewInvite;

must_fail!(what_the_mesh_decides_is_one_record_that_says_whose);

/// What is decided outside of tasks, in the order in which it is done below.
pub(in super::super) const OF_THE_MESH: [Decision; 8] = [
    Decision::Invited,
    Decision::Joined,
    Decision::Accepted,
    Decision::Changed,
    Decision::Accepted,
    Decision::Saved,
    Decision::Restored,
    Decision::Revoked,
];

async fn what_the_mesh_decides_is_one_record_that_says_whose(world: &World) {
    let (site, me) = (world.site(), who(Role::Client, "me"));
    let life = Duration::from_secs(60);
    let _administers = world.mesh("me");
    let wanted = NewInvite {
        role: Role::ToolNode,
        name: "new".into(),
        grant: Facets::NONE.into(),
        again: false,
        ttl: life,
    };
    let line = site.invite(&me, wanted).await.unwrap();
    let invite: Invite = line.parse().unwrap();
    let key = Renewal::prepare(&site.authority.issue(&me, life).unwrap()).unwrap();
    let signing_request = key.signing_request().to_vec();
    let role = "tool-node".to_owned();
    let request = Request { secret: invite.secret.to_vec(), signing_request, role };
    let (node, ..) = site.admit(&request).await.unwrap();
    assert!(site.admit(&request).await.is_err(), "an invite that was used is nobody's authority");
    let mut changed = manifest();
    changed.description = "another".into();
    assert!(site.pins.judge(&node, &manifest()).await.unwrap().is_none());
    assert!(site.pins.judge(&node, &changed).await.unwrap().is_some());
    site.pins.accept(&node, &changed, &me).await.unwrap();
    let mesh = world.mesh("me");
    let task = mesh.create().await;
    let saved = task.save(Spec::new("later")).await.unwrap();
    let _live = mesh.restore(&saved).await.unwrap();
    mesh.revoke(&saved).await.unwrap();
    assert!(mesh.restore(&saved).await.is_err());

    let records = world.records();
    let told: Vec<(Decision, &str)> =
        records.iter().map(|record| (record.decision, record.who.as_str())).collect();
    let (me, node) = (me.to_string(), node.to_string());
    let whose = [&*me, &node, &node, &node, &me, &me, &me, &me, &me];
    let decisions = OF_THE_MESH.into_iter().chain([Decision::Denied]);
    assert_eq!(told, decisions.zip(whose).collect::<Vec<_>>());
}
