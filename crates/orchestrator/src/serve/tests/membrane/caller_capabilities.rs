//! What a task that was passed a tool gives to it: objects of its own, which are neither the task's
//! that passed the tool on nor the tool's.

use std::rc::Rc;

use futures::FutureExt as _;
use remit_core::{CallNumber, Code, ObjectId, Value};
use remit_schema::object_capnp::object;
use remit_schema::task_capnp::task_context;
use remit_vat::wire;

use super::super::lab::{
    Lab, Site, attenuate, call, create, create_with, granted, lend, over_both, revoke, said, spawn,
    with,
};
use super::super::questions::{approve, questions};
use crate::runtime::{Owner, TaskKey};

/// A task at work, with a `lab` and `tasks` that it was granted or passed.
struct Member {
    owner: Rc<Owner>,
    _context: task_context::Client,
    lab: object::Client,
    tasks: object::Client,
}

impl Member {
    async fn first(lab: &Lab, site: &Site) -> Self {
        Self::of(create(site).await, lab, site).await
    }

    async fn of(owner: Rc<Owner>, lab: &Lab, site: &Site) -> Self {
        let (context, held) = lab.attempt(site).await;
        let tasks = granted(&context, 1).await;
        Self { owner, _context: context, lab: held, tasks }
    }

    /// The member that this one spawns by its call `number`, and passes both on to.
    async fn spawns(&self, number: u64, lab: &Lab, site: &Site) -> Self {
        let grants = [("lab", 0), ("tasks", 1)];
        let grants = grants.map(|(name, at)| (name.to_owned(), Value::Object(at))).to_vec();
        let source = Value::Text("export default () => 1".into());
        let args = [("source", source), ("grants", Value::Fields(grants))];
        let both = [self.lab.clone(), self.tasks.clone()];
        let (said, _) = said(with(&self.tasks, number, "spawn", &args, &both)).await.unwrap();
        let owner = child(site, &self.owner, &said);
        let (context, held) = lab.attempt(site).await;
        let tasks = granted(&context, 1).await;
        Self { owner, _context: context, lab: held, tasks }
    }
}

fn child(site: &Site, near: &Owner, spawned: &Value<u32>) -> Rc<Owner> {
    let task = spawned.field("id").and_then(Value::as_text).unwrap().parse().unwrap();
    site.tasks.working(&TaskKey { task, ..near.key().clone() }).unwrap()
}

/// The tool looks at what it is lent, and gives it back in its answer.
fn looks_and_gives_back(lab: &Lab) {
    lab.lies(|heard, mut results| {
        async move {
            if let Some(lent) = heard.lent.into_iter().next() {
                let seen = said(call(&lent, 0, "look")).await;
                let shown = Value::Text(seen.err().map(|f| f.message).unwrap_or_default());
                let value = Value::List(vec![Value::Object(0), shown]);
                wire::value::write(results.get().init_value(), &value, &[lent]);
            }
            Ok(())
        }
        .boxed_local()
    });
}

#[tokio::test]
async fn what_a_child_spawns_is_its_own_and_is_passed_what_the_child_holds() {
    over_both(|lab| async move {
        let site = lab.start();
        let parent = Member::first(&lab, &site).await;
        let child_ = parent.spawns(1, &lab, &site).await;
        let made = attenuate(&child_.lab, 1, "methods=look&calls=2");
        let weak = made.pipeline.get_object();
        said(made).await.unwrap();
        let promise = spawn(&child_.tasks, 2, &weak, &[]);
        let handle = promise.pipeline.get_object();
        let grandchild = child(&site, &parent.owner, &said(promise).await.unwrap().0);
        assert_eq!(grandchild.with(|t| t.created().parent), Some(child_.owner.key().task));
        assert_eq!(crate::tasks::Tasks::children(&child_.owner).len(), 1);

        let (_context, held) = lab.attempt(&site).await;
        said(call(&held, 1, "look")).await.unwrap();
        assert_eq!(said(call(&held, 2, "put")).await.unwrap_err().code, Code::Denied);
        said(call(&held, 3, "look")).await.unwrap();
        let spent = said(call(&held, 4, "look")).await.unwrap_err();
        assert_eq!(spent.detail, "calls=2", "what the child took away on top holds");
        // One more thing, through the handle.
        let args = [("name", Value::Text("more".into())), ("object", Value::Object(0))];
        let more = with(&handle, 3, "grant", &args, std::slice::from_ref(&child_.lab));
        said(more).await.unwrap();
        assert_eq!(grandchild.with(|task| task.grants().count()), 2);

        child_
            .owner
            .record_durably(&remit_core::task::Command::Cancel { reason: "enough".into() })
            .await
            .unwrap();
        grandchild.over().await;
        assert!(parent.owner.with(|task| task.ending().is_none()));
    })
    .await;
}

