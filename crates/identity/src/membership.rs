//! Membership: staying connected to the orchestrator as the same member.
//!
//! A member dials, works over the connection until it ends, and dials again, with backoff and
//! jitter. At half of its certificate's life it renews the certificate and connects with the new
//! one. Only then does it close the old connection, once no call is in flight on it.
//!
//! ```no_run
//! # async fn example(dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! use remit_schema::tool_node_capnp::tool_node_port;
//! use remit_core::Role;
//! use remit_identity::membership::Member;
//! use tokio_util::sync::CancellationToken;
//!
//! let member = Member::open(dir, "127.0.0.1:7474", None, Role::ToolNode).await?;
//! let stop = CancellationToken::new();
//! member
//!     .stay(&stop, |_port: tool_node_port::Client, connection| async move {
//!         // Register over `_port` here, then work until the connection ends.
//!         connection.ended().await;
//!     })
//!     .await;
//! # Ok(())
//! # }
//! ```

use std::cell::RefCell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use capnp::capability::{Client, FromClientHook};
use futures::FutureExt as _;
use remit_core::{Identity, Role};
use remit_schema::join_capnp::credentials;
use remit_vat::backoff::Backoff;
use remit_vat::connection::{Connection, ConnectionOptions, within};
use remit_vat::limits::ConnectionLimits;
use remit_vat::turn;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::credential::{Credential, check_writable};
use crate::join::{self, Invite, Renewal};
use crate::limits;
use crate::tls::{self, Purpose, Refused};

/// A member of a mesh: its credential and the address of the orchestrator.
#[derive(Debug)]
pub struct Member {
    dir: PathBuf,
    address: String,
    credential: RefCell<Credential>,
}

