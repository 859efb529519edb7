//! Who a peer is: the one SPIFFE name that its certificate carries.

use std::fmt;
use std::str::FromStr;

/// What a peer may be. Its bootstrap object offers only this role's methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A person or program that creates and follows tasks.
    Client,
    /// A node that runs agents.
    AgentNode,
    /// A node that serves tools.
    ToolNode,
    /// The process that owns tasks.
    Orchestrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Client, Self::AgentNode, Self::ToolNode, Self::Orchestrator];

    /// The name that stands in a SPIFFE name, for example `tool-node`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::AgentNode => "agent-node",
            Self::ToolNode => "tool-node",
            Self::Orchestrator => "orchestrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            NotAnIdentity(format!(
                "`{text}` is not a role: it is one of client, agent-node, tool-node, orchestrator"
            ))
        })
    }
}

/// An identity: `spiffe://<mesh>/<tenant>/<role>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    mesh: String,
    tenant: String,
    role: Role,
    name: String,
}

/// The text is no identity, or no part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnIdentity(String);

impl Identity {
    /// The longest a mesh, tenant or name may be: 63 bytes, as for a DNS label.
    pub const MAX_PART_BYTES: usize = 63;

    /// An identity from its parts. Mesh, tenant and name are made of lower-case letters, digits,
    /// `-`, `_` and `.`, and begin with a letter or a digit.
    pub fn new(mesh: &str, tenant: &str, role: Role, name: &str) -> Result<Self, NotAnIdentity> {
        for (what, part) in [("mesh", mesh), ("tenant", tenant), ("name", name)] {
            check_part(what, part)?;
        }
        Ok(Self { mesh: mesh.into(), tenant: tenant.into(), role, name: name.into() })
    }

    /// The mesh, which is the trust domain.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The role.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The name within mesh, tenant and role.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}/{}", self.mesh, self.tenant, self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let shown: String = text.chars().take(120).collect();
            NotAnIdentity(format!(
                "`{shown}` is not an identity: it looks like spiffe://<mesh>/<tenant>/<role>/<name>"
            ))
        };
        let rest = text.strip_prefix("spiffe://").ok_or_else(wrong)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [mesh, tenant, role, name] = parts[..] else { return Err(wrong()) };
        Self::new(mesh, tenant, role.parse()?, name)
    }
}

fn check_part(what: &str, part: &str) -> Result<(), NotAnIdentity> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let first = part.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if first && part.len() <= Identity::MAX_PART_BYTES && part.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = part.chars().take(80).collect();
    Err(NotAnIdentity(format!(
        "`{shown}` is not a {what}: use 1 to 63 of a-z, 0-9, `-`, `_`, `.`, beginning with a letter or a digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        for role in Role::ALL {
            let identity = Identity::new("home", "default", role, "builds-2.eu").unwrap();
            assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        }
    }

    #[test]
    fn what_is_not_an_identity_is_refused() {
        for text in [
            "",
            "spiffe://home/default/client",
            "spiffe://home/default/client/me/too",
            "spiffe://home/default/root/me",
            "spiffe://home/default/client/Me",
            "spiffe://home//client/me",
            "spiffe://home/default/client/..",
            "https://home/default/client/me",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