#[tokio::test]
async fn what_a_child_lends_goes_through_to_the_tool_and_comes_back_as_itself() {
    over_both(|lab| async move {
        looks_and_gives_back(&lab);
        let site = lab.start();
        let parent = Member::first(&lab, &site).await;
        let child = parent.spawns(1, &lab, &site).await;
        let grandchild = child.spawns(1, &lab, &site).await;
        for (member, number) in [(&child, 5), (&grandchild, 6)] {
            let made = attenuate(&member.lab, number, "methods=look&calls=3");
            let weak = made.pipeline.get_object();
            said(made).await.unwrap();
            let used = lend(&member.lab, number + 5, "use", &weak).promise.await.unwrap();
            let value = used.get().unwrap().get_value().unwrap();
            let (value, table) = wire::value::read(value).unwrap();
            let seen = Value::List(vec![Value::Object(0), Value::Text(String::new())]);
            assert_eq!(value, seen, "the tool could use it");
            said(call(&table[0], number + 10, "look")).await.expect("it outlives the call");
            let refused = said(call(&table[0], number + 15, "put")).await.unwrap_err();
            assert_eq!(refused.detail, "methods=look&calls=3".split('&').next().unwrap());
            let lent = member.owner.with(|task| task.grants().last().unwrap().used());
            assert_eq!(lent, 2, "once by the tool, once by whose it is");
        }
        // In between it is known as what it is, and nothing can be done with it.
        let caller_capabilities = parent.owner.with(|task| {
            let objects = task.operations().filter_map(|(_, operation)| match operation {
                remit_core::task::Operation::Call { request, .. } => request.args.field("what"),
                _ => None,
            });
            objects.cloned().collect::<Vec<_>>()
        });
        assert_eq!(caller_capabilities.len(), 2);
        for guest in caller_capabilities {
            let Value::Object(guest @ ObjectId::CallerCapability(..)) = guest else {
                panic!("{guest:?}")
            };
            assert_eq!(parent.owner.with(|task| task.grant_of(guest)), None);
        }
    })
    .await;
}

#[tokio::test]
async fn what_another_task_holds_is_no_guest() {
    over_both(|lab| async move {
        looks_and_gives_back(&lab);
        let site = lab.start();
        let parent = Member::first(&lab, &site).await;
        let child = parent.spawns(1, &lab, &site).await;
        let other = parent.spawns(2, &lab, &site).await;
        for (number, stolen) in (1..).zip([&parent.lab, &other.lab]) {
            for refused in [
                said(lend(&child.lab, 2 * number, "use", stolen)).await,
                said(spawn(&child.tasks, 2 * number + 1, stolen, &[])).await,
            ] {
                assert_eq!(refused.unwrap_err().code, Code::InvalidArgument);
            }
        }
        // Nor is it to the one below: of what its holder says it lends, all must be the holder's.
        let origin = child.owner.with(|task| task.grants().next().unwrap().grant.origin.unwrap());
        let passed = site.tasks.passed(child.owner.key(), origin).unwrap();
        let key = child.owner.tool_key(CallNumber(9));
        for key in [key, b"a key of one's own".to_vec()] {
            let mut request = passed.call_request();
            request.get().set_method("use");
            request.get().set_key(&key);
            let args = Value::Fields(vec![("what".into(), Value::Object(0))]);
            let given = std::slice::from_ref(&other.lab);
            wire::value::write(request.get().init_args(), &args, given);
            assert_eq!(said(request.send()).await.unwrap_err().code, Code::InvalidArgument);
        }
        assert!(lab.seen.borrow().is_empty());
    })
    .await;
}

