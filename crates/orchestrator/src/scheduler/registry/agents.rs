//! Agent nodes and the places they have.

use std::cell::Cell;
use std::rc::Rc;

use remit_core::Failure;
use remit_schema::agent_node_capnp::agent_host;

use super::{Admission, Kind, Lease, Registry, check_name, check_names};
use crate::limits;
use crate::scheduler::placement::Share;

/// What an agent node offers.
pub struct AgentOffer {
    /// The kinds of agent it runs.
    pub kinds: Vec<String>,
    /// The version of its program.
    pub version: String,
    /// What the node has.
    pub labels: Vec<String>,
    /// How many attempts it runs at once.
    pub capacity: u32,
    /// The node itself.
    pub host: agent_host::Client,
    /// Which process of the node's identity it is.
    pub instance: Vec<u8>,
}

/// An agent node.
pub(super) struct AgentNode {
    kinds: Vec<String>,
    version: String,
    capacity: u32,
    host: Option<agent_host::Client>,
    /// Attempts that this orchestrator placed there and that have not ended.
    running: Rc<Cell<u32>>,
    record: Record,
}

/// How attempts on a node went of late.
#[derive(Clone, Default)]
pub struct Record(Rc<Cell<u32>>);

impl Record {
    /// One failed through no fault of its task's, as far as can be told.
    pub fn failed(&self) {
        self.0.set((self.0.get() + 1).min(limits::NODE_FAILURES));
    }

    /// One did not.
    pub fn succeeded(&self) {
        self.0.set(self.0.get() / 2);
    }
}

/// Why there is no place now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No agent node is connected.
    #[error("waits for an agent node: none is connected that takes work")]
    NoNode,
    /// None of them fits.
    #[error("waits for an agent node that runs `{kind}` and has the labels: {labels}")]
    NoneFits {
        /// The kind of agent that was asked for.
        kind: String,
        /// The labels that were asked for.
        labels: String,
    },
    /// Those that fit have no place free.
    #[error("waits for a free place: every agent node that fits is full")]
    Full,
}

/// A place on an agent node, counted until it is dropped.
pub struct Placement {
    /// The node's identity.
    pub node: String,
    /// The node.
    pub host: agent_host::Client,
    running: Rc<Cell<u32>>,
    record: Record,
    registry: Rc<Registry>,
    /// The same place as one that its identity has.
    _share: Option<Share>,
}

impl AgentNode {
    pub(super) fn disconnect(&mut self) {
        self.host = None;
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn running(&self) -> u32 {
        self.running.get()
    }

    fn fits(&self, has: &[String], kind: &str, labels: &[String]) -> bool {
        self.kinds.iter().any(|k| k == kind) && labels.iter().all(|label| has.contains(label))
    }
}

impl Placement {
    /// The same, counted among those of an identity.
    pub fn for_share(mut self, share: Share) -> Self {
        self._share = Some(share);
        self
    }

    /// Where it is noted how the attempt went.
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// Answers when what runs there is to go elsewhere.
    pub async fn evicted(&self) {
        self.registry.evicted(&self.node).await;
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.running.set(self.running.get().saturating_sub(1));
        self.registry.changed.notify_waiters();
    }
}

impl Registry {
    /// Registers an agent node, in place of its earlier registration, whose attempts go on.
    pub fn register_agents(&self, identity: &str, offer: AgentOffer) -> Result<Lease, Failure> {
        let AgentOffer { kinds, version, labels, capacity, host, instance } = offer;
        check_names("kind of agent", &kinds)?;
        check_name("version", &version)?;
        self.register(identity, labels, instance, |before| {
            let (running, record) = match before {
                Some(Kind::Agent(agent)) => (agent.running, agent.record),
                _ => Default::default(),
            };
            let capacity = capacity.min(limits::ATTEMPTS_PER_NODE);
            let host = Some(host);
            Kind::Agent(AgentNode { kinds, version, capacity, host, running, record })
        })
    }

    /// A place on the least loaded connected node that has `kind` and all `labels`; or why there is
    /// none now. Failures of late count as load, and the node `avoid` is taken only if no other one
    /// has a place.
    pub fn place(&self, kind: &str, labels: &[String], avoid: &str) -> Result<Placement, NoPlace> {
        let nodes = self.nodes.borrow();
        let connected: Vec<_> = nodes
            .iter()
            .filter(|(_, node)| node.intake == Admission::Open)
            .filter_map(|(identity, node)| match &node.kind {
                Kind::Agent(agent) => {
                    agent.host.as_ref().map(|host| (identity, &node.labels, agent, host))
                }
                Kind::Tool(_) => None,
            })
            .collect();
        if connected.is_empty() {
            return Err(NoPlace::NoNode);
        }
        let fitting: Vec<_> = connected
            .into_iter()
            .filter(|(_, has, agent, _)| agent.fits(has, kind, labels))
            .collect();
        if fitting.is_empty() {
            let labels = if labels.is_empty() { "none".into() } else { labels.join(", ") };
            return Err(NoPlace::NoneFits { kind: kind.to_owned(), labels });
        }
        let best = fitting
            .into_iter()
            .filter(|(_, _, agent, _)| agent.running.get() < agent.capacity)
            .min_by_key(|(identity, _, agent, _)| {
                let load = (agent.running.get() + 1) * (agent.record.0.get() + 1);
                (*identity == avoid, load, *identity)
            });
        let Some((identity, _, agent, host)) = best else {
            return Err(NoPlace::Full);
        };
        agent.running.set(agent.running.get() + 1);
        let registry = self.me.upgrade().ok_or(NoPlace::NoNode)?;
        Ok(Placement {
            node: identity.clone(),
            host: host.clone(),
            running: Rc::clone(&agent.running),
            record: agent.record.clone(),
            registry,
            _share: None,
        })
    }

    /// Whether an agent node has `kind` and all `labels`.
    pub fn fits(&self, node: &str, kind: &str, labels: &[String]) -> bool {
        let nodes = self.nodes.borrow();
        nodes.get(node).is_some_and(|node| match &node.kind {
            Kind::Agent(agent) => agent.fits(&node.labels, kind, labels),
            Kind::Tool(_) => false,
        })
    }
}
