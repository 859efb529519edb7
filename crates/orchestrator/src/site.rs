//! The site: all that an orchestrator consists of, for those who serve a part of it to a peer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remit_core::audit::{Decision, Record};
use remit_core::{Failure, Identity, Role};
use remit_vat::authority::Authority;
use remit_vat::disk::Disk;
use remit_vat::join;

use crate::audit::Audit;
use crate::invites::Invites;
use crate::journal::Journal;
use crate::pins::Pins;
use crate::registry::Registry;
use crate::tasks::Tasks;
use crate::tickets::Tickets;
use crate::triggers::Triggers;

/// All that an orchestrator consists of.
pub struct Site {
    /// Who may be a member.
    pub authority: Authority,
    /// How long a certificate is good.
    pub certificate_life: Duration,
    /// Until when the orchestrator's own certificate is good.
    pub own_until: std::cell::Cell<SystemTime>,
    /// The store under the journal.
    pub disk: Disk,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// What happens outside of any task.
    pub audit: Rc<Audit>,
    /// Which interfaces of tools were accepted.
    pub pins: Rc<Pins>,
    /// Which nodes there are.
    pub registry: Rc<Registry>,
    /// Tickets of attempts.
    pub tickets: Rc<Tickets>,
    /// Invites.
    pub invites: Rc<Invites>,
    /// All tasks.
    pub tasks: Rc<Tasks>,
    /// What creates tasks or sends input by itself.
    pub triggers: Rc<Triggers>,
}

impl Site {
    /// A certificate for whoever has the invite: identity, leaf and authority. A request that is no
    /// good does not use the invite up.
    pub async fn admit(
        &self,
        request: &join::Request,
    ) -> Result<(Identity, Vec<u8>, Vec<u8>), String> {
        let invite = self.invites.find(&request.secret).map_err(|error| error.to_string())?;
        let identity = invite.identity.clone();
        let (leaf, authority) = self.certify(&request.signing_request, &identity)?;
        self.invites.use_up(invite).await.map_err(|error| error.to_string())?;
        let joined = Record::new(identity.to_string(), Decision::Joined);
        let recorded = self.audit.record(identity.tenant(), joined).await;
        recorded.map_err(|failure| failure.message)?;
        Ok((identity, leaf, authority))
    }

    /// A certificate for `identity` and the key of this request: leaf and authority.
    pub fn certify(
        &self,
        signing_request: &[u8],
        identity: &Identity,
    ) -> Result<(Vec<u8>, Vec<u8>), String> {
        let leaf = self
            .authority
            .sign(signing_request, identity, self.certificate_life)
            .map_err(|error| error.to_string())?;
        Ok((leaf, self.authority.certificate().to_vec()))
    }

    /// An invite for a new member of the tenant of `by`.
    pub async fn invite(
        &self,
        by: &Identity,
        role: Role,
        name: &str,
        ttl: Duration,
    ) -> Result<String, Failure> {
        let invalid = |error: remit_core::identity::NotAnIdentity| {
            Failure::new(remit_core::Code::InvalidArgument, error.to_string())
        };
        let identity = Identity::new(by.mesh(), by.tenant(), role, name).map_err(invalid)?;
        let invite = self.invites.create(&identity, ttl).await?;
        let invited = Record::new(by.to_string(), Decision::Invited).about(identity.to_string());
        self.audit.record(by.tenant(), invited).await?;
        tracing::info!(%identity, %by, "invited");
        Ok(invite.to_string())
    }

    /// The tool of `node` whose manifest has this hash is accepted as it is. Durable when it answers.
    pub async fn accept(&self, by: &Identity, node: &str, hash: &[u8]) -> Result<(), Failure> {
        let offered = <[u8; 32]>::try_from(hash)
            .ok()
            .and_then(|hash| Some((hash, self.registry.offered(node, hash)?)));
        let identity = node.parse::<Identity>().ok().filter(|node| node.tenant() == by.tenant());
        let (Some((hash, manifest)), Some(identity)) = (offered, identity) else {
            let why = format!(
                "{node} offers no tool with that manifest: it may have changed again; look with `remit tools`"
            );
            return Err(Failure::new(remit_core::Code::NotFound, why));
        };
        self.pins.accept(&identity, &manifest, by).await?;
        self.registry.accept(node, hash);
        Ok(())
    }
}
