//! The nodes of a mesh as a client sees them: their tools, who joins, who rests.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::info::{Drained, Health, NodeInfo, ToolInfo};
use crate::serve::session::Repeat;
use crate::serve::{mesh, nodes};

impl Client {
    /// Every registered tool, one entry for each version and node.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn tools(&self) -> Result<Vec<ToolInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::tools).await).await
    }

    /// Accepts a tool as it is now, in place of what was accepted before: grants that were made for
    /// that go on with what is there unchanged. On disk when this answers.
    ///
    /// # Errors
    /// [`Error::Failed`] with `not-found` if the tool is no longer the one that is meant.
    pub async fn accept_tool(&self, tool: &ToolInfo) -> Result<(), Error> {
        let (node, hash) = (tool.node.clone(), tool.manifest.hash());
        self.visit(async move |session| {
            let (node, hash) = (&node, &hash);
            session.ask(Repeat::Harmless, |m| nodes::accept_tool(m, node, hash)).await
        })
        .await
    }

    /// Every node that has registered, those that are away included.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::nodes).await).await
    }

    /// Gives the node of this name nothing new, until [`undrain`](Self::undrain) or until it
    /// registers again. Answers when it does nothing any more or the time is over; attempts that
    /// are then still on it go on elsewhere.
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

    /// Gives the node of this name work again.
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

    /// How the orchestrator is.
    ///
    /// # Errors
    /// As for any call: see [`Error`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.visit(async move |session| session.ask(Repeat::Harmless, mesh::health).await).await
    }
}
