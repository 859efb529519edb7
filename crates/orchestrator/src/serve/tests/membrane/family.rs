//! References that are attenuated and passed on: what the holder of a weaker one cannot do.

use std::rc::Rc;

use remit_core::task::Command;
use remit_core::{Code, Fact, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;

use super::super::lab::{
    Lab, Site, attenuate, call, create, granted, over_both, revoke, said, spawn,
};
use crate::runtime::Owner;

/// A parent at work, and a child that it has spawned and passed its lab.
struct Family {
    site: Site,
    parent: Rc<Owner>,
    child: Rc<Owner>,
    context: task_context::Client,
    lab: object::Client,
    passed: object::Client,
    _child: task_context::Client,
}

impl Family {
    async fn new(lab: &Lab, detached: bool) -> Self {
        let site = lab.start();
        let parent = create(&site).await;
        let (context, held) = lab.attempt(&site).await;
        let tasks = granted(&context, 1).await;
        let spawned =
            said(spawn(&tasks, 1, &held, &[("detached", Value::Bool(detached))])).await.unwrap();
        let id = spawned.0.field("id").unwrap().as_text().unwrap().parse().unwrap();
        let key = crate::runtime::TaskKey { task: id, ..parent.key().clone() };
        let child = site.tasks.working(&key).unwrap();
        let (childs, passed) = lab.attempt(&site).await;
        Self { site, parent, child, context, lab: held, passed, _child: childs }
    }

    /// The grant of the parent that the child holds.
    fn grant(&self) -> GrantId {
        self.child.with(|task| task.grants().next().unwrap().grant.origin.unwrap().grant)
    }
}

#[tokio::test]
async fn a_slip_in_an_agents_own_narrowing_is_refused() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let slips = ["requiresApproval=lok", "methods=lok", "lok.calls=3"];
        for (number, slip) in (1..).zip(slips) {
            let refused = said(attenuate(&run.granted, number, slip)).await.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument, "{slip}: {refused}");
        }
        said(attenuate(&run.granted, 9, "requiresApproval=look")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_attenuated_reference_refuses_what_it_was_denied_and_the_stronger_one_does_not() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        // On a promise: nothing of this has been awaited.
        let made = attenuate(&run.granted, 1, "methods=open,look");
        let weaker = made.pipeline.get_object();
        let opened = call(&weaker, 2, "open");
        let put = call(&opened.pipeline.get_object(), 3, "put");
        let look = call(&weaker, 4, "look");
        said(made).await.unwrap();
        said(opened).await.unwrap();
        let refused = said(put).await.unwrap_err();
        assert_eq!(refused.code, Code::Denied, "through an object obtained from it, too");
        assert_eq!(refused.detail, "methods=open,look");
        assert_eq!(said(look).await.unwrap().0, Value::Text("look".into()));
        assert!(said(call(&run.granted, 5, "put")).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn attenuation_cannot_add_authority_back() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let weak = attenuate(&run.granted, 1, "methods=look");
        let wide = attenuate(&weak.pipeline.get_object(), 2, "methods=look,put");
        let put = call(&wide.pipeline.get_object(), 3, "put");
        let (_made, _refused) = (said(weak).await.unwrap(), said(wide).await);
        let refused = said(put).await.unwrap_err();
        assert!(matches!(refused.code, Code::Denied | Code::InvalidArgument), "{refused}");
        assert!(!lab.seen.borrow().contains(&"put".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_caveat_that_nobody_knows_makes_no_reference() {
    over_both(|lab| async move {
        let run = lab.begin().await;
        let weak = attenuate(&run.granted, 1, "moon=full");
        let after = call(&weak.pipeline.get_object(), 2, "look");
        assert_eq!(said(weak).await.unwrap_err().code, Code::InvalidArgument);
        assert_eq!(said(after).await.unwrap_err().code, Code::InvalidArgument);
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_replayed_attenuation_makes_no_second_grant_and_another_one_is_a_divergence() {
    over_both(|lab| async move {
        let site = lab.start();
        let owner = create(&site).await;
        let key = owner.key().clone();
        let (_context, granted) = lab.attempt(&site).await;
        let weak = attenuate(&granted, 1, "methods=look");
        said(weak).await.unwrap();
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let owner = site.tasks.get(&key).unwrap();
        let (_context, granted) = lab.attempt(&site).await;
        let weak = attenuate(&granted, 1, "methods=look");
        let look = call(&weak.pipeline.get_object(), 2, "look");
        assert!(said(look).await.is_ok());
        assert_eq!(owner.with(|task| task.grants().count()), 3);
        drop(owner);
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (_context, granted) = lab.attempt(&site).await;
        let other = said(attenuate(&granted, 1, "methods=put")).await.unwrap_err();
        assert!(other.message.contains("not deterministic"), "{other}");
    })
    .await;
}

#[tokio::test]
async fn a_child_acts_through_its_parents_journal_and_revocation_there_cuts_it() {
    over_both(|lab| async move {
        let family = Family::new(&lab, false).await;
        assert_eq!(
            said(call(&family.passed, 1, "look")).await.unwrap().0,
            Value::Text("look".into())
        );
        let promise = call(&family.passed, 2, "open");
        let opened = promise.pipeline.get_object();
        said(promise).await.unwrap();
        assert!(said(call(&opened, 3, "look")).await.is_ok());
        let charged = family.parent.with(|task| task.grant(GrantId(1)).unwrap().used());
        assert_eq!(charged, 3, "every use by the child is charged to the parent's grant");

        revoke(&family.parent, family.grant().0).await;
        for (number, object) in [(4, &family.passed), (5, &opened)] {
            let refused = said(call(object, number, "look")).await.unwrap_err();
            assert_eq!(refused.code, Code::Revoked, "{refused}");
        }
        assert!(said(call(&family.lab, 2, "look")).await.is_ok(), "the parent's own stands");
    })
    .await;
}

#[tokio::test]
async fn a_call_repeated_under_its_key_is_not_made_again_and_a_key_serves_one_call() {
    over_both(|lab| async move {
        let family = Family::new(&lab, false).await;
        let to = family.child.key().clone();
        let origin =
            remit_core::event::Origin { task: family.parent.key().task, grant: family.grant() };
        let passed = family.site.tasks.passed(&to, origin).unwrap();
        let first = said(call(&passed, 77, "put")).await.unwrap();
        let again = said(call(&passed, 77, "put")).await.unwrap();
        assert_eq!(first.0, again.0);
        assert_eq!(lab.seen.borrow().iter().filter(|seen| *seen == "put").count(), 1);
        let other = said(call(&passed, 77, "look")).await.unwrap_err();
        assert_eq!(other.code, Code::InvalidArgument, "{other}");
    })
    .await;
}

#[tokio::test]
async fn a_task_cannot_use_what_was_passed_on_to_another() {
    over_both(|lab| async move {
        let family = Family::new(&lab, false).await;
        let stranger = create(&family.site).await;
        let origin =
            remit_core::event::Origin { task: family.parent.key().task, grant: family.grant() };
        for grant in [family.grant(), GrantId(1), GrantId(99)] {
            let origin = remit_core::event::Origin { grant, ..origin };
            let refused = family.site.tasks.passed(stranger.key(), origin).err().unwrap();
            assert_eq!(refused.code, Code::Denied, "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_child_held_is_given_back_when_it_ends() {
    over_both(|lab| async move {
        let family = Family::new(&lab, false).await;
        let mut progress = family.parent.progress();
        family.child.record_durably(&Command::Cancel { reason: "done".into() }).await.unwrap();
        while !family.parent.with(|task| task.is_revoked(family.grant())) {
            progress.changed().await.unwrap();
        }
        assert!(said(call(&family.lab, 2, "look")).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_child_ends_with_its_parent_unless_it_is_detached() {
    over_both(|lab| async move {
        for detached in [false, true] {
            let family = Family::new(&lab, detached).await;
            let mut finish = family.context.finish_request();
            finish.get().init_outcome().init_value().set_null(());
            finish.send().promise.await.unwrap();
            if detached {
                // Its parent's journal still answers for what it was passed.
                assert!(said(call(&family.passed, 1, "put")).await.is_ok());
                assert!(family.child.with(|task| task.ending().is_none()));
            } else {
                family.child.over().await;
                assert!(family.child.with(|task| task.ending().is_some()));
            }
            family.site.tasks.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_spawn_repeated_after_a_restart_makes_no_second_child() {
    over_both(|lab| async move {
        let family = Family::new(&lab, true).await;
        said(call(&family.passed, 1, "put")).await.unwrap();
        let children =
            |site: &Site| site.tasks.list("default", None, None, 9, None).unwrap().0.len();
        assert_eq!(children(&family.site), 2);
        family.site.tasks.shutdown().await;
        drop(family);

        let site = lab.start();
        let (one, _) = lab.attempt(&site).await;
        let (two, _) = lab.attempt(&site).await;
        let mut seen = Vec::new();
        for context in [&one, &two] {
            let held = granted(context, 0).await;
            let count = {
                let begun = context.begin_request().send().promise.await.unwrap();
                begun.get().unwrap().get_script().unwrap().get_grants().unwrap().len()
            };
            // The parent holds two, the child one.
            let answer = if count == 2 {
                let tasks = granted(context, 1).await;
                said(spawn(&tasks, 1, &held, &[("detached", Value::Bool(true))])).await
            } else {
                said(call(&held, 1, "put")).await
            };
            seen.push(answer.unwrap().0);
        }
        assert_eq!(children(&site), 2);
        assert_eq!(lab.seen.borrow().iter().filter(|seen| *seen == "put").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_object_cannot_be_passed_on_after_the_call_that_lent_it() {
    over_both(|lab| async move {
        let family = Family::new(&lab, false).await;
        // A reference of the child's is none of the parent's, whatever it stands for.
        let tasks = granted(&family.context, 1).await;
        let refused = said(spawn(&tasks, 2, &family.passed, &[])).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
        let made = family.parent.with(|task| task.grants().count());
        assert_eq!(made, 3, "its own two and the one that was passed on before");
        let added = family.site.tasks.services().journal.read(
            "default",
            family.parent.key().task,
            remit_core::EventNumber(0),
            1_000,
        );
        let added = added.unwrap();
        let added = added.iter().filter(|event| matches!(event.fact, Fact::GrantAdded(_)));
        assert_eq!(added.count(), 3);
    })
    .await;
}
