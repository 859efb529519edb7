//! Tool nodes and the tools they offer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use remit_core::{Code, Failure, Manifest, manifest};
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::tool_host;

use super::{Kind, Lease, Link, LiveTool, Registry, ToolEntry, ToolInfo, versions};
use crate::limits;

/// What a tool node offers.
pub struct ToolOffer {
    /// Its tools: what each says of itself, and its root object.
    pub tools: Vec<(Manifest, object::Client)>,
    /// Of tools that are not what was accepted, by place among `tools`: what was.
    pub changed: HashMap<usize, Arc<Manifest>>,
    /// What the node has.
    pub labels: Vec<String>,
    /// Where agent nodes may dial it, host:port; empty: nowhere.
    pub address: String,
    /// The node itself.
    pub host: tool_host::Client,
    /// What all of it is reached over.
    pub link: Link,
    /// Which process of the node's identity it is.
    pub instance: Vec<u8>,
}

/// A tool node. Its tools are listed while it is away; its references are not kept.
pub(super) struct ToolNode {
    tools: Vec<Offered>,
    host: Option<tool_host::Client>,
    link: Link,
    address: String,
}

struct Offered {
    manifest: Arc<Manifest>,
    hash: [u8; 32],
    /// What was accepted, if it is not this.
    accepted: Option<Arc<Manifest>>,
    root: Option<object::Client>,
}

impl ToolOffer {
    /// Refuses what no list could show and no membrane could check.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |code, why| Err(Failure::new(code, why));
        if self.address.len() > limits::ADDRESS_BYTES {
            let why = format!("an address of {} bytes", self.address.len());
            return refuse(Code::Limit, why);
        }
        if self.tools.len() > limits::TOOLS_PER_NODE {
            let why =
                format!("{} tools; a node may offer {}", self.tools.len(), limits::TOOLS_PER_NODE);
            return refuse(Code::Limit, why);
        }
        let mut bytes = 0;
        let mut seen = BTreeSet::new();
        for (manifest, _) in &self.tools {
            let Manifest { tool, version, root, descend, .. } = manifest;
            manifest::check_name(tool)?;
            manifest::check_name(version)?;
            if manifest.interface(root).is_none() {
                let why = format!("{tool}: the root's interface `{root}` is not described");
                return refuse(Code::InvalidArgument, why);
            }
            if !descend.is_empty() && manifest.method(root, descend).is_none() {
                let why = format!("{tool}: `{root}` has no method `{descend}` to open a path with");
                return refuse(Code::InvalidArgument, why);
            }
            check_names_once(manifest)?;
            bytes += manifest_bytes(manifest);
            if bytes > limits::MANIFEST_BYTES {
                let why = format!("manifests of more than {} bytes in all", limits::MANIFEST_BYTES);
                return refuse(Code::Limit, why);
            }
            manifest.check_schemas()?;
            if !seen.insert((tool, version)) {
                return refuse(Code::InvalidArgument, format!("{tool} {version} is offered twice"));
            }
        }
        Ok(())
    }
}

impl ToolNode {
    /// Each version that is offered, once.
    pub(super) fn versions(&self) -> String {
        let versions: BTreeSet<&str> =
            self.tools.iter().map(|offered| offered.manifest.version.as_str()).collect();
        versions.into_iter().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn disconnect(&mut self) {
        self.host = None;
        for tool in &mut self.tools {
            tool.root = None;
        }
    }
}

impl Registry {
    /// Registers a tool node, in place of its earlier registration.
    pub fn register_tools(&self, identity: &str, mut offer: ToolOffer) -> Result<Lease, Failure> {
        offer.check()?;
        let offered = |(at, (manifest, root)): (usize, (Manifest, object::Client))| Offered {
            hash: manifest.hash(),
            manifest: self.intern(manifest),
            accepted: offer.changed.remove(&at),
            root: Some(root),
        };
        let tools = offer.tools.into_iter().enumerate().map(offered).collect();
        let (host, link) = (Some(offer.host), offer.link);
        let node = ToolNode { tools, host, link, address: offer.address };
        self.register(identity, offer.labels, offer.instance, |_| Kind::Tool(node))
    }

