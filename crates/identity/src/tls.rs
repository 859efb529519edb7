//! Mutual TLS 1.3: authentication of the peer, and its identity.

mod hint;
mod verify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remit_core::{Identity, Role};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

pub use self::hint::Hint;
pub(crate) use self::verify::provider;
use self::verify::{TrustedClient, TrustedServer};
use crate::credential::MembershipId;
use crate::credential::{Credential, Described, describe};
use crate::limits;

/// The purpose of a connection, agreed in the handshake (ALPN) before any byte of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `remit/1`: a peer that wants the bootstrap object of its role.
    Peer,
    /// `remit-attempt/1`: an agent node that splices in a worker. Starts with a ticket of 32 bytes.
    Attempt,
    /// `remit-direct/1`: an agent node that was introduced to a tool node. Starts with a ticket of
    /// 32 bytes. The tool node answers a valid ticket with one byte.
    Direct,
    /// `remit-join/1`: a stranger with an invite. The only purpose without a certificate.
    Join,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Peer, Self::Attempt, Self::Direct, Self::Join];

    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Peer => b"remit/1",
            Self::Attempt => b"remit-attempt/1",
            Self::Direct => b"remit-direct/1",
            Self::Join => b"remit-join/1",
        }
    }

    fn of_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.alpn() == name)
    }
}

/// The tool node's answer to a valid ticket.
pub const DIRECT_ACCEPTED: u8 = 1;

/// A stream to the dialled peer, after the handshake.
pub type Dialled = tokio_rustls::client::TlsStream<TcpStream>;

/// An accepted connection.
pub struct Accepted {
    /// The stream, after the handshake.
    pub stream: tokio_rustls::server::TlsStream<TcpStream>,
    /// The agreed purpose.
    pub purpose: Purpose,
    /// The peer's identity and the end of its certificate. `None` only for [`Purpose::Join`].
    pub peer: Option<(Identity, SystemTime)>,
    /// The membership of the peer's certificate, if the certificate names one.
    pub membership: Option<MembershipId>,
    /// The hint that the peer will show in its first message next time, from its certificate.
    pub hint: Option<Hint>,
}

/// Why a connection was not made: a sentence for the log, with the peer's address or identity.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Accepts TLS connections as the holder of one credential.
#[derive(Clone)]
pub struct Acceptor {
    members: Arc<ServerConfig>,
    strangers: Option<Arc<ServerConfig>>,
    mesh: String,
    roles: Vec<Role>,
}

impl Acceptor {
    /// An acceptor for an orchestrator, the holder of `credential`. Peers must be of the same mesh
    /// and authority and have one of `roles`.
    pub fn new(credential: &Credential, roles: &[Role]) -> Result<Self, Refused> {
        let mut acceptor =
            Self::for_members(credential, roles, &[Purpose::Peer, Purpose::Attempt])?;
        let (chain, key) = (credential.chain(), credential.private_key());
        let strangers = server_builder()?.with_no_client_auth();
        let strangers = strangers.with_single_cert(chain, key).map_err(refused)?;
        acceptor.strangers = Some(configured(strangers, &[Purpose::Join]));
        Ok(acceptor)
    }

    /// An acceptor for a tool node, the holder of `credential`, which accepts only agent nodes that
    /// were introduced to it.
    pub fn of_introduced(credential: &Credential) -> Result<Self, Refused> {
        Self::for_members(credential, &[Role::AgentNode], &[Purpose::Direct])
    }

    fn for_members(
        credential: &Credential,
        roles: &[Role],
        purposes: &[Purpose],
    ) -> Result<Self, Refused> {
        let client = TrustedClient::new(credential.authority())?;
        let members = server_builder()?.with_client_cert_verifier(Arc::new(client));
        let members = members
            .with_single_cert(credential.chain(), credential.private_key())
            .map_err(refused)?;
        Ok(Self {
            members: configured(members, purposes),
            strangers: None,
            mesh: credential.identity().mesh().to_owned(),
            roles: roles.to_vec(),
        })
    }

    /// Performs the handshake on an accepted TCP stream, within `limit`.
    pub async fn accept(&self, tcp: TcpStream, limit: Duration) -> Result<Accepted, Refused> {
        self.accept_hinted(tcp, limit, |_| {}).await
    }

