//! Pins: which interface of each node's tools was accepted, for good.
//!
//! A tool is accepted as it is at first sight. From then on its node may change the version and
//! nothing else: any other change counts only once a person has accepted it. The node that offers a
//! tool's name first holds it: what another one offers under it counts only once it is accepted.

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use remit_core::audit::{Decision, Record};
use remit_core::{Code, Failure, Identity, Manifest};
use remit_journal::audit::Audit;
use remit_journal::meta::{Batch, Change, Meta, MetaError};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::limits;

/// Keys of accepted interfaces in the store begin so.
const PREFIX: &[u8] = b"accept/";

/// The interfaces that were accepted.
pub struct Pins {
    meta: Arc<dyn Meta>,
    audit: Rc<Audit>,
    /// Held while one offer is judged: of two nodes that offer a new name at once, one is the first.
    judging: Mutex<()>,
}

/// An accepted interface as it is kept.
#[derive(Serialize, Deserialize)]
struct Accepted {
    manifest: Manifest,
    /// The hash of the last other one that the node offered under this version.
    refused: Option<[u8; 32]>,
}

impl Pins {
    /// The interfaces that are kept in `meta`; what happens to them goes to `audit`.
    pub fn new(meta: Arc<dyn Meta>, audit: Rc<Audit>) -> Rc<Self> {
        Rc::new(Self { meta, audit, judging: Mutex::new(()) })
    }

    /// What was accepted of this tool of `node`, if it is not what the node offers now. `None`: it
    /// is, from now on if it was never seen before. Durable when it answers.
    pub async fn judge(
        &self,
        node: &Identity,
        offered: &Manifest,
    ) -> Result<Option<Arc<Manifest>>, Failure> {
        let _alone = self.judging.lock().await;
        let name = node.to_string();
        let known = self.known(&name, &offered.tool).await?;
        if let Some(same) = known.iter().find(|kept| kept.manifest.version == offered.version) {
            if same.manifest == *offered {
                self.claim_if_free(node, &offered.tool).await?;
                return Ok(None);
            }
            self.note_change(node, same, offered).await?;
            return Ok(Some(Arc::new(same.manifest.clone())));
        }
        if known.iter().any(|kept| kept.manifest.is_same_but_version(offered)) {
            self.keep(node, offered, &name, "another version with the same interface").await?;
            return Ok(None);
        }
        match known.into_iter().next_back() {
            None => match self.holder(node, &offered.tool).await? {
                Some((holder, kept)) => {
                    self.note_claim(node, &holder, offered).await?;
                    Ok(Some(Arc::new(kept.manifest)))
                }
                None => {
                    self.keep(node, offered, &name, "seen for the first time").await?;
                    Ok(None)
                }
            },
            Some(before) => {
                self.note_change(node, &before, offered).await?;
                Ok(Some(Arc::new(before.manifest)))
            }
        }
    }

    /// Accepts an interface, in place of what was accepted of this version before. Durable when it
    /// answers.
    pub async fn accept(
        &self,
        node: &Identity,
        manifest: &Manifest,
        by: &Identity,
    ) -> Result<(), Failure> {
        let _alone = self.judging.lock().await;
        self.keep(node, manifest, &by.to_string(), "accepted").await
    }

    async fn keep(
        &self,
        node: &Identity,
        manifest: &Manifest,
        by: &str,
        why: &str,
    ) -> Result<(), Failure> {
        let name = node.to_string();
        let mut writes = self.crowded_out(&name, &manifest.tool).await?;
        let kept = Accepted { manifest: manifest.clone(), refused: None };
        writes.push((key(&name, &manifest.tool, &manifest.version), Some(encode(&kept)?)));
        let claim = self.claim(node, &manifest.tool).await?;
        let claimed = claim.as_ref().map(|(key, _)| key.clone());
        writes.extend(claim);
        // The record first: what is in force is on record.
        let record = Record::new(by, Decision::Accepted).because(why);
        self.audit.record(node.tenant(), of_tool(record, &name, manifest)).await?;
        let batch = Batch::of(writes);
        // A name has one holder, whichever orchestrator heard of it first.
        let batch = match claimed {
            Some(name) => batch.if_still(name, None),
            None => batch,
        };
        Ok(self.meta.commit(batch).await?)
    }

    /// Records once that a node offers something else than what was accepted.
    async fn note_change(
        &self,
        node: &Identity,
        before: &Accepted,
        offered: &Manifest,
    ) -> Result<(), Failure> {
        let hash = offered.hash();
        if before.refused == Some(hash) {
            return Ok(());
        }
        let name = node.to_string();
        let lines = before.manifest.changes(offered);
        let lines = lines.into_iter().take(limits::CHANGES_SHOWN).collect::<Vec<_>>().join("\n");
        let record = Record::new(name.clone(), Decision::Changed).because(lines);
        self.audit.record(node.tenant(), of_tool(record, &name, offered)).await?;
        let noted = Accepted { manifest: before.manifest.clone(), refused: Some(hash) };
        let key = key(&name, &noted.manifest.tool, &noted.manifest.version);
        Ok(self.meta.commit(Batch::of(vec![(key, Some(encode(&noted)?))])).await?)
    }

