//! `remit run`: a script becomes a task, and is followed to its end.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use clap_complete::engine::ArgValueCompleter;
use remit_client::{Client, EventNumber, TaskSpec, TimeLimits, Value, value_from_json_text};

use crate::bundle::bundle;
use crate::clock::{self, now_ms};
use crate::complete;
use crate::embedded::Parts;
use crate::fault::{Fault, doing};
use crate::follow::{self, From};
use crate::grants;
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::text::short;
use crate::tools;

/// Run a script as a task, with the grants it is given and nothing else
///
/// Without a mesh that runs already, one is started for as long as the command runs. Events go to
/// standard error; the result goes to standard output as JSON. Ctrl-C detaches: the task stays, and
/// `remit attach` goes on with it.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The script, TypeScript or JavaScript; what it imports from its own folder goes along
    file: PathBuf,

    /// Show what happens until the task ends; false: print the task's id at once
    #[arg(long, action = ArgAction::Set, default_value_t = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    follow: bool,

    #[command(flatten)]
    program: Program,
}

/// What a script is run with.
#[derive(Debug, Args)]
pub(super) struct Program {
    /// A capability: name=tool[@version][:path][?caveat&...], for example src=fs:src?methods=readOnly
    #[arg(long, value_name = "NAME=TOOL", conflicts_with = "grants")]
    #[arg(add = ArgValueCompleter::new(complete::grants))]
    grant: Vec<String>,

    /// A file of grants; by default FILE with the extension .grants.toml, if there is one
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,

    /// The script's second argument; @FILE reads it from a file, - from standard input
    #[arg(long, value_name = "JSON", default_value = "null", allow_hyphen_values = true)]
    pub(super) input: String,

    /// A name for people; by default that of the file
    #[arg(long)]
    name: Option<String>,

    /// What the agent node must have; may be given more than once
    #[arg(long)]
    label: Vec<String>,

    /// The folder from which imports may be taken; by default that of FILE
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    #[command(flatten)]
    limits: Limits,
}

/// What takes longer ends with the code timed-out.
#[derive(Debug, Args)]
struct Limits {
    /// How long the task may take, pauses not counted: 90s, 10m, 2h, 7d
    #[arg(long, value_name = "SPAN", value_parser = clock::span)]
    time_limit: Option<Duration>,

    /// How long one attempt may take, its waits included; another one goes on after it
    #[arg(long, value_name = "SPAN", value_parser = clock::span)]
    attempt_limit: Option<Duration>,

    /// How long one call may take, where its method does not ask for less
    #[arg(long, value_name = "SPAN", value_parser = clock::span)]
    call_timeout: Option<Duration>,

    /// How long it is kept after its end, as `12h` or `forever`; by default as the orchestrator is
    /// configured
    #[arg(long, value_name = "SPAN", value_parser = kept)]
    keep: Option<u64>,
}

/// How long something is kept, in milliseconds.
fn kept(text: &str) -> Result<u64, String> {
    if text == "forever" {
        return Ok(u64::MAX);
    }
    let span = clock::span(text)?;
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    // 0 would be as if nothing had been said.
    Ok(ms.max(1))
}

impl Limits {
    fn read(&self) -> TimeLimits {
        let ms = |span: Option<Duration>| {
            span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        };
        TimeLimits {
            task_ms: ms(self.time_limit),
            attempt_ms: ms(self.attempt_limit),
            call_ms: u32::try_from(ms(self.call_timeout)).unwrap_or(u32::MAX),
            retention_ms: self.keep.unwrap_or_default(),
        }
    }
}

impl Run {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let spec = self.program.spec(&self.file)?;
        let mut mesh = Mesh::reach(place, Parts::All).await?;
        let client = mesh.client.clone();
        let task = match mesh.tending(place, create(&client, spec, place)).await {
            Ok(task) => task,
            Err(fault) => {
                mesh.leave().await;
                return Err(fault);
            }
        };
        if self.follow {
            let from = From { after: EventNumber(0) };
            return follow::to_the_end(mesh, place, task, from, look).await;
        }
        let id = task.id();
        if mesh.embedded.is_some() {
            out::note(&format!(
                "remit: the mesh stops with this command, and the task waits. Go on with: remit \
                 attach {id}; or keep a mesh running with: remit up"
            ));
        }
        mesh.leave().await;
        out::line(&id.to_string())
    }
}

impl Program {
    /// The task that was asked for, before anything is started for it.
    pub(super) fn spec(&self, file: &Path) -> Result<TaskSpec, Fault> {
        let bundle = bundle(file, self.root.as_deref())?;
        let grants = grants::collect(&self.grant, self.grants.as_deref(), file, now_ms())?;
        let name = self.name.clone().unwrap_or_else(|| {
            file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
        });
        Ok(TaskSpec {
            name,
            agent: "script".into(),
            source: bundle.files,
            entry: bundle.entry,
            input: input(&self.input)?,
            grants,
            labels: self.label.clone(),
            deadline_ms: 0,
            memory_bytes: 0,
            limits: self.limits.read(),
        })
    }
}

/// The input that was asked for: JSON, `@FILE` that holds JSON, or `-` for standard input.
fn input(given: &str) -> Result<Value, Fault> {
    let (from, text) = match given.strip_prefix('@') {
        _ if given == "-" => ("standard input".to_owned(), read_json("standard input", stdin())?),
        Some(path) => {
            let file = File::open(path).map_err(doing(format!("--input {given}")))?;
            (path.to_owned(), read_json(path, file)?)
        }
        None => (format!("--input {}", short(given, limits::SHOWN)), given.to_owned()),
    };
    value_from_json_text(&text).map_err(|error| {
        Fault::Usage(format!(
            "{from}: {error}. Write JSON, for example --input '{{\"max\": 3}}' or --input '\"text\"'; \
             @FILE reads it from a file and - from standard input"
        ))
    })
}

/// All of a source of JSON, of at most `limits::INPUT_BYTES`.
fn read_json(from: &str, source: impl Read) -> Result<String, Fault> {
    let mut text = String::new();
    source
        .take(limits::INPUT_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(doing(format!("{from} cannot be read as text")))?;
    if text.len() as u64 > limits::INPUT_BYTES {
        let most = limits::INPUT_BYTES;
        return Err(Fault::Usage(format!("{from} has more than {most} bytes: grant `fs` instead")));
    }
    Ok(text)
}

async fn create(
    client: &Client,
    spec: TaskSpec,
    place: &Place,
) -> Result<remit_client::TaskHandle, Fault> {
    tools::wait_for(client, &spec.grants, place).await?;
    Ok(client.create_task(spec).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_json() {
        assert_eq!(input("{\"a\": 1}").unwrap().field("a"), Some(&Value::Integer(1)));
        assert_eq!(input("18446744073709551615").unwrap(), Value::Unsigned(u64::MAX));
        assert!(input("18446744073709551616").unwrap_err().to_string().contains("64 bits"));
        assert!(input("a").unwrap_err().to_string().contains("--input a"));
    }
}
