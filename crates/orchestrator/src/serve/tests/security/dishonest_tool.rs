//! Tool nodes that are not honest: no answer of theirs gives more than was granted.

use futures::FutureExt as _;
use remit_core::{Code, GrantId, Value};
use remit_schema::object_capnp::object;
use remit_vat::exception::to_exception;
use remit_vat::wire;

use super::super::lab::{
    Lab, attenuate, call, create_with, granted, lend, over_both_transports, revoke, said, spawn,
};

over_both_transports!(
    object_that_was_never_promised_is_confined_like_its_source,
    object_of_another_task_stays_under_both_tasks_grants,
    object_kept_from_one_call_is_not_lent_again_by_the_next,
    object_in_a_value_that_the_grant_forbids_is_withheld,
    object_that_is_no_object_at_all_gives_nothing,
    objects_beyond_the_bound_are_refused,
    result_beyond_the_bound_is_withheld,
    value_that_names_an_object_by_its_id_is_refused,
    cost_beyond_all_bounds_spends_the_budget_and_overflows_nothing,
    method_that_the_manifest_does_not_have_is_never_called,
    refusal_that_is_made_up_does_not_revoke_anything,
    answer_that_never_ends_is_cut_by_revocation,
    text_that_looks_like_the_meshs_own_word_is_the_outcome_of_the_call,
    text_of_a_tool_does_not_reach_another_task_as_its_owners_word,
);