    /// As [`Acceptor::accept`]. Calls `hinted` with the hint in the peer's first message, if it
    /// shows one.
    pub async fn accept_hinted(
        &self,
        tcp: TcpStream,
        limit: Duration,
        hinted: impl FnOnce(Hint),
    ) -> Result<Accepted, Refused> {
        let from = tcp.peer_addr().map_or_else(|_| "a peer that is gone".into(), |a| a.to_string());
        let accepted = tokio::time::timeout(limit, self.shake_hands(tcp, hinted)).await;
        accepted
            .unwrap_or_else(|_| Err(Refused(format!("no handshake within {limit:?}"))))
            .map_err(|Refused(why)| Refused(format!("{from} was refused: {why}")))
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
        hinted: impl FnOnce(Hint),
    ) -> Result<Accepted, Refused> {
        tune(&tcp).map_err(refused)?;
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp)
            .await
            .map_err(refused)?;
        if let Some(hint) = start.client_hello().server_name().and_then(Hint::of_server_name) {
            hinted(hint);
        }
        // A stranger has no certificate, so only a connection to join is not asked for one.
        let joins = start
            .client_hello()
            .alpn()
            .is_some_and(|mut names| names.any(|name| name == Purpose::Join.alpn()));
        let config = self.strangers.as_ref().filter(|_| joins).unwrap_or(&self.members);
        let stream = start.into_stream(Arc::clone(config)).await.map_err(refused)?;
        let (_, session) = stream.get_ref();
        let purpose = session
            .alpn_protocol()
            .and_then(Purpose::of_alpn)
            .ok_or_else(|| Refused("it does not say what the connection is for (ALPN)".into()))?;
        let mut membership = None;
        let peer = match purpose {
            Purpose::Join => None,
            Purpose::Peer | Purpose::Attempt | Purpose::Direct => {
                let who = identity(session.peer_certificates())?;
                check_member(&who, &self.mesh, &self.roles)?;
                membership = who.membership;
                Some((who.identity, who.not_after))
            }
        };
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let hint = leaf.map(|leaf| Hint::of_certificate(leaf));
        Ok(Accepted { stream, purpose, peer, membership, hint })
    }
}

/// Dials the orchestrator at `address` (host:port) as the holder of `credential`, and checks that
/// the peer is an orchestrator of the same mesh.
pub async fn dial(
    address: &str,
    credential: &Credential,
    purpose: Purpose,
    limit: Duration,
) -> Result<(Dialled, Identity), Refused> {
    let what = (purpose, Some(credential.hint()));
    dial_role(address, credential, what, Role::Orchestrator, limit).await
}

/// As [`dial`], for the attempt of `ticket`. The handshake shows only a hint of the ticket: the
/// caller sends the ticket as the stream's first bytes.
pub async fn dial_attempt(
    address: &str,
    credential: &Credential,
    ticket: &[u8],
    limit: Duration,
) -> Result<Dialled, Refused> {
    let what = (Purpose::Attempt, Some(Hint::of_ticket(ticket)));
    let dialled = dial_role(address, credential, what, Role::Orchestrator, limit);
    Ok(dialled.await?.0)
}

/// Dials the tool node `node` (a SPIFFE name) at `address` (host:port) as the holder of
/// `credential`, and checks that the peer is that node. The handshake shows only a hint of the
/// `ticket`: the caller sends the ticket as the stream's first bytes.
pub async fn dial_introduced(
    (address, node): (&str, &str),
    credential: &Credential,
    ticket: &[u8],
    limit: Duration,
) -> Result<Dialled, Refused> {
    let what = (Purpose::Direct, Some(Hint::of_ticket(ticket)));
    let dialled = dial_role(address, credential, what, Role::ToolNode, limit);
    let (stream, identity) = dialled.await?;
    if identity.to_string() != node {
        return Err(Refused(format!("{address} is {identity}, and {node} was to be dialled")));
    }
    Ok(stream)
}

