//! Names of tasks, tools and nodes for the shell that completes a command line, asked of a mesh that
//! runs. It starts none, and answers soon whatever the mesh does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use remit_client::{Client, Error, TaskFilter, TaskInfo};

use crate::command::Line;
use crate::config;
use crate::limits;
use crate::mesh::{Mesh, Place};

/// The variable by which a shell asks for candidates.
pub(crate) const ASKED: &str = "REMIT_COMPLETE";

/// Answers a shell that completes a command line. `None`: none asks.
pub(crate) fn requested() -> Option<ExitCode> {
    let here = std::env::current_dir().ok();
    let answering = CompleteEnv::with_factory(Line::command).var(ASKED);
    match answering.try_complete(std::env::args_os(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // A shell shows nothing of it.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The newest tasks: by their names, and by the ends of their ids.
pub(crate) fn tasks() -> Vec<CompletionCandidate> {
    let filter = TaskFilter { limit: limits::COMPLETED_TASKS, ..TaskFilter::default() };
    let tasks = ask(move |client| async move { client.tasks(filter).await });
    let mut named = BTreeSet::new();
    let mut found = Vec::new();
    for TaskInfo { id, name, status, .. } in tasks {
        let id = id.to_string();
        let end = id.rsplit('-').next().unwrap_or_default();
        if is_plain(&name) && named.insert(name.clone()) {
            found.push(CompletionCandidate::new(name.clone()).help(Some(status.clone().into())));
        }
        let about = format!("{status} {}", if is_plain(&name) { &name } else { "" });
        found.push(CompletionCandidate::new(end.to_owned()).help(Some(about.into())));
    }
    found
}

/// The tools.
pub(crate) fn tools() -> Vec<CompletionCandidate> {
    tool_names().into_iter().map(CompletionCandidate::new).collect()
}

/// What may follow `--grant`: a tool, under its own name or the one that was typed.
pub(crate) fn grants(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let named = typed.split_once('=').map(|(name, _)| name.to_owned());
    let grant = |tool: String| format!("{}={tool}", named.as_deref().unwrap_or(&tool));
    let fits = |grant: &String| grant.starts_with(&*typed);
    tool_names().into_iter().map(grant).filter(fits).map(CompletionCandidate::new).collect()
}

/// The nodes, by their names.
pub(crate) fn nodes() -> Vec<CompletionCandidate> {
    let nodes = ask(|client| async move { client.nodes().await });
    let names = nodes.iter().filter_map(|node| node.identity.rsplit('/').next());
    let names: BTreeSet<&str> = names.filter(|name| is_plain(name)).collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn tool_names() -> BTreeSet<String> {
    let tools = ask(|client| async move { client.tools().await });
    tools.into_iter().map(|tool| tool.manifest.tool).filter(|name| is_plain(name)).collect()
}

/// Whether a shell takes it as one word that means nothing more: what a script calls itself is typed
/// for a person.
fn is_plain(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(good)
}

/// Asks the mesh, if one runs. Nothing, if it does not answer in time.
fn ask<T, F>(question: impl FnOnce(Client) -> F + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = Result<Vec<T>, Error>>,
{
    let (answer, answered) = mpsc::channel();
    let place = config::completed_place();
    // Left behind if it is late: the process ends without it.
    std::thread::spawn(move || {
        let _late = answer.send(look(&place, question));
    });
    answered.recv_timeout(limits::COMPLETING).ok().flatten().unwrap_or_default()
}

fn look<T, F>(place: &Place, question: impl FnOnce(Client) -> F) -> Option<Vec<T>>
where
    F: Future<Output = Result<Vec<T>, Error>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let mesh = Mesh::find(place).await.ok()??;
        question(mesh.client.clone()).await.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_a_shell_would_obey_is_not_offered() {
        for good in ["nightly", "build-2.1_x", "a/b"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "-f", "a b", "$(reboot)", "`x`", "a;b", "a\nb", "日本", "~"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
