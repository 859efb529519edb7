//! The registry: which nodes there are, and what each offers now.
//!
//! A node registers over its connection and holds a lease. The same process coming back takes its
//! own place; the drop of its earlier lease then changes nothing. Another process under the same
//! identity is refused while the first is connected.

mod agents;
mod drain;
pub(crate) mod link;
#[cfg(test)]
mod tests;
mod tools;
mod versions;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use remit_core::{Code, Failure, Manifest, Role};
use remit_schema::object_capnp::object;
use remit_schema::tool_node_capnp::tool_host;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::agents::AgentNode;
pub use self::agents::{AgentOffer, NoPlace, Placement};
use self::drain::Admission;
pub use self::drain::Drained;
pub use self::link::Link;
use self::tools::ToolNode;
pub use self::tools::ToolOffer;
pub(crate) use self::tools::{interface_changed, manifest_bytes};
use crate::limits;

/// Which nodes there are.
pub struct Registry {
    me: Weak<Self>,
    now_ms: Box<dyn Fn() -> u64>,
    nodes: RefCell<BTreeMap<String, Node>>,
    generation: Cell<u64>,
    changed: Notify,
    output: RefCell<Option<OutputSink>>,
    /// When this process began to take registrations.
    opened: Instant,
}

/// Where the output of calls in flight goes: tool node, idempotency key, text.
pub type OutputSink = Rc<dyn Fn(&str, &[u8], String)>;

/// One node, connected or away.
struct Node {
    /// Which registration it is; `None`: away.
    lease: Option<u64>,
    /// Which process of that identity it is.
    instance: Vec<u8>,
    labels: Vec<String>,
    last_contact_ms: u64,
    load: u32,
    intake: Admission,
    kind: Kind,
}

/// What a node is.
enum Kind {
    Tool(ToolNode),
    Agent(AgentNode),
}

/// A tool for a new grant.
#[derive(Debug)]
pub struct ToolEntry {
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// The identity of the node that serves it.
    pub node: String,
}

/// A tool that can be called now.
pub struct LiveTool {
    /// Its root object.
    pub root: object::Client,
    /// What it is reached over.
    pub link: Link,
    /// Its node, for what became of a call.
    pub host: tool_host::Client,
    /// Where agent nodes may dial that, host:port; empty: nowhere.
    pub address: String,
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// The hash of that.
    pub hash: [u8; 32],
    /// Whether that was accepted.
    pub is_accepted: bool,
}

/// A tool in a list.
pub struct ToolInfo {
    /// What it says of itself. Not for an agent's eyes unless it was accepted.
    pub manifest: Arc<Manifest>,
    /// What was accepted, if it is not that.
    pub accepted: Option<Arc<Manifest>>,
    /// The identity of the node that serves it.
    pub node: String,
    /// Whether that node is connected.
    pub available: bool,
}

/// A node in a list.
pub struct NodeInfo {
    /// Its identity.
    pub identity: String,
    /// Its role.
    pub role: Role,
    /// The version of its program; of a tool node, the versions of its tools.
    pub version: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it is given nothing new.
    pub draining: bool,
    /// What it has.
    pub labels: Vec<String>,
    /// Attempts or calls that run on it.
    pub load: u32,
    /// When it was last heard, in milliseconds since 1970.
    pub last_contact_ms: u64,
}

/// A registration. Dropping it takes the node off the list, unless it has registered again since.
pub struct Lease {
    registry: Weak<Registry>,
    node: String,
    generation: u64,
}

impl Registry {
    /// A registry without nodes. `now_ms` is the wall clock in milliseconds since 1970.
    pub fn new(now_ms: Box<dyn Fn() -> u64>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            now_ms,
            nodes: RefCell::default(),
            generation: Cell::new(0),
            changed: Notify::new(),
            output: RefCell::default(),
            opened: Instant::now(),
        })
    }

    /// Answers at the next change after this call: a node came, went or has a place free.
    pub fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Which registration of a node stands; `None`: it is away. Each has another number.
    pub fn registration(&self, node: &str) -> Option<u64> {
        self.nodes.borrow().get(node)?.lease
    }

    /// Sets where the output of calls in flight goes.
    pub fn on_output(&self, sink: OutputSink) {
        *self.output.borrow_mut() = Some(sink);
    }

    /// Passes on a piece of output of a call in flight.
    pub fn emit(&self, node: &str, key: &[u8], text: String) {
        let sink = self.output.borrow().clone();
        if let Some(sink) = sink {
            sink(node, key, text);
        }
    }

    /// The nodes there are, by name.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let nodes = self.nodes.borrow();
        let mut infos: Vec<NodeInfo> = nodes
            .iter()
            .map(|(identity, node)| NodeInfo {
                identity: identity.clone(),
                role: match node.kind {
                    Kind::Tool(_) => Role::ToolNode,
                    Kind::Agent(_) => Role::AgentNode,
                },
                version: match &node.kind {
                    Kind::Tool(tool) => tool.versions(),
                    Kind::Agent(agent) => agent.version().to_owned(),
                },
                connected: node.lease.is_some(),
                draining: node.intake != Admission::Open,
                labels: node.labels.clone(),
                load: match &node.kind {
                    Kind::Tool(_) => node.load,
                    Kind::Agent(agent) => agent.running(),
                },
                last_contact_ms: node.last_contact_ms,
            })
            .collect();
        infos.sort_by(|a, b| a.identity.cmp(&b.identity));
        infos
    }

    fn register(
        &self,
        identity: &str,
        labels: Vec<String>,
        instance: Vec<u8>,
        kind: impl FnOnce(Option<Kind>) -> Kind,
    ) -> Result<Lease, Failure> {
        check_names("label", &labels)?;
        let generation = self.generation.get() + 1;
        self.generation.set(generation);
        let mut nodes = self.nodes.borrow_mut();
        check_instance(identity, nodes.get(identity), &instance)?;
        let before = nodes.remove(identity);
        // One that only renews its connection stays drained; one that was away was started again.
        let intake = match &before {
            Some(node) if node.lease.is_some() => node.intake,
            _ => Admission::Open,
        };
        let before = before.map(|node| node.kind);
        make_room(&mut nodes)?;
        let node = Node {
            lease: Some(generation),
            instance,
            labels,
            last_contact_ms: (self.now_ms)(),
            load: 0,
            intake,
            kind: kind(before),
        };
        nodes.insert(identity.to_owned(), node);
        drop(nodes);
        tracing::info!(node = identity, "registered");
        self.changed.notify_waiters();
        Ok(Lease { registry: self.me.clone(), node: identity.to_owned(), generation })
    }
}

