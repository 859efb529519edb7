//! Siblings: another grant of the same task is no way around what was taken from this one.

use remit_core::Code;

use super::super::lab::{
    Lab, attenuate, call, granted, lend, over_both_transports, revoke, said, spawn, split,
};

over_both_transports!(
    sibling_goes_on_and_revives_nothing,
    revoked_object_cannot_be_lent_through_a_sibling,
    revoked_parent_takes_all_its_children_along,
    purse_of_one_is_not_spent_by_the_other,
    childs_end_gives_its_sibling_no_more_than_was_left,
    grant_passed_to_one_child_is_not_the_other_childs,
);

async fn sibling_goes_on_and_revives_nothing(lab: Lab) {
    let run = lab.begin().await;
    let (one, two) =
        (attenuate(&run.granted, 1, "methods=look"), attenuate(&run.granted, 2, "methods=look"));
    let (first, second) = (one.pipeline.get_object(), two.pipeline.get_object());
    said(one).await.unwrap();
    said(two).await.unwrap();
    revoke(&run.owner, 3).await;
    assert_eq!(said(call(&first, 3, "look")).await.unwrap_err().code, Code::Revoked);
    said(call(&second, 4, "look")).await.unwrap();
    let again = attenuate(&second, 5, "methods=look");
    said(again).await.unwrap();
    assert_eq!(said(call(&first, 6, "look")).await.unwrap_err().code, Code::Revoked);
    assert_eq!(*lab.seen.borrow(), ["look"]);
}

async fn revoked_object_cannot_be_lent_through_a_sibling(lab: Lab) {
    let run = lab.begin().await;
    let weak = attenuate(&run.granted, 1, "methods=look");
    let object = weak.pipeline.get_object();
    said(weak).await.unwrap();
    revoke(&run.owner, 3).await;
    // The tool is handed a reference, and finds that it is dead.
    let used = said(lend(&run.granted, 2, "use", &object)).await.unwrap_err();
    assert_eq!(used.code, Code::Revoked, "{used}");
    assert!(!lab.seen.borrow().contains(&"look".to_owned()));
}

async fn revoked_parent_takes_all_its_children_along(lab: Lab) {
    let run = lab.begin().await;
    let mut objects = vec![run.granted];
    let mut made = Vec::new();
    for number in 1..=6 {
        let from = &objects[usize::try_from(number / 2).unwrap()];
        let weak = attenuate(from, number, "label=one of many");
        objects.push(weak.pipeline.get_object());
        made.push(weak);
    }
    for made in made {
        said(made).await.unwrap();
    }
    revoke(&run.owner, 1).await;
    for (number, object) in (7..).zip(&objects) {
        assert_eq!(said(call(object, number, "look")).await.unwrap_err().code, Code::Revoked);
    }
    assert!(lab.seen.borrow().is_empty());
}

async fn purse_of_one_is_not_spent_by_the_other(lab: Lab) {
    let run = lab.begin_with("lab?calls=4").await;
    let (one, two) = (split(&run.granted, 1, "calls=2"), split(&run.granted, 2, "calls=2"));
    let (first, second) = (one.pipeline.get_object(), two.pipeline.get_object());
    said(one).await.unwrap();
    said(two).await.unwrap();
    let greedy = (3..13).map(|number| said(call(&first, number, "look")));
    let got = futures::future::join_all(greedy).await;
    assert_eq!(got.iter().filter(|one| one.is_ok()).count(), 2);
    said(call(&second, 13, "look")).await.unwrap();
    said(call(&second, 14, "look")).await.unwrap();
    assert!(said(call(&second, 15, "look")).await.is_err());
    assert_eq!(lab.seen.borrow().len(), 4);
}

async fn childs_end_gives_its_sibling_no_more_than_was_left(lab: Lab) {
    let run = lab.begin_with("lab?calls=5").await;
    let made = split(&run.granted, 1, "calls=3");
    let part = made.pipeline.get_object();
    said(made).await.unwrap();
    said(call(&part, 2, "look")).await.unwrap();
    revoke(&run.owner, 3).await;
    revoke(&run.owner, 3).await;
    let rest = (3..13).map(|number| said(call(&run.granted, number, "look")));
    let got = futures::future::join_all(rest).await;
    assert_eq!(got.iter().filter(|one| one.is_ok()).count(), 4, "5 less the one that was used");
    assert_eq!(lab.seen.borrow().len(), 5);
}

async fn grant_passed_to_one_child_is_not_the_other_childs(lab: Lab) {
    let run = lab.begin().await;
    let tasks = granted(&run.context, 1).await;
    said(spawn(&tasks, 1, &run.granted, &[])).await.unwrap();
    let (_one, first) = lab.attempt(&run.site).await;
    said(spawn(&tasks, 2, &run.granted, &[])).await.unwrap();
    let (_two, second) = lab.attempt(&run.site).await;
    let refused = said(lend(&second, 1, "use", &first)).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument, "{refused}");
    // The grants that were passed on are the third and the fourth of the parent's.
    revoke(&run.owner, 3).await;
    assert_eq!(said(call(&first, 1, "look")).await.unwrap_err().code, Code::Revoked);
    said(call(&second, 2, "look")).await.unwrap();
    assert_eq!(*lab.seen.borrow(), ["look"]);
}
