//! Calls about questions that wait for a person.

use remit_core::{CallNumber, EventNumber, Failure, GrantId, TaskId, Value};
use remit_schema::mesh_capnp::{inbox_item, offer, task, tasks};
use remit_schema::object_capnp::value;
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::{self, Malformed};

use super::{read, write};
use crate::limits;
use crate::question::{
    Approval, Asks, Decision, InboxPage, Ledger, Offer, Question, Remember, Settlement,
};
use crate::spec::GrantSpec;

fn read_offers(
    list: capnp::struct_list::Reader<'_, offer::Owned>,
) -> Result<Vec<Offer>, Malformed> {
    let read = |offer: offer::Reader<'_>| {
        Ok(Offer {
            grant: wire::text(offer.get_grant())?,
            unbounded: wire::texts(offer.get_unbounded()?)?,
        })
    };
    list.iter().map(read).collect()
}

pub(crate) async fn inbox(
    tasks: tasks::Client,
    after: Option<TaskId>,
) -> Result<InboxPage, Failure> {
    let mut request = tasks.inbox_request();
    request.get().set_after(after.map(|task| task.to_string()).unwrap_or_default());
    let response = within(limits::CALL, request.send()).await?;
    let read = || {
        let results = response.get()?;
        let questions = results.get_items()?.iter().map(question).collect::<Result<_, _>>()?;
        let more = match wire::text(results.get_more())?.as_str() {
            "" => None,
            id => Some(read::id(id)?),
        };
        Ok(InboxPage { questions, more })
    };
    read().map_err(unreadable)
}

pub(crate) async fn of_task(task: task::Client) -> Result<Vec<Question>, Failure> {
    let response = within(limits::CALL, task.questions_request().send()).await?;
    let read = || response.get()?.get_items()?.iter().map(question).collect::<Result<_, _>>();
    read().map_err(unreadable)
}

pub(crate) async fn decide(task: task::Client, decision: &Decision) -> Result<(), Failure> {
    let mut request = task.approve_request();
    let mut b = request.get().init_decision();
    b.set_call(decision.call.0);
    b.set_digest(&decision.digest);
    b.set_reason(&decision.reason);
    match &decision.approval {
        Approval::Approve => b.set_approve(()),
        Approval::Deny => b.set_deny(()),
        Approval::Change(args) => write::plain(b.reborrow().init_change(), args)?,
    }
    let mut remember = b.init_remember();
    match decision.remember {
        Remember::Nothing => remember.set_nothing(()),
        Remember::Arguments(until_ms) => remember.set_arguments(until_ms),
        Remember::Method(until_ms) => remember.set_method(until_ms),
    }
    within(limits::CALL, request.send()).await?;
    Ok(())
}

pub(crate) async fn give(
    task: task::Client,
    request_number: CallNumber,
    spec: &GrantSpec,
    runtime: &tokio::runtime::Handle,
) -> Result<GrantId, Failure> {
    let mut request = task.give_request();
    request.get().set_operation(request_number.0);
    write::grant(request.get().init_spec(), spec, runtime);
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(GrantId(results.get_grant()))
}

pub(crate) async fn refuse(
    task: task::Client,
    request_number: CallNumber,
    reason: &str,
) -> Result<(), Failure> {
    let mut request = task.refuse_request();
    request.get().set_operation(request_number.0);
    request.get().set_reason(reason);
    within(limits::CALL, request.send()).await?;
    Ok(())
}

pub(crate) async fn settle(
    task: task::Client,
    (call, event): (CallNumber, EventNumber),
    settlement: &Settlement,
) -> Result<(), Failure> {
    let mut request = task.settle_request();
    request.get().set_call(call.0);
    request.get().set_event(event.0);
    let mut b = request.get().init_settlement();
    match settlement {
        Settlement::Retry => b.set_retry(()),
        Settlement::Abandon => b.set_abandon(()),
        Settlement::Outcome(value) => write::plain(b.init_outcome(), value)?,
    }
    within(limits::CALL, request.send()).await?;
    Ok(())
}

fn question(item: inbox_item::Reader<'_>) -> Result<Question, Malformed> {
    let until_ms = item.get_until_ms();
    Ok(Question {
        task: read::id(&wire::text(item.get_task())?)?,
        name: wire::text(item.get_name())?,
        operation: CallNumber(item.get_operation()),
        event: EventNumber(item.get_event()),
        asked_ms: item.get_asked_ms(),
        until_ms: (until_ms != 0).then_some(until_ms),
        summary: wire::text(item.get_summary())?,
        asks: match item.which()? {
            inbox_item::Approval(asked) => {
                let digest = asked.get_digest()?;
                let size = || Malformed(format!("a digest of {} bytes; it has 32", digest.len()));
                Asks::Approval {
                    digest: digest.try_into().map_err(|_| size())?,
                    args: plain(asked.get_args()?)?,
                    caveat: wire::text(asked.get_caveat())?,
                    destructive: asked.get_destructive(),
                }
            }
            inbox_item::CapabilityRequest(asked) => Asks::CapabilityRequest {
                tool: wire::text(asked.get_tool())?,
                reason: wire::text(asked.get_reason())?,
                offers: read_offers(asked.get_offers()?)?,
            },
            inbox_item::Settlement(asked) => {
                let ledger = wire::text(asked.get_ledger())?;
                let known = Ledger::ALL.into_iter().find(|known| known.as_str() == ledger);
                Asks::Settlement {
                    reason: wire::text(asked.get_reason())?,
                    ledger: known.ok_or_else(|| {
                        Malformed(format!("`{ledger}` for what the tool's records say"))
                    })?,
                }
            }
        },
    })
}

fn plain(reader: value::Reader<'_>) -> Result<Value, Malformed> {
    let (value, _) = wire::value::read(reader)?;
    value.try_map(&mut |_| Err(Malformed("an object in a question, which is plain data".into())))
}

fn unreadable(malformed: Malformed) -> Failure {
    Failure::new(remit_core::Code::Failed, format!("the mesh's answer is {malformed}"))
}
