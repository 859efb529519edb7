//! The creation of a task, its attempts and its grants.

use std::sync::Arc;

use capnp::struct_list;
use remit_core::event::{Derivation, Grant, Origin, SourceFile, TaskCreated, TimeLimits};
use remit_core::id::NotATaskId;
use remit_core::{Attempt, CallNumber, Fact, GrantId, Manifest, TaskId};
use remit_schema::event_capnp::{
    attempt_ended, attempt_started, derivation, grant_added, grant_ended, grant_repinned,
    grant_revoked, source_file, task_created,
};
use remit_schema::object_capnp::manifest as wire_manifest;

use super::call::digest;
use super::person;

use crate::wire::event::{caveat, intern};
use crate::wire::value::{read_held, read_id, write_held, write_id};
use crate::wire::{Malformed, len, manifest, text, texts, write_texts};

type Files<'a> = struct_list::Reader<'a, source_file::Owned>;

pub(super) fn read_created(r: task_created::Reader<'_>) -> Result<TaskCreated, Malformed> {
    Ok(TaskCreated {
        name: text(r.get_name())?,
        agent: text(r.get_agent())?,
        source: read_source(r.get_source()?)?,
        entry: text(r.get_entry())?,
        input: read_held(r.get_input()?)?,
        seed: r.get_seed()?.to_vec(),
        labels: texts(r.get_labels()?)?,
        creator: text(r.get_creator())?,
        deadline_ms: r.get_deadline_ms(),
        memory_bytes: r.get_memory_bytes(),
        export: text(r.get_export())?,
        parent: task_id(&text(r.get_parent())?)?,
        detached: r.get_detached(),
        limits: TimeLimits {
            task_ms: r.get_time_limit_ms(),
            attempt_ms: r.get_attempt_limit_ms(),
            call_ms: r.get_call_timeout_ms(),
            retention_ms: r.get_retention_ms(),
        },
    })
}

pub(super) fn read_source(files: Files<'_>) -> Result<Vec<SourceFile>, Malformed> {
    let read = |file: source_file::Reader<'_>| {
        Ok(SourceFile { path: text(file.get_path())?, text: text(file.get_text())? })
    };
    files.iter().map(read).collect()
}

pub(super) fn write_source<'a>(
    source: &[SourceFile],
    init: impl FnOnce(u32) -> struct_list::Builder<'a, source_file::Owned>,
) {
    let mut files = init(len(source.len()));
    for (at, file) in (0..).zip(source) {
        let mut b = files.reborrow().get(at);
        b.set_path(&file.path);
        b.set_text(&file.text);
    }
}

pub(super) fn write_created(mut b: task_created::Builder<'_>, created: &TaskCreated) {
    b.set_name(&created.name);
    b.set_agent(&created.agent);
    write_source(&created.source, |count| b.reborrow().init_source(count));
    b.set_entry(&created.entry);
    write_held(b.reborrow().init_input(), &created.input);
    b.set_seed(&created.seed);
    write_texts(&created.labels, |count| b.reborrow().init_labels(count));
    b.set_creator(&created.creator);
    b.set_deadline_ms(created.deadline_ms);
    b.set_memory_bytes(created.memory_bytes);
    b.set_export(&created.export);
    if let Some(parent) = created.parent {
        b.set_parent(parent.to_string());
    }
    b.set_detached(created.detached);
    b.set_time_limit_ms(created.limits.task_ms);
    b.set_attempt_limit_ms(created.limits.attempt_ms);
    b.set_call_timeout_ms(created.limits.call_ms);
    b.set_retention_ms(created.limits.retention_ms);
}

pub(super) fn read_grant(r: grant_added::Reader<'_>) -> Result<Grant, Malformed> {
    let parent = r.get_parent();
    Ok(Grant {
        grant: GrantId(r.get_grant()),
        parent: (parent != 0).then_some(GrantId(parent)),
        name: text(r.get_name())?,
        tool: text(r.get_tool())?,
        version: text(r.get_version())?,
        node: text(r.get_node())?,
        path: text(r.get_path())?,
        caveats: r.get_caveats()?.iter().map(caveat::read).collect::<Result<_, _>>()?,
        manifest: read_manifest(r.get_manifest()?)?,
        holder: text(r.get_holder())?,
        derived: if r.has_derived() { Some(read_derivation(r.get_derived()?)?) } else { None },
        origin: task_id(&text(r.get_origin_task())?)?
            .map(|task| Origin { task, grant: GrantId(r.get_origin_grant()) }),
        interface: text(r.get_interface())?,
        reserve: caveat::read_budgets(r.get_reserve()?),
        by: text(r.get_by())?,
        on_unknown: person::read_on_unknown(r.get_on_unknown()?),
    })
}