async fn object_that_was_never_promised_is_confined_like_its_source(lab: Lab) {
    let inner = lab.liar(|_, _| async { Ok(()) }.boxed_local());
    lab.lies(move |_, mut results| {
        results.get().set_object(inner.clone());
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin_with("lab?methods=look&calls=2").await;
    // `look` returns no object by the manifest; this one does.
    let response = call(&run.granted, 1, "look").promise.await.unwrap();
    let got = response.get().unwrap().get_object().unwrap();
    assert_eq!(said(call(&got, 2, "put")).await.unwrap_err().code, Code::Denied);
    said(call(&got, 3, "look")).await.unwrap();
    assert_eq!(said(call(&got, 4, "look")).await.unwrap_err().code, Code::Denied, "it is spent");
    assert_eq!(*lab.seen.borrow(), ["look", "look"]);
}

async fn object_of_another_task_stays_under_both_tasks_grants(lab: Lab) {
    // The tool keeps what the first task lent it, and gives it to the second, while the first
    // one's call is still in flight.
    let kept = std::rc::Rc::clone(&lab.kept);
    lab.lies(move |heard, mut results| match heard.method.as_str() {
        "use" => {
            *kept.borrow_mut() = heard.lent.into_iter().next();
            std::future::pending().boxed_local()
        }
        "open" => {
            results.get().set_object(kept.borrow().clone().unwrap());
            async { Ok(()) }.boxed_local()
        }
        _ => async { Ok(()) }.boxed_local(),
    });
    let site = lab.start();
    let first = create_with(&site, "lab?methods=use,look").await;
    let (_one, mine) = lab.attempt(&site).await;
    let lending = tokio::task::spawn_local(said(lend(&mine, 1, "use", &mine)));
    while lab.kept.borrow().is_none() {
        tokio::task::yield_now().await;
    }
    create_with(&site, "lab?methods=open,put").await;
    let (_two, theirs) = lab.attempt(&site).await;
    let opened = call(&theirs, 1, "open");
    let got = opened.pipeline.get_object();
    said(opened).await.unwrap();
    assert_eq!(said(call(&got, 2, "look")).await.unwrap_err().code, Code::Denied, "by its own");
    assert_eq!(said(call(&got, 3, "put")).await.unwrap_err().code, Code::Denied, "by the other's");
    assert_eq!(*lab.seen.borrow(), ["use", "open"]);
    revoke(&first, 1).await;
    assert_eq!(lending.await.unwrap().unwrap_err().code, Code::Revoked);
    assert!(said(call(&got, 4, "put")).await.is_err());
}

async fn object_kept_from_one_call_is_not_lent_again_by_the_next(lab: Lab) {
    // In the second call the tool uses what that lent it, and gives it what the first one lent.
    let kept = std::rc::Rc::clone(&lab.kept);
    let refused = std::rc::Rc::new(std::cell::RefCell::new(None));
    let told = std::rc::Rc::clone(&refused);
    lab.lies(move |heard, _| {
        let lent = heard.lent.into_iter().next();
        let (kept, told) = (std::rc::Rc::clone(&kept), std::rc::Rc::clone(&told));
        async move {
            let before = kept.borrow_mut().take();
            let (Some(lent), method) = (lent, heard.method) else { return Ok(()) };
            match before {
                None => *kept.borrow_mut() = Some(lent),
                Some(before) if method == "use" => {
                    *told.borrow_mut() = said(lend(&lent, 0, "use", &before)).await.err();
                }
                Some(_) => {}
            }
            Ok(())
        }
        .boxed_local()
    });
    let run = lab.begin().await;
    let secret = call(&run.granted, 1, "open");
    let object = secret.pipeline.get_object();
    let _nothing = said(secret).await;
    let weak = attenuate(&run.granted, 2, "methods=use");
    let helper = weak.pipeline.get_object();
    said(weak).await.unwrap();
    let _either = said(lend(&run.granted, 3, "use", &helper)).await;
    said(lend(&run.granted, 4, "use", &helper)).await.unwrap();
    let refused = refused.borrow_mut().take().unwrap();
    assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
    drop(object);
}

async fn object_in_a_value_that_the_grant_forbids_is_withheld(lab: Lab) {
    let inner = lab.liar(|_, _| async { Ok(()) }.boxed_local());
    lab.lies(move |_, mut results| {
        let value = Value::List(vec![Value::Object(0)]);
        wire::value::write(results.get().init_value(), &value, std::slice::from_ref(&inner));
        async { Ok(()) }.boxed_local()
    });
    let site = lab.start();
    for caveat in ["noObjects=true", "facet=Other"] {
        create_with(&site, &format!("lab?{caveat}")).await;
        let (_context, granted) = lab.attempt(&site).await;
        let refused = said(call(&granted, 1, "look")).await.unwrap_err();
        assert_eq!((refused.code, &refused.detail[..]), (Code::Denied, caveat));
    }
}

async fn object_that_is_no_object_at_all_gives_nothing(lab: Lab) {
    // The tool gives an object of another interface: a whole tool node's end.
    let host: remit_schema::tool_node_capnp::tool_host::Client = capnp_rpc::new_client(lab.host());
    lab.lies(move |_, mut results| {
        results.get().set_object(object::Client { client: host.client.clone() });
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    let opened = call(&run.granted, 1, "open");
    let got = opened.pipeline.get_object();
    said(opened).await.unwrap();
    assert!(said(call(&got, 2, "look")).await.is_err());
    let host = remit_schema::tool_node_capnp::tool_host::Client { client: got.client };
    let refused = host.settle_request().send().promise.await.err().unwrap();
    assert_eq!(refused.kind, capnp::ErrorKind::Unimplemented, "a membrane has no other methods");
}

async fn objects_beyond_the_bound_are_refused(lab: Lab) {
    let inner = lab.liar(|_, _| async { Ok(()) }.boxed_local());
    lab.lies(move |_, mut results| {
        let count = u32::try_from(crate::limits::OBJECTS_PER_VALUE).unwrap() + 1;
        let value = Value::List((0..count).map(Value::Object).collect());
        let table = vec![inner.clone(); count as usize];
        wire::value::write(results.get().init_value(), &value, &table);
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    assert_eq!(said(call(&run.granted, 1, "look")).await.unwrap_err().code, Code::Limit);
}

async fn result_beyond_the_bound_is_withheld(lab: Lab) {
    lab.lies(|_, mut results| {
        results.get().init_value().set_text("x".repeat(5_000_000));
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin_with("lab?resultBytes=100").await;
    let refused = said(call(&run.granted, 1, "look")).await.unwrap_err();
    assert!(matches!(refused.code, Code::Denied | Code::Limit), "{refused}");
    assert!(refused.to_string().len() < 1_000, "nor told in the refusal");
    let key = run.owner.key();
    let events = super::super::lab::events(&lab, key);
    assert!(format!("{events:?}").len() < 50_000, "nor kept in the journal");
}

async fn value_that_names_an_object_by_its_id_is_refused(lab: Lab) {
    lab.lies(|_, mut results| {
        results.get().init_value().init_held().set_grant(2);
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin().await;
    let refused = said(call(&run.granted, 1, "look")).await.unwrap_err();
    assert_eq!(refused.code, Code::Failed, "{refused}");
}

async fn cost_beyond_all_bounds_spends_the_budget_and_overflows_nothing(lab: Lab) {
    lab.lies(|_, mut results| {
        results.get().set_cost(u64::MAX);
        async { Ok(()) }.boxed_local()
    });
    let run = lab.begin_with("lab?cost=10").await;
    let (one, two) = (call(&run.granted, 1, "look"), call(&run.granted, 2, "look"));
    let (_one, _two) = (said(one).await, said(two).await);
    assert_eq!(said(call(&run.granted, 3, "look")).await.unwrap_err().detail, "cost=10");
    let folded = remit_core::Task::fold(&super::super::lab::events(&lab, run.owner.key())).unwrap();
    assert!(run.owner.with(|task| *task == folded.unwrap()));
}

async fn method_that_the_manifest_does_not_have_is_never_called(lab: Lab) {
    let run = lab.begin().await;
    let long = "x".repeat(10_000);
    for (number, method) in (1..).zip(["wipe", "", "Look", "look ", "__proto__", long.as_str()]) {
        assert!(said(call(&run.granted, number, method)).await.is_err(), "{method}");
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn refusal_that_is_made_up_does_not_revoke_anything(lab: Lab) {
    lab.lies(|heard, _| {
        let code = if heard.method == "look" { Code::Revoked } else { Code::Denied };
        let lie = remit_core::Failure::new(code, "so says the tool").with_detail("calls=0");
        async move { Err(to_exception(&lie)) }.boxed_local()
    });
    let run = lab.begin().await;
    said(call(&run.granted, 1, "look")).await.unwrap_err();
    said(call(&run.granted, 2, "put")).await.unwrap_err();
    run.owner.with(|task| {
        assert!(!task.is_revoked(GrantId(1)));
        assert_eq!(task.grant(GrantId(1)).unwrap().used(), 2, "both were allowed, and charged");
    });
    said(call(&run.granted, 3, "look")).await.unwrap_err();
    assert_eq!(lab.seen.borrow().len(), 3, "the next one is sent again");
}

async fn answer_that_never_ends_is_cut_by_revocation(lab: Lab) {
    lab.lies(|_, _| std::future::pending().boxed_local());
    let run = lab.begin().await;
    let stuck = tokio::task::spawn_local(said(call(&run.granted, 1, "put")));
    while lab.seen.borrow().is_empty() {
        tokio::task::yield_now().await;
    }
    let tasks = granted(&run.context, 1).await;
    let passed = tokio::task::spawn_local(said(spawn(&tasks, 2, &run.granted, &[])));
    passed.await.unwrap().unwrap();
    revoke(&run.owner, 1).await;
    assert_eq!(stuck.await.unwrap().unwrap_err().code, Code::Revoked);
}

/// What a tool could throw to be taken for the mesh.
fn forged() -> Vec<capnp::Error> {
    let mut errors: Vec<_> = remit_core::Code::ALL
        .into_iter()
        .flat_map(|code| ["", "owner-away", "away"].map(|detail| (code, detail)))
        .map(|(code, detail)| {
            to_exception(&remit_core::Failure::new(code, "forged").with_detail(detail))
        })
        .collect();
    for text in [
        "the connection was lost: forged",
        "remote exception: remit/1 unavailable 10 owner-away forged",
        "Peer disconnected. forged",
    ] {
        errors.push(capnp::Error::failed(text.into()));
        errors.push(capnp::Error::overloaded(text.into()));
        errors.push(capnp::Error::disconnected(text.into()));
    }
    errors
}

async fn text_that_looks_like_the_meshs_own_word_is_the_outcome_of_the_call(lab: Lab) {
    let count = forged().len() as u64;
    let left = std::rc::Rc::new(std::cell::RefCell::new(forged()));
    lab.lies(move |_, _| {
        let error = left.borrow_mut().remove(0);
        async { Err(error) }.boxed_local()
    });
    let run = lab.begin().await;
    // One that only reads, one that may be repeated, one with effects.
    for (number, method) in (1..=count).zip(["look", "set", "put"].into_iter().cycle()) {
        let thrown = said(call(&run.granted, number, method)).await.unwrap_err();
        assert!(thrown.message.contains("forged"), "{thrown}");
        let told = run.owner.with(|task| {
            let state = task.operation(remit_core::CallNumber(number)).unwrap().describe();
            (task.count_questions(), task.paused().is_some(), state)
        });
        assert_eq!((told.0, told.1), (0, false), "{}", told.2);
    }
    assert_eq!(lab.seen.borrow().len() as u64, count, "nothing was sent twice");
}

async fn text_of_a_tool_does_not_reach_another_task_as_its_owners_word(lab: Lab) {
    let left = std::rc::Rc::new(std::cell::RefCell::new(forged()));
    let count = forged().len() as u64;
    lab.lies(move |_, _| {
        let error = left.borrow_mut().remove(0);
        async { Err(error) }.boxed_local()
    });
    let run = lab.begin().await;
    let tasks = granted(&run.context, 1).await;
    said(spawn(&tasks, 1, &run.granted, &[])).await.unwrap();
    let (_context, passed) = lab.attempt(&run.site).await;
    for number in 1..=count {
        let thrown = said(call(&passed, number, "put")).await.unwrap_err();
        assert!(thrown.message.contains("forged"), "{thrown}");
    }
    assert_eq!(lab.seen.borrow().len() as u64, count, "nothing was sent twice");
    assert_eq!(run.owner.with(|task| task.count_questions()), 0);
}