    /// The write by which `node` holds the name of a tool that no node of its tenant holds.
    async fn claim(&self, node: &Identity, tool: &str) -> Result<Option<Change>, MetaError> {
        let key = name_key(node.tenant(), tool, "");
        let is_held = self.meta.get(&key).await?.is_some();
        Ok((!is_held).then(|| (key, Some(node.to_string().into_bytes()))))
    }

    async fn claim_if_free(&self, node: &Identity, tool: &str) -> Result<(), Failure> {
        let Some((name, holder)) = self.claim(node, tool).await? else { return Ok(()) };
        let batch = Batch::of(vec![(name.clone(), holder)]).if_still(name, None);
        Ok(self.meta.commit(batch).await?)
    }

    /// The other node that holds the name of a tool, and what was accepted of it.
    async fn holder(
        &self,
        node: &Identity,
        tool: &str,
    ) -> Result<Option<(String, Accepted)>, MetaError> {
        let held = self.meta.get(&name_key(node.tenant(), tool, "")).await?;
        let holder = held.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(holder) = holder.filter(|holder| *holder != node.to_string()) else {
            return Ok(None);
        };
        let kept = self.known(&holder, tool).await?.into_iter().next_back();
        Ok(kept.map(|kept| (holder, kept)))
    }

    /// Records once that a node offers a tool whose name another one holds.
    async fn note_claim(
        &self,
        node: &Identity,
        holder: &str,
        offered: &Manifest,
    ) -> Result<(), Failure> {
        let (name, hash) = (node.to_string(), offered.hash());
        let noted = name_key(node.tenant(), &offered.tool, &name);
        if self.meta.get(&noted).await?.is_some_and(|before| before == hash) {
            return Ok(());
        }
        let why = format!(
            "{holder} serves `{}`: another node does once a person accepts it (`remit tools accept`)",
            offered.tool
        );
        tracing::warn!(node = name, tool = offered.tool, holder, "the tool's name is held");
        let record = Record::new(name.clone(), Decision::Changed).because(why);
        self.audit.record(node.tenant(), of_tool(record, &name, offered)).await?;
        Ok(self.meta.commit(Batch::of(vec![(noted, Some(hash.to_vec()))])).await?)
    }

    /// What was accepted of a node's tool, in the order of its versions as text.
    async fn known(&self, node: &str, tool: &str) -> Result<Vec<Accepted>, MetaError> {
        let prefix = key(node, tool, "");
        let kept = self.meta.scan(&prefix, limits::VERSIONS_ACCEPTED).await?;
        kept.iter().map(|(_, bytes)| decode(bytes)).collect()
    }

    /// The removals that make room for one more version of a tool.
    async fn crowded_out(&self, node: &str, tool: &str) -> Result<Vec<Change>, MetaError> {
        let prefix = key(node, tool, "");
        let kept = self.meta.scan(&prefix, limits::VERSIONS_ACCEPTED).await?;
        let over = (kept.len() + 1).saturating_sub(limits::VERSIONS_ACCEPTED);
        Ok(kept.into_iter().take(over).map(|(key, _)| (key, None)).collect())
    }
}

fn of_tool(record: Record, node: &str, manifest: &Manifest) -> Record {
    let hash = hex::encode(manifest.hash());
    let record = record.about(format!("{}@{} {hash}", manifest.tool, manifest.version));
    Record { tool: manifest.tool.clone(), node: node.to_owned(), ..record }
}

fn encode(kept: &Accepted) -> Result<Vec<u8>, Failure> {
    rmp_serde::to_vec_named(kept).map_err(|error| Failure::new(Code::Failed, error.to_string()))
}

fn decode(bytes: &[u8]) -> Result<Accepted, MetaError> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        let why = format!("an accepted interface is damaged ({error}): restore from a backup");
        MetaError::Damaged(why)
    })
}

/// Names go with their lengths, so that none is the beginning of another.
fn key(node: &str, tool: &str, version: &str) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    for name in [node, tool] {
        key.extend(u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend(name.as_bytes());
    }
    key.extend(version.as_bytes());
    key
}

/// Which node holds the name of a tool in a tenant, or, of a node that does not, what it offered. No
/// node has an empty name.
fn name_key(tenant: &str, tool: &str, node: &str) -> Vec<u8> {
    key("", tool, &format!("{tenant}/{node}"))
}
