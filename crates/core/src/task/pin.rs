//! Pins: a grant keeps the interface that it was made for, whatever its tool becomes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Task;
use super::command::Decision;
use super::refusal::Refusal;
use crate::event::{Fact, Grant};
use crate::failure::{Code, Failure};
use crate::id::GrantId;
use crate::manifest::Manifest;

/// What became of the interface that a grant was made for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pin {
    /// That interface, if the grant has another one now.
    made_for: Option<Arc<Manifest>>,
    /// The hash of the whole manifest of which it has what it has; `None`: of its own.
    accepted: Option<[u8; 32]>,
}

impl Pin {
    /// Why a method is there no more, if the grant was made for it.
    pub(super) fn lost(&self, interface: &str, method: &str) -> Option<Failure> {
        let made_for = self.made_for.as_ref()?;
        made_for.method(interface, method)?;
        let why = format!(
            "`{method}` of {interface} is not what it was when the grant was made: a grant of the tool as it is now is needed"
        );
        let detail = format!("{interface}.{method} changed or was removed");
        Some(Failure::new(Code::InterfaceChanged, why).with_detail(detail))
    }
}

impl Task {
    /// The grant from which a grant was narrowed in the end: the one that leads to a tool.
    pub fn root_of(&self, grant: GrantId) -> Option<&Arc<Grant>> {
        self.chain(grant).last().map(|held| &held.grant)
    }

    /// The interface that a grant was made for, and the hash of the manifest that its tool must
    /// have now.
    pub fn pinned(&self, grant: GrantId) -> Option<(&Arc<Manifest>, [u8; 32])> {
        let held = self.grants.get(&grant)?;
        let made_for = held.pin.made_for.as_ref().unwrap_or(&held.grant.manifest);
        Some((made_for, held.pin.accepted.unwrap_or_else(|| made_for.hash())))
    }

    /// The pin of a grant that is added now: its parent's, or its own manifest.
    pub(super) fn pin_of(&self, grant: &Grant) -> Pin {
        match grant.parent.and_then(|parent| self.grants.get(&parent)) {
            Some(parent) => parent.pin.clone(),
            None => Pin { made_for: None, accepted: Some(grant.manifest.hash()) },
        }
    }

    pub(super) fn decide_repin(
        &self,
        grant: GrantId,
        accepted: &Manifest,
    ) -> Result<Decision, Refusal> {
        let Some((made_for, pinned)) = self.pinned(grant) else {
            let why = format!("the task has no grant {grant}");
            return Err(Failure::new(Code::NotFound, why).into());
        };
        let hash = accepted.hash();
        if pinned == hash {
            return Ok(Decision::Recorded);
        }
        let manifest = Arc::new(made_for.kept_in(accepted));
        Ok(Decision::Record(vec![Fact::GrantRepinned { grant, manifest, accepted: hash }]))
    }

    /// A grant and all below it have the same interface, before and after.
    pub(super) fn repin(
        &mut self,
        grant: GrantId,
        manifest: &Arc<Manifest>,
        accepted: [u8; 32],
    ) -> Result<(), &'static str> {
        if !self.grants.contains_key(&grant) {
            return Err("there is no such grant");
        }
        let below: Vec<GrantId> = self
            .grants
            .keys()
            .copied()
            .filter(|below| self.chain(*below).any(|held| held.grant.grant == grant))
            .collect();
        for below in below {
            if let Some(held) = self.grants.get_mut(&below) {
                let before = Arc::clone(&held.grant.manifest);
                held.pin.made_for.get_or_insert(before);
                held.pin.accepted = Some(accepted);
                held.grant =
                    Arc::new(Grant { manifest: Arc::clone(manifest), ..(*held.grant).clone() });
            }
        }
        Ok(())
    }
}
