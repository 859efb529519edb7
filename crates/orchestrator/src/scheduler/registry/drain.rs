//! Draining: a node that is about to go gets nothing new, and what it does comes to its end.

use std::time::Duration;

use remit_core::{Code, Failure};

use super::{Kind, Lease, Node, Registry};
use crate::limits;

/// Whether a node is given work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Admission {
    /// It is.
    #[default]
    Open,
    /// It gets nothing new.
    Draining,
    /// And the attempts on it are to go elsewhere.
    Evicting,
}

impl Admission {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Evicting => "evicting",
        }
    }
}

/// How far a node was drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Attempts that were ended there and go on elsewhere.
    pub moved: u32,
    /// Calls that were still under way when the time was over.
    pub left: u32,
}

impl Registry {
    /// Gives the node of this name or identity nothing new. Answers when it does nothing any more,
    /// or when the time is over and its attempts were moved.
    pub async fn drain(&self, name: &str, time: Duration) -> Result<Drained, Failure> {
        let node = self.find(name)?;
        self.set_intake(&node, Admission::Draining);
        if !self.is_agent(&node) {
            // What it does is what it last said that it does.
            tokio::time::sleep(limits::LOAD_LAG).await;
        }
        if self.idle_within(&node, time).await {
            return Ok(Drained::default());
        }
        let busy = self.busy(&node);
        if !self.is_agent(&node) {
            return Ok(Drained { moved: 0, left: busy });
        }
        self.set_intake(&node, Admission::Evicting);
        self.idle_within(&node, limits::EVICTION).await;
        Ok(Drained { moved: busy, left: 0 })
    }

    /// Gives a node work again.
    pub fn undrain(&self, name: &str) -> Result<(), Failure> {
        let node = self.find(name)?;
        self.set_intake(&node, Admission::Open);
        Ok(())
    }

    /// Whether a node is drained, or is being so.
    pub fn is_draining(&self, node: &str) -> bool {
        self.nodes.borrow().get(node).is_some_and(|node| node.intake != Admission::Open)
    }

    /// Answers when the attempts on a node are to go elsewhere.
    pub async fn evicted(&self, node: &str) {
        loop {
            let changed = self.changed();
            if self.nodes.borrow().get(node).is_some_and(|node| node.intake == Admission::Evicting)
            {
                return;
            }
            changed.await;
        }
    }

    /// Answers when a node takes new calls, or is not connected.
    pub async fn undrained(&self, node: &str) {
        loop {
            let changed = self.changed();
            if !self.is_draining(node) {
                return;
            }
            changed.await;
        }
    }

    /// The identity of the node of this name or identity.
    ///
    /// # Errors
    /// `not-found` if there is none, `invalid-argument` if several have the name.
    pub fn find(&self, name: &str) -> Result<String, Failure> {
        let nodes = self.nodes.borrow();
        let named =
            |identity: &&String| *identity == name || identity.rsplit('/').next() == Some(name);
        let mut fitting: Vec<&String> = nodes.keys().filter(named).collect();
        fitting.sort();
        match fitting[..] {
            [node] => Ok(node.clone()),
            [] => {
                let why = format!("no node is called `{name}`: `remit nodes` lists them");
                Err(Failure::new(Code::NotFound, why))
            }
            [first, second, ..] => {
                let why = format!("`{name}` may be {first} or {second}: give the whole identity");
                Err(Failure::new(Code::InvalidArgument, why))
            }
        }
    }

    fn set_intake(&self, node: &str, intake: Admission) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(node) {
            node.intake = intake;
        }
        tracing::info!(node, intake = intake.as_str(), "a node is given work, or is not");
        self.changed.notify_waiters();
    }

    async fn idle_within(&self, node: &str, time: Duration) -> bool {
        let idle = async {
            loop {
                let changed = self.changed();
                if self.busy(node) == 0 {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(time, idle).await.is_ok()
    }

    fn is_agent(&self, node: &str) -> bool {
        matches!(self.nodes.borrow().get(node), Some(Node { kind: Kind::Agent(_), .. }))
    }

    /// Attempts or calls that run on a node.
    fn busy(&self, node: &str) -> u32 {
        match self.nodes.borrow().get(node) {
            Some(Node { kind: Kind::Agent(agent), .. }) => agent.running(),
            Some(node) => node.load,
            None => 0,
        }
    }
}

impl Lease {
    /// The node says that it is about to go. Answers as [`Registry::drain`] does.
    pub async fn drain(&self, time: Duration) -> Result<Drained, Failure> {
        match self.registry.upgrade() {
            Some(registry) => registry.drain(&self.node, time).await,
            None => Ok(Drained::default()),
        }
    }
}