impl Lease {
    /// The node says how much it does, and by that, that it is well.
    pub fn report(&self, load: u32) {
        let Some(registry) = self.registry.upgrade() else { return };
        let mut nodes = registry.nodes.borrow_mut();
        if let Some(node) = nodes.get_mut(&self.node)
            && node.lease == Some(self.generation)
        {
            let was = std::mem::replace(&mut node.load, load);
            node.last_contact_ms = (registry.now_ms)();
            // Only who drains it waits for that: all who wait for anything would be woken.
            let is_awaited = node.intake != Admission::Open;
            drop(nodes);
            if was != load && load == 0 && is_awaited {
                registry.changed.notify_waiters();
            }
        }
    }

    /// Passes on a piece of output of a call in flight on this node.
    pub fn emit(&self, key: &[u8], text: String) {
        if let Some(registry) = self.registry.upgrade() {
            registry.emit(&self.node, key, text);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else { return };
        {
            let mut nodes = registry.nodes.borrow_mut();
            let Some(node) = nodes.get_mut(&self.node) else { return };
            if node.lease != Some(self.generation) {
                return;
            }
            node.lease = None;
            node.load = 0;
            node.last_contact_ms = (registry.now_ms)();
            match &mut node.kind {
                Kind::Tool(tool) => tool.disconnect(),
                Kind::Agent(agent) => agent.disconnect(),
            }
        }
        tracing::info!(node = self.node, "went away");
        registry.changed.notify_waiters();
    }
}

/// Refuses a second process under the name of one that is connected: neither would get what is meant
/// for it.
fn check_instance(identity: &str, before: Option<&Node>, instance: &[u8]) -> Result<(), Failure> {
    if instance.len() > limits::INSTANCE_BYTES {
        let why = format!("an instance of {} bytes", instance.len());
        return Err(Failure::new(Code::Limit, why));
    }
    match before {
        Some(node) if node.lease.is_some() && node.instance != instance => {
            tracing::warn!(node = identity, "refused: another process of this name is connected");
            let why = format!(
                "another process is connected as {identity}, and a name is one node's. End that process, or let this one join under a name of its own: remit invite --role ROLE --name NAME"
            );
            Err(Failure::new(Code::Denied, why))
        }
        _ => Ok(()),
    }
}

/// Refuses names that a node gives itself and that no list could show: too many, or not names.
fn check_names(what: &str, names: &[String]) -> Result<(), Failure> {
    if names.len() > limits::LABELS {
        let why = format!("{} {what}s; at most {} are taken", names.len(), limits::LABELS);
        return Err(Failure::new(Code::Limit, why));
    }
    names.iter().try_for_each(|name| check_name(what, name))
}

fn check_name(what: &str, name: &str) -> Result<(), Failure> {
    let printable = |b: u8| b.is_ascii_graphic();
    if !name.is_empty() && name.len() <= limits::NODE_NAME_BYTES && name.bytes().all(printable) {
        return Ok(());
    }
    let shown: String = name.chars().take(limits::NODE_NAME_BYTES).collect();
    let why = format!(
        "the {what} {shown:?}: use 1 to {} printable characters without spaces",
        limits::NODE_NAME_BYTES
    );
    Err(Failure::new(Code::InvalidArgument, why))
}

/// Forgets the node that has been away longest, if there are too many.
fn make_room(nodes: &mut BTreeMap<String, Node>) -> Result<(), Failure> {
    if nodes.len() < limits::NODES {
        return Ok(());
    }
    let longest_away = nodes
        .iter()
        .filter(|(_, node)| node.lease.is_none())
        .min_by_key(|(_, node)| node.last_contact_ms)
        .map(|(identity, _)| identity.clone());
    match longest_away {
        Some(identity) => {
            nodes.remove(&identity);
            Ok(())
        }
        None => {
            let why = format!("{} nodes are registered, and no more are taken", limits::NODES);
            Err(Failure::new(Code::Limit, why))
        }
    }
}