async fn dial_role(
    address: &str,
    credential: &Credential,
    what: (Purpose, Option<Hint>),
    role: Role,
    limit: Duration,
) -> Result<(Dialled, Identity), Refused> {
    let server = TrustedServer::new(credential.authority())?;
    let mut config = client_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(server))
        .with_client_auth_cert(credential.chain(), credential.private_key())
        .map_err(refused)?;
    let stream = connect(address, &mut config, what, limit).await?;
    let who = identity(stream.get_ref().1.peer_certificates())?;
    check_member(&who, credential.identity().mesh(), &[role])
        .map_err(|Refused(why)| Refused(format!("{address} is not to be trusted: {why}")))?;
    Ok((stream, who.identity))
}

/// Dials the orchestrator at `address` as a stranger who knows the hash of its authority. Returns
/// the stream and the authority's certificate.
pub(crate) async fn dial_pinned(
    address: &str,
    authority_hash: [u8; 32],
    limit: Duration,
) -> Result<(Dialled, Vec<u8>), Refused> {
    let mut config = client_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustedServer::pinned(authority_hash)))
        .with_no_client_auth();
    let stream = connect(address, &mut config, (Purpose::Join, None), limit).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let who = identity(certificates)?;
    check_member(&who, who.identity.mesh(), &[Role::Orchestrator])?;
    let authority = certificates.and_then(|chain| chain.last()).map(|last| last.to_vec());
    authority
        .map(|authority| (stream, authority))
        .ok_or_else(|| Refused(format!("{address} shows no certificate")))
}

fn server_builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, Refused> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)
}

fn configured(mut config: ServerConfig, purposes: &[Purpose]) -> Arc<ServerConfig> {
    config.alpn_protocols = purposes.iter().map(|purpose| purpose.alpn().to_vec()).collect();
    // A resumed session would skip the certificate, and with it the identity.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Refused> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)
}

async fn connect(
    address: &str,
    config: &mut ClientConfig,
    (purpose, hint): (Purpose, Option<Hint>),
    limit: Duration,
) -> Result<Dialled, Refused> {
    config.alpn_protocols = vec![purpose.alpn().to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = hint.is_some();
    let connecting = async {
        let tcp = TcpStream::connect(address).await.map_err(refused)?;
        tune(&tcp).map_err(refused)?;
        // This name is not verified: the peer's SPIFFE name identifies it.
        let name = match hint {
            Some(hint) => hint.server_name()?,
            None => ServerName::try_from("orchestrator.invalid").map_err(refused)?,
        };
        let connector = TlsConnector::from(Arc::new(config.clone()));
        connector.connect(name, tcp).await.map_err(refused)
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(Refused(why))) => Err(Refused(format!("{address} could not be reached: {why}"))),
        Err(_) => Err(Refused(format!("{address} did not answer within {limit:?}"))),
    }
}

fn identity(certificates: Option<&[CertificateDer<'_>]>) -> Result<Described, Refused> {
    let leaf = certificates
        .and_then(|chain| chain.first())
        .ok_or_else(|| Refused("it shows no certificate".into()))?;
    describe(leaf).map_err(|why| Refused(format!("its certificate is refused: {why}")))
}

fn check_member(who: &Described, mesh: &str, roles: &[Role]) -> Result<(), Refused> {
    let identity = &who.identity;
    if identity.mesh() != mesh {
        return Err(Refused(format!("{identity} is of another mesh than `{mesh}`")));
    }
    if who.not_after <= SystemTime::now() {
        return Err(Refused(format!("the certificate of {identity} has expired")));
    }
    if !roles.contains(&identity.role()) {
        return Err(Refused(format!("{identity} has the role {}, which may not", identity.role())));
    }
    Ok(())
}

fn refused(error: impl std::fmt::Display) -> Refused {
    Refused(error.to_string())
}

/// Sets the options of every TCP connection of the mesh: no delay, keep-alive, and a time-out for
/// bytes that the peer does not acknowledge.
pub fn tune(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(limits::TCP_KEEPALIVE)
        .with_interval(limits::TCP_KEEPALIVE)
        .with_retries(2);
    socket.set_tcp_keepalive(&keepalive)?;
    // On other systems only the watch on each connection notices silence.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits::TCP_UNACKNOWLEDGED))?;
    Ok(())
}

/// The address that a listener is bound to, for the ready line.
pub fn local(listener: &tokio::net::TcpListener) -> std::io::Result<SocketAddr> {
    listener.local_addr()
}