pub(super) fn read_revoked(r: grant_revoked::Reader<'_>) -> Result<Fact, Malformed> {
    let (grant, reason) = (GrantId(r.get_grant()), text(r.get_reason())?);
    Ok(Fact::GrantRevoked { grant, reason, by: text(r.get_by())? })
}

pub(super) fn read_ended(r: grant_ended::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::GrantEnded { grant: GrantId(r.get_grant()), reason: text(r.get_reason())? })
}

pub(super) fn read_attempt_started(r: attempt_started::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::AttemptStarted { attempt: Attempt(r.get_attempt()), node: text(r.get_node())? })
}

pub(super) fn read_attempt_ended(r: attempt_ended::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::AttemptEnded {
        attempt: Attempt(r.get_attempt()),
        reason: text(r.get_reason())?,
        fruitless: r.get_fruitless(),
    })
}

pub(super) fn read_repinned(r: grant_repinned::Reader<'_>) -> Result<Fact, Malformed> {
    Ok(Fact::GrantRepinned {
        grant: GrantId(r.get_grant()),
        manifest: read_manifest(r.get_manifest()?)?,
        accepted: digest(r.get_accepted()?)?,
    })
}

pub(super) fn write_repinned(
    mut b: grant_repinned::Builder<'_>,
    grant: GrantId,
    repinned: &Manifest,
    accepted: &[u8; 32],
) {
    b.set_grant(grant.0);
    b.set_accepted(accepted);
    manifest::write(b.init_manifest(), repinned);
}

/// Reads a manifest and shares it with all grants that carry the same one.
fn read_manifest(r: wire_manifest::Reader<'_>) -> Result<Arc<Manifest>, Malformed> {
    Ok(intern::intern(manifest::read(r)?))
}

fn read_derivation(r: derivation::Reader<'_>) -> Result<Derivation, Malformed> {
    let operation = r.get_operation();
    Ok(Derivation {
        object: read_id(r.get_object()?)?,
        operation: (operation != 0).then_some(CallNumber(operation)),
        digest: digest(r.get_digest()?)?,
        key: r.get_key()?.to_vec(),
    })
}

/// Reads the id of a task. Empty text means none.
fn task_id(text: &str) -> Result<Option<TaskId>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|not: NotATaskId| Malformed(not.to_string()))
}

pub(super) fn write_grant(mut b: grant_added::Builder<'_>, grant: &Grant) {
    b.set_grant(grant.grant.0);
    b.set_parent(grant.parent.unwrap_or_default().0);
    b.set_name(&grant.name);
    b.set_tool(&grant.tool);
    b.set_version(&grant.version);
    b.set_node(&grant.node);
    b.set_path(&grant.path);
    let mut caveats = b.reborrow().init_caveats(len(grant.caveats.len()));
    for (at, caveat) in (0..).zip(&grant.caveats) {
        caveat::write(caveats.reborrow().get(at), caveat);
    }
    manifest::write(b.reborrow().init_manifest(), &grant.manifest);
    b.set_holder(&grant.holder);
    if let Some(derived) = &grant.derived {
        let mut b = b.reborrow().init_derived();
        write_id(b.reborrow().init_object(), derived.object);
        b.set_operation(derived.operation.unwrap_or_default().0);
        b.set_digest(&derived.digest);
        b.set_key(&derived.key);
    }
    if let Some(origin) = grant.origin {
        b.set_origin_task(origin.task.to_string());
        b.set_origin_grant(origin.grant.0);
    }
    b.set_interface(&grant.interface);
    caveat::write_budgets(b.reborrow().init_reserve(), grant.reserve);
    b.set_by(&grant.by);
    b.set_on_unknown(person::wire_on_unknown(grant.on_unknown));
}
