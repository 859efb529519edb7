//! What the caveats on a member's facets see of what it does.

use remit_core::grant::path;
use remit_core::grant::text::GrantText;
use remit_core::{Code, FacetUse, Failure, Identity, Role, Task};

use crate::tasks::{GrantRoot, GrantSpec, TaskSpec};

/// A task by what never changes about it.
#[derive(Debug, Clone)]
pub struct TaskTraits {
    /// Its name.
    pub name: String,
    /// Who created it, as a SPIFFE name.
    pub creator: String,
}

impl TaskTraits {
    /// Those of a task.
    pub fn of(task: &Task) -> Self {
        let created = task.created();
        Self { name: created.name.clone(), creator: created.creator.clone() }
    }

    /// A use of a facet on the task that hands it these tools.
    ///
    /// # Errors
    /// `invalid-argument` if the path of a grant is none.
    pub fn handed<'a>(&'a self, grants: &[GrantSpec]) -> Result<FacetUse<'a>, Failure> {
        let (tools, grants) = names(grants)?;
        Ok(FacetUse { tools, grants, ..self.seen() })
    }

    /// A use that hands it nothing.
    pub fn seen(&self) -> FacetUse<'_> {
        FacetUse { name: &self.name, creator: &self.creator, ..FacetUse::default() }
    }
}

/// The creation of a task.
///
/// # Errors
/// As of [`TaskTraits::handed`].
pub fn creation(spec: &TaskSpec) -> Result<FacetUse<'_>, Failure> {
    let (tools, grants) = names(&spec.grants)?;
    Ok(FacetUse { name: &spec.name, agent: &spec.agent, tools, grants, ..FacetUse::default() })
}

/// The creation of a task from another one's past, whose grants in force it takes over.
pub fn copy(task: &Task) -> FacetUse<'_> {
    let created = task.created();
    let taken = task.grants().map(|held| &held.grant).filter(|grant| {
        let of_client = grant.node.parse::<Identity>().is_ok_and(|of| of.role() == Role::Client);
        grant.parent.is_none()
            && grant.origin.is_none()
            && !of_client
            && !task.is_revoked(grant.grant)
    });
    let (mut tools, mut grants) = (Vec::new(), Vec::new());
    for grant in taken {
        tools.push(grant.tool.clone());
        let text = GrantText {
            tool: grant.tool.clone(),
            version: grant.version.clone(),
            path: grant.path.clone(),
            caveats: grant.caveats.clone(),
            on_unknown: grant.on_unknown,
        };
        grants.push(text.to_string());
    }
    let (name, agent) = (created.name.as_str(), created.agent.as_str());
    FacetUse { name, agent, tools, grants, ..FacetUse::default() }
}

/// Tools that grants lead to, and the grants in their text form. The caller's own objects and what
/// another task passes on are no tools of the mesh's.
fn names(specs: &[GrantSpec]) -> Result<(Vec<String>, Vec<String>), Failure> {
    let (mut tools, mut grants) = (Vec::new(), Vec::new());
    for spec in specs {
        let GrantRoot::Tool { tool, version, path } = &spec.root else { continue };
        let path = path::join("", path)
            .map_err(|bad| Failure::new(Code::InvalidArgument, bad.to_string()))?;
        let text = GrantText {
            tool: tool.clone(),
            version: version.clone(),
            path,
            caveats: spec.caveats.clone(),
            on_unknown: spec.on_unknown,
        };
        tools.push(tool.clone());
        grants.push(text.to_string());
    }
    Ok((tools, grants))
}
