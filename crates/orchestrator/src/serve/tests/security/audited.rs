//! The audit: each exercise of authority is one record, and a chain that was edited is found.

use remit_core::audit::Decision;
use remit_core::task::Command;
use remit_core::{Code, GrantId};

use super::super::lab::{Lab, call, create, over_both_transports, said};
use crate::audit::query::{Filter, Reader};

over_both_transports!(no_use_and_no_refusal_is_left_out,);

async fn no_use_and_no_refusal_is_left_out(lab: Lab) {
    let site = lab.start();
    let owner = create(&site).await;
    let (_context, granted) = lab.attempt(&site).await;
    said(call(&granted, 1, "look")).await.unwrap();
    said(call(&granted, 2, "fail")).await.unwrap_err();
    said(call(&granted, 3, "nothing-like-it")).await.unwrap_err();
    let (reason, by) = ("enough".into(), "someone".into());
    let command = Command::RevokeGrant { grant: GrantId(1), reason, by };
    owner.record_durably(&command).await.unwrap();
    assert_eq!(said(call(&granted, 4, "put")).await.unwrap_err().code, Code::Revoked);
    let head = owner.with(|task| task.head().number);
    owner.durable(head).await.unwrap();
    let audit = &site.tasks.services().audit;
    let reader = Reader { audit, journal: &*lab.journal, tenant: "default" };
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        // One at a time: a page ends anywhere.
        let (records, next) = reader.page(&Filter::default(), &cursor, 1).unwrap();
        assert!(records.len() <= 1);
        found.extend(records);
        cursor = next;
        if cursor.is_empty() {
            break;
        }
    }
    let decisions: Vec<Decision> = found.iter().map(|record| record.decision).collect();
    use Decision::{Allowed, Denied, Granted, Revoked};
    assert_eq!(decisions, [Granted, Granted, Allowed, Allowed, Denied, Revoked, Denied]);
    let me = format!("task:{}", owner.key().task);
    assert!(found[2..5].iter().all(|record| record.who == me && record.digest.is_some()));
    assert!(found[2..5].iter().all(|record| record.chain == [GrantId(1)]));
    assert_eq!(found[5].who, "someone");
    let only = Filter { decision: Some(Denied), ..Filter::default() };
    assert_eq!(reader.page(&only, "", 99).unwrap().0.len(), 2);
    let nobody = Filter { who: "nobody".into(), ..Filter::default() };
    assert!(reader.page(&nobody, "", 99).unwrap().0.is_empty());
    let checked = reader.verify("").unwrap();
    assert!(checked.broken.is_empty() && checked.count > 7, "{checked:?}");
    assert!(reader.page(&only, "elsewhere", 9).is_err());
}
