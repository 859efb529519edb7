//! Writes task specifications, grants and values to the wire.

use remit_core::event::SourceFile;
use remit_core::{Failure, Value};
use remit_schema::event_capnp::source_file;
use remit_schema::mesh_capnp::{grant_spec, program, task_spec};
use remit_schema::object_capnp::value;
use remit_vat::wire;

use super::callback;
use crate::spec::{GrantRoot, GrantSpec, TaskSpec};

/// The length of a list on the wire. Lists longer than `u32::MAX` cannot be sent.
pub(crate) fn len(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

pub(crate) fn spec(
    mut builder: task_spec::Builder<'_>,
    spec: &TaskSpec,
    key: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Failure> {
    builder.set_name(&spec.name);
    builder.set_agent(&spec.agent);
    builder.set_entry(&spec.entry);
    builder.set_key(key);
    builder.set_deadline_ms(spec.deadline_ms);
    builder.set_memory_bytes(spec.memory_bytes);
    builder.set_time_limit_ms(spec.limits.task_ms);
    builder.set_attempt_limit_ms(spec.limits.attempt_ms);
    builder.set_call_timeout_ms(spec.limits.call_ms);
    builder.set_retention_ms(spec.limits.retention_ms);
    source(builder.reborrow().init_source(len(spec.source.len())), &spec.source);
    let mut labels = builder.reborrow().init_labels(len(spec.labels.len()));
    for (at, label) in (0..).zip(&spec.labels) {
        labels.set(at, label);
    }
    plain(builder.reborrow().init_input(), &spec.input)?;
    let mut grants = builder.init_grants(len(spec.grants.len()));
    for (at, one) in (0..).zip(&spec.grants) {
        grant(grants.reborrow().get(at), one, runtime);
    }
    Ok(())
}

pub(crate) fn grant(
    mut builder: grant_spec::Builder<'_>,
    grant: &GrantSpec,
    runtime: &tokio::runtime::Handle,
) {
    builder.set_name(&grant.name);
    match &grant.root {
        GrantRoot::Tool { tool, version, path } => {
            let mut root = builder.reborrow().init_tool();
            root.set_tool(tool);
            root.set_version(version);
            root.set_path(path);
        }
        GrantRoot::Own(own) => {
            let mut root = builder.reborrow().init_own();
            root.set_object(callback::client(own, runtime.clone()));
            wire::manifest::write(root.init_manifest(), &own.manifest);
        }
    }
    builder.set_on_unknown(wire::event::wire_on_unknown(grant.on_unknown));
    let mut caveats = builder.init_caveats(len(grant.caveats.len()));
    for (at, caveat) in (0..).zip(&grant.caveats) {
        wire::event::write_caveat(caveats.reborrow().get(at), caveat);
    }
}

/// Writes a value without objects: object ids of a journal have no meaning elsewhere.
pub(crate) fn plain(builder: value::Builder<'_>, value: &Value) -> Result<(), Failure> {
    let value = value.clone().try_map(&mut |object| {
        Err(Failure::new(
            remit_core::Code::InvalidArgument,
            format!("a value that is sent to a task holds {object}: grant the object instead"),
        ))
    })?;
    wire::value::write(builder, &value, &[]);
    Ok(())
}

pub(crate) fn source(
    mut builder: capnp::struct_list::Builder<'_, source_file::Owned>,
    files: &[SourceFile],
) {
    for (at, file) in (0..).zip(files) {
        let mut builder = builder.reborrow().get(at);
        builder.set_path(&file.path);
        builder.set_text(&file.text);
    }
}

/// Writes a program and its entry file.
pub(crate) fn program(mut builder: program::Builder<'_>, source: &[SourceFile], entry: &str) {
    builder.set_entry(entry);
    self::source(builder.init_source(len(source.len())), source);
}
