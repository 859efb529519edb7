//! The site: all that an orchestrator consists of, for those who serve a part of it to a peer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remit_authority::Authority;
use remit_core::{Code, Failure, Identity, Role};
use remit_identity::credential::MembershipId;
use remit_journal::Journal;
use remit_journal::audit::Audit;
use remit_journal::meta::Meta;

use crate::admission::invites::Invites;
use crate::admission::members::{Members, NotAMember};
use crate::admission::pins::Pins;
use crate::admission::tickets::Tickets;
use crate::scheduler::registry::Registry;
use crate::services::damage::Damage;
use crate::services::triggers::Triggers;
use crate::tasks::Tasks;

/// All that an orchestrator consists of.
pub struct Site {
    /// Who may be a member.
    pub authority: Authority,
    /// How long a certificate of a node is good.
    pub certificate_life: Duration,
    /// How long a certificate of a client is good.
    pub client_certificate_life: Duration,
    /// Until when the orchestrator's own certificate is good.
    pub own_until: std::cell::Cell<SystemTime>,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: fn() -> u64,
    /// Small records beside the journal.
    pub meta: Arc<dyn Meta>,
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
    /// Who belongs to the mesh.
    pub members: Rc<Members>,
    /// All tasks.
    pub tasks: Rc<Tasks>,
    /// What creates tasks or sends input by itself.
    pub triggers: Rc<Triggers>,
    /// What of the journal is known to be damaged.
    pub damage: Rc<Damage>,
}

impl Site {
    /// How long a certificate of this role is good.
    pub const fn certificate_life(&self, role: Role) -> Duration {
        match role {
            Role::Client => self.client_certificate_life,
            Role::AgentNode | Role::ToolNode | Role::Orchestrator => self.certificate_life,
        }
    }

    /// A certificate for the identity of this connection and the key of this request: leaf and
    /// authority.
    pub fn renew(
        &self,
        signing_request: &[u8],
        identity: &Identity,
    ) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let basis = self.members.basis(identity);
        let refused = |not: NotAMember| Failure::new(Code::Denied, not.to_string());
        self.members.check_current(identity, &basis).map_err(refused)?;
        let invalid = |why| Failure::new(Code::InvalidArgument, why);
        self.certify(signing_request, identity, basis.membership()).map_err(invalid)
    }

    pub(crate) fn certify(
        &self,
        signing_request: &[u8],
        identity: &Identity,
        membership: Option<MembershipId>,
    ) -> Result<(Vec<u8>, Vec<u8>), String> {
        let life = self.certificate_life(identity.role());
        let leaf = self.authority.sign(signing_request, identity, membership, life);
        let leaf = leaf.map_err(|error| error.to_string())?;
        Ok((leaf, self.authority.certificate().to_vec()))
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
            return Err(Failure::new(Code::NotFound, why));
        };
        self.pins.accept(&identity, &manifest, by).await?;
        self.registry.accept(node, hash);
        Ok(())
    }
}
