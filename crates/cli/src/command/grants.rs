//! `remit grants`: what a task may do, and what of it nothing bounds.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use remit_client::{Caveat, GrantInfo, GrantRoot, GrantSpec, ToolInfo};
use remit_core::grant::review::{approval_of, unbounded_effects};
use remit_core::grant::text::caveat_text;

use super::task::{Among, choose};
use crate::clock;
use crate::complete;
use crate::embedded::Parts;
use crate::fault::Fault;
use crate::grants;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::text::harmless;
use crate::show::{listed, out, tree};
use crate::tools;

/// Show what a task was handed, as a tree: each grant below the one it was narrowed from
#[derive(Debug, Args)]
pub(super) struct Grants {
    /// The task's id, the end of it, or its name; by default the newest
    #[arg(add = ArgValueCandidates::new(complete::tasks))]
    task: Option<String>,
    /// One JSON object a line, for programs
    #[arg(long, conflicts_with = "review")]
    json: bool,
    /// Name the effects whose target nothing bounds, and what would have a person decide on those
    #[arg(long)]
    review: bool,
    /// Review the grants of this file, before a task has them
    #[arg(long, value_name = "FILE", requires = "review", conflicts_with = "task")]
    file: Option<PathBuf>,
}

/// A grant that is reviewed.
struct Reviewed {
    name: String,
    tool: String,
    version: String,
    path: String,
    /// Its own and those of the grants above it.
    caveats: Vec<Caveat>,
}

impl Grants {
    pub(super) async fn execute(self, place: &Place, look: Look) -> Result<(), Fault> {
        let of_file = self
            .file
            .as_deref()
            .map(|file| grants::from_file(file, clock::now_ms()))
            .transpose()?;
        // The tools of a mesh that is started for this are needed too.
        let parts = if self.review { Parts::All } else { Parts::Orchestrator };
        let mesh = Mesh::reach(place, parts).await?;
        let found = async {
            let grants = match &of_file {
                Some(_) => Vec::new(),
                None => {
                    choose(&mesh.client, self.task.as_deref(), Among::Every).await?.grants().await?
                }
            };
            let tools = match (self.review, mesh.embedded.is_some()) {
                (false, _) => Vec::new(),
                (true, true) => tools::first(&mesh.client).await?,
                (true, false) => mesh.client.tools().await?,
            };
            Ok::<_, Fault>((grants, tools))
        }
        .await;
        mesh.leave().await;
        let (grants, tools) = found?;
        if self.review {
            let reviewed: Vec<Reviewed> = match of_file {
                Some(specs) => specs.iter().filter_map(of_spec).collect(),
                None => of_task(&grants),
            };
            return review(&reviewed, &tools).iter().try_for_each(|line| out::line(line));
        }
        if self.json {
            return listed::print(&grants, listed::grant);
        }
        if grants.is_empty() {
            out::note("remit: the task holds nothing");
        }
        tree::lines(&grants, look.out).iter().try_for_each(|line| out::line(line))
    }
}

fn of_spec(spec: &GrantSpec) -> Option<Reviewed> {
    match &spec.root {
        GrantRoot::Tool { tool, version, path } => Some(Reviewed {
            name: spec.name.clone(),
            tool: tool.clone(),
            version: version.clone(),
            path: path.clone(),
            caveats: spec.caveats.clone(),
        }),
        GrantRoot::Own(_) => None,
    }
}

/// The grants of a task that are in force, each with all that binds it.
fn of_task(grants: &[GrantInfo]) -> Vec<Reviewed> {
    let in_force = grants.iter().filter(|grant| !grant.revoked);
    in_force
        .map(|grant| {
            let mut caveats = Vec::new();
            let mut next = Some(grant);
            // A list from a mesh may go round in a circle: there are no more above than there are.
            for _ in 0..grants.len() {
                let Some(above) = next else { break };
                caveats.extend(above.caveats.iter().cloned());
                next = grants.iter().find(|other| Some(other.grant) == above.parent);
            }
            let name = match grant.name.is_empty() {
                true => format!("#{}", grant.grant),
                false => grant.name.clone(),
            };
            let (tool, version) = (grant.tool.clone(), grant.version.clone());
            Reviewed { name, tool, version, path: grant.path.clone(), caveats }
        })
        .collect()
}

/// A line for each effect that nothing bounds, and for each grant what would bound them.
fn review(grants: &[Reviewed], tools: &[ToolInfo]) -> Vec<String> {
    let mut lines = Vec::new();
    for grant in grants {
        let Reviewed { name, tool, version, path, caveats } = grant;
        let serves = |info: &&ToolInfo| {
            info.manifest.tool == *tool && (version.is_empty() || info.manifest.version == *version)
        };
        let Some(info) = tools.iter().find(serves) else {
            lines.push(harmless(&format!(
                "{name}: no node serves `{tool}`, so what it does is not known"
            )));
            continue;
        };
        let unbounded = unbounded_effects(&info.manifest, path, caveats);
        if unbounded.is_empty() {
            lines.push(harmless(&format!("{name}: every effect is bounded, or a person decides")));
            continue;
        }
        for one in &unbounded {
            let (method, args) = (&one.method, one.args.join(", "));
            let line = format!("{name}: the agent chooses the target of {tool}.{method}({args})");
            lines.push(harmless(&line));
        }
        let approval = caveat_text(&approval_of(&unbounded));
        lines.push(harmless(&format!("{name}: to have a person decide on those: {approval}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use remit_core::Manifest;
    use remit_core::manifest::{Interface, Method, Param};

    use super::*;

    #[test]
    fn a_review_names_what_is_left_and_what_would_bound_it() {
        let to = Param { name: "to".into(), ..Param::default() };
        let send = Method { name: "send".into(), params: vec![to], ..Method::default() };
        let root = Interface { name: "Mail".into(), methods: vec![send], ..Interface::default() };
        let manifest =
            Manifest { tool: "mail".into(), interfaces: vec![root], ..Manifest::default() };
        let info = ToolInfo { manifest, node: "n".into(), available: true, accepted: None };
        let read = |text: &str| {
            let grant = grants::read("post", text, 0).unwrap();
            review(&[of_spec(&grant).unwrap()], std::slice::from_ref(&info))
        };
        assert_eq!(
            read("mail?calls=3"),
            [
                "post: the agent chooses the target of mail.send(to)",
                "post: to have a person decide on those: requiresApproval=send",
            ]
        );
        let bounded = ["post: every effect is bounded, or a person decides"];
        assert_eq!(read("mail?send.arg.to=equals:ann"), bounded);
        assert_eq!(read("mail?requiresApproval=send"), bounded);
        assert!(read("post")[0].contains("no node serves `post`"));
    }
}
