//! The orchestrator as a node: from its configuration to serving, and to its end.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use remit_authority::Authority;
use remit_core::{Facets, Failure, Identity, Role};
use remit_identity::credential::Credential;
use remit_identity::join::Invite;
use remit_identity::tls::{Acceptor, Refused};
use remit_journal::audit::Audit;
use remit_journal::meta::{Meta, MetaError};
use remit_journal::{Journal, JournalError, SledJournal, loss};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::invites::Invites;
use crate::admission::listener::Listener;
use crate::admission::members::Members;
use crate::admission::pins::Pins;
use crate::admission::tickets::Tickets;
use crate::config::Config;
use crate::limits;
use crate::scheduler::registry::Registry;
use crate::services::context::Site;
use crate::services::damage;
use crate::services::membership::{InviteIssuer, NewInvite};
use crate::services::notify::{self, Source, keep_telling};
use crate::services::refs::Refs;
use crate::services::retention::{keep_checking, keep_sweeping};
use crate::services::triggers::{Triggers, hooks};
use crate::tasks::Tasks;

/// The roles that may connect.
const ROLES: [Role; 3] = [Role::Client, Role::AgentNode, Role::ToolNode];

/// The name of the orchestrator itself within its mesh.
const NAME: &str = "orchestrator";

/// The file with the invite for the first administrator.
const FIRST_INVITE: &str = "client.invite";

/// The name of the first administrator.
const FIRST_CLIENT: &str = "local";

/// The tenant of everyone, while there is one.
pub const TENANT: &str = "default";

