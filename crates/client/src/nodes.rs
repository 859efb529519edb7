//! The nodes of a mesh as a client sees them: their tools, state and draining.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::info::{Drained, Health, NodeInfo, ToolInfo};
use crate::serve::session::Repeat;
use crate::serve::{mesh, nodes};

impl Client {
    /// Lists every registered tool, one entry for each version and node.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn tools(&self) -> Result<Vec<ToolInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::tools).await).await
    }

    /// Accepts the current manifest of a tool in place of the one that was accepted before.
    /// Existing grants continue with the methods that are unchanged. The acceptance is on disk on
    /// return.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if the node no longer serves this manifest.
    pub async fn accept_tool(&self, tool: &ToolInfo) -> Result<(), Error> {
        let (node, hash) = (tool.node.clone(), tool.manifest.hash());
        self.visit(async move |session| {
            let (node, hash) = (&node, &hash);
            session.ask(Repeat::Harmless, |m| nodes::accept_tool(m, node, hash)).await
        })
        .await
    }

    /// Lists every node that has registered, disconnected ones included.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::nodes).await).await
    }

    /// Drains a node: it gets no new work until [`undrain`](Self::undrain), or until it registers
    /// again. Returns when the node is idle, or after `timeout`; attempts that still run there then
    /// continue elsewhere.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such node.
    pub async fn drain(&self, node: &str, timeout: Duration) -> Result<Drained, Error> {
        let node = node.to_owned();
        self.visit(async move |session| {
            let drain = |m| nodes::drain(m, &node, timeout);
            session.ask_patiently(Repeat::Harmless, drain).await
        })
        .await
    }

    /// Undrains a node: it gets work again.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if there is no such node.
    pub async fn undrain(&self, node: &str) -> Result<(), Error> {
        let node = node.to_owned();
        self.visit(async move |session| {
            session.ask(Repeat::Harmless, |m| nodes::undrain(m, &node)).await
        })
        .await
    }

    /// Reports the health of the orchestrator.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::health).await).await
    }
}
