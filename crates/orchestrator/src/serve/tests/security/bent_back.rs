//! References that lead back to where they came from, or nowhere: a call on one ends with a failure
//! that says so. It neither waits for ever nor reaches what it should not.

use futures::FutureExt as _;
use remit_core::Code;
use remit_schema::object_capnp::object;

use super::super::lab::{Lab, Transport, call, create, lend, loopback, over, said, spawn};

/// Runs a body with the tool at the other end of a pipe, and over mutual TLS.
async fn over_both_wires(body: impl AsyncFn(Lab)) {
    over(Transport::SameProcess, async |lab: Lab| {
        let tool = loopback::piped(gives_back(&lab));
        lab.serves(tool);
        body(lab).await;
    })
    .await;
    over(Transport::SameProcess, async |lab: Lab| {
        let tool = loopback::dialled(gives_back(&lab)).await;
        lab.serves(tool);
        body(lab).await;
    })
    .await;
}

/// A tool whose `open` gives back, as its own result, what it was lent.
fn gives_back(lab: &Lab) -> object::Client {
    lab.liar(|heard, mut results| {
        if heard.method == "open" {
            results.get().set_object(heard.lent.into_iter().next().unwrap());
        }
        async { Ok(()) }.boxed_local()
    })
}

#[tokio::test]
async fn lent_object_that_comes_back_as_the_result_takes_arguments() {
    over_both_wires(async |lab: Lab| {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        // The second call is pipelined on the first, and the third comes when that is over.
        let opened = lend(&granted, 1, "open", &granted);
        let got = opened.pipeline.get_object();
        let (first, second) = futures::join!(said(opened), said(lend(&got, 2, "use", &granted)));
        first.unwrap();
        let third = said(lend(&got, 3, "use", &granted)).await;
        for (number, refused) in [(2, second), (3, third)] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument, "{number}: {refused}");
        }
        // The task is as it was, and so is the tool.
        said(lend(&granted, 4, "use", &granted)).await.unwrap();
        assert_eq!(*lab.seen.borrow(), ["open", "use"]);
    })
    .await;
}

#[tokio::test]
async fn object_that_leads_back_into_a_call_that_is_over_gives_nothing() {
    over_both_wires(async |lab: Lab| {
        let site = lab.start();
        create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let opened = lend(&granted, 1, "open", &granted);
        let got = opened.pipeline.get_object();
        said(opened).await.unwrap();
        assert_eq!(said(call(&got, 2, "look")).await.unwrap_err().code, Code::Revoked);
        said(call(&granted, 3, "look")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn passed_on_object_that_comes_back_takes_arguments() {
    over_both_wires(async |lab: Lab| {
        let site = lab.start();
        create(&site).await;
        let (context, granted) = lab.attempt(&site).await;
        let tasks = super::super::lab::granted(&context, 1).await;
        said(spawn(&tasks, 1, &granted, &[])).await.unwrap();
        let (_its, passed) = lab.attempt(&site).await;
        let opened = lend(&passed, 1, "open", &passed);
        let got = opened.pipeline.get_object();
        let (first, second) = futures::join!(said(opened), said(lend(&got, 2, "use", &passed)));
        first.unwrap();
        second.unwrap_err();
        said(lend(&passed, 3, "use", &passed)).await.unwrap();
    })
    .await;
}

/// What the orchestrator does for a call may fail in a way that nobody thought of: the call ends, and
/// the task goes on.
#[tokio::test]
async fn panic_under_way_ends_the_call_and_nothing_else() {
    over(Transport::SameProcess, |lab| async move {
        lab.lies(|heard, _| {
            async move {
                assert_ne!(heard.method, "put", "on purpose");
                Ok(())
            }
            .boxed_local()
        });
        let site = lab.start();
        let owner = create(&site).await;
        let (_context, granted) = lab.attempt(&site).await;
        let failed = said(call(&granted, 1, "put")).await.unwrap_err();
        assert_eq!(failed.code, Code::Unknown, "{failed}");
        assert!(failed.message.contains("on purpose"), "{failed}");
        said(call(&granted, 2, "look")).await.unwrap();
        owner.settle_forwards().await;
        let folded = remit_core::Task::fold(&super::super::lab::events(&lab, owner.key())).unwrap();
        assert!(owner.with(|task| *task == folded.unwrap()));
    })
    .await;
}
