//! What a client asks for on the wire: tasks, their programs, and the capabilities handed to them.

use std::sync::Arc;

use remit_core::Value;
use remit_core::event::{SourceFile, TimeLimits};
use remit_schema::event_capnp::source_file;
use remit_schema::mesh_capnp::{grant_spec, program, task_spec};
use remit_vat::wire::{self, Malformed, text};

use super::texts;
use crate::limits;
use crate::scheduler::registry::manifest_bytes;
use crate::tasks::{GrantRoot, GrantSpec, TaskSpec};

/// Reads what a task is to be made from.
pub(super) fn read(reader: task_spec::Reader<'_>) -> Result<TaskSpec, Malformed> {
    let source = read_source(reader.get_source()?)?;
    let (input, table) = wire::value::read(reader.get_input()?)?;
    let input: Value = input.try_map(&mut |_| {
        Err(Malformed(format!("{} objects in the input: grant them instead", table.len())))
    })?;
    let mut grants = Vec::new();
    for grant in reader.get_grants()?.iter().take(remit_core::limits::MAX_GRANTS + 1) {
        grants.push(read_grant(grant)?);
    }
    Ok(TaskSpec {
        name: text(reader.get_name())?,
        agent: text(reader.get_agent())?,
        source,
        entry: text(reader.get_entry())?,
        input,
        labels: texts(reader.get_labels()?)?,
        grants,
        key: text(reader.get_key())?,
        deadline_ms: reader.get_deadline_ms(),
        memory_bytes: reader.get_memory_bytes(),
        limits: TimeLimits {
            task_ms: reader.get_time_limit_ms(),
            attempt_ms: reader.get_attempt_limit_ms(),
            call_ms: reader.get_call_timeout_ms(),
            retention_ms: reader.get_retention_ms(),
        },
        ..TaskSpec::default()
    })
}

type Files<'a> = capnp::struct_list::Reader<'a, source_file::Owned>;

fn read_source(files: Files<'_>) -> Result<Vec<SourceFile>, Malformed> {
    let read = |file: source_file::Reader<'_>| {
        Ok(SourceFile { path: text(file.get_path())?, text: text(file.get_text())? })
    };
    files.iter().take(limits::SOURCE_FILES + 1).map(read).collect()
}

/// Reads a program, and the path of the file that is run.
pub(super) fn read_program(
    reader: program::Reader<'_>,
) -> Result<(Vec<SourceFile>, String), Malformed> {
    Ok((read_source(reader.get_source()?)?, text(reader.get_entry())?))
}

/// Reads a capability that a client hands to a task.
pub(super) fn read_grant(reader: grant_spec::Reader<'_>) -> Result<GrantSpec, Malformed> {
    let root = match reader.which()? {
        grant_spec::Tool(tool) => GrantRoot::Tool {
            tool: text(tool.get_tool())?,
            version: text(tool.get_version())?,
            path: text(tool.get_path())?,
        },
        grant_spec::Own(own) => {
            let manifest = wire::manifest::read(own.get_manifest()?)?;
            if manifest_bytes(&manifest) > limits::MANIFEST_BYTES {
                let why = format!("a manifest of more than {} bytes", limits::MANIFEST_BYTES);
                return Err(Malformed(why));
            }
            GrantRoot::Own { object: own.get_object()?, manifest: Arc::new(manifest) }
        }
    };
    let caveats = reader.get_caveats()?.iter().take(limits::CAVEATS + 1);
    Ok(GrantSpec {
        name: text(reader.get_name())?,
        root,
        caveats: caveats.map(wire::event::read_caveat).collect::<Result<_, _>>()?,
        on_unknown: wire::event::read_on_unknown(reader.get_on_unknown()?),
    })
}