/// Why a process cannot be a member.
#[derive(Debug, thiserror::Error)]
pub enum CannotJoin {
    /// There is no credential, and no invite to get one with.
    #[error("there is no credential in {0}: join with the line that `remit invite` prints")]
    NoCredential(PathBuf),
    /// The credential has expired, and there is no invite.
    #[error(
        "the credential in {0} has expired: join again with the line that `remit invite` prints"
    )]
    Expired(PathBuf),
    /// The credential exists but cannot be used.
    #[error(transparent)]
    Credential(#[from] io::Error),
    /// The invite was refused.
    #[error("joining failed: {0}")]
    Refused(#[from] Refused),
    /// The folder cannot keep a credential. The invite was not used.
    #[error("the invite was not used and stays good: {0}. Make the folder writable and join again")]
    Unwritable(io::Error),
    /// The credential in the folder is of another role.
    #[error("the credential in {dir} is of {found}, which is no {wanted}: choose another folder")]
    OtherRole {
        /// The folder.
        dir: PathBuf,
        /// The identity in that credential.
        found: Identity,
        /// The role that was to be started.
        wanted: Role,
    },
}

impl Member {
    /// Opens the member whose credential is in `dir`, which must be of `role`. If there is no
    /// credential, or it has expired, `invite` is redeemed, after a check that `dir` is writable.
    /// The orchestrator is at `address` (host:port). If `address` is empty, it is at the invite's
    /// address, or at the last one used.
    pub async fn open(
        dir: &Path,
        address: &str,
        invite: Option<&Invite>,
        role: Role,
    ) -> Result<Self, CannotJoin> {
        let credential = match (Credential::load(dir)?, invite) {
            (Some(kept), _) if kept.not_after() > SystemTime::now() => kept,
            (_, Some(invite)) => {
                check_writable(dir).map_err(CannotJoin::Unwritable)?;
                let joined = join::redeem(invite, role, limits::RENEWAL).await?;
                joined.save(dir)?;
                joined
            }
            (Some(_), None) => return Err(CannotJoin::Expired(dir.to_owned())),
            (None, None) => return Err(CannotJoin::NoCredential(dir.to_owned())),
        };
        if credential.identity().role() != role {
            let (dir, found) = (dir.to_owned(), credential.identity().clone());
            return Err(CannotJoin::OtherRole { dir, found, wanted: role });
        }
        let remembered = dir.join("orchestrator");
        let address = match (address, invite) {
            ("", Some(invite)) => invite.address.clone(),
            ("", None) => std::fs::read_to_string(&remembered)?.trim().to_owned(),
            (address, _) => address.to_owned(),
        };
        crate::credential::write_private(&remembered, address.as_bytes())?;
        Ok(Self { dir: dir.to_owned(), address, credential: RefCell::new(credential) })
    }

    /// The identity of the member.
    pub fn identity(&self) -> Identity {
        self.credential.borrow().identity().clone()
    }

    /// The current credential.
    pub fn credential(&self) -> Credential {
        self.credential.borrow().clone()
    }

    /// The address of the orchestrator, host:port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Dials once, and returns the bootstrap object of this member's role.
    pub async fn connect<P: FromClientHook>(&self) -> Result<(P, Connection), Refused> {
        dial(self.address.clone(), self.credential()).await
    }

    /// Stays connected until `stop` is cancelled. Each new connection gets a `session`, which
    /// should work until the connection ends. If the session ends first, the connection is ended.
    /// While a certificate is replaced, two sessions run side by side. At `stop` the sessions are
    /// dropped, and the last connection stays open so that calls in flight can complete.
    pub async fn stay<P, S, F>(&self, stop: &CancellationToken, session: S)
    where
        P: FromClientHook + 'static,
        S: Fn(P, Connection) -> F,
        F: Future<Output = ()> + 'static,
    {
        let dialling = |credential| dial(self.address.clone(), credential);
        self.stay_by(dialling, stop, session).await;
    }

    /// As [`Member::stay`], over connections that `dial` makes with a credential.
    pub async fn stay_by<P, D, C, S, F>(&self, dial: D, stop: &CancellationToken, session: S)
    where
        P: FromClientHook + 'static,
        D: Fn(Credential) -> C,
        C: Future<Output = Result<(Client, Connection), Refused>>,
        S: Fn(P, Connection) -> F,
        F: Future<Output = ()> + 'static,
    {
        let mut backoff = Backoff::new(limits::RECONNECT_FIRST, limits::RECONNECT_MOST);
        let mut sessions = JoinSet::new();
        let mut replaced: Option<Connection> = None;
        while !stop.is_cancelled() {
            let dialled = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                dialled = dial(self.credential()) => dialled,
            };
            match dialled {
                Ok((port, connection)) => {
                    let begun = Instant::now();
                    // The successor is connected, so the replaced connection may close.
                    if let Some(old) = replaced.take() {
                        retire(old);
                    }
                    let typed = P::new(port.hook.add_ref());
                    let working = session(typed, connection.clone());
                    sessions
                        .spawn_local(turn::timed("a session", attend(working, connection.clone())));
                    match self.hold(&port, &connection, stop).await {
                        Hold::Renewed => {
                            replaced = Some(connection);
                            continue;
                        }
                        _ if begun.elapsed() > limits::SETTLED => backoff.reset(),
                        _ => {}
                    }
                }
                Err(refused) => tracing::warn!(%refused, "not connected"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
            // Removes finished sessions, so that their number stays bounded.
            while sessions.try_join_next().is_some() {}
        }
        sessions.shutdown().await;
    }

    /// Holds one connection until it ends, its certificate was renewed, or `stop` is cancelled.
    async fn hold(&self, port: &Client, connection: &Connection, stop: &CancellationToken) -> Hold {
        let renewed = async {
            loop {
                let half_life = self.credential.borrow().half_life();
                let left = half_life.duration_since(SystemTime::now()).unwrap_or_default();
                tokio::time::sleep(left).await;
                match self.renew(port).await {
                    Ok(()) => return,
                    Err(why) => {
                        tracing::warn!(why, "the certificate was not renewed, trying again");
                    }
                }
                tokio::time::sleep(limits::RECONNECT_MOST).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Hold::Stopped,
            _ = connection.ended() => Hold::Lost,
            () = renewed => Hold::Renewed,
        }
    }

    async fn renew(&self, port: &Client) -> Result<(), String> {
        let credentials = credentials::Client::new(port.hook.add_ref());
        let renewal = Renewal::prepare(&self.credential.borrow()).map_err(|e| e.to_string())?;
        let mut request = credentials.renew_request();
        request.get().set_signing_request(renewal.signing_request());
        let response = within(limits::RENEWAL, request.send()).await.map_err(|e| e.to_string())?;
        let read = || {
            let chain = response.get()?.get_certificate()?;
            Ok::<_, capnp::Error>((chain.get_leaf()?, chain.get_authority()?))
        };
        let (leaf, authority) = read().map_err(|e| e.to_string())?;
        let renewed = renewal.complete(leaf, authority).map_err(|e| e.to_string())?;
        renewed.save(&self.dir).map_err(|e| e.to_string())?;
        tracing::info!(identity = %renewed.identity(), "the certificate was renewed");
        *self.credential.borrow_mut() = renewed;
        Ok(())
    }
}

async fn dial<P: FromClientHook>(
    address: String,
    credential: Credential,
) -> Result<(P, Connection), Refused> {
    let dialled = tls::dial(&address, &credential, Purpose::Peer, limits::HANDSHAKE);
    let (stream, identity) = dialled.await?;
    let options =
        ConnectionOptions { peer: identity.to_string(), limits: ConnectionLimits::default() };
    Ok(Connection::connect(stream, None, options))
}

/// Runs a session, and ends its connection when the session returns or panics.
async fn attend(session: impl Future<Output = ()>, connection: Connection) {
    if AssertUnwindSafe(session).catch_unwind().await.is_err() {
        tracing::error!("a session panicked");
    }
    connection.abort("its session is over");
}

/// Closes a replaced connection, after its successor has had time to register and when no call is
/// in flight on it.
fn retire(old: Connection) {
    turn::spawn("a handover", async move {
        tokio::time::sleep(limits::HANDOVER).await;
        old.idle().await;
        old.abort("replaced by one with a renewed certificate");
    });
}

/// Why a connection is no longer held.
enum Hold {
    /// The connection ended.
    Lost,
    /// There is a new certificate to connect with.
    Renewed,
    /// The member stops.
    Stopped,
}