#[tokio::test]
async fn calls_that_wait_for_a_person_side_by_side_keep_each_its_own_guests() {
    over_both(|lab| async move {
        let inner = lab.liar(|heard, _| {
            async move {
                if let Some(lent) = heard.lent.into_iter().next() {
                    drop(said(call(&lent, 0, "look")).await);
                }
                Ok(())
            }
            .boxed_local()
        });
        lab.lies(move |heard, mut results| {
            if heard.method == "open" {
                results.get().set_object(inner.clone());
            }
            async { Ok(()) }.boxed_local()
        });
        let site = lab.start();
        let parent = Member::of(create_with(&site, "lab?requiresApproval=open").await, &lab, &site);
        let parent = parent.await;
        let one = parent.spawns(1, &lab, &site).await;
        let two = parent.spawns(2, &lab, &site).await;
        let mut waiting = Vec::new();
        let (mut kept, mut uses) = (Vec::new(), Vec::new());
        for member in [&one, &two] {
            let opened = call(&member.lab, 1, "open");
            let object = opened.pipeline.get_object();
            waiting.push(tokio::task::spawn_local(said(opened)));
            uses.push(tokio::task::spawn_local(said(lend(&object, 2, "use", &member.lab))));
            kept.push(object);
        }
        questions(&parent.owner, 2).await;
        // Both uses have come as far as they can before the decision.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let held: Vec<_> = parent.owner.with(|task| {
            task.questions().iter().map(remit_core::task::Question::operation).collect()
        });
        for call in held {
            approve(&parent.owner, call.0).await.unwrap();
        }
        for promise in waiting.into_iter().chain(uses) {
            promise.await.unwrap().unwrap();
        }
        for member in [&one, &two] {
            let lent = member.owner.with(|task| {
                task.operations().filter(|(number, _)| *number >= CallNumber::FIRST_LENT).count()
            });
            assert_eq!(lent, 1, "each was lent its own");
        }
    })
    .await;
}

#[tokio::test]
async fn revoking_the_tool_above_ends_the_call_and_what_was_lent_for_it() {
    over_both(|lab| async move {
        let kept = Rc::clone(&lab.kept);
        lab.lies(move |heard, _| {
            *kept.borrow_mut() = heard.lent.into_iter().next();
            std::future::pending().boxed_local()
        });
        let site = lab.start();
        let parent = Member::first(&lab, &site).await;
        let child = parent.spawns(1, &lab, &site).await;
        let using = tokio::task::spawn_local(said(lend(&child.lab, 1, "use", &child.lab)));
        while lab.kept.borrow().is_none() {
            tokio::task::yield_now().await;
        }
        revoke(&parent.owner, 1).await;
        assert_eq!(using.await.unwrap().unwrap_err().code, Code::Revoked);
        let kept = lab.kept.borrow_mut().take().unwrap();
        assert_eq!(said(call(&kept, 0, "look")).await.unwrap_err().code, Code::Revoked);
    })
    .await;
}

#[tokio::test]
async fn a_restart_sends_the_call_again_with_what_was_lent_for_it() {
    over_both(|lab| async move {
        // The tool began nothing that it does not remember, so the call is sent again.
        lab.started.set(false);
        let hung = Rc::new(std::cell::Cell::new(true));
        let hangs = Rc::clone(&hung);
        lab.lies(move |heard, mut results| {
            let hangs = heard.method == "use" && hangs.replace(false);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                if let Some(lent) = heard.lent.into_iter().next() {
                    said(call(&lent, 0, "look"))
                        .await
                        .map_err(|f| remit_vat::exception::to_exception(&f))?;
                    results.get().init_value().set_text("looked");
                }
                Ok(())
            }
            .boxed_local()
        });
        let site = lab.start();
        let parent = Member::first(&lab, &site).await;
        let child = parent.spawns(1, &lab, &site).await;
        let using = tokio::task::spawn_local(said(lend(&child.lab, 1, "use", &child.lab)));
        while hung.get() {
            tokio::task::yield_now().await;
        }
        using.abort();
        drop((parent, child));
        site.tasks.shutdown().await;
        drop(site);

        let site = lab.start();
        let (one, first) = lab.attempt(&site).await;
        let (two, second) = lab.attempt(&site).await;
        let again = [&first, &second].map(|held| said(lend(held, 1, "use", held)));
        let mut answers = futures::future::join_all(again).await;
        // The one whose first call was another is told that it is not the same agent.
        answers.retain(Result::is_ok);
        assert_eq!(answers.pop().unwrap().unwrap().0, Value::Text("looked".into()));
        assert_eq!(*lab.seen.borrow(), ["use", "use", "look"]);
        drop((one, two));
    })
    .await;
}