    /// One manifest in memory for all who offer the same.
    fn intern(&self, manifest: Manifest) -> Arc<Manifest> {
        let nodes = self.nodes.borrow();
        let known = nodes.values().filter_map(|node| match &node.kind {
            Kind::Tool(tool) => Some(&tool.tools),
            Kind::Agent(_) => None,
        });
        let same = known.flatten().find(|offered| *offered.manifest == manifest);
        same.map_or_else(|| Arc::new(manifest), |offered| Arc::clone(&offered.manifest))
    }

    /// The newest (or exactly this) version of a tool, for a new grant: from the connected node that
    /// does least, or else from one that is away. A connected node goes before a newer version.
    pub fn tool(&self, tool: &str, version: &str) -> Result<ToolEntry, Failure> {
        let nodes = self.nodes.borrow();
        let offers = nodes.iter().flat_map(|(identity, node)| {
            let tools = match &node.kind {
                Kind::Tool(tool_node) => tool_node.tools.as_slice(),
                Kind::Agent(_) => &[],
            };
            tools.iter().map(move |offered| (identity, node, offered))
        });
        let fitting = offers.filter(|(_, _, Offered { manifest, .. })| {
            manifest.tool == tool && (version.is_empty() || manifest.version == version)
        });
        let best = fitting.max_by(|(_, a, left), (_, b, right)| {
            left.accepted
                .is_none()
                .cmp(&right.accepted.is_none())
                .then(a.lease.is_some().cmp(&b.lease.is_some()))
                .then(versions::compare(&left.manifest.version, &right.manifest.version))
                .then(b.load.cmp(&a.load))
        });
        match best {
            Some((identity, _, Offered { manifest, accepted: Some(accepted), .. })) => {
                Err(interface_changed(accepted, manifest, identity))
            }
            Some((identity, _, Offered { manifest, .. })) => {
                Ok(ToolEntry { manifest: Arc::clone(manifest), node: identity.clone() })
            }
            None => Err(self.no_such_tool(tool, version)),
        }
    }

    /// Waits for a tool that no node offers, until `grace` has passed since this process began: the
    /// node that served it under the one before may still be dialling. From then on every node that
    /// registered is known, connected or away, and there is nothing to wait for.
    pub async fn expect(&self, tool: &str, version: &str, grace: Duration) {
        let appears = async {
            loop {
                let changed = self.changed();
                let found = self.tool(tool, version);
                if !matches!(found, Err(Failure { code: Code::NotFound, .. })) {
                    return;
                }
                changed.await;
            }
        };
        // In vain: whoever asks for the tool next is told that there is none.
        let _found = tokio::time::timeout_at(self.opened + grace, appears).await;
    }

    fn no_such_tool(&self, tool: &str, version: &str) -> Failure {
        let known: BTreeSet<String> = self
            .tools()
            .into_iter()
            .map(|info| format!("{}@{}", info.manifest.tool, info.manifest.version))
            .collect();
        let known: Vec<String> = known.into_iter().collect();
        let asked = if version.is_empty() { tool.to_owned() } else { format!("{tool}@{version}") };
        let found = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
        let why = format!("no node offers the tool `{asked}`; registered: {found}");
        Failure::new(Code::NotFound, why)
    }

    /// A tool node itself, if it is connected now.
    pub fn host(&self, node: &str) -> Option<tool_host::Client> {
        match &self.nodes.borrow().get(node)?.kind {
            Kind::Tool(tool_node) => tool_node.host.clone(),
            Kind::Agent(_) => None,
        }
    }

    /// The live root and host of a tool at a node, if it is connected now: in this version, else in
    /// the newest of those that the node has, accepted ones first.
    pub fn live(&self, node: &str, tool: &str, version: &str) -> Option<LiveTool> {
        let nodes = self.nodes.borrow();
        let Kind::Tool(tool_node) = &nodes.get(node)?.kind else { return None };
        let host = tool_node.host.clone()?;
        let offered =
            tool_node.tools.iter().filter(|offered| offered.manifest.tool == tool).max_by(
                |left, right| {
                    let (a, b) = (&left.manifest.version, &right.manifest.version);
                    (a == version)
                        .cmp(&(b == version))
                        .then(left.accepted.is_none().cmp(&right.accepted.is_none()))
                        .then_with(|| versions::compare(a, b))
                },
            )?;
        Some(LiveTool {
            root: offered.root.clone()?,
            link: tool_node.link.clone(),
            host,
            address: tool_node.address.clone(),
            manifest: Arc::clone(&offered.manifest),
            hash: offered.hash,
            is_accepted: offered.accepted.is_none(),
        })
    }