/// Why an orchestrator does not run.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// A file or folder cannot be used.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened: {0}")]
    Journal(#[from] JournalError),
    /// What is kept beside the journal cannot be read.
    #[error("the records beside the journal: {0}")]
    Records(#[from] MetaError),
    /// The journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Tasks(#[from] Failure),
    /// An invite cannot be made.
    #[error("no invite was made: {0}")]
    NotInvited(Failure),
    /// The orchestrator's own certificate cannot be used.
    #[error("the orchestrator's certificate: {0}")]
    Certificate(#[from] Refused),
}

/// Runs an orchestrator that accepts from `tcp`, until `stop`. Call it inside a vat.
pub async fn run(
    config: &Config,
    tcp: TcpListener,
    stop: CancellationToken,
) -> Result<(), CannotServe> {
    Started::at(config, tcp).await?.serve(config, stop).await
}

/// An orchestrator whose tasks are at work, and that serves nobody yet.
pub struct Started {
    site: Rc<Site>,
    listener: Rc<Listener>,
    own: Credential,
    tcp: TcpListener,
}

impl Started {
    /// Opens all that the orchestrator keeps, and leaves the invite for the first administrator
    /// where `config` says, if there is no administrator yet.
    pub async fn at(config: &Config, tcp: TcpListener) -> Result<Self, CannotServe> {
        let (site, own) = build(config, reached_at(config, &tcp)?).await?;
        if let Some(journal) = site.journal.on_disk() {
            loss::tell(&journal, &site.audit, TENANT, &own.identity().to_string()).await?;
        }
        let acceptor = Acceptor::new(&own, &ROLES)?;
        if let Some(dir) = &config.bootstrap_dir {
            first_invite(&site, dir).await?;
        }
        let listener = Listener::new(Rc::clone(&site), acceptor);
        Ok(Self { site, listener, own, tcp })
    }

    /// Serves all who connect, until `stop`.
    pub async fn serve(self, config: &Config, stop: CancellationToken) -> Result<(), CannotServe> {
        let Self { site, listener, own, tcp } = self;
        let identity = own.identity().clone();
        let notified =
            Source { journal: site.journal.on_disk(), audit: &site.audit, own: &identity };
        let renewing = keep_certificate(&site, &listener, own);
        let triggers = Rc::clone(&site.triggers).run(TENANT);
        let hooks = webhooks(config, &site).await?;
        tokio::select! {
            biased;
            () = listener.run(&tcp, &stop) => {}
            () = renewing => {}
            () = triggers => {}
            () = hooks => {}
            () = keep_telling(notified, &config.notify) => {}
            () = keep_sweeping(&site.tasks, config.retention) => {}
            () = keep_checking(&site.tasks, &site.damage) => {}
            () = remove_when_used(&site, config.bootstrap_dir.as_deref()) => {}
        }
        // Nobody new comes in; what was acknowledged is on disk, what was begun is in the journal.
        site.tasks.shutdown().await;
        listener.close().await;
        Ok(())
    }
}

/// Makes an invite in the name of the orchestrator itself, on its folder and while it does not run:
/// the way back for an administrator whose credential is lost. Call it inside a vat.
pub async fn invite_at_rest(config: &Config, wanted: NewInvite) -> Result<Invite, CannotServe> {
    let Backends { meta, authority, audit, .. } = backends(config, now_ms)?;
    let address = if config.advertise.is_empty() { &config.listen } else { &config.advertise };
    let members = Members::open(Arc::clone(&meta), Box::new(now_ms)).await?;
    let invites = Invites::new(meta, address.clone(), authority.hash(), Box::new(now_ms));
    let issuer = InviteIssuer { members: &members, invites: &invites, audit: &audit };
    let own = own_identity(&authority)?;
    issuer.invite(&own, wanted).await.map_err(CannotServe::NotInvited)
}

/// Serves webhooks, if there is to be an address for them.
async fn webhooks(config: &Config, site: &Site) -> io::Result<impl Future<Output = ()> + use<>> {
    let triggers = Rc::clone(&site.triggers);
    let tcp = if config.webhooks.is_empty() {
        None
    } else {
        let tcp = TcpListener::bind(&config.webhooks).await;
        let named = |error| io::Error::other(format!("webhooks at {}: {error}", config.webhooks));
        let tcp = tcp.map_err(named)?;
        triggers.listen_at(tcp.local_addr()?.to_string());
        Some(tcp)
    };
    Ok(async move {
        match tcp {
            Some(tcp) => hooks::serve(tcp, triggers, TENANT).await,
            None => std::future::pending().await,
        }
    })
}

/// Where others reach the orchestrator, as invites say it.
fn reached_at(config: &Config, tcp: &TcpListener) -> io::Result<String> {
    if !config.advertise.is_empty() {
        return Ok(config.advertise.clone());
    }
    let mut address = tcp.local_addr()?;
    if address.ip().is_unspecified() {
        tracing::warn!("invites will work on this machine only: set `advertise` to its address");
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(address.to_string())
}

/// What an orchestrator is built on. A simulation puts its own in the place of disk and clock.
pub struct Backends {
    /// Where members, invites, references, triggers and accepted interfaces are kept.
    pub meta: Arc<dyn Meta>,
    /// Who may be a member.
    pub authority: Authority,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// What happens outside of any task.
    pub audit: Rc<Audit>,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: fn() -> u64,
}

/// All that an orchestrator consists of, from the folder in `config`; `address` stands in its
/// invites. Owners of tasks begin to work at once.
pub async fn build(
    config: &Config,
    address: String,
) -> Result<(Rc<Site>, Credential), CannotServe> {
    build_on(backends(config, now_ms)?, config, address).await
}

/// The folder in `config`, and this wall clock.
pub(crate) fn backends(config: &Config, now_ms: fn() -> u64) -> Result<Backends, CannotServe> {
    // The journal first: its lock keeps a second orchestrator from touching anything else.
    let journal = SledJournal::open(&config.data.join("journal"), config.cache_bytes)?;
    let authority = Authority::load_or_create(&config.data.join("authority"), &config.mesh)?;
    loss::mend_lists(&journal).map_err(JournalError::into_failure)?;
    let (meta, audit) = (journal.meta(), journal.audit(Box::new(now_ms)));
    Ok(Backends { meta, authority, journal: Arc::new(journal), audit, now_ms })
}

/// As [`build`], on what there is already.
pub async fn build_on(
    backends: Backends,
    config: &Config,
    address: String,
) -> Result<(Rc<Site>, Credential), CannotServe> {
    let Backends { meta, authority, journal, audit, now_ms } = backends;
    let own = authority.issue(&own_identity(&authority)?, config.certificate_life())?;
    let registry = Registry::new(Box::new(now_ms));
    let tickets = Tickets::new();
    let invites =
        Invites::new(Arc::clone(&meta), address.clone(), authority.hash(), Box::new(now_ms));
    // Before tasks go on: what they record then is to be told as well.
    if let Some(journal) = journal.on_disk() {
        journal.add_notices_for(&notify::topics(&config.notify));
    }
    let tasks = Tasks::open(
        Arc::clone(&journal),
        Rc::clone(&audit),
        Rc::clone(&registry),
        Rc::clone(&tickets),
        config.timing(),
        Box::new(now_ms),
    )?;
    let members = Members::open(Arc::clone(&meta), Box::new(now_ms)).await?;
    let triggers =
        Triggers::new(Arc::clone(&meta), Rc::clone(&tasks), Rc::clone(&members), tasks.clock());
    if let Some(dir) = &config.webhook_secrets {
        triggers.keep_secrets_in(dir.clone());
    }
    tasks.save_in(Refs::new(Arc::clone(&meta), Rc::clone(&audit), address, Box::new(now_ms)));
    let site = Site {
        authority,
        certificate_life: config.certificate_life(),
        client_certificate_life: config.client_certificate_life(),
        now_ms,
        own_until: Cell::new(own.not_after()),
        meta: Arc::clone(&meta),
        journal,
        pins: Pins::new(meta, Rc::clone(&audit)),
        audit,
        registry,
        tickets,
        invites,
        members,
        tasks,
        triggers,
        damage: Rc::default(),
    };
    site.damage.note(damage::of_losses(&*site.journal)?);
    Ok((Rc::new(site), own))
}

fn own_identity(authority: &Authority) -> io::Result<Identity> {
    Identity::new(authority.mesh(), TENANT, Role::Orchestrator, NAME).map_err(io::Error::other)
}

/// Renews the orchestrator's own certificate at half of its life, for ever.
async fn keep_certificate(site: &Site, listener: &Listener, mut own: Credential) {
    loop {
        let left = own.half_life().duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(left.max(Duration::from_millis(100))).await;
        match renew(site, listener, own.identity()) {
            Ok(renewed) => {
                own = renewed;
                tracing::info!("the orchestrator's certificate was renewed");
            }
            Err(error) => {
                tracing::error!(%error, "not renewed, trying again");
                tokio::time::sleep(limits::RENEW_AGAIN).await;
            }
        }
    }
}

fn renew(site: &Site, listener: &Listener, who: &Identity) -> Result<Credential, CannotServe> {
    let renewed = site.authority.issue(who, site.certificate_life)?;
    listener.replace_acceptor(Acceptor::new(&renewed, &ROLES)?);
    site.own_until.set(renewed.not_after());
    Ok(renewed)
}

/// Leaves an invite for the first administrator as a file that only its owner can read, unless there
/// is an administrator.
async fn first_invite(site: &Site, dir: &Path) -> Result<(), CannotServe> {
    let file = dir.join(FIRST_INVITE);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    if site.members.has_administrator(TENANT) {
        return Ok(());
    }
    let own = own_identity(&site.authority)?;
    let wanted = NewInvite {
        role: Role::Client,
        name: FIRST_CLIENT.to_owned(),
        grant: Facets::ALL.into(),
        // There may be one of this name that administers no more.
        again: true,
        ttl: limits::FIRST_INVITE,
    };
    let line = site.invite(&own, wanted).await.map_err(CannotServe::NotInvited)?;
    Ok(remit_identity::credential::write_private(&file, line.as_bytes())?)
}

/// Removes the file of the first invite as soon as somebody joined by it. Never ends.
async fn remove_when_used(site: &Site, dir: Option<&Path>) {
    if let Some(dir) = dir {
        site.members.administered(TENANT).await;
        let file = dir.join(FIRST_INVITE);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %file.display(), "a used invite was not removed");
            }
            _ => {}
        }
    }
    std::future::pending::<()>().await;
}

/// The wall clock, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
