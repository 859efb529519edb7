//! The person who answers the questions of a task that runs alone, over the wire like any client.

use std::time::Duration;

use remit_core::Code;
use remit_core::grant::text::GrantText;
use remit_schema::mesh_capnp::{grant_spec, inbox_item, task};
use remit_vat::connection::within;
use remit_vat::wire;

use crate::example::Answer;

const SOON: Duration = Duration::from_secs(60);

/// Answers the task's questions in order, and never returns.
pub(crate) async fn answer(task: &task::Client, answers: Vec<Answer>) {
    for answer in answers {
        let (number, digest) = question(task).await;
        match answer {
            Answer::Approve | Answer::Change(_) | Answer::Deny => {
                let mut request = task.approve_request();
                let mut decision = request.get().init_decision();
                decision.set_call(number);
                decision.set_digest(&digest);
                match answer {
                    Answer::Change(content) => {
                        let args = Answer::args(content).try_map(&mut |_| Err(())).unwrap();
                        wire::value::write(decision.init_change(), &args, &[]);
                    }
                    Answer::Deny => {
                        decision.set_reason("no");
                        decision.set_deny(());
                    }
                    _ => decision.set_approve(()),
                }
                within(SOON, request.send()).await.unwrap();
            }
            Answer::Give(text) => {
                let give = || {
                    let mut request = task.give_request();
                    request.get().set_operation(number);
                    write(request.get().init_spec(), text);
                    within(SOON, request.send())
                };
                // A tool that has not registered yet cannot be given.
                loop {
                    match give().await {
                        Err(failure) if failure.code == Code::NotFound => {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                        given => break drop(given.unwrap()),
                    }
                }
            }
            Answer::Refuse => {
                let mut request = task.refuse_request();
                request.get().set_operation(number);
                request.get().set_reason("no");
                within(SOON, request.send()).await.unwrap();
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Waits for a question, and returns its number, and its digest if it is a call.
async fn question(task: &task::Client) -> (u64, Vec<u8>) {
    loop {
        let response = within(SOON, task.questions_request().send()).await.unwrap();
        let items = response.get().unwrap().get_items().unwrap();
        if let Some(item) = items.iter().next() {
            let digest = match item.which().unwrap() {
                inbox_item::Approval(asked) => asked.get_digest().unwrap().to_vec(),
                _ => Vec::new(),
            };
            return (item.get_operation(), digest);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn write(mut spec: grant_spec::Builder<'_>, text: &str) {
    let given = GrantText::parse(text, 0).unwrap();
    let mut root = spec.reborrow().init_tool();
    root.set_tool(&given.tool);
    root.set_version(&given.version);
    root.set_path(&given.path);
    let mut caveats = spec.init_caveats(u32::try_from(given.caveats.len()).unwrap());
    for (at, caveat) in (0..).zip(&given.caveats) {
        wire::event::write_caveat(caveats.reborrow().get(at), caveat);
    }
}