    /// The manifest with this hash, if the node offers it.
    pub fn offered(&self, node: &str, hash: [u8; 32]) -> Option<Arc<Manifest>> {
        let nodes = self.nodes.borrow();
        let Kind::Tool(tool_node) = &nodes.get(node)?.kind else { return None };
        let offered = tool_node.tools.iter().find(|offered| offered.hash == hash)?;
        Some(Arc::clone(&offered.manifest))
    }

    /// From now on a node's tool with this hash is what was accepted.
    pub fn accept(&self, node: &str, hash: [u8; 32]) {
        if let Some(super::Node { kind: Kind::Tool(tool_node), .. }) =
            self.nodes.borrow_mut().get_mut(node)
        {
            let same = tool_node.tools.iter_mut().filter(|offered| offered.hash == hash);
            same.for_each(|offered| offered.accepted = None);
        }
        self.changed.notify_waiters();
    }

    /// The tools there are, by name, newest version first.
    pub fn tools(&self) -> Vec<ToolInfo> {
        let nodes = self.nodes.borrow();
        let mut infos = Vec::new();
        for (identity, node) in nodes.iter() {
            let Kind::Tool(tool_node) = &node.kind else { continue };
            infos.extend(tool_node.tools.iter().map(|offered| ToolInfo {
                manifest: Arc::clone(&offered.manifest),
                accepted: offered.accepted.clone(),
                node: identity.clone(),
                available: node.lease.is_some(),
            }));
        }
        infos.sort_by(|a, b| {
            let newest_first = || versions::compare(&b.manifest.version, &a.manifest.version);
            a.manifest.tool.cmp(&b.manifest.tool).then_with(newest_first).then(a.node.cmp(&b.node))
        });
        infos
    }
}

/// Refuses a manifest that describes something twice: who checks one and calls the other would be
/// fooled.
fn check_names_once(manifest: &Manifest) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for interface in &manifest.interfaces {
        let methods = interface.methods.iter();
        let twice = !names.insert((&interface.name, None, None))
            || methods.clone().any(|m| !names.insert((&interface.name, Some(&m.name), None)))
            || methods.flat_map(|m| m.params.iter().map(move |param| (m, param))).any(
                |(m, param)| !names.insert((&interface.name, Some(&m.name), Some(&param.name))),
            );
        if twice {
            let why =
                format!("{}: something in `{}` is described twice", manifest.tool, interface.name);
            return Err(Failure::new(Code::InvalidArgument, why));
        }
    }
    Ok(())
}

/// Why a tool is not used: it is another than what was accepted. An agent reads this, so nothing in
/// it is what the tool says of itself now; `remit tools` shows that to a person.
pub(crate) fn interface_changed(accepted: &Manifest, offered: &Manifest, node: &str) -> Failure {
    if accepted.is_same_but_version(offered) {
        return name_held(&accepted.tool, node);
    }
    let lines = accepted.changes_without_texts(offered);
    let lines: Vec<String> = lines.into_iter().take(limits::CHANGES_SHOWN).collect();
    let why = format!(
        "{0} on {node} is not what it was, and nobody accepted the change; `remit tools` shows it whole, and whoever judges it harmless types `remit tools accept {0}`. What changed:\n{1}",
        accepted.tool,
        lines.join("\n")
    );
    Failure::new(Code::InterfaceChanged, why).with_detail(lines.join("\n"))
}

/// Why a tool is not used that is what was accepted: it was accepted of another node.
fn name_held(tool: &str, node: &str) -> Failure {
    let why = format!(
        "{node} offers `{tool}`, and that name belongs to the node that offered it first, so nothing calls it there: `remit tools accept {tool} --node {node}` lets this node serve it too; else give its tool another name"
    );
    Failure::new(Code::InterfaceChanged, why)
}

/// The bytes of all texts of a manifest, about what it costs to keep.
pub(crate) fn manifest_bytes(manifest: &Manifest) -> usize {
    let Manifest { tool, version, description, root, descend, interfaces } = manifest;
    let mut texts = vec![tool, version, description, root, descend];
    for interface in interfaces {
        texts.extend([&interface.name, &interface.description]);
        for method in &interface.methods {
            texts.extend([&method.name, &method.description, &method.returns]);
            texts.extend([&method.args_schema, &method.result_schema]);
            texts.extend(method.params.iter().map(|param| &param.name));
        }
    }
    texts.into_iter().map(String::len).sum()
}
