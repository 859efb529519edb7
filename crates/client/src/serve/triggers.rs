//! Calls on the triggers of a mesh.

use remit_core::{Code, Failure, TaskId};
use remit_schema::mesh_capnp::creation;
use remit_schema::trigger_capnp::{trigger, trigger_info, triggers};
use remit_vat::connection::within;
use remit_vat::exception::to_failure;
use remit_vat::wire::Malformed;

use super::{read, write};
use crate::limits;
use crate::trigger::{Does, Missed, PostProof, Trigger, TriggerInfo, Webhook, When};

fn all(creation: &creation::Client) -> triggers::Client {
    creation.triggers_request().send().pipeline.get_triggers()
}

pub(crate) async fn put(
    creation: creation::Client,
    trigger: &Trigger,
    runtime: &tokio::runtime::Handle,
) -> Result<String, Failure> {
    let mut request = all(&creation).put_request();
    fill(request.get().init_trigger(), trigger, runtime)?;
    let response = within(limits::CALL, request.send()).await?;
    let results = response.get().map_err(|error| to_failure(&error))?;
    Ok(read::text(results.get_secret())?)
}

fn fill(
    mut builder: trigger::Builder<'_>,
    trigger: &Trigger,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Failure> {
    builder.set_name(&trigger.name);
    let mut when = builder.reborrow().init_when();
    match &trigger.when {
        When::Cron { expression, time_zone } => {
            let mut cron = when.init_cron();
            cron.set_expression(expression);
            cron.set_time_zone(time_zone);
        }
        When::Every(ms) => when.set_every(*ms),
        When::Webhook(_) => when.set_webhook(()),
    }
    if let When::Webhook(hook) = &trigger.when {
        let mut proof = builder.reborrow().init_proof();
        match hook.proof {
            PostProof::Secret => proof.set_secret(()),
            PostProof::Signature => proof.set_signature(()),
        }
        let mut headers = builder.reborrow().init_headers(write::len(hook.headers.len()));
        for (at, header) in (0..).zip(&hook.headers) {
            headers.set(at, header);
        }
    }
    let mut missed = builder.reborrow().init_missed();
    match trigger.missed {
        Missed::Once => missed.set_once(()),
        Missed::Skip => missed.set_skip(()),
        Missed::All => missed.set_all(()),
    }
    let does = builder.init_does();
    match &trigger.does {
        Does::Create(spec) => write::spec(does.init_task(), spec, "", runtime),
        Does::Send { task, value, steer } => {
            let mut send = does.init_send();
            send.set_task(task.to_string());
            send.set_steer(*steer);
            write::plain(send.init_value(), value)
        }
    }
}

pub(crate) async fn list(creation: creation::Client) -> Result<Vec<TriggerInfo>, Failure> {
    let response = within(limits::CALL, all(&creation).list_request().send()).await?;
    let read = || response.get()?.get_triggers()?.iter().map(info).collect::<Result<_, _>>();
    read().map_err(|malformed: Malformed| {
        Failure::new(Code::Failed, format!("the mesh's answer is {malformed}"))
    })
}

pub(crate) async fn remove(creation: creation::Client, name: &str) -> Result<(), Failure> {
    let mut request = all(&creation).remove_request();
    request.get().set_name(name);
    within(limits::CALL, request.send()).await.map(|_| ())
}

fn info(reader: trigger_info::Reader<'_>) -> Result<TriggerInfo, Malformed> {
    let trigger = reader.get_trigger()?;
    let when = match trigger.get_when().which()? {
        trigger::when::Cron(cron) => When::Cron {
            expression: read::text(cron.get_expression())?,
            time_zone: read::text(cron.get_time_zone())?,
        },
        trigger::when::Every(ms) => When::Every(ms),
        trigger::when::Webhook(()) => When::Webhook(Webhook {
            proof: match trigger.get_proof().which()? {
                trigger::proof::Secret(()) => PostProof::Secret,
                trigger::proof::Signature(()) => PostProof::Signature,
            },
            headers: trigger.get_headers()?.iter().map(read::text).collect::<Result<_, _>>()?,
        }),
    };
    let missed = match trigger.get_missed().which()? {
        trigger::missed::Once(()) => Missed::Once,
        trigger::missed::Skip(()) => Missed::Skip,
        trigger::missed::All(()) => Missed::All,
    };
    let (creates, sends_to): (_, Option<TaskId>) = match trigger.get_does().which()? {
        trigger::does::Task(spec) => (Some(read::text(spec?.get_name())?), None),
        trigger::does::Send(send) => (None, Some(read::id(&read::text(send.get_task())?)?)),
    };
    Ok(TriggerInfo {
        name: read::text(trigger.get_name())?,
        when,
        missed,
        creates,
        sends_to,
        creator: read::text(reader.get_creator())?,
        created_ms: reader.get_created_ms(),
        last_ms: reader.get_last_ms(),
        next_ms: reader.get_next_ms(),
        failure: read::text(reader.get_failure())?,
    })
}
